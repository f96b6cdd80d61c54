"""Event objects, and waiting: for an event, or for a word to change."""

from __future__ import annotations

from typing import Any

from wintun_model.operations_base import Operation
from wintun_model.operations_memory import Word


class Event:
    """An event object. `number` is its number in the trace, 0 before it has one; `waiters` belongs to the executor."""

    __slots__ = ("clear", "is_set", "manual_reset", "name", "number", "set", "signalled", "waiters")

    def __init__(self, name: str, *, manual_reset: bool, signalled: bool = False) -> None:
        self.name = name
        self.manual_reset = manual_reset
        self.signalled = signalled
        self.waiters: list[Any] = []
        self.number = 0
        self.set = Set(self)
        self.clear = Clear(self)
        self.is_set = IsSet(self)

    def is_signalled(self, thread: object) -> bool:
        """Whether a wait of `thread` on this object would be satisfied now."""
        return self.signalled

    def consume(self, thread: object) -> None:
        """What a satisfied wait does to the object: an auto-reset event is cleared (spec win32 §3)."""
        if not self.manual_reset:
            self.signalled = False

    def __repr__(self) -> str:
        return f"Event({self.name})"


class _EventOperation(Operation):
    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class Set(_EventOperation):
    """Set an event: an auto-reset one lets one waiter go, a manual-reset one all."""

    __slots__ = ()


class Clear(_EventOperation):
    """Clear an event."""

    __slots__ = ()


class IsSet(_EventOperation):
    """Read an event's state without changing it. Sends back a bool."""

    __slots__ = ()


class Wait(Operation):
    """Wait for any of `events`, lowest index first. Sends back the index of the one that ended the wait."""

    __slots__ = ("events",)

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events = events


class Spin(Operation):
    """Spin until `word` differs from `value`, `event` is set, or `limit_ticks` of the performance counter have passed.

    One pass tests, in this order: moved, event (if there is one), deadline; otherwise it goes round, and first yields
    the processor if it is one that `yields`. Sends back the value of `word` loaded last, so one equal to `value` means
    that the event or the deadline ended it.
    """

    __slots__ = ("event", "limit_ticks", "value", "word", "yields")

    def __init__(self, word: Word, value: int, event: Event | None, limit_ticks: int, yields: bool = True) -> None:
        self.word = word
        self.value = value
        self.event = event
        self.limit_ticks = limit_ticks
        self.yields = yields
