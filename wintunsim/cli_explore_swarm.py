"""`wintunsim explore --compose` and `--swarm`: programs that a person writes down, and programs that are made up."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields

from wintun_model.revision import DEFAULT_REVISION, PROPOSED, REVISIONS, revision_named
from wintunsim.errors import UsageError
from wintunsim.explore.claims import CLAIMS
from wintunsim.explore.composing.compose import compose
from wintunsim.explore.composing.text import FAULTS, ROUTINES
from wintunsim.explore.explorer import Exploration, explore, replay
from wintunsim.explore.rules import Rules
from wintunsim.explore.scenario import MEMORIES, Setting
from wintunsim.explore.search import Budget, Verdict
from wintunsim.explore.swarm import Race, Swarm, swarm
from wintunsim.network.words import parse_duration

EXIT_BROKEN = 1
DEFAULT_SEED = 0
_MEMORY_NAMES = {"sc": "sequentially consistent memory", "tso": "x86-TSO"}

EPILOG = """\
programs (TEXT of --compose): register; (send*2 | pop | close); register@2
  ;  one after the other      |  side by side, binds more tightly      *2  so many times      ( )  groups
  @2 the second client process      #2 the second adapter      (20) bytes, or how many NBLs
  [send=16 receive=64 barrier fail=nbl,thread] before a program: capacities in bytes, a barrier in the client, what may
  fail ({faults})
