"""Workloads and closed loops through whole simulations: nothing is lost from the account, seeds decide, loss costs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim import Simulation
from wintunsim.kernel.faults import FaultPlan
from wintunsim.network.captures import read_capture
from wintunsim.network.closed_loop import TcpTraffic
from wintunsim.network.packets import TCP, parse_ip
from wintunsim.network.tcp_sender import TcpOptions

RING_CLIENT = Path(__file__).parents[2] / "examples" / "ring_client.py"
MS = 10**6
SMALL, LARGE = 0x20000, 0x100000

LAZY_CLIENT = f"""
import sys, time
sys.path.insert(0, {str(RING_CLIENT.parent)!r})
from ring_client import Session
session, pause = Session(int(sys.argv[1])), int(sys.argv[2]) / 1e6
try:
    while True:
        while session.send.pop() is not None:
            pass
        time.sleep(pause)
except KeyboardInterrupt:
    pass
session.close()
"""


@pytest.fixture
def lazy_client(tmp_path):
    """A client that takes everything, sleeps, and never writes; its arguments are capacity and pause in µs."""
    path = tmp_path / "lazy_client.py"
    path.write_text(LAZY_CLIENT)
    return path


def run(*traffic, client=RING_CLIENT, arguments=(), seed=0, until="20ms", capture=None):
    simulation = Simulation(seed=seed)
    simulation.add_adapter()
    simulation.network(*traffic, answer=False)
    simulation.spawn(client, *arguments, stdout=io.StringIO())
    if capture is not None:
        simulation.write_capture(capture)
    return simulation.run(until)


def check_conservation(report):
    """What was offered is refused, taken, discarded or in flight; and the driver and the rings counted the same."""
    for row in report.traffic:
        assert row["offered"] == row["refused"] + row["taken"] + row["discarded"] + row["in_flight"]
        assert row["taken"] <= row["accepted"] <= row["offered"]
    (adapter,) = report.adapters
    assert sum(row["accepted"] for row in report.traffic) == adapter["rings"]["send"]["packets"]
    assert sum(row["refused"] for row in report.traffic) == sum(adapter["refused"].values())


# --- open workloads


@pytest.mark.parametrize(
    "words",
    [
        "constant:rate=200000,size=1400,count=300",
        "poisson:rate=1Gbit,size=imix,count=300",
        "bursts:rate=10Gbit,on=20us,off=200us,times=exponential,gaps=poisson,size=64-1500,count=300",
        "trains:burst=50,every=500us,size=coalesced,count=100",
    ],
)
def test_seeds_decide(words):
    first = run(words, seed=1)
    assert run(words, seed=1).digest == first.digest
    if "constant" not in words and "trains" not in words:
        assert run(words, seed=2).digest != first.digest
    check_conservation(first)
    (row,) = first.traffic
    assert row["taken"] == row["returned"] == row["accepted"] > 0


def test_two_workloads_have_chances_of_their_own():
    words = "poisson:rate=100000,size=imix,count=200"
    one, two = run(words, words).traffic
    assert one["to_client_ns"] != two["to_client_ns"]


def test_the_packets_are_those_of_the_seed_whoever_else_sends(tmp_path):
    def sent(*traffic):
        path = tmp_path / "rings.pcapng"
        run(*traffic, client=RING_CLIENT, arguments=("--capacity", 0x400000), seed=5, capture=path)
        packets = [packet.data for packet in read_capture(path)]
        return [data for data in packets if data[12:16] == bytes((10, 6, 7, 7)) and data[22:24] == b"\x13\x88"]

    words = "poisson:rate=100000,size=imix,count=200"
    alone = sent(words)
    assert len(alone) == 200
    assert sent(words, "poisson:rate=50000,size=imix,count=50") == alone


@pytest.mark.parametrize("pause_us", [10, 2000])
def test_conservation_when_the_ring_is_full(lazy_client, pause_us):
    report = run(
        "poisson:rate=3Gbit,size=1400,flows=3,weights=5/2/1",
        "trains:burst=20,every=1ms,size=1400",
        client=lazy_client,
        arguments=(SMALL, pause_us),
        until="8ms",
    )
    check_conservation(report)
    assert ("NDIS_STATUS_BUFFER_OVERFLOW" in report.adapters[0]["refused"]) is (pause_us == 2000)
    flows = report.traffic[0]["flows"]
    for key in ("offered", "accepted", "refused", "taken", "discarded", "returned"):
        assert sum(flow[key] for flow in flows) == report.traffic[0][key]
    assert 4.5 < flows[0]["offered"] / flows[2]["offered"] < 5.6
    assert report.traffic[0]["to_client_ns"]["max"] < (pause_us + 100) * 1000


def test_delays_are_from_when_a_packet_was_due_until_it_is_seen_to_be_taken(lazy_client):
    report = run("constant:rate=1000,size=100,count=5", client=lazy_client, arguments=(SMALL, 300), until="10ms")
    (row,) = report.traffic
    assert (row["offered"], row["taken"], row["returned"], row["in_flight"]) == (5, 5, 0, 0)
    assert row["to_client_ns"]["max"] < 400_000
    assert row["round_trip_ns"] is None


def test_packets_that_are_due_after_the_end_are_refused_and_those_in_the_ring_are_discarded():
    report = run("constant:rate=1000000,size=100,count=500", arguments=("100",), until="20ms")
    (row,) = report.traffic
    check_conservation(report)
    assert row["returned"] == 100
    text = report.to_text()
    assert f"{row['offered']:,} offered" in text
    assert "until taken min / p50 / p99 / max" in text


def test_conservation_over_several_registrations(tmp_path):
    path = tmp_path / "again.py"
    path.write_text(
        f"""
