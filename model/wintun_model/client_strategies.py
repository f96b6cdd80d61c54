"""What clients do beyond the published protocol: measure their rate, read in batches and on several threads, queue.

Each routine keeps to the protocol (spec driver §8) and chooses where that leaves a choice. What several threads share
is in variables, under a lock: the ring's own words have one reader and one writer on each side.
"""

from __future__ import annotations

from wintun_model.abi import PACKET_HEADER_BYTES
from wintun_model.client import ClientRing, Outcome, ReadStrategy, WriteStrategy, linger, push, wait_for_space
from wintun_model.operations import (
    CopyOut,
    Event,
    Fence,
    LoadSize,
    Lock,
    Put,
    ReadClock,
    ReadFrequency,
    Routine,
    Store,
    Variable,
    Wait,
    Work,
)
from wintun_model.ring import content, stored_bytes, wrap

_FENCE = Fence()
_READ_CLOCK = ReadClock()
_READ_FREQUENCY = ReadFrequency()


# -- a rate, measured ---------------------------------------------------------------------------------------------


class RateMeter:
    """The rate of what a client has read, measured over one window of `window_ticks` after the other.

    The rate is that of the last whole window; it counts as long as that is at most two windows ago. Before the first
    window has passed it is 0.
    """

    __slots__ = ("begun", "bits_per_s", "counted_bytes", "threshold_bits_per_s", "window_ticks")

    def __init__(self, window_ticks: int, threshold_bits_per_s: int) -> None:
        self.window_ticks = window_ticks
        self.threshold_bits_per_s = threshold_bits_per_s
        self.begun: Variable[int | None] = Variable("window's begin", None)
        self.counted_bytes: Variable[int] = Variable("bytes in the window", 0)
        self.bits_per_s: Variable[int] = Variable("measured rate", 0)


