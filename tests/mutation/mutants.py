"""Mutation testing of the model: change one thing in a routine, and see whether a test notices.

    make mutants                     all files of `FILES`
    make mutants ARGS="send ring"    some of them
    make mutants ARGS="--again"      once more, but only what survived the last time

Works on a copy of the model and its tests in build/mutants. Prints a table, and fails when less than `LEAST_KILLED` of
the mutants of a file are killed, or when one survives that docs/mutants.md does not list with a reason.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
LIST = ROOT / "docs" / "mutants.md"
LEAST_KILLED = 0.9
FILES = (
    "ring",
    "send",
    "receive",
    "registration",
    "session",
    "installer",
    "installer_evaluate",
    "installer_process",
)

# Tests that run long, or look at what is not copied; the others say all that these do.
LEFT_OUT = ("test_headers.py", "test_oracle.py", "test_state_machine.py", "test_trace.py")

SETTINGS = f"""\
[tool.mutmut]
source_paths = ["src/"]
only_mutate = [{", ".join(f'"src/wintun_model/{name}.py"' for name in FILES)}]
pytest_add_cli_args_test_selection = ["tests/model"]
pytest_add_cli_args = ["-p", "no:cacheprovider"]
timeout_multiplier = 3.0
timeout_constant = 4.0
use_git_change_detection = false
on_dependency_change = "ignore"
use_setproctitle = false

