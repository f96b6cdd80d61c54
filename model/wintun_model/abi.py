"""Sizes, offsets, records, control codes and limits of the ring interface (spec driver §1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEAD_OFFSET = 0
TAIL_OFFSET = 4
ALERTABLE_OFFSET = 8
RING_HEADER_BYTES = 12
PACKET_HEADER_BYTES = 4
ALIGNMENT = 4

STOPPED = 0xFFFFFFFF
"""What `Head` or `Tail` of a ring becomes when its other side has stopped for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Smallest and largest capacity, largest packet: the ABI's, unless an explorer shrinks them."""

    min_capacity_bytes: int = 0x20000
    max_capacity_bytes: int = 0x4000000
    max_packet_bytes: int = 0xFFFF

    @property
    def trailing_bytes(self) -> int:
        """Bytes after the capacity, where a packet that starts before the capacity's end goes on."""
        largest_stored = (PACKET_HEADER_BYTES + self.max_packet_bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1)
        return largest_stored - ALIGNMENT


WINTUN_LIMITS = Limits()
TRAILING_BYTES = WINTUN_LIMITS.trailing_bytes
"""0x10000."""
MIN_RING_CAPACITY = WINTUN_LIMITS.min_capacity_bytes
MAX_RING_CAPACITY = WINTUN_LIMITS.max_capacity_bytes
MAX_PACKET_BYTES = WINTUN_LIMITS.max_packet_bytes

FILE_DEVICE_WINTUN = 51820
METHOD_BUFFERED = 0
METHOD_NEITHER = 3
FILE_READ_DATA = 0x0001
FILE_WRITE_DATA = 0x0002


def control_code(device: int, function: int, method: int, access: int) -> int:
    """`CTL_CODE`: device type, function, transfer method and needed access in one number (spec driver §1)."""
    return device << 16 | access << 14 | function << 2 | method


TUN_IOCTL_REGISTER_RINGS = control_code(FILE_DEVICE_WINTUN, 0x970, METHOD_BUFFERED, FILE_READ_DATA | FILE_WRITE_DATA)
TUN_IOCTL_FORCE_CLOSE_HANDLES = control_code(
    FILE_DEVICE_WINTUN, 0x971, METHOD_NEITHER, FILE_READ_DATA | FILE_WRITE_DATA
)

EVENT_MODIFY_STATE = 0x0002
SYNCHRONIZE = 0x00100000


@dataclass(frozen=True, slots=True)
class RingDescription:
    """One ring as a client describes it: its whole size in bytes, its address, the handle of its `TailMoved` event."""

    ring_bytes: int
    address: int
    tail_moved: int


_REGISTER_RINGS_64 = struct.Struct("<I4xQQI4xQQ")
_REGISTER_RINGS_32 = struct.Struct("<IIIIII")
REGISTER_RINGS_BYTES = _REGISTER_RINGS_64.size
"""Size of `TUN_REGISTER_RINGS` for a 64-bit client: 48."""
REGISTER_RINGS_32_BYTES = _REGISTER_RINGS_32.size
"""Size of `TUN_REGISTER_RINGS` for a 32-bit client: 24."""


@dataclass(frozen=True, slots=True)
class RegisterRings:
    """`TUN_REGISTER_RINGS`: the send ring, then the receive ring."""

    send: RingDescription
    receive: RingDescription

    @classmethod
    def from_bytes(cls, data: bytes) -> RegisterRings:
        """Read the record; `data` has one of the two sizes, else struct.error."""
        layout = _REGISTER_RINGS_32 if len(data) == REGISTER_RINGS_32_BYTES else _REGISTER_RINGS_64
        fields = layout.unpack(data)
        return cls(RingDescription(*fields[:3]), RingDescription(*fields[3:]))

    def to_bytes(self) -> bytes:
        """The record of a 64-bit client."""
        send, receive = self.send, self.receive
        return _REGISTER_RINGS_64.pack(
            send.ring_bytes,
            send.address,
            send.tail_moved,
            receive.ring_bytes,
            receive.address,
            receive.tail_moved,
        )
