"""What the reader finds in a receive ring that a careful client wrote (spec driver §4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

from wintun_model.abi import MAX_PACKET_BYTES
from wintun_model.ring import stored_bytes, wrap
from wintunsim.conformance.bench import RECEIVE_ADDRESS
from wintunsim.conformance.notation import Bytes, packet, ring, write
from wintunsim.conformance.records import Case, Flags

CAPACITY = 0x20000
FAILED = 0xC0000001


def cases() -> Iterator[Case]:
    """All cases."""
    yield from _one_packet()
    yield from _several()
    yield from _start()
    yield from _discarded()
    yield from _returned()
    yield from _described()
    yield from _headers()


def filled(packets: Sequence[Bytes | tuple[Bytes, int]], start: int = 0, capacity: int = CAPACITY) -> dict[str, Any]:
    """A ring with packets one after another from `start` on; a tuple is a packet with what its Size says."""
    writes, cursor = [], start
    for each in packets:
        data, size = each if isinstance(each, tuple) else (each, _size_of(each))
        writes.append(write(cursor, data, size))
        cursor = wrap(cursor + stored_bytes(size), capacity)
    return ring(capacity, *writes, head=start, tail=cursor)


def _size_of(data: Bytes) -> int:
    return len(data) // 2 if isinstance(data, str) else int(data["size"])


def received(
    section: str,
    name: str,
    comment: str,
    described: dict[str, Any],
    *,
    flags: Flags = (),
    adapter: str = "running",
    statuses: Sequence[int] = (),
    faults: Sequence[tuple[str, int]] = (),
) -> Case:
    """A case of kind ``receive``."""
    fields = {
        "adapter": adapter,
        "ring": described,
        "statuses": list(statuses),
        "faults": [{"what": what, "attempt": attempt} for what, attempt in faults],
    }
    return Case(f"driver §{section}", name, "receive", comment, fields, flags)


def _one_packet() -> Iterator[Case]:
    yield received("4.1", "empty", "nothing to read: Alertable is 1, and the reader waits", ring(CAPACITY))
    for version, smallest in ((4, 20), (6, 40)):
        for size in (smallest, smallest + 1, 84, 1420, MAX_PACKET_BYTES - 1, MAX_PACKET_BYTES):
            flags: Flags = ("limit",) if size in (smallest, MAX_PACKET_BYTES) else ()
            comment = f"one IPv{version} packet of {size} bytes"
            yield received("4.1", f"ipv{version}-{size}", comment, filled([packet(size, 1, version)]), flags=flags)
    for low in (0, 15):
        comment = "only the high nibble of the first byte tells the version"
        data = f"{4 << 4 | low:02x}" + "00" * 19
        yield received("4.1", f"ipv4-nibble-{low}", comment, filled([data]))


def _several() -> Iterator[Case]:
    mixed = [packet(20 + 3 * number, number, 4 if number % 2 else 6) for number in range(7, 15)]
    yield received("4.1", "eight", "eight packets in a row: one NBL each, Head after each", filled(mixed))
    large = [packet(MAX_PACKET_BYTES, 1), packet(CAPACITY - stored_bytes(MAX_PACKET_BYTES) - 8, 2)]
    yield received("4.1", "full-ring", "a ring that holds capacity - 4 bytes", filled(large), flags=("limit",))
    for start in (CAPACITY - 4, CAPACITY - 8, CAPACITY - 24):
        for size in (20, 1420, MAX_PACKET_BYTES):
            comment = f"{size} bytes from capacity - {CAPACITY - start} on: contiguous, past the capacity"
            name = f"wrap-{CAPACITY - start}-before-size-{size}"
            packets = [packet(size, 3), packet(24, 4)]
            yield received("4.1", name, comment, filled(packets, start), flags=("wrap",))
    for capacity in (0x40000, 0x4000000):
        described = filled([packet(60, 1), packet(61, 2)], capacity - 8, capacity)
        described["fill"] = "00"
        comment = f"the end of a ring of {capacity} bytes"
        yield received("4.1", f"capacity-{capacity}", comment, described, flags=("limit", "wrap"))


def _start() -> Iterator[Case]:
    for head in (4, CAPACITY // 2, CAPACITY - 4):
        comment = f"reading starts at Head, here {head}"
        yield received("4.1", f"start-{head}", comment, filled([packet(20, 1)], head))
    for head in (CAPACITY, CAPACITY + 4, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF):
        comment = "a first Head that is not below the capacity ends the reader at once"
        described = ring(CAPACITY, head=head, tail=0)
        yield received("4.1", f"head-{head}", comment, described, flags=("limit",))
    comment = "Alertable was left at 1: only when the reader goes to sleep and wakes is it written"
    yield received("4.1", "alertable-left", comment, {**filled([packet(20, 1)]), "alertable": 1})


def _discarded() -> Iterator[Case]:
    three = [packet(20 + 4 * number, number) for number in range(3)]
    comment = "while paused the reader goes on: all is discarded, Head moves"
    yield received("4.1", "paused", comment, filled(three), adapter="paused")
    for attempt in (1, 2, 3):
        comment = f"no memory for NBL {attempt}: that packet is skipped"
        yield received("4.2", f"no-nbl-{attempt}", comment, filled(three), flags=("fault",), faults=[("NBL", attempt)])
        comment = f"no memory for partial memory descriptor {attempt}: skipped where there is one"
        faults = [("partial memory descriptor", attempt)]
        name = f"no-partial-descriptor-{attempt}"
        yield received("4.2", name, comment, filled(three), flags=("fault",), faults=faults)
    comment = "no memory for any"
    faults = [("NBL", attempt) for attempt in (1, 2, 3)]
    yield received("4.2", "no-nbl-at-all", comment, filled(three), flags=("fault",), faults=faults)
    for status in (0, 1, 0x7FFFFFFF, 0x80000000, 0xC0000001, 0xFFFFFFFF):
        comment = "a returned NBL counts as received when its status is not negative, else as an error"
        name = f"status-{status:08x}"
        yield received("4.4", name, comment, filled(three), flags=("limit",), statuses=[status, 0, status])


def _returned() -> Iterator[Case]:
    three = filled([packet(20 + 4 * number, number) for number in range(3)])
    for order in permutations(range(3)):
        name = f"order-{'-'.join(map(str, order))}"
        comment = "NBLs come back one by one: Head moves when the oldest one does"
        yield _returns("4.4", name, comment, three, [[number] for number in order])
        comment = "NBLs come back in one call, in this order"
        yield _returns("4.4", f"{name}-in-one-call", comment, three, [list(order)])
    yield _returns("4.4", "two-calls", "two of three, then the first", three, [[2, 1], [0]])
    yield _returns("4.4", "none", "a call that returns nothing", three, [[], [0, 1, 2], []])
    comment = "failed NBLs are freed like others"
    yield _returns("4.4", "failed", comment, three, [[1], [0], [2]], statuses=[0, FAILED, FAILED])
    comment = "a skipped packet waits until all NBLs before it are back, then Head passes it"
    faults = [{"what": "NBL", "attempt": 3}]
    flags: Flags = ("fault", "waits")
    yield _returns("4.2", "skip-waits", comment, three, [[1], [0]], flags=flags, faults=faults)
    comment = "an abort waits until all NBLs are back, then Head tells it"
    bad = filled([packet(20, 1), packet(24, 2), "00" * 20])
    yield _returns("4.3", "abort-waits", comment, bad, [[1], [0]], flags=("waits",))
    beyond = filled([packet(20, 1), packet(24, 2)])
    beyond["tail"] = CAPACITY
    yield _returns("4.3", "bad-tail", "a bad Tail stops the reader before the first packet", beyond, [])
    comment = "start value 1: every entry counts as completed at once, so any return frees the ones before it"
    odd = filled([packet(20, 1), packet(24, 2), packet(28, 3)], 1)
    flags = ("bug:B11", "unaligned", "not-checked")
    yield _returns("4.4", "odd-start-last-first", comment, odd, [[2], [1], [0]], flags=flags)
    yield _returns("4.4", "odd-start-in-order", comment, odd, [[0], [1], [2]], flags=flags)
    comment = "start value 2: published offsets are rounded down to a multiple of 4"
    two = filled([packet(20, 1), packet(24, 2)], 2)
    yield _returns("4.4", "even-start-in-order", comment, two, [[0], [1]], flags=flags)


def _returns(
    section: str,
    name: str,
    comment: str,
    described: dict[str, Any],
    calls: Sequence[Sequence[int]],
    *,
    statuses: Sequence[int] = (),
    flags: Flags = (),
    faults: Sequence[dict[str, Any]] = (),
) -> Case:
    told = [
        [{"nbl": number, "status": statuses[number] if number < len(statuses) else 0} for number in call]
        for call in calls
    ]
    fields = {"ring": described, "calls": told, "faults": list(faults)}
    return Case(f"driver §{section}", f"returns-{name}", "returns", comment, fields, flags)


def _described() -> Iterator[Case]:
    page = 4096
    for start, size in ((0, 20), (16, 1500), (page - 12 - 4 - 4, 20), (page - 12 - 4 - 20, 20), (8, MAX_PACKET_BYTES)):
        comment = "0.10 sizes the packet's descriptor as if it began at a page's start; before it there is headroom"
        fields = {"address": RECEIVE_ADDRESS, "ring": filled([packet(size, 1)], start)}
        yield Case("driver §9", f"nbl-at-{start}-size-{size}", "nbl", comment, fields)


def _headers() -> Iterator[Case]:
    ethernet = bytes(range(0x70, 0x7E)).hex()
    for name, start, packets in (
        ("first", 0, [packet(20, 1)]),
        ("later", 64, [packet(20, 1)]),
        ("second", 0, [packet(40, 1), packet(20, 2)]),
        ("at-the-end", CAPACITY - 4, [packet(20, 1)]),
    ):
        comment = "a virtual switch pushes 14 bytes in front of the packet: into the ring where headroom is offered"
        fields = {"ring": filled(packets, start), "header": ethernet}
        yield Case("driver §4.4", f"header-14-{name}", "header-pushed", comment, fields)
    for length in (1, 4, 12, 16, 17):
        comment = f"{length} bytes in front of the packet at offset 0: there are 16 before it"
        fields = {"ring": filled([packet(20, 1)]), "header": bytes(range(1, length + 1)).hex()}
        yield Case("driver §4.4", f"header-{length}", "header-pushed", comment, fields, ("limit",))
