"""The host answers what deserves an answer, and nothing else."""

from __future__ import annotations

from pathlib import Path

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.network.captures import read_capture
from wintunsim.network.host import DATAGRAMS_MAX, AnsweringHost
from wintunsim.network.packets import describe, echo_request, internet_checksum, parse_ip, udp_packet

MIXED = Path(__file__).parents[1] / "data" / "tunnel-mixed.pcapng"
ENDS4 = ("10.6.7.7", "10.6.7.8")
ENDS6 = ("fd06:7::7", "fd06:7::8")
both = pytest.mark.parametrize("ends", [ENDS4, ENDS6])


def fragments(packet, step, identification=0x5117):
    """The packet in fragments of `step` payload bytes (a multiple of 8)."""
    if packet[0] >> 4 == 4:
        payload = packet[20:]
        for at in range(0, len(payload), step):
            part = payload[at : at + step]
            field = at // 8 | (0x2000 if at + step < len(payload) else 0)
            head = b"\x45\0" + (20 + len(part)).to_bytes(2, "big") + identification.to_bytes(2, "big")
            head += field.to_bytes(2, "big") + packet[8:10] + b"\0\0" + packet[12:20]
            yield head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:] + part
    else:
        payload = packet[40:]
        for at in range(0, len(payload), step):
            part = payload[at : at + step]
            field = at | (at + step < len(payload))
            extension = packet[6:7] + b"\0" + field.to_bytes(2, "big") + identification.to_bytes(4, "big")
            yield packet[:4] + (8 + len(part)).to_bytes(2, "big") + b"\x2c" + packet[7:40] + extension + part


@both
@given(identifier=st.integers(0, 65535), sequence=st.integers(0, 65535), payload=st.binary(max_size=200))
def test_echo_requests_are_answered(ends, identifier, sequence, payload):
    answer = AnsweringHost().answer(echo_request(*ends, identifier, sequence, payload))
    kind = dpkt.ip.IP if answer[0] >> 4 == 4 else dpkt.ip6.IP6
    ip = kind(answer)
    assert ip.data.type == (0 if kind is dpkt.ip.IP else 129)
    assert (ip.data.data.id, ip.data.data.seq, bytes(ip.data.data.data)) == (identifier, sequence, payload)
    assert describe(answer).split(" echo")[0].endswith(f"{ends[1]} > {ends[0]}")
    # dpkt fills in checksums that are 0: what it makes of the packet must be the packet
    ip.data.sum = 0
    if kind is dpkt.ip.IP:
        ip.sum = 0
    assert bytes(ip) == answer


@both
@given(port=st.integers(1, 65535).filter(lambda port: port != 7), payload=st.binary(max_size=200))
def test_udp_echo(ends, port, payload):
    request = udp_packet(*ends, port, 7, payload, identification=9)
    assert AnsweringHost().answer(request) == udp_packet(*reversed(ends), 7, port, payload, identification=9)


def test_udp_without_a_checksum_is_allowed_over_ipv4_only():
    request = udp_packet(*ENDS4, 5000, 7, b"data")
    unchecked = request[:26] + b"\0\0" + request[28:]
    assert AnsweringHost().answer(unchecked) == udp_packet(*reversed(ENDS4), 7, 5000, b"data")
    request6 = udp_packet(*ENDS6, 5000, 7, b"data")
    assert AnsweringHost().answer(request6[:46] + b"\0\0" + request6[48:]) is None


@both
def test_nothing_else_is_answered(ends):
    host = AnsweringHost()
    echo = echo_request(*ends, 1, 1, b"payload")
    udp = udp_packet(*ends, 5000, 7, b"payload")
    unanswered = {
        "an answer": host.answer(echo),
        "an answer of udp": host.answer(udp),
        "an echo port to an echo port": udp_packet(*ends, 7, 7, b"payload"),
        "another port": udp_packet(*ends, 5000, 8, b"payload"),
        "a damaged payload": echo[:-1] + b"?",
        "a damaged udp payload": udp[:-1] + b"?",
        "a packet cut short": echo[:-1],
        "nothing": b"",
    }
    assert {name: host.answer(packet) for name, packet in unanswered.items()} == dict.fromkeys(unanswered)


def test_a_damaged_ipv4_header_and_addresses_nobody_can_answer():
    host = AnsweringHost()
    damaged = bytearray(echo_request(*ENDS4, 1, 1, b""))
    damaged[8] -= 1
    assert host.answer(bytes(damaged)) is None
    for ends in [
        ("0.0.0.0", "10.6.7.8"),
        ("224.0.0.1", "10.6.7.8"),
        ("10.6.7.7", "255.255.255.255"),
        ("10.6.7.7", "239.1.2.3"),
        ("::", "fd06:7::8"),
        ("fd06:7::7", "ff02::1"),
    ]:
        assert host.answer(echo_request(*ends, 1, 1, b"")) is None


def test_padding_and_ipv4_options_are_no_part_of_the_message():
    plain = echo_request(*ENDS4, 1, 1, b"payload")
    head = bytearray(plain[:20] + b"\x01\x01\x01\0")
    head[0] = 0x46
    head[2:4] = (len(plain) + 4).to_bytes(2, "big")
    head[10:12] = b"\0\0"
    head[10:12] = internet_checksum(bytes(head)).to_bytes(2, "big")
    expected = AnsweringHost().answer(plain)
    assert AnsweringHost().answer(bytes(head) + plain[20:]) == expected
    assert AnsweringHost().answer(plain + b"padding") == expected


