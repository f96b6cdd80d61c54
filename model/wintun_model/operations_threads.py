"""Operations by which threads start, let time pass, and read the clock."""

from __future__ import annotations

from typing import Protocol

from wintun_model.operations_base import Operation, Routine
from wintun_model.operations_events import Event


class ThreadHandle(Protocol):
    """A started thread as a routine sees it: `ended` is set (for good) when its routine has returned."""

    @property
    def ended(self) -> Event: ...


class StartThread(Operation):
    """Start a system thread that runs `routine`. Sends back a `ThreadHandle`, or None when it cannot be started."""

    __slots__ = ("name", "priority", "routine")

    def __init__(self, routine: Routine[None], name: str, priority: int) -> None:
        self.routine = routine
        self.name = name
        self.priority = priority


class Sleep(Operation):
    """Sleep for `duration_ns` at least; without a fine timer, until a tick of the system's (spec win32 §3)."""

    __slots__ = ("duration_ns", "is_fine")

    def __init__(self, duration_ns: int, is_fine: bool = False) -> None:
        self.duration_ns = duration_ns
        self.is_fine = is_fine


class Yield(Operation):
    """Let another ready thread run, if there is one. Sends back whether there was."""

    __slots__ = ()


class Work(Operation):
    """Work of the caller's own that takes `duration_ns` and that nobody else can see, such as handling a packet."""

    __slots__ = ("duration_ns",)

    def __init__(self, duration_ns: int) -> None:
        self.duration_ns = duration_ns


class ReadFrequency(Operation):
    """Read the frequency of the performance counter. Sends back ticks a second."""

    __slots__ = ()


class ReadClock(Operation):
    """Read the performance counter. Sends back ticks, which never go back."""

    __slots__ = ()
