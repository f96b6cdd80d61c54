"""OID requests: every row of the tables of spec driver §7, for every length of buffer."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model.adapter import Adapter, Driver, Statistics
from wintun_model.oids import direct_oid_request, oid_request, statistics_record
from wintun_model.revision import REVISIONS

SUCCESS, NOT_SUPPORTED = 0, 0xC00000BB
INVALID_LENGTH, INVALID_DATA, TOO_SHORT, INVALID_OID = 0xC0010014, 0xC0010015, 0xC0010016, 0xC0010017
QUERY, SET, QUERY_STATISTICS, METHOD = 0, 1, 2, 12
LENGTHS = [0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 15, 151, 152, 153, 4096]

FIXED = {
    0x00010111: struct.pack("<I", 0xFFFF),
    0x0001010A: struct.pack("<I", 0xFFFF),
    0x0001010B: struct.pack("<I", 0xFFFF),
    0x00010108: struct.pack("<I", 0x4000000),
    0x00010109: struct.pack("<I", 0x4000000),
    0x0001010C: b"\xff\xff\xff\0",
    0x0001010D: b"Wintun Tunnel\0",
    0x00010116: struct.pack("<I", 8),
    0x00010209: struct.pack("<BBHII", 0x80, 1, 12, 0, 1),
}
COUNTERS = {0x00020101: "out_unicast_packets", 0x00020102: "in_unicast_packets"}
STATISTICS, QUERY_POWER = 0x00020106, 0xFD010102
SET_4 = [0x0001010E, 0x0001010F, 0xFD010101]
LINK_PARAMETERS, MODERATION = 0x00010208, 0x00010209
KNOWN_QUERIES = {*FIXED, *COUNTERS, STATISTICS, QUERY_POWER}
KNOWN_SETS = {*SET_4, LINK_PARAMETERS, MODERATION}

query_types = pytest.mark.parametrize("request_type", [QUERY, QUERY_STATISTICS])
lengths = pytest.mark.parametrize("length", LENGTHS)


@pytest.fixture
def adapter():
    """An adapter whose counters all differ, and do not fit in 32 bits."""
    made = Adapter("tun")
    for number, name in enumerate(made.statistics.as_dict(), 1):
        setattr(made.statistics, name, number << 32 | number + 100)
    return made


def told(answer):
    return answer.status, answer.data, answer.needed_bytes, answer.read_bytes


@query_types
@lengths
@pytest.mark.parametrize("oid", FIXED, ids=hex)
def test_answers_that_are_always_the_same(adapter, request_type, oid, length):
    data = FIXED[oid]
    answer = told(oid_request(adapter, request_type, oid, length))
    if length < len(data):
        assert answer == (TOO_SHORT, b"", len(data), None)
    else:
        assert answer == (SUCCESS, data, len(data), None)


@pytest.mark.parametrize("name", REVISIONS)
def test_the_driver_version_is_the_revisions(name):
    adapter = Adapter("tun", Driver(REVISIONS[name]))
    major, minor = REVISIONS[name].version
    assert oid_request(adapter, QUERY, 0x00010116, 4).data == struct.pack("<HH", minor, major)


@query_types
@lengths
@pytest.mark.parametrize("oid", COUNTERS, ids=hex)
def test_counters_are_cut_to_what_has_room(adapter, request_type, oid, length):
    data = struct.pack("<Q", getattr(adapter.statistics, COUNTERS[oid]))
    answer = told(oid_request(adapter, request_type, oid, length))
    if length < 4:
        assert answer == (TOO_SHORT, b"", 8, None)
    elif length < 8:
        assert answer == (SUCCESS, data[:4], 8, None)
    else:
        assert answer == (SUCCESS, data, 8, None)


@query_types
@lengths
def test_the_statistics_need_their_whole_record(adapter, request_type, length):
    answer = told(oid_request(adapter, request_type, STATISTICS, length))
    if length < 152:
        assert answer == (TOO_SHORT, b"", 152, None)
    else:
        assert answer == (SUCCESS, statistics_record(adapter.statistics), 152, None)


def test_every_counter_is_at_its_place_in_the_record(adapter):
    fields = struct.unpack("<BBHI18Q", statistics_record(adapter.statistics))
    assert fields[:4] == (0x80, 1, 152, 0x3F87FF)
    counted = adapter.statistics
    assert dict(enumerate(fields[4:])) == {
        **dict.fromkeys(range(18), 0),
        0: counted.in_discards,
        1: counted.in_errors,
        2: counted.in_octets,
        3: counted.in_unicast_packets,
        6: counted.out_octets,
        7: counted.out_unicast_packets,
        10: counted.out_errors,
        11: counted.out_discards,
        12: counted.in_unicast_octets,
        15: counted.out_unicast_octets,
    }


def test_counters_wrap_at_64_bits():
    adapter = Adapter("tun")
    adapter.statistics = Statistics(out_unicast_packets=(1 << 64) + 5, in_octets=1 << 64)
    assert oid_request(adapter, QUERY, 0x00020101, 8).data == struct.pack("<Q", 5)
    assert struct.unpack_from("<Q", statistics_record(adapter.statistics), 8 + 2 * 8) == (0,)


@query_types
@lengths
def test_the_power_query_succeeds_with_nothing(adapter, request_type, length):
    assert told(oid_request(adapter, request_type, QUERY_POWER, length)) == (SUCCESS, b"", 0, None)


@query_types
@lengths
@pytest.mark.parametrize("oid", [*sorted(KNOWN_SETS - KNOWN_QUERIES), 0, 0x00010101, 0xFFFFFFFF], ids=hex)
def test_other_queries_are_not_supported_and_leave_what_is_needed(adapter, request_type, oid, length):
    assert told(oid_request(adapter, request_type, oid, length)) == (NOT_SUPPORTED, b"", None, None)


@lengths
@pytest.mark.parametrize("oid", SET_4, ids=hex)
def test_sets_of_four_bytes(adapter, oid, length):
    answer = told(oid_request(adapter, SET, oid, length))
    assert answer == ((SUCCESS, b"", 0, 4) if length == 4 else (INVALID_LENGTH, b"", 4, 0))


@lengths
def test_link_parameters_are_all_accepted(adapter, length):
    assert told(oid_request(adapter, SET, LINK_PARAMETERS, length)) == (SUCCESS, b"", 0, length)


@lengths
def test_interrupt_moderation_cannot_be_set(adapter, length):
    assert told(oid_request(adapter, SET, MODERATION, length)) == (INVALID_DATA, b"", 0, 0)


@lengths
@pytest.mark.parametrize("oid", [*sorted(KNOWN_QUERIES - KNOWN_SETS), 0, 0xFFFFFFFF], ids=hex)
def test_other_sets_are_not_supported(adapter, oid, length):
    assert told(oid_request(adapter, SET, oid, length)) == (NOT_SUPPORTED, b"", 0, 0)


@pytest.mark.parametrize("request_type", [3, 7, 11, METHOD, 13, -1])
@pytest.mark.parametrize("oid", [0x00010111, 0x0001010E, 0], ids=hex)
def test_other_request_types(adapter, request_type, oid):
    assert told(oid_request(adapter, request_type, oid, 4)) == (INVALID_OID, b"", None, None)


@pytest.mark.parametrize("request_type", range(14))
def test_direct_requests(request_type):
    expected = NOT_SUPPORTED if request_type in (QUERY, SET, QUERY_STATISTICS) else INVALID_OID
    assert told(direct_oid_request(request_type)) == (expected, b"", None, None)


@given(
    st.integers(0, 13),
    st.one_of(st.sampled_from(sorted(KNOWN_QUERIES | KNOWN_SETS)), st.integers(0, 2**32 - 1)),
    st.data(),
)
def test_no_answer_is_longer_than_its_buffer_or_changes_anything(request_type, oid, data):
    adapter = Adapter("tun")
    before = adapter.statistics.as_dict()
    length = data.draw(st.integers(0, 300))
    answer = oid_request(adapter, request_type, oid, length)
    assert len(answer.data) <= length
    assert answer.status in (SUCCESS, NOT_SUPPORTED, INVALID_LENGTH, INVALID_DATA, TOO_SHORT, INVALID_OID)
    assert not (answer.status and answer.data)
    assert answer.read_bytes in (None, 0, 4, length)
    assert adapter.statistics.as_dict() == before
