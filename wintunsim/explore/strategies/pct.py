"""Probabilistic concurrency testing: threads have random priorities, and a few steps chosen beforehand lower one.

The enabled thread with the highest priority goes. With d - 1 such change points, an execution of k steps of n threads
meets any error that takes d orderings with a probability of 1 / (n k^(d-1)) at least (Burckhardt and others, 2010).
A store buffer counts as a thread of its own, whose steps are flushes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wintunsim.errors import UsageError
from wintunsim.explore.machine import Machine
from wintunsim.explore.search import Budget, Outcome
from wintunsim.explore.strategies.draws import DRAW_BITS, draws
from wintunsim.explore.strategies.sampling import sample
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.writes import State

STEPS_GUESS_MAX = 1 << DRAW_BITS


def pct(
    machine: Machine,
    start: State,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    depth: int = 3,
    steps: int | None = None,
    first: int = 0,
    ending: Callable[[State], object] | None = None,
    watch: Callable[[list[int]], None] | None = None,
) -> Outcome:
    """Look at executions with random priorities, from number `first` on, until one breaks a property.

    `depth` is d: so many orderings, minus one, are changed on the way. `steps` is how long an execution is about; left
    out, it is the length of one in which the first thread that can go on always does. Execution number k depends on
    `seed`, `depth`, `steps` and k alone. UsageError for a depth below 1.
    """
    if depth < 1:
        raise UsageError(f"depth is {depth}: give 1 or more")
    length = min(max(steps or _length(machine, start), 1), STEPS_GUESS_MAX)

    def run(state: State, path: list[int], number: int) -> None:
        _run(machine, state, path, draws(seed, "pct", number), depth, length)

    return sample(machine, start, budget, run, first=first, ending=ending, watch=watch)


def _length(machine: Machine, start: State) -> int:
    """The steps of an execution in which the first thread that can go on does, until a property breaks or it ends."""
    state, steps = list(start), 0
    machine.complete(state)
    try:
        while steps < machine.steps_max and (enabled := machine.enabled(state)):
            machine.apply(state, enabled[0])
            steps += 1
    except Violation:
        return steps + 1
    return steps


def _run(machine: Machine, state: State, path: list[int], chance: Iterator[int], depth: int, length: int) -> None:
    """One execution: the thread whose priority is highest goes on."""
    # The points are numbers of steps; at the first of them a thread gets the lowest priority but for later points.
    points = {next(chance) * length >> DRAW_BITS: -place for place in range(1, depth)}
    priorities: dict[int, tuple[int, int]] = {}
    while True:
        enabled = machine.enabled(state)
        if not enabled:
            return
        best = -1
        for transition in enabled:
            actor = transition & ~1
            if actor not in priorities:
                priorities[actor] = (next(chance), -len(priorities))
            if best < 0 or priorities[actor] > priorities[best]:
                best = actor
        lowered = points.pop(len(path), None)
        if lowered is not None:
            priorities[best] = (lowered, 0)
            continue
        transition = best
        if best | 1 in enabled:
            transition |= next(chance) >> (DRAW_BITS - 1)
        if len(path) >= machine.steps_max:
            raise Violation(Property.BOUNDED, f"an execution goes on for more than {machine.steps_max} steps")
        path.append(transition)
        machine.apply(state, transition)
