"""Vectors of the send path (spec driver §3): ring state and chain in, ring bytes, statuses and counters out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wintun_model.adapter import Packet, SendChain, SendNbl
from wintun_model.dispatch import close
from wintun_model.revision import REVISIONS as DRIVER_REVISIONS
from wintun_model.revision import Revision
from wintun_model.ring import stored_bytes
from wintun_model.send import send
from wintun_model.status import NdisStatus
from wintunsim.conformance import vectors_stale_link
from wintunsim.conformance.bench import Bench, Rings, outside_ring
from wintunsim.conformance.notation import bytes_of, changes, packet, ring, ring_sha256, words_of
from wintunsim.conformance.records import Case, Flags, Vector, across_drivers
from wintunsim.conformance.schema import Kind, either, flag, list_of, number, one_of, record, ref, text

TITLE = "Send: a chain of NBLs goes into the send ring, or is refused as a whole"
REVISIONS = tuple(DRIVER_REVISIONS)

_PACKET = either(
    record({"data": ref("bytes")}),
    record({"unmappable_bytes": number("size of data that cannot be mapped")}),
)
_NBL = record(
    {"status": number("that it comes with"), "packets": list_of(_PACKET, "its NBs")}, about="a NET_BUFFER_LIST"
)
KINDS = {
    "send": Kind(
        about="one chain handed down on an idle adapter whose rings were registered over the described memory",
        input=record(
            {
                "adapter": one_of("running", "paused", about="of the miniport"),
                "registration": one_of("registered", "never", "closed", about="of the rings, when the chain comes"),
                "ring": ref("ring"),
                "tail_written": number("what the client stores in Tail after registration, though it must not"),
                "chain": list_of(_NBL, least=1),
            },
            "tail_written",
        ),
        expected=either(
            record(
                {
                    "nbls": list_of(number(), "the status that each NBL is completed with"),
                    "names": list_of(text(), "of these statuses"),
                    "words": ref("words"),
                    "changes": list_of(ref("change")),
                    "sha256": text("of the whole ring memory afterwards", "^[0-9a-f]{64}$"),
                    "reserved_tail": number("the driver's own tail"),
                    "tail_moved_sets": number("how often the chain set TailMoved"),
                    "statistics": ref("statistics"),
                    "is_fully_free": flag("no lock is held, no thread left in the driver but the reader"),
                }
            ),
            record({"fault": text()}),
        ),
    ),
    "stale-link": vectors_stale_link.KIND,
}

CAPACITY = 0x20000
_LARGEST = 0xFFFF
_LARGE = 0x100000
"""Rings above this take long: they are not run for switches that the send path does not read."""
_NAMES = {int(status): status.name for status in NdisStatus}


def vectors() -> Iterator[Vector]:
    """All vectors of the group."""
    yield from _sizes()
    yield from _space()
    yield from _wrap()
    yield from _refusals()
    yield from _chains()
    yield from _failing_packets()
    yield from _unaligned()
    yield from _words()
    yield from vectors_stale_link.vectors()


def _nbl(*packets: Any, status: int = 0) -> dict[str, Any]:
    """An NBL: a packet is a description of bytes, or a number for data of that size that cannot be mapped."""
    described = [{"unmappable_bytes": each} if isinstance(each, int) else {"data": each} for each in packets]
    return {"status": status, "packets": described}


def _case(
    name: str,
    comment: str,
    described_ring: Mapping[str, Any],
    *nbls: Mapping[str, Any],
    flags: Flags = (),
    adapter: str = "running",
    registration: str = "registered",
    tail_written: int | None = None,
) -> Iterator[Vector]:
    described: dict[str, Any] = {"adapter": adapter, "registration": registration, "ring": dict(described_ring)}
    if tail_written is not None:
        described["tail_written"] = tail_written
    described["chain"] = [dict(nbl) for nbl in nbls]
    case = Case("driver §3", name, "send", comment, described, flags)
    reads = ("loads_head_under_lock", "clears_link") if described_ring["capacity"] > _LARGE else None
    return across_drivers(case, lambda revision: outside_ring(lambda: _send(revision, described)), reads)


def _send(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    """Hand the chain down; what comes of it."""
    bench = Bench(revision)
    rings = Rings(described["ring"], ring(CAPACITY, fill="00"))
    if described["adapter"] == "running":
        bench.restart()
    if described["registration"] != "never":
        bench.register(rings)
    if described["registration"] == "closed":
        bench.run(close(bench.adapter, "file"))
    if "tail_written" in described:
        rings.send[4:8] = described["tail_written"].to_bytes(4, "little")
    bench.sets.clear()
    chain = SendChain(tuple(_model_nbl(nbl) for nbl in described["chain"]))
    bench.run(send(bench.adapter, chain))
    assert bench.ndis.completed == [chain]
    statuses = [int(nbl.status) for nbl in chain.nbls]
    changed = changes(rings.send_before, rings.send)
    adapter = bench.adapter
    locks = (adapter.transition_lock, adapter.registration_lock, adapter.send_lock, adapter.receive_lock)
    return {
        "nbls": statuses,
        "names": [_NAMES.get(status, "") for status in statuses],
        "words": words_of(rings.send),
        "changes": changed,
        "sha256": ring_sha256(described["ring"], changed, rings.send),
        "reserved_tail": adapter.send_reserved_tail.value,
        "tail_moved_sets": bench.sets[rings.send_moved],
        "statistics": bench.statistics,
        "is_fully_free": all(lock.is_free() for lock in locks) and len(bench.executor.threads) <= 1,
    }


def _model_nbl(nbl: Mapping[str, Any]) -> SendNbl:
    packets = []
    for each in nbl["packets"]:
        if "data" in each:
            packets.append(Packet(bytes_of(each["data"])))
        else:
            packets.append(Packet(None, each["unmappable_bytes"]))
    return SendNbl(tuple(packets), nbl["status"])


def _sizes() -> Iterator[Vector]:
    for size in (0, 1, 3, 4, 5, 20, 84, 1419, 1420, 0xFFFC, 0xFFFD, 0xFFFE, _LARGEST):
        flags: Flags = ("limit",) if size in (0, _LARGEST) else ()
        comment = f"one packet of {size} bytes into an empty ring: Size, data, Tail; padding is left as it was"
        yield from _case(f"size-{size}", comment, ring(CAPACITY), _nbl(packet(size, size)), flags=flags)
    for size in (0x10000, 0x10001, 0x20000):
        comment = f"a packet of {size} bytes is skipped; Tail is stored all the same and TailMoved set"
        flags = ("limit", "oversize") if size == 0x10000 else ("oversize",)
        described = {"size": size, "pattern": 1, "start": "45"}
        yield from _case(f"size-{size}", comment, ring(CAPACITY), _nbl(described), flags=flags)
    for capacity in (0x40000, 0x4000000):
        comment = f"the start of a ring of {capacity} bytes"
        yield from _case(f"capacity-{capacity}", comment, ring(capacity, fill="00"), _nbl(packet(60)), flags=("limit",))


def _space() -> Iterator[Vector]:
    """Free space is Head - Tail - 4, so that a full ring is never mistaken for an empty one."""
    for size in (0, 20, 1420):
        needed = stored_bytes(size)
        for free in (needed - 4, needed, needed + 4):
            fits = "just too little" if free < needed else "just enough" if free == needed else "a little more"
            for head in (0, 4, 0x10000):
                tail = (head - free - 4) % CAPACITY
                comment = f"{size} bytes need {needed}, {free} are free: {fits}"
                described = ring(CAPACITY, head=head, tail=tail)
                name = f"space-{size}-{free}-head-{head}"
                yield from _case(name, comment, described, _nbl(packet(size, 1)), flags=("limit",))
    # The whole ring: capacity - 4 bytes, in three packets that fill it to the last byte.
    first = CAPACITY - 4 - stored_bytes(_LARGEST)
    for more in (0, 1):
        last = first - 4 - stored_bytes(100) + more
        sizes = (_LARGEST, 100, last)
        comment = "a chain that fills an empty ring up to capacity - 4" if not more else "a chain 4 bytes too long"
        nbls = [_nbl(packet(size, number)) for number, size in enumerate(sizes)]
        yield from _case(
            f"fill-{'exactly' if not more else 'too-much'}", comment, ring(CAPACITY), *nbls, flags=("limit",)
        )
    head = 0x100
    comment = "a full ring refuses even an empty packet"
    yield from _case("space-none", comment, ring(CAPACITY, head=head, tail=head - 4), _nbl(""), flags=("limit",))
    comment = "a full ring lets a chain of oversize packets pass: it needs no space"
    oversize = {"size": 0x10000, "fill": "00"}
    described = ring(CAPACITY, head=head, tail=head - 4)
    yield from _case("space-none-oversize", comment, described, _nbl(oversize), flags=("limit", "oversize"))
    comment = "no partial send: the first packet alone would fit"
    described = ring(CAPACITY, head=0, tail=CAPACITY - 128)
    yield from _case("space-all-or-nothing", comment, described, _nbl(packet(20)), _nbl(packet(200)))


def _wrap() -> Iterator[Vector]:
    for start in (CAPACITY - 4, CAPACITY - 8, CAPACITY - 24, CAPACITY - 28):
        for size in (0, 20, 1420, _LARGEST):
            described = ring(CAPACITY, head=start, tail=start)
            comment = f"{size} bytes at capacity - {CAPACITY - start}: data runs past the capacity, only offsets wrap"
            name = f"wrap-start-{CAPACITY - start}-before-size-{size}"
            yield from _case(name, comment, described, _nbl(packet(size, 2)), flags=("wrap",))
    described = ring(CAPACITY, head=CAPACITY - 40, tail=CAPACITY - 40)
    nbls = [_nbl(packet(size, size)) for size in (20, 33, 40)]
    yield from _case(
        "wrap-chain", "the second packet runs past the capacity, the third follows", described, *nbls, flags=("wrap",)
    )


def _refusals() -> Iterator[Vector]:
    two = (_nbl(packet(20)), _nbl(packet(40), packet(60)))
    every: dict[str, Any] = {
        "paused": {"adapter": "paused"},
        "never-registered": {"registration": "never"},
        "closed": {"registration": "closed"},
        "paused-and-never-registered": {"adapter": "paused", "registration": "never"},
    }
    for name, options in every.items():
        comment = f"refused: {name.replace('-', ' ')}; every NBL gets the status, every packet is a discard"
        flags: Flags = ("order",) if "and" in name else ()
        yield from _case(f"refused-{name}", comment, ring(CAPACITY), *two, flags=flags, **options)
    for head in (CAPACITY - 1, CAPACITY, CAPACITY + 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        comment = "Head is loaded for each send, and must be below the capacity; registration did not look at it"
        flags = ("limit", "unaligned") if head < CAPACITY else ("limit",)
        yield from _case(f"head-{head}", comment, ring(CAPACITY, head=head), *two, flags=flags)
    comment = "a paused adapter tells so first, whatever Head is"
    yield from _case(
        "refused-paused-bad-head", comment, ring(CAPACITY, head=CAPACITY), *two, flags=("order",), adapter="paused"
    )
    comment = "a bad Head decides before the space does"
    described = ring(CAPACITY, head=0xFFFFFFFF, tail=CAPACITY - 4)
    yield from _case("refused-bad-head-full", comment, described, *two, flags=("order",))
    comment = "a refused chain overwrites the statuses that its NBLs came with"
    nbls = [_nbl(packet(20), status=0x12345678), _nbl(packet(20), status=0xC0000001)]
    yield from _case("refused-statuses", comment, ring(CAPACITY, head=4, tail=0), *nbls)


def _chains() -> Iterator[Vector]:
    many = [_nbl(packet(20 + number, number, 4 if number % 2 else 6)) for number in range(8)]
    yield from _case("chain-of-8", "eight NBLs: one store of Tail, one set of TailMoved", ring(CAPACITY), *many)
    several = _nbl(*(packet(40 + number, number) for number in range(4)))
    yield from _case("nbl-of-4", "one NBL with four NBs: one status for all", ring(CAPACITY), several)
    comment = "an NBL without a failing packet keeps the status it came with"
    nbls = [_nbl(packet(20), status=0x12345678), _nbl(packet(20), status=0xC0000001)]
    yield from _case("status-kept", comment, ring(CAPACITY), *nbls)
    comment = "an NBL without packets is completed; Tail is stored unchanged"
    yield from _case("nbl-empty", comment, ring(CAPACITY), _nbl())
    for alertable in (0, 1, 0xFFFFFFFF):
        comment = "TailMoved is set whatever Alertable says, and Alertable is never written"
        name = f"alertable-{alertable}"
        yield from _case(name, comment, ring(CAPACITY, alertable=alertable), _nbl(packet(20)))


def _failing_packets() -> Iterator[Vector]:
    oversize = {"size": 0x10000, "fill": "11"}
    yield from _case(
        "oversize-between",
        "an oversize packet takes no space; the others of the chain go through",
        ring(CAPACITY),
        _nbl(packet(20)),
        _nbl(oversize),
        _nbl(packet(24)),
        flags=("oversize",),
    )
    for size in (0, 1, 20, _LARGEST):
        comment = f"{size} bytes that cannot be mapped: Size stays, zeros are delivered"
        flags: Flags = ("fault", "limit") if size in (0, _LARGEST) else ("fault",)
        yield from _case(f"unmappable-{size}", comment, ring(CAPACITY), _nbl(size), flags=flags)
    comment = "packets after one that cannot be mapped go on"
    yield from _case("unmappable-first", comment, ring(CAPACITY), _nbl(20), _nbl(packet(24)), flags=("fault",))
    comment = "oversize comes before mapping: it is an error, not a discard"
    yield from _case("unmappable-oversize", comment, ring(CAPACITY), _nbl(0x10000), flags=("fault", "oversize"))
    for name, packets in {
        "oversize-unmappable": (oversize, 20),
        "unmappable-oversize": (20, oversize),
        "oversize-good": (oversize, packet(20)),
        "good-unmappable": (packet(20), 20),
    }.items():
        comment = "several packets in one NBL: the last failing one decides its status"
        yield from _case(f"one-nbl-{name}", comment, ring(CAPACITY), _nbl(*packets), flags=("fault", "oversize"))


def _unaligned() -> Iterator[Vector]:
    for tail in (1, 2, 3, CAPACITY - 3, CAPACITY - 2, CAPACITY - 1):
        comment = "Tail at registration is no multiple of 4: it is taken, and rounded down when published"
        flags: Flags = ("bug:B11", "unaligned", "not-checked")
        described = ring(CAPACITY, head=tail, tail=tail)
        yield from _case(f"tail-unaligned-{tail}", comment, described, _nbl(packet(20)), flags=flags)
    for size in (_LARGEST - 2, _LARGEST):
        comment = "the largest packets at capacity - 1: two bytes past the ring"
        described = ring(CAPACITY, head=CAPACITY - 1, tail=CAPACITY - 1)
        flags = ("bug:B11", "unaligned", "outside-ring") if size == _LARGEST else ("bug:B11", "unaligned")
        yield from _case(f"tail-unaligned-size-{size}", comment, described, _nbl(packet(size)), flags=flags)


def _words() -> Iterator[Vector]:
    for tail in (0x40, CAPACITY, 0xFFFFFFFF):
        comment = "the client wrote Tail: the driver goes by its own reserved tail and overwrites it"
        yield from _case(f"tail-written-{tail}", comment, ring(CAPACITY), _nbl(packet(20)), tail_written=tail)
    for head in (1, 2, 3):
        comment = "a Head that is no multiple of 4 is taken for the space as it is"
        described = ring(CAPACITY, head=head, tail=CAPACITY - 28)
        yield from _case(f"head-unaligned-{head}", comment, described, _nbl(packet(20)), flags=("unaligned",))
