"""Packets that carry a stamp and a number, to be known again when the client writes them back.

A packet is UDP or TCP over IPv4 or IPv6 with right checksums. Its payload is the stamp (4 bytes) and the number (8
bytes), both big endian, and a fixed pattern behind. The checksum is reckoned from sums that are known beforehand, so
that a packet costs the same whatever its size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from wintunsim.network.packets import PACKET_MAX_BYTES, TCP, UDP, Address, internet_checksum

STAMP_BYTES = 12
_PATTERN = bytes(range(256)) * (PACKET_MAX_BYTES // 256 + 1)
_HOP_LIMIT = 128
_TCP_FLAGS = 0x5010  # a header of 20 bytes; ACK
_IPV4 = struct.Struct(">HHHHHH8s")
_IPV6 = struct.Struct(">IHH32s")
_UDP_STAMP = struct.Struct(">HHHHIQ")
_TCP_STAMP = struct.Struct(">HHIIHHHHIQ")
_STAMP = struct.Struct(">IQ")


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a conversation: both ends with their ports."""

    source: Address
    destination: Address
    source_port: int
    destination_port: int

    def __str__(self) -> str:
        brackets = "[{}]:{}" if self.source.version == 6 else "{}:{}"
        ends = (self.source, self.source_port), (self.destination, self.destination_port)
        return " > ".join(brackets.format(*end) for end in ends)


class Stamp(NamedTuple):
    """What a packet carries."""

    stamp: int
    number: int


@cache
def _pattern_sum(size: int) -> int:
    """The ones' complement sum of the pattern's first bytes."""
    return 0xFFFF - internet_checksum(_PATTERN[:size])


def _complement(total: int) -> int:
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)


class StampedPackets:
    """The packets of one flow; `protocol` is UDP or TCP.

    A TCP packet stands for segment `number` of a stream of equal segments: its sequence number follows from that.
    """

    def __init__(self, flow: Flow, protocol: int = UDP) -> None:
        self.flow = flow
        self.protocol = protocol
        self._is_ipv4 = flow.source.version == 4
        self._ip_bytes = 20 if self._is_ipv4 else 40
        self.headers_bytes = self._ip_bytes + (8 if protocol == UDP else 20)
        self.least_bytes = self.headers_bytes + STAMP_BYTES
        """The smallest packet that the stamp fits into."""
        self._checksum_at = self._ip_bytes + (6 if protocol == UDP else 16)
        self._addresses = flow.source.packed + flow.destination.packed
        addresses_sum = int.from_bytes(self._addresses, "big")
        self._ip_sum = 0x4500 + (_HOP_LIMIT << 8 | protocol) + addresses_sum
        self._upper_sum = addresses_sum + protocol + flow.source_port + flow.destination_port
        if protocol == TCP:
            self._upper_sum += 1 + _TCP_FLAGS + 0xFFFF

    def packet(self, size_bytes: int, stamp: int, number: int) -> bytes:
        """One IP packet of `size_bytes`, at least `least_bytes`; `stamp` below 2**32, `number` below 2**64."""
        flow = self.flow
        upper_bytes = size_bytes - self._ip_bytes
        checksum = self._checksum(size_bytes, stamp, number)
        if self.protocol == UDP:
            upper = _UDP_STAMP.pack(flow.source_port, flow.destination_port, upper_bytes, checksum, stamp, number)
        else:
            upper = _TCP_STAMP.pack(
                flow.source_port,
                flow.destination_port,
                self._sequence(size_bytes, number),
                1,
                _TCP_FLAGS,
                0xFFFF,
                checksum,
                0,
                stamp,
                number,
            )
        if self._is_ipv4:
            identification = number & 0xFFFF
            head_sum = _complement(self._ip_sum + size_bytes + identification)
            protocol = _HOP_LIMIT << 8 | self.protocol
            head = _IPV4.pack(0x4500, size_bytes, identification, 0, protocol, head_sum, self._addresses)
        else:
            head = _IPV6.pack(0x60000000, upper_bytes, self.protocol << 8 | _HOP_LIMIT, self._addresses)
        return head + upper + _PATTERN[: size_bytes - self.least_bytes]

    def _sequence(self, size_bytes: int, number: int) -> int:
        return (1 + number * (size_bytes - self.headers_bytes)) & 0xFFFFFFFF

    def _checksum(self, size_bytes: int, stamp: int, number: int) -> int:
        upper_bytes = size_bytes - self._ip_bytes
        total = self._upper_sum + upper_bytes + stamp + number + _pattern_sum(size_bytes - self.least_bytes)
        if self.protocol == UDP:
            return _complement(total + upper_bytes) or 0xFFFF
        return _complement(total + self._sequence(size_bytes, number))

    def read(self, packet: bytes) -> Stamp | None:
        """The stamp of a packet of this flow, whichever way its ends stand; None if its bytes are not what they were.

        Swapping the two ends leaves the checksum as it was, so it must be the one that was sent.
        """
        size = len(packet)
        if size < self.least_bytes:
            return None
        stamp, number = _STAMP.unpack_from(packet, self.headers_bytes)
        checksum = self._checksum(size, stamp, number)
        if packet[self._checksum_at : self._checksum_at + 2] != checksum.to_bytes(2, "big"):
            return None
        if packet[self.least_bytes :] != _PATTERN[: size - self.least_bytes]:
            return None
        return Stamp(stamp, number)

    def return_keys(self) -> tuple[bytes, ...]:
        """What :func:`flow_key` gives for its packets: as they are, with the addresses swapped, with both ends."""
        flow = self.flow
        ends = flow.source.packed, flow.destination.packed
        ports = flow.source_port.to_bytes(2, "big"), flow.destination_port.to_bytes(2, "big")
        protocol = bytes((self.protocol,))
        orders = ((ends, ports), (ends[::-1], ports), (ends[::-1], ports[::-1]))
        return tuple(protocol + b"".join((*addresses, *numbers)) for addresses, numbers in orders)


def flow_key(packet: bytes) -> bytes:
    """Protocol, addresses and ports of an IP packet without options, as one key; of other bytes, something else."""
    if packet[:1] == b"\x45":
        return packet[9:10] + packet[12:24]
    return packet[6:7] + packet[8:44]
