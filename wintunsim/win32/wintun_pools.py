"""wintun.dll of 0.9 to 0.13: adapters belong to pools, and stay until they are deleted (spec win32 §6).

A pool is no thing of its own: its adapters are those whose device description begins with its name.
"""

from __future__ import annotations

import ctypes
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES
from wintun_model.status import Win32Error, is_success, win32_error
from wintunsim.kernel.device_tree import DeviceTree
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.win32.buffers import read_bytes, read_wide, wide, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.exports import DEFINITIONS, Definition
from wintunsim.win32.files import control_device, open_device
from wintunsim.win32.shell import is_administrator
from wintunsim.win32.types import (
    BOOL,
    FALSE,
    HANDLE,
    INVALID_HANDLE_VALUE,
    LPCWSTR,
    POINTER,
    TRUE,
    VOID,
    Type,
)
from wintunsim.win32.wintun import (
    LOG_ERROR,
    LOG_INFO,
    LOG_WARNING,
    NAME_MOST,
    POOL_REVISIONS,
    Library,
    adapter_of,
    create_device,
    find_adapter,
    free_name,
    hold,
    log,
)

F = TypeVar("F", bound=Callable[..., Any])

_POOL_FUNCTIONS: dict[str, Definition] = {}
_SHARED = ("WintunGetAdapterLUID", "WintunGetRunningDriverVersion", "WintunSetLogger")
_OF_SESSIONS = (
    "WintunStartSession",
    "WintunEndSession",
    "WintunGetReadWaitEvent",
    "WintunReceivePacket",
    "WintunReleaseReceivePacket",
    "WintunAllocateSendPacket",
    "WintunSendPacket",
)
_ENUMERATE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_uint64, ctypes.c_uint64)
_READ_AND_WRITE = 0xC0000000
_SHARE_ALL = 7


def wintun_functions(driver: str) -> Mapping[str, Definition]:
    """What wintun.dll exports beside a revision of the driver: the pool form with 0.9 to 0.13, else that of 0.14."""
    if driver not in POOL_REVISIONS:
        return DEFINITIONS["wintun"]
    return {name: DEFINITIONS["wintun"][name] for name in (*_SHARED, *_OF_SESSIONS)} | _POOL_FUNCTIONS


def _export(result: Type, *arguments: Type) -> Callable[[F], F]:
    def register(function: F) -> F:
        name = function.__name__
        _POOL_FUNCTIONS[name] = Definition("wintun", name, function, result, arguments, True)
        return function

    return register


def _description(pool: str) -> str:
    return f"{pool} Tunnel"


def _is_in(pool: str, device: AdapterDevice) -> bool:
    return device.description.lower() == _description(pool).lower()


def _members(tree: DeviceTree, pool: str) -> list[AdapterDevice]:
    """The adapters of a pool, those that are disabled among them."""
    return [node.device for node in tree.nodes if node.device is not None and _is_in(pool, node.device)]


def _name_error(*names: str | None) -> int:
    """Why pool and adapter cannot be named so: 87 for no name, 111 for one that is too long; 0 for none."""
    if not all(names):
        return Win32Error.ERROR_INVALID_PARAMETER
    return Win32Error.ERROR_BUFFER_OVERFLOW if any(len(name or "") > NAME_MOST for name in names) else 0


def _tell(context: Context, address: int, needs_restart: bool) -> None:
    if address:
        write_u32(address, TRUE if needs_restart else FALSE)


@_export(HANDLE, LPCWSTR, LPCWSTR, POINTER, POINTER)
def WintunCreateAdapter(context: Context, pool_address: int, name_address: int, guid_address: int, restart: int) -> int:
    """Create an adapter in a pool; it stays when the process ends. Errors as with 0.14."""
    pool, name = read_wide(pool_address), read_wide(name_address)
    guid = uuid.UUID(bytes_le=read_bytes(guid_address, 16)) if guid_address else None
    _tell(context, restart, False)
    error = _name_error(pool, name) if is_administrator(context) else int(Win32Error.ERROR_ACCESS_DENIED)
    if error or pool is None or name is None:
        log(context, LOG_ERROR, "Failed to create adapter", error)
        return context.fail(error, 0)
    device = create_device(context, name, guid, _description(pool))
    return 0 if device is None else hold(context, device, False)


@_export(HANDLE, LPCWSTR, LPCWSTR)
def WintunOpenAdapter(context: Context, pool_address: int, name_address: int) -> int:
    """Open an adapter of a pool by its name: 2 when there is none, 183 when it belongs to another pool."""
    pool, name = read_wide(pool_address), read_wide(name_address)
    error = _name_error(pool, name) if is_administrator(context) else int(Win32Error.ERROR_ACCESS_DENIED)
    if error or pool is None or name is None:
        return context.fail(error, 0)
    device = find_adapter(context, name)
    if device is None:
        return context.fail(Win32Error.ERROR_FILE_NOT_FOUND, 0)
    if not _is_in(pool, device):
        log(context, LOG_ERROR, f"Adapter {name} is not a member of pool {pool}", Win32Error.ERROR_ALREADY_EXISTS)
        return context.fail(Win32Error.ERROR_ALREADY_EXISTS, 0)
    return hold(context, device, False)


