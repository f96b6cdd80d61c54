"""Strategies: each finds the races that are there, says the same for the same seed, and never more than it knows."""

import pytest

from wintun_model import operations as op
from wintun_model.revision import REVISIONS
from wintunsim.errors import UsageError
from wintunsim.explore.determinism import rerun
from wintunsim.explore.explorer import explore, explore_all, replay
from wintunsim.explore.minimiser import cost_of, minimise
from wintunsim.explore.plain import NotDeterministic
from wintunsim.explore.scenario import Scenario, Setting, find
from wintunsim.explore.schedule import encode
from wintunsim.explore.search import Budget, Verdict
from wintunsim.explore.strategies.draws import block, draws
from wintunsim.explore.strategies.exhaustive import exhaustive
from wintunsim.explore.strategies.replay import follow
from wintunsim.explore.violation import Property

RACES = [("senders", "sc", Property.UNREAD_KEPT), ("receive-wakeup", "tso", Property.NO_LOST_WAKEUP)]
SEARCHES = {
    "exhaustive": {},
    "preemptions": {"bound": 2},
    "pct": {"budget": Budget(executions=10_000)},
    "random": {"budget": Budget(executions=10_000)},
}
RECORDED = {
    ("senders", "pct"): "C3A20B5D7C17B7",
    ("senders", "random"): "A2B2DA2BCB13CACBD4C2B2CDC14ADBA5DA",
    ("receive-wakeup", "pct"): "A3aAaAaA2BbB13bBA6B4bB9bB2a3",
    ("receive-wakeup", "random"): "A3aAaA2aA6B5bB3AB6bB5bB8aBbB2a2",
}
"""What seed 0 finds: the same on every Python and platform."""


def setting(memory, revision="0.8.1"):
    return Setting(revision=REVISIONS[revision], memory=memory)


def found(name, memory, strategy, **options):
    return explore(find([name])[0], setting(memory), strategy=strategy, **{**SEARCHES[strategy], **options})


@pytest.mark.parametrize("strategy", SEARCHES)
@pytest.mark.parametrize(("name", "memory", "broken"), RACES)
def test_every_strategy_finds_the_races_of_the_first_driver(name, memory, broken, strategy):
    """B1 and B3; each printed schedule breaks the same property again, in a world made anew."""
    exploration = found(name, memory, strategy)
    assert exploration.outcome.verdict is Verdict.BROKEN
    assert exploration.outcome.violation.property is broken
    assert exploration.outcome.violation.schedule == exploration.schedule
    world = exploration.scenario.build(exploration.setting)
    _, violation = replay(world, world.start(), exploration.schedule)
    assert str(violation) == str(exploration.outcome.violation)
    again = explore(exploration.scenario, exploration.setting, strategy="replay", schedule=exploration.schedule)
    assert str(again.outcome.violation) == str(violation)
    assert again.schedule == exploration.schedule


@pytest.mark.parametrize(("name", "strategy"), RECORDED)
def test_samples_are_the_same_on_every_python(name, strategy):
    memory = {name: memory for name, memory, _ in RACES}[name]
    assert found(name, memory, strategy).schedule == RECORDED[name, strategy]


def test_draws_are_the_same_on_every_python():
    chance = draws(1, "name", 2)
    assert [next(chance) for _ in range(4)] == [51237, 55201, 23070, 56051]
    assert block(1, "name", 2, 0) != block(1, "name", 2, 1) != block(1, "name", 3, 0)


@pytest.mark.parametrize("strategy", ["random", "pct"])
def test_samples_never_prove_anything(strategy):
    budget = Budget(executions=100)
    exploration = explore(find(["one-sender"])[0], setting("sc"), budget, strategy=strategy)
    assert exploration.outcome.verdict is Verdict.NOT_FOUND
    assert exploration.outcome.executions == 100
    assert not exploration.is_expected


def test_bounded_preemptions_prove_something_only_when_the_bound_kept_nothing_back():
    verdicts = [found("one-sender", "sc", "preemptions", bound=bound).outcome.verdict for bound in (0, 1, 40)]
    assert verdicts == [Verdict.NOT_FOUND, Verdict.NOT_FOUND, Verdict.SAFE]


def test_bounded_preemptions_find_what_takes_no_more():
    """The lost wake-up takes two switches away from threads that could go on: with one it is not found."""
    assert found("receive-wakeup", "tso", "preemptions", bound=1).outcome.verdict is Verdict.NOT_FOUND
    assert found("receive-wakeup", "tso", "preemptions", bound=2).outcome.verdict is Verdict.BROKEN


@pytest.mark.parametrize("persistence", [0, 60_000])
def test_random_has_a_persistence(persistence):
    outcome = found("one-sender", "sc", "random", persistence=persistence, budget=Budget(executions=50)).outcome
    assert outcome.verdict is Verdict.NOT_FOUND


@pytest.mark.parametrize("strategy", ["exhaustive", "preemptions", "pct", "random"])
def test_executions_are_run_again_plainly(strategy):
    options = {"budget": Budget(executions=20)} if strategy in ("pct", "random") else {}
    exploration = found("one-sender", "tso", strategy, check_determinism=True, **options)
    assert exploration.outcome.violation is None
    broken = found("receive-wakeup", "tso", strategy, check_determinism=True)
    assert broken.outcome.violation is not None


