"""A reference names an execution so that it can be run again anywhere."""

import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model.revision import PROPOSED, REVISIONS
from wintunsim.errors import UsageError
from wintunsim.explore.reference import Reference, decode
from wintunsim.explore.rules import Rules
from wintunsim.explore.scenario import MEMORIES, Setting

SWITCHES = [*REVISIONS["0.8.1"].switches()]
RULES = [rule.name for rule in fields(Rules)]
SCENARIOS = st.sampled_from(["senders", "receive-wakeup", "examples/own_client.py:produce+receive", "a@b.py:f,g+both"])
STEPS = st.lists(st.sampled_from(["A5", "b2", "C!", "D"]), min_size=1).map("".join)


@given(
    SCENARIOS,
    st.sampled_from([*REVISIONS.values(), PROPOSED]),
    st.sampled_from(MEMORIES),
    st.sets(st.sampled_from(SWITCHES), max_size=3),
    st.sets(st.sampled_from(RULES), max_size=3),
    STEPS,
)
def test_what_is_encoded_comes_back(scenario, revision, memory, switches, rules, steps):
    turned = replace(revision, **{name: not getattr(revision, name) for name in switches})
    usual = Rules()
    setting = Setting(
        revision=turned, memory=memory, rules=replace(usual, **{name: not getattr(usual, name) for name in rules})
    )
    text = Reference.of(scenario, setting, steps).encode()
    back = decode(text)
    assert (back.scenario, back.steps) == (scenario, steps)
    assert back.setting() == setting
    assert back.encode() == text


def test_what_is_as_usual_is_left_out():
    assert (
        Reference.of("senders", Setting(revision=REVISIONS["0.12"], memory="sc"), "A2b").encode()
        == "senders@0.12+sc/A2b"
    )


def test_a_reference_without_steps_names_a_setting():
    assert decode("senders@0.8.1+tso").steps == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("senders", "names no execution: give SCENARIO@REVISION+MEMORY/STEPS"),
        ("senders@0.8.1/A2", "names no execution"),
        ("senders@9.9+sc/A2", "no driver revision '9.9': choose among 0.8, 0.8.1"),
        ("senders@0.8.1,flies+sc/A2", "no switch 'flies': choose among takes_32_bit_record"),
        ("senders@0.8.1+arm/A2", "no memory model 'arm': choose sc or tso"),
        ("senders@0.8.1+sc,-gravity/A2", "no rule 'gravity': choose among release_drains"),
        ("senders@0.8.1+sc/A2?", "no schedule: '?' does not begin with a step"),
    ],
)
def test_a_mistake_is_named(text, told):
    with pytest.raises(UsageError, match=re.escape(told)):
        decode(text)
