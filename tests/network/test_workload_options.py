"""The words of workloads and closed loops: exact values, or one sentence."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.network.arrivals import Bursts, ConstantRate, Poisson, Trains
from wintunsim.network.closed_loop import TcpTraffic
from wintunsim.network.options import parse_traffic
from wintunsim.network.sizes import CoalescedSizes, EmpiricalSizes, FixedSize, MixedSizes, UniformSizes
from wintunsim.network.words import parse_rate, parse_sizes, parse_window
from wintunsim.network.workloads import Workload

MIXED = Path(__file__).parents[1] / "data" / "tunnel-mixed.pcapng"
MS = 10**6


@pytest.mark.parametrize(
    ("text", "value", "is_bits"),
    [
        ("1000", 1000, False),
        ("0.5", Fraction(1, 2), False),
        ("1000pps", 1000, False),
        ("1.5Mpps", 1_500_000, False),
        ("10Gbit", 10**10, True),
        ("64kbit/s", 64_000, True),
        ("9600bit", 9600, True),
        ("0.1Gbit", 10**8, True),
    ],
)
def test_rates(text, value, is_bits):
    rate = parse_rate(text)
    assert (rate.value, rate.is_bits) == (value, is_bits)
    assert rate.packets_per_s(FixedSize(125)) == (Fraction(value, 1000) if is_bits else value)


@pytest.mark.parametrize(
    "text", ["", "fast", "10G", "10 Gbit", "-5", "1e6", "10gbit", "5bps", "\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_impossible_rates(text):
    with pytest.raises(UsageError, match="is not a rate: write packets a second such as 1000"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "kind", "least", "most"),
    [
        ("1400", FixedSize, 1400, 1400),
        ("64-1500", UniformSizes, 64, 1500),
        ("imix", MixedSizes, 40, 1500),
        ("imix-ethernet", MixedSizes, 46, 1500),
        ("imix-ipv6", MixedSizes, 60, 1500),
        ("100x3/200x1", MixedSizes, 100, 200),
        ("coalesced", CoalescedSizes, 64_280, 64_280),
        ("coalesced-2", CoalescedSizes, 2960, 2960),
        ("coalesced-1-44", CoalescedSizes, 1500, 64_280),
        (f"capture:{MIXED}", EmpiricalSizes, 48, 1420),
    ],
)
def test_sizes(text, kind, least, most):
    sizes = parse_sizes(text)
    assert type(sizes) is kind
    if kind is not EmpiricalSizes:
        assert (sizes.least_bytes, sizes.most_bytes) == (least, most)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("big", "'big' is not a packet size: write bytes such as 1400, a range such as 64-1500"),
        ("capture:", "is not a packet size"),
        ("coalesced-", "is not a packet size"),
        ("imix-7", "is not a packet size"),
        ("40x7/", "is not a packet size"),
        ("5", "the packet size is 5"),
        ("1500-64", "the largest packet size is 64"),
        ("40x0", "a weight of the mix is 0"),
        ("coalesced-45", "number of segments is 45"),
        ("capture:no-such.pcap", "no-such.pcap cannot be read"),
    ],
)
def test_impossible_sizes(text, message):
    with pytest.raises(UsageError) as caught:
        parse_sizes(text)
    assert message in str(caught.value)


def test_windows():
    assert [parse_window(text) for text in ("64", "1500B", "256KiB", "2MiB", "1GiB")] == [
        (64, False),
        (1500, True),
        (1 << 18, True),
        (1 << 21, True),
        (1 << 30, True),
    ]


def test_open_workloads():
    source = parse_traffic("constant:rate=1.5Mpps,size=100,count=7", 3)
    assert isinstance(source, Workload)
    assert isinstance(source.arrivals, ConstantRate)
    assert (source.name, source.arrivals.mean_pps, source.count) == ("constant", 1_500_000, 7)
    assert [str(flow) for flow in source.flows] == ["10.6.7.7:20000 > 10.6.7.8:5003"]
    source = parse_traffic("poisson:rate=10Gbit,size=imix-ipv6,flows=3,version=both,weights=5/3/1")
    assert isinstance(source.arrivals, Poisson)
    assert source.arrivals.mean_pps == Fraction(10**10 * 12, 8 * (7 * 60 + 4 * 576 + 1500))
    assert [flow.source.version for flow in source.flows] == [4, 6, 4]
    assert (source.choice.weights, source.count) == ((5, 3, 1), None)
    assert len(parse_traffic("poisson:rate=1,size=imix,weights=5/3").flows) == 2
    (flow,) = parse_traffic("poisson:rate=1,size=60,to=2001:db8::1").flows
    assert str(flow) == "[fd06:7::7]:20000 > [2001:db8::1]:5000"


def test_bursts_and_trains():
    source = parse_traffic("bursts:rate=1000,on=10ms,off=1s,size=64-1500").arrivals
    assert isinstance(source, Bursts)
    assert isinstance(source.inner, ConstantRate)
    assert (source.on_ns, source.off_ns, source.is_exponential) == (10 * MS, 1000 * MS, False)
    source = parse_traffic("bursts:rate=1000,on=10ms,off=1s,size=1400,times=exponential,gaps=poisson").arrivals
    assert isinstance(source.inner, Poisson)
    assert source.is_exponential
    source = parse_traffic("trains:burst=32,every=1ms,size=64,gap=67ns").arrivals
    assert isinstance(source, Trains)
    assert (source.burst_packets, source.interval_ns, source.gap_ns) == (32, MS, 67)
    assert parse_traffic("trains:burst=32,every=1ms,size=64").arrivals.gap_ns == 0


def test_tcp():
    source = parse_traffic("tcp", 2)
    assert isinstance(source, TcpTraffic)
    assert (source.size_bytes, source.rtt_ns, source.acknowledged_by, source.count) == (1500, 0, "returned", None)
    assert (source.options.window_bytes, source.flow.source_port) == (1 << 20, 40002)
    assert source.window_series is None
    source = parse_traffic("tcp:window=64,size=1400,rtt=20ms,ack=taken,count=9,initial=2,rto=5ms,retries=3,series=on")
    assert source.options.window_bytes == 64 * (1400 - 40)
    assert (source.rtt_ns, source.acknowledged_by, source.count) == (20 * MS, "taken", 9)
    assert (source.options.initial_segments, source.options.rto_min_ns, source.options.retries) == (2, 5 * MS, 3)
    assert source.window_series == []
    assert list(source) == []
    source = parse_traffic("tcp:window=64KiB,from=fd06:7::9")
    assert (source.options.window_bytes, source.segment_bytes) == (1 << 16, 1440)
    assert parse_traffic("tcp:rto=90s").options.rto_max_ns == 90 * 10**9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "flood:rate=1",
            "is of an unknown kind: write one of capture:FILE, udp:rate=PPS,size=BYTES, ping:count=N, constant",
        ),
        ("poisson", "poisson traffic needs the option 'size': write size=SIZE"),
        ("poisson:size=1400", "poisson traffic needs the option 'rate': write rate=RATE"),
        ("poisson:rate=fast,size=1400", "'fast' is not a rate"),
        ("poisson:rate=0,size=1400", "the rate is 0 packets/s: give a rate from 0.001"),
        (
            "poisson:rate=100Gbit,size=40,speed=2",
            "there is no option 'speed' of poisson traffic: it is one of rate, size",
        ),
        ("constant:rate=1,size=1400,flows=0", "the number of flows is 0"),
        ("constant:rate=1,size=1400,flows=2,weights=1", "2 flows have 1 weights"),
        (
            "constant:rate=1,size=1400,weights=1/x",
            "a weight of constant traffic is 'x': write whole numbers such as 5/3/1",
        ),
        ("constant:rate=1,size=1400,version=5", "the version of constant traffic is '5': choose one of 4, 6, both"),
        ("constant:rate=1,size=1400,count=0", "count of constant traffic is 0"),
        (
            "constant:rate=1,size=imix,version=6",
            "smallest packet of constant traffic is 40 bytes: give sizes from 60 on",
        ),
        ("bursts:rate=1000,size=1400,on=1ms", "bursts traffic needs the option 'off': write off=DURATION"),
        ("bursts:rate=1000,size=1400,on=1,off=1s", "the duration '1' has no unit"),
        ("bursts:rate=1000,size=1400,on=1s,off=1s,times=random", "the times of bursts traffic is 'random'"),
        ("trains:every=1ms,size=1400", "trains traffic needs the option 'burst': write burst=NUMBER"),
        ("trains:burst=3,every=1us,gap=1us,size=1400", "is longer than its interval of 1us"),
        ("tcp:window=many", "'many' is not a window: write packets such as 64, or bytes with a unit such as 256KiB"),
        ("tcp:window=0", "the tcp window in packets is 0"),
        ("tcp:window=2GiB", "the tcp window in bytes is 2147483648"),
        ("tcp:size=51", "the tcp size is 51: give a number from 52 to 65535"),
        ("tcp:size=71,from=::1", "the tcp size is 71: give a number from 72 to 65535"),
        ("tcp:rtt=2h", "the tcp rtt in ns is 7200000000000"),
        ("tcp:ack=never", "the ack of tcp traffic is 'never': choose one of returned, taken"),
        ("tcp:rto=2h", "the tcp minimum timeout in ns is 7200000000000"),
        ("tcp:initial=x", "the initial of tcp traffic is 'x': give a whole number"),
        ("tcp:series=maybe", "the series of tcp traffic is 'maybe': choose one of off, on"),
        ("tcp:from=10.0.0.1,to=::1", "mixes IPv4 and IPv6"),
    ],
)
def test_mistakes_are_told_in_one_sentence(text, message):
    with pytest.raises(UsageError) as caught:
        parse_traffic(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.sampled_from(
        ["constant:", "poisson:rate=", "bursts:rate=1,size=", "trains:burst=1,every=1s,size=", "tcp:window="]
    ),
    st.text(st.sampled_from("0123456789abcdeimxs=,./-:GMbitKB"), max_size=30),
)
def test_any_text_is_a_source_or_a_sentence(kind, text):
    with suppress(UsageError):
        parse_traffic(kind + text)


def test_acknowledgements_by_something_else_are_refused():
    with pytest.raises(UsageError, match="tcp segments are acknowledged by 'luck': choose one of returned, taken"):
        TcpTraffic(acknowledged_by="luck")
