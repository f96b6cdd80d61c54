"""The command line: what it prints, writes and answers, run as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CAPTURE = ROOT / "tests" / "data" / "tunnel-mixed.pcapng"
RING_CLIENT = ROOT / "examples" / "ring_client.py"


@pytest.fixture
def client(tmp_path):
    """Write a client script; gives its path."""

    def write(text, name="client.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def digest_of(process):
    return json.loads(process.stdout)["digest"]


def test_help_is_quick_to_import():
    code = (
        "import sys; sys.argv = ['wintunsim', '--help']\n"
        "from wintunsim.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'numpy', 'simpy', 'greenlet', 'dpkt'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_help_of_run_tells_the_traffic(wintunsim):
    text = wintunsim("run", "--help").stdout
    assert "capture:FILE[,local=ADDR]" in text
    assert "exit code" in text


def test_the_clients_output_and_exit_code_pass_through(wintunsim, client):
    script = client("import sys\nprint('out', sys.argv[1:])\nprint('err', file=sys.stderr)\nsys.exit(7)\n")
    process = wintunsim.fresh("run", "--quiet", script, "a", "--b")
    assert (process.returncode, process.stdout, process.stderr) == (7, "out ['a', '--b']\n", "err\n")


def test_a_module_runs_with_m(wintunsim, client, tmp_path):
    client("import sys\nprint(__name__, len(sys.argv))\n", "some_module.py")
    process = wintunsim.fresh("run", "--quiet", "-m", "some_module", "x", cwd=tmp_path)
    assert process.stdout == "__main__ 2\n", process.stderr


def test_an_exception_is_the_clients_exit_code_1(wintunsim, client):
    process = wintunsim("run", "--quiet", client("def f():\n    raise ValueError('no')\nf()\n"))
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == "ValueError: no"
    assert "wintunsim/" not in process.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--driver", "9.9"], "driver revision '9.9' is not known"),
        (["--traffic", "carrier-pigeon:count=1"], "carrier-pigeon"),
        (["--traffic", "ping:count=zero"], "zero"),
        (["--traffic", "capture:not-there.pcap"], "not-there.pcap"),
        (["--until", "soon"], "soon"),
        (["--seed", "-1"], "seed"),
        (["--user", "nobody"], "nobody"),
        (["--host", "laptop"], "there is no host 'laptop': choose one of ideal, busy, desktop, server, or name a file"),
        (["--host", "/nowhere/own.toml"], "the host '/nowhere/own.toml' cannot be read"),
        (["--trace", "/nowhere/at/all.jsonl"], "/nowhere/at/all.jsonl"),
        (["--capture", "/nowhere/at/all.pcapng"], "/nowhere/at/all.pcapng"),
        (["--report", "/nowhere/at/all.json"], "/nowhere/at/all.json"),
        (["--log-calls", "/nowhere/at/all.txt"], "/nowhere/at/all.txt"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(wintunsim, client, arguments, said):
    process = wintunsim("run", *arguments, client("print('never')"))
    assert process.returncode == 2
    assert said in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
    assert process.stdout == ""


def test_a_client_that_is_not_there_is_a_users_mistake(wintunsim):
    process = wintunsim("run", "not-there.py")
    assert process.returncode == 2
    assert process.stderr == "wintunsim: there is no client script 'not-there.py': name an existing Python file\n"


def test_a_bad_seed_in_the_environment_names_it(wintunsim, client):
    process = wintunsim("run", client(""), environment={"WINTUNSIM_SEED": "many"})
    assert process.returncode == 2
    assert "WINTUNSIM_SEED" in process.stderr


def test_the_seed_comes_from_the_environment(wintunsim, client):
    script = client("")
    process = wintunsim("run", "--quiet", "--report", "-", script, environment={"WINTUNSIM_SEED": "0x10"})
    assert json.loads(process.stdout)["seed"] == 16


def test_the_report_tells_what_came_to_pass(wintunsim):
    process = wintunsim(
        "run", "--quiet", "--report", "-", "--traffic", "ping:count=3", "--until", "5s", RING_CLIENT, "3"
    )
    text = process.stdout
    assert text.startswith("read 3 packets, wrote 3\n")
    report = json.loads(text[text.index("{") :])
    assert report["client"]["exit_code"] == process.returncode == 0
    assert report["driver"] == "0.8.1"
    assert report["adapter"]["out_unicast_packets"] == report["adapter"]["in_unicast_packets"] == 3
    for ring in report["rings"].values():
        assert ring["packets"] == 3
        assert ring["bytes"] == 3 * 84
        latency = ring["latency_ns"]
        assert 0 < latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]
        assert ring["peak_content_bytes"] >= 88
    assert report["traffic"][0]["answered"] == 3


def test_the_readable_report_goes_to_standard_error(wintunsim, client):
    process = wintunsim("run", client("print('hello')"))
    assert process.stdout == "hello\n"
    assert "digest" in process.stderr
    assert "client.py: exit code 0" in process.stderr


def test_files_are_written_and_change_nothing(wintunsim, tmp_path):
    run = ("run", "--quiet", "--report", "-", "--traffic", "ping:count=2", RING_CLIENT, "2")
    plain = wintunsim(*run).stdout
    options = (
        "--trace",
        tmp_path / "t.jsonl",
        "--capture",
        tmp_path / "c.pcapng",
        "--log-calls",
        tmp_path / "calls.txt",
    )
    written = wintunsim(run[0], *options, *run[1:])
    assert written.stdout == plain
    kinds = {json.loads(line)["kind"] for line in (tmp_path / "t.jsonl").read_text().splitlines()}
    assert {"store", "set", "wait", "wake", "request", "status", "send", "complete", "receive", "link"} <= kinds
    assert (tmp_path / "c.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert "kernel32.DeviceIoControl" in (tmp_path / "calls.txt").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.pcapng", "calls.txt", "t.jsonl"]


def test_who_is_stuck_is_named_with_what_it_waits_for(wintunsim, client):
    script = client(
        "import threading\n"
        "event = threading.Event()\n"
        "def wait():\n"
        "    event.wait()\n"
        "threading.Thread(target=wait, name='sleeper').start()\n"
    )
    process = wintunsim("run", "--quiet", script)
    assert process.returncode == 3
    assert "client.py:4 in wait" in process.stderr
    assert "waits for" in process.stderr


def test_at_until_the_client_gets_ctrl_c(wintunsim, client):
    script = client(
        "import time\n"
        "try:\n    time.sleep(1000)\n"
        "except KeyboardInterrupt:\n    print('stopped at', round(time.monotonic() - START, 3))\n".replace("START", "0")
    )
    process = wintunsim("run", "--quiet", "--until", "2s", script)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("stopped at")


@pytest.mark.parametrize("body", ["time.sleep(1)", "pass"])
def test_a_client_that_ignores_ctrl_c_is_terminated(wintunsim, client, tmp_path, body):
    slow = tmp_path / "slow.toml"
    slow.write_text("[costs]\nloop_ns = 10_000\n")
    script = client(
        "import time\n"
        "while True:\n    try:\n        while True:\n"
        f"            {body}\n"
        "    except KeyboardInterrupt:\n        print('again')\n"
    )
    process = wintunsim("run", "--quiet", "--host", slow, "--until", "1ms", script)
    assert process.returncode not in (0, 1, 2, 3)
    assert process.stdout == "again\n"


def test_a_crash_is_the_clients_and_is_told(wintunsim, client):
    script = client("import ctypes\nctypes.cast(8, ctypes.POINTER(ctypes.c_int)).contents.value = 1\n")
    process = wintunsim("run", "--quiet", script)
    assert process.returncode == 139
    assert "the client crashed" in process.stderr
    assert "client.py" in process.stderr


def test_check_determinism_runs_twice(wintunsim, client):
    process = wintunsim("run", "--check-determinism", client("print('once')"))
    assert process.returncode == 0
    assert process.stdout == "once\n"
    assert "the second run has the same digest" in process.stderr


def test_check_determinism_finds_a_difference(wintunsim, client, tmp_path):
    counter = tmp_path / "counter"
    script = client(
        "import pathlib, time\n"
        f"path = pathlib.Path({str(counter)!r})\n"
        "n = int(path.read_text()) if path.exists() else 0\n"
        "path.write_text(str(n + 1))\n"
        "time.sleep(n)\n"
    )
    process = wintunsim("run", "--quiet", "--check-determinism", script)
    assert process.returncode == 4
    assert "not deterministic" in process.stderr


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_the_digest_does_not_depend_on_the_hash_seed(wintunsim, hash_seed, recorded):
    process = wintunsim(
        "run", "--quiet", "--report", "-", "--traffic", "ping:count=4", "--until", "10s", RING_CLIENT, "4",
        environment={"PYTHONHASHSEED": hash_seed},
    )  # fmt: skip
    text = process.stdout
    assert json.loads(text[text.index("{") :])["digest"] == recorded("ring_client_ping")


def test_nothing_is_left_of_a_run_that_could_not_begin(wintunsim, tmp_path):
    files = ("--trace", tmp_path / "t", "--capture", tmp_path / "c", "--report", tmp_path / "r", "--log-calls", "-")
    assert wintunsim("run", *files, tmp_path / "not-there.py").returncode == 2
    assert list(tmp_path.iterdir()) == []


# -- faults and returns -----------------------------------------------------------------------------------------------


def test_a_fault_and_late_returns_are_in_the_report(wintunsim):
    options = ("--fault", "nbl:2", "--returns", "late:delay=1ms", "--traffic", "ping:count=3", "--report", "-")
    process = wintunsim("run", *options, "--until", "5s", RING_CLIENT, 3)
    report = json.loads(process.stdout[process.stdout.index("{") :])
    assert (report["adapter"]["in_unicast_packets"], report["adapter"]["in_discards"]) == (2, 1)
    assert report["rings"]["receive"]["latency_ns"]["max"] >= 1_000_000
    assert [(fault["what"], fault["failed"]) for fault in report["faults"]] == [("NBL", 1)]
    assert "fault    NBL: 1 of 3 attempts failed" in process.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fault", "disk:1"), "the fault 'disk:1' names nothing that can fail"),
        (("--returns", "later"), "the returns 'later' are of an unknown kind"),
    ],
)
def test_faults_and_returns_that_make_no_sense(wintunsim, options, message):
    process = wintunsim("run", *options, RING_CLIENT)
    assert process.returncode == 2
    assert process.stderr.startswith(f"wintunsim: {message}")
    assert process.stderr.count("\n") == 1
