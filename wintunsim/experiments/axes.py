"""The axes of a sweep: which fields take which values, and how a value is called in the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from wintunsim.errors import UsageError
from wintunsim.experiments.client import Client

if TYPE_CHECKING:
    from wintunsim.experiments.experiment import Experiment

Label = str | int | float | bool
"""What stands in the table for a value."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: a field's name and its values, each under its label."""

    name: str
    values: tuple[tuple[Label, Any], ...]


def make_axis(experiment: Experiment, name: str, given: Any) -> Axis:
    """The axis that a user asked for: a list of values, or a mapping from labels to values.

    UsageError, which names the axis, for a field that there is not, and for values that it cannot have.
    """
    allowed = axis_names(experiment)
    if name == "seed":
        raise UsageError("the axis 'seed' is called seeds: write seeds=range(10)")
    if name not in allowed:
        raise UsageError(f"there is no axis {name!r}: choose among seeds, {', '.join(allowed)}")
    if isinstance(given, Client | str | bytes) or not isinstance(given, Iterable):
        raise UsageError(f"the axis {name} is {given!r}: give a list of values, or a mapping from labels to values")
    if isinstance(given, Mapping):
        pairs = [(_label(name, label), _plain(value)) for label, value in given.items()]
    else:
        pairs = [(label_of(value), value) for value in map(_plain, given)]
    if not pairs:
        raise UsageError(f"the axis {name} has no values: give at least one")
    seen: set[tuple[str, Label]] = set()
    for label, value in pairs:
        # True == 1, yet they are not the same value.
        key = (str(label) if isinstance(label, bool) else "", label)
        if key in seen:
            raise UsageError(f"the axis {name} has {label!r} twice: give each value once")
        seen.add(key)
        try:
            changed = experiment.with_values({name: value})
            if name in ("workload", "inbound"):
                check_workload(changed)
        except UsageError as error:
            raise UsageError(f"the axis {name} has {label!r}, but {error}") from None
        except (TypeError, ValueError, AttributeError):
            raise UsageError(f"the axis {name} has {label!r}: that is nothing that {name} can be") from None
    return Axis(name, tuple(pairs))


def make_seeds(experiment: Experiment, given: Any) -> tuple[int, ...]:
    """The seeds of a sweep: an iterable of them, how many (counted from 0), or None for the experiment's own."""
    if given is None:
        return (experiment.seed,)
    given = _plain(given)
    if isinstance(given, int) and not isinstance(given, bool):
        given = range(given)
    if isinstance(given, str | bytes | bool) or not isinstance(given, Iterable):
        raise UsageError(f"the seeds are {given!r}: give a list of integers, such as range(10), or how many")
    seeds = tuple(_plain(seed) for seed in given)
    if not seeds:
        raise UsageError("the seeds are none: give at least one, such as range(10)")
    for seed in seeds:
        try:
            experiment.with_values({"seed": seed})
        except UsageError as error:
            raise UsageError(f"the seeds have {seed!r}, but {error}") from None
    if len(set(seeds)) != len(seeds):
        twice = next(seed for place, seed in enumerate(seeds) if seed in seeds[:place])
        raise UsageError(f"the seeds have {twice} twice: give each seed once")
    return seeds


def axis_names(experiment: Experiment) -> list[str]:
    """What may be swept: fields of the experiment, then those of its client."""
    own = [item.name for item in fields(experiment) if item.name != "seed"]
    return own + [item.name for item in fields(Client) if item.name not in own]


def check_workload(experiment: Experiment) -> None:
    """UsageError for a workload that makes no sense: better before the first run than in the last."""
    from wintunsim.experiments.inbound import parse_inbound
    from wintunsim.network.options import parse_traffic

    parse_inbound(experiment.inbound)
    for index, text in enumerate(experiment.workload):
        parse_traffic(text, index)


def label_of(value: Any) -> Label:
    """What a value is called in the table: itself, or a text for what is no number, text or truth value."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Client):
        changed = {
            item.name: getattr(value, item.name)
            for item in fields(Client)
            if item.default is MISSING or getattr(value, item.name) != item.default
        }
        return ", ".join(f"{name}={label_of(what)}" for name, what in changed.items()) or "default"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={label_of(what)}" for name, what in value.items()) or "default"
    if isinstance(value, tuple | list):
        return " + ".join(str(label_of(item)) for item in value) or "none"
    return repr(value)


def _label(name: str, label: Any) -> Label:
    label = _plain(label)
    if not isinstance(label, str | int | float):
        raise UsageError(f"the axis {name} has the label {label!r}: give a text or a number")
    return label


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's own, lists as tuples."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
