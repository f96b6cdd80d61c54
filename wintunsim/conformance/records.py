"""Test vectors as records, and how the same case makes one vector for each outcome that revisions have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from wintun_model.revision import REVISIONS, Revision
from wintunsim.conformance.notes import BUG_IN

Flags = tuple[str, ...]

FORMAT = 1
"""Of the files; raised when a field changes its meaning or goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One test vector. `input` and `expected` are plain data; what they hold is told by the schema of the kind."""

    id: str
    """Unique in all files, and stable: it names the section of the specification and the case."""
    kind: str
    section: str
    """Of the specification that it follows: ``driver §5``."""
    comment: str
    """What the vector is for."""
    flags: tuple[str, ...] = ()
    """See the notes of its file."""
    revisions: tuple[str, ...] = ()
    """The revisions in which the input has this outcome; empty in files that know no revisions."""
    input: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFile:
    """One file of vectors: a group."""

    name: str
    """Of the group: ``registration``."""
    revisions: tuple[str, ...]
    """All that the group's vectors tell apart, oldest first."""
    notes: dict[str, str]
    """What each flag means."""
    vectors: tuple[Vector, ...]

    def of_kind(self, kind: str, revision: str | None = None) -> tuple[Vector, ...]:
        """The vectors of a kind, in order: all of them, or those that hold for a revision."""
        return tuple(
            vector
            for vector in self.vectors
            if vector.kind == kind and (revision is None or not vector.revisions or revision in vector.revisions)
        )


@dataclass(frozen=True, slots=True)
class Case:
    """A vector to be: everything but what comes out. A ``bug:`` flag stays where the bug is, in the others it goes."""

    section: str
    name: str
    kind: str
    comment: str
    input: dict[str, Any]
    flags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Section and name in one: ``driver-5-check-7-receive-read-only``."""
        return f"{self.section.replace(' §', '-')}-{self.name}"

    def vector(self, expected: dict[str, Any], revisions: Sequence[str] = (), suffix: str = "") -> Vector:
        """The vector of this case with an outcome."""
        return Vector(
            id=self.id + suffix,
            kind=self.kind,
            section=self.section,
            comment=self.comment,
            flags=self.flags,
            revisions=tuple(revisions),
            input=self.input,
            expected=expected,
        )


class Named(Protocol):
    """A revision of anything."""

    @property
    def name(self) -> str: ...


NamedT = TypeVar("NamedT", bound=Named)


def across(
    case: Case,
    revisions: Mapping[str, NamedT],
    evaluate: Callable[[NamedT], dict[str, Any]],
    reads: Sequence[str] | None = None,
) -> Iterator[Vector]:
    """The case in all revisions: a vector for each distinct outcome, in the order of its first revision.

    An outcome that all share keeps the case's id; else the first revision that has it is added to the id, and flagged.
    `reads` are the switches of a driver that the case can depend on at all, for cases that take long; None: all.
    """
    outcomes: dict[str, tuple[dict[str, Any], list[NamedT]]] = {}
    known: dict[object, dict[str, Any]] = {}
    for revision in revisions.values():
        # Revisions that differ in nothing that a model reads need no run of their own.
        key: object = revision.name
        if isinstance(revision, Revision):
            switches = revision.switches()
            key = (*switches.items(), revision.version) if reads is None else tuple(switches[name] for name in reads)
        if key not in known:
            known[key] = evaluate(revision)
        expected = known[key]
        outcomes.setdefault(json.dumps(expected), (expected, []))[1].append(revision)
    for expected, having in outcomes.values():
        names = [revision.name for revision in having]
        flags = case.flags if len(outcomes) == 1 else (*case.flags, f"revision:{names[0]}")
        first = having[0]
        if isinstance(first, Revision):
            flags = tuple(flag for flag in flags if flag not in BUG_IN or BUG_IN[flag](first))
        suffix = "" if len(outcomes) == 1 else f"-{names[0]}"
        yield replace(case, flags=flags).vector(expected, names, suffix)


def across_drivers(
    case: Case, evaluate: Callable[[Revision], dict[str, Any]], reads: Sequence[str] | None = None
) -> Iterator[Vector]:
    """The case in all revisions of the driver."""
    return across(case, REVISIONS, evaluate, reads)
