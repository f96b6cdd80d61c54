"""How many executions there are, exactly: counted by the machine, and by hand in each test's docstring."""

import sys
from math import comb, factorial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_worlds import litmus, machine_of

from wintun_model import operations as op
from wintunsim.explore.search import Verdict
from wintunsim.explore.strategies.count import count
from wintunsim.explore.strategies.exhaustive import exhaustive

X, Y, Z = 0, 1, 2


def stores(word, number):
    return [("W", word, value) for value in range(1, number + 1)]


def counted(machine, start, ending):
    """The number of executions; and a reduced search comes to the same ends."""
    outcome = count(machine, start, ending=ending)
    assert outcome.verdict is Verdict.SAFE
    assert exhaustive(machine, start, ending=ending).endings == outcome.endings
    return outcome.executions


def results(machine):
    return lambda state: tuple((state[p.slot].has_ended, state[p.slot].result) for p in machine.programs)


def counted_routines(memory, *factories):
    machine, start = machine_of(memory, *factories, passes_silent=False)
    return counted(machine, start, results(machine))


def test_two_threads_of_three_and_four_stores():
    """The places of one thread's 3 steps among 7: 7! / (3! 4!) = 35."""
    assert counted(*litmus("sc", stores(X, 3), stores(Y, 4))) == comb(7, 3) == 35


def test_three_threads_of_two_steps():
    """6! / (2! 2! 2!) = 90, whatever the steps are about."""
    threads = (stores(X, 2), [("R", X), ("R", Y)], [("W", X, 3), ("R", X)])
    assert counted(*litmus("sc", *threads)) == factorial(6) // 2**3 == 90


def test_store_buffering():
    """Under TSO a thread has 3 steps: its store W, the flush F and the load R. W is first, F and R come in either
    order: 2 orders for each thread, each pair of which interleaves in 6! / (3! 3!) = 20 ways: 2 * 2 * 20 = 80. Under SC
    it is 4! / (2! 2!) = 6."""
    threads = ([("W", X, 1), ("R", Y)], [("W", Y, 1), ("R", X)])
    assert counted(*litmus("sc", *threads)) == comb(4, 2) == 6
    assert counted(*litmus("tso", *threads)) == 2 * 2 * comb(6, 3) == 80


def test_message_passing():
    """The writer stores x and y, and flushes x and y in this order: x's store is first, y's flush last, the other two
    come in either order: 2. The reader's 2 loads go among 6 steps: 15. 2 * 15 = 30."""
    threads = ([("W", X, 1), ("W", Y, 1)], [("R", Y), ("R", X)])
    assert counted(*litmus("tso", *threads)) == 2 * comb(6, 2) == 30


def test_a_fence_waits_for_the_flush():
    """Store, flush, fence, load: one order only. Two such threads: 8! / (4! 4!) = 70."""
    threads = ([("W", X, 1), "F", ("R", Y)], [("W", Y, 1), "F", ("R", X)])
    assert counted(*litmus("tso", *threads)) == comb(8, 4) == 70


def test_a_lock():
    """A step, and then three under a lock: acquire, step, release. Say that the first thread has the lock first. Its 4
    steps are in order, the other's 3 locked ones come after them, and the other's first step is in any of the 5 places
    around the 4. The same the other way round: 10."""
    lock, x, y = op.Lock("lock"), op.Variable("x", 0), op.Variable("y", 0)

    def routine(value):
        yield op.Put(x, value)
        yield lock.acquire
        yield op.Put(y, value)
        yield lock.release

    assert counted_routines("sc", lambda: routine(1), lambda: routine(2)) == 10


def test_attempts_to_take_a_lock():
    """Who has got the lock releases it, who has not is at its end. The first thread takes it; the other tries before
    the release (3 steps in all) or after it (4 steps): 2 ways. The same the other way round: 4."""
    lock = op.Lock("lock")

    def routine():
        got = yield lock.try_acquire
        if got:
            yield lock.release
        return got

    assert counted_routines("sc", routine, routine) == 4


@pytest.mark.parametrize("manual_reset", [False, True])
def test_an_event(manual_reset):
    """One thread waits and then reads; the other takes steps a, sets the event, takes step b.

    Set before the wait: a and the set are first; then wait and read go among 3 steps with b: 3. Wait before the set: a
    comes before the wait or after it (2 ways), then the set, then read and b in either order (2 ways): 4. In all 7.
    """
    event, x = op.Event("event", manual_reset=manual_reset), op.Variable("x", 0)

    def waits():
        yield op.Wait((event,))
        return (yield x.get)

    def sets():
        yield op.Put(x, 1)
        yield event.set
        yield op.Put(x, 2)

    assert counted_routines("sc", waits, sets) == 7


def test_steps_that_nobody_sees_count_when_they_are_not_passed():
    """Two threads that yield their processor twice: 4! / (2! 2!) = 6 orders, or one of no steps at all."""

    def routine():
        yield op.Yield()
        yield op.Yield()

    assert counted_routines("sc", routine, routine) == 6
    assert count(*machine_of("sc", routine, routine)).executions == 1


def test_a_started_thread():
    """A thread starts another of 2 steps, and takes 2 steps itself: 4! / (2! 2!) orders after the start, times where
    the started one's last step goes, the setting of its event: it has 3 steps then, so 5! / (3! 2!) = 10."""
    x = op.Variable("x", 0)
    machine, start = machine_of("sc", lambda: starter(x))
    machine.idle_of_started = lambda name: lambda state: True
    assert count(machine, start).executions == comb(5, 2) == 10


def starter(x):
    yield op.StartThread(started(x), "started", 8)
    yield op.Put(x, 1)
    yield op.Put(x, 2)


def started(x):
    yield op.Put(x, 3)
    yield op.Put(x, 4)


def test_an_execution_that_breaks_a_property_ends_there_and_counts():
    """The pool is deleted (d) beside an allocation (a) and a step (s) after it: a s d, a d s, and d a, which is a use
    after the end: 3."""
    pool, x = op.Pool("things"), op.Variable("x", 0)

    def allocates():
        yield pool.allocate
        yield op.Put(x, 1)

    def deletes():
        yield op.Delete(pool)

    outcome = count(*machine_of("sc", allocates, deletes))
    assert (outcome.executions, outcome.verdict) == (3, Verdict.BROKEN)
