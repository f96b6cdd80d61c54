"""Exploring a scenario: build its world, search, and say what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wintunsim.errors import UsageError
from wintunsim.explore import parallel
from wintunsim.explore.scenario import Scenario, Setting
from wintunsim.explore.search import Budget, Outcome
from wintunsim.explore.strategies import SAMPLING, strategy_of
from wintunsim.explore.strategies.replay import follow
from wintunsim.explore.violation import Violation
from wintunsim.explore.world import World
from wintunsim.explore.writes import State


@dataclass(slots=True)
class Exploration:
    """One scenario in one setting, explored. `schedule` is the text of the execution that breaks a property."""

    scenario: Scenario
    setting: Setting
    outcome: Outcome
    schedule: str = ""

    @property
    def is_expected(self) -> bool:
        """Whether the verdict is the expected one; one that proves nothing is not."""
        return self.outcome.verdict.value == self.scenario.expected(self.setting)


def explore(
    scenario: Scenario,
    setting: Setting,
    budget: Budget | None = None,
    *,
    strategy: str = "exhaustive",
    seed: int = 0,
    workers: int = 1,
    check_determinism: bool = False,
    **options: Any,
) -> Exploration:
    """Explore a scenario by a strategy; `options` are that strategy's own.

    With `workers` above 1, samples are taken in so many processes; what comes out does not depend on how many, unless
    the budget's seconds end it. Other strategies use one. `check_determinism` runs each execution that comes to its end
    again, plainly: NotDeterministic when that differs. UsageError for an unknown strategy or option, and for samples
    without a budget.
    """
    strategy_of(strategy, options)
    task = parallel.Task(scenario, setting, strategy, seed, check_determinism, options)
    if strategy in SAMPLING:
        if budget is None or (budget.seconds is None and budget.executions is None):
            raise UsageError(f"the strategy {strategy} takes samples without end: give it a budget")
        outcome, schedule = parallel.sample(task, budget, _workers(workers))
    else:
        outcome, schedule = parallel.search(task, budget)
    return Exploration(scenario, setting, outcome, schedule)


def explore_all(
    scenarios: Iterable[Scenario],
    settings: Iterable[Setting],
    budget: Budget | None = None,
    *,
    strategy: str = "exhaustive",
    seed: int = 0,
    workers: int = 1,
    check_determinism: bool = False,
    **options: Any,
) -> Iterator[Exploration]:
    """Explore each scenario in each setting, in that order, in so many processes; `budget` is for each of them.

    What comes out, and in which order, does not depend on the number of processes, unless a budget's seconds end it.
    """
    strategy_of(strategy, options)
    settings = list(settings)
    tasks = [
        parallel.Task(scenario, setting, strategy, seed, check_determinism, options)
        for scenario in scenarios
        for setting in settings
    ]
    if strategy in SAMPLING and (budget is None or (budget.seconds is None and budget.executions is None)):
        raise UsageError(f"the strategy {strategy} takes samples without end: give it a budget")
    for task, (outcome, schedule) in zip(tasks, parallel.carry_out(tasks, budget, _workers(workers)), strict=True):
        yield Exploration(task.scenario, task.setting, outcome, schedule)


def _workers(workers: int) -> int:
    if workers < 1:
        raise UsageError(f"workers is {workers}: give 1 or more")
    return workers


def replay(world: World, start: State, schedule: str) -> tuple[State, Violation | None]:
    """Take the steps of a schedule: (the state it comes to, what it breaks on the way or at its end)."""
    state, _, violation = follow(world.machine, start, schedule)
    return state, violation
