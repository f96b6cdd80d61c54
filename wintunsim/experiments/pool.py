"""Carrying out the runs of a sweep: in this process, in processes of our own, or on an executor that is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any

from wintunsim.errors import UsageError
from wintunsim.experiments.cache import source_digest
from wintunsim.experiments.experiment import Experiment
from wintunsim.experiments.processes import Processes, ProcessLostError
from wintunsim.experiments.worker import Outcome, Wanted, run_one

Runs = Mapping[int, Experiment]
Finished = Iterator[tuple[int, Outcome]]


def carry_out(runs: Runs, *, workers: int | None, executor: Executor | None, wanted: Wanted) -> Finished:
    """Run all; answers (number, outcome) in the order in which they finish. Closing the iterator ends what still runs.

    Without an executor: in `workers` processes (None: one for each processor), or in this one when one is enough.
    UsageError for processes that cannot be started, and for an executor that takes no runs.
    """
    if executor is not None:
        yield from _on_executor(runs, executor, wanted)
        return
    workers = min(workers or available_processors(), len(runs))
    if workers <= 1:
        for index, experiment in runs.items():
            yield index, run_one(experiment, wanted, source_digest())
        return
    processes = Processes(workers)
    try:
        yield from _on_executor(runs, processes, wanted)
    finally:
        # All have finished, or what still runs is not wanted any more.
        processes.shutdown(cancel_futures=True)


def available_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def executor_of(given: Any) -> Executor:
    """An executor in the form of concurrent.futures: what was given, or that of a client of dask.distributed.

    UsageError for what is neither.
    """
    executor: Executor = given.get_executor() if hasattr(given, "get_executor") else given
    if not callable(getattr(executor, "submit", None)):
        raise UsageError(
            f"executor is {given!r}: give one that has submit(), as in concurrent.futures, or a client of "
            "dask.distributed"
        )
    return executor


def _on_executor(runs: Runs, executor: Executor, wanted: Wanted) -> Finished:
    futures: dict[Future[Outcome], int] = {}
    done: SimpleQueue[Future[Outcome]] = SimpleQueue()
    try:
        for index, experiment in runs.items():
            try:
                future = executor.submit(run_one, experiment, wanted, source_digest())
            except RuntimeError as error:  # it has been shut down, or is broken
                raise UsageError(f"the executor takes no runs ({error}): give one that does") from None
            futures[future] = index
        for future in list(futures):
            future.add_done_callback(done.put)
        while futures:
            batch = [done.get()]
            while not done.empty():
                batch.append(done.get())
            outcomes = [(futures.pop(future), _outcome(future)) for future in batch]
            # What went well comes first: the sweep may end at the first failure, and is not to lose it.
            yield from sorted(outcomes, key=lambda found: (found[1].failure is not None, found[0]))
    finally:
        for future in futures:
            future.cancel()


def _outcome(future: Future[Outcome]) -> Outcome:
    if future.cancelled():
        return Outcome(failure="its executor cancelled it")
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, UsageError):
        raise error
    if isinstance(error, ProcessLostError):
        return Outcome(failure=str(error))
    return Outcome(failure=f"its executor lost it ({type(error).__name__}: {error})")
