"""IP packets: built, taken apart and told in one line.

Plain arithmetic on bytes: these functions run once for each packet of a saturated ring, where a general packet library
costs several times what the ring does. The tests hold them against dpkt, byte for byte.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

Address = IPv4Address | IPv6Address

PACKET_MAX_BYTES = 65_535
"""The largest packet that a Wintun ring carries, in bytes (spec driver §1)."""

ICMP = 1
TCP = 6
UDP = 17
ICMPV6 = 58

# Extension headers of IPv6 (RFC 8200 §4), and the authentication header, which counts its length differently.
_HOP_BY_HOP = 0
_ROUTING = 43
_FRAGMENT = 44
_AUTHENTICATION = 51
_DESTINATION_OPTIONS = 60
_EXTENSIONS_MAX = 16

_HOP_LIMIT = 128  # what Windows puts into the packets it sends
_NAMES = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPV6: "ICMPv6", 2: "IGMP", 47: "GRE", 50: "ESP", 132: "SCTP"}
_ECHO_NAMES = {(4, 8): "echo request", (4, 0): "echo reply", (6, 128): "echo request", (6, 129): "echo reply"}


class IpPacket(NamedTuple):
    """What the headers of one IP packet say. Offsets are in bytes from the start of the packet."""

    version: int
    """4 or 6."""
    source: bytes
    """4 or 16 bytes."""
    destination: bytes
    """4 or 16 bytes."""
    protocol: int
    """The upper-layer protocol: for IPv6 what follows the last extension header that could be read."""
    payload_offset: int
    """Where the upper layer begins; in a fragment, where the fragment's data begin."""
    end_offset: int
    """Where the packet ends by its own length field; what follows is padding."""
    fragment_offset_bytes: int = 0
    """Where a fragment's data belong in the datagram."""
    more_fragments: bool = False
    fragment_identification: int = 0

    @property
    def is_fragment(self) -> bool:
        """Whether the packet carries a part of a datagram only."""
        return self.more_fragments or self.fragment_offset_bytes > 0


def parse_ip(packet: bytes) -> IpPacket | None:
    """Read the headers of an IP packet; None for bytes that are not one, or that end before its length field says.

    Never raises, whatever the bytes. Checksums are not looked at.
    """
    if not packet:
        return None
    version = packet[0] >> 4
    if version == 4:
        return _parse_ipv4(packet)
    if version == 6:
        return _parse_ipv6(packet)
    return None


def _parse_ipv4(packet: bytes) -> IpPacket | None:
    if len(packet) < 20:
        return None
    header_bytes = (packet[0] & 0x0F) * 4
    end = int.from_bytes(packet[2:4], "big")
    if not 20 <= header_bytes <= end <= len(packet):
        return None
    flags = int.from_bytes(packet[6:8], "big")
    return IpPacket(
        version=4,
        source=packet[12:16],
        destination=packet[16:20],
        protocol=packet[9],
        payload_offset=header_bytes,
        end_offset=end,
        fragment_offset_bytes=(flags & 0x1FFF) * 8,
        more_fragments=bool(flags & 0x2000),
        fragment_identification=int.from_bytes(packet[4:6], "big"),
    )


def _parse_ipv6(packet: bytes) -> IpPacket | None:
    if len(packet) < 40:
        return None
    end = 40 + int.from_bytes(packet[4:6], "big")
    if end > len(packet):
        return None
    protocol = packet[6]
    offset = 40
    fragment_offset, more, identification = 0, False, 0
    for _ in range(_EXTENSIONS_MAX):
        if protocol == _FRAGMENT:
            if offset + 8 > end:
                return None
            field = int.from_bytes(packet[offset + 2 : offset + 4], "big")
            fragment_offset, more = field & 0xFFF8, bool(field & 1)
            identification = int.from_bytes(packet[offset + 4 : offset + 8], "big")
            protocol = packet[offset]
            offset += 8
            if fragment_offset or more:
                break  # what follows is a part of the datagram, not necessarily a header
            continue
        if protocol not in (_HOP_BY_HOP, _ROUTING, _DESTINATION_OPTIONS, _AUTHENTICATION):
            break
        if offset + 8 > end:
            return None
        if protocol == _ROUTING and packet[offset + 3]:
            break  # segments left: the destination is a stop on the way, what follows is not for it
        length = (packet[offset + 1] + 2) * 4 if protocol == _AUTHENTICATION else (packet[offset + 1] + 1) * 8
        if offset + length > end:
            return None
        protocol = packet[offset]
        offset += length
    return IpPacket(6, packet[8:24], packet[24:40], protocol, offset, end, fragment_offset, more, identification)


