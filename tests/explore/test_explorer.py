"""The explorer on scenarios of the driver: what it finds, what it proves, and what decides it."""

from dataclasses import replace

import pytest

from wintun_model.revision import PROPOSED, PROPOSED_CHANGES, REVISIONS, revision_named
from wintunsim.explore.explorer import explore, replay
from wintunsim.explore.scenario import MEMORIES, Setting, all_scenarios, find
from wintunsim.explore.scenarios import closing, ending, halting, registering
from wintunsim.explore.search import Budget, Verdict
from wintunsim.explore.violation import Property

SCENARIOS = all_scenarios()
LATEST = REVISIONS["2026-02"]
MILESTONES = ("0.8.1", "0.14", "2026-02", "proposed")
SETTINGS = [Setting(revision=revision_named(name), memory=memory) for name in MILESTONES for memory in MEMORIES]
LIVES = {module.__name__ for module in (closing, ending, halting, registering)}
"""The modules with scenarios about lives."""

CLOSES_DATA_PATH = {
    "counts_before_release": ("send-halt", "sends-halt", "refused-send-halt"),
    "completes_after_release": ("send-inside-completion",),
    "indicates_after_release": ("send-inside-indication-close",),
    "stores_head_before_empty": ("return-skip", "return-end", "pause-return"),
    "empties_after_return": (
        "return-unregister", "return-register-again", "return-halt", "returns-halt",
        "return-skip", "return-end", "pause-return",
    ),
    "refuses_unaligned": ("unaligned-send", "unaligned-receive"),
    "has_barrier_everywhere": ("receive-wakeup", "receive-wakeup-spins", "receive-wakeup-library-0.14"),
}  # fmt: skip
CLOSES_LIVES = {
    "halt_detaches_first": ("halt-register",),
    "publishes_context_last": ("restart-register", "failed-restart-register", "failed-restart-close"),
    "removal_closes_unlocked": ("removal-close",),
    "exit_checks_process": ("exit-registration",),
    "exit_ends_all": ("exit-two-devices",),
    "exit_holds_guard": ("exit-halt", "exit-gone-halt"),
    "leaves_list_last": ("exit-last-close",),
}
CLOSES = CLOSES_DATA_PATH | CLOSES_LIVES
"""Which scenarios of 2026-02 each proposed change closes, alone."""


def verdict(scenario, revision=LATEST, memory="tso"):
    return explore(scenario, Setting(revision=revision, memory=memory)).outcome.verdict


def each(scenarios):
    return [pytest.param(scenario, id=scenario.name) for scenario in scenarios]


def pairs(closes):
    return [
        pytest.param(switch, scenario, id=f"{switch}-{scenario.name}")
        for switch, names in closes.items()
        for scenario in find(names)
    ]


def is_as_first(scenario, setting):
    """Whether it is of 0.14, and expected as with 0.8.1: one more of what the quick tests have."""
    first = replace(setting, revision=REVISIONS["0.8.1"])
    return setting.revision.name == "0.14" and scenario.expected(setting) == scenario.expected(first)


# -- all verdicts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "setting"),
    [
        pytest.param(
            scenario,
            setting,
            id=f"{name}-{setting.revision.name}-{setting.memory}",
            marks=[pytest.mark.slow] if is_as_first(scenario, setting) else [],
        )
        for name, scenario in SCENARIOS.items()
        for setting in SETTINGS
    ],
)
def test_a_scenario_has_the_expected_verdict(scenario, setting):
    """Every property holds in every execution, or the search finds one that breaks the same property again."""
    found = explore(scenario, setting)
    assert found.outcome.verdict.value == scenario.expected(setting)
    world = scenario.build(setting)
    _, violation = replay(world, world.start(), found.schedule)
    assert str(violation) == str(found.outcome.violation)


@pytest.mark.parametrize("scenario", each(SCENARIOS.values()))
def test_the_proposed_revision_is_expected_to_be_safe_in_every_scenario(scenario):
    """But in those whose driver leaves something out that every revision has."""
    proposed = [setting for setting in SETTINGS if setting.revision is PROPOSED]
    assert [scenario.expected(setting) == "broken" for setting in proposed] == [bool(scenario.leaves_out)] * 2


