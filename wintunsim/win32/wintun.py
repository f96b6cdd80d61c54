"""wintun.dll 0.14: adapters (spec win32 §6). The sessions are in `session`, the form of 0.9 in `wintun_pools`."""

from __future__ import annotations

import ctypes
import uuid
from dataclasses import dataclass
from typing import Any

from wintun_model.errors import ClientFault
from wintun_model.status import Win32Error
from wintunsim.kernel.process import Process
from wintunsim.win32.buffers import poke_u64, read_bytes, read_wide, wide
from wintunsim.win32.clocks import filetime
from wintunsim.win32.context import Context
from wintunsim.win32.errors import MESSAGES
from wintunsim.win32.exports import export
from wintunsim.win32.shell import is_administrator
from wintunsim.win32.types import BOOL, DWORD, FALSE, HANDLE, LPCWSTR, POINTER, TRUE, VOID

NAME_MOST = 127
"""Characters of an adapter's name or tunnel type."""

LOG_INFO, LOG_WARNING, LOG_ERROR = 0, 1, 2

_FIRST_ADAPTER = 0x0000_01A0_0000_0100
_ADAPTER_STEP = 0x100
_LOGGER = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p)
_LOGGER_WITHOUT_TIME = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_void_p)

POOL_REVISIONS = ("0.9", "0.9.1", "0.10", "0.11", "0.12", "0.13")
"""The drivers whose wintun.dll has pools of adapters (`wintun_pools`)."""


@dataclass(slots=True)
class WintunAdapter:
    """An adapter that a process holds; one that it created goes when it closes it, or ends."""

    handle: int
    device: Any
    is_created: bool


class Library:
    """What wintun.dll keeps for each process. Its handles are simulated values that point at nothing."""

    def __init__(self) -> None:
        self.adapters: dict[int, WintunAdapter] = {}
        self.made = 0
        self.logger = 0
        self.is_watching_exit = False


def log(context: Context, level: int, text: str, error: int = 0) -> None:
    """Tell the process's logger, if it set one; the last error stays as it is."""
    logger = context.state(Library).logger
    if not logger:
        return
    if error:
        text = f"{text}: {MESSAGES.get(error, 'Unknown error.')} (Code 0x{error:08X})"
    thread = context.thread
    last_error = thread.last_error
    buffer = ctypes.create_string_buffer(wide(text) + bytes(2))
    address = ctypes.addressof(buffer)
    if context.system.driver.revision.name in POOL_REVISIONS:
        _LOGGER_WITHOUT_TIME(logger)(level, address)
    else:
        _LOGGER(logger)(level, filetime(context.machine.now), address)
    raised = context.loader.take_exception()
    if raised is not None:
        raise raised
    thread.last_error = last_error


def adapter_of(context: Context, handle: int, function: str) -> WintunAdapter:
    """The adapter behind a handle that wintun.dll gave out; anything else is a `ClientFault`."""
    found = context.state(Library).adapters.get(handle)
    if found is None:
        what = "a null adapter" if not handle else "an adapter that is closed or never was"
        raise ClientFault(f"{function} was called with {what}: an access violation on Windows")
    return found


def hold(context: Context, device: Any, is_created: bool) -> int:
    """A handle to an adapter; `is_created`: the adapter goes with it."""
    library = context.state(Library)
    handle = _FIRST_ADAPTER + library.made * _ADAPTER_STEP
    library.made += 1
    library.adapters[handle] = WintunAdapter(handle, device, is_created)
    if is_created and not library.is_watching_exit:
        library.is_watching_exit = True
        context.process.exit_callbacks.append(lambda process: _process_ends(context, process))
    return handle


def _process_ends(context: Context, process: Process) -> None:
    """Adapters live as long as the process that created them."""
    for adapter in context.state(Library).adapters.values():
        if adapter.is_created:
            context.system.remove_adapter(adapter.device)


def find_adapter(context: Context, name: str) -> Any:
    """The adapter of that name, compared without case, also one that is disabled; None for none."""
    devices = [node.device for node in context.system.tree.nodes if node.device is not None]
    return next((device for device in devices if device.name.lower() == name.lower()), None)


def free_name(context: Context, name: str) -> str:
    """The name itself, or the first of "name 1", "name 2"… that no adapter has: what the library settles for."""
    number, free = 0, name
    while find_adapter(context, free) is not None:
        number += 1
        free = f"{name} {number}"
    return free


