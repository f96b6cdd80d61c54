"""The memory of a simulated process: what its allocators give out, over the host's own pages (spec win32 §5).

An address that a client gets is a real address of this process, so that ctypes and native code use it as they are.
Pages are committed lazily, as on Windows: a ring costs what is touched of it. Addresses come from the host and differ
from run to run; they never reach a trace. What the client finds in fresh memory does not differ: it is always zero.

Failures are values (None, False); the callers know which Windows error they mean.
"""

import bisect
import ctypes
import mmap
from typing import Any, Final, NamedTuple

import numpy as np

from . import probe
from .pages import (
    GRANULARITY_BYTES,
    HOST_PAGE,
    PAGE_BYTES,
    PAGE_NOACCESS,
    PAGE_READONLY,
    PAGE_READWRITE,
    RESERVED,
    RIGHTS,
    Block,
    Mapping,
    Section,
    round_up,
)

MEM_COMMIT: Final = 0x1000
MEM_RESERVE: Final = 0x2000
MEM_PRIVATE: Final = 0x20000
MEM_MAPPED: Final = 0x40000

#: PAGE_ protections by what they allow; whether code may run is the same to the simulator. PAGE_GUARD is not offered.
_SIMPLE = {0x01: 0x01, 0x02: 0x02, 0x04: 0x04, 0x08: 0x04, 0x10: 0x02, 0x20: 0x02, 0x40: 0x04, 0x80: 0x04}
_CACHING = 0x200 | 0x400  # PAGE_NOCACHE, PAGE_WRITECOMBINE
_LARGEST = 1 << 47


def view(address: int, size: int) -> memoryview:
    """The `size` bytes at `address` themselves, writable: no copy. The range must be good (probed, or locked).

    The view does not keep the memory: that is what `AddressSpace.lock` and `find_owner` are for.
    """
    if not size:
        return memoryview(bytearray())
    window: Any = (ctypes.c_ubyte * size).from_address(address)
    array: Any = np.frombuffer(window, dtype=np.uint8)  # memoryview of ctypes itself has no plain format
    return memoryview(array)


class Region(NamedTuple):
    """What ``VirtualQuery`` tells of an address: the run of equal pages from the address's page on."""

    base: int
    allocation_base: int
    allocation_protect: int
    size: int
    state: int
    protect: int
    kind: int


class PageLock:
    """Pages that a driver holds (spec driver §5 check 7): they stay what they are until `unlock`."""

    def __init__(self, space: "AddressSpace", blocks: list[Block]) -> None:
        self._space = space
        self._blocks = blocks
        for block in blocks:
            block.locks += 1

    def unlock(self) -> None:
        """Let the pages go; what was freed meanwhile is released now. Again: nothing."""
        blocks, self._blocks = self._blocks, []
        for block in blocks:
            block.locks -= 1
            if not block.locks:
                self._space._unlocked(block)


