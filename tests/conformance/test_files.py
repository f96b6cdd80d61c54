"""The golden vectors as files: they are what the model says, in the same bytes always, and as their schemas say."""

import json
import os
import re
import subprocess
import sys
from collections import Counter

import jsonschema
import pytest

from wintun_model.revision import REVISIONS
from wintunsim.conformance.catalogue import GROUPS
from wintunsim.conformance.notes import BUG_IN

SECTIONS = {
    *(f"driver §{number}" for number in (1, 3, 4, 5, 6, 7, 9)),
    "win32 §6",
    *(f"installer §{number}" for number in (2, 3, 4, 5)),
}


def bytes_in(directory):
    files = {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*.*")}
    return {name: data for name, data in files.items() if not name.startswith(".")}


def test_the_golden_vectors_are_what_the_model_says_for_any_hash_seed(directory, tmp_path):
    # Should the bytes differ on purpose: python -m wintunsim vectors --out vectors
    command = [sys.executable, "-m", "wintunsim", "vectors", "--out", str(tmp_path / "again")]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "4711"}, timeout=100)
    written, golden = bytes_in(tmp_path / "again"), bytes_in(directory)
    assert written.keys() == golden.keys()
    assert [name for name in written if written[name] != golden[name]] == []


@pytest.mark.parametrize(
    "group", ["abi", "ring", *(pytest.param(name, marks=pytest.mark.slow) for name in ("oids", "session"))]
)
def test_a_group_is_made_in_the_same_bytes_twice(group):
    assert GROUPS[group].texts() == GROUPS[group].texts()


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_a_file_is_as_its_schema_says(group, step, directory, documents):
    """The quick test looks at some vectors of each kind."""
    document = documents[GROUPS[group].file]
    schema = json.loads((directory / document["schema"]).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    by_kind = {}
    for vector in document["vectors"]:
        by_kind.setdefault(vector["kind"], []).append(vector)
    some = [vector for vectors in by_kind.values() for vector in vectors[::step]]
    # Where all are looked at, the file is as it is.
    looked_at = document if step == 1 else {**document, "vectors": some}
    jsonschema.validate(looked_at, schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("group", GROUPS)
def test_the_schema_refuses_what_is_wrong(group, documents):
    validator = jsonschema.Draft202012Validator(GROUPS[group].schema())
    document = {**documents[GROUPS[group].file]}
    first = document["vectors"][0]
    for wrong in (
        {**first, "more": 1},
        {name: value for name, value in first.items() if name != "expected"},
        {**first, "kind": "of no kind"},
        {**first, "input": {}},
        {**first, "expected": {**first["expected"], "more": 1}},
        {**first, "section": "page 7"},
    ):
        assert not validator.is_valid({**document, "vectors": [wrong]})
    assert validator.is_valid({**document, "vectors": [first]})
    assert not validator.is_valid({**document, "format": 99})


def test_every_file_says_what_it_is(documents):
    assert {name.removesuffix(".json") for name in documents} == set(GROUPS)
    for name, document in documents.items():
        assert document["format"] == 1
        assert document["group"] + ".json" == name
        assert document["count"] == len(document["vectors"])
        assert document["generator"]["program"] == "wintunsim vectors"
        used = {flag for vector in document["vectors"] for flag in vector["flags"]}
        assert used == set(document["notes"])
        assert all(document["notes"].values())


def test_ids_are_unique_and_name_their_section(files):
    vectors = [vector for file in files.values() for vector in file.vectors]
    assert [key for key, count in Counter(vector.id for vector in vectors).items() if count > 1] == []
    for vector in vectors:
        assert vector.id.startswith(vector.section.replace(" §", "-") + "-"), vector.id
        assert re.fullmatch(r"[a-z0-9.-]+", vector.id)
        assert vector.comment


def test_every_section_has_vectors(files):
    sections = {vector.section for file in files.values() for vector in file.vectors}
    assert {section for section in SECTIONS if not any(each.split(".")[0] == section for each in sections)} == set()


def test_bugs_that_need_no_interleaving_have_vectors_where_they_are(files):
    vectors = [vector for file in files.values() for vector in file.vectors]
    for bug, is_in in BUG_IN.items():
        showing = [vector for vector in vectors if bug in vector.flags]
        assert showing, bug
        shown_in = {name for vector in showing for name in vector.revisions}
        assert shown_in <= {name for name, revision in REVISIONS.items() if is_in(revision)}
        assert "0.8.1" in shown_in
    assert {flag for vector in vectors for flag in vector.flags if flag.startswith("bug:")} == set(BUG_IN)


def test_an_input_has_one_outcome_in_each_revision(files):
    for file in files.values():
        inputs = {}
        for vector in file.vectors:
            if not file.revisions:
                continue
            key = (vector.section, vector.comment, vector.kind, json.dumps(vector.input))
            inputs.setdefault(key, []).extend(vector.revisions)
        for revisions in inputs.values():
            # The same input may stand there under two names, in all revisions each time.
            counts = set(Counter(revisions).values())
            assert set(revisions) == set(file.revisions)
            assert len(counts) == 1


def test_they_stay_small(directory):
    assert sum(len(data) for data in bytes_in(directory).values()) < 3_000_000


def test_the_runner_of_the_readme_runs(directory, capsys):
    readme = (directory / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(code.splitlines()) < 40
    names = {"__name__": "runner"}
    exec(compile(code, "README.md", "exec"), names)
    assert names["run"](str(directory), "ring", "0.14")
    passed, _, failed, *_ = capsys.readouterr().out.split()
    assert int(passed) > 100
    assert failed == "0"
    names["IMPLEMENTED"]["align"] = lambda described: {"value": 0}
    assert not names["run"](str(directory), "ring", "0.14")
