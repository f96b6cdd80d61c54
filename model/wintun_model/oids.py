"""OID requests: what the miniport answers to each, for every length of buffer (spec driver §7).

Pure functions: an answer says what is written to the request, nothing more happens. Lengths are in bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from wintun_model.abi import MAX_PACKET_BYTES, MAX_RING_CAPACITY
from wintun_model.adapter import Adapter, Statistics
from wintun_model.miniport import VENDOR_DESCRIPTION, VENDOR_ID, driver_version
from wintun_model.status import NdisStatus


class Oid(IntEnum):
    """The OIDs that the miniport knows."""

    OID_GEN_TRANSMIT_BUFFER_SPACE = 0x00010108
    OID_GEN_RECEIVE_BUFFER_SPACE = 0x00010109
    OID_GEN_TRANSMIT_BLOCK_SIZE = 0x0001010A
    OID_GEN_RECEIVE_BLOCK_SIZE = 0x0001010B
    OID_GEN_VENDOR_ID = 0x0001010C
    OID_GEN_VENDOR_DESCRIPTION = 0x0001010D
    OID_GEN_CURRENT_PACKET_FILTER = 0x0001010E
    OID_GEN_CURRENT_LOOKAHEAD = 0x0001010F
    OID_GEN_MAXIMUM_TOTAL_SIZE = 0x00010111
    OID_GEN_VENDOR_DRIVER_VERSION = 0x00010116
    OID_GEN_LINK_PARAMETERS = 0x00010208
    OID_GEN_INTERRUPT_MODERATION = 0x00010209
    OID_GEN_XMIT_OK = 0x00020101
    OID_GEN_RCV_OK = 0x00020102
    OID_GEN_STATISTICS = 0x00020106
    OID_PNP_SET_POWER = 0xFD010101
    OID_PNP_QUERY_POWER = 0xFD010102


class RequestType(IntEnum):
    """Types of OID requests, by NDIS's numbers; any other number is a type too."""

    QUERY_INFORMATION = 0
    SET_INFORMATION = 1
    QUERY_STATISTICS = 2
    METHOD = 12


@dataclass(frozen=True, slots=True)
class OidAnswer:
    """What a request is completed with: its status, and what is written to it.

    `data` goes into the buffer of a query (its length is "bytes written"), `read_bytes` of a set's buffer were taken.
    A value that is None is left in the request as it was.
    """

    status: int
    data: bytes = b""
    needed_bytes: int | None = None
    read_bytes: int | None = None


_SUCCESS = NdisStatus.NDIS_STATUS_SUCCESS
_NOT_SUPPORTED = NdisStatus.NDIS_STATUS_NOT_SUPPORTED
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")

_OBJECT_TYPE_DEFAULT = 0x80
_MODERATION = struct.Struct("<BBHII")
_MODERATION_NOT_SUPPORTED = 1
_STATISTICS = struct.Struct("<BBHI18Q")
_ALL_STATISTICS = 0x003F87FF
"""Flags: octets, packets, errors and discards of both directions, of all casts, are counted."""


def oid_request(adapter: Adapter, request_type: int, oid: int, length: int) -> OidAnswer:
    """An OID request with a buffer of `length` bytes (spec driver §7)."""
    if request_type in (RequestType.QUERY_INFORMATION, RequestType.QUERY_STATISTICS):
        return query(adapter, oid, length)
    if request_type == RequestType.SET_INFORMATION:
        return set_information(oid, length)
    return OidAnswer(NdisStatus.NDIS_STATUS_INVALID_OID)


def direct_oid_request(request_type: int) -> OidAnswer:
    """A direct or synchronous OID request, whatever its OID (spec driver §7)."""
    known = (RequestType.QUERY_INFORMATION, RequestType.QUERY_STATISTICS, RequestType.SET_INFORMATION)
    return OidAnswer(_NOT_SUPPORTED if request_type in known else NdisStatus.NDIS_STATUS_INVALID_OID)


def query(adapter: Adapter, oid: int, length: int) -> OidAnswer:
    """A query with a buffer of `length` bytes."""
    if oid == Oid.OID_PNP_QUERY_POWER:
        return OidAnswer(_SUCCESS, needed_bytes=0)
    if oid in _COUNTERS:
        return _counter(_COUNTERS[oid](adapter.statistics), length)
    answer = _ANSWERS.get(oid)
    if answer is None:
        return OidAnswer(_NOT_SUPPORTED)
    data = answer(adapter)
    if length < len(data):
        return OidAnswer(NdisStatus.NDIS_STATUS_BUFFER_TOO_SHORT, needed_bytes=len(data))
    return OidAnswer(_SUCCESS, data, len(data))


