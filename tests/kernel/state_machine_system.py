"""A simulated computer to which anything may be done, and what must hold whenever one looks at it."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Any

from wintun_model.abi import RegisterRings, RingDescription
from wintun_model.adapter import Packet, Ring, SendChain, SendNbl
from wintun_model.miniport import pause, restart
from wintun_model.send import send
from wintunsim.kernel.devices import AdapterDevice, FileObject
from wintunsim.kernel.memory import view
from wintunsim.kernel.ndis import Port
from wintunsim.kernel.objects import EventObject
from wintunsim.kernel.process import Process
from wintunsim.kernel.system import GENERIC_READ, GENERIC_WRITE, System

REGISTER = 0xCA6CE5C0
CAPACITY = 0x20000
RING_BYTES = 12 + CAPACITY + 0x10000
EVENT_ALL_ACCESS = 0x1F0003
STOPPED = 0xFFFFFFFF
GUARD_BYTES = 64
GUARD = b"\xc3" * GUARD_BYTES
LARGEST = 65535


def stored(size: int) -> int:
    """What a packet takes in a ring."""
    return 4 + (size + 3) // 4 * 4


class Network:
    """The other side of all adapters: what was completed with which status, and what came up from which ring."""

    is_watching = True

    def __init__(self) -> None:
        self.completed: dict[tuple[int, int], tuple[bytes, int]] = {}
        """Packets by source and number: (what the client must read of it, status)."""
        self.sent: dict[Ring, list[bytes]] = {}
        """What a client must find in its send ring, in order."""
        self.received: dict[Ring, list[bytes]] = {}
        self.received_count = 0
        self.links: dict[str, list[bool]] = {}

    def link_changed(self, port: Port, connected: bool) -> None:
        self.links.setdefault(port.adapter.name, []).append(connected)

    def packet_sent(self, port: Port, packet: Packet, status: int) -> None:
        key = packet.source, packet.number
        assert key not in self.completed, f"packet {key} was completed twice"
        data = bytes(packet.size_bytes) if packet.data is None else packet.data
        self.completed[key] = data, status
        ring = port.adapter.send_ring.value
        # What cannot be mapped is delivered as zeros (spec driver §3 step 6).
        if ring is not None and status in (0, 0xC0000001):
            self.sent.setdefault(ring, []).append(data)

    def packet_received(self, port: Port, data: bytes) -> None:
        ring = port.adapter.receive_ring.value
        assert ring is not None
        self.received.setdefault(ring, []).append(data)
        self.received_count += 1


class ClientRing:
    """A ring in a client's memory, with guards."""

    def __init__(self, client: Client, name: str) -> None:
        base = client.process.memory.allocate(RING_BYTES + 2 * GUARD_BYTES)
        assert base is not None
        self.whole = view(base, RING_BYTES + 2 * GUARD_BYTES)
        self.whole[:GUARD_BYTES] = self.whole[-GUARD_BYTES:] = GUARD
        self.address = base + GUARD_BYTES
        ring = self.whole[GUARD_BYTES:-GUARD_BYTES]
        self.words = ring[:12].cast("I")
        self.data = ring[12:]
        self.event = EventObject(f"{name} moved", manual_reset=False, signalled=False)
        self.handle = client.process.handles.insert(self.event, EVENT_ALL_ACCESS)

    def check(self) -> None:
        assert self.whole[:GUARD_BYTES] == GUARD and self.whole[-GUARD_BYTES:] == GUARD, (
            "bytes beside a ring were written"
        )


