"""The groups of vectors, in their order, and their files as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from wintun_model.errors import ModelError
from wintun_model.revision import REVISIONS
from wintunsim.conformance import (
    vectors_abi,
    vectors_installer,
    vectors_lifecycle,
    vectors_oids,
    vectors_receive,
    vectors_registration,
    vectors_ring,
    vectors_send,
    vectors_session,
)
from wintunsim.conformance.encoding import json_text
from wintunsim.conformance.notes import note_of
from wintunsim.conformance.records import FORMAT, Vector
from wintunsim.conformance.schema import Kind, Schema, file_schema

PROGRAM = "wintunsim vectors"
"""What every file that is written says of its origin."""


@dataclass(frozen=True, slots=True)
class Group:
    """One file of vectors: what is in it and how it is made."""

    name: str
    title: str
    revisions: tuple[str, ...]
    kinds: Mapping[str, Kind]
    generate: Callable[[], Iterator[Vector]]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.json"

    @property
    def schema_file(self) -> str:
        """The name of its schema's file."""
        return f"schemas/{self.name}.schema.json"

    def schema(self) -> Schema:
        """Its JSON Schema."""
        return file_schema(self.name, self.title, FORMAT, self.revisions, self.kinds)

    def fields(self) -> dict[str, Any]:
        """The whole file as plain data: the model runs for it."""
        vectors = tuple(self.generate())
        flags = sorted({flag for vector in vectors for flag in vector.flags})
        return {
            "format": FORMAT,
            "group": self.name,
            "title": self.title,
            "schema": self.schema_file,
            "generator": {"program": PROGRAM, "version": program_version()},
            "revisions": list(self.revisions),
            "count": len(vectors),
            "notes": {flag: note_of(flag, of_driver=set(self.revisions) <= set(REVISIONS)) for flag in flags},
            "vectors": [_vector_fields(vector, bool(self.revisions)) for vector in vectors],
        }

    def texts(self) -> dict[str, str]:
        """Its files: name and text."""
        return {self.file: json_text(self.fields()), self.schema_file: json_text(self.schema())}


def _vector_fields(vector: Vector, has_revisions: bool) -> dict[str, Any]:
    fields = asdict(vector)
    fields["flags"] = list(vector.flags)
    fields["revisions"] = list(vector.revisions)
    if not has_revisions:
        if vector.revisions:
            raise ModelError(f"{vector.id} has revisions, its file has none")
        del fields["revisions"]
    return fields


def program_version() -> str:
    """The version of wintunsim that makes the files."""
    try:
        return version("wintunsim")
    except PackageNotFoundError:
        return "unknown"


_MODULES = {
    "abi": vectors_abi,
    "ring": vectors_ring,
    "registration": vectors_registration,
    "send": vectors_send,
    "receive": vectors_receive,
    "lifecycle": vectors_lifecycle,
    "oids": vectors_oids,
    "session": vectors_session,
    "installer": vectors_installer,
}

GROUPS: dict[str, Group] = {
    name: Group(name, module.TITLE, module.REVISIONS, module.KINDS, module.vectors) for name, module in _MODULES.items()
}
"""All groups by name, in the order of the specification."""
