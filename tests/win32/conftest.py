"""Fixtures of the Windows face's tests; the simulated process itself is in `win32_face`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from win32_face import Face


@pytest.fixture
def face() -> Face:
    return Face()
