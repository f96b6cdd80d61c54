"""All targets by name: a target takes bytes, and raises when the driver did what it must not do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fuzz_pure import arithmetic, oid_buffers
from fuzz_requests import control_codes, registration
from fuzz_rings import receive_ring, send_ring, session

CORPUS = Path(__file__).parent / "corpus"

TARGETS: dict[str, Callable[[bytes], None]] = {
    "arithmetic": arithmetic,
    "control_codes": control_codes,
    "oid_buffers": oid_buffers,
    "receive_ring": receive_ring,
    "registration": registration,
    "send_ring": send_ring,
    "session": session,
}
