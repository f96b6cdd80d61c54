"""The search against itself: a reduced search comes to the same ends as one of every order, for programs at random.

The same ends are those of other strategies, of executions that run plainly, and of another memory model or more. Run it
long with ``--hypothesis-profile=search``.
"""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from random_programs import ending_of, programs

from wintunsim.explore.determinism import rerun
from wintunsim.explore.search import Budget, Verdict
from wintunsim.explore.strategies.count import count
from wintunsim.explore.strategies.exhaustive import exhaustive
from wintunsim.explore.strategies.pct import pct
from wintunsim.explore.strategies.preemptions import preemptions
from wintunsim.explore.strategies.uniform import uniform

MOST_EXECUTIONS = 6000
memories = st.sampled_from(["sc", "tso"])


def explored(program, setting, strategy=exhaustive, executions=MOST_EXECUTIONS, **options):
    """What a strategy makes of a program; None when that is too much."""
    world = program.scenario().build(setting)
    start = world.start()
    outcome = strategy(world.machine, start, Budget(executions=executions), ending=ending_of(world), **options)
    return None if strategy is exhaustive and outcome.verdict is Verdict.NOT_FOUND else outcome


def assert_same(one, other):
    """The same verdict; and the same ends, where all were looked at."""
    assert one.verdict == other.verdict
    if one.verdict is Verdict.SAFE:
        assert one.endings == other.endings


@settings(max_examples=40)
@given(programs(), memories)
def test_reduced_is_the_same_as_every_order(program, memory):
    assert_reduced_is_full(program, memory)


@pytest.mark.slow
@settings(max_examples=1500)
@given(programs(), memories)
def test_reduced_is_the_same_as_every_order_for_many_programs(program, memory):
    assert_reduced_is_full(program, memory)


def assert_reduced_is_full(program, memory):
    setting = program.setting(memory)
    full = explored(program, setting, reduced=False)
    if full is not None:
        assert_same(explored(program, setting), full)


@settings(max_examples=12)
@given(programs(weird=False))
def test_what_is_possible_under_sequential_consistency_is_so_under_tso(program):
    strong, weak = explored(program, program.setting("sc")), explored(program, program.setting("tso"))
    if strong is not None and weak is not None:
        assert strong.endings <= weak.endings


@settings(max_examples=12)
@given(programs(), memories)
def test_steps_that_nobody_sees_make_no_difference(program, memory):
    quiet = explored(program, program.setting(memory))
    loud = explored(program, program.setting(memory, passes_silent=False))
    if quiet is not None and loud is not None:
        assert_same(quiet, loud)


@settings(max_examples=12)
@given(programs(), memories, st.integers(0, 1000))
def test_samples_end_as_some_execution_does(program, memory, seed):
    setting = program.setting(memory)
    full = explored(program, setting)
    if full is not None and full.verdict is Verdict.SAFE:
        for strategy in (uniform, pct):
            found = explored(program, setting, strategy, 20, seed=seed)
            assert found.verdict is Verdict.NOT_FOUND
            assert found.endings <= full.endings


@settings(max_examples=10)
@given(programs(), memories)
def test_counting_and_bounded_preemptions_come_to_the_same_ends(program, memory):
    setting = program.setting(memory)
    full = explored(program, setting, reduced=False, executions=1500)
    if full is not None:
        assert_same(explored(program, setting, preemptions, 100_000, bound=100), full)
        counted = explored(program, setting, count, None)
        assert_same(counted, full)


@settings(max_examples=12)
@given(programs(), memories, st.booleans(), st.integers(0, 1000))
def test_executions_run_plainly_as_the_explorer_has_them(program, memory, passes_silent, seed):
    setting = program.setting(memory, passes_silent)
    scenario = program.scenario()
    world = scenario.build(setting)
    start, paths = world.start(), []
    for strategy in (uniform, pct):
        strategy(world.machine, start, Budget(executions=5), seed=seed, watch=paths.append)
    for path in paths:
        rerun(lambda: scenario.build(setting), world.machine, start, path)
