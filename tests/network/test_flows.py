"""Several flows and workloads: who is who, and what became of each packet, without a simulation."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.kernel.streams import Stream
from wintunsim.network.arrivals import ConstantRate, Poisson, Trains
from wintunsim.network.feedback import ClosedLoop, Feedback, Seeded
from wintunsim.network.flows import FlowChoice, make_flows
from wintunsim.network.packets import describe
from wintunsim.network.sizes import IMIX, FixedSize, MixedSizes, UniformSizes
from wintunsim.network.stamps import StampedPackets
from wintunsim.network.traffic import EchoMonitor
from wintunsim.network.workloads import Workload

# --- flows


def test_flows_differ_in_their_ports():
    flows = [flow for index in range(3) for flow in make_flows(50, version="both", index=index)]
    assert len({(flow.source, flow.destination, flow.source_port, flow.destination_port) for flow in flows}) == 150
    assert [str(flow) for flow in make_flows(3, version="both")] == [
        "10.6.7.7:20000 > 10.6.7.8:5000",
        "[fd06:7::7]:20001 > [fd06:7::8]:5000",
        "10.6.7.7:20002 > 10.6.7.8:5000",
    ]
    (flow,) = make_flows(version="6")
    assert str(flow) == "[fd06:7::7]:20000 > [fd06:7::8]:5000"
    (flow,) = make_flows(source="192.0.2.1", version="4", index=7)
    assert str(flow) == "192.0.2.1:20000 > 10.6.7.8:5007"


def test_the_next_flow_is_each_in_turn_or_by_weight():
    assert list(islice(FlowChoice(3).numbers(Stream(1, "x")), 7)) == [0, 1, 2, 0, 1, 2, 0]
    choice = FlowChoice(3, [5, 3, 2])
    found = list(islice(choice.numbers(Stream(1, "x")), 10_000))
    counts = Counter(found)
    assert sum((counts[place] - 1000 * weight) ** 2 / (1000 * weight) for place, weight in enumerate((5, 3, 2))) < 9.21
    for each in (choice, FlowChoice(3)):
        batch = each.batch(Stream(1, "x"))
        arrays = [number for count in (0, 3, 997) for number in batch.take(count).tolist()]
        assert arrays == list(islice(each.numbers(Stream(1, "x")), 1000))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_flows(0), "the number of flows is 0"),
        (lambda: make_flows(4097), "the number of flows is 4097: give a number from 1 to 4096"),
        (lambda: make_flows(version="5"), "the IP version of flows is '5': choose one of 4, 6, both"),
        (lambda: make_flows(version="4", source="::1"), "flows from ::1 to fd06:7::8 are not over IPv4"),
        (lambda: make_flows(version="both", source="::1"), "leave out either"),
        (lambda: FlowChoice(2, [1]), "2 flows have 1 weights: give one for each flow"),
        (lambda: FlowChoice(1, [0]), "the weight of a flow is 0"),
        (lambda: Workload(ConstantRate(1), FixedSize(39)), "is 39 bytes: give sizes from 40 on"),
        (lambda: Workload(ConstantRate(1), MixedSizes(IMIX["imix"]), make_flows(2, version="both")), "from 60 on"),
        (lambda: Workload(ConstantRate(1), FixedSize(40), count=0), "the workload count is 0"),
    ],
)
def test_impossible_flows_and_workloads(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)


# --- workloads


def streams(seed):
    return lambda name: Stream(seed, name)


def test_a_workload_is_what_its_parts_say():
    flows = make_flows(2)
    source = Workload(Poisson(1000), UniformSizes(40, 1500), flows, weights=[3, 1], count=2000, name="mine")
    packets = list(source.seeded_packets(streams(5), 0))
    assert [time for time, _ in packets] == list(islice(Poisson(1000).arrivals(Stream(5, "arrivals")), 2000))
    assert [len(data) for _, data in packets] == list(islice(UniformSizes(40, 1500).sizes(Stream(5, "sizes")), 2000))
    places = list(islice(FlowChoice(2, [3, 1]).numbers(Stream(5, "flows")), 2000))
    makers = [StampedPackets(flow) for flow in flows]
    stamps = [makers[place].read(data) for place, (_, data) in zip(places, packets, strict=True)]
    assert [stamp.stamp for stamp in stamps] == places
    for place in (0, 1):
        assert [stamp.number for stamp in stamps if stamp.stamp == place] == list(range(places.count(place)))
    assert describe(packets[0][1]).startswith("UDP 10.6.7.7:2000")
    assert source.name == "mine"
    assert source.description == (
        "mine 10.6.7.7 > 10.6.7.8 and 1 more flow, 2000 packets of 40 to 1500 bytes, Poisson arrivals, 1000 packets/s"
    )


def test_seeds_decide_and_iterating_again_repeats():
    source = Workload(Poisson(1000), MixedSizes(IMIX["imix"]), count=100)
    assert list(source) == list(source) == list(source.seeded_packets(streams(0), 77))
    assert list(source) != list(source.seeded_packets(streams(1), 0))
    assert isinstance(source, Seeded) and isinstance(source, Feedback)
    assert not isinstance(source, EchoMonitor) and not isinstance(source, ClosedLoop)
    endless = Workload(Trains(2, 10), FixedSize(40))
    assert [time for time, _ in islice(endless, 5)] == [0, 0, 10, 10, 20]


def started(count, flows=1, **options):
    """A workload whose packets have all been taken to be sent, 1000 ns apart from 10000 on, with these packets."""
    source = Workload(ConstantRate(10**6), FixedSize(100), make_flows(flows), count=count, **options)
    return source, [data for _, data in source.seeded_packets(streams(0), 10_000)]


def test_every_packet_is_accounted_for():
    source, packets = started(5)
    assert source.summary()["offered"] == source.summary()["in_flight"] == 5
    for number in (1, 2, 4):
        source.accepted(20_000, number)
    source.refused(20_000, 3, 0xC0000001)
    source.taken(20_500, 1)
    source.taken(20_500, 2)
    source.discarded(21_000, 4)
    summary = source.summary()
    assert {key: summary[key] for key in ("offered", "accepted", "refused", "taken", "discarded", "in_flight")} == {
        "offered": 5,
        "accepted": 3,
        "refused": 1,
        "taken": 2,
        "discarded": 1,
        "in_flight": 1,
    }
    assert summary["to_client_ns"] == {"min": 9500, "p50": 9535, "p99": 10_500, "max": 10_500}
    assert summary["round_trip_ns"] is None
    assert "flows" not in summary
    assert len(packets) == 5


def test_what_comes_back_is_counted_once_in_its_flow():
    source, packets = started(8, flows=2)
    for number in range(8):
        source.accepted(30_000, number + 1)
    for time_ns, number in ((40_000, 0), (41_000, 4), (42_000, 2), (43_000, 1), (44_000, 1), (45_000, 6)):
        source.received(time_ns, packets[number])
    source.received(46_000, packets[3][:-1] + b"\0")
    source.received(46_000, StampedPackets(source.flows[0]).packet(100, 0, 77))  # never sent
    source.received(46_000, StampedPackets(source.flows[0]).packet(100, 1, 0))  # another flow's number
    source.received(46_000, b"")
    source.received(46_000, StampedPackets(make_flows(index=1)[0]).packet(100, 0, 0))  # not ours
    summary = source.summary()
    assert (summary["returned"], summary["reordered"], summary["repeated"], summary["damaged"]) == (5, 1, 1, 3)
    first, second = summary["flows"]
    assert (first["returned"], first["reordered"], first["repeated"], first["damaged"]) == (4, 1, 0, 2)
    assert (second["returned"], second["reordered"], second["repeated"], second["damaged"]) == (1, 0, 1, 1)
    assert first["round_trip_ns"]["min"] == 41_000 - 14_000
    assert second["round_trip_ns"] == dict.fromkeys(("min", "p50", "p99", "max"), 43_000 - 11_000)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_nothing_is_lost_or_made_in_any_history(data):
    count = data.draw(st.integers(1, 30))
    source, packets = started(count, flows=data.draw(st.integers(1, 3)))
    fates = data.draw(
        st.lists(st.sampled_from(["refused", "taken", "discarded", "held"]), min_size=count, max_size=count)
    )
    returned = 0
    for number, fate in enumerate(fates, 1):
        if fate == "refused":
            source.refused(50_000, number, 1)
            continue
        source.accepted(50_000, number)
        if fate != "held":
            getattr(source, fate)(60_000, number)
        if fate == "taken" and data.draw(st.booleans()):
            source.received(70_000, packets[number - 1])
            returned += 1
    summary = source.summary()
    assert summary["offered"] == count
    assert summary["offered"] == sum(summary[key] for key in ("refused", "taken", "discarded", "in_flight"))
    assert summary["accepted"] == count - fates.count("refused")
    assert summary["returned"] == returned
    for row in summary.get("flows", []):
        assert row["returned"] <= row["taken"] <= row["accepted"] <= row["offered"]


def test_the_mean_bit_rate_is_what_was_asked_for():
    sizes = MixedSizes(IMIX["imix"])
    source = Workload(Poisson(Fraction(10**9) / (8 * sizes.mean_bytes)), sizes, count=20_000)
    packets = list(source)
    bits_per_s = sum(len(data) for _, data in packets) * 8 * 10**9 / packets[-1][0]
    assert abs(bits_per_s / 1e9 - 1) < 0.04
