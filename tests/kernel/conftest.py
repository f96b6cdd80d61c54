"""A bench for the kernel: a machine, or a system with one adapter, one client process and a network that notes."""

from __future__ import annotations

import pytest

from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintunsim.kernel.machine import FOREVER, Machine
from wintunsim.kernel.memory import view
from wintunsim.kernel.objects import EventObject
from wintunsim.kernel.process import Account
from wintunsim.kernel.system import GENERIC_READ, GENERIC_WRITE, System

KIB = 1024
EVENT_ALL_ACCESS = 0x1F0003
READ_WRITE = GENERIC_READ | GENERIC_WRITE
HEADER_BYTES = 12
CLIENT_CALL_NS = 40
"""What a client's step costs: it lets its stores be seen."""


def stored(size):
    """What a packet takes in a ring: 4 bytes of header, and its data rounded up to 4."""
    return 4 + (size + 3) // 4 * 4


def packet(size, seed=0, version=4):
    """`size` bytes that start like an IP packet of that version, different for each seed."""
    data = bytearray(((seed * 31 + index * 7) & 0xFF) for index in range(min(size, 256)))
    data = (data * (size // 256 + 1))[:size] if size > 256 else data
    if size:
        data[0] = version << 4 | seed & 0xF
    return bytes(data)


def word_at(index):
    """A word of a ring's header as an attribute."""
    return property(lambda ring: ring.words[index], lambda ring, value: ring.words.__setitem__(index, value))


class ClientRing:
    """A ring as its client sees it, at any address. Written from the published layout, not with the model's code."""

    def __init__(self, bench, name, capacity, address=None):
        self.bench = bench
        self.capacity = capacity
        self.size = HEADER_BYTES + capacity + 0x10000
        self.address = bench.process.memory.allocate(self.size) if address is None else address
        self.bytes = view(self.address, self.size)
        self.words = self.bytes[:HEADER_BYTES].cast("I")
        self.data = self.bytes[HEADER_BYTES:]
        self.event = EventObject(f"{name} moved", manual_reset=False, signalled=False)
        self.handle = bench.process.handles.insert(self.event, EVENT_ALL_ACCESS)

    head, tail, alertable = word_at(0), word_at(1), word_at(2)

    @property
    def content(self):
        return (self.tail - self.head) % self.capacity

    def pop(self):
        """Read one packet of the send ring, or None when it is empty or has ended."""
        head, tail = self.head, self.tail
        if head == tail or tail >= self.capacity:
            return None
        size = int.from_bytes(self.data[head : head + 4], "little")
        data = bytes(self.data[head + 4 : head + 4 + size])
        self.head = (head + stored(size)) % self.capacity
        return data

    def has_room(self, size):
        return self.content + stored(size) <= self.capacity - 4

    def put(self, data, size=None):
        """Write one packet at `Tail` without moving it; where `Tail` must go."""
        tail = self.tail
        self.data[tail : tail + 4] = (len(data) if size is None else size).to_bytes(4, "little")
        self.data[tail + 4 : tail + 4 + len(data)] = data
        return (tail + stored(len(data))) % self.capacity

    def push(self, data):
        """Write one packet to the receive ring; sets TailMoved when asked to."""
        self.move_tail(self.put(data))

    def move_tail(self, tail):
        self.tail = tail
        if self.alertable:
            self.bench.step(500)
            self.bench.machine.set_event(self.event)


_machines = []


class Recorder:
    """The other side of an adapter: notes what crosses it, with its time."""

    is_watching = True

    def __init__(self):
        self.machine = None
        self.links = []
        self.sent = []
        self.received = []

    def link_changed(self, port, connected):
        self.links.append((self.machine.time(), connected))

    def packet_sent(self, port, packet, status):
        self.sent.append((self.machine.now, packet.number, packet.data, status))

    def packet_received(self, port, data):
        self.received.append((self.machine.now, data))


class Bench:
    """A system with an adapter "tun" and a process "client" with two rings; nothing is open or registered yet."""

    def __init__(
        self, capacity=128 * KIB, *, seed=0, costs=None, account=Account.SYSTEM, send=None, receive=None, sinks=()
    ):
        self.network = Recorder()
        self.system = System(seed=seed, costs=costs, network=self.network)
        self.machine = self.network.machine = self.system.machine
        _machines.append(self.machine)
        for sink in sinks:
            self.machine.trace.add_sink(sink)
        self.device = self.system.create_adapter("tun")
        self.adapter = self.device.adapter
        self.port = self.device.port
        self.process = self.system.create_process("client", account)
        self.send = ClientRing(self, "send", capacity, send)
        self.receive = ClientRing(self, "receive", capacity, receive)
        self.described = {
            "send": [self.send.size, self.send.address, self.send.handle],
            "receive": [self.receive.size, self.receive.address, self.receive.handle],
        }
        """The record's fields, for a test to spoil: ring size, address, event handle."""
        self.file = None
        self.file_handle = 0

    # -- running ----------------------------------------------------------------------------------------------------

    def start(self, function, name="", process=None):
        return (process or self.process).start_thread(function, name)

    def run(self, *functions, until=FOREVER):
        """Start client threads and run until nothing can happen any more."""
        for number, function in enumerate(functions):
            self.start(function, f"t{number}")
        self.machine.run(until)
        return self

    def step(self, cost=CLIENT_CALL_NS):
        """A call of the client: what it stored before is seen, and time passes."""
        self.system.poll()
        self.machine.spend(cost)

    def sleep(self, time_ns):
        self.step()
        self.machine.block(self.machine.now + time_ns)

    def until(self, condition, limit=100_000):
        """Let time pass until a condition holds."""
        for _ in range(limit):
            if condition():
                return
            self.step(1000)
        raise AssertionError("it does not come")

    # -- requests, all to be made in a thread -----------------------------------------------------------------------

    def open(self, access=READ_WRITE, process=None):
        process = process or self.process
        status, file = self.system.open_path(self.device.interface_path, process, access, 0)
        assert status == 0
        self.file, self.file_handle = file, process.handles.insert(file, file.access)
        return file

    def record(self):
        return RegisterRings(
            RingDescription(*self.described["send"]), RingDescription(*self.described["receive"])
        ).to_bytes()

    def control(self, data=None, code=TUN_IOCTL_REGISTER_RINGS, process=None, file=None):
        """Send the register request; its status."""
        self.step(500)
        file = file or self.file or self.open()
        status, information = file.control(process or self.process, code, self.record() if data is None else data)
        assert information == 0
        return status

    def register(self):
        assert self.control() == 0

    def close(self):
        """Close the file handle that was opened last."""
        self.step(500)
        assert self.process.handles.close(self.file_handle)
        self.file = None

    # -- NDIS's side ------------------------------------------------------------------------------------------------

    def feed(self, packets, *, interval_ns=1000, start_ns=0):
        """The system sends these packets, `interval_ns` apart."""
        items = [(start_ns + number * interval_ns, 1, number + 1, data) for number, data in enumerate(packets)]
        self.port.feed(iter(items))

    @property
    def received(self):
        return [data for _, data in self.network.received]

    @property
    def statistics(self):
        """The counters that are not 0, and what was refused."""
        return {name: amount for name, amount in self.port.report().items() if amount}

    def state(self):
        """What the rest of the system can learn of the adapter: equal before and after a call that changed nothing."""
        adapter, driver = self.adapter, self.system.driver
        locks = [
            adapter.transition_lock,
            adapter.registration_lock,
            adapter.send_lock,
            adapter.receive_lock,
            driver.context_guard,
            driver.device_list_lock,
        ]
        return {
            "owner": adapter.owner.value,
            "registered": driver.registered.value,
            "disconnected": adapter.disconnected.signalled,
            "link": (self.port.connected, list(self.network.links)),
            "monitors": (self.port.send_monitor, self.port.receive_monitor),
            "locks": [(lock.exclusive, lock.shared, len(lock.waiters)) for lock in locks],
            "threads": [thread.name for thread in self.machine.threads],
            "rings": [bytes(ring.bytes) for ring in (self.send, self.receive)],
            "events": [
                (ring.event.signalled, ring.event.pointer_count, ring.event.handle_count)
                for ring in (self.send, self.receive)
            ],
            "report": self.port.report(),
            "capacities": (self.port.send.capacity_bytes, self.port.receive.capacity_bytes),
        }


class Tools:
    """What tests of this folder share."""

    Bench = Bench
    ClientRing = ClientRing
    packet = staticmethod(packet)
    stored = staticmethod(stored)


@pytest.fixture(scope="session")
def tools():
    """The classes and functions of this file, also for property tests."""
    return Tools


@pytest.fixture
def machine():
    """A machine with nothing on it, whose costs are the default ones."""
    machine = Machine()
    _machines.append(machine)
    return machine


@pytest.fixture(autouse=True)
def end_of_machines():
    """After each test its machines' threads end: one that blocks for ever keeps all that it knows."""
    yield
    while _machines:
        machine = _machines.pop()
        for thread in list(machine.threads):
            machine.kill(thread)


@pytest.fixture
def bench():
    """A system with rings of the smallest capacity."""
    return Bench()
