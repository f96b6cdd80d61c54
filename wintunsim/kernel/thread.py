"""A simulated thread, and what threads can wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from wintun_model.errors import ModelError
from wintun_model.operations import Event


class ThreadKilled(BaseException):
    """Raised inside a thread that has been terminated, and by every kernel call it still makes."""


def _not_started() -> object:
    raise ModelError("a thread that was not started cannot run")


class Waitable(Protocol):
    """A kernel object that threads can wait for (spec win32 §3). `waiters` are the waiting threads, oldest first."""

    @property
    def name(self) -> str: ...

    number: int
    waiters: list[Any]

    def is_signalled(self, thread: object) -> bool:
        """Whether a wait of `thread` would be satisfied now."""

    def consume(self, thread: object) -> None:
        """What a satisfied wait of `thread` does to the object."""


class Thread:
    """One simulated thread. `process` is None for the system's own threads."""

    __slots__ = (
        "ended",
        "exception",
        "exit_code",
        "function",
        "generation",
        "greenlet",
        "interruption",
        "is_doomed",
        "is_killed",
        "is_started",
        "kernel_depth",
        "killed_ns",
        "last_error",
        "local",
        "name",
        "number",
        "priority",
        "process",
        "rank",
        "refusals",
        "switch",
        "thread_id",
        "wait_all",
        "wait_objects",
        "waiting_for",
        "waiting_since_ns",
        "wake_ns",
        "wake_value",
    )

    def __init__(self, name: str, function: Callable[[], object], process: Any = None, priority: int = 8) -> None:
        self.name = name
        self.function = function
        self.process = process
        self.priority = priority
        self.number = 0
        self.rank = 0
        """Its number, as it stands in the order of ready threads: at equal times the lowest one runs first."""
        self.thread_id = 0
        self.greenlet: Any = None
        self.switch: Callable[[], object] = _not_started
        """The greenlet's own `switch`: looking it up each time costs as much as half of a call."""
        self.generation = 0
        self.wake_value: Any = None
        self.wait_objects: tuple[Waitable, ...] = ()
        self.wait_all = False
        self.waiting_for = ""
        """What a blocked thread waits for, in words; empty while it is ready."""
        self.wake_ns: int | None = None
        """What waking it costs, where that is not the usual cost."""
        self.waiting_since_ns = 0
        self.is_started = False
        self.is_killed = False
        self.killed_ns = 0
        self.refusals = 0
        """How often the thread went on after it was killed."""
        self.interruption: BaseException | None = None
        """What is to be raised in the thread when it runs next."""
        self.is_doomed = False
        """Terminated, but in the kernel: it ends when it leaves it."""
        self.kernel_depth = 0
        """How many requests the thread is in."""
        self.exit_code = 0
        self.exception: BaseException | None = None
        self.last_error = 0
        """The thread's last error, as `GetLastError` gives it."""
        self.local: dict[Any, Any] = {}
        """What layers above keep for each thread, by their own keys."""
        self.ended = Event(f"{name} ended", manual_reset=True)

    def __lt__(self, other: Thread) -> bool:
        # Entries of ready threads with equal times and ranks are those of one thread, and all but one are void.
        return False

    def __repr__(self) -> str:
        return f"Thread({self.name})"
