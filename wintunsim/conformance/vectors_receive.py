"""Vectors of the receive path (spec driver §4): ring bytes in; packets, Head, cause of an end and counters out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from wintun_model import operations as op
from wintun_model.receive import return_nbls
from wintun_model.revision import REVISIONS as DRIVER_REVISIONS
from wintun_model.revision import Revision
from wintunsim.conformance import receive_cases, receive_hostile_cases
from wintunsim.conformance.bench import RECEIVE_ADDRESS, Bench, Ndis, Rings, outside_ring
from wintunsim.conformance.notation import changes, ring, told, words_of
from wintunsim.conformance.reader_watch import CAUSES, ReaderWatch
from wintunsim.conformance.records import Case, Vector, across_drivers
from wintunsim.conformance.schema import Kind, either, flag, list_of, maybe, number, one_of, record, ref, text

TITLE = "Receive: the reader takes packets from the receive ring, and NDIS returns them"
REVISIONS = tuple(DRIVER_REVISIONS)

_PACKET_FIELDS = {
    "offset": number("of its first byte in the data area"),
    "size": number("bytes"),
    "ip_version": one_of(4, 6),
}
_READER = one_of("waiting", "skipping", "ending", "ended", about="skipping, ending: waits for NBLs to come back")
_AFTER = {
    "reader": _READER,
    "cause": maybe({"enum": list(CAUSES)}, "why the reader stopped; null: it did not, or NBLs are still out"),
    "words": ref("words"),
    "statistics": ref("statistics"),
}
_FAULT = record({"fault": text()})
_FAULTS = list_of(record({"what": text(), "attempt": number()}, about="the n-th attempt of that fails"))

KINDS = {
    "receive": Kind(
        about="rings are registered on a running adapter while packets are in the receive ring; NDIS returns at once",
        input=record(
            {
                "adapter": one_of("running", "paused"),
                "ring": ref("ring"),
                "statuses": list_of(number(), "NDIS sets the n-th NBL to this; those beyond the list: 0"),
                "faults": _FAULTS,
            }
        ),
        expected=either(
            record(
                {
                    "packets": list_of(
                        either(
                            record({**_PACKET_FIELDS, "hex": text()}),
                            record({**_PACKET_FIELDS, "sha256": text()}, about="a longer one"),
                        ),
                        "that are indicated, in order",
                    ),
                    "heads": list_of(number(), "what the driver stores in Head, in order"),
                    **_AFTER,
                    "changes": list_of(ref("change"), "the driver writes nothing but words: always empty"),
                }
            ),
            _FAULT,
        ),
    ),
    "returns": Kind(
        about="the same, but NDIS keeps all NBLs and returns them in calls of its own",
        input=record(
            {
                "ring": ref("ring"),
                "calls": list_of(
                    list_of(record({"nbl": number("in the order of indication, from 0"), "status": number()})),
                    "each call returns some NBLs",
                ),
                "faults": _FAULTS,
            }
        ),
        expected=either(
            record(
                {
                    "indicated": number("how many NBLs NDIS has when all is at rest"),
                    "before": record(_AFTER),
                    "calls": list_of(
                        record({"heads": list_of(number(), "stored in Head during the call"), **_AFTER}),
                        "after each call",
                    ),
                }
            ),
            _FAULT,
        ),
    ),
    "nbl": Kind(
        about="what one NBL tells its consumer of the memory around the packet",
        input=record({"address": number("of the ring"), "ring": ref("ring")}),
        expected=record(
            {
                "headroom": number("bytes before the packet that are offered for headers"),
                "missing_pages": number("pages of the packet that its memory descriptor does not list"),
            }
        ),
    ),
    "header-pushed": Kind(
        about="a consumer pushes a link header in front of each packet, into the headroom if there is enough",
        input=record({"ring": ref("ring"), "header": text("hexadecimal")}),
        expected=either(
            record(
                {
                    "wrote_to_ring": list_of(flag("for each packet")),
                    **_AFTER,
                    "changes": list_of(ref("change")),
                }
            ),
            _FAULT,
        ),
    ),
    "size-read-twice": Kind(
        about="the client changes a packet's Size right after the driver's first load of it, if that comes",
        input=record(
            {
                "ring": ref("ring"),
                "compiler_rereads": flag("the driver's compiled code reads Size again where it may"),
                "offset": number("of the packet"),
                "second_size": number("what the client stores"),
            }
        ),
        expected=record({"sizes": list_of(number(), "of the indicated NBLs"), **_AFTER}),
    ),
}

CAPACITY = 0x20000
_LARGE = 0x100000
"""Rings above this take long: they are not run for switches that a good packet does not depend on."""


def vectors() -> Iterator[Vector]:
    """All vectors of the group."""
    evaluations = {
        "receive": _receive,
        "returns": _returns,
        "nbl": _nbl,
        "header-pushed": _header_pushed,
        "size-read-twice": _size_read_twice,
    }
    for case in (*receive_cases.cases(), *receive_hostile_cases.cases()):
        yield from _evaluated(case, evaluations[case.kind])


def _evaluated(case: Case, evaluate: Any) -> Iterator[Vector]:
    is_large = case.input["ring"]["capacity"] > _LARGE
    reads = ("allocates_partial_descriptor", "has_full_barrier", "skips_other_packets") if is_large else None
    found = across_drivers(case, lambda revision: outside_ring(lambda: evaluate(revision, case.input)), reads)
    return (replace(vector, flags=_flags(vector)) for vector in found)


def _flags(vector: Vector) -> tuple[str, ...]:
    """The flags of a vector, with those that its outcome tells before the revision's."""
    expected = vector.expected
    last = [expected, *expected.get("calls", [])][-1]
    shown = {
        "abort": last.get("cause") is not None,
        "skip": last.get("statistics", {}).get("in_discards", 0) > 0,
        "bug:B4": expected.get("sizes") == [vector.input.get("second_size")],
        "bug:B5": any(expected.get("wrote_to_ring", ())) or expected.get("headroom", 0) > 0,
        "bug:B6": last.get("cause") == "not-ip",
    }
    own = [flag for flag in vector.flags if not flag.startswith("revision:")]
    revisions = [flag for flag in vector.flags if flag.startswith("revision:")]
    return (*own, *(flag for flag, is_shown in shown.items() if is_shown), *revisions)


