"""A machine with so many processors: who runs when, to the nanosecond (spec win32 §3, §7)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintun_model import operations as op
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.distribution import Distribution
from wintunsim.kernel.host import Background, Host
from wintunsim.kernel.processors import LimitedMachine

QUANTUM = 1_000_000


def machine(processors=1, *, seed=0, **options):
    """A machine where nothing costs time but what a test lets cost."""
    costs = options.pop("costs", None) or Costs(wake_ns=0, yield_ns=0, event_ns=0)
    return LimitedMachine(seed, Host(processors=processors, quantum_ns=QUANTUM, costs=costs, **options))


class Log:
    """Threads that note when they do what."""

    def __init__(self, machine):
        self.machine = machine
        self.lines = []

    def note(self, text):
        self.lines.append((self.machine.now, text))

    def worker(self, name, *spans, at=0, priority=8):
        """A thread that works for each of `spans` ns from `at` on, and notes each end."""

        def work():
            for span in spans:
                self.machine.spend(span)
                self.note(name)

        return self.machine.start_thread(name, work, priority=priority, delay_ns=at)


def run(machine):
    machine.run()
    machine.close()


@pytest.fixture
def log():
    return Log(machine())


def test_one_processor_runs_one_thread_after_the_other(log):
    log.worker("a", 500)
    log.worker("b", 700)
    run(log.machine)
    assert log.lines == [(500, "a"), (1200, "b")]


def test_two_processors_run_two_threads_at_once():
    log = Log(machine(2))
    for name in ("a", "b", "c"):
        log.worker(name, 500)
    run(log.machine)
    assert log.lines == [(500, "a"), (500, "b"), (1000, "c")]


def test_a_thread_of_higher_priority_takes_the_processor_in_the_middle_of_an_operation(log):
    log.worker("low", 1000)
    log.worker("high", 300, at=400, priority=9)
    run(log.machine)
    assert log.lines == [(700, "high"), (1300, "low")]
    assert log.machine.preemptions == 1


def test_a_thread_of_equal_priority_does_not(log):
    log.worker("first", 1000)
    log.worker("second", 300, at=400)
    run(log.machine)
    assert log.lines == [(1000, "first"), (1300, "second")]


def test_a_preempted_thread_goes_on_before_others_of_its_priority(log):
    log.worker("low", 1000)
    log.worker("other", 100, at=100)
    log.worker("high", 300, at=400, priority=9)
    run(log.machine)
    assert log.lines == [(700, "high"), (1300, "low"), (1400, "other")]


def test_the_processor_goes_round_when_the_quantum_ends(log):
    log.worker("a", *[QUANTUM // 2] * 5)
    log.worker("b", *[QUANTUM // 2] * 5)
    run(log.machine)
    # What ends with the quantum is noted when the thread runs again.
    half = QUANTUM // 2
    assert [(time // half, name) for time, name in log.lines] == [
        (1, "a"), (3, "b"), (4, "a"), (5, "a"), (6, "b"), (7, "b"), (8, "a"), (9, "a"), (9, "b"), (10, "b"),
    ]  # fmt: skip


def test_a_quantum_ends_in_the_middle_of_long_work(log):
    log.worker("long", 3 * QUANTUM)
    log.worker("short", 100, at=10)
    run(log.machine)
    assert log.lines == [(QUANTUM + 100, "short"), (3 * QUANTUM + 100, "long")]


def test_a_preempted_thread_keeps_what_is_left_of_its_quantum(log):
    log.worker("first", 3 * QUANTUM)
    log.worker("second", 100, at=10)
    for place in range(1, 4):
        log.worker(f"high {place}", 100, at=place * QUANTUM // 4, priority=9)
    run(log.machine)
    # The first one has had its quantum, however often it was interrupted.
    assert log.lines[3] == (QUANTUM + 3 * 100 + 100, "second")


def test_a_quantum_that_nobody_waits_for_is_renewed(log):
    log.worker("a", *[QUANTUM] * 3)
    run(log.machine)
    assert log.lines == [(QUANTUM * place, "a") for place in (1, 2, 3)]


def test_switching_and_leaving_idle_cost_time():
    log = Log(machine(switch=Distribution.of(100), idle_exit=Distribution.of(1000), idle_after_ns=50))
    log.worker("a", 500)
    log.worker("b", 500)
    log.worker("c", 500, at=5000)
    run(log.machine)
    # At the start the processor has not been idle for long enough.
    assert log.lines == [(600, "a"), (1200, "b"), (5000 + 1100 + 500, "c")]


def test_a_thread_that_comes_back_to_its_processor_switches_nothing():
    log = Log(machine(2, switch=Distribution.of(100)))

    def work():
        for _ in range(3):
            log.machine.spend(10)
            log.note("a")
            log.machine.sleep_until(log.machine.now + 1000)

    log.machine.start_thread("a", work)
    run(log.machine)
    assert [time for time, _ in log.lines] == [110, 1120, 2130]


def test_sleeping_leaves_the_processor_to_others(log):
    def sleeper():
        log.machine.sleep_until(1000)
        log.note("sleeper")

    log.machine.start_thread("sleeper", sleeper)
    log.worker("other", 400)
    run(log.machine)
    assert log.lines == [(400, "other"), (1000, "sleeper")]


def test_a_timeout_that_comes_while_nobody_can_run_stays_one(log):
    """The event is set after the wait's deadline, but before the thread gets the processor: the wait has timed out."""
    event = op.Event("e", manual_reset=False)

    def waiter():
        assert log.machine.wait((event,), deadline_ns=100) == -1
        log.note("timed out")

    log.machine.start_thread("waiter", waiter)

    def busy():
        log.machine.spend(500)
        log.machine.set_event(event)
        log.machine.spend(500)
        log.note("busy")

    log.machine.start_thread("busy", busy)
    run(log.machine)
    assert log.lines == [(1000, "busy"), (1000, "timed out")]
    assert event.signalled


