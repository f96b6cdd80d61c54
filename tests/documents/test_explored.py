"""What the documents on the explorer show is what it prints."""

import re

import pytest

from tests.documents import explored
from wintunsim.explore.rules import Rules
from wintunsim.explore.violation import Property

CASES = [(page.name, command, text) for page in explored.PAGES for command, text in explored.shown(page)]


@pytest.mark.parametrize(("page", "command", "text"), CASES, ids=[f"{page}: {command}" for page, command, _ in CASES])
def test_commands_print_what_is_shown(page, command, text, wintunsim):
    assert explored.steady(explored.printed(command, wintunsim)) == explored.steady(text), "run make explore-doc"


def test_every_page_shows_something():
    assert {page for page, _, _ in CASES} == {page.name for page in explored.PAGES}


def test_the_page_tells_every_rule_and_every_property():
    text = explored.PAGES[0].read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| (?:on|off) ", text, re.MULTILINE)) == set(Rules.__dataclass_fields__)
    for rule, state in re.findall(r"^\| `(\w+)` \| (on|off) ", text, re.MULTILINE):
        assert getattr(Rules(), rule) is (state == "on")
    told = " ".join(text.split())
    assert [each.value for each in Property if each is not Property.EXPECTATION and each.value not in told] == []
