"""Every statement of the specification has its routine and its tests, and docs/coverage.md says so."""

from dataclasses import replace

import claims
import pytest
from claims import Entry
from coverage_report import TARGET, render
from specification import Statement, read, read_all, slug, split

PAGES = read_all()
STATEMENTS = [statement for page in PAGES for statement in page.statements]
ENTRIES = claims.load()


def test_nothing_is_wrong():
    wrong = claims.problems(STATEMENTS, ENTRIES)
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_page_is_up_to_date():
    is_up_to_date = TARGET.read_text(encoding="utf-8") == render(PAGES, ENTRIES)
    assert is_up_to_date, "docs/coverage.md is not what the specification and the tables say: run make coverage-doc"


def test_the_page_names_every_statement_once_in_the_summary():
    text = TARGET.read_text(encoding="utf-8")
    assert f"| **all** | **{len(STATEMENTS)}** |" in text
    assert [one.id for one in STATEMENTS if f"| **{one.id}**<br>" not in text and f"| {one.id} |" not in text] == []


def test_only_a_few_statements_are_pending():
    waiting = [entry.unit for entry in ENTRIES if "exploring executor" in entry.pending]
    assert len(waiting) <= 3, f"these wait for the exploring executor: {', '.join(waiting)}"


# -- how the specification is read ------------------------------------------------------------------------------------

PAGE = """\
# A page

Before all sections.

## 1 First

- **Bold words**: a fact; another one
  that goes on (with this; in parentheses). A third.
- Plain words (of some kind): a fact.
- a bullet without a name.

A paragraph. `Code. With; marks` belongs to it.

## 2 Second

1. One step.
2. Another; in
   two parts.

### 2.1 Inside

Only this.

| # | check | status |
| --- | --- | --- |
| 1 | first | A |
| 2\N{EN DASH}4 | others | B |

| revision | date | what |
| --- | --- | --- |
| **0.1** | 2020 | one; two |
"""


def test_ids_of_all_kinds_of_blocks():
    assert {statement.id: statement.text for statement in read("page", PAGE).statements} == {
        "page-0": "Before all sections.",
        "page-1-bold-words-a": "**Bold words**: a fact;",
        "page-1-bold-words-b": "another one that goes on (with this; in parentheses).",
        "page-1-bold-words-c": "A third.",
        "page-1-plain-words": "Plain words (of some kind): a fact.",
        "page-1-b3": "a bullet without a name.",
        "page-1-p1-a": "A paragraph.",
        "page-1-p1-b": "`Code. With; marks` belongs to it.",
        "page-2.1": "One step.",
        "page-2.2-a": "Another;",
        "page-2.2-b": "in two parts.",
        "page-2.1-p1": "Only this.",
        "page-2.1-check-1": "1 | first | A",
        "page-2.1-check-2-4": "2\N{EN DASH}4 | others | B",
        "page-2.1-0.1-date": "2020",
        "page-2.1-0.1-a": "one;",
        "page-2.1-0.1-b": "two",
    }


def test_two_statements_never_have_one_id():
    with pytest.raises(ValueError, match="page-1-same"):
        read("page", "## 1 First\n\n- Same: this.\n- Same: that.\n")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One.", ["One."]),
        ("One. Two.", ["One.", "Two."]),
        ("**One.** Two", ["**One.**", "Two"]),
        ("one (a. b; c) two; three", ["one (a. b; c) two;", "three"]),
        ("(A whole one. In parentheses.) And more.", ["(A whole one. In parentheses.)", "And more."]),
        ("{a; b} stays, e.g. this, `x; y` too", ["{a; b} stays, e.g. this, `x; y` too"]),
        ("the 0.8.1 of version 1.5 stays", ["the 0.8.1 of version 1.5 stays"]),
    ],
)
def test_where_a_statement_ends(text, parts):
    assert split(text) == parts


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("capacity C", "capacity"),
        ("`TUN_IOCTL_REGISTER_RINGS`", "TUN_IOCTL_REGISTER_RINGS"),
        ("**B7**", "B7"),
        ("Pause", "pause"),
        ("EvaluateWintun", "EvaluateWintun"),
        ("10\N{EN DASH}14", "10-14"),
        ("one two three four five six seven", "one-two-three-four-five-six"),
    ],
)
def test_names_in_ids(text, part):
    assert slug(text) == part


# -- what is checked --------------------------------------------------------------------------------------------------

STATEMENT = Statement("page-1", "page", "1", "Packets are aligned to 4.")
GOOD = Entry(
    "page-1",
    "are aligned",
    code=("wintun_model.ring.align",),
    tests=("tests/model/test_ring.py::test_align_wraps_at_32_bits",),
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "page-2"}, "page-2: the specification has no such statement"),
        ({"text": "are padded"}, "page-1: the statement does not say 'are padded' (any more)"),
        ({"text": ""}, "page-1: the statement does not say '' (any more)"),
        ({"code": ()}, "page-1: names no code"),
        ({"code": (), "pending": "something"}, "page-1: names no code"),
        ({"tests": ()}, "page-1: names no test"),
        ({"code": ("wintun_model.ring.pad",)}, "page-1: there is no wintun_model.ring.pad"),
        ({"code": ("wintun_model.ring",)}, "page-1: there is no wintun_model.ring"),
        ({"code": ("wintun_model.missing.name",)}, "page-1: there is no wintun_model.missing.name"),
        ({"code": ("os.getcwd",)}, "page-1: there is no os.getcwd"),
        ({"tests": ("tests/model/test_ring.py::test_x",)}, "page-1: there is no test tests/model/test_ring.py::test_x"),
        ({"tests": ("tests/none.py::test_x",)}, "page-1: there is no test tests/none.py::test_x"),
        ({"informative": "why"}, "page-1: an informative statement has no code and no tests"),
    ],
)
def test_what_does_not_hold_is_told(change, message):
    assert message in claims.problems([STATEMENT], [replace(GOOD, **change)])


def test_what_holds_is_no_problem():
    assert claims.problems([STATEMENT], [GOOD]) == []
    assert claims.problems([STATEMENT], [replace(GOOD, tests=(), pending="the explorer")]) == []
    assert claims.problems([STATEMENT], [Entry("page-1", "aligned", informative="why")]) == []


def test_a_statement_without_an_entry_is_told():
    assert claims.problems([STATEMENT], []) == ["page-1: nothing is said of this statement"]


def test_a_statement_is_not_both():
    both = [GOOD, Entry("page-1", "aligned", informative="why")]
    assert claims.problems([STATEMENT], both) == ["page-1: is said to be informative and is shown all the same"]


@pytest.mark.parametrize(
    "name",
    [
        "wintun_model.adapter.ReceiveNbl.peek",
        "wintun_model.abi.Limits.trailing_bytes",
        "wintun_model.revision.REVISIONS",
        "wintunsim.simulation.Simulation",
    ],
)
def test_functions_methods_properties_and_constants_are_found(name):
    assert claims.resolve(name) is not None
    assert claims.module_of(name) == ".".join(name.split(".")[:2])
