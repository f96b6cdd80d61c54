"""`wintunsim.conformance`: reading vectors, and the bytes that they describe."""

import json
import re
from pathlib import Path

import pytest

from wintunsim import UsageError
from wintunsim.conformance import FORMAT, bytes_of, load, ring_memory
from wintunsim.conformance.catalogue import GROUPS
from wintunsim.conformance.encoding import WIDEST, json_text
from wintunsim.conformance.notation import changes, pattern

ROOT = Path(__file__).resolve().parents[2]


def test_load_gives_typed_records(files):
    assert list(files) == sorted(files)
    send = files["send"]
    assert (send.name, send.revisions[0], send.revisions[-1]) == ("send", "0.8", "2026-02")
    (vector,) = [each for each in send.vectors if each.id == "driver-3-size-20"]
    assert (vector.kind, vector.section, vector.flags) == ("send", "driver §3", ())
    assert vector.revisions == send.revisions
    assert vector.expected["nbls"] == [0]
    assert files["ring"].revisions == files["ring"].vectors[0].revisions == ()


def test_vectors_by_kind_and_revision(files):
    receive = files["receive"]
    old, new = (receive.of_kind("receive", revision) for revision in ("0.8.1", "0.14"))
    assert {each.id for each in old} != {each.id for each in new}
    assert len(old) == len(new)
    assert all("0.14" in each.revisions for each in new)
    assert {each.kind for each in receive.vectors} == {"receive", "returns", "nbl", "header-pushed", "size-read-twice"}
    assert len(files["ring"].of_kind("align", "0.14")) == len(files["ring"].of_kind("align"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no valid JSON"),
        ("[]", "names no format"),
        ("{}", "names no format"),
        ('{"format": 2}', "has format 2, this wintunsim knows 1"),
        ('{"format": true}', "has format True"),
        ('{"format": 1}', "no list of vectors"),
        ('{"format": 1, "vectors": [1]}', "no list of vectors"),
        ('{"format": 1, "vectors": [{"id": "a"}]}', "lacks what format 1 has"),
        ('{"format": 1, "group": "a", "revisions": [], "notes": {}, "vectors": [{"id": "a", "flags": []}]}', "lacks"),
    ],
)
def test_load_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load(tmp_path)
    assert "a.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_of_nothing(tmp_path):
    with pytest.raises(UsageError, match="holds no vectors"):
        load(tmp_path)
    with pytest.raises(UsageError, match="is no directory"):
        load(tmp_path / "missing")
    assert FORMAT == 1


@pytest.mark.parametrize(
    ("description", "data"),
    [
        ("", b""),
        ("00ff", b"\x00\xff"),
        ({"size": 3, "fill": "a5"}, b"\xa5\xa5\xa5"),
        ({"size": 3, "fill": "00", "start": "45"}, b"\x45\x00\x00"),
        ({"size": 3, "pattern": 0}, bytes([0, 7, 14])),
        ({"size": 2, "pattern": 1, "start": "60"}, bytes([0x60, 38])),
        ({"size": 0, "pattern": 1}, b""),
    ],
)
def test_descriptions_of_bytes(description, data):
    assert bytes_of(description) == data


@pytest.mark.parametrize(
    "description",
    [
        "0",
        "zz",
        {},
        {"size": 2},
        {"size": 2, "fill": "0102"},
        {"size": 2, "fill": ""},
        {"size": 1, "fill": "00", "start": "0102"},
        {"size": "a", "fill": "00"},
    ],
)
def test_descriptions_that_make_no_sense(description):
    with pytest.raises(UsageError, match="describes no bytes"):
        bytes_of(description)


@pytest.mark.parametrize("seed", [0, 1, 200])
def test_the_pattern_is_the_documented_formula(seed):
    assert pattern(seed, 1000) == bytes((31 * seed + 7 * i + i // 128) % 128 for i in range(1000))


def test_ring_memory_is_as_documented():
    writes = [{"offset": 4, "bytes": "0102"}, {"offset": 8, "size": 0x10002, "bytes": "ff"}]
    words = {"head": 1, "tail": 0xFFFFFFFF, "alertable": 2}
    memory = ring_memory({"capacity": 32, **words, "fill": "a5", "writes": writes})
    assert len(memory) == 12 + 32 + 0x10000
    assert memory[:12].hex() == "01000000ffffffff02000000"
    assert memory[12:27].hex() == "a5a5a5a50102a5a502000100ffa5a5"
    assert set(memory[27:]) == {0xA5}


def test_changes_are_runs_as_long_as_possible():
    before = bytes(200)
    after = bytearray(before)
    after[0] = 1  # a word, no data
    after[12] = after[14] = after[15] = 1
    after[100:165] = bytes([2]) * 65
    found = changes(before, after)
    assert found[:2] == [{"offset": 0, "hex": "01"}, {"offset": 2, "hex": "0101"}]
    assert (found[2]["offset"], found[2]["size"], len(found[2]["sha256"])) == (88, 65, 64)
    assert changes(before, before) == []


def test_the_text_is_json_of_bounded_width():
    value = {"a": [{"b": [{"c": list(range(100)), "d": "§" * 10}]}], "e": {}, "f": [], "g": None, "h": ["x" * 30] * 9}
    text = json_text(value)
    assert json.loads(text) == value
    assert max(map(len, text.splitlines())) <= WIDEST
    assert text.endswith("}\n")


def test_the_page_is_right(monkeypatch):
    page = ROOT / "docs" / "vectors.md"
    text = page.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(ROOT)
    exec(compile(code, "docs/vectors.md", "exec"), {})
    table = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert table == list(GROUPS)
    assert all((page.parent / link).exists() for link in re.findall(r"\]\(([^)]+)\)", text))
