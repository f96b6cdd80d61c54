"""Operations on memory that the client and the driver share: ring words, barriers, the packets' bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wintun_model.operations_base import Operation


class Cells(Protocol):
    """Where words live: something like a `memoryview` cast to ``"I"``, or a list."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class Word:
    """A 32-bit word in memory that the client and the driver share: `cells[index]`, read as unsigned.

    `name` is for people and traces (``send.Tail``); `number` is the word's number in the trace, 0 before it has one.
    `observer` is told the old and the new value of every store by an executor that lets people watch.
    """

    __slots__ = ("cells", "index", "load", "name", "number", "observer")

    def __init__(self, cells: Cells, index: int, name: str) -> None:
        self.cells = cells
        self.index = index
        self.name = name
        self.number = 0
        self.observer: Callable[[int, int], None] | None = None
        self.load = Load(self)

    def __repr__(self) -> str:
        return f"Word({self.name})"


class Load(Operation):
    """Load a shared word. Sends back its value, 0 … 2³²-1."""

    __slots__ = ("word",)

    def __init__(self, word: Word) -> None:
        self.word = word


class Store(Operation):
    """Store the low 32 bits of `value` in a shared word."""

    __slots__ = ("value", "word")

    def __init__(self, word: Word, value: int) -> None:
        self.word = word
        self.value = value


class Fence(Operation):
    """A full memory barrier: drains the store buffer of the processor."""

    __slots__ = ()


class FenceAll(Operation):
    """A full memory barrier on every processor: the system interrupts them, which drains all store buffers."""

    __slots__ = ()


class PacketMemory(Protocol):
    """The data area of a ring as the packet operations see it: `data[0]` is the byte after the ring's header."""

    data: memoryview


class LoadSize(Operation):
    """Load the 32-bit `Size` at byte `offset` of the data area; any alignment. Sends back the value."""

    __slots__ = ("memory", "offset")

    def __init__(self, memory: PacketMemory, offset: int) -> None:
        self.memory = memory
        self.offset = offset


class StoreSize(Operation):
    """Store a packet's 32-bit `Size` at byte `offset` of the data area; any alignment."""

    __slots__ = ("memory", "offset", "value")

    def __init__(self, memory: PacketMemory, offset: int, value: int) -> None:
        self.memory = memory
        self.offset = offset
        self.value = value


class LoadByte(Operation):
    """Load one byte at `offset` of the data area. Sends back the value."""

    __slots__ = ("memory", "offset")

    def __init__(self, memory: PacketMemory, offset: int) -> None:
        self.memory = memory
        self.offset = offset


class CopyIn(Operation):
    """Copy packet bytes into the data area at `offset`. `data` None stands for `size` zero bytes."""

    __slots__ = ("data", "memory", "offset", "size")

    def __init__(self, memory: PacketMemory, offset: int, data: bytes | None, size: int) -> None:
        self.memory = memory
        self.offset = offset
        self.data = data
        self.size = size


class CopyOut(Operation):
    """Copy `size` bytes at `offset` out of the data area. Sends back `bytes`."""

    __slots__ = ("memory", "offset", "size")

    def __init__(self, memory: PacketMemory, offset: int, size: int) -> None:
        self.memory = memory
        self.offset = offset
        self.size = size
