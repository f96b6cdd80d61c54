"""Store buffers in virtual time: who sees a store when, and what empties a buffer (spec driver §7.1, §10 B3)."""

import pytest

from wintun_model import operations as op
from wintunsim.kernel.store_buffer import DRAINING
from wintunsim.kernel.system import System

engines = pytest.mark.parametrize("engine", ["direct", "step"])
FAR_NS = 50_000


class Two:
    """Two words, and threads that run routines on them from the same moment on."""

    def __init__(self, store_buffer_ns, engine="direct"):
        self.system = System(store_buffer_ns=store_buffer_ns, engine=engine)
        self.machine = self.system.machine
        self.x, self.y = op.Word([0], 0, "x"), op.Word([0], 0, "y")
        self.results = {}

    def run(self, *routines):
        for number, routine in enumerate(routines):
            self.machine.start_thread(
                f"thread {number}", lambda number=number, routine=routine: self._run(number, routine)
            )
        self.machine.run(10**9)
        return [self.results[number] for number in range(len(routines))]

    def _run(self, number, routine):
        self.results[number] = self.system.executor.run(routine)


def store_and_load(mine, other, fence):
    yield op.Store(mine, 1)
    if fence:
        yield op.Fence()
    return (yield other.load)


@engines
@pytest.mark.parametrize(
    ("store_buffer_ns", "fences", "sees_old"),
    [
        (0, (False, False), False),
        (100, (False, False), True),
        (100, (True, False), True),
        (100, (False, True), True),
        (100, (True, True), False),
    ],
)
def test_both_may_see_the_old_value_unless_both_have_a_barrier(engine, store_buffer_ns, fences, sees_old):
    two = Two(store_buffer_ns, engine)
    pairs = ((two.x, two.y), (two.y, two.x))
    found = two.run(*(store_and_load(*pair, fence) for pair, fence in zip(pairs, fences, strict=True)))
    assert (found == [0, 0]) is sees_old


@engines
def test_a_thread_sees_its_own_store_at_once_and_others_when_it_leaves_the_buffer(engine):
    two = Two(1000, engine)

    def stores():
        yield op.Store(two.x, 7)
        return (yield two.x.load)

    def looks():
        seen = []
        for _ in range(4):
            yield op.Work(400)
            seen.append(((yield two.x.load), two.machine.now > 1002))
        return seen

    own, seen = two.run(stores(), looks())
    assert own == 7
    assert seen == [(7 if is_late else 0, is_late) for is_late in (False, False, True, True)]


@pytest.mark.parametrize("kind", DRAINING, ids=lambda kind: kind.__name__)
def test_what_empties_the_buffer(kind):
    two = Two(FAR_NS)
    lock, event = op.Lock("lock"), op.Event("event", manual_reset=True, signalled=True)
    before = {op.Release: [lock.acquire], op.ReleaseShared: [lock.acquire_shared]}
    arguments = {
        op.Fence: (),
        op.Yield: (),
        op.Sleep: (10, True),
        op.Wait: ((event,),),
        op.Set: (event,),
        op.Clear: (event,),
    }

    def stores():
        yield from before.get(kind, ())
        yield op.Store(two.x, 1)
        yield op.Store(two.y, 2)
        yield kind(*arguments.get(kind, (lock,)))

    def looks():
        yield op.Work(FAR_NS // 2)
        return (yield two.x.load), (yield two.y.load)

    assert two.run(stores(), looks())[1] == (1, 2)


def test_without_that_a_store_stays():
    two = Two(FAR_NS)

    def stores():
        yield op.Store(two.x, 1)
        yield op.Work(10)

    def looks():
        yield op.Work(FAR_NS // 2)
        return (yield two.x.load)

    assert two.run(stores(), looks())[1] == 0


def test_stores_leave_in_their_order_and_are_traced_when_they_do():
    two = Two(500)
    seen = []
    two.x.observer = lambda old, new: seen.append(("x", new, two.machine.now))
    two.y.observer = lambda old, new: seen.append(("y", new, two.machine.now))

    def stores():
        yield op.Store(two.x, 1)
        yield op.Store(two.y, 2)
        yield op.Store(two.x, 3)
        return (yield two.x.load)

    assert two.run(stores()) == [3]
    assert seen == [("x", 1, 502), ("y", 2, 504), ("x", 3, 506)]


@engines
def test_who_spins_notices_when_the_store_leaves_the_buffer(engine):
    two = Two(3000, engine)

    def stores():
        yield op.Store(two.x, 1)

    def spins():
        value = yield op.Spin(two.x, 0, None, 100_000)
        return value, two.machine.now

    assert two.run(stores(), spins())[1] == (1, 3002 + two.machine.costs.pass_ns)


def test_several_spin_on_one_word():
    two = Two(0)

    def stores():
        for value in (1, 2):
            yield op.Work(1000)
            yield op.Store(two.x, value)

    def spins(until):
        value = 0
        while value != until:
            value = yield op.Spin(two.x, value, None, 100_000)
        return two.machine.now // 1000

    def times_out():
        yield op.Spin(two.x, 2, op.Event("never", manual_reset=True), 5)
        return (yield op.Spin(two.x, 0, None, 5))

    assert two.run(stores(), spins(1), spins(2), times_out(), spins(2))[1:] == [1, 2, 0, 2]
    assert not two.system.executor.spins


@engines
def test_a_barrier_on_all_processors_is_enough_on_one_side(engine):
    """It empties the other one's buffer too, so nobody else needs a barrier."""

    def store_and_load_after_all(mine, other):
        yield op.Store(mine, 1)
        yield op.FenceAll()
        return (yield other.load)

    two = Two(FAR_NS, engine)
    assert two.run(store_and_load_after_all(two.x, two.y), store_and_load(two.y, two.x, fence=False)) != [0, 0]


@engines
def test_it_lets_the_others_stores_be_seen(engine):
    def store_and_work(word):
        yield op.Store(word, 1)
        yield op.Work(2000)

    def look(word):
        yield op.Work(1000)
        before = yield word.load
        yield op.FenceAll()
        after = yield word.load
        return before, after

    two = Two(FAR_NS, engine)
    assert two.run(store_and_work(two.x), look(two.x))[1] == (0, 1)
