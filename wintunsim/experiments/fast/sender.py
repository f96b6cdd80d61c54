"""The system's sending thread: it hands down what is due, in chains, whatever the others do, until the ring is full.

A chain begins when the one before has ended, or when the next packet is due. Runs of packets that each find it idle
are one step of numpy; chains of a sender that is late follow one from the other.
"""

from __future__ import annotations

from bisect import bisect_right
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wintunsim.experiments.fast.offered import Offered
from wintunsim.experiments.fast.state import Copied, Restorable
from wintunsim.experiments.fast.timings import Timings
from wintunsim.kernel.ndis import CHAIN_PACKETS

Integers = NDArray[np.int64]
WINDOW = 4096
_RUN_LEAST = 12


class Taken(Copied):
    """When room came free in a ring: times in ns, and how many bytes in all by then."""

    def __init__(self) -> None:
        self.times = np.empty(0, dtype=np.int64)
        self.totals = np.empty(0, dtype=np.int64)
        self.total = 0
        """Bytes in all, up to the last time that is known."""
        self._before = 0
        self._list: tuple[list[int], list[int]] | None = None

    def add(self, times: Any, sizes: Any) -> None:
        """Room of these sizes comes free at these times, later than those that are known."""
        if len(times):
            totals = self.total + np.cumsum(sizes)
            self.times = np.concatenate((self.times, times))
            self.totals = np.concatenate((self.totals, totals))
            self.total = int(totals[-1])
            self._list = None

    def by(self, time_ns: int) -> int:
        """Bytes that are free at `time_ns`, including what comes free just then."""
        if self._list is None:
            self._list = self.times.tolist(), self.totals.tolist()
        place = bisect_right(self._list[0], time_ns)
        return self._list[1][place - 1] if place else self._before

    def at(self, times_ns: Any) -> Integers:
        """The same for an array of times."""
        place = np.searchsorted(self.times, times_ns, side="right")
        found: Integers = (
            np.where(place > 0, self.totals[place - 1], self._before)
            if len(self.times)
            else np.full(len(times_ns), self._before, dtype=np.int64)
        )
        return found

    def knows(self, time_ns: int) -> bool:
        """Whether nothing that is not known yet can come free by then."""
        return bool(len(self.times)) and int(self.times[-1]) > time_ns

    def copy(self) -> Taken:
        """The same, to go back to."""
        return copy(self)

    def forget(self, before_ns: int) -> None:
        """Nobody will ask for times before this one."""
        place = int(np.searchsorted(self.times, before_ns))
        if place:
            self._before = int(self.totals[place - 1])
            self.times, self.totals = self.times[place:], self.totals[place:]
            self._list = None


class Chains:
    """Chains that were handed down, as arrays: their packets from `first` up to `last`, and when what happened."""

    FIELDS = ("first", "last", "key", "start", "published", "completed")

    def __init__(self, columns: list[Integers]) -> None:
        self.first, self.last, self.key, self.start, self.published, self.completed = columns
        self.is_accepted = self.published >= 0


