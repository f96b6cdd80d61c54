"""What the simulated machine is: Windows 11 on an AMD64 machine; and small calls that fit nowhere else."""

from __future__ import annotations

import struct

from wintun_model.status import Win32Error
from wintunsim.kernel.objects import KernelObject
from wintunsim.win32.buffers import read_u32, wide, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_text
from wintunsim.win32.types import (
    BOOL,
    DWORD,
    FALSE,
    FILE_HANDLE,
    HANDLE,
    INVALID_HANDLE_VALUE,
    POINTER,
    TEXT,
    TRUE,
    VOID,
)

MAJOR, MINOR, BUILD = 10, 0, 22631
"""The version of Windows."""
PROCESSORS = 8
_AMD64 = 9
_PLATFORM_NT = 2
COMPUTER_NAME = "WINTUNSIM"
_VERSION_BYTES_W = 276
_VERSION_EX_BYTES_W = 284


@export("kernel32", VOID, POINTER, user_mode=True)
@export("kernel32", VOID, POINTER, user_mode=True, name="GetNativeSystemInfo")
def GetSystemInfo(context: Context, information: int) -> None:
    """A SYSTEM_INFO: page size, granularity, address range, processors."""
    record = struct.pack(
        "<HHIQQQIIIHH",
        _AMD64,
        0,
        4096,
        0x10000,
        0x7FFFFFFEFFFF,
        (1 << PROCESSORS) - 1,
        PROCESSORS,
        8664,
        65536,
        6,
        0,
    )
    write_bytes(information, record)


@export("kernel32", DWORD, user_mode=True)
def GetVersion(context: Context) -> int:
    """Build, minor and major version in one number."""
    return BUILD << 16 | MINOR << 8 | MAJOR


def _version_record(size: int) -> bytes:
    head = struct.pack("<IIIII", size, MAJOR, MINOR, BUILD, _PLATFORM_NT)
    tail = struct.pack("<HHHBB", 0, 0, 0x100, 1, 0) if size == _VERSION_EX_BYTES_W else b""
    return head + bytes(_VERSION_BYTES_W - len(head)) + tail


@export("kernel32", BOOL, POINTER, user_mode=True)
def GetVersionExW(context: Context, information: int) -> int:
    """An OSVERSIONINFO(EX)W; its size field says which."""
    size = read_u32(information)
    if size not in (_VERSION_BYTES_W, _VERSION_EX_BYTES_W):
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
    write_bytes(information, _version_record(size))
    return TRUE


@export("ntdll", DWORD, POINTER, user_mode=True)
def RtlGetVersion(context: Context, information: int) -> int:
    """As `GetVersionExW`; answers an NTSTATUS."""
    size = read_u32(information)
    write_bytes(information, _version_record(size if size == _VERSION_EX_BYTES_W else _VERSION_BYTES_W))
    return 0


@export("kernel32", BOOL, POINTER, POINTER, user_mode=True)
def GetComputerNameW(context: Context, buffer: int, size: int) -> int:
    """The machine's name."""
    length = len(COMPUTER_NAME)
    if read_u32(size) <= length:
        write_u32(size, length + 1)
        return context.fail(Win32Error.ERROR_BUFFER_OVERFLOW, FALSE)
    write_bytes(buffer, wide(COMPUTER_NAME) + bytes(2))
    write_u32(size, length)
    return TRUE


@export("kernel32", DWORD, user_mode=True)
def GetCurrentProcessorNumber(context: Context) -> int:
    """Always 0: which processor a thread runs on is not simulated."""
    return 0


@export_text("kernel32", VOID, TEXT, user_mode=True)
def OutputDebugString(context: Context, text: str | None) -> None:
    """Nobody listens; the call log shows the text."""


@export("kernel32", BOOL, user_mode=True)
def IsDebuggerPresent(context: Context) -> int:
    """No."""
    return FALSE


@export("kernel32", BOOL, POINTER, BOOL)
def SetConsoleCtrlHandler(context: Context, handler: int, is_added: int) -> int:
    """Accepted; Ctrl+C reaches a client as its language has it."""
    return TRUE


class ConsoleFile(KernelObject):
    """A standard handle: it names something, but nothing can be read or written."""

    type_name = "Console"


class Console:
    """The standard handles of a process, by their number, once they were asked for."""

    def __init__(self) -> None:
        self.handles: dict[int, int] = {}


_STANDARD = {0xFFFFFFF6: "input", 0xFFFFFFF5: "output", 0xFFFFFFF4: "error"}


@export("kernel32", FILE_HANDLE, DWORD)
def GetStdHandle(context: Context, number: int) -> int:
    """A handle for standard input, output or error."""
    if number not in _STANDARD:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, INVALID_HANDLE_VALUE)
    handles = context.state(Console).handles
    if number not in handles:
        item = ConsoleFile(f"{context.process.name} standard {_STANDARD[number]}")
        handles[number] = context.handles.insert(item, 0x12019F)
    return handles[number]


@export("kernel32", BOOL, HANDLE, POINTER)
def GetConsoleMode(context: Context, handle: int, mode: int) -> int:
    """The standard handles are no console's."""
    return context.fail(Win32Error.ERROR_INVALID_HANDLE, FALSE)
