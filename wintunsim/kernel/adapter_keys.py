"""What the registry holds of a network adapter: its driver key, its connection, its IP parameters (spec win32 §4)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from wintun_model.revision import Revision
from wintunsim.kernel.registry import SYSTEM_ONLY, Key, Registry

NET_CLASS = uuid.UUID("4d36e972-e325-11ce-bfc1-08002be10318")
"""The setup class of network adapters."""

IF_TYPE_PROP_VIRTUAL = 53
_MEDIUM_IP = 19
_VIRTUAL = 1
_TCPIP = "Services\\Tcpip\\Parameters"


def braced(guid: uuid.UUID) -> str:
    """A GUID as the registry spells it."""
    return f"{{{str(guid).upper()}}}"


@dataclass(frozen=True, slots=True)
class DriverPackage:
    """The driver as its INF describes it. `date` is ISO 8601, `version` four numbers."""

    date: str
    version: tuple[int, int, int, int]
    hardware_id: str = "Wintun"
    description: str = "Wintun Userspace Tunnel"
    provider: str = "WireGuard LLC"
    inf: str = "oem0.inf"
    section: str = "Wintun.Install"
    service: str = "wintun"

    @property
    def version_text(self) -> str:
        """The version with dots."""
        return ".".join(map(str, self.version))


def package_of(revision: Revision) -> DriverPackage:
    """The package of a revision; one without a number of its own has that of the driver that it reports."""
    parts = [int(part) for part in revision.name.split(".")] if "-" not in revision.name else list(revision.version)
    major, minor, patch, build = (*parts, 0, 0, 0, 0)[:4]
    return DriverPackage(revision.date, (major, minor, patch, build))


@dataclass(frozen=True, slots=True)
class AdapterKeys:
    """The keys of one adapter: the one of its driver (in its class), of its connection, and those of TCP/IP."""

    driver: Key
    connection: Key
    addressing: tuple[Key, Key]

    def delete(self) -> None:
        """Take them all out of the registry."""
        network = self.connection.parent
        assert network is not None
        for key in (self.driver, network, *self.addressing):
            key.delete()


def class_key(registry: Registry) -> Key:
    """The key of the class of network adapters, with one numbered subkey for each adapter's driver."""
    key = registry.control_set.find(f"Control\\Class\\{{{NET_CLASS}}}")
    if key is None:
        key = registry.control_set.create(f"Control\\Class\\{{{NET_CLASS}}}")
        key.set_text("Class", "Net")
        key.set_text("ClassDesc", "Network adapters")
        # What a loop over all subkeys meets on Windows: one that it may not open.
        properties = key.create("Properties")
        properties.readers = properties.writers = SYSTEM_ONLY
    return key


def network_key(registry: Registry) -> Key:
    """The key of all connections, with one subkey for each adapter's GUID."""
    return registry.control_set.create(f"Control\\Network\\{braced(NET_CLASS)}")


def create_driver_key(registry: Registry) -> Key:
    """The lowest free number of the class."""
    parent = class_key(registry)
    number = 0
    while parent.find(f"{number:04d}") is not None:
        number += 1
    return parent.create(f"{number:04d}")


def connection_names(registry: Registry) -> set[str]:
    """The names of all connections, in lower case."""
    network = network_key(registry)
    keys = (network.find(f"{name}\\Connection") for name in network.subkeys())
    return {(key.text("Name") or "").lower() for key in keys if key is not None}


def free_connection_name(registry: Registry) -> str:
    """What Windows calls a new connection that nobody named."""
    taken = connection_names(registry)
    name, number = "Local Area Connection", 1
    while name.lower() in taken:
        number += 1
        name = f"Local Area Connection {number}"
    return name


def write_adapter_keys(
    registry: Registry, driver: Key, package: DriverPackage, *, guid: uuid.UUID, luid_index: int, name: str, node: str
) -> AdapterKeys:
    """Write what the class installer does when it installs an adapter; `node` is the device instance id."""
    text = braced(guid)
    year, month, day = (int(part) for part in package.date.split("-"))
    for value, content in {
        "DriverDesc": package.description,
        "ProviderName": package.provider,
        "DriverDate": f"{month}-{day}-{year}",
        "DriverVersion": package.version_text,
        "InfPath": package.inf,
        "InfSection": package.section,
        "MatchingDeviceId": package.hardware_id.lower(),
        "ComponentId": package.hardware_id.lower(),
        "NetCfgInstanceId": text,
        "DeviceInstanceID": node,
    }.items():
        driver.set_text(value, content)
    for value, number in {
        "*IfType": IF_TYPE_PROP_VIRTUAL,
        "*MediaType": _MEDIUM_IP,
        "*PhysicalMediaType": 0,
        "Characteristics": _VIRTUAL,
        "NetLuidIndex": luid_index,
    }.items():
        driver.set_number(value, number)
    linkage = driver.create("Linkage")
    linkage.set_texts("RootDevice", [text])
    linkage.set_texts("Export", [f"\\Device\\{text}"])
    linkage.set_texts("UpperBind", ["Tcpip6", "Tcpip"])
    connection = network_key(registry).create(f"{text}\\Connection")
    connection.set_text("Name", name)
    connection.set_text("PnPInstanceID", node)
    addressing = registry.control_set.create(f"{_TCPIP}\\Adapters\\{text}")
    interface = registry.control_set.create(f"{_TCPIP}\\Interfaces\\{text}")
    interface.set_number("EnableDHCP", 1)
    addressing.set_texts("IpConfig", [f"Tcpip\\Parameters\\Interfaces\\{text}"])
    return AdapterKeys(driver, connection, (addressing, interface))
