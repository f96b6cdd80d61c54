"""Watching registered rings: what the client stores, what is in them, how long packets stay (design §4, §5).

A client stores ring words without a call. The simulation sees that at the client's next call or loop iteration, when
`poll` compares the client's words with what they were: then the change is traced, with that time.
"""

from __future__ import annotations

import struct
from array import array
from collections import deque
from collections.abc import Callable

from wintun_model.abi import ALIGNMENT, PACKET_HEADER_BYTES, STOPPED
from wintun_model.adapter import Ring
from wintun_model.operations import Event, Word
from wintun_model.ring import stored_bytes
from wintun_model.trace import Kind
from wintunsim.kernel.executor import Executor

_STORE = int(Kind.STORE)
_unpack_size = struct.Struct("<I").unpack_from


class RingCounts:
    """What was seen of one direction of an adapter, over all registrations. Latencies are in ns, one a packet."""

    def __init__(self) -> None:
        self.packets = 0
        self.size_bytes = 0
        self.peak_content_bytes = 0
        self.capacity_bytes = 0
        self.latencies_ns = array("q")
        self.aborts: list[str] = []
        """Why the driver stopped reading, each time that it did (spec driver §4.1 step 2)."""
        self.written: Callable[[int], None] | None = None
        """Called with where the ring's new bytes begin, when the client was seen to have written some."""
        self.taken: Callable[[int], None] | None = None
        """Called with how many packets the client has taken out of the send ring, when its Head was seen to move."""


class RingMonitor:
    """Watches one registered ring. `entered` holds (bytes put in so far, time) of what has not left yet."""

    __slots__ = (
        "capacity",
        "counts",
        "entered",
        "executor",
        "machine",
        "mask",
        "ring",
        "total_in",
        "total_out",
        "words",
    )

    def __init__(self, executor: Executor, ring: Ring, counts: RingCounts) -> None:
        self.executor = executor
        self.machine = machine = executor.machine
        self.ring = ring
        self.counts = counts
        self.capacity = ring.capacity
        self.mask = ring.capacity - 1
        self.words = ring.head.cells
        self.total_in = (self.words[1] - self.words[0]) & self.mask
        self.total_out = 0
        self.entered: deque[tuple[int, int]] = deque()
        for word in (ring.head, ring.tail, ring.alertable):
            word.number = machine.trace.define(word.name, machine.time())

    def put_in(self, amount: int, now: int) -> None:
        """`amount` bytes entered the ring."""
        self.total_in = total_in = self.total_in + amount
        self.entered.append((total_in, now))
        content = total_in - self.total_out
        if content > self.counts.peak_content_bytes:
            self.counts.peak_content_bytes = min(content, self.capacity - ALIGNMENT)

    def client_stored(self, word: Word, old: int, value: int) -> None:
        """Trace a store of the client's."""
        machine = self.machine
        thread = machine.current or self.executor.effects.storing()
        machine.trace.record((machine.now, thread.number if thread else 0, _STORE, word.number, value, old))


