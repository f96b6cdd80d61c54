"""Notebooks: each text and its notebook with outputs belong together, and each one runs through."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
if not FOLDER.exists():  # the tests of the built wheel
    pytest.skip("there are no notebooks beside these tests", allow_module_level=True)
pytest.importorskip("jupytext")
pytest.importorskip("nbclient")

_spec = importlib.util.spec_from_file_location("execute_notebooks", FOLDER / "execute.py")
execute = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(execute)

SOURCES = execute.sources()
every = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


def cells(notebook):
    return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]


def kept(path):
    return json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))


def answer(notebook):
    """The sentence that a notebook computes."""
    texts = [
        "".join(output["data"]["text/markdown"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if "text/markdown" in output.get("data", {})
    ]
    assert len(texts) == 1
    return texts[0]


def test_there_are_notebooks():
    assert len(SOURCES) >= 6
    assert {path.stem for path in SOURCES} == {path.stem for path in FOLDER.glob("*.ipynb")}


@every
def test_a_notebook_is_made_from_its_text(path):
    assert cells(kept(path)) == cells(execute.read(path)), f"run python notebooks/execute.py {path.stem[:2]}"


@every
def test_a_notebook_has_its_outputs(path):
    notebook = kept(path)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result", "stream"}
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert "/home/" not in path.with_suffix(".ipynb").read_text(encoding="utf-8")


@every
def test_a_notebook_has_a_question_an_answer_and_what_it_does_not_say(path):
    notebook = kept(path)
    text = "\n".join(source for kind, source in cells(notebook) if kind == "markdown")
    assert text.count("**Question:**") == 1
    assert "## What this does not say" in text
    sentence = answer(notebook)
    assert sentence.startswith("**Answer:** ")
    assert any(character.isdigit() for character in sentence)
    # An assert beside the sentence keeps it true.
    (cell,) = [source for kind, source in cells(notebook) if kind == "code" and "**Answer:**" in source]
    assert "assert " in cell


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the kernel's own threads and sockets
@every
def test_a_notebook_runs_through(path, monkeypatch):
    monkeypatch.setattr(execute, "TIMEOUT_S", 150)
    assert answer(execute.execute(path)) == answer(kept(path))
