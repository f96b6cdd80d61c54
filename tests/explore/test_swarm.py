"""The swarm: what it makes up, that it finds the known races by itself, and that it says the same every time."""

from dataclasses import replace

import pytest

from wintun_model.revision import REVISIONS
from wintunsim.cli_explore_swarm import told_race
from wintunsim.errors import UsageError
from wintunsim.explore.composing.compose import compose
from wintunsim.explore.composing.text import FAULTS, ROUTINES, calls_of, count_of, parse
from wintunsim.explore.explorer import replay
from wintunsim.explore.scenario import Setting
from wintunsim.explore.signature import Signature, signature_of
from wintunsim.explore.strategies.exhaustive import exhaustive
from wintunsim.explore.swarm import Finding, Race, explore_made_up, minimise, search_program, swarm
from wintunsim.explore.swarm_programs import CALLS, make_up, smaller
from wintunsim.explore.violation import Property

MEMORIES = ("tso", "tso", "tso", "sc")
OLD = Setting(revision=REVISIONS["0.8.1"])


def signatures(seed, number):
    return {finding.signature for finding in explore_made_up(seed, number, OLD, MEMORIES).findings}


# -- what it makes up -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(40))
def test_a_made_up_program_is_one_that_can_be_explored(number):
    composition = make_up(7, number)
    assert parse(str(composition)) == composition
    assert count_of(composition.body) <= CALLS
    assert "register" in {call.name for call in calls_of(composition.body)}
    compose(composition)


def test_a_program_depends_on_seed_and_number_alone():
    assert [str(make_up(5, number)) for number in range(8)] == [str(make_up(5, number)) for number in range(8)]
    assert len({str(make_up(seed, 3)) for seed in range(8)}) > 1


def test_everything_is_made_up_sooner_or_later():
    """Routines, faults, sizes, several clients, and a registration after the end of another one."""
    programs = [make_up(11, number) for number in range(500)]
    called = [[call.name for call in calls_of(program.body)] for program in programs]
    assert {name for names in called for name in names} == set(ROUTINES)
    assert {name for program in programs for name in program.options.fail} == set(FAULTS)
    assert len({program.options.send for program in programs}) > 2
    assert {program.options.barrier for program in programs} == {True, False}
    assert {call.client for program in programs for call in calls_of(program.body)} == {1, 2}
    for end in ("close", "exit", "halt"):
        assert any(end in names and "register" in names[names.index(end) :] for names in called)


def test_programs_get_smaller_until_nothing_is_left():
    """Whatever is taken away first, there is an end; each step makes something less."""
    steps, composition = 0, make_up(7, 1)
    while (less := next(smaller(composition), None)) is not None:
        assert less != composition
        composition, steps = less, steps + 1
        assert steps < 100
    assert count_of(composition.body) == 1


# -- what it finds ----------------------------------------------------------------------------------------------------


def test_a_made_up_program_shows_that_senders_overwrite_packets():
    """B1."""
    assert any(signature.broken == Property.UNREAD_KEPT for signature in signatures(30, 0))


def test_a_made_up_program_shows_that_returns_move_head_back():
    """B2."""
    found = {signature for signature in signatures(161, 10) if signature.broken == Property.NEVER_BACK}
    assert {signature.breaks.partition(":")[0] for signature in found} == {"return_nbls"}


def test_a_made_up_program_shows_that_the_reader_sleeps_for_ever():
    """B3."""
    assert any(
        signature.broken == Property.NO_LOST_WAKEUP and ": waits for tun.disconnected" in signature.breaks
        for signature in signatures(45, 0)
    )


@pytest.mark.parametrize(
    ("seed", "number", "program", "goes_away"),
    [
        (45, 0, "register; push; push", "sequentially consistent memory"),
        pytest.param(161, 10, "register; (push*2 | return | return)", "stores_head_under_lock", marks=pytest.mark.slow),
    ],
)
def test_a_race_is_told_in_a_small_program_with_what_closes_it(seed, number, program, goes_away):
    report = explore_made_up(seed, number, OLD, MEMORIES)
    race = minimise(number, report.findings[0], OLD)
    assert count_of(parse(race.finding.program).body) <= count_of(parse(program).body)
    assert goes_away in race.goes_away
    _breaks_again(race.finding)


