"""How long packets are: fixed, uniform, mixes such as IMIX, coalesced segments, as in a capture. For either direction.

A size is that of a whole IP packet in bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, cycle, repeat
from os import PathLike
from typing import TYPE_CHECKING, Protocol

from wintunsim.errors import UsageError
from wintunsim.kernel.streams import Stream
from wintunsim.network.chance import DRAW_BITS, below, in_range
from wintunsim.network.packets import PACKET_MAX_BYTES

if TYPE_CHECKING:
    from wintunsim.network.batches import Batches

PACKET_LEAST_BYTES = 20
WEIGHT_MOST = 10**6
SEGMENT_BYTES = 1460
SEGMENTS_HEADERS_BYTES = 40
IMIX: dict[str, tuple[tuple[int, int], ...]] = {
    "imix": ((40, 7), (576, 4), (1500, 1)),
    "imix-ethernet": ((46, 7), (576, 4), (1500, 1)),
    "imix-ipv6": ((60, 7), (576, 4), (1500, 1)),
}
"""Mixes as (bytes, weight). "imix" is the simple IMIX, of IP packets; "imix-ethernet" what frames of 64, 594 and 1518
bytes carry, which testers of Ethernet send; "imix-ipv6" has as its smallest packet a TCP acknowledgement over IPv6."""


class Sizes(Protocol):
    """Sizes of packets. Every call begins anew; what is by chance comes from the stream that it is given."""

    @property
    def description(self) -> str:
        """The sizes for a reader of the report, such as `1400 bytes`."""

    @property
    def least_bytes(self) -> int:
        """The smallest size that comes."""

    @property
    def most_bytes(self) -> int:
        """The largest size that comes."""

    @property
    def mean_bytes(self) -> Fraction:
        """The mean over a long time."""

    def sizes(self, stream: Stream) -> Iterator[int]:
        """Sizes in bytes, without end."""

    def batch(self, stream: Stream) -> Batches:
        """The same sizes as arrays: `take(n)` gives the next n of them."""


def _size(what: str, value: int) -> int:
    return in_range(what, value, PACKET_LEAST_BYTES, PACKET_MAX_BYTES)


class FixedSize:
    """Every packet has the same size."""

    def __init__(self, size_bytes: int) -> None:
        self.least_bytes = self.most_bytes = _size("the packet size", size_bytes)
        self.mean_bytes = Fraction(size_bytes)
        self.description = f"{size_bytes} bytes"

    def sizes(self, stream: Stream) -> Iterator[int]:
        """Sizes in bytes; nothing is by chance."""
        return repeat(self.least_bytes)

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import RepeatedBatches

        return RepeatedBatches([self.least_bytes])


class UniformSizes:
    """Every size from `least_bytes` to `most_bytes` is as likely as the others."""

    def __init__(self, least_bytes: int, most_bytes: int) -> None:
        self.least_bytes = _size("the smallest packet size", least_bytes)
        self.most_bytes = in_range("the largest packet size", most_bytes, least_bytes, PACKET_MAX_BYTES)
        self.mean_bytes = Fraction(least_bytes + most_bytes, 2)
        self.description = f"{least_bytes} to {most_bytes} bytes"

    def sizes(self, stream: Stream) -> Iterator[int]:
        """Sizes in bytes; each takes one draw."""
        bits, least, limit = stream.bits, self.least_bytes, self.most_bytes - self.least_bytes + 1
        while True:
            yield least + below(bits(DRAW_BITS), limit)

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import UniformBatches

        return UniformBatches(self.least_bytes, self.most_bytes - self.least_bytes + 1, stream)


class MixedSizes:
    """Some sizes by weight, each drawn on its own: `MixedSizes(IMIX["imix"])`."""

    def __init__(self, mix: Sequence[tuple[int, int]], name: str = "") -> None:
        if not mix:
            raise UsageError("a mix of sizes is empty: give at least one pair of bytes and weight")
        self.mix = tuple(mix)
        for size_bytes, weight in self.mix:
            _size("a packet size of the mix", size_bytes)
            in_range("a weight of the mix", weight, 1, WEIGHT_MOST)
        self._values = [size_bytes for size_bytes, _ in self.mix]
        self._ends = list(accumulate(weight for _, weight in self.mix))
        in_range("the sum of the weights of the mix", self._ends[-1], 1, (1 << 32) - 1)
        self.least_bytes, self.most_bytes = min(self._values), max(self._values)
        self.mean_bytes = Fraction(sum(size_bytes * weight for size_bytes, weight in self.mix), self._ends[-1])
        listed = "/".join(map(str, self._values))
        self.description = f"{name or 'a mix'} of {listed} bytes"

    def sizes(self, stream: Stream) -> Iterator[int]:
        """Sizes in bytes; each takes one draw."""
        bits, values, ends = stream.bits, self._values, self._ends
        limit = ends[-1]
        while True:
            yield values[bisect_right(ends, below(bits(DRAW_BITS), limit))]

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import WeightedBatches

        return WeightedBatches(self._values, self._ends, stream)


class CoalescedSizes(UniformSizes):
    """Segments put together, as large send offload and receive coalescing do: one header before 1 to 44 segments.

    Each packet holds `segments_least` to `segments_most` whole segments of `segment_bytes`, every number as likely as
    the others; with both the same, packets are all as long as they can be. By default 44 segments of 1460 bytes behind
    40 bytes of headers: 64280 bytes.
    """

    def __init__(
        self, segments_least: int | None = None, segments_most: int | None = None, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        room = PACKET_MAX_BYTES - SEGMENTS_HEADERS_BYTES
        self.segment_bytes = in_range("the segment size", segment_bytes, 1, room)
        fitting = room // segment_bytes
        self.segments_most = in_range(
            "the largest number of segments", fitting if segments_most is None else segments_most, 1, fitting
        )
        self.segments_least = in_range(
            "the smallest number of segments",
            self.segments_most if segments_least is None else segments_least,
            1,
            self.segments_most,
        )
        super().__init__(self._bytes_of(self.segments_least), self._bytes_of(self.segments_most))
        counts = f"{self.segments_least} to {self.segments_most}" if segments_least is not None else self.segments_most
        self.description = f"{counts} coalesced segments of {segment_bytes} bytes"

    def _bytes_of(self, segments: int) -> int:
        return SEGMENTS_HEADERS_BYTES + segments * self.segment_bytes

    def sizes(self, stream: Stream) -> Iterator[int]:
        """Sizes in bytes; each takes one draw."""
        bits, least, limit = stream.bits, self.segments_least, self.segments_most - self.segments_least + 1
        while True:
            yield self._bytes_of(least + below(bits(DRAW_BITS), limit))

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import WeightedBatches

        counts = range(self.segments_least, self.segments_most + 1)
        return WeightedBatches([self._bytes_of(each) for each in counts], range(1, len(counts) + 1), stream)


class EmpiricalSizes:
    """Sizes that were seen: drawn from a list, each entry as likely as the others, or in order over and over."""

    def __init__(self, sizes_bytes: Sequence[int], *, in_order: bool = False, name: str = "") -> None:
        if not sizes_bytes:
            raise UsageError("a list of packet sizes is empty: give at least one")
        self.sizes_bytes = tuple(_size("a packet size of the list", size_bytes) for size_bytes in sizes_bytes)
        self.in_order = in_order
        self.least_bytes, self.most_bytes = min(self.sizes_bytes), max(self.sizes_bytes)
        self.mean_bytes = Fraction(sum(self.sizes_bytes), len(self.sizes_bytes))
        how = "in order" if in_order else "by chance"
        self.description = f"{len(self.sizes_bytes)} sizes {name or 'of a list'} {how}"

    @classmethod
    def of_capture(cls, path: str | PathLike[str], *, in_order: bool = False) -> EmpiricalSizes:
        """The sizes of all IP packets in a pcap or pcapng file. UsageError as for `read_capture`."""
        from pathlib import Path

        from wintunsim.network.captures import read_capture  # dpkt takes its time to import

        sizes = [len(packet.data) for packet in read_capture(path)]
        return cls(sizes, in_order=in_order, name=f"of {Path(path).name}")

    def sizes(self, stream: Stream) -> Iterator[int]:
        """Sizes in bytes; each takes one draw unless they come in order."""
        if self.in_order:
            return cycle(self.sizes_bytes)
        return self._drawn(stream)

    def _drawn(self, stream: Stream) -> Iterator[int]:
        bits, sizes, limit = stream.bits, self.sizes_bytes, len(self.sizes_bytes)
        while True:
            yield sizes[below(bits(DRAW_BITS), limit)]

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import RepeatedBatches, WeightedBatches

        if self.in_order:
            return RepeatedBatches(self.sizes_bytes)
        return WeightedBatches(self.sizes_bytes, range(1, len(self.sizes_bytes) + 1), stream)
