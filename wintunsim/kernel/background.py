"""Threads of other programs, which compete for processors."""

from __future__ import annotations

from wintunsim.kernel.host import Background
from wintunsim.kernel.machine import Machine


def start_background(machine: Machine, load: Background) -> None:
    """Start one thread of a load, which works and rests by turns for ever."""
    name = f"background {len(machine.threads) + 1}"
    stream = machine.stream(f"kernel.{name}")

    def work() -> None:
        while True:
            machine.sleep_until(machine.now + max(1, load.idle.draw(stream)))
            machine.spend(max(1, load.busy.draw(stream)))

    machine.start_thread(name, work, priority=load.priority)