def found_in(program):
    """What the search of a program finds on 0.8.1 under SC, as the swarm has it."""
    return search_program(parse(program), replace(OLD, memory="sc"), is_small=True)[0][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "goes_away", "with_others", "claims"),
    [
        ("(register; exit) | remove", ("halt_detaches_first",), ("exit_holds_guard",), ["B9"]),
        (
            "(remove; exit) | (register; initialize)",
            ("publishes_context_last",), ("halt_detaches_first",), ["B13"],
        ),
    ],
)  # fmt: skip
def test_where_a_program_has_several_races_each_has_its_change(program, goes_away, with_others, claims):
    """No single change closes them all: a registration outlives halt (B9), and a second race shows beside it."""
    race = minimise(0, found_in(program), OLD)
    assert (race.finding.program, race.goes_away, race.with_others) == (program, goes_away, with_others)
    text = told_race(1, race, OLD, 0.0)
    assert f"\n  goes away    with {goes_away[0]}\n" in text
    assert f"\n  others       in this program need {with_others[0]} too\n" in text
    assert f"\n  it is        {claims[0]}\n" in text


def test_changes_that_it_takes_together_are_told_so():
    race = Race(
        1, "send", Finding("send", "sc", Signature("p", "b"), "what", "A"), (), ("exit_holds_guard", "leaves_list_last")
    )
    text = told_race(1, race, OLD, 0.0)
    assert "\n  goes away    with exit_holds_guard and leaves_list_last together\n  it is        B16 and B17\n" in text
    nothing = told_race(1, replace(race, with_others=()), OLD, 0.0)
    assert "\n  goes away    with no change that is known\n  again " in nothing


def _breaks_again(finding):
    """The schedule breaks the same property in a world of its own."""
    world = compose(finding.program).build(Setting(revision=OLD.revision, memory=finding.memory))
    _, violation = replay(world, world.start(), finding.schedule)
    assert violation is not None
    assert (violation.property.value, violation.what) == (finding.signature.broken, finding.what)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "programs", "change"),
    [
        (30, 1, "loads_head_under_lock"),
        (161, 11, "stores_head_under_lock"),
        (45, 1, "sequentially consistent memory"),
    ],
)
def test_a_swarm_finds_the_known_races_again(seed, programs, change):
    """B1, B2 and B3, by the change with which each goes away."""
    found = swarm(OLD.revision, seed=seed, programs=programs, workers=2)
    assert any(change in race.goes_away for race in found.races)
    for race in found.races:
        _breaks_again(race.finding)


# -- that it says the same every time ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone():
    return swarm(OLD.revision, seed=45, programs=2, workers=1)


def test_a_swarm_says_the_same_for_any_number_of_workers(alone):
    several = swarm(OLD.revision, seed=45, programs=2, workers=2)
    assert several.races == alone.races
    assert (several.programs, several.proved, several.executions) == (alone.programs, alone.proved, alone.executions)


def test_a_race_is_reported_once(alone):
    keys = [race.key for race in alone.races]
    assert keys
    assert len(keys) == len(set(keys))


def test_progress_is_told_after_each_program():
    seen = []
    swarm(OLD.revision, seed=2, programs=3, progress=lambda result: seen.append(result.programs))
    assert seen == [1, 2, 3]


def test_a_signature_knows_no_numbers():
    """The same race with other packets and another ring is the same."""

    def signature(text):
        world = compose(text).build(OLD)
        start = world.start()
        outcome = exhaustive(world.machine, start)
        return signature_of(world.machine, start, outcome.schedule, outcome.violation)

    assert signature("register; push*2") == signature("[receive=128] register@2; push(24)@2*2")
    assert signature("register; push*2") != signature("register; (push | return | close)")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({}, "needs a bound"),
        ({"programs": 0}, "the number of programs is 0"),
        ({"budget_s": -1.0}, "the budget is -1.0"),
        ({"programs": 1, "workers": 0}, "workers is 0"),
        ({"programs": 1, "memories": ("arm",)}, "no memory model 'arm'"),
    ],
)
def test_a_swarm_without_sense_is_refused(options, what):
    with pytest.raises(UsageError, match=what):
        swarm(OLD.revision, **options)
