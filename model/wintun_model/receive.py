"""Receive: the driver reads the receive ring and hands packets up (spec driver §4)."""

from __future__ import annotations

from collections.abc import Sequence

from wintun_model.abi import PACKET_HEADER_BYTES, RING_HEADER_BYTES, STOPPED
from wintun_model.adapter import Adapter, ReceiveNbl, Ring
from wintun_model.operations import (
    Append,
    CopyIn,
    CountReceived,
    Fence,
    FenceAll,
    IndicateReceive,
    LoadByte,
    LoadSize,
    MarkCompleted,
    Put,
    ReadDescriptor,
    ReadFrequency,
    Routine,
    Spin,
    Store,
    Wait,
)
from wintun_model.ring import content, stored_bytes, wrap
from wintun_model.status import is_success

IPV4_HEADER_BYTES = 20
IPV6_HEADER_BYTES = 40
_FENCE = Fence()
_FENCE_ALL = FenceAll()


def read_ring(adapter: Adapter) -> Routine[None]:
    """The reader thread of one registration (spec driver §4.1). `cursor` is its own head.

    Revisions differ in the barrier, in what they skip, and in what a packet takes to allocate (spec driver §9).
    """
    revision = adapter.revision
    has_descriptor, clears_link = revision.allocates_partial_descriptor, revision.clears_link
    ring = yield adapter.receive_ring.get
    capacity = ring.capacity
    cursor = yield ring.head.load
    if cursor >= capacity or (revision.refuses_unaligned and cursor & 3):
        yield Store(ring.head, STOPPED)
        return
    spin_ticks = (yield ReadFrequency()) // 10000
    number = 0
    while not (yield adapter.disconnected.is_set):
        # 1 Find something to read, spinning first.
        tail = yield ring.tail.load
        if tail == cursor:
            tail = yield Spin(ring.tail, cursor, adapter.disconnected, spin_ticks)
            if tail == cursor:
                tail = yield from _sleep(adapter, ring, cursor)
                if tail == cursor:
                    continue
        # 2 Check it.
        found = yield from _check_packet(adapter, ring, cursor, tail)
        if found is None:
            break
        size, ip_version = found
        # 3 Describe it in place.
        data_offset = cursor + PACKET_HEADER_BYTES
        cursor = wrap(cursor + stored_bytes(size), capacity)
        if not ip_version or (has_descriptor and not (yield adapter.partial_descriptors.allocate)):
            yield from _skip(adapter, ring, cursor)
            continue
        if not (yield adapter.nbl_pool.allocate):
            if has_descriptor:
                yield adapter.partial_descriptors.free
            yield from _skip(adapter, ring, cursor)
            continue
        number += 1
        nbl = ReceiveNbl(ring, data_offset, size, ip_version, number)
        # 4 Indicate it.
        yield adapter.transition_lock.acquire_shared
        if not (yield adapter.running.get):
            yield from _discard(adapter, ring, cursor)
            continue
        yield adapter.receive_lock.acquire
        is_first = yield Append(adapter.receive_active, nbl, cursor, clears_link)
        if revision.empties_after_return:
            outstanding = yield adapter.receive_outstanding.get
            yield Put(adapter.receive_outstanding, outstanding + 1)
            is_first = not outstanding
        if is_first:
            yield adapter.receive_empty.clear
        yield adapter.receive_lock.release
        if revision.indicates_after_release:  # A stack may send from inside (B12); pause waits for the NBL.
            yield adapter.transition_lock.release_shared
        inside = yield IndicateReceive(adapter, nbl)
        if inside is not None:
            yield from inside
        if not revision.indicates_after_release:
            yield adapter.transition_lock.release_shared
    # 4.3 The end, after an abort or a disconnect.
    yield Wait((adapter.receive_empty,))
    if revision.empties_after_return:
        # The last thing that the last return call does is to release this lock.
        yield adapter.receive_lock.acquire
        yield adapter.receive_lock.release
    yield Store(ring.head, STOPPED)


def _sleep(adapter: Adapter, ring: Ring, cursor: int) -> Routine[int]:
    """Sleep until there may be something to read; `Tail` if that is so before (the rest of §4.1 step 1).

    Before 2026-02 there is no full barrier between the store of `Alertable` and the load after it (B3). The proposed
    revision makes one on every processor, so that the client needs none between its store and its load.
    """
    yield Store(ring.alertable, 1)
    if adapter.revision.has_barrier_everywhere:
        yield _FENCE_ALL
    elif adapter.revision.has_full_barrier:
        yield _FENCE
    tail = yield ring.tail.load
    if tail == cursor:
        yield Wait((adapter.disconnected, ring.tail_moved))
        yield Store(ring.alertable, 0)
        return cursor
    yield Store(ring.alertable, 0)
    yield ring.tail_moved.clear
    return tail  # type: ignore[no-any-return]


