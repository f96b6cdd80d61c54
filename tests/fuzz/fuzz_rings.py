"""Targets: what stands in rings, and who writes there when (spec driver §3, §4; spec win32 §6)."""

from __future__ import annotations

from typing import Any

from fuzz_input import Input
from fuzz_world import SMALL, STOPPED, Over, World
from state_machine_process import Block, followed

from wintun_model import operations as op
from wintun_model.adapter import Packet, SendChain, SendNbl
from wintun_model.immediate import ImmediateExecutor
from wintun_model.miniport import pause, restart
from wintun_model.send import send
from wintun_model.session import (
    LIBRARY_REVISIONS,
    Session,
    SessionRing,
    allocate_send_packet,
    receive_packet,
    release_receive_packet,
    send_packet,
)

# What a chain may be refused with as a whole: paused, media disconnected, adapter not ready, buffer overflow.
REFUSALS = {0xC023002A, 0xC023001F, 0xC0010011, 0x80000005}
INVALID_LENGTH, FAILURE = 0xC0010014, 0xC0000001
KINDS = ("NBL", "partial memory descriptor")


def receive_ring(data: bytes) -> None:
    """A receive ring with any content and any words, before and while the driver reads it."""
    source = Input(data)
    world = World(source)
    try:
        ring = world.receive
        for offset in (0, 4, 8):
            ring.set_word(offset, source.word(ring.capacity) if source.flag() else 0)
        ring.write(0, source.take(source.byte()))
        world.ndis.keeps = source.flag()
        world.hostile_after = source.below(32)
        # The hostile hand may have spoilt the send ring's Tail before the driver looked at it.
        is_registered = world.register() == 0
        while source:
            _receive_step(world, source)
            world.check_memory()
        world.hostile_after = 0
        world.run(restart(world.adapter))
        world.end()
        assert world.last_head == (STOPPED if is_registered else None)
    except Over:
        pass


def _receive_step(world: World, source: Input) -> None:
    ring, ndis = world.receive, world.ndis
    match source.below(8):
        case 0:
            ring.set_word(4, source.word(ring.capacity))
        case 1:
            ring.write(ring.word(4) % ring.capacity, _packet(source))
        case 2:
            ring.event.signalled = True
        case 3 if ndis.kept:
            ndis.status = source.choice((0, 0x103, 0xC0000001))
            taken = [ndis.kept.pop(source.byte() % len(ndis.kept)) for _ in range(1 + source.below(len(ndis.kept)))]
            world.run(ndis.give_back(world.adapter, taken))
        case 4:
            ndis.keeps = not ndis.keeps
        case 5:
            world.faults.coming[source.choice(KINDS)] = 1
        case 6 if not ndis.kept:
            world.run(source.choice((pause, restart))(world.adapter))
        case _:
            world.interfere()
    world.executor.settle()


def _packet(source: Input) -> bytes:
    """A packet as a client writes it: its size, and the beginning of its data."""
    size = source.choice((0, 1, 19, 20, 21, 39, 40, 60, 61, 0xFFFF))
    return size.to_bytes(4, "little") + bytes([source.choice((0x45, 0x60, 0x40, 0x6F, 0x55))])


def send_ring(data: bytes) -> None:
    """A send ring whose words anyone may write at any time, while NDIS hands chains down."""
    source = Input(data)
    world = World(source)
    try:
        ring = world.send
        for offset in (0, 4, 8):
            ring.set_word(offset, source.word(ring.capacity) if source.flag() else 0)
        world.hostile_after = source.below(32)
        if world.register():
            # Tail was no offset of the ring, or the hostile hand made it one that is none.
            assert world.ledger.held() == (0, 0)
        handed_down: list[SendChain] = []
        while source:
            if source.below(4):
                chain = _chain(source)
                handed_down.append(chain)
                world.run(send(world.adapter, chain))
                _check_chain(world, chain)
            else:
                world.interfere()
            world.check_memory()
        world.hostile_after = 0
        world.end()
        counted = world.adapter.statistics
        total = counted.out_unicast_packets + counted.out_errors + counted.out_discards
        assert total == sum(len(chain.packets()) for chain in handed_down)
    except Over:
        pass


