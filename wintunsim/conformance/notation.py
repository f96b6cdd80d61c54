"""How vectors write bytes and rings: hexadecimal, fills and patterns; ring memory; what changed in it.

Runners in other languages need no more than this file does (vectors/README.md describes the same for them).
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from wintun_model.abi import RING_HEADER_BYTES
from wintun_model.ring import ring_bytes_of
from wintunsim.errors import UsageError

LONGEST_HEX = 64
"""Bytes that an expected value spells out; longer ones are given by their size and SHA-256."""
_PATTERN_MODULUS = 128

Bytes = str | Mapping[str, Any]
"""A description of bytes: hexadecimal text, or an object with `size` and `fill` or `pattern`, perhaps `start`."""


@lru_cache(maxsize=256)
def pattern(seed: int, size: int) -> bytes:
    """`size` bytes; byte i is (31·seed + 7·i + i div 128) mod 128, so it is never one of the fill 0xA5."""
    index = np.arange(size, dtype=np.int64)
    return ((31 * seed + 7 * index + index // _PATTERN_MODULUS) % _PATTERN_MODULUS).astype(np.uint8).tobytes()


def bytes_of(description: Bytes) -> bytes:
    """The bytes that a description stands for. UsageError for one that makes no sense."""
    try:
        if isinstance(description, str):
            return bytes.fromhex(description)
        size = int(description["size"])
        if "fill" in description:
            data = bytes.fromhex(description["fill"]) * size
        else:
            data = pattern(int(description["pattern"]), size)
        start = bytes.fromhex(description.get("start", ""))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{description!r} describes no bytes ({error}): give hexadecimal text, or a size") from None
    if len(data) != size or len(start) > size:
        raise UsageError(f"{description!r} describes no bytes: a fill is one byte, a start no longer than the size")
    return start + data[len(start) :]


def packet(size: int, seed: int = 0, version: int = 4) -> Bytes:
    """The description of a packet of that IP version: its first byte tells it, the rest is a pattern."""
    if not size:
        return ""
    return {"size": size, "pattern": seed, "start": f"{version << 4 | 5:02x}"}


def told(data: bytes) -> dict[str, Any]:
    """Bytes as an expected value: `hex`, or `size` and `sha256` when they are long."""
    if len(data) <= LONGEST_HEX:
        return {"hex": data.hex()}
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


# -- rings ------------------------------------------------------------------------------------------------------------


def ring(
    capacity: int,
    *writes: Mapping[str, Any],
    head: int = 0,
    tail: int = 0,
    alertable: int = 0,
    fill: str = "a5",
) -> dict[str, Any]:
    """The description of a ring's memory: its words, and what is written over the filled data area, in order."""
    words = {"head": head, "tail": tail, "alertable": alertable}
    return {"capacity": capacity, **words, "fill": fill, "writes": list(writes)}


def write(offset: int, data: Bytes, size: int | None = None) -> dict[str, Any]:
    """A write at `offset` of the data area; with `size` the four bytes of a packet's `Size` come first."""
    return {"offset": offset, **({} if size is None else {"size": size}), "bytes": data}


def ring_memory(description: Mapping[str, Any]) -> bytearray:
    """The whole memory of a described ring: 12 bytes of words, the capacity, 0x10000 trailing bytes."""
    memory = bytearray(ring_bytes_of(description["capacity"]))
    fill = bytes.fromhex(description["fill"])
    if fill != b"\0":
        memory[RING_HEADER_BYTES:] = fill * (len(memory) - RING_HEADER_BYTES)
    struct.pack_into("<III", memory, 0, *(description[word] for word in ("head", "tail", "alertable")))
    for each in description["writes"]:
        data = bytes_of(each["bytes"])
        if "size" in each:
            data = struct.pack("<I", each["size"]) + data
        start = RING_HEADER_BYTES + each["offset"]
        memory[start : start + len(data)] = data
    return memory


def words_of(memory: bytes | bytearray) -> dict[str, int]:
    """`Head`, `Tail` and `Alertable` as unsigned 32-bit numbers."""
    return dict(zip(("head", "tail", "alertable"), struct.unpack_from("<III", memory), strict=True))


def changes(before: bytes | bytearray, after: bytes | bytearray) -> list[dict[str, Any]]:
    """The runs of the data area that differ, with what they hold now; offsets count from the data area's start."""
    old, new = (np.frombuffer(memory, np.uint8)[RING_HEADER_BYTES:] for memory in (before, after))
    places = np.flatnonzero(old != new)
    if not len(places):
        return []
    starts = [0, *(np.flatnonzero(np.diff(places) > 1) + 1).tolist(), len(places)]
    found = []
    for first, end in pairwise(starts):
        low, high = int(places[first]), int(places[end - 1]) + 1
        found.append({"offset": low, **told(new[low:high].tobytes())})
    return found


def ring_sha256(before: Mapping[str, Any], changed: list[dict[str, Any]], after: bytes | bytearray) -> str:
    """The SHA-256 of a ring's memory that was `before` and is `after`: hashed once for the same change of the same."""
    key = json.dumps([before, changed, words_of(after)])
    if key not in _hashes:
        _hashes[key] = hashlib.sha256(after).hexdigest()
    return _hashes[key]


_hashes: dict[str, str] = {}