import sys, time
sys.path.insert(0, {str(RING_CLIENT.parent)!r})
from ring_client import Session
for _ in range(4):
    session = Session({SMALL})
    for _ in range(3):
        time.sleep(0.0005)
        for _ in range(20):
            session.send.pop()
    session.close()
    time.sleep(0.0005)
"""
    )
    report = run("poisson:rate=100000,size=1400", "tcp:ack=taken,size=1000", client=path, until="20ms")
    check_conservation(report)
    workload, loop = report.traffic
    assert workload["discarded"] > 100
    assert workload["taken"] + loop["taken"] == 4 * 3 * 20
    assert report.adapters[0]["refused"]["NDIS_STATUS_MEDIA_DISCONNECTED"] > 100


@settings(deadline=None, max_examples=8)
@given(
    rate=st.integers(1000, 5_000_000),
    least=st.integers(60, 1500),
    more=st.integers(0, 2000),
    flows=st.integers(1, 4),
    burst=st.integers(1, 100),
    capacity=st.sampled_from([SMALL, LARGE]),
    limit=st.one_of(st.none(), st.integers(1, 300)),
    spin=st.sampled_from([0, 50]),
    seed=st.integers(0, 2**32),
)
def test_conservation_in_any_run(rate, least, more, flows, burst, capacity, limit, spin, seed):
    report = run(
        f"poisson:rate={rate},size={least}-{least + more},count=150,flows={flows},version=both",
        f"trains:burst={burst},every=200us,size={least + more},count=150",
        arguments=("--capacity", capacity, "--spin", spin, *(() if limit is None else (limit,))),
        seed=seed,
        until="3ms",
    )
    check_conservation(report)
    for row in report.traffic:
        assert row["damaged"] == row["repeated"] == 0
        assert row["returned"] <= row["taken"]


def test_the_capture_shows_the_flows(tmp_path):
    path = tmp_path / "rings.pcapng"
    run("constant:rate=100000,size=200,flows=2,version=both,count=6", arguments=("6",), capture=path)
    packets = [packet.data for packet in read_capture(path)]
    assert len(packets) == 12
    assert {packet[0] >> 4 for packet in packets} == {4, 6}


# --- closed loops


def tcp(options, *, arguments=(), client=RING_CLIENT, until="12ms", **parts):
    """The report row of a closed loop."""
    report = run(TcpTraffic(TcpOptions(**options), **parts), client=client, arguments=arguments, until=until)
    check_conservation(report)
    return report.traffic[0]


def test_an_echoing_client_acknowledges_what_it_writes_back():
    row = tcp({}, count=400, size_bytes=1000)
    assert row["acknowledged_segments"] == 400
    assert row["acknowledged_bytes"] == 400 * 960
    assert (row["retransmissions"], row["timeouts"], row["damaged"]) == (0, 0, 0)
    assert row["goodput_bits_per_s"] == row["acknowledged_bytes"] * 8 * 10**9 // row["done_ns"]
    assert not row["given_up"]


def test_the_round_trip_of_the_far_side_comes_on_top():
    near, far = tcp({}, count=50), tcp({}, count=50, rtt_ns=2 * MS)
    assert near["round_trip_ns"]["min"] < 100_000
    assert 2 * MS <= far["round_trip_ns"]["min"] < 2.1 * MS
    assert far["done_ns"] > near["done_ns"] + 4 * MS


def test_a_window_limits_what_is_sent_in_a_round_trip(lazy_client):
    arguments = (LARGE, 50)
    parts = {"client": lazy_client, "arguments": arguments, "acknowledged_by": "taken", "rtt_ns": MS}
    few = tcp({}, window_packets=5, **parts)
    many = tcp({}, window_packets=20, **parts)
    assert few["window_bytes"]["max"] == 5 * 1460
    assert 3 < many["goodput_bits_per_s"] / few["goodput_bits_per_s"] < 4.5
    # 5 segments in a round trip, and the client's pause now and then
    assert 5 * 1460 * 8 * 1000 / 1.15 < few["goodput_bits_per_s"] <= 5 * 1460 * 8 * 1000


def test_a_ring_that_is_too_small_costs_throughput(lazy_client):
    rows = {
        capacity: tcp(
            {"window_bytes": 1 << 19, "rto_min_ns": 10 * MS},
            client=lazy_client,
            arguments=(capacity, 1000),
            acknowledged_by="taken",
            rtt_ns=MS,
            until="25ms",
        )
        for capacity in (SMALL, LARGE)
    }
    small, large = rows[SMALL], rows[LARGE]
    assert (large["refused"], large["retransmissions"]) == (0, 0)
    assert small["refused"] > 50
    assert small["fast_retransmits"] >= 1
    assert small["retransmissions"] > 50
    assert small["window_bytes"]["last"] < large["window_bytes"]["last"] / 2
    assert small["goodput_bits_per_s"] < large["goodput_bits_per_s"] / 2


def test_nothing_is_sent_to_a_client_that_registers_no_rings(tmp_path):
    path = tmp_path / "idle.py"
    path.write_text("import time\ntime.sleep(1)\n")
    tcp_row, workload_row = run("tcp", "constant:rate=1000,size=100", client=path, until="2s").traffic
    assert (tcp_row["offered"], tcp_row["goodput_bits_per_s"]) == (0, 0)
    assert (workload_row["offered"], workload_row["to_client_ns"]) == (0, None)


def test_what_only_reads_never_acknowledges_by_returning(lazy_client):
    row = tcp({"retries": 2}, client=lazy_client, arguments=(SMALL, 500_000), until="8s")
    assert (row["acknowledged_segments"], row["timeouts"], row["given_up"]) == (0, 3, True)
    assert row["taken"] == 12  # ten, and two of them again
    assert row["goodput_bits_per_s"] == 0


def test_closed_loops_are_the_same_every_time():
    words = "tcp:window=32,rtt=100us,count=300,series=on"
    first, second = run(words, "poisson:rate=10000,size=imix"), run(words, "poisson:rate=10000,size=imix")
    assert first.digest == second.digest
    assert first.traffic == second.traffic
    series = first.traffic[0]["window_series"]
    assert [time_ns for time_ns, _ in series] == sorted(time_ns for time_ns, _ in series)
    assert series[0][1] == 10 * 1460
    assert max(window for _, window in series) == first.traffic[0]["window_bytes"]["max"] == 32 * 1460
    assert '"window_series"' in first.to_json()


def test_segments_are_tcp_packets(tmp_path):
    path = tmp_path / "rings.pcapng"
    run("tcp:count=20,size=500", capture=path)
    packets = [packet.data for packet in read_capture(path)]
    assert len(packets) == 40
    assert {(parse_ip(packet).protocol, len(packet)) for packet in packets} == {(TCP, 500)}


def test_a_packet_whose_data_cannot_be_mapped_is_lost_and_sent_again(lazy_client):
    simulation = Simulation(faults=FaultPlan.parse("packet-data:5-6"))
    simulation.add_adapter()
    simulation.network(TcpTraffic(acknowledged_by="taken", count=60), answer=False)
    simulation.spawn(lazy_client, LARGE, 100)
    report = simulation.run("10ms")
    (row,) = report.traffic
    assert (row["offered"], row["refused"], row["retransmissions"]) == (62, 2, 2)
    assert (row["acknowledged_segments"], row["taken"], row["fast_retransmits"]) == (60, 60, 1)


def test_the_report_tells_of_the_loop():
    text = run("tcp:count=20").to_text()
    assert "tcp 10.6.7.7 > 10.6.7.8, 20 segments in packets of 1500 bytes, window 1048576 bytes" in text
    assert "0 retransmissions" in text
    assert "goodput" in text
