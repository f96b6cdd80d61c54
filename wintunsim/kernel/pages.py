"""Pages of the host that stand for pages of Windows: mappings, sections, and blocks whose parts allow this or that.

The allocators over them are in `memory`. Offsets, sizes in bytes.
"""

import ctypes
import mmap
import os
import tempfile
import weakref
from typing import Any, Final, Literal

PAGE_BYTES: Final = 4096  # of Windows, on which protections and sizes go by
GRANULARITY_BYTES: Final = 65536

PAGE_NOACCESS: Final = 0x01
PAGE_READONLY: Final = 0x02
PAGE_READWRITE: Final = 0x04
RESERVED = 0  # the "protection" of pages that are reserved but not committed
RIGHTS = {RESERVED: 0, PAGE_NOACCESS: 0, PAGE_READONLY: mmap.PROT_READ, PAGE_READWRITE: 3}
HOST_PAGE = mmap.PAGESIZE

_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_FIXED = 0x10  # MAP_FIXED, on Linux and on macOS
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
_LIBC.mmap.restype = ctypes.c_size_t
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_FAILED = ctypes.c_size_t(-1).value


def round_up(value: int, unit: int) -> int:
    """The least multiple of `unit` that is not below `value`."""
    return -(-value // unit) * unit


def _allow(address: int, size: int, rights: int) -> None:
    if _LIBC.mprotect(address, size, rights):
        raise MemoryError


class Mapping:
    """Reserved pages of the host, given back when the last reference goes."""

    def __init__(self, size: int, alignment: int) -> None:
        """Raises MemoryError. `size` and `alignment` in bytes."""
        self.size = round_up(size, HOST_PAGE)
        padded = self.size + alignment
        start = _LIBC.mmap(None, padded, 0, _ANONYMOUS, -1, 0)
        if start == _FAILED:
            raise MemoryError
        self.base = round_up(start, alignment)
        for at, end in ((start, self.base), (self.base + self.size, start + padded)):
            if end > at:
                _LIBC.munmap(at, end - at)

    def __del__(self, munmap: Any = _LIBC.munmap) -> None:
        if hasattr(self, "base"):
            munmap(self.base, self.size)


class Section:
    """A file mapping object without a file (``CreateFileMappingW`` on the page file): bytes that views share."""

    def __init__(self, size: int) -> None:
        """`size` in bytes. Raises OSError when the host cannot give them."""
        self.size = size
        if hasattr(os, "memfd_create"):
            self._handle = os.memfd_create("section")
        else:
            with tempfile.TemporaryFile() as file:
                self._handle = os.dup(file.fileno())
        self._close = weakref.finalize(self, os.close, self._handle)
        # Whole pages: a touch of a mapped page beyond the end would be a bus error.
        os.ftruncate(self._handle, round_up(size, max(HOST_PAGE, PAGE_BYTES)))

    def close(self) -> None:
        """No more views of it; those that are there stay."""
        self._close()

    def map_at(self, address: int, size: int, offset: int, rights: int) -> bool:
        """Put the section's bytes from `offset` on into a `Mapping`'s pages; False when closed or refused."""
        if not self._close.alive:
            return False
        flags = mmap.MAP_SHARED | _FIXED
        return bool(_LIBC.mmap(address, size, rights, flags, self._handle, offset) == address)


class Block:
    """One allocation. `runs` are (start, end, protection), offsets in bytes, which cover it without gaps."""

    def __init__(
        self, base: int, size: int, kind: Literal["pages", "view", "heap"], holder: object, protect: int
    ) -> None:
        self.base = base
        self.size = size
        self.kind = kind
        self.holder = holder  # the memory lives as long as this
        self.protect = protect
        self.runs = [(0, size, protect)]
        self.locks = 0
        self.stale = False  # the host's rights are wider than `runs` says, because of a lock
        self.gone: list[tuple[int, int]] = []  # decommitted while locked

    @property
    def end(self) -> int:
        return self.base + self.size

    def cut(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """The runs in [start, end), cut to it."""
        return [(max(s, start), min(e, end), p) for s, e, p in self.runs if s < end and start < e]

    def paint(self, start: int, end: int, protect: int) -> None:
        """Give [start, end) one protection; neighbours that are equal become one run."""
        runs = [*self.cut(0, start), (start, end, protect), *self.cut(end, self.size)]
        self.runs = runs[:1]
        for run in runs[1:]:
            last = self.runs[-1]
            if last[2] == run[2]:
                self.runs[-1] = (last[0], run[1], run[2])
            else:
                self.runs.append(run)

    def apply(self, start: int, end: int) -> None:
        """Give the host's pages in [start, end) the runs' rights, larger ones those of all their parts. MemoryError."""
        at, end = start - start % HOST_PAGE, round_up(end, HOST_PAGE)
        while at < end:
            stop, rights = at + HOST_PAGE, 0
            for first, last, protect in self.runs:
                if first < stop and at < last:
                    rights |= RIGHTS[protect]
                    if first <= at and stop <= last:
                        stop = min(end, last - last % HOST_PAGE)
            _allow(self.base + at, stop - at, rights)
            at = stop

    def widen(self, start: int, end: int) -> None:
        """Open [start, end) on the host; `settle` narrows it to the runs when the locks have gone. MemoryError."""
        at = start - start % HOST_PAGE
        _allow(self.base + at, round_up(end, HOST_PAGE) - at, 3)
        self.stale = True

    def clear(self, start: int, end: int) -> None:
        """Give the bytes in [start, end) back to the host; they are zero when they are committed again."""
        first, last = round_up(start, HOST_PAGE), end - end % HOST_PAGE
        if first < last:
            _LIBC.mmap(self.base + first, last - first, 0, _ANONYMOUS | _FIXED, -1, 0)
        else:
            first = last = end
        for at, stop in ((start, first), (last, end)):  # parts of host pages larger than ours
            if at < stop:
                self.widen(at, stop)
                ctypes.memset(self.base + at, 0, stop - at)
        self.apply(start, end)

    def settle(self) -> None:
        """The last lock has gone: do what was put off."""
        for start, end in self.gone:
            self.clear(start, end)
        if self.stale:
            self.apply(0, self.size)
        self.gone, self.stale = [], False
