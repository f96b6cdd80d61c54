"""Users' mistakes at the command line: one sentence, exit code 2, nothing half written, nothing of theirs lost."""

import subprocess
import sys

import pytest

from wintunsim.cli import main

MISTAKES = {
    "no command": ([], "required: COMMAND"),
    "unknown command": (["fly"], "'fly'"),
    "no client": (["run"], "required: CLIENT (see wintunsim run --help)"),
    "no client after an option": (["run", "--quiet"], "required: CLIENT"),
    "unknown option": (["run", "--bogus", "ok.py"], "there is no option --bogus"),
    "abbreviated option": (["run", "--rep", "r", "ok.py"], "there is no option --rep"),
    "option without value": (["run", "--seed"], "--seed"),
    "seed": (["run", "--seed", "x", "ok.py"], "'x' is no seed"),
    "large seed": (["run", "--seed", "18446744073709551616", "ok.py"], "give an integer from 0 to 2^64 - 1"),
    "until without unit": (["run", "--until", "5", "ok.py"], "'5' has no unit"),
    "until below zero": (["run", "--until=-5s", "ok.py"], "'-5s'"),
    "empty until": (["run", "--until", "", "ok.py"], "not a duration"),
    "driver": (["run", "--driver", "1.0", "ok.py"], "driver revision '1.0' is not known"),
    "a folder as client": (["run", "folder"], "no client script 'folder'"),
    "no such client": (["run", "not.py"], "no client script 'not.py'"),
    "a file as folder": (["run", "ok.py/x.py"], "no client script 'ok.py/x.py'"),
    "empty client": (["run", ""], "no client script ''"),
    "no such module": (["run", "-m", "nothere"], "no module named 'nothere'"),
    "no such submodule": (["run", "-m", "package.sub"], "no module named 'package.sub'"),
    "a package without main": (["run", "-m", "package"], "no module named 'package.__main__'"),
    "no name of a module": (["run", "-m", "not a name"], "no module named 'not a name'"),
    "capture that is not there": (["run", "--traffic", "capture:not.pcap", "ok.py"], "not.pcap"),
    "a folder as capture": (["run", "--traffic", "capture:folder", "ok.py"], "folder"),
    "an empty capture": (["run", "--traffic", "capture:empty.pcap", "ok.py"], "empty.pcap is empty"),
    "no capture at all": (["run", "--traffic", "capture:ok.py", "ok.py"], "ok.py is neither a pcap nor a pcapng file"),
    "nameless capture": (["run", "--traffic", "capture:", "ok.py"], "names no file"),
    "no rate": (["run", "--traffic", "udp:size=100", "ok.py"], "'rate'"),
    "size of udp": (["run", "--traffic", "udp:rate=1,size=70000", "ok.py"], "28 to 65535"),
    "size of ping": (["run", "--traffic", "ping:count=1,size=-1", "ok.py"], "-1"),
    "mixed families": (["run", "--traffic", "ping:count=1,to=fd00::1,from=10.0.0.1", "ok.py"], "mixes IPv4 and IPv6"),
    "given twice": (["run", "--traffic", "ping:count=1,count=2", "ok.py"], "given twice"),
    "empty traffic": (["run", "--traffic", "", "ok.py"], "''"),
    "second traffic": (["run", "--traffic", "ping:count=1", "--traffic", "pong:count=1", "ok.py"], "pong"),
    "one file for two": (["run", "--trace", "same", "--report", "./same", "ok.py"], "--trace and --report both name"),
    "the client as output": (["run", "--trace", "ok.py", "ok.py"], "--trace ok.py would overwrite the client"),
    "a capture as output": (
        ["run", "--capture", "empty.pcap", "--traffic", "capture:empty.pcap,loop=2", "ok.py"],
        "--capture empty.pcap would overwrite the capture that is read",
    ),
}
for option in ("trace", "capture", "report", "log-calls"):
    MISTAKES |= {
        f"a folder as {option}": (["run", f"--{option}", "folder", "ok.py"], "'folder' cannot be written"),
        f"{option} in no folder": (["run", f"--{option}", "no/where", "ok.py"], "'no/where' cannot be written"),
        f"{option} in a file": (["run", f"--{option}", "ok.py/x", "ok.py"], "'ok.py/x' cannot be written"),
        f"{option} where nothing can be": (["run", f"--{option}", "/proc/x", "ok.py"], "'/proc/x' cannot be written"),
        f"{option} without a name": (["run", f"--{option}", "", "ok.py"], f"--{option} names no file"),
    }


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(client, tmp_path, mistake, monkeypatch, capfd):
    (tmp_path / "ok.py").write_text("print('ran')\n")
    (tmp_path / "empty.pcap").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    before = sorted(tmp_path.rglob("*"))
    arguments, said = MISTAKES[mistake]
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    output, errors = capfd.readouterr()
    assert code == 2
    assert output == ""
    (line,) = errors.splitlines()
    assert line.startswith("wintunsim")
    assert said in line
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "ok.py").read_text() == "print('ran')\n"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("def f(:\n", "SyntaxError: invalid syntax"),
        ("import not_there\n", "ModuleNotFoundError: No module named 'not_there'"),
        ("x = 1\n  y = 2\n", "IndentationError: unexpected indent"),
    ],
)
def test_what_python_refuses_is_the_clients(client, text, last):
    process = client.command(text, options=["--quiet"])
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith(last)
    assert "client.py" in process.stderr
    assert "wintunsim/" not in process.stderr


def test_what_a_package_lacks_is_the_clients(client, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("import not_there\n")
    (tmp_path / "package" / "tool.py").touch()
    process = client.wintunsim("run", "--quiet", "-m", "package.tool", cwd=tmp_path)
    assert process.returncode == 1
    assert "No module named 'not_there'" in process.stderr


def test_a_file_of_an_earlier_run_stays_when_the_next_one_fails(client, tmp_path):
    (tmp_path / "trace").write_text("earlier")
    script = client.script("import ctypes\nctypes.cast(8, ctypes.POINTER(ctypes.c_int)).contents.value\n")
    process = client.wintunsim("run", "--trace", "trace", script, cwd=tmp_path)
    assert process.returncode == 139
    assert (tmp_path / "trace").read_text() == "earlier"


def test_standard_output_that_nobody_reads(client):
    """`wintunsim run … | head`: the client sees that its output goes nowhere; no traceback of the simulator."""
    script = client.script("import sys\nfor n in range(100000):\n    print(n)\n")
    process = subprocess.run(
        f"{sys.executable} -m wintunsim run --quiet {script} | head -1",
        shell=True, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert process.stdout == "0\n"
    assert "wintunsim/" not in process.stderr
