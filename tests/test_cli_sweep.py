"""`wintunsim sweep`: a file in, a table out, and what it says when something is wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from wintunsim.cli import main
from wintunsim.experiments import Client, Experiment

SMALL = """
[experiment]
workload = "udp:rate=200000,size=1400"
duration = "1ms"
[client]
spin_us = 12.5
[sweep]
capacity = [0x20000, 0x40000]
host = { quiet = "desktop", loaded = "busy" }
seeds = 2
"""
FAILING = """
[experiment]
duration = "1ms"
[sweep]
faults = ["nbl:3", "map:1", "nbl:4"]
"""


@pytest.fixture
def ask(capfd, tmp_path, monkeypatch):
    """Run the command in an empty folder on a sweep with this text: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(text, *words, workers=1):
        (tmp_path / "sweep.toml").write_text(text, encoding="utf-8")
        code = main(["sweep", "sweep.toml", "--workers", str(workers), *map(str, words)])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def expected():
    experiment = Experiment(workload="udp:rate=200000,size=1400", duration="1ms", client=Client(spin_us=12.5))
    axes = {"capacity": [0x20000, 0x40000], "host": {"quiet": "desktop", "loaded": "busy"}}
    return experiment.sweep(**axes, seeds=2).run(workers=1).table


def test_all_forms_have_the_same_exact_numbers(ask, tmp_path):
    pandas = pytest.importorskip("pandas")
    for ending, read in (("csv", pandas.read_csv), ("parquet", pandas.read_parquet), ("json", None)):
        code, out, err = ask(SMALL, "--out", f"table.{ending}", "--cache", "kept")
        assert (code, out) == (0, "")
        assert err.startswith("wintunsim: 8 runs") and err.endswith(f"written to table.{ending}\n")
        assert ("8 of them from the cache" in err) is (ending != "csv")
        path = tmp_path / f"table.{ending}"
        table = pandas.DataFrame(json.loads(path.read_text())) if read is None else read(path)
        pandas.testing.assert_frame_equal(table, expected(), check_exact=True, check_dtype=False)
    assert not list(tmp_path.glob("*.part"))


def test_csv_on_standard_output(ask):
    code, out, err = ask(SMALL, "--out", "-", "--quiet", workers=2)
    assert (code, err) == (0, "")
    assert out == expected().to_csv(index=False)


def test_an_empty_file_is_one_run(ask):
    assert ask("[experiment]\nduration = '1ms'", "--out", "-")[2] == "wintunsim: 1 run\n"


def test_a_failing_run_stops_it_and_what_had_finished_is_written(ask, tmp_path):
    code, _, err = ask(FAILING, "--out", "table.json")
    assert code == 1
    assert err == (
        "wintunsim: the run with faults=map:1, seed=0 failed: ModelError: the rings could not be registered: status "
        "0xc000009a (1 of 3 runs finished)\nwintunsim: 1 run of 3, written to table.json\n"
    )
    assert [row["faults"] for row in json.loads((tmp_path / "table.json").read_text())] == ["nbl:3"]


def test_or_it_keeps_going(ask, tmp_path):
    code, _, err = ask(FAILING, "--out", "table.json", "--keep-going")
    assert (code, err.splitlines()[1]) == (1, "wintunsim: 2 runs of 3, written to table.json")
    assert [row["faults"] for row in json.loads((tmp_path / "table.json").read_text())] == ["nbl:3", "nbl:4"]


