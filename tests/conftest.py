"""Settings and fixtures of all tests."""

import gc
import json
from pathlib import Path

import pytest
from hypothesis import settings

from tests.command_line import CommandLine

# The same examples on every run and machine; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("repeatable")

DIGESTS = Path(__file__).parent / "golden" / "digests.json"


def pytest_collection_finish():
    """What is there now stays to the end: no search for garbage, or among all objects, need look at it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def wintunsim():
    """The command line: takes its arguments, and gives the finished process with its output as text."""
    with CommandLine() as command_line:
        yield command_line


@pytest.fixture
def recorded():
    """The recorded digest of a run, by name; `python tests/golden/record.py` records them anew, on purpose."""
    digests = json.loads(DIGESTS.read_text(encoding="utf-8"))
    return digests.__getitem__
