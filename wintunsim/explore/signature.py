"""What distinguishes one race from another: the property, and the operations at the step that breaks it.

Two executions that break the same property at the same place of the same routine, against the same step of somebody
else, show the same race, whatever else is going on. So a signature knows no numbers: no offsets, sizes, or places in a
program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.program import Node, Program
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.writes import State

_NUMBERED = re.compile(r"\b\d+\. |(?<=\btun) \d+|(?<=\bclient) \d+|[@#*]\d+")
_NUMBER = re.compile(r"\b(0x[0-9a-f]+|[0-9a-f]{8,}|\d+)\b")


AGAINST = (Property.NEVER_BACK, Property.STAYS_CLOSED, Property.NOTHING_AFTER_FREE)
"""Properties that two steps break together, the last of which may be either."""


@dataclass(frozen=True, slots=True, order=True)
class Signature:
    """One race. `breaks` is what broke the property, `against` the last step before it that had to do with it."""

    broken: str
    breaks: str
    against: str = ""

    @property
    def freed(self) -> str:
        """For what is used after it is freed: the step that freed it."""
        return self.against if Property(self.broken) is Property.NOTHING_AFTER_FREE else ""

    def __str__(self) -> str:
        text = f"{self.broken}: {self.breaks}"
        return f"{text}, against {self.against}" if self.against else text


@dataclass(slots=True)
class _Effect:
    """A step, by what it touches. `node` is what the thread did; a flush is the store that it makes visible."""

    program: Program
    node: Node
    reads: int
    writes: int


def signature_of(machine: Machine, start: State, schedule: list[int], violation: Violation) -> Signature:
    """The signature of an execution that breaks a property; `machine` is the one that it was found on."""
    effects, state, is_step = _replay(machine, start, schedule)
    broken = violation.property.value
    if not is_step:
        if violation.property is Property.NO_LOST_WAKEUP:
            return Signature(broken, "; ".join(_waiting(machine, state)))
        return Signature(broken, plain(violation.what))
    last = effects.pop()
    breaks = _told(last)
    if violation.property in (Property.NOTHING_AFTER_FREE, Property.UNREAD_KEPT):
        # Where a routine first touches what is not its own depends on chance: that it may does not.
        breaks = breaks.partition(":")[0]
    return Signature(broken, breaks, _against(effects, last) if violation.property in AGAINST else "")


def _against(effects: list[_Effect], last: _Effect) -> str:
    """The last step of somebody else that the step that breaks a property depends on."""
    for effect in reversed(effects):
        if effect.program is not last.program and (
            effect.writes & (last.reads | last.writes) or effect.reads & last.writes
        ):
            return _told(effect)
    return ""


def _replay(machine: Machine, start: State, schedule: list[int]) -> tuple[list[_Effect], State, bool]:
    """The effects of an execution, its last state, and whether its last step is what broke the property."""
    state = list(start)
    machine.complete(state)
    effects: list[_Effect] = []
    stores: dict[int, list[Node]] = {}
    for transition in schedule:
        program = machine.programs[transition >> 2]
        node = state[program.slot]
        waiting = stores.setdefault(program.index, [])
        if transition & 3 == FLUSH:
            write = state[program.buffer][0]
            effects.append(_Effect(program, waiting.pop(0), write.reads, write.writes))
        else:
            effects.append(_Effect(program, node, node.reads, node.writes))
        buffered = len(state[program.buffer])
        try:
            machine.apply(state, transition)
        except Violation:
            return effects, state, True
        waiting += [node] * (len(state[program.buffer]) - buffered) if transition & 3 != FLUSH else []
    return effects, state, False


def plain(text: str) -> str:
    """A text without what numbers things: offsets, bytes, places in a program."""
    return _NUMBER.sub("#", _NUMBERED.sub("", text))


def _told(effect: _Effect) -> str:
    return where(effect.program, effect.node)


def where(program: Program, node: Node) -> str:
    """A thread's step for people: the innermost routine and the operation."""
    names = program.routines_at(node)
    text = plain(node.text)
    return f"{names[-1].strip('_')}: {text}" if names else text


def _waiting(machine: Machine, state: State) -> list[str]:
    """Who waits for ever and may not."""
    found = set()
    for program in machine.programs:
        node = state[program.slot]
        if node.has_ended or node is program.dormant or (program.idle is not None and program.idle(state)):
            continue
        found.add(where(program, node))
    return sorted(found)
