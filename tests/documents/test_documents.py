"""The documents say what is true: pages drawn from tables are up to date, and examples run."""

import re
import shlex
from pathlib import Path

import pytest

from tests.documents import life_cycles, races

ROOT = Path(__file__).resolve().parents[2]
NDIS = ROOT / "docs" / "ndis.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", NDIS.read_text(encoding="utf-8"), re.DOTALL)


def test_the_life_cycles_are_drawn_from_their_tables():
    assert life_cycles.PAGE.read_text(encoding="utf-8") == life_cycles.page(), "run make life-cycles"


def test_the_page_on_races_says_what_the_search_finds():
    assert races.PAGE.read_text(encoding="utf-8") == races.page(), "run make races"


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_of_the_page_on_ndis_runs(code, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(code, str(NDIS), "exec"), {})


@pytest.mark.parametrize("command", blocks("sh"))
def test_the_commands_of_the_page_on_ndis_run(command, wintunsim):
    program, *arguments = shlex.split(command)
    assert program == "wintunsim"
    wintunsim(*arguments, cwd=ROOT, timeout=60).check_returncode()
