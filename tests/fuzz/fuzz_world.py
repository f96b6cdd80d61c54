"""What stands around the driver while a target runs: a process with two guarded rings, a hostile hand, and NDIS."""

from __future__ import annotations

import struct
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "model"))

from fuzz_input import Input
from state_machine_process import Block, ClientProcess, Faults, Ledger, followed

from wintun_model import operations as op
from wintun_model.abi import Limits
from wintun_model.adapter import Adapter, Driver, ReceiveNbl, SendChain
from wintun_model.dispatch import close, device_control
from wintun_model.errors import ClientFault
from wintun_model.immediate import ImmediateExecutor
from wintun_model.miniport import restart
from wintun_model.receive import return_nbls
from wintun_model.registration import Registration
from wintun_model.revision import REVISIONS

ALL_REVISIONS = tuple(REVISIONS.values())
SMALL = Limits(min_capacity_bytes=64, max_capacity_bytes=256, max_packet_bytes=60)
REGISTER, FORCE_CLOSE = 0xCA6CE5C0, 0xCA6CE5C7
STOPPED = 0xFFFFFFFF
EVENT_RIGHTS = 0x100002
HEADER_BYTES = 12
SEND_ADDRESS, RECEIVE_ADDRESS = 0x10000, 0x7FFF00000000


WRITTEN = ("tun.send.Tail", "tun.receive.Head", "tun.receive.Alertable")
"""The only words that the driver ever writes (spec driver §5)."""


class Over(Exception):
    """The client did what ends the run: it started at an unaligned offset, and the driver would leave the ring."""


class Ring:
    """A ring as the client has it. `kept` are the words that the driver never writes, as the client wrote them last."""

    def __init__(self, process: ClientProcess, name: str, address: int, capacity: int, limits: Limits) -> None:
        self.capacity = capacity
        self.block = Block(address, HEADER_BYTES + capacity + limits.trailing_bytes)
        process.blocks.append(self.block)
        self.event = op.Event(f"{name} moved", manual_reset=False)
        self.handle = process.insert(self.event, EVENT_RIGHTS)
        self.kept: dict[int, int] = {0: 0, 8: 0} if name == "send" else {4: 0}
        self.start: int | None = None
        """Where the driver took up the ring, once it has."""

    def word(self, offset: int) -> int:
        return int(struct.unpack_from("<I", self.block.view, offset)[0])

    def set_word(self, offset: int, value: int) -> None:
        struct.pack_into("<I", self.block.view, offset, value & 0xFFFFFFFF)
        if offset in self.kept:
            self.kept[offset] = value & 0xFFFFFFFF

    def write(self, offset: int, data: bytes) -> None:
        """Write into the data area, as far as it goes."""
        start = HEADER_BYTES + offset % (self.block.size_bytes - HEADER_BYTES)
        data = data[: self.block.size_bytes - start]
        self.block.view[start : start + len(data)] = data

    def check(self) -> None:
        self.block.check()
        for offset, value in self.kept.items():
            assert self.word(offset) == value, f"the driver wrote the client's word at {offset}"


class Ndis:
    """NDIS: notes what comes back how often; returns NBLs inside the indication unless it `keeps` them."""

    def __init__(self) -> None:
        self.keeps = False
        self.status = 0
        self.completed: Counter[SendChain] = Counter()
        self.kept: list[ReceiveNbl] = []
        self.indicated = self.returned = self.succeeded = 0
        self.links: list[bool] = []

    def complete_send(self, adapter: Adapter, chain: SendChain) -> None:
        self.completed[chain] += 1

    def indicate_receive(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None] | None:
        self.indicated += 1
        assert nbl.size_bytes <= adapter.limits.max_packet_bytes
        assert len(nbl.peek()) == nbl.size_bytes
        if self.keeps:
            self.kept.append(nbl)
            return None
        return self.give_back(adapter, [nbl])

    def give_back(self, adapter: Adapter, nbls: list[ReceiveNbl]) -> op.Routine[None]:
        """The routine that returns NBLs with the present status."""
        for nbl in nbls:
            nbl.status = self.status
        self.returned += len(nbls)
        self.succeeded += len(nbls) if self.status < 0x80000000 else 0
        return return_nbls(adapter, nbls)

    def indicate_link(self, adapter: Adapter, connected: bool) -> None:
        self.links.append(connected)


