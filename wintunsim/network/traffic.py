"""Traffic: what the operating system sends into the adapter.

A source is iterated for `(time_ns, packet)` pairs in order of time, which begin at 0: the moment when the traffic
begins. Packets are made as they are asked for; every iteration gives the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from ipaddress import IPv4Address, ip_address
from os import PathLike
from pathlib import Path
from typing import Protocol, runtime_checkable

from wintunsim.errors import UsageError
from wintunsim.network.packets import (
    ICMP,
    ICMPV6,
    PACKET_MAX_BYTES,
    Address,
    checksum_is_right,
    echo_request,
    pseudo_header,
    udp_packet,
)

_NS = 10**9
_LONE_PACKET_GAP_NS = 10**6
RATE_MAX_PPS = 10**9
COUNT_MAX = 10**12

_DEFAULT_ADDRESSES = {
    4: (ip_address("10.6.7.7"), ip_address("10.6.7.8")),
    6: (ip_address("fd06:7::7"), ip_address("fd06:7::8")),
}


class TrafficSource(Protocol):
    """Packets that the operating system sends into the adapter."""

    @property
    def name(self) -> str:
        """The kind in one word; the same whatever the files and machine, so that it may stand in a trace."""

    @property
    def description(self) -> str:
        """The source for a reader of the report."""

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Pairs of a time in ns since the traffic began and an IP packet, in order of time; the first time is 0."""


@runtime_checkable
class EchoMonitor(Protocol):
    """A source that wants to know what became of its packets. It is told of every packet and picks out its own."""

    def sent(self, time_ns: int, packet: bytes) -> None:
        """The operating system sent `packet` into the adapter at this virtual time."""

    def received(self, time_ns: int, packet: bytes) -> None:
        """The adapter handed `packet`, which the client had written, up to the operating system."""

    def summary(self) -> dict[str, int | None]:
        """What came of it, for the report; times in ns."""


class CaptureTraffic:
    """Replay of a capture: the packets whose source address is local, with the capture's own spacing.

    `local` names the local addresses. When it is not given, they are the first IPv4 source and the first IPv6 source in
    the capture (the host that spoke first, with both of its addresses); addresses that say little about who is who —
    link-local, loopback, multicast, unspecified — count only when the capture has no others of that family.

    The first packet that goes out has time 0. `speed` divides all times, exactly (`"2.5"`, `Fraction(1, 3)`); times are
    rounded down to whole ns. `loop` plays the packets so many times; between the last packet of a round and the first
    of the next lies the mean gap between packets of the capture (1 ms if it has no gaps), so that the rate stays the
    same.

    UsageError if the capture cannot be read, or holds no packet from the local addresses.
    """

    name = "capture"

    def __init__(
        self,
        path: str | PathLike[str],
        local: Iterable[Address | str] | None = None,
        *,
        loop: int = 1,
        speed: Fraction | int | str = 1,
    ) -> None:
        from wintunsim.network.captures import read_capture  # dpkt takes its time to import; generators do without

        path = Path(path)
        packets = [(packet.time_ns, packet.data) for packet in read_capture(path)]
        self.local: tuple[Address, ...] = (
            local_addresses(data for _, data in packets) if local is None else _in_order(local)
        )
        self.loop = _in_range("the capture's loop", loop, 1, COUNT_MAX)
        self.speed = _speed(speed)
        wanted = frozenset(address.packed for address in self.local)
        outgoing = [(time, data) for time, data in packets if _source_bytes(data) in wanted]
        if not outgoing:
            names = " or ".join(str(address) for address in self.local) or "no address"
            seen = ", ".join(str(address) for address in _sources(data for _, data in packets)[:8])
            raise UsageError(f"the capture {path} has no packet from {names}: its sources are {seen}")
        start = outgoing[0][0]
        self._packets = [(time - start, data) for time, data in outgoing]
        names = ", ".join(str(address) for address in self.local)
        rounds = "" if loop == 1 else f", {loop} times"
        pace = "" if self.speed == 1 else f", at {self.speed} times its speed"
        self.description = f"capture {path.name}, packets from {names}{rounds}{pace}"

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        duration = self._packets[-1][0]
        gap = duration // (len(self._packets) - 1) if duration else _LONE_PACKET_GAP_NS
        numerator, denominator = self.speed.numerator, self.speed.denominator
        for round_number in range(self.loop):
            start = round_number * (duration + gap)
            for time, data in self._packets:
                yield (start + time) * denominator // numerator, data

    def __len__(self) -> int:
        """How many packets go out in all."""
        return len(self._packets) * self.loop


