"""A driver with two adapters, NDIS, and client processes; each action is followed by the oracle, then all is compared.

Everything that can be done is a method. What blocks is left where it is: threads are started, and looked at again when
something has happened that may let them go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from state_machine_oracle import (
    DISCONNECTED,
    PAUSED,
    Chain,
    Outside,
    ReceiveQueue,
    SendQueue,
    refuse,
)
from state_machine_parts import SMALL, ClientRing, File, Nic, Registered
from state_machine_process import ClientProcess, Faults, Ledger

from wintun_model import operations as op
from wintun_model.adapter import Adapter, Driver, Packet, ReceiveNbl, SendChain, SendNbl
from wintun_model.dispatch import close
from wintun_model.errors import ClientFault
from wintun_model.immediate import ImmediateExecutor, Thread
from wintun_model.life_cycle_watcher import Watcher
from wintun_model.revision import REVISIONS
from wintun_model.send import send

LARGE = 1000
"""Nobody makes the bytes of packets that are larger than this; they are never looked at."""


class Over(Exception):
    """The client's fault has ended the run; nothing outside of its rings was touched."""


class World:
    """Everything. `check` compares all that can be seen with what the oracle says."""

    def __init__(self, revision: str) -> None:
        self.revision = REVISIONS[revision]
        self.driver = Driver(self.revision, SMALL)
        self.ledger, self.faults = Ledger(), Faults()
        self.expected_faults: Counter[str] = Counter()
        self.watcher = Watcher()
        self.executor = ImmediateExecutor(
            self,  # type: ignore[arg-type]
            fails=self.faults,
            handles=self.list_handles,
            close_handle=self.close_for_the_driver,
        )
        self.pending: list[tuple[Thread, Callable[[Any], None]]] = []
        """Threads that have not ended, and what to look at when they have."""
        self.dying: list[ClientProcess] = []
        """Processes that have ended, and of which handles are still to be closed."""
        self.gates: list[tuple[Nic, op.Event]] = []
        self.rings: list[ClientRing] = []
        self.registrations: list[Nic] = []
        """In the order in which they joined the list of registered devices."""
        self.all_nics: list[Nic] = []
        self.packets_made = 0
        self.asking: dict[Adapter, Registered] = {}
        """Registrations under way."""
        self.is_outside = False
        """Whether the oracle says that the driver leaves a ring now."""
        self._processes_made = 0
        self.processes = [self.new_process() for _ in range(3)]
        self.nics = [self.new_nic(name) for name in ("a", "b")]

    def new_nic(self, name: str) -> Nic:
        nic = Nic(self, name)
        self.all_nics.append(nic)
        return nic

    def new_process(self) -> ClientProcess:
        self._processes_made += 1
        return ClientProcess(self.ledger, 96 + 4 * self._processes_made)

    # -- running ----------------------------------------------------------------------------------------------------

    def start(
        self, nic: Nic, routine: op.Routine[Any], name: str, done: Callable[[Any], None] | None = None, **kind: bool
    ) -> Thread:
        """Start a thread in the driver; what it returns is told to `done`, now or later."""
        watched = self.watcher.watch(nic.adapter, routine, **kind)
        try:
            thread = self.executor.start(self._followed(nic, watched, False), name)
            self.pending.append((thread, done or (lambda result: None)))
            self._settle()
        except ClientFault as fault:
            self._faulted(fault)
        return thread

    def settle(self) -> None:
        """Let everybody go on who can."""
        try:
            self._settle()
        except ClientFault as fault:
            self._faulted(fault)

    def _settle(self) -> None:
        self.executor.settle()
        assert not self.is_outside, "the driver should have left a ring"
        ended = [entry for entry in self.pending if entry[0].ended.signalled]
        self.pending = [entry for entry in self.pending if not entry[0].ended.signalled]
        for thread, done in ended:
            done(thread.result)

    def _faulted(self, fault: ClientFault) -> None:
        """The driver would leave a ring: so says the oracle too, and nothing outside was touched (§1)."""
        assert self.is_outside or any(map(self._reader_leaves, self.all_nics)), f"the oracle stays inside: {fault}"
        for ring in self.rings:
            ring.block.check()
        raise Over from fault

    @staticmethod
    def _reader_leaves(nic: Nic) -> bool:
        """Whether the reader leaves its ring when it goes on."""
        try:
            if nic.registered is not None and nic.registered.receive is not None:
                nic.registered.receive.advance()
        except Outside:
            return True
        return False

    def _followed(self, nic: Nic, routine: op.Routine[Any], is_reader: bool) -> op.Routine[Any]:
        result: Any = None
        while True:
            try:
                operation = routine.send(result)
            except StopIteration as stop:
                return stop.value
            if isinstance(operation, op.StartThread):
                operation = op.StartThread(self._followed(nic, operation.routine, True), operation.name, 1)
            result = yield operation
            if isinstance(operation, op.Dereference):
                self.ledger.dereferenced(operation.event)
            try:
                nic.follow(operation, result, is_reader)
            except Outside:
                self.is_outside = True

    def has_waiting_writer(self, nic: Nic) -> bool:
        """Whether somebody waits for the transition lock exclusively."""
        waits = (thread.blocked_on for thread in self.executor.threads)
        return any(isinstance(wait, op.Acquire) and wait.lock is nic.adapter.transition_lock for wait in waits)

    # -- NDIS's side (`RecordingNdis`) --------------------------------------------------------------------------------

    def nic_of(self, adapter: Adapter) -> Nic:
        return next(nic for nic in self.all_nics if nic.adapter is adapter)

    def complete_send(self, adapter: Adapter, chain: SendChain) -> None:
        self.nic_of(adapter).completed(chain)

    def indicate_receive(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None] | None:
        return self.nic_of(adapter).indicated(nbl)

    def indicate_link(self, adapter: Adapter, connected: bool) -> None:
        nic = self.nic_of(adapter)
        if nic.is_started:
            assert nic.link is not connected, "the link was told twice"
        nic.link = connected

    def chain(self, nbls: list[list[tuple[int, bool]]]) -> tuple[SendChain, Chain]:
        """A chain by the sizes of its packets and whether each can be mapped, and the same for the oracle."""
        made, told = [], []
        for packets in nbls:
            described = [
                (size, self.packet(size) if is_mapped and size < LARGE else None) for size, is_mapped in packets
            ]
            told.append(described)
            made.append(SendNbl(tuple(Packet(data, size) for size, data in described)))
        return SendChain(tuple(made)), Chain(told)

    def packet(self, size: int, first: int = 0x45) -> bytes:
        """Bytes that no other packet has, as far as they reach."""
        self.packets_made += 1
        number = self.packets_made.to_bytes(4, "little")
        return (bytes([first]) + number * (size // 4 + 1))[:size]

    def sending(self, nic: Nic, pair: tuple[SendChain, Chain], gate: op.Event | None = None) -> op.Routine[None]:
        """Hand a chain down; with a gate the sender stops when it has copied, and goes on when the gate is opened."""
        chain, told = pair
        nic.chains[chain] = told
        routine = send(nic.adapter, chain)
        result: Any = None
        while True:
            try:
                operation = routine.send(result)
            except StopIteration:
                told.has_sender = False
                nic.forget(chain)
                return
            if gate is not None and isinstance(operation, op.MarkCompleted):
                yield op.Wait((gate,))
            result = yield operation
            if isinstance(operation, op.AcquireShared):
                self._sender_is_in(nic, told)

    def _sender_is_in(self, nic: Nic, told: Chain) -> None:
        flags, registered = nic.flags, nic.registered
        if not flags.running:
            refuse(told, PAUSED, flags.counters)
        elif flags.disconnected:
            refuse(told, DISCONNECTED, flags.counters)
        else:
            assert registered is not None and registered.send is not None
            try:
                registered.send.enter(told)
            except Outside:
                self.is_outside = True

    def nbl_comes_back(self, nic: Nic, nbl: ReceiveNbl) -> None:
        """NDIS returns an NBL that it has, once."""
        found = [entry for entry in nic.kept if entry[0] is nbl]
        assert len(found) == 1, "an NBL was returned that NDIS does not have"
        nic.kept.remove(found[0])
        _, described, registered = found[0]
        assert registered.receive is not None
        registered.receive.returned(described)

    def count_returned(self, nic: Nic, nbls: tuple[ReceiveNbl, ...]) -> None:
        """A return call has ended: it is counted now (§4.4)."""
        counters = nic.flags.counters
        for nbl in nbls:
            if nbl.status < 0x80000000:
                counters.in_packets += 1
                counters.in_octets += nbl.size_bytes
            else:
                counters.in_errors += 1

    def registration_opens(self, nic: Nic) -> None:
        """Senders may write from now on (§5 check 15)."""
        registered = self.asking.pop(nic.adapter)
        flags = nic.flags
        flags.disconnected = False
        nic.registered = registered
        registered.send = SendQueue(
            registered.send_ring.image, flags, SMALL.max_packet_bytes, registered.send_ring.must_set
        )
        kinds = ("partial memory descriptor", "NBL") if self.revision.allocates_partial_descriptor else ("NBL",)
        registered.receive = ReceiveQueue(
            registered.receive_ring.image,
            flags,
            SMALL.max_packet_bytes,
            skips=self.revision.skips_other_packets,
            kinds=kinds,
            failing=self.expected_faults,
            takes_event=registered.receive_ring.must_take,
        )

    def settle_packets(self, registered: Registered) -> None:
        """What a correct client wrote comes up or is dropped in the order of writing; nothing else does."""
        receive = registered.receive
        assert receive is not None
        if not registered.is_receive_spoilt:
            for data in receive.consumed:
                assert data == registered.written.popleft(), "packets of the receive ring are out of order"
        receive.consumed.clear()

    # -- handles ------------------------------------------------------------------------------------------------------

    def list_handles(self, target: Adapter | File) -> list[tuple[ClientProcess, int, File]]:
        """All handles to an adapter's device, or to one file object."""
        return [
            (process, handle, file)
            for process in (*self.processes, *self.dying)
            for handle, (file, _) in process.handles.items()
            if isinstance(file, File) and target in (file, file.adapter)
        ]

    def close_for_the_driver(self, caller: op.Caller, handle: int) -> op.Routine[None] | None:
        """A handle is closed from inside the driver: the close of a file object runs on the driver's thread."""
        assert isinstance(caller, ClientProcess)
        file = self.close_handle(caller, handle)
        if file is not None:
            self.ends(file)
        return close(file.adapter, file) if file is not None else None

    @staticmethod
    def close_handle(process: ClientProcess, handle: int) -> File | None:
        """Take a handle out of its table; the file object, when it is to be released now (§6.2)."""
        file, _ = process.handles.pop(handle, (None, 0))
        if not isinstance(file, File):
            return None
        file.handles -= 1
        return None if file.handles or file.requests else file

    def ends(self, file: File) -> None:
        """A file object is released, which ends its registration."""
        for nic in self.all_nics:
            if nic.registered is not None and nic.registered.file is file:
                nic.registered.may_end = True

    # -- what must hold ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Compare memory, counters, lists and what the kernel holds with the oracle."""
        for nic in self.all_nics:
            self._check_nic(nic)
        for ring in self.rings:
            ring.check()
        registered = [nic.registered for nic in self.all_nics if nic.registered is not None]
        assert self.ledger.held() == (2 * len(registered), 2 * len(registered))
        assert self.driver.registered.value == tuple(nic.adapter for nic in self.registrations)
        readers = sum(entry.receive.state != "ended" for entry in registered if entry.receive is not None)
        assert len(self.executor.threads) == readers + len(self.pending)
        assert {kind: count for kind, count in self.faults.coming.items() if count} == {
            kind: count for kind, count in self.expected_faults.items() if count
        }

    def _check_nic(self, nic: Nic) -> None:
        adapter, registered = nic.adapter, nic.registered
        in_hand, active = 0, 0
        if registered is not None:
            assert registered.receive is not None and registered.send is not None
            registered.receive.advance()
            self.settle_packets(registered)
            in_hand, active = int(registered.receive.hand is not None), len(registered.receive.active)
            assert not in_hand or self.has_waiting_writer(nic), "nobody keeps the reader from handing up its packet"
            assert len(list(adapter.send_active)) == len(registered.send.active)
        assert not nic.expected_back, "chains did not come back"
        assert not nic.expected_up, "packets did not come up"
        assert len(list(adapter.receive_active)) == active
        assert adapter.receive_empty.signalled == (not active)
        descriptors = in_hand + active if self.revision.allocates_partial_descriptor else 0
        pools = (adapter.nbl_pool, adapter.partial_descriptors, adapter.memory_descriptors)
        assert [pool.outstanding for pool in pools] == [in_hand + active, descriptors, 2 * (registered is not None)]
        assert bool(nic.link) == (registered is not None and registered.has_owner)
        assert adapter.running.value == nic.flags.running and adapter.disconnected.signalled == nic.flags.disconnected
        counted, statistics = nic.flags.counters, adapter.statistics
        assert statistics.as_dict() == {
            "out_octets": counted.out_octets,
            "out_unicast_octets": counted.out_octets,
            "out_unicast_packets": counted.out_packets,
            "out_errors": counted.out_errors,
            "out_discards": counted.out_discards,
            "in_octets": counted.in_octets,
            "in_unicast_octets": counted.in_octets,
            "in_unicast_packets": counted.in_packets,
            "in_errors": counted.in_errors,
            "in_discards": counted.in_discards,
        }