class World:
    """One running adapter of any revision, and one process whose rings hold what the fuzzer says."""

    def __init__(self, source: Input, limits: Limits = SMALL) -> None:
        self.source = source
        self.ledger = Ledger()
        self.process = ClientProcess(self.ledger, 100)
        self.faults = Faults()
        self.ndis = Ndis()
        self.executor = ImmediateExecutor(self.ndis, fails=self.faults)  # type: ignore[arg-type]
        self.adapter = Adapter("tun", Driver(source.choice(ALL_REVISIONS), limits))
        capacity = source.choice((64, 128, 256))
        self.send = Ring(self.process, "send", SEND_ADDRESS, capacity, limits)
        self.receive = Ring(self.process, "receive", RECEIVE_ADDRESS, source.choice((64, 128, 256)), limits)
        self.hostile_after = 0
        """After how many operations of the driver the client writes next; 0: not while the driver runs."""
        self.last_head: int | None = None
        """What the driver stored in the receive ring's `Head` last."""
        self.run(restart(self.adapter))

    def run(self, routine: op.Routine[Any]) -> Any:
        """Run a routine as far as it goes, and whoever it lets go on; its result, or None if it waits."""
        try:
            return self.executor.start(followed(routine, self._look)).result
        except ClientFault as fault:
            starts = (self.send.start, self.receive.start)
            assert any(start is not None and start & 3 for start in starts), f"a client with aligned starts: {fault}"
            self.check_memory()
            raise Over from fault

    def _look(self, operation: op.Operation, result: Any) -> None:
        """The driver has done something; now and then the client is quicker than the driver."""
        if isinstance(operation, op.Load):
            for ring, name in ((self.send, "send.Tail"), (self.receive, "receive.Head")):
                if ring.start is None and operation.word.name.endswith(name):
                    ring.start = result
        elif isinstance(operation, op.Dereference):
            self.ledger.dereferenced(operation.event)
        elif isinstance(operation, op.Store):
            assert operation.word.name in WRITTEN, f"the driver stored in {operation.word}"
            if operation.word.name == "tun.receive.Head":
                self.last_head = operation.value
        if self.hostile_after:
            self.hostile_after -= 1
            if not self.hostile_after:
                self.interfere()

    def interfere(self) -> None:
        """The client writes a word or bytes of one of its rings; perhaps it does so again a little later."""
        source = self.source
        ring = source.choice((self.send, self.receive))
        kind = source.below(5)
        if kind < 3:
            ring.set_word(4 * kind, source.word(ring.capacity))
        elif kind == 3:
            ring.write(source.number(2), source.take(source.below(8)))
        else:
            ring.event.signalled = True
        self.hostile_after = source.below(32) if source else 0

    def register(self) -> int:
        """Register both rings, of which the client has written the words."""
        record = struct.pack(
            "<I4xQQI4xQQ",
            *(self.send.block.size_bytes, SEND_ADDRESS, self.send.handle),
            *(self.receive.block.size_bytes, RECEIVE_ADDRESS, self.receive.handle),
        )
        answer = self.run(device_control(self.adapter, Registration(self.process, "file", record), REGISTER))
        return int(answer[0])

    def return_all(self) -> None:
        """NDIS returns all that it has, the newest first."""
        while self.ndis.kept:
            self.run(self.ndis.give_back(self.adapter, [self.ndis.kept.pop()]))

    def end(self) -> None:
        """The client closes its handle; then nothing is left of the registration."""
        self.ndis.keeps = False
        self.run(close(self.adapter, "file"))
        self.return_all()
        adapter, ndis = self.adapter, self.ndis
        assert self.executor.threads == [], f"still there: {self.executor.threads}"
        assert self.ledger.held() == (0, 0)
        pools = (adapter.nbl_pool, adapter.memory_descriptors, adapter.partial_descriptors)
        assert [pool.outstanding for pool in pools] == [0, 0, 0]
        locks = (adapter.transition_lock, adapter.registration_lock, adapter.send_lock, adapter.receive_lock)
        assert all(lock.is_free() for lock in (*locks, adapter.driver.context_guard, adapter.driver.device_list_lock))
        assert adapter.driver.registered.value == () and adapter.owner.value is None
        assert ndis.indicated == ndis.returned
        counted = adapter.statistics
        assert (counted.in_unicast_packets, counted.in_errors) == (ndis.succeeded, ndis.returned - ndis.succeeded)
        assert ndis.links in ([], [True, False])
        self.check_memory()

    def check_memory(self) -> None:
        """No byte outside of the rings, and no word that is the client's alone, was written."""
        self.send.check()
        self.receive.check()
