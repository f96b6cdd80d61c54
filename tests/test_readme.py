"""What the README shows is true: its commands run, its output comes out, its Python runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def run(arguments, **options):
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100, **options)


def test_the_command_shown_prints_what_is_shown():
    (command,) = [
        line for block in blocks("sh") for line in block.splitlines() if line.startswith(".venv/bin/wintunsim")
    ]
    shown, *_ = blocks("text")
    arguments = command.split()[1:]
    process = run([sys.executable, "-m", "wintunsim", *arguments])
    assert process.stdout + process.stderr == shown


def test_the_python_shown_runs():
    code, _ = blocks("python")
    assert "exit code 0" in run([sys.executable, "-c", code]).stdout


def test_the_question_can_be_asked(capsys):
    """For a moment only: the same table of other figures."""
    _, code = blocks("python")
    _, shown, _ = blocks("text")
    assert "13ms" in code and "seeds=3" in code
    exec(code.replace("13ms", "1ms").replace("seeds=3", "seeds=1").replace(".run()", ".run(workers=1)"), {})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == shown.split("\n")[0].split()
    assert [line[0] for line in lines[1:]] == [line.split()[0] for line in shown.splitlines()[1:]]


@pytest.mark.slow
def test_the_question_has_the_answer_that_is_shown(tmp_path):
    """As a script, as the text says: a sweep starts processes, which import it."""
    _, code = blocks("python")
    _, shown, _ = blocks("text")
    script = tmp_path / "question.py"
    script.write_text(code)
    assert run([sys.executable, str(script)]).stdout == shown


def test_the_make_targets_named_are_there():
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE))
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= named <= there


def test_the_options_named_are_there():
    options = set(re.findall(r"`(--[a-z-]+)", TEXT)) - {"--no-answer"}
    help_text = "".join(
        run([sys.executable, "-m", "wintunsim", command, "--help"], env={**os.environ, "COLUMNS": "200"}).stdout
        for command in ("run", "explore")
    )
    assert {option for option in options if option not in help_text} == set()


def test_the_links_lead_somewhere():
    paths = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if not link.startswith("http")]
    assert [path for path in paths if not (ROOT / path).exists()] == []
