"""Sources give the packets they promise, at exact times, again and again."""

from __future__ import annotations

import struct
from fractions import Fraction
from ipaddress import ip_address
from itertools import islice
from pathlib import Path

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.network.captures import read_capture
from wintunsim.network.host import AnsweringHost
from wintunsim.network.packets import describe, source_address, udp_packet
from wintunsim.network.traffic import CaptureTraffic, EchoMonitor, PingTraffic, UdpTraffic, local_addresses

MIXED = Path(__file__).parents[1] / "data" / "tunnel-mixed.pcapng"
SECOND = 10**9


def packets_of(source):
    return [packet for _, packet in source]


# --- captures


def test_the_default_local_host_is_the_one_that_speaks_first_with_both_families():
    source = CaptureTraffic(MIXED)
    assert [str(address) for address in source.local] == ["10.6.7.7", "fd06:7::7"]
    expected = [packet for packet in read_capture(MIXED) if source_address(packet.data) in source.local]
    start = expected[0].time_ns
    assert list(source) == [(packet.time_ns - start, packet.data) for packet in expected]
    assert len(source) == len(expected) == 672
    assert source.description == "capture tunnel-mixed.pcapng, packets from 10.6.7.7, fd06:7::7"


def test_local_addresses_may_be_named():
    source = CaptureTraffic(MIXED, ["10.6.7.8", ip_address("fd06:7::8")])
    names = {"10.6.7.8", "fd06:7::8"}
    expected = [packet.data for packet in read_capture(MIXED) if str(source_address(packet.data)) in names]
    assert packets_of(source) == expected
    assert next(iter(source))[0] == 0
    assert packets_of(CaptureTraffic(MIXED, "fe80::f093:74ff:fe74:777a"))[0] == read_capture(MIXED)[2].data


def test_both_ends_together_are_the_whole_capture():
    everyone = {source_address(packet.data) for packet in read_capture(MIXED)}
    source = CaptureTraffic(MIXED, sorted(map(str, everyone)))
    assert list(source) == [(packet.time_ns, packet.data) for packet in read_capture(MIXED)]


def test_an_address_that_sends_nothing_is_refused_with_those_that_do():
    with pytest.raises(UsageError, match=r"no packet from 10\.9\.9\.9: its sources are fe80.*10\.6\.7\.7"):
        CaptureTraffic(MIXED, ["10.9.9.9"])
    with pytest.raises(UsageError, match="no packet from no address"):
        CaptureTraffic(MIXED, [])
    with pytest.raises(UsageError, match="'ten' is not an IP address"):
        CaptureTraffic(MIXED, ["ten"])


def test_link_local_addresses_count_when_there_are_no_others():
    link_local = udp_packet("fe80::1", "ff02::1", 1, 2, b"")
    plain = udp_packet("fd06::1", "fd06::2", 1, 2, b"")
    assert local_addresses([link_local, plain]) == (ip_address("fd06::1"),)
    assert local_addresses([link_local]) == (ip_address("fe80::1"),)
    assert local_addresses([]) == ()


