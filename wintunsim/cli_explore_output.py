"""What `wintunsim explore` prints: the list of scenarios, the table of verdicts, reports, and the last line."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wintun_model.revision import Revision
from wintunsim.errors import UsageError
from wintunsim.explore.counterexample import Counterexample
from wintunsim.explore.describe import rules_text
from wintunsim.explore.explorer import Exploration
from wintunsim.explore.litmus import litmus_text
from wintunsim.explore.report_html import counterexample_html
from wintunsim.explore.report_json import report_json
from wintunsim.explore.report_pytest import pytest_text
from wintunsim.explore.report_text import WIDTH, counterexample_text
from wintunsim.explore.scenario import MEMORIES, Scenario, Setting
from wintunsim.explore.search import Verdict

Rows = Sequence[tuple[Exploration, Counterexample | None]]
NARROWEST, WIDEST = 80, 200


def scenario_list(scenarios: Iterable[Scenario], revisions: Sequence[Revision]) -> str:
    """All scenarios: title, claim, rules that decide, and the expected verdicts, under SC and then x86-TSO."""
    widths = [max(len(revision.name), len("broken/broken")) for revision in revisions]
    head = "  ".join(f"{revision.name:<{width}}" for revision, width in zip(revisions, widths, strict=True))
    lines = []
    for scenario in scenarios:
        claim = f" ({scenario.claim})" if scenario.claim else ""
        lines.append(f"{scenario.name}{claim}")
        lines += textwrap.wrap(scenario.title, 100, initial_indent="    ", subsequent_indent="    ")
        verdicts = []
        for revision, width in zip(revisions, widths, strict=True):
            both = [scenario.expected(Setting(revision=revision, memory=memory)) for memory in MEMORIES]
            verdicts.append(f"{both[0] if both[0] == both[1] else '/'.join(both):<{width}}")
        lines.append(f"    {'  '.join(verdicts)}".rstrip())
        if scenario.rules:
            lines.append(f"    decided by: {', '.join(scenario.rules)}")
    return "\n".join([f"expected:   (one verdict, or SC/TSO)\n    {head}".rstrip(), "", *lines])


def verdict_table(rows: Iterable[Exploration]) -> Iterator[str]:
    """A row for each scenario, revision and memory model."""
    cells = [
        (
            explored.scenario.name,
            explored.setting.revision.name,
            explored.setting.memory,
            explored.outcome.verdict.value,
            explored.scenario.expected(explored.setting),
            f"{explored.outcome.executions:,}",
            f"{explored.outcome.states:,}",
            f"{explored.outcome.seconds:.2f}",
            "" if explored.is_expected else "<-- not as expected",
        )
        for explored in rows
    ]
    heads = ("scenario", "revision", "memory", "verdict", "expected", "executions", "states", "seconds", "")
    widths = [max(len(row[column]) for row in (heads, *cells)) for column in range(len(heads))]
    for row in (heads, tuple("-" * width if head else "" for head, width in zip(heads, widths, strict=True)), *cells):
        aligned = (
            text.rjust(width) if 5 <= column <= 7 else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(aligned).rstrip()


def rules_lines(rows: Iterable[Exploration]) -> Iterator[str]:
    """Below a table: under which rules of the surroundings the verdicts of a scenario hold."""
    told = {explored.scenario.name: rules_text(explored.scenario.rules, explored.setting.rules) for explored in rows}
    told = {name: text for name, text in told.items() if text}
    if told:
        yield from ("", "Verdicts that rules of the surroundings decide:")
    width = max(map(len, told), default=0)
    for name, text in told.items():
        yield f"  {name:<{width}}  {text}"


def summary_lines(rows: Sequence[Exploration], seconds: float) -> Iterator[str]:
    """How many verdicts are as expected, and what it took; `seconds` are those of the host."""
    good = sum(explored.is_expected for explored in rows)
    told = "all as expected" if good == len(rows) else f"{good} as expected, {len(rows) - good} not"
    yield f"{len(rows)} verdicts: {told}; " + _figures(
        sum(explored.outcome.executions for explored in rows),
        sum(explored.outcome.states for explored in rows),
        max((explored.outcome.longest for explored in rows), default=0),
        seconds,
        sum(explored.outcome.operations for explored in rows),
    )


def final_line(explored: Exploration, *, is_named: bool = False) -> str:
    """The last line: the verdict, the rules that it needs, and what it took; with a name when there are several."""
    outcome, setting = explored.outcome, explored.setting
    verdict = outcome.verdict.value
    if outcome.verdict is Verdict.NOT_FOUND:
        verdict = f"not found within {outcome.executions:,} execution{'' if outcome.executions == 1 else 's'}"
    if rules := rules_text(explored.scenario.rules, setting.rules):
        verdict += f" where {rules}"
    name = f"{explored.scenario.name}, {setting.revision.name}, {setting.memory}: " if is_named else ""
    expected = explored.scenario.expected(setting)
    hint = "" if explored.is_expected else f" (expected: {expected})"
    figures = _figures(outcome.executions, outcome.states, outcome.longest, outcome.seconds, outcome.operations)
    return f"{name}{verdict}{hint}; {figures}"


def _figures(executions: int, states: int, longest: int, seconds: float, operations: int) -> str:
    def rate(count: int) -> str:
        return f"{count / seconds:,.0f}" if seconds else "0"

    return (
        f"{executions:,} execution{'' if executions == 1 else 's'}, {states:,} distinct states, longest run {longest} "
        f"steps, {seconds:.2f} s, {rate(executions)} executions/s, {rate(operations)} operations/s"
    )


# -- reports ----------------------------------------------------------------------------------------------------------


def write_reports(options: argparse.Namespace, rows: Rows, text: str = "") -> None:
    """Write everything that was asked for; `text` is the report where there are no counterexamples to tell."""
    found = [each for _, each in rows if each is not None]
    if options.report == "json":
        write(options.out, report_json(rows) + "\n")
    elif options.report == "html":
        _write_pages(options.out, found)
    else:
        text = text or "\n\n".join(_text(options.out, each) for each in found)
        if text:
            write(options.out, text + "\n" + ("\n" if found else ""))
    if options.pytest is not None:
        write(options.pytest, pytest_text(_needed("--pytest", found)))
    if options.trace is not None:
        write(options.trace, "".join(f"{each.reference}\n" for each in _needed("--trace", found)))
    if options.export_litmus is not None:
        write(options.export_litmus, litmus_text(_needed("--export-litmus", found)[0]))


def _text(out: str, found: Counterexample) -> str:
    is_terminal = out == "-" and sys.stdout.isatty()
    width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST) if is_terminal else WIDTH
    return counterexample_text(found, width=width, is_coloured=is_terminal)


def _needed(option: str, found: list[Counterexample]) -> list[Counterexample]:
    if not found:
        raise UsageError(f"{option} needs a counterexample, and there is none: explore a scenario that is broken")
    return found


def _write_pages(out: str, found: list[Counterexample]) -> None:
    """A page for each counterexample: FILE.html, then FILE-2.html…"""
    path = Path(out)
    for number, each in enumerate(_needed("--report html", found), 1):
        page = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        write(str(page), counterexample_html(each))
        print(f"wintunsim: written to {page}", file=sys.stderr)


def write(name: str, text: str) -> None:
    """Write a text to a file, or to standard output for "-". UsageError when it cannot be written."""
    if name == "-":
        sys.stdout.write(text)
        return
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror}") from None
