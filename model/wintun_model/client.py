"""The published client protocol: a client's side of the two rings, without wintun.dll, as routines (spec driver §8).

Reading the send ring: pop; when it is empty, set `Alertable`, pop again, and wait for `TailMoved`. Writing the receive
ring: write the packet, move `Tail`, and set `TailMoved` if `Alertable` is set. What a client may choose is a strategy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from wintun_model.abi import PACKET_HEADER_BYTES, WINTUN_LIMITS, Limits
from wintun_model.operations import (
    CopyIn,
    CopyOut,
    Event,
    Fence,
    LoadSize,
    Routine,
    Sleep,
    Spin,
    Store,
    StoreSize,
    Wait,
    Yield,
)
from wintun_model.ring import content, space, stored_bytes, wrap
from wintun_model.user_ring import UserRing

_FENCE = Fence()
_YIELD = Yield()


class ClientRing(UserRing):
    """One ring as its client uses it. `memory` is all of it, zeroed at first; offsets count from its data area's start.

    `has_barrier` puts a full barrier where the protocol as published has none: between the store of one word and the
    load of another that the driver may store (spec driver §10, B3). Two other ways around B3 for who writes: with
    `always_sets` it sets `TailMoved` whatever `Alertable` says; with `recheck_ticks` it spins on an `Alertable` that is
    not set, for so many ticks of the performance counter, and sets `TailMoved` if it comes to be set.
    """

    __slots__ = ("always_sets", "has_barrier", "limits", "recheck_ticks", "tail_moved")

    def __init__(
        self,
        name: str,
        memory: memoryview,
        capacity: int,
        tail_moved: Event,
        *,
        has_barrier: bool = False,
        always_sets: bool = False,
        recheck_ticks: int = 0,
        limits: Limits = WINTUN_LIMITS,
    ) -> None:
        super().__init__(name, memory, capacity, limits)
        self.tail_moved = tail_moved
        self.has_barrier = has_barrier
        self.always_sets = always_sets
        self.recheck_ticks = recheck_ticks
        self.limits = limits


class Outcome(Enum):
    """What became of an attempt that gave no packet, or of one to write."""

    EMPTY = "empty"
    """There is nothing to read."""
    STOPPED = "stopped"
    """The driver has stopped for good: the registration ended, or what stood in the ring was wrong."""
    INVALID = "invalid"
    """What stands in the ring cannot be a packet."""
    WRITTEN = "written"
    FULL = "full"
    """There was no space, and the strategy gave up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadStrategy:
    """How a client waits for packets: spin for `spin_ticks` of the performance counter, then wait or sleep.

    With `sleep_ns` it polls: it sleeps that long and looks again, and never sets `Alertable`.
    """

    spin_ticks: int = 0
    sleep_ns: int = 0
    sleeps_finely: bool = False
    """Whether sleeps end when they should, and not at a tick of the system timer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStrategy:
    """What a client does when the receive ring is full: try again up to `attempts` times, then drop the packet.

    Between attempts it spins for `spin_ticks`, yields its processor, or sleeps for `sleep_ns`: the first of these that
    is given.
    """

    attempts: int = 1
    spin_ticks: int = 0
    yields: bool = False
    sleep_ns: int = 0
    sleeps_finely: bool = False


def pop(ring: ClientRing) -> Routine[bytes | Outcome]:
    """Take one packet off the send ring, if there is one: its bytes, or EMPTY, STOPPED, INVALID."""
    capacity = ring.capacity
    # Head is the client's own word.
    head = yield ring.head.load
    tail = yield ring.tail.load
    if tail >= capacity or head >= capacity:
        return Outcome.STOPPED
    if head == tail:
        return Outcome.EMPTY
    available = content(head, tail, capacity)
    if available < PACKET_HEADER_BYTES:
        return Outcome.INVALID
    size = yield LoadSize(ring, head)
    if size > ring.limits.max_packet_bytes or stored_bytes(size) > available:
        return Outcome.INVALID
    data = yield CopyOut(ring, head + PACKET_HEADER_BYTES, size)
    yield Store(ring.head, wrap(head + stored_bytes(size), capacity))
    return data  # type: ignore[no-any-return]


def read(ring: ClientRing, strategy: ReadStrategy = ReadStrategy()) -> Routine[bytes | Outcome]:
    """Read one packet, waiting for it as the strategy says: its bytes, or STOPPED, INVALID."""
    while True:
        packet = yield from pop(ring)
        if packet is not Outcome.EMPTY:
            return packet
        looks_again = yield from linger(ring, strategy, strategy.spin_ticks)
        if looks_again:
            continue
        yield Store(ring.alertable, 1)
        if ring.has_barrier:
            yield _FENCE
        packet = yield from pop(ring)
        if packet is Outcome.EMPTY:
            yield Wait((ring.tail_moved,))
            yield Store(ring.alertable, 0)
            continue
        yield Store(ring.alertable, 0)
        yield ring.tail_moved.clear
        return packet


def linger(ring: ClientRing, strategy: ReadStrategy, spin_ticks: int) -> Routine[bool]:
    """The strategy's part of waiting: spin for `spin_ticks`, then sleep if it polls. Whether to look again at once."""
    if spin_ticks:
        head = yield ring.head.load
        tail = yield Spin(ring.tail, head, None, spin_ticks, False)
        if tail != head:
            return True
    if strategy.sleep_ns:
        yield Sleep(strategy.sleep_ns, strategy.sleeps_finely)
        return True
    return False


def push(ring: ClientRing, data: bytes) -> Routine[Outcome]:
    """Write one packet to the receive ring, if there is space: WRITTEN, FULL or STOPPED."""
    capacity = ring.capacity
    head = yield ring.head.load
    # Tail is the client's own word.
    tail = yield ring.tail.load
    if head >= capacity:
        return Outcome.STOPPED
    size = len(data)
    if space(head, tail, capacity) < stored_bytes(size):
        return Outcome.FULL
    yield StoreSize(ring, tail, size)
    yield CopyIn(ring, tail + PACKET_HEADER_BYTES, data, size)
    yield Store(ring.tail, wrap(tail + stored_bytes(size), capacity))
    if ring.has_barrier:
        yield _FENCE
    if ring.always_sets or (yield ring.alertable.load):
        yield ring.tail_moved.set
    elif ring.recheck_ticks:
        alertable = yield Spin(ring.alertable, 0, None, ring.recheck_ticks, False)
        if alertable:
            yield ring.tail_moved.set
    return Outcome.WRITTEN


def write(ring: ClientRing, data: bytes, strategy: WriteStrategy = WriteStrategy()) -> Routine[Outcome]:
    """Write one packet, trying again when the ring is full as the strategy says: WRITTEN, FULL or STOPPED."""
    attempt = 0
    while True:
        outcome = yield from push(ring, data)
        attempt += 1
        if outcome is not Outcome.FULL or attempt >= strategy.attempts:
            return outcome
        yield from wait_for_space(ring, strategy)


def wait_for_space(ring: ClientRing, strategy: WriteStrategy) -> Routine[None]:
    """What the strategy does between two attempts to write."""
    if strategy.spin_ticks:
        head = yield ring.head.load
        yield Spin(ring.head, head, None, strategy.spin_ticks, False)
    elif strategy.yields:
        yield _YIELD
    elif strategy.sleep_ns:
        yield Sleep(strategy.sleep_ns, strategy.sleeps_finely)
