"""The scenarios about lives: how they are broken, and the race that two changes close together."""

from dataclasses import replace

import pytest

from wintun_model.revision import PROPOSED, REVISIONS
from wintunsim.explore.explorer import explore
from wintunsim.explore.scenario import Setting, find
from wintunsim.explore.search import Verdict
from wintunsim.explore.violation import Property

LATEST = REVISIONS["2026-02"]


def verdict(scenario, revision):
    return explore(scenario, Setting(revision=revision, memory="tso")).outcome.verdict


def test_a_failed_restart_and_its_removal_need_two_changes():
    (scenario,) = find(["failed-restart-removal"])
    both = ("publishes_context_last", "removal_looks_for_context")
    for switch in both:
        assert verdict(scenario, replace(LATEST, **{switch: True})) is Verdict.BROKEN
        assert verdict(scenario, replace(PROPOSED, **{switch: False})) is Verdict.BROKEN
    assert verdict(scenario, replace(LATEST, **dict.fromkeys(both, True))) is Verdict.SAFE


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
