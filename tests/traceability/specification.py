"""The specification as a list of statements with stable ids, read from docs/spec.

An id is page, section and place: a numbered step (``driver-3.4``), a table row by its key (``driver-5-check-7``), a
bullet or paragraph by the words that it begins with (``installer-2-newer``) or else by its number
(``driver-4.4-p1``). Where such a block holds several statements, each has a letter (``driver-3.4-b``): a statement
ends with its sentence, or at a semicolon outside of parentheses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "spec"
PAGES = ("driver", "win32", "installer")

# What stands for a table in the ids of its rows, by its first header; other tables need nothing.
TABLE_LABELS = {
    "#": "check",
    "NTSTATUS / NDIS_STATUS": "status",
    "OID (query)": "oid-query",
    "OID (set)": "oid-set",
    "path": "locks",
    "rule": "rule",
    "state": "state",
}
# A column whose cells are statements of their own, by its header: what it appends to the row's id.
OWN_COLUMNS = {"closed in": "closed", "date": "date"}

_HEADING = re.compile(r"#{2,3} ([\d.]+) (.+)")
_STEP = re.compile(r"(\d+)\. (.+)")
_BOLD_LEAD = re.compile(r"\*\*([\w][\w .-]*)\*\*( \([^)]*\))?:.*")
_LEAD = re.compile(r"([\w][\w .-]*?)( \([^)]*\))?:.*")
_LONGEST_LEAD = 4
_LONGEST_KEY = 6
_SENTENCE_END = re.compile(r"[.!?](\*\*|\))?$")


@dataclass(frozen=True)
class Statement:
    """One statement of the specification: its id, where it stands, and its text with single blanks."""

    id: str
    page: str
    section: str
    text: str


@dataclass(frozen=True)
class Section:
    """One numbered section of a page."""

    page: str
    number: str
    title: str


@dataclass
class Page:
    """A page of the specification, read."""

    name: str
    sections: list[Section] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)


def read_all(folder: Path = FOLDER) -> list[Page]:
    """All pages, in order. Raises ValueError when two statements of a page would have one id."""
    return [read(name, (folder / f"{name}.md").read_text(encoding="utf-8")) for name in PAGES]


def read(name: str, text: str) -> Page:
    """Split the text of one page into its statements."""
    page = Page(name)
    section = Section(name, "0", "About this page")
    page.sections.append(section)
    blocks: list[tuple[str, str]] = []
    for kind, block in [*_blocks(text), ("heading", "## 999 end")]:
        if kind != "heading":
            blocks.append((kind, block))
            continue
        page.statements += _statements(section, blocks)
        blocks = []
        if found := _HEADING.fullmatch(block):
            section = Section(name, found[1], found[2])
            page.sections.append(section)
    page.sections = [one for one in page.sections[:-1] if any(s.section == one.number for s in page.statements)]
    ids = [statement.id for statement in page.statements]
    if doubles := sorted({one for one in ids if ids.count(one) > 1}):
        raise ValueError(f"docs/spec/{name}.md gives several statements one id: {', '.join(doubles)}")
    return page


def _blocks(text: str) -> list[tuple[str, str]]:
    """(kind, text) of each heading, step, bullet, paragraph and table; lines of one block are joined."""
    blocks: list[tuple[str, str]] = []
    is_open = False
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped:
            is_open = False
            continue
        if line.startswith("#"):
            kind = "heading"
        elif line.startswith("|"):
            kind = "table"
        elif line.startswith("- "):
            kind, stripped = "bullet", stripped[2:]
        elif _STEP.fullmatch(line):
            kind = "step"
        elif is_open and blocks[-1][0] in ("step", "bullet", "paragraph"):
            blocks[-1] = (blocks[-1][0], f"{blocks[-1][1]} {stripped}")
            continue
        else:
            kind = "paragraph"
        if kind == "table" and is_open and blocks[-1][0] == "table":
            blocks[-1] = ("table", f"{blocks[-1][1]}\n{stripped}")
        else:
            blocks.append((kind, stripped))
        is_open = kind != "heading"
    return blocks


def _statements(section: Section, blocks: list[tuple[str, str]]) -> list[Statement]:
    """The statements of one section."""
    prefix = f"{section.page}-{section.number}"
    numbers = {"bullet": 0, "paragraph": 0}
    of_kind = {kind: sum(one == kind for one, _ in blocks) for kind in numbers}
    found: list[Statement] = []
    for kind, block in blocks:
        if kind == "table":
            found += _rows(section, block)
            continue
        if kind == "step":
            number, text = _STEP.fullmatch(block).groups()  # type: ignore[union-attr]
            place = f"{prefix}.{number}"
        else:
            numbers[kind] += 1
            text = block
            if lead := _lead(block, only_bold=kind == "paragraph"):
                place = f"{prefix}-{lead}"
            elif kind == "paragraph" and of_kind[kind] == 1 == len(blocks):
                place = prefix
            else:
                place = f"{prefix}-{kind[0]}{numbers[kind]}"
        found += _lettered(section, place, text)
    return found


def _lead(block: str, *, only_bold: bool) -> str:
    """The words that a block begins with and that name it, as a part of an id; empty when there are none."""
    matched = _BOLD_LEAD.fullmatch(block) or (not only_bold and _LEAD.fullmatch(block))
    return slug(matched[1]) if matched and len(matched[1].split()) <= _LONGEST_LEAD else ""


def _rows(section: Section, table: str) -> list[Statement]:
    """The statements of a table: one for each row, and one for each of its cells that stands for itself."""
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.split("\n")]
    header, rows = lines[0], lines[2:]
    label = TABLE_LABELS.get(header[0], "")
    found = []
    for row in rows:
        key = slug(row[0].split(",")[0].split(" / ")[0].split(" = ")[0])
        if key.startswith("OID_"):
            key = key.split("-")[0]
        place = "-".join(part for part in (section.page, section.number, label, key) if part)
        plain = []
        for name, cell in zip(header, row, strict=True):
            if name in OWN_COLUMNS:
                found.append(Statement(f"{place}-{OWN_COLUMNS[name]}", section.page, section.number, cell))
            else:
                plain.append(cell)
        if header[0] == "revision":
            found += _lettered(section, place, plain[-1])
        else:
            found.append(Statement(place, section.page, section.number, " | ".join(plain)))
    return found


def _lettered(section: Section, place: str, text: str) -> list[Statement]:
    parts = split(text)
    if len(parts) == 1:
        return [Statement(place, section.page, section.number, text)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [
        Statement(f"{place}-{letters[number]}", section.page, section.number, part) for number, part in enumerate(parts)
    ]


def split(text: str) -> list[str]:
    """Split a text into statements: at the ends of sentences, and at semicolons, outside of parentheses."""
    parts, words, depth, is_code = [], [], 0, False
    for word in text.split():
        words.append(word)
        for character in word:
            if character == "`":
                is_code = not is_code
            elif not is_code:
                depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(character, 0)
        if depth or is_code:
            continue
        if word.endswith((";", ";**")) or (_SENTENCE_END.search(word) and not word.endswith(("e.g.", "i.e.", "…"))):
            parts.append(" ".join(words))
            words = []
    if words:
        parts.append(" ".join(words))
    return parts


def slug(text: str) -> str:
    """A text as a part of an id: its first words; names of Windows stay as they are, others are in lower case."""
    words = re.findall(r"[\w.]+(?:-[\w.]+)*", text.replace("`", "").replace("*", "").replace("\N{EN DASH}", "-"))
    # A symbol of one letter is no word: "capacity C".
    words = [word for word in words if len(word) > 1 or word.isdigit()] or words
    return "-".join(word if _is_name(word) else word.lower() for word in words[:_LONGEST_KEY])


def _is_name(word: str) -> bool:
    return "_" in word or word[1:] != word[1:].lower() or bool(re.fullmatch(r"B\d+", word))