def capture_of(tmp_path, times_us):
    packet = udp_packet("10.6.7.7", "10.6.7.8", 1, 2, b"")
    content = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    for time in times_us:
        content += struct.pack("<IIII", time // 10**6, time % 10**6, len(packet), len(packet)) + packet
    path = tmp_path / "few.pcap"
    path.write_bytes(content)
    return path


def test_rounds_follow_at_the_mean_gap(tmp_path):
    path = capture_of(tmp_path, [5, 6, 15])
    times = [time for time, _ in CaptureTraffic(path, loop=3)]
    assert times == [0, 1000, 10_000, 15_000, 16_000, 25_000, 30_000, 31_000, 40_000]
    assert [time for time, _ in CaptureTraffic(capture_of(tmp_path, [5]), loop=2)] == [0, 10**6]


@pytest.mark.parametrize(
    ("speed", "times"),
    [
        (2, [0, 500, 5000]),
        ("0.1", [0, 10_000, 100_000]),
        (Fraction(3), [0, 333, 3333]),
        ("1/3", [0, 3000, 30_000]),
    ],
)
def test_speed_is_exact(tmp_path, speed, times):
    assert [time for time, _ in CaptureTraffic(capture_of(tmp_path, [5, 6, 15]), speed=speed)] == times


@pytest.mark.parametrize("speed", [0, -1, "fast", "1/0"])
def test_impossible_speeds(speed):
    with pytest.raises(UsageError, match="speed is"):
        CaptureTraffic(MIXED, speed=speed)


def test_impossible_loops():
    with pytest.raises(UsageError, match="loop is 0"):
        CaptureTraffic(MIXED, loop=0)


# --- udp


@settings(deadline=None, max_examples=40)
@given(size=st.one_of(st.integers(28, 80), st.integers(28, 65535)), rate=st.integers(1, 10**9))
def test_udp_packets_over_ipv4(size, rate):
    for number, (time, packet) in enumerate(islice(UdpTraffic(rate, size), 5)):
        assert time == number * SECOND // rate
        check_udp(packet, size, number)


@settings(deadline=None, max_examples=40)
@given(size=st.one_of(st.integers(48, 100), st.integers(48, 65535)))
def test_udp_packets_over_ipv6(size):
    for number, (_, packet) in enumerate(islice(UdpTraffic(1, size, source="fd06:7::7"), 5)):
        check_udp(packet, size, number)


def check_udp(packet, size, number):
    assert len(packet) == size
    kind = dpkt.ip.IP if packet[0] >> 4 == 4 else dpkt.ip6.IP6
    payload = kind(packet).data.data
    assert bytes(payload[:8]) == number.to_bytes(8, "big")[: len(payload)]
    assert AnsweringHost().answer(readdressed(packet)) is not None  # its checksums are right


def readdressed(packet):
    """The same datagram to the echo port, its checksum changed by the difference only, so that mistakes stay."""
    at = 20 if packet[0] >> 4 == 4 else 40
    changed = bytearray(packet)
    port = int.from_bytes(packet[at + 2 : at + 4], "big")
    total = int.from_bytes(packet[at + 6 : at + 8], "big")
    changed[at + 2 : at + 4] = (7).to_bytes(2, "big")
    changed[at + 6 : at + 8] = (((total + port - 7) % 0xFFFF) or 0xFFFF).to_bytes(2, "big")
    return bytes(changed)


@pytest.mark.parametrize("size", [28, 29, 31, 36, 37, 1400])
def test_the_quick_way_to_a_udp_packet_gives_the_same_as_the_plain_one(size):
    source = UdpTraffic(1000, size, 70_000)
    for number, (_, packet) in enumerate(islice(source, 0, None, 997)):
        assert packet == source.packet(number * 997)


def test_udp_ends_after_its_count_and_repeats_itself():
    source = UdpTraffic(3, 100, 4)
    assert [time for time, _ in source] == [0, 333_333_333, 666_666_666, SECOND]
    assert list(source) == list(source)
    assert describe(packets_of(source)[0]) == "UDP 10.6.7.7:40000 > 10.6.7.8:9, 100 bytes"
    assert source.description == "udp 10.6.7.7 > 10.6.7.8, 4 packets of 100 bytes at 3 packets/s"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate_pps": 0}, "rate is 0: give a number from 1 to 1000000000"),
        ({"size_bytes": 27}, "size is 27: give a number from 28 to 65535"),
        ({"size_bytes": 47, "destination": "::1"}, "size is 47: give a number from 48 to 65535"),
        ({"size_bytes": 65536}, "size is 65536"),
        ({"count": 0}, "count is 0"),
        ({"destination_port": 65536}, "port is 65536"),
        ({"source": "10.6.7.7", "destination": "::1"}, "from 10.6.7.7 to ::1 mixes IPv4 and IPv6"),
        ({"source": "10.6.7"}, "'10.6.7' is not an IP address"),
    ],
)
def test_impossible_udp(arguments, message):
    with pytest.raises(UsageError) as caught:
        UdpTraffic(**{"rate_pps": 1, "size_bytes": 100, **arguments})
    assert message in str(caught.value)


