"""The claims: each has its scenarios, and what closes it is there."""

import pytest

from wintun_model.revision import PROPOSED, PROPOSED_CHANGES, REVISIONS
from wintunsim.explore.claims import CLAIMS, claims_closed_by
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


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS.values() if claim.mended_by], ids=lambda claim: claim.name)
def test_what_a_revision_has_mended_is_said(claim):
    """With the latest revision's values of these switches some scenario of the claim is broken no more."""
    latest = REVISIONS["2026-02"].switches()
    old = [Setting(revision=REVISIONS["0.8.1"], memory=memory) for memory in MEMORIES]
    assert any(
        scenario.is_broken(setting)
        and not scenario.is_broken(setting.with_switches(**{name: latest[name] for name in claim.mended_by}))
        for scenario in scenarios_of(claim)
        for setting in old
    )


def test_what_is_mended_and_what_is_open_are_all_claims():
    assert all(claim.switches or claim.mended_by for claim in CLAIMS.values())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        (["loads_head_under_lock"], ["B1"]),
        (["has_force_close"], ["B14"]),
        (["has_force_close", "stores_head_before_empty"], ["B2"]),
        (["counts_before_release", "assuming halt_waits_for_send_calls"], ["B15"]),
        (["the client's barrier"], []),
    ],
)
def test_a_race_is_of_the_claims_whose_changes_close_it(changes, names):
    """Without force close a program has no such request: that another race is gone then does not make it B14."""
    assert [claim.name for claim in claims_closed_by(changes)] == names