def source_address(packet: bytes) -> Address | None:
    """The source address of an IP packet; None when the bytes are not an IP packet."""
    return _address(packet, 12, 8)


def destination_address(packet: bytes) -> Address | None:
    """The destination address of an IP packet; None when the bytes are not an IP packet."""
    return _address(packet, 16, 24)


def _address(packet: bytes, offset_ipv4: int, offset_ipv6: int) -> Address | None:
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        return IPv4Address(packet[offset_ipv4 : offset_ipv4 + 4])
    if version == 6 and len(packet) >= 40:
        return IPv6Address(packet[offset_ipv6 : offset_ipv6 + 16])
    return None


def _words(data: bytes) -> int:
    """The bytes as one number: its remainder by 65535 is the ones' complement sum of its 16-bit words (RFC 1071)."""
    value = int.from_bytes(data, "big")
    return value << 8 if len(data) & 1 else value


def internet_checksum(data: bytes, pseudo_header: int = 0) -> int:
    """The Internet checksum (RFC 1071) of `data`, and of the sum from :func:`pseudo_header`, as a header has it."""
    value = pseudo_header + _words(data)
    return (0xFFFF - value % 0xFFFF) % 0xFFFF if value else 0xFFFF


def checksum_is_right(data: bytes, pseudo_header: int = 0) -> bool:
    """Whether data that include their own checksum add up."""
    value = pseudo_header + _words(data)
    return value != 0 and value % 0xFFFF == 0


def pseudo_header(source: bytes, destination: bytes, protocol: int, length_bytes: int) -> int:
    """The sum of the pseudo header that UDP, TCP and ICMPv6 put under their checksum; addresses as 4 or 16 bytes."""
    return int.from_bytes(source + destination, "big") + protocol + length_bytes


def ip_packet(source: bytes, destination: bytes, protocol: int, payload: bytes, identification: int = 0) -> bytes:
    """One IP packet around `payload`; addresses as 4 or 16 bytes, `identification` used by IPv4 only.

    ValueError if it would not fit into the length field of its header.
    """
    if len(source) == 16:
        if len(payload) > 0xFFFF:
            raise ValueError(f"a payload of {len(payload)} bytes does not fit into an IPv6 packet")
        head = len(payload).to_bytes(2, "big") + bytes((protocol, _HOP_LIMIT))
        return b"\x60\0\0\0" + head + source + destination + payload
    size = 20 + len(payload)
    if size > 0xFFFF:
        raise ValueError(f"a payload of {len(payload)} bytes does not fit into an IPv4 packet")
    first = b"\x45\0" + size.to_bytes(2, "big") + identification.to_bytes(2, "big")
    first += b"\0\0" + bytes((_HOP_LIMIT, protocol))
    addresses = source + destination
    return first + internet_checksum(first + addresses).to_bytes(2, "big") + addresses + payload


def udp_packet(
    source: Address | str,
    destination: Address | str,
    source_port: int,
    destination_port: int,
    payload: bytes,
    *,
    identification: int = 0,
) -> bytes:
    """One UDP datagram as an IPv4 or IPv6 packet, by the family of its addresses, with right checksums.

    `identification` is the 16-bit field of IPv4; IPv6 has none. ValueError for addresses of two families or a payload
    that is too long.
    """
    source_bytes, destination_bytes = _packed_pair(source, destination)
    return ip_packet(
        source_bytes,
        destination_bytes,
        UDP,
        udp_datagram(source_bytes, destination_bytes, source_port, destination_port, payload),
        identification,
    )