class _Reading:
    """One bench whose rings get registered, and what its reader does."""

    def __init__(self, revision: Revision, described: Mapping[str, Any], ndis: Ndis, **options: Any) -> None:
        self.bench = bench = Bench(revision, ndis=ndis, faults=described.get("faults", ()), **options)
        self.rings = Rings(ring(CAPACITY, fill="00"), described["ring"])
        self.watch = ReaderWatch(bench.adapter)
        bench.observer = self.watch.see

    def start(self, adapter: str = "running") -> None:
        """Register, so that the reader reads."""
        if adapter == "running":
            self.bench.restart()
        self.bench.register(self.rings)

    def state(self) -> dict[str, Any]:
        """What an outcome always tells."""
        reader: Any = self.bench.adapter.reader.value
        return {
            "reader": self._reader(reader),
            "cause": self.watch.cause,
            "words": words_of(self.rings.receive),
            "statistics": self.bench.statistics,
        }

    def _reader(self, reader: Any) -> str:
        if reader.ended.signalled:
            return "ended"
        adapter = self.bench.adapter
        ring = adapter.receive_ring.value
        assert ring is not None
        if isinstance(reader.blocked_on, op.Wait) and ring.tail_moved in reader.blocked_on.events:
            return "waiting"
        return "skipping" if self.watch.is_skipping else "ending"


def _receive(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    ndis = Ndis(statuses=described["statuses"])
    reading = _Reading(revision, described, ndis)
    reading.start(described["adapter"])
    packets = []
    for nbl, data in zip(ndis.indicated, ndis.seen, strict=True):
        packet = {"offset": nbl.offset, "size": nbl.size_bytes, "ip_version": nbl.ip_version, **told(data)}
        packets.append(packet)
    return {
        "packets": packets,
        "heads": list(reading.bench.head_stores),
        **reading.state(),
        "changes": changes(reading.rings.receive_before, reading.rings.receive),
    }


def _returns(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    ndis = Ndis(keeps_nbls=True)
    reading = _Reading(revision, described, ndis)
    bench = reading.bench
    reading.start()
    indicated, before, calls = len(ndis.indicated), reading.state(), []
    for call in described["calls"]:
        bench.head_stores.clear()
        nbls = []
        for each in call:
            nbl = ndis.indicated[each["nbl"]]
            nbl.status = each["status"]
            nbls.append(nbl)
        bench.run(return_nbls(bench.adapter, nbls))
        calls.append({"heads": list(bench.head_stores), **reading.state()})
    return {"indicated": indicated, "before": before, "calls": calls}


def _nbl(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    assert described["address"] == RECEIVE_ADDRESS
    ndis = Ndis()
    _Reading(revision, described, ndis).start()
    (nbl,) = ndis.indicated
    return {"headroom": nbl.headroom_bytes, "missing_pages": nbl.missing_pages}


def _header_pushed(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    ndis = Ndis(header=bytes.fromhex(described["header"]))
    reading = _Reading(revision, described, ndis)
    reading.start()
    found = changes(reading.rings.receive_before, reading.rings.receive)
    return {"wrote_to_ring": list(ndis.pushed), **reading.state(), "changes": found}


def _size_read_twice(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    ndis = Ndis()
    reading = _Reading(revision, described, ndis, rereads_size=described["compiler_rereads"])
    loads = 0

    def see(operation: op.Operation, result: Any) -> None:
        nonlocal loads
        reading.watch.see(operation, result)
        if isinstance(operation, op.LoadSize) and operation.offset == described["offset"]:
            loads += 1
            if loads == 1:
                start = 12 + described["offset"]
                reading.rings.receive[start : start + 4] = described["second_size"].to_bytes(4, "little")

    reading.bench.observer = see
    reading.start()
    return {"sizes": [nbl.size_bytes for nbl in ndis.indicated], **reading.state()}
