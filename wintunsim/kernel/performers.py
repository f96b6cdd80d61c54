"""What the step engine does with an operation: for each class one function of the operation itself, made from text.

It lets the operation's cost pass and whoever is due before it run, and then has the effect: called with the operation's
fields, or written out for what every packet needs many times (loads, locks that nobody waits for). So one look-up and
one call perform an operation, and nothing is asked that is known of its class.

The running thread's time is `machine.now` + `machine.owed_ns`: what operations without a use for the clock cost is
owed until the next one that has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from inspect import signature
from types import CodeType
from typing import Any

from wintun_model import operations as op
from wintun_model.effects import get, is_set, load, mark_completed
from wintunsim.kernel.clock_use import COSTS_LATER, PRIVATE, VISIBLE, clock_use
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.prices import Price

UNCONTENDED: dict[type[op.Operation], str] = {
    op.Acquire: "if {lock}.exclusive is None and not {lock}.shared and not {lock}.waiters:\n"
    "    {lock}.exclusive = _m.current\nelse:\n    {effect}",
    op.AcquireShared: "if {lock}.exclusive is None and not {lock}.waiters:\n"
    "    {lock}.shared += 1\nelse:\n    {effect}",
    op.Release: "if {lock}.exclusive is not None and not {lock}.waiters:\n"
    "    {lock}.exclusive = None\nelse:\n    {effect}",
    op.ReleaseShared: "if {lock}.shared and not {lock}.waiters:\n    {lock}.shared -= 1\nelse:\n    {effect}",
}
"""What a lock operation comes to when nobody waits; else its effect is called."""

_WRITTEN_OUT: dict[Callable[..., Any], str] = {
    get: "return operation.variable.value",
    is_set: "return operation.event.signalled",
    load: "word = operation.word\nreturn word.cells[word.index]",
    mark_completed: "operation.entry.marked_offset |= 1",
}
"""Effects that are quicker than the call of them."""

_CLOCKS = {
    0: "_m.owed_ns += {cost}",
    PRIVATE: "_m.now += _m.owed_ns + {cost}\n_m.owed_ns = 0",
    VISIBLE: "_m.now = now = _m.now + _m.owed_ns + {cost}\n_m.owed_ns = 0\nif now > _m.horizon:\n    _m.give_way()",
    COSTS_LATER: "cost = {cost}\n_m.now = now = _m.now + _m.owed_ns\n_m.owed_ns = 0\n"
    "if now > _m.horizon:\n    _m.give_way()",
}
"""What comes before the effect, by the use of the clock."""


def performers(
    machine: Machine,
    effects: Mapping[type[op.Operation], Callable[..., Any]],
    costs: Mapping[type[op.Operation], int | Price],
    *,
    inlines_locks: bool,
) -> dict[type[op.Operation], Callable[[Any], Any]]:
    """By the operation's class, what performs it. `costs` has what each costs in ns, or what draws that.

    Without `inlines_locks` free locks are taken by their effect too, for a machine to which holding them means more.
    """
    return {
        kind: _performer(machine, kind, effect, costs[kind], inlines_locks=inlines_locks)
        for kind, effect in effects.items()
    }


def _performer(
    machine: Machine,
    kind: type[op.Operation],
    effect: Callable[..., Any],
    cost: int | Price,
    *,
    inlines_locks: bool,
) -> Callable[[Any], Any]:
    use = clock_use(kind)
    body = _CLOCKS[use].format(cost="_cost()" if callable(cost) else cost)
    if kind in UNCONTENDED and inlines_locks:
        body += "\nlock = operation.lock\n" + UNCONTENDED[kind].format(lock="lock", effect="effect(lock)")
    elif effect in _WRITTEN_OUT:
        body += "\n" + _WRITTEN_OUT[effect]
    else:
        call = f"effect({_fields(kind)})"  # type: ignore[arg-type]  # mypy takes a class for its instances
        body += f"\nvalue = {call}\n_m.now += cost\nreturn value" if use == COSTS_LATER else f"\nreturn {call}"
    text = "def perform(operation, _m=machine, effect=effect):\n    " + body.replace("\n", "\n    ")
    names: dict[str, Any] = {"machine": machine, "effect": effect, "_cost": cost}
    exec(_code(text), names)
    perform: Callable[[Any], Any] = names["perform"]
    return perform


@cache
def _fields(kind: type[op.Operation]) -> str:
    """An operation's fields as a call's arguments."""
    return ", ".join(f"operation.{name}" for name in signature(kind).parameters)


@lru_cache(1000)
def _code(text: str) -> CodeType:
    """Compiled once for all machines with these costs."""
    return compile(text, "<performer>", "exec")