def measure(meter: RateMeter, size_bytes: int) -> Routine[None]:
    """So many bytes were read. When the window has passed, the rate is that of the window, and the next one begins."""
    now = yield _READ_CLOCK
    begun = yield meter.begun.get
    if begun is None:
        # The first bytes begin the first window, and came before it.
        yield Put(meter.begun, now)
        return
    counted = yield meter.counted_bytes.get
    counted += size_bytes
    elapsed = now - begun
    if elapsed < meter.window_ticks:
        yield Put(meter.counted_bytes, counted)
        return
    frequency = yield _READ_FREQUENCY
    yield Put(meter.bits_per_s, 8 * counted * frequency // elapsed)
    yield Put(meter.counted_bytes, 0)
    yield Put(meter.begun, now)


def is_above(meter: RateMeter) -> Routine[bool]:
    """Whether the rate reaches the threshold, and is not older than two windows."""
    rate = yield meter.bits_per_s.get
    if rate < meter.threshold_bits_per_s:
        return False
    now = yield _READ_CLOCK
    begun = yield meter.begun.get
    return begun is not None and now - begun <= 2 * meter.window_ticks


# -- reading ------------------------------------------------------------------------------------------------------


class Reader:
    """How a client reads the send ring, and what its reader threads share.

    Up to `batch` packets are taken at once, and `Head` moves once for them. With a `meter` the client spins only while
    the rate is above the meter's threshold. With `has_several_threads` packets are taken under a lock.
    """

    __slots__ = ("batch", "lock", "meter", "ring", "strategy")

    def __init__(
        self,
        ring: ClientRing,
        strategy: ReadStrategy,
        *,
        batch: int = 1,
        meter: RateMeter | None = None,
        has_several_threads: bool = False,
    ) -> None:
        self.ring = ring
        self.strategy = strategy
        self.batch = batch
        self.meter = meter
        self.lock: Lock | None = Lock("client reading") if has_several_threads else None


def pop_batch(ring: ClientRing, limit: int) -> Routine[list[bytes] | Outcome]:
    """Take up to `limit` packets off the send ring, and move `Head` once: their bytes, or EMPTY, STOPPED, INVALID.

    Packets before one that cannot be one are taken; the next attempt gives INVALID.
    """
    capacity = ring.capacity
    head = yield ring.head.load
    tail = yield ring.tail.load
    if tail >= capacity or head >= capacity:
        return Outcome.STOPPED
    if head == tail:
        return Outcome.EMPTY
    packets: list[bytes] = []
    while head != tail and len(packets) < limit:
        available = content(head, tail, capacity)
        if available < PACKET_HEADER_BYTES:
            break
        size = yield LoadSize(ring, head)
        if size > ring.limits.max_packet_bytes or stored_bytes(size) > available:
            break
        data = yield CopyOut(ring, head + PACKET_HEADER_BYTES, size)
        packets.append(data)
        head = wrap(head + stored_bytes(size), capacity)
    if not packets:
        return Outcome.INVALID
    yield Store(ring.head, head)
    return packets


def _take(reader: Reader) -> Routine[list[bytes] | Outcome]:
    """One attempt to take a batch: alone at the ring, and counted by the meter."""
    if reader.lock is not None:
        yield reader.lock.acquire
    packets = yield from pop_batch(reader.ring, reader.batch)
    if reader.meter is not None and isinstance(packets, list):
        yield from measure(reader.meter, sum(len(packet) for packet in packets))
    if reader.lock is not None:
        yield reader.lock.release
    return packets


def read_batch(reader: Reader) -> Routine[list[bytes] | Outcome]:
    """Read packets, at least one, waiting for them as the strategy says: their bytes, or STOPPED, INVALID.

    Any number of threads may be in here at once, if the reader is for several.
    """
    ring, strategy, meter = reader.ring, reader.strategy, reader.meter
    while True:
        packets = yield from _take(reader)
        if packets is not Outcome.EMPTY:
            return packets
        spin_ticks = strategy.spin_ticks
        if spin_ticks and meter is not None:
            is_fast = yield from is_above(meter)
            if not is_fast:
                spin_ticks = 0
        looks_again = yield from linger(ring, strategy, spin_ticks)
        if looks_again:
            continue
        yield Store(ring.alertable, 1)
        if ring.has_barrier:
            yield _FENCE
        packets = yield from _take(reader)
        if packets is Outcome.EMPTY:
            yield Wait((ring.tail_moved,))
            yield Store(ring.alertable, 0)
            continue
        yield Store(ring.alertable, 0)
        if reader.lock is None:
            # With other readers about, the event may be meant for one of them.
            yield ring.tail_moved.clear
        return packets


# -- writing ------------------------------------------------------------------------------------------------------


def write_shared(ring: ClientRing, lock: Lock, data: bytes, strategy: WriteStrategy) -> Routine[Outcome]:
    """`client.write` for one of several threads that write: each attempt is made under the lock."""
    attempt = 0
    while True:
        yield lock.acquire
        outcome = yield from push(ring, data)
        yield lock.release
        attempt += 1
        if outcome is not Outcome.FULL or attempt >= strategy.attempts:
            return outcome
        yield from wait_for_space(ring, strategy)


# -- a queue behind the ring --------------------------------------------------------------------------------------


class PacketQueue:
    """A bounded queue from the threads that read the ring to the one that handles packets.

    `put` and `taken` count what went in and out; packet n is in slot n modulo the capacity.
    """

    __slots__ = ("has_packets", "has_space", "lock", "put", "slots", "taken")

    def __init__(self, name: str, capacity_packets: int) -> None:
        self.lock = Lock(f"{name} queue")
        self.slots: list[Variable[bytes | None]] = [
            Variable(f"{name} queue slot {number}", None) for number in range(capacity_packets)
        ]
        self.put: Variable[int] = Variable(f"{name} queue's packets put", 0)
        self.taken: Variable[int] = Variable(f"{name} queue's packets taken", 0)
        self.has_packets = Event(f"{name} queue has packets", manual_reset=False)
        self.has_space = Event(f"{name} queue has space", manual_reset=False)


def enqueue(queue: PacketQueue, packet: bytes) -> Routine[bool]:
    """Put a packet into the queue: whether there was space. Whoever handles packets is told when it was empty."""
    capacity = len(queue.slots)
    yield queue.lock.acquire
    put = yield queue.put.get
    taken = yield queue.taken.get
    if put - taken == capacity:
        yield queue.lock.release
        return False
    yield Put(queue.slots[put % capacity], packet)
    yield Put(queue.put, put + 1)
    yield queue.lock.release
    if put == taken:
        yield queue.has_packets.set
    return True


def enqueue_waiting(queue: PacketQueue, packet: bytes) -> Routine[None]:
    """Put a packet into the queue, waiting for space."""
    has_waited = False
    while True:
        has_space = yield from enqueue(queue, packet)
        if has_space:
            break
        yield Wait((queue.has_space,))
        has_waited = True
    if has_waited:
        # The event wakes one: there may be more space, and others who wait for it.
        yield queue.has_space.set


def dequeue(queue: PacketQueue) -> Routine[bytes]:
    """Take the oldest packet out of the queue, waiting for one. One thread does so."""
    capacity = len(queue.slots)
    while True:
        yield queue.lock.acquire
        taken = yield queue.taken.get
        put = yield queue.put.get
        if put != taken:
            packet = yield queue.slots[taken % capacity].get
            yield Put(queue.taken, taken + 1)
            yield queue.lock.release
            if put - taken == capacity:
                yield queue.has_space.set
            return packet  # type: ignore[no-any-return]
        yield queue.lock.release
        yield Wait((queue.has_packets,))


# -- what a client does otherwise ---------------------------------------------------------------------------------


def work(duration_ns: int) -> Routine[None]:
    """Handle a packet: work that nobody else can see."""
    yield Work(duration_ns)


def wait_for(event: Event) -> Routine[None]:
    """Wait for something from outside, such as the next packet on a client's socket."""
    yield Wait((event,))
