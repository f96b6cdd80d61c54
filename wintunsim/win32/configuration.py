"""Device interfaces and device nodes: cfgmgr32 (spec win32 §4)."""

from __future__ import annotations

import uuid

from wintunsim.kernel.device_tree import DeviceNode
from wintunsim.kernel.devices import INTERFACE_CLASS
from wintunsim.win32.buffers import ANSI, Characters, read_ansi, read_bytes, read_wide, wide, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.device_sets import tree_of
from wintunsim.win32.exports import export, export_forms, export_text
from wintunsim.win32.shell import is_administrator
from wintunsim.win32.types import CONFIG_RESULT, DWORD, POINTER, TEXT

CR_SUCCESS = 0
CR_INVALID_POINTER = 3
CR_INVALID_FLAG = 4
CR_INVALID_DEVNODE = 5
CR_NO_SUCH_DEVINST = 0xD
CR_REMOVE_VETOED = 0x17
CR_BUFFER_SMALL = 0x1A
CR_INVALID_DEVICE_ID = 0x1E
CR_ACCESS_DENIED = 0x33

_ALL_FLAGS = 1
_ALL_DEVICES = 1
_ID_MOST = 200
_ROOT = 1


def _find(context: Context, device_id: str) -> tuple[int, DeviceNode | None]:
    """(CONFIGRET, device node) for a device instance id."""
    if len(device_id) > _ID_MOST or device_id.count("\\") != 2 or not all(device_id.split("\\")):
        return CR_INVALID_DEVICE_ID, None
    node = tree_of(context).find(device_id)
    return (CR_SUCCESS, node) if node is not None and node.is_registered else (CR_NO_SUCH_DEVINST, None)


def _paths(context: Context, interface_class: int, device_id: str | None, flags: int) -> tuple[int, list[str]]:
    """(CONFIGRET, interface paths) of a class, of one device if an id is given."""
    if not interface_class:
        return CR_INVALID_POINTER, []
    if flags & ~_ALL_FLAGS:
        return CR_INVALID_FLAG, []
    nodes = tree_of(context).nodes
    if device_id:
        result, node = _find(context, device_id)
        if node is None:
            return result, []
        nodes = [node]
    if uuid.UUID(bytes_le=read_bytes(interface_class, 16)) != INTERFACE_CLASS:
        return CR_SUCCESS, []
    devices = [node.device for node in nodes if node.device is not None]
    return CR_SUCCESS, [device.interface_path for device in devices if device.is_present or flags & _ALL_DEVICES]


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
    if not device_id:
        write_u32(node, _ROOT)
        return CR_SUCCESS
    result, found = _find(context, device_id)
    if found is not None:
        write_u32(node, found.number)
    return result


def _node_of(context: Context, number: int) -> tuple[int, DeviceNode | None]:
    """(CONFIGRET, device node) of a number: one that is gone, or not registered yet, is told from one never given."""
    tree = tree_of(context)
    node = next((node for node in tree.nodes if node.number == number and node.is_registered), None)
    if node is not None:
        return CR_SUCCESS, node
    return (CR_NO_SUCH_DEVINST if _ROOT < number <= _ROOT + tree.nodes_made else CR_INVALID_DEVNODE), None


@export("cfgmgr32", CONFIG_RESULT, POINTER, POINTER, DWORD, DWORD)
def CM_Get_DevNode_Status(context: Context, status: int, problem: int, number: int, flags: int) -> int:
    """The status bits of a device node (DN_…), and why it does not run (CM_PROB_…; 0 when it does)."""
    if not status or not problem:
        return CR_INVALID_POINTER
    result, node = _node_of(context, number)
    if node is not None:
        write_u32(status, node.status)
        write_u32(problem, node.problem)
    return result


@export("cfgmgr32", CONFIG_RESULT, POINTER, DWORD, DWORD)
def CM_Get_Device_ID_Size(context: Context, length: int, number: int, flags: int) -> int:
    """The characters of a device instance id, without its NUL."""
    if not length:
        return CR_INVALID_POINTER
    result, node = _node_of(context, number)
    if node is not None:
        write_u32(length, len(node.instance_id))
    return result


@export_forms("cfgmgr32", CONFIG_RESULT, DWORD, POINTER, DWORD, DWORD)
def CM_Get_Device_ID(context: Context, form: Characters, number: int, buffer: int, length: int, flags: int) -> int:
    """The device instance id of a device node; `length` in characters. Its NUL is written where it fits."""
    result, node = _node_of(context, number)
    if node is None:
        return result
    if len(node.instance_id) > length:
        return CR_BUFFER_SMALL
    write_bytes(buffer, form.encode((node.instance_id + "\0")[:length]))
    return CR_SUCCESS


@export("cfgmgr32", CONFIG_RESULT, DWORD, DWORD)
def CM_Disable_DevNode(context: Context, number: int, flags: int) -> int:
    """Disable a device: CR_REMOVE_VETOED while handles to it are open (spec driver §7.1)."""
    result, node = _node_of(context, number)
    if node is None:
        return result
    if not is_administrator(context):
        return CR_ACCESS_DENIED
    return CR_SUCCESS if tree_of(context).disable(node) else CR_REMOVE_VETOED


@export("cfgmgr32", CONFIG_RESULT, DWORD, DWORD)
def CM_Enable_DevNode(context: Context, number: int, flags: int) -> int:
    """Enable a device and start it; its status tells what came of that."""
    result, node = _node_of(context, number)
    if node is None:
        return result
    if not is_administrator(context):
        return CR_ACCESS_DENIED
    tree_of(context).enable(node)
    return CR_SUCCESS
