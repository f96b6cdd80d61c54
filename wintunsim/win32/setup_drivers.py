"""Lists of drivers for a device: setupapi (spec win32 §4). The store holds one package or none: the driver's."""

from __future__ import annotations

import ctypes

from wintun_model.status import Win32Error
from wintunsim.kernel.adapter_keys import DriverPackage
from wintunsim.win32.buffers import Characters, read_bytes, read_u32, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.device_records import (
    DI_DIDCLASS,
    DI_DIDCOMPAT,
    SPDIT_CLASSDRIVER,
    SPDIT_COMPATDRIVER,
    SetupError,
    forms,
)
from wintunsim.win32.device_sets import Element, InstallState, find_state, tree_of, write_element
from wintunsim.win32.exports import export, export_forms
from wintunsim.win32.types import BOOL, DWORD, FALSE, HANDLE, POINTER, TRUE

_MARK = 0x0000_01A4_0000_0010
_INF_FOLDER = "C:\\Windows\\INF\\"


def _filetime(date: str) -> tuple[int, int]:
    """The low and high half of a day's FILETIME: 100 ns units since 1601."""
    year, month, day = (int(part) for part in date.split("-"))
    # Years begin in March here, so that a leap day is the last of its year.
    since_march, year = (month - 3, year) if month > 2 else (month + 9, year - 1)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * since_march + 2) // 5 + day - 584_695
    value = days * 864_000_000_000
    return value & 0xFFFFFFFF, value >> 32


def list_drivers(context: Context, state: InstallState, kind: int) -> None:
    """Make the list of drivers: those that fit the device, or all of its class."""
    tree = tree_of(context)
    if kind == SPDIT_COMPATDRIVER:
        fits = isinstance(state, Element) and tree.matches(state.node)
        state.flags |= DI_DIDCOMPAT
    else:
        fits = tree.is_package_in_store
        state.flags |= DI_DIDCLASS
    state.drivers = int(fits)


@export("setupapi", BOOL, HANDLE, POINTER, DWORD)
def SetupDiBuildDriverInfoList(context: Context, handle: int, device: int, kind: int) -> int:
    """Look for drivers in the store: those for a device by its hardware ids (2), or all of the class (1)."""
    state = find_state(context, handle, device)
    if state is None:
        return FALSE
    is_known = kind in (SPDIT_CLASSDRIVER, SPDIT_COMPATDRIVER)
    if not is_known or (kind == SPDIT_COMPATDRIVER and not isinstance(state, Element)):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    list_drivers(context, state, kind)
    if device and isinstance(state, Element):
        write_element(device, state)
    return TRUE


@export("setupapi", BOOL, HANDLE, POINTER, DWORD)
def SetupDiDestroyDriverInfoList(context: Context, handle: int, device: int, kind: int) -> int:
    """Let the list go, and what is selected in it."""
    state = find_state(context, handle, device)
    if state is None:
        return FALSE
    state.drivers = None
    state.is_driver_selected = False
    state.flags &= ~(DI_DIDCOMPAT | DI_DIDCLASS)
    return TRUE


def _fixed(form: Characters, text: str, room: int) -> bytes:
    data = form.encode(text)[: room - form.unit]
    return data + bytes(room - len(data))


def _write_driver(context: Context, form: Characters, package: DriverPackage, kind: int, address: int) -> int:
    """Fill an SP_DRVINFO_DATA of either version."""
    layout = forms(form).driver_data
    size = read_u32(address)
    if size not in (ctypes.sizeof(layout), layout.DriverDate.offset):
        return context.fail(Win32Error.ERROR_INVALID_USER_BUFFER, FALSE)
    record = layout(size, kind, _MARK)
    for field, text in (
        ("Description", package.description),
        ("MfgName", package.provider),
        ("ProviderName", package.provider),
    ):
        getattr(record, field)[:] = _fixed(form, text, len(getattr(record, field)))
    record.DriverDate[:] = _filetime(package.date)
    major, minor, patch, build = package.version
    record.DriverVersion = major << 48 | minor << 32 | patch << 16 | build
    write_bytes(address, bytes(record)[:size])
    return TRUE


