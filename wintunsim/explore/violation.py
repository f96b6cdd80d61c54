"""What an exploration looks for: properties, and the exception that says that one does not hold."""

from __future__ import annotations

from enum import StrEnum


class Property(StrEnum):
    """What must hold in every state, or at the end of every execution."""

    UNREAD_KEPT = "no unread packet is overwritten"
    WORDS_LEGAL = "Head and Tail are legal"
    NEVER_BACK = "Head and Tail never go back"
    STAYS_CLOSED = "a closed ring stays closed"
    PACKETS_IN_ORDER = "packets arrive in order, none lost or doubled"
    NO_LOST_WAKEUP = "no thread waits for ever while its work is there"
    COMPLETED_ONCE = "every NBL is completed once"
    NOTHING_AFTER_FREE = "nothing is used after it is freed, or before it is ready"
    PAGES_UNLOCKED = "a process that has ended has no pages locked"
    BOUNDED = "every run ends within its bound"
    EXPECTATION = "the scenario's own expectation"


class Violation(Exception):
    """A property does not hold: `args` are the property, what happened, and the schedule if it is known."""

    def __init__(self, broken: Property, what: str, schedule: str = "") -> None:
        super().__init__(broken, what, schedule)
        self.property = broken
        self.what = what
        self.schedule = schedule

    def __str__(self) -> str:
        return f"{self.property.value}: {self.what}"


def freed_too_often(what: str) -> Violation:
    """A pool gets back more than it gave."""
    return after_free(f"the driver frees {what} more often than it allocated it")


def after_free(what: str) -> Violation:
    """Something is used that is gone, or not there yet."""
    return Violation(Property.NOTHING_AFTER_FREE, what)
