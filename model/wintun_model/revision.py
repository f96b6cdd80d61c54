"""Driver revisions as data (spec driver §9): one frozen record of switches, read where behaviour differs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What distinguishes one revision of the driver from another."""

    name: str
    date: str
    """Author date, ISO 8601."""
    version: tuple[int, int]
    """Major and minor as the driver reports them (spec driver §7)."""


REVISIONS: dict[str, Revision] = {
    revision.name: revision for revision in (Revision(name="0.8.1", date="2020-02-27", version=(0, 8)),)
}
"""The revisions that the model knows, oldest first. The others of spec driver §9 are not modelled yet."""

DEFAULT_REVISION = "0.8.1"
