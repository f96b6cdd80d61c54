"""What devices are: instance ids, properties, registry keys, setup classes: setupapi (spec win32 §4)."""

from __future__ import annotations

import struct

from wintun_model.status import Win32Error
from wintunsim.kernel.device_tree import DeviceNode
from wintunsim.kernel.registry import Key, ValueType
from wintunsim.win32.buffers import Characters, read_bytes, wide, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.device_records import (
    DICS_FLAG_GLOBAL,
    DIREG_DEV,
    DIREG_DRV,
    SPDRP_CAPABILITIES,
    SPDRP_CLASS,
    SPDRP_CLASSGUID,
    SPDRP_COMPATIBLEIDS,
    SPDRP_CONFIGFLAGS,
    SPDRP_DEVICEDESC,
    SPDRP_DRIVER,
    SPDRP_ENUMERATOR_NAME,
    SPDRP_FRIENDLYNAME,
    SPDRP_HARDWAREID,
    SPDRP_INSTALL_STATE,
    SPDRP_LOCATION_INFORMATION,
    SPDRP_LOWERFILTERS,
    SPDRP_MAXIMUM_PROPERTY,
    SPDRP_MFG,
    SPDRP_PHYSICAL_DEVICE_OBJECT_NAME,
    SPDRP_SERVICE,
    SPDRP_UI_NUMBER,
    SPDRP_UPPERFILTERS,
    SetupError,
)
from wintunsim.win32.device_sets import class_of, find_element, tree_of
from wintunsim.win32.exports import export, export_forms, export_text
from wintunsim.win32.registry import KEY_ALL_ACCESS, open_key
from wintunsim.win32.setup_sets import CLASS_NAMES, guid_at
from wintunsim.win32.shell import is_administrator
from wintunsim.win32.types import BOOL, DWORD, FALSE, FILE_HANDLE, HANDLE, INVALID_HANDLE_VALUE, POINTER, TEXT, TRUE

_SZ, _MULTI_SZ, _DWORD = ValueType.REG_SZ, ValueType.REG_MULTI_SZ, ValueType.REG_DWORD

_STORED: dict[int, tuple[str, ValueType]] = {
    SPDRP_DEVICEDESC: ("DeviceDesc", _SZ),
    SPDRP_HARDWAREID: ("HardwareID", _MULTI_SZ),
    SPDRP_COMPATIBLEIDS: ("CompatibleIDs", _MULTI_SZ),
    SPDRP_SERVICE: ("Service", _SZ),
    SPDRP_CLASS: ("Class", _SZ),
    SPDRP_CLASSGUID: ("ClassGUID", _SZ),
    SPDRP_DRIVER: ("Driver", _SZ),
    SPDRP_CONFIGFLAGS: ("ConfigFlags", _DWORD),
    SPDRP_MFG: ("Mfg", _SZ),
    SPDRP_FRIENDLYNAME: ("FriendlyName", _SZ),
    SPDRP_LOCATION_INFORMATION: ("LocationInformation", _SZ),
    SPDRP_CAPABILITIES: ("Capabilities", _DWORD),
    SPDRP_UI_NUMBER: ("UINumber", _DWORD),
    SPDRP_UPPERFILTERS: ("UpperFilters", _MULTI_SZ),
    SPDRP_LOWERFILTERS: ("LowerFilters", _MULTI_SZ),
}
"""Properties that are values of a device's key, by their number."""

_READ_ONLY = (SPDRP_CLASS, SPDRP_CAPABILITIES, SPDRP_UI_NUMBER)
_INSTALLED, _FAILED_INSTALL = 0, 2
_FIRST_OBJECT = 0x40


def _property(node: DeviceNode, number: int) -> tuple[int, bytes] | None:
    """(type, bytes) of a property; None when the device has none."""
    if number in _STORED:
        value = node.key.get(_STORED[number][0])
        return None if value is None else (value.kind, value.data)
    if number == SPDRP_ENUMERATOR_NAME:
        return _SZ, wide(node.instance_id.split("\\", 1)[0] + "\0")
    if number == SPDRP_INSTALL_STATE:
        return _DWORD, struct.pack("<I", _FAILED_INSTALL if node.device is None else _INSTALLED)
    if number == SPDRP_PHYSICAL_DEVICE_OBJECT_NAME and node.is_registered:
        return _SZ, wide(f"\\Device\\{_FIRST_OBJECT + node.number:08x}\0")
    return None


