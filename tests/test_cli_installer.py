"""`wintunsim installer`: tables, JSON, scenario files, mistakes."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from wintunsim.cli import main

ROOT = Path(__file__).resolve().parents[1]
UPGRADE = ["--upgrade", "major", "--installed-version", "0.8", "--new-version", "0.8.1"]


@pytest.fixture
def ask(capsys):
    """Run the command: (exit code, standard output, standard error)."""

    def run(*words):
        code = main(["installer", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def answer(ask):
    """The JSON answer."""

    def run(*words):
        code, out, err = ask(*words, "--format", "json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return run


def events(report):
    found = [(event["number"], session["name"], event) for session in report["sessions"] for event in session["events"]]
    return sorted(found, key=lambda one: one[0])


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_worked_example_of_the_page(ask):
    page = (ROOT / "docs/installer.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    command, *excerpts = blocks
    program, *words = shlex.split(command)
    assert (program, words.pop(0)) == ("wintunsim", "installer")
    code, out, err = ask(*words)
    assert (code, err) == (0, "")
    assert len(excerpts) == 3
    for excerpt in excerpts:
        assert excerpt in out


def test_the_page_is_right_about_the_other_outcomes(ask):
    late = ["--remove-existing-products", "after-install-finalize"]
    endings = [
        ask(*UPGRADE, "--revision", revision, *options)[1].splitlines()[-1]
        for options in ([], late)
        for revision in ("0.8", "0.8.1")
    ]
    assert endings == [
        "revision 0.8: Wintun is NOT installed after this",
        "revision 0.8.1: Wintun is installed (0.8.1) after this",
        "revision 0.8: Wintun is installed (0.8) after this",
        "revision 0.8.1: Wintun is installed (0.8.1) after this",
    ]


def test_the_table_of_a_small_session(ask):
    _, out, _ = ask("--new-version", "0.8.1", "--new-hash", "0123456789abcdef0")
    rows = [re.split(r"\s{2,}", line) for line in out.splitlines()]
    assert rows[0] == [
        *("#", "session", "action", "what happens", "driver"),
        *("adapters", "recorded", "component held by"),
    ]
    assert rows[2] == ["", "before", "-", "-", "no key", "-"]
    assert ["1-2", "install", "CostInitialize, FileCost"] in rows
    assert ["20", "install", "> ProcessWintun: copy-inf", "oem1.inf", "0.8.1"] in rows
    assert ["", "after", "0.8.1", "-", "0.8.1 / 0 /", "product"] in rows
    assert "0123456789abc..." in out
    assert out.splitlines()[-2] == "session install of product: succeeded"


def test_the_table_names_every_action_once_in_order(ask, answer):
    _, out, _ = ask(*UPGRADE, "--other-products", "1")
    report = answer(*UPGRADE, "--other-products", "1")
    numbers = [line.split()[0] for line in out.splitlines() if re.match(r"\d", line)]
    covered = []
    for text in numbers:
        first, _, last = text.partition("-")
        covered += range(int(first), int(last or first) + 1)
    assert covered == [number for number, _, _ in events(report)]


def test_lines_of_the_table_end_without_blanks(ask):
    _, out, _ = ask(*UPGRADE, "--adapter", "a,handles=2", "--adapter", "b,disabled", "--adapter", "c,absent")
    assert all(line == line.rstrip() for line in out.splitlines())
    assert "a on (2 handles), b" in out
    assert "c absent" in out


def test_failures_stand_out(ask):
    code, out, _ = ask("--new-version", "1", "--fail", "copy-inf:5", "--fail", "list-devices:0")
    assert code == 0
    assert "ERROR: failed with error 15609" in out
    assert "WARNING: rollback: nothing is undone" in out
    assert "session install of product: failed with error 1603" in out
    _, out, _ = ask("--upgrade", "minor", "--installed-version", "0", "--new-version", "1", "--fail", "unload")
    assert "WARNING: still loaded: a reboot is likely to" in out
    assert "1; loaded 0" in out
    assert out.splitlines()[-1] == "revision 0.8.1: Wintun is installed (1) after this, 1 warning"


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_json_has_every_session_with_its_actions_and_states(answer):
    report = answer(*UPGRADE, "--revision", "0.8", "--fail", "removal/unload")
    assert report["format"] == 1
    assert report["scenario"] == {
        "upgrade": "major",
        "revision": "0.8",
        "old_revision": "0.8",
        "remove_existing_products": "InstallValidate",
        "other_products": 0,
        "installed": {"version": "0.8", "hash": "hash of 0.8", "time": "0"},
        "new": {"version": "0.8.1", "hash": "hash of 0.8.1", "time": "0"},
        "faults": [{"step": "unload", "target": "", "session": "removal", "error": 31}],
    }
    assert [(one["name"], one["product"], one["parent"], one["error"]) for one in report["sessions"]] == [
        ("major", "new", None, 0),
        ("removal", "old", "major", 0),
    ]
    assert [number for number, _, _ in events(report)] == list(range(1, len(events(report)) + 1))
    assert events(report)[-1][2]["state"] == report["end"]
    assert report["end"]["loaded"] == "0.8"
    assert report["is_wintun_installed"] is False
    assert report["error"] == 0
    assert report["start"] == {
        "driver_store": [{"inf": "oem1.inf", "version": "0.8"}],
        "loaded": "0.8",
        "adapters": [
            {
                "name": "Wintun",
                "hardware_id": "wintun",
                "present": True,
                "disabled": False,
                "readable": True,
                "handles": 1,
                "driver": "0.8",
            }
        ],
        "registry": {
            "": {"type": "REG_DWORD", "data": 1},
            "InstallerHash": {"type": "REG_SZ", "data": "hash of 0.8"},
            "InstallerBuildtime": {"type": "REG_SZ", "data": "0"},
            "Version": {"type": "REG_SZ", "data": "0.8"},
        },
        "clients": ["old"],
        "elapsed_ms": 0,
    }


def test_json_of_single_sessions(answer):
    report = answer("--upgrade", "uninstall", "--installed-version", "0.8")
    assert (report["scenario"]["new"], report["scenario"]["old_revision"]) == (None, None)
    assert report["scenario"]["remove_existing_products"] is None
    assert report["end"]["registry"] is None
    assert answer("--upgrade", "uninstall")["scenario"]["installed"] is None
    again = answer("--upgrade", "reinstall", "--installed-version", "0.8", "--installed-time", "7")
    assert again["scenario"]["new"] == {"version": "0.8", "hash": "hash of 0.8", "time": "7"}


# -- files ------------------------------------------------------------------------------------------------------------

TOML = """
upgrade = "minor"
revision = "0.8"
driver_store = ["0.8", "0.7"]
clients = ["product", "another"]
unload_ms = 120

