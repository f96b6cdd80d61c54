"""Whether the tests that are named for a statement run the routines that are named for it.

That is asked of the model: its tests run under coverage, each as a context of its own.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import claims
import coverage
from claims import Entry
from specification import ROOT

MODEL, MODEL_TESTS = "wintun_model.", "tests/model/"

Places = frozenset[tuple[str, int]]
"""Lines of files."""


def run(tests: list[str], folder: Path) -> dict[str, Places]:
    """Run tests under coverage; answers for each the lines of the model that it ran."""
    data_file = folder / "coverage.data"
    command = ["-m", "coverage", "run", f"--data-file={data_file}", "--rcfile=/dev/null", "--source=wintun_model"]
    command += ["-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-p", "reach_plugin", *tests]
    # Only this way of measuring knows contexts on every Python.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "COVERAGE_CORE": "ctrace"}
    done = subprocess.run(
        [sys.executable, *command], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    data = coverage.CoverageData(str(data_file))
    data.read()
    ran: dict[str, set[tuple[str, int]]] = {test: set() for test in tests}
    for file in data.measured_files():
        for line, contexts in data.contexts_by_lineno(file).items():
            for test in ran.keys() & set(contexts):
                ran[test].add((file, line))
    return {test: frozenset(places) for test, places in ran.items()}


def problems(entries: list[Entry], ran: dict[str, Places]) -> list[str]:
    """A sentence for each test of the model that runs none of its routines, and for each routine that none runs."""
    found = []
    for entry in entries:
        tests = [test for test in entry.tests if test in ran]
        routines = {name: places_of(name) for name in entry.code if name.startswith(MODEL)}
        if not tests or not routines:
            continue
        # What is no routine, a table or a number, cannot be seen to run.
        if all(routines.values()):
            everything = frozenset[tuple[str, int]]().union(*routines.values())
            found += [f"{entry.unit}: {test} runs none of its routines" for test in tests if not ran[test] & everything]
        for name, places in routines.items():
            if places and not any(ran[test] & places for test in tests):
                found.append(f"{entry.unit}: no test of the model that is named runs {name}")
    return found


def named_tests(entries: list[Entry]) -> list[str]:
    """The tests of the model that entries name."""
    return sorted({test for entry in entries for test in entry.tests if test.startswith(MODEL_TESTS)})


def places_of(name: str) -> Places:
    """The lines of a function's body, or of all methods of a class; none for anything else."""
    return frozenset(place for code in _codes(claims.resolve(name)) for place in _places(code))


def _codes(target: Any) -> Iterator[CodeType]:
    if isinstance(target, property):
        target = target.fget
    elif isinstance(target, classmethod | staticmethod):
        target = target.__func__
    if inspect.isfunction(target):
        yield target.__code__
    elif inspect.isclass(target):
        # What a base class or a decorator put there is no routine of this class.
        for value in vars(target).values():
            if not inspect.isclass(value):
                yield from (code for code in _codes(value) if code.co_filename == inspect.getfile(target))


def _places(code: CodeType) -> Iterator[tuple[str, int]]:
    for _, _, line in code.co_lines():
        if line is not None and line != code.co_firstlineno:
            yield code.co_filename, line
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _places(constant)
