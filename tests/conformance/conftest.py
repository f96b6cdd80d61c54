"""The project's own golden vectors, read from `vectors/`."""

import json
from pathlib import Path

import pytest

from wintunsim.conformance import load

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "vectors"


@pytest.fixture(scope="session")
def directory():
    return DIRECTORY


@pytest.fixture(scope="session")
def files():
    """Typed records by group."""
    return load(DIRECTORY)


@pytest.fixture(scope="session")
def documents():
    """The files as they stand there, by name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("*.json"))}
