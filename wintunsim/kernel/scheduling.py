"""Processors, and what the scheduler knows of a thread that competes for them."""

from __future__ import annotations

from wintunsim.kernel.thread import Thread


class Processor:
    """One processor: which thread it runs, since when it is idle, how long it has worked, in ns."""

    __slots__ = ("busy_ns", "idle_since_ns", "last", "number", "thread")

    def __init__(self, number: int) -> None:
        self.number = number
        self.thread: Thread | None = None
        self.last: Thread | None = None
        self.idle_since_ns = 0
        self.busy_ns = 0


class Scheduling:
    """What the scheduler knows of one thread."""

    __slots__ = (
        "boost", "busy_ns", "due_ns", "is_queued", "is_rescued", "is_spinning", "level", "processor", "quantum_end_ns",
        "quantum_left_ns", "ready_since_ns", "remaining_ns", "since_ns", "switches", "yields",
    )  # fmt: skip

    def __init__(self) -> None:
        self.processor: Processor | None = None
        self.boost = 0
        self.level = 0
        """How many spin locks it holds: above 0 it is not preempted."""
        self.is_queued = False
        self.ready_since_ns = 0
        """Since when it is in the queue."""
        self.is_rescued = False
        """Whether its boost is that of a thread which has starved."""
        self.is_spinning = False
        self.yields = False
        """Whether its spin lets anybody else run."""
        self.due_ns = 0
        """When the operation that is under way ends."""
        self.remaining_ns = 0
        """What is left of it, once the thread is preempted."""
        self.quantum_end_ns = 0
        self.quantum_left_ns = 0
        """What is left of its quantum, once it is preempted; 0 for a whole one."""
        self.since_ns = 0
        self.busy_ns = 0
        self.switches = 0

    def lower_boost(self) -> None:
        """A quantum has ended: a boost falls by one, that of a thread which had starved at once."""
        self.boost = max(0, self.boost - 1)
        self.end_rescue()

    def rescue(self, boost: int, quantum_ns: int) -> None:
        """It has starved: it gets this boost for so long."""
        self.is_rescued, self.boost, self.quantum_left_ns = True, boost, quantum_ns

    def end_rescue(self) -> None:
        """The boost of a thread that had starved ends, at the latest when it waits or yields."""
        if self.is_rescued:
            self.is_rescued, self.boost = False, 0

    def busy_until(self, now: int) -> int:
        """How long it has had a processor up to now, in ns."""
        return self.busy_ns + (now - self.since_ns if self.processor is not None else 0)
