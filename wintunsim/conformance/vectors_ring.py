"""Vectors of the ring arithmetic (spec driver §1): pure functions of 32-bit numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wintun_model.abi import MAX_PACKET_BYTES, PACKET_HEADER_BYTES, RING_HEADER_BYTES
from wintun_model.effects import check_inside
from wintun_model.errors import ClientFault
from wintun_model.ring import (
    align,
    capacity_of,
    content,
    is_valid_capacity,
    ring_bytes_of,
    space,
    stored_bytes,
    wrap,
)
from wintunsim.conformance.records import Case, Flags, Vector
from wintunsim.conformance.schema import Kind, flag, number, record

TITLE = "Ring arithmetic: align, wrap, capacity, content, space, and where a packet goes"
REVISIONS: tuple[str, ...] = ()

SMALL, LARGE = 0x20000, 0x4000000
_CAPACITIES = (SMALL, 0x40000, LARGE)
_VALUE = record({"value": number()})
_POSITIONS = record({"head": number(), "tail": number(), "capacity": number()})

KINDS = {
    "align": Kind(about="(n + 3) & ~3 in 32-bit arithmetic", input=record({"size": number()}), expected=_VALUE),
    "wrap": Kind(
        about="v & (capacity - 1) in 32-bit arithmetic",
        input=record({"offset": number(), "capacity": number()}),
        expected=_VALUE,
    ),
    "stored": Kind(
        about="what a packet of that size takes in the ring: header, data and padding",
        input=record({"size": number()}),
        expected=_VALUE,
    ),
    "ring-size": Kind(about="the ring size of a capacity", input=record({"capacity": number()}), expected=_VALUE),
    "capacity": Kind(
        about="the capacity of a ring size in 32-bit arithmetic, and whether registration takes it",
        input=record({"ring_bytes": number()}),
        expected=record({"capacity": number(), "is_valid": flag("in range and a power of two")}),
    ),
    "content": Kind(about="bytes in the ring: wrap(tail - head)", input=_POSITIONS, expected=_VALUE),
    "space": Kind(about="free bytes in the ring: wrap(head - tail - 4)", input=_POSITIONS, expected=_VALUE),
    "placement": Kind(
        about="where a packet's data goes that is stored at `start`, and where the next one starts",
        input=record({"capacity": number(), "start": number(), "size": number()}),
        expected=record(
            {
                "data_offset": number("of the first data byte; the data is contiguous"),
                "end": number("one past the last data byte, not wrapped"),
                "next": number("the next packet's start, wrapped"),
                "runs_past_capacity": flag("data goes on in the trailing bytes"),
                "is_inside_ring": flag("the trailing bytes suffice"),
            }
        ),
    ),
}

_SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 19, 20, 40, 1419, 1420, 0xFFFB, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x10001)
_NEAR_2_32 = (0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFB, 0xFFFFFFFC, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF)


def vectors() -> Iterator[Vector]:
    """All vectors of the group."""
    for size in (*_SIZES, *_NEAR_2_32):
        yield _vector("align", (size,), {"size": size}, {"value": align(size)}, _limits(size in _NEAR_2_32))
        yield _vector("stored", (size,), {"size": size}, {"value": stored_bytes(size)}, _limits(size in _NEAR_2_32))
    for capacity in _CAPACITIES:
        for offset in _wrapping(capacity):
            described = {"offset": offset, "capacity": capacity}
            yield _vector("wrap", (capacity, offset), described, {"value": wrap(offset, capacity)})
    yield from _capacities()
    for capacity in _CAPACITIES:
        for head, tail in _positions(capacity):
            described = {"head": head, "tail": tail, "capacity": capacity}
            for kind, function in (("content", content), ("space", space)):
                flags = _limits(max(head, tail) >= capacity)
                yield _vector(kind, (capacity, head, tail), described, {"value": function(head, tail, capacity)}, flags)
        yield from _placements(capacity)


def _vector(
    kind: str, numbers: Sequence[int], described: dict[str, Any], expected: dict[str, Any], flags: Flags = ()
) -> Vector:
    name = "-".join([kind, *(f"{number & 0xFFFFFFFF:x}" for number in numbers)])
    return Case("driver §1", name, kind, KINDS[kind].about, described, flags).vector(expected)


def _limits(is_one: bool) -> Flags:
    return ("limit",) if is_one else ()


def _wrapping(capacity: int) -> tuple[int, ...]:
    near = (0, 1, 4, capacity - 4, capacity - 1, capacity, capacity + 4, 2 * capacity)
    return (*near, 0xFFFFFFFF, 0xFFFFFFFC, 0x100000000 - capacity)


def _capacities() -> Iterator[Vector]:
    sizes = [0, 1, 12, 0x1000B, 0x1000C, 0x1000D, 0xFFFFFFFF, 0x80000000]
    for capacity in (SMALL // 2, SMALL, SMALL + 4, 0x30000, 0x40000, 0x100000, LARGE // 2, LARGE, LARGE * 2):
        sizes += [ring_bytes_of(capacity) + step for step in (-4, -1, 0, 1, 4)]
        yield _vector("ring-size", (capacity,), {"capacity": capacity}, {"value": ring_bytes_of(capacity)})
    for size in dict.fromkeys(sizes):
        capacity = capacity_of(size)
        expected = {"capacity": capacity, "is_valid": is_valid_capacity(capacity)}
        yield _vector("capacity", (size,), {"ring_bytes": size}, expected, _limits(size < 0x1000C))


def _positions(capacity: int) -> Iterator[tuple[int, int]]:
    places = (0, 4, 8, capacity // 2, capacity - 8, capacity - 4)
    for head in places:
        for tail in places:
            yield head, tail
    # Not aligned, and not below the capacity: the arithmetic takes them, and it is for others to refuse them.
    yield from ((1, 0), (0, 1), (capacity - 1, 2), (capacity, 0), (0, capacity), (0xFFFFFFFF, 0), (0, 0xFFFFFFFF))


class _Ring:
    """Memory of a ring's size, to ask whether an access lies inside."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.data = memoryview(bytes(ring_bytes_of(capacity) - RING_HEADER_BYTES))


