"""Operations on the driver's own state: its variables, and its lists of NBLs in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from wintun_model.operations_base import Operation

T = TypeVar("T")


class Variable(Generic[T]):
    """A variable of the driver (or of the session layer) that several threads read or write."""

    __slots__ = ("get", "name", "observer", "value")

    def __init__(self, name: str, value: T) -> None:
        self.name = name
        self.value = value
        self.observer: Callable[[T], None] | None = None
        """Told of every new value by an executor that lets people watch; nothing of the semantics."""
        self.get = Get(self)

    def __repr__(self) -> str:
        return f"Variable({self.name}={self.value!r})"


class Get(Operation):
    """Read a variable. Sends back its value."""

    __slots__ = ("variable",)

    def __init__(self, variable: Variable[Any]) -> None:
        self.variable = variable


class Put(Operation):
    """Write a variable."""

    __slots__ = ("value", "variable")

    def __init__(self, variable: Variable[Any], value: Any) -> None:
        self.variable = variable
        self.value = value


class Entry:
    """An entry of an active list: an end offset and a completed mark that share one word (spec driver §2).

    Bit 0 is the mark; the offset is read back with its two low bits cleared, so an odd offset counts as completed at
    once (B11). `link` is the entry's link word: the entry after it, once there is one, and before that whatever the
    word held when the entry came (B7).
    """

    __slots__ = ("link", "marked_offset")

    def __init__(self) -> None:
        self.marked_offset = 0
        self.link: Entry | None = None

    def is_completed(self) -> bool:
        return bool(self.marked_offset & 1)

    def end_offset(self) -> int:
        return self.marked_offset & ~3


EntryT = TypeVar("EntryT", bound=Entry)


class ActiveList(Generic[EntryT]):
    """NBLs in flight, oldest first. Appended to and taken from under the lock of its direction only.

    The entries hang on each other by their link words; the list is empty when `first` is None, whatever `last` says.
    """

    __slots__ = ("first", "last", "name", "take_completed")

    def __init__(self, name: str) -> None:
        self.name = name
        self.first: EntryT | None = None
        self.last: EntryT | None = None
        self.take_completed = TakeCompleted(self)

    def __iter__(self) -> Iterator[EntryT]:
        """The entries as the driver would find them, oldest first."""
        entry: Any = self.first
        while entry is not None:
            yield entry
            entry = entry.link


class Append(Operation):
    """Append an entry with its end offset, marked active. Sends back whether the list was empty before.

    With `clears_link` the entry's link word is cleared; else it stays as it came (B7).
    """

    __slots__ = ("active", "clears_link", "end_offset", "entry")

    def __init__(self, active: ActiveList[Any], entry: Entry, end_offset: int, clears_link: bool = False) -> None:
        self.active = active
        self.entry = entry
        self.end_offset = end_offset
        self.clears_link = clears_link


class TakeCompleted(Operation):
    """Remove the first entry if it is marked completed. Sends back (entry, the list is now empty), else None."""

    __slots__ = ("active",)

    def __init__(self, active: ActiveList[Any]) -> None:
        self.active = active


class MarkCompleted(Operation):
    """Set the completed mark of an entry."""

    __slots__ = ("entry",)

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
