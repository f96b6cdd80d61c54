"""Waits as Windows has them (spec win32 §3): any and all, order, time, and what each object does to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model.operations import Event
from wintun_model.trace import Kind
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.machine import FOREVER, TIMED_OUT, Machine
from wintunsim.kernel.objects import KernelObject, Mutex, ProcessObject, Semaphore, ThreadObject, Timer

WAKE_NS = 8000
TICK_NS = 15_625_000


def event(name="event", *, manual_reset=False, signalled=False):
    return Event(name, manual_reset=manual_reset, signalled=signalled)


class Room:
    """A machine on which threads wait and foreign events act."""

    def __init__(self, machine):
        self.machine = machine
        self.woken = []
        """(time, name, result) of each wait that ended."""

    def wait(self, name, objects, *, wait_all=False, deadline_ns=FOREVER, at=0):
        def run():
            result = self.machine.wait(objects, wait_all=wait_all, deadline_ns=deadline_ns)
            self.woken.append((self.machine.now, name, result))

        return self.machine.start_thread(name, run, delay_ns=at)

    def at(self, time_ns, function, *arguments):
        self.machine.call_at(time_ns, lambda: function(*arguments))

    def set_at(self, time_ns, *events):
        for each in events:
            self.at(time_ns, self.machine.set_event, each)

    def run(self, until=FOREVER):
        self.machine.run(until)
        return self.woken

    @property
    def order(self):
        return [name for _, name, _ in self.run()]


@pytest.fixture
def room(machine):
    return Room(machine)


# -- events -------------------------------------------------------------------------------------------------------


def test_an_auto_reset_event_lets_one_waiter_go_first_come_first_served(room):
    door = event()
    for number, name in enumerate("abc"):
        room.wait(name, (door,), at=number)
    room.set_at(100, door)
    assert room.run() == [(100 + WAKE_NS, "a", 0)]
    assert not door.signalled
    room.set_at(50_000, door)
    room.set_at(60_000, door)
    assert room.order == ["a", "b", "c"]


def test_a_manual_reset_event_lets_all_go_and_stays_set(room):
    door = event(manual_reset=True)
    for name in "abc":
        room.wait(name, (door,))
    room.wait("late", (door,), at=20_000)
    room.set_at(100, door)
    assert room.run() == [(100 + WAKE_NS, name, 0) for name in "abc"] + [(20_000, "late", 0)]
    assert door.signalled


def test_a_set_event_is_taken_without_waiting(room):
    door = event(signalled=True)
    room.wait("a", (door,), at=5)
    room.wait("b", (door,), at=6, deadline_ns=100)
    assert room.run() == [(5, "a", 0), (100, "b", TIMED_OUT)]


def test_sets_coalesce(room):
    door = event()
    for time_ns in (10, 20, 30):
        room.set_at(time_ns, door)
    for name in "ab":
        room.wait(name, (door,), at=100)
    assert room.run() == [(100, "a", 0)]


def test_clearing_takes_the_signal_away(room):
    door = event(manual_reset=True)
    room.set_at(10, door)
    room.at(20, room.machine.clear_event, door)
    room.wait("a", (door,), at=100)
    assert room.run() == []
    assert not door.signalled


def test_a_signal_goes_to_the_waiter_of_its_time_even_if_others_come_before_it_runs(room):
    door = event()
    room.wait("first", (door,))
    room.set_at(100, door)
    # While the first is on its way, the event is clear.
    room.wait("second", (door,), at=200, deadline_ns=300)
    assert room.run() == [(300, "second", TIMED_OUT), (100 + WAKE_NS, "first", 0)]


# -- any, all, time -----------------------------------------------------------------------------------------------


def test_wait_any_takes_the_lowest_index_and_only_that(room):
    events = [event(), event(signalled=True), event(signalled=True)]
    room.wait("a", events)
    assert room.run() == [(0, "a", 1)]
    assert [each.signalled for each in events] == [False, False, True]


def test_wait_any_is_ended_by_whichever_comes_first(room):
    events = [event(), event(), event()]
    room.wait("a", events)
    room.set_at(100, events[2])
    room.set_at(101, events[0])
    assert room.run() == [(100 + WAKE_NS, "a", 2)]
    assert [each.signalled for each in events] == [True, False, False]
    assert all(not each.waiters for each in events)


def test_wait_all_takes_all_at_once_or_nothing(room):
    events = [event(), event(manual_reset=True), event()]
    room.wait("all", events, wait_all=True)
    room.set_at(100, events[0])
    room.set_at(200, events[1])
    room.wait("greedy", (events[0],), at=300)
    room.set_at(400, events[2])
    # What a wait for all has not got together anyone may take.
    assert room.run() == [(300, "greedy", 0)]
    room.set_at(1000, events[0])
    assert room.run()[1:] == [(1000 + WAKE_NS, "all", 0)]
    assert [each.signalled for each in events] == [False, True, False]


def test_wait_all_that_times_out_takes_nothing(room):
    events = [event(signalled=True), event()]
    room.wait("a", events, wait_all=True, deadline_ns=100)
    assert room.run() == [(100, "a", TIMED_OUT)]
    assert events[0].signalled
    assert not events[0].waiters


def test_a_waiter_that_cannot_go_does_not_hold_up_the_next(room):
    door, never = event(), event()
    room.wait("all", (door, never), wait_all=True)
    room.wait("one", (door,), at=1)
    room.set_at(100, door)
    assert room.order == ["one"]


def test_a_poll_takes_no_time_and_leaves_no_waiter(room):
    door = event()
    room.wait("a", (door,), deadline_ns=50, at=50)
    room.wait("b", (door,), deadline_ns=0, at=60)
    assert room.run() == [(50, "a", TIMED_OUT), (60, "b", TIMED_OUT)]
    assert not door.waiters


def test_a_signal_at_the_very_deadline_comes_first_when_it_is_foreign(room):
    door = event()
    room.wait("a", (door,), deadline_ns=100)
    room.set_at(100, door)
    assert room.run() == [(100 + WAKE_NS, "a", 0)]


def test_one_event_twice_in_a_wait_counts_by_its_first_place(room):
    door = event()
    room.wait("a", (door, door))
    room.set_at(100, door)
    assert room.run() == [(100 + WAKE_NS, "a", 0)]
    assert not door.waiters


def test_waits_and_wakes_are_traced(room):
    records = []
    room.machine.trace.add_sink(records.extend)
    door, other = event("door"), event("other")
    thread = room.wait("a", (other, door), deadline_ns=500)
    room.wait("b", (other,), deadline_ns=1000)
    room.set_at(100, door)
    room.run()
    names = room.machine.trace.names
    rows = [tuple(records[place : place + 6]) for place in range(0, len(records), 6)]
    told = [
        (time_ns, names[who], Kind(kind).name, names[what], value, extra)
        for time_ns, who, kind, what, value, extra in rows
        if kind in (Kind.WAIT, Kind.WAKE, Kind.SET)
    ]
    assert told == [
        (0, "a", "WAIT", "other", 2, 500),
        (0, "b", "WAIT", "other", 1, 1000),
        (100, "-", "SET", "door", 0, 0),
        (1000, "b", "WAKE", "-", TIMED_OUT, 0),
        (100 + WAKE_NS, "a", "WAKE", "door", 1, 0),
    ]
    assert thread.number


def test_a_spinning_wait_is_quiet_and_quick(machine):
    records = []
    door = event("door")
    results = []

    def run():
        results.append((machine.wait_quietly((door,), 10_000, 40), machine.now))
        results.append((machine.wait_quietly((door,), 20_000, 40), machine.now))
        results.append((machine.wait((door,)), machine.now))

    machine.start_thread("a", run)
    machine.trace.add_sink(records.extend)
    for time_ns in (100, 30_000):
        machine.call_at(time_ns, lambda: machine.set_event(door))
    machine.run()
    # Only the last is a wait as others know it, with its wake-up.
    assert results == [(0, 140), (TIMED_OUT, 20_000), (0, 30_000 + WAKE_NS)]
    assert [kind for kind in records[2::6] if kind in (Kind.WAIT, Kind.WAKE)] == [Kind.WAIT, Kind.WAKE]


# -- mutexes and semaphores ---------------------------------------------------------------------------------------


def holder(machine, mutex, times=1, hold_ns=1000, log=None, name="holder"):
    """A thread that takes a mutex that often, keeps it, and releases it as often."""

    def run():
        thread = machine.current
        for _ in range(times):
            assert machine.wait((mutex,)) == 0
        if log is not None:
            log.append((machine.now, name))
        machine.spend(hold_ns)
        for _ in range(times):
            assert mutex.release(thread)
        if mutex.owner is None:
            machine.signalled(mutex)

    return machine.start_thread(name, run)


def test_a_mutex_has_one_owner_at_a_time_first_come_first_served(machine):
    mutex = Mutex(machine, "mutex")
    log = []
    for name in "abc":
        holder(machine, mutex, log=log, name=name)
    machine.run()
    step = 1000 + WAKE_NS
    assert log == [(0, "a"), (step, "b"), (2 * step, "c")]
    assert mutex.owner is None


def test_a_mutex_is_released_as_often_as_it_was_taken(machine, room):
    mutex = Mutex(machine, "mutex")
    steps = []

    def run():
        thread = machine.current
        for _ in range(3):
            assert machine.wait((mutex,), deadline_ns=0) == 0
        for _ in range(3):
            steps.append((mutex.depth, mutex.owner is thread))
            assert mutex.release(thread)
        steps.append((mutex.depth, mutex.owner))
        assert not mutex.release(thread)

    machine.start_thread("a", run)
    room.wait("b", (mutex,), at=1)
    machine.run()
    assert steps == [(3, True), (2, True), (1, True), (0, None)]
    assert room.woken == [(1, "b", 0)]


def test_only_the_owner_releases_a_mutex(machine):
    mutex = Mutex(machine, "mutex")
    holder(machine, mutex)
    results = []
    machine.start_thread("other", lambda: results.append(mutex.release(machine.current)), delay_ns=10)
    machine.run()
    assert results == [False]


def test_a_mutex_may_be_owned_from_its_start(machine):
    made = []

    def run():
        made.append(Mutex(machine, "mutex", machine.current))
        machine.spend(100)
        assert made[0].release(machine.current)
        machine.signalled(made[0])

    machine.start_thread("owner", run)
    machine.start_thread("other", lambda: made.append(machine.wait((made[0],)) or machine.now), delay_ns=1)
    machine.run()
    assert made[1] == 100 + WAKE_NS


@pytest.mark.parametrize("end", ["returns", "is killed"])
def test_the_mutex_of_a_thread_that_ends_is_abandoned_to_the_next(machine, room, end):
    mutex, second = Mutex(machine, "mutex"), Mutex(machine, "second")

    def run():
        for _ in range(2):
            machine.wait((mutex,))
        machine.wait((second,))
        machine.block(1000 if end == "returns" else FOREVER)

    thread = machine.start_thread("owner", run)
    room.wait("next", (mutex,), at=1)
    room.wait("after", (mutex,), at=2)
    room.wait("both", (thread.ended, second), wait_all=True)
    if end == "is killed":
        room.at(1000, machine.kill, thread)
    machine.run()
    assert room.woken[:2] == [(1000 + WAKE_NS, "next", 0), (1000 + WAKE_NS, "both", 0)]
    # Nobody has taken note of it yet; and the next owner ended with it, too.
    assert mutex.is_abandoned
    assert [name for _, name, _ in room.woken[2:]] == ["after"]


def test_a_released_mutex_is_not_abandoned(machine):
    mutex = Mutex(machine, "mutex")
    thread = holder(machine, mutex, times=2)
    machine.run()
    assert not mutex.is_abandoned
    assert thread.ended.waiters == []


def test_a_semaphore_lets_as_many_go_as_it_counts(room):
    semaphore = Semaphore("semaphore", 2, 5)
    for name in "abcde":
        room.wait(name, (semaphore,))
    assert [name for _, name, _ in room.run(100)] == ["a", "b"]
    assert semaphore.count == 0

    def release():
        semaphore.count += 2
        room.machine.signalled(semaphore)

    room.at(200, release)
    assert room.order == ["a", "b", "c", "d"]
    assert semaphore.count == 0


# -- timers -------------------------------------------------------------------------------------------------------


def test_a_high_resolution_timer_comes_at_its_time(machine, room):
    timer = Timer(machine, "timer", manual_reset=False, high_resolution=True)
    timer.set(1234)
    room.wait("a", (timer,))
    room.wait("b", (timer,), deadline_ns=100_000)
    assert room.run() == [(1234 + WAKE_NS, "a", 0), (100_000, "b", TIMED_OUT)]


def test_an_ordinary_timer_comes_with_the_tick(machine, room):
    timer = Timer(machine, "timer", manual_reset=True, high_resolution=False)
    timer.set(1234)
    room.wait("a", (timer,))
    room.wait("b", (timer,))
    tick = machine.tick_phase_ns
    assert room.run() == [(tick + WAKE_NS, "a", 0), (tick + WAKE_NS, "b", 0)]
    assert timer.signalled


def _times_of(machine, timer, count):
    times = []

    def run():
        for _ in range(count):
            machine.wait((timer,))
            times.append(machine.now - WAKE_NS)
        timer.cancel()

    machine.start_thread("a", run)
    machine.run()
    return times


def test_a_periodic_timer_comes_again_and_again(machine):
    timer = Timer(machine, "timer", manual_reset=False, high_resolution=True)
    timer.set(100_000, 50_000)
    assert _times_of(machine, timer, 4) == [100_000, 150_000, 200_000, 250_000]


def test_a_periodic_timer_on_the_tick_does_not_drift(machine):
    timer = Timer(machine, "timer", manual_reset=False, high_resolution=False)
    timer.set(0, 20_000_000)
    expected = [machine.tick_after(number * 20_000_000) for number in range(5)]
    assert _times_of(machine, timer, 5) == expected
    assert expected[4] - expected[0] in (5 * TICK_NS, 6 * TICK_NS)


def test_a_timer_that_is_set_again_or_cancelled_forgets_what_was(machine, room):
    timer = Timer(machine, "timer", manual_reset=True, high_resolution=True)
    timer.set(1000)
    room.at(500, timer.set, 5000)
    room.wait("a", (timer,))
    assert room.run() == [(5000 + WAKE_NS, "a", 0)]
    timer.set(20_000)
    assert not timer.signalled
    room.at(15_000, timer.cancel)
    room.wait("b", (timer,), at=20_000)
    assert len(room.run()) == 1


def test_a_cancelled_timer_keeps_its_state(machine):
    timer = Timer(machine, "timer", manual_reset=True, high_resolution=True)
    timer.set(10)
    machine.run()
    timer.cancel()
    assert timer.signalled


def test_a_timer_ends_with_its_last_handle(bench):
    timer = Timer(bench.machine, "timer", manual_reset=True, high_resolution=True)
    handle = bench.process.handles.insert(timer, 0x1F0003)
    timer.set(1000, 1000)
    bench.process.handles.close(handle)
    assert bench.machine.run() is False
    assert not timer.signalled


# -- threads and processes ----------------------------------------------------------------------------------------


def test_threads_and_processes_are_signalled_once_they_have_ended(bench):
    machine = bench.machine
    log = []

    def main():
        machine.spend(1000)
        bench.process.exit(7)

    main_thread = bench.start(main)
    thread, process = ThreadObject(main_thread), ProcessObject(bench.process)

    def watch():
        assert machine.wait((thread, process), deadline_ns=0) == TIMED_OUT
        assert machine.wait((thread, process), wait_all=True) == 0
        log.append(machine.now)
        # For good.
        assert machine.wait((process,)) == 0
        assert machine.wait((thread,)) == 0

    bench.start(watch, process=bench.system.create_process("other"))
    bench.run()
    assert len(log) == 1
    assert log[0] >= 1000 + WAKE_NS
    assert bench.process.exit_code == 7


def test_an_object_that_is_no_synchronisation_object_is_never_signalled(room):
    room.wait("a", (KernelObject("thing"),), deadline_ns=100)
    assert room.run() == [(100, "a", TIMED_OUT)]


# -- against a small reference ------------------------------------------------------------------------------------

KINDS = ("auto", "manual", "semaphore")


class Reference:
    """What waits must do, in the plainest words: time goes in steps, and nothing happens twice at one time."""

    def __init__(self, kinds):
        self.kinds = kinds
        self.amounts = [0] * len(kinds)
        self.waiting = []  # (deadline, name, indices, all)
        self.woken = []

    def _ready(self, indices, wait_all):
        ready = [place for place, index in enumerate(indices) if self.amounts[index]]
        if wait_all and len(ready) < len(indices):
            return None
        if not ready:
            return None
        taken = indices if wait_all else [indices[ready[0]]]
        for index in taken:
            if self.kinds[index] != "manual":
                self.amounts[index] -= 1
        return 0 if wait_all else ready[0]

    def advance(self, time_ns):
        for entry in sorted(self.waiting, key=lambda entry: entry[0]):
            if entry[0] < time_ns:
                self.waiting.remove(entry)
                self.woken.append((entry[0], entry[1], TIMED_OUT))

    def raise_(self, index, amount, time_ns):
        self.amounts[index] = self.amounts[index] + amount if self.kinds[index] == "semaphore" else 1
        for entry in list(self.waiting):
            _, name, indices, wait_all = entry
            if index in indices:
                result = self._ready(indices, wait_all)
                if result is not None:
                    self.waiting.remove(entry)
                    self.woken.append((time_ns + 1, name, result))

    def wait(self, name, indices, wait_all, timeout, time_ns):
        result = self._ready(indices, wait_all)
        if result is not None:
            self.woken.append((time_ns, name, result))
        elif timeout == 0:
            self.woken.append((time_ns, name, TIMED_OUT))
        else:
            self.waiting.append((FOREVER if timeout is None else time_ns + timeout, name, indices, wait_all))


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("raise"), st.integers(0, 3), st.integers(1, 3)),
        st.tuples(st.just("clear"), st.integers(0, 3), st.none()),
        st.tuples(
            st.just("wait"),
            st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
            st.tuples(st.booleans(), st.sampled_from([None, 0, 1500, 3500, 10_500])),
        ),
    ),
    max_size=40,
)


@given(st.lists(st.sampled_from(KINDS), min_size=4, max_size=4), ACTIONS)
def test_waits_do_what_a_plain_reference_does(kinds, actions):
    machine = Machine(costs=Costs(wake_ns=1))
    room, reference = Room(machine), Reference(kinds)
    objects = [
        Semaphore(f"s{number}", 0, 1000) if kind == "semaphore" else event(f"e{number}", manual_reset=kind == "manual")
        for number, kind in enumerate(kinds)
    ]

    def raise_(index, amount):
        if kinds[index] == "semaphore":
            objects[index].count += amount
            machine.signalled(objects[index])
        else:
            machine.set_event(objects[index])

    for number, (verb, what, option) in enumerate(actions, 1):
        now = 1000 * number
        reference.advance(now)
        if verb == "raise":
            room.at(now, raise_, what, option)
            reference.raise_(what, option, now)
        elif verb == "clear" and kinds[what] != "semaphore":
            room.at(now, machine.clear_event, objects[what])
            reference.amounts[what] = 0
        elif verb == "wait":
            wait_all, timeout = option
            deadline = FOREVER if timeout is None else now + timeout
            room.wait(str(number), [objects[index] for index in what], wait_all=wait_all, deadline_ns=deadline, at=now)
            reference.wait(str(number), what, wait_all, timeout, now)
    reference.advance(FOREVER)
    machine.run()
    assert sorted(room.woken) == sorted(reference.woken)
    amounts = [
        each.count if kind == "semaphore" else int(each.signalled) for kind, each in zip(kinds, objects, strict=True)
    ]
    assert amounts == reference.amounts
    assert [len(each.waiters) for each in objects] == [
        sum(index in indices for _, _, indices, _ in reference.waiting) for index in range(4)
    ]
