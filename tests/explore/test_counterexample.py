"""Counterexamples tell what happened, step by step, and which steps a reader should look at."""

import json
from dataclasses import replace
from functools import partial

import pytest

from wintun_model.revision import REVISIONS
from wintunsim.errors import UsageError
from wintunsim.explore.counterexample import counterexample
from wintunsim.explore.explorer import explore
from wintunsim.explore.report_text import counterexample_text
from wintunsim.explore.scenario import Setting
from wintunsim.explore.scenarios_named import scenario_named

LOST = ("receive-wakeup", "0.8.1", "tso")
OVERWRITTEN = ("senders", "0.8.1", "sc")


def texts(told, thread):
    return [step.text for step in told.steps if step.thread == thread]


def test_steps_say_what_they_do_and_what_came_of_it(found):
    _, told = found(*OVERWRITTEN)
    client = texts(told, "client")
    assert client[0] == "load send.Head → 0"
    assert {"load send.Tail → 8", "load Size at send[0] → 4", "store send.Head = 8"} <= set(client)
    copied = next(step for step in told.steps if step.action == "copy out send[4…7]")
    assert copied.result == copied.rings["send"].data[8:16]
    assert [step.number for step in told.steps] == [*range(1, len(told.steps) + 1)]


def test_what_is_there_after_a_step_follows_from_what_it_does(found):
    """Without store buffers a ring's word changes by the stores of it alone, at once."""
    _, told = found(*OVERWRITTEN)
    head = told.start["send"].head
    for step in told.steps:
        if step.place == "send.Head" and step.kind == "store":
            head = step.value
        assert step.rings["send"].head == head
        assert step.buffers == {}


def test_stores_wait_in_store_buffers_until_they_become_visible(found):
    _, told = found(*LOST)
    waiting = {name: [] for name in told.threads}
    for step in told.steps:
        if step.is_flush:
            assert step.action == f"becomes visible: {waiting[step.thread].pop(0)}"
        elif step.action.endswith(" (buffered)"):
            waiting[step.thread].append(step.buffers[step.thread][-1])
        assert step.buffers == {name: stores for name, stores in waiting.items() if stores}
    assert any(step.is_flush and "receive.Tail" in step.action for step in told.steps)


def test_a_lost_wake_up_is_told_by_its_two_loads_and_the_wait(found):
    """B3: each side loads the other's word while the other's store is not visible, or not made yet."""
    _, told = found(*LOST)
    missed = {
        (step.thread, step.place): step for step in told.steps if {"stale", "outdated"} & {*step.marks} and step.place
    }
    assert {("tun reader", "receive.Tail"), ("client", "receive.Alertable")} <= {*missed}
    stale = [step for step in missed.values() if "stale" in step.marks]
    assert stale
    for step in stale:
        assert step.text.endswith("(stale)") and any("still in its store buffer" in note for note in step.notes)
    (wait,) = [step for step in told.steps if "breaks" in step.marks]
    assert wait.text == "wait for tun.disconnected or receive TailMoved → must wait"
    assert told.property == "no thread waits for ever while its work is there"


def test_an_overwritten_packet_is_told_by_the_load_that_came_too_early(found):
    """B1: the sender that breaks the property has loaded Head before the client moved it."""
    _, told = found(*OVERWRITTEN)
    last = told.steps[-1]
    assert last.marks[-1] == "breaks" and told.what in last.notes
    (early,) = [
        step
        for step in told.steps
        if step.thread == last.thread and "outdated" in step.marks and step.place == "send.Head"
    ]
    (newer,) = [step for step in told.steps if "overwrites" in step.marks and step.place == "send.Head"]
    assert early.number < newer.number and newer.thread == "client"
    assert f"step {newer.number} changes send.Head" in early.notes[0]


def test_who_is_held_up_goes_on_where_it_is_said(found):
    _, told = found(*OVERWRITTEN)
    for step in told.steps:
        if "held up" in step.marks:
            (note,) = [note for note in step.notes if "held up" in note]
            resumed = int(note.rpartition(" ")[2])
            assert told.steps[resumed - 1].thread == step.thread
            assert told.steps[step.number].thread != step.thread


def test_threads_that_are_woken_and_locks_are_told(found):
    _, told = found(*LOST)
    assert any("tun reader is woken" in step.changes for step in told.steps)
    acquired = next(step for step in told.steps if step.action == "acquire tun.receive lock")
    assert acquired.changes == ["tun.receive lock: held by tun reader"]


def test_it_is_plain_data(found):
    for name in (LOST, OVERWRITTEN):
        _, told = found(*name)
        assert json.loads(json.dumps(told.as_dict())) == told.as_dict()


def test_the_same_schedule_tells_the_same(found):
    explored, told = found(*LOST)
    assert counterexample(explored.scenario, explored.setting, told.schedule) == told


def test_a_schedule_that_breaks_nothing_is_no_counterexample():
    setting = Setting(revision=REVISIONS["0.8.1"], memory="sc")
    with pytest.raises(UsageError, match="the schedule breaks nothing in senders"):
        counterexample(scenario_named("senders"), setting, "A2")


def test_threads_of_one_name_are_told_apart():
    """Each registration starts a reader thread of the same name."""
    scenario, setting = scenario_named("register; close; register"), Setting(revision=REVISIONS["0.8.1"], memory="sc")
    scenario = replace(scenario, build=partial(_breaks_at_its_end, scenario.build))
    told = counterexample(scenario, setting, explore(scenario, setting).schedule)
    assert told.threads[1:] == ["tun reader", "tun reader 2"]
    assert {step.thread for step in told.steps} == set(told.threads)
    lines = counterexample_text(told).splitlines()
    assert any("B tun reader " in line and "C tun reader 2" in line for line in lines)


def _breaks_at_its_end(build, setting):
    world = build(setting)
    world.expect(lambda state: "that is all")
    return world


def test_rules_that_are_not_as_usual_are_told():
    scenario, usual = scenario_named("register | close"), Setting(revision=REVISIONS["0.8.1"], memory="sc")
    setting = replace(usual, rules=usual.rules.with_changes(deny=["close_is_alone"]))
    told = counterexample(scenario, setting, explore(scenario, setting).schedule)
    assert (told.deciding_rules, told.rules_told) == ([], "close_is_alone does not hold")
    assert "memory model sc; close_is_alone does not hold\n" in counterexample_text(told)
