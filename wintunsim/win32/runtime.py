"""The C library's allocator, and the host's own byte functions (msvcrt, ucrtbase)."""

from __future__ import annotations

import ctypes
from typing import Any

from wintun_model.errors import ClientFault
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.types import POINTER, SIZE_T, VOID

_HOST = ctypes.CDLL(None)

HOST_FUNCTIONS: dict[str, Any] = {
    name: getattr(_HOST, name)
    for name in ("memcpy", "memmove", "memset", "memcmp", "strlen", "strcmp", "strncmp", "strchr")
}
"""Functions that do the same in every C library and touch nothing but their arguments."""


@export("msvcrt", POINTER, SIZE_T, user_mode=True)
def malloc(context: Context, size: int) -> int:
    """A block of memory, 16-byte aligned; null when there is none."""
    return context.memory.heap_allocate(size) or 0


@export("msvcrt", POINTER, SIZE_T, SIZE_T, user_mode=True)
def calloc(context: Context, count: int, size: int) -> int:
    """A zeroed block for `count` items of `size` bytes."""
    return context.memory.heap_allocate(count * size) or 0


@export("msvcrt", POINTER, POINTER, SIZE_T, user_mode=True)
def realloc(context: Context, block: int, size: int) -> int:
    """Change a block's size; null makes a new one, size 0 frees it."""
    if not block:
        return context.memory.heap_allocate(size) or 0
    if context.memory.heap_size(block) is None:
        raise ClientFault("realloc was called with an address that is no block: heap corruption on Windows")
    if not size:
        context.memory.heap_free(block)
        return 0
    return context.memory.heap_reallocate(block, size) or 0


@export("msvcrt", VOID, POINTER, user_mode=True)
def free(context: Context, block: int) -> None:
    """Free a block. Null does nothing."""
    if block and not context.memory.heap_free(block):
        raise ClientFault("free was called with an address that is no block: heap corruption on Windows")
