"""What a run was like over virtual time, from the trace as it grows: a batch of records at a time, with numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wintun_model.trace import RECORD_LENGTH, Kind
from wintunsim.errors import UsageError
from wintunsim.experiments.result import Moments, Series, Steps
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.monitor import RingMonitor
from wintunsim.kernel.system import System

Integers = npt.NDArray[np.int64]

STEPS_MAX = 4096
"""How many entries one of a run's `Steps` has, at most."""
MOMENTS_MAX = 20_000
"""How many records a window may hold."""


class StepsRecorder:
    """Collects `Steps`: when there are more than `STEPS_MAX` entries, the spans that they stand for become longer."""

    def __init__(self) -> None:
        self.value = 0
        """What it is now."""
        self._span_ns = 1
        self._entries: Integers = np.empty((4, 0), dtype=np.int64)
        """Four rows: numbers of the spans, least, most, last."""
        self._changes: list[tuple[Integers, Integers]] = []
        """Times and values that are not among the entries yet."""
        self._changes_count = 0

    def add(self, times_ns: Integers, values: Integers) -> None:
        """It changed to each of `values` at its time. Times never go back."""
        if not len(values):
            return
        self.value = int(values[-1])
        self._changes.append((times_ns, values))
        self._changes_count += len(values)
        # Entries are gone through as a whole, hence for many changes at once.
        if self._changes_count >= 4 * STEPS_MAX:
            self._take_in()

    def _take_in(self) -> None:
        times, values = (np.concatenate(parts) for parts in zip(*self._changes, strict=True))
        self._changes, self._changes_count = [], 0
        more = np.stack((times // self._span_ns, values, values, values))
        entries = _merged(np.concatenate((self._entries, more), axis=1))
        while entries.shape[1] > STEPS_MAX:
            self._span_ns *= 2
            entries[0] //= 2
            entries = _merged(entries)
        self._entries = entries

    def steps(self) -> Steps:
        """What was collected."""
        if self._changes:
            self._take_in()
        places, least, most, last = self._entries
        return Steps(times_ns=places * self._span_ns, least=least, most=most, last=last, span_ns=self._span_ns)


def _merged(entries: Integers) -> Integers:
    """Neighbours of the same span as one entry."""
    places, least, most, last = entries
    begins = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
    ends = np.append(begins[1:], len(places)) - 1
    return np.stack((places[begins], np.minimum.reduceat(least, begins), np.maximum.reduceat(most, begins), last[ends]))


class ContentRecorder:
    """What is in one ring, from the stores into its words."""

    def __init__(self, monitor: RingMonitor, steps: StepsRecorder) -> None:
        self._steps = steps
        self._words = monitor.ring.head.number, monitor.ring.tail.number
        self._mask = monitor.capacity - 1
        self._ends = 0, 0
        """Head and Tail."""

    def take(self, stores: Integers) -> None:
        """Take records of stores, into other words too. There is no content while an end is outside of the ring."""
        head, tail = self._words
        words = stores[:, 3]
        own = stores.compress((words == head) | (words == tail), axis=0)
        if not len(own):
            return
        is_head = own[:, 3] == head
        heads, tails = (_latest(own[:, 4], *end) for end in zip((is_head, ~is_head), self._ends, strict=True))
        self._ends = int(heads[-1]), int(tails[-1])
        inside = np.maximum(heads, tails) <= self._mask
        self._steps.add(own[:, 0].compress(inside), ((tails - heads) & self._mask).compress(inside))


def _latest(values: Integers, mine: npt.NDArray[np.bool_], before: int) -> Integers:
    """At each place the latest value that is `mine`; `before`, until there is one."""
    latest: Integers = np.append(before, values.compress(mine))[mine.cumsum()]
    return latest


class Recorder:
    """Reads the trace as it grows: what is in the rings, what is dropped, and all of it inside of a window."""

    def __init__(self, system: System, device: AdapterDevice, window_ns: tuple[int, int] | None) -> None:
        self.port = device.port
        self.trace = system.machine.trace
        self.window_ns = window_ns
        self.send, self.receive, self.dropped = StepsRecorder(), StepsRecorder(), StepsRecorder()
        self._rings: dict[int, ContentRecorder] = {}
        """By the number of their word Head."""
        self._moments: list[Integers] = []
        self._moments_count = 0
        self._content_before: tuple[int, int] | None = None
        self.trace.add_sink(self.take)

    def take(self, records: memoryview) -> None:
        """Take a batch of whole records, flattened."""
        if len(self._rings) < 2:
            self._find_rings()
        rows = np.asarray(records).reshape(-1, RECORD_LENGTH)
        if self.window_ns is not None:
            rows = self._take_moments(rows, *self.window_ns)
        self._take_changes(rows)

    def _take_moments(self, rows: Integers, first_ns: int, last_ns: int) -> Integers:
        """Keep what is in the window; the rows whose changes have not been taken yet."""
        times = rows[:, 0]
        is_late = times >= first_ns
        if self._moments_count <= MOMENTS_MAX:
            # One too many is kept, and refused at the end.
            inside = np.flatnonzero(is_late & (times <= last_ns) & (rows[:, 2] != Kind.NAME))
            self._moments.append(rows[inside[: MOMENTS_MAX + 1 - self._moments_count]])
            self._moments_count += len(self._moments[-1])
        if self._content_before is None and is_late.any():
            begin = int(is_late.argmax())
            self._take_changes(rows[:begin])
            self._content_before = (self.send.value, self.receive.value)
            rows = rows[begin:]
        return rows

    def _take_changes(self, rows: Integers) -> None:
        kinds = rows[:, 2]
        stores = rows.compress(kinds == int(Kind.STORE), axis=0)
        for ring in self._rings.values():
            ring.take(stores)
        completed = rows.compress(kinds == int(Kind.COMPLETE), axis=0)
        drops = completed[completed[:, 5] != 0, 0]
        self.dropped.add(drops, self.dropped.value + np.arange(1, len(drops) + 1))

    def _find_rings(self) -> None:
        """A batch ends when a thread starts, as the driver's reader does before anybody stores into a ring."""
        for monitor, steps in ((self.port.send_monitor, self.send), (self.port.receive_monitor, self.receive)):
            if monitor is not None and monitor.ring.head.number not in self._rings:
                self._rings[monitor.ring.head.number] = ContentRecorder(monitor, steps)

    def series(self) -> Series:
        """What was collected over the whole run."""
        return Series(
            send_content=self.send.steps(),
            receive_content=self.receive.steps(),
            dropped=self.dropped.steps(),
            capacity_bytes=self.port.send.capacity_bytes,
        )

    def moments(self) -> Moments | None:
        """The window. UsageError when too much happened in it."""
        if self.window_ns is None:
            return None
        if self._moments_count > MOMENTS_MAX:
            raise UsageError(
                f"the window from {self.window_ns[0]} to {self.window_ns[1]} ns has more than {MOMENTS_MAX} records of "
                "the trace: choose a shorter one"
            )
        nothing = np.empty((0, RECORD_LENGTH), dtype=np.int64)
        return Moments(
            from_ns=self.window_ns[0],
            to_ns=self.window_ns[1],
            records=np.concatenate((nothing, *self._moments)),
            names=tuple(self.trace.names),
            content_bytes=self._content_before or (self.send.value, self.receive.value),
            capacity_bytes=self.port.send.capacity_bytes,
        )
