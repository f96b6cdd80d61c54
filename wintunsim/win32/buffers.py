"""Memory of a client, read and written by the system: a bad pointer is an `AccessViolation`, never a crash.

`AccessViolation` becomes ERROR_NOACCESS where the system itself touches the memory (spec win32 §4). The `poke`
functions stand for code that Windows runs in user mode: they are quick, and refuse only addresses that cannot be any
memory.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass

from wintun_model.errors import ClientFault
from wintunsim.kernel.probe import AccessViolation, read_bytes, write_bytes

ANSI = "cp1252"
"""The code page of the A functions."""

_PAGE_BYTES = 4096
_MAX_TEXT_BYTES = 0x10000

__all__ = [
    "ANSI",
    "NARROW",
    "WIDE",
    "AccessViolation",
    "Characters",
    "poke_u32",
    "poke_u64",
    "read_ansi",
    "read_bytes",
    "read_u32",
    "read_u64",
    "read_wide",
    "wide",
    "write_bytes",
    "write_u32",
    "write_u64",
]


def read_wide(address: int) -> str | None:
    """The UTF-16 text with its NUL at `address`; None for null. Raises `AccessViolation`."""
    data = _until_nul(address, 2)
    return None if data is None else data.decode("utf-16-le", "surrogatepass")


def read_ansi(address: int) -> str | None:
    """The text with its NUL at `address` in the A functions' code page; None for null. Raises `AccessViolation`."""
    data = _until_nul(address, 1)
    return None if data is None else data.decode(ANSI, "replace")


def _until_nul(address: int, unit: int) -> bytes | None:
    if not address:
        return None
    data = b""
    while len(data) < _MAX_TEXT_BYTES:
        # Not over the page's end: the next one may be missing, and the text may end before it.
        at = address + len(data)
        part = read_bytes(at, max(_PAGE_BYTES - at % _PAGE_BYTES, unit) if data else _first_bytes(at))
        begin = len(data) // unit * unit
        data += part
        for index in range(begin, len(data) - unit + 1, unit):
            if data[index : index + unit] == bytes(unit):
                return data[:index]
    return data


def _first_bytes(address: int) -> int:
    # Most texts are short.
    return min(128, _PAGE_BYTES - address % _PAGE_BYTES) or 1


def wide(text: str) -> bytes:
    """`text` in UTF-16, without a NUL."""
    return text.encode("utf-16-le", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Characters:
    """How a function's texts are kept: `unit` bytes a character, and what reads a text with its NUL."""

    unit: int
    encoding: str
    read: Callable[[int], str | None]

    def encode(self, text: str) -> bytes:
        """The bytes of a text, without a NUL."""
        return text.encode(self.encoding, "replace" if self.unit == 1 else "surrogatepass")

    def convert(self, data: bytes) -> bytes:
        """UTF-16 text, with whatever NULs are in it, as these characters."""
        if self.unit == 2:
            return data
        return self.encode(data[: len(data) & ~1].decode("utf-16-le", "replace"))


WIDE = Characters(2, "utf-16-le", read_wide)
NARROW = Characters(1, ANSI, read_ansi)
"""The characters of the W functions, and of the A functions."""


def read_u32(address: int) -> int:
    """The u32 at `address`. Raises `AccessViolation`."""
    return int.from_bytes(read_bytes(address, 4), "little")


def read_u64(address: int) -> int:
    """The u64 at `address`. Raises `AccessViolation`."""
    return int.from_bytes(read_bytes(address, 8), "little")


def write_u32(address: int, value: int) -> None:
    """Store a u32 at `address`. Raises `AccessViolation`."""
    write_bytes(address, struct.pack("<I", value & 0xFFFFFFFF))


def write_u64(address: int, value: int) -> None:
    """Store a u64 at `address`. Raises `AccessViolation`."""
    write_bytes(address, struct.pack("<Q", value & 0xFFFFFFFFFFFFFFFF))


def _refuse(address: int) -> None:
    raise ClientFault(f"access violation writing 0x{address:016X}: a DLL was told to store a result there")


def poke_u32(address: int, value: int, cell: type[ctypes.c_uint32] = ctypes.c_uint32) -> None:
    """Store a u32 as user-mode code does: `ClientFault` for null and the like, else no questions asked."""
    if not 0x10000 <= address < 0x7FFFFFFF0000:
        _refuse(address)
    cell.from_address(address).value = value


def poke_u64(address: int, value: int, cell: type[ctypes.c_uint64] = ctypes.c_uint64) -> None:
    """Store a u64 as user-mode code does: `ClientFault` for null and the like, else no questions asked."""
    if not 0x10000 <= address < 0x7FFFFFFF0000:
        _refuse(address)
    cell.from_address(address).value = value