def udp_datagram(source: bytes, destination: bytes, source_port: int, destination_port: int, payload: bytes) -> bytes:
    """A UDP header with its checksum, and the payload; addresses as 4 or 16 bytes."""
    length = 8 + len(payload)
    if length > 0xFFFF:
        raise ValueError(f"a payload of {len(payload)} bytes does not fit into a UDP datagram")
    head = source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big") + length.to_bytes(2, "big")
    total = internet_checksum(head + b"\0\0" + payload, pseudo_header(source, destination, UDP, length))
    # A checksum that comes out as 0 is sent as all ones: 0 means "none" (RFC 768).
    return head + (total or 0xFFFF).to_bytes(2, "big") + payload


def echo_request(
    source: Address | str, destination: Address | str, identifier: int, sequence: int, payload: bytes
) -> bytes:
    """An ICMP or ICMPv6 echo request as an IP packet, by the family of its addresses, with right checksums.

    `identifier` and `sequence` are 16-bit numbers; IPv4's identification is the sequence. ValueError as for
    :func:`udp_packet`.
    """
    source_bytes, destination_bytes = _packed_pair(source, destination)
    body = identifier.to_bytes(2, "big") + sequence.to_bytes(2, "big") + payload
    return echo_packet(source_bytes, destination_bytes, body, reply=False, identification=sequence)


def echo_packet(source: bytes, destination: bytes, body: bytes, *, reply: bool, identification: int = 0) -> bytes:
    """An echo request or reply as an IP packet; `body` is identifier, sequence and payload, addresses 4 or 16 bytes."""
    if len(source) == 4:
        head = b"\0\0" if reply else b"\x08\0"
        message = head + internet_checksum(head + b"\0\0" + body).to_bytes(2, "big") + body
        return ip_packet(source, destination, ICMP, message, identification)
    head = b"\x81\0" if reply else b"\x80\0"
    pseudo = pseudo_header(source, destination, ICMPV6, 4 + len(body))
    message = head + internet_checksum(head + b"\0\0" + body, pseudo).to_bytes(2, "big") + body
    return ip_packet(source, destination, ICMPV6, message)


def _packed_pair(source: Address | str, destination: Address | str) -> tuple[bytes, bytes]:
    first, second = ip_address(source), ip_address(destination)
    if first.version != second.version:
        raise ValueError(f"{first} and {second} are addresses of two families")
    return first.packed, second.packed


def describe(packet: bytes) -> str:
    """One line about a packet for a log, such as `UDP 10.6.7.7:5000 > 10.6.7.8:7, 64 bytes`. Never raises."""
    size = f"{len(packet)} byte{'' if len(packet) == 1 else 's'}"
    ip = parse_ip(packet)
    if ip is None:
        return f"not an IP packet, {size}"
    source, destination = str(ip_address(ip.source)), str(ip_address(ip.destination))
    name = _NAMES.get(ip.protocol, f"IP protocol {ip.protocol}")
    if ip.is_fragment:
        first = ip.fragment_offset_bytes
        last = first + ip.end_offset - ip.payload_offset
        tail = "" if ip.more_fragments else ", the last"
        return (
            f"{name} {source} > {destination} fragment {ip.fragment_identification:#06x} [{first}:{last}]{tail}, {size}"
        )
    upper = packet[ip.payload_offset : ip.end_offset]
    if ip.protocol in (TCP, UDP) and len(upper) >= 4:
        ports = int.from_bytes(upper[:2], "big"), int.from_bytes(upper[2:4], "big")
        if ip.version == 6:
            source, destination = f"[{source}]", f"[{destination}]"
        return f"{name} {source}:{ports[0]} > {destination}:{ports[1]}, {size}"
    if ip.protocol == (ICMP if ip.version == 4 else ICMPV6) and upper:
        kind = _ECHO_NAMES.get((ip.version, upper[0]))
        if kind is not None and len(upper) >= 8:
            identifier, sequence = int.from_bytes(upper[4:6], "big"), int.from_bytes(upper[6:8], "big")
            return f"{name} {source} > {destination} {kind} id {identifier} seq {sequence}, {size}"
        return f"{name} {source} > {destination} type {upper[0]}, {size}"
    return f"{name} {source} > {destination}, {size}"