def _placements(capacity: int) -> Iterator[Vector]:
    ring = _Ring(capacity)
    largest = stored_bytes(MAX_PACKET_BYTES)
    for start in (0, 4, capacity - largest, capacity - largest + 4, capacity - 8, capacity - 4):
        for size in (0, 1, 4, 5, 20, 1420, MAX_PACKET_BYTES - 1, MAX_PACKET_BYTES):
            yield _placement(ring, start, size)
    for start in (capacity - 3, capacity - 2, capacity - 1):
        for size in (0, 20, MAX_PACKET_BYTES - 2, MAX_PACKET_BYTES - 1, MAX_PACKET_BYTES):
            yield _placement(ring, start, size)


def _placement(ring: _Ring, start: int, size: int) -> Vector:
    data_offset = start + PACKET_HEADER_BYTES
    end = data_offset + size
    try:
        check_inside(ring, data_offset, size)
        is_inside = True
    except ClientFault:
        is_inside = False
    expected = {
        "data_offset": data_offset,
        "end": end,
        "next": wrap(start + stored_bytes(size), ring.capacity),
        "runs_past_capacity": end > ring.capacity,
        "is_inside_ring": is_inside,
    }
    flags: Flags = ("wrap",) if end > ring.capacity else ()
    if start % 4:
        flags = (*flags, "unaligned", "bug:B11")
    if not is_inside:
        flags = (*flags, "outside-ring")
    described = {"capacity": ring.capacity, "start": start, "size": size}
    return _vector("placement", (ring.capacity, start, size), described, expected, flags)
