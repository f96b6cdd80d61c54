"""Vectors of OID requests (spec driver §7): every length of the buffer, every type of request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wintun_model.adapter import Adapter, Driver
from wintun_model.oids import Oid, OidAnswer, RequestType, direct_oid_request, oid_request
from wintun_model.revision import REVISIONS as DRIVER_REVISIONS
from wintun_model.revision import Revision
from wintun_model.status import NdisStatus
from wintunsim.conformance.records import Case, Flags, Vector, across_drivers
from wintunsim.conformance.schema import Kind, maybe, number, one_of, record, ref, text

TITLE = "OID requests: queries and sets with every length of the buffer"
REVISIONS = tuple(DRIVER_REVISIONS)

KINDS = {
    "oid": Kind(
        about="one OID request to a miniport that has counted something",
        input=record(
            {
                "path": one_of("request", "direct", about="direct stands for synchronous ones too"),
                "type": number("of the request: 0 query, 1 set, 2 query statistics, 12 method"),
                "oid": number(),
                "name": text("of the OID; empty: none of those that the miniport knows"),
                "length": number("of the buffer in bytes"),
                "statistics": ref("statistics"),
            }
        ),
        expected=record(
            {
                "status": number(),
                "name": text("of the status"),
                "written": text("what is written to the buffer, in hexadecimal"),
                "needed": maybe(number(), "bytes needed; null: left as it was"),
                "read": maybe(number(), "bytes read, of a set; null: left as it was"),
            }
        ),
    )
}

_COUNTED = {
    "out_octets": 0x1_2345_6789,
    "out_unicast_octets": 0x1_2345_6789,
    "out_unicast_packets": 0x1_0000_0002,
    "out_errors": 3,
    "out_discards": 4,
    "in_octets": 0x2_0000_0005,
    "in_unicast_octets": 0x2_0000_0005,
    "in_unicast_packets": 6,
    "in_errors": 7,
    "in_discards": 0xFFFF_FFFF_FFFF_FFFF,
}
_UNKNOWN = (0, 0x00010101, 0x00010107, 0x00020103, 0xFD010103, 0xFFFFFFFF)
_NAMES = {int(oid): oid.name for oid in Oid}
_LONGEST = 200


def vectors() -> Iterator[Vector]:
    """All vectors of the group."""
    for oid in (*_NAMES, *_UNKNOWN):
        for length in _query_lengths(oid):
            yield from _oid(RequestType.QUERY_INFORMATION, oid, length)
        for length in (0, 3, 4, 5, 8):
            yield from _oid(RequestType.SET_INFORMATION, oid, length)
    for oid in (Oid.OID_GEN_STATISTICS, Oid.OID_GEN_XMIT_OK, Oid.OID_GEN_VENDOR_ID, Oid.OID_GEN_LINK_PARAMETERS):
        yield from _oid(RequestType.QUERY_STATISTICS, oid, _LONGEST)
    for kind in (3, 12, 13, 0xFFFFFFFF):
        for oid in (Oid.OID_GEN_VENDOR_ID, Oid.OID_GEN_CURRENT_PACKET_FILTER, 0):
            yield from _oid(kind, oid, 4)
    for kind in (0, 1, 2, 3, 12, 13, 0xFFFFFFFF):
        for oid in (Oid.OID_GEN_VENDOR_ID, 0):
            yield from _oid(kind, oid, 4, path="direct")


def _answer(revision: Revision, described: Mapping[str, Any]) -> OidAnswer:
    if described["path"] == "direct":
        return direct_oid_request(described["type"])
    adapter = Adapter("tun", Driver(revision))
    for name, count in described["statistics"].items():
        setattr(adapter.statistics, name, count)
    return oid_request(adapter, described["type"], described["oid"], described["length"])


def _expected(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    answer = _answer(revision, described)
    return {
        "status": int(answer.status),
        "name": NdisStatus(answer.status).name,
        "written": answer.data.hex(),
        "needed": answer.needed_bytes,
        "read": answer.read_bytes,
    }


def _query_lengths(oid: int) -> list[int]:
    """All lengths around those at which an answer changes: 0, the size of a number, the size of the answer."""
    described = {"path": "request", "type": 0, "oid": oid, "length": _LONGEST, "statistics": _COUNTED}
    size = len(_answer(next(iter(DRIVER_REVISIONS.values())), described).data)
    return sorted({0, 1, 3, 4, 5, 7, 8, 9, *(max(0, size + step) for step in (-1, 0, 1)), _LONGEST})


def _oid(kind: int, oid: int, length: int, path: str = "request") -> Iterator[Vector]:
    name = _NAMES.get(oid, "")
    types = {0: "query", 1: "set", 2: "query-statistics"}
    described = {
        "path": path,
        "type": int(kind),
        "oid": int(oid),
        "name": name,
        "length": length,
        "statistics": _COUNTED,
    }
    slug = "-".join([path, types.get(kind, f"type-{int(kind)}"), name.lower().replace("_", "-") or f"{oid:08x}"])
    comment = (
        f"a {path} of type {types.get(kind, int(kind))} for {name or f'OID {oid:#010x}'}, {length} bytes of buffer"
    )
    flags: Flags = ("limit",) if length in (3, 4, 5, 7, 8, 9) and kind == 0 else ()
    case = Case("driver §7", f"{slug}-{length}", "oid", comment, described, flags)
    return across_drivers(case, lambda revision: _expected(revision, described))
