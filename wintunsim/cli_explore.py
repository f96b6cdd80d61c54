"""`wintunsim explore`: run routines in every order, prove a scenario safe or print the schedule that breaks it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from os import cpu_count
from pathlib import Path
from typing import Any

from wintun_model.revision import DEFAULT_REVISION, PROPOSED, REVISIONS, Revision, revision_named
from wintunsim.cli_explore_output import final_line, scenario_list, summary_lines, verdict_table, write_reports
from wintunsim.cli_explore_search import (
    Request,
    minimised,
    parse_budget,
    parse_strategy,
    replayed,
    searched,
    searched_all,
    told,
)
from wintunsim.cli_explore_swarm import add_options, run
from wintunsim.errors import UsageError
from wintunsim.explore.counterexample import Counterexample
from wintunsim.explore.explorer import Exploration
from wintunsim.explore.own_routines import is_own, own_name
from wintunsim.explore.reference import decode
from wintunsim.explore.scenario import MEMORIES, Scenario, Setting, all_scenarios
from wintunsim.explore.scenarios_named import scenario_named
from wintunsim.explore.search import Budget

EXIT_UNEXPECTED = 1
EXIT_INTERRUPTED = 130
RULES = [rule.name for rule in fields(Setting().rules)]
"""The rules of the surroundings that `--assume` and `--deny` name."""
MILESTONES = ("0.8.1", "0.14", "2026-02", PROPOSED.name)
"""The revisions that `--driver all` means: those between which verdicts change."""

EPILOG = f"""\
SCENARIO is a name of --list, or FILE.py:FUNCTION for a client's side of your own (docs/own-routines.md).
strategies: exhaustive (the default: every execution), preemptions:N (every one with at most N preemptions),
  pct:D (random priorities that change D times), random, replay (what --replay names)
durations: 250ms, 10s, 2m

verdicts: safe (every execution was looked at), broken (with the execution that breaks a property),
  not found within N executions (the budget was spent, or the strategy takes samples: nothing is proved)
