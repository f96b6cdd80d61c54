"""NDIS beside the driver: what is sent when, what comes back; both rings against lists of packets (driver §3, §4)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintun_model.status import NdisStatus
from wintun_model.trace import Kind

KIB = 1024
STOPPED = 0xFFFFFFFF
OVERFLOW = int(NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW)
NOT_READY = int(NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY)
SIZES = (0, 1, 20, 1420, 65535)


# -- sending ------------------------------------------------------------------------------------------------------


def test_packets_are_sent_at_their_times(bench, tools):
    packets = [tools.packet(100, seed) for seed in range(5)]

    def client():
        bench.register()
        bench.feed(packets, start_ns=1_000_000, interval_ns=10_000)
        bench.machine.block()

    bench.run(client)
    assert [entry[1:] for entry in bench.network.sent] == [(n, data, 0) for n, data in enumerate(packets, 1)]
    delays = [entry[0] - 1_000_000 - 10_000 * place for place, entry in enumerate(bench.network.sent)]
    assert len(set(delays)) == 1
    assert 1000 < delays[0] < 3000


def test_what_is_queued_goes_before_what_is_fed_and_at_once(bench, tools):
    answer, fed = tools.packet(40, 1), tools.packet(40, 2)

    def client():
        bench.register()
        bench.feed([fed, fed], start_ns=1_000_000, interval_ns=1_000_000)
        bench.sleep(500_000)
        bench.port.enqueue(1, 77, answer)
        bench.machine.block(1_999_000)
        for number in (78, 79):
            bench.port.enqueue(1, number, answer)
        bench.machine.block()

    bench.run(client)
    assert [entry[1] for entry in bench.network.sent] == [77, 1, 78, 79, 2]


def test_nothing_is_sent_while_the_link_is_down(bench, tools):
    def client():
        bench.feed([tools.packet(40)] * 4, start_ns=100_000, interval_ns=1_000_000)
        bench.sleep(500_000)
        bench.register()
        bench.sleep(1_000_000)
        bench.close()
        bench.sleep(5_000_000)

    bench.run(client)
    assert [entry[1] for entry in bench.network.sent] == [2]
    assert bench.statistics["refused"] == {"NDIS_STATUS_MEDIA_DISCONNECTED": 3}
    assert bench.statistics["out_unicast_packets"] == 1
    assert "out_discards" not in bench.statistics


def test_a_full_ring_refuses_and_says_so(bench, tools):
    data = tools.packet(1420)
    fitting = (128 * KIB - 4) // 1424

    def client():
        bench.register()
        bench.feed([data] * (fitting + 3), start_ns=1_000_000, interval_ns=5000)
        bench.sleep(2_000_000)
        assert bench.send.tail == fitting * 1424
        assert bench.send.pop() == data
        bench.port.enqueue(1, 999, data)
        bench.sleep(100_000)
        assert [bench.send.pop() for _ in range(fitting + 1)] == [data] * fitting + [None]

    bench.run(client)
    assert [entry[3] for entry in bench.network.sent] == [0] * fitting + [OVERFLOW] * 3 + [0]
    assert bench.statistics["refused"] == {"NDIS_STATUS_BUFFER_OVERFLOW": 3}
    assert bench.statistics["out_discards"] == 3
    assert bench.statistics["out_unicast_packets"] == fitting + 1
    assert bench.statistics["out_octets"] == bench.statistics["out_unicast_octets"] == 1420 * (fitting + 1)
    assert (bench.port.send.packets, bench.port.send.size_bytes) == (fitting + 1, 1420 * (fitting + 1))


def test_a_bad_head_refuses_until_it_is_good_again(bench, tools):
    def client():
        bench.register()
        bench.feed([tools.packet(40)] * 3, start_ns=1_000_000, interval_ns=1_000_000)
        bench.sleep(500_000)
        bench.send.head = 128 * KIB
        bench.sleep(1_000_000)
        bench.send.head = STOPPED
        bench.sleep(1_000_000)
        bench.send.head = 0
        bench.sleep(1_000_000)

    bench.run(client)
    assert [entry[3] for entry in bench.network.sent] == [NOT_READY, NOT_READY, 0]
    assert bench.statistics["refused"] == {"NDIS_STATUS_ADAPTER_NOT_READY": 2}


def test_every_packet_sets_the_event_whatever_alertable_says(bench, tools):
    wakes = []

    def client():
        bench.register()
        bench.feed([tools.packet(40)] * 3, start_ns=1_000_000, interval_ns=100_000)
        for _ in range(3):
            bench.machine.wait((bench.send.event,))
            wakes.append(bench.machine.now)

    bench.run(client)
    assert bench.send.alertable == 0
    assert [wake - wakes[0] for wake in wakes] == [0, 100_000, 200_000]


def test_what_crosses_is_traced_by_source_number_and_length(bench, tools):
    records = []
    bench.machine.trace.add_sink(records.extend)
    source = bench.machine.trace.define("traffic")

    def client():
        bench.register()
        bench.port.enqueue(source, 7, tools.packet(1000))
        bench.receive.push(tools.packet(60))
        bench.sleep(100_000)

    bench.run(client)
    rows = [tuple(records[place + 2 : place + 6]) for place in range(0, len(records), 6)]
    adapter = bench.port.trace_number
    for expected in [
        (Kind.SEND, source, 7, 1000),
        (Kind.COMPLETE, source, 7, 0),
        (Kind.RECEIVE, adapter, 1, 60),
        (Kind.RETURN, adapter, 1, 0),
        (Kind.LINK, adapter, 1, 0),
    ]:
        assert rows.count(expected) == 1
    assert bench.machine.trace.names[adapter] == "tun"


def test_payloads_are_shown_when_somebody_asks(bench, tools):
    seen = []
    bench.port.payload_seen = seen.append
    down, up = tools.packet(100, 1), tools.packet(200, 2)

    def client():
        bench.register()
        bench.feed([down], start_ns=bench.machine.now)
        bench.receive.push(up)
        bench.sleep(100_000)

    bench.run(client)
    assert sorted(seen, key=len) == [down, up]


def test_the_report_has_every_counter_and_nothing_else(bench):
    assert bench.port.report() == {
        "out_octets": 0,
        "out_unicast_octets": 0,
        "out_unicast_packets": 0,
        "out_errors": 0,
        "out_discards": 0,
        "in_octets": 0,
        "in_unicast_octets": 0,
        "in_unicast_packets": 0,
        "in_errors": 0,
        "in_discards": 0,
        "refused": {},
        "aborts": [],
    }


def test_a_packet_without_memory_for_its_nbl_is_a_discard(bench, tools):
    def client():
        bench.register()
        bench.system.fails = lambda what: what == "NBL"
        bench.receive.push(tools.packet(60, 1))
        bench.sleep(50_000)
        assert bench.receive.head == 64
        bench.system.fails = lambda what: False
        bench.receive.push(tools.packet(60, 2))
        bench.sleep(50_000)

    bench.run(client)
    assert bench.received == [tools.packet(60, 2)]
    assert (bench.statistics["in_discards"], bench.statistics["in_unicast_packets"]) == (1, 1)


# -- both rings against plain lists -------------------------------------------------------------------------------


class Exchange:
    """A client with a reading and a writing thread against a list of packets for each direction."""

    def __init__(self, bench, down, up, *, start=0, batch=1, pause_ns=100, interval_ns=2000, waits=True):
        self.bench, self.down, self.up = bench, down, up
        self.batch, self.pause_ns, self.interval_ns, self.waits = batch, pause_ns, interval_ns, waits
        self.popped, self.written = [], 0
        for ring in (bench.send, bench.receive):
            ring.head = ring.tail = start

    def run(self):
        bench = self.bench

        def main():
            bench.register()
            bench.feed(self.down, start_ns=bench.machine.now + 10_000, interval_ns=self.interval_ns)
            bench.start(self.read, "reader")
            writer = bench.start(self.write, "writer")
            bench.machine.wait((writer.ended,))
            bench.until(lambda: len(bench.network.sent) == len(self.down), 1_000_000)
            bench.sleep(2_000_000)
            bench.close()

        bench.run(main)
        return self

    def read(self):
        bench, ring = self.bench, self.bench.send
        while ring.tail != STOPPED:
            bench.step()
            for _ in range(self.batch):
                data = ring.pop()
                if data is None:
                    break
                self.popped.append(data)
                bench.step()
            if ring.head == ring.tail and self.waits:
                bench.machine.wait((ring.event,))
            bench.sleep(self.pause_ns)

    def write(self):
        bench, ring = self.bench, self.bench.receive
        for data in self.up:
            bench.until(lambda data=data: ring.has_room(len(data)))
            ring.push(data)
            self.written += 1
            bench.step()

    def check(self):
        bench, network = self.bench, self.bench.network
        accepted = [data for _, _, data, status in network.sent if not status]
        assert [data for _, _, data, _ in network.sent] == self.down
        assert {status for _, _, _, status in network.sent} <= {0, OVERFLOW}
        assert self.popped == accepted
        assert bench.received == self.up
        statistics = bench.adapter.statistics
        assert statistics.out_unicast_packets == len(accepted)
        assert statistics.out_octets == sum(map(len, accepted))
        assert statistics.out_discards == len(self.down) - len(accepted)
        assert (statistics.in_unicast_packets, statistics.in_octets) == (len(self.up), sum(map(len, self.up)))
        for counts, packets in ((bench.port.send, accepted), (bench.port.receive, self.up)):
            assert (counts.packets, counts.size_bytes) == (len(packets), sum(map(len, packets)))
            assert len(counts.latencies_ns) == len(packets)
            assert all(latency >= 0 for latency in counts.latencies_ns)
            stored = [4 + (len(data) + 3) // 4 * 4 for data in packets]
            assert max(stored, default=0) <= counts.peak_content_bytes <= min(sum(stored), counts.capacity_bytes - 4)
        assert bench.receive.head == bench.send.tail == STOPPED
        return self


@pytest.mark.parametrize("capacity", [128 * KIB, 256 * KIB, 64 * KIB * KIB])
@pytest.mark.parametrize("before_the_end", [4, 8, 24, 1424, 2000])
def test_packets_of_every_size_cross_the_wrap_both_ways(tools, capacity, before_the_end):
    down = [tools.packet(size, seed) for seed in range(3) for size in SIZES]
    up = [tools.packet(size, seed, 4 if size < 40 else 6) for seed in range(3) for size in SIZES[2:]]
    bench = tools.Bench(capacity)
    exchange = Exchange(bench, down, up, start=capacity - before_the_end, interval_ns=20_000).run().check()
    assert len(exchange.popped) == len(down)


@settings(max_examples=80)
@given(st.data())
def test_whatever_the_client_does_both_rings_are_lists_of_packets(tools, data):
    sizes = st.one_of(st.sampled_from(SIZES), st.integers(0, 3000), st.integers(0, 65535))
    down = data.draw(st.lists(sizes, max_size=30), "down")
    up = data.draw(st.lists(sizes.map(lambda size: max(size, 40)), max_size=15), "up")
    bench = tools.Bench(seed=data.draw(st.integers(0, 3), "seed"))
    Exchange(
        bench,
        [tools.packet(size, seed) for seed, size in enumerate(down)],
        [tools.packet(size, seed, 6 if seed % 2 else 4) for seed, size in enumerate(up)],
        start=data.draw(st.integers(0, 128 * KIB // 4 - 1), "start") * 4,
        batch=data.draw(st.integers(1, 5), "batch"),
        pause_ns=data.draw(st.sampled_from([1000, 50_000, 150_000]), "pause"),
        interval_ns=data.draw(st.sampled_from([100, 3000, 20_000, 120_000]), "interval"),
        waits=data.draw(st.booleans(), "waits"),
    ).run().check()
