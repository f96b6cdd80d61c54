"""The engine: threads and foreign simpy events in one virtual time, in one order (design §5)."""

import gc
import subprocess
import sys
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model.errors import ModelError
from wintun_model.operations import Event
from wintun_model.trace import Kind
from wintunsim.kernel.machine import FOREVER, TIMED_OUT, Machine, ThreadKilled

WAKE_NS = 8000


def event(*, manual_reset=False, signalled=False):
    return Event("event", manual_reset=manual_reset, signalled=signalled)


class Log:
    """Notes who was where when."""

    def __init__(self, machine):
        self.machine = machine
        self.lines = []

    def __call__(self, what):
        self.lines.append((self.machine.time(), what))

    def spender(self, name, *costs):
        """A thread's function: lets each of these times pass and notes itself after each."""

        def run():
            for cost in costs:
                self.machine.spend(cost)
                self(name)

        return run

    def at(self, time_ns, what):
        """A foreign simpy event that notes itself."""
        self.machine.call_at(time_ns, lambda: self(what))


@pytest.fixture
def log(machine):
    return Log(machine)


# -- order and ties -----------------------------------------------------------------------------------------------


def test_threads_run_in_the_order_of_their_times(machine, log):
    machine.start_thread("a", log.spender("a", 10, 20, 30))
    machine.start_thread("b", log.spender("b", 25, 25))
    assert machine.run() is False
    assert log.lines == [(10, "a"), (25, "b"), (30, "a"), (50, "b"), (60, "a")]
    assert machine.latest == 60


def test_of_threads_at_one_time_the_one_that_was_started_first_goes_first(machine, log):
    for name in "abc":
        machine.start_thread(name, log.spender(name, 10, 10))
    machine.run()
    assert log.lines == [(10, "a"), (10, "b"), (10, "c"), (20, "a"), (20, "b"), (20, "c")]


def test_who_goes_first_does_not_depend_on_who_is_running(machine, log):
    machine.start_thread("a", log.spender("a", 12))
    machine.start_thread("b", log.spender("b", 10, 2))
    machine.run()
    assert log.lines == [(10, "b"), (12, "a"), (12, "b")]


def test_a_running_thread_goes_on_at_the_time_at_which_others_are_due(machine, log):
    machine.start_thread("a", log.spender("a", 10, 0, 0))
    machine.start_thread("b", log.spender("b"), delay_ns=10)
    machine.start_thread("c", log.spender("c", 0), delay_ns=10)
    machine.run()
    assert log.lines == [(10, "a"), (10, "a"), (10, "a"), (10, "c")]


def test_foreign_events_come_before_threads_that_become_ready_at_their_time(machine, log):
    for time_ns in (5, 10, 15):
        log.at(time_ns, f"foreign {time_ns}")
    machine.start_thread("a", log.spender("a", 0), delay_ns=10)
    machine.start_thread("b", log.spender("b", 0), delay_ns=4)
    machine.run()
    assert log.lines == [(4, "b"), (5, "foreign 5"), (10, "foreign 10"), (10, "a"), (15, "foreign 15")]


def test_foreign_events_come_before_the_next_thread_of_their_time(machine, log):
    machine.start_thread("a", log.spender("a", 5, 20))
    machine.start_thread("b", log.spender("b", 0), delay_ns=10)
    machine.start_thread("c", log.spender("c", 1), delay_ns=2)
    log.at(10, "foreign")
    machine.run()
    assert log.lines == [(3, "c"), (5, "a"), (10, "foreign"), (10, "b"), (25, "a")]


def test_foreign_events_come_before_what_a_running_thread_does_at_their_time(machine, log):
    log.at(10, "foreign")
    machine.start_thread("a", log.spender("a", 9, 1, 0, 1))
    machine.run()
    assert log.lines == [(9, "a"), (10, "foreign"), (10, "a"), (10, "a"), (11, "a")]


def test_a_thread_schedules_a_foreign_event_before_its_horizon(machine, log):
    def run():
        machine.spend(100)
        log("before")
        log.at(150, "foreign")
        machine.spend(100)
        log("after")
        log.at(200, "at once")
        machine.spend(0)
        log("still at that time")
        machine.spend(1)
        log("later")

    log.at(1000, "far away")
    machine.start_thread("a", run)
    machine.run()
    assert log.lines == [
        (100, "before"),
        (150, "foreign"),
        (200, "after"),
        (200, "at once"),
        (200, "still at that time"),
        (201, "later"),
        (1000, "far away"),
    ]


