"""Events and waits (spec win32 §3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from win32_face import INFINITE, Face, handles, text

WAIT_TIMEOUT, WAIT_FAILED, WAIT_ABANDONED = 258, 0xFFFFFFFF, 0x80
TICK_NS = 15_625_000


def test_an_auto_reset_event_lets_one_wait_go_and_a_manual_reset_one_all(face: Face) -> None:
    def main() -> None:
        auto, manual = face.CreateEventW(0, 0, 1, 0), face.CreateEventW(0, 1, 1, 0)
        assert [face.WaitForSingleObject(auto, 0) for _ in range(2)] == [0, WAIT_TIMEOUT]
        assert [face.WaitForSingleObject(manual, 0) for _ in range(2)] == [0, 0]
        face.ResetEvent(manual)
        assert face.WaitForSingleObject(manual, 0) == WAIT_TIMEOUT

    face.run(main)


def test_sets_of_a_set_event_coalesce(face: Face) -> None:
    def main() -> None:
        event = face.CreateEventA(0, 0, 0, None)
        face.SetEvent(event)
        face.SetEvent(event)
        assert [face.WaitForSingleObject(event, 0) for _ in range(2)] == [0, WAIT_TIMEOUT]

    face.run(main)


def test_event_ex_flags_and_access(face: Face) -> None:
    def main() -> None:
        event = face.CreateEventExW(0, None, 3, 0x100000)
        assert [face.WaitForSingleObject(event, 0) for _ in range(2)] == [0, 0]
        assert face.ResetEvent(event) == 0 and face.last_error == 5
        assert face.CreateEventExW(0, None, 4, 0x1F0003) == 0 and face.last_error == 87

    face.run(main)


@pytest.mark.parametrize("set_count", [1, 2])
def test_set_event_wakes_waiters(face: Face, set_count: int) -> None:
    woken: list[int] = []

    def main() -> None:
        event = face.CreateEventW(0, 0, 0, 0)
        for number in range(2):
            face.thread(lambda number=number: (face.WaitForSingleObject(event, INFINITE), woken.append(number)))
            face.Sleep(20)
        for _ in range(set_count):
            face.SetEvent(event)
            face.Sleep(20)
        face.ExitProcess(0)

    face.run(main)
    assert woken == list(range(set_count))


def test_pulse_releases_who_waits_and_leaves_the_event_clear(face: Face) -> None:
    woken: list[int] = []

    def main() -> None:
        event = face.CreateEventW(0, 1, 0, 0)
        for number in range(3):
            face.thread(lambda number=number: (face.WaitForSingleObject(event, INFINITE), woken.append(number)))
        face.Sleep(20)
        face.PulseEvent(event)
        assert face.WaitForSingleObject(event, 0) == WAIT_TIMEOUT
        face.Sleep(20)

    face.run(main)
    assert sorted(woken) == [0, 1, 2]


def test_wait_any_takes_the_lowest_index_and_consumes_only_that(face: Face) -> None:
    def main() -> None:
        a, b, c = (face.CreateEventW(0, 0, signalled, 0) for signalled in (0, 1, 1))
        array = handles(a, b, c)
        assert [face.WaitForMultipleObjects(3, array, 0, 0) for _ in range(3)] == [1, 2, WAIT_TIMEOUT]

    face.run(main)


def test_wait_all_consumes_all_or_nothing(face: Face) -> None:
    def main() -> None:
        a, b = face.CreateEventW(0, 0, 1, 0), face.CreateEventW(0, 0, 0, 0)
        assert face.WaitForMultipleObjects(2, handles(a, b), 1, 0) == WAIT_TIMEOUT
        assert face.WaitForSingleObject(a, 0) == 0
        face.SetEvent(a)
        face.SetEvent(b)
        assert face.WaitForMultipleObjects(2, handles(a, b), 1, 0) == 0
        assert face.WaitForSingleObject(a, 0) == face.WaitForSingleObject(b, 0) == WAIT_TIMEOUT

    face.run(main)


def test_limits_of_waits(face: Face) -> None:
    def main() -> None:
        event = face.CreateEventW(0, 1, 1, text("e"))
        again = face.CreateEventW(0, 1, 1, text("e"))
        many = handles(*[event] * 65)
        for count, wait_all in ((0, 0), (65, 0)):
            assert face.WaitForMultipleObjects(count, many, wait_all, 0) == WAIT_FAILED
            assert face.last_error == 87
        assert face.WaitForMultipleObjects(64, many, 0, 0) == 0
        # The same object twice, by the same or another handle.
        for other in (event, again):
            assert face.WaitForMultipleObjects(2, handles(event, other), 1, 0) == WAIT_FAILED
            assert face.last_error == 87
        assert face.WaitForMultipleObjects(2, handles(event, again), 0, 0) == 0
        assert face.WaitForMultipleObjects(2, handles(event, 0x7FFC), 0, 0) == WAIT_FAILED
        assert face.last_error == 6

    face.run(main)


@given(st.integers(1, 200), st.integers(0, 40_000_000))
def test_timeouts_end_on_a_timer_tick(milliseconds: int, delay_ns: int) -> None:
    face = Face()

    def main() -> None:
        event = face.CreateEventW(0, 0, 0, 0)
        face.machine.spend(delay_ns)
        before = face.machine.now
        assert face.WaitForSingleObject(event, milliseconds) == WAIT_TIMEOUT
        elapsed = face.machine.now - before
        assert (face.machine.now - face.machine.tick_phase_ns) % TICK_NS == 0
        assert milliseconds * 1_000_000 <= elapsed < milliseconds * 1_000_000 + TICK_NS + 1000

    face.run(main)


def test_a_finer_timer_period_is_the_process_s_own() -> None:
    face = Face()
    other = Face(system=face.system)
    elapsed: dict[str, int] = {}

    def sleep(who: Face, name: str) -> None:
        before = who.machine.now
        who.Sleep(1)
        elapsed[name] = who.machine.now - before

    def main() -> None:
        assert face.timeBeginPeriod(1) == 0
        other.thread(lambda: sleep(other, "other"))
        sleep(face, "face")
        assert face.timeEndPeriod(1) == 0
        assert face.timeEndPeriod(1) == 97

    face.run(main)
    assert elapsed["face"] < 2_100_000
    # Its next tick is somewhere in the next 15.6 ms; with this seed it is later than the other's sleep.
    assert elapsed["other"] > elapsed["face"]


def test_sleep_zero_and_switch_to_thread_take_next_to_no_time(face: Face) -> None:
    def main() -> None:
        before = face.machine.now
        face.Sleep(0)
        assert face.SwitchToThread() == 0
        assert face.SleepEx(0, 1) == 0
        assert 0 < face.machine.now - before < 10_000

    face.run(main)


def test_signal_object_and_wait(face: Face) -> None:
    order: list[str] = []

    def main() -> None:
        ping, pong = face.CreateEventW(0, 0, 0, 0), face.CreateEventW(0, 0, 0, 0)

        def partner() -> None:
            face.WaitForSingleObject(ping, INFINITE)
            order.append("ping")
            face.SetEvent(pong)

        face.thread(partner)
        face.Sleep(20)
        assert face.SignalObjectAndWait(ping, pong, INFINITE, 0) == 0
        order.append("pong")
        assert face.SignalObjectAndWait(0x7FFC, pong, 0, 0) == WAIT_FAILED
        assert face.last_error == 6

    face.run(main)
    assert order == ["ping", "pong"]


def test_threads_and_processes_are_signalled_when_they_end() -> None:
    face = Face()
    other = Face(system=face.system)

    def main() -> None:
        process = face.OpenProcess(0x100000, 0, other.process.process_id)
        assert face.WaitForSingleObject(process, 0) == WAIT_TIMEOUT
        assert face.WaitForSingleObject(process, INFINITE) == 0
        assert face.WaitForSingleObject(process, 0) == 0

    other.thread(lambda: (other.Sleep(20), other.ExitProcess(7)))
    face.run(main)
    assert other.process.exit_code == 7


def test_a_mutex_is_recursive_and_its_owner_s(face: Face) -> None:
    def main() -> None:
        mutex = face.CreateMutexW(0, 1, None)
        assert face.WaitForSingleObject(mutex, 0) == 0
        results: list[int] = []

        def other() -> None:
            results.append(face.WaitForSingleObject(mutex, 0))
            assert face.ReleaseMutex(mutex) == 0 and face.last_error == 288
            results.append(face.WaitForSingleObject(mutex, INFINITE))
            face.ReleaseMutex(mutex)

        face.thread(other)
        face.Sleep(20)
        assert face.ReleaseMutex(mutex) == 1
        face.Sleep(20)
        assert results == [WAIT_TIMEOUT]
        assert face.ReleaseMutex(mutex) == 1
        assert face.ReleaseMutex(mutex) == 0
        face.Sleep(20)
        assert results == [WAIT_TIMEOUT, 0]

    face.run(main)


@pytest.mark.parametrize("is_waiting", [True, False])
def test_a_mutex_whose_owner_ends_is_abandoned_once(face: Face, is_waiting: bool) -> None:
    def main() -> None:
        mutex = face.CreateMutexW(0, 0, None)
        event = face.CreateEventW(0, 0, 0, 0)

        def owner() -> None:
            face.WaitForSingleObject(mutex, INFINITE)
            face.Sleep(50)

        face.thread(owner)
        face.Sleep(10 if is_waiting else 200)
        assert face.WaitForMultipleObjects(2, handles(event, mutex), 0, INFINITE) == WAIT_ABANDONED + 1
        face.ReleaseMutex(mutex)
        assert face.WaitForSingleObject(mutex, 0) == 0

    face.run(main)


def test_a_semaphore_counts(face: Face) -> None:
    def main() -> None:
        semaphore = face.CreateSemaphoreW(0, 1, 2, None)
        previous = handles(0)
        assert face.ReleaseSemaphore(semaphore, 1, previous) == 1
        assert previous[0] & 0xFFFFFFFF == 1
        assert face.ReleaseSemaphore(semaphore, 1, None) == 0 and face.last_error == 298
        assert face.ReleaseSemaphore(semaphore, 0, None) == 0 and face.last_error == 87
        assert [face.WaitForSingleObject(semaphore, 0) for _ in range(3)] == [0, 0, WAIT_TIMEOUT]
        assert face.CreateSemaphoreW(0, 3, 2, None) == 0 and face.last_error == 87

    face.run(main)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=6), st.booleans(), st.integers(1, 4))
def test_polls_of_several_events_agree_with_a_plain_list(
    events: list[tuple[bool, bool]], wait_all: bool, polls: int
) -> None:
    """Each event is (manual reset, set); the oracle is what the documentation says in six lines."""
    face = Face()

    def oracle(state: list[bool]) -> int:
        if wait_all:
            if not all(state):
                return WAIT_TIMEOUT
            taken = list(range(len(state)))
        elif True in state:
            taken = [state.index(True)]
        else:
            return WAIT_TIMEOUT
        for index in taken:
            state[index] = events[index][0]
        return 0 if wait_all else taken[0]

    def main() -> None:
        array = handles(*[face.CreateEventW(0, manual, signalled, 0) for manual, signalled in events])
        state = [signalled for _, signalled in events]
        for _ in range(polls):
            assert face.WaitForMultipleObjects(len(events), array, wait_all, 0) == oracle(state)

    face.run(main)
