"""How operations stand to the clock: what they cost, and before which of them others get their turn."""

from __future__ import annotations

from wintun_model import operations as op
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.prices import Price, Prices

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


_FIGURES: dict[type[op.Operation], str] = {
    op.Fence: "fence_ns",
    op.FenceAll: "fence_all_ns",
    op.Set: "event_ns",
    op.Wait: "event_ns",
    op.Spin: "pass_ns",
    op.Sleep: "event_ns",
    op.ReadClock: "user_call_ns",
    op.StartThread: "thread_ns",
    op.Allocate: "allocate_ns",
    op.Free: "allocate_ns",
    op.Initialize: "allocate_ns",
    op.Delete: "allocate_ns",
    op.Acquire: "lock_ns",
    op.TryAcquire: "lock_ns",
    op.AcquireShared: "lock_ns",
    op.CompleteSend: "ndis_ns",
    op.IndicateReceive: "ndis_ns",
    op.IndicateLink: "ndis_ns",
}
"""Which of the `Costs` an operation has, where that is not `load_ns`."""


def figure_of(kind: type[op.Operation], *, in_user_mode: bool) -> str | None:
    """The name of the figure of `Costs` that an operation costs; None where that is `load_ns`, or nothing."""
    return "system_call_ns" if in_user_mode and kind in SYSTEM_CALLS else _FIGURES.get(kind)


def costs_of(costs: Costs, *, in_user_mode: bool = False) -> dict[type[op.Operation], int]:
    """What operations cost, in ns, where that is not `load_ns`; the median of what varies."""
    table = {op.Yield: 0, op.Work: 0}
    for kind in (*_FIGURES, *SYSTEM_CALLS):
        name = figure_of(kind, in_user_mode=in_user_mode)
        if name is not None:
            table[kind] = costs.typical(name)
    return table


def prices_of(prices: Prices, *, in_user_mode: bool = False) -> dict[type[op.Operation], Price]:
    """What draws the costs of those operations whose costs vary."""
    table = {}
    for kind in (*_FIGURES, *SYSTEM_CALLS):
        name = figure_of(kind, in_user_mode=in_user_mode)
        price = prices.varying(name) if name is not None else None
        if price is not None:
            table[kind] = price
    return table
