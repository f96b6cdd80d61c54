"""The classic litmus tests: exactly the allowed ends under sequential consistency and x86-TSO (Owens and others, 2009).

Words are 0 at first. An end is told by what was read, or by the words' last values.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_worlds import litmus

from wintun_model import operations as op
from wintunsim.explore.rules import Rules
from wintunsim.explore.scenario import Setting
from wintunsim.explore.strategies.exhaustive import exhaustive
from wintunsim.explore.violation import Property

X, Y = 0, 1
BOTH = {(a, b) for a in (0, 1) for b in (0, 1)}


def ends(memory, threads, view, *, reduced):
    machine, start, ending = litmus(memory, *threads)
    outcome = exhaustive(machine, start, reduced=reduced, ending=ending)
    assert outcome.violation is None
    return {view(end) for end in outcome.endings}


def reads(*threads):
    """The values that these threads read, all together."""
    return lambda end: tuple(value for thread in threads for value in end[thread])


def reads_and_word(thread, word):
    return lambda end: (*end[thread], end[-1][word])


def last_words(end):
    return end[-1][:2]


SB = [[("W", X, 1), ("R", Y)], [("W", Y, 1), ("R", X)]]
SB_ONE_FENCE = [[("W", X, 1), "F", ("R", Y)], [("W", Y, 1), ("R", X)]]
SB_TWO_FENCES = [[("W", X, 1), "F", ("R", Y)], [("W", Y, 1), "F", ("R", X)]]
MP = [[("W", X, 1), ("W", Y, 1)], [("R", Y), ("R", X)]]
LB = [[("R", X), ("W", Y, 1)], [("R", Y), ("W", X, 1)]]
IRIW = [[("W", X, 1)], [("W", Y, 1)], [("R", X), ("R", Y)], [("R", Y), ("R", X)]]
TWO_PLUS_TWO_W = [[("W", X, 1), ("W", Y, 2)], [("W", Y, 1), ("W", X, 2)]]
R = [[("W", X, 1), ("W", Y, 1)], [("W", Y, 2), ("R", X)]]
S = [[("W", X, 2), ("W", Y, 1)], [("R", Y), ("W", X, 1)]]
# A processor sees its own stores early: n6 of the literature, and store forwarding.
N6 = [[("W", X, 1), ("R", X), ("R", Y)], [("W", Y, 2), ("W", X, 2)]]
FORWARDING = [[("W", X, 1), ("R", X), ("R", Y)], [("W", Y, 1), ("R", Y), ("R", X)]]

READERS_OF_IRIW = {
    (a, b, c, d) for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1) if (a, b, c, d) != (1, 0, 1, 0)
}
# (name, threads, what is looked at, allowed under SC, allowed under TSO besides)
TESTS = [
    ("SB", SB, reads(0, 1), BOTH - {(0, 0)}, {(0, 0)}),
    ("SB with one fence", SB_ONE_FENCE, reads(0, 1), BOTH - {(0, 0)}, {(0, 0)}),
    ("SB with two fences", SB_TWO_FENCES, reads(0, 1), BOTH - {(0, 0)}, set()),
    ("MP", MP, reads(1), BOTH - {(1, 0)}, set()),
    ("LB", LB, reads(0, 1), BOTH - {(1, 1)}, set()),
    ("IRIW", IRIW, reads(2, 3), READERS_OF_IRIW, set()),
    ("2+2W", TWO_PLUS_TWO_W, last_words, {(1, 2), (2, 1), (2, 2)}, set()),
    ("R", R, reads_and_word(1, Y), {(1, 1), (1, 2), (0, 1)}, {(0, 2)}),
    ("S", S, reads_and_word(1, X), {(0, 1), (0, 2), (1, 1)}, set()),
    ("n6", N6, lambda end: (*end[0], end[-1][X]), {(1, 0, 2), (1, 2, 1), (1, 2, 2), (2, 2, 2)}, {(1, 0, 1)}),
    ("forwarding", FORWARDING, reads(0, 1), {(1, 0, 1, 1), (1, 1, 1, 0), (1, 1, 1, 1)}, {(1, 0, 1, 0)}),
]


@pytest.mark.parametrize("reduced", [False, True], ids=["all", "reduced"])
@pytest.mark.parametrize(
    ("threads", "view", "under_sc", "also_under_tso"), [t[1:] for t in TESTS], ids=[t[0] for t in TESTS]
)
def test_exactly_the_allowed_ends_are_found(threads, view, under_sc, also_under_tso, reduced):
    assert ends("sc", threads, view, reduced=reduced) == under_sc
    assert ends("tso", threads, view, reduced=reduced) == under_sc | also_under_tso


# -- locks as barriers ------------------------------------------------------------------------------------------------


def store_under_lock(lock, own, other):
    yield lock.acquire
    yield op.Store(own, 1)
    yield lock.release
    return (yield other.load)


@pytest.mark.parametrize(("denied", "lost"), [((), False), (("release_drains",), True)])
def test_a_release_is_a_barrier_unless_that_is_denied(denied, lost):
    """SB with each store under a lock of its own: both loads see 0 only if a release may stay in the store buffer."""
    world = Setting(memory="tso", rules=Rules().with_changes(deny=denied)).world(checks=False)
    rings = world.rings(world.process())
    words = rings.send.alertable, rings.receive.alertable
    locks = [op.Lock(f"lock {number}", is_spin=True) for number in range(2)]
    programs = [
        world.thread("one", lambda: store_under_lock(locks[0], words[0], words[1])),
        world.thread("two", lambda: store_under_lock(locks[1], words[1], words[0])),
    ]
    found = {
        reduced: exhaustive(
            world.machine,
            world.start(),
            reduced=reduced,
            ending=lambda state: tuple(world.result(state, program) for program in programs),
        ).endings
        for reduced in (True, False)
    }
    assert found[True] == found[False] == (BOTH if lost else BOTH - {(0, 0)})


def hold_and_tell(lock, word):
    yield lock.acquire
    yield op.Store(word, 1)
    yield op.Fence()
    yield lock.release


def look_behind_a_barrier(lock, word):
    told = yield word.load
    yield op.FenceAll()
    return told, (yield lock.try_acquire)


@pytest.mark.parametrize("reduced", [True, False])
def test_a_barrier_on_all_processors_waits_for_a_release_in_a_store_buffer(reduced):
    """The barrier may come before the release, which is tried then in vain, though the store before it was seen."""
    world = Setting(memory="tso", rules=Rules().with_changes(deny=("release_drains",))).world(checks=False)
    word = world.rings(world.process()).send.alertable
    lock = op.Lock("lock", is_spin=True)
    world.thread("holder", lambda: hold_and_tell(lock, word), idle=lambda state: True)
    program = world.thread("other", lambda: look_behind_a_barrier(lock, word))
    outcome = exhaustive(
        world.machine, world.start(), reduced=reduced, ending=lambda state: world.result(state, program)
    )
    assert outcome.endings == {(0, True), (0, False), (1, True), (1, False)}


def free_what_others_have(pool):
    yield pool.free


def allocate(pool):
    yield pool.allocate


@pytest.mark.parametrize("reduced", [True, False])
def test_a_pool_gets_back_no_more_than_it_gave_in_any_order(reduced):
    world = Setting().world(checks=False)
    pool = op.Pool("NBL")
    world.thread("one", lambda: allocate(pool))
    world.thread("two", lambda: free_what_others_have(pool))
    world.thread("three", lambda: free_what_others_have(pool))
    violation = exhaustive(world.machine, world.start(), reduced=reduced).violation
    assert violation is not None
    assert violation.property is Property.NOTHING_AFTER_FREE
