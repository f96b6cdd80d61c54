"""Making, filling and enumerating sets of devices: setupapi (spec win32 §4)."""

from __future__ import annotations

import ctypes
import uuid

from wintun_model.status import Win32Error
from wintunsim.kernel.adapter_keys import NET_CLASS
from wintunsim.kernel.device_tree import DeviceNode
from wintunsim.kernel.devices import INTERFACE_CLASS
from wintunsim.win32.buffers import Characters, read_bytes, read_u32, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.device_records import (
    DICD_GENERATE_ID,
    DIGCF_ALLCLASSES,
    DIGCF_DEVICEINTERFACE,
    DIGCF_PRESENT,
    INTERFACE_DETAIL_BYTES,
    INTERFACE_DETAIL_PATH,
    SP_DEVICE_INTERFACE_DATA,
    SP_DEVINFO_DATA,
    SPINT_ACTIVE,
    SetupError,
    forms,
)
from wintunsim.win32.device_sets import (
    DEVINFO_BYTES,
    DeviceSet,
    DeviceSets,
    Element,
    class_of,
    find_element,
    find_set,
    read_record,
    tree_of,
    write_element,
)
from wintunsim.win32.exports import export, export_forms, export_text
from wintunsim.win32.shell import is_administrator
from wintunsim.win32.system_info import COMPUTER_NAME
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

CLASS_NAMES = {NET_CLASS: ("Net", "Network adapters")}
"""The setup classes that the machine knows: name and description."""
_INSTANCE_ID_MOST = 200


def guid_at(address: int) -> uuid.UUID | None:
    """The GUID at an address; None for null."""
    return uuid.UUID(bytes_le=read_bytes(address, 16)) if address else None


def _is_elsewhere(machine: str | None) -> bool:
    return bool(machine) and (machine or "").lstrip("\\").lower() != COMPUTER_NAME.lower()


# -- sets -------------------------------------------------------------------------------------------------------------


@export_text("setupapi", FILE_HANDLE, POINTER, HANDLE, TEXT, POINTER)
def SetupDiCreateDeviceInfoListEx(context: Context, guid: int, window: int, machine: str | None, reserved: int) -> int:
    """An empty set, of a setup class or of any. The machine can be this one only."""
    if reserved:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, INVALID_HANDLE_VALUE)
    if _is_elsewhere(machine):
        return context.fail(SetupError.ERROR_MACHINE_UNAVAILABLE, INVALID_HANDLE_VALUE)
    return context.state(DeviceSets).insert(DeviceSet(guid_at(guid)))


@export("setupapi", FILE_HANDLE, POINTER, HANDLE)
def SetupDiCreateDeviceInfoList(context: Context, guid: int, window: int) -> int:
    """An empty set, of a setup class or of any."""
    return context.state(DeviceSets).insert(DeviceSet(guid_at(guid)))


@export("setupapi", BOOL, HANDLE)
def SetupDiDestroyDeviceInfoList(context: Context, handle: int) -> int:
    """Let a set go, and devices in it that were made but never registered."""
    devices = find_set(context, handle)
    if devices is None:
        return FALSE
    del context.state(DeviceSets).by_handle[handle]
    for element in devices.elements:
        _discard(context, element.node)
    return TRUE


def _discard(context: Context, node: DeviceNode) -> None:
    if not node.is_registered and not node.is_gone:
        tree_of(context).forget(node)


@export_forms("setupapi", BOOL, HANDLE, POINTER)
def SetupDiGetDeviceInfoListDetail(context: Context, form: Characters, handle: int, address: int) -> int:
    """The setup class of a set; it is of this machine."""
    devices = find_set(context, handle)
    if devices is None:
        return FALSE
    record = read_record(context, forms(form).list_detail, address)
    if record is None:
        return FALSE
    record.ClassGuid[:] = (devices.setup_class or uuid.UUID(int=0)).bytes_le
    record.RemoteMachineHandle = 0
    record.RemoteMachineName[:] = bytes(len(record.RemoteMachineName))
    write_bytes(address, bytes(record))
    return TRUE


@export("setupapi", BOOL, HANDLE, POINTER)
def SetupDiGetDeviceInfoListClass(context: Context, handle: int, guid: int) -> int:
    """The setup class of a set."""
    devices = find_set(context, handle)
    if devices is None:
        return FALSE
    if devices.setup_class is None:
        return context.fail(SetupError.ERROR_NO_ASSOCIATED_CLASS, FALSE)
    write_bytes(guid, devices.setup_class.bytes_le)
    return TRUE


# -- what is on the machine -------------------------------------------------------------------------------------------


