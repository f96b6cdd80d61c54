"""What the recorder records, taken from one record after the other: the oracle of its tests."""

from __future__ import annotations

import numpy as np

from wintun_model.trace import RECORD_LENGTH, Kind
from wintunsim import UsageError
from wintunsim.experiments import recorder
from wintunsim.experiments.result import Moments, Series, Steps


class PlainStepsRecorder:
    """Collects `Steps`: when there are more than `STEPS_MAX` entries, the spans that they stand for become longer."""

    def __init__(self) -> None:
        self.span_ns = 1
        self.value = 0
        """What it is now."""
        self._rows: list[tuple[int, int, int, int]] = []
        """(number of the span, least, most, last)."""

    def add(self, time_ns: int, value: int) -> None:
        """It changed to `value`. Times never go back."""
        rows, place = self._rows, time_ns // self.span_ns
        self.value = value
        if rows and rows[-1][0] == place:
            _, least, most, _ = rows[-1]
            rows[-1] = (place, min(least, value), max(most, value), value)
            return
        rows.append((place, value, value, value))
        while len(self._rows) > recorder.STEPS_MAX:
            self._merge()

    def _merge(self) -> None:
        self.span_ns *= 2
        merged: list[tuple[int, int, int, int]] = []
        for place, least, most, last in self._rows:
            place //= 2
            if merged and merged[-1][0] == place:
                _, least_before, most_before, _ = merged[-1]
                merged[-1] = (place, min(least_before, least), max(most_before, most), last)
            else:
                merged.append((place, least, most, last))
        self._rows = merged

    def steps(self) -> Steps:
        """What was collected."""
        table = np.array(self._rows, dtype=np.int64).reshape(-1, 4)
        return Steps(
            times_ns=table[:, 0] * self.span_ns,
            least=table[:, 1],
            most=table[:, 2],
            last=table[:, 3],
            span_ns=self.span_ns,
        )


class PlainRecorder:
    """Reads the trace as it grows: what is in the rings, what is dropped, and all of it inside of a window."""

    def __init__(self, system, device, window_ns) -> None:
        self.port = device.port
        self.trace = system.machine.trace
        self.window_ns = window_ns
        self.send, self.receive, self.dropped = PlainStepsRecorder(), PlainStepsRecorder(), PlainStepsRecorder()
        self._drops = 0
        self._moments: list[list[int]] = []
        self._content_before: tuple[int, int] | None = None
        self._words: dict[int, tuple[PlainStepsRecorder, list[int], int, int]] = {}
        """Of each word Head or Tail: what it changes, the ring's [Head, Tail], which of the two it is, the mask."""
        self.trace.add_sink(self.take)

    def take(self, records: memoryview) -> None:
        """Take a batch of whole records, flattened."""
        if len(self._words) < 4:
            self._find_words()
        records = records.tolist()
        first, last = self.window_ns or (1, 0)
        for start in range(0, len(records), RECORD_LENGTH):
            time_ns, _, kind, subject, value, extra = row = records[start : start + RECORD_LENGTH]
            if time_ns >= first and self._content_before is None:
                self._content_before = (self.send.value, self.receive.value)
            if kind == Kind.STORE and subject in self._words:
                steps, ends, place, mask = self._words[subject]
                ends[place] = value
                if max(ends) <= mask:
                    steps.add(time_ns, (ends[1] - ends[0]) & mask)
            elif kind == Kind.COMPLETE and extra:
                self._drops += 1
                self.dropped.add(time_ns, self._drops)
            # One too many is kept, and refused at the end.
            if first <= time_ns <= last and kind != Kind.NAME and len(self._moments) <= recorder.MOMENTS_MAX:
                self._moments.append(row)

    def _find_words(self) -> None:
        """A batch ends when a thread starts, as the driver's reader does before anybody stores into a ring."""
        for monitor, steps in ((self.port.send_monitor, self.send), (self.port.receive_monitor, self.receive)):
            if monitor is not None and monitor.ring.head.number not in self._words:
                ends, mask = [0, 0], monitor.capacity - 1
                self._words[monitor.ring.head.number] = (steps, ends, 0, mask)
                self._words[monitor.ring.tail.number] = (steps, ends, 1, mask)

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
        if len(self._moments) > recorder.MOMENTS_MAX:
            raise UsageError(
                f"the window from {self.window_ns[0]} to {self.window_ns[1]} ns has more than {recorder.MOMENTS_MAX} "
                "records of the trace: choose a shorter one"
            )
        records = np.array(self._moments, dtype=np.int64).reshape(-1, RECORD_LENGTH)
        return Moments(
            from_ns=self.window_ns[0],
            to_ns=self.window_ns[1],
            records=records,
            names=tuple(self.trace.names),
            content_bytes=self._content_before or (self.send.value, self.receive.value),
            capacity_bytes=self.port.send.capacity_bytes,
        )
