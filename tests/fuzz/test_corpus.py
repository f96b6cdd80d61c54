"""The inputs that the fuzzer found interesting, run again without it; and that the targets would notice something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fuzz_pure
import fuzz_rings
from fuzz import SHARES
from fuzz_targets import CORPUS, TARGETS

from wintun_model import send
from wintun_model.oids import OidAnswer
from wintun_model.ring import space

LARGEST_CORPUS_BYTES = 300_000


def inputs(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_runs_through(target: str) -> None:
    found = inputs(target)
    assert found, "the corpus of this target is empty"
    for data in (b"", *found):
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_an_input_does_the_same_every_time(target: str) -> None:
    """Nothing of one input is left for the next: else what the fuzzer finds could not be found again."""
    for data in inputs(target)[:5] * 2:
        TARGETS[target](data)


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < LARGEST_CORPUS_BYTES


def test_every_target_has_its_share() -> None:
    assert set(SHARES) == set(TARGETS)
    assert sum(SHARES.values()) == 100


def notices(target: str) -> bool:
    """Whether an input of the corpus fails."""
    for data in inputs(target):
        try:
            TARGETS[target](data)
        except AssertionError:
            return True
    return False


def test_a_wrong_space_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_pure, "space", lambda head, tail, capacity: space(head, tail, capacity) + 4)
    assert notices("arithmetic")


def test_a_wrong_answer_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_pure, "oid_request", lambda *request: OidAnswer(0, b"", 0))
    assert notices("oid_buffers")


def test_a_wrong_status_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "_INVALID_LENGTH", 0)
    assert notices("send_ring")


def test_a_write_past_the_ring_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet that is stored too far on in the ring's last bytes."""

    def spoil(world: fuzz_rings.World) -> None:
        world.send.block.cells[-1] ^= 1

    run = fuzz_rings.World.end
    monkeypatch.setattr(fuzz_rings.World, "end", lambda world: (spoil(world), run(world)))
    assert notices("send_ring")


def test_the_command_names_the_targets_it_knows() -> None:
    command = [sys.executable, str(CORPUS.parent / "fuzz.py"), "nothing"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "there is no target 'nothing': choose from arithmetic, control_codes," in process.stderr


def test_one_input_can_be_run_again(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"\1\2\3")
    command = [sys.executable, str(CORPUS.parent / "fuzz.py"), "session", "--input", str(path)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout == "session: nothing found\n"
