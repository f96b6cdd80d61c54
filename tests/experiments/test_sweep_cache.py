"""Kept results: found again while nothing that decides them has changed, and only then."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import wintun_model
import wintunsim
from wintunsim import UsageError
from wintunsim.experiments import Client, Experiment

CAPTURE = Path(__file__).parents[1] / "data" / "tunnel-mixed.pcapng"
SMALL = Experiment(workload="udp:rate=200000,size=1400", duration="1ms")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A folder with a result for each of two seeds, and the table that they make."""
    folder = tmp_path_factory.mktemp("cache") / "new" / "folder"
    return folder, SMALL.sweep(seeds=2).run(workers=1, cache=folder).table


@pytest.fixture
def cache(first, tmp_path):
    """A copy of that folder."""
    return shutil.copytree(first[0], tmp_path / "copy")


def test_a_second_time_nothing_runs(first, cache):
    found = SMALL.sweep(seeds=2).run(workers=1, cache=cache)
    assert found.from_cache == 2
    assert found.table.equals(first[1])


def test_one_whole_file_for_each_run(first, cache):
    assert len(list(cache.glob("*.zip"))) == len(list(cache.iterdir())) == 2
    with zipfile.ZipFile(next(cache.iterdir())) as file:
        assert b'"capacity": 1048576' in file.read("run.json")


def test_a_larger_sweep_takes_what_is_there(cache):
    found = SMALL.sweep(spin_us=[5, 0], seeds=3).run(workers=2, cache=str(cache))
    assert found.from_cache == 2
    assert found.table.equals(SMALL.sweep(spin_us=[5, 0], seeds=3).run(workers=1).table)


@pytest.mark.parametrize(
    "changed",
    [
        {"capacity": 0x20000},
        {"client": Client(spin_us=1)},
        {"duration": "2ms"},
        {"workload": "udp:rate=200001,size=1400"},
        {"driver": "0.14"},
        {"engine": "step"},
        {"timer_tick": "1ms"},
    ],
)
def test_another_experiment_is_another_result(cache, changed):
    assert SMALL.with_values(changed).sweep(seeds=2).run(workers=1, cache=cache).from_cache == 0


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)


def _rename(path):
    other = next(entry for entry in path.parent.iterdir() if entry != path)
    shutil.copy(other, path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        _flip,
        _rename,
    ],
    ids=["empty", "garbage", "cut off", "a bit", "another's"],
)
def test_a_spoilt_result_is_computed_anew(first, cache, spoil):
    spoil(sorted(cache.iterdir())[0])
    found = SMALL.sweep(seeds=2).run(workers=1, cache=cache)
    assert found.from_cache == 1
    assert found.table.equals(first[1])
    assert SMALL.sweep(seeds=2).run(workers=1, cache=cache).from_cache == 2


def test_whole_results_are_kept_when_they_are_asked_for(first, cache):
    sweep = SMALL.sweep(seeds=2)
    whole = sweep.run(workers=1, cache=cache, series=True)
    assert whole.from_cache == 0  # the rows alone are not enough
    kept = sweep.run(workers=1, cache=cache, series=True)
    assert (kept.from_cache, sweep.run(workers=1, cache=cache).from_cache) == (2, 2)
    for one, other in zip(whole.results, kept.results, strict=True):
        assert one.row() == other.row()
        assert one.dropped == other.dropped
        assert (one.latencies_ns == other.latencies_ns).all()
        assert (one.series.send_content.times_ns == other.series.send_content.times_ns).all()
        assert one.series.capacity_bytes == other.series.capacity_bytes


def test_a_capture_with_other_packets_is_another_workload(tmp_path):
    copy = tmp_path / "a,b.pcapng"
    shutil.copy(CAPTURE, copy)
    sweep = Experiment(workload=f"capture:{copy},loop=2", duration="1ms").sweep()
    run = {"workers": 1, "cache": tmp_path / "cache"}
    assert [sweep.run(**run).from_cache for _ in range(2)] == [0, 1]
    copy.write_bytes(copy.read_bytes() + CAPTURE.read_bytes())
    assert sweep.run(**run).from_cache == 0


def test_another_computer_in_the_same_file_is_another_result(tmp_path):
    host = tmp_path / "own.toml"
    run = {"workers": 1, "cache": tmp_path / "cache"}
    host.write_text("[costs]\nwake_ns = 9000\n")
    sweep = SMALL.with_values({"host": str(host)}).sweep()
    first = sweep.run(**run)
    assert sweep.run(**run).from_cache == 1
    host.write_text("[costs]\nwake_ns = [[0, 9000], [100, 20000]]\n")
    second = sweep.run(**run)
    assert (first.from_cache, second.from_cache) == (0, 0)
    assert first.rows[0]["digest"] != second.rows[0]["digest"]


@pytest.mark.slow
def test_a_changed_simulator_never_serves_old_results(tmp_path):
    """A copy of both packages, which is run, run again, changed, and run."""
    for package in (wintun_model, wintunsim):
        shutil.copytree(package.__path__[0], tmp_path / package.__name__, ignore=shutil.ignore_patterns("__pycache__"))
    script = """
from wintunsim.experiments import Experiment
import wintunsim
result = Experiment(duration="1ms").sweep(seeds=2).run(workers=1, cache="cache")
print(wintunsim.__path__[0], result.from_cache)
"""

    def run():
        process = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return process.stdout.split()

    copy = str(tmp_path / "wintunsim")
    assert [run(), run()] == [[copy, "0"], [copy, "2"]]
    with (tmp_path / "wintun_model" / "ring.py").open("a") as file:
        file.write("\n# changed\n")
    assert run() == [copy, "0"]
    with (tmp_path / "wintunsim" / "kernel" / "profiles" / "desktop.toml").open("a") as file:
        file.write("\n# changed\n")
    assert run() == [copy, "0"]


def test_a_cache_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"the cache .* cannot be made .*: name another folder"):
        SMALL.sweep().run(workers=1, cache=tmp_path / "file")


def test_a_cache_that_goes_away_does_not_cost_the_sweep(tmp_path):
    """Its folder is replaced by a file when the first result is there."""
    cache = tmp_path / "cache"

    class Executor:
        def submit(self, function, *arguments):
            from concurrent.futures import Future

            if cache.is_dir():
                cache.rmdir()
                cache.write_text("")
            future = Future()
            future.set_result(function(*arguments))
            return future

    with pytest.warns(RuntimeWarning, match="are not kept from here on"):
        found = SMALL.sweep(seeds=3).run(executor=Executor(), cache=cache)
    assert len(found.table) == 3
