"""Where things live in an explored state: a state is a list with one slot for each thing that threads share.

Each slot has a bit of its own, and the data area of a ring one for every four bytes: sets of them, as integers, are
the footprints by which the reduction tells what is independent. Memory is never touched: the views that routines hold
only say, by their addresses, which slot is meant.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

from wintun_model.abi import RING_HEADER_BYTES
from wintun_model.errors import ModelError

HEADER_WORDS = ("Head", "Tail", "Alertable")


class NotReady:
    """The value of a lock or a pool that is not initialized, or deleted."""

    def __repr__(self) -> str:
        return "not ready"


NOT_READY = NotReady()


@dataclass(slots=True)
class Region:
    """Memory of one ring: three words, and a data area with its trailing bytes.

    `words` are slots; `data` is the slot of the data area's bytes, and `cells` are the bits of its four-byte pieces.
    """

    name: str
    address: int
    capacity: int
    size_bytes: int
    words: tuple[int, int, int]
    data: int
    cells: list[int]
    driver_produces: bool
    """Whether the driver writes packets here: the send ring."""
    backing: bytearray = field(repr=False)

    def cell_mask(self, offset: int, size: int) -> int:
        """The bits of `size` bytes at `offset` of the data area."""
        mask = 0
        for cell in self.cells[offset // 4 : (offset + max(size, 1) + 3) // 4]:
            mask |= cell
        return mask


class Mapping:
    """Addresses at which a region is seen: the client's own (`pages_slot` None), or the driver's of locked pages."""

    __slots__ = ("backing", "end", "pages_slot", "region", "start")

    def __init__(self, region: Region, backing: bytearray, pages_slot: int | None) -> None:
        self.region = region
        self.backing = backing
        self.start = _address_of(memoryview(backing))
        self.end = self.start + len(backing)
        self.pages_slot = pages_slot


def _address_of(view: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


class Layout:
    """The slots of a machine's states. They are given out as things are first met, always in the same order."""

    def __init__(self) -> None:
        self.initial: list[Any] = []
        """What each slot holds at first."""
        self.names: list[str] = []
        self.masks: list[int] = []
        """The bit of each slot."""
        self.regions: list[Region] = []
        self._bits = 0
        self._slots: dict[Any, int] = {}
        self._kept: list[Any] = []
        self._mappings: list[Mapping] = []

    @property
    def size(self) -> int:
        """How many slots there are by now."""
        return len(self.initial)

    def bit(self) -> int:
        """A bit that nobody has yet."""
        self._bits += 1
        return 1 << (self._bits - 1)

    def add(self, name: str, initial: Any) -> int:
        """A new slot."""
        self.initial.append(initial)
        self.names.append(name)
        self.masks.append(self.bit())
        return len(self.initial) - 1

    def slot(self, noun: Any, name: str, initial: Any, aspect: str = "") -> int:
        """The slot of an object, by its identity; `aspect` tells several of one object apart."""
        key = (id(noun), aspect)
        found = self._slots.get(key)
        if found is None:
            self._kept.append(noun)
            found = self._slots[key] = self.add(name, initial)
        return found

    # -- memory -----------------------------------------------------------------------------------------------------

    def add_region(
        self, name: str, address: int, capacity: int, size_bytes: int, *, driver_produces: bool, contents: bytes = b""
    ) -> Region:
        """Memory for a ring of `size_bytes` in all; zero, or as `contents` say from its start on."""
        backing = bytearray(size_bytes)
        given = bytes(contents).ljust(size_bytes, b"\0")
        head, tail, alertable = (
            self.add(f"{name}.{word}", int.from_bytes(given[4 * index : 4 * index + 4], "little"))
            for index, word in enumerate(HEADER_WORDS)
        )
        data = self.add(f"{name} data", given[RING_HEADER_BYTES:])
        self.masks[data] = 0
        cells = [self.bit() for _ in range((size_bytes - RING_HEADER_BYTES + 3) // 4)]
        region = Region(
            name,
            address,
            capacity,
            size_bytes,
            (head, tail, alertable),
            data,
            cells,
            driver_produces,
            backing,
        )
        self._mappings.append(Mapping(region, backing, None))
        self.regions.append(region)
        return region

    def map_pages(self, region: Region, offset: int, size: int, pages_slot: int) -> memoryview:
        """A view of a region as the driver gets one for locked pages: at addresses of its own."""
        backing = bytearray(region.size_bytes)
        self._mappings.append(Mapping(region, backing, pages_slot))
        return memoryview(backing)[offset : offset + size]

    def find(self, view: Any, offset: int = 0) -> tuple[Mapping, int]:
        """What `offset` bytes into a view are: (mapping, offset in the region). ModelError for foreign memory."""
        address = _address_of(view) + offset
        for mapping in reversed(self._mappings):
            if mapping.start <= address < mapping.end:
                return mapping, address - mapping.start
        raise ModelError("an explored routine uses memory that is not a ring of its world: allocate it from the world")