class Sender(Restorable):
    """Runs the sending thread ahead. `start_ns` is when it first looks for packets."""

    def __init__(self, timings: Timings, capacity: int, offered: Offered, start_ns: int, until_ns: int) -> None:
        self._copying = timings.copying
        self._t = timings.send
        self._room = capacity - 4
        self._offered = offered
        self._until_ns = until_ns
        self.free_ns = start_ns - 1
        """When it comes to look for the next packets; one less at first, as it begins idle."""
        self.key_ns = start_ns
        self.put_in = 0
        """Bytes that were put into the ring."""
        self.base = 0
        """The place of the window's first packet among all."""
        self.place = 0
        empty = np.empty(0, dtype=np.int64)
        self.times, self.sizes, self.sources, self.numbers = empty, empty, empty, empty
        self.is_done = False
        self.has_ended = False
        """Whether there is nothing more to send before the end."""
        self._has_all = False
        self._load()

    def has_room(self, chains: Chains, taken: Taken) -> bool:
        """Whether chains that went on as if there were room for everything found it."""
        put_in = self.put_in - self.stored[self.place] + self.stored[chains.last]
        loaded = chains.start + self._t.loaded
        return bool((put_in - taken.at(loaded) <= self._room).all())

    def load(self) -> None:
        """Have enough packets at hand for the next chain."""
        while len(self.times) - self.place <= CHAIN_PACKETS and not self._has_all:
            self._load()

    def _load(self) -> None:
        """Take the next window behind what is left of this one."""
        place = self.place
        more = self._offered.take(WINDOW)
        self.has_ended = not len(more[0])
        self._has_all = self.has_ended or int(more[0][-1]) > self._until_ns
        old = (self.times, self.sizes, self.sources, self.numbers)
        self.times, self.sizes, self.sources, self.numbers = (
            np.concatenate((left[place:], new)) for left, new in zip(old, more, strict=True)
        )
        self.base += place
        self.place = 0
        stored = (self.sizes + 7) & ~3
        self.stored = np.concatenate(([0], np.cumsum(stored)))
        copying = self._t.each + self._copying(self.sizes)
        self._copied = np.concatenate(([0], np.cumsum(copying)))
        self._alone = self._t.published + copying
        ends = self.times + self._alone + (self._t.completed + self._t.end)
        breaks = np.append(np.flatnonzero(self.times[1:] <= ends[:-1]), max(len(self.times) - 1, 0))
        places = np.arange(len(self.times))
        self._alone_until: list[int] = breaks[np.searchsorted(breaks, places)].tolist()
        self._lists: tuple[list[int], list[int], list[int]] = (
            self.times.tolist(), self.stored.tolist(), self._copied.tolist()
        )  # fmt: skip

    def advance(self, taken: Taken | None) -> Chains | None:
        """Go on up to the window's end, or to where it must be known what the client takes; None when there is nothing.

        `taken` is what is known of that; None to go on as if the ring had room for everything.
        """
        parts: list[list[Integers]] = []
        end = len(self.times) if self._has_all else len(self.times) - CHAIN_PACKETS
        put_in_known = self.put_in if taken is not None else -1
        taken = taken or Taken()
        while self.place < end and not self.is_done:
            count = self._run(end, taken.by(self.free_ns) if put_in_known >= 0 else None)
            part = self._singles(count) if count else self._one_by_one(end, taken, put_in_known)
            if not part:
                break
            parts.append(part)
        self.is_done |= self.place >= end and self._has_all
        if not parts:
            return None
        return Chains([np.concatenate(column) for column in zip(*parts, strict=True)] if len(parts) > 1 else parts[0])

    def _run(self, end: int, taken: int | None) -> int:
        """How many packets from here on each find it idle, and surely find room."""
        place = self.place
        if self.times[place] <= self.free_ns or self._alone_until[place] - place < _RUN_LEAST:
            return 0
        stop = min(end, self._alone_until[place], bisect_right(self._lists[0], self._until_ns))
        if taken is not None:
            limit = self._room + taken - self.put_in + self._lists[1][place]
            stop = min(stop, bisect_right(self._lists[1], limit) - 1)
        return stop - place if stop - place >= _RUN_LEAST else 0

    def _singles(self, count: int) -> list[Integers]:
        """Hand down so many packets, each alone and in its time."""
        place = self.place
        first = np.arange(place, place + count, dtype=np.int64)
        start = self.times[place : place + count]
        published = start + self._alone[place : place + count]
        completed = published + self._t.completed
        self.put_in += self._lists[1][place + count] - self._lists[1][place]
        self.place += count
        self.key_ns = int(completed[-1])
        self.free_ns = self.key_ns + self._t.end
        return [first, first + 1, start, start, published, completed]

    def _one_by_one(self, end: int, taken: Taken, put_in_known: int) -> list[Integers]:
        """Hand down chains one after the other, up to where a longer run of single packets begins.

        `put_in_known` is what was in the ring when it was last known what the client takes, -1 for a ring with room.
        """
        chains: list[tuple[int, int, int, int, int, int]] = []
        times, stored, copied = self._lists
        most = len(times)
        t, until_ns, alone_until = self._t, self._until_ns, self._alone_until
        place, free_ns, key_ns, put_in = self.place, self.free_ns, self.key_ns, self.put_in
        begun, is_careful = place, put_in_known >= 0
        full_at = self._room + taken.by(free_ns) if is_careful else 1 << 62
        while place < end:
            time_ns = times[place]
            if time_ns > free_ns:
                if place > begun and alone_until[place] - place >= _RUN_LEAST:
                    break
                start_ns = key_ns = time_ns
            else:
                start_ns = free_ns
            if key_ns > until_ns:
                self.is_done = True
                break
            last = place + 1
            limit = place + CHAIN_PACKETS
            if limit > most:
                limit = most
            while last < limit and times[last] <= start_ns:
                last += 1
            required = stored[last] - stored[place]
            if put_in + required > full_at:
                loaded_ns = start_ns + t.loaded
                full_at = self._room + taken.by(loaded_ns)
                if put_in + required > full_at:
                    if put_in > put_in_known and not taken.knows(loaded_ns):
                        break
                    completed = start_ns + t.refused
                    chains.append((place, last, key_ns, start_ns, -1, completed))
                    place, key_ns, free_ns = last, completed, start_ns + t.refused_end
                    continue
            published = start_ns + t.published + copied[last] - copied[place]
            completed = published + t.completed
            chains.append((place, last, key_ns, start_ns, published, completed))
            place, key_ns, free_ns = last, completed, completed + t.end
            put_in += required
        self.place, self.free_ns, self.put_in = place, free_ns, put_in
        if chains:
            self.key_ns = chains[-1][5]
        return list(np.array(chains, dtype=np.int64).T) if chains else []
