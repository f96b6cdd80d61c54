"""Every execution, depth first: each state is gone on from once, and with the reduction each order that matters."""

from __future__ import annotations

from collections.abc import Callable

from wintunsim.explore.machine import Machine
from wintunsim.explore.program import BLOCKED
from wintunsim.explore.reduction import persistent
from wintunsim.explore.search import Budget, Outcome, Verdict
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.writes import State

FIRST_PASS = 256
"""How many executions a first pass has before it begins anew, if it met something new."""
LOOK_EVERY = 1024
"""How many branches pass between two looks at the budget."""


def exhaustive(
    machine: Machine,
    start: State,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    reduced: bool = True,
    ending: Callable[[State], object] | None = None,
    watch: Callable[[list[int]], None] | None = None,
) -> Outcome:
    """Look at every execution from `start` on, until one breaks a property.

    `ending` makes of a last state what `Outcome.endings` collects; `watch` is told the transitions of each execution.
    `seed` changes nothing.
    """
    budget = budget or Budget()
    budget.begin()
    outcome = Outcome(Verdict.SAFE)
    # A pass that has let the trees grow is to be repeated: it is given up once it gets long.
    enough = FIRST_PASS
    while True:
        growth = machine.knowledge()
        machine.footprints.refresh()
        search = _Pass(machine, budget, outcome, reduced, ending, watch)
        if not search.run(list(start), enough) or machine.knowledge() == growth:
            break
        enough *= 4
    outcome.seconds = budget.elapsed_s()
    return outcome


class _Pass:
    """One pass over all executions."""

    def __init__(
        self,
        machine: Machine,
        budget: Budget,
        outcome: Outcome,
        reduced: bool,
        ending: Callable[[State], object] | None,
        watch: Callable[[list[int]], None] | None,
    ) -> None:
        self.machine = machine
        self.budget = budget
        self.outcome = outcome
        self.choose: Callable[[Machine, State], list[int]] = persistent if reduced else Machine.enabled
        self.reduced = reduced
        self.ending = ending
        self.watch = watch
        self.visited: set[object] = set()
        self.key_of: Callable[[State], object] = tuple
        self.stack: list[tuple[State, list[int], list[int], int]] = []
        """(state, transitions not taken yet, how it was come to from the one below, how many steps in all)"""
        self.path: list[int] = []
        """The steps since the top of the stack."""
        outcome.states = outcome.executions = 0
        outcome.endings.clear()

    def run(self, state: State, enough: int) -> bool:
        """Look at everything; false when it is the last word: something was found, or the budget is spent.

        Once `enough` executions are seen, it is over if the trees have grown meanwhile.
        """
        machine, outcome, stack = self.machine, self.outcome, self.stack
        growth, look = machine.knowledge(), 0
        machine.complete(state)
        if self.reduced:
            self.key_of = machine.key_of()
        try:
            while True:
                self._arrive(state, self._go_on(state))
                while stack and not stack[-1][1]:
                    stack.pop()
                if not stack or (self.reduced and outcome.executions >= enough and machine.knowledge() != growth):
                    return True
                look += 1
                if not look % LOOK_EVERY and self.budget.is_spent(outcome.executions):
                    outcome.verdict = Verdict.NOT_FOUND
                    return False
                parent, left, _, _ = stack[-1]
                transition = left.pop()
                state = list(parent)
                machine.complete(state)
                self.path = [transition]
                machine.apply(state, transition)
        except Violation as violation:
            outcome.verdict = Verdict.BROKEN
            outcome.violation = violation
            outcome.schedule = self._transitions()
            if self.watch is not None:
                self.watch(outcome.schedule)
            return False
        finally:
            outcome.states = len(self.visited)

    def _transitions(self) -> list[int]:
        """All steps of the execution that is looked at."""
        return [step for row in self.stack for step in row[2]] + self.path

    def _go_on(self, state: State) -> list[int]:
        """Take steps as long as there is one way only; what there is to choose from then."""
        machine, path = self.machine, self.path
        choose, apply, reduced = self.choose, machine.apply, self.reduced
        steps_max = machine.steps_max
        choices = choose(machine, state)
        while len(choices) == 1:
            if len(path) > steps_max:
                raise Violation(Property.BOUNDED, f"an execution goes on for more than {steps_max} steps")
            transition = choices[0]
            path.append(transition)
            apply(state, transition)
            if reduced:
                self._run_on(state, transition & ~3)
            choices = choose(machine, state)
        return choices

    def _run_on(self, state: State, base: int) -> None:
        """Let one thread go on while its next step may always be taken before everybody else's."""
        machine, path, steps_max = self.machine, self.path, self.machine.steps_max
        program = machine.programs[base >> 2]
        slot, buffer = program.slot, program.buffer
        while (node := state[slot]).alone and len(path) <= steps_max:
            guard = node.guard
            if (guard is not None and not guard(state)) or (node.drains and state[buffer]):
                return
            path.append(base)
            key = node.step(state, node)
            if key is not BLOCKED:
                state[slot] = node.children.get(key) or machine.grow(state, node, key)

    def _arrive(self, state: State, choices: list[int]) -> None:
        """An execution is at its end, or at a state from which there are several ways on."""
        machine, outcome, stack, path = self.machine, self.outcome, self.stack, self.path
        outcome.operations += len(path)
        depth = len(path) + (stack[-1][3] if stack else 0)
        if not choices:
            outcome.executions += 1
            outcome.longest = max(outcome.longest, depth)
            machine.check_end(state)
            if self.watch is not None:
                self.watch(self._transitions())
            if self.ending is not None:
                outcome.endings.add(self.ending(state))
            return
        key = self.key_of(state)
        if key in self.visited:
            outcome.executions += 1
            return
        self.visited.add(key)
        if depth > machine.steps_max:
            raise Violation(Property.BOUNDED, f"an execution goes on for more than {machine.steps_max} steps")
        stack.append((state, choices, path, depth))
