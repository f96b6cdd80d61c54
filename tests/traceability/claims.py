"""What is said of each statement of the specification: the routine that does it, and the tests that would notice.

The entries stand in the TOML files beside this one, one file for each page. An entry names its statement's id in `unit`
and quotes in `text` a piece that must stand in it, so that a changed specification is noticed. Then it has

- `code`, dotted names of functions, classes or constants, and `tests`, ids as pytest has them; or
- these two as far as there are any, and in `pending` why no test shows the statement (yet); or
- in `informative` why there is nothing to show.
"""

from __future__ import annotations

import ast
import inspect
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from specification import PAGES, ROOT, Statement

FOLDER = Path(__file__).resolve().parent
PACKAGES = ("wintun_model", "wintunsim")
_FIELDS = {"unit", "text", "code", "tests", "pending", "informative"}


@dataclass(frozen=True)
class Entry:
    """One entry of the data files."""

    unit: str
    text: str
    code: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    pending: str = ""
    informative: str = ""


def load(folder: Path = FOLDER) -> list[Entry]:
    """The entries of all pages, in the order of the files."""
    entries = []
    for page in PAGES:
        data = tomllib.loads((folder / f"{page}.toml").read_text(encoding="utf-8"))
        for fields in data["statement"]:
            if unknown := sorted(set(fields) - _FIELDS):
                raise ValueError(f"{page}.toml: {fields.get('unit')} has unknown fields: {', '.join(unknown)}")
            lists: dict[str, Any] = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
            entries.append(Entry(**{**fields, **lists}))
    return entries


def problems(statements: list[Statement], entries: list[Entry]) -> list[str]:
    """What is wrong, a sentence each: statements without an entry, and entries that do not hold."""
    known = {statement.id: statement for statement in statements}
    found = [f"{one}: nothing is said of this statement" for one in sorted(set(known) - {e.unit for e in entries})]
    for entry in entries:
        statement = known.get(entry.unit)
        if statement is None:
            found.append(f"{entry.unit}: the specification has no such statement")
        elif not entry.text or entry.text not in statement.text:
            found.append(f"{entry.unit}: the statement does not say {entry.text!r} (any more)")
        found += [f"{entry.unit}: {problem}" for problem in _problems_of(entry)]
    informative = {entry.unit for entry in entries if entry.informative}
    shown = {entry.unit for entry in entries if not entry.informative}
    found += [f"{unit}: is said to be informative and is shown all the same" for unit in sorted(informative & shown)]
    return found


def _problems_of(entry: Entry) -> list[str]:
    if entry.informative:
        return ["an informative statement has no code and no tests"] if entry.code or entry.tests else []
    found = []
    if not entry.code:
        found.append("names no code")
    if not entry.tests and not entry.pending:
        found.append("names no test")
    found += [f"there is no {name}" for name in entry.code if resolve(name) is None]
    found += [f"there is no test {test}" for test in entry.tests if test not in tests_of(test.split("::")[0])]
    return found


@cache
def resolve(name: str) -> Any:
    """The function, class or constant of a dotted name; None when there is none. A module is none."""
    if name.split(".", maxsplit=1)[0] not in PACKAGES:
        return None
    target: Any = import_module(name.split(".", maxsplit=1)[0])
    for depth, part in enumerate(name.split(".")[1:], 2):
        if isinstance(target, ModuleType) and not hasattr(target, part):
            try:
                import_module(".".join(name.split(".")[:depth]))
            except ModuleNotFoundError:
                return None
        target = inspect.getattr_static(target, part, None)
        if target is None:
            return None
    return None if isinstance(target, ModuleType) else target


def module_of(name: str) -> str:
    """The module in which a dotted name stands."""
    parts = name.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        try:
            return import_module(".".join(parts[:depth])).__name__
        except ModuleNotFoundError:
            continue
    raise ValueError(f"there is no module of {name}")


@cache
def tests_of(file: str) -> frozenset[str]:
    """The ids of all tests of a file, without parameters; none when there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            found.add(f"{file}::{node.name}")
        elif isinstance(node, ast.ClassDef):
            found |= {f"{file}::{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return frozenset(found)