@export_forms("setupapi", BOOL, HANDLE, POINTER, POINTER, DWORD, POINTER)
def SetupDiGetDeviceInstanceId(
    context: Context, form: Characters, handle: int, device: int, buffer: int, size: int, required: int
) -> int:
    """A device's instance id: 122 when the buffer is short; sizes in characters with the NUL."""
    element = find_element(context, handle, device)
    if element is None:
        return FALSE
    data = form.encode(element.node.instance_id) + bytes(form.unit)
    needed = len(data) // form.unit
    if required:
        write_u32(required, needed)
    if not buffer or size < needed:
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
    write_bytes(buffer, data)
    return TRUE


@export_forms("setupapi", BOOL, HANDLE, POINTER, DWORD, POINTER, POINTER, DWORD, POINTER)
def SetupDiGetDeviceRegistryProperty(
    context: Context,
    form: Characters,
    handle: int,
    device: int,
    number: int,
    type_address: int,
    buffer: int,
    size: int,
    required: int,
) -> int:
    """A property of a device: 13 when it has none, 122 when the buffer is short; sizes in bytes."""
    element = find_element(context, handle, device)
    if element is None:
        return FALSE
    if number >= SPDRP_MAXIMUM_PROPERTY:
        return context.fail(SetupError.ERROR_INVALID_REG_PROPERTY, FALSE)
    found = _property(element.node, number)
    if found is None:
        return context.fail(Win32Error.ERROR_INVALID_DATA, FALSE)
    kind, data = found
    if kind in (_SZ, _MULTI_SZ):
        data = form.convert(data)
    if type_address:
        write_u32(type_address, kind)
    if required:
        write_u32(required, len(data))
    if not buffer or size < len(data):
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
    write_bytes(buffer, data)
    return TRUE


@export_forms("setupapi", BOOL, HANDLE, POINTER, DWORD, POINTER, DWORD)
def SetupDiSetDeviceRegistryProperty(
    context: Context, form: Characters, handle: int, device: int, number: int, buffer: int, size: int
) -> int:
    """Set a property of a device, or without a buffer drop it; ERROR_INVALID_REG_PROPERTY for one that is fixed."""
    element = find_element(context, handle, device)
    if element is None:
        return FALSE
    if number not in _STORED or number in _READ_ONLY:
        return context.fail(SetupError.ERROR_INVALID_REG_PROPERTY, FALSE)
    if not is_administrator(context):
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, FALSE)
    name, kind = _STORED[number]
    if not buffer:
        element.node.key.remove(name)
        return TRUE
    data = read_bytes(buffer, size)
    if kind == _DWORD and len(data) != 4:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    if kind != _DWORD and form.unit == 1:
        data = wide(data.decode(form.encoding, "replace"))
    element.node.key.set(name, kind, data)
    element.setup_class = class_of(element.node)
    return TRUE


# -- keys -------------------------------------------------------------------------------------------------------------


def _device_key(context: Context, handle: int, device: int, scope: int, kind: int, *, create: bool) -> Key | None:
    """A device's own key, or that of its driver; None after setting the last error."""
    element = find_element(context, handle, device)
    if element is None:
        return None
    if scope != DICS_FLAG_GLOBAL or kind not in (DIREG_DEV, DIREG_DRV):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, None)
    node = element.node
    if not node.is_registered:
        return context.fail(SetupError.ERROR_DEVINFO_NOT_REGISTERED, None)
    if create and not is_administrator(context):
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, None)
    if kind == DIREG_DRV:
        key = tree_of(context).driver_key(node, create=create)
    else:
        key = node.key.find("Device Parameters")
    return key if key is not None else context.fail(SetupError.ERROR_KEY_DOES_NOT_EXIST, None)


