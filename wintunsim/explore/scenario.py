"""Litmus scenarios: a small world, the threads to explore in it, and the verdict to expect for each revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from wintun_model.revision import DEFAULT_REVISION, REVISIONS, Revision
from wintunsim.errors import UsageError
from wintunsim.explore.rules import Rules
from wintunsim.explore.world import World

MEMORIES = ("sc", "tso")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a scenario is explored for: a revision of the driver, a memory model, the rules of the surroundings."""

    revision: Revision = REVISIONS[DEFAULT_REVISION]
    memory: str = "tso"
    rules: Rules = field(default_factory=Rules)
    passes_silent: bool = True
    """Whether operations that nobody can see take no step of their own."""

    def world(self, **options: object) -> World:
        """A world for this setting."""
        return World(
            self.revision,
            memory=self.memory,
            rules=self.rules,
            passes_silent=self.passes_silent,
            **options,  # type: ignore[arg-type]
        )

    def with_switches(self, **switches: bool) -> Setting:
        """The same for a revision with some switches turned."""
        return replace(self, revision=replace(self.revision, **switches))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A small world and what to expect of it.

    `build` makes the world with its threads. `is_broken` says whether a property is expected to fail in a setting, from
    the revision's switches, the memory model and the rules. `claim` is the id of the bug that it is about (spec driver
    §10), if it is about one; `twin` names a scenario, or is a setting of this one, that differs in little and must
    fail where this one is safe. `rules` are the names of those rules of the surroundings that decide a verdict.
    """

    name: str
    title: str
    build: Callable[[Setting], World]
    is_broken: Callable[[Setting], bool]
    claim: str = ""
    twin: str = ""
    rules: tuple[str, ...] = ()
    leaves_out: str = ""
    """What the driver of this scenario lacks that every revision has: for twins that must fail in all of them."""
    story: str = ""
    """What goes wrong, in plain words: for documents."""

    def expected(self, setting: Setting) -> str:
        """The expected verdict: "safe" or "broken"."""
        return "broken" if self.is_broken(setting) else "safe"


_scenarios: dict[str, Scenario] = {}


def register(*scenarios: Scenario) -> None:
    """Make scenarios known by their names."""
    for scenario in scenarios:
        if scenario.name in _scenarios:
            raise UsageError(f"there are two scenarios named {scenario.name!r}")
        _scenarios[scenario.name] = scenario


def all_scenarios() -> dict[str, Scenario]:
    """All scenarios by name, in the order of the modules of `wintunsim.explore.scenarios`."""
    from wintunsim.explore import scenarios

    scenarios.load()
    # A module may have been imported before others: its scenarios are registered, but have their place all the same.
    order = {f"{scenarios.__name__}.{theme}": place for place, theme in enumerate(scenarios.THEMES)}
    return dict(sorted(_scenarios.items(), key=lambda item: order.get(item[1].build.__module__, len(order))))


def find(names: Iterable[str]) -> list[Scenario]:
    """The scenarios of these names. UsageError for a name that is not known."""
    known = all_scenarios()
    found = []
    for name in names:
        if name not in known:
            raise UsageError(f"there is no scenario {name!r}: choose among {', '.join(known)}")
        found.append(known[name])
    return found
