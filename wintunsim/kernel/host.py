"""The computer that a simulation runs on: processors, scheduling, and what things cost there (spec win32 §7).

Profiles are data files beside this module; each figure in them has its source next to it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from wintunsim.errors import UsageError
from wintunsim.kernel.costs import VARYING, Costs
from wintunsim.kernel.distribution import Distribution

PROCESSORS_MAX = 256
ENDING = ".toml"
_NOTHING = Distribution.of(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """Threads of other programs that compete for processors: each works and rests by turns."""

    threads: int = 1
    priority: int = 8
    busy: Distribution = _NOTHING
    """How long it works, in ns."""
    idle: Distribution = _NOTHING
    """How long it rests in between, in ns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A computer. Without a number of processors every thread has one of its own, and nobody ever waits for one."""

    name: str = "ideal"
    processors: int | None = None
    costs: Costs = field(default_factory=Costs)
    quantum_ns: int = 31_250_000
    """How long a thread runs before another one of its priority gets the processor."""
    switch: Distribution = _NOTHING
    """A processor changes from one thread to another."""
    idle_exit: Distribution = _NOTHING
    """A processor that has been idle for `idle_after_ns` or longer begins to work."""
    idle_after_ns: int = 0
    boosts: bool = True
    """Whether a thread that is woken gets a higher priority for a while (spec win32 §3)."""
    background: tuple[Background, ...] = ()
    sources: dict[str, str] = field(default_factory=dict, compare=False)
    """Where each figure comes from, by its name."""

    @property
    def is_unlimited(self) -> bool:
        """Whether every thread has a processor of its own."""
        return self.processors is None


def profile(name: str) -> Host:
    """The profile of that name. UsageError when there is none."""
    if name not in profiles():
        raise UsageError(
            f"there is no host {name!r}: choose one of {', '.join(profiles())}, or name a file that ends in {ENDING}"
        )
    return profiles()[name]


def is_host_file(name: str) -> bool:
    """Whether a host is named by its file."""
    return name.endswith(ENDING)


def find_host(name: str) -> Host:
    """The profile of that name, or the host that a file of that name describes: one that ends in ".toml".

    UsageError when there is none, and for whatever makes no sense in the file.
    """
    if not isinstance(name, str):
        raise UsageError(f"the host is {name!r}: give the name of a profile or of a file")
    if not is_host_file(name):
        return profile(name)
    try:
        text = Path(name).read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"the host {name!r} cannot be read ({error.strerror}): name another file") from None
    except UnicodeDecodeError:
        raise UsageError(f"the host {name!r} is no text in UTF-8: write it as TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the host {name!r} is no TOML: {error}") from None
    return read_host(data, Path(name).name.removesuffix(ENDING))


@cache
def profiles() -> dict[str, Host]:
    """All profiles by name, in the order of their names, "ideal" first."""
    found = [Host()]
    folder = files("wintunsim.kernel") / "profiles"
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(ENDING):
            found.append(read_host(tomllib.loads(entry.read_text(encoding="utf-8")), entry.name.removesuffix(ENDING)))
    return {host.name: host for host in found}


def read_host(data: dict[str, Any], name: str) -> Host:
    """A host from the tables of a profile: `[host]`, `[costs]`, `[[background]]`; the form of the files.

    Each figure stands alone, or as a table with `value` and `source`. A figure that varies is a table of percentiles.
    UsageError names a field that is not known, or a value out of range.
    """
    unknown = set(data) - {"host", "costs", "background"}
    if unknown:
        raise UsageError(f"the host {name!r} has the table {min(unknown)!r}: there are host, costs and background")
    sources: dict[str, str] = {}
    given = _figures(name, data, "host", sources)
    known = {item.name for item in fields(Host)} - {"name", "costs", "background", "sources"}
    _refuse_unknown(name, "host", given, known)
    for key in ("switch", "idle_exit"):
        if key in given:
            given[key] = Distribution.of(given[key], f"{key} of the host {name!r}")
    _check(name, given, "processors", 1, PROCESSORS_MAX)
    _check(name, given, "quantum_ns", 1000, 10**10)
    _check(name, given, "idle_after_ns", 0, 10**10)
    if not isinstance(given.get("boosts", True), bool):
        raise UsageError(f"boosts of the host {name!r} is {given['boosts']!r}: give true or false")
    costs = _figures(name, data, "costs", sources)
    _refuse_unknown(name, "costs", costs, {item.name for item in fields(Costs)})
    for key, value in costs.items():
        if key in VARYING and isinstance(value, list):
            costs[key] = Distribution.of(value, f"{key} of the host {name!r}")
        else:
            _check(name, costs, key, 1 if key == "timer_tick_ns" else 0, 10**12)
    loads = data.get("background", [])
    if not isinstance(loads, list) or not all(isinstance(row, dict) for row in loads):
        raise UsageError(f"background of the host {name!r} is no list of tables: write [[background]]")
    background = tuple(_background(name, row) for row in loads)
    return Host(name=name, costs=Costs(**costs), background=background, sources=sources, **given)


def _figures(name: str, data: dict[str, Any], table: str, sources: dict[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    rows = data.get(table, {})
    if not isinstance(rows, dict):
        raise UsageError(f"{table} of the host {name!r} is no table: write [{table}], and its figures below")
    for key, value in rows.items():
        if isinstance(value, dict):
            if "value" not in value:
                raise UsageError(f"{key} of the host {name!r} has no value: write {key} = {{ value = …, source = … }}")
            sources[key] = str(value.get("source", ""))
            value = value["value"]
        given[key] = value
    return given


def _refuse_unknown(name: str, table: str, given: dict[str, Any], known: set[str]) -> None:
    for key in given:
        if key not in known:
            raise UsageError(f"the host {name!r} has {key!r} in {table}: it may have {', '.join(sorted(known))}")


def _check(name: str, given: dict[str, Any], key: str, least: int, most: int) -> None:
    if key not in given:
        return
    value = given[key]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{key} of the host {name!r} is {value!r}: give a whole number from {least} to {most}")


def _background(name: str, row: dict[str, Any]) -> Background:
    _refuse_unknown(name, "background", row, {"threads", "priority", "busy", "idle"})
    _check(name, row, "threads", 1, 1024)
    _check(name, row, "priority", 1, 31)
    for key in ("busy", "idle"):
        if key not in row:
            raise UsageError(
                f"a background load of the host {name!r} has no {key!r}: give ns, or a table of percentiles"
            )
    return Background(
        threads=row.get("threads", 1),
        priority=row.get("priority", 8),
        busy=Distribution.of(row["busy"], f"busy of the background of the host {name!r}"),
        idle=Distribution.of(row["idle"], f"idle of the background of the host {name!r}"),
    )
