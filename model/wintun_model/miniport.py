"""The miniport's life: initialize, restart, pause and halt (spec driver §6.4, §7)."""

from __future__ import annotations

from dataclasses import dataclass

from wintun_model.adapter import Adapter
from wintun_model.operations import Delete, IndicateLink, Initialize, Put, Routine, Wait, call_out
from wintun_model.registration import barrier, unregister
from wintun_model.revision import Revision
from wintun_model.status import NdisStatus

VENDOR_DESCRIPTION = b"Wintun Tunnel\0"
VENDOR_ID = 0x00FFFFFF
IF_TYPE_PROP_VIRTUAL = 53
NBL_POOL = "NBL pool"
"""What a fault plan calls the making of the pool, as opposed to that of one NBL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What the miniport tells NDIS of the adapter at initialize (spec driver §7)."""

    media_type: str = "IP"
    mtu_bytes: int = 0xFFFF
    lookahead_bytes: int = 0xFFFF
    transmit_bits_per_second: int = 100_000_000_000
    receive_bits_per_second: int = 100_000_000_000
    interface_type: int = IF_TYPE_PROP_VIRTUAL
    is_media_connected: bool = False
    halts_on_suspend: bool = False
    allows_surprise_removal: bool = True
    is_full_duplex: bool = False
    """Whether full duplex is reported; before 0.13 nothing is said of it (spec driver §9)."""


def attributes_of(revision: Revision) -> Attributes:
    """The attributes that a revision reports."""
    return Attributes(is_full_duplex=revision.reports_full_duplex)


def initialize(adapter: Adapter) -> Routine[tuple[int, Attributes | None]]:
    """NDIS initializes the miniport: it is paused, and its link is down (spec driver §7, §9). (status, attributes).

    The context is published before its registration lock is ready; when memory fails after that, the context is freed,
    but not withdrawn (B13; the proposed revision publishes it last). What is short of memory answers
    NDIS_STATUS_RESOURCES; the specification names no status.
    Before 0.13 the link is also indicated to be down.
    """
    publishes_last = adapter.revision.publishes_context_last
    if not (yield adapter.context.allocate):
        return NdisStatus.NDIS_STATUS_RESOURCES, None
    if not publishes_last:
        yield Put(adapter.is_attached, True)
    yield adapter.disconnected.set
    if not (yield Initialize(adapter.nbl_pool, NBL_POOL)):
        yield adapter.context.free
        return NdisStatus.NDIS_STATUS_RESOURCES, None
    yield Initialize(adapter.registration_lock)
    if publishes_last:
        yield Put(adapter.is_attached, True)
    if adapter.revision.indicates_link_down_at_start:
        yield from call_out(IndicateLink(adapter, False))
    return NdisStatus.NDIS_STATUS_SUCCESS, attributes_of(adapter.revision)


def restart(adapter: Adapter) -> Routine[None]:
    """NDIS restarts the miniport: sends and receives run from now on."""
    yield Put(adapter.running, True)


def pause(adapter: Adapter) -> Routine[None]:
    """NDIS pauses the miniport: senders are out, and indicated NBLs are back, when this returns."""
    yield Put(adapter.running, False)
    yield from barrier(adapter)
    yield Wait((adapter.receive_empty,))


def halt(adapter: Adapter) -> Routine[None]:
    """NDIS halts the miniport: the adapter is removed or disabled (spec driver §6.4; order of locks: §2).

    The registration is ended without the context guard, so another one may follow it before the context is detached
    (B9). Later requests find no context; those already inside are waited for. The proposed revision detaches first.
    """
    guard, detaches_first = adapter.driver.context_guard, adapter.revision.halt_detaches_first
    if detaches_first:
        # Who comes for the guard meanwhile finds no context, or no registration of this adapter.
        yield guard.acquire
        yield Put(adapter.is_attached, False)
    yield from unregister(adapter, None)
    if detaches_first:
        yield guard.release
    yield from barrier(adapter)
    yield Delete(adapter.nbl_pool)
    if not detaches_first:
        yield Put(adapter.is_attached, False)
        yield guard.acquire
        yield guard.release
    yield Delete(adapter.registration_lock)
    yield adapter.context.free


def driver_version(adapter: Adapter) -> int:
    """The driver's version as it reports it: major << 16 | minor."""
    major, minor = adapter.driver.revision.version
    return major << 16 | minor