@pytest.mark.parametrize(("boosts", "order"), [(True, ["woken", "busy"]), (False, ["busy", "woken"])])
def test_a_woken_thread_is_boosted_over_its_equals(boosts, order):
    log = Log(machine(2, boosts=boosts))
    event = op.Event("e", manual_reset=False)

    class Owner:
        """A process: only its threads are boosted."""

    def waiter():
        log.machine.wait((event,))
        log.machine.spend(100)
        log.note("woken")

    log.machine.start_thread("waiter", waiter, process=Owner())
    log.worker("high", 1000, priority=20, at=10)

    def setter():
        log.machine.spend(200)
        log.machine.set_event(event)
        log.machine.spend(400)
        log.note("busy")

    log.machine.start_thread("setter", setter, delay_ns=20)
    run(log.machine)
    assert [name for _, name in log.lines if name != "high"] == order


def test_a_holder_of_a_spin_lock_is_not_preempted(log):
    machine = log.machine

    def holder():
        machine.raise_level(machine.current)
        machine.spend(1000)
        log.note("holder")
        machine.lower_level(machine.current)
        machine.spend(1000)
        log.note("after")

    machine.start_thread("holder", holder)
    log.worker("high", 300, at=400, priority=9)
    run(machine)
    # The thread that waits is not forgotten: it runs as soon as the lock is free and others are let in.
    assert log.lines[0] == (1000, "holder")
    assert log.lines[1] == (1300, "high")


def test_yielding_lets_equals_run_and_says_whether_there_were_any(log):
    def polite():
        log.machine.spend(100)
        log.note(log.machine.yield_processor())
        log.note(log.machine.yield_processor())

    log.machine.start_thread("polite", polite)
    log.worker("other", 50, at=10)
    run(log.machine)
    assert log.lines == [(150, "other"), (150, True), (150, False)]


def test_a_spin_that_yields_gives_its_processor_to_anybody(log):
    """As the driver's reader spins: even a thread of lower priority runs, and the spin ends late."""
    event = op.Event("e", manual_reset=True)

    def spinner():
        assert log.machine.spin((event,), 10_000) == 0
        log.note("spinner")

    log.machine.start_thread("spinner", spinner, priority=12)

    def other():
        log.machine.spend(300)
        log.machine.set_event(event)
        log.machine.spend(300)
        log.note("other")

    log.machine.start_thread("other", other, priority=3, delay_ns=100)
    run(log.machine)
    assert log.lines == [(700, "other"), (700, "spinner")]


