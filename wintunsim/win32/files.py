"""Opening devices and talking to them: CreateFile, DeviceIoControl (spec win32 §4)."""

from __future__ import annotations

from wintun_model.abi import METHOD_BUFFERED
from wintun_model.errors import ClientFault
from wintun_model.status import NtStatus, Win32Error, is_success, win32_error
from wintunsim.kernel.devices import FileObject
from wintunsim.kernel.handles import SYNCHRONIZE
from wintunsim.kernel.objects import EventObject
from wintunsim.kernel.probe import is_accessible
from wintunsim.win32.buffers import AccessViolation, read_bytes, read_u64, write_u32, write_u64
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_text
from wintunsim.win32.handles import map_access
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
)

_FILE_READ_ATTRIBUTES = 0x80
_NEITHER = 3
_STATUS_PENDING = int(NtStatus.STATUS_PENDING)
_FILE_TYPE_DISK = 1


def open_device(context: Context, path: str, access: int, share: int) -> int:
    """Open a device by its path: a handle, or INVALID_HANDLE_VALUE with the last error."""
    granted = map_access(FileObject, access) | SYNCHRONIZE | _FILE_READ_ATTRIBUTES
    if path.startswith("\\\\.\\"):
        path = "\\\\?\\" + path[4:]  # another name of the same place
    status, file_object = context.system.open_path(path, context.process, granted, share)
    if file_object is None:
        return context.fail(win32_error(status), INVALID_HANDLE_VALUE)
    return context.handles.insert(file_object, granted)


@export_text("kernel32", FILE_HANDLE, TEXT, DWORD, DWORD, POINTER, DWORD, DWORD, HANDLE)
def CreateFile(
    context: Context,
    path: str | None,
    access: int,
    share: int,
    security: int,
    disposition: int,
    flags: int,
    template: int,
) -> int:
    """Open a device interface. The simulated machine has no other files: any other path is not found."""
    if not 1 <= disposition <= 5:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, INVALID_HANDLE_VALUE)
    if not path:
        return context.fail(Win32Error.ERROR_PATH_NOT_FOUND, INVALID_HANDLE_VALUE)
    return open_device(context, path, access, share)


def _file_of(context: Context, handle: int) -> FileObject | None:
    entry = context.handles.get(handle)
    if entry is None or not isinstance(entry.target, FileObject):
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, None)
    return entry.target


def control_device(
    context: Context, handle: int, code: int, source: int, source_bytes: int, target: int, target_bytes: int
) -> tuple[int, int]:
    """A device control request as the I/O manager takes it: (NTSTATUS, bytes returned).

    In this order: bad output or input pointers, the handle, its access rights; then the driver. With a buffered method
    the input is copied before the driver runs. Raises `AccessViolation` for the pointers.
    """
    data = b""
    if code & 3 == METHOD_BUFFERED:
        if target and not is_accessible(target, target_bytes, write=True):
            raise AccessViolation("writing", target)
        data = read_bytes(source, source_bytes) if source else b""
    entry = context.handles.get(handle)
    if entry is None:
        return NtStatus.STATUS_INVALID_HANDLE, 0
    if not isinstance(entry.target, FileObject):
        return NtStatus.STATUS_OBJECT_TYPE_MISMATCH, 0
    needed = code >> 14 & 3
    if needed & ~entry.access:
        return NtStatus.STATUS_ACCESS_DENIED, 0
    if code & 3 == _NEITHER and source and is_accessible(source, source_bytes, write=False):
        data = read_bytes(source, source_bytes)
    return entry.target.control(context.process, code, data, target_bytes if target else 0)


@export("kernel32", BOOL, HANDLE, DWORD, POINTER, DWORD, POINTER, DWORD, POINTER, POINTER)
def DeviceIoControl(
    context: Context,
    handle: int,
    code: int,
    source: int,
    source_bytes: int,
    target: int,
    target_bytes: int,
    returned: int,
    overlapped: int,
) -> int:
    """Send a control code to a device. All requests are done when the call returns, overlapped ones too."""
    if not returned and not overlapped:
        raise ClientFault(
            "DeviceIoControl was called with a null lpBytesReturned and no lpOverlapped, which is an access violation "
            "on Windows: pass the address of a DWORD"
        )
    event = None
    if overlapped:
        # The low bit of the event's handle keeps the completion off a port; it is no part of the value.
        event_handle = read_u64(overlapped + 24) & ~1
        write_u64(overlapped, _STATUS_PENDING)
        if event_handle:
            entry = context.handles.get(event_handle)
            if entry is None or not isinstance(entry.target, EventObject):
                return context.fail(Win32Error.ERROR_INVALID_HANDLE, FALSE)
            event = entry.target
            context.machine.clear_event(event)
    status, information = control_device(context, handle, code, source, source_bytes, target, target_bytes)
    if overlapped:
        write_u64(overlapped, status)
        write_u64(overlapped + 8, information)
        if event is not None:
            context.machine.set_event(event)
    if returned and status >> 30 != 3:
        write_u32(returned, information)
    if not is_success(status):
        return context.fail(win32_error(status), FALSE)
    return TRUE


@export("kernel32", BOOL, HANDLE, POINTER, POINTER, BOOL)
def GetOverlappedResult(context: Context, handle: int, overlapped: int, transferred: int, wait: int) -> int:
    """The outcome of an overlapped request, which was done when it was made."""
    status, information = read_u64(overlapped) & 0xFFFFFFFF, read_u64(overlapped + 8)
    if status == _STATUS_PENDING:
        return context.fail(Win32Error.ERROR_IO_INCOMPLETE, FALSE)
    write_u32(transferred, information)
    return TRUE if is_success(status) else context.fail(win32_error(status), FALSE)


def _refuse_transfer(context: Context, handle: int) -> int:
    if _file_of(context, handle) is not None:
        context.fail(Win32Error.ERROR_INVALID_FUNCTION, None)
    return FALSE


@export("kernel32", BOOL, HANDLE, POINTER, DWORD, POINTER, POINTER)
def ReadFile(context: Context, handle: int, buffer: int, size: int, count: int, overlapped: int) -> int:
    """The driver has no read requests: ERROR_INVALID_FUNCTION."""
    return _refuse_transfer(context, handle)


@export("kernel32", BOOL, HANDLE, POINTER, DWORD, POINTER, POINTER)
def WriteFile(context: Context, handle: int, buffer: int, size: int, count: int, overlapped: int) -> int:
    """The driver has no write requests: ERROR_INVALID_FUNCTION."""
    return _refuse_transfer(context, handle)


@export("kernel32", BOOL, HANDLE)
def CancelIo(context: Context, handle: int) -> int:
    """No request is ever outstanding when a client asks."""
    return FALSE if _file_of(context, handle) is None else TRUE


@export("kernel32", BOOL, HANDLE, POINTER)
def CancelIoEx(context: Context, handle: int, overlapped: int) -> int:
    """No request is ever outstanding when a client asks: ERROR_NOT_FOUND."""
    if _file_of(context, handle) is not None:
        context.fail(Win32Error.ERROR_NOT_FOUND, None)
    return FALSE


@export("kernel32", DWORD, HANDLE)
def GetFileType(context: Context, handle: int) -> int:
    """A network device is opened as a disk-like file; 0 for what is no file."""
    return _FILE_TYPE_DISK if _file_of(context, handle) is not None else 0
