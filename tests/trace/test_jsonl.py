"""The trace as JSON lines: names in place of numbers, whole files under their name."""

import json
import subprocess
import sys

import pytest

from wintun_model.trace import FIELDS, Kind, Trace
from wintunsim.errors import UsageError
from wintunsim.trace.jsonl import JsonLines


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def trace():
    trace = Trace()
    for name in ("main", "send.Tail", "Häuschen"):
        trace.define(name)
    return trace


EXPECTED = {
    Kind.STORE: {"word": "send.Tail", "value": 7, "old": -9},
    Kind.SET: {"event": "send.Tail", "was_set": 7},
    Kind.CLEAR: {"event": "send.Tail"},
    Kind.WAIT: {"object": "send.Tail", "objects": 7, "deadline_ns": -9},
    Kind.WAKE: {"object": "send.Tail", "index": 7},
    Kind.REQUEST: {"device": "send.Tail", "code": 7, "length_bytes": -9},
    Kind.STATUS: {"device": "send.Tail", "status": 7, "information": -9},
    Kind.THREAD_START: {"started": "send.Tail", "priority": 7},
    Kind.THREAD_END: {"ended": "send.Tail", "exit_code": 7},
    Kind.SEND: {"source": "send.Tail", "packet": 7, "length_bytes": -9},
    Kind.COMPLETE: {"source": "send.Tail", "packet": 7, "status": -9},
    Kind.RECEIVE: {"adapter": "send.Tail", "packet": 7, "length_bytes": -9},
    Kind.RETURN: {"adapter": "send.Tail", "packet": 7, "status": -9},
    Kind.LINK: {"adapter": "send.Tail", "connected": 7},
    Kind.CLOSE: {"device": "send.Tail"},
    Kind.PROCESS_START: {"process": "send.Tail"},
    Kind.PROCESS_END: {"process": "send.Tail", "exit_code": 7},
    Kind.COMMAND: {"command": "send.Tail", "exit_code": 7},
    Kind.PAYLOAD: {"number": 2, "length_bytes": 7},
}


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.NAME], ids=lambda kind: kind.name)
def test_each_kind_has_its_fields_by_name(tmp_path, trace, kind):
    file = JsonLines(tmp_path / "trace.jsonl", trace)
    trace.record((123, 1, kind, 2, 7, -9))
    trace.flush()
    file.close()
    (line,) = lines_of(tmp_path / "trace.jsonl")
    fields = {key: value for key, value in line.items() if key not in ("t_ns", "thread", "kind")}
    assert (line["t_ns"], line["thread"], line["kind"]) == (123, "main", kind.name.lower())
    assert fields == EXPECTED.get(kind, fields)
    assert list(fields) == [name for name in FIELDS[kind] if name]


def test_a_line_as_it_stands_in_the_file(tmp_path, trace):
    file = JsonLines(tmp_path / "trace.jsonl", trace)
    trace.record((5, 0, Kind.SET, 3, 1, 0))
    trace.flush()
    file.close()
    assert (tmp_path / "trace.jsonl").read_bytes() == (
        b'{"t_ns":5,"thread":"-","kind":"set","event":"H\\u00e4uschen","was_set":1}\n'
    )


def test_names_have_no_lines_of_their_own(tmp_path, trace):
    file = JsonLines(tmp_path / "trace.jsonl", trace)
    number = trace.define("later", 10)
    trace.record((10, number, Kind.CLEAR, number, 0, 0))
    trace.define("unused")
    trace.flush()
    file.close()
    (line,) = lines_of(tmp_path / "trace.jsonl")
    assert (line["thread"], line["event"]) == ("later", "later")


def test_many_records_in_many_batches_come_whole_and_in_order(tmp_path, trace):
    file = JsonLines(tmp_path / "trace.jsonl", trace)
    for number in range(5000):
        trace.record((number, 1, Kind.SEND, 2, number, 20))
        trace.checkpoint()
    trace.flush()
    file.close()
    assert [line["packet"] for line in lines_of(tmp_path / "trace.jsonl")] == list(range(5000))


def test_the_file_appears_under_its_name_when_it_is_whole(tmp_path, trace):
    path = tmp_path / "trace.jsonl"
    path.write_text("old\n")
    file = JsonLines(path, trace)
    trace.record((5, 0, Kind.CLEAR, 3, 0, 0))
    trace.flush()
    assert path.read_text() == "old\n"
    assert (tmp_path / "trace.jsonl.part").exists()
    file.close()
    file.close()
    assert len(lines_of(path)) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["trace.jsonl"]


def test_an_empty_trace_is_an_empty_file(tmp_path):
    JsonLines(tmp_path / "trace.jsonl", Trace()).close()
    assert (tmp_path / "trace.jsonl").read_bytes() == b""


def test_writing_changes_no_digest(tmp_path):
    def digest(*, writes):
        trace = Trace()
        file = JsonLines(tmp_path / "trace.jsonl", trace) if writes else None
        number = trace.define("x")
        for time_ns in range(3000):
            trace.record((time_ns, number, Kind.SET, number, 0, 0))
            trace.checkpoint()
        if file is not None:
            file.close()
        trace.record((9999, 0, Kind.SET, number, 0, 0))
        return trace.digest()

    assert digest(writes=True) == digest(writes=False)
    # What had been recorded when it was closed is in the file, and no more.
    assert [line["t_ns"] for line in lines_of(tmp_path / "trace.jsonl")] == list(range(3000))


@pytest.mark.parametrize("path", ["missing/trace.jsonl", ".", "nul\0byte"])
def test_a_file_that_cannot_be_written_is_the_users_mistake(tmp_path, path):
    with pytest.raises(UsageError, match=r"the trace .* cannot be written \(.+\): choose another file"):
        JsonLines(tmp_path / path, Trace())
    assert list(tmp_path.iterdir()) == []


STANDARD_OUTPUT = """
import sys
from wintun_model.trace import Kind, Trace
from wintunsim.trace.jsonl import JsonLines

print("before", flush=True)
trace = Trace()
file = JsonLines("-", trace)
trace.record((1, 0, Kind.CLEAR, 0, 0, 0))
trace.flush()
file.close()
print("after")
"""


def test_standard_output_keeps_what_else_is_written_there(tmp_path):
    path = tmp_path / "output"
    with path.open("wb") as output:
        subprocess.run([sys.executable, "-c", STANDARD_OUTPUT], stdout=output, timeout=60, check=True)
    assert path.read_text() == 'before\n{"t_ns":1,"thread":"-","kind":"clear","event":"-"}\nafter\n'
