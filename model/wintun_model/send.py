"""Send: NDIS hands packets down, the driver writes the send ring (spec driver §3)."""

from __future__ import annotations

from collections.abc import Sequence

from wintun_model.adapter import Adapter, Ring, SendChain
from wintun_model.operations import (
    Append,
    CompleteSend,
    CopyIn,
    CountSent,
    MarkCompleted,
    Put,
    Routine,
    Store,
    StoreSize,
)
from wintun_model.ring import space, stored_bytes, wrap
from wintun_model.status import NdisStatus

_PAUSED = int(NdisStatus.NDIS_STATUS_PAUSED)
_MEDIA_DISCONNECTED = int(NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED)
_ADAPTER_NOT_READY = int(NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY)
_BUFFER_OVERFLOW = int(NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW)
_INVALID_LENGTH = int(NdisStatus.NDIS_STATUS_INVALID_LENGTH)
_FAILURE = int(NdisStatus.NDIS_STATUS_FAILURE)


def send(adapter: Adapter, chain: SendChain) -> Routine[None]:
    """Send a chain of NBLs: all of it or nothing. Any number of threads may be in here at once.

    Where `Head` is loaded depends on the revision (spec driver §9). The proposed one counts before it releases the
    locks, and completes after.
    """
    loads_under_lock, counts_first = adapter.revision.loads_head_under_lock, adapter.revision.counts_before_release
    # 1 Measure.
    required = chain.required_bytes(adapter.limits)
    # 2
    yield adapter.transition_lock.acquire_shared
    # 3 Refuse.
    if not (yield adapter.running.get):
        yield from _refuse(adapter, chain, _PAUSED)
        return
    if (yield adapter.disconnected.is_set):
        yield from _refuse(adapter, chain, _MEDIA_DISCONNECTED)
        return
    ring = yield adapter.send_ring.get
    capacity = ring.capacity
    # Head is loaded before the send lock is taken (B1), from 2026-02 on under it.
    if loads_under_lock:
        yield adapter.send_lock.acquire
    head = yield ring.head.load
    if head >= capacity:
        if loads_under_lock:
            yield adapter.send_lock.release
        yield from _refuse(adapter, chain, _ADAPTER_NOT_READY)
        return
    # 4 Space, counted from the reserved tail.
    if not loads_under_lock:
        yield adapter.send_lock.acquire
    reserved_tail = yield adapter.send_reserved_tail.get
    if space(head, reserved_tail, capacity) < required:
        yield adapter.send_lock.release
        yield from _refuse(adapter, chain, _BUFFER_OVERFLOW)
        return
    # 5 Reserve.
    end_offset = wrap(reserved_tail + required, capacity)
    yield Put(adapter.send_reserved_tail, end_offset)
    chain.offset = reserved_tail
    yield Append(adapter.send_active, chain, end_offset, adapter.revision.clears_link)
    yield adapter.send_lock.release
    # 6 Copy, without the lock.
    counted = yield from _copy(adapter, ring, chain, reserved_tail)
    # 7 Publish, in the order of reservation.
    yield MarkCompleted(chain)
    yield adapter.send_lock.acquire
    published: list[SendChain] = []
    while (taken := (yield adapter.send_active.take_completed)) is not None:
        finished, is_empty = taken
        yield Store(ring.tail, finished.end_offset())
        yield ring.tail_moved.set
        if adapter.revision.completes_after_release:
            published.append(finished)
        else:
            inside = yield CompleteSend(adapter, finished)
            if inside is not None:
                yield from inside
        if is_empty:
            break
    yield adapter.send_lock.release
    # 8 The chain may be complete by now: nothing but the transition lock holds up halt (B15).
    if counts_first:
        yield CountSent(adapter.statistics, *counted)
    yield adapter.transition_lock.release_shared
    if not counts_first:
        yield CountSent(adapter.statistics, *counted)
    if published:
        yield from _complete(adapter, published)


def _copy(adapter: Adapter, ring: Ring, chain: SendChain, cursor: int) -> Routine[tuple[int, int, int, int]]:
    """Copy each packet to its place, from `cursor` on (§3 step 6). Returns what to count."""
    largest = adapter.limits.max_packet_bytes
    capacity = ring.capacity
    packets = octets = errors = discards = 0
    for nbl in chain.nbls:
        for packet in nbl.packets:
            size = packet.size_bytes
            if size > largest:
                errors += 1
                nbl.status = _INVALID_LENGTH
                continue
            yield StoreSize(ring, cursor, size)
            yield CopyIn(ring, cursor + 4, packet.data, size)
            if packet.data is None:
                discards += 1
                nbl.status = _FAILURE
            else:
                packets += 1
                octets += size
            cursor = wrap(cursor + stored_bytes(size), capacity)
    return packets, octets, errors, discards


def _complete(adapter: Adapter, chains: Sequence[SendChain]) -> Routine[None]:
    """Complete chains with no lock held, so that a stack may send from inside (B12).

    Halt may follow the last one at once: nothing of the adapter's is touched after it.
    """
    for chain in chains:
        inside = yield CompleteSend(adapter, chain)
        if inside is not None:
            yield from inside


def _refuse(adapter: Adapter, chain: SendChain, status: int) -> Routine[None]:
    """Refuse the whole chain; the transition lock is held shared on entry (§3, last paragraph)."""
    counts_first = adapter.revision.counts_before_release
    for nbl in chain.nbls:
        nbl.status = status
    if counts_first:
        yield CountSent(adapter.statistics, discards=len(chain.packets()))
    yield adapter.transition_lock.release_shared
    inside = yield CompleteSend(adapter, chain)
    if inside is not None:
        yield from inside
    if not counts_first:
        yield CountSent(adapter.statistics, discards=len(chain.packets()))