def _fill(context: Context, devices: DeviceSet, guid: uuid.UUID | None, enumerator: str, flags: int) -> None:
    prefix = enumerator.lower().rstrip("\\") + "\\" if enumerator else ""
    for node in tree_of(context).nodes:
        if not node.is_registered:
            continue
        if flags & DIGCF_DEVICEINTERFACE:
            is_wanted = node.device is not None and (guid == INTERFACE_CLASS or bool(flags & DIGCF_ALLCLASSES))
            is_wanted &= not enumerator or node.instance_id.lower() == enumerator.lower()
            if is_wanted and (node.is_started or not flags & DIGCF_PRESENT):
                element = devices.add(node)
                devices.interfaces += [element] if element not in devices.interfaces else []
        # Devices that are disabled are present, too; those that are not do not stay.
        elif (flags & DIGCF_ALLCLASSES or class_of(node) == guid) and f"{node.instance_id}\\".lower().startswith(
            prefix
        ):
            devices.add(node)


@export_text("setupapi", FILE_HANDLE, POINTER, TEXT, HANDLE, DWORD, HANDLE, TEXT, POINTER)
def SetupDiGetClassDevsEx(
    context: Context,
    guid: int,
    enumerator: str | None,
    window: int,
    flags: int,
    existing: int,
    machine: str | None,
    reserved: int,
) -> int:
    """A set of the devices of a setup class, or of all, or of those that have an interface; added to a set if given."""
    wanted = guid_at(guid)
    if reserved or (wanted is None and not flags & DIGCF_ALLCLASSES):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, INVALID_HANDLE_VALUE)
    if _is_elsewhere(machine):
        return context.fail(SetupError.ERROR_MACHINE_UNAVAILABLE, INVALID_HANDLE_VALUE)
    if existing:
        devices = find_set(context, existing)
        if devices is None:
            return INVALID_HANDLE_VALUE
    else:
        is_of_class = not flags & (DIGCF_ALLCLASSES | DIGCF_DEVICEINTERFACE)
        devices = DeviceSet(wanted if is_of_class else None)
    _fill(context, devices, wanted, enumerator or "", flags)
    return existing or context.state(DeviceSets).insert(devices)


@export_text("setupapi", FILE_HANDLE, POINTER, TEXT, HANDLE, DWORD)
def SetupDiGetClassDevs(context: Context, guid: int, enumerator: str | None, window: int, flags: int) -> int:
    """As `SetupDiGetClassDevsEx`, always a new set."""
    return SetupDiGetClassDevsEx(context, guid, enumerator, window, flags, 0, None, 0)


@export("setupapi", BOOL, HANDLE, DWORD, POINTER)
def SetupDiEnumDeviceInfo(context: Context, handle: int, index: int, address: int) -> int:
    """A device of a set: 259 after the last one."""
    devices = find_set(context, handle)
    if devices is None or read_record(context, SP_DEVINFO_DATA, address) is None:
        return FALSE
    if index >= len(devices.elements):
        return context.fail(Win32Error.ERROR_NO_MORE_ITEMS, FALSE)
    write_element(address, devices.elements[index])
    return TRUE


# -- single devices ---------------------------------------------------------------------------------------------------


def _give_element(context: Context, address: int, element: Element) -> int:
    if address:
        if read_u32(address) != DEVINFO_BYTES:
            return context.fail(Win32Error.ERROR_INVALID_USER_BUFFER, FALSE)
        write_element(address, element)
    return TRUE


@export_text("setupapi", BOOL, HANDLE, TEXT, POINTER, TEXT, HANDLE, DWORD, POINTER)
def SetupDiCreateDeviceInfo(
    context: Context,
    handle: int,
    name: str | None,
    guid: int,
    description: str | None,
    window: int,
    flags: int,
    address: int,
) -> int:
    """Make a device in a set, which plug and play knows once it is registered.

    With DICD_GENERATE_ID the name is that below ROOT, and the instance id the lowest free one; else the name is the
    instance id.
    """
    devices = find_set(context, handle)
    if devices is None:
        return FALSE
    setup_class = guid_at(guid)
    error = 0
    if not name or setup_class is None or (address and read_u32(address) != DEVINFO_BYTES):
        wrong_size = bool(name) and setup_class is not None
        error = Win32Error.ERROR_INVALID_USER_BUFFER if wrong_size else Win32Error.ERROR_INVALID_PARAMETER
    elif not is_administrator(context):
        error = Win32Error.ERROR_ACCESS_DENIED
    elif devices.setup_class not in (None, setup_class):
        error = SetupError.ERROR_CLASS_MISMATCH
    if error or name is None or setup_class is None:
        return context.fail(error, FALSE)
    tree = tree_of(context)
    separators = 0 if flags & DICD_GENERATE_ID else 2
    parts = name.split("\\")
    if len(parts) != separators + 1 or not all(parts) or len(name) + 5 > _INSTANCE_ID_MOST:
        return context.fail(SetupError.ERROR_INVALID_DEVINST_NAME, FALSE)
    instance_id = tree.generate_id(f"ROOT\\{name.upper()}") if flags & DICD_GENERATE_ID else name.upper()
    if tree.find(instance_id) is not None:
        return context.fail(SetupError.ERROR_DEVINST_ALREADY_EXISTS, FALSE)
    class_name, _ = CLASS_NAMES.get(setup_class, ("Unknown", ""))
    element = devices.add(tree.create(instance_id, setup_class, class_name, description or ""))
    return _give_element(context, address, element)


