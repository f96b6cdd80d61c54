"""The last error and the texts of Win32 errors."""

from __future__ import annotations

from wintun_model.status import Win32Error
from wintunsim.win32.buffers import ANSI, read_wide, write_bytes, write_u64
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.types import DWORD, POINTER, VOID

_ALLOCATE_BUFFER = 0x100
_IGNORE_INSERTS = 0x200
_FROM_STRING = 0x400
_FROM_SYSTEM = 0x1000
_MAX_WIDTH_MASK = 0xFF

MESSAGES: dict[int, str] = {
    0: "The operation completed successfully.",
    1: "Incorrect function.",
    2: "The system cannot find the file specified.",
    3: "The system cannot find the path specified.",
    4: "The system cannot open the file.",
    5: "Access is denied.",
    6: "The handle is invalid.",
    8: "Not enough memory resources are available to process this command.",
    13: "The data is invalid.",
    14: "Not enough memory resources are available to complete this operation.",
    17: "The system cannot move the file to a different disk drive.",
    24: "The program issued a command but the command length is incorrect.",
    31: "A device attached to the system is not functioning.",
    32: "The process cannot access the file because it is being used by another process.",
    38: "Reached the end of the file.",
    50: "The request is not supported.",
    87: "The parameter is incorrect.",
    109: "The pipe has been ended.",
    110: "The system cannot open the device or file specified.",
    111: "The file name is too long.",
    120: "This function is not supported on this system.",
    122: "The data area passed to a system call is too small.",
    123: "The filename, directory name, or volume label syntax is incorrect.",
    126: "The specified module could not be found.",
    127: "The specified procedure could not be found.",
    158: "The segment is already unlocked.",
    170: "The requested resource is in use.",
    182: "The operating system cannot run %1.",
    183: "Cannot create a file when that file already exists.",
    206: "The filename or extension is too long.",
    232: "The pipe is being closed.",
    234: "More data is available.",
    258: "The wait operation timed out.",
    259: "No more data is available.",
    288: "Attempt to release mutex not owned by caller.",
    298: "Too many posts were made to a semaphore.",
    317: "The system cannot find message text for message number 0x%1 in the message file for %2.",
    487: "Attempt to access invalid address.",
    995: "The I/O operation has been aborted because of either a thread exit or an application request.",
    996: "Overlapped I/O event is not in a signaled state.",
    997: "Overlapped I/O operation is in progress.",
    998: "Invalid access to memory location.",
    1062: "The service has not been started.",
    1114: "A dynamic link library (DLL) initialization routine failed.",
    1132: "The base address or the file offset specified does not have the proper alignment.",
    1167: "The device is not connected.",
    1168: "Element not found.",
    1223: "The operation was canceled by the user.",
    1247: "An attempt was made to perform an initialization operation when initialization has already been completed.",
    1314: "A required privilege is not held by the client.",
    1400: "Invalid window handle.",
    1450: "Insufficient system resources exist to complete the requested service.",
    1455: "The paging file is too small for this operation to complete.",
    1460: "This operation returned because the timeout period expired.",
    1784: "The supplied user buffer is not valid for the requested operation.",
    5010: "The object already exists.",
}
"""English texts of Win32 errors, as FormatMessage has them, without the line end."""


def message_of(code: int) -> str | None:
    """The text of a Win32 error, or of an HRESULT that carries one, with its line end; None for an unknown code."""
    code &= 0xFFFFFFFF
    if code >> 16 == 0x8007:
        code &= 0xFFFF
    text = MESSAGES.get(code)
    return None if text is None else text + "\r\n"


@export("kernel32", DWORD, user_mode=True)
def GetLastError(context: Context) -> int:
    """The calling thread's last error."""
    return context.thread.last_error


@export("kernel32", VOID, DWORD, user_mode=True)
def SetLastError(context: Context, code: int) -> None:
    """Set the calling thread's last error."""
    context.thread.last_error = code


@export("ntdll", DWORD, DWORD, user_mode=True)
def RtlNtStatusToDosError(context: Context, status: int) -> int:
    """The Win32 error for an NTSTATUS (spec driver §5)."""
    from wintun_model.status import win32_error

    return win32_error(status)


def _format(
    context: Context,
    flags: int,
    source: int,
    code: int,
    buffer: int,
    size: int,
    encode: tuple[str, int],
) -> int:
    """`size` and the result are in characters, the result without the NUL. `encode`: the encoding, bytes a unit."""
    encoding, unit = encode
    if flags & _FROM_STRING:
        if not flags & _IGNORE_INSERTS:
            return context.fail(Win32Error.ERROR_NOT_SUPPORTED, 0)
        text = (read_wide(source) or "") if unit == 2 else ""
    elif flags & _FROM_SYSTEM:
        found = message_of(code)
        if found is None:
            return context.fail(Win32Error.ERROR_MR_MID_NOT_FOUND, 0)
        text = found
    else:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    if flags & _MAX_WIDTH_MASK == _MAX_WIDTH_MASK:
        text = text.replace("\r\n", " ")
    data = text.encode(encoding, "replace")
    length = len(data) // unit
    if not buffer:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    if flags & _ALLOCATE_BUFFER:
        block = context.memory.heap_allocate(max(len(data) + unit, size * unit))
        if block is None:
            return context.fail(Win32Error.ERROR_NOT_ENOUGH_MEMORY, 0)
        write_bytes(block, data)
        write_u64(buffer, block)
        return length
    if length >= size:
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, 0)
    write_bytes(buffer, data + bytes(unit))
    return length


@export("kernel32", DWORD, DWORD, POINTER, DWORD, DWORD, POINTER, DWORD, POINTER, user_mode=True)
def FormatMessageW(
    context: Context, flags: int, source: int, code: int, language: int, buffer: int, size: int, arguments: int
) -> int:
    """The English text of a system error; every language is answered in English."""
    return _format(context, flags, source, code, buffer, size, ("utf-16-le", 2))


@export("kernel32", DWORD, DWORD, POINTER, DWORD, DWORD, POINTER, DWORD, POINTER, user_mode=True)
def FormatMessageA(
    context: Context, flags: int, source: int, code: int, language: int, buffer: int, size: int, arguments: int
) -> int:
    """As `FormatMessageW`, in the A functions' code page."""
    return _format(context, flags, source, code, buffer, size, (ANSI, 1))