class Client:
    """A process that registers two rings, and uses them as it should; it echoes what it reads, or not."""

    def __init__(self, computer: Computer, device: AdapterDevice, process: Process, echoes: bool) -> None:
        self.computer, self.device, self.process, self.echoes = computer, device, process, echoes
        self.machine = computer.system.machine
        self.send, self.receive = (ClientRing(self, name) for name in ("send", "receive"))
        self.status: int | None = None
        self.rings: tuple[Ring, Ring] | None = None
        """Its rings as the driver has them, once registered. (Addresses come again, when memory was freed.)"""
        self.file: FileObject | None = None
        self.handle = 0
        self.read: list[bytes] = []
        self.written: list[bytes] = []
        self.outbox: deque[bytes] = deque()
        self.is_over = False
        """Whether its registration ends: its file is closed, it is killed, or its adapter is taken away."""
        self.is_closed = False
        """Whether its file is closed, or it is killed."""
        process.start_thread(self._run)

    def step(self, cost_ns: int = 40) -> None:
        """A call: what was stored is seen, and time passes."""
        self.computer.system.poll()
        self.machine.spend(cost_ns)

    def _run(self) -> None:
        system, process = self.computer.system, self.process
        self.step(500)
        _, self.file = system.open_path(self.device.interface_path, process, GENERIC_READ | GENERIC_WRITE, 0)
        if self.file is None:
            return
        self.handle = process.handles.insert(self.file, self.file.access)
        rings = [RingDescription(RING_BYTES, ring.address, ring.handle) for ring in (self.send, self.receive)]
        self.status, _ = self.file.control(process, REGISTER, RegisterRings(*rings).to_bytes())
        if self.status:
            return
        adapter = self.device.adapter
        sending, receiving = adapter.send_ring.value, adapter.receive_ring.value
        assert sending is not None and receiving is not None
        assert (sending.address, receiving.address) == (self.send.address, self.receive.address)
        self.rings = sending, receiving
        process.start_thread(self._write_all)
        while self._read_one():
            pass

    def _read_one(self) -> bool:
        """One packet, or a wait for one; False at the end."""
        words = self.send.words
        head, tail = words[0], words[1]
        if tail == STOPPED:
            return False
        if head == tail:
            words[2] = 1
            self.step()
            if words[1] == head:
                self.machine.wait((self.send.event,))
            words[2] = 0
            return True
        size = int.from_bytes(self.send.data[head : head + 4], "little")
        data = bytes(self.send.data[head + 4 : head + 4 + size])
        self.read.append(data)
        words[0] = (head + stored(size)) % CAPACITY
        if self.echoes and size >= 20 and data[0] >> 4 == 4:
            self.outbox.append(data)
        self.step()
        return True

    def _write_all(self) -> None:
        words, data = self.receive.words, self.receive.data
        while words[0] != STOPPED:
            if not self.outbox:
                self.machine.block(self.machine.now + 20_000)
                continue
            packet, tail = self.outbox[0], words[1]
            if (tail - words[0]) % CAPACITY + stored(len(packet)) > CAPACITY - 4:
                self.step(1000)
                continue
            data[tail : tail + 4] = len(packet).to_bytes(4, "little")
            data[tail + 4 : tail + 4 + len(packet)] = packet
            self.written.append(self.outbox.popleft())
            words[1] = (tail + stored(len(packet))) % CAPACITY
            self.step()
            if words[2]:
                self.step(500)
                self.machine.set_event(self.receive.event)

    def is_using(self) -> bool:
        """Whether its registration stands."""
        return self.status == 0 and not self.is_over

    def check(self) -> None:
        """What it reads was sent, and what came up it wrote, in order; nothing beside its rings was touched."""
        network = self.computer.network
        if self.rings is not None:
            sending, receiving = self.rings
            sent, received = network.sent.get(sending, []), network.received.get(receiving, [])
            assert self.read == sent[: len(self.read)], "the client read something else than was sent"
            written = iter(self.written + list(self.outbox)[:1])
            assert all(any(data == other for other in written) for data in received), "packets came up out of order"
        if self.process.exit_code is None:
            self.send.check()
            self.receive.check()


