"""What is seen of the rings from outside: content, latency, the client's stores (design §4, §5)."""

from itertools import pairwise

import pytest

from wintun_model.adapter import Packet, SendChain
from wintun_model.send import send
from wintun_model.trace import Kind
from wintunsim.kernel.monitor import ReceiveMonitor, RingCounts

KIB = 1024
STOPPED = 0xFFFFFFFF


class Story:
    """A bench whose trace is kept."""

    def __init__(self, bench):
        self.bench = bench
        self.records = []
        bench.machine.trace.add_sink(self.records.extend)

    def rows(self, kind):
        """(time, thread, name of the subject, value, extra) of each record of that kind."""
        trace = self.bench.machine.trace
        trace.flush()
        rows = [self.records[place : place + 6] for place in range(0, len(self.records), 6)]
        return [(row[0], trace.names[row[1]], trace.names[row[3]], *row[4:]) for row in rows if row[2] == kind]

    def stores(self, name):
        return [row for row in self.rows(Kind.STORE) if row[2] == name]


@pytest.fixture
def story(bench):
    return Story(bench)


# -- the client's stores ------------------------------------------------------------------------------------------


def test_a_clients_stores_are_traced_with_its_thread_at_its_next_call(bench, story):
    times = {}

    def client():
        bench.register()
        bench.machine.spend(1_000_000 - bench.machine.now)
        bench.send.alertable = 1
        bench.machine.spend(500)  # time passes, but the client is not seen
        times["alertable"] = bench.machine.now
        bench.step()
        bench.send.head = 400
        times["head"] = bench.machine.now
        bench.step()
        bench.receive.tail = bench.receive.put(b"\x45" + bytes(59))
        times["tail"] = bench.machine.now
        bench.step()
        bench.step()

    thread = bench.start(client, "worker").name
    bench.run()
    assert story.stores("tun.send.Alertable") == [(times["alertable"], thread, "tun.send.Alertable", 1, 0)]
    assert story.stores("tun.send.Head") == [(times["head"], thread, "tun.send.Head", 400, 0)]
    assert story.stores("tun.receive.Tail") == [(times["tail"], thread, "tun.receive.Tail", 64, 0)]


def test_the_drivers_stores_are_traced_with_what_was_there(bench, story, tools):
    def client():
        bench.register()
        bench.feed([tools.packet(60), tools.packet(100)], start_ns=1_000_000)
        bench.sleep(2_000_000)
        bench.close()

    bench.run(client)
    tails = [(thread, value, old) for _, thread, _, value, old in story.stores("tun.send.Tail")]
    assert tails == [("tun NDIS send", 64, 0), ("tun NDIS send", 168, 64), ("client/t0", STOPPED, 168)]
    assert [(row[1], *row[3:]) for row in story.stores("tun.receive.Head")] == [("tun reader", STOPPED, 0)]


def test_words_of_a_new_registration_are_watched_anew(bench, story, tools):
    def client():
        for number in range(2):
            bench.send.head = bench.send.tail = bench.receive.head = bench.receive.tail = 0
            bench.register()
            bench.receive.push(tools.packet(60, number))
            bench.sleep(50_000)
            bench.close()

    bench.run(client)
    tails = story.stores("tun.receive.Tail")
    assert [row[3:] for row in tails] == [(64, 0), (64, 0)]
    assert (bench.port.send_monitor, bench.port.receive_monitor) == (None, None)
    assert bench.port.receive.packets == 2
    assert len(bench.port.receive.latencies_ns) == 2


def test_what_is_stored_while_nothing_is_registered_is_not_seen(bench, story):
    def client():
        bench.send.head = 4
        bench.step()
        bench.register()
        bench.close()
        bench.send.head = 8
        bench.step()

    bench.run(client)
    assert story.stores("tun.send.Head") == []


# -- latency ------------------------------------------------------------------------------------------------------


def test_latency_of_the_send_ring_runs_from_tail_to_head(bench, story, tools):
    def client():
        bench.register()
        bench.feed([tools.packet(60, seed) for seed in range(3)], start_ns=1_000_000, interval_ns=10_000)
        for pause_ns in (1_000_000, 50_000, 5000):
            bench.sleep(pause_ns)
            assert bench.send.pop() is not None
            bench.step()

    bench.run(client)
    tails, heads = story.stores("tun.send.Tail"), story.stores("tun.send.Head")
    assert len(tails) == len(heads) == 3
    expected = [head[0] - tail[0] for tail, head in zip(tails, heads, strict=True)]
    assert list(bench.port.send.latencies_ns) == expected