class AddressSpace:
    """The allocators of one simulated process. All sizes in bytes, protections are Windows' PAGE_ values."""

    def __init__(self) -> None:
        self._blocks: dict[int, Block] = {}
        self._bases: list[int] = []  # sorted
        self._freed: list[Block] = []  # freed while locked

    # --- VirtualAlloc and its family

    def allocate(self, size: int, alignment: int = GRANULARITY_BYTES, *, protect: int = PAGE_READWRITE) -> int | None:
        """Reserve and commit zeroed pages; the base address, or None. `alignment`: a power of two, at least a page."""
        base = self.reserve(size, alignment, protect=protect)
        if base is not None and self.commit(base, size, protect) is None:
            self.free(base)
            return None
        return base

    def reserve(self, size: int, alignment: int = GRANULARITY_BYTES, *, protect: int = PAGE_READWRITE) -> int | None:
        """Take address space without memory behind it; the base address, or None."""
        simple = _SIMPLE.get(protect & ~_CACHING)
        if not 0 < size <= _LARGEST or alignment < PAGE_BYTES or alignment & (alignment - 1) or simple is None:
            return None
        try:
            mapping = Mapping(size, max(alignment, HOST_PAGE))
        except MemoryError:
            return None
        block = Block(mapping.base, round_up(size, PAGE_BYTES), "pages", mapping, simple)
        block.runs = [(0, block.size, RESERVED)]
        return self._add(block)

    def commit(self, address: int, size: int, protect: int = PAGE_READWRITE) -> int | None:
        """Put zeroed memory behind the pages that `size` bytes at `address` touch; the first page's address, or None.

        The range must lie in one reservation. Pages already committed keep their bytes and get the protection. None too
        for pages that were decommitted while locked and still are: their old bytes are in use.
        """
        found = self._range(address, size, "pages")
        simple = _SIMPLE.get(protect & ~_CACHING)
        if found is None or simple is None:
            return None
        block, start, end = found
        if any(first < end and start < last for first, last in block.gone):
            return None
        return block.base + start if self._repaint(block, start, end, simple) else None

    def decommit(self, address: int, size: int) -> bool:
        """Take the memory, not the addresses, from the pages that the range touches (size 0 at a base: from all)."""
        if size == 0 and address in self._blocks:
            size = self._blocks[address].size
        found = self._range(address, size, "pages")
        if found is None:
            return False
        block, start, end = found
        committed = [(first, last) for first, last, protect in block.cut(start, end) if protect != RESERVED]
        block.paint(start, end, RESERVED)
        if block.locks:
            block.gone += committed
        else:
            for first, last in committed:
                block.clear(first, last)
        return True

    def free(self, base: int) -> bool:
        """Release a whole allocation of `allocate` or `reserve`; False for any other address."""
        return self._drop(base, "pages")

    release = free

    def protect(self, address: int, size: int, protect: int) -> int | None:
        """Change the protection of the pages that the range touches; the old one of the first, or None.

        All pages must be committed, in one allocation or view. On locked pages the host's rights stay wide until the
        unlock, as the driver's own mapping does on Windows; `is_accessible` knows the new protection at once.
        """
        found = self._range(address, size, "pages") or self._range(address, size, "view")
        simple = _SIMPLE.get(protect & ~_CACHING)
        if found is None or simple is None:
            return None
        block, start, end = found
        runs = block.cut(start, end)
        if any(run[2] == RESERVED for run in runs):
            return None
        return runs[0][2] if self._repaint(block, start, end, simple) else None

    def query(self, address: int) -> Region | None:
        """What ``VirtualQuery`` tells of an address; None when it is free.

        Memory that is not of these page allocators is told page by page.
        """
        page = address - address % PAGE_BYTES
        if not self.is_accessible(address, 1, write=False) and self._find(address) is None:
            return None
        block = self._find(address)
        if block is None or block.kind == "heap":
            protect = PAGE_READWRITE if self.is_accessible(address, 1, write=True) else PAGE_READONLY
            return Region(page, page, protect, PAGE_BYTES, MEM_COMMIT, protect, MEM_PRIVATE)
        _, end, protect = block.cut(page - block.base, block.size)[0]
        kind = MEM_MAPPED if block.kind == "view" else MEM_PRIVATE
        state = MEM_COMMIT if protect != RESERVED else MEM_RESERVE
        return Region(page, block.base, block.protect, block.base + end - page, state, protect, kind)

    # --- file mappings

    def create_section(self, size: int) -> Section | None:
        """Memory for views, zeroed (``CreateFileMappingW`` without a file)."""
        if not 0 < size <= _LARGEST:
            return None
        try:
            return Section(size)
        except OSError:
            return None

    def map_view(
        self, section: Section, offset: int = 0, size: int = 0, *, protect: int = PAGE_READWRITE
    ) -> int | None:
        """A view of `size` bytes (0: to the end) from `offset`, a multiple of 64 KiB; its address, or None."""
        size = size or section.size - offset
        simple = _SIMPLE.get(protect & ~_CACHING)
        if offset % GRANULARITY_BYTES or offset < 0 or not 0 < size <= section.size - offset or simple is None:
            return None
        try:
            mapping = Mapping(size, GRANULARITY_BYTES)
        except MemoryError:
            return None
        if not section.map_at(mapping.base, mapping.size, offset, RIGHTS[simple]):
            return None
        return self._add(Block(mapping.base, round_up(size, PAGE_BYTES), "view", mapping, simple))

    def unmap_view(self, address: int) -> bool:
        """Take a view away; `address` is what `map_view` gave."""
        return self._drop(address, "view")

    # --- heaps, malloc

    def heap_allocate(self, size: int, zero: bool = True) -> int | None:
        """A block of any size, 16-byte aligned (``HeapAlloc``, ``malloc``), or None.

        It is zeroed also when `zero` is False: what the host's heap holds would differ from run to run.
        """
        if not 0 <= size <= _LARGEST:
            return None
        try:
            holder = np.zeros(size + 16, dtype=np.uint8)  # calloc: large blocks are committed lazily
        except MemoryError:
            return None
        return self._add(Block(round_up(int(holder.ctypes.data), 16), size, "heap", holder, PAGE_READWRITE))

    def heap_size(self, address: int) -> int | None:
        """The size asked for, or None when `address` is not a heap block."""
        block = self._blocks.get(address)
        return block.size if block is not None and block.kind == "heap" else None

    def heap_reallocate(self, address: int, size: int, *, in_place: bool = False) -> int | None:
        """A block of the new size with the old bytes, the rest zero; the old one is gone, or with None untouched.

        With `in_place` only shrinking succeeds (``HEAP_REALLOC_IN_PLACE_ONLY``).
        """
        old = self.heap_size(address)
        if old is None or size < 0:
            return None
        if in_place or size == old:
            if size > old:
                return None
            self._blocks[address].size = size
            return address
        new = self.heap_allocate(size)
        if new is not None:
            ctypes.memmove(new, address, min(old, size))
            self.heap_free(address)
        return new

    def heap_free(self, address: int) -> bool:
        """Free a block; False when `address` is not one (any more)."""
        return self._drop(address, "heap")

    # --- what a driver asks

    def is_accessible(self, address: int, size: int, *, write: bool) -> bool:
        """Whether this process may read (write) the range; what it freed is gone for it, also while a driver holds it.

        Its own allocations are known; of anything else the host is asked (`probe.is_accessible`, absurd values too).
        """
        at, end = address, address + size
        if size <= 0 or any(block.base < end and at < block.end for block in self._freed):
            return size <= 0 and probe.is_accessible(address, size, write=write)
        needed = 3 if write else mmap.PROT_READ
        for block in self._overlapping(at, end):
            if at < block.base and not probe.is_accessible(at, block.base - at, write=write):
                return False
            first, last = max(at, block.base) - block.base, min(end, block.end) - block.base
            if any(RIGHTS[protect] & needed != needed for _, _, protect in block.cut(first, last)):
                return False
            at = block.base + last
        return at == end or probe.is_accessible(at, end - at, write=write)

    def owns(self, address: int, size: int) -> bool:
        """Whether the whole range belongs to these allocators."""
        at, end = address, address + size
        for block in self._overlapping(address, end):
            if at < block.base:
                return False
            at = block.end
        return at >= end

    def lock(self, address: int, size: int) -> PageLock:
        """Hold whatever of these allocators is in the range; it may cover parts, several allocations, or none.

        What the client frees, unmaps or decommits while locked stays mapped with its bytes, and its addresses are not
        given out again, until the last lock on it goes; for the client it is gone at once.
        """
        return PageLock(self, list(self._overlapping(address, address + size)))

    def close(self) -> None:
        """The process has ended: release everything; what is locked, at its unlock."""
        for block in list(self._blocks.values()):
            self._drop(block.base, block.kind)

    # --- bookkeeping

    def _add(self, block: Block) -> int:
        self._blocks[block.base] = block
        bisect.insort(self._bases, block.base)
        return block.base

    def _drop(self, base: int, kind: str) -> bool:
        block = self._blocks.get(base)
        if block is None or block.kind != kind:
            return False
        del self._blocks[base]
        del self._bases[bisect.bisect_left(self._bases, base)]
        if block.locks:
            self._freed.append(block)
        return True

    def _unlocked(self, block: Block) -> None:
        if block in self._freed:
            self._freed.remove(block)
        else:
            block.settle()

    def _repaint(self, block: Block, start: int, end: int, protect: int) -> bool:
        before = block.runs
        block.paint(start, end, protect)
        try:
            if not block.locks:
                block.apply(start, end)
            elif protect != PAGE_NOACCESS:
                block.widen(start, end)
            else:
                block.stale = True
        except MemoryError:  # the host cannot promise so much
            block.runs = before
            return False
        return True

    def _find(self, address: int) -> Block | None:
        return next(iter(self._overlapping(address, address + 1)), None)

    def _overlapping(self, start: int, end: int) -> list[Block]:
        index = max(bisect.bisect_right(self._bases, start) - 1, 0)
        found = []
        for base in self._bases[index : bisect.bisect_left(self._bases, end)]:
            block = self._blocks[base]
            if start < block.end:
                found.append(block)
        return found

    def _range(self, address: int, size: int, kind: str) -> tuple[Block, int, int] | None:
        """The block of that kind which has the whole range, and the range's offsets rounded out to pages."""
        block = self._find(address) if size > 0 else None
        if block is None or block.kind != kind or address + size > block.end:
            return None
        start = address - block.base
        return block, start - start % PAGE_BYTES, round_up(start + size, PAGE_BYTES)
