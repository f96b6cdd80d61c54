"""The handle table of a process (spec win32 §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SYNCHRONIZE = 0x00100000
EVENT_MODIFY_STATE = 0x0002
EVENT_ALL_ACCESS = 0x001F0003
HANDLE_FLAG_INHERIT = 1
HANDLE_FLAG_PROTECT_FROM_CLOSE = 2


@dataclass(slots=True)
class Handle:
    """What a handle value stands for: an object, the access rights that it grants, and `flags` of the two above."""

    target: Any
    access: int
    flags: int = 0


class HandleTable:
    """Handles of one process: multiples of 4, never 0; the value closed last is reused first."""

    def __init__(self) -> None:
        self._entries: dict[int, Handle] = {}
        self._free: list[int] = []
        self._next = 4

    def insert(self, target: Any, access: int) -> int:
        """Make a handle to `target`; its handle count goes up."""
        if self._free:
            value = self._free.pop()
        else:
            value = self._next
            self._next += 4
        target.handle_count += 1
        self._entries[value] = Handle(target, access)
        return value

    def get(self, value: int) -> Handle | None:
        """The entry of a handle value; None for a value that names nothing. The two low bits do not count."""
        return self._entries.get(value & ~3)

    def remove(self, value: int) -> Any | None:
        """Take a handle out of the table without the consequences of closing. Answers its object, None if unknown."""
        entry = self._entries.pop(value & ~3, None)
        if entry is None:
            return None
        self._free.append(value & ~3)
        entry.target.handle_count -= 1
        return entry.target

    def close(self, value: int) -> bool:
        """Close a handle: the object is told when its last one goes. False for a value that names nothing."""
        target = self.remove(value)
        if target is None:
            return False
        if not target.handle_count:
            target.last_handle_closed()
        return True

    def values(self) -> list[int]:
        """All handle values in use, in ascending order."""
        return sorted(self._entries)
