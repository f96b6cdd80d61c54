"""What a ring holds at one moment, to look at: its words, its content, where each packet lies (spec driver §1).

In a notebook a `RingView` is a drawing: above, the ring's memory from offset 0 to its capacity and the trailing bytes
behind it; below, the content unrolled from `Head` to `Tail`, packet for packet. `wintunsim.ring_drawing` draws it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from wintun_model.abi import MAX_PACKET_BYTES, PACKET_HEADER_BYTES, STOPPED, TRAILING_BYTES
from wintun_model.adapter import Ring
from wintun_model.ring import content, stored_bytes, wrap
from wintunsim.errors import UsageError

WALKED_PACKETS = 4096
"""How many packets are looked at; of what lies behind them only the amount is told."""

_size_at = struct.Struct("<I").unpack_from


class RingPacket(NamedTuple):
    """One packet in a ring: where its header lies, its size, and what it takes of the ring, in bytes."""

    offset: int
    size_bytes: int
    stored_bytes: int


@dataclass(frozen=True, kw_only=True)
class RingView:
    """A ring as it was when this was made; what the ring does later changes nothing here.

    `RingView.of(ring)` looks at a registered ring; made of words alone it knows no packets. Offsets and sizes are in
    bytes. UsageError for a capacity that is no power of two.
    """

    capacity: int
    head: int
    tail: int
    alertable: int = 0
    name: str = "ring"
    packets: tuple[RingPacket, ...] | None = None
    """The packets from `Head` on, as far as their headers make sense; None when the data is not known."""
    trailing_bytes: int = TRAILING_BYTES
    is_registered: bool = True
    problem: str = ""
    """Why the walk from packet to packet ended before `Tail`; empty when it did not."""

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.capacity & (self.capacity - 1):
            raise UsageError(f"a ring's capacity of {self.capacity} bytes is no power of two: give one that is")

    @classmethod
    def of(cls, ring: Ring | None, name: str = "") -> RingView:
        """Look at a ring of the model's, as `device.adapter.send_ring.value` gives it; None is one that is not there.

        A ring whose memory the driver has given back counts as not there too.
        """
        if ring is not None:
            try:
                head, tail, alertable = (word.cells[word.index] for word in (ring.head, ring.tail, ring.alertable))
                packets, problem = _walk(ring.data, ring.capacity, head, tail)
            except ValueError:  # the views of the memory were released
                name = name or ring.name
            else:
                return cls(
                    capacity=ring.capacity,
                    head=head,
                    tail=tail,
                    alertable=alertable,
                    name=name or ring.name,
                    packets=packets,
                    trailing_bytes=len(ring.data) - ring.capacity,
                    problem=problem,
                )
        return cls(capacity=1, head=STOPPED, tail=STOPPED, name=name or "ring", is_registered=False)

    @property
    def content_bytes(self) -> int | None:
        """Bytes between `Head` and `Tail`; None when one of them is no offset in the ring."""
        if self.head >= self.capacity or self.tail >= self.capacity:
            return None
        return content(self.head, self.tail, self.capacity)

    @property
    def overhang_bytes(self) -> int:
        """How far the packet that begins last before the capacity reaches into the trailing bytes."""
        for packet in self.packets or ():
            if packet.offset + packet.stored_bytes > self.capacity:
                return packet.offset + packet.stored_bytes - self.capacity
        return 0

    def __repr__(self) -> str:
        if not self.is_registered:
            return f"RingView({self.name}: not registered)"
        words = f"Head {self.head}, Tail {self.tail}, Alertable {self.alertable}"
        return f"RingView({self.name}: capacity {self.capacity}, {words})"

    def _repr_html_(self) -> str:
        from wintunsim.ring_drawing import ring_html

        return ring_html(self)

    def _repr_svg_(self) -> str:
        from wintunsim.ring_drawing import ring_svg

        return ring_svg(self, has_background=True)


def _walk(data: memoryview, capacity: int, head: int, tail: int) -> tuple[tuple[RingPacket, ...], str]:
    """The packets from `head` to `tail`, and why there are no more; reads nothing outside of `data`."""
    if head >= capacity or tail >= capacity:
        return (), ""
    packets: list[RingPacket] = []
    cursor, remaining = head, content(head, tail, capacity)
    while remaining and len(packets) < WALKED_PACKETS:
        if remaining < PACKET_HEADER_BYTES or cursor + PACKET_HEADER_BYTES > len(data):
            return tuple(packets), f"{remaining:,} bytes at offset {cursor:,} are less than a packet header"
        size: int = _size_at(data, cursor)[0]
        if size > MAX_PACKET_BYTES:
            return tuple(packets), f"the packet at offset {cursor:,} says {size:,} bytes, more than any packet has"
        stored = stored_bytes(size)
        if stored > remaining:
            told = f"the packet at offset {cursor:,} says {size:,} bytes, but {remaining:,} are left up to Tail"
            return tuple(packets), told
        packets.append(RingPacket(cursor, size, stored))
        cursor, remaining = wrap(cursor + stored, capacity), remaining - stored
    return tuple(packets), f"{remaining:,} bytes behind the first {len(packets):,} packets" if remaining else ""
