"""The trace's canonical encoding and digest (design §3)."""

import hashlib
import struct
import sys
from array import array
from types import SimpleNamespace

import pytest

from wintun_model.errors import ModelError
from wintun_model.trace import FIELDS, RECORD_LENGTH, Kind, Trace


def encoded(*records):
    return b"".join(struct.pack("<6q", *record) for record in records)


def test_the_digest_of_nothing():
    assert Trace().digest() == hashlib.sha256(b"").hexdigest()


def test_the_canonical_encoding_is_six_little_endian_integers_a_record():
    trace = Trace()
    records = [(0, 1, Kind.STORE, 2, 0xFFFFFFFF, 0), (2**62, 1, Kind.WAIT, 3, 2, -1)]
    for record in records:
        trace.record(record)
    assert trace.digest() == hashlib.sha256(encoded(*records)).hexdigest()
    assert trace.records_count == 2


def test_names_are_numbered_in_order_and_stand_in_the_stream():
    trace = Trace()
    assert [trace.define("send.Tail"), trace.define("Häuschen", 7)] == [1, 2]
    assert trace.names == ["-", "send.Tail", "Häuschen"]
    expected = encoded((0, 0, 0, 1, 9, 0)) + b"send.Tail" + encoded((7, 0, 0, 2, 9, 0)) + "Häuschen".encode()
    assert trace.digest() == hashlib.sha256(expected).hexdigest()


def test_a_payload_is_noted_by_its_hash():
    trace = Trace()
    trace.payload(5, 3, b"packet")
    expected = encoded((5, 0, Kind.PAYLOAD, 3, 6, 0)) + hashlib.sha256(b"packet").digest()
    assert trace.digest() == hashlib.sha256(expected).hexdigest()


def test_sinks_get_every_record_from_then_on_in_batches():
    trace, seen = Trace(), []
    trace.record((0, 0, Kind.SET, 1, 0, 0))
    trace.add_sink(lambda records: seen.extend(list(records)))
    trace.record((1, 0, Kind.SET, 1, 0, 0))
    trace.record((2, 0, Kind.CLEAR, 1, 0, 0))
    assert seen == []
    trace.flush()
    assert seen == [1, 0, Kind.SET, 1, 0, 0, 2, 0, Kind.CLEAR, 1, 0, 0]
    trace.flush()
    assert len(seen) == 2 * RECORD_LENGTH


def test_sinks_and_batches_do_not_change_the_digest():
    plain, batched = Trace(), Trace()
    batched.add_sink(lambda records: None)
    for number in range(3000):
        plain.record((number, 0, Kind.SEND, 1, number, 20))
        batched.record((number, 0, Kind.SEND, 1, number, 20))
        batched.checkpoint()
    assert batched.records_count > 0
    assert plain.records_count == 0
    assert plain.digest() == batched.digest()
    assert plain.records_count == batched.records_count == 3000


def test_encoded_records_are_added_as_if_one_by_one():
    one_by_one, at_once = Trace(), Trace()
    seen = {one_by_one: [], at_once: []}
    for trace, found in seen.items():
        trace.add_sink(found.extend)
    records = [(number, 1, int(Kind.SEND), 1, number, -1) for number in range(5)]
    for record in records:
        one_by_one.record(record)
    at_once.record(records[0])
    at_once.add_encoded(encoded(*records[1:]))
    assert one_by_one.digest() == at_once.digest()
    assert one_by_one.records_count == at_once.records_count == 5
    assert seen[one_by_one] == seen[at_once] == [field for record in records for field in record]


def test_a_trace_that_is_not_kept_has_names_only():
    trace = Trace(is_kept=False)
    assert trace.define("send.Tail") == 1
    trace.record((0, 1, Kind.STORE, 1, 8, 0))
    trace.payload(5, 3, b"packet")
    trace.add_encoded(encoded((0, 1, Kind.STORE, 1, 8, 0)))
    assert trace.names == ["-", "send.Tail"]
    assert (trace.digest(), trace.records_count) == ("", 0)
    with pytest.raises(ModelError, match="not kept"):
        trace.add_sink(lambda records: None)


def test_a_trace_without_a_digest_hands_on_all_the_same():
    plain, without = Trace(), Trace()
    without.leave_out_digest()
    seen = {plain: [], without: []}
    for trace, found in seen.items():
        trace.add_sink(found.extend)
        trace.define("send.Tail")
        trace.payload(5, 3, b"packet")
        trace.record((0, 1, Kind.STORE, 1, 8, 0))
        trace.add_encoded(encoded((0, 1, Kind.STORE, 1, 16, 8)))
    assert (without.digest(), without.records_count) == ("", plain.records_count)
    assert plain.digest()
    assert seen[plain] == seen[without]


@pytest.mark.parametrize("byteorder", [sys.byteorder, "big"])
def test_sinks_get_integers_of_64_bits_in_the_computers_own_form(monkeypatch, byteorder):
    monkeypatch.setattr("wintun_model.trace.sys", SimpleNamespace(byteorder=byteorder))
    trace, seen = Trace(), []
    trace.add_sink(lambda records: seen.append((records.format, records.nbytes, array("q", records.tobytes()))))
    records = [(2**62, 1, Kind.WAIT, 3, 2, -1), (2**62 + 1, 1, Kind.WAKE, 3, 0, 0)]
    for record in records:
        trace.record(record)
    trace.flush()
    trace.add_encoded(encoded(records[0]))
    trace.add_encoded(memoryview(encoded(records[1])))
    first, second = (array("q", record) for record in records)
    assert seen == [("q", 96, first + second), ("q", 48, first), ("q", 48, second)]


@pytest.mark.parametrize("index", range(RECORD_LENGTH))
def test_every_field_counts(index):
    trace, other = Trace(), Trace()
    record = [1, 2, Kind.STORE, 4, 5, 6]
    trace.record(tuple(record))
    record[index] += 1
    other.record(tuple(record))
    assert trace.digest() != other.digest()


def test_every_kind_has_names_for_its_fields_and_a_number_of_its_own():
    assert set(FIELDS) == set(Kind)
    assert [kind.value for kind in Kind] == list(range(len(Kind)))
    assert all(len(names) == 3 and names[0] for names in FIELDS.values())