[tool.pytest.ini_options]
addopts = "--import-mode=importlib -m 'not slow'"
filterwarnings = ["error"]
markers = ["slow: takes long"]
"""

KILLED = {1, 3}
TIMED_OUT = {36, 24, -24, 152, 255}


@dataclass(frozen=True)
class Mutant:
    """One change: in which routine of which file, and the lines before and after."""

    file: str
    routine: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}.py, {self.routine}\n    - {self.before}\n    + {self.after}"


# -- the list of those that may survive -------------------------------------------------------------------------------

_ROW = re.compile(
    r"\| `+ ?(?P<routine>.+?) ?`+ \| `+ ?(?P<before>.*?) ?`+ \| `+ ?(?P<after>.*?) ?`+ \| (?P<reason>.+) \|"
)


def listed(text: str) -> dict[Mutant, str]:
    """The mutants that a page lists, and the reason of each. The rows of a file stand below its name as a heading."""
    found: dict[Mutant, str] = {}
    file = ""
    for line in text.splitlines():
        if heading := re.fullmatch(r"## `?(\w+)\.py`?", line):
            file = heading[1]
        elif (row := _ROW.fullmatch(line)) and file:
            fields = {name: value.replace("\\|", "|") for name, value in row.groupdict().items()}
            found[Mutant(file, fields["routine"], fields["before"], fields["after"])] = fields["reason"]
    return found


def row_of(mutant: Mutant, reason: str) -> str:
    """A mutant as a row of the page."""

    def code(text: str) -> str:
        quoted = f"`` {text} ``" if "`" in text else f"`{text}`"
        return quoted.replace("|", "\\|")

    return f"| {code(mutant.routine)} | {code(mutant.before)} | {code(mutant.after)} | {reason} |"


# -- running ----------------------------------------------------------------------------------------------------------


def prepare(*, fresh: bool) -> None:
    """Copy what is tested, and the tests."""
    if fresh:
        shutil.rmtree(WORK, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", *LEFT_OUT)
    # The last run's copy of the tests, and what it knows of them, would hide what has changed in them since.
    for folder in ("tests", "mutants/tests"):
        shutil.rmtree(WORK / folder, ignore_errors=True)
    (WORK / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    shutil.copytree(ROOT / "model" / "wintun_model", WORK / "src" / "wintun_model", ignore=ignored, dirs_exist_ok=True)
    shutil.copytree(ROOT / "tests" / "model", WORK / "tests" / "model", ignore=ignored)
    shutil.copy(ROOT / "tests" / "conftest.py", WORK / "tests")
    (WORK / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")


def mutmut(*arguments: str, quiet: bool = False) -> str:
    """Run mutmut in the copy."""
    command = [str(Path(sys.executable).parent / "mutmut"), *arguments]
    # The library's spinner is for a person who looks.
    is_quiet = quiet or not sys.stdout.isatty()
    done = subprocess.run(command, check=False, cwd=WORK, stdout=subprocess.PIPE if is_quiet else None, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {done.returncode}\n{done.stdout or ''}")
    return done.stdout or ""


def results(file: str) -> dict[str, int | None]:
    """The exit code of the tests for each mutant of a file; None for one that was not tried."""
    path = WORK / "mutants" / "src" / "wintun_model" / f"{file}.py.meta"
    if not path.is_file():
        return {}
    codes: dict[str, int | None] = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return codes


def is_survivor(code: int | None) -> bool:
    """Whether no test noticed a mutant."""
    return code not in KILLED | TIMED_OUT


def mutant_of(file: str, name: str) -> Mutant:
    """What a mutant changes, from its name in mutmut."""
    routine = name.rpartition(".")[2].partition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    return Mutant(file, routine, *_changed(mutmut("show", name, quiet=True)))


def _changed(diff: str) -> tuple[str, str]:
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    return _side(lines, "-"), _side(lines, "+")


def _side(lines: list[str], sign: str) -> str:
    return " ".join(line[1:].strip() for line in lines if line.startswith(sign))


@dataclass
class Outcome:
    """What came of one file."""

    file: str
    codes: dict[str, int | None]
    survivors: list[Mutant]

    @property
    def killed(self) -> float:
        """The part that was killed."""
        return 1 - sum(map(is_survivor, self.codes.values())) / max(1, len(self.codes))


def run(files: list[str], *, again: bool) -> Iterator[Outcome]:
    """Try all mutants of the files, or again those that survived; one file after the other, one process at a time."""
    prepare(fresh=not again)
    for file in files:
        names = [name for name, code in results(file).items() if is_survivor(code)] if again else []
        if not again or names:
            mutmut("run", "--max-children", "1", *(names or [f"wintun_model.{file}.*"]))
        # A routine that has changed since the last time has new mutants, which nobody has named yet.
        if fresh := [name for name, code in results(file).items() if code is None]:
            mutmut("run", "--max-children", "1", *fresh)
        codes = results(file)
        survivors = [mutant_of(file, name) for name, code in codes.items() if is_survivor(code)]
        yield Outcome(file, codes, survivors)


def verdict(outcomes: list[Outcome], known: dict[Mutant, str]) -> tuple[str, list[str]]:
    """(a table for people, what is wrong)."""
    lines = [f"{'file':24}{'mutants':>9}{'killed':>9}{'by time':>9}{'listed':>9}{'unlisted':>10}{'':>9}"]
    wrong = []
    for one in outcomes:
        unlisted = [mutant for mutant in one.survivors if mutant not in known]
        by_time = sum(code in TIMED_OUT for code in one.codes.values())
        counts = [len(one.codes), len(one.codes) - len(one.survivors), by_time, len(one.survivors) - len(unlisted)]
        cells = "".join(f"{count:9}" for count in counts)
        lines.append(f"{one.file + '.py':24}{cells}{len(unlisted):10}{one.killed:9.1%}")
        if one.killed < LEAST_KILLED:
            wrong.append(f"{one.file}.py: only {one.killed:.1%} are killed, of {LEAST_KILLED:.0%}")
        wrong += [f"survives, and docs/mutants.md does not say why: {mutant}" for mutant in unlisted]
        gone = [mutant for mutant in known if mutant.file == one.file and mutant not in one.survivors]
        wrong += [f"is in docs/mutants.md, and is killed or gone: {mutant}" for mutant in gone]
    return "\n".join(lines), wrong


def main() -> int:
    """The command; answers its exit code."""
    parser = argparse.ArgumentParser(description="Mutation testing of the model.")
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"{', '.join(FILES)}; default: all")
    parser.add_argument("--again", action="store_true", help="try once more what survived the last time")
    options = parser.parse_args()
    if unknown := [file for file in options.files if file not in FILES]:
        parser.error(f"no such file: {', '.join(unknown)}; there are {', '.join(FILES)}")
    outcomes = list(run(options.files or list(FILES), again=options.again))
    table, wrong = verdict(outcomes, listed(LIST.read_text(encoding="utf-8")))
    sys.stdout.write("\n".join(["", table, "", *wrong, ""]))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
