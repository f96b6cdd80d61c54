"""The driver's reader thread, run ahead over the packets that the client wrote."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wintun_model.errors import ModelError
from wintun_model.trace import Kind
from wintunsim.experiments.fast.ahead import Looking, seen_times
from wintunsim.experiments.fast.rows import READER, Rows
from wintunsim.experiments.fast.sender import Taken
from wintunsim.experiments.fast.state import Restorable
from wintunsim.experiments.fast.timings import Timings
from wintunsim.kernel.devices import AdapterDevice

Integers = NDArray[np.int64]


class Reader(Restorable):
    """Runs the reader ahead. `start_ns` is when its thread starts, `rows` takes its records."""

    def __init__(self, timings: Timings, device: AdapterDevice, start_ns: int, rows: Rows, until_ns: int) -> None:
        t = self._t = timings.read
        self._wake = timings.wake
        self._rows = rows
        self._until_ns = until_ns
        port = device.port
        assert port.receive_monitor is not None
        ring = port.receive_monitor.ring
        self._mask = ring.capacity - 1
        self._adapter_number = port.trace_number
        self._head, self._alertable = ring.head.number, ring.alertable.number
        self._empty = rows.object_number(device.adapter.receive_empty)
        self._moved = rows.object_number(ring.tail_moved)
        self._disconnected = rows.object_number(device.adapter.disconnected)
        self._looking = Looking(t.spins, t.spin_limit, 0, t.notices, sees_ties=True)
        self.look_ns = start_ns + t.begins
        """When it loads Tail next."""
        self.returned = Taken()
        self.received = 0
        self._number = 0
        self._offset = 0
        self._times = self._sizes = np.empty(0, dtype=np.int64)
        self.latencies: list[Integers] = []
        self.spin_limit = t.spin_limit
        self.lowered_ns = -1
        """Until when Alertable stays raised, since it was last."""
        self._spent_ns = -1
        """Up to when sets of the event are spent by the wait or the clear that came last."""
        self._is_set = False

    def add(self, times: Integers, sizes: Integers) -> None:
        """The client publishes packets of these sizes at these times; nobody is to be woken for them."""
        self._times = np.concatenate((self._times, times))
        self._sizes = np.concatenate((self._sizes, sizes))

    def advance(self) -> None:
        """Read all packets that were added."""
        times, sizes = self._times, self._sizes
        while len(times):
            spacing = np.full(len(times), self._t.next, dtype=np.int64)
            seen = seen_times(times, spacing, self.look_ns, self._looking)
            count = len(seen)
            if count:
                self._read(seen, times[:count], sizes[:count])
            if not count:
                raise ModelError("the reader waits for a packet that was taken not to be waited for")
            times, sizes = times[count:], sizes[count:]
        self._times, self._sizes = times, sizes

    def take(self, time_ns: int, size: int, looked_ns: int) -> int:
        """Read one packet after all that were added; the reader may have given up spinning for it.

        The client loads Alertable at `looked_ns`. If it finds it raised it sets the event, and the answer is whether
        that is set already, as 0 or 1; else it is -1.
        """
        t, records = self._t, list[tuple[int, int, int, int, int]]()
        look_ns, was_set = self.look_ns, -1
        while True:
            spin_ns = look_ns + t.spins
            if time_ns <= look_ns:
                seen = look_ns
                break
            if time_ns <= spin_ns + t.spin_limit:
                seen = spin_ns if time_ns <= spin_ns else time_ns + t.notices
                break
            raised = spin_ns + t.spin_limit + t.alertable
            looks = raised + t.looks
            records.append((raised, int(Kind.STORE), self._alertable, 1, 0))
            if time_ns <= looks:
                # It finds the packet after all.
                self.lowered_ns = lowered = looks + t.lowers
                self._spent_ns = seen = lowered + t.clears
                records.append((lowered, int(Kind.STORE), self._alertable, 0, 1))
                if raised < looked_ns <= lowered:
                    was_set = int(self._is_set)
                if self._is_set or was_set >= 0:
                    records.append((seen, int(Kind.CLEAR), self._moved, 0, 0))
                self._is_set = False
                break
            wakes = waits = looks + t.waits
            self._spent_ns = waits
            if self._is_set:
                # A set that nobody waited for ends this wait.
                lowered = waits + t.woken
                if looked_ns <= lowered:
                    was_set = int(looked_ns <= waits)
                self._is_set = waits < looked_ns <= lowered
            else:
                was_set = 0
                if looked_ns > waits:
                    records.append((waits, int(Kind.WAIT), self._disconnected, 2, -1))
                    self._spent_ns = looked_ns
                    wakes = looked_ns + self._wake
                lowered = wakes + t.woken
            self.lowered_ns = lowered
            records.append((wakes, int(Kind.WAKE), self._moved, 1, 0))
            records.append((lowered, int(Kind.STORE), self._alertable, 0, 1))
            look_ns = lowered + t.again
        self._rows.add_list(READER, records)
        self._read(np.array([seen]), np.array([time_ns]), np.array([size]))
        return was_set

    def set_again(self, looked_ns: int) -> int:
        """The client finds Alertable still raised, and sets the event: whether that is set already, as 0 or 1."""
        if looked_ns <= self._spent_ns:
            return 1
        was_set, self._is_set = self._is_set, True
        return int(was_set)

    def end(self) -> None:
        """Nothing comes any more."""
        self.advance()
        self.take(1 << 60, 20, 1 << 60)

    def _read(self, seen: Integers, times: Integers, sizes: Integers) -> None:
        t, rows, count = self._t, self._rows, len(seen)
        stored = sizes + 7 & ~3
        self.look_ns = int(seen[-1]) + t.next
        returned = seen + t.returned
        self.returned.add(returned, stored)
        last = self._offset
        offsets = last + np.cumsum(stored) & self._mask
        self._offset = int(offsets[-1])
        numbers = np.arange(self._number + 1, self._number + 1 + count, dtype=np.int64)
        self._number += count
        indicated = seen + t.indicated
        rows.add(READER, seen + t.empty_cleared, seen + t.empty_cleared, Kind.CLEAR, self._empty, 0, 0)
        rows.add(READER, indicated, indicated, Kind.RECEIVE, self._adapter_number, numbers, sizes)
        rows.add(READER, indicated, indicated, Kind.RETURN, self._adapter_number, numbers, 0)
        rows.add(READER, seen + t.empty_set, seen + t.empty_set, Kind.SET, self._empty, 0, 0)
        before = np.concatenate(([last], offsets[:-1]))
        rows.add(READER, returned, returned, Kind.STORE, self._head, offsets, before)
        self.received += int(np.searchsorted(indicated, self._until_ns, side="right"))
        done = int(np.searchsorted(returned, self._until_ns, side="right"))
        self.latencies.append((returned - times)[:done])