def _counter(value: int, length: int) -> OidAnswer:
    """A value of 64 bits, of which a query gets the low half when its buffer has room for no more."""
    if length < _U32.size:
        return OidAnswer(NdisStatus.NDIS_STATUS_BUFFER_TOO_SHORT, needed_bytes=_U64.size)
    data = _U64.pack(value & 0xFFFFFFFFFFFFFFFF)
    return OidAnswer(_SUCCESS, data if length >= _U64.size else data[: _U32.size], _U64.size)


def set_information(oid: int, length: int) -> OidAnswer:
    """A set request whose buffer has `length` bytes; needed and read are zeroed first."""
    if oid in (Oid.OID_GEN_CURRENT_PACKET_FILTER, Oid.OID_GEN_CURRENT_LOOKAHEAD, Oid.OID_PNP_SET_POWER):
        if length != _U32.size:
            return OidAnswer(NdisStatus.NDIS_STATUS_INVALID_LENGTH, needed_bytes=_U32.size, read_bytes=0)
        return OidAnswer(_SUCCESS, needed_bytes=0, read_bytes=_U32.size)
    if oid == Oid.OID_GEN_LINK_PARAMETERS:
        return OidAnswer(_SUCCESS, needed_bytes=0, read_bytes=length)
    if oid == Oid.OID_GEN_INTERRUPT_MODERATION:
        return OidAnswer(NdisStatus.NDIS_STATUS_INVALID_DATA, needed_bytes=0, read_bytes=0)
    return OidAnswer(_NOT_SUPPORTED, needed_bytes=0, read_bytes=0)


def statistics_record(statistics: Statistics) -> bytes:
    """`NDIS_STATISTICS_INFO`: everything counts as unicast, so the multicast and broadcast fields are 0."""
    counted = statistics
    fields = (
        counted.in_discards,
        counted.in_errors,
        counted.in_octets,
        *(counted.in_unicast_packets, 0, 0),
        counted.out_octets,
        *(counted.out_unicast_packets, 0, 0),
        counted.out_errors,
        counted.out_discards,
        *(counted.in_unicast_octets, 0, 0),
        *(counted.out_unicast_octets, 0, 0),
    )
    wrapped = (field & 0xFFFFFFFFFFFFFFFF for field in fields)
    return _STATISTICS.pack(_OBJECT_TYPE_DEFAULT, 1, _STATISTICS.size, _ALL_STATISTICS, *wrapped)


def _moderation_record() -> bytes:
    """`NDIS_INTERRUPT_MODERATION_PARAMETERS`: interrupt moderation is not supported."""
    return _MODERATION.pack(_OBJECT_TYPE_DEFAULT, 1, _MODERATION.size, 0, _MODERATION_NOT_SUPPORTED)


_COUNTERS: dict[int, Callable[[Statistics], int]] = {
    Oid.OID_GEN_XMIT_OK: lambda statistics: statistics.out_unicast_packets,
    Oid.OID_GEN_RCV_OK: lambda statistics: statistics.in_unicast_packets,
}

_ANSWERS: dict[int, Callable[[Adapter], bytes]] = {
    Oid.OID_GEN_MAXIMUM_TOTAL_SIZE: lambda adapter: _U32.pack(MAX_PACKET_BYTES),
    Oid.OID_GEN_TRANSMIT_BLOCK_SIZE: lambda adapter: _U32.pack(MAX_PACKET_BYTES),
    Oid.OID_GEN_RECEIVE_BLOCK_SIZE: lambda adapter: _U32.pack(MAX_PACKET_BYTES),
    Oid.OID_GEN_TRANSMIT_BUFFER_SPACE: lambda adapter: _U32.pack(MAX_RING_CAPACITY),
    Oid.OID_GEN_RECEIVE_BUFFER_SPACE: lambda adapter: _U32.pack(MAX_RING_CAPACITY),
    Oid.OID_GEN_VENDOR_ID: lambda adapter: _U32.pack(VENDOR_ID),
    Oid.OID_GEN_VENDOR_DESCRIPTION: lambda adapter: VENDOR_DESCRIPTION,
    Oid.OID_GEN_VENDOR_DRIVER_VERSION: lambda adapter: _U32.pack(driver_version(adapter)),
    Oid.OID_GEN_STATISTICS: lambda adapter: statistics_record(adapter.statistics),
    Oid.OID_GEN_INTERRUPT_MODERATION: lambda adapter: _moderation_record(),
}
