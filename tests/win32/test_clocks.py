"""Clocks and timers (spec win32 §3)."""

from __future__ import annotations

import ctypes
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from win32_face import INFINITE, Face

TICK_NS = 15_625_000


def test_the_performance_counter_has_steps_of_100_ns(face: Face) -> None:
    def main() -> None:
        value = ctypes.c_uint64()
        assert face.QueryPerformanceFrequency(value) and value.value == 10_000_000
        face.machine.spend(1_234_567)
        assert face.QueryPerformanceCounter(value) and value.value == face.machine.now // 100

    face.run(main)


@given(st.integers(0, 10**12))
def test_tick_counts_advance_at_ticks(delay_ns: int) -> None:
    face = Face()

    def main() -> None:
        face.machine.spend(delay_ns)
        ticks, now = face.GetTickCount64(), face.machine.now
        assert now - TICK_NS - 1_000_000 < ticks * 1_000_000 <= now
        assert face.GetTickCount() == ticks & 0xFFFFFFFF

    face.run(main)


def test_system_time_starts_in_2024(face: Face) -> None:
    def main() -> None:
        face.machine.spend(90_061_500_000_000)
        precise, coarse = ctypes.c_uint64(), ctypes.c_uint64()
        face.GetSystemTimePreciseAsFileTime(precise)
        face.GetSystemTimeAsFileTime(coarse)
        moment = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=precise.value // 10)
        assert abs(moment - datetime(2024, 1, 2, 1, 1, 1, 500_000, tzinfo=UTC)) < timedelta(milliseconds=1)
        assert 0 <= precise.value - coarse.value <= TICK_NS // 100 + 100
        fields = (ctypes.c_uint16 * 8)()
        face.GetSystemTime(fields)
        assert list(fields)[:6] == [2024, 1, 2, 2, 1, 1]

    face.run(main)


def elapsed(face: Face, timer: int, due_100ns: int, period_ms: int = 0) -> int:
    due = ctypes.c_int64(due_100ns)
    before = face.machine.now
    assert face.SetWaitableTimer(timer, due, period_ms, None, None, 0)
    assert face.WaitForSingleObject(timer, INFINITE) == 0
    return int(face.machine.now - before)


def test_timers_end_on_the_tick_unless_they_are_high_resolution_ones(face: Face) -> None:
    def main() -> None:
        coarse = face.CreateWaitableTimerW(0, 0, None)
        fine = face.CreateWaitableTimerExW(0, None, 2, 0x1F0003)
        assert elapsed(face, fine, -5_000) < 600_000
        late = elapsed(face, coarse, -5_000)
        assert 500_000 <= late <= TICK_NS + 600_000
        assert (face.machine.now - face.machine.tick_phase_ns) % TICK_NS <= face.machine.costs.wake_ns

    face.run(main)


def test_periodic_absolute_and_cancelled_timers(face: Face) -> None:
    def main() -> None:
        timer = face.CreateWaitableTimerExW(0, None, 2, 0x1F0003)
        assert elapsed(face, timer, -10_000, 5) < 1_100_000
        before = face.machine.now
        for _ in range(3):
            face.WaitForSingleObject(timer, INFINITE)
        assert 14_900_000 < face.machine.now - before < 15_100_000
        assert face.CancelWaitableTimer(timer)
        assert face.WaitForSingleObject(timer, 100) == 258
        now = ctypes.c_uint64()
        face.GetSystemTimePreciseAsFileTime(now)
        assert 1_900_000 < elapsed(face, timer, now.value + 20_000) < 2_100_000

    face.run(main)


def test_the_timer_resolution_of_the_native_api(face: Face) -> None:
    def main() -> None:
        coarsest, finest, current = (ctypes.c_uint32() for _ in range(3))
        assert face.NtQueryTimerResolution(coarsest, finest, current) == 0
        assert (coarsest.value, finest.value, current.value) == (156_250, 5_000, 156_250)
        assert face.NtSetTimerResolution(1_000, 1, current) == 0 and current.value == 5_000
        before = face.machine.now
        face.Sleep(1)
        assert face.machine.now - before < 1_600_000
        assert face.NtSetTimerResolution(0, 0, current) == 0 and current.value == 156_250

    face.run(main)
