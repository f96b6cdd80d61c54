"""Golden vectors: what the driver, the session layer and the installer do, case by case, for every implementation.

`load` reads a directory of them, as `wintunsim vectors --out` writes it, as typed records; `bytes_of` and `ring_memory`
give the bytes that their inputs describe. See docs/vectors.md.
"""

from __future__ import annotations

from wintunsim.conformance.directory import load
from wintunsim.conformance.notation import bytes_of, ring_memory
from wintunsim.conformance.records import FORMAT, Vector, VectorFile

__all__ = ["FORMAT", "Vector", "VectorFile", "bytes_of", "load", "ring_memory"]
