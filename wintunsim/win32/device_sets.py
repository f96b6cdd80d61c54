"""Sets of devices: what SetupAPI keeps for a process between its calls (spec win32 §4)."""

from __future__ import annotations

import ctypes
import uuid
from typing import TypeVar

from wintun_model.status import Win32Error
from wintunsim.kernel.device_tree import DeviceNode, DeviceTree
from wintunsim.win32.buffers import read_bytes, read_u32, write_bytes
from wintunsim.win32.context import Context
from wintunsim.win32.device_records import SP_DEVINFO_DATA, SetupError
from wintunsim.win32.types import INVALID_HANDLE_VALUE

_FIRST_SET = 0x0000_01A2_0000_0100
_SET_STEP = 0x100
_FIRST_MARK = 0x0000_01A3_0000_0010
_MARK_STEP = 0x10

DEVINFO_BYTES = ctypes.sizeof(SP_DEVINFO_DATA)

R = TypeVar("R", bound=ctypes.Structure)


class InstallState:
    """What a set, or one device of it, holds for installers: DI_ flags, parameters, the list of drivers."""

    def __init__(self) -> None:
        self.flags = 0
        self.flags_extended = 0
        self.driver_path = b""
        self.class_params = b""
        """The record of `SetupDiSetClassInstallParams`, its header included; empty when there is none."""
        self.drivers: int | None = None
        """How many drivers are in the list, 1 or 0; None while there is no list."""
        self.is_driver_selected = False


class Element(InstallState):
    """A device of a set. `mark` is what tells it from the others in the client's records."""

    def __init__(self, node: DeviceNode, setup_class: uuid.UUID, mark: int) -> None:
        super().__init__()
        self.node = node
        self.setup_class = setup_class
        self.mark = mark


class DeviceSet(InstallState):
    """A set of devices, of one setup class or (None) of any. `has_interfaces`: it was made to list interfaces."""

    def __init__(self, setup_class: uuid.UUID | None) -> None:
        super().__init__()
        self.setup_class = setup_class
        self.elements: list[Element] = []
        self.selected: Element | None = None
        self.interfaces: list[Element] = []
        """The devices whose interfaces the set holds."""
        self._marks = 0

    def add(self, node: DeviceNode) -> Element:
        """Put a device into the set, unless it is there."""
        for element in self.elements:
            if element.node is node:
                return element
        setup_class = class_of(node)
        element = Element(node, setup_class, _FIRST_MARK + self._marks * _MARK_STEP)
        self._marks += 1
        self.elements.append(element)
        return element


class DeviceSets:
    """The sets of a process by handle. Handles are simulated values, and no kernel handles."""

    def __init__(self) -> None:
        self.by_handle: dict[int, DeviceSet] = {}
        self.made = 0

    def insert(self, devices: DeviceSet) -> int:
        """A handle to a new set."""
        handle = _FIRST_SET + self.made * _SET_STEP
        self.made += 1
        self.by_handle[handle] = devices
        return handle


def class_of(node: DeviceNode) -> uuid.UUID:
    """A device's setup class; the null GUID while it has none."""
    try:
        return uuid.UUID(node.key.text("ClassGUID") or "")
    except ValueError:
        return uuid.UUID(int=0)


def tree_of(context: Context) -> DeviceTree:
    """The machine's device nodes."""
    tree: DeviceTree = context.system.tree
    return tree


def find_set(context: Context, handle: int) -> DeviceSet | None:
    """The set behind a handle; None after setting error 6."""
    found = context.state(DeviceSets).by_handle.get(handle)
    if found is None or handle == INVALID_HANDLE_VALUE:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, None)
    return found


def read_record(context: Context, kind: type[R], address: int) -> R | None:
    """A record that says its own size: None after setting 87 for null, 1784 for another size."""
    if not address:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, None)
    size = ctypes.sizeof(kind)
    if read_u32(address) != size:
        return context.fail(Win32Error.ERROR_INVALID_USER_BUFFER, None)
    return kind.from_buffer_copy(read_bytes(address, size))


def find_element(context: Context, handle: int, address: int, *, must_exist: bool = True) -> Element | None:
    """The device of a set that an SP_DEVINFO_DATA names; None after setting the last error.

    6 for no set, 87 for a null pointer or a record of another set, 1784 for a wrong size, ERROR_NO_SUCH_DEVINST for a
    device that was removed meanwhile.
    """
    devices = find_set(context, handle)
    if devices is None:
        return None
    record = read_record(context, SP_DEVINFO_DATA, address)
    if record is None:
        return None
    for element in devices.elements:
        if element.mark == record.Reserved:
            if must_exist and element.node.is_gone:
                return context.fail(SetupError.ERROR_NO_SUCH_DEVINST, None)
            return element
    return context.fail(Win32Error.ERROR_INVALID_PARAMETER, None)


def find_state(context: Context, handle: int, address: int) -> InstallState | None:
    """The device that a record names or, for a null pointer, the set; None after setting the last error."""
    return find_element(context, handle, address) if address else find_set(context, handle)


def write_element(address: int, element: Element) -> None:
    """Fill an SP_DEVINFO_DATA."""
    record = SP_DEVINFO_DATA(DEVINFO_BYTES, DevInst=element.node.number, Reserved=element.mark)
    record.ClassGuid[:] = element.setup_class.bytes_le
    write_bytes(address, bytes(record))
