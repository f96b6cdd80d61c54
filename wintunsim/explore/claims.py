"""The claims that scenarios are about: the known bugs of spec driver §10, and what the search found beyond them.

What a claim's scenarios say, and which revisions have it, is not here: that is what the search says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim. `switches` are the changes of the proposed revision that close it (`revision.PROPOSED_CHANGES`)."""

    name: str
    title: str
    shows: str
    """How it shows to a user."""
    closed_by: str
    """What closes it: a revision, or a change in words."""
    switches: tuple[str, ...] = ()
    mended_by: tuple[str, ...] = ()
    """The switches of the revision that has closed it, or part of it."""
    is_new: bool = False
    """Whether the specification does not have it: it was found while the search was put to use."""


def _read() -> dict[str, Claim]:
    entries = tomllib.loads(files("wintunsim.explore").joinpath("claims.toml").read_text(encoding="utf-8"))
    lists = ("switches", "mended_by")
    return {
        name: Claim(name=name, **(entry | {each: tuple(entry.get(each, ())) for each in lists}))
        for name, entry in entries.items()
    }


CLAIMS = _read()
"""All claims by name, in order."""


def claims_closed_by(changes: Iterable[str]) -> list[Claim]:
    """The claims that a race with these changes, each of which closes it, is about.

    A proposed change is for its claim. A switch of a revision counts where there is none: it may only take away what
    shows the race.
    """
    names = set(changes)
    return [claim for claim in CLAIMS.values() if names & set(claim.switches)] or [
        claim for claim in CLAIMS.values() if names & set(claim.mended_by)
    ]
