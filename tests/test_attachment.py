"""The network on the other side: when traffic begins, in which order it goes, what is answered, noted and captured."""

import pytest

from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintun_model.ring import ring_bytes_of
from wintunsim.attachment import Attachment
from wintunsim.kernel.memory import view
from wintunsim.kernel.objects import EventObject
from wintunsim.kernel.system import System
from wintunsim.network.captures import read_capture
from wintunsim.network.host import AnsweringHost
from wintunsim.network.traffic import PingTraffic
from wintunsim.trace.pcapng import CaptureWriter

CAPACITY = 0x20000


class Source:
    """Packets at given times."""

    def __init__(self, name, items):
        self.name = name
        self.description = f"{name} for a test"
        self.items = items

    def __iter__(self):
        return iter(self.items)


class Watching(Source):
    """A source that notes what it is told."""

    def __init__(self, name, items=()):
        super().__init__(name, items)
        self.told = []

    def sent(self, time_ns, packet):
        self.told.append(("sent", time_ns, packet))

    def received(self, time_ns, packet):
        self.told.append(("received", time_ns, packet))

    def summary(self):
        return {"told": len(self.told)}


class Client:
    """A client on an adapter: registers when told, notes what it reads, writes what it is given."""

    def __init__(self, system, name):
        self.system, self.machine = system, system.machine
        self.device = system.create_adapter(name)
        self.process = system.create_process(name)
        size = ring_bytes_of(CAPACITY)
        self.addresses = [self.process.memory.allocate(size) for _ in range(2)]
        self.views = [view(address, size) for address in self.addresses]
        self.words = [each[:12].cast("I") for each in self.views]
        events = [EventObject(name, manual_reset=False, signalled=False) for name in ("send", "receive")]
        handles = [self.process.handles.insert(event, 0x1F0003) for event in events]
        self.record = RegisterRings(
            *(RingDescription(size, address, handle) for address, handle in zip(self.addresses, handles, strict=True))
        )
        self.events = events
        self.read = []
        self.up_ns = 0

    def register(self):
        _, file = self.system.open_path(self.device.interface_path, self.process, 0xC0000000, 0)
        self.handle = self.process.handles.insert(file, file.access)
        for words in self.words:
            words[0] = words[1] = words[2] = 0
        assert file.control(self.process, TUN_IOCTL_REGISTER_RINGS, self.record.to_bytes()) == (0, 0)
        self.up_ns = self.machine.now

    def close(self):
        self.process.handles.close(self.handle)

    def write(self, packet):
        words, data = self.words[1], self.views[1][12:]
        tail = words[1]
        data[tail : tail + 4 + len(packet)] = len(packet).to_bytes(4, "little") + packet
        words[1] = (tail + 4 + (len(packet) + 3) // 4 * 4) % CAPACITY
        self.system.poll()
        self.machine.spend(40)
        if words[2]:
            self.machine.set_event(self.events[1])

    def look(self, until_ns):
        """Read the send ring every 5 µs until that time."""
        words, data = self.words[0], self.views[0][12:]
        while self.machine.now < until_ns:
            while words[0] != words[1] and words[1] < CAPACITY:
                head = words[0]
                size = int.from_bytes(data[head : head + 4], "little")
                self.read.append((self.machine.now, bytes(data[head + 4 : head + 4 + size])))
                words[0] = (head + 4 + (size + 3) // 4 * 4) % CAPACITY
            self.system.poll()
            self.machine.spend(5000)


@pytest.fixture
def system():
    system = System()
    system.network = Attachment(system.machine)
    return system


@pytest.fixture
def attachment(system):
    return system.network


@pytest.fixture
def client(system, attachment):
    return Client(system, "tun")


def run(client, function):
    client.process.start_thread(function)
    client.machine.run()


def packet(number):
    return b"\x45" + bytes([number]) * 39


def test_traffic_begins_when_the_link_goes_up(client, attachment):
    attachment.add([Source("a", [(0, packet(1)), (50_000, packet(2))])])

    def main():
        client.machine.spend(3_000_000)
        client.register()
        client.look(4_000_000)

    run(client, main)
    assert [data for _, data in client.read] == [packet(1), packet(2)]
    first, second = (time_ns for time_ns, _ in client.read)
    assert abs(first - client.up_ns) < 20_000
    assert abs(second - first - 50_000) <= 5000


def test_traffic_goes_on_over_a_new_registration_and_does_not_begin_again(client, attachment):
    attachment.add([Source("a", [(number * 100_000, packet(number)) for number in range(10)])])

    def main():
        client.register()
        client.look(client.up_ns + 250_000)
        client.close()
        client.machine.spend(200_000)
        client.register()
        client.look(2_000_000)

    run(client, main)
    numbers = [data[1] for _, data in client.read]
    assert numbers == sorted(set(numbers))
    assert 0 in numbers
    assert 9 in numbers
    assert len(numbers) < 10
    assert client.device.port.report()["refused"]["NDIS_STATUS_MEDIA_DISCONNECTED"] == 10 - len(numbers)


def test_of_packets_at_one_time_the_source_named_first_goes_first(client, attachment):
    times = [0, 10_000, 10_000, 30_000]
    for place, name in enumerate(("first", "second", "third")):
        attachment.add([Source(name, [(time_ns, packet(10 * place + n)) for n, time_ns in enumerate(times)])])

    def main():
        client.register()
        client.look(2_000_000)

    run(client, main)
    expected = sorted((time_ns, place, n) for place in range(3) for n, time_ns in enumerate(times))
    assert [data[1] for _, data in client.read] == [10 * place + n for _, place, n in expected]


def test_traffic_stays_with_the_first_adapter_whose_link_went_up(system, attachment):
    clients = [Client(system, name) for name in ("one", "two")]
    attachment.add([Source("a", [(n * 10_000, packet(n)) for n in range(5)])])

    def main():
        clients[1].register()
        clients[0].register()
        clients[0].look(2_000_000)
        clients[1].look(4_000_000)

    run(clients[0], main)
    assert attachment.port is clients[1].device.port
    assert (len(clients[0].read), len(clients[1].read)) == (0, 5)


def test_the_host_answers_what_the_client_writes(client, attachment):
    attachment.answer_with(AnsweringHost())
    request = PingTraffic(count=1).packet(1)

    def main():
        client.register()
        client.write(request)
        client.look(2_000_000)

    run(client, main)
    (answer,) = [data for _, data in client.read]
    assert answer == AnsweringHost().answer(request)


@pytest.mark.parametrize("host", [None, AnsweringHost(["10.9.9.9"])])
def test_nobody_answers_what_is_for_nobody(client, attachment, host):
    attachment.answer_with(host)

    def main():
        client.register()
        client.write(PingTraffic(count=1).packet(1))
        client.look(2_000_000)

    run(client, main)
    assert client.read == []
    assert client.device.port.receive.packets == 1


def test_sources_that_watch_are_told_of_everything_that_crossed(client, attachment):
    first, second = Watching("first", [(0, packet(1))]), Watching("second")
    attachment.add([first, Source("plain", [(10_000, packet(2))]), second])

    def main():
        client.register()
        client.write(packet(9))
        client.look(1_000_000)

    run(client, main)
    assert first.told == second.told
    assert sorted((what, data[1]) for what, _, data in first.told) == [("received", 9), ("sent", 1), ("sent", 2)]
    assert attachment.report() == [
        {"source": "first", "description": "first for a test", "told": 3},
        {"source": "plain", "description": "plain for a test"},
        {"source": "second", "description": "second for a test", "told": 3},
    ]


def test_what_the_driver_refused_was_not_sent(client, attachment):
    watching = Watching("first", [(0, packet(1)), (100_000, packet(2))])
    attachment.add([watching])

    def main():
        client.register()
        client.words[0][0] = CAPACITY
        client.machine.spend(50_000)
        client.words[0][0] = client.words[0][1]
        client.look(1_000_000)

    run(client, main)
    assert [data[1] for _, _, data in watching.told] == [2]


def test_the_capture_holds_what_crossed_in_each_direction(client, attachment, tmp_path):
    path = tmp_path / "rings.pcapng"
    attachment.capture = CaptureWriter(path)
    pings = PingTraffic(count=4)
    packets = [pings.packet(number) for number in range(1, 5)]
    attachment.add([Source("a", [(n * 10_000, data) for n, data in enumerate(packets[:3])])])

    def main():
        client.register()
        client.write(packets[3])
        client.look(1_000_000)

    run(client, main)
    attachment.capture.close()
    captured = read_capture(path)
    assert sorted(each.data for each in captured) == sorted(packets)
    assert b"tun receive" in path.read_bytes()
    assert b"receive ring of tun: client to system" in path.read_bytes()
    assert b"send ring of tun: system to client" in path.read_bytes()


def test_a_round_trip_is_measured(client, attachment):
    """The client swaps the addresses, as a router would, and the ping hears its answer."""
    ping = PingTraffic(count=1)
    attachment.add([ping])

    def main():
        client.register()
        client.look(client.machine.now + 100_000)
        ((_, request),) = client.read
        answer = AnsweringHost().answer(request)
        client.write(answer)
        client.look(1_000_000)

    run(client, main)
    (row,) = attachment.report()
    assert (row["source"], row["sent"], row["answered"]) == ("ping", 1, 1)
    assert 50_000 < row["rtt_min_ns"] < 200_000