@export("setupapi", FILE_HANDLE, HANDLE, POINTER, DWORD, DWORD, DWORD, DWORD)
def SetupDiOpenDevRegKey(
    context: Context, handle: int, device: int, scope: int, profile: int, kind: int, access: int
) -> int:
    """Open a device's own key (DIREG_DEV) or its driver's (DIREG_DRV): ERROR_KEY_DOES_NOT_EXIST for none."""
    key = _device_key(context, handle, device, scope, kind, create=False)
    if key is None:
        return INVALID_HANDLE_VALUE
    error, opened = open_key(context, key, access)
    return context.fail(error, INVALID_HANDLE_VALUE) if error else opened


@export_text("setupapi", FILE_HANDLE, HANDLE, POINTER, DWORD, DWORD, DWORD, HANDLE, TEXT)
def SetupDiCreateDevRegKey(
    context: Context, handle: int, device: int, scope: int, profile: int, kind: int, inf: int, section: str | None
) -> int:
    """As `SetupDiOpenDevRegKey` for all access, the key made if it is not there. An INF is not looked at."""
    key = _device_key(context, handle, device, scope, kind, create=True)
    if key is None:
        return INVALID_HANDLE_VALUE
    error, opened = open_key(context, key, KEY_ALL_ACCESS)
    return context.fail(error, INVALID_HANDLE_VALUE) if error else opened


@export("setupapi", FILE_HANDLE, POINTER, DWORD)
def SetupDiOpenClassRegKey(context: Context, guid: int, access: int) -> int:
    """Open the key of a setup class, or of all: ERROR_INVALID_CLASS for one that is not there."""
    wanted = guid_at(guid)
    path = "Control\\Class" + (f"\\{{{wanted}}}" if wanted else "")
    key = context.system.registry.control_set.find(path)
    if key is None:
        return context.fail(SetupError.ERROR_INVALID_CLASS, INVALID_HANDLE_VALUE)
    error, opened = open_key(context, key, access)
    return context.fail(error, INVALID_HANDLE_VALUE) if error else opened


# -- classes ----------------------------------------------------------------------------------------------------------


def _give_class_text(
    context: Context, form: Characters, guid: int, buffer: int, size: int, required: int, which: int
) -> int:
    wanted = guid_at(guid)
    known = CLASS_NAMES.get(wanted) if wanted else None
    if known is None:
        return context.fail(SetupError.ERROR_INVALID_CLASS, FALSE)
    data = form.encode(known[which]) + bytes(form.unit)
    needed = len(data) // form.unit
    if required:
        write_u32(required, needed)
    if not buffer or size < needed:
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
    write_bytes(buffer, data)
    return TRUE


@export_forms("setupapi", BOOL, POINTER, POINTER, DWORD, POINTER)
def SetupDiClassNameFromGuid(
    context: Context, form: Characters, guid: int, buffer: int, size: int, required: int
) -> int:
    """The name of a setup class; sizes in characters with the NUL."""
    return _give_class_text(context, form, guid, buffer, size, required, 0)


@export_forms("setupapi", BOOL, POINTER, POINTER, DWORD, POINTER, TEXT, POINTER)
def SetupDiClassNameFromGuidEx(
    context: Context, form: Characters, guid: int, buffer: int, size: int, required: int, machine: str | None, _: int
) -> int:
    """As `SetupDiClassNameFromGuid`; the machine is this one."""
    return _give_class_text(context, form, guid, buffer, size, required, 0)


@export_forms("setupapi", BOOL, POINTER, POINTER, DWORD, POINTER)
def SetupDiGetClassDescription(
    context: Context, form: Characters, guid: int, buffer: int, size: int, required: int
) -> int:
    """What a setup class is called; sizes in characters with the NUL."""
    return _give_class_text(context, form, guid, buffer, size, required, 1)


@export_text("setupapi", BOOL, TEXT, POINTER, DWORD, POINTER)
def SetupDiClassGuidsFromName(context: Context, name: str | None, guids: int, size: int, required: int) -> int:
    """The GUIDs of the setup classes of that name: 122 when the array is short."""
    found = [guid for guid, (known, _) in CLASS_NAMES.items() if known.lower() == (name or "").lower()]
    if not required or (size and not guids):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    write_u32(required, len(found))
    if size < len(found):
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
    if found:
        write_bytes(guids, b"".join(guid.bytes_le for guid in found))
    return TRUE
