"""The system timer's tick as one process sees it (spec win32 §3)."""

from __future__ import annotations

from wintunsim.win32.context import Context


class Resolution:
    """The timer resolutions that a process has asked for, in ns."""

    def __init__(self) -> None:
        self.requests: list[int] = []

    def period_ns(self, default_ns: int) -> int:
        """The tick's period: the finest request, or `default_ns`."""
        return min([default_ns, *self.requests])


def tick_after(context: Context, time_ns: int) -> int:
    """The first tick at or after `time_ns`; its phase against the start of the run comes from the seed."""
    machine = context.machine
    requests = context.state(Resolution).requests
    if not requests:
        return machine.tick_after(time_ns)
    period = min(machine.costs.timer_tick_ns, *requests)
    return time_ns + (machine.tick_phase_ns - time_ns) % period