def forgetful(calls):
    """A routine that keeps something in other places than its locals."""
    calls.append(None)
    event = op.Event("event", manual_reset=True)
    yield op.Put(op.Variable("x", 0), len(calls) % 7)
    yield event.set


def test_a_routine_that_is_not_the_same_again_is_noticed():
    calls = []

    def build(setting):
        world = setting.world()
        world.thread("thread", lambda: forgetful(calls))
        return world

    world = build(setting("sc"))
    start = world.start()
    with pytest.raises(NotDeterministic, match="step 1, thread comes to"):
        rerun(lambda: build(setting("sc")), world.machine, start, [0, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "clever"}, "there is no strategy 'clever': choose among exhaustive, "),
        ({"depth": 2}, "the strategy exhaustive has no option 'depth': it has reduced"),
        ({"strategy": "random"}, "the strategy random takes samples without end: give it a budget"),
        ({"strategy": "pct", "depth": 0, "budget": Budget(executions=1)}, "depth is 0: give 1 or more"),
        ({"strategy": "random", "persistence": -1, "budget": Budget(executions=1)}, "the persistence is -1: give"),
        ({"strategy": "preemptions", "bound": -1}, "the bound of preemptions is -1: give 0 or more"),
        ({"strategy": "random", "workers": 0, "budget": Budget(executions=1)}, "workers is 0: give 1 or more"),
    ],
)
def test_mistakes_are_told(options, message):
    with pytest.raises(UsageError, match=message):
        explore(find(["one-sender"])[0], setting("sc"), **options)


# -- several processes ------------------------------------------------------------------------------------------------


def plain(exploration):
    """What an exploration says, but for how long it took."""
    outcome = exploration.outcome
    figures = (outcome.executions, outcome.states, outcome.operations, outcome.longest)
    where = (exploration.scenario.name, exploration.setting)
    return (*where, outcome.verdict, *figures, str(outcome.violation), exploration.schedule)


@pytest.mark.parametrize("strategy", ["random", pytest.param("pct", marks=pytest.mark.slow)])
def test_samples_are_the_same_in_two_processes(strategy):
    """There is nothing to be found, so processes are started after the first samples."""
    scenario, where = find(["senders"])[0], setting("tso", "2026-02")
    results = [
        plain(explore(scenario, where, Budget(executions=1500), strategy=strategy, workers=workers))
        for workers in (1, 2)
    ]
    assert results[0] == results[1]
    assert results[0][3] == 1500


def test_scenarios_are_the_same_in_two_processes():
    scenarios = find(["receive-wakeup", "one-sender"])
    mine = Scenario(name="mine", title="", build=lambda setting: setting.world(), is_broken=lambda setting: False)
    settings = [setting("sc"), setting("tso")]
    results = [[plain(one) for one in explore_all([*scenarios, mine], settings, workers=workers)] for workers in (1, 2)]
    assert results[0] == results[1]
    assert [row[0] for row in results[0]] == ["receive-wakeup"] * 2 + ["one-sender"] * 2 + ["mine"] * 2


# -- the shortest way -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["exhaustive", "random"])
@pytest.mark.parametrize(
    ("name", "memory", "cost", "schedule"),
    [("senders", "sc", (1, 59), "A20B5D7C20B7"), ("receive-wakeup", "tso", (2, 53), None)],
)
def test_counterexamples_are_minimised(name, memory, cost, schedule, strategy):
    exploration = found(name, memory, strategy)
    world = exploration.scenario.build(exploration.setting)
    start, machine = world.start(), world.machine
    _, steps, broken = follow(machine, start, exploration.schedule)
    path, violation = minimise(machine, start, broken, steps)
    assert violation.property is broken.property
    assert cost_of(machine, start, path) == cost
    if schedule is not None:
        assert encode(machine, start, path) == schedule


def small_race(threads):
    """Threads that each read a counter and write it back, one more; at the end it must have counted all."""
    world = setting("tso").world()
    counter = op.Variable("counter", 0)

    def routine():
        yield op.Put(counter, (yield counter.get) + 1)

    for number in range(threads):
        world.thread(f"thread {number}", routine)
    slot = world.machine.layout.slot(counter, counter.name, counter.value)
    world.expect(lambda state: None if state[slot] == threads else "one was lost")
    return world


def cheapest_of_all(machine, start, wanted):
    """The least cost of any execution that breaks the property: every one is looked at."""
    costs = []

    def watch(path):
        costs.append(cost_of(machine, start, path))

    def go(state, path):
        enabled = machine.enabled(state)
        for transition in enabled:
            after = list(state)
            machine.apply(after, transition)
            go(after, [*path, transition])
        if not enabled and any(True for _ in wrong(machine, state, wanted)):
            watch(path)

    go(list(start), [])
    return min(costs)


def wrong(machine, state, wanted):
    try:
        machine.check_end(state)
    except wanted as violation:
        yield violation


@pytest.mark.parametrize("states", [None, 3], ids=["all states", "budget spent"])
def test_minimised_is_minimal(states):
    world = small_race(2)
    start, machine = world.start(), world.machine
    outcome = exhaustive(machine, start)
    budget = None if states is None else Budget(executions=states)
    path, _ = minimise(machine, start, outcome.violation, outcome.schedule, budget)
    assert cost_of(machine, start, path) == cheapest_of_all(machine, start, type(outcome.violation))
