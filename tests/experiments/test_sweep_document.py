"""docs/experiments.md is true: its scripts run, and print what it says that they print."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from wintunsim.cli import main

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        pytest.param(*pair, id=name, marks=[pytest.mark.slow])
        for pair, name in zip(SCRIPTS, ["question", "axes", "both-ways", "dask", "fast"], strict=True)
    ],
)
def test_a_script_prints_what_is_shown(script, shown, tmp_path):
    if "Cluster(" in script:
        # Dask's processes run the main module anew.
        head, body = script.split("\n\nwith ")
        script = f"{head}\n\nif __name__ == '__main__':\n" + "".join(
            f"    {line}\n" for line in f"with {body}".splitlines()
        )
    file = tmp_path / "question.py"
    file.write_text(script, encoding="utf-8")
    process = subprocess.run(
        [sys.executable, file], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert (process.returncode, process.stdout) == (0, shown), process.stderr


def test_the_answer_is_what_comes_out():
    """The sentence's numbers are those of the text below it."""
    lines = [line.split() for line in SCRIPTS[0][1].splitlines()[1:]]
    shares = {int(line[0]) >> 20: float(line[2]) for line in lines}
    assert round(100 * shares[2]) == int(re.search(r"With 2 MiB, (\d+) % of all packets are lost", TEXT)[1])
    assert shares[4] == 0
    assert len([line for line in SCRIPTS[0][0].splitlines() if line]) <= 10


@pytest.mark.slow
def test_the_example_is_shown_as_it_is_and_runs(tmp_path, monkeypatch, capsys):
    (shown,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    example = ROOT / "examples" / "ring_size.toml"
    assert tomllib.loads(shown) == tomllib.loads(example.read_text(encoding="utf-8"))
    (command,) = re.findall(r"^wintunsim (sweep .*)$", TEXT, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "ring_size.toml").write_bytes(example.read_bytes())
    assert main(command.split()) == 0
    assert capsys.readouterr().err == "wintunsim: 12 runs, written to ring_size.csv\n"
    rows = [line.split(",") for line in Path("ring_size.csv").read_text(encoding="utf-8").splitlines()]
    share = rows[0].index("drop_share")
    drops = {(row[0], int(row[1]) >> 20): float(row[share]) > 0 for row in rows[1:]}
    assert {key for key, is_dropping in drops.items() if is_dropping} == {("2 ms", 1), ("4 ms", 1), ("4 ms", 2)}


def test_the_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
