"""Write docs/coverage.md: each statement of the specification, the routine that does it, the tests that would notice.

python tests/traceability/coverage_report.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import claims
from claims import Entry
from specification import ROOT, Page, Section, Statement, read_all

TARGET = ROOT / "docs" / "coverage.md"

INTRODUCTION = """\
# The specification, statement by statement

The model follows a [specification](spec/driver.md) of the driver, of [what a Windows client sees](spec/win32.md)
around it, and of its [installer](spec/installer.md). This page takes it apart: for each statement, **the routine that
does it** and **the tests that would notice** if it did not. It is made by `make coverage-doc` from those pages and
from the tables in [tests/traceability](../tests/traceability); a test checks that no statement is left out, that
everything named here is there, and that this page is up to date. Another, slow one checks that the tests of the model
run the routines beside them.

An id is made of page, section and place: a numbered step (`driver-3.4`), a table row (`driver-5-check-7`), a bullet
or paragraph (`installer-2-newer`), with a letter where that holds several statements. *Shown* statements have code
and tests, *pending* ones are [listed with what they wait for](#pending), *informative* ones [with the
reason](#informative) why there is nothing to show.
"""


def render(pages: list[Page], entries: list[Entry]) -> str:
    """The whole page."""
    by_unit: dict[str, list[Entry]] = {}
    for entry in entries:
        by_unit.setdefault(entry.unit, []).append(entry)
    parts = [INTRODUCTION, _summary(pages, by_unit)]
    for page in pages:
        for section in page.sections:
            statements = [one for one in _of(page, section) if not _is_informative(one, by_unit)]
            if statements:
                parts.append(_section(section, statements, by_unit))
    statements = [one for page in pages for one in page.statements]
    parts.append(_pending(statements, by_unit))
    parts.append(_informative(statements, by_unit))
    return "\n".join(parts)


def _of(page: Page, section: Section) -> list[Statement]:
    return [one for one in page.statements if one.section == section.number]


def _is_informative(statement: Statement, by_unit: dict[str, list[Entry]]) -> bool:
    return any(entry.informative for entry in by_unit.get(statement.id, []))


def _is_pending(statement: Statement, by_unit: dict[str, list[Entry]]) -> bool:
    return any(entry.pending for entry in by_unit.get(statement.id, []))


def _title(section: Section) -> str:
    return f"{section.page} §{section.number} {section.title}"


def _anchor(title: str) -> str:
    """The anchor that a heading gets on the web: lower case, blanks as hyphens, without punctuation."""
    kept = [character for character in title.lower() if character.isalnum() or character in "-_ "]
    return "".join(kept).replace(" ", "-")


def _summary(pages: list[Page], by_unit: dict[str, list[Entry]]) -> str:
    lines = [
        "## Summary",
        "",
        "| section | statements | shown | pending | informative |",
        "| --- | --: | --: | --: | --: |",
    ]
    total = [0, 0, 0, 0]
    for page in pages:
        for section in page.sections:
            statements = _of(page, section)
            informative = sum(_is_informative(one, by_unit) for one in statements)
            pending = sum(_is_pending(one, by_unit) for one in statements)
            counts = [len(statements), len(statements) - informative - pending, pending, informative]
            total = [sum(pair) for pair in zip(total, counts, strict=True)]
            title = _title(section)
            name = title if counts[0] == informative else f"[{title}](#{_anchor(title)})"
            lines.append(f"| {name} | {' | '.join(str(count or '') for count in counts)} |")
    lines.append(f"| **all** | {' | '.join(f'**{count}**' for count in total)} |")
    return "\n".join([*lines, ""])


def _section(section: Section, statements: list[Statement], by_unit: dict[str, list[Entry]]) -> str:
    lines = [f"## {_title(section)}", "", "| statement | code | tests |", "| --- | --- | --- |"]
    for statement in statements:
        entries = by_unit.get(statement.id, [])
        code = _each(_code_link(name) for entry in entries for name in entry.code)
        tests = _each(_test_link(test) for entry in entries for test in entry.tests)
        if _is_pending(statement, by_unit):
            tests = _each([*([tests] if tests else []), "*[pending](#pending)*"])
        lines.append(f"| **{statement.id}**<br>{_cell(statement.text)} | {code} | {tests} |")
    return "\n".join([*lines, ""])


def _pending(statements: list[Statement], by_unit: dict[str, list[Entry]]) -> str:
    rows = [
        f"| {one.id} | {_cell(entry.pending)} |"
        for one in statements
        for entry in by_unit.get(one.id, [])
        if entry.pending
    ]
    if not rows:
        return "## Pending\n\nNothing is pending: every statement is shown, or is informative.\n"
    lines = ["## Pending", "", "No test shows these statements, or not the whole of them.", ""]
    return "\n".join([*lines, "| statement | waits for |", "| --- | --- |", *rows, ""])


def _informative(statements: list[Statement], by_unit: dict[str, list[Entry]]) -> str:
    rows = [
        f"| {one.id} | {_cell(one.text)} | {_cell(entry.informative)} |"
        for one in statements
        for entry in by_unit.get(one.id, [])
        if entry.informative
    ]
    lines = ["## Informative", "", "These statements ask nothing of the model.", ""]
    return "\n".join(
        [*lines, "| statement | what it says | why there is nothing to show |", "| --- | --- | --- |", *rows, ""]
    )


def _each(links: object) -> str:
    return "<br>".join(dict.fromkeys(links))  # type: ignore[call-overload]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code_link(name: str) -> str:
    module = claims.module_of(name)
    folder = "../model" if module.startswith("wintun_model") else ".."
    short = name.removeprefix("wintun_model.").removeprefix("wintunsim.")
    return f"[`{short}`]({folder}/{module.replace('.', '/')}.py)"


def _test_link(test: str) -> str:
    file, *_, name = test.split("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{file})"


def main() -> int:
    """Write the page, unless something is wrong; answers the exit code."""
    pages, entries = read_all(), claims.load()
    wrong = claims.problems([one for page in pages for one in page.statements], entries)
    if wrong:
        sys.stderr.write("\n".join([*wrong, ""]))
        return 1
    TARGET.write_text(render(pages, entries), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