def test_simpy_processes_and_threads_share_one_clock(machine, log):
    ready = machine.environment.event()

    def process():
        for _ in range(3):
            yield machine.environment.timeout(100)
            log("process")
        assert (yield ready) == "go"
        log("told")

    def run():
        machine.spend(250)
        log("thread")
        machine.spend(150)
        ready.succeed("go")
        machine.spend(1)
        log("thread")

    machine.start_process(process())
    machine.start_thread("a", run)
    machine.run()
    assert log.lines == [
        (100, "process"),
        (200, "process"),
        (250, "thread"),
        (300, "process"),
        (400, "told"),
        (401, "thread"),
    ]


def test_a_foreign_event_starts_and_wakes_threads(machine, log):
    waiting = machine.start_thread("waits", lambda: log(machine.block()))
    machine.call_at(50, lambda: machine.start_thread("new", lambda: log("new"), delay_ns=7))
    machine.call_at(60, lambda: machine.make_ready(waiting, 75, "woken"))
    machine.run()
    assert log.lines == [(57, "new"), (75, "woken")]


def test_an_earlier_thread_takes_the_place_of_a_later_one(machine, log):
    machine.start_thread("late", lambda: log("late"), delay_ns=100)
    machine.start_thread("early", lambda: log("early"), delay_ns=10)
    log.at(50, "foreign")
    machine.run()
    assert log.lines == [(10, "early"), (50, "foreign"), (100, "late")]


STEPS = st.lists(st.integers(0, 30), max_size=12)


PLANS = st.lists(st.tuples(st.integers(0, 40), STEPS), max_size=5)


def play(threads, processes, stops=()):
    """Run threads and simpy processes with these delays; what they noted."""
    machine = Machine()
    log = Log(machine)

    def process(name, delays):
        for delay in delays:
            yield machine.environment.timeout(delay)
            log(name)

    for number, (delay, costs) in enumerate(threads):
        machine.start_thread(f"t{number}", log.spender(f"t{number}", *costs), delay_ns=delay)
    for number, (delay, delays) in enumerate(processes):
        machine.start_process(process(f"p{number}", [delay, *delays]))
    for until_ns in sorted(stops):
        machine.run(until_ns)
        # A thread whose turn it is may go on to the first ns that is not part of the run.
        assert all(time_ns <= until_ns + 1 for time_ns, _ in log.lines)
        assert machine.time() <= machine.latest <= until_ns
    assert machine.run() is False
    return log.lines


@given(PLANS, PLANS, st.lists(st.integers(0, 200), max_size=5))
def test_everybody_acts_at_its_own_time_and_nobody_goes_back(threads, processes, stops):
    expected = []
    for number, (delay, costs) in enumerate(threads):
        expected += [(delay + sum(costs[: place + 1]), f"t{number}") for place in range(len(costs))]
    for number, (delay, delays) in enumerate(processes):
        expected += [(delay + sum(delays[:place]), f"p{number}") for place in range(len(delays) + 1)]
    lines = play(threads, processes)
    assert sorted(lines) == sorted(expected)
    assert [time_ns for time_ns, _ in lines] == sorted(time_ns for time_ns, _ in lines)
    assert play(threads, processes) == lines
    # Where a run is cut moves nobody in time.
    assert sorted(play(threads, processes, stops)) == sorted(expected)


# -- blocking -----------------------------------------------------------------------------------------------------


def test_block_answers_what_it_is_woken_with_or_that_its_deadline_came(machine, log):
    def run():
        log(machine.block())
        log(machine.block(500))
        log(machine.block(machine.now))
        log(machine.block(10))  # in the past: at once

    thread = machine.start_thread("a", run)
    machine.call_at(100, lambda: machine.make_ready(thread, 120, "value"))
    machine.run()
    assert log.lines == [(120, "value"), (500, TIMED_OUT), (500, TIMED_OUT), (500, TIMED_OUT)]


def test_a_wake_up_before_the_deadline_does_away_with_it(machine, log):
    def run():
        log(machine.block(500))
        log(machine.block(10_000))

    thread = machine.start_thread("a", run)
    machine.call_at(100, lambda: machine.make_ready(thread, 200, "woken"))
    machine.run()
    assert log.lines == [(200, "woken"), (10_000, TIMED_OUT)]


