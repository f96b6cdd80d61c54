"""What the reader finds in a receive ring that a careless or hostile client wrote (spec driver §4.1 step 2, §10)."""

from __future__ import annotations

from collections.abc import Iterator

from wintun_model.abi import MAX_PACKET_BYTES
from wintunsim.conformance.notation import packet, ring, write
from wintunsim.conformance.receive_cases import CAPACITY, filled, received
from wintunsim.conformance.records import Case, Flags


def cases() -> Iterator[Case]:
    """All cases."""
    yield from _tails()
    yield from _sizes()
    yield from _other_packets()
    yield from _unaligned()
    yield from _read_twice()


def _tails() -> Iterator[Case]:
    for tail in (CAPACITY - 1, CAPACITY, CAPACITY + 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        comment = f"Tail {tail}: must be below the capacity, and what is there must be a packet"
        described = {**filled([packet(20, 1)]), "tail": tail}
        flags: Flags = ("limit",) if tail >= CAPACITY else ("limit", "unaligned")
        yield received("4.1", f"tail-{tail}", comment, described, flags=flags)
    for behind in (1, 2, 3, 4, 5):
        comment = f"{behind} bytes in the ring; a header takes 4"
        for head in (0, CAPACITY - 4):
            described = ring(CAPACITY, head=head, tail=(head + behind) % CAPACITY, fill="00")
            yield received("4.1", f"content-{behind}-from-{head}", comment, described, flags=("limit",))
    good = filled([packet(20, 1), packet(24, 2)])
    for short in (1, 4, 24):
        comment = "good packets before the bad one are received; Tail lies inside the second packet"
        described = {**good, "tail": good["tail"] - short}
        yield received("4.1", f"tail-inside-{short}", comment, described, flags=("limit",))


def _sizes() -> Iterator[Case]:
    for size in (MAX_PACKET_BYTES, MAX_PACKET_BYTES + 1, 0x10004, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF):
        comment = f"Size {size:#x} with enough in the ring: at most 0xFFFF, and no 32-bit overflow lets it pass"
        described = ring(CAPACITY, write(0, packet(64, 1), size), tail=CAPACITY - 4)
        yield received("4.1", f"size-{size:08x}", comment, described, flags=("limit",))
    for size in (20, 21, 24, 25, 1420):
        for missing in (4, 0, -4):
            stored = (size + 7) // 4 * 4
            comment = f"a packet of {size} bytes takes {stored}, {stored - missing} are there"
            described = {**filled([packet(size, 1)]), "tail": stored - missing, "fill": "00"}
            name = f"size-{size}-content-{stored - missing}"
            yield received("4.1", name, comment, described, flags=("limit",))


def _other_packets() -> Iterator[Case]:
    others = {
        "size-0": "",
        "size-1": "45",
        "size-19-nibble-4": "45" + "00" * 18,
        "size-20-nibble-0": "00" * 20,
        "size-20-nibble-3": "35" + "00" * 19,
        "size-20-nibble-5": "55" + "00" * 19,
        "size-20-nibble-6": "60" + "00" * 19,
        "size-39-nibble-6": "60" + "00" * 38,
        "size-40-nibble-7": "70" + "00" * 39,
        "size-40-nibble-15": "f0" + "00" * 39,
        "ethernet": "ffffffffffff0200000000010800" + "45" + "00" * 19,
    }
    for name, data in others.items():
        comment = "a packet that is neither IPv4 (20 bytes, nibble 4) nor IPv6 (40 bytes, nibble 6)"
        yield received("4.1", f"other-{name}", comment, filled([data]), flags=("limit",))
    comment = "good, other, good: what is behind the other one is read only where it is skipped"
    described = filled([packet(20, 1), "00" * 8, packet(24, 2)])
    yield received("4.1", "other-between", comment, described)
    described = filled(["", "", "", packet(24, 2)])
    yield received("4.1", "other-empty-thrice", "three empty packets, then a good one", described)


def _unaligned() -> Iterator[Case]:
    for head in (1, 2, 3, CAPACITY - 27):
        comment = f"reading starts at {head}: taken; what is published is rounded down, a skip is not"
        flags: Flags = ("bug:B11", "unaligned", "not-checked")
        described = filled([packet(20, 1), packet(24, 2)], head)
        yield received("4.4", f"unaligned-{head}", comment, described, flags=flags)
        comment = "while paused all is skipped, and the offsets are published as they are"
        name = f"unaligned-{head}-paused"
        yield received("4.2", name, comment, described, flags=flags, adapter="paused")
    for size in (MAX_PACKET_BYTES - 2, MAX_PACKET_BYTES):
        comment = "the largest packets at capacity - 1: two bytes past the ring"
        described = ring(CAPACITY, write(CAPACITY - 1, packet(64, 1), size), head=CAPACITY - 1, tail=CAPACITY - 2)
        flags = ("bug:B11", "unaligned", "outside-ring") if size == MAX_PACKET_BYTES else ("bug:B11", "unaligned")
        yield received("4.1", f"unaligned-end-size-{size}", comment, described, flags=flags)


def _read_twice() -> Iterator[Case]:
    for rereads in (True, False):
        for second in (20, 40, 84, 1420):
            comment = f"Size is 60 when it is checked and {second} when it is read again"
            fields = {
                "ring": {**filled([packet(60, 1)]), "fill": "00"},
                "compiler_rereads": rereads,
                "offset": 0,
                "second_size": second,
            }
            name = f"size-60-then-{second}{'' if rereads else '-read-once'}"
            yield Case("driver §4.1", name, "size-read-twice", comment, fields)
