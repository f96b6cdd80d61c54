"""`wintunsim explore`: verdicts and exit codes, reports, and what it says when something is wrong."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import jsonschema
import pytest

from wintunsim.cli import main
from wintunsim.explore.report_json import SCHEMA
from wintunsim.explore.scenario import all_scenarios

ROOT = Path(__file__).resolve().parents[1]
OWN = f"{ROOT}/examples/own_client.py"
LINE = (
    r"{verdict}; [\d,]+ executions?, [\d,]+ distinct states, longest run \d+ steps, [\d.]+ s, "
    r"[\d,]+ executions/s, [\d,]+ operations/s"
)


@pytest.fixture
def ask(capsys, tmp_path, monkeypatch):
    """Run the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main(["explore", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def last(text):
    return text.splitlines()[-1]


# -- verdicts ---------------------------------------------------------------------------------------------------------


def test_a_safe_scenario_ends_with_one_line(ask):
    code, out, err = ask("one-sender")
    assert (code, err) == (0, "")
    assert re.fullmatch(LINE.format(verdict="safe"), out.rstrip("\n"))


def test_a_broken_one_is_told_and_is_expected(ask):
    code, out, _ = ask("receive-wakeup")
    assert code == 0
    assert "BROKEN: no thread waits for ever while its work is there" in out
    assert re.fullmatch(LINE.format(verdict="broken"), last(out))


def test_a_verdict_that_is_not_expected_has_exit_code_1(ask):
    code, out, _ = ask(f"{OWN}:no_barrier", "--with", "receive", "--driver", "2026-02")
    assert code == 1
    assert last(out).startswith("broken (expected: safe); ")


def test_several_settings_have_a_line_each(ask):
    code, out, _ = ask("receive-wakeup", "one-sender", "--memory=both", "--driver=0.8.1,2026-02", "--out=o.txt")
    names = [line.partition(": ")[0] for line in out.splitlines()]
    assert code == 0
    assert names == [
        f"{name}, {revision}, {memory}"
        for name in ("receive-wakeup", "one-sender")
        for revision in ("0.8.1", "2026-02")
        for memory in ("sc", "tso")
    ]


SLOW = ("--driver", "2026-02", "--assume", "halt_waits_for_returns", "--compose", "register; (push | return | halt)")
"""A program that is safe, with some two thousand executions: a budget is looked at now and then only."""


@pytest.mark.parametrize("bound", [("--executions", "5"), ("--budget", "10s")], ids=["count", "time"])
def test_a_spent_budget_is_never_safe(ask, monkeypatch, bound):
    """Each look at the clock is ten seconds later than the one before."""
    seconds = count(step=10)
    monkeypatch.setattr("wintunsim.explore.search.perf_counter", lambda: float(next(seconds)))
    code, out, _ = ask(*SLOW, *bound)
    assert code == 1
    told = re.match(r"not found within ([\d,]+) executions where \S+ holds \(expected: safe\); ", last(out))
    assert int(told[1].replace(",", "")) < 2000


def test_what_is_broken_and_not_found_is_not_as_expected(ask):
    code, out, _ = ask("senders", "--strategy", "random", "--executions", "1")
    assert code == 1
    assert last(out).startswith("not found within 1 execution (expected: broken); 1 execution, ")


@pytest.mark.parametrize("strategy", ["random", "pct:3", "preemptions:2"])
def test_other_strategies_find_it_too(ask, strategy):
    code, out, _ = ask("senders", "--memory", "sc", "--strategy", strategy, "--seed", "1", "--check-determinism")
    assert code == 0
    assert last(out).startswith("broken; ")


def test_samples_prove_nothing(ask):
    code, out, _ = ask("one-sender", "--strategy", "random", "--executions", "50", "--workers", "2")
    assert code == 1
    assert last(out).startswith("not found within 50 executions (expected: safe); ")


def test_a_rule_that_decides_a_verdict_changes_it(ask):
    broken = ask("returns", "--memory", "sc")[1]
    assert last(broken).startswith("broken where returns_are_serialised does not hold; ")
    code, out, _ = ask("returns", "--memory", "sc", "--assume", "returns_are_serialised")
    assert code == 0 and last(out).startswith("safe where returns_are_serialised holds; ")


@pytest.mark.parametrize(
    ("change", "verdict", "code"),
    [
        ([], "broken where stack_sends_inside holds", 0),
        (["--deny", "stack_sends_inside"], "safe where stack_sends_inside does not hold", 0),
        (["--replay"], "not found within 1 execution where stack_sends_inside holds (expected: broken)", 1),
    ],
)
def test_every_verdict_names_the_rules_that_it_needs(ask, change, verdict, code):
    if change == ["--replay"]:
        told, out, _ = ask("--replay", "send-inside-completion@2026-02+sc/A")
    else:
        told, out, _ = ask("send-inside-completion", "--driver", "2026-02", *change)
        assert (f"memory model tso; {verdict.partition(' where ')[2]}\n" in out) is verdict.startswith("broken")
    assert told == code
    assert last(out).startswith(f"{verdict}; ")


def test_all_is_a_table_with_a_summary(ask, monkeypatch):
    """With two of the scenarios for all of them."""
    two = {name: all_scenarios()[name] for name in ("one-sender", "receive-wakeup")}
    monkeypatch.setattr("wintunsim.cli_explore.all_scenarios", lambda: two)
    code, out, _ = ask("--all", "--driver", "0.8.1", "--budget", "60s")
    lines = out.splitlines()
    rows = [line.split() for line in lines[2:-2]]
    assert code == 0
    assert [row[0] for row in rows] == ["one-sender", "one-sender", "receive-wakeup", "receive-wakeup"]
    assert all(row[3] == row[4] for row in rows)
    assert lines[-1].startswith(f"{len(rows)} verdicts: all as expected; ")


def test_all_has_exit_code_1_when_one_is_not_as_expected(ask, monkeypatch):
    wrong = replace(all_scenarios()["one-sender"], is_broken=lambda setting: setting.memory == "tso")
    monkeypatch.setattr("wintunsim.cli_explore.all_scenarios", lambda: {"one-sender": wrong})
    code, out, _ = ask("--all", "--driver", "0.8.1", "--workers", "1")
    lines = out.splitlines()
    assert code == 1
    assert [line.endswith("<-- not as expected") for line in lines[2:4]] == [False, True]
    assert lines[-1].startswith("2 verdicts: 1 as expected, 1 not; ")


def test_a_table_never_says_safe_for_samples(ask, monkeypatch):
    one = {"one-sender": all_scenarios()["one-sender"]}
    monkeypatch.setattr("wintunsim.cli_explore.all_scenarios", lambda: one)
    code, out, _ = ask("--all", "--strategy", "random", "--executions", "5", "--workers", "1")
    rows = out.splitlines()[2:10]
    assert code == 1
    assert all("  not found  safe " in row and row.endswith("<-- not as expected") for row in rows)


def test_ctrl_c_ends_with_one_line(ask, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("wintunsim.cli_explore.searched", interrupted)
    code, out, err = ask("senders")
    assert (code, out) == (130, "")
    assert err.endswith("wintunsim: interrupted; --budget DUR would have told what was seen until then\n")


def test_all_names_the_rules_that_verdicts_need(ask, monkeypatch):
    one = {"send-halt": all_scenarios()["send-halt"]}
    monkeypatch.setattr("wintunsim.cli_explore.all_scenarios", lambda: one)
    _, out, _ = ask("--all", "--workers", "1", "--assume", "halt_waits_for_send_calls")
    assert "  send-halt  halt_waits_for_send_calls holds\n" in out


def test_list_tells_what_is_expected(ask):
    code, out, _ = ask("--list")
    assert code == 0
    blocks = out.split("\n    three senders")
    assert blocks[0].splitlines()[-1] == "senders (B1)"
    assert re.search(r"^    broken +broken +safe +safe$", blocks[1], re.MULTILINE)
    assert {line.split()[0] for line in out.splitlines()[3:] if line and line[0] != " "} == set(all_scenarios())


# -- counterexamples --------------------------------------------------------------------------------------------------


def test_a_printed_schedule_replays_to_the_same_table(ask, tmp_path):
    _, first, _ = ask("receive-wakeup", "--trace", "trace.txt")
    (reference,) = (tmp_path / "trace.txt").read_text().splitlines()
    assert f"wintunsim explore --replay {reference}\n" in first
    code, second, _ = ask("--strategy", "replay", "--replay", reference)
    assert code == 0
    assert second.splitlines()[:-1] == first.splitlines()[:-1]
    assert re.fullmatch(LINE.format(verdict="broken"), last(second)) and " 1 execution, " in last(second)


def test_counterexamples_are_minimised_unless_it_is_said_otherwise(ask):
    """B1 needs one preemption only: a sender is held up between its load of Head and the send lock."""
    _, short, _ = ask("senders", "--memory", "sc")
    _, whole, _ = ask("senders", "--memory", "sc", "--no-minimise")
    counted = [int(re.search(r"steps, (\d+) preemption", text)[1]) for text in (short, whole)]
    assert counted[0] == 1 <= counted[1]


def test_a_replay_that_breaks_nothing_proves_nothing(ask):
    code, out, _ = ask("--replay", "one-sender@0.8.1+sc/A3")
    assert code == 1
    assert out.startswith("not found within 1 execution (expected: safe); ")


def test_json_for_several(ask, tmp_path):
    code, out, err = ask("receive-wakeup", "--memory", "both", "--report", "json")
    answer = json.loads(out)
    jsonschema.validate(answer, SCHEMA)
    assert code == 0
    assert [row["verdict"] for row in answer["explorations"]] == ["safe", "broken"]
    assert [row["counterexample"] is None for row in answer["explorations"]] == [True, False]
    assert len(err.splitlines()) == 2


def test_pages_tests_and_litmus_files_are_written(ask, tmp_path):
    code, _, err = ask(
        "receive-wakeup", "--driver", "0.8.1,2026-02", "--report", "html", "--out", "page.html",
        "--pytest", "test_it.py", "--export-litmus", "core.litmus",
    )  # fmt: skip
    assert code == 0
    assert "written to page.html\n" in err and "written to page-2.html\n" in err
    assert (tmp_path / "page-2.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (tmp_path / "test_it.py").read_text().count("def test_") == 2
    assert (tmp_path / "core.litmus").read_text().startswith("X86_64 receive-wakeup\n")


# -- composed programs ------------------------------------------------------------------------------------------------

RETURNS = "register; (push*2 | return | return)"


def test_a_program_that_is_safe_is_told_so(ask):
    code, out, err = ask("--compose", "register; (send | pop)")
    assert (code, err) == (0, "")
    assert re.fullmatch(LINE.format(verdict="safe"), out.rstrip("\n"))


def test_a_broken_program_is_told_as_a_scenario_is_and_replays(ask, tmp_path):
    code, first, _ = ask("--compose", RETURNS, "--memory", "sc", "--trace", "trace.txt")
    assert code == 1
    assert first.startswith(f"{RETURNS}: a composed program\ndriver 0.8.1, memory model sc\nBROKEN: ")
    assert last(first).startswith("broken (expected: safe); ")
    (reference,) = (tmp_path / "trace.txt").read_text().splitlines()
    assert f"wintunsim explore --replay '{reference}'\n" in first
    code, second, _ = ask("--replay", reference)
    assert code == 1
    assert second.splitlines()[:-1] == first.splitlines()[:-1]


def test_programs_and_settings_have_a_line_each(ask):
    code, out, _ = ask(
        "--compose", RETURNS, "--compose", "register; (send | pop)", "--driver=0.8.1,proposed", "--out=o"
    )
    assert code == 1
    assert [re.match(r"(.*?: \w+)", line)[1] for line in out.splitlines()] == [
        f"{RETURNS}, 0.8.1, tso: broken",
        f"{RETURNS}, proposed, tso: safe",
        "register; (send | pop), 0.8.1, tso: safe",
        "register; (send | pop), proposed, tso: safe",
    ]


def test_a_program_has_all_reports(ask, tmp_path):
    code, _, err = ask(
        "--compose", RETURNS, "--compose", "register; push; push", "--report", "html", "--out", "page.html",
        "--pytest", "test_it.py",
    )  # fmt: skip
    assert code == 1
    assert "written to page-2.html\n" in err
    assert RETURNS in (tmp_path / "page.html").read_text(encoding="utf-8")
    space = {}
    exec((tmp_path / "test_it.py").read_text(), space)
    functions = [value for name, value in space.items() if name.startswith("test_")]
    assert len(functions) == 2
    for function in functions:
        function()
    code, out, _ = ask("--compose", RETURNS, "--report", "json")
    answer = json.loads(out)
    jsonschema.validate(answer, SCHEMA)
    (row,) = answer["explorations"]
    assert (code, row["scenario"], row["verdict"], row["expected"]) == (1, RETURNS, "broken", "safe")
    assert row["counterexample"]["reference"].startswith(f"{RETURNS}@0.8.1+tso/")


def test_a_lost_wake_up_of_a_program_is_exported_for_herd7(ask, tmp_path):
    code, _, _ = ask("--compose", "register; push*2", "--export-litmus", "core.litmus")
    assert code == 1
    assert (tmp_path / "core.litmus").read_text().startswith("X86_64 register__push_2\n")


@pytest.mark.parametrize("strategy", ["random", "pct:3", "preemptions:2"])
def test_a_program_takes_other_strategies(ask, strategy):
    code, out, _ = ask("--compose", RETURNS, "--memory", "sc", "--strategy", strategy, "--workers", "2")
    assert code == 1
    assert last(out).startswith("broken (expected: safe); ")


def test_samples_of_a_program_prove_nothing(ask):
    code, out, _ = ask("--compose", "register; (send | pop)", "--strategy", "random", "--executions", "40")
    assert code == 1
    assert last(out).startswith("not found within 40 executions (expected: safe); ")


def test_a_rule_of_a_program_is_switched_named_and_kept_in_its_string(ask):
    code, out, _ = ask("--compose", "register | close", "--deny", "close_is_alone")
    assert code == 1
    assert "memory model tso; close_is_alone does not hold\n" in out
    assert "--replay 'register | close@0.8.1+tso,-close_is_alone/" in out
    assert last(out).startswith("broken where close_is_alone does not hold (expected: safe); ")
    assert ask("--compose", "register | close")[0] == 0


# -- swarms -----------------------------------------------------------------------------------------------------------


def test_a_swarm_tells_its_races_and_what_it_looked_at(ask, tmp_path):
    code, out, _ = ask("--swarm", "--seed", "45", "--programs", "1", "--trace", "races.txt")
    assert code == 1
    assert out.startswith("race 1: ")
    assert " in 1 program of seed 45 " in last(out)
    references = (tmp_path / "races.txt").read_text().splitlines()
    assert len(references) == out.count("\nrace ") + 1
    for reference in references:
        assert f"wintunsim explore --replay '{reference}'\n" in out
        code, told, _ = ask("--replay", reference)
        assert code == 1 and last(told).startswith("broken ")


def test_a_swarm_that_finds_nothing_has_exit_code_0(ask):
    code, out, _ = ask("--swarm", "--programs", "1", "--driver", "proposed", "--memory", "sc")
    assert code == 0
    assert out.startswith("0 races in 1 program of seed 0 ")


# -- mistakes ---------------------------------------------------------------------------------------------------------

CLIENT = """
from wintun_model.operations import Word

calls = []

def plain(client):
    return 3

def foreign(client):
    yield 5

def word(client):
    yield client.receive.tail

def for_ever(client):
    while (yield client.receive.head.load) == 0:
        pass

def silent(client):
    from wintun_model.operations import Yield
    while True:
        yield Yield()

def fails(client):
    yield client.receive.head.load
    client.nothing

def two(client, more):
    yield client.receive.head.load

def remembers(client):
    calls.append(1)
    if len(calls) % 2:
        yield client.receive.tail.load
    yield client.receive.head.load
    yield client.receive.tail.load
    yield client.receive.head.load
    yield client.receive.tail.load
"""


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("plain", "client.py:plain is no routine: it has to be a generator, with a yield for each operation"),
        ("foreign", "5 is outside the vocabulary of operations"),
        ("word", "Word(client receive.Tail) is outside the vocabulary of operations"),
        ("for_ever", "an execution goes on for more than 2000 steps: give every loop a bound"),
        ("silent", "silent goes on for ever without a step that anybody could see: give every loop a bound"),
        ("fails", "client.py:fails fails: line 26: AttributeError: 'Client' object has no attribute 'nothing'"),
        ("two", "client.py:two fails: TypeError: two() missing 1 required positional argument: 'more'"),
        ("remembers", "does not do the same again for the same results: a routine keeps nothing but its locals"),
    ],
)
def test_a_mistake_in_a_routine_is_one_sentence(ask, tmp_path, function, told):
    (tmp_path / "client.py").write_text(CLIENT, encoding="utf-8")
    code, out, err = ask(f"client.py:{function}", "--with", "receive", "--driver", "2026-02")
    assert (code, out) == (2, "")
    assert told in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing to explore: name a scenario of wintunsim explore --list, or give --compose, "),
        (["nope"], "there is no scenario 'nope': wintunsim explore --list tells all of them"),
        (["sender"], "there is no scenario 'sender': is it senders or one-sender? wintunsim explore --list tells all"),
        (["--all", "senders"], "--all and a scenario do not go together: give one of them"),
        (["senders", "--driver", "7"], "there is no driver revision '7': choose among 0.8, "),
        (["senders", "--assume", "luck"], "there is no rule 'luck': choose among release_drains, "),
        (["senders", "--assume", "close_is_alone", "--deny", "close_is_alone"], "is both assumed and denied"),
        (["senders", "--strategy", "pct"], "'pct' is no strategy: give pct:N with a number N"),
        (["senders", "--strategy", "magic"], "there is no strategy 'magic': choose among exhaustive, preemptions:N"),
        (["senders", "--strategy", "replay"], "--strategy replay needs an execution: give it with --replay STRING"),
        (["senders", "--budget", "soon"], "--budget 'soon' is no duration: give one such as 250ms, 10s or 2m"),
        (["senders", "--executions", "0"], "--executions 0 is too few: give 1 or more"),
        (["senders", "--with", "send"], "--with goes with routines of your own: name them as FILE.py:FUNCTION"),
        (["senders", "--report", "html"], "--report html is the page of one counterexample"),
        (["one-sender", "--trace", "t"], "--trace needs a counterexample, and there is none"),
        (["senders", "--memory", "sc", "--export-litmus", "t"], "senders has no store-buffering core"),
        (["senders", "--out", "no/where"], "--out 'no/where' cannot be written: name one in a folder that is there"),
        (["--replay", "senders"], "'senders' names no execution"),
        (["--replay", "senders@0.8.1+sc/A2", "--memory", "tso"], "--replay names driver, memory model"),
        (["--replay", "senders@0.8.1+sc/A200"], "which sender 1 cannot do there: is the schedule of another scenario"),
        (["--replay", "register; sendd@0.8.1+sc/A"], "'sendd' stands where a routine must: choose among register"),
        (["--compose", "register; sendd"], "at character 11 of the program 'register; sendd'"),
        (["--compose", "sendd"], "at character 1 of the program 'sendd'"),
        (["--compose", "register", "senders"], "--compose and a scenario do not go together: give one of them"),
        (["--compose", "register", "--replay", "A"], "--replay and --compose do not go together: give one of them"),
        (["--compose", "register", "--programs", "1"], "--programs is an option of --swarm"),
        (["--compose", "register", "--deny", "luck"], "there is no rule 'luck': choose among "),
        (["--compose", "register; send", "--budget", "long"], "--budget 'long' is no duration: give one such as"),
        (["--compose", "register", "--driver", "0.7"], "there is no driver revision '0.7': choose among 0.8, "),
        (["--swarm"], "--swarm goes on without end: give --budget DUR or --programs N"),
        (["--swarm", "--programs", "0"], "--programs 0 is too few: give 1 or more"),
        (["--swarm", "--programs", "1", "--compose", "register"], "--swarm and --compose do not go together"),
        (["--swarm", "--programs", "1", "--driver", "all"], "a swarm is about one revision"),
        (["--swarm", "--programs", "1", "--report", "json"], "--report does not go with --swarm: give"),
        (["client.py:f"], "client.py:f: say what runs beside it with --with receive"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_was_asked_for_is_one_sentence(ask, words, told):
    code, _, err = ask(*words)
    assert code == 2
    assert err.startswith("wintunsim: ") and told in err and len(err.splitlines()) == 1


def test_the_help_of_all_commands_loads_no_explorer():
    code = (
        "import sys; from wintunsim.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if 'explore' in name])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "explore" in shown.splitlines()[-2] or "explore" in shown
    assert last(shown) == "[]"
