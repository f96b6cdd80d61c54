"""Heaps: HeapAlloc, LocalAlloc, GlobalAlloc (spec win32 §5)."""

from __future__ import annotations

from wintun_model.errors import ClientFault
from wintun_model.status import Win32Error
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.types import BOOL, DWORD, FALSE, HANDLE, POINTER, SIZE_T, TRUE

_IN_PLACE_ONLY = 0x10
_FIRST_HEAP = 0x0000_0190_0000_0000
_HEAP_BYTES = 0x0001_0000
_NO_SIZE = 0xFFFFFFFFFFFFFFFF


class Heaps:
    """The heaps of a process by handle, each with its blocks; the first is the process heap."""

    def __init__(self) -> None:
        self.blocks: dict[int, set[int]] = {_FIRST_HEAP: set()}
        self.made = 1


def _blocks(context: Context, heap: int, function: str) -> set[int]:
    blocks = context.state(Heaps).blocks.get(heap)
    if blocks is None:
        raise ClientFault(f"{function} was called with {heap:#x}, which is no heap: an access violation on Windows")
    return blocks


def _check(is_block: bool, function: str) -> None:
    if not is_block:
        raise ClientFault(
            f"{function} was called with an address that is no block of that heap: heap corruption on Windows"
        )


@export("kernel32", HANDLE, user_mode=True)
def GetProcessHeap(context: Context) -> int:
    """The process's own heap."""
    return _FIRST_HEAP


@export("kernel32", HANDLE, DWORD, SIZE_T, SIZE_T)
def HeapCreate(context: Context, options: int, initial: int, maximum: int) -> int:
    """Make a heap. It grows without a limit."""
    heaps = context.state(Heaps)
    handle = _FIRST_HEAP + heaps.made * _HEAP_BYTES
    heaps.made += 1
    heaps.blocks[handle] = set()
    return handle


@export("kernel32", BOOL, HANDLE)
def HeapDestroy(context: Context, heap: int) -> int:
    """Free a heap with all its blocks."""
    for block in sorted(_blocks(context, heap, "HeapDestroy")):
        context.memory.heap_free(block)
    del context.state(Heaps).blocks[heap]
    return TRUE


@export("kernel32", POINTER, HANDLE, DWORD, SIZE_T, user_mode=True)
def HeapAlloc(context: Context, heap: int, flags: int, size: int) -> int:
    """A block of a heap, 16-byte aligned; always zeroed, or runs would differ."""
    blocks = _blocks(context, heap, "HeapAlloc")
    address = context.memory.heap_allocate(size)
    if address is None:
        return 0
    blocks.add(address)
    return int(address)


@export("kernel32", POINTER, HANDLE, DWORD, POINTER, SIZE_T, user_mode=True)
def HeapReAlloc(context: Context, heap: int, flags: int, block: int, size: int) -> int:
    """Change a block's size; its bytes stay."""
    blocks = _blocks(context, heap, "HeapReAlloc")
    _check(block in blocks, "HeapReAlloc")
    address = context.memory.heap_reallocate(block, size, in_place=bool(flags & _IN_PLACE_ONLY))
    if address is None:
        return 0
    blocks.discard(block)
    blocks.add(address)
    return int(address)


@export("kernel32", BOOL, HANDLE, DWORD, POINTER, user_mode=True)
def HeapFree(context: Context, heap: int, flags: int, block: int) -> int:
    """Free a block. Null does nothing."""
    blocks = _blocks(context, heap, "HeapFree")
    if block:
        _check(block in blocks, "HeapFree")
        blocks.discard(block)
        context.memory.heap_free(block)
    return TRUE


@export("kernel32", SIZE_T, HANDLE, DWORD, POINTER, user_mode=True)
def HeapSize(context: Context, heap: int, flags: int, block: int) -> int:
    """A block's size in bytes."""
    if block not in _blocks(context, heap, "HeapSize"):
        return _NO_SIZE
    return int(context.memory.heap_size(block))


@export("kernel32", BOOL, HANDLE, DWORD, POINTER)
def HeapValidate(context: Context, heap: int, flags: int, block: int) -> int:
    """Whether `block` is one of the heap's; a heap itself is always sound."""
    blocks = _blocks(context, heap, "HeapValidate")
    return TRUE if not block or block in blocks else FALSE


@export("kernel32", POINTER, DWORD, SIZE_T, user_mode=True)
@export("kernel32", POINTER, DWORD, SIZE_T, user_mode=True, name="GlobalAlloc")
def LocalAlloc(context: Context, flags: int, size: int) -> int:
    """A block of memory. Movable ones do not move: their handle is their address."""
    address = context.memory.heap_allocate(size)
    return context.fail(Win32Error.ERROR_NOT_ENOUGH_MEMORY, 0) if address is None else int(address)


@export("kernel32", POINTER, POINTER, user_mode=True)
@export("kernel32", POINTER, POINTER, user_mode=True, name="GlobalFree")
def LocalFree(context: Context, block: int) -> int:
    """Free a block: null when done, else the block with the last error."""
    if not block or context.memory.heap_free(block):
        return 0
    return context.fail(Win32Error.ERROR_INVALID_HANDLE, block)


@export("kernel32", SIZE_T, POINTER, user_mode=True)
@export("kernel32", SIZE_T, POINTER, user_mode=True, name="GlobalSize")
def LocalSize(context: Context, block: int) -> int:
    """A block's size in bytes, 0 for what is none."""
    size = context.memory.heap_size(block)
    return context.fail(Win32Error.ERROR_INVALID_HANDLE, 0) if size is None else int(size)


@export("kernel32", POINTER, POINTER, user_mode=True)
@export("kernel32", POINTER, POINTER, user_mode=True, name="GlobalLock")
def LocalLock(context: Context, block: int) -> int:
    """The address of a block, which is its handle."""
    return block
