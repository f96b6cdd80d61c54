"""Finding scenarios by what people write: the name of one, or a file with routines of their own."""

from __future__ import annotations

from wintunsim.explore.own_routines import is_own, own_scenario
from wintunsim.explore.scenario import Scenario, find


def scenario_named(name: str) -> Scenario:
    """The scenario of a name, or of ``FILE.py:FUNCTION+SIDE``. UsageError when there is none."""
    if is_own(name):
        return own_scenario(name)
    (scenario,) = find([name])
    return scenario