@export_forms("setupapi", BOOL, HANDLE, POINTER, DWORD, DWORD, POINTER)
def SetupDiEnumDriverInfo(
    context: Context, form: Characters, handle: int, device: int, kind: int, index: int, address: int
) -> int:
    """A driver of the list: 259 after the last one."""
    state = find_state(context, handle, device)
    if state is None:
        return FALSE
    if index >= (state.drivers or 0):
        return context.fail(Win32Error.ERROR_NO_MORE_ITEMS, FALSE)
    return _write_driver(context, form, tree_of(context).package, kind, address)


def _is_driver(context: Context, form: Characters, state: InstallState, address: int) -> bool:
    """Whether a record names a driver of the list; else the last error says 1784 or 87."""
    layout = forms(form).driver_data
    size = read_u32(address)
    if size not in (ctypes.sizeof(layout), layout.DriverDate.offset):
        return context.fail(Win32Error.ERROR_INVALID_USER_BUFFER, False)
    mark = int.from_bytes(read_bytes(address + layout.Reserved.offset, 8), "little")
    if not state.drivers or mark != _MARK:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, False)
    return True


@export_forms("setupapi", BOOL, HANDLE, POINTER, POINTER)
def SetupDiSetSelectedDriver(context: Context, form: Characters, handle: int, device: int, address: int) -> int:
    """Select a driver of the list, which DIF_INSTALLDEVICE installs; null: none."""
    state = find_state(context, handle, device)
    if state is None or (address and not _is_driver(context, form, state, address)):
        return FALSE
    state.is_driver_selected = bool(address)
    return TRUE


@export_forms("setupapi", BOOL, HANDLE, POINTER, POINTER)
def SetupDiGetSelectedDriver(context: Context, form: Characters, handle: int, device: int, address: int) -> int:
    """The selected driver: ERROR_NO_DRIVER_SELECTED for none."""
    state = find_state(context, handle, device)
    if state is None:
        return FALSE
    if not state.is_driver_selected:
        return context.fail(SetupError.ERROR_NO_DRIVER_SELECTED, FALSE)
    return _write_driver(context, form, tree_of(context).package, SPDIT_COMPATDRIVER, address)


@export_forms("setupapi", BOOL, HANDLE, POINTER, POINTER, POINTER, DWORD, POINTER)
def SetupDiGetDriverInfoDetail(
    context: Context, form: Characters, handle: int, device: int, driver: int, detail: int, size: int, required: int
) -> int:
    """Where a driver comes from and what it is for: 122 with the bytes required when the buffer is short."""
    state = find_state(context, handle, device)
    if state is None or (driver and not _is_driver(context, form, state, driver)):
        return FALSE
    if not driver and not state.is_driver_selected:
        return context.fail(SetupError.ERROR_NO_DRIVER_SELECTED, FALSE)
    package = tree_of(context).package
    layout = forms(form).driver_detail
    ids = form.encode(package.hardware_id) + bytes(2 * form.unit)
    needed = layout.HardwareID.offset + len(ids)
    if required:
        write_u32(required, needed)
    if detail and (size < ctypes.sizeof(layout) or read_u32(detail) != ctypes.sizeof(layout)):
        return context.fail(Win32Error.ERROR_INVALID_USER_BUFFER, FALSE)
    if not detail:
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
    record = layout(ctypes.sizeof(layout))
    record.InfDate[:] = _filetime(package.date)
    for field, text in (
        ("SectionName", package.section),
        ("InfFileName", _INF_FOLDER + package.inf),
        ("DrvDescription", package.description),
    ):
        getattr(record, field)[:] = _fixed(form, text, len(getattr(record, field)))
    whole = bytes(record)[: layout.HardwareID.offset] + ids
    write_bytes(detail, whole[:size])
    return TRUE if needed <= size else context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
