"""`wintunsim vectors`: writing, checking, and what it says when something is wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wintunsim.cli import main
from wintunsim.conformance.catalogue import GROUPS, Group

GOLDEN = Path(__file__).resolve().parents[1] / "vectors"
ONLY = ["--only", "abi"]


@pytest.fixture
def ask(capsys):
    """Run the command: (exit code, standard output, standard error)."""

    def run(*words):
        code = main(["vectors", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def written(ask, tmp_path):
    """A directory with the small group."""
    directory = tmp_path / "made" / "vectors"
    assert ask("--out", directory, *ONLY)[0] == 0
    return directory


def recorded_texts(group):
    return {name: (GOLDEN / name).read_text(encoding="utf-8") for name in (group.file, group.schema_file)}


def edit(directory, change, name="abi.json"):
    path = directory / name
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_writing_one_group(ask, tmp_path):
    directory = tmp_path / "new"
    code, out, err = ask("--out", directory, *ONLY)
    assert (code, err) == (0, "")
    assert out.startswith("wintunsim: 8") and out.endswith(f"vectors in 1 file written to {directory}\n")
    names = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    assert names == ["abi.json", "schemas/abi.schema.json"]
    assert (directory / "abi.json").read_bytes() == (GOLDEN / "abi.json").read_bytes()


def test_several_groups_and_over_what_is_there(ask, written):
    (written / "abi.json").write_text((written / "abi.json").read_text().replace("limit", "LIMIT"))
    code, out, _ = ask("--out", written, *ONLY, "--only", "ring")
    assert (code, "2 files" in out) == (0, True)
    assert (written / "abi.json").read_bytes() == (GOLDEN / "abi.json").read_bytes()
    assert not list(written.rglob("*.part"))


def test_the_golden_directory_matches(ask):
    assert ask("--check", GOLDEN, *ONLY, "--only", "oids") == (0, f"wintunsim: {GOLDEN} matches\n", "")


def test_a_whole_directory_is_checked_for_what_should_not_be_there(ask, tmp_path, monkeypatch):
    # All the rest of it matches, in every group. That the model says so is asked elsewhere, and takes long.
    monkeypatch.setattr(Group, "texts", recorded_texts)
    directory = tmp_path / "vectors"
    shutil.copytree(GOLDEN, directory)
    (directory / "README.md").write_text("another text")
    (directory / "more.json").write_text("{}")
    (directory / ".hidden").write_text("")
    (directory / "send.json").unlink()
    code, out, err = ask("--check", directory)
    assert code == 1
    assert out.splitlines() == [
        "send.json: missing",
        "README.md: another text than expected",
        "more.json: is no file of this version",
    ]
    assert err == f"wintunsim: {directory} differs in 3 places\n"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            lambda document: document["vectors"][0]["expected"].update(value=7),
            ["abi.json: driver-1-constant-head-offset: expected.value: expected 0, found 7"],
        ),
        (
            lambda document: document["vectors"][0]["expected"].update(value=False),
            ["abi.json: driver-1-constant-head-offset: expected.value: expected 0, found false"],
        ),
        (
            lambda document: document["vectors"][0]["flags"].append("new"),
            ['abi.json: driver-1-constant-head-offset: flags: expected [], found ["new"]'],
        ),
        (
            lambda document: document["vectors"][0].pop("comment"),
            ['abi.json: driver-1-constant-head-offset: comment: expected "the value of HEAD_OFFSET", found nothing'],
        ),
        (
            lambda document: document["vectors"][0].update(more="x" * 200),
            [f'abi.json: driver-1-constant-head-offset: more: expected nothing, found "{"x" * 99}...'],
        ),
        (lambda document: document["vectors"].pop(0), ["abi.json: driver-1-constant-head-offset: missing"]),
        (
            lambda document: document["vectors"].append({**document["vectors"][0], "id": "own-1"}),
            ["abi.json: own-1: no such vector expected"],
        ),
        (
            lambda document: document["vectors"].append(document["vectors"][0]),
            ["abi.json: several vectors have the same id"],
        ),
        (lambda document: document["vectors"].reverse(), ["abi.json: the vectors stand in another order"]),
        (lambda document: document.update(count=1), ["abi.json: count: expected "]),
        (lambda document: document.pop("notes"), ["abi.json: notes: expected "]),
        (lambda document: document.update(generator=None), ["abi.json: generator: expected "]),
    ],
)
def test_differences_are_told(ask, written, change, lines):
    edit(written, change)
    code, out, err = ask("--check", written, *ONLY)
    assert code == 1
    found = out.splitlines()
    assert [line[: len(expected)] for line, expected in zip(found, lines, strict=False)] == lines
    assert err.startswith(f"wintunsim: {written} differs in {len(found)} place")


def test_layout_and_the_version_of_the_generator_are_no_difference(ask, written):
    edit(written, lambda document: document["generator"].update(version="99"))
    schema = written / "schemas" / "abi.schema.json"
    schema.write_bytes(schema.read_bytes().replace(b"\n", b"\r\n"))
    assert ask("--check", written, *ONLY)[0] == 0


def test_schemas_are_compared_too(ask, written):
    (written / "schemas" / "abi.schema.json").write_text("{}")
    assert ask("--check", written, *ONLY)[:2] == (1, "schemas/abi.schema.json: another text than expected\n")


def test_many_differences_are_cut_off(ask, written):
    edit(written, lambda document: [vector.update(comment="") for vector in document["vectors"]])
    _, out, err = ask("--check", written, *ONLY)
    lines = out.splitlines()
    assert len(lines) == 51
    assert lines[-1].startswith("... and ") and lines[-1].endswith(" more")
    assert int(err.split()[-2]) == 50 + int(lines[-1].split()[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no valid JSON"),
        ("[" * 100_000, "is no valid JSON"),
        ("\udcff", "is no valid JSON"),
        ('{"format": 2, "vectors": []}', "has format 2, this wintunsim knows 1"),
        ('{"format": 1, "vectors": {}}', "has no list of vectors"),
        ('{"format": 1, "vectors": [{"id": [1]}]}', "has no list of vectors with ids"),
        ("7", "is no file of vectors"),
    ],
)
def test_what_cannot_be_compared(ask, written, text, message):
    (written / "abi.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    code, out, err = ask("--check", written, *ONLY)
    assert (code, out) == (2, "")
    assert message in err and "abi.json" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to do"),
        (ONLY, "nothing to do"),
        (["--out", ""], "--out names no directory"),
        (["--check", ""], "--check names no directory"),
        (["--check", "missing"], "missing is no directory"),
        (["--out", "x", "--only", "bogus"], "'bogus' is none of the groups: give one of abi, ring, registration"),
        (["--out", "x", "extra"], "there is no option extra"),
    ],
)
def test_mistakes(ask, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = ask(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_out_and_check_exclude_each_other(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["vectors", "--out", "a", "--check", "b"])
    assert caught.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def _foreign_file(directory):
    directory.mkdir()
    (directory / "notes.txt").write_text("mine")


def _foreign_readme(directory):
    directory.mkdir()
    (directory / "README.md").write_text("# My project\n")


def _foreign_json(directory):
    directory.mkdir()
    (directory / "send.json").write_text("{}")


def _foreign_folder(directory):
    (directory / "src").mkdir(parents=True)


def _foreign_schema(directory):
    (directory / "schemas").mkdir(parents=True)
    (directory / "schemas" / "own.json").write_text("{}")


def _file(directory):
    directory.write_text("mine")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_foreign_file, "holds notes.txt, which is no file of vectors"),
        (_foreign_readme, "holds a README.md that is not of wintunsim"),
        (_foreign_json, "holds a send.json that is not of wintunsim"),
        (_foreign_folder, "holds src, which is no file of vectors"),
        (_foreign_schema, "holds schemas/own.json, which is no file of vectors"),
        (_file, "is a file: name a directory"),
    ],
)
def test_nothing_foreign_is_overwritten(ask, tmp_path, make, message):
    directory = tmp_path / "there"
    make(directory)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, _, err = ask("--out", directory, *ONLY)
    assert (code, message in err, "name a" in err) == (2, True, True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_directory_that_cannot_be_made(ask, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = ask("--out", tmp_path / "file" / "inner", *ONLY)
    assert (code, "cannot be made" in err) == (2, True)


def test_help_lists_the_groups(capsys):
    with pytest.raises(SystemExit):
        main(["vectors", "--help"])
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in GROUPS)
    assert "exit code" in text


def test_the_command_lines_help_stays_light():
    code = "import sys, wintunsim.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: print('numpy' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert process.stdout.endswith("False\n")
    assert "vectors" in process.stdout
