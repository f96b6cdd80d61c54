"""Waiting for objects, sleeping (spec win32 §3)."""

from __future__ import annotations

import struct
from typing import Any

from wintun_model.status import Win32Error
from wintunsim.kernel.handles import SYNCHRONIZE
from wintunsim.kernel.machine import FOREVER, TIMED_OUT
from wintunsim.kernel.objects import EventObject, Mutex, Semaphore
from wintunsim.win32.buffers import read_bytes
from wintunsim.win32.context import Context
from wintunsim.win32.events import SetEvent
from wintunsim.win32.exports import export
from wintunsim.win32.handles import find
from wintunsim.win32.mutexes import ReleaseMutex, ReleaseSemaphore
from wintunsim.win32.ticks import tick_after
from wintunsim.win32.types import BOOL, DWORD, HANDLE, INFINITE, POINTER, VOID, WAIT_RESULT

WAIT_OBJECT_0 = 0
WAIT_ABANDONED_0 = 0x80
WAIT_TIMEOUT = 258
WAIT_FAILED = 0xFFFFFFFF
MAXIMUM_WAIT_OBJECTS = 64


def deadline_after(context: Context, milliseconds: int) -> int:
    """When a wait of `milliseconds` ends: on a timer tick, at once for 0, never for INFINITE."""
    now = context.machine.now
    if milliseconds == INFINITE:
        return FOREVER
    return tick_after(context, now + milliseconds * 1_000_000) if milliseconds else now


def _waitable(context: Context, handle: int) -> Any:
    """The object behind a handle that may be waited for; None after setting the last error."""
    entry = context.handles.get(handle) or find(context, handle)
    if entry is None:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, None)
    if not entry.access & SYNCHRONIZE:
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, None)
    return entry.target


def _was_abandoned(item: Any) -> bool:
    """Whether the mutex just taken was abandoned by its last owner; its new owner is told once."""
    if isinstance(item, Mutex) and item.is_abandoned:
        item.is_abandoned = False
        return True
    return False


@export("kernel32", WAIT_RESULT, HANDLE, DWORD)
def WaitForSingleObject(context: Context, handle: int, milliseconds: int) -> int:
    """Wait for an object."""
    item = _waitable(context, handle)
    if item is None:
        return WAIT_FAILED
    if context.machine.wait((item,), deadline_ns=deadline_after(context, milliseconds)) == TIMED_OUT:
        return WAIT_TIMEOUT
    return WAIT_ABANDONED_0 if _was_abandoned(item) else WAIT_OBJECT_0


@export("kernel32", WAIT_RESULT, HANDLE, DWORD, BOOL)
def WaitForSingleObjectEx(context: Context, handle: int, milliseconds: int, alertable: int) -> int:
    """As `WaitForSingleObject`: nothing queues calls to a thread, so being alertable changes nothing."""
    return WaitForSingleObject(context, handle, milliseconds)


@export("kernel32", WAIT_RESULT, DWORD, POINTER, BOOL, DWORD)
def WaitForMultipleObjects(context: Context, count: int, handles: int, wait_all: int, milliseconds: int) -> int:
    """Wait for any of 1 … 64 objects, or for all of them at once."""
    if not 1 <= count <= MAXIMUM_WAIT_OBJECTS:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, WAIT_FAILED)
    items = []
    for handle in struct.unpack(f"<{count}Q", read_bytes(handles, 8 * count)):
        item = _waitable(context, handle)
        if item is None:
            return WAIT_FAILED
        items.append(item)
    if wait_all and any(item is other for index, item in enumerate(items) for other in items[:index]):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, WAIT_FAILED)
    index = context.machine.wait(items, wait_all=bool(wait_all), deadline_ns=deadline_after(context, milliseconds))
    if index == TIMED_OUT:
        return WAIT_TIMEOUT
    if wait_all:
        # All are asked, so that each mutex's mark is taken.
        return WAIT_ABANDONED_0 if sum([_was_abandoned(item) for item in items]) else WAIT_OBJECT_0
    return (WAIT_ABANDONED_0 if _was_abandoned(items[index]) else WAIT_OBJECT_0) + index


@export("kernel32", WAIT_RESULT, DWORD, POINTER, BOOL, DWORD, BOOL)
def WaitForMultipleObjectsEx(
    context: Context, count: int, handles: int, wait_all: int, milliseconds: int, alertable: int
) -> int:
    """As `WaitForMultipleObjects`."""
    return WaitForMultipleObjects(context, count, handles, wait_all, milliseconds)


@export("kernel32", WAIT_RESULT, HANDLE, HANDLE, DWORD, BOOL)
def SignalObjectAndWait(context: Context, signalled: int, awaited: int, milliseconds: int, alertable: int) -> int:
    """Set an event or release a mutex or semaphore, and wait for another object, in one call."""
    item = _waitable(context, awaited)
    entry = context.handles.get(signalled)
    if item is None:
        return WAIT_FAILED
    if entry is None:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, WAIT_FAILED)
    if isinstance(entry.target, EventObject):
        is_done = SetEvent(context, signalled)
    elif isinstance(entry.target, Mutex):
        is_done = ReleaseMutex(context, signalled)
    elif isinstance(entry.target, Semaphore):
        is_done = ReleaseSemaphore(context, signalled, 1, 0)
    else:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, WAIT_FAILED)
    return WaitForSingleObject(context, awaited, milliseconds) if is_done else WAIT_FAILED


@export("kernel32", VOID, DWORD)
def Sleep(context: Context, milliseconds: int) -> None:
    """Sleep to the timer tick at which `milliseconds` have passed; 0 gives up the rest of the time slice."""
    machine = context.machine
    if not milliseconds:
        machine.yield_processor()
        return
    thread = context.thread
    thread.waiting_for, thread.waiting_since_ns = "Sleep", machine.now
    try:
        machine.block(deadline_after(context, milliseconds))
    finally:
        thread.waiting_for = ""


@export("kernel32", DWORD, DWORD, BOOL)
def SleepEx(context: Context, milliseconds: int, alertable: int) -> int:
    """As `Sleep`."""
    Sleep(context, milliseconds)
    return 0


@export("kernel32", BOOL)
def SwitchToThread(context: Context) -> int:
    """Yield to a ready thread: 1 when there was one. There is none where each thread has a processor of its own."""
    return int(context.machine.yield_processor())