def test_a_spin_alone_keeps_its_processor_busy():
    log = Log(machine(2))
    event = op.Event("e", manual_reset=True)

    def spinner():
        log.machine.spin((event,), 10_000)
        log.note("spinner")

    thread = log.machine.start_thread("spinner", spinner)

    def setter():
        log.machine.spend(500)
        log.machine.set_event(event)

    log.machine.start_thread("setter", setter)
    run(log.machine)
    assert log.lines == [(540, "spinner")]
    assert log.machine.scheduling(thread).busy_ns == 540


def test_the_background_competes():
    load = Background(threads=1, priority=9, busy=Distribution.of(1000), idle=Distribution.of(1000))
    alone, beside = Log(machine(1)), Log(machine(1, background=(load,)))
    for log in (alone, beside):
        log.worker("a", *[100] * 100)
        log.machine.run(100_000)
        log.machine.close()
    assert alone.lines[-1] == (10_000, "a")
    assert beside.lines[-1][0] > 15_000


def test_a_thread_that_is_ended_leaves_its_processor():
    log = Log(machine(1))
    victim = log.worker("victim", 10_000)
    log.worker("other", 100, at=50)
    log.machine.call_at(500, lambda: log.machine.kill(victim))
    run(log.machine)
    assert [name for _, name in log.lines] == ["other"]


def test_the_report_accounts_for_every_processor():
    log = Log(machine(2))
    log.worker("a", 500)
    log.worker("b", 300, 300)
    log.worker("c", 100)
    run(log.machine)
    report = log.machine.report()
    assert sum(report["processors"]) == 500 + 600 + 100
    assert {row["name"]: row["busy_ns"] for row in report["threads"]} == {"a": 500, "b": 600, "c": 100}


@settings(max_examples=60, deadline=None)
@given(
    processors=st.integers(1, 3),
    jobs=st.lists(
        st.tuples(st.integers(0, 5000), st.lists(st.integers(1, 3000), min_size=1, max_size=4), st.integers(1, 15)),
        min_size=1,
        max_size=7,
    ),
)
def test_all_work_is_done_once_and_no_processor_rests_while_somebody_waits(processors, jobs):
    log = Log(machine(processors))
    for number, (at, spans, priority) in enumerate(jobs):
        log.worker(f"{number}", *spans, at=at, priority=priority)
    run(log.machine)
    report = log.machine.report()
    work = sum(sum(spans) for _, spans, _ in jobs)
    assert sum(report["processors"]) == work
    assert len(log.lines) == sum(len(spans) for _, spans, _ in jobs)
    end = max(time for time, _ in log.lines)
    assert end <= max(at for at, _, _ in jobs) + work
    assert end >= -(-work // processors) if len(jobs) >= processors else True


@settings(max_examples=30, deadline=None)
@given(jobs=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 2000), st.integers(1, 31)), min_size=2, max_size=8))
def test_with_one_processor_the_most_important_thread_always_runs(jobs):
    """Against a schedule that is worked out by hand: at each instant the highest priority, then who came first."""
    log = Log(machine(1))
    for number, (at, span, priority) in enumerate(jobs):
        log.worker(f"{number}", span, at=at, priority=priority)
    run(log.machine)
    left, now, expected = {number: job[1] for number, job in enumerate(jobs)}, 0, {}
    running = None
    while left:
        here = [number for number in left if jobs[number][0] <= now]
        arrivals = [jobs[number][0] for number in left if jobs[number][0] > now]
        if not here:
            now = min(arrivals)
            continue
        best = max(jobs[number][2] for number in here)
        equals = [number for number in here if jobs[number][2] == best]
        if running not in equals:
            started = [number for number in equals if left[number] < jobs[number][1]]
            running = started[0] if started else min(equals, key=lambda number: (jobs[number][0], number))
        until = min([now + left[running], *arrivals])
        left[running] -= until - now
        now = until
        if not left[running]:
            expected[running] = now
            del left[running]
            running = None
    assert {int(name): time for time, name in log.lines} == expected
