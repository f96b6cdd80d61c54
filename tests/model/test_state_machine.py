"""Two adapters, several clients and NDIS at random, against a model of queues (spec driver §3 to §7, §9).

After each step everything that can be seen is compared with the oracle: every byte of and around every ring, events,
counters, lists, pools, references, and that what came back came back once and in order.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).parent))

from state_machine_actions import LACKING, POLICIES, SPOILT, STARTS, Actions
from state_machine_world import Over

REVISIONS = ("0.8.1", "0.10", "0.14", "2026-02")
adapters = st.integers(0, 1)
processes = st.integers(0, 2)
places = st.integers(0, 7)
flags = st.booleans()
# Mostly what works; the rest is drawn less often.
capacities = st.sampled_from([256, 256, 512, 1024])
starts = st.sampled_from(["empty", "late", "empty", "late", *STARTS])
wrongs = st.sampled_from(["", "", "", "", "", "", "length", *SPOILT, *LACKING])
policies = st.sampled_from(["keep", "keep", *POLICIES])
packets = st.tuples(st.sampled_from([0, 1, 20, 40, 60, 99, 100, 101, 0xFFFFFFF9]), st.sampled_from([True, True, False]))
chains = st.lists(st.lists(packets, min_size=1, max_size=3), min_size=1, max_size=3)
sizes = st.lists(st.sampled_from([20, 21, 40, 60, 99, 100]), min_size=1, max_size=5)
words = st.one_of(
    st.integers(0, 255).map(lambda word: 4 * word),
    st.sampled_from([1, 3, 255, 256, 257, 1023, 1024, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF]),
    st.integers(0, 0xFFFFFFFF),
)


class Machine(RuleBasedStateMachine):
    """Steps at random; `revisions` are those to choose from."""

    revisions: tuple[str, ...] = REVISIONS

    def __init__(self) -> None:
        super().__init__()
        self.world: Actions | None = None

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.world = Actions(data.draw(st.sampled_from(self.revisions)))
        # A client on each adapter, so that a short run comes to the point.
        for index in (0, 1):
            self._do("policy", index, data.draw(policies))
            self._do("reconnect", index, index, 256, data.draw(st.tuples(starts, starts)))

    def _do(self, action: str, *arguments: object, **named: object) -> None:
        if self.world is None:
            return
        try:
            getattr(self.world, action)(*arguments, **named)
        except Over:
            # A client began at an unaligned offset, and the driver would have left the ring: another machine begins.
            self.world = Actions(self.world.revision.name)
        else:
            self.world.check()

    def teardown(self) -> None:
        self._do("end")


def _rule(name: str, *, weight: int = 1, **arguments: st.SearchStrategy[object]) -> None:
    """A rule of the machine for an action; `weight` times, for what is to happen more often."""
    for number in range(weight):

        def step(self: Machine, **drawn: object) -> None:
            self._do(name, **drawn)

        step.__name__ = f"{name}_{number}" if number else name
        setattr(Machine, step.__name__, rule(**arguments)(step))


_rule("open", index=adapters, process=processes)
_rule("duplicate", place=places, process=processes)
_rule("close", place=places)
_rule("kill", index=processes)
_rule("force_close", place=places)
_rule(
    "register",
    weight=2,
    place=places,
    capacities=st.tuples(capacities, capacities),
    starts=st.tuples(starts, starts),
    wrong=wrongs,
    shift=st.sampled_from([0, 4, 1]),
)
_rule("reconnect", weight=4, index=adapters, process=processes, capacity=capacities, starts=st.tuples(starts, starts))
_rule("send", weight=4, index=adapters, nbls=chains, is_slow=flags)
_rule("open_gate", weight=2, place=places)
_rule("read", weight=2, index=adapters, count=st.integers(1, 8))
_rule("wait", index=adapters)
_rule("write", weight=5, index=adapters, sizes=sizes, first=st.sampled_from([0x45, 0x45, 0x60, 0]), wakes=flags)
_rule("write_badly", index=adapters, size_word=words, moves=st.integers(0, 300))
_rule("spoil", index=adapters, is_send=flags, offset=st.sampled_from([0, 4, 8]), value=words, wakes=flags)
_rule("policy", index=adapters, policy=policies)
_rule(
    "give_back",
    weight=2,
    index=st.integers(0, 3),
    places=st.lists(places, min_size=1, max_size=3),
    status=st.sampled_from([0, 0x103, 0xC0000001]),
)
_rule("lack", kind=st.sampled_from(["NBL", "partial memory descriptor"]))
_rule("query", index=adapters)
_rule("pause", index=adapters)
_rule("restart", weight=3, index=adapters)
_rule("halt", index=adapters)
_rule("initialize", index=adapters, lacking=st.sampled_from(["", "", "NBL pool", "adapter context"]))
_rule("remove", index=adapters, carries_file=flags)


def search(examples: int, *revisions: str) -> None:
    """Run the machine: the same examples every time."""
    kind = type("Machine", (Machine,), {"revisions": revisions or REVISIONS})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("revision", REVISIONS)
def test_whatever_happens_the_rings_are_what_the_specification_says(revision: str) -> None:
    search(25, revision)


@pytest.mark.slow
@pytest.mark.parametrize("revision", REVISIONS)
def test_the_same_for_long(revision: str) -> None:
    search(600, revision)
