"""`Sweep`: an experiment over all combinations of some values, with several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from wintunsim.errors import UsageError
from wintunsim.experiments.axes import Axis, Label, check_workload, make_axis, make_seeds
from wintunsim.experiments.cache import ResultCache
from wintunsim.experiments.extra import library
from wintunsim.experiments.progress import progress_line
from wintunsim.experiments.sweep_result import FailedRun, SweepError, SweepResult
from wintunsim.experiments.worker import Outcome, Wanted

if TYPE_CHECKING:
    from wintunsim.experiments.experiment import Experiment

OnFailure = Literal["stop", "continue"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Runs that are to be done: every combination of the axes' values, each with every seed."""

    experiment: Experiment
    """What is the same in all."""
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, experiment: Experiment, axes: Mapping[str, Any], seeds: Any = None) -> Sweep:
        """See `Experiment.sweep`."""
        check_workload(experiment)
        made = tuple(make_axis(experiment, name, values) for name, values in axes.items())
        return cls(experiment, made, make_seeds(experiment, seeds))

    def __len__(self) -> int:
        count = len(self.seeds)
        for axis in self.axes:
            count *= len(axis.values)
        return count

    def __iter__(self) -> Iterator[tuple[dict[str, Label], Experiment]]:
        """The runs, (parameters, experiment): the last axis changes faster than the first, the seed fastest of all."""
        for chosen in product(*(axis.values for axis in self.axes)):
            values = {axis.name: value for axis, (_, value) in zip(self.axes, chosen, strict=True)}
            labels = {axis.name: label for axis, (label, _) in zip(self.axes, chosen, strict=True)}
            # The whole client first, so that an axis of one of its fields changes each.
            whole = {name: value for name, value in values.items() if name == "client"}
            experiment = self.experiment.with_values(whole).with_values(
                {name: value for name, value in values.items() if name != "client"}
            )
            for seed in self.seeds:
                yield {**labels, "seed": seed}, experiment.with_values({"seed": seed})

    def run(
        self,
        *,
        workers: int | None = None,
        executor: Any = None,
        cache: str | PathLike[str] | None = None,
        progress: bool | None = None,
        series: bool = False,
        flows: bool = False,
        on_failure: OnFailure = "stop",
    ) -> SweepResult:
        """Do the runs; the same table, whoever does them and whatever finishes first.

        - `workers`: so many processes; None for one for each processor, 1 for this process.
        - `executor`: an executor as in concurrent.futures that is there already, also that of joblib (loky), or a
          client of dask.distributed; its workers need wintunsim.
        - `cache`: a folder in which each result is kept as soon as it is there, and found again as long as the
          experiment, the captures that it reads and the simulator are the same: a sweep that was interrupted goes on.
        - `progress`: a line that tells how long the rest will take; None for one when standard error is a terminal.
        - `series`: keep each whole `Result` too, with its latencies and series. Without it memory does not grow with
          the packets.
        - `flows`: count each flow of each run too, for `flow_table`.
        - `on_failure`: "stop" at the first run that fails, with a `SweepError` that has what had finished; "continue"
          with the others, and name it in `failures`.

        UsageError for options that make no sense, and for a library that is not installed.
        """
        _check_options(workers, executor, on_failure)
        # Better now than after the last run.
        library("pandas", "the table of a sweep")
        from wintunsim.experiments.pool import carry_out, executor_of

        if executor is not None:
            executor = executor_of(executor)
        wanted = Wanted(series=series, flows=flows)
        account = _Account(self, None if cache is None else ResultCache(cache), wanted)
        waiting = account.take_kept()
        with (
            progress_line(len(self), account.from_cache, progress) as advance,
            closing(carry_out(waiting, workers=workers, executor=executor, wanted=wanted)) as finished,  # type: ignore[type-var]
        ):
            for index, outcome in finished:
                account.finish(index, outcome)
                advance()
                if outcome.failure is not None and on_failure == "stop":
                    result = account.result()
                    raise SweepError(f"{result.failures[0]} ({len(result.rows)} of {len(self)} runs finished)", result)
        return account.result()


class _Account:
    """What is there of a sweep so far."""

    def __init__(self, sweep: Sweep, cache: ResultCache | None, wanted: Wanted) -> None:
        self.sweep = sweep
        self.runs = list(sweep)
        self.cache = cache
        self.wanted = wanted
        self.outcomes: dict[int, Outcome] = {}
        self.keys: dict[int, str] = {}
        self.from_cache = 0

    def take_kept(self) -> dict[int, Experiment]:
        """Take what the cache has; answers what is to be done."""
        waiting = {}
        for index, (_, experiment) in enumerate(self.runs):
            if self.cache is not None:
                self.keys[index] = self.cache.key_of(experiment)
                kept = self.cache.load(self.keys[index], self.wanted)
                if kept is not None:
                    self.outcomes[index] = kept
                    self.from_cache += 1
                    continue
            waiting[index] = experiment
        return waiting

    def finish(self, index: int, outcome: Outcome) -> None:
        """A run has come to its end; keep what came of it."""
        self.outcomes[index] = outcome
        if self.cache is not None and outcome.failure is None:
            self.cache.store(self.keys[index], self.runs[index][1], outcome)

    def result(self) -> SweepResult:
        """All that has finished, in the order of the runs."""
        rows, results, failures = [], [], []
        flow_rows: list[dict[str, Any]] = []
        for index in sorted(self.outcomes):
            parameters, outcome = self.runs[index][0], self.outcomes[index]
            if outcome.failure is not None:
                failures.append(FailedRun(parameters, outcome.failure))
                continue
            rows.append({**parameters, **outcome.row})
            flow_rows += [{**parameters, **flow} for flow in outcome.flows or ()]
            if outcome.result is not None:
                results.append(outcome.result)
        return SweepResult(
            [axis.name for axis in self.sweep.axes],
            rows,
            results=results if self.wanted.series else None,
            flow_rows=flow_rows if self.wanted.flows else None,
            failures=failures,
            runs=len(self.runs),
            from_cache=self.from_cache,
        )


def _check_options(workers: Any, executor: Any, on_failure: Any) -> None:
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise UsageError(f"workers is {workers!r}: give a whole number from 1 on, or None for one a processor")
    if workers is not None and executor is not None:
        raise UsageError("both workers and an executor are given: an executor has workers of its own, so leave one out")
    if on_failure not in ("stop", "continue"):
        raise UsageError(f"on_failure is {on_failure!r}: choose stop or continue")
