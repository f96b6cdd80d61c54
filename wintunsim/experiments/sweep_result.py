"""What a sweep came to: a tidy table, one row a run; means with their confidence intervals; series on request."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wintunsim.errors import UsageError
from wintunsim.experiments.axes import Label
from wintunsim.experiments.extra import library
from wintunsim.experiments.result import Result

METRICS = ("throughput_bps", "drop_share", "latency_p99_ns")
"""What a summary is of when nothing is named."""
DROPS = ("dropped", "inbound_dropped")
"""Columns that have one for each cause behind them, named `dropped_CAUSE`."""


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that came to no result."""

    parameters: Mapping[str, Label]
    """Its swept parameters and its seed."""
    reason: str

    def __str__(self) -> str:
        where = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"the run with {where} failed: {self.reason}"


class SweepError(Exception):
    """A run of a sweep failed, and the sweep was to stop then. The message names the run.

    `args`: the message, and the `SweepResult` of the runs that had finished (also as `.result`).
    """

    def __init__(self, message: str, result: SweepResult) -> None:
        super().__init__(message, result)
        self.result = result

    def __str__(self) -> str:
        return str(self.args[0])


class SweepResult:
    """The finished runs of a sweep, in the order of its axes, whatever finished first."""

    def __init__(
        self,
        axes: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
        *,
        results: Sequence[Result] | None = None,
        flow_rows: Sequence[Mapping[str, Any]] | None = None,
        failures: Sequence[FailedRun] = (),
        runs: int,
        from_cache: int = 0,
    ) -> None:
        self.axes = tuple(axes)
        """The names of the swept parameters, without the seed."""
        self.rows = tuple(rows)
        """One a finished run: swept parameters, `seed`, and the numbers of `Result.row()`; units are in the names."""
        self.failures = tuple(failures)
        """The runs that failed."""
        self.runs = runs
        """How many runs the sweep has, finished or not."""
        self.from_cache = from_cache
        """How many of the finished ones came from the cache."""
        self._results = results
        self._flow_rows = flow_rows

    @property
    def results(self) -> Sequence[Result]:
        """For each row of the table its whole `Result`, with latencies and series. UsageError when not asked for."""
        if self._results is None:
            raise UsageError("the sweep kept rows only: run it with series=True")
        return self._results

    @cached_property
    def table(self) -> Any:
        """A pandas DataFrame with one row a finished run: see `rows`. What never was dropped was dropped 0 times."""
        return _frame(self.axes, self.rows)

    @cached_property
    def flow_table(self) -> Any:
        """A pandas DataFrame with one row for each flow of each finished run; UsageError when not asked for.

        Its columns: the swept parameters, `seed`, and those of `FlowResult.row()`.
        """
        if self._flow_rows is None:
            raise UsageError("the sweep did not count flows: run it with flows=True")
        return _frame(self.axes, self._flow_rows)

    def summary(self, *metrics: str, confidence: float = 0.95) -> Any:
        """Means over the seeds, as a pandas DataFrame with one row for each combination of the other parameters.

        Its columns: the parameters, `runs` (how many finished), and for each metric (a column of the table with
        numbers; without any: throughput, drops, p99 latency) its mean, `METRIC_low` and `METRIC_high`, the confidence
        interval of the mean by Student's t, which takes the runs to be independent and their values about normal. With
        one seed there is none: NaN. UsageError for a metric that there is not, and a confidence out of range.
        """
        pandas = library("pandas", "the summary of a sweep")
        quantile_of_t = library("scipy.special", "the summary of a sweep").stdtrit
        if not isinstance(confidence, int | float) or not 0 < confidence < 1:
            raise UsageError(f"the confidence is {confidence!r}: give a number between 0 and 1, such as 0.95")
        table = self.table
        numbers = [
            name
            for name in table.columns
            if name not in (*self.axes, "seed") and pandas.api.types.is_numeric_dtype(table[name])
        ]
        for metric in metrics:
            if metric not in numbers:
                raise UsageError(f"there is no metric {metric!r}: choose among {', '.join(numbers)}")
        groups: dict[tuple[Label, ...], list[int]] = {}
        for number, row in enumerate(self.rows):
            groups.setdefault(tuple(row[name] for name in self.axes), []).append(number)
        found = []
        for parameters, members in groups.items():
            line: dict[str, Any] = {**dict(zip(self.axes, parameters, strict=True)), "runs": len(members)}
            for metric in metrics or METRICS:
                values = table[metric].iloc[members].dropna().to_numpy(dtype=float)
                line |= _interval(metric, values, confidence, quantile_of_t)
            found.append(line)
        return pandas.DataFrame(found)

    def _repr_html_(self) -> str:
        text: str = self.table._repr_html_()
        return text + "".join(f"<p>{_escaped(str(failure))}</p>" for failure in self.failures)


def columns_of(axes: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of a table; their order does not depend on which causes of drops the first run happens to have."""
    names = dict.fromkeys(name for row in rows for name in row)
    causes = {whole: sorted(name for name in names if name.startswith(f"{whole}_")) for whole in DROPS}
    columns = [*axes, "seed"]
    for name in names:
        if name not in columns and not any(name in group for group in causes.values()):
            columns.append(name)
            columns += causes.get(name, ())
    return columns


def with_all_causes(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """A row in which what never was dropped was dropped 0 times."""
    empty = {name: 0 for whole in DROPS if whole in row for name in columns if name.startswith(f"{whole}_")}
    return {**empty, **row}


def _frame(axes: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Any:
    pandas = library("pandas", "the table of a sweep")
    columns = columns_of(axes, rows)
    plain = [{name: math.nan if value is None else value for name, value in row.items()} for row in rows]
    return pandas.DataFrame([with_all_causes(row, columns) for row in plain], columns=columns)


def _interval(metric: str, values: npt.NDArray[np.float64], confidence: float, quantile_of_t: Any) -> dict[str, float]:
    count = len(values)
    mean = float(values.mean()) if count else math.nan
    half = math.nan
    if count > 1:
        half = float(quantile_of_t(count - 1, 0.5 + confidence / 2) * values.std(ddof=1) / np.sqrt(count))
    return {metric: mean, f"{metric}_low": mean - half, f"{metric}_high": mean + half}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
