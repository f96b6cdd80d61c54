"""Targets: ring arithmetic against integers of any size (spec driver §1), and OID requests (spec driver §7)."""

from __future__ import annotations

import struct

from fuzz_input import Input

from wintun_model.adapter import Adapter, Driver
from wintun_model.oids import OidAnswer, direct_oid_request, oid_request
from wintun_model.revision import REVISIONS
from wintun_model.ring import align, capacity_of, content, is_valid_capacity, ring_bytes_of, space, stored_bytes, wrap

WORD = 1 << 32


def arithmetic(data: bytes) -> None:
    """Every function of ring arithmetic, for any 32-bit words and any capacity."""
    source = Input(data)
    while source:
        capacity = 1 << source.below(32)
        a, b = source.word(capacity), source.word(capacity)
        assert align(a) == -(-a // 4) * 4 % WORD
        assert wrap(a + b, capacity) == (a + b) % capacity
        assert wrap(a - b, capacity) == (a - b) % capacity
        assert content(a, b, capacity) == (b - a) % capacity
        assert space(a, b, capacity) == (a - b - 4) % capacity
        assert stored_bytes(a) == -(-(a + 4) // 4) * 4 % WORD
        assert capacity_of(a) == (a - 12 - 0x10000) % WORD
        if ring_bytes_of(a) < WORD:
            assert capacity_of(ring_bytes_of(a)) == a
        is_power = any(a == 1 << bit for bit in range(17, 27))
        assert is_valid_capacity(a) == is_power


FIXED = {
    0x00010111: struct.pack("<I", 0xFFFF),
    0x0001010A: struct.pack("<I", 0xFFFF),
    0x0001010B: struct.pack("<I", 0xFFFF),
    0x00010108: struct.pack("<I", 0x4000000),
    0x00010109: struct.pack("<I", 0x4000000),
    0x0001010C: b"\xff\xff\xff\0",
    0x0001010D: b"Wintun Tunnel\0",
    0x00010209: struct.pack("<BBHII", 0x80, 1, 12, 0, 1),
}
VERSION, TRANSMITTED, RECEIVED, STATISTICS, QUERY_POWER = 0x00010116, 0x00020101, 0x00020102, 0x00020106, 0xFD010102
FILTER, LOOKAHEAD, LINK, MODERATION, SET_POWER = 0x0001010E, 0x0001010F, 0x00010208, 0x00010209, 0xFD010101
KNOWN = (*FIXED, VERSION, TRANSMITTED, RECEIVED, STATISTICS, QUERY_POWER, FILTER, LOOKAHEAD, LINK, SET_POWER)
NOT_SUPPORTED, INVALID_OID, TOO_SHORT = 0xC00000BB, 0xC0010017, 0xC0010016
INVALID_LENGTH, INVALID_DATA = 0xC0010014, 0xC0010015
_ADAPTERS = [(name, Adapter("tun", Driver(revision))) for name, revision in REVISIONS.items()]


def oid_buffers(data: bytes) -> None:
    """OID requests of any type, for any OID, with buffers of any length, over any counters."""
    source = Input(data)
    name, adapter = source.choice(_ADAPTERS)
    while source:
        counted = adapter.statistics
        counted.out_unicast_packets, counted.in_unicast_packets = source.number(8), source.number(8)
        request = source.byte() if source.flag() else source.choice((0, 1, 2, 12))
        oid = source.choice(KNOWN) ^ (1 << source.below(32) if not source.below(8) else 0)
        if not source.below(16):
            oid = source.number(4)
        length = source.number(4) if not source.below(8) else source.byte()
        answer = oid_request(adapter, request, oid, length)
        assert len(answer.data) <= length
        if request in (0, 2):
            assert answer == _queried(name, adapter, oid, length)
        elif request == 1:
            assert answer == _set(oid, length)
        else:
            assert answer == OidAnswer(INVALID_OID)
        assert direct_oid_request(request).status == (NOT_SUPPORTED if request in (0, 1, 2) else INVALID_OID)


def _queried(name: str, adapter: Adapter, oid: int, length: int) -> OidAnswer:
    if oid == QUERY_POWER:
        return OidAnswer(0, b"", 0)
    if oid in (TRANSMITTED, RECEIVED):
        counted = adapter.statistics
        value = counted.out_unicast_packets if oid == TRANSMITTED else counted.in_unicast_packets
        if length < 4:
            return OidAnswer(TOO_SHORT, b"", 8)
        return OidAnswer(0, value.to_bytes(8, "little")[: 8 if length >= 8 else 4], 8)
    if oid == STATISTICS:
        answer = oid_request(adapter, 0, oid, 152)
        assert len(answer.data) == 152 and not answer.status
        full = answer.data
    elif oid == VERSION:
        minor = {"0.8.1": 8, "0.9.1": 9, "2026-02": 14}.get(name) or int(name.split(".")[1])
        full = struct.pack("<I", minor)
    elif oid in FIXED:
        full = FIXED[oid]
    else:
        return OidAnswer(NOT_SUPPORTED)
    return OidAnswer(0, full, len(full)) if length >= len(full) else OidAnswer(TOO_SHORT, b"", len(full))


def _set(oid: int, length: int) -> OidAnswer:
    if oid in (FILTER, LOOKAHEAD, SET_POWER):
        return OidAnswer(0, b"", 0, 4) if length == 4 else OidAnswer(INVALID_LENGTH, b"", 4, 0)
    if oid == LINK:
        return OidAnswer(0, b"", 0, length)
    return OidAnswer(INVALID_DATA if oid == MODERATION else NOT_SUPPORTED, b"", 0, 0)
