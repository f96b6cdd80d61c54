"""A bench for the model: one adapter, one client process with two rings, an NDIS that notes what it is told."""

from __future__ import annotations

import struct
from collections import Counter

import pytest

from wintun_model import client
from wintun_model import operations as op
from wintun_model.abi import (
    EVENT_MODIFY_STATE,
    SYNCHRONIZE,
    TUN_IOCTL_REGISTER_RINGS,
    WINTUN_LIMITS,
    RegisterRings,
    RingDescription,
)
from wintun_model.adapter import Adapter, Driver, Packet, SendChain
from wintun_model.dispatch import close, device_control
from wintun_model.immediate import ImmediateExecutor, RecordingNdis, SimpleCaller
from wintun_model.miniport import restart
from wintun_model.registration import Registration
from wintun_model.revision import REVISIONS, Revision
from wintun_model.send import send

SEND_HANDLE, RECEIVE_HANDLE = 0x44, 0x48
ALL_RIGHTS = EVENT_MODIFY_STATE | SYNCHRONIZE
UNTOUCHED = 0xA5
HEADER_BYTES = 12


class ClientRing:
    """A ring as its client sees it. Written from the published layout, without the model's arithmetic."""

    def __init__(self, name, capacity, address, *, trailing_bytes=0x10000, manual_reset=False):
        self.capacity = capacity
        self.address = address
        self.memory = bytearray(HEADER_BYTES + capacity + trailing_bytes)
        self.event = op.Event(f"{name}.TailMoved", manual_reset=manual_reset)

    def fill(self):
        """Fill the data area, so that every byte that is written shows."""
        self.memory[HEADER_BYTES:] = bytes([UNTOUCHED]) * (len(self.memory) - HEADER_BYTES)

    def _word(self, offset):
        return struct.unpack_from("<I", self.memory, offset)[0]

    def _set_word(self, offset, value):
        struct.pack_into("<I", self.memory, offset, value)

    head = property(lambda self: self._word(0), lambda self, value: self._set_word(0, value))
    tail = property(lambda self: self._word(4), lambda self, value: self._set_word(4, value))
    alertable = property(lambda self: self._word(8), lambda self, value: self._set_word(8, value))

    @property
    def words(self):
        return self.head, self.tail, self.alertable

    def at(self, offset, size):
        """Bytes of the data area."""
        return bytes(self.memory[HEADER_BYTES + offset : HEADER_BYTES + offset + size])

    def packet_at(self, offset):
        size = struct.unpack_from("<I", self.memory, HEADER_BYTES + offset)[0]
        return self.at(offset + 4, size)

    def put_packet_at(self, offset, data, size=None):
        start = HEADER_BYTES + offset
        struct.pack_into("<I", self.memory, start, len(data) if size is None else size)
        self.memory[start + 4 : start + 4 + len(data)] = data

    def pop(self):
        """The client reads one packet of the send ring, or None when it is empty."""
        if self.head == self.tail:
            return None
        data = self.packet_at(self.head)
        self.head = (self.head + (4 + len(data) + 3) // 4 * 4) % self.capacity
        return data

    def pop_all(self):
        popped = []
        while (data := self.pop()) is not None:
            popped.append(data)
        return popped

    def push(self, data):
        """The client writes one packet to the receive ring; it must fit. Sets TailMoved when asked to."""
        self.put_packet_at(self.tail, data)
        self.move_tail((self.tail + (4 + len(data) + 3) // 4 * 4) % self.capacity)

    def move_tail(self, tail):
        self.tail = tail
        if self.alertable:
            self.event.signalled = True


class Bench:
    """One adapter with everything around it, running and not registered."""

    def __init__(
        self,
        capacity=0x20000,
        *,
        send_capacity=None,
        receive_capacity=None,
        keeps_nbls=False,
        running=True,
        manual_reset=False,
        limits=WINTUN_LIMITS,
        driver=None,
        name="tun",
        process_id=100,
        ndis=None,
    ):
        self.ndis = ndis or RecordingNdis(keeps_nbls=keeps_nbls)
        self.failures: dict[str, set[int]] = {}
        """What fails at which attempt, counted from 1: {"memory descriptor": {2}}."""
        self.attempts: Counter[str] = Counter()
        self.open_handles = []
        self.executor = ImmediateExecutor(
            self.ndis,
            fails=self._fails,
            handles=lambda adapter: list(self.open_handles),
            close_handle=self._close_handle,
        )
        self.adapter = Adapter(name, driver or Driver(limits=limits))
        self.caller = SimpleCaller(process_id)
        self.file = object()
        trailing = self.adapter.limits.trailing_bytes
        self.send_ring = ClientRing(
            "send", send_capacity or capacity, 0x10000, trailing_bytes=trailing, manual_reset=manual_reset
        )
        self.receive_ring = ClientRing(
            "receive", receive_capacity or capacity, 0x80000000, trailing_bytes=trailing, manual_reset=manual_reset
        )
        self.caller.memory = {ring.address: ring.memory for ring in (self.send_ring, self.receive_ring)}
        self.caller.handles = {
            SEND_HANDLE: (self.send_ring.event, ALL_RIGHTS),
            RECEIVE_HANDLE: (self.receive_ring.event, ALL_RIGHTS),
        }
        self.described = {
            "send": [len(self.send_ring.memory), self.send_ring.address, SEND_HANDLE],
            "receive": [len(self.receive_ring.memory), self.receive_ring.address, RECEIVE_HANDLE],
        }
        """The record's fields, for a test to spoil: ring size, address, event handle."""
        if running:
            self.executor.run(restart(self.adapter))

    def _fails(self, what):
        self.attempts[what] += 1
        return self.attempts[what] in self.failures.get(what, ())

    def _close_handle(self, caller, handle):
        for entry in self.open_handles:
            if entry[:2] == (caller, handle):
                self.open_handles.remove(entry)
                return close(self.adapter, entry[2])
        return None

    # -- requests -------------------------------------------------------------------------------------------------

    def record(self):
        """The registration record as the client fills it in."""
        return RegisterRings(
            RingDescription(*self.described["send"]), RingDescription(*self.described["receive"])
        ).to_bytes()

    def request(self, data=None, *, caller=None, file=None):
        return Registration(caller or self.caller, file or self.file, self.record() if data is None else data)

    def start(self, routine, name="thread", log=None, **hooks):
        """Start a routine, watched; the thread."""
        return self.executor.start(watched(routine, log, **hooks), name)

    def control(self, request=None, code=TUN_IOCTL_REGISTER_RINGS, log=None, **hooks):
        """Send a control code; the status. `log` takes what is yielded, see `watched`."""
        routine = watched(device_control(self.adapter, request or self.request(), code), log, **hooks)
        status, returned = self.executor.run(routine, "request")
        assert returned == 0
        return status

    def register(self, **hooks):
        assert self.control(**hooks) == 0
        return self

    def close(self, file=None, log=None):
        self.executor.run(watched(close(self.adapter, file or self.file), log), "close")

    # -- NDIS's side ------------------------------------------------------------------------------------------------

    def send(self, *packets, log=None, **hooks):
        """Send one chain, one NBL for each packet (bytes or `Packet`); the statuses of its NBLs."""
        chain = chain_of(*packets)
        self.executor.run(watched(send(self.adapter, chain), log, **hooks), "send")
        assert self.ndis.completed[-1] is chain
        return [nbl.status for nbl in chain.nbls]

    def settle(self):
        self.executor.settle()

    @property
    def statistics(self):
        """The counters that are not 0."""
        return {name: amount for name, amount in self.adapter.statistics.as_dict().items() if amount}

    @property
    def locks(self):
        adapter = self.adapter
        return [
            adapter.transition_lock,
            adapter.registration_lock,
            adapter.send_lock,
            adapter.receive_lock,
            adapter.driver.context_guard,
            adapter.driver.device_list_lock,
        ]

    def state(self):
        """What the rest of the system can learn of the adapter: equal before and after a call that changed nothing."""
        adapter = self.adapter
        return {
            "owner": adapter.owner.value,
            "owner process": adapter.owner_process_id.value,
            "registered": adapter.driver.registered.value,
            "disconnected": adapter.disconnected.signalled,
            "reader": adapter.reader.value,
            "threads": list(self.executor.threads),
            "links": list(self.ndis.links),
            "statistics": adapter.statistics.as_dict(),
            "locks": [(lock.exclusive, lock.shared) for lock in self.locks],
            "rings": [bytes(ring.memory) for ring in (self.send_ring, self.receive_ring)],
            "events": [ring.event.signalled for ring in (self.send_ring, self.receive_ring)],
        }


def let_in(caller):
    """Make it a caller that each revision lets in."""
    caller.is_administrator, caller.integrity_level, caller.is_32_bit = True, 0x4000, False
    return caller


def bench_of(revision, **options):
    """A bench whose driver is of a revision, given or named, and whose caller each revision lets in."""
    revision = revision if isinstance(revision, Revision) else REVISIONS[revision]
    made = Bench(**{"driver": Driver(revision)} | options)
    let_in(made.caller)
    return made


def client_rings(bench, **options):
    """The client's two rings, send and receive, over the memory that the bench has registered."""
    return tuple(
        client.ClientRing(name, memoryview(ring.memory), ring.capacity, ring.event, **options)
        for name, ring in (("send", bench.send_ring), ("receive", bench.receive_ring))
    )


def chain_of(*packets):
    return SendChain.of(*(packet if isinstance(packet, Packet) else Packet(packet) for packet in packets))


def watched(routine, log=None, *, before=None, reader_log=None, reader_before=None):
    """Run a routine and append each operation that it yields to `log`, as text (see `told`).

    `before(text)` is called before each; a routine that it answers is run first, so it can write memory or wait.
    `reader_log` and `reader_before` do the same for the threads that the routine starts.
    """
    value = None
    while True:
        try:
            operation = routine.send(value)
        except StopIteration as stop:
            return stop.value
        text = told(operation)
        inserted = before(text) if before else None
        if inserted is not None:
            yield from inserted
        if log is not None:
            log.append(text)
        if isinstance(operation, op.StartThread):
            reader = watched(operation.routine, reader_log, before=reader_before)
            operation = op.StartThread(reader, operation.name, operation.priority)
        value = yield operation


def recorded(routine, operations, *, frequency=None):
    """Run a routine and keep each operation that it yields, also those of threads that it starts.

    `frequency` is sent back for that of the performance counter.
    """
    value = None
    while True:
        try:
            operation = routine.send(value)
        except StopIteration as stop:
            return stop.value
        operations.append(operation)
        if isinstance(operation, op.StartThread):
            reader = recorded(operation.routine, operations, frequency=frequency)
            operation = op.StartThread(reader, operation.name, operation.priority)
        value = yield operation
        if frequency is not None and isinstance(operation, op.ReadFrequency):
            value = frequency


def gate(*texts):
    """(before, event): waits for the event once, before the first operation that is told as one of `texts`."""
    event = op.Event("gate", manual_reset=True)
    waited = []

    def before(text):
        if text in texts and not waited:
            waited.append(text)
            return _wait_for(event)
        return None

    return before, event


def _wait_for(event):
    yield op.Wait((event,))


def _short(noun):
    return noun.name.removeprefix("tun.")


def told(operation):
    """An operation as short text: ``Store receive.Head=4``."""
    name = type(operation).__name__
    match operation:
        case op.Store():
            return f"{name} {_short(operation.word)}={operation.value}"
        case op.Load():
            return f"{name} {_short(operation.word)}"
        case op.LoadSize() | op.LoadByte():
            return f"{name} @{operation.offset}"
        case op.StoreSize():
            return f"{name} @{operation.offset}={operation.value}"
        case op.CopyIn():
            return f"{name} @{operation.offset}+{operation.size}{' zeros' if operation.data is None else ''}"
        case op.Get():
            return f"{name} {_short(operation.variable)}"
        case op.Put():
            value = operation.value
            return f"{name} {_short(operation.variable)}" + (f"={value}" if isinstance(value, int | None) else "")
        case op.Append():
            return f"{name} {_short(operation.active)} end={operation.end_offset}"
        case op.TakeCompleted():
            return f"{name} {_short(operation.active)}"
        case op.Spin():
            event = "-" if operation.event is None else _short(operation.event)
            return f"{name} {_short(operation.word)}!={operation.value} {event} {operation.limit_ticks}"
        case op.Wait():
            return f"{name} {'|'.join(_short(event) for event in operation.events)}"
        case op.Set() | op.Clear() | op.IsSet() | op.Dereference():
            return f"{name} {_short(operation.event)}"
        case op.Acquire() | op.TryAcquire() | op.Release() | op.AcquireShared() | op.ReleaseShared():
            return f"{name} {_short(operation.lock)}"
        case op.Allocate() | op.Free():
            return f"{name} {operation.pool.name}"
        case op.Initialize() | op.Delete():
            return f"{name} {operation.target.name.rpartition('.')[2]}"
        case op.IndicateLink():
            return f"{name} {operation.connected}"
        case op.ReferenceEvent():
            return f"{name} {operation.handle:#x} {operation.access:#x}"
        case op.LockPages():
            return f"{name} {operation.address:#x}+{operation.size:#x}"
        case _:
            return name


def packet(size, seed=0, version=4):
    """`size` bytes that start like an IP packet of that version, different for each seed."""
    data = bytearray((seed * 31 + index * 7) & 0xFF for index in range(min(size, 256)))
    data = (data * (size // 256 + 1))[:size] if size > 256 else data
    if size:
        data[0] = version << 4 | seed & 0xF
    return bytes(data)


class Tools:
    """What tests of this folder share."""

    Bench = Bench
    bench_of = staticmethod(bench_of)
    let_in = staticmethod(let_in)
    client_rings = staticmethod(client_rings)
    watched = staticmethod(watched)
    recorded = staticmethod(recorded)
    gate = staticmethod(gate)
    told = staticmethod(told)
    packet = staticmethod(packet)
    chain_of = staticmethod(chain_of)


@pytest.fixture(scope="session")
def tools():
    """The classes and functions of this file, also for property tests."""
    return Tools


@pytest.fixture
def bench():
    """An adapter that is running and not registered, with rings of the smallest capacity."""
    return Bench()


@pytest.fixture
def registered():
    """The same with its rings registered."""
    return Bench().register()
