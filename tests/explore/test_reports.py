"""Reports on counterexamples: a table for terminals, JSON with a schema, a page, and pytest functions."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import jsonschema
import pytest

from wintunsim.explore.report_html import counterexample_html
from wintunsim.explore.report_json import SCHEMA, report_json
from wintunsim.explore.report_pytest import pytest_text
from wintunsim.explore.report_text import counterexample_text

CASES = [("receive-wakeup", "0.8.1", "tso"), ("senders", "0.8.1", "sc"), ("senders", "0.8.1", "tso")]


@pytest.fixture(params=CASES, ids="-".join)
def told(request, found):
    return found(*request.param)[1]


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_table_fits_and_tells_every_step(told):
    text = counterexample_text(told)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert not any(line != line.rstrip() for line in lines)
    width = len(str(len(told.steps)))
    rows = [line for line in lines if re.match(rf"[ \d]{{{width - 1}}}\d [ ►]  ", line)]
    assert [int(line[:width]) for line in rows] == [step.number for step in told.steps]
    marked = [int(line[:width]) for line in rows if line[width + 1] == "►"]
    assert marked == [step.number for step in told.steps if step.is_decisive]


def test_each_thread_has_a_column(told):
    lines = counterexample_text(told).splitlines()
    (heads,) = [line for line in lines if line.startswith(" ") and " A " in line and " B " in line]
    acting = {step.thread for step in told.steps}
    for letter, name in zip("ABCDE", told.threads, strict=False):
        if name in acting:
            column = heads.index(f"{letter} {name}")
            first = next(step for step in told.steps if step.thread == name)
            (line,) = [line for line in lines if re.match(rf" *{first.number} [ ►]  ", line)]
            assert line[column:].split()[0] in (first.action.split()[0], "↯")


def test_ring_words_and_store_buffers_have_columns(found):
    for case in CASES:
        told = found(*case)[1]
        lines = counterexample_text(told).splitlines()
        (place,) = [place for place, line in enumerate(lines) if " Head Tail A" in line]
        assert ("store buffers" in lines[place - 1]) is (told.memory == "tso")
        (ring,) = {name for name in told.capacities if name in lines[place - 1]}
        first, *_, final = (
            line for line in lines[place + 1 :] if re.search(r" +(\d+|stop) +(\d+|stop) [01]( |$)", line)
        )
        for line, state in ((first, told.start[ring]), (final, told.steps[-1].rings[ring])):
            words = f"{state.head:>4} {state.tail:>4} {state.alertable}"
            assert line[lines[place].index("Head") :].startswith(words)


def test_a_long_name_is_broken_behind_a_dot(found):
    lines = counterexample_text(found("receive-wakeup", "0.8.1", "tso")[1], width=80).splitlines()
    assert any("receive." in line for line in lines)
    assert not re.search(r"\b(Alertab|disconnecte)\b|\0", "\n".join(lines))


def test_colour_changes_nothing_but_colour(told):
    coloured = counterexample_text(told, is_coloured=True)
    assert "\x1b[" in coloured
    assert [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()] == counterexample_text(
        told
    ).splitlines()


@pytest.mark.parametrize("width", [80, 160])
def test_other_widths_are_kept_too(found, width):
    lines = counterexample_text(found(*CASES[0])[1], width=width).splitlines()
    assert lines[-1].startswith("Run it again: wintunsim explore --replay ")  # a line to copy is not broken
    assert max(map(len, lines[:-1])) <= width


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_json_fits_its_schema(found):
    rows = [found(*case) for case in CASES]
    answer = json.loads(report_json(rows))
    jsonschema.validate(answer, SCHEMA)
    for fields, (explored, told) in zip(answer["explorations"], rows, strict=True):
        assert fields["verdict"] == "broken" and fields["is_expected"]
        assert fields["counterexample"]["reference"] == told.reference
        assert fields["executions"] == explored.outcome.executions
        assert [step["text"] for step in fields["counterexample"]["steps"]] == [step.text for step in told.steps]


# -- the page ---------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The tags and scripts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts.append(data)


def test_the_page_is_one_file_with_everything_in_it(told):
    text = counterexample_html(told)
    page = Page(text)
    assert not any(key in ("src", "href") for _, attributes in page.tags for key in attributes)
    assert "url(" not in text and "@import" not in text
    (data,) = re.findall(r"^const found = (.*);$", text, re.MULTILINE)
    assert json.loads(data)["reference"] == told.reference


def test_what_users_name_cannot_become_markup(found):
    from dataclasses import replace

    told = replace(found(*CASES[0])[1], title="</script><b>&", scenario="<i>")
    text = counterexample_html(told)
    assert "</script><b>" not in text and "<i>" not in text
    assert "\\u003c/script>" in text and "<title>&lt;i&gt;: &lt;/script&gt;&lt;b&gt;&amp;</title>" in text


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not there")
def test_a_browser_shows_the_step_that_the_address_names(told, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(counterexample_html(told), encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        f"file://{path}#{len(told.steps)}",
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout
    last = told.steps[-1]
    assert f"step {last.number} of {len(told.steps)} · {last.thread}" in shown
    assert len(re.findall(r"<tr class=\"[^\"]*\bdecisive\b", shown)) == sum(step.is_decisive for step in told.steps)
    assert len(re.findall(r"<tr class=\"[^\"]*\bnow\b", shown)) == 1


# -- pytest -----------------------------------------------------------------------------------------------------------


def functions(text):
    namespace = {}
    exec(compile(text, "test_found.py", "exec"), namespace)
    return [value for name, value in namespace.items() if name.startswith("test_")]


def test_the_functions_pass_as_long_as_the_schedules_break_the_same(found):
    there = functions(pytest_text(found(*case)[1] for case in CASES))
    assert len(there) == len(CASES)
    for function in there:
        function()


def test_a_function_fails_when_its_schedule_breaks_nothing(found):
    told = found(*CASES[1])[1]
    (function,) = functions(pytest_text([told]).replace(told.schedule, told.schedule[:5]))
    with pytest.raises(AssertionError, match="the schedule breaks nothing any more"):
        function()


def test_a_function_fails_when_something_else_breaks(found):
    told = found(*CASES[1])[1]
    (function,) = functions(pytest_text([told]).replace(told.what, "something else"))
    with pytest.raises(AssertionError):
        function()


def test_the_functions_are_well_formed(found, tmp_path):
    path = tmp_path / "test_found.py"
    path.write_text(pytest_text(found(*case)[1] for case in CASES), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,I", "--line-length", "200", str(path)],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
