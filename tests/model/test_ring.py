"""Ring arithmetic (spec driver §1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model.abi import Limits
from wintun_model.ring import (
    align,
    capacity_of,
    content,
    is_valid_capacity,
    ring_bytes_of,
    space,
    stored_bytes,
    wrap,
)

capacities = st.integers(17, 26).map(lambda bits: 1 << bits)
words = st.integers(0, 0xFFFFFFFF)


@given(words)
def test_align_gives_the_next_multiple_of_4_in_32_bits(size):
    aligned = align(size)
    assert aligned % 4 == 0
    assert (aligned - size) % 2**32 < 4


def test_align_wraps_at_32_bits():
    assert align(0xFFFFFFFC) == 0xFFFFFFFC
    assert align(0xFFFFFFFD) == 0


@given(st.integers(-(2**33), 2**33), capacities)
def test_wrap_is_the_remainder(offset, capacity):
    assert wrap(offset, capacity) == offset % capacity


@pytest.mark.parametrize(
    ("size", "stored"), [(0, 4), (1, 8), (4, 8), (5, 12), (20, 24), (1420, 1424), (65533, 0x10004), (65535, 0x10004)]
)
def test_a_packet_takes_its_header_and_data_aligned(size, stored):
    assert stored_bytes(size) == stored


@given(words, words, capacities)
def test_content_and_space_add_up_to_the_capacity_less_4(head, tail, capacity):
    head, tail = wrap(head, capacity) & ~3, wrap(tail, capacity) & ~3
    assert content(head, tail, capacity) + space(head, tail, capacity) == capacity - 4


def test_equal_head_and_tail_mean_an_empty_ring():
    assert content(100, 100, 0x20000) == 0
    assert space(100, 100, 0x20000) == 0x20000 - 4


def test_a_full_ring_lacks_4_bytes():
    assert content(0, 0x20000 - 4, 0x20000) == 0x20000 - 4
    assert space(0, 0x20000 - 4, 0x20000) == 0


@given(capacities)
def test_capacity_and_ring_size_are_inverse(capacity):
    assert ring_bytes_of(capacity) == 12 + capacity + 0x10000
    assert capacity_of(ring_bytes_of(capacity)) == capacity


@given(st.integers(0, 12 + 0x10000 - 1))
def test_a_ring_size_that_is_too_small_gives_a_huge_capacity_which_is_refused(ring_bytes):
    capacity = capacity_of(ring_bytes)
    assert capacity > 2**31
    assert not is_valid_capacity(capacity)


@pytest.mark.parametrize("bits", range(17, 27))
def test_valid_capacities_are_the_powers_of_two_from_128_kib_to_64_mib(bits):
    assert is_valid_capacity(1 << bits)
    assert not is_valid_capacity((1 << bits) - 4)
    assert not is_valid_capacity((1 << bits) + 4)


@pytest.mark.parametrize("capacity", [0, 4, 0x10000, 0x8000000, 0x80000000, 0x30000])
def test_other_capacities_are_not_valid(capacity):
    assert not is_valid_capacity(capacity)


def test_limits_are_a_record_that_may_be_shrunk():
    small = Limits(min_capacity_bytes=64, max_capacity_bytes=128, max_packet_bytes=28)
    assert small.trailing_bytes == 28
    assert ring_bytes_of(64, small) == 12 + 64 + 28
    assert capacity_of(12 + 64 + 28, small) == 64
    assert is_valid_capacity(64, small)
    assert not is_valid_capacity(256, small)
    assert not is_valid_capacity(64)