@export_text("setupapi", BOOL, HANDLE, TEXT, HANDLE, DWORD, POINTER)
def SetupDiOpenDeviceInfo(
    context: Context, handle: int, instance_id: str | None, window: int, flags: int, address: int
) -> int:
    """Put a device into a set by its instance id: ERROR_NO_SUCH_DEVINST when there is none."""
    devices = find_set(context, handle)
    if devices is None:
        return FALSE
    node = tree_of(context).find(instance_id or "")
    if node is None or not node.is_registered:
        return context.fail(SetupError.ERROR_NO_SUCH_DEVINST, FALSE)
    if devices.setup_class not in (None, class_of(node)):
        return context.fail(SetupError.ERROR_CLASS_MISMATCH, FALSE)
    return _give_element(context, address, devices.add(node))


@export("setupapi", BOOL, HANDLE, POINTER)
def SetupDiDeleteDeviceInfo(context: Context, handle: int, address: int) -> int:
    """Take a device out of a set, not off the machine."""
    devices, element = find_set(context, handle), find_element(context, handle, address, must_exist=False)
    if devices is None or element is None:
        return FALSE
    devices.elements.remove(element)
    if element in devices.interfaces:
        devices.interfaces.remove(element)
    if devices.selected is element:
        devices.selected = None
    _discard(context, element.node)
    return TRUE


@export("setupapi", BOOL, HANDLE, POINTER)
def SetupDiSetSelectedDevice(context: Context, handle: int, address: int) -> int:
    """Select a device of a set, for installers."""
    devices, element = find_set(context, handle), find_element(context, handle, address)
    if devices is None or element is None:
        return FALSE
    devices.selected = element
    return TRUE


@export("setupapi", BOOL, HANDLE, POINTER)
def SetupDiGetSelectedDevice(context: Context, handle: int, address: int) -> int:
    """The selected device of a set."""
    devices = find_set(context, handle)
    if devices is None or read_record(context, SP_DEVINFO_DATA, address) is None:
        return FALSE
    if devices.selected is None:
        return context.fail(SetupError.ERROR_NO_DEVICE_SELECTED, FALSE)
    write_element(address, devices.selected)
    return TRUE


# -- interfaces -------------------------------------------------------------------------------------------------------


@export("setupapi", BOOL, HANDLE, POINTER, POINTER, DWORD, POINTER)
def SetupDiEnumDeviceInterfaces(context: Context, handle: int, device: int, guid: int, index: int, address: int) -> int:
    """An interface of the devices of a set that was made with DIGCF_DEVICEINTERFACE: 259 after the last one."""
    devices = find_set(context, handle)
    if devices is None or read_record(context, SP_DEVICE_INTERFACE_DATA, address) is None:
        return FALSE
    wanted = guid_at(guid)
    if wanted is None:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    found = devices.interfaces if wanted == INTERFACE_CLASS else []
    if device:
        only = find_element(context, handle, device)
        if only is None:
            return FALSE
        found = [element for element in found if element is only]
    if index >= len(found):
        return context.fail(Win32Error.ERROR_NO_MORE_ITEMS, FALSE)
    element = found[index]
    record = SP_DEVICE_INTERFACE_DATA(ctypes.sizeof(SP_DEVICE_INTERFACE_DATA), Reserved=element.mark)
    record.InterfaceClassGuid[:] = INTERFACE_CLASS.bytes_le
    record.Flags = SPINT_ACTIVE if element.node.is_started else 0
    write_bytes(address, bytes(record))
    return TRUE


@export_forms("setupapi", BOOL, HANDLE, POINTER, POINTER, DWORD, POINTER, POINTER)
def SetupDiGetDeviceInterfaceDetail(
    context: Context, form: Characters, handle: int, interface: int, detail: int, size: int, required: int, device: int
) -> int:
    """The path of an interface: 122 with the bytes required when the buffer is short."""
    devices = find_set(context, handle)
    if devices is None:
        return FALSE
    record = read_record(context, SP_DEVICE_INTERFACE_DATA, interface)
    if record is None:
        return FALSE
    element = next((item for item in devices.interfaces if item.mark == record.Reserved), None)
    if element is None or element.node.device is None:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    if detail and read_u32(detail) != INTERFACE_DETAIL_BYTES:
        return context.fail(Win32Error.ERROR_INVALID_USER_BUFFER, FALSE)
    path = form.encode(element.node.device.interface_path) + bytes(form.unit)
    needed = INTERFACE_DETAIL_PATH + len(path)
    if required:
        write_u32(required, needed)
    if device and not _give_element(context, device, element):
        return FALSE
    if not detail or size < needed:
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
    write_bytes(detail + INTERFACE_DETAIL_PATH, path)
    return TRUE
