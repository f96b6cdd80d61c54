"""Directories of vectors: writing one, reading one, and telling how one differs from what the model says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from wintunsim.conformance.records import FORMAT, Vector, VectorFile
from wintunsim.errors import UsageError

SCHEMAS = "schemas"
MARK = "wintunsim vectors"
"""Stands near the beginning of every file that is written."""
_MARK_WITHIN = 1000


def load(directory: str | PathLike[str]) -> dict[str, VectorFile]:
    """All vectors of a directory that `wintunsim vectors --out` wrote: files by the name of their group, in order.

    Raises `UsageError` when there is none, for broken JSON, and for a format of another version. The records are
    checked for their fields, not against the schemas.
    """
    path = Path(directory)
    if not path.is_dir():
        raise UsageError(f"{path} is no directory: name one that `wintunsim vectors --out` wrote")
    files = [_vector_file(file, read_json(file)) for file in sorted(path.glob("*.json"))]
    if not files:
        raise UsageError(f"{path} holds no vectors: name a directory that `wintunsim vectors --out` wrote")
    return {file.name: file for file in files}


def read_json(path: Path) -> dict[str, Any]:
    """A file of vectors as plain data; UsageError when it cannot be one of this format."""
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): write it anew or fix its rights") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no valid JSON ({error}): write it anew with `wintunsim vectors --out`") from None
    if not isinstance(fields, dict) or "format" not in fields:
        raise UsageError(f"{path} is no file of vectors (it names no format): take it out of the directory")
    if fields["format"] != FORMAT or isinstance(fields["format"], bool):
        raise UsageError(
            f"{path} has format {fields['format']!r}, this wintunsim knows {FORMAT}: use the wintunsim that wrote it"
        )
    vectors = fields.get("vectors")
    if not isinstance(vectors, list) or not all(isinstance(each, dict) and _has_id(each) for each in vectors):
        raise UsageError(f"{path} has no list of vectors with ids: write it anew with `wintunsim vectors --out`")
    return fields


def _has_id(fields: Mapping[str, Any]) -> bool:
    return isinstance(fields.get("id"), str)


def _vector_file(path: Path, fields: Mapping[str, Any]) -> VectorFile:
    try:
        return VectorFile(
            name=fields["group"],
            revisions=tuple(fields["revisions"]),
            notes=dict(fields["notes"]),
            vectors=tuple(_vector(each) for each in fields["vectors"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} lacks what format {FORMAT} has ({error}): write it anew") from None


def _vector(fields: Mapping[str, Any]) -> Vector:
    lists = {"flags": tuple(fields["flags"]), "revisions": tuple(fields.get("revisions", ()))}
    return Vector(**{**fields, **lists})


# -- writing ----------------------------------------------------------------------------------------------------------


def check_foreign(directory: Path, names: Sequence[str]) -> None:
    """UsageError when a directory holds anything that `wintunsim vectors` did not write; `names` are its files."""
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"--out {directory} is a file: name a directory")
    for path in _visible(directory):
        name = path.relative_to(directory).as_posix()
        if name not in names:
            raise UsageError(f"--out {directory} holds {name}, which is no file of vectors: name another directory")
        try:
            is_ours = MARK in path.read_text(encoding="utf-8", errors="replace")[:_MARK_WITHIN]
        except OSError as error:
            raise UsageError(f"{path} cannot be read ({error.strerror}): name another directory") from None
        if not is_ours:
            raise UsageError(f"--out {directory} holds a {name} that is not of wintunsim: name another directory")


def _visible(directory: Path) -> Iterator[Path]:
    """All files but hidden ones, and what stands in the place of a file, in the order of their names."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and path.name == SCHEMAS:
            yield from (inner for inner in sorted(path.iterdir()) if not inner.name.startswith("."))
        else:
            yield path


# -- comparing --------------------------------------------------------------------------------------------------------


def differences(directory: Path, expected: Mapping[str, str], *, is_all: bool) -> Iterator[str]:
    """How a directory differs from the files that it should have (name and text), a line for each difference.

    The version of the wintunsim that wrote it is no difference, nor is how the JSON is laid out. With `is_all`, files
    beyond those expected are told too. Raises `UsageError` for what cannot be compared.
    """
    if not directory.is_dir():
        raise UsageError(f"--check {directory} is no directory: name one that `wintunsim vectors --out` wrote")
    for name, text in expected.items():
        path = directory / name
        if not path.exists():
            yield f"{name}: missing"
        elif name.endswith(".json") and "/" not in name:
            yield from _file_differences(name, json.loads(text), read_json(path))
        elif _read_lines(path) != text.splitlines():
            yield f"{name}: another text than expected"
    if is_all:
        for path in _visible(directory):
            name = path.relative_to(directory).as_posix()
            if name not in expected:
                yield f"{name}: is no file of this version"


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}): write it anew with `wintunsim vectors --out`") from None


def _file_differences(name: str, expected: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    for fields in (expected, found):
        generator = fields.get("generator")
        if isinstance(generator, dict):
            generator.pop("version", None)
    heads = [{key: value for key, value in fields.items() if key != "vectors"} for fields in (expected, found)]
    yield from (f"{name}: {line}" for line in field_differences("", *heads))
    wanted, there = ({vector["id"]: vector for vector in fields["vectors"]} for fields in (expected, found))
    if len(there) != len(found["vectors"]):
        yield f"{name}: several vectors have the same id"
    for key, vector in wanted.items():
        if key not in there:
            yield f"{name}: {key}: missing"
        else:
            yield from (f"{name}: {key}: {line}" for line in field_differences("", vector, there[key]))
    yield from (f"{name}: {key}: no such vector expected" for key in there if key not in wanted)
    common = [[key for key in fields if key in wanted and key in there] for fields in (wanted, there)]
    if common[0] != common[1]:
        yield f"{name}: the vectors stand in another order"


def field_differences(where: str, expected: Any, found: Any) -> Iterator[str]:
    """Where two pieces of plain data differ: the field, what was expected, what was found."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in dict.fromkeys((*expected, *found)):
            inner = f"{where}.{key}" if where else str(key)
            if key not in found:
                yield f"{inner}: expected {_short(expected[key])}, found nothing"
            elif key not in expected:
                yield f"{inner}: expected nothing, found {_short(found[key])}"
            else:
                yield from field_differences(inner, expected[key], found[key])
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from field_differences(f"{where}[{number}]", one, other)
    elif type(expected) is not type(found) or expected != found:
        yield f"{where or 'the value'}: expected {_short(expected)}, found {_short(found)}"


_LONGEST_VALUE = 100


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
