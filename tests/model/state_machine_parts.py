"""The parts of a `World`: rings beside what they must hold, files, registrations, adapters with their NDIS."""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from state_machine_oracle import (
    ALERTABLE,
    DATA,
    HEAD,
    STOPPED,
    TAIL,
    Chain,
    Flags,
    Found,
    ReceiveQueue,
    RingImage,
    SendQueue,
)
from state_machine_process import GUARD_BYTES, Block, ClientProcess

from wintun_model import operations as op
from wintun_model.abi import Limits
from wintun_model.adapter import Adapter, ReceiveNbl, SendChain, WholeRing
from wintun_model.receive import push_header, return_nbls

if TYPE_CHECKING:
    from state_machine_world import World

SMALL = Limits(min_capacity_bytes=256, max_capacity_bytes=1024, max_packet_bytes=100)
TRAILING = 100
EVENT_RIGHTS = 0x100002
DRIVER_WORDS = ("send.Tail", "receive.Head", "receive.Alertable")
"""The only words that the driver ever writes (spec driver §5)."""


class ClientRing:
    """A ring that a client registers, beside the image of what must be in it."""

    def __init__(self, process: ClientProcess, address: int, capacity: int) -> None:
        self.capacity = capacity
        self.block = Block(address, DATA + capacity + TRAILING, fill=0xA5)
        process.blocks.append(self.block)
        self.expected = bytearray(self.block.cells)
        self.image = RingImage(memoryview(self.expected)[GUARD_BYTES:-GUARD_BYTES], capacity)
        self.event = op.Event("TailMoved", manual_reset=False)
        self.handle = process.insert(self.event, EVENT_RIGHTS)
        self.is_set = False
        """Whether the event must be set."""
        for offset in (HEAD, TAIL, ALERTABLE):
            self.set_word(offset, 0)

    def word(self, offset: int) -> int:
        return int(struct.unpack_from("<I", self.block.view, offset)[0])

    def set_word(self, offset: int, value: int) -> None:
        self.put(offset, struct.pack("<I", value & 0xFFFFFFFF))

    def put(self, offset: int, data: bytes) -> None:
        """The client writes; what lies past the ring is cut off."""
        data = data[: self.block.size_bytes - offset]
        self.block.view[offset : offset + len(data)] = data
        self.image.image[offset : offset + len(data)] = data

    def set_event(self) -> None:
        self.event.signalled = self.is_set = True

    def must_set(self) -> None:
        """The driver must have set the event."""
        self.is_set = True

    def must_take(self) -> bool:
        """The driver's wait takes the event if it is set."""
        was_set, self.is_set = self.is_set, False
        return was_set

    def check(self) -> None:
        assert self.block.cells == self.expected, _difference(self.block.cells, self.expected)
        assert self.event.signalled == self.is_set, f"the event is {self.event.signalled}"


def _difference(found: bytearray, expected: bytearray) -> str:
    places = [place for place in range(len(found)) if found[place] != expected[place]]
    first = places[0]
    where = first - GUARD_BYTES
    return f"{len(places)} bytes differ, from byte {where} of the ring on: {found[first]:#x}, not {expected[first]:#x}"


