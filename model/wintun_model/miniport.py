"""The miniport's life: restart and pause (spec driver §7)."""

from __future__ import annotations

from wintun_model.adapter import Adapter
from wintun_model.operations import Put, Routine, Wait
from wintun_model.registration import barrier

VENDOR_DESCRIPTION = b"Wintun Tunnel\0"


def restart(adapter: Adapter) -> Routine[None]:
    """NDIS restarts the miniport: sends and receives run from now on."""
    yield Put(adapter.running, True)


def pause(adapter: Adapter) -> Routine[None]:
    """NDIS pauses the miniport: senders are out, and indicated NBLs are back, when this returns."""
    yield Put(adapter.running, False)
    yield from barrier(adapter)
    yield Wait((adapter.receive_empty,))


def driver_version(adapter: Adapter) -> int:
    """The driver's version as it reports it: major << 16 | minor."""
    major, minor = adapter.driver.revision.version
    return major << 16 | minor
