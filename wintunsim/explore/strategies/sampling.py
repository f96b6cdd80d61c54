"""What strategies have in common that take samples: they prove nothing, and say the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable

from wintunsim.explore.machine import Machine
from wintunsim.explore.search import Budget, Outcome, Verdict
from wintunsim.explore.violation import Violation
from wintunsim.explore.writes import State

LOOK_EVERY = 16
"""How many executions pass between two looks at the clock."""

Run = Callable[[State, list[int], int], None]
"""Takes an execution with a number from a state to its end, and notes its transitions; Violation when it breaks one."""


def sample(
    machine: Machine,
    start: State,
    budget: Budget | None,
    run: Run,
    *,
    first: int = 0,
    ending: Callable[[State], object] | None = None,
    watch: Callable[[list[int]], None] | None = None,
) -> Outcome:
    """Run executions, from number `first` on, until one breaks a property or the budget is spent.

    Without any bound in the budget that may be never.
    """
    budget = budget or Budget()
    budget.begin()
    outcome = Outcome(Verdict.NOT_FOUND)
    executions = operations = 0
    most = -1 if budget.executions is None else budget.executions
    while executions != most and (executions % LOOK_EVERY or not budget.is_spent(executions)):
        state, path = list(start), []  # type: tuple[State, list[int]]
        machine.complete(state)
        try:
            run(state, path, first + executions)
            machine.check_end(state)
        except Violation as violation:
            outcome.verdict = Verdict.BROKEN
            outcome.violation = violation
            outcome.schedule = path
        executions += 1
        operations += len(path)
        outcome.longest = max(outcome.longest, len(path))
        if watch is not None:
            watch(path)
        if outcome.verdict is Verdict.BROKEN:
            break
        if ending is not None:
            outcome.endings.add(ending(state))
    outcome.executions, outcome.operations = executions, operations
    outcome.seconds = budget.elapsed_s()
    return outcome
