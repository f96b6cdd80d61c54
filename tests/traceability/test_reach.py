"""The tests named for a statement run the routines named for it (slow: all of them run again, under coverage)."""

from dataclasses import replace

import claims
import pytest
import reach
from claims import Entry

ENTRIES = claims.load()


@pytest.mark.slow
def test_the_tests_of_the_model_run_the_routines_beside_them(tmp_path):
    ran = reach.run(reach.named_tests(ENTRIES), tmp_path)
    wrong = reach.problems(ENTRIES, ran)
    assert not wrong, "\n" + "\n".join(wrong)


TEST = "tests/model/test_ring.py::test_x"
ENTRY = Entry("page-1", "text", code=("wintun_model.ring.align",), tests=(TEST,))


def test_a_test_that_passes_a_routine_by_is_told():
    align, wrap = reach.places_of("wintun_model.ring.align"), reach.places_of("wintun_model.ring.wrap")
    assert align and wrap and not align & wrap
    assert reach.problems([ENTRY], {TEST: align}) == []
    assert reach.problems([ENTRY], {TEST: wrap}) == [
        f"page-1: {TEST} runs none of its routines",
        "page-1: no test of the model that is named runs wintun_model.ring.align",
    ]
    both = replace(ENTRY, code=(*ENTRY.code, "wintun_model.ring.wrap"))
    assert reach.problems([both], {TEST: align}) == [
        "page-1: no test of the model that is named runs wintun_model.ring.wrap"
    ]


def test_a_table_need_not_run():
    entry = replace(ENTRY, code=("wintun_model.revision.REVISIONS",))
    assert reach.places_of("wintun_model.revision.REVISIONS") == frozenset()
    assert reach.problems([entry], {TEST: frozenset()}) == []


def test_the_line_of_its_definition_is_no_part_of_a_routine():
    lines = {line for _, line in reach.places_of("wintun_model.ring.align")}
    assert len(lines) == 1
