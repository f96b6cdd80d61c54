"""What the system is to send, as arrays: times, sizes, which source and which of its packets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wintunsim.kernel.streams import Stream
from wintunsim.network.arrivals import ConstantRate
from wintunsim.network.batches import RepeatedBatches
from wintunsim.network.traffic import UdpTraffic
from wintunsim.network.workloads import Workload

Integers = NDArray[np.int64]


class _Source:
    """One source from its beginning on."""

    def __init__(self, source: UdpTraffic | Workload, place: int, number: int, seed: int) -> None:
        self.number = number
        self.count = source.count
        self._next = 1
        self.times: Any
        self.sizes: Any
        if isinstance(source, UdpTraffic):
            self.times = ConstantRate(source.rate_pps).batch(Stream(seed, "unused"))
            self.sizes = RepeatedBatches([source.size_bytes])
        else:
            self.times = source.arrivals.batch(Stream(seed, f"traffic.{place + 1}.arrivals"))
            self.sizes = source.sizes.batch(Stream(seed, f"traffic.{place + 1}.sizes"))

    def take(self, count: int) -> tuple[Integers, Integers, Integers]:
        """The next times, sizes and numbers; fewer or none when there are no more."""
        if self.count is not None:
            count = min(count, self.count - self._next + 1)
        numbers = np.arange(self._next, self._next + count, dtype=np.int64)
        self._next += count
        return self.times.take(count), self.sizes.take(count), numbers


class Offered:
    """All sources together, in the order in which their packets are due; ties go to the source named first.

    Of `sources` those count whose packets are due at times of their own; `numbers` are the numbers of their names.
    """

    def __init__(self, sources: Sequence[Any], numbers: Sequence[int], seed: int, start_ns: int):
        self._sources = [
            _Source(source, place, number, seed)
            for place, (source, number) in enumerate(zip(sources, numbers, strict=True))
            if isinstance(source, UdpTraffic | Workload)
        ]
        self._start_ns = start_ns
        self._empty = empty = np.empty(0, dtype=np.int64)
        self._held: list[tuple[Integers, Integers, Integers]] = [(empty, empty, empty) for _ in self._sources]
        self._ended = [False] * len(self._sources)

    def take(self, count: int) -> tuple[Integers, Integers, Integers, Integers]:
        """About the next `count` packets: virtual times in ns, sizes in bytes, sources and their packets' numbers.

        None are left when there are none.
        """
        self._fill(count)
        if not self._sources:
            return self._empty, self._empty, self._empty, self._empty
        if len(self._sources) == 1:
            times, sizes, numbers = self._held[0]
            self._held[0] = times[:0], sizes[:0], numbers[:0]
            return times, sizes, np.full(len(times), self._sources[0].number, dtype=np.int64), numbers
        return self._merged()

    def _fill(self, count: int) -> None:
        """Have `count` packets of each source at hand."""
        for place, source in enumerate(self._sources):
            held = self._held[place]
            if len(held[0]) < count and not self._ended[place]:
                times, sizes, numbers = source.take(count - len(held[0]))
                self._ended[place] = len(held[0]) + len(times) < count
                self._held[place] = (
                    np.concatenate((held[0], times + self._start_ns)),
                    np.concatenate((held[1], sizes)),
                    np.concatenate((held[2], numbers)),
                )

    def _merged(self) -> tuple[Integers, Integers, Integers, Integers]:
        # Up to where nothing more can come from a source that goes on.
        while True:
            ends = [int(held[0][-1]) for held, ended in zip(self._held, self._ended, strict=True) if not ended]
            limit = min(ends, default=None)
            if limit is None or any(len(held[0]) and held[0][0] < limit for held in self._held):
                break
            self._fill(2 * max(len(held[0]) for held in self._held))
        parts: list[tuple[Integers, Integers, Integers, Integers]] = []
        for place, (times, sizes, numbers) in enumerate(self._held):
            count = len(times) if limit is None else int(np.searchsorted(times, limit, side="left"))
            source = np.full(count, self._sources[place].number, dtype=np.int64)
            parts.append((times[:count], sizes[:count], source, numbers[:count]))
            self._held[place] = times[count:], sizes[count:], numbers[count:]
        columns = [np.concatenate([part[column] for part in parts]) for column in range(4)]
        order = np.argsort(columns[0], kind="stable")
        return columns[0][order], columns[1][order], columns[2][order], columns[3][order]
