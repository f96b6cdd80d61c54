"""Records of the trace as arrays: made by each thread on its own, put in order together, hashed in bulk.

A record belongs to the operation that others see before it in its thread; the machine runs these in the order of
(time, start of the thread). So `key` = 4 * that operation's time + the thread's place, and a stable sort is the trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wintun_model.trace import RECORD_LENGTH, Kind, Trace
from wintunsim.experiments.fast.state import Restorable

Integers = NDArray[np.int64]
CLIENT, READER, SENDER = 0, 1, 2
"""Places of the threads, in the order of their start."""
KEYS = 4


class Rows(Restorable):
    """Records that wait for their turn."""

    def __init__(self, trace: Trace, until_ns: int, threads: tuple[int, int, int]) -> None:
        self._trace = trace
        self.is_kept = trace.is_kept
        self._last_key = (until_ns + 1) * KEYS
        self._threads = threads
        self._keys: list[Integers] = []
        self._rows: list[Integers] = []
        self._unnamed: dict[int, Any] = {}
        self._sees_unnamed = False
        """Whether a record waits whose object has no number yet."""
        self._named: dict[int, int] = {}
        """Numbers in the trace by the negative ones that stood for them."""
        self.records = 0

    def object_number(self, target: Any) -> int:
        """The number of an event in the trace; a negative one for an event that has none before its first record."""
        if target.number:
            return int(target.number)
        for number, known in self._unnamed.items():
            if known is target:
                return number
        number = -1 - len(self._unnamed) - len(self._named)
        self._unnamed[number] = target
        return number

    def add(self, place: int, keys_ns: Any, times_ns: Any, kind: Kind, subject: Any, value: Any, extra: Any) -> None:
        """Add records of one thread and kind; `keys_ns` is an array, the other fields arrays or single numbers."""
        if not self.is_kept:
            return
        rows = np.empty((len(keys_ns), RECORD_LENGTH), dtype=np.int64)
        rows[:, 0] = times_ns
        rows[:, 1] = self._threads[place]
        rows[:, 2] = int(kind)
        if isinstance(subject, int) and subject < 0:
            subject = self._named.get(subject, subject)
            self._sees_unnamed |= subject < 0
        rows[:, 3] = subject
        rows[:, 4] = value
        rows[:, 5] = extra
        self._keys.append(keys_ns * KEYS + place)
        self._rows.append(rows)

    def add_list(self, place: int, records: list[tuple[int, int, int, int, int]]) -> None:
        """Add records as (time, kind, subject, value, extra), each at its own time."""
        if records and self.is_kept:
            table = np.array(records, dtype=np.int64)
            rows = np.empty((len(table), RECORD_LENGTH), dtype=np.int64)
            rows[:, 0] = table[:, 0]
            rows[:, 1] = self._threads[place]
            rows[:, 2:] = table[:, 1:]
            if rows[:, 3].min() < 0:
                for number, known in self._named.items():
                    rows[rows[:, 3] == number, 3] = known
                self._sees_unnamed = True
            self._keys.append(table[:, 0] * KEYS + place)
            self._rows.append(rows)

    def flush(self, before_ns: int) -> None:
        """Hand on, in order, all that happens before a time; nobody may add anything to that afterwards."""
        if not self._keys:
            return
        keys = np.concatenate(self._keys)
        order = np.argsort(keys, kind="stable")
        limit = min(before_ns * KEYS, self._last_key)
        keys = keys.take(order)
        count = int(np.searchsorted(keys, limit))
        rows = np.concatenate(self._rows).take(order, axis=0)
        self._keys, self._rows = [keys[count:]], [rows[count:]]
        if not count:
            return
        self.records += count
        rows = rows[:count]
        if self._sees_unnamed:
            self._name(rows)
        else:
            self._hand_on(rows)

    def _hand_on(self, rows: Integers) -> None:
        self._trace.add_encoded(np.ascontiguousarray(rows, dtype="<i8").data.cast("B"))

    def _name(self, rows: Integers) -> None:
        """The same, where objects get their numbers in the order in which they are first seen."""
        while True:
            places = np.flatnonzero(np.isin(rows[:, 3], list(self._unnamed)))
            if not len(places):
                break
            place = int(places[0])
            if place:
                self._hand_on(rows[:place])
            number = int(rows[place, 3])
            target = self._unnamed.pop(number)
            target.number = self._trace.define(target.name, int(rows[place, 0]))
            self._named[number] = target.number
            rows = rows[place:]
            rows[rows[:, 3] == number, 3] = target.number
            for waiting in self._rows:
                waiting[waiting[:, 3] == number, 3] = target.number
        if len(rows):
            self._hand_on(rows)
        self._sees_unnamed = any(bool((waiting[:, 3] < 0).any()) for waiting in self._rows)
