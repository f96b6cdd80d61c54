"""Device nodes: what is installed, started, disabled or removed; plug and play's side of adapters (driver §6.4, §7.1).

A node's properties are values of its key in the registry; nothing is kept twice. Orderly requests (disable, remove,
restart) are refused while handles to the device are open, and then wait for a restart of the computer, which never
comes here; a removal by surprise is not refused.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

from wintun_model.dispatch import remove
from wintun_model.operations import Event
from wintunsim.kernel.adapter_keys import (
    AdapterKeys,
    braced,
    class_key,
    create_driver_key,
    free_connection_name,
    package_of,
    write_adapter_keys,
)
from wintunsim.kernel.devices import AdapterDevice, luid_index
from wintunsim.kernel.registry import ADMINISTRATORS, Key, Registry

if TYPE_CHECKING:
    from wintunsim.kernel.system import System

ENUMERATOR = "ROOT\\NET"
"""Where network adapters that no bus reports are enumerated."""

CONFIGFLAG_DISABLED = 1


class Problem(IntEnum):
    """Why a device does not run (CM_PROB_…); 0 for none."""

    NONE = 0
    NOT_CONFIGURED = 1
    FAILED_START = 10
    DISABLED = 22


class NodeStatus(IntFlag):
    """The status bits of a device node (DN_…)."""

    ROOT_ENUMERATED = 0x1
    DRIVER_LOADED = 0x2
    STARTED = 0x8
    NEED_RESTART = 0x100
    HAS_PROBLEM = 0x400
    DISABLEABLE = 0x2000
    WILL_BE_REMOVED = 0x40000
    NT_ENUMERATOR = 0x800000
    NT_DRIVER = 0x1000000


class DeviceNode:
    """A device node. `key` holds its properties; `device` is its adapter once a driver is installed.

    A node that is not registered yet is one that only its creator knows.
    """

    def __init__(self, number: int, instance_id: str, key: Key) -> None:
        self.number = number
        self.instance_id = instance_id
        self.key = key
        self.device: AdapterDevice | None = None
        self.problem = Problem.NOT_CONFIGURED
        self.is_registered = False
        self.is_gone = False
        self.needs_restart = False
        """An orderly request was refused, and has its effect when the computer restarts."""
        self.will_be_removed = False

    @property
    def is_started(self) -> bool:
        """Whether the device runs."""
        return self.device is not None and self.device.is_present

    @property
    def is_disabled(self) -> bool:
        """Whether somebody disabled the device, perhaps with effect from the next restart only."""
        return bool(self.key.number("ConfigFlags") & CONFIGFLAG_DISABLED)

    @is_disabled.setter
    def is_disabled(self, value: bool) -> None:
        """Note it in the registry, which decides at the next start."""
        flags = self.key.number("ConfigFlags") & ~CONFIGFLAG_DISABLED
        self.key.set_number("ConfigFlags", flags | (CONFIGFLAG_DISABLED if value else 0))

    @property
    def status(self) -> NodeStatus:
        """The status bits."""
        status = NodeStatus.ROOT_ENUMERATED | NodeStatus.DISABLEABLE | NodeStatus.NT_ENUMERATOR
        if self.is_started:
            status |= NodeStatus.STARTED | NodeStatus.DRIVER_LOADED | NodeStatus.NT_DRIVER
        if self.problem:
            status |= NodeStatus.HAS_PROBLEM
        if self.needs_restart:
            status |= NodeStatus.NEED_RESTART
        if self.will_be_removed:
            status |= NodeStatus.WILL_BE_REMOVED
        return status

    def __repr__(self) -> str:
        return f"DeviceNode({self.instance_id})"


class DeviceTree:
    """All device nodes of one machine, in the order of their creation, and the driver package in its store."""

    def __init__(self, system: System, registry: Registry) -> None:
        self.system = system
        self.registry = registry
        self.nodes: list[DeviceNode] = []
        self.package = package_of(system.driver.revision)
        self.is_package_in_store = True
        """Whether the driver can be installed on a device; an installer has put it there before the run."""
        self.nodes_made = 0
        self._is_acting = False
        self._idle = Event("plug and play is idle", manual_reset=True, signalled=True)
        class_key(registry)

    # -- nodes ------------------------------------------------------------------------------------------------------

    def find(self, instance_id: str) -> DeviceNode | None:
        """The node with that device instance id, compared without case; registered or not."""
        wanted = instance_id.lower()
        return next((node for node in self.nodes if node.instance_id.lower() == wanted), None)

    def generate_id(self, enumerator: str) -> str:
        """The lowest free instance id of an enumerator."""
        number = 0
        while self.find(f"{enumerator}\\{number:04d}") is not None:
            number += 1
        return f"{enumerator}\\{number:04d}"

    def create(self, instance_id: str, setup_class: uuid.UUID, class_name: str, description: str) -> DeviceNode:
        """Make a node that is not registered yet."""
        self.nodes_made += 1
        key = self.registry.control_set.create(f"Enum\\{instance_id}")
        node = DeviceNode(1 + self.nodes_made, instance_id, key)
        key.set_text("ClassGUID", f"{{{setup_class}}}")
        key.set_text("Class", class_name)
        if description:
            key.set_text("DeviceDesc", description)
        key.set_number("ConfigFlags", 0)
        self.nodes.append(node)
        return node

    def register(self, node: DeviceNode) -> None:
        """Make a node known to plug and play."""
        node.is_registered = True
        node.key.create("Device Parameters").writers = ADMINISTRATORS

    def forget(self, node: DeviceNode) -> None:
        """Take a node out of the tree, with all that the registry has of it."""
        node.is_gone = True
        self.nodes.remove(node)
        if node.device is not None:
            node.device.keys.delete()
        else:
            driver = self.driver_key(node)
            if driver is not None:
                driver.delete()
        node.key.delete()

    def driver_key(self, node: DeviceNode, *, create: bool = False) -> Key | None:
        """The key of a node's driver, below its class; None when it has none and none is to be made."""
        path = node.key.text("Driver")
        key = self.registry.control_set.find(f"Control\\Class\\{path}") if path else None
        if key is None and create:
            key = create_driver_key(self.registry)
            assert key.parent is not None
            node.key.set_text("Driver", f"{key.parent.name}\\{key.name}")
        return key

    # -- installing -------------------------------------------------------------------------------------------------

    def matches(self, node: DeviceNode) -> bool:
        """Whether the driver in the store is one for this device: by its hardware ids, without case."""
        wanted = self.package.hardware_id.lower()
        ids = node.key.texts("HardwareID") + node.key.texts("CompatibleIDs")
        return self.is_package_in_store and any(text.lower() == wanted for text in ids)

    def install(self, node: DeviceNode, *, name: str = "", guid: uuid.UUID | None = None) -> AdapterDevice:
        """Put the driver on a node: its adapter, which does not run yet.

        A name that is not given is Windows' own; a GUID that is not given is what the driver key asks for
        (`NetSetupAnticipatedInstanceId`), else one from the seed.
        """
        system, package = self.system, self.package
        driver = self.driver_key(node, create=True)
        assert driver is not None
        guid = guid or _anticipated_guid(driver) or system.draw_guid()
        number = system.next_adapter_number()
        keys: AdapterKeys = write_adapter_keys(
            self.registry,
            driver,
            package,
            guid=guid,
            luid_index=luid_index(number),
            name=name or free_connection_name(self.registry),
            node=node.instance_id,
        )
        if node.key.text("DeviceDesc") is None:
            node.key.set_text("DeviceDesc", package.description)
        node.key.set_text("Mfg", package.provider)
        node.key.set_text("Service", package.service)
        node.device = AdapterDevice(system, node, keys, number, guid)
        system.device_made(node.device)
        return node.device

    def install_driver(self, node: DeviceNode) -> bool:
        """Put the driver on a node and start it; one that has it is restarted. False when handles are open then."""
        with self._acting():
            if node.device is None:
                self.install(node)
            elif not self._stop(node):
                return False
            self._start(node)
            return True

    def started(self, node: DeviceNode, status: int) -> None:
        """The start of a node's device came to `status`: 0, or why it failed."""
        assert node.device is not None
        node.problem = Problem.FAILED_START if status else Problem.NONE
        if not status:
            self.system.device_started(node.device)

    # -- starting, stopping, removing -------------------------------------------------------------------------------

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """Plug and play does one thing after the other: the current thread waits for its turn."""
        machine = self.system.machine
        while self._is_acting:
            machine.wait((self._idle,))
        self._is_acting = True
        machine.clear_event(self._idle)
        try:
            yield
        finally:
            self._is_acting = False
            machine.set_event(self._idle)

    def start(self, node: DeviceNode) -> None:
        """Start a device that has a driver, unless it runs or is disabled. `problem` tells what came of it."""
        with self._acting():
            self._start(node)

    def _start(self, node: DeviceNode) -> None:
        device = node.device
        if device is None or node.is_started or node.is_gone:
            return
        if node.is_disabled:
            node.problem = Problem.DISABLED
            return
        self.started(node, device.port.start())

    def enable(self, node: DeviceNode) -> None:
        """Enable a device, and start it. `problem` tells what came of it."""
        with self._acting():
            node.is_disabled = node.needs_restart = False
            if node.device is None:
                node.problem = Problem.NOT_CONFIGURED
            self._start(node)

    def disable(self, node: DeviceNode) -> bool:
        """Disable a device. False when handles are open: then it runs on, and is disabled from the next restart on."""
        with self._acting():
            node.is_disabled = True
            if not self._stop(node):
                return False
            node.problem = Problem.DISABLED
            return True

    def restart(self, node: DeviceNode) -> bool:
        """Stop a device and start it again, as after a change of its properties. False when handles are open."""
        with self._acting():
            if not self._stop(node):
                return False
            self._start(node)
            return True

    def remove(self, node: DeviceNode) -> bool:
        """Remove a device in order. False when handles are open: then it runs on, and goes at the next restart."""
        with self._acting():
            if node.is_gone:
                return True
            if not self._stop(node):
                node.will_be_removed = True
                return False
            self.forget(node)
            return True

    def _stop(self, node: DeviceNode) -> bool:
        """Stop a device in order, if it runs: ask first, which 0.14 answers by closing its owner's handles (driver §9).

        False when handles are open after that (driver §7.1).
        """
        device = node.device
        if device is None or not node.is_started or node.is_gone:
            return True
        device.is_removal_pending = True
        self.system.executor.request(remove(device.adapter))
        device.is_removal_pending = False
        if node.is_gone:
            return True
        if device.files:
            node.needs_restart = True
            return False
        node.needs_restart = False
        self.system.device_stopped(device)
        device.port.stop()
        return True

    def remove_by_surprise(self, node: DeviceNode) -> None:
        """Take a device off the machine as if it were pulled out: its registration ends, open handles stay.

        The owner's handles are closed before, from 0.14 on (driver §9); then the miniport is paused and halted (§7,
        §6.4), which waits for NBLs that are out.
        """
        if node.is_gone:
            return
        self.forget(node)
        device = node.device
        if device is not None and device.is_present:
            self.system.device_stopped(device)
            self.system.executor.request(remove(device.adapter))
            device.port.stop()


def _anticipated_guid(driver: Key) -> uuid.UUID | None:
    text = driver.text("NetSetupAnticipatedInstanceId") or ""
    try:
        wanted = uuid.UUID(text)
    except ValueError:
        return None
    return wanted if braced(wanted) == text.upper() else None
