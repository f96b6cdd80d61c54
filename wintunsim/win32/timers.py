"""Waitable timers (spec win32 §3)."""

from __future__ import annotations

from wintun_model.status import Win32Error
from wintunsim.errors import UsageError
from wintunsim.kernel.objects import Timer
from wintunsim.win32.buffers import read_u64
from wintunsim.win32.clocks import time_of_filetime
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_text
from wintunsim.win32.handles import create_named, map_access, open_named, reference
from wintunsim.win32.types import BOOL, DWORD, FALSE, HANDLE, LONG, POINTER, TEXT, TRUE

TIMER_ALL_ACCESS = 0x1F0003
_TIMER_MODIFY_STATE = 2
_MANUAL_RESET = 1
_HIGH_RESOLUTION = 2


def _create(context: Context, flags: int, name: str | None, access: int) -> int:
    def make(label: str) -> Timer:
        return Timer(
            context.machine,
            label,
            manual_reset=bool(flags & _MANUAL_RESET),
            high_resolution=bool(flags & _HIGH_RESOLUTION),
        )

    return create_named(context, Timer, name, access, make)


@export_text("kernel32", HANDLE, POINTER, BOOL, TEXT)
def CreateWaitableTimer(context: Context, security: int, manual_reset: int, name: str | None) -> int:
    """Create a timer, or open the one of that name."""
    return _create(context, _MANUAL_RESET if manual_reset else 0, name, TIMER_ALL_ACCESS)


@export_text("kernel32", HANDLE, POINTER, TEXT, DWORD, DWORD)
def CreateWaitableTimerEx(context: Context, security: int, name: str | None, flags: int, access: int) -> int:
    """Create a timer; the high-resolution flag (2) frees it from the tick."""
    if flags & ~(_MANUAL_RESET | _HIGH_RESOLUTION):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    return _create(context, flags, name, map_access(Timer, access))


@export_text("kernel32", HANDLE, DWORD, BOOL, TEXT)
def OpenWaitableTimer(context: Context, access: int, inherit: int, name: str | None) -> int:
    """Open a named timer."""
    return open_named(context, Timer, name, access)


@export("kernel32", BOOL, HANDLE, POINTER, LONG, POINTER, POINTER, BOOL)
def SetWaitableTimer(
    context: Context, handle: int, due: int, period_ms: int, routine: int, argument: int, resume: int
) -> int:
    """Start a timer: `due` in 100 ns units, negative from now, else as a FILETIME; then every `period_ms`."""
    timer = reference(context, handle, Timer, _TIMER_MODIFY_STATE)
    if timer is None:
        return FALSE
    if period_ms < 0:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    if routine:
        raise UsageError("SetWaitableTimer with a completion routine is not simulated: wait for the timer's handle")
    value = read_u64(due)
    now = context.machine.now
    relative = (1 << 64) - value if value >> 63 else 0
    due_ns = now + relative * 100 if relative else max(now, time_of_filetime(value))
    timer.set(due_ns, period_ms * 1_000_000)
    return TRUE


@export("kernel32", BOOL, HANDLE, POINTER, LONG, POINTER, POINTER, POINTER, DWORD)
def SetWaitableTimerEx(
    context: Context, handle: int, due: int, period_ms: int, routine: int, argument: int, wake: int, tolerable_ms: int
) -> int:
    """As `SetWaitableTimer`; the tolerable delay is not used."""
    return SetWaitableTimer(context, handle, due, period_ms, routine, argument, 0)


@export("kernel32", BOOL, HANDLE)
def CancelWaitableTimer(context: Context, handle: int) -> int:
    """Stop a timer; whether it is signalled does not change."""
    timer = reference(context, handle, Timer, _TIMER_MODIFY_STATE)
    if timer is None:
        return FALSE
    timer.cancel()
    return TRUE