def local_addresses(packets: Iterable[bytes]) -> tuple[Address, ...]:
    """The addresses of the host that a capture is about, IPv4 before IPv6, by the rule of :class:`CaptureTraffic`."""
    chosen: list[Address] = []
    sources = _sources(packets)
    for version in (4, 6):
        family = [address for address in sources if address.version == version]
        plain = [
            address
            for address in family
            if not (address.is_link_local or address.is_loopback or address.is_multicast or address.is_unspecified)
        ]
        chosen += (plain or family)[:1]
    return tuple(chosen)


def _source_bytes(packet: bytes) -> bytes:
    return packet[12:16] if packet[0] >> 4 == 4 else packet[8:24]


def _sources(packets: Iterable[bytes]) -> list[Address]:
    """Every source address once, in the order of first appearance."""
    return [ip_address(source) for source in dict.fromkeys(_source_bytes(packet) for packet in packets)]


def _speed(value: Fraction | int | str) -> Fraction:
    try:
        speed = Fraction(value)
    except (ValueError, ZeroDivisionError):
        speed = Fraction(0)
    if speed <= 0:
        raise UsageError(f"the capture's speed is {value}: give a number above 0")
    return speed


def _in_order(addresses: Iterable[Address | str]) -> tuple[Address, ...]:
    if isinstance(addresses, str):
        addresses = [addresses]
    return tuple(dict.fromkeys(_address(address) for address in addresses))


