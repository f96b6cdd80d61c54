"""The trace: what happened, in order, as fixed-width integer records; its canonical encoding and digest (design §3).

A record is six signed 64-bit integers, little-endian: time_ns, thread, kind, subject, value, extra. What `subject`,
`value` and `extra` mean is told by `FIELDS`. Threads and subjects are numbers that a ``NAME`` record (followed by the
name's UTF-8 bytes) introduced before. So the stream, and its SHA-256, hold no host address, pointer or process id.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from wintun_model.errors import ModelError

RECORD_LENGTH = 6
"""Integers in one record."""

_FLUSH_AT = RECORD_LENGTH * 2048


class Kind(IntEnum):
    """What a record tells."""

    NAME = 0
    STORE = 1
    SET = 2
    CLEAR = 3
    WAIT = 4
    WAKE = 5
    REQUEST = 6
    STATUS = 7
    THREAD_START = 8
    THREAD_END = 9
    SEND = 10
    COMPLETE = 11
    RECEIVE = 12
    RETURN = 13
    LINK = 14
    OPEN = 15
    CLOSE = 16
    PROCESS_START = 17
    PROCESS_END = 18
    COMMAND = 19
    PAYLOAD = 20


FIELDS: dict[Kind, tuple[str, str, str]] = {
    Kind.NAME: ("number", "length_bytes", ""),
    Kind.STORE: ("word", "value", "old"),
    Kind.SET: ("event", "was_set", ""),
    Kind.CLEAR: ("event", "", ""),
    Kind.WAIT: ("object", "objects", "deadline_ns"),
    Kind.WAKE: ("object", "index", ""),
    Kind.REQUEST: ("device", "code", "length_bytes"),
    Kind.STATUS: ("device", "status", "information"),
    Kind.THREAD_START: ("started", "priority", ""),
    Kind.THREAD_END: ("ended", "exit_code", ""),
    Kind.SEND: ("source", "packet", "length_bytes"),
    Kind.COMPLETE: ("source", "packet", "status"),
    Kind.RECEIVE: ("adapter", "packet", "length_bytes"),
    Kind.RETURN: ("adapter", "packet", "status"),
    Kind.LINK: ("adapter", "connected", ""),
    Kind.OPEN: ("device", "access", ""),
    Kind.CLOSE: ("device", "", ""),
    Kind.PROCESS_START: ("process", "", ""),
    Kind.PROCESS_END: ("process", "exit_code", ""),
    Kind.COMMAND: ("command", "exit_code", ""),
    Kind.PAYLOAD: ("number", "length_bytes", ""),
}
"""The names of `subject`, `value` and `extra` of each kind; empty where a field is always 0."""

Sink = Callable[[memoryview], None]
"""Takes a batch of whole records, flattened: a sequence of integers, which as memory are signed 64-bit ones (format
"q"), so that numpy takes them as they are. They are there during the call: a sink copies what it keeps."""


class Trace:
    """Collects records, hashes their canonical encoding, and hands them to sinks in batches.

    `record` is the flattened buffer's `extend`: call it with one tuple of `RECORD_LENGTH` integers. It is on the hot
    path, hence no method around it; `checkpoint` must be called now and then to keep the buffer small. With `is_kept`
    false nothing is collected: there are names and numbers, but neither records nor a digest.
    """

    def __init__(self, *, is_kept: bool = True) -> None:
        self.is_kept = is_kept
        self._buffer: list[int] = []
        self._hash = hashlib.sha256() if is_kept else None
        self._sinks: list[Sink] = []
        self.names: list[str] = ["-"]
        self.record: Callable[[tuple[int, int, int, int, int, int]], None] = (
            self._buffer.extend if is_kept else deque[Any](maxlen=0).append
        )
        """Takes one record. A deque that holds nothing is the quickest way to forget one."""
        self.records_count = 0

    def add_sink(self, sink: Sink) -> None:
        """Have `sink` called with every batch of records from now on. ModelError for a trace that is not kept."""
        if not self.is_kept:
            raise ModelError("a trace that is not kept can be handed to nobody")
        self.flush()
        self._sinks.append(sink)

    def leave_out_digest(self) -> None:
        """Go without a digest, which takes longer than handing records to sinks."""
        self._hash = None

    def define(self, name: str, time_ns: int = 0) -> int:
        """Give `name` a number and note it in the stream. Every call gives a new number; numbers start at 1."""
        number = len(self.names)
        self.names.append(name)
        encoded = name.encode()
        self.record((time_ns, 0, Kind.NAME, number, len(encoded), 0))
        self._append_bytes(encoded)
        return number

    def payload(self, time_ns: int, number: int, payload: bytes) -> None:
        """Note the SHA-256 of a payload that is seen for the first time, under its number."""
        self.record((time_ns, 0, Kind.PAYLOAD, number, len(payload), 0))
        self._append_bytes(hashlib.sha256(payload).digest())

    def _append_bytes(self, data: bytes) -> None:
        if self.is_kept:
            self.flush()
            if self._hash is not None:
                self._hash.update(data)

    def checkpoint(self) -> None:
        """Flush when the buffer has grown large."""
        if len(self._buffer) >= _FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        """Hash and hand on what is buffered."""
        buffer = self._buffer
        if buffer:
            self._take(struct.pack(f"<{len(buffer)}q", *buffer))
            buffer.clear()

    def add_encoded(self, records: bytes | memoryview) -> None:
        """Add whole records in their canonical encoding, many at a time."""
        if not self.is_kept:
            return
        self.flush()
        self._take(records)

    def _take(self, records: bytes | memoryview) -> None:
        if self._hash is not None:
            self._hash.update(records)
        self.records_count += len(records) // (8 * RECORD_LENGTH)
        if self._sinks:
            flattened = _integers(records)
            for sink in self._sinks:
                sink(flattened)

    def digest(self) -> str:
        """The SHA-256 of the stream so far, in hexadecimal; empty when the stream is not kept, or has no digest."""
        self.flush()
        return self._hash.hexdigest() if self._hash is not None else ""


def _integers(encoded: bytes | memoryview) -> memoryview:
    """The integers of canonical encodings, in place where computers have them in the same form."""
    if sys.byteorder == "little":
        return memoryview(encoded).cast("q")
    return memoryview(array("q", struct.unpack(f"<{len(encoded) // 8}q", encoded)))