[installed]
version = "0.8"
[new]
version = "0.8.1"
hash = "abc"
time = "9"
[[adapters]]
name = "a"
handles = 2
[[adapters]]
name = "b"
unreadable = true
absent = true
hardware_id = "tap"
[[faults]]
step = "update"
error = 5
[registry]
Version = "0.1"
InstallerBuildtime = { data = 3 }
InstallerHash = { type = "REG_EXPAND_SZ", data = "x" }
"""


def test_a_scenario_may_be_a_toml_file(answer, tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(TOML, encoding="utf-8")
    report = answer("--scenario", str(path))
    assert report["scenario"]["new"] == {"version": "0.8.1", "hash": "abc", "time": "9"}
    start = report["start"]
    assert [copy["version"] for copy in start["driver_store"]] == ["0.8", "0.7"]
    assert (start["loaded"], start["clients"]) == ("0.7", ["product", "another"])
    assert [(one["name"], one["handles"], one["present"], one["readable"]) for one in start["adapters"]] == [
        ("a", 2, True, True),
        ("b", 0, False, False),
    ]
    assert start["registry"]["Version"] == {"type": "REG_SZ", "data": "0.1"}
    assert start["registry"]["InstallerBuildtime"] == {"type": "REG_DWORD", "data": 3}
    assert start["registry"]["InstallerHash"]["type"] == "REG_EXPAND_SZ"
    assert report["end"]["elapsed_ms"] == 200 + 150
    # Options go before the file's fields.
    report = answer("--scenario", str(path), "--new-version", "0.9", "--revision", "0.8.1", "--fail", "copy-inf")
    assert report["scenario"]["new"] == {"version": "0.9", "hash": "abc", "time": "9"}
    assert (report["scenario"]["revision"], report["error"]) == ("0.8.1", 1603)


def test_null_in_a_json_file_is_undefined_or_not_there(answer, tmp_path):
    path = tmp_path / "scenario.json"
    fields = {
        "upgrade": "minor",
        "new": {"version": None, "hash": None, "time": None},
        "installed": {"version": "0.8"},
        "registry": {"Version": None},
        "adapters": [],
        "revision": None,
    }
    path.write_text(json.dumps(fields), encoding="utf-8")
    report = answer("--scenario", str(path))
    assert report["scenario"]["new"] == {"version": None, "hash": None, "time": None}
    assert (report["start"]["loaded"], list(report["start"]["registry"])) == (
        None,
        ["", "InstallerHash", "InstallerBuildtime"],
    )
    assert report["end"]["driver_store"] == [{"inf": "oem1.inf", "version": ""}]


# -- mistakes ---------------------------------------------------------------------------------------------------------

NEW = ["--new-version", "1"]
MISTAKES = [
    (["--upgrade", "big"], "--upgrade: 'big' is none of install, reinstall, minor, major, uninstall"),
    ([], "--new-version: the Wintun that the package of this install brings is missing"),
    (["--upgrade", "reinstall"], "--new-version: the Wintun that the package of this reinstall brings is missing"),
    (["--new-hash", "x"], "--new: the version is missing: give --new-version (in a file: new.version)"),
    ([*NEW, "--installed-time", "3"], "--installed: the version is missing: give --installed-version"),
    (["--upgrade", "uninstall", *NEW], "--new-version: an uninstallation brings no Wintun"),
    ([*NEW, "--remove-existing-products", "after-install-execute"], "--remove-existing-products: only a major upgrade"),
    ([*NEW, "--old-revision", "0.8"], "--old-revision: only a major upgrade has it"),
    (
        [*UPGRADE, "--remove-existing-products", "last"],
        "--remove-existing-products: 'last' is none of after-install-va",
    ),
    ([*NEW, "--revision", "0.9"], "--revision: '0.9' is none of 0.8, 0.8.1"),
    ([*UPGRADE, "--old-revision", "1"], "--old-revision: '1' is none of 0.8, 0.8.1"),
    ([*NEW, "--other-products", "-1"], "--other-products: '-1' is no number: give 0 to 1000"),
    ([*NEW, "--other-products", "1001"], "--other-products: 1001 is out of range: give 0 to 1000"),
    ([*NEW, "--adapter", "a,big"], "--adapter a,big: 'big' is none of disabled, absent, unreadable, handles=N"),
    ([*NEW, "--adapter", "a,handles=x"], "--adapter a,handles=x: 'handles=x' is none of"),
    ([*NEW, "--adapter", "a,handles=99999999999"], "adapters: handles: 9999999999 is out of range"),
    ([*NEW, "--adapter", ",absent"], "--adapter: an adapter has no name: give one"),
    ([*NEW, "--adapter", "a", "--adapter", "a,absent"], "--adapter: there are two named 'a': give each its own name"),
    ([*NEW, "--fail", "explode"], "--fail: 'explode' is none of find-component, read-component"),
    ([*NEW, "--fail", "disable=a"], "--fail disable: the target: 'a' is none of (there are no adapters)"),
    ([*UPGRADE, "--fail", "disable=a"], "--fail disable: the target: 'a' is none of Wintun"),
    ([*NEW, "--fail", "record=Hash"], "--fail record: the target: 'Hash' is none of InstallerHash,"),
    ([*NEW, "--fail", "action=Dance"], "--fail action: the target: 'Dance' is none of CostInitialize,"),
    ([*NEW, "--fail", "action"], "--fail action: which one fails is missing: give action=NAME"),
    ([*NEW, "--fail", "night/unload"], "--fail unload: the session: 'night' is none of install, reinstall"),
    ([*NEW, "--fail", "unload:x"], "--fail unload:x: 'x' is no Win32 error"),
    ([*NEW, "--fail", "unload:4294967296"], "--fail unload: the error: 4294967296 is out of range"),
    (["--scenario", "nowhere.json"], "nowhere.json: the scenario cannot be read: No such file or directory"),
    (["--scenario", "scenario.yaml"], "scenario.yaml: a scenario is a .json or a .toml file"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_a_mistake_is_one_sentence_and_exit_code_2(ask, words, message):
    code, out, err = ask(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"wintunsim: {message}"), err
    assert err.count("\n") == 1


FILE_MISTAKES = [
    ("[]", "a scenario is a table of fields, not list"),
    ("{", "no valid JSON: "),
    ('{"upgrad": "minor"}', "the scenario: 'upgrad' is none of upgrade, installed,"),
    ('{"upgrade": 3}', "the scenario: upgrade is 3; give a text"),
    ('{"other_products": true}', "the scenario: other_products is True; give an integer"),
    ('{"new": {"version": 1}}', "--new: version is 1; give a text"),
    ('{"new": "1"}', "the scenario: new is '1'; give a table"),
    ('{"new": {"version": "1"}, "adapters": ["a"]}', "adapters: give a table with name, disabled,"),
    (
        '{"new": {"version": "1"}, "adapters": [{"name": "a", "absent": 1}]}',
        "adapters: absent is 1; give true or false",
    ),
    ('{"new": {"version": "1"}, "clients": [1]}', "clients: 1 is no text: give a list of texts"),
    ('{"new": {"version": "1"}, "unload_ms": -1}', "unload_ms: -1 is out of range: give 0 to"),
    ('{"new": {"version": "1"}, "faults": [{"steps": 1}]}', "faults: 'steps' is none of step, target"),
    ('{"new": {"version": "1"}, "faults": [{}]}', "--fail: '' is none of find-component,"),
    ('{"new": {"version": "1"}, "registry": {"Version": 3}}', "registry: Version: give a table with type, data"),
    ('{"new": {"version": "1"}, "registry": {"Version": {}}}', "registry: Version: its data is missing"),
    (
        '{"new": {"version": "1"}, "registry": {"Version": {"data": "", "type": "SZ"}}}',
        "registry: Version: type: 'SZ' is none of REG_NONE, REG_SZ",
    ),
]


@pytest.mark.parametrize(("text", "message"), FILE_MISTAKES)
def test_a_mistake_in_a_file_names_the_field(ask, tmp_path, text, message):
    path = tmp_path / "scenario.json"
    path.write_text(text, encoding="utf-8")
    code, out, err = ask("--scenario", str(path))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_file_that_is_no_toml_is_a_mistake(ask, tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_bytes(b"\xff\xfe=")
    code, _, err = ask("--scenario", str(path))
    assert code == 2
    assert "no valid TOML" in err


def test_help_of_the_program_does_not_load_the_installer():
    code = """
import sys
from wintunsim.cli import main
try:
    main(["--help"])
except SystemExit:
    print("wintun_model.installer" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "answer what Wintun's installer does" in done.stdout
    assert done.stdout.endswith("False\n")


def test_names_that_cannot_be_printed_are_escaped(ask, tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(r'{"new": {"version": "1"}, "adapters": [{"name": "a\n\ud800"}]}', encoding="utf-8")
    code, out, _ = ask("--scenario", str(path))
    assert code == 0
    assert r"a\n\ud800 without" in out


def test_help_of_the_command_lists_steps_and_exit_codes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["installer", "--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    for word in ("enumerate-copies", "after-install-validate", "exit code: 0 when", "InstallFinalize"):
        assert word in out.replace("after-\n                        install-validate", "after-install-validate")
