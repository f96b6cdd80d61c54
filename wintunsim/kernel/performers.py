"""What performs an operation that a routine has yielded: for each class one function of the operation itself.

Most are the effect, called with the operation's fields. What is done for every packet many times is written out here,
since a call inside a call is what such an operation costs most: loads, and locks that nobody waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wintun_model import operations as op
from wintun_model.effects import handler, load
from wintunsim.kernel.machine import Machine

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


def performers(
    machine: Machine, effects: Mapping[type[op.Operation], Callable[..., Any]], *, inlines_locks: bool
) -> dict[type[op.Operation], Callable[[Any], Any]]:
    """By the operation's class, what performs it.

    Without `inlines_locks` free locks are taken by their effect too, for a machine to which holding them means more.
    """
    found: dict[type[op.Operation], Callable[[Any], Any]] = {}
    for kind, effect in effects.items():
        if kind in UNCONTENDED and inlines_locks:
            found[kind] = _lock_performer(UNCONTENDED[kind], machine, effect)
        elif effect is load:
            found[kind] = _load
        else:
            found[kind] = handler(kind, effect)
    return found


def _load(operation: op.Load) -> int:
    word = operation.word
    return word.cells[word.index]


def _lock_performer(template: str, machine: Machine, effect: Callable[..., Any]) -> Callable[[Any], Any]:
    body = template.format(lock="lock", effect="effect(lock)").replace("\n", "\n    ")
    names: dict[str, Any] = {"_m": machine, "effect": effect}
    exec(f"def perform(operation):\n    lock = operation.lock\n    {body}", names)
    perform: Callable[[Any], Any] = names["perform"]
    return perform
