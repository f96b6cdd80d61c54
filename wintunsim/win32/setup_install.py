"""Installing, enabling, disabling and removing devices: setupapi's class installer (spec win32 §4, driver §7.1).

An orderly change that is refused because handles are open is no error: the call succeeds, and DI_NEEDREBOOT in the
device's parameters says that it takes a restart of the computer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from wintun_model.status import Win32Error
from wintunsim.win32.buffers import Characters, read_bytes, read_u32, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.device_records import (
    DI_CLASSINSTALLPARAMS,
    DI_NEEDREBOOT,
    DICS_DISABLE,
    DICS_ENABLE,
    DICS_FLAG_CONFIGSPECIFIC,
    DICS_FLAG_GLOBAL,
    DICS_PROPCHANGE,
    DICS_START,
    DICS_STOP,
    DIF_ALLOW_INSTALL,
    DIF_FINISHINSTALL_ACTION,
    DIF_INSTALLDEVICE,
    DIF_INSTALLDEVICEFILES,
    DIF_INSTALLINTERFACES,
    DIF_PROPERTYCHANGE,
    DIF_REGISTER_COINSTALLERS,
    DIF_REGISTERDEVICE,
    DIF_REMOVE,
    DIF_SELECTBESTCOMPATDRV,
    SP_CLASSINSTALL_HEADER,
    SP_PROPCHANGE_PARAMS,
    SP_REMOVEDEVICE_PARAMS,
    SPDIT_COMPATDRIVER,
    SetupError,
    forms,
)
from wintunsim.win32.device_sets import (
    Element,
    find_element,
    find_state,
    read_record,
    tree_of,
    write_element,
)
from wintunsim.win32.exports import export, export_forms
from wintunsim.win32.setup_drivers import list_drivers
from wintunsim.win32.shell import is_administrator
from wintunsim.win32.types import BOOL, DWORD, FALSE, HANDLE, POINTER, TRUE

_HEADER_BYTES = ctypes.sizeof(SP_CLASSINSTALL_HEADER)

# -- parameters -------------------------------------------------------------------------------------------------------


@export_forms("setupapi", BOOL, HANDLE, POINTER, POINTER)
def SetupDiGetDeviceInstallParams(context: Context, form: Characters, handle: int, device: int, address: int) -> int:
    """The parameters of a device or, for a null device, of the set."""
    state = find_state(context, handle, device)
    if state is None:
        return FALSE
    record = read_record(context, forms(form).install_params, address)
    if record is None:
        return FALSE
    filled = type(record)(record.cbSize, state.flags, state.flags_extended)
    filled.DriverPath[: len(state.driver_path)] = state.driver_path
    write_bytes(address, bytes(filled))
    return TRUE


@export_forms("setupapi", BOOL, HANDLE, POINTER, POINTER)
def SetupDiSetDeviceInstallParams(context: Context, form: Characters, handle: int, device: int, address: int) -> int:
    """Set them. That there are parameters for an installer can be taken back, and not be claimed."""
    state = find_state(context, handle, device)
    if state is None:
        return FALSE
    record = read_record(context, forms(form).install_params, address)
    if record is None:
        return FALSE
    if record.Flags & DI_CLASSINSTALLPARAMS and not state.class_params:
        return context.fail(SetupError.ERROR_NO_CLASSINSTALL_PARAMS, FALSE)
    state.flags = record.Flags
    state.flags_extended = record.FlagsEx
    state.driver_path = bytes(record.DriverPath)
    return TRUE


def _is_good(function: int, data: bytes) -> bool:
    """Whether parameters are such that the installer's function can use them."""
    if function == DIF_PROPERTYCHANGE:
        if len(data) < ctypes.sizeof(SP_PROPCHANGE_PARAMS):
            return False
        change = SP_PROPCHANGE_PARAMS.from_buffer_copy(data)
        return (
            DICS_ENABLE <= change.StateChange <= DICS_STOP
            and change.Scope in (DICS_FLAG_GLOBAL, DICS_FLAG_CONFIGSPECIFIC)
            and (change.StateChange < DICS_START or change.Scope == DICS_FLAG_CONFIGSPECIFIC)
        )
    return function != DIF_REMOVE or len(data) >= ctypes.sizeof(SP_REMOVEDEVICE_PARAMS)


@export("setupapi", BOOL, HANDLE, POINTER, POINTER, DWORD, name="SetupDiSetClassInstallParamsA")
@export("setupapi", BOOL, HANDLE, POINTER, POINTER, DWORD)
def SetupDiSetClassInstallParamsW(context: Context, handle: int, device: int, address: int, size: int) -> int:
    """Set the parameters for the next call of an installer, or take them away; 87 for those that make no sense."""
    state = find_state(context, handle, device)
    if state is None:
        return FALSE
    if not address:
        if size:
            return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
        state.class_params = b""
        state.flags &= ~DI_CLASSINSTALLPARAMS
        return TRUE
    if size < _HEADER_BYTES:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    if read_u32(address) != _HEADER_BYTES:
        return context.fail(Win32Error.ERROR_INVALID_USER_BUFFER, FALSE)
    data = read_bytes(address, size)
    if not _is_good(int.from_bytes(data[4:8], "little"), data):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    state.class_params = data
    state.flags |= DI_CLASSINSTALLPARAMS
    return TRUE


