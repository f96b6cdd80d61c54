"""The shortest way to break a property: fewest preemptions first, then fewest steps.

States are gone through in the order of what it takes to come to them, so the first that breaks the property is it.
Where that is too much, the schedule that is there is made shorter as long as a single change makes it so.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.search import Budget
from wintunsim.explore.strategies.preemptions import NOBODY, could_go_on, unwind
from wintunsim.explore.violation import Violation
from wintunsim.explore.writes import State

STATES_MAX = 200_000
"""How many states are looked at before the given schedule is made shorter instead."""

LOOK_EVERY = 256

Found = tuple[list[int], Violation]
Cost = tuple[int, int]
"""(preemptions, steps)"""
_Path = tuple["_Path", int] | None


def minimise(
    machine: Machine, start: State, violation: Violation, schedule: Sequence[int], budget: Budget | None = None
) -> Found:
    """The execution with fewest preemptions, and of these one with fewest steps, that breaks the same property.

    `schedule` are the transitions of an execution that breaks it. `budget.executions` bounds the states that are looked
    at (STATES_MAX without it); once they are spent, or `budget.seconds` are, the answer is a shorter form of `schedule`
    that no single change makes shorter. Without seconds the answer is always the same.
    """
    budget = budget or Budget()
    budget.begin()
    shorter = _shorten(machine, start, violation, list(schedule))
    found = _cheapest(machine, start, violation, cost_of(machine, start, shorter[0]), budget)
    return found or shorter


def cost_of(machine: Machine, start: State, schedule: Sequence[int]) -> Cost:
    """(preemptions, steps) of a schedule whose last step may break a property."""
    state = list(start)
    machine.complete(state)
    preemptions, running = 0, NOBODY
    for place, transition in enumerate(schedule):
        if not transition & FLUSH:
            preemptions += transition >> 2 != running and could_go_on(machine, state, running)
            running = transition >> 2
        if place + 1 < len(schedule):
            machine.apply(state, transition)
    return preemptions, len(schedule)


def _cheapest(machine: Machine, start: State, violation: Violation, most: Cost, budget: Budget) -> Found | None:
    """The cheapest execution that costs less than `most`; None when there is none, or the budget is spent."""
    states_max = STATES_MAX if budget.executions is None else budget.executions
    first = list(start)
    machine.complete(first)
    heap: list[tuple[Cost, int, State, int, _Path, Violation | None]] = [((0, 0), 0, first, NOBODY, None, None)]
    seen: set[tuple[object, ...]] = set()
    order = 0
    while heap:
        (preemptions, steps), _, state, running, path, broken = heappop(heap)
        if broken is not None:
            return unwind(path), broken
        machine.complete(state)
        key = (running, *state)
        if key in seen:
            continue
        seen.add(key)
        if len(seen) > states_max or (not len(seen) % LOOK_EVERY and budget.is_spent(0)):
            return None
        enabled = machine.enabled(state)
        if not enabled and (broken := _broken_end(machine, state)) and broken.property is violation.property:
            return unwind(path), broken
        is_switch = could_go_on(machine, state, running)
        for transition in enabled:
            runs = running if transition & FLUSH else transition >> 2
            cost = (preemptions + (is_switch and runs != running), steps + 1)
            if cost >= most:
                continue
            after, broken = list(state), None
            try:
                machine.apply(after, transition)
            except Violation as found:
                if found.property is not violation.property:
                    continue
                broken = found
            order += 1
            heappush(heap, (cost, order, after, runs, (path, transition), broken))
    return None


def _broken_end(machine: Machine, state: State) -> Violation | None:
    try:
        machine.check_end(state)
    except Violation as violation:
        return violation
    return None


def _attempt(machine: Machine, start: State, violation: Violation, wanted: Sequence[int]) -> Found | None:
    """Take the steps that are possible of those wanted, then whatever is: the execution, if it breaks the property."""
    state = list(start)
    machine.complete(state)
    taken: list[int] = []
    left = list(wanted)
    try:
        while len(taken) < machine.steps_max and (enabled := machine.enabled(state)):
            able = set(enabled)
            place = next((place for place, step in enumerate(left) if step in able), None)
            transition = enabled[0] if place is None else left.pop(place)
            taken.append(transition)
            machine.apply(state, transition)
        machine.check_end(state)
    except Violation as broken:
        return (taken, broken) if broken.property is violation.property else None
    return None


def _shorten(machine: Machine, start: State, violation: Violation, schedule: list[int]) -> Found:
    """Move a run of one thread's steps before or behind another's as long as that makes the schedule cheaper."""
    best: Found = (schedule, violation)
    cost = cost_of(machine, start, schedule)
    is_better = True
    while is_better:
        is_better = False
        for candidate in _changes(best[0]):
            found = _attempt(machine, start, violation, candidate)
            if found is not None and (lower := cost_of(machine, start, found[0])) < cost:
                best, cost, is_better = found, lower, True
                break
    return best


def _changes(schedule: list[int]) -> list[list[int]]:
    """The schedule with one change: a block left out, or moved to the block of the same thread before or after it."""
    blocks: list[list[int]] = []
    for transition in schedule:
        if blocks and blocks[-1][0] >> 2 == transition >> 2:
            blocks[-1].append(transition)
        else:
            blocks.append([transition])
    changed = []
    for place, block in enumerate(blocks):
        rest = blocks[:place] + blocks[place + 1 :]
        changed.append(_flat(rest))
        for other, neighbour in enumerate(rest):
            if neighbour[0] >> 2 == block[0] >> 2:
                changed.append(_flat([*rest[: other + 1], block, *rest[other + 1 :]]))
                changed.append(_flat([*rest[:other], block, *rest[other:]]))
    return changed


def _flat(blocks: Sequence[Sequence[int]]) -> list[int]:
    return [transition for block in blocks for transition in block]
