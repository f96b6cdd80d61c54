"""File mappings backed by the paging file (spec win32 §5)."""

from __future__ import annotations

from wintun_model.status import Win32Error
from wintunsim.kernel.objects import Section
from wintunsim.kernel.pages import GRANULARITY_BYTES, PAGE_NOACCESS, PAGE_READONLY, PAGE_READWRITE
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_text
from wintunsim.win32.handles import create_named, open_named, reference
from wintunsim.win32.types import (
    BOOL,
    DWORD,
    FALSE,
    HANDLE,
    INVALID_HANDLE_VALUE,
    POINTER,
    SIZE_T,
    TEXT,
    TRUE,
)

_MAP_COPY = 1
_MAP_WRITE = 2
_MAP_READ = 4
_MAP_EXECUTE = 0x20
_SECTION_ACCESS = {
    # What a mapping of each protection lets its handle do: query and map for reading, writing, executing.
    0x02: 0xF0005,
    0x04: 0xF0007,
    0x08: 0xF0005,
    0x20: 0xF000D,
    0x40: 0xF000F,
    0x80: 0xF000D,
}
_PAGE_MASK = 0xFF


@export_text("kernel32", HANDLE, HANDLE, POINTER, DWORD, DWORD, DWORD, TEXT)
def CreateFileMapping(
    context: Context, file: int, security: int, protect: int, size_high: int, size_low: int, name: str | None
) -> int:
    """Make shared memory of the paging file, or open the one of that name. Real files cannot be mapped."""
    if file != INVALID_HANDLE_VALUE:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, 0)
    size = size_high << 32 | size_low
    access = _SECTION_ACCESS.get(protect & _PAGE_MASK)
    if access is None or not size:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)

    def make(label: str) -> Section | None:
        memory = context.memory.create_section(size)
        if memory is None:
            return context.fail(Win32Error.ERROR_NOT_ENOUGH_MEMORY, None)
        return Section(label, memory, size)

    return create_named(context, Section, name, access, make)


@export_text("kernel32", HANDLE, DWORD, BOOL, TEXT)
def OpenFileMapping(context: Context, access: int, inherit: int, name: str | None) -> int:
    """Open shared memory by its name."""
    return open_named(context, Section, name, access)


@export("kernel32", POINTER, HANDLE, DWORD, DWORD, DWORD, SIZE_T)
def MapViewOfFile(context: Context, handle: int, access: int, offset_high: int, offset_low: int, size: int) -> int:
    """Map a part of a section, from a multiple of 64 KiB on; size 0: to its end."""
    section = reference(context, handle, Section, _MAP_WRITE if access & _MAP_WRITE else _MAP_READ)
    if section is None:
        return 0
    offset = offset_high << 32 | offset_low
    if offset % GRANULARITY_BYTES:
        return context.fail(Win32Error.ERROR_MAPPED_ALIGNMENT, 0)
    if offset >= section.size_bytes or size > section.size_bytes - offset:
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, 0)
    if access & (_MAP_WRITE | _MAP_COPY):
        protect = PAGE_READWRITE
    else:
        protect = PAGE_READONLY if access & (_MAP_READ | _MAP_EXECUTE) else PAGE_NOACCESS
    address = context.memory.map_view(section.memory, offset, size, protect=protect)
    return context.fail(Win32Error.ERROR_NOT_ENOUGH_MEMORY, 0) if address is None else int(address)


@export("kernel32", POINTER, HANDLE, DWORD, DWORD, DWORD, SIZE_T, POINTER)
def MapViewOfFileEx(
    context: Context, handle: int, access: int, offset_high: int, offset_low: int, size: int, base: int
) -> int:
    """As `MapViewOfFile`; an address to map at is refused: the host decides where memory is."""
    if base:
        return context.fail(Win32Error.ERROR_INVALID_ADDRESS, 0)
    return MapViewOfFile(context, handle, access, offset_high, offset_low, size)


@export("kernel32", BOOL, POINTER)
def UnmapViewOfFile(context: Context, address: int) -> int:
    """Take a view away. Registered pages stay until they are unregistered."""
    return TRUE if context.memory.unmap_view(address) else context.fail(Win32Error.ERROR_INVALID_ADDRESS, FALSE)


@export("kernel32", BOOL, POINTER, SIZE_T)
def FlushViewOfFile(context: Context, address: int, size: int) -> int:
    """Nothing to write back: there is no file."""
    if not context.memory.is_accessible(address, max(size, 1), write=False):
        return context.fail(Win32Error.ERROR_INVALID_ADDRESS, FALSE)
    return TRUE
