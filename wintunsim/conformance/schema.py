"""JSON Schemas (draft 2020-12) of the files, put together from small parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
MAX_U32 = 0xFFFF_FFFF
MAX_U64 = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of vectors: what it is about, and the fields of its input and of what is expected."""

    about: str
    input: Schema
    expected: Schema


def record(fields: Mapping[str, Schema], *optional: str, about: str = "") -> Schema:
    """An object with exactly these fields; the optional ones may be left out."""
    return {
        "type": "object",
        **({"description": about} if about else {}),
        "properties": dict(fields),
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }


def number(about: str = "", *, most: int = MAX_U32, least: int = 0) -> Schema:
    """An integer in a range; unsigned 32-bit unless said otherwise."""
    return {"type": "integer", "minimum": least, "maximum": most, **({"description": about} if about else {})}


def text(about: str = "", pattern: str = "") -> Schema:
    """A text."""
    found: Schema = {"type": "string"}
    if about:
        found["description"] = about
    if pattern:
        found["pattern"] = pattern
    return found


def flag(about: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": about}


def one_of(*choices: Any, about: str = "") -> Schema:
    """One of some fixed values."""
    return {"enum": list(choices), **({"description": about} if about else {})}


def list_of(items: Schema, about: str = "", *, least: int = 0) -> Schema:
    """A list."""
    return {
        "type": "array",
        **({"description": about} if about else {}),
        "items": items,
        **({"minItems": least} if least else {}),
    }


def maybe(schema: Schema, about: str = "") -> Schema:
    """That or null."""
    return {**({"description": about} if about else {}), "anyOf": [{"type": "null"}, schema]}


def either(*schemas: Schema, about: str = "") -> Schema:
    """One of several forms."""
    return {**({"description": about} if about else {}), "anyOf": list(schemas)}


def ref(name: str) -> Schema:
    """One of the definitions below."""
    return {"$ref": f"#/$defs/{name}"}


_HEX = "^([0-9a-f]{2})*$"
_SHA256 = "^[0-9a-f]{64}$"

DEFINITIONS: dict[str, Schema] = {
    "bytes": either(
        text("each byte as two hexadecimal digits", _HEX),
        record(
            {
                "size": number("bytes in all"),
                "fill": text("one byte, repeated", "^[0-9a-f]{2}$"),
                "start": text("what stands at the beginning instead", _HEX),
            },
            "start",
        ),
        record(
            {
                "size": number("bytes in all"),
                "pattern": number("seed: byte i is (31*seed + 7*i + floor(i/128)) mod 128"),
                "start": text("what stands at the beginning instead", _HEX),
            },
            "start",
        ),
        about="a description of bytes",
    ),
    "told": either(
        record({"hex": text("", _HEX)}),
        record({"size": number(), "sha256": text("", _SHA256)}),
        about="bytes that come out: all of them, or their number and SHA-256",
    ),
    "change": either(
        record({"offset": number("from the data area's start"), "hex": text("", _HEX)}),
        record({"offset": number("from the data area's start"), "size": number(), "sha256": text("", _SHA256)}),
        about="a run of bytes of the data area that is another than before, as long as possible",
    ),
    "words": record({"head": number(), "tail": number(), "alertable": number()}, about="the words of a ring"),
    "ring": record(
        {
            "capacity": number("bytes; the memory has 12 + capacity + 0x10000"),
            "head": number(),
            "tail": number(),
            "alertable": number(),
            "fill": text("the byte that the data area and what follows it are filled with", "^[0-9a-f]{2}$"),
            "writes": list_of(
                record(
                    {
                        "offset": number("from the data area's start"),
                        "size": number("a packet's Size, four bytes before `bytes`; left out: only `bytes`"),
                        "bytes": ref("bytes"),
                    },
                    "size",
                ),
                "what is written over the fill, in order",
            ),
        },
        about="a ring's memory before",
    ),
    "statistics": {
        "type": "object",
        "description": "the counters that are not 0; in and out are the driver's view: out goes to the client",
        "propertyNames": {"pattern": "^(in|out)_(octets|unicast_octets|unicast_packets|errors|discards)$"},
        "additionalProperties": number("", most=MAX_U64),
    },
}


def file_schema(name: str, title: str, version: int, revisions: Sequence[str], kinds: Mapping[str, Kind]) -> Schema:
    """The schema of a group's file."""
    vector = {kind: _vector(kind, schema, revisions) for kind, schema in kinds.items()}
    used = str(vector)
    definitions = {key: schema for key, schema in DEFINITIONS.items() if f"#/$defs/{key}'" in used + str(DEFINITIONS)}
    needed = {key: schema for key, schema in definitions.items() if f"#/$defs/{key}'" in used or key == "bytes"}
    return {
        "$schema": DRAFT,
        "$id": f"urn:wintunsim:vectors:{version}:{name}",
        "$comment": "written by `wintunsim vectors`",
        "title": title,
        **record(
            {
                "format": {"const": version, "description": "of all files; another number: other rules"},
                "group": {"const": name},
                "title": text("what the group is about"),
                "schema": {"const": f"schemas/{name}.schema.json"},
                "generator": record({"program": {"const": "wintunsim vectors"}, "version": text("of wintunsim")}),
                "revisions": {"const": list(revisions), "description": "that the vectors tell apart, oldest first"},
                "count": number("of vectors"),
                "notes": {
                    "type": "object",
                    "description": "what each flag means",
                    "additionalProperties": text(),
                },
                "vectors": list_of({"anyOf": [ref(f"kind:{kind}") for kind in vector]}, least=1),
            }
        ),
        "$defs": {**{f"kind:{kind}": schema for kind, schema in vector.items()}, **needed},
    }


def _vector(kind: str, schema: Kind, revisions: Sequence[str]) -> Schema:
    fields: dict[str, Schema] = {
        "id": text("unique, and stable", "^[a-z0-9.-]+$"),
        "kind": {"const": kind},
        "section": text("of the specification that it follows", "^(driver|win32|installer) §[0-9]+(\\.[0-9]+)?$"),
        "comment": text("what the vector is for"),
        "flags": list_of(text(), "see the notes"),
    }
    if revisions:
        fields["revisions"] = list_of({"enum": list(revisions)}, "in which this comes out", least=1)
    return record(
        {**fields, "input": schema.input, "expected": schema.expected},
        about=schema.about,
    )
