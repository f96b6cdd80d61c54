"""Composed programs: their language, what they mean, and the rules of the surroundings that decide their verdicts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintun_model.revision import REVISIONS
from wintunsim.errors import UsageError
from wintunsim.explore.composing.compose import ComposedWorld, compose
from wintunsim.explore.composing.text import (
    CALLS_MAX,
    FAULTS,
    ROUTINES,
    Call,
    Composition,
    Options,
    calls_of,
    count_of,
    group,
    parse,
    repeated,
)
from wintunsim.explore.composing.threads import plan
from wintunsim.explore.explorer import explore, replay
from wintunsim.explore.rules import Rules
from wintunsim.explore.scenario import Setting
from wintunsim.explore.strategies.exhaustive import exhaustive


def setting(revision="0.8.1", memory="sc", assume=(), deny=()):
    return Setting(revision=REVISIONS[revision], memory=memory, rules=Rules().with_changes(assume, deny))


def verdict(text, **where):
    return explore(compose(text), setting(**where)).outcome.verdict.value


def told(text, **where):
    """What the calls of a program tell at the ends of all executions: sets of (place, what, …)."""
    composed = ComposedWorld(parse(text), setting(**where))
    machine, start = composed.world.machine, composed.world.start()

    def ending(state):
        ended = [state[program.slot] for program in composed.programs if state[program.slot].has_ended]
        return frozenset(item for node in ended for item in node.result)

    return exhaustive(machine, start, ending=ending).endings


# -- the language -----------------------------------------------------------------------------------------------------


@st.composite
def calls(draw):
    routine = draw(st.sampled_from(list(ROUTINES.values())))
    fewest, most, least, largest = routine.sizes
    sizes = draw(st.lists(st.integers(least, largest), min_size=fewest, max_size=most)) if most else []
    return Call(routine.name, tuple(sizes), draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2)))


def groups(parts):
    return st.builds(
        group, st.booleans(), st.lists(parts, min_size=1, max_size=3).map(tuple), st.sampled_from([1, 1, 1, 2])
    )


PARTS = st.recursive(calls(), groups, max_leaves=6).filter(lambda part: count_of(part) <= CALLS_MAX)
OPTIONS = st.builds(
    Options,
    send=st.sampled_from([16, 32, 64]),
    receive=st.sampled_from([32, 64, 256]),
    barrier=st.booleans(),
    fail=st.sets(st.sampled_from(sorted(FAULTS))).map(lambda names: tuple(sorted(names))),
)


@settings(max_examples=50)
@given(st.builds(Composition, PARTS, OPTIONS))
def test_the_text_of_a_program_reads_as_that_program(composition):
    assert parse(str(composition)) == composition


@settings(max_examples=25)
@given(PARTS, st.integers(1, 3))
def test_a_repeated_part_has_so_many_calls(part, times):
    again = repeated(part, times)
    assert count_of(again) == len(list(calls_of(again))) == times * count_of(part)


def test_side_by_side_binds_more_tightly_than_one_after_the_other():
    assert parse("register; send | pop; close") == parse("register; (send | pop); close")


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ("", "'the end' stands where a routine must", 1),
        ("register; (send | pop", "'the end' stands where ')' must follow a group", 22),
        ("register; sendd", "'sendd' stands where a routine must", 11),
        ("register; send)", "')' stands where the program must end", 15),
        ("register; push(500)", "the number for push 500 is out of range: 2 to 44", 16),
        ("register; close(4)", "close takes no numbers", 11),
        ("register; push(20, 20)", "push takes 1 numbers at most", 11),
        ("send*0", "the number of times 0 is out of range", 6),
        ("register@9", "the client's number 9 is out of range", 10),
        ("[send=24] register", "the capacity 24 is no power of two", 7),
        ("[fast] register", "'fast' is no option", 2),
        ("[fail=luck] register", "'luck' cannot fail", 7),
        ("register % send", "'%' means nothing", 10),
    ],
)
def test_a_mistake_is_told_with_its_place(text, what, place):
    with pytest.raises(UsageError) as mistake:
        parse(text)
    assert what in str(mistake.value)
    assert f"at character {place} of the program" in str(mistake.value)


def test_a_program_is_bounded():
    with pytest.raises(UsageError, match=r"has 20 calls: 16 are the most"):
        parse("(send*4; pop)*4")
    with pytest.raises(UsageError, match="9 threads: 8 are the most"):
        compose("register; (" + " | ".join(["send"] * 9) + ")")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("register; (pop | read)", "use the send ring side by side"),
        ("register; (push | push)", "use the receive ring side by side"),
        ("register; (pop; session.receive)", "in two ways"),
        ("send | pop", "pop has no rings"),
        ("register; close@2", "close@2 has no rings"),
    ],
)
def test_what_no_client_may_do_is_refused(text, what):
    with pytest.raises(UsageError, match=what):
        compose(text)


# -- what a program means ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "setup", "threads"),
    [
        ("register; send", ["register"], ["send"]),
        ("register; (send | pop | close); register", ["register"], ["send, register", "pop", "close"]),
        ("(register | halt); send", [], ["register, send", "halt"]),
        ("register; keep; echo; (push | close)", ["register"], ["push", "close"]),
        ("register; ((send | pop); send | close)", ["register"], ["send", "pop", "close"]),
        ("initialize; restart; register; pop", ["initialize", "restart", "register"], ["pop"]),
    ],
)
def test_a_program_falls_into_threads(text, setup, threads):
    found = plan(parse(text).body)
    assert [instance.name for instance in found.setup] == setup
    assert sorted(thread.name for thread in found.threads) == sorted(threads)


def test_what_follows_a_group_begins_when_all_of_it_is_done():
    """The client looks after both sends are over, so it always finds a packet; beside them it may find none."""
    after = told("register; (send | send); pop")
    assert all(any(item[1] == "popped" for item in ending) for ending in after)
    beside = told("register; (send | send | pop)")
    assert {any(item[1] == "popped" for item in ending) for ending in beside} == {True, False}


def test_a_sequence_is_in_order():
    """Two packets of one thread arrive in their order, so the first pop never gets the second one."""
    first = {item[2] for ending in told("register; (send*2 | pop)") for item in ending if item[1] == "popped"}
    assert len(first) == 1


def test_repeated_and_written_out_are_the_same():
    assert told("register; (send*2 | pop*2)") == told("register; ((send; send) | (pop; pop))")


def test_each_register_is_about_rings_of_its_own():
    """A registration after a close works: its rings are fresh, while the old ones say that they are stopped."""
    for ending in told("register; close; register; (push | send)"):
        assert (2, "registered", True) in ending
        assert any(item[:2] == (3, "pushed") for item in ending)


def test_a_second_registration_beside_the_first_is_refused():
    for ending in told("register; register"):
        assert (1, "registered", False) in ending


def test_what_a_session_hands_over_arrives():
    endings = told("register; (send | (session.receive; session.release))")
    assert {any(item[1] == "popped" for item in ending) for ending in endings} == {True, False}


def test_kept_packets_hold_up_a_close_and_that_is_no_fault_of_the_driver():
    """A network stack that keeps an NBL holds up the close (spec driver §6.1)."""
    assert verdict("register; keep; push; close") == "safe"


# -- the rules of the surroundings ------------------------------------------------------------------------------------

LOOP = {
    "returns_are_serialised": ("register; (push*2 | return | return)", "0.8.1"),
    "halt_waits_for_returns": ("register; (push | return | halt)", "2026-02"),
}
"""Rules that are off: programs that are broken, and safe when the rule is assumed."""


@pytest.mark.parametrize(("rule", "text", "revision"), [(rule, *where) for rule, where in LOOP.items()])
def test_a_rule_that_is_assumed_makes_a_program_safe(rule, text, revision):
    assert verdict(text, revision=revision) == "broken"
    assert verdict(text, revision=revision, assume=[rule]) == "safe"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("opens_wait_for_start", "initialize | register"),
        ("close_is_alone", "register | close"),
    ],
)
def test_a_rule_that_is_denied_lets_more_happen(rule, text):
    assert verdict(text) == "safe"
    assert verdict(text, deny=[rule]) == "broken"


@pytest.mark.parametrize("rule", ["stack_sends_inside", "waiting_writer_excludes_readers"])
def test_the_deadlock_of_a_stack_that_sends_inside_needs_two_rules(rule):
    """B12: whoever waits for the transition lock keeps the inner send out, which the holder is in the midst of."""
    assert verdict("register; echo; (push | close)") == "broken"
    assert verdict("register; echo; (push | close)", deny=[rule]) == "safe"


def test_nothing_is_sent_while_the_adapter_is_paused_unless_the_rule_is_denied():
    """A send that begins after a pause is never handed down; without the rule the driver has to refuse it."""
    assert not any(item[1] == "sent" for ending in told("register; (pause; send | pop)") for item in ending)
    endings = told("register; (pause; send | pop)", deny=["pause_waits_for_sends"])
    assert all((2, "sent") in ending for ending in endings)


# -- replaying --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["sc", "tso"])
@pytest.mark.parametrize(
    "text",
    [
        "register; (push*2 | return | return)",
        "register; echo; (push | close)",
        "register | halt",
        "[fail=nbl] register; (push*2 | return)",
        "(force_close | close); register",
    ],
)
def test_a_schedule_breaks_the_same_property_again(text, memory):
    scenario = compose(text)
    found = explore(scenario, setting(memory=memory))
    assert found.outcome.violation is not None
    world = scenario.build(setting(memory=memory))
    _, violation = replay(world, world.start(), found.schedule)
    assert str(violation) == str(found.outcome.violation)
