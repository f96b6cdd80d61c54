"""Replay: one execution, step by step as a schedule has it."""

from __future__ import annotations

from collections.abc import Callable

from wintunsim.explore.machine import Machine
from wintunsim.explore.schedule import decode
from wintunsim.explore.search import Budget, Outcome, Verdict
from wintunsim.explore.violation import Violation
from wintunsim.explore.writes import State


def follow(machine: Machine, start: State, schedule: str) -> tuple[State, list[int], Violation | None]:
    """Take the steps of a schedule: (the state it comes to, its transitions, what it breaks on the way or at its end).

    UsageError for a schedule that is not possible here.
    """
    state, path = list(start), []  # type: tuple[State, list[int]]
    try:
        for transition, state in decode(machine, start, schedule):
            path.append(transition)
            machine.apply(state, transition)
        machine.complete(state)
        if not machine.enabled(state):
            machine.check_end(state)
    except Violation as violation:
        return state, path, violation
    return state, path, None


def replay(
    machine: Machine,
    start: State,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    schedule: str = "",
    watch: Callable[[list[int]], None] | None = None,
) -> Outcome:
    """Run the one execution of `schedule`; "not found" when it breaks nothing. `seed` changes nothing."""
    budget = budget or Budget()
    budget.begin()
    _, path, violation = follow(machine, start, schedule)
    if watch is not None:
        watch(path)
    outcome = Outcome(Verdict.NOT_FOUND, executions=1, operations=len(path), longest=len(path))
    if violation is not None:
        outcome.verdict, outcome.violation, outcome.schedule = Verdict.BROKEN, violation, path
    outcome.seconds = budget.elapsed_s()
    return outcome
