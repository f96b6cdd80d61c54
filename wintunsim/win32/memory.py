"""Virtual memory (spec win32 §5)."""

from __future__ import annotations

import struct

from wintun_model.status import Win32Error
from wintunsim.kernel.memory import MEM_COMMIT, MEM_RESERVE
from wintunsim.kernel.probe import is_accessible
from wintunsim.win32.buffers import write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.types import BOOL, DWORD, FALSE, HANDLE, POINTER, SIZE_T, TRUE

_MEM_DECOMMIT = 0x4000
_MEM_RELEASE = 0x8000
_MEM_FREE = 0x10000
_MEM_RESET = 0x80000
_MEM_LARGE_PAGES = 0x20000000
_KNOWN_TYPES = MEM_COMMIT | MEM_RESERVE | _MEM_RESET | 0x100000 | 0x200000 | _MEM_LARGE_PAGES
_PROTECTIONS = (0x01, 0x02, 0x04, 0x10, 0x20, 0x40)
_MODIFIERS = 0x700
_PAGE_BYTES = 4096
_INFORMATION_BYTES = 48


class LockedPages:
    """The pages, by number, that a process has locked with `VirtualLock`."""

    def __init__(self) -> None:
        self.pages: set[int] = set()


def _is_protection(protect: int) -> bool:
    return protect & ~_MODIFIERS in _PROTECTIONS


@export("kernel32", POINTER, POINTER, SIZE_T, DWORD, DWORD)
def VirtualAlloc(context: Context, address: int, size: int, kind: int, protect: int) -> int:
    """Reserve or commit pages, zeroed. An address to reserve at is refused: the host decides where memory is."""
    wanted = kind & (MEM_COMMIT | MEM_RESERVE)
    if not size or not (wanted or kind & _MEM_RESET) or kind & ~_KNOWN_TYPES or not _is_protection(protect):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    if kind & _MEM_LARGE_PAGES:
        return context.fail(Win32Error.ERROR_PRIVILEGE_NOT_HELD, 0)
    memory = context.memory
    if kind & _MEM_RESET:
        return address
    if address:
        if wanted & MEM_RESERVE:
            return context.fail(Win32Error.ERROR_INVALID_ADDRESS, 0)
        found = memory.commit(address, size, protect)
        return context.fail(Win32Error.ERROR_INVALID_ADDRESS, 0) if found is None else int(found)
    made = memory.allocate(size, protect=protect) if wanted & MEM_COMMIT else memory.reserve(size, protect=protect)
    return context.fail(Win32Error.ERROR_NOT_ENOUGH_MEMORY, 0) if made is None else int(made)


@export("kernel32", POINTER, HANDLE, POINTER, SIZE_T, DWORD, DWORD)
def VirtualAllocEx(context: Context, process: int, address: int, size: int, kind: int, protect: int) -> int:
    """As `VirtualAlloc`, in this process."""
    return VirtualAlloc(context, address, size, kind, protect)


@export("kernel32", BOOL, POINTER, SIZE_T, DWORD)
def VirtualFree(context: Context, address: int, size: int, kind: int) -> int:
    """Release an allocation, or decommit pages of one. Registered pages stay until they are unregistered."""
    if kind == _MEM_RELEASE:
        if size:
            return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
        is_done = context.memory.free(address)
    elif kind == _MEM_DECOMMIT:
        is_done = context.memory.decommit(address, size)
    else:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    return TRUE if is_done else context.fail(Win32Error.ERROR_INVALID_ADDRESS, FALSE)


@export("kernel32", BOOL, POINTER, SIZE_T, DWORD, POINTER)
def VirtualProtect(context: Context, address: int, size: int, protect: int, old: int) -> int:
    """Change the protection of committed pages."""
    if not size or not _is_protection(protect):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    if not is_accessible(old, 4, write=True):
        return context.fail(Win32Error.ERROR_NOACCESS, FALSE)
    previous = context.memory.protect(address, size, protect)
    if previous is None:
        return context.fail(Win32Error.ERROR_INVALID_ADDRESS, FALSE)
    write_u32(old, previous)
    return TRUE


@export("kernel32", SIZE_T, POINTER, POINTER, SIZE_T)
def VirtualQuery(context: Context, address: int, information: int, size: int) -> int:
    """Tell of the pages at an address: 48 bytes written, or 0."""
    if size < _INFORMATION_BYTES:
        return context.fail(Win32Error.ERROR_BAD_LENGTH, 0)
    if address >= 1 << 47:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    region = context.memory.query(address)
    if region is None:
        page = address - address % _PAGE_BYTES
        record = struct.pack("<QQIIQIIII", page, 0, 0, 0, _PAGE_BYTES, _MEM_FREE, 1, 0, 0)
    else:
        protect = region.protect if region.state == MEM_COMMIT else 0
        record = struct.pack(
            "<QQIIQIIII",
            region.base,
            region.allocation_base,
            region.allocation_protect,
            0,
            region.size,
            region.state,
            protect,
            region.kind,
            0,
        )
    write_bytes(information, record)
    return len(record)


def _pages(address: int, size: int) -> range:
    return range(address // _PAGE_BYTES, (address + size - 1) // _PAGE_BYTES + 1)


@export("kernel32", BOOL, POINTER, SIZE_T)
def VirtualLock(context: Context, address: int, size: int) -> int:
    """Lock pages into the working set."""
    if not size or not context.memory.is_accessible(address, size, write=False):
        return context.fail(Win32Error.ERROR_NOACCESS, FALSE)
    context.state(LockedPages).pages.update(_pages(address, size))
    return TRUE


@export("kernel32", BOOL, POINTER, SIZE_T)
def VirtualUnlock(context: Context, address: int, size: int) -> int:
    """Unlock pages; all of the range must be locked, else ERROR_NOT_LOCKED."""
    locked = context.state(LockedPages).pages
    pages = _pages(address, size)
    if not size or any(page not in locked for page in pages):
        return context.fail(Win32Error.ERROR_NOT_LOCKED, FALSE)
    locked.difference_update(pages)
    return TRUE


@export("kernel32", POINTER)
def GetLargePageMinimum(context: Context) -> int:
    """Large pages are not offered."""
    return 0
