"""How `wintunsim explore` searches: options into searches, and a user's mistakes into sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from wintun_model.errors import ModelError
from wintunsim.errors import UsageError
from wintunsim.explore import explorer
from wintunsim.explore.counterexample import Counterexample, counterexample
from wintunsim.explore.explorer import Exploration
from wintunsim.explore.machine import Machine
from wintunsim.explore.minimiser import minimise
from wintunsim.explore.own_routines import is_own, mistake
from wintunsim.explore.scenario import Scenario, Setting
from wintunsim.explore.schedule import decode, encode, words
from wintunsim.explore.search import Budget, Outcome, Verdict
from wintunsim.explore.violation import Violation
from wintunsim.explore.writes import State

T = TypeVar("T")
STRATEGIES = {"exhaustive": "", "preemptions": "bound", "pct": "depth", "random": ""}
"""The names of strategies, and what the number that follows stands for."""
SAMPLING = ("pct", "random")
EXECUTIONS = 10_000
"""How many samples are taken, unless it is said otherwise."""
MINIMISING_STATES = 50_000
"""How many states minimising looks at: a count and not a time, so that the answer is always the same."""
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How to search. `number` belongs to the strategy: the bound of preemptions, or the depth of PCT."""

    strategy: str = "exhaustive"
    number: int | None = None
    seed: int = 0
    seconds: float | None = None
    executions: int | None = None
    workers: int | None = None
    checks_determinism: bool = False

    def budget(self) -> Budget:
        """A budget of its own for one search; sampling always has one."""
        has_none = self.seconds is None and self.executions is None
        return Budget(self.seconds, EXECUTIONS if has_none and self.strategy in SAMPLING else self.executions)

    def options(self) -> dict[str, Any]:
        """What is not as `explore` has it anyway."""
        told: dict[str, Any] = {}
        if self.strategy != "exhaustive":
            told["strategy"] = self.strategy
        if self.number is not None:
            told[STRATEGIES[self.strategy]] = self.number
        if self.seed:
            told["seed"] = self.seed
        if self.workers is not None and self.workers > 1:
            told["workers"] = self.workers
        if self.checks_determinism:
            told["check_determinism"] = True
        return told


def parse_strategy(text: str) -> tuple[str, int | None]:
    """A strategy's name and its number. UsageError for one that is not there."""
    name, colon, number = text.partition(":")
    if name not in STRATEGIES:
        told = ", ".join(f"{each}:N" if what else each for each, what in STRATEGIES.items())
        raise UsageError(f"there is no strategy {text!r}: choose among {told}")
    if bool(STRATEGIES[name]) != bool(colon) or (colon and not (number.isascii() and number.isdecimal())):
        form = f"{name}:N with a number N" if STRATEGIES[name] else f"{name} without a number"
        raise UsageError(f"{text!r} is no strategy: give {form}")
    return name, int(number) if colon else None


def parse_budget(text: str | None) -> float | None:
    """Seconds of a duration such as 250ms, 10s or 2m. UsageError for other text."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if match is None or not float(match[1]):
        raise UsageError(f"--budget {text!r} is no duration: give one such as 250ms, 10s or 2m")
    return float(match[1]) * _UNITS_S[match[2]]


def searched(scenario: Scenario, setting: Setting, request: Request) -> Exploration:
    """Search one scenario in one setting. UsageError when a user's own routine does what none may."""
    explored = _without_mistakes(
        scenario, lambda: explorer.explore(scenario, setting, request.budget(), **request.options())
    )
    if explored.outcome.violation is not None:
        _check(scenario, explored.outcome.violation)
    return explored


def searched_all(scenarios: Sequence[Scenario], settings: Sequence[Setting], request: Request) -> Iterator[Exploration]:
    """Search each scenario in each setting, in that order."""
    return explorer.explore_all(scenarios, settings, request.budget(), **request.options())


def replayed(scenario: Scenario, setting: Setting, steps: str) -> Exploration:
    """Run one schedule; that it breaks nothing proves nothing."""
    count = sum(1 for _ in words(steps))
    outcome = Outcome(Verdict.NOT_FOUND, executions=1, operations=count, longest=count)
    budget = Budget()
    budget.begin()

    def run() -> None:
        world = scenario.build(setting)
        _, outcome.violation = explorer.replay(world, world.start(), steps)

    _without_mistakes(scenario, run)
    outcome.seconds = budget.elapsed_s()
    if outcome.violation is not None:
        _check(scenario, outcome.violation)
        outcome.verdict = Verdict.BROKEN
    return Exploration(scenario, setting, outcome, steps if outcome.violation is not None else "")


def minimised(explored: Exploration) -> Exploration:
    """The same with a schedule of fewest preemptions, then fewest steps, as far as the budget goes."""
    found = explored.outcome.violation
    if found is None:
        return explored

    def run() -> Exploration:
        world = explored.scenario.build(explored.setting)
        machine, start = world.machine, world.start()
        steps = list(_transitions(machine, start, explored.schedule))
        shortest, violation = minimise(machine, start, found, steps, Budget(None, MINIMISING_STATES))
        outcome = replace(explored.outcome, violation=violation, schedule=shortest)
        return replace(explored, outcome=outcome, schedule=encode(machine, start, shortest))

    return _once_more(explored.scenario, run)


def _transitions(machine: Machine, start: State, schedule: str) -> Iterator[int]:
    for transition, state in decode(machine, start, schedule):
        yield transition
        try:
            machine.apply(state, transition)
        except Violation:
            return


def told(explored: Exploration) -> Counterexample | None:
    """The counterexample of what was found, if anything was."""
    if not explored.schedule:
        return None
    scenario = explored.scenario
    return _once_more(scenario, lambda: counterexample(scenario, explored.setting, explored.schedule))


def _once_more(scenario: Scenario, run: Callable[[], T]) -> T:
    """Go through what was found; where a user's own routine goes another way then, that is what is told."""
    try:
        return _without_mistakes(scenario, run)
    except UsageError as error:
        if not is_own(scenario.name):
            raise
        sentence = "does not do the same again for the same results: a routine keeps nothing but its locals"
        raise UsageError(f"{scenario.name} {sentence} ({error})") from None


def _without_mistakes(scenario: Scenario, run: Callable[[], T]) -> T:
    try:
        return run()
    except (ModelError, Violation) as error:
        _check(scenario, error)
        raise


def _check(scenario: Scenario, error: ModelError | Violation) -> None:
    """UsageError when a user's own routine is to blame."""
    wrong = mistake(scenario.name, error) if is_own(scenario.name) else None
    if wrong is not None:
        raise wrong from None
