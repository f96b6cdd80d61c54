"""A host that answers: the operating system and its applications on the other side of what the client writes.

A packet that the client writes into the receive ring is handed up to the operating system; what the host answers comes
out of the send ring to the client.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from wintunsim.errors import UsageError
from wintunsim.network.packets import (
    ICMP,
    ICMPV6,
    PACKET_MAX_BYTES,
    TCP,
    UDP,
    Address,
    IpPacket,
    checksum_is_right,
    echo_packet,
    ip_packet,
    parse_ip,
    pseudo_header,
    udp_datagram,
)

ECHO_PORT = 7
DATAGRAMS_MAX = 16
"""How many fragmented datagrams the host puts together at a time; the oldest gives way to one more."""

_Key = tuple[bytes, bytes, int, int]


class AnsweringHost:
    """Answers echo requests (ICMP and ICMPv6, any size, also in fragments) and UDP datagrams to port 7 (RFC 862).

    It stands for the whole network: it answers for every unicast destination, or for those in `addresses` if given. An
    answer is one packet with the same identifier, sequence and payload, whose source is the request's destination; over
    IPv4 it takes over the request's identification. Answers are never answered: neither echo replies nor datagrams from
    port 7. Anything malformed, with a wrong checksum, or from an address that no answer can go to is passed over, as is
    a request whose answer would be longer than 65535 bytes.

    The same packets in the same order give the same answers. The only state are the fragments of at most
    `DATAGRAMS_MAX` incomplete datagrams (each up to 65535 bytes); they wait for no timer. A datagram whose fragments
    overlap is dropped (RFC 5722).

    UsageError for an address that is none.
    """

    def __init__(self, addresses: Iterable[Address | str] | None = None) -> None:
        self._addresses: frozenset[bytes] | None = None
        if addresses is not None:
            if isinstance(addresses, str):
                addresses = [addresses]
            try:
                self._addresses = frozenset(ip_address(address).packed for address in addresses)
            except ValueError as error:
                raise UsageError(f"the answering host needs IP addresses: {error}") from None
        self._datagrams: dict[_Key, _Datagram] = {}

    def answer(self, packet: bytes) -> bytes | None:
        """The answer to a packet that the client wrote, or None. Never raises, whatever the bytes."""
        if not packet or not self._may_concern(packet):
            return None
        ip = parse_ip(packet)
        if ip is None or ip.protocol not in _PROTOCOLS[ip.version] or not self._can_answer(ip):
            return None
        if ip.version == 4 and not checksum_is_right(packet[: ip.payload_offset]):
            return None
        if ip.is_fragment:
            return self._answer_fragment(packet, ip)
        return _answer_whole(ip, packet[ip.payload_offset : ip.end_offset])

    def _may_concern(self, packet: bytes) -> bool:
        """A cheap look that lets most other traffic pass by."""
        version = packet[0] >> 4
        if version == 4:
            if len(packet) < 21:
                return False
            protocol = packet[9]
            if protocol == UDP and packet[0] == 0x45 and not packet[6] & 0x3F and not packet[7]:
                return packet[22:24] == b"\0\x07"
            return protocol in (ICMP, UDP)
        if version != 6 or len(packet) < 40 or packet[6] == TCP:
            return False
        return packet[6] != UDP or packet[42:44] == b"\0\x07"

    def _can_answer(self, ip: IpPacket) -> bool:
        if self._addresses is not None and ip.destination not in self._addresses:
            return False
        return _is_unicast(ip.source) and _is_unicast(ip.destination)

    def _answer_fragment(self, packet: bytes, ip: IpPacket) -> bytes | None:
        data = packet[ip.payload_offset : ip.end_offset]
        end = ip.fragment_offset_bytes + len(data)
        key = (ip.source, ip.destination, ip.protocol, ip.fragment_identification)
        if not data or (ip.more_fragments and len(data) % 8) or end > PACKET_MAX_BYTES:
            self._datagrams.pop(key, None)
            return None
        datagram = self._datagrams.get(key)
        if datagram is None:
            if len(self._datagrams) >= DATAGRAMS_MAX:
                self._datagrams.pop(next(iter(self._datagrams)))
            datagram = self._datagrams[key] = _Datagram()
        done = datagram.add(ip.fragment_offset_bytes, data, ip.more_fragments)
        if done is None:
            return None
        del self._datagrams[key]
        return _answer_whole(ip, done) if done else None


_PROTOCOLS = {4: (ICMP, UDP), 6: (ICMPV6, UDP)}


class _Datagram:
    """The fragments of one datagram so far."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}
        self._held_bytes = 0
        self._size: int | None = None

    def add(self, offset: int, data: bytes, more: bool) -> bytes | None:
        """Take one fragment in: the whole payload once it is there, None while it is not, b"" if it never can be."""
        known = self._parts.get(offset)
        if known is not None:
            return None if known == data else b""
        if not more:
            if self._size is not None:
                return b""
            self._size = offset + len(data)
        self._parts[offset] = data
        self._held_bytes += len(data)
        if self._held_bytes > (PACKET_MAX_BYTES if self._size is None else self._size):
            return b""  # more bytes than the datagram has: some overlap
        if self._held_bytes != self._size:
            return None
        end = 0
        for start, part in sorted(self._parts.items()):
            if start != end:
                return b""
            end = start + len(part)
        return b"".join(part for _, part in sorted(self._parts.items()))


def _is_unicast(address: bytes) -> bool:
    if len(address) == 4:
        return 0 < address[0] < 224
    return address[0] != 0xFF and any(address)


def _answer_whole(ip: IpPacket, data: bytes) -> bytes | None:
    """The answer to the upper layer's message `data`."""
    if len(data) < 8:
        return None
    pseudo = pseudo_header(ip.source, ip.destination, ip.protocol, len(data))
    identification = ip.fragment_identification
    if 20 + len(data) > PACKET_MAX_BYTES or (ip.version == 6 and 40 + len(data) > PACKET_MAX_BYTES):
        return None
    if ip.protocol == UDP:
        source_port, port = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
        length = int.from_bytes(data[4:6], "big")
        if port != ECHO_PORT or source_port in (0, ECHO_PORT) or not 8 <= length <= len(data):
            return None
        data = data[:length]
        if data[6:8] != b"\0\0":
            pseudo = pseudo_header(ip.source, ip.destination, UDP, length)
            if not checksum_is_right(data, pseudo):
                return None
        elif ip.version == 6:  # only IPv4 may go without a checksum (RFC 8200 §8.1)
            return None
        datagram = udp_datagram(ip.destination, ip.source, ECHO_PORT, source_port, data[8:])
        return ip_packet(ip.destination, ip.source, UDP, datagram, identification)
    request_type, pseudo = (8, 0) if ip.version == 4 else (128, pseudo)
    if data[0] != request_type or data[1] != 0 or not checksum_is_right(data, pseudo):
        return None
    return echo_packet(ip.destination, ip.source, data[4:], reply=True, identification=identification)
