"""Captures: pcap and pcapng files as lists of IP packets with exact times.

dpkt knows the layout of records and blocks, and its header classes are used here; its readers are not, because they
give times as floats, know only the first interface of a pcapng file, and take a file that is cut off for one that ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from dpkt import pcap, pcapng

from wintunsim.errors import UsageError

_NS = 10**9
_LINK_NULL, _LINK_ETHERNET, _LINK_LOOP, _LINK_COOKED, _LINK_COOKED_2 = 0, 1, 108, 113, 276
# DLT_RAW is 12, on OpenBSD 14; LINKTYPE_RAW is 101, LINKTYPE_IPV4 and LINKTYPE_IPV6 are 228 and 229.
_LINKS_RAW = (12, 14, 101, 228, 229)
_LINKS_NAMED = "raw IP, Ethernet, Linux cooked, BSD loopback"
_LINKS = (_LINK_NULL, _LINK_ETHERNET, _LINK_LOOP, _LINK_COOKED, _LINK_COOKED_2, *_LINKS_RAW)
_NO_NEXT_HEADER = 59
_VLAN_TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
_ETHER_IP = (b"\x08\x00", b"\x86\xdd")
# AF_INET, and AF_INET6 of NetBSD and OpenBSD, FreeBSD, Darwin, Linux and Windows.
_LOOPBACK_FAMILIES = (2, 24, 28, 30, 10, 23)
_MAGICS_LITTLE = (pcap.PMUDPCT_MAGIC, pcap.PMUDPCT_MAGIC_NANO, pcap.PACPDOM_MAGIC)
_MAGICS_NANO = (pcap.TCPDUMP_MAGIC_NANO, pcap.PMUDPCT_MAGIC_NANO)


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """One IP packet of a capture."""

    time_ns: int
    """Time since the earliest packet of the capture."""
    data: bytes
    """The IP packet: from the first byte of its IP header to the end that its length field names."""
    number: int
    """The record's number in the file, from 1, as Wireshark shows it."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What a capture file holds."""

    packets: list[CapturedPacket]
    """The IP packets in order of time; records with equal times stay in the order of the file."""
    not_ip: int
    """Records left out because they hold no IP packet (ARP, say)."""
    truncated: int
    """Records left out because the capture has only the beginning of the packet, or no length in it."""


class _Record(NamedTuple):
    time_ns: int
    link: int
    frame: bytes
    cut_short: bool


class _Bad(Exception):
    """Why the bytes are not a capture; told to the user with the file's name."""


def read_capture(path: str | PathLike[str]) -> list[CapturedPacket]:
    """The IP packets of a pcap or pcapng file in order of time: :attr:`Capture.packets` of :func:`load_capture`."""
    return load_capture(path).packets


