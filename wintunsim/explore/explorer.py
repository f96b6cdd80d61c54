"""Exploring a scenario: build its world, search, and say what was found."""

from __future__ import annotations

from dataclasses import dataclass

from wintunsim.explore.scenario import Scenario, Setting
from wintunsim.explore.schedule import decode, encode
from wintunsim.explore.search import Budget, Outcome, Verdict
from wintunsim.explore.strategies.exhaustive import exhaustive
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


def explore(scenario: Scenario, setting: Setting, budget: Budget | None = None, *, reduced: bool = True) -> Exploration:
    """Explore every execution of a scenario."""
    world = scenario.build(setting)
    start = world.start()
    outcome = exhaustive(world.machine, start, budget, reduced=reduced)
    text = ""
    if outcome.verdict is Verdict.BROKEN:
        text = encode(world.machine, start, outcome.schedule)
    return Exploration(scenario, setting, outcome, text)


def replay(world: World, start: State, schedule: str) -> tuple[State, Violation | None]:
    """Take the steps of a schedule: (the state it comes to, what it breaks on the way or at its end)."""
    machine = world.machine
    state = list(start)
    try:
        for transition, state in decode(machine, start, schedule):
            machine.apply(state, transition)
        if not machine.enabled(state):
            machine.check_end(state)
    except Violation as violation:
        return state, violation
    return state, None
