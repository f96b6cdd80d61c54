"""Calls out of the driver, above all into NDIS, and the counters that NDIS asks for."""

from __future__ import annotations

from typing import Any

from wintun_model.operations_base import Operation, Routine
from wintun_model.operations_requests import Caller


class CallOut(Operation):
    """A call into NDIS, on the calling thread. Sends back a routine for what happens inside the call, or None."""

    __slots__ = ()


class CompleteSend(CallOut):
    """Complete a send chain to NDIS; each NBL carries its status."""

    __slots__ = ("adapter", "chain")

    def __init__(self, adapter: Any, chain: Any) -> None:
        self.adapter = adapter
        self.chain = chain


class IndicateReceive(CallOut):
    """Indicate one received NBL to NDIS."""

    __slots__ = ("adapter", "nbl")

    def __init__(self, adapter: Any, nbl: Any) -> None:
        self.adapter = adapter
        self.nbl = nbl


class IndicateLink(CallOut):
    """Indicate media connected or disconnected to NDIS."""

    __slots__ = ("adapter", "connected")

    def __init__(self, adapter: Any, connected: bool) -> None:
        self.adapter = adapter
        self.connected = connected


class CloseHandle(CallOut):
    """Close a handle in its process; whether it still names anything is not told."""

    __slots__ = ("caller", "handle")

    def __init__(self, caller: Caller, handle: int) -> None:
        self.caller = caller
        self.handle = handle


def call_out(operation: CallOut) -> Routine[None]:
    """Make a call out of the driver, and run on this thread what happens inside it."""
    inside = yield operation
    if inside is not None:
        yield from inside


class _Count(Operation):
    __slots__ = ("discards", "errors", "octets", "packets", "statistics")

    def __init__(self, statistics: Any, packets: int = 0, octets: int = 0, errors: int = 0, discards: int = 0) -> None:
        self.statistics = statistics
        self.packets = packets
        self.octets = octets
        self.errors = errors
        self.discards = discards


class CountSent(_Count):
    """Add to the adapter's counters of what went out, as the calling processor's own (spec driver §3 step 8)."""

    __slots__ = ()


class CountReceived(_Count):
    """Add to the adapter's counters of what came in (spec driver §4.4)."""

    __slots__ = ()
