"""Delays counted in classes, so that percentiles of any number of packets take little memory."""

from __future__ import annotations

from collections.abc import Iterable

_CLASS_BITS = 7


class Delays:
    """Delays in ns. Least, most and sum are exact; a percentile is exact below 256 ns and at most 1/128 too high."""

    __slots__ = ("_classes", "count", "max_ns", "min_ns", "sum_ns")

    def __init__(self) -> None:
        self.count = 0
        self.sum_ns = 0
        self.min_ns: int | None = None
        self.max_ns: int | None = None
        self._classes: dict[int, int] = {}

    def note(self, delay_ns: int) -> None:
        """Count one delay, of at least 0 ns."""
        self.count += 1
        self.sum_ns += delay_ns
        if self.min_ns is None or delay_ns < self.min_ns:
            self.min_ns = delay_ns
        if self.max_ns is None or delay_ns > self.max_ns:
            self.max_ns = delay_ns
        shift = max(0, delay_ns.bit_length() - _CLASS_BITS - 1)
        place = (shift << _CLASS_BITS) + (delay_ns >> shift)
        self._classes[place] = self._classes.get(place, 0) + 1

    @classmethod
    def together(cls, parts: Iterable[Delays]) -> Delays:
        """All delays of several accounts in one."""
        whole = cls()
        for part in parts:
            whole.count += part.count
            whole.sum_ns += part.sum_ns
            for place, count in part._classes.items():
                whole._classes[place] = whole._classes.get(place, 0) + count
            if part.min_ns is not None and part.max_ns is not None:
                whole.min_ns = part.min_ns if whole.min_ns is None else min(whole.min_ns, part.min_ns)
                whole.max_ns = part.max_ns if whole.max_ns is None else max(whole.max_ns, part.max_ns)
        return whole

    def percentile(self, percent: int) -> int | None:
        """The nearest-rank percentile in ns, 1 to 100; None without delays."""
        rank = -(-self.count * percent // 100)
        for place, count in sorted(self._classes.items()):
            rank -= count
            if rank <= 0:
                assert self.min_ns is not None and self.max_ns is not None
                return max(self.min_ns, min(self.max_ns, _top(place)))
        return None

    def summary(self) -> dict[str, int | None] | None:
        """min, p50, p99 and max in ns, as reports have them for rings; None without delays."""
        if not self.count:
            return None
        return {"min": self.min_ns, "p50": self.percentile(50), "p99": self.percentile(99), "max": self.max_ns}


def _top(place: int) -> int:
    """The largest delay of a class."""
    # Classes of delays with a shift s ≥ 1 have places from (s + 1) * 128 on, as their upper bits are 128 to 255.
    shift = max(0, (place >> _CLASS_BITS) - 1)
    return ((place - (shift << _CLASS_BITS) + 1) << shift) - 1