@_export(VOID, HANDLE)
def WintunFreeAdapter(context: Context, handle: int) -> None:
    """Let a handle to an adapter go; the adapter stays. Null does nothing."""
    if handle:
        adapter_of(context, handle, "WintunFreeAdapter")
        del context.state(Library).adapters[handle]


def _force_close(context: Context, device: AdapterDevice) -> None:
    """Close the handles that other processes have (spec driver §6.5); a failure only warns."""
    if not device.is_present:
        return
    handle = open_device(context, device.interface_path, _READ_AND_WRITE, _SHARE_ALL)
    if handle == INVALID_HANDLE_VALUE:
        error = context.thread.last_error
    else:
        status, _ = control_device(context, handle, TUN_IOCTL_FORCE_CLOSE_HANDLES, 0, 0, 0, 0)
        context.handles.close(handle)
        error = 0 if is_success(status) else win32_error(status)
    if error:
        log(context, LOG_WARNING, "Failed to force close adapter handles", error)


def _delete(context: Context, device: AdapterDevice, *, force: bool) -> bool:
    """Remove an adapter. False when it takes a restart of the computer, because handles are open."""
    if force:
        _force_close(context, device)
    tree: DeviceTree = context.system.tree
    return tree.remove(device.node)


@_export(BOOL, HANDLE, BOOL, POINTER)
def WintunDeleteAdapter(context: Context, handle: int, force: int, restart: int) -> int:
    """Remove an adapter from the machine; the handle is still to be freed.

    With open handles, also those of the own sessions, it succeeds and says that it takes a restart; `force` closes
    those of other processes before.
    """
    device = adapter_of(context, handle, "WintunDeleteAdapter").device
    _tell(context, restart, False)
    if not is_administrator(context):
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, FALSE)
    _tell(context, restart, not _delete(context, device, force=bool(force)))
    return TRUE


@_export(BOOL, LPCWSTR, POINTER)
def WintunDeletePoolDriver(context: Context, pool_address: int, restart: int) -> int:
    """Remove all adapters of a pool and, when no other is left, the driver."""
    pool = read_wide(pool_address)
    _tell(context, restart, False)
    error = _name_error(pool) if is_administrator(context) else int(Win32Error.ERROR_ACCESS_DENIED)
    if error or pool is None:
        return context.fail(error, FALSE)
    tree: DeviceTree = context.system.tree
    done = [_delete(context, device, force=True) for device in _members(tree, pool)]
    if not any(node.device is not None for node in tree.nodes):
        log(context, LOG_INFO, "Removing driver")
        tree.is_package_in_store = False
    _tell(context, restart, not all(done))
    return TRUE


@_export(BOOL, LPCWSTR, POINTER, HANDLE)
def WintunEnumAdapters(context: Context, pool_address: int, callback: int, parameter: int) -> int:
    """Call a function with each adapter of a pool and `parameter`, until it answers FALSE.

    The handle that it gets is freed when it returns.
    """
    pool = read_wide(pool_address)
    error = _name_error(pool) if is_administrator(context) else int(Win32Error.ERROR_ACCESS_DENIED)
    if error or pool is None:
        return context.fail(error, FALSE)
    for device in _members(context.system.tree, pool):
        handle = hold(context, device, False)
        goes_on = _ENUMERATE(callback)(handle, parameter)
        raised = context.loader.take_exception()
        if raised is not None:
            raise raised
        context.state(Library).adapters.pop(handle, None)
        if not goes_on:
            break
    return TRUE


@_export(BOOL, HANDLE, POINTER)
def WintunGetAdapterName(context: Context, handle: int, buffer: int) -> int:
    """The name of an adapter, into 128 characters: 2 when the adapter is gone."""
    device = adapter_of(context, handle, "WintunGetAdapterName").device
    if device.node.is_gone:
        return context.fail(Win32Error.ERROR_FILE_NOT_FOUND, FALSE)
    write_bytes(buffer, wide(device.name[:NAME_MOST]) + bytes(2))
    return TRUE


@_export(BOOL, HANDLE, LPCWSTR)
def WintunSetAdapterName(context: Context, handle: int, name_address: int) -> int:
    """Name an adapter; one that has the name already makes it "name 1" and so on."""
    device = adapter_of(context, handle, "WintunSetAdapterName").device
    name = read_wide(name_address)
    error = _name_error(name) if is_administrator(context) else int(Win32Error.ERROR_ACCESS_DENIED)
    if not error and device.node.is_gone:
        error = Win32Error.ERROR_FILE_NOT_FOUND
    if error or name is None:
        return context.fail(error, FALSE)
    device.name = name if device.name.lower() == name.lower() else free_name(context, name)
    return TRUE
