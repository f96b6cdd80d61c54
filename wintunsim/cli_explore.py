"""`wintunsim explore`: run routines in every order, prove a scenario safe or print the schedule that breaks it."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import fields, replace
from os import cpu_count
from pathlib import Path
from typing import Any

from wintun_model.revision import DEFAULT_REVISION, PROPOSED, REVISIONS, Revision, revision_named
from wintunsim.cli_explore_output import (
    final_line,
    rules_lines,
    scenario_list,
    summary_lines,
    verdict_table,
    write,
    write_reports,
)
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
from wintunsim.cli_explore_swarm import run_swarm
from wintunsim.errors import UsageError
from wintunsim.explore.composing.compose import compose
from wintunsim.explore.composing.text import FAULTS, ROUTINES
from wintunsim.explore.counterexample import Counterexample
from wintunsim.explore.explorer import Exploration
from wintunsim.explore.own_routines import is_own, own_name
from wintunsim.explore.reference import decode
from wintunsim.explore.scenario import MEMORIES, Scenario, Setting, all_scenarios
from wintunsim.explore.scenarios_named import scenario_named
from wintunsim.explore.search import Budget

EXIT_UNEXPECTED = 1
EXIT_INTERRUPTED = 130
_NOT_OF_A_SWARM = {
    "strategy": "exhaustive", "executions": None, "check_determinism": False, "no_minimise": False,
    "report": "text", "out": "-", "pytest": None, "export_litmus": None,
}  # fmt: skip
"""Options that mean nothing for a swarm, with their defaults."""
RULES = [rule.name for rule in fields(Setting().rules)]
"""The rules of the surroundings that `--assume` and `--deny` name."""
MILESTONES = ("0.8.1", "0.14", "2026-02", PROPOSED.name)
"""The revisions that `--driver all` means: those between which verdicts change."""

_ROUTINE_WIDTH = max(map(len, ROUTINES))
EPILOG = f"""\
SCENARIO is a name of --list, or FILE.py:FUNCTION for a client's side of your own (docs/own-routines.md).

strategies: exhaustive (every execution), preemptions:N (every one with at most N preemptions),
  pct:D (random priorities that change D times), random (any step with the same chance)
durations: 250ms, 10s, 2m
rules of the surroundings (RULE of --assume and --deny; docs/explore.md tells what each says):
{textwrap.fill(", ".join(RULES), 110, initial_indent="  ", subsequent_indent="  ")}

programs (TEXT of --compose; docs/swarm.md): register; (send*2 | pop | close); register@2
  ;  one after the other      |  side by side, binds more tightly      *2  so many times      ( )  groups
  @2 the second client process      #2 the second adapter      (20) bytes, or how many NBLs
  [send=16 receive=64 barrier fail=nbl,thread] before a program: capacities in bytes, a barrier in the client,
  what may fail ({", ".join(FAULTS)})
routines of a program:
{chr(10).join(f"  {routine.name:<{_ROUTINE_WIDTH}}  {routine.help}" for routine in ROUTINES.values())}

verdicts: safe (every execution was looked at), broken (with the execution that breaks a property),
  not found within N executions (the budget was spent, or the strategy takes samples: nothing is proved)
exit code: 0 when every verdict is the expected one (of your own routines and programs: safe), and when a swarm
  finds nothing; 1 when not; 2 for a mistake in what was asked for; {EXIT_INTERRUPTED} after Ctrl+C.
