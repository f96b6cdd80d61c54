"""One run of a sweep, wherever it is carried out: what comes back is rows, and series on request only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wintunsim.errors import UsageError
from wintunsim.experiments.cache import source_digest
from wintunsim.experiments.result import Result

if TYPE_CHECKING:
    from wintunsim.experiments.experiment import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to come back of each run, beside its row."""

    series: bool = False
    """The whole result, with its latencies and series."""
    flows: bool = False
    """A row for each flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one run: its row, and all of it if that was asked for; or a sentence on why it failed."""

    row: dict[str, Any] = field(default_factory=dict)
    result: Result | None = None
    flows: list[dict[str, Any]] | None = None
    """A row for each flow, if that was asked for."""
    failure: str | None = None


def run_one(experiment: Experiment, wanted: Wanted, sources: str) -> Outcome:
    """Run an experiment. An exception becomes an outcome, so that it reaches the sweep from any process whatever it is.

    `sources` is the digest of the sweep's own sources: a worker that has others must not fill the table.
    """
    if source_digest() != sources:
        return Outcome(failure="its worker runs another version of wintunsim: start the workers anew")
    try:
        result = experiment.run(series=wanted.series, flows=wanted.flows)
        # As it would come out of the cache, so that no table tells which rows did.
        row = json.loads(json.dumps(result.row(), allow_nan=False))
    except UsageError as error:
        return Outcome(failure=str(error))
    except Exception as error:
        return Outcome(failure=f"{type(error).__name__}: {error}".removesuffix(": "))
    flows = None if result.flows is None else [flow.row() for flow in result.flows]
    return Outcome(row=row, result=result if wanted.series else None, flows=flows)