# --- ping


@pytest.mark.parametrize("ends", [{}, {"source": "fd06:7::7"}, {"destination": "fd06:7::8"}])
def test_an_answered_ping_is_accounted(ends):
    source = PingTraffic(5, **ends)
    assert isinstance(source, EchoMonitor)
    assert not isinstance(UdpTraffic(1, 100), EchoMonitor)
    host = AnsweringHost()
    for number, (time, packet) in enumerate(source):
        assert time == number * SECOND
        assert packet == source.packet(number)
        assert len(packet) == 56 + (28 if "10." in str(source.source) else 48)
        source.sent(time, packet)
        source.received(time + 1, packet)  # a client that only sends back what it got has not answered
        if number != 2:
            source.received(time + 100 + 10 * number, host.answer(packet))
    assert source.summary() == {
        "sent": 5,
        "answered": 4,
        "damaged": 0,
        "unexpected": 0,
        "rtt_min_ns": 100,
        "rtt_avg_ns": 120,
        "rtt_max_ns": 140,
    }


def test_replies_that_do_not_count():
    source = PingTraffic(2, size_bytes=4)
    packet = source.packet(0)
    reply = AnsweringHost().answer(packet)
    source.received(5, reply)  # before anything was sent
    source.sent(10, packet)
    source.received(20, reply[:-1] + b"\xff")  # another payload
    source.received(20, reply[:-4] + b"\1\0\2\3")  # same sum, other payload
    source.received(20, reply[:-5] + b"\7" + reply[-4:])  # another sequence, wrong sum
    source.received(30, reply)
    source.received(40, reply)  # a second time
    other = PingTraffic(2, size_bytes=4, identifier=2)
    source.received(50, AnsweringHost().answer(other.packet(1)))
    source.sent(50, other.packet(1))
    summary = source.summary()
    assert (summary["sent"], summary["answered"], summary["damaged"], summary["unexpected"]) == (1, 1, 3, 2)
    assert summary["rtt_min_ns"] == summary["rtt_avg_ns"] == summary["rtt_max_ns"] == 20


def test_an_unanswered_ping_has_no_times():
    summary = PingTraffic(None).summary()
    assert summary["sent"] == 0
    assert summary["rtt_min_ns"] is summary["rtt_avg_ns"] is summary["rtt_max_ns"] is None


def test_sequence_numbers_begin_at_one_and_wrap():
    sequences = [int.from_bytes(packet[26:28], "big") for packet in packets_of(PingTraffic(65_537, 1, 0))]
    assert sequences[:2] == [1, 2]
    assert sequences[65_533:] == [65_534, 65_535, 0, 1]


@given(st.binary(max_size=90), st.integers(0, 1))
def test_a_ping_passes_over_anything(data, version6):
    source = PingTraffic(1, source="fd06:7::7" if version6 else None)
    # with the right addresses in it, so that the deeper checks are met too
    ends = source.destination.packed + source.source.packed
    for packet in (data, (b"`" + bytes(7) if version6 else b"E" + bytes(11)) + ends + data):
        source.sent(0, packet)
        source.received(0, packet)
    assert source.summary()["answered"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"interval_ns": 0}, "interval in ns is 0"),
        ({"size_bytes": 65_508}, "size is 65508: give a number from 0 to 65507"),
        ({"identifier": 65_536}, "identifier is 65536"),
    ],
)
def test_impossible_pings(arguments, message):
    with pytest.raises(UsageError) as caught:
        PingTraffic(**{"count": 1, **arguments})
    assert message in str(caught.value)
