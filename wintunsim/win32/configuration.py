"""Device interfaces and device nodes: cfgmgr32 (spec win32 §4)."""

from __future__ import annotations

import uuid
from typing import Any

from wintunsim.kernel.devices import INTERFACE_CLASS
from wintunsim.win32.buffers import ANSI, read_ansi, read_bytes, read_wide, wide, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_text
from wintunsim.win32.types import CONFIG_RESULT, DWORD, POINTER, TEXT

CR_SUCCESS = 0
CR_INVALID_POINTER = 3
CR_INVALID_FLAG = 4
CR_INVALID_DEVNODE = 5
CR_NO_SUCH_DEVINST = 0xD
CR_BUFFER_SMALL = 0x1A
CR_INVALID_DEVICE_ID = 0x1E

_ALL_FLAGS = 1
_DN_STARTED = 0x00000008
_DN_DRIVER_LOADED = 0x00000002
_ID_MOST = 200


def _find(context: Context, device_id: str) -> tuple[int, Any]:
    """(CONFIGRET, device) for a device instance id."""
    if len(device_id) > _ID_MOST or device_id.count("\\") != 2 or not all(device_id.split("\\")):
        return CR_INVALID_DEVICE_ID, None
    for device in context.system.devices:
        if device.instance_id.lower() == device_id.lower():
            return CR_SUCCESS, device
    return CR_NO_SUCH_DEVINST, None


def _paths(context: Context, interface_class: int, device_id: str | None, flags: int) -> tuple[int, list[str]]:
    """(CONFIGRET, interface paths) of a class, of one device if an id is given."""
    if not interface_class:
        return CR_INVALID_POINTER, []
    if flags & ~_ALL_FLAGS:
        return CR_INVALID_FLAG, []
    devices = list(context.system.devices)
    if device_id:
        result, device = _find(context, device_id)
        if result:
            return result, []
        devices = [device]
    if uuid.UUID(bytes_le=read_bytes(interface_class, 16)) != INTERFACE_CLASS:
        return CR_SUCCESS, []
    return CR_SUCCESS, [device.interface_path for device in devices]


@export_text("cfgmgr32", CONFIG_RESULT, POINTER, POINTER, TEXT, DWORD)
def CM_Get_Device_Interface_List_Size(
    context: Context, length: int, interface_class: int, device_id: str | None, flags: int
) -> int:
    """The characters that the list needs, its double NUL included; 1 for an empty one."""
    if not length:
        return CR_INVALID_POINTER
    result, paths = _paths(context, interface_class, device_id, flags)
    write_u32(length, 0 if result else sum(len(path) + 1 for path in paths) + 1)
    return result


def _list(
    context: Context, interface_class: int, device_id: str | None, buffer: int, length: int, flags: int, unit: int
) -> int:
    if not buffer or not length:
        return CR_INVALID_POINTER
    result, paths = _paths(context, interface_class, device_id, flags)
    if result:
        return result
    text = "".join(path + "\0" for path in paths) + "\0"
    if len(text) > length:
        return CR_BUFFER_SMALL
    write_bytes(buffer, wide(text) if unit == 2 else text.encode(ANSI, "replace"))
    return CR_SUCCESS


@export("cfgmgr32", CONFIG_RESULT, POINTER, POINTER, POINTER, DWORD, DWORD)
def CM_Get_Device_Interface_ListW(
    context: Context, interface_class: int, device_id: int, buffer: int, length: int, flags: int
) -> int:
    """The paths of all interfaces of a class, each with a NUL, and one more NUL; `length` in characters."""
    return _list(context, interface_class, read_wide(device_id), buffer, length, flags, 2)


@export("cfgmgr32", CONFIG_RESULT, POINTER, POINTER, POINTER, DWORD, DWORD)
def CM_Get_Device_Interface_ListA(
    context: Context, interface_class: int, device_id: int, buffer: int, length: int, flags: int
) -> int:
    """As `CM_Get_Device_Interface_ListW`."""
    return _list(context, interface_class, read_ansi(device_id), buffer, length, flags, 1)


@export_text("cfgmgr32", CONFIG_RESULT, POINTER, TEXT, DWORD)
def CM_Locate_DevNode(context: Context, node: int, device_id: str | None, flags: int) -> int:
    """The device node of a device instance id: its number, counted from 1 (the root, for no id)."""
    if not node:
        return CR_INVALID_POINTER
    result, device = _find(context, device_id) if device_id else (CR_SUCCESS, None)
    if not result:
        write_u32(node, 1 if device is None else 2 + device.number)
    return result


def _device_of(context: Context, node: int) -> Any:
    return next((device for device in context.system.devices if device.number + 2 == node), None)


@export("cfgmgr32", CONFIG_RESULT, POINTER, POINTER, DWORD, DWORD)
def CM_Get_DevNode_Status(context: Context, status: int, problem: int, node: int, flags: int) -> int:
    """Present devices are started and have no problem."""
    if _device_of(context, node) is None:
        return CR_INVALID_DEVNODE
    write_u32(status, _DN_STARTED | _DN_DRIVER_LOADED)
    write_u32(problem, 0)
    return CR_SUCCESS


@export("cfgmgr32", CONFIG_RESULT, DWORD, POINTER, DWORD, DWORD)
def CM_Get_Device_IDW(context: Context, node: int, buffer: int, length: int, flags: int) -> int:
    """The device instance id of a device node; `length` in characters."""
    device = _device_of(context, node)
    if device is None:
        return CR_INVALID_DEVNODE
    if len(device.instance_id) > length:
        return CR_BUFFER_SMALL
    write_bytes(buffer, wide((device.instance_id + "\0")[:length]))
    return CR_SUCCESS
