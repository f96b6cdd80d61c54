"""One digest for one run: however it is observed, started, hashed; and the limits of time and memory."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from wintunsim import Simulation

CAPTURE = Path(__file__).parent.parent / "data" / "tunnel-mixed.pcapng"
RUNS = {
    "asyncio": ("asyncio_client.py", ["5"], ["ping:count=5,interval=300ms"], "Wintun"),
    "executor": ("executor_client.py", ["20"], ["ping:count=20,interval=1ms,size=100"], "Wintun"),
    "thread": ("thread_client.py", ["10"], ["ping:count=10,interval=20ms"], "Wintun"),
    "wintun": ("wintun_client.py", ["4"], ["ping:count=4,interval=50ms", "udp:rate=100,size=500,count=9"], ""),
    "mirror": ("mirror.py", ["500", os.devnull], [f"capture:{CAPTURE},speed=10"], "Wintun"),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_python_has_the_recorded_digest(client, name, recorded):
    assert digest_in_process(client, name) == recorded(name)


def options_of(name):
    script, arguments, traffic, adapter = RUNS[name]
    options = ["--quiet", "--report", "-", "--until", "20s", "--adapter", adapter]
    for source in traffic:
        options += ["--traffic", source]
    return script, arguments, options


def digest_of(process):
    assert process.returncode == 0, process.stderr
    return re.search(r'"digest": "(\w{64})"', process.stdout)[1]


def digest_in_process(client, name):
    script, arguments, traffic, adapter = RUNS[name]
    return client.good(script, *arguments, traffic=traffic, until="20s", adapter=adapter, answer=True).report.digest


@pytest.mark.parametrize("name", RUNS)
def test_the_command_line_and_python_agree(client, name):
    script, arguments, options = options_of(name)
    assert digest_of(client.command(script, *arguments, options=options)) == digest_in_process(client, name)


@pytest.mark.parametrize("name", RUNS)
def test_again_and_again_in_one_process(client, name):
    assert len({digest_in_process(client, name) for _ in range(4)}) == 1


@pytest.mark.parametrize("name", ["asyncio", "wintun"])
def test_observation_changes_nothing(client, tmp_path, name):
    script, arguments, options = options_of(name)
    observed = [*options, "--trace", tmp_path / "trace", "--capture", tmp_path / "capture"]
    observed += ["--log-calls", tmp_path / "calls"]
    digests = {digest_of(client.command(script, *arguments, options=more)) for more in (options, observed)}
    assert len(digests) == 1
    times = [json.loads(line)["t_ns"] for line in (tmp_path / "trace").read_text().splitlines()]
    assert times
    assert min(times) == 0


PAIRS = [("0", "asyncio"), ("1", "executor"), ("random", "executor")]
MORE_PAIRS = [("0", "executor"), ("1", "asyncio"), ("random", "asyncio")]


@pytest.mark.parametrize(
    ("hash_seed", "name"), [*PAIRS, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in MORE_PAIRS)]
)
def test_the_hash_seed_changes_nothing(client, name, hash_seed):
    script, arguments, options = options_of(name)
    environment = {"PYTHONHASHSEED": hash_seed, "TZ": "Asia/Tokyo", "HOME": "/nowhere", "LANG": "C", "USER": "someone"}
    process = client.command(script, *arguments, options=options, environment=environment)
    assert digest_of(process) == digest_in_process(client, name)


@pytest.mark.parametrize(
    "options",
    [
        ["-O"],
        ["-X", "dev"],
        ["-B", "-s", "-u"],
        *(pytest.param(more, marks=pytest.mark.slow) for more in ([], ["-B", "-s"], ["-u"])),
    ],
)
def test_the_interpreters_own_options_change_nothing(client, options):
    script, arguments, ours = options_of("asyncio")
    command = [sys.executable, *options, "-m", "wintunsim", "run", *ours, client.script(script), *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert digest_of(process) == digest_in_process(client, "asyncio")


def test_the_place_of_the_script_changes_nothing(client, tmp_path):
    text = client.script(
        "import time, threading\ntime.sleep(0.1)\nthreading.Thread(target=time.sleep, args=(1,)).start()\n"
    )
    digests = set()
    for folder in ("a", "a longer name", "b/c/d"):
        path = tmp_path / folder / "same.py"
        path.parent.mkdir(parents=True)
        path.write_text(text.read_text())
        process = client.wintunsim("run", "--quiet", "--report", "-", path, cwd=path.parent)
        digests.add(digest_of(process))
    assert len(digests) == 1


def test_the_seed_changes_the_digest_of_what_is_random(client):
    digests = set()
    for seed in (0, 1, 2):
        outcome = client.good("import random, time\ntime.sleep(random.random())\n", seed=seed)
        digests.add(outcome.report.digest)
    assert len(digests) == 3


def test_two_simulations_in_turns(client):
    """Built together, run one after the other, forgotten half way: none sees another."""
    alone = digest_in_process(client, "asyncio")
    forgotten = Simulation(seed=5)
    forgotten.add_adapter()
    forgotten.spawn(client.script("asyncio_client.py"), "1")
    assert digest_in_process(client, "asyncio") == alone
    del forgotten
    assert digest_in_process(client, "asyncio") == alone


def test_help_in_less_than_a_third_of_a_second():
    """Of processor time, which a busy machine stretches less."""
    best = 10.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "wintunsim", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert best < 0.3


FILL = """
from tunring import *
import os
with Session(64 * MIB) as session:
    # Every page of both rings is written: the send ring by the driver, the receive ring by the client.
    while session.send.tail < 60 * MIB:
        kernel32.Sleep(1)
    packet = bytes([0x45]) + os.urandom(65534)
    written = 0
    while written < 66 * MIB:
        if session.receive.put(packet):
            written += len(packet)
        else:
            kernel32.Sleep(1)
    read = 0
    while (packet := session.send.pop()) is not None:
        read += len(packet)
    print(read > 60 * MIB, written > 66 * MIB)
"""

MEASURE = """
import os, resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "wintunsim", *sys.argv[1:]]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print("peak", peak * (1 if sys.platform == "darwin" else 1024))
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--capture", os.devnull], ["--trace", os.devnull]])
def test_the_rings_are_not_copied(client, options):
    command = [sys.executable, "-c", MEASURE, "run", "--quiet", "--no-answer", *options]
    command += ["--traffic", "udp:rate=100000,size=65535", client.script(FILL)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert process.returncode == 0, process.stderr
    assert "True True" in process.stdout
    peak = int(process.stdout.split("peak ")[1])
    assert peak < (128 + 80) * 2**20
