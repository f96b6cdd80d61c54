"""Preemption-bounded: all executions in which a thread that could go on is left for another one at most so often.

Most races show with one or two such switches (Musuvathi and Qadeer, 2007). A flush of a store buffer is no switch: the
processor does it, whoever runs. A thread that only has to wait for its own flushes could go on.
"""

from __future__ import annotations

from collections.abc import Callable

from wintunsim.errors import UsageError
from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.search import Budget, Outcome, Verdict
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.writes import State

LOOK_EVERY = 1024
NOBODY = -1
"""Who runs before the first step."""


def could_go_on(machine: Machine, state: State, running: int) -> bool:
    """Whether the thread that ran last could take its next step, now or once its own store buffer is flushed."""
    if running == NOBODY:
        return False
    program = machine.programs[running]
    node = state[program.slot]
    return not node.has_ended and (node.guard is None or node.guard(state))


def preemptions(
    machine: Machine,
    start: State,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    bound: int = 2,
    ending: Callable[[State], object] | None = None,
    watch: Callable[[list[int]], None] | None = None,
) -> Outcome:
    """Look at every execution with at most `bound` preemptions, fewest first, until one breaks a property.

    "safe" is said only when the bound kept nothing back; else "not found". `seed` changes nothing. UsageError for a
    negative bound.
    """
    if bound < 0:
        raise UsageError(f"the bound of preemptions is {bound}: give 0 or more")
    budget = budget or Budget()
    budget.begin()
    outcome = Outcome(Verdict.NOT_FOUND)
    search = _Search(machine, budget, outcome, ending, watch)
    try:
        known = -1
        # A lock that turns out to be taken shared gives those who wait for it one more step: begin anew then.
        while machine.shared_locks != known and not budget.is_spent(outcome.executions):
            known = machine.shared_locks
            search.run(start, bound)
    except Violation as violation:
        outcome.verdict, outcome.violation = Verdict.BROKEN, violation
        outcome.schedule = search.schedule
    outcome.states = len(search.seen)
    outcome.seconds = budget.elapsed_s()
    return outcome


class _Search:
    """Depth first for each number of preemptions; what takes one more waits for the next round."""

    def __init__(
        self,
        machine: Machine,
        budget: Budget,
        outcome: Outcome,
        ending: Callable[[State], object] | None,
        watch: Callable[[list[int]], None] | None,
    ) -> None:
        self.machine = machine
        self.budget = budget
        self.outcome = outcome
        self.ending = ending
        self.watch = watch
        self.seen: set[tuple[object, ...]] = set()
        """(running thread, state): they are met with the fewest preemptions first."""
        self.schedule: list[int] = []

    def run(self, start: State, bound: int) -> None:
        """Go through the rounds."""
        self.outcome.verdict = Verdict.NOT_FOUND
        self.outcome.executions = self.outcome.longest = 0
        self.outcome.endings.clear()
        self.seen.clear()
        state = list(start)
        self.machine.complete(state)
        waiting: list[_Place] = [(state, NOBODY, None, 0)]
        for _ in range(bound + 1):
            kept_back: list[_Place] = []
            while waiting:
                if not self._expand(waiting, kept_back):
                    return
            waiting = kept_back
            if not waiting:
                self.outcome.verdict = Verdict.SAFE
                return

    def _expand(self, waiting: list[_Place], kept_back: list[_Place]) -> bool:
        """Take the next steps from one place; false when the budget is spent."""
        machine, outcome = self.machine, self.outcome
        state, running, path, depth = waiting.pop()
        machine.complete(state)
        key = (running, *state)
        if key in self.seen:
            outcome.executions += 1
            return True
        self.seen.add(key)
        if not len(self.seen) % LOOK_EVERY and self.budget.is_spent(outcome.executions):
            return False
        enabled = machine.enabled(state)
        outcome.longest = max(outcome.longest, depth)
        if not enabled:
            self._end(state, path)
            return not (self.budget.executions is not None and outcome.executions >= self.budget.executions)
        if depth >= machine.steps_max:
            self.schedule = unwind(path)
            raise Violation(Property.BOUNDED, f"an execution goes on for more than {machine.steps_max} steps")
        is_switch = could_go_on(machine, state, running)
        for transition in enabled:
            after = list(state)
            outcome.operations += 1
            step = (path, transition)
            try:
                machine.apply(after, transition)
            except Violation:
                self.schedule = unwind(step)
                raise
            runs = running if transition & FLUSH else transition >> 2
            place = (after, runs, step, depth + 1)
            (kept_back if is_switch and runs != running else waiting).append(place)
        return True

    def _end(self, state: State, path: _Path) -> None:
        self.outcome.executions += 1
        if self.watch is not None:
            self.watch(unwind(path))
        try:
            self.machine.check_end(state)
        except Violation:
            self.schedule = unwind(path)
            raise
        if self.ending is not None:
            self.outcome.endings.add(self.ending(state))


_Path = tuple["_Path", int] | None
"""How a place was come to: the path to the one before, and a transition."""
_Place = tuple[State, int, _Path, int]
"""(state, running thread, path, steps so far)"""


def unwind(path: _Path) -> list[int]:
    """The transitions of a path, first to last."""
    steps = []
    while path is not None:
        path, transition = path
        steps.append(transition)
    return steps[::-1]