def load_capture(path: str | PathLike[str]) -> Capture:
    """Read a pcap file (microseconds or nanoseconds, either byte order) or a pcapng file (any number of interfaces).

    Link types: raw IP, Ethernet with or without VLAN tags, Linux cooked, BSD loopback; the link header is taken off.
    UsageError if the file cannot be read, is no capture, is cut off or damaged, has only other link types, or has no
    IP packet.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(f"the capture {path} cannot be read: {reason}") from None
    try:
        return _sort_out(_records(content))
    except _Bad as reason:
        raise UsageError(f"the capture {path} {reason}") from None


def _records(content: bytes) -> Iterator[_Record]:
    if not content:
        raise _Bad("is empty: name a pcap or pcapng file")
    magic = int.from_bytes(content[:4], "big")
    if magic in pcap.MAGIC_TO_PKT_HDR:
        return _pcap_records(content, magic)
    if magic == pcapng.PCAPNG_BT_SHB:
        return _pcapng_records(content)
    if content[:2] == b"\x1f\x8b" or content[:4] in (b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"):
        raise _Bad("is compressed: unpack it first")
    raise _Bad("is neither a pcap nor a pcapng file")


def _sort_out(records: Iterator[_Record]) -> Capture:
    found: list[tuple[int, int, bytes]] = []
    not_ip = truncated = 0
    unknown_links: list[int] = []
    for number, record in enumerate(records, start=1):
        if record.link not in _LINKS:
            not_ip += 1
            if record.link not in unknown_links:
                unknown_links.append(record.link)
            continue
        packet = _strip_link(record.link, record.frame)
        if packet is None:
            # A frame without its whole header cannot be told from one that was cut there.
            truncated += record.cut_short
            not_ip += not record.cut_short
            continue
        size = _ip_size(packet)
        if record.cut_short or size is None or size > len(packet):
            truncated += 1
            continue
        found.append((record.time_ns, number, packet[:size]))
    if not found:
        if unknown_links:
            raise _Bad(f"has link type {unknown_links[0]}, which is not supported: use one of {_LINKS_NAMED}")
        skipped = f" ({not_ip} other records, {truncated} truncated packets)" if not_ip or truncated else ""
        raise _Bad(f"has no whole IP packet{skipped}")
    found.sort()
    start = found[0][0]
    return Capture([CapturedPacket(time - start, data, number) for time, number, data in found], not_ip, truncated)


def _strip_link(link: int, frame: bytes) -> bytes | None:
    """The IP packet (perhaps with padding) in a frame, or None if it holds none."""
    packet = frame
    if link == _LINK_ETHERNET:
        offset = 12
        while frame[offset : offset + 2] in _VLAN_TAGS:
            offset += 4
        packet = frame[offset + 2 :] if frame[offset : offset + 2] in _ETHER_IP else b""
    elif link == _LINK_COOKED:
        packet = frame[16:] if frame[14:16] in _ETHER_IP else b""
    elif link == _LINK_COOKED_2:
        packet = frame[20:] if frame[:2] in _ETHER_IP else b""
    elif link in (_LINK_NULL, _LINK_LOOP):
        # The family stands in the byte order of the machine that captured, which the file's need not be.
        families = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[:4], "little")
        packet = frame[4:] if any(family in _LOOPBACK_FAMILIES for family in families) else b""
    return packet if packet and packet[0] >> 4 in (4, 6) else None


def _ip_size(packet: bytes) -> int | None:
    """The size in bytes by the header's length field; None when the header is not whole or its length field is empty.

    An empty one stands in packets that were captured before the network card would have cut them into segments.
    """
    if packet[0] >> 4 == 4:
        size = int.from_bytes(packet[2:4], "big")
        return size if size >= 20 else None
    if len(packet) < 40:
        return None
    payload_bytes = int.from_bytes(packet[4:6], "big")
    return 40 + payload_bytes if payload_bytes or packet[6] == _NO_NEXT_HEADER else None


def _pcap_records(content: bytes, magic: int) -> Iterator[_Record]:
    file_class = pcap.LEFileHdr if magic in _MAGICS_LITTLE else pcap.FileHdr
    record_class = pcap.MAGIC_TO_PKT_HDR[magic]
    if len(content) < file_class.__hdr_len__:
        raise _Bad("is cut off in its file header: copy or capture it again")
    header = file_class(content[: file_class.__hdr_len__])
    link = header.linktype & 0xFFFF  # the upper half tells of frame check sequences
    unit_ns = 1 if magic in _MAGICS_NANO else 1000
    layout = struct.Struct(record_class.__hdr_fmt__)
    position = file_class.__hdr_len__
    number = 0
    while position < len(content):
        number += 1
        data = position + layout.size
        if data > len(content):
            raise _Bad(f"is cut off in the middle of record {number}: copy or capture it again")
        seconds, fraction, captured, original = layout.unpack_from(content, position)[:4]
        position = data + captured
        if position > len(content):
            raise _Bad(f"is cut off in the middle of record {number}: copy or capture it again")
        yield _Record(seconds * _NS + fraction * unit_ns, link, content[data:position], captured < original)


class _Interface(NamedTuple):
    link: int
    snap_bytes: int  # 0: no limit
    ticks: int  # a second has so many of the interface's time units
    offset_ns: int

    def time_ns(self, ticks: int) -> int:
        return ticks * _NS // self.ticks + self.offset_ns


def _pcapng_records(content: bytes) -> Iterator[_Record]:
    interfaces: list[_Interface] = []
    time_ns = 0
    for kind, order, block in _pcapng_blocks(content):
        little = order == "<"
        if kind == pcapng.PCAPNG_BT_SHB:
            interfaces = []
        elif kind == pcapng.PCAPNG_BT_IDB:
            interfaces.append(_pcapng_interface(block, order))
        elif kind in (pcapng.PCAPNG_BT_EPB, pcapng.PCAPNG_BT_PB):
            if kind == pcapng.PCAPNG_BT_EPB:
                head = pcapng.EnhancedPacketBlockLE() if little else pcapng.EnhancedPacketBlock()
            else:
                head = pcapng.PacketBlockLE() if little else pcapng.PacketBlock()
            if len(block) < head.__hdr_len__:
                raise _Bad("is damaged: a packet block is shorter than its header")
            head.unpack_hdr(block)
            start = head.__hdr_len__ - 4  # dpkt counts the length at the block's end as a part of the header
            if start + head.caplen > len(block) - 4:
                raise _Bad("is damaged: a packet is longer than its block")
            if head.iface_id >= len(interfaces):
                raise _Bad(f"is damaged: a packet names interface {head.iface_id}, which is not described")
            interface = interfaces[head.iface_id]
            time_ns = interface.time_ns(head.ts_high << 32 | head.ts_low)
            frame = block[start : start + head.caplen]
            yield _Record(time_ns, interface.link, frame, head.caplen < head.pkt_len)
        elif kind == pcapng.PCAPNG_BT_SPB:
            if not interfaces or len(block) < 16:
                raise _Bad("is damaged: a simple packet block is too short or comes before any interface")
            original = struct.unpack_from(order + "I", block, 8)[0]
            captured = min(original, interfaces[0].snap_bytes or original)
            if captured > len(block) - 16:
                raise _Bad("is damaged: a packet is longer than its block")
            # Such a block has no time of its own: the last one that was seen is the best guess.
            yield _Record(time_ns, interfaces[0].link, block[12 : 12 + captured], captured < original)


def _pcapng_blocks(content: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Every block as (type, byte order "<" or ">", whole bytes), its two lengths compared."""
    order = "<"
    position = 0
    while position < len(content):
        if position + 12 > len(content):
            raise _Bad(f"is cut off {len(content) - position} bytes into a block: copy or capture it again")
        kind, length = struct.unpack_from(order + "II", content, position)
        if kind == pcapng.PCAPNG_BT_SHB:  # the same in both byte orders
            magic = int.from_bytes(content[position + 8 : position + 12], "little")
            if magic not in (pcapng.BYTE_ORDER_MAGIC, pcapng.BYTE_ORDER_MAGIC_LE):
                raise _Bad("is damaged: a section has no byte-order mark")
            order = "<" if magic == pcapng.BYTE_ORDER_MAGIC else ">"
            length = struct.unpack_from(order + "I", content, position + 4)[0]
        end = position + length
        if length < 12 or length % 4:
            raise _Bad(f"is damaged: the block at byte {position} has the impossible length {length}")
        if end > len(content):
            raise _Bad(f"is cut off in the middle of the block at byte {position}: copy or capture it again")
        if struct.unpack_from(order + "I", content, end - 4)[0] != length:
            raise _Bad(f"is damaged: the two lengths of the block at byte {position} differ")
        yield kind, order, content[position:end]
        position = end


def _pcapng_interface(block: bytes, order: str) -> _Interface:
    head = pcapng.InterfaceDescriptionBlockLE() if order == "<" else pcapng.InterfaceDescriptionBlock()
    if len(block) < head.__hdr_len__:
        raise _Bad("is damaged: an interface block is shorter than its header")
    head.unpack_hdr(block)
    ticks, offset_ns = 10**6, 0
    position = head.__hdr_len__ - 4
    # The options are walked here because dpkt refuses the whole block for a comment that is not UTF-8.
    while position + 4 <= len(block) - 4:
        code, length = struct.unpack_from(order + "HH", block, position)
        value = block[position + 4 : position + 4 + length]
        if code == pcapng.PCAPNG_OPT_ENDOFOPT or len(value) < length:
            break
        if code == pcapng.PCAPNG_OPT_IF_TSRESOL and length == 1:
            ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == pcapng.PCAPNG_OPT_IF_TSOFFSET and length == 8:
            offset_ns = struct.unpack(order + "q", value)[0] * _NS
        position += 4 + (length + 3) // 4 * 4
    return _Interface(head.linktype, head.snaplen, ticks, offset_ns)
