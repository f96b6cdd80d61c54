"""The scenarios about lives: verdicts, what decides them, and what the proposed changes close."""

from dataclasses import replace

import pytest

from wintun_model.revision import PROPOSED, PROPOSED_CHANGES, REVISIONS, revision_named
from wintunsim.explore.explorer import explore
from wintunsim.explore.scenario import MEMORIES, Setting, all_scenarios, find
from wintunsim.explore.scenarios import closing, ending, halting, registering
from wintunsim.explore.search import Verdict
from wintunsim.explore.violation import Property

LATEST = REVISIONS["2026-02"]
NAMES = ("0.8.1", "0.14", "2026-02", "proposed")
LIVES = {
    name: scenario
    for name, scenario in all_scenarios().items()
    if scenario.build.__module__ in {module.__name__ for module in (closing, ending, halting, registering)}
}
CLOSES = {
    "halt_detaches_first": ("halt-register",),
    "publishes_context_last": ("restart-register", "failed-restart-register", "failed-restart-close"),
    "removal_closes_unlocked": ("removal-close",),
    "exit_checks_process": ("exit-registration",),
    "exit_ends_all": ("exit-two-devices",),
    "exit_holds_guard": ("exit-halt", "exit-gone-halt"),
    "leaves_list_last": ("exit-last-close",),
}
"""Which scenarios of 2026-02 each proposed change closes, alone."""


def verdict(scenario, revision=LATEST, memory="tso", rules=None):
    setting = Setting(revision=revision, memory=memory)
    return explore(scenario, setting if rules is None else replace(setting, rules=rules)).outcome.verdict


def without(setting, rule):
    """The rules with one of them turned over."""
    is_on = getattr(setting.rules, rule)
    return setting.rules.with_changes(deny=[rule]) if is_on else setting.rules.with_changes(assume=[rule])


def each(scenarios):
    return [pytest.param(scenario, id=scenario.name) for scenario in scenarios]


closings = [
    pytest.param(switch, scenario, id=f"{switch}-{scenario.name}")
    for switch, names in CLOSES.items()
    for scenario in find(names)
]


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("name", ["0.14", "proposed"])
@pytest.mark.parametrize("scenario", each(LIVES.values()))
def test_verdicts_are_the_expected_ones(scenario, name, memory):
    setting = Setting(revision=revision_named(name), memory=memory)
    assert verdict(scenario, setting.revision, memory).value == scenario.expected(setting)


# -- the proposed changes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("switch", "scenario"), closings)
def test_a_proposed_change_closes_alone_what_it_is_for(switch, scenario):
    assert verdict(scenario) is Verdict.BROKEN
    changed = replace(LATEST, **{switch: True})
    assert [verdict(scenario, changed, memory) for memory in MEMORIES] == [Verdict.SAFE, Verdict.SAFE]


@pytest.mark.parametrize(("switch", "scenario"), closings)
def test_without_it_the_proposed_revision_has_the_race(switch, scenario):
    assert verdict(scenario, replace(PROPOSED, **{switch: False})) is Verdict.BROKEN


def test_a_failed_restart_and_its_removal_need_two_changes():
    (scenario,) = find(["failed-restart-removal"])
    both = ("publishes_context_last", "removal_looks_for_context")
    for switch in both:
        assert verdict(scenario, replace(LATEST, **{switch: True})) is Verdict.BROKEN
        assert verdict(scenario, replace(PROPOSED, **{switch: False})) is Verdict.BROKEN
    assert verdict(scenario, replace(LATEST, **dict.fromkeys(both, True))) is Verdict.SAFE


def test_all_changes_to_lives_are_tried():
    assert {*CLOSES, "removal_looks_for_context"} <= set(PROPOSED_CHANGES)


# -- what decides verdicts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "rule"),
    [pytest.param(scenario, rule, id=f"{name}-{rule}") for name, scenario in LIVES.items() for rule in scenario.rules],
)
def test_a_rule_that_decides_a_verdict_changes_it(scenario, rule):
    setting = Setting(revision=LATEST)
    changed = without(setting, rule)
    verdicts = verdict(scenario), verdict(scenario, rules=changed)
    assert set(verdicts) == {Verdict.SAFE, Verdict.BROKEN}
    assert verdicts[1].value == scenario.expected(replace(setting, rules=changed))


@pytest.mark.parametrize("scenario", each(LIVES.values()))
def test_what_is_safe_could_be_broken(scenario):
    """It is broken in some revision or without some rule, or another one that differs in little is broken there."""
    settings = [Setting(revision=revision_named(name), memory=memory) for name in NAMES for memory in MEMORIES]
    settings += [replace(setting, rules=without(setting, rule)) for setting in settings for rule in scenario.rules]
    candidates = [scenario, *find([scenario.twin] if scenario.twin else [])]
    assert any(candidate.is_broken(setting) for candidate in candidates for setting in settings)


@pytest.mark.parametrize("scenario", each(scenario for scenario in LIVES.values() if scenario.leaves_out))
def test_a_driver_that_leaves_something_out_is_somebody_s_twin(scenario):
    assert [other.name for other in LIVES.values() if other.twin == scenario.name]


# -- how they are broken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "broken", "what"),
    [
        ("halt-register", Property.NOTHING_AFTER_FREE, "the context of tun, which it has freed"),
        ("restart-register", Property.NOTHING_AFTER_FREE, "registration lock, which is not initialized"),
        ("exit-last-close", Property.PAGES_UNLOCKED, "rings are locked when it is gone"),
        ("exit-two-devices", Property.PAGES_UNLOCKED, "2 of the process's rings are locked"),
        ("exit-registration", Property.EXPECTATION, "has registered on file 2, but the owner is None"),
        ("exit-halt", Property.NOTHING_AFTER_FREE, "which it has freed"),
        ("removal-close", Property.NO_LOST_WAKEUP, "removal cannot acquire shared context guard lock, for ever"),
        ("close-read-no-event", Property.NO_LOST_WAKEUP, "client waits for send TailMoved, for ever"),
    ],
)
def test_what_a_scenario_finds_is_what_its_story_tells(name, broken, what):
    (scenario,) = find([name])
    violation = explore(scenario, Setting(revision=LATEST, memory="sc")).outcome.violation
    assert violation.property is broken
    assert what in violation.what


def test_force_close_reads_a_file_object_that_is_released():
    (scenario,) = find(["force-close-close"])
    violation = explore(scenario, Setting(revision=REVISIONS["0.8.1"], memory="sc")).outcome.violation
    assert violation.property is Property.NOTHING_AFTER_FREE
    assert "reads file 1, which is released already" in violation.what