def create_device(context: Context, name: str, guid: uuid.UUID | None, description: str) -> Any:
    """Create an adapter, with a number after its name when that is taken. None after setting the last error.

    183 when the GUID is taken, 31 when the driver does not start.
    """
    tree = context.system.tree
    if any(node.device is not None and node.device.guid == guid for node in tree.nodes):
        log(context, LOG_ERROR, "Failed to create adapter", Win32Error.ERROR_ALREADY_EXISTS)
        return context.fail(Win32Error.ERROR_ALREADY_EXISTS, None)
    log(context, LOG_INFO, "Creating adapter")
    tree.is_package_in_store = True
    device = context.system.create_adapter(free_name(context, name), guid, description)
    if not device.is_present:
        tree.forget(device.node)
        log(context, LOG_ERROR, "Failed to start adapter", Win32Error.ERROR_GEN_FAILURE)
        return context.fail(Win32Error.ERROR_GEN_FAILURE, None)
    if device.name != name:
        log(context, LOG_WARNING, f"Adapter name {name} is taken, using {device.name}")
    return device


@export("wintun", HANDLE, LPCWSTR, LPCWSTR, POINTER)
def WintunCreateAdapter(context: Context, name_address: int, type_address: int, guid_address: int) -> int:
    """Create an adapter. Errors: 5 without administrator rights, 87 without names, 111 for a name that is too long,
    183 when the GUID is taken, 31 when the driver does not start. A name that is taken gets a number after it."""
    name, tunnel_type = read_wide(name_address), read_wide(type_address)
    guid = uuid.UUID(bytes_le=read_bytes(guid_address, 16)) if guid_address else None
    error = 0
    if not is_administrator(context):
        error = Win32Error.ERROR_ACCESS_DENIED
    elif not name or not tunnel_type:
        error = Win32Error.ERROR_INVALID_PARAMETER
    elif len(name) > NAME_MOST or len(tunnel_type) > NAME_MOST:
        error = Win32Error.ERROR_BUFFER_OVERFLOW
    if error or name is None:
        log(context, LOG_ERROR, "Failed to create adapter", error)
        return context.fail(error, 0)
    device = create_device(context, name, guid, f"{tunnel_type} Tunnel")
    return 0 if device is None else hold(context, device, True)


@export("wintun", HANDLE, LPCWSTR)
def WintunOpenAdapter(context: Context, name_address: int) -> int:
    """Open an adapter by its name: 1168 when there is none, 5 without administrator rights."""
    name = read_wide(name_address)
    if not name:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    if not is_administrator(context):
        log(context, LOG_ERROR, "Failed to open adapter", Win32Error.ERROR_ACCESS_DENIED)
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, 0)
    device = find_adapter(context, name) if len(name) <= NAME_MOST else None
    if device is None:
        log(context, LOG_ERROR, f"Failed to find matching adapter name {name}", Win32Error.ERROR_NOT_FOUND)
        return context.fail(Win32Error.ERROR_NOT_FOUND, 0)
    return hold(context, device, False)


@export("wintun", VOID, HANDLE)
def WintunCloseAdapter(context: Context, handle: int) -> None:
    """Let an adapter go; one that was created by `WintunCreateAdapter` is removed. Null does nothing."""
    if not handle:
        return
    adapter = adapter_of(context, handle, "WintunCloseAdapter")
    del context.state(Library).adapters[handle]
    if adapter.is_created:
        context.system.remove_adapter(adapter.device)


@export("wintun", BOOL)
def WintunDeleteDriver(context: Context) -> int:
    """Remove the driver from the system: refused with 5 without administrator rights, 170 while there are adapters."""
    if not is_administrator(context):
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, FALSE)
    tree = context.system.tree
    if any(node.device is not None for node in tree.nodes):
        log(context, LOG_ERROR, "Failed to delete driver", Win32Error.ERROR_BUSY)
        return context.fail(Win32Error.ERROR_BUSY, FALSE)
    tree.is_package_in_store = False
    return TRUE


@export("wintun", VOID, HANDLE, POINTER, user_mode=True)
def WintunGetAdapterLUID(context: Context, handle: int, luid: int) -> None:
    """The LUID of an adapter's interface."""
    poke_u64(luid, adapter_of(context, handle, "WintunGetAdapterLUID").device.luid)


@export("wintun", DWORD)
def WintunGetRunningDriverVersion(context: Context) -> int:
    """The version of the driver that is loaded, major << 16 | minor; 0 with error 2 while there is no adapter."""
    if not context.system.devices:
        return context.fail(Win32Error.ERROR_FILE_NOT_FOUND, 0)
    major, minor = context.system.driver.revision.version
    return int(major << 16 | minor)


@export("wintun", VOID, POINTER, user_mode=True)
def WintunSetLogger(context: Context, callback: int) -> None:
    """Set the function that is called with (level, FILETIME, text), before 0.14 without the time; null: none."""
    context.state(Library).logger = callback
