"""wintun.dll's session layer: the client's side of two registered rings, as routines (spec win32 §6).

The words *receive* and *send* are the library's here: a client receives from the driver's send ring and sends into its
receive ring. One lock guards each direction. `Size` bit 31 marks a packet that the client has not finished (while it
sends) or has finished (while it receives), so that packets may be released and sent in any order, by any thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from wintun_model.abi import PACKET_HEADER_BYTES, WINTUN_LIMITS, Limits
from wintun_model.operations import Event, Fence, LoadSize, Lock, Put, Routine, Store, StoreSize, Variable
from wintun_model.ring import content, space, stored_bytes, wrap
from wintun_model.status import Win32Error
from wintun_model.user_ring import UserRing

MARK = 0x80000000
"""Bit 31 of `Size`: released by the receiver, or not yet sent by the sender."""

_FENCE = Fence()


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryRevision:
    """What distinguishes one revision of wintun.dll's session layer from another."""

    name: str
    always_stores_tail: bool = False
    """A send stores `Tail`, and looks at `Alertable`, also when no packet at the front is finished."""
    has_full_barrier: bool = False
    """A full barrier between the store of `Tail` and the load of `Alertable` (spec driver §10, B3)."""


LIBRARY_REVISIONS: dict[str, LibraryRevision] = {
    revision.name: revision
    for revision in (
        LibraryRevision(name="0.9", always_stores_tail=True),
        LibraryRevision(name="0.9.1", always_stores_tail=True),
        LibraryRevision(name="0.9.2"),
        LibraryRevision(name="0.14"),
        LibraryRevision(name="2026-02", has_full_barrier=True),
    )
}
"""The revisions of the session layer that differ, oldest first; those between are like the one before."""

DEFAULT_LIBRARY_REVISION = "0.14"


class SessionRing(UserRing):
    """One ring as the session layer uses it.

    `positions` is guarded by the lock: (cursor, front, outstanding). The cursor is the own head (or tail), where the
    next packet is handed out; the front is where the packets still out begin, which the ring's own word is moved to;
    outstanding is how many are out.
    """

    __slots__ = ("lock", "positions")

    def __init__(self, name: str, memory: memoryview, capacity: int, limits: Limits = WINTUN_LIMITS) -> None:
        super().__init__(name, memory, capacity, limits)
        self.lock = Lock(f"{name}.lock")
        self.positions: Variable[tuple[int, int, int]] = Variable(f"{name}.positions", (0, 0, 0))


class Session:
    """A session over two rings that are, or are about to be, registered; `memory` of both starts zeroed.

    `receiving` is the driver's send ring, `sending` its receive ring; `send_moved` is the event of the latter.
    """

    def __init__(
        self,
        receiving: SessionRing,
        sending: SessionRing,
        send_moved: Event,
        *,
        revision: LibraryRevision = LIBRARY_REVISIONS[DEFAULT_LIBRARY_REVISION],
        limits: Limits = WINTUN_LIMITS,
    ) -> None:
        self.receiving = receiving
        self.sending = sending
        self.send_moved = send_moved
        self.revision = revision
        self.limits = limits


def receive_packet(session: Session) -> Routine[tuple[int, int, int]]:
    """`WintunReceivePacket`: (Win32 error, offset of the packet's data, its size in bytes); error 0 for a packet."""
    ring = session.receiving
    capacity = ring.capacity
    yield ring.lock.acquire
    head, front, outstanding = yield ring.positions.get
    error, size = Win32Error.ERROR_SUCCESS, 0
    # Stopped: the registration has ended, or an earlier packet was bad.
    if head >= capacity or (tail := (yield ring.tail.load)) >= capacity:
        error = Win32Error.ERROR_HANDLE_EOF
    elif head == tail:
        error = Win32Error.ERROR_NO_MORE_ITEMS
    elif (available := content(head, tail, capacity)) < PACKET_HEADER_BYTES:
        error = Win32Error.ERROR_INVALID_DATA
    else:
        size = yield LoadSize(ring, head)
        if size > session.limits.max_packet_bytes or stored_bytes(size) > available:
            error = Win32Error.ERROR_INVALID_DATA
        else:
            yield Put(ring.positions, (wrap(head + stored_bytes(size), capacity), front, outstanding + 1))
    yield ring.lock.release
    return (error, 0, 0) if error else (error, head + PACKET_HEADER_BYTES, size)


def release_receive_packet(session: Session, offset: int) -> Routine[None]:
    """`WintunReleaseReceivePacket` of the packet whose data is at `offset`: any order, any thread.

    `Head` moves over the released packets at the front, so it stays behind the oldest one still held.
    """
    ring = session.receiving
    start = offset - PACKET_HEADER_BYTES
    yield ring.lock.acquire
    yield StoreSize(ring, start, (yield LoadSize(ring, start)) | MARK)
    cursor, front, outstanding = yield ring.positions.get
    head, left = yield from _pass_finished(ring, front, outstanding, finished=MARK)
    if left != outstanding:
        yield Put(ring.positions, (cursor, head, left))
        yield Store(ring.head, head)
    yield ring.lock.release


def allocate_send_packet(session: Session, size: int) -> Routine[tuple[int, int]]:
    """`WintunAllocateSendPacket`: (Win32 error, offset of the packet's data); error 0 for space of `size` bytes."""
    ring = session.sending
    capacity = ring.capacity
    needed = stored_bytes(size)
    yield ring.lock.acquire
    tail, front, outstanding = yield ring.positions.get
    error = Win32Error.ERROR_SUCCESS
    if tail >= capacity or (head := (yield ring.head.load)) >= capacity:
        error = Win32Error.ERROR_HANDLE_EOF
    elif needed > space(head, tail, capacity):
        error = Win32Error.ERROR_BUFFER_OVERFLOW
    else:
        yield StoreSize(ring, tail, size | MARK)
        yield Put(ring.positions, (wrap(tail + needed, capacity), front, outstanding + 1))
    yield ring.lock.release
    return (error, 0) if error else (error, tail + PACKET_HEADER_BYTES)


def send_packet(session: Session, offset: int) -> Routine[None]:
    """`WintunSendPacket` of the packet whose data is at `offset`: any order, any thread.

    `Tail` moves over the finished packets at the front, so the order on the wire is the order of allocation.
    """
    ring = session.sending
    start = offset - PACKET_HEADER_BYTES
    yield ring.lock.acquire
    yield StoreSize(ring, start, (yield LoadSize(ring, start)) & ~MARK)
    cursor, front, outstanding = yield ring.positions.get
    tail, left = yield from _pass_finished(ring, front, outstanding, finished=0)
    if left != outstanding:
        yield Put(ring.positions, (cursor, tail, left))
    if session.revision.always_stores_tail or (yield ring.tail.load) != tail:
        yield Store(ring.tail, tail)
        if session.revision.has_full_barrier:
            yield _FENCE
        if (yield ring.alertable.load):
            yield session.send_moved.set
    yield ring.lock.release


def _pass_finished(ring: SessionRing, offset: int, outstanding: int, *, finished: int) -> Routine[tuple[int, int]]:
    """Move over the packets from `offset` on whose mark is `finished`: (where the others begin, how many are left)."""
    while outstanding:
        size = yield LoadSize(ring, offset)
        if size & MARK != finished:
            break
        offset = wrap(offset + stored_bytes(size & ~MARK), ring.capacity)
        outstanding -= 1
    return offset, outstanding