exit code: 0 when every verdict is the expected one; 1 when one is not; 2 for a mistake in what was asked for;
  {EXIT_INTERRUPTED} after Ctrl+C. docs/explore.md tells more.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `wintunsim explore`."""
    parser.description = "Run routines of the driver and its clients in every order, and say which order breaks what."
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("scenarios", metavar="SCENARIO", nargs="*", help="what to explore; see below")
    what = parser.add_argument_group("what to explore")
    what.add_argument("--all", action="store_true", help="every scenario, each revision and memory model, as a table")
    what.add_argument("--list", action="store_true", help="list the scenarios, and the verdicts that are expected")
    add_options(what)
    what.add_argument("--replay", metavar="STRING", help="run one execution again, as a counterexample names it")
    what.add_argument(
        "--with", dest="sides", metavar="SIDE", action="append", default=[],
        help="what runs beside your own routines: receive, send, both or close (repeatable)",
    )  # fmt: skip
    what.add_argument(
        "--driver", metavar="REV", help=f"a revision, several with commas, or all (default: {DEFAULT_REVISION})"
    )
    what.add_argument("--memory", choices=(*MEMORIES, "both"), help="the memory model (default: tso, with --all: both)")
    rules = f"a rule of the surroundings ({', '.join(RULES)})"
    what.add_argument("--assume", metavar="RULE", action="append", default=[], help=f"let {rules} hold")
    what.add_argument("--deny", metavar="RULE", action="append", default=[], help="let such a rule not hold")
    how = parser.add_argument_group("how to search")
    how.add_argument("--strategy", metavar="NAME", default="exhaustive", help="see below (default: exhaustive)")
    how.add_argument("--seed", metavar="N", type=int, default=0, help="of strategies that draw (default: 0)")
    how.add_argument("--budget", metavar="DUR", help="stop after this time")
    how.add_argument("--executions", metavar="N", type=int, help="stop after so many executions")
    how.add_argument("--workers", metavar="N", type=int, help="processes (default: 1; with --all all processors)")
    how.add_argument("--check-determinism", action="store_true", help="run each execution twice and compare")
    how.add_argument("--no-minimise", action="store_true", help="print a counterexample as it was found")
    report = parser.add_argument_group("what to write")
    report.add_argument("--report", choices=("text", "json", "html"), default="text", help="(default: text)")
    report.add_argument("--out", metavar="FILE", default="-", help="where the report goes (default: standard output)")
    report.add_argument("--pytest", metavar="FILE", help="write counterexamples as pytest functions")
    report.add_argument("--trace", metavar="FILE", help="write counterexamples as strings for --replay, one a line")
    report.add_argument("--export-litmus", metavar="FILE", help="write the store-buffering core for herd7")


def explore(options: argparse.Namespace) -> int:
    """Carry out `wintunsim explore`; answers the exit code. Raises `UsageError` for a mistake."""
    if options.compose or options.swarm:
        return run(options)
    _check(options)
    if options.list:
        print(scenario_list(all_scenarios().values(), [_revision(name) for name in MILESTONES]))
        return 0
    try:
        if options.all:
            return _explore_all(options)
        if options.replay is not None:
            return _replay(options)
        return _explore(options)
    except KeyboardInterrupt:
        print("\nwintunsim: interrupted; --budget DUR would have told what was seen until then", file=sys.stderr)
        return EXIT_INTERRUPTED


def _check(options: argparse.Namespace) -> None:
    ways = [name for name in ("all", "list", "replay") if getattr(options, name) not in (None, False)]
    ways += ["a scenario"] if options.scenarios else []
    if not ways:
        raise UsageError("nothing to explore: name a scenario of wintunsim explore --list, or give --all or --replay")
    if len(ways) > 1:
        told = " and ".join(way if way == "a scenario" else f"--{way}" for way in ways)
        raise UsageError(f"{told} do not go together: give one of them")
    if options.strategy == "replay" and options.replay is None:
        raise UsageError("--strategy replay needs an execution: give it with --replay STRING")
    if options.sides and not any(is_own(name) for name in options.scenarios):
        raise UsageError("--with goes with routines of your own: name them as FILE.py:FUNCTION")
    for option in ("executions", "workers"):
        value = getattr(options, option)
        if value is not None and value < 1:
            raise UsageError(f"--{option} {value} is too few: give 1 or more")
    if options.report == "html" and (options.out == "-" or options.all):
        raise UsageError("--report html is the page of one counterexample: name a scenario, and a file with --out")
    for option in ("out", "pytest", "trace", "export_litmus"):
        name = getattr(options, option)
        if name == "" or (name not in (None, "-") and not Path(name).absolute().parent.is_dir()):
            raise UsageError(
                f"--{option.replace('_', '-')} {name!r} cannot be written: name one in a folder that is there"
            )
    for rule in (*options.assume, *options.deny):
        if rule not in RULES:
            raise UsageError(f"there is no rule {rule!r}: choose among {', '.join(RULES)}")
    if both := set(options.assume) & set(options.deny):
        raise UsageError(f"{both.pop()} is both assumed and denied: do one of them")


def _revision(name: str) -> Revision:
    found = revision_named(name)
    if found is None:
        raise UsageError(f"there is no driver revision {name!r}: choose among {', '.join([*REVISIONS, PROPOSED.name])}")
    return found


def _settings(options: argparse.Namespace) -> list[Setting]:
    default = "all" if options.all else DEFAULT_REVISION
    driver = options.driver or default
    names: Sequence[str] = MILESTONES if driver == "all" else driver.split(",")
    memory = options.memory or ("both" if options.all else "tso")
    rules = Setting().rules.with_changes(options.assume, options.deny)
    return [
        Setting(revision=_revision(name), memory=each, rules=rules)
        for name in names
        for each in (MEMORIES if memory == "both" else (memory,))
    ]


def _request(options: argparse.Namespace) -> Request:
    strategy, number = parse_strategy(options.strategy)
    return Request(
        strategy=strategy,
        number=number,
        seed=options.seed,
        seconds=parse_budget(options.budget),
        executions=options.executions,
        workers=options.workers,
        checks_determinism=options.check_determinism,
    )


# -- the three ways ---------------------------------------------------------------------------------------------------


def _explore(options: argparse.Namespace) -> int:
    """Named scenarios, one after the other, with their counterexamples."""
    request = _request(options)
    names = [own_name(name, options.sides) if is_own(name) else name for name in options.scenarios]
    scenarios: list[Scenario] = [scenario_named(name) for name in names]
    rows: list[tuple[Exploration, Counterexample | None]] = []
    for scenario in scenarios:
        for setting in _settings(options):
            explored = searched(scenario, setting, request)
            if explored.schedule and not options.no_minimise:
                explored = minimised(explored)
            rows.append((explored, told(explored)))
    return _finish(options, rows)


def _replay(options: argparse.Namespace) -> int:
    """One execution again."""
    reference = decode(options.replay)
    if options.driver or options.memory or options.assume or options.deny:
        raise UsageError("--replay names driver, memory model and rules itself: change them in its string")
    scenario, setting = scenario_named(reference.scenario), reference.setting()
    explored = replayed(scenario, setting, reference.steps)
    return _finish(options, [(explored, told(explored))])


def _explore_all(options: argparse.Namespace) -> int:
    """Every scenario in every setting, as a table."""
    request = _request(options)
    if options.workers is None:
        request = replace(request, workers=cpu_count())
    clock = Budget()
    clock.begin()
    rows = [*searched_all([*all_scenarios().values()], _settings(options), request)]
    if options.report == "json":
        return _finish(options, [(explored, None) for explored in rows])
    text = "\n".join([*verdict_table(rows), "", *summary_lines(rows, clock.elapsed_s())])
    write_reports(options, [], text)
    return _exit_code(rows)


def _finish(options: argparse.Namespace, rows: list[tuple[Exploration, Counterexample | None]]) -> int:
    write_reports(options, rows)
    last: Any = sys.stdout if options.report == "text" else sys.stderr
    for explored, _ in rows:
        print(final_line(explored, is_named=len(rows) > 1), file=last)
    return _exit_code([explored for explored, _ in rows])


def _exit_code(rows: Sequence[Exploration]) -> int:
    return 0 if all(explored.is_expected for explored in rows) else EXIT_UNEXPECTED
