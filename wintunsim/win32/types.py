"""Types of the arguments and results of DLL functions: LLP64 sizes, whatever the host's are (spec win32 §1).

Pointers and handles reach the functions as plain integers, 0 for null.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wintunsim.kernel.probe import AccessViolation
from wintunsim.win32.buffers import read_ansi, read_wide

TRUE = 1
FALSE = 0
INFINITE = 0xFFFFFFFF
INVALID_HANDLE_VALUE = 0xFFFFFFFFFFFFFFFF
CURRENT_PROCESS = 0xFFFFFFFFFFFFFFFF
CURRENT_THREAD = 0xFFFFFFFFFFFFFFFE


@dataclass(frozen=True, slots=True)
class Type:
    """A type of an argument or result: its Windows name, its ctypes type (None: void) and how the call log shows it."""

    name: str
    ctype: Any
    show: Callable[[Any], str]
    failure: int = 0
    """What a function with this result answers when the system meets a bad pointer."""


def _decimal(value: int) -> str:
    return str(value)


def _number(value: int) -> str:
    return str(value) if value < 0x10000 else f"{value:#x}"


def _pointer(value: int) -> str:
    # An address is the host's, and differs from run to run.
    return "ptr" if value else "NULL"


def _handle(value: int) -> str:
    if value == INVALID_HANDLE_VALUE:
        return "-1"
    if value == CURRENT_THREAD:
        return "-2"
    return f"{value:#x}" if value else "NULL"


def _text(read: Callable[[int], str | None]) -> Callable[[int], str]:
    def show(address: int) -> str:
        if address < 0x10000:  # an ordinal or an atom
            return f"{address:#x}" if address else "NULL"
        try:
            text = read(address)
        except AccessViolation:
            return "ptr"
        return '"' + (text or "").encode("unicode_escape").decode() + '"'

    return show


VOID = Type("void", None, lambda value: "")
BOOL = Type("BOOL", ctypes.c_int32, _decimal)
BOOLEAN = Type("BOOLEAN", ctypes.c_uint8, _decimal)
INT = Type("INT", ctypes.c_int32, _decimal)
LONG = Type("LONG", ctypes.c_int32, _decimal)
WORD = Type("WORD", ctypes.c_uint16, _number)
DWORD = Type("DWORD", ctypes.c_uint32, _number)
DWORD64 = Type("DWORD64", ctypes.c_uint64, _number)
SIZE_T = Type("SIZE_T", ctypes.c_uint64, _number)
HANDLE = Type("HANDLE", ctypes.c_uint64, _handle)
FILE_HANDLE = Type("HANDLE", ctypes.c_uint64, _handle, INVALID_HANDLE_VALUE)
WAIT_RESULT = Type("DWORD", ctypes.c_uint32, _number, 0xFFFFFFFF)
ERROR_RESULT = Type("DWORD", ctypes.c_uint32, _number, 998)
"""A result that is a Win32 error itself."""
CONFIG_RESULT = Type("CONFIGRET", ctypes.c_uint32, _number, 3)
POINTER = Type("PVOID", ctypes.c_uint64, _pointer)
LPCWSTR = Type("LPCWSTR", ctypes.c_uint64, _text(read_wide))
LPCSTR = Type("LPCSTR", ctypes.c_uint64, _text(read_ansi))
TEXT = Type("LPCTSTR", ctypes.c_uint64, _pointer)
"""Stands for `LPCSTR` in the A form of a function and `LPCWSTR` in its W form; decoded before the function sees it."""