class File:
    """A file object of an adapter's device."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.handles = self.requests = 0


class Registered:
    """A registration as the oracle has it, and what the client knows of it."""

    def __init__(self, file: File, send_ring: ClientRing, receive_ring: ClientRing) -> None:
        self.file = file
        self.send_ring, self.receive_ring = send_ring, receive_ring
        self.send: SendQueue | None = None
        self.receive: ReceiveQueue | None = None
        self.is_send_spoilt = self.is_receive_spoilt = False
        """Whether the client has written what a client must not write, so that order and content are its own fault."""
        self.written: deque[bytes] = deque()
        """Packets that a correct client wrote and that were not handed up or dropped yet."""
        self.process_id = 0
        self.has_owner = True
        self.may_end = False
        """Whether something has come that ends it: a close, the end of its process, a halt."""


class Nic:
    """One adapter and NDIS's view of it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.adapter = Adapter(name, world.driver, is_initialized=False)
        self.flags = Flags()
        self.is_started = self.is_halted = self.has_failed = False
        self.link: bool | None = None
        self.registered: Registered | None = None
        self.busy = False
        """Whether plug and play or NDIS waits for the driver: they do one thing at a time on an adapter."""
        self.kept: list[tuple[ReceiveNbl, Found, Registered]] = []
        self.chains: dict[SendChain, Chain] = {}
        """On their way down."""
        self.expected_back: deque[Chain] = deque()
        self.expected_up: deque[Found] = deque()
        self.policy = "return"
        self.is_inside = False
        """Whether the reader is inside an indication, where NDIS may send."""

    def can_be_managed(self) -> bool:
        """Whether plug and play or NDIS can do something with it now."""
        return self.is_started and not self.is_halted and not self.busy

    def follow(self, operation: op.Operation, result: Any, is_reader: bool) -> None:
        """A moment at which something takes effect for the oracle."""
        adapter, registered = self.adapter, self.registered
        match operation:
            case op.Put(variable=variable, value=value) if variable is adapter.running:
                self._reader_advances()
                self.flags.running = value
            case op.Put(variable=variable, value=None) if variable is adapter.owner and registered is not None:
                assert registered.may_end, "the registration ends, and nobody asked for that"
                registered.has_owner = False
                if self in self.world.registrations:
                    self.world.registrations.remove(self)
            case op.Clear(event=event) if event is adapter.disconnected:
                self.world.registration_opens(self)
            case op.StartThread() if result is not None:
                assert registered is not None and registered.receive is not None
                registered.receive.state = "starting"
            case op.StartThread():
                assert registered is not None
                registered.may_end = True
            case op.Set(event=event) if event is adapter.disconnected:
                self._reader_advances()
                self.flags.disconnected = True
            case op.AcquireShared(lock=lock) if is_reader and lock is adapter.transition_lock and not self.is_inside:
                assert registered is not None and registered.receive is not None
                found = registered.receive.hand_up()
                if found is not None:
                    self.expected_up.append(found)
            case op.MarkCompleted(entry=ReceiveNbl() as nbl):
                self.world.nbl_comes_back(self, nbl)
            case op.MarkCompleted(entry=SendChain() as chain):
                assert registered is not None and registered.send is not None
                self.expected_back.extend(registered.send.copied(self.chains[chain]))
            case op.Store(word=word, value=value):
                assert word.name.removeprefix(f"{adapter.name}.") in DRIVER_WORDS, f"the driver stored in {word}"
                if word.name == f"{adapter.name}.send.Tail" and value == STOPPED:
                    self._ends()
            case op.CopyIn(memory=WholeRing(), offset=offset, data=bytes() as data):
                # A consumer pushes a header in front, into the ring (B5).
                assert registered is not None
                registered.receive_ring.image.image[offset : offset + len(data)] = data
                registered.is_receive_spoilt = True

    def _reader_advances(self) -> None:
        if self.registered is not None and self.registered.receive is not None:
            self.registered.receive.advance()

    def _ends(self) -> None:
        """Unregistering has come to the end of the send ring: nobody is in either ring any more (§6.1)."""
        registered = self.registered
        assert registered is not None and registered.send is not None and registered.receive is not None
        registered.receive.advance()
        assert registered.receive.state == "ended", f"the reader is {registered.receive.state}, and its ring goes"
        assert not registered.send.active, "chains are in the ring, which goes"
        registered.send_ring.image.set_word(TAIL, STOPPED)
        registered.send_ring.must_set()
        self.world.settle_packets(registered)
        self.registered = None

    # -- NDIS -------------------------------------------------------------------------------------------------------

    def completed(self, chain: SendChain) -> None:
        """A chain comes back: the one that must, with the statuses that it must have."""
        expected = self.chains[chain]
        assert expected.is_back, "a chain came back too early"
        assert not expected.was_taken_back, "a chain came back twice"
        expected.was_taken_back = True
        self.forget(chain)
        if expected.was_in_ring:
            assert self.expected_back.popleft() is expected, "chains came back out of order"
        assert [nbl.status for nbl in chain.nbls] == expected.statuses

    def forget(self, chain: SendChain) -> None:
        """A chain is over when it is back and its sender has left the driver, whichever comes first."""
        told = self.chains[chain]
        if told.was_taken_back and not told.has_sender:
            del self.chains[chain]

    def indicated(self, nbl: ReceiveNbl) -> op.Routine[None] | None:
        """A packet comes up: the one that must, with the bytes that are in the ring."""
        if self.world.is_outside:
            nbl.peek()  # raises: the packet goes on past the ring
        found = self.expected_up.popleft()
        registered = self.registered
        assert registered is not None and (nbl.offset, nbl.size_bytes) == (found.offset, found.size)
        assert nbl.peek() == registered.receive_ring.image.read(found.offset, found.size)
        assert nbl.headroom_bytes == (DATA + found.offset if self.world.revision.offers_headroom else 0)
        self.kept.append((nbl, found, registered))
        return None if self.policy == "keep" else self._inside(nbl)

    def _inside(self, nbl: ReceiveNbl) -> op.Routine[None]:
        self.is_inside = True
        if self.policy == "push a header":
            yield from push_header(nbl, b"\x02" * 14)
        elif self.policy == "reply" and not self.world.has_waiting_writer(self):
            # Sending here while a writer waits for the transition lock is a deadlock (B12).
            yield from self.world.sending(self, self.world.chain([[(nbl.size_bytes, True)]]))
        if self.policy != "return late":
            yield from return_nbls(self.adapter, (nbl,))
            self.world.count_returned(self, (nbl,))
        self.is_inside = False