class SendMonitor(RingMonitor):
    """The send ring: the driver moves `Tail`; the client moves `Head` and `Alertable`."""

    __slots__ = ("alertable", "head")

    def __init__(self, executor: Executor, ring: Ring, counts: RingCounts) -> None:
        super().__init__(executor, ring, counts)
        self.head = self.words[0]
        self.alertable = self.words[2]
        ring.tail.observer = self._tail_stored

    def _tail_stored(self, old: int, tail: int) -> None:
        """The driver published a chain, which the client may take from now on: most often one packet."""
        if tail >= self.capacity:
            return
        amount, now = (tail - old) & self.mask, self.machine.now
        while amount:
            taken = _unpack_size(self.ring.data, old)[0] + 7 & ~3
            if not 0 < taken < amount:
                taken = amount  # the last one, or a size that the client has spoiled already
            self.total_in = total_in = self.total_in + taken
            self.entered.append((total_in, now))
            old, amount = (old + taken) & self.mask, amount - taken
        content = self.total_in - self.total_out
        if content > self.counts.peak_content_bytes:
            self.counts.peak_content_bytes = min(content, self.capacity - ALIGNMENT)

    def poll(self) -> None:
        """See what the client stored."""
        words = self.words
        head = words[0]
        if head != self.head:
            self._moved(head)
        alertable = words[2]
        if alertable != self.alertable:
            self.client_stored(self.ring.alertable, self.alertable, alertable)
            self.alertable = alertable

    def _moved(self, head: int) -> None:
        old, self.head = self.head, head
        machine = self.machine
        thread, now = machine.current or self.executor.effects.storing(), machine.now
        machine.trace.record((now, thread.number if thread else 0, _STORE, self.ring.head.number, head, old))
        if head >= self.capacity:
            return
        if old < self.capacity:
            self.total_out += (head - old) & self.mask
        elif self.words[1] < self.capacity:
            # Valid again: what is in the ring now has not left it.
            self.total_out = self.total_in - ((self.words[1] - head) & self.mask)
        total_out = self.total_out
        entered = self.entered
        before = len(entered)
        while entered and entered[0][0] <= total_out:
            self.counts.latencies_ns.append(now - entered.popleft()[1])
        if self.counts.taken is not None and len(entered) < before:
            self.counts.taken(before - len(entered))


class ReceiveMonitor(RingMonitor):
    """The receive ring: the client moves `Tail`; the driver moves `Head` and `Alertable`."""

    __slots__ = ("disconnected", "tail")

    def __init__(self, executor: Executor, ring: Ring, counts: RingCounts, disconnected: Event) -> None:
        super().__init__(executor, ring, counts)
        self.disconnected = disconnected
        self.tail = self.words[1]
        if self.total_in:
            self.entered.append((self.total_in, executor.machine.time()))
        ring.head.observer = self._head_stored

    def poll(self) -> None:
        """See what the client stored; a reader that spins on `Tail` notices."""
        tail = self.words[1]
        if tail == self.tail:
            return
        old, self.tail = self.tail, tail
        self.client_stored(self.ring.tail, old, tail)
        if tail < self.capacity and old < self.capacity:
            self.put_in((tail - old) & self.mask, self.machine.now)
            if self.counts.written is not None:
                self.counts.written(old)
        watch = self.executor.spins.get(self.ring.tail)
        if watch is not None:
            self.machine.signalled(watch)

    def _head_stored(self, old: int, head: int) -> None:
        """The driver gave the space of one packet back, or stopped reading."""
        if head == STOPPED and not self.disconnected.signalled:
            self.counts.aborts.append(self._abort_cause(old))
        if head >= self.capacity or old >= self.capacity or head == old:
            return
        # Not simply what Head moved by: late returns may store it in the wrong order, so that it goes back (B2).
        total_out = self.total_in - ((self.tail - head) & self.mask)
        if self.tail >= self.capacity:
            total_out = self.total_out + ((head - old) & self.mask)
        if total_out <= self.total_out:
            return
        self.total_out = total_out
        entered = self.entered
        while entered and entered[0][0] < self.total_out:
            entered.popleft()
        if entered:
            self.counts.latencies_ns.append(self.machine.now - entered[0][1])

    def _abort_cause(self, head: int) -> str:
        """Why the driver stops at `head`, from what the ring holds now (spec driver §4.1 step 2)."""
        tail, capacity = self.words[1], self.capacity
        if head >= capacity:
            return f"Head was {head}, not below the capacity"
        if tail >= capacity:
            return f"Tail was {tail}, not below the capacity"
        content = (tail - head) & self.mask
        if content < PACKET_HEADER_BYTES:
            return f"{content} bytes at offset {head} are less than a packet header"
        size = _unpack_size(self.ring.data, head)[0]
        if stored_bytes(size) > content:
            return f"the packet at offset {head} says {size} bytes, the ring holds {content}"
        return f"the packet of {size} bytes at offset {head} is neither IPv4 nor IPv6"