class UdpTraffic:
    """Evenly spaced UDP datagrams of one size: packet n goes out at `n * 10**9 // rate_pps` ns.

    `size_bytes` is the whole IP packet. `count` None never ends. The payload begins with the packet's number (from 0)
    as 8 bytes, big endian, as far as they fit, and goes on with a fixed pattern; IPv4's identification is the number's
    lower 16 bits.
    """

    name = "udp"

    def __init__(
        self,
        rate_pps: int,
        size_bytes: int,
        count: int | None = None,
        *,
        source: Address | str | None = None,
        destination: Address | str | None = None,
        source_port: int = 40000,
        destination_port: int = 9,
    ) -> None:
        self.source, self.destination = address_pair(source, destination)
        self.rate_pps = _in_range("the udp rate", rate_pps, 1, RATE_MAX_PPS)
        self._headers_bytes = 28 if self.source.version == 4 else 48
        self.size_bytes = _in_range("the udp size", size_bytes, self._headers_bytes, PACKET_MAX_BYTES)
        self.count = None if count is None else _in_range("the udp count", count, 1, COUNT_MAX)
        self.source_port = _in_range("the udp source port", source_port, 1, 0xFFFF)
        self.destination_port = _in_range("the udp destination port", destination_port, 1, 0xFFFF)
        what = "packets without end" if count is None else f"{count} packets"
        self.description = (
            f"udp {self.source} > {self.destination}, {what} of {size_bytes} bytes at {rate_pps} packets/s"
        )

    def packet(self, number: int) -> bytes:
        """The packet with this number, from 0."""
        size = self.size_bytes - self._headers_bytes
        pattern = bytes(range(256))
        payload = (number.to_bytes(8, "big") + pattern * (size // 256 + 1))[:size]
        return udp_packet(
            self.source,
            self.destination,
            self.source_port,
            self.destination_port,
            payload,
            identification=number & 0xFFFF,
        )

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        rate = self.rate_pps
        template = self.packet(0)
        patched_bytes = min(8, self.size_bytes - self._headers_bytes)
        ipv4 = self.source.version == 4
        udp_sum_at = 26 if ipv4 else 46
        number_at = udp_sum_at + 2
        # Only the number, the identification and the two checksums over them differ from packet to packet. A ones'
        # complement sum goes on by adding: a checksum is the complement of the sum of the rest.
        ip_sum = 0xFFFF - int.from_bytes(template[10:12], "big")
        udp_sum = 0xFFFF - int.from_bytes(template[udp_sum_at:number_at], "big")
        head, middle = template[:4], template[12:udp_sum_at]
        flags = template[6:10]
        tail = template[number_at + patched_bytes :]
        ipv6_head = template[:udp_sum_at]
        # An odd number of bytes leaves the last one in the upper half of its word; 8 bytes are whole words.
        odd = patched_bytes & 1
        number = 0
        while self.count is None or number < self.count:
            field = number.to_bytes(8, "big")[:patched_bytes]
            added = int.from_bytes(field, "big")
            total = 0xFFFF - ((udp_sum + (added << 8 if odd else added)) % 0xFFFF or 0xFFFF)
            checked = (total or 0xFFFF).to_bytes(2, "big") + field + tail
            if ipv4:
                identification = number & 0xFFFF
                head_sum = 0xFFFF - ((ip_sum + identification) % 0xFFFF or 0xFFFF)
                words = identification.to_bytes(2, "big") + flags + head_sum.to_bytes(2, "big")
                packet = head + words + middle + checked
            else:
                packet = ipv6_head + checked
            yield number * _NS // rate, packet
            number += 1


class PingTraffic:
    """Echo requests at an even interval, and the account of their replies (an :class:`EchoMonitor`).

    `size_bytes` is the payload of the echo message, as for `ping`; the packet is 28 bytes longer over IPv4 and 48 over
    IPv6. `count` None never ends. The sequence numbers begin at 1 and wrap after 65535. Two pings between the same
    addresses need different `identifier`s (16 bits) to tell their replies apart.
    """

    name = "ping"

    def __init__(
        self,
        count: int | None,
        interval_ns: int = _NS,
        size_bytes: int = 56,
        *,
        source: Address | str | None = None,
        destination: Address | str | None = None,
        identifier: int = 1,
    ) -> None:
        self.source, self.destination = address_pair(source, destination)
        self.count = None if count is None else _in_range("the ping count", count, 1, COUNT_MAX)
        self.interval_ns = _in_range("the ping interval in ns", interval_ns, 1, 2**63 - 1)
        self._headers_bytes = 28 if self.source.version == 4 else 48
        self.size_bytes = _in_range("the ping size", size_bytes, 0, PACKET_MAX_BYTES - self._headers_bytes)
        self.identifier = _in_range("the ping identifier", identifier, 0, 0xFFFF)
        self._payload = (bytes(range(256)) * (size_bytes // 256 + 1))[:size_bytes]
        what = "echo requests without end" if count is None else f"{count} echo request{'s' if count > 1 else ''}"
        self.description = f"ping {self.source} > {self.destination}, {what} of {size_bytes} bytes"
        self._sent = self._answered = self._damaged = self._unexpected = 0
        self._outstanding: dict[int, int] = {}
        self._rtt_sum_ns = 0
        self._rtt_min_ns: int | None = None
        self._rtt_max_ns: int | None = None
        # Most packets are told from a reply by one comparison of their addresses.
        ipv4 = self.source.version == 4
        self._version = self.source.version
        self._addresses_at = slice(12, 20) if ipv4 else slice(8, 40)
        self._protocol_at, self._protocol = (9, ICMP) if ipv4 else (6, ICMPV6)
        self._request_addresses = self.source.packed + self.destination.packed
        self._reply_addresses = self.destination.packed + self.source.packed
        self._request_type, self._reply_type = (8, 0) if ipv4 else (128, 129)

    def packet(self, number: int) -> bytes:
        """The request with this number, from 0."""
        return echo_request(self.source, self.destination, self.identifier, (number + 1) & 0xFFFF, self._payload)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        while self.count is None or number < self.count:
            yield number * self.interval_ns, self.packet(number)
            number += 1

    def sent(self, time_ns: int, packet: bytes) -> None:
        """Note that one of the requests was sent at this virtual time; other packets are passed over."""
        offset = self._message_offset(packet, self._request_addresses, self._request_type)
        if offset is not None:
            self._sent += 1
            self._outstanding[int.from_bytes(packet[offset + 6 : offset + 8], "big")] = time_ns

    def received(self, time_ns: int, packet: bytes) -> None:
        """Note a reply that the client wrote, handed up at this virtual time; other packets are passed over."""
        offset = self._message_offset(packet, self._reply_addresses, self._reply_type)
        if offset is None:
            return
        message = packet[offset:]
        pseudo = 0
        if self._version == 6:
            pseudo = pseudo_header(self.source.packed, self.destination.packed, ICMPV6, len(message))
        if message[8:] != self._payload or not checksum_is_right(message, pseudo):
            self._damaged += 1
            return
        sent_ns = self._outstanding.pop(int.from_bytes(message[6:8], "big"), None)
        if sent_ns is None:
            self._unexpected += 1
            return
        rtt_ns = time_ns - sent_ns
        self._answered += 1
        self._rtt_sum_ns += rtt_ns
        self._rtt_min_ns = rtt_ns if self._rtt_min_ns is None else min(self._rtt_min_ns, rtt_ns)
        self._rtt_max_ns = rtt_ns if self._rtt_max_ns is None else max(self._rtt_max_ns, rtt_ns)

    def _message_offset(self, packet: bytes, addresses: bytes, message_type: int) -> int | None:
        """Where the echo message with this source's identifier begins, or None if there is none in the packet."""
        if packet[self._addresses_at] != addresses or packet[0] >> 4 != self._version:
            return None
        offset = (packet[0] & 0x0F) * 4 if self._version == 4 else 40
        if (
            len(packet) < offset + 8
            or packet[self._protocol_at] != self._protocol
            or packet[offset] != message_type
            or int.from_bytes(packet[offset + 4 : offset + 6], "big") != self.identifier
        ):
            return None
        return offset

    def summary(self) -> dict[str, int | None]:
        """Counts and round-trip times so far.

        `sent`, `answered` (each request once), `damaged` (a reply whose payload or checksum is wrong), `unexpected` (a
        reply to nothing that is still open, such as a second one), and `rtt_min_ns`, `rtt_avg_ns`, `rtt_max_ns`: from
        the packet's entry into the adapter to its reply's way up; None without replies. The average is rounded down.
        """
        return {
            "sent": self._sent,
            "answered": self._answered,
            "damaged": self._damaged,
            "unexpected": self._unexpected,
            "rtt_min_ns": self._rtt_min_ns,
            "rtt_avg_ns": self._rtt_sum_ns // self._answered if self._answered else None,
            "rtt_max_ns": self._rtt_max_ns,
        }


def address_pair(source: Address | str | None, destination: Address | str | None) -> tuple[Address, Address]:
    """Both ends of generated traffic; by default 10.6.7.7 to 10.6.7.8, or fd06:7::7 to fd06:7::8 if one is IPv6.

    UsageError for something that is not an address, and for one end of each family.
    """
    given_source = None if source is None else _address(source)
    given_destination = None if destination is None else _address(destination)
    given = given_source or given_destination or IPv4Address(0)
    default_source, default_destination = _DEFAULT_ADDRESSES[given.version]
    pair = given_source or default_source, given_destination or default_destination
    if pair[0].version != pair[1].version:
        raise UsageError(f"traffic from {pair[0]} to {pair[1]} mixes IPv4 and IPv6: give two addresses of one family")
    return pair


def _address(value: Address | str) -> Address:
    try:
        return ip_address(value)
    except ValueError:
        raise UsageError(f"{value!r} is not an IP address: write one such as 10.6.7.7 or fd06:7::7") from None


def _in_range(what: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise UsageError(f"{what} is {value}: give a number from {least} to {most}")
    return value