def test_a_client_that_polls_takes_a_packet_before_its_completion(bench, story, tools):
    """The packet is the client's from the store of Tail on; NDIS is told only after that."""

    def client():
        bench.register()
        bench.feed([tools.packet(60, seed) for seed in range(3)], start_ns=1_000_000, interval_ns=200_000)
        while len(bench.network.sent) < 3 or bench.send.content:
            bench.send.pop()
            bench.step()

    bench.run(client)
    latencies = bench.port.send.latencies_ns
    tails, heads = story.stores("tun.send.Tail"), story.stores("tun.send.Head")
    assert list(latencies) == [head[0] - tail[0] for tail, head in zip(tails, heads, strict=True)]
    assert all(0 <= latency < 100 for latency in latencies)
    assert all(head[0] < completed[0] for head, completed in zip(heads, bench.network.sent, strict=True))


def test_several_packets_that_leave_at_once_have_a_latency_each(bench, tools):
    def client():
        bench.register()
        bench.feed([tools.packet(60, seed) for seed in range(4)], start_ns=1_000_000, interval_ns=100_000)
        bench.machine.block(3_000_000)
        while bench.send.pop():
            pass
        bench.step()

    bench.run(client)
    latencies = list(bench.port.send.latencies_ns)
    assert [earlier - later for earlier, later in pairwise(latencies)] == [100_000] * 3
    assert latencies[3] < 1_700_000


def test_a_chain_of_packets_has_a_latency_for_each_that_is_in_the_ring(bench, tools):
    chain = SendChain.of(
        Packet(tools.packet(60, 1)), Packet(bytes(65536)), Packet(None, 100), Packet(b""), Packet(tools.packet(1420, 2))
    )

    def client():
        bench.register()
        bench.system.executor.run(send(bench.adapter, chain))
        assert [len(bench.send.pop()) for _ in range(4)] == [60, 100, 0, 1420]
        bench.step()

    bench.run(client)
    assert len(bench.port.send.latencies_ns) == 4
    assert bench.port.send.packets == 3
    assert bench.port.send.peak_content_bytes == 64 + 104 + 4 + 1424
    assert bench.port.refused == {0xC0010014: 1, 0xC0000001: 1}


def test_latency_of_the_receive_ring_runs_from_tail_to_head(bench, story, tools):
    def client():
        bench.register()
        bench.sleep(1_000_000)
        ring = bench.receive
        for seed in range(3):
            ring.tail = ring.put(tools.packet(60, seed))
        bench.step()
        bench.machine.set_event(ring.event)
        bench.sleep(1_000_000)

    bench.run(client)
    (entered,) = [row[0] for row in story.stores("tun.receive.Tail")]
    left = [row[0] for row in story.stores("tun.receive.Head")]
    assert list(bench.port.receive.latencies_ns) == [time_ns - entered for time_ns in left]
    assert len(left) == 3
    assert left[0] - entered > 8000


def test_a_packet_that_was_in_the_receive_ring_before_counts_from_the_registration(bench, tools):
    bench.receive.tail = bench.receive.put(tools.packet(60))

    def client():
        bench.register()
        bench.sleep(500_000)

    bench.run(client)
    assert bench.received == [tools.packet(60)]
    (latency,) = bench.port.receive.latencies_ns
    assert 0 < latency < 100_000


@pytest.mark.parametrize("bad", [128 * KIB, STOPPED])
@pytest.mark.parametrize("when", ["at registration", "later"])
def test_a_head_that_was_bad_for_a_while_spoils_no_later_number(bench, tools, bad, when):
    def client():
        if when == "at registration":
            bench.send.head = bad
        bench.register()
        if when == "later":
            bench.feed([tools.packet(60)], start_ns=bench.machine.now)
            bench.sleep(50_000)
            bench.send.head = bad
            bench.sleep(1000)
            bench.send.head = 64
        else:
            bench.send.head = 0
        bench.step()
        before = len(bench.port.send.latencies_ns)
        assert before == (when == "later")
        bench.feed([tools.packet(60)], start_ns=bench.machine.now)
        bench.sleep(5000)
        assert bench.send.pop() == tools.packet(60)
        bench.step()
        assert len(bench.port.send.latencies_ns) == before + 1
        assert bench.port.send.latencies_ns[-1] < 5000

    bench.run(client)
    assert bench.port.send.peak_content_bytes == 64


