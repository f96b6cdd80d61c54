"""Walking through a routine on its own, to see what takes how long in it.

Operations cost what they cost the step engine, and do what they do to a small world of their own; nothing runs beside
them but what the walk is told to do when it comes to a spin or a wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wintun_model import operations as op
from wintun_model.client import ClientRing
from wintun_model.effects import PLAIN_EFFECTS, handler
from wintun_model.receive import return_nbls
from wintunsim.kernel.clock_use import COSTS_LATER, VISIBLE, clock_use, costs_of
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.effects import FREQUENCY

_EFFECTS = {kind: handler(kind, effect) for kind, effect in PLAIN_EFFECTS.items()}


class UnknownShape(Exception):
    """A routine does not go the way that is known here: `args` say which, and how it went."""


class Walk:
    """Walks one routine to its end, and notes when operations that others see take effect."""

    def __init__(self, costs: Costs, *, in_user_mode: bool = False) -> None:
        self.costs = costs_of(costs, in_user_mode=in_user_mode)
        self.plain = costs.load_ns
        self.now = 0
        self.seen: list[tuple[str, int]] = []
        self.actions: dict[str, Callable[[], None]] = {}
        """What happens when it comes to a "spin" or a "wait"; each once."""

    def note(self, word: str) -> None:
        self.seen.append((word, self.now))

    def run(self, routine: op.Routine[Any], until: str = "") -> Any:
        """Walk on; up to the first visible operation of the name `until` if there is one."""
        value: Any = None
        try:
            while True:
                operation = routine.send(value)
                kind = type(operation)
                use, cost = clock_use(kind), self.costs.get(kind, self.plain)
                if use != COSTS_LATER:
                    self.now += cost
                if use in (VISIBLE, COSTS_LATER):
                    self.note(_name(operation))
                    if until and self.seen[-1][0] == until:
                        routine.close()
                        return None
                value = self._effect(operation, kind)
                if use == COSTS_LATER:
                    self.now += cost
        except StopIteration as stop:
            return stop.value

    def _effect(self, operation: Any, kind: type[op.Operation]) -> Any:
        if kind is op.Spin:
            action = self.actions.pop("spin", None)
            if action:
                action()
            return operation.word.cells[operation.word.index]
        if kind is op.Wait:
            action = self.actions.pop("wait", None)
            if action:
                action()
            return len(operation.events) - 1
        if kind in (op.Set, op.Clear):
            operation.event.signalled = kind is op.Set
            return None
        if kind is op.IndicateReceive:
            return return_nbls(operation.adapter, (operation.nbl,))
        if kind is op.Allocate:
            operation.pool.outstanding += 1
            return True
        if kind is op.ReadFrequency:
            return FREQUENCY
        effect = _EFFECTS.get(kind)
        return effect(operation) if effect is not None else None

    def expect(self, *words: str) -> list[int]:
        """The times of what was seen, which must be this."""
        found = [word for word, _ in self.seen]
        if found != list(words):
            raise UnknownShape(f"expected {', '.join(words)}: found {', '.join(found)}")
        return [time for _, time in self.seen]


def _name(operation: Any) -> str:
    kind = type(operation).__name__
    for field in ("word", "event"):
        target = getattr(operation, field, None)
        if kind in ("Load", "Store", "Set", "Clear") and target is not None:
            return f"{kind} {target.name}"
    return kind


def put(ring: ClientRing, tail: int) -> None:
    """A packet of 20 bytes in the ring, without anybody seeing it."""
    ring.data[0:5] = bytes((20, 0, 0, 0, 0x45))
    ring.tail.cells[1] = tail


def late(routine: op.Routine[Any], action: Any) -> op.Routine[Any]:
    """The routine, with something that happens when it has stored Alertable."""
    value: Any = None
    while True:
        try:
            operation = routine.send(value)
        except StopIteration as stop:
            return stop.value
        value = yield operation
        if action is not None and _name(operation).startswith("Store") and _name(operation).endswith("Alertable"):
            action()
            action = None
