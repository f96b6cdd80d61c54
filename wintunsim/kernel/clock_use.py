"""How operations stand to the clock: what they cost, and before which of them others get their turn."""

from __future__ import annotations

from wintun_model import operations as op
from wintunsim.kernel.costs import Costs

UNCLOCKED: frozenset[type[op.Operation]] = frozenset(
    (
        op.Allocate,
        op.Append,
        op.CountReceived,
        op.CountSent,
        op.Free,
        op.Get,
        op.IsSet,
        op.LoadByte,
        op.LoadSize,
        op.MarkCompleted,
        op.ReadDescriptor,
        op.ReadFrequency,
        op.StoreSize,
        op.TakeCompleted,
    )
)
CLOCKED: frozenset[type[op.Operation]] = frozenset(
    (
        op.Acquire,
        op.AcquireShared,
        op.CopyIn,
        op.CopyOut,
        op.Delete,
        op.Initialize,
        op.Put,
        op.ReadClock,
        op.Release,
        op.ReleaseShared,
        op.TryAcquire,
    )
)
"""Private operations, without and with a use for the clock: nobody is let in before them.

They cost time, but take effect together with the visible operation before them. They touch what their thread alone may
touch then (state under a lock that it holds, ring bytes that are not published or not given back yet), or a flag or
lock for which any order is one that a real machine may take. So runs need a third of the thread switches. What is
ordered exactly: ring words, events, waits, calls to NDIS. (The exploring executor orders everything.)
"""
PRIVATE, VISIBLE, COSTS_LATER = 1, 2, 3


def clock_use(kind: type[op.Operation]) -> int:
    """0 for operations without a use for the clock, `PRIVATE`, `VISIBLE`, or `COSTS_LATER`.

    The last is a visible operation that takes effect when it begins: whoever it wakes is on the way while it goes on.
    """
    if kind is op.Set:
        return COSTS_LATER
    return 0 if kind in UNCLOCKED else PRIVATE if kind in CLOCKED else VISIBLE


SYSTEM_CALLS: frozenset[type[op.Operation]] = frozenset((op.Clear, op.Set, op.Sleep, op.Wait, op.Yield))
"""What a routine in user mode needs the kernel for."""


def costs_of(costs: Costs, *, in_user_mode: bool = False) -> dict[type[op.Operation], int]:
    """What operations cost, in ns, where that is not `load_ns`."""
    table = _costs_of(costs)
    if in_user_mode:
        table |= dict.fromkeys(SYSTEM_CALLS, costs.system_call_ns)
    return table


def _costs_of(costs: Costs) -> dict[type[op.Operation], int]:
    return {
        op.Fence: costs.fence_ns,
        op.FenceAll: costs.fence_all_ns,
        op.Set: costs.event_ns,
        op.Wait: costs.event_ns,
        op.Spin: costs.pass_ns,
        op.Sleep: costs.event_ns,
        op.Yield: 0,
        op.ReadClock: costs.user_call_ns,
        op.Work: 0,
        op.StartThread: costs.thread_ns,
        op.Allocate: costs.allocate_ns,
        op.Free: costs.allocate_ns,
        op.Initialize: costs.allocate_ns,
        op.Delete: costs.allocate_ns,
        op.Acquire: costs.lock_ns,
        op.TryAcquire: costs.lock_ns,
        op.AcquireShared: costs.lock_ns,
        op.CompleteSend: costs.ndis_ns,
        op.IndicateReceive: costs.ndis_ns,
        op.IndicateLink: costs.ndis_ns,
    }
