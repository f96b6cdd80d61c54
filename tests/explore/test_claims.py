"""The claims: each has its scenarios, and what closes it is there."""

import pytest

from wintun_model.revision import PROPOSED, PROPOSED_CHANGES, REVISIONS
from wintunsim.explore.claims import CLAIMS
from wintunsim.explore.scenario import MEMORIES, Setting, all_scenarios


def scenarios_of(claim):
    return [scenario for scenario in all_scenarios().values() if scenario.claim == claim.name]


def test_they_are_numbered_in_order():
    assert list(CLAIMS) == [f"B{number}" for number in range(1, len(CLAIMS) + 1)]
    assert [name for name, claim in CLAIMS.items() if claim.is_new] == list(CLAIMS)[14:]


def test_every_scenario_s_claim_is_known():
    assert {scenario.claim for scenario in all_scenarios().values()} - {""} == set(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_a_claim_is_closed_in_the_proposed_revision_at_the_latest(claim):
    settings = [Setting(revision=PROPOSED, memory=memory) for memory in MEMORIES]
    assert not any(scenario.is_broken(setting) for scenario in scenarios_of(claim) for setting in settings)
    # What is open in the latest revision is closed by a switch.
    latest = [Setting(revision=REVISIONS["2026-02"], memory=memory) for memory in MEMORIES]
    is_open = any(scenario.is_broken(setting) for scenario in scenarios_of(claim) for setting in latest)
    assert bool(claim.switches) is is_open


def test_every_proposed_change_closes_a_claim():
    assert {switch for claim in CLAIMS.values() for switch in claim.switches} == set(PROPOSED_CHANGES)
