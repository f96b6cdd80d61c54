"""A run that fails is named, takes no other run with it, and never makes a sweep hang."""

import multiprocessing
import os
import signal
import threading

import pytest

from wintunsim.experiments import Experiment, FailedRun, SweepError

# "map:1": the rings cannot be registered, so there is nothing to measure.
SMALL = Experiment(workload="udp:rate=200000,size=1400", duration="1ms")
FAULTS = [(), "map:1", "nbl:3"]


@pytest.fixture(scope="module")
def sweep():
    return SMALL.sweep(faults=FAULTS, seeds=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_run_stops_the_sweep_and_is_named(sweep, workers):
    with pytest.raises(SweepError) as caught:
        sweep.run(workers=workers)
    message = str(caught.value)
    assert message.startswith("the run with faults=map:1, seed=")
    assert "failed: ModelError: the rings could not be registered" in message
    found = caught.value.result
    assert f"({len(found.rows)} of 6 runs finished)" in message
    assert len(found.failures) == 1
    assert found.table.empty or set(found.table["faults"]) <= {"none", "nbl:3"}
    if workers == 1:
        assert list(found.table["faults"]) == ["none", "none"]


@pytest.mark.parametrize("workers", [1, 2])
def test_or_the_sweep_goes_on(sweep, workers):
    found = sweep.run(workers=workers, on_failure="continue")
    assert list(found.table["faults"]) == ["none", "none", "nbl:3", "nbl:3"]
    assert [failure.parameters for failure in found.failures] == [
        {"faults": "map:1", "seed": 0},
        {"faults": "map:1", "seed": 1},
    ]
    assert found.runs == 6
    assert list(found.summary()["runs"]) == [2, 2]
    assert "the run with faults=map:1, seed=1 failed" in found._repr_html_()


def test_a_sweep_without_any_result_still_has_its_table(sweep):
    found = SMALL.sweep(faults=["map:1"]).run(workers=1, on_failure="continue")
    assert list(found.table.columns) == ["faults", "seed"]
    assert len(found.failures) == 1
    assert found.summary().empty


def test_what_had_finished_is_kept(sweep, tmp_path):
    with pytest.raises(SweepError):
        sweep.run(workers=1, cache=tmp_path)
    found = sweep.run(workers=1, cache=tmp_path, on_failure="continue")
    assert (found.from_cache, len(found.table), len(found.failures)) == (2, 4, 2)
    # What failed is not kept: it is tried again.
    assert len(list(tmp_path.iterdir())) == 4


class Killer(threading.Thread):
    """Kills workers as soon as it sees them: so many, or all."""

    def __init__(self, count=None):
        super().__init__()
        self.count = count
        self.killed = set()
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.wait(0.01):
            for process in multiprocessing.active_children():
                if process.pid not in self.killed and (self.count is None or len(self.killed) < self.count):
                    self.killed.add(process.pid)
                    os.kill(process.pid, signal.SIGKILL)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.join()


def test_a_worker_that_is_killed_costs_no_run(sweep):
    with Killer(1) as killer:
        found = SMALL.sweep(seeds=5).run(workers=2)
    assert len(killer.killed) == 1
    assert list(found.table["seed"]) == [0, 1, 2, 3, 4]
    assert found.table.equals(SMALL.sweep(seeds=5).run(workers=1).table)


def test_runs_that_always_lose_their_process_are_named():
    with Killer() as killer:
        found = SMALL.sweep(seeds=3).run(workers=2, on_failure="continue")
    assert len(killer.killed) >= 4
    assert len(found.failures) == 3
    assert str(found.failures[2]) == (
        "the run with seed=2 failed: its process ended before it did: it was killed, or there was not enough memory"
    )
    assert not multiprocessing.active_children()


def test_no_process_is_left(sweep):
    with pytest.raises(SweepError):
        sweep.run(workers=2)
    assert not multiprocessing.active_children()


class Losing:
    """An executor whose workers are gone."""

    def submit(self, function, *arguments):
        from concurrent.futures import Future

        future = Future()
        future.set_exception(ConnectionError("the network is gone"))
        return future


def test_an_executor_that_loses_runs():
    with pytest.raises(SweepError, match=r"the run with seed=\d failed: its executor lost it \(ConnectionError: "):
        SMALL.sweep(seeds=3).run(executor=Losing())
    assert len(SMALL.sweep(seeds=3).run(executor=Losing(), on_failure="continue").failures) == 3


def test_a_worker_with_other_sources_does_not_fill_the_table():
    class Other(Losing):
        def submit(self, function, experiment, with_series, sources):
            future = super().submit(function)
            future.__init__()
            future.set_result(function(experiment, with_series, "another"))
            return future

    with pytest.raises(SweepError, match="its worker runs another version of wintunsim: start the workers anew"):
        SMALL.sweep(seeds=2).run(executor=Other())


def test_errors_can_be_made_again_from_their_arguments(sweep):
    with pytest.raises(SweepError) as caught:
        sweep.run(workers=1)
    again = SweepError(*caught.value.args)
    assert (str(again), again.result) == (str(caught.value), caught.value.result)
    assert str(FailedRun({"capacity": 1, "seed": 2}, "why")) == "the run with capacity=1, seed=2 failed: why"
