"""Packet sizes: in their range, as often as they should be, and the same one by one as in arrays."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import islice
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.kernel.streams import Stream
from wintunsim.network.captures import read_capture
from wintunsim.network.sizes import IMIX, CoalescedSizes, EmpiricalSizes, FixedSize, MixedSizes, UniformSizes

MIXED = Path(__file__).parents[1] / "data" / "tunnel-mixed.pcapng"

ALL = [
    FixedSize(1400),
    UniformSizes(64, 1500),
    UniformSizes(100, 100),
    *(MixedSizes(mix, name) for name, mix in IMIX.items()),
    MixedSizes([(20, 1), (65535, 1000)]),
    CoalescedSizes(),
    CoalescedSizes(1),
    CoalescedSizes(2, 10, 1000),
    EmpiricalSizes([40, 1500, 40, 576]),
    EmpiricalSizes([40, 1500, 40, 576], in_order=True),
]


def sizes_of(sizes, count, seed=1):
    return list(islice(sizes.sizes(Stream(seed, "sizes")), count))


@pytest.mark.parametrize("sizes", ALL, ids=lambda sizes: sizes.description)
def test_sizes_keep_their_range_and_mean(sizes):
    found = sizes_of(sizes, 10_000)
    assert found == sizes_of(sizes, 10_000)
    assert sizes.least_bytes == min(found)
    assert sizes.most_bytes == max(found)
    mean, deviation = float(sizes.mean_bytes), float(np.std(found))
    assert abs(np.mean(found) - mean) <= 4 * deviation / sqrt(len(found)) + 0.5


@pytest.mark.parametrize("sizes", ALL, ids=lambda sizes: sizes.description)
def test_arrays_hold_the_same_sizes(sizes):
    batch = sizes.batch(Stream(7, "sizes"))
    arrays = [batch.take(count) for count in (0, 3, 8193, 1, 0, 9000)]
    assert all(array.dtype == np.int64 for array in arrays)
    assert np.concatenate(arrays).tolist() == sizes_of(sizes, 17_197, seed=7)


@settings(deadline=None, max_examples=40)
@given(
    mix=st.lists(st.tuples(st.integers(20, 65535), st.integers(1, 10**6)), min_size=1, max_size=8),
    counts=st.lists(st.integers(0, 40), max_size=4),
    seed=st.integers(0, 2**64),
)
def test_any_mix_is_the_same_in_arrays(mix, counts, seed):
    sizes = MixedSizes(mix)
    batch = sizes.batch(Stream(seed, "sizes"))
    found = [number for count in counts for number in batch.take(count).tolist()]
    assert found == sizes_of(sizes, len(found), seed)
    assert set(found) <= {size for size, _ in mix}


def test_imix_is_7_to_4_to_1():
    found = Counter(sizes_of(MixedSizes(IMIX["imix"]), 24_000))
    expected = {40: 14_000, 576: 8000, 1500: 2000}
    assert found.keys() == expected.keys()
    chi_square = sum((found[size] - number) ** 2 / number for size, number in expected.items())
    assert chi_square < 9.21  # 99 of 100 with two degrees of freedom
    assert MixedSizes(IMIX["imix"]).mean_bytes == Fraction(7 * 40 + 4 * 576 + 1500, 12)


def test_uniform_sizes_are_even():
    found = Counter(sizes_of(UniformSizes(64, 73), 20_000))
    assert sorted(found) == list(range(64, 74))
    assert sum((number - 2000) ** 2 / 2000 for number in found.values()) < 21.67  # nine degrees of freedom


def test_sizes_are_the_same_for_ever():
    assert sizes_of(UniformSizes(64, 1500), 5, seed=0) == UNIFORM
    assert sizes_of(MixedSizes(IMIX["imix"]), 8, seed=0) == MIX


UNIFORM = [582, 1277, 80, 114, 1192]
MIX = [40, 576, 40, 40, 576, 576, 576, 576]


def test_coalesced_segments_are_as_many_as_fit():
    assert sizes_of(CoalescedSizes(), 2) == [64_280, 64_280]
    assert (CoalescedSizes().segments_most, CoalescedSizes(segment_bytes=1440).segments_most) == (44, 45)
    assert CoalescedSizes(1, 44).mean_bytes == 40 + Fraction(45, 2) * 1460
    assert {(size - 40) % 1000 for size in sizes_of(CoalescedSizes(2, 10, 1000), 200)} == {0}


def test_the_sizes_of_a_capture():
    sizes = EmpiricalSizes.of_capture(MIXED, in_order=True)
    expected = [len(packet.data) for packet in read_capture(MIXED)]
    assert sizes_of(sizes, len(expected) + 1) == [*expected, expected[0]]
    assert sizes.description == f"{len(expected)} sizes of tunnel-mixed.pcapng in order"
    drawn = EmpiricalSizes.of_capture(MIXED)
    assert set(sizes_of(drawn, 1000)) <= set(expected)
    assert drawn.description.endswith("tunnel-mixed.pcapng by chance")


def test_descriptions():
    assert [sizes.description for sizes in ALL[:4]] == [
        "1400 bytes",
        "64 to 1500 bytes",
        "100 to 100 bytes",
        "imix of 40/576/1500 bytes",
    ]
    assert MixedSizes([(40, 1)]).description == "a mix of 40 bytes"
    assert CoalescedSizes().description == "44 coalesced segments of 1460 bytes"
    assert CoalescedSizes(1).description == "1 to 44 coalesced segments of 1460 bytes"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedSize(19), "the packet size is 19: give a number from 20 to 65535"),
        (lambda: FixedSize(65536), "the packet size is 65536"),
        (lambda: FixedSize(100.0), "the packet size is 100.0: give a whole number"),
        (lambda: UniformSizes(100, 99), "the largest packet size is 99: give a number from 100 to 65535"),
        (lambda: MixedSizes([]), "a mix of sizes is empty"),
        (lambda: MixedSizes([(40, 0)]), "a weight of the mix is 0"),
        (lambda: MixedSizes([(10, 1)]), "a packet size of the mix is 10"),
        (lambda: CoalescedSizes(0), "the smallest number of segments is 0"),
        (lambda: CoalescedSizes(5, 4), "the smallest number of segments is 5: give a number from 1 to 4"),
        (lambda: CoalescedSizes(1, 45), "the largest number of segments is 45: give a number from 1 to 44"),
        (lambda: CoalescedSizes(segment_bytes=65496), "the segment size is 65496"),
        (lambda: EmpiricalSizes([]), "a list of packet sizes is empty"),
        (lambda: EmpiricalSizes([1]), "a packet size of the list is 1"),
        (lambda: EmpiricalSizes.of_capture("no-such.pcap"), "no-such.pcap cannot be read"),
    ],
)
def test_impossible_sizes(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)
