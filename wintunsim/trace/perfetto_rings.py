"""What packets and ring words come to in a trace for Perfetto: content over time, and the way of each packet.

A record of the trace says that a word of a ring was stored, or that a packet was sent, completed, received or returned;
it does not say which packets a store of `Head` or `Tail` is about. That follows from their order in the ring: the
driver completes a chain of NBLs when it has moved `Tail` over it (spec driver §3 step 7), and takes packets out of the
receive ring in the order in which they were written. So some of a packet's way is known only later than it happened,
and is put in then, with the time at which it happened.

What is kept grows with what is in the rings, not with the trace.
"""

from __future__ import annotations

from collections import deque

from wintun_model.abi import MAX_PACKET_BYTES
from wintun_model.ring import stored_bytes
from wintunsim.kernel.monitor import RingMonitor
from wintunsim.trace.perfetto_packets import Annotations, TrackEvents

Where = tuple[int, int]
"""A moment on a track: its number, the time in ns."""


class RingTracks:
    """One ring of an adapter, over all its registrations: counters of its content and of `Alertable`.

    Positions count the bytes that entered the ring since it was registered; they do not wrap.
    """

    def __init__(self, events: TrackEvents, group: int, rank: int, title: str) -> None:
        self._events = events
        self._content_track = events.counter(
            group, rank, f"{title} content", "Bytes between Head and Tail; 0 when one of them is stopped", is_bytes=True
        )
        self._alertable_track = events.counter(group, rank + 1, f"{title} Alertable", "What Alertable holds")
        self.monitor: RingMonitor | None = None
        """The monitor of the registration that is followed."""
        self.capacity = 0
        self._words = [0, 0, 0]
        self.content = 0
        self.entered = 0
        """The position behind the last byte that entered."""
        self.left = 0
        """The position of the first byte that has not left."""

    def follow(self, monitor: RingMonitor, time_ns: int) -> tuple[int, int, int]:
        """Follow this registration from now on. Answers the numbers of its words in the trace."""
        self.monitor = monitor
        self.capacity = monitor.capacity
        ring = monitor.ring
        self._words = [word.cells[word.index] for word in (ring.head, ring.tail, ring.alertable)]
        self.content = self.entered = self._content_now()
        self.left = 0
        self._events.count(self._content_track, time_ns, self.content)
        self._events.count(self._alertable_track, time_ns, self._words[2])
        return ring.head.number, ring.tail.number, ring.alertable.number

    def _content_now(self) -> int:
        head, tail, _ = self._words
        capacity = self.capacity
        return (tail - head) & (capacity - 1) if head < capacity and tail < capacity else 0

    def stored(self, place: int, value: int, old: int, where: Where) -> None:
        """A word was stored: `place` is 0 for `Head`, 1 for `Tail`, 2 for `Alertable`."""
        self._words[place] = value
        if place == 2:
            self._events.count(self._alertable_track, where[1], value)
            return
        capacity = self.capacity
        if place and value < capacity and old < capacity:
            self.entered += (value - old) & (capacity - 1)
        content = self._content_now()
        self.left = self.entered - content
        if content != self.content:
            self.content = content
            self._events.count(self._content_track, where[1], content)


class SendTracks(RingTracks):
    """The send ring: packets are completed in the order in which they lie in it, and taken when `Head` moves."""

    def __init__(self, events: TrackEvents, group: int, rank: int, title: str) -> None:
        super().__init__(events, group, rank, title)
        self._lying: deque[tuple[int, int, Annotations]] = deque()
        """Packets that are completed and not taken: (position behind it, flow, what is told of it)."""
        self._moves: deque[tuple[int, Where]] = deque()
        """Moves of `Head` over packets that are not completed yet: (position, when and where)."""
        self._completed = 0
        """The position behind the last packet that was completed."""

    def follow(self, monitor: RingMonitor, time_ns: int) -> tuple[int, int, int]:
        self._lying.clear()
        self._moves.clear()
        numbers = super().follow(monitor, time_ns)
        self._completed = self.entered
        return numbers

    def stored(self, place: int, value: int, old: int, where: Where) -> None:
        super().stored(place, value, old, where)
        if place != 0 or value >= self.capacity:
            return
        lying, left = self._lying, self.left
        while lying and lying[0][0] <= left:
            _, flow, annotations = lying.popleft()
            self._events.instant(*where, "packet", "taken by the client", annotations, flow)
        if left > self._completed and (not self._moves or self._moves[-1][0] < left):
            self._moves.append((left, where))

    def completed(self, position: int, flow: int, annotations: Annotations) -> None:
        """A packet that lies in the ring up to `position` was completed."""
        self._completed = position
        moves = self._moves
        while moves and moves[0][0] < position:
            moves.popleft()
        if moves:
            self._events.instant(*moves[0][1], "packet", "taken by the client", annotations, flow)
            if moves[0][0] == position:
                moves.popleft()
        elif position > self.left:
            self._lying.append((position, flow, annotations))


class ReceiveTracks(RingTracks):
    """The receive ring: the client moves `Tail` over packets whose number and sizes show when they are received."""

    def __init__(self, events: TrackEvents, group: int, rank: int, title: str) -> None:
        super().__init__(events, group, rank, title)
        self._writes: deque[tuple[int, Where | None]] = deque()
        """Moves of `Tail`: (position, when and where; None for what was there at the registration)."""
        self._read = 0
        """The position behind the last packet that was received."""

    def follow(self, monitor: RingMonitor, time_ns: int) -> tuple[int, int, int]:
        numbers = super().follow(monitor, time_ns)
        self._writes.clear()
        self._read = 0
        if self.entered:
            self._writes.append((self.entered, None))
        return numbers

    def stored(self, place: int, value: int, old: int, where: Where) -> None:
        before = self.entered
        super().stored(place, value, old, where)
        # What left without having been received was skipped; what can be no content any more is nonsense of the client.
        self._read = max(self._read, self.left, self.entered - self.capacity)
        while self._writes and self._writes[0][0] <= self._read:
            self._writes.popleft()
        if place == 1 and self.entered > before and self._words[0] < self.capacity:
            self._writes.append((self.entered, where))

    def received(self, length_bytes: int, flow: int, annotations: Annotations) -> None:
        """The driver received the packet that is next in the ring."""
        self._read += stored_bytes(length_bytes)
        writes = self._writes
        while writes and writes[0][0] < self._read:
            writes.popleft()
        if writes and writes[0][1] is not None:
            self._events.instant(*writes[0][1], "packet", "written by the client", annotations, flow)


class Published:
    """What a thread has moved `Tail` of a send ring over and not completed yet: positions in the ring."""

    def __init__(self, ring: SendTracks, start: int, end: int) -> None:
        self.ring = ring
        self._position = start
        self._end = end

    def take(self, length_bytes: int) -> int | None:
        """The position behind the next packet if that can be one of this length, else None: it is not in the ring."""
        if length_bytes > MAX_PACKET_BYTES or self._position + stored_bytes(length_bytes) > self._end:
            return None
        self._position += stored_bytes(length_bytes)
        return self._position
