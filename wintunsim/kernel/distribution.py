"""Costs that vary: distributions given as tables of percentiles, drawn in whole numbers from named streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat

from wintunsim.errors import UsageError
from wintunsim.kernel.streams import Stream

_SCALE = 1_000_000
"""Parts of the whole that a percentile is counted in: so four decimals of a per cent count."""
VALUE_MAX_NS = 3600 * 10**9
_BLOCK = 512
"""How many values a sampler draws at once."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A duration in ns, straight between the points (part of a million, ns) that it goes through, from 0 to all.

    Drawn with integers only, so the same on every platform (design §3). It may stand for another figure than a
    duration, in that figure's unit.
    """

    points: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, value: object, name: str = "the distribution") -> Distribution:
        """From a number of ns, or from a table of percentiles: ``[[0, 1000], [50, 2000], [100, 9000]]``.

        UsageError, which begins with `name`, unless percentiles go up from 0 to 100, and durations do not go down.
        """
        if isinstance(value, int) and not isinstance(value, bool):
            value = [[0, value], [100, value]]
        if not isinstance(value, Iterable) or isinstance(value, str):
            raise UsageError(f"{name} is {value!r}: give ns, or a table such as [[0, 1000], [50, 2000], [100, 9000]]")
        points: list[tuple[int, int]] = []
        for row in value:
            if not isinstance(row, list | tuple) or len(row) != 2 or not all(isinstance(n, int | float) for n in row):
                raise UsageError(f"{name} has the row {row!r}: give a percentile and a number of ns")
            share, time_ns = round(row[0] * (_SCALE // 100)), row[1]
            if not isinstance(time_ns, int) or not 0 <= time_ns <= VALUE_MAX_NS:
                raise UsageError(f"{name} has {time_ns!r}: give a whole number of ns from 0 to {VALUE_MAX_NS}")
            if points and (share <= points[-1][0] or time_ns < points[-1][1]):
                raise UsageError(f"{name} goes down at {row!r}: give percentiles in order, with rising durations")
            points.append((share, time_ns))
        if len(points) < 2 or points[0][0] != 0 or points[-1][0] != _SCALE:
            raise UsageError(f"{name} does not go from 0 to 100 per cent: begin with [0, ns] and end with [100, ns]")
        return cls(tuple(points))

    @property
    def is_constant(self) -> bool:
        """Whether every draw is the same."""
        return self.points[0][1] == self.points[-1][1]

    @property
    def median(self) -> int:
        """The duration at 50 per cent."""
        return self.at(_SCALE // 2)

    def at(self, share: int) -> int:
        """The duration at so many parts of a million, in whole ns."""
        before = self.points[0]
        for point in self.points[1:]:
            if share <= point[0]:
                span, rise = point[0] - before[0], point[1] - before[1]
                return before[1] + rise * (share - before[0]) // span
            before = point
        return before[1]

    def draw(self, stream: Stream) -> int:
        """A duration by chance. A constant takes nothing from the stream."""
        return self.points[0][1] if self.is_constant else self.at(stream.below(_SCALE + 1))

    def sampler(self, stream: Stream) -> Callable[[], int]:
        """What gives the next duration by chance, over and over. The stream must have no other use.

        Many are drawn at once, which takes a fifth of the time of as many calls of `draw`.
        """
        if self.is_constant:
            return repeat(self.points[0][1]).__next__
        return chain.from_iterable(self._blocks(stream)).__next__

    def _blocks(self, stream: Stream) -> Iterator[list[int]]:
        import numpy as np  # The command line parses distributions without it.

        shares, values = (np.array(column, dtype=np.int64) for column in zip(*self.points, strict=True))
        spans, rises = np.diff(shares), np.diff(values)
        while True:
            bits = np.frombuffer(stream.take_bytes(4 * _BLOCK), dtype="<u4").astype(np.int64)
            drawn = bits * (_SCALE + 1) >> 32
            place = np.clip(np.searchsorted(shares, drawn) - 1, 0, None)
            yield (values[place] + rises[place] * (drawn - shares[place]) // spans[place]).tolist()
