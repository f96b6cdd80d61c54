"""docs/workloads.md says what is true: its words are understood, its Python runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from wintunsim.network.options import parse_traffic
from wintunsim.network.sizes import IMIX
from wintunsim.network.words import parse_rate, parse_sizes

DOCUMENT = Path(__file__).parents[2] / "docs" / "workloads.md"


@pytest.fixture
def text():
    if not DOCUMENT.exists():
        pytest.skip("the tests of the built wheel have no documents")
    return DOCUMENT.read_text(encoding="utf-8")


def test_the_words_are_understood(text):
    specs = re.findall(r"`((?:constant|poisson|bursts|trains|tcp):[^`]+)`", text)
    assert {spec.partition(":")[0] for spec in specs} == {"constant", "poisson", "bursts", "trains", "tcp"}
    for spec in specs:
        filled = spec.replace("RATE", "10Gbit").replace("SIZE", "1400").replace("DUR", "10ms").replace("=N", "=3")
        assert parse_traffic(filled) is not None
    for rate in ("1000", "1.5Mpps", "10Gbit"):
        assert f"`{rate}`" in text
        assert parse_rate(rate)


def test_the_sizes_are_understood(text):
    table = re.search(r"\| SIZE \|.*?\n\n", text, re.DOTALL)[0]
    words = [word for row in table.splitlines()[2:] if row for word in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert set(IMIX) <= set(words)
    for word in words:
        if "FILE" not in word:
            assert parse_sizes(word)
    assert f"mean {float(parse_sizes('imix').mean_bytes):.1f}" in text
    assert f"({parse_sizes('coalesced').most_bytes} bytes)" in text


def test_the_python_runs(text):
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert len(done.stdout.split()) == 2
