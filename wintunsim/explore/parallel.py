"""Explorations in several processes, with the same result whatever their number.

A process is told a scenario's name and builds its world itself; what comes back is plain data. Samples are taken in
chunks, always the same ones, each in a world of its own: a chunk's result depends on nothing but its numbers.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from multiprocessing import get_context
from typing import Any

from wintunsim.errors import UsageError
from wintunsim.explore.determinism import rerun
from wintunsim.explore.scenario import Scenario, Setting, find
from wintunsim.explore.schedule import encode
from wintunsim.explore.search import Budget, Outcome, Verdict
from wintunsim.explore.strategies import SAMPLING, strategy_of
from wintunsim.explore.violation import Violation

FIRST_CHUNK = 250
LARGEST_CHUNK = 2000
"""Executions in a chunk of samples: the first ones are small, as most races show early."""
CHUNKS_BEFORE_PROCESSES = 2
BUILT_IN = "wintunsim.explore.scenarios."

Found = tuple[Outcome, str]
"""An outcome, and the schedule of the execution that breaks a property."""


@dataclass(slots=True)
class Task:
    """One scenario in one setting, and how to explore it."""

    scenario: Scenario
    setting: Setting
    strategy: str = "exhaustive"
    seed: int = 0
    checks_determinism: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __getstate__(self) -> tuple[Any, ...]:
        """Scenarios of our own go by their names, as functions without a name cannot be sent to a process."""
        is_built_in = self.scenario.build.__module__.startswith(BUILT_IN)
        scenario = self.scenario.name if is_built_in else self.scenario
        return scenario, self.setting, self.strategy, self.seed, self.checks_determinism, self.options

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        scenario, self.setting, self.strategy, self.seed, self.checks_determinism, self.options = state
        self.scenario = find([scenario])[0] if isinstance(scenario, str) else scenario

    def can_be_sent(self) -> bool:
        """Whether another process can do it."""
        try:
            pickle.dumps(self)
        except (pickle.PicklingError, AttributeError, TypeError):
            return False
        return True


def search(task: Task, budget: Budget | None, first: int | None = None) -> Found:
    """Explore in this process; samples from number `first` on."""
    world = task.scenario.build(task.setting)
    start, machine = world.start(), world.machine
    options = dict(task.options)
    if first is not None:
        options["first"] = first
    if task.checks_determinism and task.strategy != "count":
        options["watch"] = partial(rerun, partial(task.scenario.build, task.setting), machine, start)
    run = strategy_of(task.strategy, task.options)
    outcome = run(machine, start, None if budget is None else replace(budget), seed=task.seed, **options)
    if outcome.violation is None:
        return outcome, ""
    schedule = encode(machine, start, outcome.schedule)
    outcome.violation = Violation(outcome.violation.property, outcome.violation.what, schedule)
    return outcome, schedule


def carry_out(tasks: Sequence[Task], budget: Budget | None, workers: int) -> Iterator[Found]:
    """Do all tasks; what is found comes in their order."""
    if min(workers, len(tasks)) <= 1:
        for task in tasks:
            yield _whole(task, budget)
        return
    with _processes(min(workers, len(tasks))) as pool:
        futures = [pool.submit(_whole, task, budget) if task.can_be_sent() else None for task in tasks]
        try:
            for task, future in zip(tasks, futures, strict=True):
                yield _whole(task, budget) if future is None else future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes to explore in. UsageError when they end by themselves."""
    try:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            yield pool
    except BrokenProcessPool:
        raise UsageError(
            "the processes to explore in have ended: a script that explores with several workers does so under "
            "`if __name__ == '__main__':` in a file"
        ) from None


def _whole(task: Task, budget: Budget | None) -> Found:
    return sample(task, budget, 1) if task.strategy in SAMPLING and budget is not None else search(task, budget)


def _chunks(executions: int | None) -> Iterator[tuple[int, int]]:
    """(first number, how many) for so many samples, or without end."""
    first, size = 0, FIRST_CHUNK
    while True:
        if executions is not None:
            size = min(size, executions - first)
        if size <= 0:
            return
        yield first, size
        first += size
        size = min(2 * size, LARGEST_CHUNK)


def sample(task: Task, budget: Budget, workers: int) -> Found:
    """Take samples in chunks until one breaks a property; of several that do, the one with the least number counts."""
    budget = replace(budget)
    budget.begin()
    total = Outcome(Verdict.NOT_FOUND)
    schedule = ""
    parts = _parts(budget)
    # Processes take a second to start: they come when the first samples have found nothing.
    here = None if workers <= 1 or not task.can_be_sent() else CHUNKS_BEFORE_PROCESSES
    schedule = _add_up((search(task, part, first) for first, part in islice(parts, here)), total)
    if here is not None and not schedule and (beginning := list(islice(parts, 1))):
        with _processes(workers) as pool:
            schedule = _add_up(_in_order(pool.submit, task, chain(beginning, parts), workers + 2), total)
            pool.shutdown(wait=True, cancel_futures=True)
    total.seconds = budget.elapsed_s()
    return total, schedule


def _parts(budget: Budget) -> Iterator[tuple[int, Budget]]:
    """The chunks, each with what is left of the time for it."""
    for first, size in _chunks(budget.executions):
        if budget.is_spent(first):
            return
        seconds = None if budget.seconds is None else max(budget.seconds - budget.elapsed_s(), 0.0)
        yield first, Budget(seconds, size)


def _in_order(
    submit: Callable[..., Future[Found]], task: Task, parts: Iterable[tuple[int, Budget]], ahead: int
) -> Iterator[Found]:
    """The results of chunks in their order, while so many chunks are being worked on or waiting."""
    waiting: deque[Future[Found]] = deque()
    for first, part in parts:
        waiting.append(submit(search, task, part, first))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _add_up(chunks: Iterator[Found], total: Outcome) -> str:
    """Add the chunks' figures up, until one has found something: its schedule."""
    for outcome, schedule in chunks:
        total.executions += outcome.executions
        total.operations += outcome.operations
        total.longest = max(total.longest, outcome.longest)
        total.endings |= outcome.endings
        if outcome.violation is not None:
            total.verdict, total.violation, total.schedule = outcome.verdict, outcome.violation, outcome.schedule
            return schedule
    return ""