class Computer:
    """Two adapters, clients, and threads of the system that send."""

    def __init__(self, revision: str, *, engine: str = "direct") -> None:
        self.network = Network()
        self.system = System(seed=3, revision=revision, engine=engine, network=self.network)
        self.machine = self.system.machine
        self.devices = [self.system.create_adapter(name) for name in ("a", "b")]
        self.busy = dict.fromkeys(self.devices, False)
        """Whether NDIS pauses it, or plug and play takes it away."""
        self.paused: set[AdapterDevice] = set()
        """Adapters that were paused: what a client wrote meanwhile was dropped."""
        self.clients: list[Client] = []
        self.source = self.machine.trace.define("sender")
        self.handed_down = 0
        self.not_handed_down: list[int] = []
        """Packets that the system had no adapter for any more."""
        self.killer = self.system.create_process("killer")

    def do(self, action: str, *arguments: Any) -> None:
        """Do something, let a little time pass, and look at everything."""
        getattr(self, f"_{action}")(*arguments)
        self._wait(2_000)
        self.check()

    def _wait(self, time_ns: int) -> None:
        self.machine.run(self.machine.latest + time_ns)

    def _client(self, index: int, echoes: bool) -> None:
        device = self.devices[index]
        if device.is_present and len(self.clients) < 6:
            process = self.system.create_process("client")
            self.clients.append(Client(self, device, process, echoes))

    def _send(self, index: int, chains: list[tuple[int, list[int]]]) -> None:
        """Each chain is handed down by a thread of its own; all of them together leave room in any ring (B1)."""
        device = self.devices[index]
        for delay_ns, sizes in chains:
            packets = []
            for size in sizes:
                self.handed_down += 1
                number = self.handed_down
                data = (b"\x45" + number.to_bytes(4, "little") + bytes(abs(size)))[: abs(size)]
                packets.append(Packet(data if size >= 0 else None, abs(size), source=self.source, number=number))
            chain = SendChain(tuple(SendNbl((packet,)) for packet in packets))

            def hand_down(chain: SendChain = chain) -> None:
                if device.is_present:
                    self.system.executor.call(send, device.adapter, chain)
                else:
                    self.not_handed_down.extend(packet.number for packet in chain.packets())

            self.machine.start_thread("sender", hand_down, priority=16, delay_ns=delay_ns)
        self._wait(20_000)

    def _write(self, place: int, sizes: list[int]) -> None:
        using = [client for client in self.clients if client.is_using()]
        if using:
            client = using[place % len(using)]
            first = len(client.written) + len(client.outbox)
            for number, size in enumerate(sizes, first):
                client.outbox.append(
                    (b"\x45" + (number << 8 | client.process.number).to_bytes(4, "little") + bytes(size))[:size]
                )

    def _close(self, place: int) -> None:
        client = self._one(place)
        if client is not None:
            client.is_over = client.is_closed = True
            client.process.start_thread(lambda: client.process.handles.close(client.handle))

    def _kill(self, place: int) -> None:
        client = self._one(place)
        if client is not None:
            client.is_over = client.is_closed = True
            self.killer.start_thread(lambda: client.process.exit(9))

    def _one(self, place: int) -> Client | None:
        """A client that has its file open."""
        running = [client for client in self.clients if not client.is_closed and client.handle]
        return running[place % len(running)] if running else None

    def _pause(self, index: int, time_ns: int) -> None:
        device = self.devices[index]
        if self.busy[device] or not device.is_present:
            return
        self.busy[device] = True
        self.paused.add(device)

        def run() -> None:
            self.system.executor.request(pause(device.adapter))
            self.machine.block(self.machine.now + time_ns)
            self.system.executor.request(restart(device.adapter))
            self.busy[device] = False

        self.machine.start_thread("NDIS", run)

    def _remove(self, index: int) -> None:
        device = self.devices[index]
        if self.busy[device] or not device.is_present:
            return
        self.busy[device] = True
        for client in self.clients:
            client.is_over |= client.device is device
        self.machine.start_thread("plug and play", lambda: self.system.remove_adapter(device))

    # -- what must hold -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        for client in self.clients:
            client.check()
        for links in self.network.links.values():
            assert all(before != after for before, after in pairwise(links)), "the link was told twice"

    def end(self) -> str:
        """Everybody reads what there is; then all registrations end, in one way or the other. The digest."""
        self._wait(50_000_000)
        self.check()
        for client in self.clients:
            if client.is_using():
                assert client.rings is not None
                assert client.read == self.network.sent.get(client.rings[0], []), "packets were lost"
                assert not client.outbox and client.receive.words[0] == client.receive.words[1], (
                    "packets stay in the ring"
                )
                if client.device not in self.paused:
                    assert client.written == self.network.received.get(client.rings[1], []), "packets were lost"
        assert len(self.network.completed) + len(self.not_handed_down) == self.handed_down, "packets did not come back"
        self._check_counters()
        for number, client in enumerate(self.clients):
            if not client.is_closed:
                (self._kill if number % 2 else self._close)(0)
                self._wait(50_000_000)
        self.check()
        self._check_nothing_is_left()
        return self.machine.trace.digest()

    def _check_counters(self) -> None:
        """Offered = delivered + refused + failed; handed up = counted."""
        statuses = [status for _, status in self.network.completed.values()]
        counted = [device.adapter.statistics for device in self.devices]
        assert sum(each.out_unicast_packets for each in counted) == statuses.count(0)
        assert sum(each.out_errors for each in counted) == statuses.count(0xC0010014)
        total = sum(each.out_unicast_packets + each.out_errors + each.out_discards for each in counted)
        assert total == len(statuses)
        assert sum(each.in_unicast_packets for each in counted) == self.network.received_count
        written = sum(len(client.written) for client in self.clients)
        assert sum(each.in_unicast_packets + each.in_discards for each in counted) <= written

    def _check_nothing_is_left(self) -> None:
        system, driver = self.system, self.system.driver
        assert self.machine.threads == [], f"threads are left: {self.machine.threads}"
        assert driver.registered.value == () and system.unheld_pages == []
        locks = [driver.context_guard, driver.device_list_lock]
        for device in self.devices:
            adapter = device.adapter
            assert device.files == [] and adapter.owner.value is None
            pools = (adapter.nbl_pool, adapter.memory_descriptors, adapter.partial_descriptors)
            assert [pool.outstanding for pool in pools] == [0, 0, 0]
            locks += [adapter.transition_lock, adapter.send_lock, adapter.receive_lock]
            locks += [adapter.registration_lock] if adapter.registration_lock.is_ready else []
            assert not list(adapter.send_active) and not list(adapter.receive_active)
        assert all(lock.is_free() and not lock.waiters for lock in locks)
        for client in self.clients:
            for ring in (client.send, client.receive):
                assert ring.event.pointer_count == 0, "the driver has kept a reference of an event"
