"""`wintunsim explore --swarm`: what a swarm of made-up programs finds, told as it comes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from wintunsim.explore.claims import claims_closed_by
from wintunsim.explore.reference import Reference
from wintunsim.explore.scenario import Setting
from wintunsim.explore.swarm import Race, Swarm, swarm


def run_swarm(
    setting: Setting,
    *,
    seed: int,
    budget_s: float | None,
    programs: int | None,
    workers: int,
    memory: str | None,
) -> list[str]:
    """Let a swarm run and print its races; answers their strings for `--replay`. UsageError without a bound.

    `memory` is "sc" or "tso", or anything else for both of them in turns.
    """
    references: list[str] = []

    def show(result: Swarm) -> None:
        for race in result.races[len(references) :]:
            references.append(reference_of(race, setting))
            print(told_race(len(references), race, setting, result.seconds), flush=True)

    with _progress_line(programs) as progress:

        def after_each(result: Swarm) -> None:
            show(result)
            progress(result)

        result = swarm(
            setting.revision,
            seed=seed,
            budget_s=budget_s,
            programs=programs,
            workers=workers,
            memories=(memory,) if memory in ("sc", "tso") else None,
            rules=setting.rules,
            progress=after_each,
        )
    show(result)
    print(summary(result))
    return references


def reference_of(race: Race, setting: Setting) -> str:
    """The string for `--replay` that runs the race's execution again."""
    finding = race.finding
    return Reference.of(finding.program, replace(setting, memory=finding.memory), finding.schedule).encode()


def told_race(number: int, race: Race, setting: Setting, seconds: float) -> str:
    """One race, for people: what breaks where, the program, how to see it again."""
    finding = race.finding
    lines = [f"race {number}: {finding.signature.broken}"]
    lines.append(f"  {finding.what}")
    lines.append(f"  breaks at    {finding.signature.breaks}")
    if finding.signature.against:
        lines.append(f"  against      {finding.signature.against}")
    lines.append(f"  program      {finding.program}")
    lines.append(f"  first seen   in program {race.number}, {seconds:.0f} s after the start: {race.first}")
    lines.append(f"  goes away    {_changes_text(race)}")
    if race.goes_away and race.with_others:
        lines.append(f"  others       in this program need {' and '.join(race.with_others)} too")
    if known := claims_closed_by(race.goes_away or race.with_others):
        sign = " or " if race.goes_away else " and "
        lines.append(f"  it is        {sign.join(claim.name for claim in known)}")
    lines.append(f"  again        wintunsim explore --replay {shlex.quote(reference_of(race, setting))}")
    return "\n".join(lines) + "\n"


def _changes_text(race: Race) -> str:
    if race.goes_away:
        return f"with {'; or with '.join(race.goes_away)}"
    if race.with_others:
        return f"with {' and '.join(race.with_others)} together"
    return "with no change that is known"


def summary(result: Swarm) -> str:
    """One line: what was looked at."""
    rate = result.operations / result.seconds if result.seconds else 0
    races = f"{len(result.races)} race{'' if len(result.races) == 1 else 's'}"
    programs = f"{result.programs:,} program{'' if result.programs == 1 else 's'}"
    return (
        f"{races} in {programs} of seed {result.seed} ({result.proved:,} proved safe), "
        f"{result.executions:,} executions, {result.seconds:.0f} s, {rate:,.0f} operations/s"
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
