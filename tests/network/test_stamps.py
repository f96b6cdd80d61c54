"""Stamped packets are right packets, and are known again only as they were."""

from __future__ import annotations

from ipaddress import ip_address

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.network.packets import TCP, UDP, checksum_is_right, parse_ip, pseudo_header
from wintunsim.network.stamps import Flow, StampedPackets, flow_key

V4 = Flow(ip_address("10.6.7.7"), ip_address("10.6.7.8"), 20000, 5000)
V6 = Flow(ip_address("fd06:7::7"), ip_address("fd06:7::8"), 20001, 5001)
CASES = [(flow, protocol) for flow in (V4, V6) for protocol in (UDP, TCP)]
LEAST = {(4, UDP): 40, (4, TCP): 52, (6, UDP): 60, (6, TCP): 72}


def swapped(packet, *, ports=False):
    """The packet with its two ends exchanged, as a client that turns packets round writes it."""
    answer = bytearray(packet)
    at, size = (12, 4) if packet[0] >> 4 == 4 else (8, 16)
    answer[at : at + size], answer[at + size : at + 2 * size] = (
        packet[at + size : at + 2 * size],
        packet[at : at + size],
    )
    if ports:
        end = at + 2 * size
        answer[end : end + 2], answer[end + 2 : end + 4] = packet[end + 2 : end + 4], packet[end : end + 2]
    return bytes(answer)


@pytest.mark.parametrize(("flow", "protocol"), CASES)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_packets_are_right_and_are_known_again(flow, protocol, data):
    packets = StampedPackets(flow, protocol)
    version = flow.source.version
    assert packets.least_bytes == LEAST[version, protocol]
    size = data.draw(st.one_of(st.integers(packets.least_bytes, 200), st.integers(packets.least_bytes, 65535)))
    stamp, number = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(0, 2**64 - 1))
    packet = packets.packet(size, stamp, number)
    assert len(packet) == size
    ip = parse_ip(packet)
    assert (ip.version, ip.protocol, ip.end_offset) == (version, protocol, size)
    assert (ip.source, ip.destination) == (flow.source.packed, flow.destination.packed)
    if version == 4:
        assert checksum_is_right(packet[:20])
    upper = packet[ip.payload_offset :]
    assert checksum_is_right(upper, pseudo_header(ip.source, ip.destination, protocol, len(upper)))
    for returned in (packet, swapped(packet), swapped(packet, ports=True)):
        assert flow_key(returned) in packets.return_keys()
        assert packets.read(returned) == (stamp, number)
    place = data.draw(st.integers(packets.headers_bytes, size - 1))
    spoiled = packet[:place] + bytes((packet[place] ^ 1 << data.draw(st.integers(0, 7)),)) + packet[place + 1 :]
    assert packets.read(spoiled) is None
    assert packets.read(packet[:-1]) is None


@pytest.mark.parametrize("flow", [V4, V6])
def test_a_tcp_packet_stands_for_a_segment_of_a_stream(flow):
    packets = StampedPackets(flow, TCP)
    kind = dpkt.ip.IP if flow.source.version == 4 else dpkt.ip6.IP6
    payload = 1000 - packets.headers_bytes
    for number in (0, 1, 2**40):
        tcp = kind(packets.packet(1000, 7, number)).data
        assert (tcp.sport, tcp.dport, tcp.flags) == (flow.source_port, flow.destination_port, dpkt.tcp.TH_ACK)
        assert tcp.seq == (1 + number * payload) % 2**32
        assert len(tcp.data) == payload


@given(st.binary(max_size=100))
def test_anything_has_a_key_and_no_stamp(data):
    assert flow_key(data) not in StampedPackets(V4).return_keys() or len(data) >= 24
    for flow, protocol in CASES:
        assert StampedPackets(flow, protocol).read(data) is None


def test_flows_have_names():
    assert str(V4) == "10.6.7.7:20000 > 10.6.7.8:5000"
    assert str(V6) == "[fd06:7::7]:20001 > [fd06:7::8]:5001"
