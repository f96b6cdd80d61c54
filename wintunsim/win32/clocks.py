"""Clocks: the performance counter, tick counts, system time, the timer's resolution (spec win32 §3)."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

from wintunsim.win32.buffers import poke_u64, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.ticks import Resolution
from wintunsim.win32.types import BOOL, BOOLEAN, DWORD, DWORD64, FALSE, POINTER, TRUE, VOID

FREQUENCY = 10_000_000
"""Ticks of the performance counter a second."""

_UNIX_EPOCH_FILETIME = 116_444_736_000_000_000
START_UNIX_SECONDS = 1_704_067_200
"""The system time at the start of every run: 2024-01-01T00:00:00Z."""
START_FILETIME = _UNIX_EPOCH_FILETIME + START_UNIX_SECONDS * FREQUENCY

_NO_ERROR = 0
_TIMERR_NOCANDO = 97


def filetime(time_ns: int) -> int:
    """The system time at a virtual time, in 100 ns units since 1601."""
    return START_FILETIME + time_ns // 100


def time_of_filetime(value: int) -> int:
    """The virtual time in ns of a system time; negative before the start of the run."""
    return (value - START_FILETIME) * 100


def _last_tick(context: Context) -> int:
    machine = context.machine
    period = machine.costs.timer_tick_ns
    return max(0, machine.tick_after(machine.now + 1) - period)


@export("kernel32", BOOL, POINTER, user_mode=True)
def QueryPerformanceCounter(context: Context, counter: int) -> int:
    """The performance counter: steps of 100 ns from the start of the run."""
    poke_u64(counter, context.machine.now // 100)
    return TRUE


@export("kernel32", BOOL, POINTER, user_mode=True)
def QueryPerformanceFrequency(context: Context, frequency: int) -> int:
    """10 000 000 ticks a second."""
    poke_u64(frequency, FREQUENCY)
    return TRUE


@export("kernel32", DWORD, user_mode=True)
def GetTickCount(context: Context) -> int:
    """Milliseconds since the start of the run, in steps of the system timer's tick, modulo 2³²."""
    return _last_tick(context) // 1_000_000 & 0xFFFFFFFF


@export("kernel32", DWORD64, user_mode=True)
def GetTickCount64(context: Context) -> int:
    """Milliseconds since the start of the run, in steps of the system timer's tick."""
    return _last_tick(context) // 1_000_000


@export("kernel32", VOID, POINTER, user_mode=True)
def GetSystemTimeAsFileTime(context: Context, result: int) -> None:
    """The system time at the last tick."""
    poke_u64(result, filetime(_last_tick(context)))


@export("kernel32", VOID, POINTER, user_mode=True)
def GetSystemTimePreciseAsFileTime(context: Context, result: int) -> None:
    """The system time, not bound to the tick."""
    poke_u64(result, filetime(context.machine.now))


def _broken_down(time_ns: int) -> bytes:
    moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ns // 1_000_000)
    weekday = moment.isoweekday() % 7
    return struct.pack(
        "<8H",
        moment.year,
        moment.month,
        weekday,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
        moment.microsecond // 1000,
    )


@export("kernel32", VOID, POINTER, user_mode=True)
def GetSystemTime(context: Context, result: int) -> None:
    """The system time at the last tick as a SYSTEMTIME, in UTC."""
    write_bytes(result, _broken_down(_last_tick(context)))


@export("kernel32", VOID, POINTER, user_mode=True)
def GetLocalTime(context: Context, result: int) -> None:
    """As `GetSystemTime`: the simulated machine's time zone is UTC."""
    write_bytes(result, _broken_down(_last_tick(context)))


@export("kernel32", BOOL, POINTER, user_mode=True)
def QueryUnbiasedInterruptTime(context: Context, result: int) -> int:
    """The time since the start of the run at the last tick, in 100 ns units."""
    if not result:
        return FALSE
    poke_u64(result, _last_tick(context) // 100)
    return TRUE


@export("kernel32", VOID, POINTER, user_mode=True)
def QueryInterruptTime(context: Context, result: int) -> None:
    """The interrupt time at the last tick, in 100 ns units."""
    poke_u64(result, _last_tick(context) // 100)


@export("kernel32", VOID, POINTER, user_mode=True)
def QueryInterruptTimePrecise(context: Context, result: int) -> None:
    """The interrupt time, not bound to the tick, in 100 ns units."""
    poke_u64(result, context.machine.now // 100)


@export("kernel32", BOOL, POINTER, POINTER, POINTER)
def GetSystemTimeAdjustment(context: Context, adjustment: int, increment: int, is_disabled: int) -> int:
    """The tick's period in 100 ns units; no adjustment is made."""
    period = context.machine.costs.timer_tick_ns // 100
    write_u32(adjustment, period)
    write_u32(increment, period)
    write_u32(is_disabled, TRUE)
    return TRUE


@export("winmm", DWORD, DWORD)
def timeBeginPeriod(context: Context, period_ms: int) -> int:
    """Ask for a finer tick for this process, until `timeEndPeriod`."""
    if not period_ms:
        return _TIMERR_NOCANDO
    context.state(Resolution).requests.append(period_ms * 1_000_000)
    return _NO_ERROR


@export("winmm", DWORD, DWORD)
def timeEndPeriod(context: Context, period_ms: int) -> int:
    """Take a request of `timeBeginPeriod` back."""
    requests = context.state(Resolution).requests
    if period_ms * 1_000_000 not in requests:
        return _TIMERR_NOCANDO
    requests.remove(period_ms * 1_000_000)
    return _NO_ERROR


@export("winmm", DWORD, user_mode=True)
def timeGetTime(context: Context) -> int:
    """Milliseconds since the start of the run, modulo 2³², in steps of this process's tick."""
    machine = context.machine
    period = context.state(Resolution).period_ns(machine.costs.timer_tick_ns)
    return (machine.now - (machine.now - machine.tick_phase_ns) % period) // 1_000_000 & 0xFFFFFFFF


_FINEST_TIMER_100NS = 5_000


class NativeResolution:
    """What the process last asked `NtSetTimerResolution` for, in ns; None for nothing."""

    def __init__(self) -> None:
        self.request: int | None = None


@export("ntdll", DWORD, DWORD, BOOLEAN, POINTER)
def NtSetTimerResolution(context: Context, period_100ns: int, is_set: int, current: int) -> int:
    """Ask for a finer tick (0.5 ms at the finest), in 100 ns units, or take the request back. Answers an NTSTATUS."""
    requests = context.state(Resolution).requests
    native = context.state(NativeResolution)
    if native.request is not None:
        requests.remove(native.request)
        native.request = None
    if is_set:
        native.request = max(period_100ns, _FINEST_TIMER_100NS) * 100
        requests.append(native.request)
    write_u32(current, context.state(Resolution).period_ns(context.machine.costs.timer_tick_ns) // 100)
    return 0


@export("ntdll", DWORD, POINTER, POINTER, POINTER)
def NtQueryTimerResolution(context: Context, coarsest: int, finest: int, current: int) -> int:
    """The coarsest, finest and current period of the tick, in 100 ns units. Answers an NTSTATUS."""
    default = context.machine.costs.timer_tick_ns
    write_u32(coarsest, default // 100)
    write_u32(finest, _FINEST_TIMER_100NS)
    write_u32(current, context.state(Resolution).period_ns(default) // 100)
    return 0
