"""What a target makes of the fuzzer's bytes. When they have run out all is 0, so a shorter input is a simpler one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Input:
    """A stream of values from bytes, the same with and without a fuzzer."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def __bool__(self) -> bool:
        """Whether there are bytes left."""
        return self._place < len(self._data)

    def take(self, size_bytes: int) -> bytes:
        """The next bytes; fewer at the end."""
        taken = self._data[self._place : self._place + size_bytes]
        self._place += size_bytes
        return taken

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(len(self._data))

    def number(self, size_bytes: int) -> int:
        """An unsigned integer of that many bytes."""
        return int.from_bytes(self.take(size_bytes), "little")

    def byte(self) -> int:
        """0 … 255."""
        return self.number(1)

    def below(self, limit: int) -> int:
        """0 … `limit` - 1, for limits up to 256."""
        return self.byte() % limit

    def flag(self) -> bool:
        """Two cases."""
        return bool(self.byte() & 1)

    def choice(self, values: Sequence[T]) -> T:
        """One of up to 256 values."""
        return values[self.byte() % len(values)]

    def word(self, capacity: int) -> int:
        """A value for a ring word: near a corner, inside the ring (aligned or not), or any 32 bits."""
        kind = self.below(6)
        if kind == 0:
            return (self.number(2) * 4) % capacity
        if kind == 1:
            return self.number(2) % capacity
        if kind == 2:
            corner = self.choice((0, capacity, 2 * capacity, 1 << 31, 1 << 32))
            return (corner + self.below(16) - 8) & 0xFFFFFFFF
        if kind == 3:
            return (capacity - 4 - 4 * self.below(8)) % capacity
        if kind == 4:
            return 4 * self.below(16)
        return self.number(4)