def test_only_a_thread_can_wait(machine):
    for call in (machine.block, machine.give_way, lambda: machine.wait((event(),))):
        with pytest.raises(ModelError, match="only a simulated thread can wait"):
            call()
    failures = []

    def call():
        with pytest.raises(ModelError):
            machine.spend(FOREVER + 1)
        failures.append(True)

    machine.call_at(1, call)
    machine.run()
    assert failures == [True]


def test_priorities_are_noted_and_a_thread_has_a_number_and_a_name(machine):
    records = []
    machine.trace.add_sink(records.extend)
    thread = machine.start_thread("reader", lambda: None, priority=1)
    machine.run()
    assert machine.trace.names[thread.number] == "reader"
    assert machine.threads == []
    rows = [tuple(records[place : place + 6]) for place in range(0, len(records), 6)]
    assert (0, 0, Kind.THREAD_START, thread.number, 1, 0) in rows
    assert (0, thread.number, Kind.THREAD_END, thread.number, 0, 0) in rows


# -- runs ---------------------------------------------------------------------------------------------------------


def test_a_run_ends_at_its_time_and_goes_on_from_there(machine, log):
    machine.start_thread("a", log.spender("a", 10, 10, 10, 10))
    log.at(15, "foreign")
    assert machine.run(20) is True
    assert log.lines == [(10, "a"), (15, "foreign"), (20, "a")]
    assert (machine.latest, machine.time()) == (20, 20)
    assert machine.run(25) is True
    assert len(log.lines) == 3
    assert machine.run() is False
    assert log.lines[3:] == [(30, "a"), (40, "a")]


def test_what_happens_at_the_end_of_a_run_belongs_to_it(machine, log):
    log.at(100, "foreign")
    machine.start_thread("a", log.spender("a", 0), delay_ns=100)
    machine.run(99)
    assert log.lines == []
    machine.run(100)
    assert log.lines == [(100, "foreign"), (100, "a")]


def test_a_thread_that_is_started_after_a_run_starts_where_it_ended(machine, log):
    def spin():
        while True:
            machine.spend(10)

    machine.start_thread("spins", spin)
    machine.run(1000)
    machine.start_thread("late", lambda: log("late"))
    machine.call_at(1500, lambda: log("foreign"))
    machine.run(2000)
    assert log.lines == [(1000, "late"), (1500, "foreign")]


def test_time_that_a_thread_only_asked_for_has_not_come(machine):
    machine.start_thread("a", lambda: machine.spend(10_000))
    machine.run(100)
    assert machine.latest == 100
    machine.run()
    assert machine.latest == 10_000


def test_nothing_to_do_takes_no_time(machine):
    assert machine.run() is False
    assert machine.run(1_000_000) is False
    assert machine.latest == 0


def test_a_run_ends_with_a_blocked_thread_that_nothing_can_wake(machine):
    thread = machine.start_thread("a", machine.block)
    assert machine.run() is False
    assert machine.threads == [thread]


def test_stop_ends_the_run_when_the_thread_gives_way(machine, log):
    def run():
        machine.spend(10)
        machine.stop()
        log("goes on")
        machine.spend(10)
        log("after")

    machine.start_thread("a", run)
    machine.start_thread("b", log.spender("b", 15))
    assert machine.run() is True
    assert log.lines == [(10, "goes on")]
    assert machine.run() is False
    assert sorted(log.lines[1:]) == [(15, "b"), (20, "after")]


def test_stop_from_a_foreign_event(machine, log):
    machine.call_at(10, machine.stop)
    machine.start_thread("a", log.spender("a", 5, 10))
    assert machine.run() is True
    assert log.lines == [(5, "a")]
    machine.run()
    assert log.lines == [(5, "a"), (15, "a")]


def test_an_exception_in_a_thread_comes_out_of_run(machine, log):
    def fail():
        machine.spend(10)
        raise ZeroDivisionError("in a thread")

    thread = machine.start_thread("a", fail)
    machine.start_thread("b", log.spender("b", 5, 10))
    with pytest.raises(ZeroDivisionError, match="in a thread"):
        machine.run()
    assert isinstance(thread.exception, ZeroDivisionError)
    assert thread.ended.signalled
    assert log.lines == [(5, "b")]
    # The rest of the machine is as good as before.
    machine.run()
    assert log.lines == [(5, "b"), (15, "b")]


