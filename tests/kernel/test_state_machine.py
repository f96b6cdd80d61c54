"""Clients, senders and ends of registrations at random in virtual time: what goes in comes out once, and nothing stays.

Each run is written down, and played again: a second time, and with the engine that runs one operation at a time, it
must leave the same trace (design §3).
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).parent))

from state_machine_system import Computer

REVISIONS = ("0.8.1", "0.10", "0.14", "2026-02")
adapters = st.integers(0, 1)
places = st.integers(0, 5)
sizes = st.sampled_from([20, 21, 64, 1420, 9000, 65535])
packets = st.one_of(sizes, sizes, st.sampled_from([0, -64, 65536]))
"""Packets handed down; -64 stands for one of 64 bytes that cannot be mapped."""
delays = st.integers(0, 20_000)
chains = st.lists(packets, min_size=1, max_size=4)


class Machine(RuleBasedStateMachine):
    """Steps at random, each with some virtual time after it."""

    revisions: tuple[str, ...] = REVISIONS

    def __init__(self) -> None:
        super().__init__()
        self.script: list[tuple[str, tuple[Any, ...]]] = []
        self.computer: Computer | None = None
        self.revision = ""

    @initialize(revision=st.sampled_from(REVISIONS), echoes=st.booleans())
    def begin(self, revision: str, echoes: bool) -> None:
        self.revision = revision
        self.computer = Computer(revision)
        self._do("client", 0, echoes)

    def _do(self, action: str, *arguments: Any) -> None:
        assert self.computer is not None
        self.script.append((action, arguments))
        self.computer.do(action, *arguments)

    @rule(index=adapters, echoes=st.booleans())
    def client(self, index: int, echoes: bool) -> None:
        self._do("client", index, echoes)

    @rule(index=adapters, chains=st.lists(st.tuples(delays, chains), min_size=1, max_size=4))
    def send(self, index: int, chains: list[tuple[int, list[int]]]) -> None:
        self._do("send", index, chains)

    @rule(index=adapters, chains=st.lists(st.tuples(delays, chains), min_size=1, max_size=4))
    def send_more(self, index: int, chains: list[tuple[int, list[int]]]) -> None:
        self._do("send", index, chains)

    @rule(place=places, written=st.lists(sizes, min_size=1, max_size=6))
    def write(self, place: int, written: list[int]) -> None:
        self._do("write", place, written)

    @rule(time_ns=st.sampled_from([100, 5_000, 100_000, 3_000_000]))
    def wait(self, time_ns: int) -> None:
        self._do("wait", time_ns)

    @rule(place=places)
    def close(self, place: int) -> None:
        self._do("close", place)

    @rule(place=places)
    def kill(self, place: int) -> None:
        self._do("kill", place)

    @rule(index=adapters, time_ns=delays)
    def pause(self, index: int, time_ns: int) -> None:
        self._do("pause", index, time_ns)

    @rule(index=adapters)
    def remove(self, index: int) -> None:
        self._do("remove", index)

    def teardown(self) -> None:
        if self.computer is None:
            return
        digest = self.computer.end()
        assert play(self.revision, self.script, "direct") == digest, "a second run left another trace"
        assert play(self.revision, self.script, "step") == digest, (
            "the engine that goes step by step left another trace"
        )


def play(revision: str, script: list[tuple[str, tuple[Any, ...]]], engine: str) -> str:
    """Do it all again; the digest."""
    computer = Computer(revision, engine=engine)
    for action, arguments in script:
        computer.do(action, *arguments)
    return computer.end()


def search(examples: int, steps: int) -> None:
    """Run the machine: the same examples every time."""
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_what_goes_in_comes_out_once_and_nothing_stays() -> None:
    search(50, 15)


@pytest.mark.slow
def test_the_same_for_long() -> None:
    search(800, 30)


SCRIPT = [
    ("client", (0, True)),
    ("wait", (100_000,)),
    ("send", (0, [(0, [20, 1420]), (100, [65536, 64, -64]), (150, [9000])])),
    ("write", (0, [40, 1420])),
    ("wait", (3_000_000,)),
    ("client", (0, False)),
    ("close", (0,)),
    ("wait", (100_000,)),
    ("client", (0, False)),
    ("wait", (100_000,)),
    ("send", (0, [(0, [64])])),
    ("wait", (100_000,)),
    ("kill", (1,)),
]


def test_a_run_has_what_it_is_meant_to_have() -> None:
    """The machinery at work: a client too many is refused, packets cross both rings, and a kill ends a registration."""
    computer = Computer("0.8.1")
    for action, arguments in SCRIPT:
        computer.do(action, *arguments)
    computer.end()
    assert [client.status for client in computer.clients] == [0, 0xC0000510, 0]
    assert [len(client.read) for client in computer.clients] == [5, 0, 1]
    assert Counter(status for _, status in computer.network.completed.values()) == {0: 5, 0xC0010014: 1, 0xC0000001: 1}
    assert computer.network.received_count == 6
