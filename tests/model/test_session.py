"""The session layer of wintun.dll as routines (spec win32 §6), and over the driver's own routines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model import operations as op
from wintun_model.abi import STOPPED, TUN_IOCTL_REGISTER_RINGS, Limits, RegisterRings, RingDescription
from wintun_model.adapter import Adapter, Packet, SendChain
from wintun_model.dispatch import close, device_control
from wintun_model.immediate import ImmediateExecutor, RecordingNdis, SimpleCaller
from wintun_model.miniport import restart
from wintun_model.registration import Registration
from wintun_model.ring import ring_bytes_of, stored_bytes
from wintun_model.send import send
from wintun_model.session import (
    LIBRARY_REVISIONS,
    MARK,
    Session,
    SessionRing,
    allocate_send_packet,
    receive_packet,
    release_receive_packet,
    send_packet,
)
from wintun_model.status import Win32Error

CAPACITY = 64
SMALL = Limits(min_capacity_bytes=16, max_capacity_bytes=1024, max_packet_bytes=40)
EOF, EMPTY, INVALID, FULL = (
    Win32Error.ERROR_HANDLE_EOF,
    Win32Error.ERROR_NO_MORE_ITEMS,
    Win32Error.ERROR_INVALID_DATA,
    Win32Error.ERROR_BUFFER_OVERFLOW,
)


class Harness:
    """A session over two small rings that nobody has registered."""

    def __init__(self, revision: str = "0.14", capacity: int = CAPACITY) -> None:
        self.executor = ImmediateExecutor()
        self.moved = op.Event("send moved", manual_reset=False)
        self.rings = [
            SessionRing(name, memoryview(bytearray(ring_bytes_of(capacity, SMALL))), capacity, SMALL)
            for name in ("receive", "send")
        ]
        self.receiving, self.sending = self.rings
        self.session = Session(*self.rings, self.moved, revision=LIBRARY_REVISIONS[revision], limits=SMALL)

    def put(self, offset: int, size: int) -> None:
        """A packet of `size` bytes as the driver writes it, and `Tail` behind it."""
        self.receiving.data[offset : offset + 4] = size.to_bytes(4, "little")
        set_word(self.receiving.tail, (offset + stored_bytes(size)) % CAPACITY)

    def receive(self) -> tuple[int, int, int]:
        return self.executor.run(receive_packet(self.session))

    def allocate(self, size: int) -> tuple[int, int]:
        return self.executor.run(allocate_send_packet(self.session, size))

    def release(self, offset: int) -> None:
        self.executor.run(release_receive_packet(self.session, offset))

    def send(self, offset: int) -> None:
        self.executor.run(send_packet(self.session, offset))


def set_word(word: op.Word, value: int) -> None:
    word.cells[word.index] = value


def word(of: op.Word) -> int:
    return of.cells[of.index]


def test_an_empty_ring() -> None:
    assert Harness().receive() == (EMPTY, 0, 0)


@pytest.mark.parametrize(
    ("tail", "size", "error"),
    [(CAPACITY, 0, EOF), (STOPPED, 0, EOF), (3, 0, INVALID), (8, 41, INVALID), (8, 5, INVALID), (8, 4, 0), (4, 0, 0)],
)
def test_what_a_reader_finds(tail: int, size: int, error: int) -> None:
    harness = Harness()
    harness.put(0, size)
    set_word(harness.receiving.tail, tail)
    assert harness.receive() == ((error, 0, 0) if error else (0, 4, size))
    # A refused packet stays where it is.
    assert harness.receiving.positions.value[0] == (0 if error else stored_bytes(size))
    assert harness.receiving.lock.is_free()


def test_head_follows_released_packets_at_the_front() -> None:
    harness = Harness()
    offsets = []
    for start in (0, 16, 32):
        harness.put(start, 12)
        offsets.append(harness.receive()[1])
    assert offsets == [4, 20, 36]
    heads = []
    for index in (1, 2, 0):
        harness.release(offsets[index])
        heads.append(word(harness.receiving.head))
    assert heads == [0, 0, 48]
    assert harness.receiving.positions.value == (48, 48, 0)


def test_tail_follows_finished_packets_at_the_front() -> None:
    harness = Harness()
    offsets = [harness.allocate(12)[1] for _ in range(3)]
    assert offsets == [4, 20, 36]
    assert int.from_bytes(harness.sending.data[0:4], "little") == 12 | MARK
    tails = []
    for index in (2, 0, 1):
        harness.send(offsets[index])
        tails.append(word(harness.sending.tail))
    assert tails == [0, 16, 48]
    assert int.from_bytes(harness.sending.data[0:4], "little") == 12


@pytest.mark.parametrize("head", [CAPACITY, STOPPED])
def test_a_driver_that_stopped(head: int) -> None:
    harness = Harness()
    set_word(harness.sending.head, head)
    assert harness.allocate(4) == (EOF, 0)


def test_a_ring_holds_all_but_four_bytes() -> None:
    harness = Harness()
    assert harness.allocate(CAPACITY - 4) == (FULL, 0)
    assert harness.allocate(CAPACITY - 8) == (0, 4)
    assert harness.allocate(0) == (FULL, 0)


@pytest.mark.parametrize("alertable", [0, 1])
def test_the_driver_is_told_only_when_it_asked(alertable: int) -> None:
    harness = Harness()
    set_word(harness.sending.alertable, alertable)
    harness.send(harness.allocate(4)[1])
    assert harness.moved.signalled == bool(alertable)


@pytest.mark.parametrize("revision", LIBRARY_REVISIONS)
def test_revisions_differ_in_stores_and_barriers(revision: str) -> None:
    harness = Harness(revision)
    set_word(harness.sending.alertable, 1)
    first, second = harness.allocate(4)[1], harness.allocate(4)[1]

    def operations(offset: int) -> list[type[op.Operation]]:
        routine, value, done = send_packet(harness.session, offset), None, []
        while True:
            try:
                operation = routine.send(value)
            except StopIteration:
                return done
            done.append(type(operation))
            value = harness.executor._perform(operation)

    # The second is finished first: nothing at the front has moved.
    is_early = revision in ("0.9", "0.9.1")
    assert (op.Store in operations(second)) == is_early
    assert harness.moved.signalled == is_early
    done = operations(first)
    assert done.count(op.Store) == 1 and done.count(op.Set) == 1
    if revision == "2026-02":
        assert done.index(op.Store) < done.index(op.Fence) < len(done) - 1
    else:
        assert op.Fence not in done


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 5)), max_size=80))
def test_any_order_of_finishing_keeps_the_order_of_allocation(steps: list[tuple[bool, int, int]]) -> None:
    """The driver takes what is published at once; it sees the packets in the order of allocation."""
    harness = Harness()
    ring = harness.sending
    open_packets: list[tuple[int, int]] = []
    allocated: list[int] = []
    seen: list[int] = []
    for is_allocation, size, pick in steps:
        if is_allocation:
            error, offset = harness.allocate(size)
            if not error:
                open_packets.append((offset, size))
                allocated.append(size)
        elif open_packets:
            offset, _ = open_packets.pop(pick % len(open_packets))
            harness.send(offset)
            head = word(ring.head)
            while head != word(ring.tail):
                length = int.from_bytes(ring.data[head : head + 4], "little")
                assert not length & MARK
                seen.append(length)
                head = (head + stored_bytes(length)) % CAPACITY
            set_word(ring.head, head)
    assert seen == allocated[: len(seen)]
    assert len(seen) + ring.positions.value[2] == len(allocated)


# -- over the driver


class Connected:
    """A session that is registered with the driver; NDIS on the other side."""

    def __init__(self) -> None:
        self.ndis = RecordingNdis()
        self.executor = ImmediateExecutor(self.ndis)
        self.adapter = Adapter("tun")
        self.executor.run(restart(self.adapter))
        self.caller = SimpleCaller()
        size = ring_bytes_of(0x20000)
        memory = bytearray(2 * size)
        self.caller.memory[0x10000] = memory
        events = [op.Event(name, manual_reset=False) for name in ("receive moved", "send moved")]
        self.caller.handles = {4: (events[0], 0x1F0003), 8: (events[1], 0x1F0003)}
        record = RegisterRings(RingDescription(size, 0x10000, 4), RingDescription(size, 0x10000 + size, 8))
        self.file = object()
        request = Registration(self.caller, self.file, record.to_bytes())
        status, _ = self.executor.run(device_control(self.adapter, request, TUN_IOCTL_REGISTER_RINGS))
        assert status == 0
        view = memoryview(memory)
        self.session = Session(
            SessionRing("receive", view[:size], 0x20000), SessionRing("send", view[size:], 0x20000), events[1]
        )

    def packets(self) -> Iterator[bytes]:
        """Receive and release all there is."""
        while True:
            error, offset, size = self.executor.run(receive_packet(self.session))
            if error:
                assert error == EMPTY
                return
            yield bytes(self.session.receiving.data[offset : offset + size])
            self.executor.run(release_receive_packet(self.session, offset))


def ip_packet(size: int, fill: int) -> bytes:
    return (b"\x45" + bytes([fill]) * size)[:size]


@given(st.lists(st.tuples(st.booleans(), st.integers(20, 65535)), max_size=25))
def test_packets_cross_both_rings_unchanged(steps: list[tuple[bool, int]]) -> None:
    connected = Connected()
    sent, written, got = [], [], []
    for number, (is_down, size) in enumerate(steps):
        data = ip_packet(size, number)
        if is_down:
            chain = SendChain.of(Packet(data))
            connected.executor.run(send(connected.adapter, chain))
            if chain.nbls[0].status == 0:
                sent.append(data)
            else:
                got += connected.packets()
        else:
            error, offset = connected.executor.run(allocate_send_packet(connected.session, size))
            assert not error
            connected.session.sending.data[offset : offset + size] = data
            connected.executor.run(send_packet(connected.session, offset))
            written.append(data)
    got += connected.packets()
    assert got == sent
    assert connected.ndis.received == written


def test_the_end_of_the_registration_is_seen_on_both_sides() -> None:
    connected = Connected()
    connected.executor.run(close(connected.adapter, connected.file))
    assert connected.executor.run(receive_packet(connected.session))[0] == EOF
    assert connected.executor.run(allocate_send_packet(connected.session, 4))[0] == EOF
