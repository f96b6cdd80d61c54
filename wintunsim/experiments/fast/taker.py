"""The client's thread, run ahead over the packets that stand in the send ring: it reads, handles, and may write back.

What a client does that spins, or is busy, is done for many packets at once; each wait is followed on its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wintun_model.trace import Kind
from wintunsim.experiments.client import Client
from wintunsim.experiments.fast.ahead import Looking, seen_times
from wintunsim.experiments.fast.reader import Reader
from wintunsim.experiments.fast.rows import CLIENT, Rows
from wintunsim.experiments.fast.sender import Taken
from wintunsim.experiments.fast.state import Restorable
from wintunsim.experiments.fast.timings import Timings
from wintunsim.kernel.effects import TICK_NS
from wintunsim.kernel.ndis import Port

Integers = NDArray[np.int64]
_STORE, _CLEAR, _WAIT, _WAKE, _SET = (
    int(Kind.STORE), int(Kind.CLEAR), int(Kind.WAIT), int(Kind.WAKE), int(Kind.SET)
)  # fmt: skip
_RUN_LEAST, _RUN_MOST = 16, 4096
_ONE_BY_ONE = 24
NEVER_NS = 1 << 60


class Unable(Exception):
    """The run has come to something that cannot be run ahead: `args` say what."""


class Taker(Restorable):
    """Runs the client ahead. `start_ns` is when it begins to read."""

    def __init__(
        self, timings: Timings, client: Client, port: Port, reader: Reader | None, start_ns: int, rows: Rows, until: int
    ) -> None:
        self._t, self._timings, self._client = timings.client, timings, client
        self._rows, self._until_ns = rows, until
        assert port.send_monitor is not None and port.receive_monitor is not None
        send, receive = port.send_monitor.ring, port.receive_monitor.ring
        self._mask = send.capacity - 1
        self._head, self._alertable, self._tail = send.head.number, send.alertable.number, receive.tail.number
        self._moved = rows.object_number(send.tail_moved)
        self._receive_moved = rows.object_number(receive.tail_moved)
        self.reader = reader
        self._spin_limit = client.reading.spin_ticks * TICK_NS
        self._sleep_ns = client.reading.sleep_ns
        self._tick_after = port.machine.tick_after
        t = self._t
        self._looking = Looking(t.spins, self._spin_limit, t.loads, t.notices + t.loads, sees_ties=False)
        self._room = receive.capacity - 4
        self.begin_ns = start_ns
        """When its next attempt to read begins; nothing of what it does later is known yet."""
        self.taken = Taken()
        self.resets: list[int] = []
        """Times before which all sets of the event are spent, and after which a set finds it clear."""
        self._reset_ns = 0
        self._published_before = -1
        self._written_ns = reader.look_ns if reader is not None else 0
        self._put_in = 0
        self._offset = self._tail_offset = 0
        self.read = self.read_bytes = self.written = self.dropped = self.wakeups = 0
        self.latencies: list[Integers] = []
        self._published = self._sizes = np.empty(0, dtype=np.int64)
        self._extra: list[tuple[int, int, int, int, int]] = []
        self._stretch = 256
        self.is_hopeful = False
        """Whether it writes as if there were room for everything; then `hopes` has what must be true."""
        self.hopes: list[tuple[Integers, Integers]] = []
        self.batched = 0

    def add(self, published: Integers, sizes: Integers) -> None:
        """Packets of these sizes appear in the send ring at these times."""
        self._published = np.concatenate((self._published, published))
        self._sizes = np.concatenate((self._sizes, sizes))

    def advance(self) -> None:
        """Take all packets that were added."""
        place, count = 0, len(self._published)
        while place < count:
            done = self._stretch_of(place)
            if done < _RUN_LEAST:
                self._stretch = max(_RUN_LEAST, self._stretch // 4)
                end = min(count, place + done + _ONE_BY_ONE)
                self._one_by_one(place + done, end)
                place = end
            else:
                self._stretch = min(_RUN_MOST, self._stretch * 4)
                self.batched += done
                place += done
        if count:
            self._published_before = int(self._published[-1])
        self._published, self._sizes = self._published[count:], self._sizes[count:]
        self._rows.add_list(CLIENT, self._extra)
        self._extra = []

    def has_room(self) -> bool:
        """Whether all that was written as if there were room found it."""
        if not self.hopes:
            return True
        assert self.reader is not None
        loaded, put_in = (np.concatenate(part) for part in zip(*self.hopes, strict=True))
        self.hopes = []
        return bool((put_in - self.reader.returned.at(loaded - 1) <= self._room).all())

    def end(self) -> None:
        """Nothing comes any more: it waits."""
        self.add(np.array([NEVER_NS]), np.array([20]))
        self._one_by_one(0, 1)
        self._rows.add_list(CLIENT, self._extra)

    # -- many at once -------------------------------------------------------------------------------------------------

    def _stretch_of(self, place: int) -> int:
        """Take as many packets as are taken without a wait; how many that was."""
        t, client = self._t, self._client
        published = self._published[place : place + self._stretch]
        sizes = self._sizes[place : place + self._stretch]
        copying = self._timings.copying(sizes)
        handling = client.handle_ns + client.handle_ps_per_byte * sizes // 1000
        spacing = copying + handling + (t.taken + t.loads)
        if client.echo:
            spacing += copying + (t.push_loads + t.push_tail + t.push_stores + t.push_looks)
        seen = seen_times(published, spacing, self.begin_ns + t.loads, self._looking)
        count = len(seen)
        if not count:
            return 0
        taken = seen + t.taken + copying[:count]
        if client.echo:
            stored = sizes[:count] + 7 & ~3
            loaded = taken + handling[:count] + t.push_loads
            written = loaded + t.push_tail + t.push_stores + copying[:count]
            count = self._surely_written(stored, written)
            if not count:
                return 0
            if self.is_hopeful:
                self.hopes.append((loaded[:count], self._put_in + np.cumsum(stored[:count])))
            self._write(written[:count], sizes[:count])
            self._put_in += int(stored[:count].sum())
            self._written_ns = int(written[count - 1])
        self._take(taken[:count], published[:count], sizes[:count], taken[:count])
        self.begin_ns = int(seen[count - 1]) + int(spacing[count - 1]) - t.loads
        return count

    def _surely_written(self, stored: Integers, written: Integers) -> int:
        """How many packets surely find room in the receive ring, and a reader that need not be woken."""
        assert self.reader is not None
        count = len(stored)
        if not self.is_hopeful:
            room = self._room - self._put_in + self.reader.returned.by(self.begin_ns)
            count = int(np.searchsorted(np.cumsum(stored), room, side="right"))
        gaps = np.diff(written, prepend=self._written_ns) + self._t.push_looks
        if count and int(written[0]) + self._t.push_looks <= self.reader.lowered_ns:
            return 0
        long = np.flatnonzero(gaps > self.reader.spin_limit)
        return min(count, int(long[0])) if len(long) else count

    def _take(self, taken: Integers, published: Integers, sizes: Integers, counted: Integers) -> None:
        stored = sizes + 7 & ~3
        offsets = self._offset + np.cumsum(stored) & self._mask
        before = np.concatenate(([self._offset], offsets[:-1]))
        self._offset = int(offsets[-1])
        self._rows.add(CLIENT, taken, taken, Kind.STORE, self._head, offsets, before)
        self.taken.add(taken, stored)
        done = int(np.searchsorted(counted, self._until_ns, side="right"))
        self.read += done
        self.read_bytes += int(sizes[:done].sum())
        done = int(np.searchsorted(taken, self._until_ns, side="right"))
        self.latencies.append((taken - published)[:done])

    def _write(self, written: Integers, sizes: Integers, *, is_read: bool = False) -> None:
        assert self.reader is not None
        stored = sizes + 7 & ~3
        offsets = self._tail_offset + np.cumsum(stored) & self._mask
        before = np.concatenate(([self._tail_offset], offsets[:-1]))
        self._tail_offset = int(offsets[-1])
        self._rows.add(CLIENT, written, written, Kind.STORE, self._tail, offsets, before)
        self.written += int(np.searchsorted(written + self._t.push_looks, self._until_ns, side="right"))
        if not is_read:
            self.reader.add(written, sizes)

    # -- one by one ---------------------------------------------------------------------------------------------------

    def _one_by_one(self, first: int, last: int) -> None:
        """Take these packets, each with all that the client does before it."""
        t, client = self._t, self._client
        published, sizes = self._published[first:last].tolist(), self._sizes[first:last].tolist()
        if not published:
            return
        if first:
            self._published_before = int(self._published[first - 1])
        taken_at: list[int] = []
        counted: list[int] = []
        writes: list[tuple[int, int]] = []
        for published_ns, size in zip(published, sizes, strict=True):
            copying = -(-size * self._timings.copy // 1000)
            seen, is_late = self._wait(published_ns)
            now = seen + t.taken + copying
            taken_at.append(now)
            if is_late:
                self._extra.append((now + t.lowers, _STORE, self._alertable, 0, 1))
                now += t.lowers + t.clears
                self._extra.append((now, _CLEAR, self._moved, 0, 0))
                self._spend(now)
            counted.append(now)
            now += client.handling_ns(size)
            if client.echo:
                now = self._write_one(now, size, copying, writes)
            self.begin_ns = now
            self._published_before = published_ns
        if writes:
            self._write_all(writes)
        self._take(
            np.array(taken_at), self._published[first:last], self._sizes[first:last], np.array(counted, dtype=np.int64)
        )

    def _spend(self, reset_ns: int) -> None:
        self._reset_ns = reset_ns
        self.resets.append(reset_ns)

    def _wait(self, published_ns: int) -> tuple[int, bool]:
        """Find the packet that is published then: when it is seen, and whether Alertable was raised meanwhile."""
        t, extra = self._t, self._extra
        begin_ns = self.begin_ns
        while begin_ns <= self._until_ns or published_ns < NEVER_NS:
            look_ns = begin_ns + t.loads
            if published_ns < look_ns:
                return look_ns, False
            if self._spin_limit:
                spin_ns = look_ns + t.spins
                if published_ns < spin_ns:
                    begin_ns = spin_ns
                    continue
                if published_ns < spin_ns + self._spin_limit:
                    begin_ns = published_ns + t.notices
                    continue
                look_ns = spin_ns + self._spin_limit
            if self._sleep_ns:
                begin_ns = look_ns + t.sleeps + self._sleep_ns
                if not self._client.fine_timer:
                    begin_ns = self._tick_after(begin_ns)
                continue
            raised = look_ns + t.alertable
            extra.append((raised, _STORE, self._alertable, 1, 0))
            look_ns = raised + t.looks
            if published_ns < look_ns:
                return look_ns, True
            now = look_ns + t.waits
            if published_ns < now or self._published_before >= self._reset_ns:
                self._spend(now)
                self.wakeups += now <= self._until_ns
            else:
                extra.append((now, _WAIT, self._moved, 1, -1))
                self._spend(published_ns + 1)
                self.wakeups += published_ns <= self._until_ns
                now = published_ns + self._timings.wake
            extra.append((now, _WAKE, self._moved, 0, 0))
            begin_ns = now + t.woken
            extra.append((begin_ns, _STORE, self._alertable, 0, 1))
        return NEVER_NS, False

    def _write_one(self, now: int, size: int, copying: int, writes: list[tuple[int, int]]) -> int:
        """Write one packet back; when that is done."""
        t, reader = self._t, self.reader
        assert reader is not None
        stored = size + 7 & ~3
        loaded = now + t.push_loads
        known = loaded + t.push_tail
        if self.is_hopeful:
            self.hopes.append((np.array([loaded]), np.array([self._put_in + stored])))
        elif self._put_in + stored - reader.returned.by(self.begin_ns) > self._room and self._is_full(
            loaded, stored, writes
        ):
            if self._client.full != "drop" and known <= self._until_ns:
                raise Unable("a client that tries again when its ring is full")
            self.dropped += known <= self._until_ns
            return known
        self._put_in += stored
        written = known + t.push_stores + copying
        looked = written + t.push_looks
        is_raised = looked <= reader.lowered_ns
        if looked - self._written_ns <= reader.spin_limit and not is_raised:
            writes.append((written, size))
            self._written_ns = written
            return looked
        self._write_all(writes)
        reader.advance()
        if looked - self._written_ns <= reader.spin_limit:
            writes.append((written, size))
            self._write_all(writes)
            was_set = reader.set_again(looked)
        else:
            was_set = reader.take(written, size, looked)
            self._write(np.array([written]), np.array([size]), is_read=True)
        self._written_ns = written
        if was_set >= 0:
            self._extra.append((looked, _SET, self._receive_moved, was_set, 0))
            looked += t.push_sets
        return looked

    def _is_full(self, loaded_ns: int, stored: int, writes: list[tuple[int, int]]) -> bool:
        """Whether there is no room for a packet when Head is loaded then."""
        reader = self.reader
        assert reader is not None
        if not reader.returned.knows(loaded_ns):
            self._write_all(writes)
            reader.advance()
        return self._put_in + stored - reader.returned.by(loaded_ns - 1) > self._room

    def _write_all(self, writes: list[tuple[int, int]]) -> None:
        if writes:
            times, sizes = np.array(writes, dtype=np.int64).T
            self._write(times, sizes)
            writes.clear()
