"""A sweep as a TOML file: `[experiment]`, `[client]` and `[sweep]`."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

from wintunsim.errors import UsageError
from wintunsim.experiments.client import Client
from wintunsim.experiments.experiment import Experiment
from wintunsim.experiments.sweep import Sweep

TABLES = ("experiment", "client", "sweep")


def read_sweep(path: str | PathLike[str]) -> Sweep:
    """The sweep that a file describes.

    `[experiment]` has fields of `Experiment`, `[client]` those of `Client`, `[sweep]` an axis in each line and `seeds`,
    a list or how many; an axis is a list, or an inline table from labels to values. All may be left out. UsageError,
    which names the file and the thing, for a file that cannot be read and whatever makes no sense in it.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the sweep {str(path)!r} cannot be read ({error.strerror}): name another file") from None
    except UnicodeDecodeError:
        raise UsageError(f"the sweep {str(path)!r} is no text in UTF-8: write it as TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the sweep {str(path)!r} is no TOML: {error}") from None
    try:
        return sweep_of(data)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def sweep_of(data: dict[str, Any]) -> Sweep:
    """The sweep that the tables of a file describe; see `read_sweep`."""
    for name, table in data.items():
        if name not in TABLES:
            raise UsageError(f"there is no table {name!r}: a sweep has {', '.join(f'[{known}]' for known in TABLES)}")
        if not isinstance(table, dict):
            raise UsageError(f"{name} is no table: write [{name}] in a line of its own, and its values below")
    values, client = data.get("experiment", {}), data.get("client", {})
    known = [item.name for item in fields(Experiment) if item.name not in ("client", "seed")]
    _check_names("experiment", values, known)
    _check_names("client", client, [item.name for item in fields(Client)])
    try:
        experiment = Experiment(client=Client(**client), **values)
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"a value in [experiment] or [client] is of the wrong kind ({error}): mend it") from None
    axes = dict(data.get("sweep", {}))
    seeds = axes.pop("seeds", None)
    return Sweep.of(experiment, axes, seeds)


def _check_names(table: str, given: dict[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            hint = ""
            if name in ("seed", "seeds"):
                hint = "; the seeds are seeds = 10 or seeds = [3] in [sweep]"
            elif table == "experiment" and name in {item.name for item in fields(Client)}:
                hint = f"; {name} belongs into [client]"
            raise UsageError(f"[{table}] has no {name!r}: it may have {', '.join(known)}{hint}")
