"""Arrival processes: exact numbers, the right laws, and the same one by one as in arrays."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise
from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.kernel.streams import Stream
from wintunsim.network.arrivals import Bursts, ConstantRate, Poisson, Trains, duration_text, rate_text
from wintunsim.network.batches import below as below_many
from wintunsim.network.batches import draws, exponentials
from wintunsim.network.chance import below, child, exponential, logarithms

SECOND = 10**9
MS = 10**6


def stream(seed=1):
    return Stream(seed, "arrivals")


def times_of(process, count, seed=1):
    return list(islice(process.arrivals(stream(seed)), count))


# --- chance in whole numbers


def test_the_logarithms_are_exact():
    table = logarithms()
    assert len(table) == 4097
    assert table[-1] == 762123384785  # ln 2 in parts of 2**-40
    assert all(abs(entry / 2**40 - log(1 + place / 4096)) < 1e-11 for place, entry in enumerate(table))


@given(st.integers(0, 2**64 - 1))
def test_an_exponential_is_a_logarithm(bits):
    assert exponential(bits) / 2**32 == pytest.approx(-log((bits | 1) / 2**64), abs=1e-8)


def test_exponentials_are_the_same_for_ever():
    source = Stream(0, "exponential")
    assert [exponential(source.bits(64)) for _ in range(4)] == EXPONENTIALS
    assert [exponential(0), exponential(1), exponential(2**63), exponential(2**64 - 1)] == [
        190530846196,
        190530846196,
        2977044471,
        0,
    ]


EXPONENTIALS = [26497729742, 3910311825, 2124651721, 1554035997]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2**12)), min_size=1), st.integers(1, 2**32))
def test_arrays_of_draws_become_what_single_draws_become(bits, limit):
    array = np.array(bits, dtype=np.uint64)
    assert exponentials(array).tolist() == [exponential(each) for each in bits]
    assert below_many(array, limit).tolist() == [below(each, limit) for each in bits]


def test_arrays_of_draws_are_the_streams_own_bits():
    one, other = stream(), stream()
    assert draws(one, 100).tolist() == [other.bits(64) for _ in range(100)]
    assert one.bits(64) == other.bits(64)


def test_a_child_is_a_stream_of_its_own():
    parent = stream()
    first, second = child(parent, "a"), child(parent, "a")
    assert first.name == "arrivals.a"
    assert first.bits(64) != second.bits(64)
    assert child(stream(), "a").bits(64) == child(stream(), "a").bits(64)


# --- processes

PROCESSES = [
    ConstantRate(1000),
    ConstantRate(Fraction(10**9, 3 * 8 * 1400)),
    ConstantRate(Fraction(1, 1000)),
    ConstantRate(Fraction(123456789123, 1234567891)),
    Poisson(10**6),
    Poisson(Fraction(14_880_952_381, 1000)),
    Poisson(Fraction(1, 500)),
    Bursts(ConstantRate(10**6), 100_000, 900_000),
    Bursts(ConstantRate(10**6), 1000, 50_000, is_exponential=True),
    Bursts(Poisson(10**6), 100_000, 900_000, is_exponential=True),
    Bursts(Poisson(10**6), 100_000, 0),
    Trains(32, MS, 67),
    Trains(1, 1000),
]


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.description)
def test_every_process_begins_at_0_keeps_order_and_its_rate(process):
    times = times_of(process, 20_000)
    assert times[0] == 0
    assert all(before <= after for before, after in pairwise(times))
    rate = Fraction(len(times) - 1, times[-1]) * SECOND
    # Four standard deviations of what is most by chance: single gaps, or whole on and off times.
    on_packets = process.inner.mean_pps * process.on_ns / SECOND if getattr(process, "is_exponential", False) else 0
    assert abs(rate / process.mean_pps - 1) < 4 * sqrt(max(1, 2 * on_packets) / len(times))
    assert times == times_of(process, 20_000)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.description)
def test_arrays_hold_the_same_times(process):
    batch = process.batch(stream(5))
    arrays = [batch.take(count) for count in (0, 1, 2, 8192, 0, 10_000, 7)]
    assert [len(array) for array in arrays] == [0, 1, 2, 8192, 0, 10_000, 7]
    assert all(array.dtype == np.int64 for array in arrays)
    assert np.concatenate(arrays).tolist() == times_of(process, 18_202, seed=5)


@settings(deadline=None, max_examples=30)
@given(
    rate=st.fractions(Fraction(1, 1000), 10**9, max_denominator=10**7),
    on_ns=st.integers(1, 3600 * SECOND),
    off_ns=st.integers(0, 3600 * SECOND),
    is_exponential=st.booleans(),
    is_poisson=st.booleans(),
    counts=st.lists(st.integers(0, 60), max_size=4),
    seed=st.integers(0, 2**64),
)
def test_any_bursts_are_the_same_in_arrays(rate, on_ns, off_ns, is_exponential, is_poisson, counts, seed):
    inner = Poisson(rate) if is_poisson else ConstantRate(rate)
    try:
        process = Bursts(inner, on_ns, off_ns, is_exponential=is_exponential)
    except UsageError:
        assert on_ns * rate * 1000 < SECOND
        return
    batch = process.batch(stream(seed))
    found = [number for count in counts for number in batch.take(count).tolist()]
    assert found == times_of(process, len(found), seed)


@given(rate=st.fractions(Fraction(1, 1000), 10**9), number=st.integers(0, 50))
def test_a_constant_rate_is_exact(rate, number):
    assert times_of(ConstantRate(rate), number + 1)[number] == number * SECOND // rate


def test_seeds_change_what_is_by_chance_and_nothing_else():
    assert times_of(Poisson(1000), 50, seed=1) != times_of(Poisson(1000), 50, seed=2)
    assert times_of(ConstantRate(1000), 50, seed=1) == times_of(ConstantRate(1000), 50, seed=2)
    bursts = Bursts(ConstantRate(10**6), 5000, 5000, is_exponential=True)
    assert times_of(bursts, 50, seed=1) != times_of(bursts, 50, seed=2)


def test_poisson_times_are_the_same_for_ever():
    assert times_of(Poisson(10**6), 6, seed=0) == POISSON_TIMES


POISSON_TIMES = [0, 1034, 3183, 3418, 4633, 6852]


def kolmogorov_smirnov(values, distribution):
    """How far the distribution of `values` is from the given one, times the root of their number."""
    ordered = sorted(values)
    number = len(ordered)
    distance = max(
        max((place + 1) / number - distribution(value), distribution(value) - place / number)
        for place, value in enumerate(ordered)
    )
    return distance * sqrt(number)


CRITICAL = 1.628
"""What a right distribution stays below in 99 of 100 trials."""


@pytest.mark.parametrize("seed", range(3))
def test_poisson_gaps_are_exponential_and_independent(seed):
    mean_ns = MS
    times = Poisson(Fraction(SECOND, mean_ns)).batch(stream(seed)).take(20_001)
    gaps = np.diff(times)
    assert kolmogorov_smirnov(gaps.tolist(), lambda gap: 1 - exp(-gap / mean_ns)) < CRITICAL
    assert abs(gaps.mean() / mean_ns - 1) < 4 / sqrt(len(gaps))
    assert abs(gaps.std() / mean_ns - 1) < 8 / sqrt(len(gaps))
    centred = gaps - gaps.mean()
    assert abs((centred[1:] * centred[:-1]).mean() / gaps.var()) < 4 / sqrt(len(gaps))


def test_the_number_of_poisson_arrivals_in_a_time_varies_as_it_should():
    times = Poisson(10**6).batch(stream(9)).take(200_000)
    counts = np.bincount(times // 50_000)[:-1]
    assert abs(counts.mean() / 50 - 1) < 0.02
    assert abs(counts.var() / counts.mean() - 1) < 0.1


def test_even_bursts_stand_where_they_should():
    process = Bursts(ConstantRate(10**6), 3000, 10_000)
    assert times_of(process, 8) == [0, 1000, 2000, 13_000, 14_000, 15_000, 26_000, 27_000]
    # What a burst has no time for comes in the next one: the rate while on holds over all.
    process = Bursts(ConstantRate(10**6), 1500, 10_000)
    assert times_of(process, 5) == [0, 1000, 12_000, 23_000, 24_000]


def test_on_and_off_times_are_exponential():
    process = Bursts(ConstantRate(10**9), 20_000, 70_000, is_exponential=True)
    times = process.durations(stream(4))
    on, off = zip(*((next(times), next(times)) for _ in range(8000)), strict=True)
    assert kolmogorov_smirnov(on, lambda time: 1 - exp(-time / 20_000)) < CRITICAL
    assert kolmogorov_smirnov(off, lambda time: 1 - exp(-time / 70_000)) < CRITICAL


def test_trains():
    assert times_of(Trains(3, 1000), 7) == [0, 0, 0, 1000, 1000, 1000, 2000]
    assert times_of(Trains(2, 1000, 999), 4) == [0, 999, 1000, 1999]
    assert Trains(3, 1000).mean_pps == 3 * 10**6


def test_descriptions():
    assert ConstantRate(Fraction(10_000, 3)).description == "3333.333 packets/s"
    assert Poisson(1000).description == "Poisson arrivals, 1000 packets/s"
    assert Trains(32, MS, 67).description == "trains of 32 packets 67ns apart, every 1ms"
    assert Trains(32, MS).description == "trains of 32 packets, every 1ms"
    bursts = Bursts(ConstantRate(1000), 2 * MS, SECOND, is_exponential=True)
    assert bursts.description == "1000 packets/s in bursts, on average 2ms on and 1s off"
    assert Bursts(Poisson(1000), 2 * MS, 1500).description == (
        "Poisson arrivals, 1000 packets/s in bursts, 2ms on and 1500ns off"
    )
    assert rate_text(Fraction(1, 1000)) == "0.001 packets/s"
    assert duration_text(0) == "0ns"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantRate(0), "the rate is 0 packets/s: give a rate from 0.001 to 1000000000"),
        (lambda: ConstantRate(1.5), "the rate is 1.5: give packets a second as a whole number or a Fraction"),
        (lambda: Poisson(10**9 + 1), "the rate is 1000000001 packets/s"),
        (lambda: Poisson(True), "the rate is True"),
        (lambda: Bursts(Poisson(10), 0, 5), "the on time in ns is 0"),
        (lambda: Bursts(Poisson(10), 1, 5), "the on time is 1ns, when 10 packets/s hardly bring a packet"),
        (lambda: Bursts(Poisson(10), 10**9, -1), "the off time in ns is -1"),
        (lambda: Bursts(Poisson(10), 10**9, 1.5), "the off time in ns is 1.5: give a whole number"),
        (lambda: Trains(0, 5), "number of packets of a train is 0"),
        (lambda: Trains(3, 1000, 500), "a train of 3 packets 500ns apart is longer than its interval of 1us"),
        (lambda: Trains(3, 1), "mean rate of trains is 3000000000 packets/s"),
    ],
)
def test_impossible_processes(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)
