"""simpy's environment, tied to the machine whose threads run inside one of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import simpy

if TYPE_CHECKING:
    from wintunsim.kernel.scheduler import Scheduler


class Environment(simpy.Environment):
    """simpy's environment, which tells the machine of everything that is scheduled, and may be moved ahead by it."""

    def __init__(self, machine: Scheduler) -> None:
        super().__init__(0)
        self.machine = machine

    def schedule(
        self,
        event: simpy.Event,
        priority: Any = simpy.events.NORMAL,
        delay: float = 0,
    ) -> None:
        machine = self.machine
        if machine.current is not None:
            self._now = machine.now
        super().schedule(event, priority, delay)
        due = int(self._now + delay)
        if due < machine.foreign:
            machine.foreign = due
            if due <= machine.horizon:
                machine.horizon = due - 1

    def next_time(self) -> int:
        """When the next simpy event is due, or when the run is over."""
        limit = self.machine.limit
        queue = self._queue
        return min(int(queue[0][0]), limit) if queue else limit

    def advance(self, time_ns: int) -> None:
        """Move the clock ahead to `time_ns`, or to the next event if that is earlier."""
        due = int(self._queue[0][0]) if self._queue else time_ns
        self._now = max(self._now, min(time_ns, due))

    def has_events(self) -> bool:
        """Whether anything is left to happen."""
        return bool(self._queue)
