"""Packets are built as dpkt builds them, and taken apart without ever raising."""

from __future__ import annotations

from ipaddress import ip_address

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintunsim.network.packets import (
    checksum_is_right,
    describe,
    destination_address,
    echo_request,
    internet_checksum,
    parse_ip,
    source_address,
    udp_packet,
)

ENDS4 = ("10.6.7.7", "10.6.7.8")
ENDS6 = ("fd06:7::7", "fd06:7::8")
ports = st.integers(0, 0xFFFF)


def by_dpkt(ends, protocol, upper, identification):
    source, destination = (ip_address(end).packed for end in ends)
    if len(source) == 4:
        ip = dpkt.ip.IP(src=source, dst=destination, p=protocol, id=identification, ttl=128, data=upper)
        ip.len = len(ip)
        return bytes(ip)
    ip = dpkt.ip6.IP6(src=source, dst=destination, nxt=protocol, hlim=128, data=upper)
    ip.plen = len(upper)
    return bytes(ip)


@pytest.mark.parametrize("ends", [ENDS4, ENDS6])
@given(source_port=ports, destination_port=ports, identification=ports, payload=st.binary(max_size=70))
def test_udp_packets_are_those_of_dpkt(ends, source_port, destination_port, identification, payload):
    upper = dpkt.udp.UDP(sport=source_port, dport=destination_port, ulen=8 + len(payload), data=payload)
    built = udp_packet(*ends, source_port, destination_port, payload, identification=identification)
    assert built == by_dpkt(ends, 17, upper, identification)


@given(identifier=ports, sequence=ports, payload=st.binary(max_size=70))
def test_echo_requests_are_those_of_dpkt(identifier, sequence, payload):
    echo = dpkt.icmp.ICMP.Echo(id=identifier, seq=sequence, data=payload)
    upper = dpkt.icmp.ICMP(type=8, code=0, data=echo)
    assert echo_request(*ENDS4, identifier, sequence, payload) == by_dpkt(ENDS4, 1, upper, sequence)
    echo6 = dpkt.icmp6.ICMP6.Echo(id=identifier, seq=sequence, data=payload)
    upper6 = dpkt.icmp6.ICMP6(type=128, code=0, data=echo6)
    assert echo_request(*ENDS6, identifier, sequence, payload) == by_dpkt(ENDS6, 58, upper6, 0)


@given(st.binary(max_size=100))
def test_the_checksum_is_that_of_dpkt_and_checks(data):
    assert internet_checksum(data) == dpkt.in_cksum(data)
    even = data + b"\0" * (len(data) % 2)
    assert checksum_is_right(even + internet_checksum(even).to_bytes(2, "big"))


@pytest.mark.parametrize("ends", [ENDS4, ENDS6])
def test_addresses(ends):
    packet = udp_packet(*ends, 1, 2, b"")
    assert source_address(packet) == ip_address(ends[0])
    assert destination_address(packet) == ip_address(ends[1])
    assert source_address(packet[:19]) is None
    assert destination_address(b"") is None


def test_the_largest_packets_fit_and_larger_ones_are_refused():
    assert len(udp_packet(*ENDS4, 1, 2, bytes(65535 - 28))) == 65535
    with pytest.raises(ValueError, match="does not fit"):
        udp_packet(*ENDS4, 1, 2, bytes(65535 - 27))
    with pytest.raises(ValueError, match="does not fit"):
        udp_packet(*ENDS6, 1, 2, bytes(65535 - 7))
    with pytest.raises(ValueError, match="two families"):
        udp_packet(ENDS4[0], ENDS6[1], 1, 2, b"")


def test_extension_headers_are_walked():
    whole = udp_packet(*ENDS6, 5000, 7, b"data")
    extensions = bytes((43, 0)) + bytes(6) + bytes((60, 0, 0, 0)) + bytes(4) + bytes((17, 1)) + bytes(14)
    size = (len(whole) - 40 + len(extensions)).to_bytes(2, "big")
    packet = whole[:4] + size + b"\0" + whole[7:40] + extensions + whole[40:]
    ip = parse_ip(packet)
    assert ip is not None
    assert (ip.protocol, ip.payload_offset, ip.end_offset) == (17, 40 + len(extensions), len(packet))
    assert describe(packet) == f"UDP [fd06:7::7]:5000 > [fd06:7::8]:7, {len(packet)} bytes"


def test_what_comes_before_a_stop_on_the_way_is_not_read_past_it():
    whole = udp_packet(*ENDS6, 5000, 7, b"data")
    routing = bytes((17, 0, 0, 1)) + bytes(4)
    packet = whole[:4] + (len(whole) - 32).to_bytes(2, "big") + b"\x2b" + whole[7:40] + routing + whole[40:]
    ip = parse_ip(packet)
    assert ip is not None
    assert ip.protocol == 43


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (b"", "not an IP packet, 0 bytes"),
        (b"\x45", "not an IP packet, 1 byte"),
        (udp_packet(*ENDS4, 5000, 7, b"data"), "UDP 10.6.7.7:5000 > 10.6.7.8:7, 32 bytes"),
        (echo_request(*ENDS4, 1, 3, b""), "ICMP 10.6.7.7 > 10.6.7.8 echo request id 1 seq 3, 28 bytes"),
        (echo_request(*ENDS6, 1, 3, b""), "ICMPv6 fd06:7::7 > fd06:7::8 echo request id 1 seq 3, 48 bytes"),
    ],
)
def test_descriptions(packet, line):
    assert describe(packet) == line


def test_a_fragment_is_described_by_its_place():
    packet = bytearray(udp_packet(*ENDS4, 5000, 7, b"data", identification=0x1234))
    packet[6:8] = (0x2000 | 100).to_bytes(2, "big")
    assert describe(bytes(packet)) == "UDP 10.6.7.7 > 10.6.7.8 fragment 0x1234 [800:812], 32 bytes"


@given(st.binary(max_size=120), st.sampled_from([b"", b"\x45", b"\x60"]))
def test_no_bytes_make_the_parser_raise(data, start):
    packet = start + data
    ip = parse_ip(packet)
    if ip is not None:
        assert ip.payload_offset <= ip.end_offset <= len(packet)
    assert describe(packet).endswith("bytes") or len(packet) == 1
    source_address(packet)
    destination_address(packet)
