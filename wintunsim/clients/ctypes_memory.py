"""``ctypes.string_at``, ``memmove`` and their like: bad addresses raise as on Windows, and good ones stay fast.

An address is good without a question when it is a Python object's own memory, or memory that the simulation knows to
be good;
all other ranges are probed (spec win32 §4).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from wintunsim.clients.ctypes_types import c_wchar_p, decode, encode
from wintunsim.kernel import probe

_string_at = ctypes.string_at
_memmove = ctypes.memmove
_memset = ctypes.memset
_void = ctypes.c_void_p
_cast = ctypes.cast
_from_buffer = _void.from_buffer
_POINTERS: Any = (ctypes._Pointer, ctypes.c_void_p, ctypes.c_char_p, c_wchar_p)
_CHUNK_BYTES = 256


def address_of(value: Any) -> int:
    """The address that a pointer argument stands for; 0 for None."""
    if type(value) is int:
        return value % (1 << 64)
    if isinstance(value, _POINTERS):
        return _from_buffer(value).value or 0  # several times as fast as a cast
    if isinstance(value, ctypes.Array):
        return ctypes.addressof(value)
    if value is None:
        return 0
    if isinstance(value, str):
        raise TypeError("a str has no lasting address")
    return _cast(value, _void).value or 0


def own_size(value: Any) -> int:
    """How many bytes from a pointer argument's address on are the argument's own memory; 0 for plain addresses."""
    if isinstance(value, bytes):
        return len(value) + 1
    if isinstance(value, ctypes.Array):
        return ctypes.sizeof(value)
    return 0


class Memory:
    """The functions for one process."""

    def __init__(self, is_known: Callable[[int, int], bool] | None) -> None:
        self._is_known = is_known or (lambda _address, _size: False)

    def string_at(self, ptr: Any, size: int = -1) -> bytes:
        """``ctypes.string_at``."""
        address = address_of(ptr)
        if size >= 0:
            if self._is_known(address, size) or 0 <= size <= own_size(ptr):
                return _string_at(address, size)
            return probe.read_bytes(address, size)
        return self._until(address, b"\0", 1)

    def wstring_at(self, ptr: Any, size: int = -1) -> str:
        """``ctypes.wstring_at``: `size` in 16-bit characters."""
        if size >= 0:
            return decode(self.string_at(ptr, 2 * size))
        return decode(self._until(address_of(ptr), b"\0\0", 2))

    def _until(self, address: int, end: bytes, unit: int) -> bytes:
        """What is at `address` up to the first `end`, never reading a page further than needed."""
        data = bytearray()
        while True:
            at = address + len(data)
            part = probe.read_bytes(at, _CHUNK_BYTES - at % _CHUNK_BYTES + (unit - 1 if at % 2 else 0))
            data += part
            found = data.find(end)
            while found >= 0 and found % unit:
                found = data.find(end, found + 1)
            if found >= 0:
                return bytes(data[:found])

    def memmove(self, dst: Any, src: Any, count: int) -> int:
        """``ctypes.memmove``."""
        if isinstance(src, str):
            src = encode(src)
        target = address_of(dst)
        if count <= 0:
            return target
        known = self._is_known
        is_own = count <= own_size(src)
        source = src if is_own else address_of(src)
        if not (is_own or known(source, count)):
            bad = probe.first_inaccessible(source, count, write=False)
            if bad is not None:
                raise probe.AccessViolation("reading", bad)
        if not (count <= own_size(dst) or known(target, count)):
            bad = probe.first_inaccessible(target, count, write=True)
            if bad is not None:
                raise probe.AccessViolation("writing", bad)
        _memmove(target, source, count)
        return target

    def memset(self, dst: Any, value: int, count: int) -> int:
        """``ctypes.memset``."""
        target = address_of(dst)
        if count <= 0:
            return target
        if not (count <= own_size(dst) or self._is_known(target, count)):
            bad = probe.first_inaccessible(target, count, write=True)
            if bad is not None:
                raise probe.AccessViolation("writing", bad)
        _memset(target, value, count)
        return target
