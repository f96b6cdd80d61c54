"""What tests of reports look at: counterexamples of the smallest scenarios, found once."""

from functools import cache

import pytest

from wintun_model.revision import REVISIONS
from wintunsim.explore.counterexample import counterexample
from wintunsim.explore.explorer import explore
from wintunsim.explore.scenario import Setting
from wintunsim.explore.scenarios_named import scenario_named


@cache
def _found(name, revision, memory):
    scenario, setting = scenario_named(name), Setting(revision=REVISIONS[revision], memory=memory)
    explored = explore(scenario, setting)
    return explored, counterexample(scenario, setting, explored.schedule)


@pytest.fixture
def found():
    """(exploration, counterexample) of a scenario that is broken."""
    return _found
