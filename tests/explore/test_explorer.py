"""The explorer on scenarios of the driver: what it finds, what it proves, and that schedules say the same again."""

import pytest

from wintun_model.revision import REVISIONS
from wintunsim.explore.explorer import explore, replay
from wintunsim.explore.scenario import MEMORIES, Setting, all_scenarios


def settings(*revisions):
    return [
        pytest.param(scenario, Setting(revision=REVISIONS[revision], memory=memory), id=f"{name}-{revision}-{memory}")
        for name, scenario in all_scenarios().items()
        for revision in revisions
        for memory in MEMORIES
    ]


@pytest.mark.parametrize(("scenario", "setting"), settings("0.8.1", "0.14", "2026-02"))
def test_a_scenario_has_the_expected_verdict(scenario, setting):
    """Every property holds in every execution, or the search finds one where it does not, as expected."""
    assert explore(scenario, setting).outcome.verdict.value == scenario.expected(setting)


@pytest.mark.parametrize(("scenario", "setting"), settings("0.8.1"))
def test_a_schedule_breaks_the_same_property_again(scenario, setting):
    found = explore(scenario, setting)
    world = scenario.build(setting)
    _, violation = replay(world, world.start(), found.schedule)
    assert str(violation) == str(found.outcome.violation)