def test_an_exception_after_a_hand_over_from_another_thread_comes_out_of_run(machine, log):
    def fail():
        machine.spend(7)
        raise KeyError("second")

    machine.start_thread("a", log.spender("a", 5, 10))
    machine.start_thread("b", fail)
    with pytest.raises(KeyError):
        machine.run()
    machine.run()
    assert log.lines == [(5, "a"), (15, "a")]


def test_an_exception_in_a_foreign_event_comes_out_of_run(machine):
    machine.call_at(5, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        machine.run()


def test_two_machines_run_beside_each_other_without_meeting(log, machine):
    other = Machine()
    lines = []

    def inner():
        other.spend(5)
        lines.append((machine.now, other.now))

    def run():
        machine.spend(100)
        other.start_thread("inner", inner)
        other.run()
        log("went on")

    machine.start_thread("outer", run)
    machine.run()
    assert lines == [(100, 5)]
    assert log.lines == [(100, "went on")]


# -- kill ---------------------------------------------------------------------------------------------------------


def killing(machine, thread, at=1000):
    """A thread that ends another one at that time."""

    def run():
        machine.spend(at)
        machine.kill(thread)

    return machine.start_thread("killer", run)


def test_a_thread_that_has_not_started_never_does(machine, log):
    thread = machine.start_thread("victim", lambda: log("never"), delay_ns=5000)
    killing(machine, thread)
    machine.start_thread("waits", lambda: log(machine.wait((thread.ended,))))
    machine.run()
    assert log.lines == [(1000 + WAKE_NS, 0)]
    assert thread.ended.signalled
    assert not thread.is_started


@pytest.mark.parametrize("how", ["blocked", "waiting", "with a deadline", "ready", "by a foreign event"])
def test_a_thread_unwinds_where_it_stands_and_time_stands_still(machine, log, how):
    gone = event()

    def victim():
        try:
            if how == "waiting":
                machine.wait((gone,))
            elif how == "with a deadline":
                machine.wait((gone,), deadline_ns=20_000)
            elif how == "ready":
                machine.spend(5000)
            else:
                machine.block()
            log("went on")
        except ThreadKilled:
            log("killed")
            raise
        finally:
            log("unwound")

    thread = machine.start_thread("victim", victim)
    if how == "by a foreign event":
        machine.call_at(1000, lambda: machine.kill(thread))
    else:
        killing(machine, thread)
    machine.run()
    assert log.lines == [(1000, "killed"), (1000, "unwound")]
    assert thread.ended.signalled
    assert machine.threads == []
    assert gone.waiters == []
    assert machine.latest == 1000


def test_a_thread_kills_itself(machine, log):
    def run():
        try:
            machine.kill(machine.current)
        finally:
            log("unwound")

    thread = machine.start_thread("a", run)
    machine.start_thread("b", log.spender("b", 5))
    machine.run()
    assert log.lines == [(0, "unwound"), (5, "b")]
    assert thread.ended.signalled


def test_the_killer_goes_on_at_once(machine, log):
    thread = machine.start_thread("victim", machine.block)

    def killer():
        machine.spend(1000)
        machine.kill(thread)
        log("killer")
        machine.spend(10)
        log("killer")

    machine.start_thread("killer", killer)
    machine.start_thread("other", log.spender("other", 1005))
    machine.run()
    assert log.lines == [(1000, "killer"), (1005, "other"), (1010, "killer")]


def test_every_kernel_call_of_a_killed_thread_fails(machine, log):
    calls = [machine.block, lambda: machine.wait((event(signalled=True),)), lambda: machine.spend(1)]

    def victim():
        try:
            machine.block()
        finally:
            for call in calls:
                with pytest.raises(ThreadKilled):
                    call()
            log("tried all")

    killing(machine, machine.start_thread("victim", victim))
    machine.run()
    assert log.lines == [(1000, "tried all")]


def test_a_thread_that_catches_its_end_and_returns_has_ended(machine, log):
    def victim():
        try:
            machine.block()
        except BaseException:
            log("caught")

    thread = machine.start_thread("victim", victim)
    killing(machine, thread)
    machine.run()
    assert log.lines == [(1000, "caught")]
    assert thread.ended.signalled
    assert thread.exception is None


@pytest.mark.parametrize("who", ["another thread", "itself", "a foreign event"])
@pytest.mark.parametrize("call", ["block", "spend"])
def test_a_thread_that_catches_everything_is_left_where_it_stands(machine, log, who, call):
    tries = []

    def victim():
        while True:
            try:
                if who == "itself":
                    machine.kill(thread)
                if call == "block":
                    machine.block()
                else:
                    machine.spend(100)
            except BaseException:
                tries.append(machine.now)

    thread = machine.start_thread("victim", victim)
    if who == "another thread":
        killing(machine, thread)
    elif who == "a foreign event":
        machine.call_at(1000, lambda: machine.kill(thread))
    machine.start_thread("waits", lambda: log(machine.wait((thread.ended,))))
    machine.run()
    assert thread.ended.signalled
    assert machine.threads == []
    assert len(log.lines) == 1
    assert len(set(tries)) == 1
    assert len(tries) < 100_000


def test_threads_that_catch_everything_do_not_hold_up_the_end_of_the_interpreter():
    text = """
from wintunsim.kernel.machine import Machine

machine = Machine()

def victim():
    while True:
        try:
            machine.block()
        except BaseException:
            pass

killed = machine.start_thread("killed", victim)
machine.start_thread("blocked", victim)
machine.run(10)
machine.kill(killed)
print(machine.run(), killed.ended.signalled)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("False True\n", "", 0)


def test_an_exception_while_unwinding_comes_out_of_run(machine):
    def victim():
        try:
            machine.block()
        finally:
            raise ZeroDivisionError

    killing(machine, machine.start_thread("victim", victim))
    with pytest.raises(ZeroDivisionError):
        machine.run()


def test_a_thread_in_the_kernel_ends_when_its_request_does(bench):
    times = []

    def victim():
        bench.open()
        try:
            bench.control()
        finally:
            times.append(bench.machine.now)

    thread = bench.start(victim, "victim")

    def killer():
        bench.until(lambda: bench.adapter.owner.value is not None)
        bench.machine.kill(thread)
        assert thread.is_doomed
        assert not thread.ended.signalled
        assert bench.machine.wait((thread.ended,)) == 0

    bench.start(killer, "killer", bench.system.create_process("other"))
    bench.run()
    assert thread.ended.signalled
    # The request was done to its end.
    assert bench.adapter.driver.registered.value == (bench.adapter,)
    assert times[0] > 30_000


def test_killing_twice_is_killing_once(machine):
    thread = machine.start_thread("victim", machine.block)

    def killer():
        machine.kill(thread)
        machine.kill(thread)

    machine.start_thread("killer", killer)
    machine.run()
    assert thread.ended.signalled
    machine.kill(thread)


def test_a_machine_that_is_closed_is_let_go_with_all_that_its_threads_know():
    class Big:
        pass

    def leave_a_machine():
        machine, big = Machine(), Big()
        mark = machine, big

        def wait():
            machine.block()
            return mark

        machine.start_thread("waits", wait)
        machine.run()
        machine.close()
        assert machine.threads == []
        return weakref.ref(big)

    big = leave_a_machine()
    gc.collect()
    assert big() is None


def test_closing_a_machine_leaves_the_threads_of_processes_alone(bench):
    bench.run(bench.control, bench.machine.block)
    assert [thread.name for thread in bench.machine.threads] == ["client/t1", "tun reader"]
    bench.machine.close()
    assert [thread.name for thread in bench.machine.threads] == ["client/t1"]


# -- interrupt ----------------------------------------------------------------------------------------------------


def test_interrupt_raises_in_a_blocked_thread(machine, log):
    gone = event()

    def run():
        with pytest.raises(KeyboardInterrupt):
            machine.wait((gone,))
        log("interrupted")
        machine.spend(10)
        log("went on")

    thread = machine.start_thread("a", run)
    machine.call_at(1000, lambda: machine.interrupt(thread, KeyboardInterrupt()))
    machine.run()
    assert log.lines == [(1000 + WAKE_NS, "interrupted"), (1010 + WAKE_NS, "went on")]
    assert gone.waiters == []


def test_interrupt_leaves_ended_and_killed_threads_alone(machine):
    thread = machine.start_thread("a", lambda: None)
    machine.run()
    machine.interrupt(thread, KeyboardInterrupt())
    assert machine.run() is False


# -- ticks --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 50), st.integers(0, 10**12))
def test_the_tick_at_or_after_a_time(seed, time_ns):
    machine = Machine(seed)
    tick = machine.tick_after(time_ns)
    assert time_ns <= tick < time_ns + 15_625_000
    assert (tick - machine.tick_phase_ns) % 15_625_000 == 0
    assert machine.tick_after(tick) == tick