docs/explore.md tells more.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `wintunsim explore`."""
    parser.description = "Run routines of the driver and its clients in every order, and say which order breaks what."
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = (
        "%(prog)s SCENARIO... | --compose TEXT | --all | --list | --swarm | --replay STRING [where] [how] [output]"
    )
    what = parser.add_argument_group("what to explore")
    what.add_argument("scenarios", metavar="SCENARIO", nargs="*", help="these scenarios; see below")
    what.add_argument(
        "--compose", metavar="TEXT", action="append", default=[], help="a program over routines (repeatable; see below)"
    )
    what.add_argument("--all", action="store_true", help="every scenario, each revision and memory model, as a table")
    what.add_argument("--list", action="store_true", help="list the scenarios, and the verdicts that are expected")
    what.add_argument("--swarm", action="store_true", help="make up programs, and tell each race that shows once")
    what.add_argument("--replay", metavar="STRING", help="run one execution again, as a counterexample names it")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--with", dest="sides", metavar="SIDE", action="append", default=[],
        help="what runs beside routines of your own: receive, send, both or close (repeatable)",
    )  # fmt: skip
    where.add_argument(
        "--driver", metavar="REV",
        help=f"a revision, several with commas, or all (default: {DEFAULT_REVISION}, with --all: all)",
    )  # fmt: skip
    where.add_argument(
        "--memory", metavar="MODEL", choices=(*MEMORIES, "both"),
        help="the memory model: sc, tso or both (default: tso, with --all and --swarm: both)",
    )  # fmt: skip
    where.add_argument(
        "--assume", metavar="RULE", action="append", default=[],
        help="let a rule of the surroundings hold (repeatable; see below)",
    )  # fmt: skip
    where.add_argument("--deny", metavar="RULE", action="append", default=[], help="let such a rule not hold")
    how = parser.add_argument_group("how to search")
    how.add_argument("--strategy", metavar="NAME", default="exhaustive", help="see below (default: exhaustive)")
    how.add_argument("--seed", metavar="N", type=int, default=0, help="of what draws (default: 0)")
    how.add_argument("--budget", metavar="DUR", help="stop after this time")
    how.add_argument("--executions", metavar="N", type=int, help="stop after so many executions")
    how.add_argument("--programs", metavar="N", type=int, help="with --swarm: stop after so many programs")
    how.add_argument("--workers", metavar="N", type=int, help="processes (default: 1; with --all all processors)")
    how.add_argument("--check-determinism", action="store_true", help="run each execution twice and compare")
    how.add_argument("--no-minimise", action="store_true", help="print a counterexample as it was found")
    report = parser.add_argument_group("what to write")
    report.add_argument(
        "--report", metavar="KIND", choices=("text", "json", "html"), default="text",
        help="text, json or html (default: text)",
    )  # fmt: skip
    report.add_argument("--out", metavar="FILE", default="-", help="where the report goes (default: standard output)")
    report.add_argument("--pytest", metavar="FILE", help="write counterexamples as pytest functions")
    report.add_argument("--trace", metavar="FILE", help="write counterexamples as strings for --replay, one a line")
    report.add_argument("--export-litmus", metavar="FILE", help="write the store-buffering core for herd7")


def explore(options: argparse.Namespace) -> int:
    """Carry out `wintunsim explore`; answers the exit code. Raises `UsageError` for a mistake."""
    _check(options)
    if options.list:
        print(scenario_list(all_scenarios().values(), [_revision(name) for name in MILESTONES]))
        return 0
    try:
        if options.swarm:
            return _swarm(options)
        if options.all:
            return _explore_all(options)
        if options.replay is not None:
            return _replay(options)
        return _explore(options)
    except KeyboardInterrupt:
        print("\nwintunsim: interrupted; --budget DUR would have told what was seen until then", file=sys.stderr)
        return EXIT_INTERRUPTED


def _check(options: argparse.Namespace) -> None:
    _check_ways(options)
    if options.strategy == "replay" and options.replay is None:
        raise UsageError("--strategy replay needs an execution: give it with --replay STRING")
    if options.sides and not any(is_own(name) for name in options.scenarios):
        raise UsageError("--with goes with routines of your own: name them as FILE.py:FUNCTION")
    for option in ("executions", "programs", "workers"):
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
        raise UsageError(f"{min(both)} is both assumed and denied: do one of them")


def _check_ways(options: argparse.Namespace) -> None:
    """One thing is to be explored, and no option is given that means nothing for it."""
    ways = [f"--{name}" for name in ("all", "list", "swarm", "replay") if getattr(options, name) not in (None, False)]
    ways += [name for name, given in (("--compose", options.compose), ("a scenario", options.scenarios)) if given]
    if not ways:
        raise UsageError(
            "nothing to explore: name a scenario of wintunsim explore --list, or give --compose, --all, --swarm or "
            "--replay"
        )
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)} do not go together: give one of them")
    if options.programs is not None and not options.swarm:
        raise UsageError("--programs is an option of --swarm")
    if options.swarm:
        if options.programs is None and options.budget is None:
            raise UsageError("--swarm goes on without end: give --budget DUR or --programs N")
        for option, default in _NOT_OF_A_SWARM.items():
            if getattr(options, option) != default:
                raise UsageError(
                    f"--{option.replace('_', '-')} does not go with --swarm: give it with --replay, and the string of "
                    "a race that the swarm tells"
                )


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


# -- the ways ---------------------------------------------------------------------------------------------------------


def _explore(options: argparse.Namespace) -> int:
    """Named scenarios and composed programs, one after the other, with their counterexamples."""
    request = _request(options)
    names = [own_name(name, options.sides) if is_own(name) else name for name in options.scenarios]
    scenarios: list[Scenario] = [*map(scenario_named, names), *map(compose, options.compose)]
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


def _swarm(options: argparse.Namespace) -> int:
    """A swarm: what it finds is told as it comes."""
    settings = _settings(options)
    if len({setting.revision for setting in settings}) > 1:
        raise UsageError(f"--driver {options.driver} with --swarm: a swarm is about one revision, name one")
    races = run_swarm(
        settings[0],
        seed=options.seed,
        budget_s=parse_budget(options.budget),
        programs=options.programs,
        workers=options.workers or 1,
        memory=options.memory,
    )
    if options.trace is not None:
        write(options.trace, "".join(f"{reference}\n" for reference in races))
    return EXIT_UNEXPECTED if races else 0


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
    text = "\n".join([*verdict_table(rows), *rules_lines(rows), "", *summary_lines(rows, clock.elapsed_s())])
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