# -- content ------------------------------------------------------------------------------------------------------


def test_the_peak_is_the_most_that_was_in_the_ring(bench, tools):
    def client():
        bench.register()
        bench.feed([tools.packet(100)] * 6, start_ns=1_000_000)
        bench.sleep(1_500_000)
        for _ in range(6):
            bench.send.pop()
        bench.step()
        bench.feed([tools.packet(100)] * 4, start_ns=2_000_000)
        bench.machine.block(3_000_000)

    bench.run(client)
    assert bench.port.send.peak_content_bytes == 6 * 104


def test_the_peak_of_the_receive_ring_and_over_registrations(bench, tools):
    def client():
        for count in (5, 3):
            bench.send.head = bench.send.tail = bench.receive.head = bench.receive.tail = 0
            bench.register()
            ring = bench.receive
            bench.sleep(1_000_000)
            for seed in range(count):
                ring.tail = ring.put(tools.packet(60, seed))
            bench.step()
            bench.machine.set_event(ring.event)
            bench.sleep(1_000_000)
            bench.close()

    bench.run(client)
    assert bench.port.receive.peak_content_bytes == 5 * 64
    assert bench.port.receive.packets == 8


def test_a_ring_never_holds_more_than_its_capacity_allows(bench, tools):
    def client():
        bench.register()
        bench.feed([tools.packet(4)] * 20_000, start_ns=1_000_000, interval_ns=5000)
        bench.machine.block()

    bench.run(client)
    assert bench.port.send.peak_content_bytes == 128 * KIB - 8
    assert bench.port.send.packets == 128 * KIB // 8 - 1


def test_capacities_are_those_of_a_registration_that_came_to_be(bench):
    def client():
        bench.described["receive"][2] = 0x4444
        assert bench.control() != 0
        assert (bench.port.send.capacity_bytes, bench.port.receive.capacity_bytes) == (0, 0)
        bench.described["receive"][2] = bench.receive.handle
        bench.register()

    bench.run(client)
    assert (bench.port.send.capacity_bytes, bench.port.receive.capacity_bytes) == (128 * KIB, 128 * KIB)


@pytest.mark.parametrize(
    ("size", "tail", "cause"),
    [
        (30, 36, "the packet of 30 bytes at offset 0 is neither IPv4 nor IPv6"),
        (60, 36, "the packet at offset 0 says 60 bytes, the ring holds 36"),
        (30, 2, "2 bytes at offset 0 are less than a packet header"),
        (30, 128 * KIB, "Tail was 131072, not below the capacity"),
    ],
)
def test_why_the_driver_stopped_reading_is_noted(bench, size, tail, cause):
    def client():
        bench.register()
        bench.receive.bytes[12:16] = size.to_bytes(4, "little")
        bench.receive.tail = tail
        bench.sleep(200_000)

    bench.run(client)
    assert bench.port.report()["aborts"] == [cause]


def test_a_close_is_no_stop_of_the_driver(bench):
    def client():
        bench.register()
        bench.sleep(200_000)
        bench.close()

    bench.run(client)
    assert bench.port.report()["aborts"] == []


def test_head_that_goes_back_counts_nothing_twice(bench):
    """B2: two returns store Head in the wrong order. What is in the ring then is what Head and Tail say."""
    counts = RingCounts()

    def client():
        bench.register()
        ring = bench.adapter.receive_ring.value
        monitor = ReceiveMonitor(bench.system.executor, ring, counts, bench.adapter.disconnected)
        ring.tail.cells[1] = 300
        monitor.poll()
        for old, head in ((0, 200), (200, 100), (100, 300)):
            ring.head.cells[0] = head
            ring.head.observer(old, head)
        assert (monitor.total_in, monitor.total_out) == (300, 300)
        ring.tail.cells[1] = 400
        monitor.poll()

    bench.run(client)
    assert counts.peak_content_bytes == 300
