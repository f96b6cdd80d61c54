"""When packets come: constant rate, Poisson, bursts, trains. For either direction; nothing here knows of packets.

Each process begins with an arrival at 0, and gives its arrivals one by one or in batches for numpy, with the same
numbers. Times are whole ns.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from typing import TYPE_CHECKING, Protocol

from wintunsim.errors import UsageError
from wintunsim.kernel.streams import Stream
from wintunsim.network.chance import DRAW_BITS, EXPONENTIAL_BITS, child, exponential, in_range

if TYPE_CHECKING:
    from wintunsim.network.batches import Batches

NS = 10**9
RATE_LEAST_PPS, RATE_MOST_PPS = Fraction(1, 1000), 10**9
DURATION_MOST_NS = 3600 * NS
TRAIN_MOST_PACKETS = 10**6
GAP_BITS = 16
"""Gaps by chance are added up in parts of 1 / 2**16 ns, so that rounding does not change the rate."""
_GAPS_PER_ON_TIME = 1000


class Arrivals(Protocol):
    """A process of arrivals. Every call begins anew; what is by chance comes from the stream that it is given."""

    @property
    def description(self) -> str:
        """The process for a reader of the report."""

    @property
    def mean_pps(self) -> Fraction:
        """The mean rate in packets a second, over a long time."""

    def arrivals(self, stream: Stream) -> Iterator[int]:
        """Times in ns, in order, without end; the first is 0."""

    def batch(self, stream: Stream) -> Batches:
        """The same times as arrays: `take(n)` gives the next n of them."""


def rate_in_range(what: str, rate_pps: Fraction | int) -> Fraction:
    """A rate in packets/s. UsageError, which calls it `what`, unless it is from 0.001 to 10**9."""
    if isinstance(rate_pps, bool) or not isinstance(rate_pps, int | Fraction):
        raise UsageError(f"{what} is {rate_pps!r}: give packets a second as a whole number or a Fraction")
    if not RATE_LEAST_PPS <= rate_pps <= RATE_MOST_PPS:
        raise UsageError(f"{what} is {rate_text(Fraction(rate_pps))}: give a rate from 0.001 to {RATE_MOST_PPS}")
    return Fraction(rate_pps)


def rate_text(rate_pps: Fraction) -> str:
    """A rate as people write it, with three decimals at most: `1000 packets/s`."""
    thousandths = (rate_pps * 1000 + Fraction(1, 2)).__floor__()
    whole, rest = divmod(thousandths, 1000)
    text = f"{whole}.{rest:03}".rstrip("0").rstrip(".")
    return f"{text} packets/s"


def duration_text(time_ns: int) -> str:
    """A duration as the command line takes it, exactly: `100us`."""
    for unit, size_ns in (("s", NS), ("ms", 10**6), ("us", 10**3)):
        if time_ns >= size_ns and time_ns % size_ns == 0:
            return f"{time_ns // size_ns}{unit}"
    return f"{time_ns}ns"


class ConstantRate:
    """Packet n comes at `n * 10**9 / rate_pps` ns, rounded down."""

    def __init__(self, rate_pps: Fraction | int) -> None:
        self.mean_pps = rate_in_range("the rate", rate_pps)
        self.description = rate_text(self.mean_pps)

    def arrivals(self, stream: Stream) -> Iterator[int]:
        """Times in ns; nothing is by chance."""
        step, parts = NS * self.mean_pps.denominator, self.mean_pps.numerator
        for number in count():
            yield number * step // parts

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import EvenBatches, IteratorBatches

        step, parts = NS * self.mean_pps.denominator, self.mean_pps.numerator
        return EvenBatches(step, parts) if EvenBatches.can(step, parts) else IteratorBatches(self.arrivals(stream))


class Poisson:
    """Independent arrivals: gaps are exponential with mean `10**9 / rate_pps` ns, which is kept to 2**-16 ns."""

    def __init__(self, rate_pps: Fraction | int) -> None:
        self.mean_pps = rate_in_range("the rate", rate_pps)
        self.description = f"Poisson arrivals, {rate_text(self.mean_pps)}"
        self.mean_gap = round(NS * (1 << GAP_BITS) / self.mean_pps)
        """The mean gap in parts of 1 / 2**16 ns."""

    def arrivals(self, stream: Stream) -> Iterator[int]:
        """Times in ns; each after the first takes one draw."""
        mean, bits = self.mean_gap, stream.bits
        total = 0
        while True:
            yield total >> GAP_BITS
            total += exponential(bits(DRAW_BITS)) * mean >> EXPONENTIAL_BITS

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import IteratorBatches, PoissonBatches

        if PoissonBatches.can(self.mean_gap):
            return PoissonBatches(self.mean_gap, stream)
        return IteratorBatches(self.arrivals(stream))


class Bursts:
    """On and off: what arrives in `inner` arrives while on; then that process stands still for the off time.

    So `inner` says the rate while on, and whether it is even or Poisson. `on_ns` and `off_ns` are the times themselves,
    or with `is_exponential` their means. UsageError for times over an hour, and for on times of less than a thousandth
    of the mean gap.
    """

    def __init__(self, inner: Arrivals, on_ns: int, off_ns: int, *, is_exponential: bool = False) -> None:
        self.inner = inner
        self.on_ns = in_range("the on time in ns", on_ns, 1, DURATION_MOST_NS)
        self.off_ns = in_range("the off time in ns", off_ns, 0, DURATION_MOST_NS)
        self.is_exponential = is_exponential
        if on_ns * inner.mean_pps * _GAPS_PER_ON_TIME < NS:
            raise UsageError(
                f"the on time is {duration_text(on_ns)}, when {rate_text(inner.mean_pps)} hardly bring a packet: give "
                "a longer one"
            )
        self.mean_pps = inner.mean_pps * on_ns / (on_ns + off_ns)
        word = "on average " if is_exponential else ""
        times = f"{word}{duration_text(on_ns)} on and {duration_text(off_ns)} off"
        self.description = f"{inner.description} in bursts, {times}"

    def durations(self, stream: Stream) -> Iterator[int]:
        """On time, off time, on time, … in ns; with `is_exponential` each takes one draw."""
        while True:
            for mean_ns in (self.on_ns, self.off_ns):
                if self.is_exponential:
                    yield exponential(stream.bits(DRAW_BITS)) * mean_ns >> EXPONENTIAL_BITS
                else:
                    yield mean_ns

    def arrivals(self, stream: Stream) -> Iterator[int]:
        """Times in ns."""
        durations = self.durations(child(stream, "times"))
        on_end, off_ns = next(durations), 0
        for time_ns in self.inner.arrivals(child(stream, "inner")):
            while time_ns >= on_end:
                off_ns += next(durations)
                on_end += next(durations)
            yield time_ns + off_ns

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import BurstBatches, ExponentialBatches, RepeatedBatches

        times = child(stream, "times")
        means = (self.on_ns, self.off_ns)
        durations: Batches = ExponentialBatches(means, times) if self.is_exponential else RepeatedBatches(means)
        return BurstBatches(self.inner.batch(child(stream, "inner")), durations)


class Trains:
    """Microbursts: `burst_packets` packets `gap_ns` apart (0: at once), every `interval_ns`."""

    def __init__(self, burst_packets: int, interval_ns: int, gap_ns: int = 0) -> None:
        self.burst_packets = in_range("the number of packets of a train", burst_packets, 1, TRAIN_MOST_PACKETS)
        self.interval_ns = in_range("the interval of trains in ns", interval_ns, 1, DURATION_MOST_NS)
        self.gap_ns = in_range("the gap in a train in ns", gap_ns, 0, DURATION_MOST_NS)
        if (burst_packets - 1) * gap_ns >= interval_ns:
            apart, interval = duration_text(gap_ns), duration_text(interval_ns)
            raise UsageError(
                f"a train of {burst_packets} packets {apart} apart is longer than its interval of {interval}: give a "
                "longer interval"
            )
        self.mean_pps = rate_in_range("the mean rate of trains", Fraction(burst_packets * NS, interval_ns))
        spacing = f" {duration_text(gap_ns)} apart" if gap_ns else ""
        self.description = f"trains of {burst_packets} packets{spacing}, every {duration_text(interval_ns)}"

    def arrivals(self, stream: Stream) -> Iterator[int]:
        """Times in ns; nothing is by chance."""
        for start_ns in count(0, self.interval_ns):
            for place in range(self.burst_packets):
                yield start_ns + place * self.gap_ns

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import TrainBatches

        return TrainBatches(self.burst_packets, self.interval_ns, self.gap_ns)