def test_nothing_is_written_when_nothing_finished(ask, tmp_path):
    (tmp_path / "table.csv").write_text("before")
    code, _, err = ask(FAILING.replace('"nbl:3", "map:1", "nbl:4"', '"map:1"'), "--out", "table.csv")
    assert (code, err.splitlines()[1]) == (1, "wintunsim: 0 runs of 1, nothing written")
    assert (tmp_path / "table.csv").read_text() == "before"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("[sweeps]", [], "sweep.toml: there is no table 'sweeps': a sweep has [experiment], [client], [sweep]"),
        ("sweep = 3", [], "sweep.toml: sweep is no table: write [sweep] in a line of its own"),
        ("[sweep", [], "the sweep 'sweep.toml' is no TOML: "),
        (
            "[experiment]\nrings = 2",
            [],
            "sweep.toml: [experiment] has no 'rings': it may have workload, inbound, host, ",
        ),
        ("[experiment]\nseed = 2", [], "sweep.toml: [experiment] has no 'seed': it may have "),
        ("[experiment]\nspin_us = 2", [], "sweep.toml: [experiment] has no 'spin_us': it may have "),
        ("[client]\nthreads = 2", [], "sweep.toml: [client] has no 'threads': it may have spin_us, "),
        ("[client]\nspin_us = 'long'", [], "sweep.toml: spin_us of the client is 'long': give a number"),
        ("[experiment]\nworkload = 3", [], "sweep.toml: a value in [experiment] or [client] is of the wrong kind"),
        ("[sweep]\ncapacity = 3", [], "sweep.toml: the axis capacity is 3: give a list of values"),
        ("[sweep]\ncolour = [3]", [], "sweep.toml: there is no axis 'colour': choose among seeds, workload, "),
        ("[sweep]\nclient = [{ spin = 3 }]", [], "sweep.toml: the axis client has 'spin=3': that is nothing that cli"),
        (
            "",
            ["--out", "table.xls"],
            "the table 'table.xls' has none of the endings .parquet, .csv, .json: ",
        ),
        ("", ["--out", "no/table.csv"], "the table 'no/table.csv' cannot be written (No such file"),
        ("", ["--out", ""], "--out names nothing: give it a name"),
        ("", ["--out", "-", "--cache", ""], "--cache names nothing: give it a name"),
        ("", ["--out", "sweep.toml"], "--out sweep.toml would overwrite the sweep: name another file"),
        ("", ["--out", "table.csv", "--workers", "0"], "workers is 0: give a whole number from 1 on"),
        ("", ["--out", "table.csv", "--colour"], "there is no option --colour: wintunsim sweep --help"),
    ],
)
def test_what_makes_no_sense(ask, tmp_path, text, words, message):
    code, out, err = ask(text, *(words or ["--out", "table.csv"]))
    assert (code, out) == (2, "")
    assert err.startswith(f"wintunsim: {message}") and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.toml"]


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["sweep", str(tmp_path / "no.toml"), "--out", "-"]) == 2
    assert capsys.readouterr().err.endswith("cannot be read (No such file or directory): name another file\n")


def test_clients_as_an_axis(ask):
    code, out, _ = ask("[experiment]\nduration='1ms'\n[sweep]\nclient = [{}, { echo = true }]", "--out", "-")
    assert (code, [line.split(",")[0] for line in out.splitlines()]) == (0, ["client", "default", "echo=True"])


def test_what_is_not_installed_is_named(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = ask(SMALL, "--out", "table.parquet")
    assert (code, err.count("\n")) == (2, 1)
    assert "a parquet file needs pyarrow, which is not installed: run pip install 'wintunsim[experiments]'" in err


def test_an_interrupted_sweep_goes_on(ask, tmp_path):
    """Ctrl+C, which reaches all processes of a terminal; then the same command."""
    text = "[experiment]\nduration = '5ms'\n[sweep]\nseeds = 40"
    (tmp_path / "sweep.toml").write_text(text)
    words = ["sweep", "sweep.toml", "--out", "table.csv", "--cache", "kept", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "wintunsim", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True, process_group=0
    )
    give_up = time.monotonic() + 60
    while len(list(tmp_path.glob("kept/*.zip"))) < 2 and time.monotonic() < give_up:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "\nwintunsim: interrupted; what had finished is in kept, and the same command goes on from there\n"
    kept = len(list(tmp_path.glob("kept/*.zip")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "sweep.toml"]
    code, _, err = ask(text, *words[2:6])
    assert (code, err) == (0, f"wintunsim: 40 runs, {kept} of them from the cache, written to table.csv\n")
    assert kept < 40


def test_help_tells_the_form_of_a_sweep(capsys):
    with pytest.raises(SystemExit):
        main(["sweep", "--help"])
    text = capsys.readouterr().out
    assert all(word in text for word in ("[experiment]", "[client]", "[sweep]", "exit code", "--cache"))


def test_the_command_lines_help_stays_light():
    code = "import sys, wintunsim.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "sweep" in process.stdout
    loaded = process.stdout.splitlines()[-1]
    assert [name for name in ("numpy", "pandas", "scipy", "tqdm", "pyarrow", "multiprocessing") if name in loaded] == []
