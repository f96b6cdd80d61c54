"""Sizes, offsets, records and control codes (spec driver §1)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model import abi
from wintun_model.abi import RegisterRings, RingDescription

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)


def test_the_ring_header():
    assert (abi.HEAD_OFFSET, abi.TAIL_OFFSET, abi.ALERTABLE_OFFSET, abi.RING_HEADER_BYTES) == (0, 4, 8, 12)
    assert (abi.PACKET_HEADER_BYTES, abi.ALIGNMENT) == (4, 4)


def test_the_limits():
    assert abi.MAX_PACKET_BYTES == 0xFFFF
    assert abi.TRAILING_BYTES == 0x10000
    assert abi.MIN_RING_CAPACITY == 128 * 1024
    assert abi.MAX_RING_CAPACITY == 64 * 1024 * 1024


def test_the_control_codes():
    assert abi.TUN_IOCTL_REGISTER_RINGS == 0xCA6CE5C0
    assert abi.TUN_IOCTL_FORCE_CLOSE_HANDLES == 0xCA6CE5C7
    assert abi.control_code(0x22, 0x800, 0, 0) == 0x222000


@given(u32, u64, u64, u32, u64, u64)
def test_the_record_of_a_64_bit_client(size1, ring1, event1, size2, ring2, event2):
    data = bytearray(48)
    struct.pack_into("<I", data, 0, size1)
    struct.pack_into("<Q", data, 8, ring1)
    struct.pack_into("<Q", data, 16, event1)
    struct.pack_into("<I", data, 24, size2)
    struct.pack_into("<Q", data, 32, ring2)
    struct.pack_into("<Q", data, 40, event2)
    expected = RegisterRings(RingDescription(size1, ring1, event1), RingDescription(size2, ring2, event2))
    assert abi.REGISTER_RINGS_BYTES == 48
    assert RegisterRings.from_bytes(bytes(data)) == expected
    assert expected.to_bytes() == bytes(data)


@given(st.lists(u32, min_size=6, max_size=6))
def test_the_record_of_a_32_bit_client(fields):
    data = bytearray(24)
    for offset, value in zip((0, 4, 8, 12, 16, 20), fields, strict=True):
        struct.pack_into("<I", data, offset, value)
    assert abi.REGISTER_RINGS_32_BYTES == 24
    assert RegisterRings.from_bytes(bytes(data)) == RegisterRings(
        RingDescription(*fields[:3]), RingDescription(*fields[3:])
    )


@given(st.binary(min_size=8, max_size=8))
def test_padding_of_the_record_is_not_looked_at(padding):
    record = RegisterRings(RingDescription(1, 2, 3), RingDescription(4, 5, 6))
    data = bytearray(record.to_bytes())
    data[4:8], data[28:32] = padding[:4], padding[4:]
    assert RegisterRings.from_bytes(bytes(data)) == record


@pytest.mark.parametrize("size", [0, 23, 25, 47, 49])
def test_a_record_of_another_size_is_an_error(size):
    with pytest.raises(struct.error):
        RegisterRings.from_bytes(bytes(size))