def _discard(adapter: Adapter, ring: Ring, cursor: int) -> Routine[None]:
    """A packet that is described already, and not indicated as the adapter is paused."""
    yield adapter.transition_lock.release_shared
    if adapter.revision.allocates_partial_descriptor:
        yield adapter.partial_descriptors.free
    yield adapter.nbl_pool.free
    yield from _skip(adapter, ring, cursor)


def _check_packet(adapter: Adapter, ring: Ring, cursor: int, tail: int) -> Routine[tuple[int, int] | None]:
    """The packet at `cursor` as (size, IP version), or None for any cause of an abort (§4.1 step 2).

    The IP version is 0 for a packet that is to be skipped, in the revisions that do so (§9).
    """
    if tail >= ring.capacity:
        return None
    available = content(cursor, tail, ring.capacity)
    if available < PACKET_HEADER_BYTES:
        return None
    size = yield LoadSize(ring, cursor)
    if size > adapter.limits.max_packet_bytes or stored_bytes(size) > available:
        return None
    if adapter.rereads_size:
        # What the checks above were about may not be what is used from here on (B4).
        size = yield LoadSize(ring, cursor)
    if size >= IPV4_HEADER_BYTES:
        ip_version = (yield LoadByte(ring, cursor + PACKET_HEADER_BYTES)) >> 4
        if ip_version == 4 or (ip_version == 6 and size >= IPV6_HEADER_BYTES):
            return size, ip_version
    if adapter.revision.skips_other_packets:
        return size, 0
    return None


def _skip(adapter: Adapter, ring: Ring, cursor: int) -> Routine[None]:
    """A skipped packet (§4.2): Head moves only once all NBLs before it are back, without a lock (B2)."""
    yield CountReceived(adapter.statistics, discards=1)
    yield Wait((adapter.receive_empty,))
    yield Store(ring.head, cursor)


def return_nbls(adapter: Adapter, nbls: Sequence[ReceiveNbl]) -> Routine[None]:
    """NDIS returns NBLs, in any order (spec driver §4.4). Head moves when the oldest one has come back.

    Whether it moves under the receive lock depends on the revision (spec driver §9); "empty" is set before in all but
    the proposed one, where it is set when the last call that is under way has nothing left to do.
    """
    revision = adapter.revision
    stores_first, empties_last = revision.stores_head_before_empty, revision.empties_after_return
    stores_under_lock = revision.stores_head_under_lock or stores_first
    has_descriptor = revision.allocates_partial_descriptor
    ring = yield adapter.receive_ring.get
    packets = octets = errors = 0
    for nbl in nbls:
        if is_success(nbl.status):
            packets += 1
            octets += nbl.size_bytes
        else:
            errors += 1
        yield MarkCompleted(nbl)
        while True:
            yield adapter.receive_lock.acquire
            taken = yield adapter.receive_active.take_completed
            if taken is None:
                yield adapter.receive_lock.release
                break
            finished, is_empty = taken
            sets_empty = is_empty and not empties_last
            if sets_empty and not stores_first:
                # The reader may now store Head, and end, before Head is stored here (B2).
                yield adapter.receive_empty.set
            if stores_under_lock:
                yield Store(ring.head, finished.end_offset())
            if sets_empty and stores_first:
                yield adapter.receive_empty.set
            yield adapter.receive_lock.release
            if not stores_under_lock:
                # After the release of the lock: two returns may store in either order (B2).
                yield Store(ring.head, finished.end_offset())
            # Whoever waits for "empty" may be gone on by now (B8).
            if has_descriptor:
                yield ReadDescriptor(ring.pages)
                yield adapter.partial_descriptors.free
            yield adapter.nbl_pool.free
    yield CountReceived(adapter.statistics, packets, octets, errors)
    if empties_last:
        yield adapter.receive_lock.acquire
        outstanding = (yield adapter.receive_outstanding.get) - len(nbls)
        yield Put(adapter.receive_outstanding, outstanding)
        if not outstanding:
            yield adapter.receive_empty.set
        yield adapter.receive_lock.release


def push_header(nbl: ReceiveNbl, header: bytes) -> Routine[bool]:
    """What a consumer does that puts a link header in front of a received packet, as a virtual switch does.

    Where the NBL offers the room (B5) the header goes there, into the ring: over the packet's own `Size` and what is
    before it, which for a packet at offset 0 are the ring's words. Else the header goes into memory of the consumer's
    own, and nothing of the ring is touched. Returns whether the ring was written to.
    """
    if nbl.headroom_bytes < len(header):
        return False
    yield CopyIn(nbl.ring.whole, RING_HEADER_BYTES + nbl.offset - len(header), header, len(header))
    return True
