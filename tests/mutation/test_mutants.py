"""The list of mutants that may survive, and the verdict over a run; `make mutants` itself is not run here."""

import importlib

import pytest
from mutants import FILES, LIST, Mutant, Outcome, listed, row_of, verdict

PAGE = """\
# Mutants

| `nowhere` | `a` | `b` | a row above all headings is none |

## `send.py`

| routine | line | mutant | why nobody can tell |
| --- | --- | --- | --- |
| `send` | `x = 1` | `x = 2` | never looked at |
| `_copy` | `a \\| b` | `a & b` | the same here |
| `_Run.log` | `` f"`{x}`" `` | `None` | for people |
"""
MUTANTS = [
    Mutant("send", "send", "x = 1", "x = 2"),
    Mutant("send", "_copy", "a | b", "a & b"),
    Mutant("send", "_Run.log", 'f"`{x}`"', "None"),
]


def test_the_list_is_read():
    assert list(listed(PAGE)) == MUTANTS
    assert list(listed(PAGE).values()) == ["never looked at", "the same here", "for people"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.routine)
def test_a_row_is_read_as_it_was_written(mutant):
    assert listed(f"## `{mutant.file}.py`\n{row_of(mutant, 'why')}") == {mutant: "why"}


def test_a_run_without_unlisted_survivors_is_good():
    codes = {str(number): 1 for number in range(18)} | {"18": -24, "19": 0}
    table, wrong = verdict([Outcome("send", codes, MUTANTS[:1])], {MUTANTS[0]: "why"})
    assert wrong == []
    assert table.splitlines()[1].split() == ["send.py", "20", "19", "1", "1", "0", "95.0%"]


def test_what_is_wrong_is_told():
    codes = {"1": 1, "2": 0, "3": None}
    _, wrong = verdict([Outcome("send", codes, MUTANTS[:2])], {MUTANTS[0]: "why", MUTANTS[2]: "why"})
    assert [line.splitlines()[0] for line in wrong] == [
        "send.py: only 33.3% are killed, of 90%",
        "survives, and docs/mutants.md does not say why: send.py, _copy",
        "is in docs/mutants.md, and is killed or gone: send.py, _Run.log",
    ]


def test_every_listed_mutant_has_its_file_its_routine_and_a_reason():
    text = LIST.read_text(encoding="utf-8")
    known = listed(text)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(known), "a row cannot be read, or stands there twice"
    for mutant, reason in known.items():
        assert mutant.file in FILES
        target = importlib.import_module(f"wintun_model.{mutant.file}")
        for part in mutant.routine.split("."):
            target = getattr(target, part)
        assert len(reason) > 10