def _chain(source: Input) -> SendChain:
    nbls = []
    for _ in range(1 + source.below(3)):
        packets = []
        for _ in range(1 + source.below(3)):
            size = source.choice((0, 1, 3, 4, 20, 40, 56, 57, 60, 61, 100, 0xFFFFFFF9))
            is_mapped = size < 1000 and source.below(8) > 0
            packets.append(Packet(b"\x45" * size if is_mapped else None, size))
        nbls.append(SendNbl(tuple(packets), source.choice((0, 0, 0x103))))
    return SendChain(tuple(nbls))


def _check_chain(world: World, chain: SendChain) -> None:
    """The chain is back, once, with a status for each NBL that the specification names (spec driver §3)."""
    assert world.ndis.completed[chain] == 1
    statuses = [nbl.status for nbl in chain.nbls]
    if statuses[0] in REFUSALS:
        assert len(set(statuses)) == 1
        return
    for nbl in chain.nbls:
        expected = None
        for packet in nbl.packets:
            if packet.size_bytes > SMALL.max_packet_bytes:
                expected = INVALID_LENGTH
            elif packet.data is None:
                expected = FAILURE
        assert nbl.status == expected or (expected is None and nbl.status in (0, 0x103))


def session(data: bytes) -> None:
    """wintun.dll's session layer over rings whose other side writes what it likes."""
    source = Input(data)
    capacity = source.choice((64, 128, 256))
    blocks = [Block(address, 12 + capacity + SMALL.trailing_bytes) for address in (0x10000, 0x20000)]
    rings = [
        SessionRing(name, block.view, capacity, SMALL) for name, block in zip(("read", "write"), blocks, strict=True)
    ]
    event = op.Event("moved", manual_reset=False)
    revision = source.choice(tuple(LIBRARY_REVISIONS.values()))
    machine = _SessionRun(source, Session(rings[0], rings[1], event, revision=revision, limits=SMALL), blocks)
    while source:
        machine.step()
        for block in blocks:
            block.check()
    assert all(ring.lock.is_free() for ring in rings)


class _SessionRun:
    """A client that uses a session as it should, and a driver that does not do what it should."""

    def __init__(self, source: Input, session: Session, blocks: list[Block]) -> None:
        self.source = source
        self.session = session
        self.blocks = blocks
        self.executor = ImmediateExecutor()
        self.received: list[int] = []
        self.allocated: list[int] = []
        self.hostile_after = 0

    def run(self, routine: op.Routine[Any]) -> Any:
        self.hostile_after = self.source.below(16)
        return self.executor.run(followed(routine, self._look))

    def _look(self, operation: op.Operation, result: object) -> None:
        self.hostile_after -= 1
        if not self.hostile_after:
            self.interfere()

    def interfere(self) -> None:
        source = self.source
        ring, block = source.choice(
            tuple(zip((self.session.receiving, self.session.sending), self.blocks, strict=True))
        )
        if source.flag():
            word = source.choice((ring.head, ring.tail, ring.alertable))
            word.cells[word.index] = source.word(ring.capacity)
        else:
            start = 12 + 4 * source.byte()
            written = source.take(source.below(8))[: max(0, block.size_bytes - start)]
            block.view[start : start + len(written)] = written

    def step(self) -> None:
        source, session = self.source, self.session
        match source.below(5):
            case 0:
                error, offset, size = self.run(receive_packet(session))
                self._check(error, offset, size, {38, 259, 13})
                if not error:
                    self.received.append(offset)
            case 1 if self.received:
                self.run(release_receive_packet(session, self.received.pop(source.byte() % len(self.received))))
            case 2:
                size = source.below(SMALL.max_packet_bytes + 1)
                error, offset = self.run(allocate_send_packet(session, size))
                self._check(error, offset, size, {38, 111})
                if not error:
                    self.allocated.append(offset)
            case 3 if self.allocated:
                self.run(send_packet(session, self.allocated.pop(source.byte() % len(self.allocated))))
            case _:
                self.interfere()

    def _check(self, error: int, offset: int, size: int, errors: set[int]) -> None:
        """A packet that is handed out lies in the ring; no error but those that spec win32 §6 names."""
        if error:
            assert error in errors and not offset
        else:
            assert 4 <= offset <= self.session.receiving.capacity and not offset & 3
            assert offset + size <= len(self.session.receiving.data) and size <= SMALL.max_packet_bytes