@pytest.mark.parametrize(("strategy", "executions"), [("random", 19), ("pct", 4)])
def test_samples_find_that_returns_move_head_back(strategy, executions):
    """B2, with seed 0; where the others are found `test_strategies` says."""
    (scenario,) = find(["returns"])
    setting = Setting(revision=REVISIONS["0.8.1"], memory="sc")
    outcome = explore(scenario, setting, Budget(executions=10_000), strategy=strategy).outcome
    assert outcome.verdict is Verdict.BROKEN
    assert outcome.violation.property is Property.NEVER_BACK
    assert outcome.executions == executions


# -- the proposed changes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("switch", "scenario"), pairs(CLOSES))
def test_a_proposed_change_closes_alone_what_it_is_for(switch, scenario):
    assert verdict(scenario) is Verdict.BROKEN
    changed = replace(LATEST, **{switch: True})
    assert [verdict(scenario, changed, memory) for memory in MEMORIES] == [Verdict.SAFE, Verdict.SAFE]


@pytest.mark.parametrize("switch", CLOSES_DATA_PATH)
def test_without_a_change_of_the_data_path_the_proposed_revision_has_a_race(switch):
    without = replace(PROPOSED, **{switch: False})
    is_broken = any(verdict(scenario, without) is Verdict.BROKEN for scenario in find(CLOSES[switch]))
    # What is open of B2 is closed by the change for B8 too.
    assert is_broken is (switch != "stores_head_before_empty")


@pytest.mark.parametrize(("switch", "scenario"), pairs(CLOSES_LIVES))
def test_without_a_change_of_lives_the_proposed_revision_has_each_race(switch, scenario):
    assert verdict(scenario, replace(PROPOSED, **{switch: False})) is Verdict.BROKEN


def test_all_proposed_changes_are_tried():
    """`test_lives` tries the one that closes nothing alone."""
    assert {*CLOSES, "removal_looks_for_context"} == set(PROPOSED_CHANGES)


# -- the rules of the surroundings, twins -----------------------------------------------------------------------------


def turned(setting, rule):
    """The setting with one of its rules turned over."""
    change = {"deny" if getattr(setting.rules, rule) else "assume": [rule]}
    return replace(setting, rules=setting.rules.with_changes(**change))


@pytest.mark.parametrize(
    ("scenario", "rule"),
    [pytest.param(each, rule, id=f"{name}-{rule}") for name, each in SCENARIOS.items() for rule in each.rules],
)
def test_a_rule_that_decides_a_verdict_changes_it(scenario, rule):
    """In one of two revisions; scenarios about lives in the latest one."""
    changes = []
    for revision in (REVISIONS["0.8.1"], LATEST):
        setting = Setting(revision=revision)
        both = setting, turned(setting, rule)
        found = [explore(scenario, one).outcome.verdict.value for one in both]
        assert found == [scenario.expected(one) for one in both]
        changes.append(set(found) == {"safe", "broken"})
    assert changes[-1] if scenario.build.__module__ in LIVES else any(changes)


def is_ever_broken(scenario):
    return any(scenario.is_broken(setting) for setting in SETTINGS)


@pytest.mark.parametrize("scenario", each(SCENARIOS.values()))
def test_what_is_safe_could_be_broken(scenario):
    """It is broken in some revision or without some rule, or another one that differs in little is broken there."""
    twins = find([scenario.twin] if scenario.twin else [])
    if scenario.rules:
        settings = SETTINGS + [turned(setting, rule) for setting in SETTINGS for rule in scenario.rules]
        assert any(one.is_broken(setting) for one in (scenario, *twins) for setting in settings)
    else:
        assert any(is_ever_broken(one) for one in (scenario, *twins))


@pytest.mark.parametrize("scenario", each(scenario for scenario in SCENARIOS.values() if scenario.leaves_out))
def test_a_driver_that_leaves_something_out_is_somebody_s_twin(scenario):
    assert [other.name for other in SCENARIOS.values() if other.twin == scenario.name]
