"""Arrivals and sizes as arrays: the numbers that their iterators give, many at a time, in the same integer arithmetic.

Each kind is read on from where it was: `take(3)` and `take(4)` give what `take(7)` would have given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wintunsim.kernel.streams import Stream
from wintunsim.network.arrivals import GAP_BITS
from wintunsim.network.chance import DRAW_BITS, EXPONENTIAL_BITS, INDEX_BITS, LOG_BITS, REST_BITS, logarithms

Integers = NDArray[np.int64]
CHUNK = 8192
"""So many numbers are made at a time, so that no sum in between is longer than 63 bits."""
_SPLIT_BITS = 19
_MEAN_MOST = 1 << 43
_U64 = np.uint64


class Batches(Protocol):
    """Numbers to be taken in arrays."""

    def take(self, count: int) -> Integers:
        """The next `count` numbers as int64; fewer when there are no more."""


def draws(stream: Stream, count: int) -> NDArray[np.uint64]:
    """What `count` calls of `stream.bits(64)` give."""
    found: NDArray[np.uint64] = np.frombuffer(stream.take_bytes(8 * count), dtype="<u8").astype(np.uint64, copy=False)
    return found


def exponentials(bits: NDArray[np.uint64]) -> Integers:
    """:func:`wintunsim.network.chance.exponential` of each draw."""
    table = np.array(logarithms(), dtype=np.int64)
    mantissa = bits | _U64(1)
    leading = np.zeros(len(bits), dtype=np.int64)
    for shift in (32, 16, 8, 4, 2, 1):
        is_small = mantissa < _U64(1 << (DRAW_BITS - shift))
        mantissa = np.where(is_small, mantissa << _U64(shift), mantissa)
        leading += is_small * np.int64(shift)
    index = ((mantissa >> _U64(63 - INDEX_BITS)) & _U64((1 << INDEX_BITS) - 1)).astype(np.int64)
    rest = ((mantissa >> _U64(63 - INDEX_BITS - REST_BITS)) & _U64((1 << REST_BITS) - 1)).astype(np.int64)
    low = table[index]
    logarithm = low + ((table[index + 1] - low) * rest >> REST_BITS)
    found: Integers = ((leading + 1) * table[-1] - logarithm) >> (LOG_BITS - EXPONENTIAL_BITS)
    return found


def _scaled(parts: Integers, mean: int | Integers) -> Integers:
    """`parts * mean >> 32` for exponentials and a mean below 2**43, without the 82 bits of the product."""
    high, low = parts >> _SPLIT_BITS, parts & ((1 << _SPLIT_BITS) - 1)
    return (high * mean + (low * mean >> _SPLIT_BITS)) >> (EXPONENTIAL_BITS - _SPLIT_BITS)


def below(bits: NDArray[np.uint64], limit: int) -> Integers:
    """:func:`wintunsim.network.chance.below` of each draw."""
    factor = _U64(limit)
    low = (bits & _U64(0xFFFFFFFF)) * factor >> _U64(32)
    return (((bits >> _U64(32)) * factor + low) >> _U64(32)).astype(np.int64)


class _Chunks:
    """What is made in chunks of at most `CHUNK` numbers."""

    def take(self, count: int) -> Integers:
        """The next `count` numbers."""
        parts = [np.empty(0, dtype=np.int64)]
        while count > 0:
            parts.append(self._chunk(min(count, CHUNK)))
            count -= CHUNK
        return np.concatenate(parts)

    def _chunk(self, count: int) -> Integers:
        raise NotImplementedError


class IteratorBatches:
    """What an iterator gives."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers

    def take(self, count: int) -> Integers:
        """The next `count` numbers."""
        return np.fromiter(islice(self._numbers, count), dtype=np.int64)


class RepeatedBatches:
    """A row of numbers over and over."""

    def __init__(self, row: Sequence[int]) -> None:
        self._row = np.array(row, dtype=np.int64)
        self._place = 0

    def take(self, count: int) -> Integers:
        """The next `count` numbers."""
        found = self._row[np.arange(self._place, self._place + count) % len(self._row)]
        self._place = (self._place + count) % len(self._row)
        return found