routines:
{routines}
rules (for --assume and --deny): {rules}
docs/swarm.md tells more.
"""


def epilog() -> str:
    """What the help says of programs."""
    width = max(map(len, ROUTINES))
    lines = [f"  {routine.name:<{width}}  {routine.help}" for routine in ROUTINES.values()]
    rules = ", ".join(field.name for field in fields(Rules))
    return EPILOG.format(faults=", ".join(FAULTS), routines="\n".join(lines), rules=rules)


def add_options(parser: argparse._ActionsContainer) -> None:
    """The options that say what is explored: programs given as text, or a swarm of them."""
    parser.add_argument(
        "--compose", metavar="TEXT", action="append", default=[], help="explore this program (repeatable)"
    )
    parser.add_argument("--swarm", action="store_true", help="make up programs, and tell each race that shows once")
    parser.add_argument("--programs", metavar="N", type=int, help="with --swarm: end after so many programs")


def add_shared_options(parser: argparse.ArgumentParser) -> None:
    """The options that scenarios have too: where, under which rules, how long."""
    parser.add_argument(
        "--driver", metavar="REV", default=DEFAULT_REVISION, help="the driver's revision, or 'proposed'"
    )
    parser.add_argument("--memory", choices=MEMORIES, help="the memory model (default: tso; of a swarm: both)")
    parser.add_argument("--assume", metavar="RULE", action="append", default=[], help="a rule that is to hold")
    parser.add_argument("--deny", metavar="RULE", action="append", default=[], help="a rule that is not to hold")
    parser.add_argument("--seed", metavar="N", type=int, default=DEFAULT_SEED, help="of a swarm (default: 0)")
    parser.add_argument("--budget", metavar="DUR", help="how long to look: 30s, 10m")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes of a swarm (default: 1)")
    parser.add_argument("--replay", metavar="STRING", help="with --compose: take the steps of this schedule only")


def run(arguments: argparse.Namespace) -> int:
    """Carry out `--compose` or `--swarm`; answers the exit code. UsageError for a mistake in what was asked for."""
    setting = setting_of(arguments)
    if arguments.swarm and arguments.compose:
        raise UsageError("--compose and --swarm exclude each other: a swarm makes up its own programs")
    if arguments.memory == "both" and not arguments.swarm:
        raise UsageError("--memory both is for scenarios and swarms: a composed program takes sc or tso")
    if arguments.swarm:
        return _swarm(arguments, setting)
    if arguments.programs is not None:
        raise UsageError("--programs is an option of --swarm")
    if arguments.replay is not None:
        if len(arguments.compose) != 1:
            raise UsageError("--replay takes the steps of one program: give one --compose")
        return _replay(arguments.compose[0], setting, arguments.replay)
    budget_s = _seconds(arguments.budget)
    scenarios = [compose(text) for text in arguments.compose]
    codes = []
    for scenario in scenarios:
        found = explore(scenario, setting, Budget(seconds=budget_s))
        print(told(found))
        codes.append(EXIT_BROKEN if found.outcome.verdict is Verdict.BROKEN else 0)
    return max(codes, default=0)


def setting_of(arguments: argparse.Namespace) -> Setting:
    """The revision, memory model and rules that were asked for. UsageError for what is not known."""
    known = [field.name for field in fields(Rules)]
    for option, names in (("--assume", arguments.assume), ("--deny", arguments.deny)):
        for name in names:
            if name not in known:
                raise UsageError(f"{option} {name}: there is no such rule; choose among {', '.join(known)}")
    if both := set(arguments.assume) & set(arguments.deny):
        raise UsageError(f"the rule {min(both)} is both assumed and denied")
    revision = revision_named(arguments.driver or DEFAULT_REVISION)
    if revision is None:
        raise UsageError(
            f"there is no driver revision {arguments.driver!r}: choose among {', '.join((*REVISIONS, PROPOSED.name))}"
        )
    rules = Rules().with_changes(arguments.assume, arguments.deny)
    return Setting(revision=revision, memory=arguments.memory if arguments.memory in MEMORIES else "tso", rules=rules)


def _seconds(text: str | None) -> float | None:
    return None if text is None else parse_duration(text) / 1e9


# -- composed programs ------------------------------------------------------------------------------------------------


def told(found: Exploration) -> str:
    """What came of one program, for people."""
    outcome, setting = found.outcome, found.setting
    lines = [found.scenario.name]
    if outcome.violation is not None:
        lines += [f"  broken: {outcome.violation}", f"  schedule: {found.schedule}"]
        lines.append(f"  again: {_command(found.scenario.name, setting)} --replay '{found.schedule}'")
    elif outcome.verdict is Verdict.SAFE:
        lines.append("  safe: every execution was looked at")
    else:
        lines.append(f"  not found within {outcome.executions:,} executions: nothing is proved")
    lines.append(f"  under {_surroundings(setting)}")
    rate = outcome.operations / outcome.seconds if outcome.seconds else 0
    lines.append(
        f"  {outcome.executions:,} executions, {outcome.states:,} distinct states, at most {outcome.longest:,} steps, "
        f"{outcome.seconds:.2f} s, {rate:,.0f} operations/s"
    )
    return "\n".join(lines)


def _surroundings(setting: Setting) -> str:
    default = Rules()
    changed = [
        f"{'with' if getattr(setting.rules, field.name) else 'without'} {field.name}"
        for field in fields(Rules)
        if getattr(setting.rules, field.name) != getattr(default, field.name)
    ]
    rules = ", ".join(changed) if changed else "the rules' defaults"
    return f"driver {setting.revision.name}, {_MEMORY_NAMES[setting.memory]}, {rules}"


def _command(text: str, setting: Setting) -> str:
    """The command that explores a program again."""
    words = [f"wintunsim explore --compose '{text}' --driver {setting.revision.name} --memory {setting.memory}"]
    default = Rules()
    for field in fields(Rules):
        value = getattr(setting.rules, field.name)
        if value != getattr(default, field.name):
            words.append(f"--{'assume' if value else 'deny'} {field.name}")
    return " ".join(words)


def _replay(text: str, setting: Setting, schedule: str) -> int:
    world = compose(text).build(setting)
    _, violation = replay(world, world.start(), schedule)
    print(text)
    print(f"  {'nothing breaks in this execution' if violation is None else f'broken: {violation}'}")
    print(f"  under {_surroundings(setting)}")
    return 0 if violation is None else EXIT_BROKEN


# -- swarms -----------------------------------------------------------------------------------------------------------


def _swarm(arguments: argparse.Namespace, setting: Setting) -> int:
    told_so_far = 0
    if arguments.replay is not None:
        raise UsageError("--replay takes the steps of one program: give it with --compose")

    def show(result: Swarm) -> None:
        nonlocal told_so_far
        for race in result.races[told_so_far:]:
            told_so_far += 1
            print(told_race(told_so_far, race, setting, result.seconds), flush=True)

    options: dict[str, object] = {}
    if arguments.memory in MEMORIES:
        options["memories"] = (arguments.memory,)
    with _progress_line(arguments.programs) as progress:

        def after_each(result: Swarm) -> None:
            show(result)
            progress(result)

        result = swarm(
            setting.revision,
            seed=arguments.seed,
            budget_s=_seconds(arguments.budget),
            programs=arguments.programs,
            workers=1 if arguments.workers is None else arguments.workers,
            rules=setting.rules,
            progress=after_each,
            **options,  # type: ignore[arg-type]
        )
    show(result)
    print(summary(result))
    return EXIT_BROKEN if result.races else 0


def told_race(number: int, race: Race, setting: Setting, seconds: float) -> str:
    """One race, for people: what breaks where, the program, how to see it again."""
    finding = race.finding
    where = Setting(revision=setting.revision, memory=finding.memory, rules=setting.rules)
    lines = [f"race {number}: {finding.signature.broken}"]
    lines.append(f"  {finding.what}")
    lines.append(f"  breaks at    {finding.signature.breaks}")
    if finding.signature.against:
        lines.append(f"  against      {finding.signature.against}")
    lines.append(f"  program      {finding.program}")
    lines.append(f"  first seen   in program {race.number}, {seconds:.0f} s after the start: {race.first}")
    changes = f"with {'; or with '.join(race.goes_away)}" if race.goes_away else "with no change that is known"
    lines.append(f"  goes away    {changes}")
    known = [claim.name for claim in CLAIMS.values() if set(claim.switches) & set(race.goes_away)]
    if known:
        lines.append(f"  it is        {' or '.join(known)}")
    lines.append(f"  again        {_command(finding.program, where)} --replay '{finding.schedule}'")
    return "\n".join(lines) + "\n"


def summary(result: Swarm) -> str:
    """One line: what was looked at."""
    rate = result.operations / result.seconds if result.seconds else 0
    return (
        f"{len(result.races)} races in {result.programs:,} programs of seed {result.seed} "
        f"({result.proved:,} proved safe), {result.executions:,} executions, {result.seconds:.0f} s, "
        f"{rate:,.0f} operations/s"
    )


@contextmanager
def _progress_line(programs: int | None) -> Iterator[Callable[[Swarm], None]]:
    """A line on a terminal's standard error that says how far a swarm is."""
    if not sys.stderr.isatty():
        yield lambda result: None
        return

    def show(result: Swarm) -> None:
        of = f" of {programs:,}" if programs is not None else ""
        text = f"{result.programs:,}{of} programs, {len(result.races)} races, {result.seconds:.0f} s"
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
