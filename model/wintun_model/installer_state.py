"""The machine as the installer sees and changes it: driver store, adapters, registry, component clients.

Everything here is an immutable value, so that a report can keep the state after every action.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum

ANCHOR_COMPONENT = "{B668D4C7-ABB3-485A-B8DF-D34200489A43}"
KEY_PATH = r"HKLM\SOFTWARE\Wintun"
ANCHOR_VALUE = ""
"""The default value of the key: the anchor component's key path (spec installer §1)."""
VALUE_NAMES = ("InstallerHash", "InstallerBuildtime", "Version")
"""What is recorded of the installed Wintun, in the order in which it is written."""
HARDWARE_ID = "wintun"

ERROR_SUCCESS = 0
ERROR_GEN_FAILURE = 31
ERROR_INSTALL_FAILURE = 1603
ERROR_UNKNOWN_COMPONENT = 1607
ERROR_INVALID_HANDLE_STATE = 1609
ERROR_INSTALL_FAILED = 15609


class InstallState(IntEnum):
    """States of a component, installed or asked for (spec installer §1); ``UNKNOWN``: nothing is asked for."""

    UNKNOWN = -1
    REMOVED = 1
    ABSENT = 2
    LOCAL = 3
    SOURCE = 4
    DEFAULT = 5


class RegistryType(Enum):
    """Types of registry values, by Windows' names."""

    REG_NONE = 0
    REG_SZ = 1
    REG_EXPAND_SZ = 2
    REG_BINARY = 3
    REG_DWORD = 4
    REG_MULTI_SZ = 7
    REG_QWORD = 11


@dataclass(frozen=True, slots=True)
class RegistryValue:
    """One value of the key: a text for the string types, a number for the others."""

    name: str
    type: RegistryType
    data: str | int


@dataclass(frozen=True, slots=True)
class DriverCopy:
    """One copy of the driver in the driver store, by its published name (``oem1.inf``)."""

    inf: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A network device. Absent ones are known to the system, but not there."""

    name: str
    hardware_id: str = HARDWARE_ID
    is_present: bool = True
    is_disabled: bool = False
    is_status_readable: bool = True
    handles: int = 0
    """Handles to it that other processes hold; while there are any, it can be neither disabled nor removed."""
    driver: str | None = None
    """Version of the driver that it is set up with, if any."""

    @property
    def is_started(self) -> bool:
        """Whether it keeps the driver loaded."""
        return self.is_wintun and self.is_present and not self.is_disabled and self.driver is not None

    @property
    def is_wintun(self) -> bool:
        return self.hardware_id.lower() == HARDWARE_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The state that the installer reads and changes."""

    driver_store: tuple[DriverCopy, ...] = ()
    loaded: str | None = None
    """Version of the kernel module wintun.sys that is loaded."""
    devices: tuple[Device, ...] = ()
    key: tuple[RegistryValue, ...] | None = None
    """The values of ``HKLM\\SOFTWARE\\Wintun``; None when the key is missing."""
    clients: tuple[str, ...] = ()
    """Products that hold the anchor component, in the order in which they came."""
    unload_ms: int = 0
    """How long the driver stays loaded after its last device has stopped."""
    elapsed_ms: int = 0
    """What has been waited so far."""

    def value(self, name: str) -> RegistryValue | None:
        """A value of the key; names are compared without case, as Windows does."""
        found = [value for value in self.key or () if value.name.lower() == name.lower()]
        return found[0] if found else None

    def with_value(self, value: RegistryValue) -> Machine:
        """With a value set, and the key made when it is missing."""
        names = [present.name.lower() for present in self.key or ()]
        if value.name.lower() in names:
            place = names.index(value.name.lower())
            key = tuple(value if index == place else present for index, present in enumerate(self.key or ()))
        else:
            key = (*(self.key or ()), value)
        return replace(self, key=key)

    def without_value(self, name: str) -> Machine:
        """Without a value; a key that becomes empty by that goes too, as Windows Installer does it."""
        if self.value(name) is None:
            return self
        key = tuple(value for value in self.key or () if value.name.lower() != name.lower())
        return replace(self, key=key or None)

    def with_device(self, device: Device) -> Machine:
        """With the device of that name changed."""
        devices = tuple(device if present.name == device.name else present for present in self.devices)
        return replace(self, devices=devices)

    def device(self, name: str) -> Device:
        return next(device for device in self.devices if device.name == name)

    @property
    def wintun_devices(self) -> tuple[Device, ...]:
        """The present network devices of hardware id ``wintun``."""
        return tuple(device for device in self.devices if device.is_wintun and device.is_present)

    @property
    def is_driver_in_use(self) -> bool:
        return any(device.is_started for device in self.devices)

    @property
    def is_wintun_installed(self) -> bool:
        """Whether the driver store holds the driver."""
        return bool(self.driver_store)


STEPS = {
    "find-component": "EvaluateWintun: the anchor component is not in the package",
    "read-component": "EvaluateWintun: the component's state is not readable",
    "list-devices": "the list of present network devices cannot be opened",
    "force-close": "the handles of an adapter cannot be closed (target: the adapter)",
    "disable": "an adapter cannot be disabled (target: the adapter)",
    "unload": "the driver does not unload",
    "enumerate-copies": "the enumeration of the driver store breaks off (target: before this INF)",
    "remove-copy": "a copy cannot be removed from the driver store (target: its INF)",
    "copy-inf": "the new driver cannot be put in the driver store",
    "update": "the adapters cannot be updated to the new driver",
    "enable": "an adapter cannot be enabled again (target: the adapter)",
    "remove": "an adapter cannot be removed (target: the adapter)",
    "record": "a value cannot be written to the key (target: its name)",
    "delete-key": "the key cannot be deleted",
    "action": "a standard action of the session fails (target: its name)",
}
"""What can fail, as a fault plan names it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One step that fails: everywhere, or only for one target or in one session."""

    step: str
    target: str = ""
    session: str = ""
    error: int = ERROR_GEN_FAILURE
    """The Win32 error that the step leaves; 0: it fails without one."""


@dataclass(frozen=True, slots=True)
class Faults:
    """A fault plan: which steps fail."""

    faults: tuple[Fault, ...] = ()

    def find(self, step: str, target: str = "", session: str = "") -> Fault | None:
        """The first fault for a step."""
        for fault in self.faults:
            if fault.step == step and fault.target in ("", target) and fault.session in ("", session):
                return fault
        return None
