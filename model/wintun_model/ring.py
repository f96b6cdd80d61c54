"""Ring arithmetic: pure functions on 32-bit offsets (spec driver §1)."""

from __future__ import annotations

from wintun_model.abi import (
    ALIGNMENT,
    PACKET_HEADER_BYTES,
    RING_HEADER_BYTES,
    WINTUN_LIMITS,
    Limits,
)

_MASK32 = 0xFFFFFFFF


def align(size: int) -> int:
    """`size` rounded up to a multiple of 4, in 32-bit arithmetic."""
    return (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1) & _MASK32


def wrap(offset: int, capacity: int) -> int:
    """`offset` brought into 0 … capacity-1, in 32-bit arithmetic. `capacity` is a power of two."""
    return offset & (capacity - 1) & _MASK32


def capacity_of(ring_bytes: int, limits: Limits = WINTUN_LIMITS) -> int:
    """The capacity of a ring of `ring_bytes` in all; huge for a size that is too small (32-bit arithmetic)."""
    return (ring_bytes - RING_HEADER_BYTES - limits.trailing_bytes) & _MASK32


def ring_bytes_of(capacity: int, limits: Limits = WINTUN_LIMITS) -> int:
    """The whole size in bytes of a ring of that capacity."""
    return RING_HEADER_BYTES + capacity + limits.trailing_bytes


def is_valid_capacity(capacity: int, limits: Limits = WINTUN_LIMITS) -> bool:
    """Whether a capacity is in range and a power of two."""
    in_range = limits.min_capacity_bytes <= capacity <= limits.max_capacity_bytes
    return in_range and not capacity & (capacity - 1)


def content(head: int, tail: int, capacity: int) -> int:
    """Bytes in the ring between `head` and `tail`; 0 when they are equal."""
    return wrap(tail - head, capacity)


def space(head: int, tail: int, capacity: int) -> int:
    """Free bytes in the ring: a ring holds at most capacity - 4."""
    return wrap(head - tail - ALIGNMENT, capacity)


def stored_bytes(packet_bytes: int) -> int:
    """What a packet takes in the ring: its header and data, aligned."""
    return (packet_bytes + PACKET_HEADER_BYTES + ALIGNMENT - 1) & 0xFFFFFFFC