def test_only_the_given_addresses_answer():
    host = AnsweringHost(["10.6.7.8", "fd06:7::8"])
    assert host.answer(echo_request(*ENDS4, 1, 1, b"")) is not None
    assert host.answer(echo_request(*ENDS6, 1, 1, b"")) is not None
    assert host.answer(echo_request("10.6.7.7", "10.6.7.9", 1, 1, b"")) is None
    assert AnsweringHost([]).answer(echo_request(*ENDS4, 1, 1, b"")) is None
    with pytest.raises(UsageError, match="'host' does not appear"):
        AnsweringHost("host")


@both
@settings(deadline=None)
@given(data=st.data())
def test_fragments_in_any_order_are_answered_as_one_packet(ends, data):
    payload = data.draw(st.binary(min_size=20, max_size=400))
    request = data.draw(st.sampled_from([echo_request(*ends, 3, 4, payload), udp_packet(*ends, 5000, 7, payload)]))
    parts = list(fragments(request, 8 * data.draw(st.integers(1, 20))))
    if len(parts) == 1:
        parts = list(fragments(request, 8))
    parts = data.draw(st.permutations(parts))
    parts.insert(data.draw(st.integers(1, len(parts) - 1)), parts[0])  # one comes twice
    host = AnsweringHost()
    answers = [host.answer(part) for part in parts]
    assert answers[:-1] == [None] * (len(parts) - 1)
    expected = AnsweringHost().answer(request)
    if request[0] >> 4 == 4:  # the identification is that of the fragments
        head = expected[:4] + b"\x51\x17" + expected[6:10] + b"\0\0" + expected[12:20]
        expected = head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:] + expected[20:]
    assert answers[-1] == expected


@both
def test_the_largest_answer_is_65535_bytes(ends):
    headers = 28 if ends is ENDS4 else 48
    host = AnsweringHost()
    request = echo_request(*ends, 1, 1, bytes(65535 - headers))
    assert len(host.answer(request)) == 65535
    answers = [host.answer(part) for part in fragments(request, 1400)]
    assert len(answers[-1]) == 65535
    if ends is ENDS6:  # IPv6 packets may be longer; rings cannot carry them
        assert not any(map(host.answer, fragments(echo_request(*ends, 1, 1, bytes(65535 - 47)), 1400)))


@both
def test_overlapping_or_endless_fragments_are_dropped(ends):
    request = echo_request(*ends, 1, 1, bytes(range(64)))
    host = AnsweringHost()
    coarse, fine = list(fragments(request, 24)), list(fragments(request, 16))
    assert [host.answer(part) for part in (coarse[0], fine[1], *coarse[1:])] == [None] * 4
    host = AnsweringHost()
    changed = coarse[0][:-1] + b"?"
    assert [host.answer(part) for part in (coarse[0], changed, *coarse[1:])] == [None] * 4
    host = AnsweringHost()
    assert [host.answer(part) for part in (coarse[0], *coarse[1:])][-1] is not None


def test_the_oldest_unfinished_datagram_gives_way():
    host = AnsweringHost()
    request = echo_request(*ENDS4, 1, 1, bytes(64))
    begun = [list(fragments(request, 40, number)) for number in range(DATAGRAMS_MAX + 1)]
    for parts in begun:
        assert host.answer(parts[0]) is None
    assert host.answer(begun[1][1]) is not None
    assert host.answer(begun[0][1]) is None


def test_the_pings_of_the_real_capture_get_the_answers_of_the_real_host():
    host = AnsweringHost()
    wanted, given_answers = [], []
    for packet in read_capture(MIXED):
        ip = parse_ip(packet.data)
        if ip is None or ip.is_fragment or ip.protocol not in (1, 58):
            continue
        upper = packet.data[ip.payload_offset : ip.end_offset]
        if upper[0] in (0, 129):
            wanted.append((ip.source, ip.destination, upper))
        answer = host.answer(packet.data)
        if answer is not None:
            reply = parse_ip(answer)
            given_answers.append((reply.source, reply.destination, answer[reply.payload_offset :]))
    assert len(wanted) >= 10
    assert given_answers == wanted


@settings(max_examples=300)
@given(st.data())
def test_no_bytes_make_the_host_raise_and_no_answer_is_answered(data):
    host = AnsweringHost()
    samples = [
        echo_request(*ENDS4, 1, 1, b"payload!"),
        echo_request(*ENDS6, 1, 1, b"payload!"),
        udp_packet(*ENDS4, 5000, 7, b"payload!"),
        *fragments(echo_request(*ENDS4, 1, 1, bytes(24)), 16),
        *fragments(echo_request(*ENDS6, 1, 1, bytes(24)), 16),
    ]
    for _ in range(3):
        packet = bytearray(data.draw(st.one_of(st.binary(max_size=80), st.sampled_from(samples))))
        changes = st.tuples(st.integers(0, max(0, len(packet) - 1)), st.integers(0, 255))
        for place, value in data.draw(st.lists(changes, max_size=4)):
            packet[place : place + 1] = bytes([value])
        answer = host.answer(bytes(packet))
        if answer is not None:
            assert host.answer(answer) is None