class EvenBatches(_Chunks):
    """`n * step // parts` for n = 0, 1, …"""

    def __init__(self, step: int, parts: int) -> None:
        self._step, self._parts = step, parts
        self._base, self._rest = 0, 0

    @staticmethod
    def can(step: int, parts: int) -> bool:
        """Whether 63 bits are enough for that."""
        return step * CHUNK + parts < 1 << 63

    def _chunk(self, count: int) -> Integers:
        found = self._base + (self._rest + np.arange(count, dtype=np.int64) * self._step) // self._parts
        whole, self._rest = divmod(self._rest + count * self._step, self._parts)
        self._base += whole
        return found


class PoissonBatches(_Chunks):
    """Arrivals with exponential gaps; `mean_gap` in parts of 1 / 2**16 ns."""

    def __init__(self, mean_gap: int, stream: Stream) -> None:
        self._mean, self._stream = mean_gap, stream
        self._base, self._rest = 0, 0
        self._is_begun = False

    @staticmethod
    def can(mean_gap: int) -> bool:
        """Whether 63 bits are enough for that."""
        return mean_gap < _MEAN_MOST

    def _chunk(self, count: int) -> Integers:
        gaps = np.zeros(count, dtype=np.int64)
        first = 0 if self._is_begun else 1
        gaps[first:] = _scaled(exponentials(draws(self._stream, count - first)), self._mean)
        self._is_begun = True
        total = self._rest + np.cumsum(gaps)
        last = int(total[-1])
        found = self._base + (total >> GAP_BITS)
        self._base += last >> GAP_BITS
        self._rest = last & ((1 << GAP_BITS) - 1)
        return found


class ExponentialBatches(_Chunks):
    """Exponential numbers whose means are those of a row, over and over; each below 2**43."""

    def __init__(self, means: Sequence[int], stream: Stream) -> None:
        self._means, self._stream = RepeatedBatches(means), stream

    def _chunk(self, count: int) -> Integers:
        return _scaled(exponentials(draws(self._stream, count)), self._means.take(count))


class BurstBatches:
    """What `inner` gives, moved on by the off times; `durations` are on, off, on, … in ns."""

    def __init__(self, inner: Batches, durations: Batches) -> None:
        self._inner, self._durations = inner, durations
        self._ends = durations.take(1)  # of the on times, in time that was on
        self._shifts = np.zeros(1, dtype=np.int64)

    def take(self, count: int) -> Integers:
        """The next `count` times."""
        parts = [np.empty(0, dtype=np.int64)]
        while count > 0:
            parts.append(self._chunk(self._inner.take(min(count, CHUNK))))
            count -= CHUNK
        return np.concatenate(parts)

    def _chunk(self, times: Integers) -> Integers:
        while self._ends[-1] <= times[-1]:
            more = self._durations.take(2 * CHUNK)
            self._shifts = np.concatenate((self._shifts, self._shifts[-1] + np.cumsum(more[::2])))
            self._ends = np.concatenate((self._ends, self._ends[-1] + np.cumsum(more[1::2])))
        place = np.searchsorted(self._ends, times, side="right")
        found = times + self._shifts[place]
        self._ends, self._shifts = self._ends[place[-1] :], self._shifts[place[-1] :]
        return found


class TrainBatches:
    """`packets` times `gap` apart, every `interval`."""

    def __init__(self, packets: int, interval: int, gap: int) -> None:
        self._packets, self._interval, self._gap = packets, interval, gap
        self._number = 0

    def take(self, count: int) -> Integers:
        """The next `count` times."""
        train, place = np.divmod(np.arange(self._number, self._number + count, dtype=np.int64), self._packets)
        self._number += count
        found: Integers = train * self._interval + place * self._gap
        return found


class UniformBatches(_Chunks):
    """Whole numbers from `least` on, `limit` of them, each as likely as the others."""

    def __init__(self, least: int, limit: int, stream: Stream) -> None:
        self._least, self._limit, self._stream = least, limit, stream

    def _chunk(self, count: int) -> Integers:
        return self._least + below(draws(self._stream, count), self._limit)


class WeightedBatches(_Chunks):
    """Values by chance; `ends` are the sums of their weights so far."""

    def __init__(self, values: Sequence[int], ends: Sequence[int], stream: Stream) -> None:
        self._values = np.array(values, dtype=np.int64)
        self._ends = np.array(ends, dtype=np.int64)
        self._stream = stream

    def _chunk(self, count: int) -> Integers:
        place = below(draws(self._stream, count), int(self._ends[-1]))
        return self._values[np.searchsorted(self._ends, place, side="right")]
