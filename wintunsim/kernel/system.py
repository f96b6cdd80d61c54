"""A simulated computer with the Wintun driver on it: adapters, processes, named objects (design §2)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wintun_model import operations as op
from wintun_model.adapter import Adapter, Driver, ReceiveNbl, SendChain
from wintun_model.dispatch import process_exit
from wintun_model.revision import DEFAULT_REVISION, REVISIONS
from wintun_model.status import NtStatus
from wintunsim.errors import UsageError
from wintunsim.kernel.adapter_keys import NET_CLASS
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.device_tree import ENUMERATOR, DeviceTree
from wintunsim.kernel.devices import AdapterDevice, FileObject
from wintunsim.kernel.executor import Executor
from wintunsim.kernel.host import Host
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.ndis import Network, Port
from wintunsim.kernel.process import Account, Process
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.registered import RegisteredPages
from wintunsim.kernel.registry import Registry

GENERIC_READ = 0x80000000
GENERIC_WRITE = 0x40000000
GENERIC_ALL = 0x10000000
_FILE_GENERIC_READ = 0x00120089
_FILE_GENERIC_WRITE = 0x00120116
_FILE_ALL_ACCESS = 0x001F01FF

SIMULATED = tuple(REVISIONS)
"""The revisions that a computer may have."""


class System:
    """The computer. `driver` is the model's driver, `devices` its adapters that run, in the order of their creation;
    `tree` has all of them, as device nodes."""

    def __init__(
        self,
        *,
        seed: int = 0,
        revision: str = DEFAULT_REVISION,
        costs: Costs | None = None,
        engine: str = "direct",
        network: Network | None = None,
        host: Host | None = None,
        store_buffer_ns: int = 0,
        keeps_trace: bool = True,
    ) -> None:
        if revision not in SIMULATED:
            others = ", ".join(name for name in SIMULATED if name != DEFAULT_REVISION)
            raise UsageError(
                f"driver revision {revision!r} is not known: choose one of {DEFAULT_REVISION} (the default), {others}"
            )
        if host is not None and costs is not None:
            host = replace(host, costs=costs)
        if host is None or host.is_unlimited:
            self.machine = Machine(seed, host.costs if host is not None else costs, keeps_trace=keeps_trace)
        else:
            self.machine = LimitedMachine(seed, host, keeps_trace=keeps_trace)
        self.driver = Driver(REVISIONS[revision])
        self.network = network
        self.executor = Executor(self.machine, self, engine=engine, store_buffer_ns=store_buffer_ns)
        self.processes: list[Process] = []
        self.devices: list[AdapterDevice] = []
        self.all_devices: list[AdapterDevice] = []
        """Also those that are disabled, and those that were removed."""
        self.device_added: Callable[[AdapterDevice], None] = lambda device: None
        self.unheld_pages: list[RegisteredPages] = []
        """Registered pages that may go at any time, because nothing holds them."""
        self.named_objects: dict[str, Any] = {}
        self.fails: Callable[[str], bool] = lambda what: False
        """Which allocations fail: called with "NBL", "memory descriptor", "map", "thread" or, from 0.10 on,
        "partial memory descriptor"."""
        self._ports: dict[Adapter, Port] = {}
        self.registry = Registry(self.machine.time)
        self.tree = DeviceTree(self, self.registry)

    # -- processes and adapters -------------------------------------------------------------------------------------

    def create_process(self, name: str, account: Account = Account.SYSTEM) -> Process:
        """Make a process without threads; its first thread is its main thread."""
        number = len(self.processes) + 1
        process = Process(self.machine, number, name if number == 1 else f"{name} {number}", account)
        process.exit_callbacks.append(self._process_exits)
        self.processes.append(process)
        return process

    def _process_exits(self, process: Process) -> None:
        self.executor.request(process_exit(self.driver, process.process_id))

    def create_adapter(self, name: str, guid: uuid.UUID | None = None, description: str = "") -> AdapterDevice:
        """Add an adapter and start it. A GUID that is not given comes from the seed."""
        tree = self.tree
        node = tree.create(tree.generate_id(ENUMERATOR), NET_CLASS, "Net", description or tree.package.description)
        node.key.set_texts("HardwareID", [tree.package.hardware_id])
        tree.register(node)
        device = tree.install(node, name=name, guid=guid)
        # Nobody can see the miniport before it runs, so its start takes no thread and no time.
        tree.started(node, device.port.start_unseen())
        return device

    def draw_guid(self) -> uuid.UUID:
        """A GUID from the seed."""
        return uuid.UUID(bytes=self.machine.stream("kernel.adapters").take_bytes(16), version=4)

    def next_adapter_number(self) -> int:
        """How many adapters were made before."""
        return len(self.all_devices)

    def device_made(self, device: AdapterDevice) -> None:
        """There is another adapter, which does not run yet."""
        self.all_devices.append(device)
        self.device_added(device)

    def device_started(self, device: AdapterDevice) -> None:
        """An adapter runs from now on."""
        device.is_present = True
        self.devices.append(device)
        self.devices.sort(key=lambda item: item.number)

    def device_stopped(self, device: AdapterDevice) -> None:
        """An adapter is about to stop: nobody finds it any more, and its interface's settings go."""
        device.is_present = False
        self.devices.remove(device)
        device.local.clear()

    def adapter_taken(self, port: Port) -> None:
        """A port works with this adapter of the model's from now on."""
        self._ports[port.adapter] = port

    def remove_adapter(self, device: AdapterDevice) -> None:
        """Take an adapter off the machine by surprise: its registration ends, later requests find no adapter.

        The owner's handles are closed before, from 0.14 on (spec driver §9); then the miniport is paused and halted
        (§7, §6.4). Runs on the current thread, which waits for NBLs that are out.
        """
        self.tree.remove_by_surprise(device.node)

    def open_path(self, path: str, process: Process, access: int, share: int) -> tuple[int, FileObject | None]:
        """Open a device by its interface path, compared without case: (NTSTATUS, file object).

        `access` may hold generic rights. All opens share: `share` is not looked at, as for a device that is no file.
        """
        for device in self.devices:
            if device.interface_path.lower() == path.lower() and not device.is_removal_pending:
                return int(NtStatus.STATUS_SUCCESS), device.open(process, specific_access(access))
        return int(NtStatus.STATUS_OBJECT_NAME_NOT_FOUND), None

    def poll(self) -> None:
        """See what clients stored in ring words."""
        self.executor.poll()

    # -- what the driver finds around it (`Surroundings`) -----------------------------------------------------------

    def complete_send(self, adapter: Adapter, chain: SendChain) -> op.Routine[None] | None:
        """NDIS gets a chain back."""
        return self._ports[adapter].complete_send(chain)

    def indicate_receive(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None] | None:
        """NDIS gets a packet."""
        return self._ports[adapter].indicate_receive(nbl)

    def indicate_link(self, adapter: Adapter, connected: bool) -> op.Routine[None] | None:
        """NDIS is told of the link."""
        return self._ports[adapter].indicate_link(connected)

    def list_handles(self, adapter: Adapter | FileObject) -> list[tuple[op.Caller, int, FileObject]]:
        """All handles to an adapter's device, or to one file object, by process, value and file object."""
        found: list[tuple[op.Caller, int, FileObject]] = []
        for process in self.processes:
            for value in process.handles.values():
                entry = process.handles.get(value)
                target = entry.target if entry else None
                if isinstance(target, FileObject) and adapter in (target, target.adapter):
                    found.append((process, value, target))
        return found

    def close_handle(self, caller: op.Caller, handle: int) -> op.Routine[None] | None:
        """Close a handle in its process; closing the last one runs the driver's close on this thread."""
        assert isinstance(caller, Process)
        caller.handles.close(handle)
        return None

    def allocate(self, what: str) -> bool:
        """Whether an allocation succeeds."""
        return not self.fails(what)

    def pages_locked(self, pages: op.Pages) -> None:
        """The driver has locked pages: they are looked after while it has them."""
        assert isinstance(pages, RegisteredPages)
        if not pages.is_held:
            self.unheld_pages.append(pages)
            self.executor.must_check = True

    def pages_unlocked(self, pages: op.Pages) -> None:
        """The driver gives pages back: nobody may look at the ring in them any more."""
        if pages in self.unheld_pages:
            self.unheld_pages.remove(pages)
            self.executor.must_check = bool(self.unheld_pages)
        for device in self.all_devices:
            device.port.pages_unlocked(pages)

    def is_registered_memory(self, address: int, size: int) -> bool:
        """Whether a range lies in rings that are registered, and so is good to read and write."""
        for device in self.devices:
            for ring in (device.adapter.send_ring.value, device.adapter.receive_ring.value):
                pages: Any = ring.pages if ring is not None else None
                if pages is not None and pages.views and pages.is_held and pages.contains(address, size):
                    return True
        return False

    def check_memory(self) -> None:
        """Raise `ClientFault` when registered memory that nothing holds is gone."""
        for pages in self.unheld_pages:
            pages.check()


def specific_access(access: int) -> int:
    """Generic rights of a file made specific, as the system does on open."""
    granted = access & 0x01FFFFFF
    if access & GENERIC_READ:
        granted |= _FILE_GENERIC_READ
    if access & GENERIC_WRITE:
        granted |= _FILE_GENERIC_WRITE
    if access & GENERIC_ALL:
        granted |= _FILE_ALL_ACCESS
    return granted