@export("setupapi", BOOL, HANDLE, POINTER, POINTER, DWORD, POINTER, name="SetupDiGetClassInstallParamsA")
@export("setupapi", BOOL, HANDLE, POINTER, POINTER, DWORD, POINTER)
def SetupDiGetClassInstallParamsW(
    context: Context, handle: int, device: int, address: int, size: int, required: int
) -> int:
    """The parameters that were set: ERROR_NO_CLASSINSTALL_PARAMS for none."""
    state = find_state(context, handle, device)
    if state is None:
        return FALSE
    if not state.class_params:
        return context.fail(SetupError.ERROR_NO_CLASSINSTALL_PARAMS, FALSE)
    if required:
        write_u32(required, len(state.class_params))
    if not address or size < len(state.class_params):
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
    write_bytes(address, state.class_params)
    return TRUE


# -- what installers do -----------------------------------------------------------------------------------------------

# Each answers the Win32 error.


def _register(context: Context, element: Element) -> int:
    if not element.node.is_registered:
        tree_of(context).register(element.node)
    return 0


def _install(context: Context, element: Element) -> int:
    node, tree = element.node, tree_of(context)
    if not node.is_registered:
        return SetupError.ERROR_DEVINFO_NOT_REGISTERED
    if not element.is_driver_selected:
        return SetupError.ERROR_NO_DRIVER_SELECTED
    if not tree.install_driver(node):
        element.flags |= DI_NEEDREBOOT
    return 0


def _remove(context: Context, element: Element) -> int:
    if not tree_of(context).remove(element.node):
        element.flags |= DI_NEEDREBOOT
    return 0


def _change(context: Context, element: Element) -> int:
    node, tree = element.node, tree_of(context)
    if len(element.class_params) < ctypes.sizeof(SP_PROPCHANGE_PARAMS):
        return SetupError.ERROR_NO_CLASSINSTALL_PARAMS
    change = SP_PROPCHANGE_PARAMS.from_buffer_copy(element.class_params)
    if change.ClassInstallHeader.InstallFunction != DIF_PROPERTYCHANGE:
        return SetupError.ERROR_NO_CLASSINSTALL_PARAMS
    if not node.is_registered:
        return SetupError.ERROR_DEVINFO_NOT_REGISTERED
    is_done = True
    if change.StateChange in (DICS_ENABLE, DICS_START):
        tree.enable(node)
    elif change.StateChange == DICS_PROPCHANGE:
        is_done = tree.restart(node)
    elif change.StateChange in (DICS_DISABLE, DICS_STOP):
        is_done = tree.disable(node)
    if not is_done:
        element.flags |= DI_NEEDREBOOT
    return 0


def _select_best(context: Context, element: Element) -> int:
    list_drivers(context, element, SPDIT_COMPATDRIVER)
    element.is_driver_selected = bool(element.drivers)
    return 0 if element.drivers else SetupError.ERROR_NO_COMPAT_DRIVERS


def _nothing(context: Context, element: Element) -> int:
    """The step has no effect that could be seen here."""
    return 0


_FUNCTIONS: dict[int, Callable[[Context, Element], int]] = {
    DIF_SELECTBESTCOMPATDRV: _select_best,
    DIF_ALLOW_INSTALL: _nothing,
    DIF_REGISTERDEVICE: _register,
    DIF_INSTALLDEVICEFILES: _nothing,
    DIF_REGISTER_COINSTALLERS: _nothing,
    DIF_INSTALLINTERFACES: _nothing,
    DIF_INSTALLDEVICE: _install,
    DIF_FINISHINSTALL_ACTION: _nothing,
    DIF_PROPERTYCHANGE: _change,
    DIF_REMOVE: _remove,
}


def _call(context: Context, function: int, handle: int, device: int) -> int:
    element = find_element(context, handle, device)
    if element is None:
        return FALSE
    if not is_administrator(context):
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, FALSE)
    installer = _FUNCTIONS.get(function)
    error = SetupError.ERROR_DI_DO_DEFAULT if installer is None else installer(context, element)
    if error:
        return context.fail(error, FALSE)
    write_element(device, element)
    return TRUE


@export("setupapi", BOOL, DWORD, HANDLE, POINTER)
def SetupDiCallClassInstaller(context: Context, function: int, handle: int, device: int) -> int:
    """Have the class installer do something for a device (DIF_…): 5 without administrator rights.

    ERROR_DI_DO_DEFAULT for functions that nobody handles.
    """
    return _call(context, function, handle, device)


@export("setupapi", BOOL, HANDLE, POINTER, DWORD, POINTER, POINTER, POINTER)
def SetupDiRegisterDeviceInfo(
    context: Context, handle: int, device: int, flags: int, compare: int, parameter: int, duplicate: int
) -> int:
    """Register a device: what the installer does for DIF_REGISTERDEVICE. Duplicates are not looked for."""
    return _call(context, DIF_REGISTERDEVICE, handle, device)


@export("setupapi", BOOL, HANDLE, POINTER)
def SetupDiInstallDevice(context: Context, handle: int, device: int) -> int:
    """What the installer does for DIF_INSTALLDEVICE."""
    return _call(context, DIF_INSTALLDEVICE, handle, device)


@export("setupapi", BOOL, HANDLE, POINTER)
def SetupDiRemoveDevice(context: Context, handle: int, device: int) -> int:
    """What the installer does for DIF_REMOVE."""
    return _call(context, DIF_REMOVE, handle, device)


@export("setupapi", BOOL, HANDLE, POINTER)
def SetupDiChangeState(context: Context, handle: int, device: int) -> int:
    """What the installer does for DIF_PROPERTYCHANGE."""
    return _call(context, DIF_PROPERTYCHANGE, handle, device)
