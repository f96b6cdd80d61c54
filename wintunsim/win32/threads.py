"""Threads (spec win32 §2, §3)."""

from __future__ import annotations

import ctypes
from typing import Any

from wintun_model.operations import Event
from wintun_model.status import Win32Error
from wintunsim.kernel.machine import Thread, ThreadKilled
from wintunsim.kernel.objects import ThreadObject
from wintunsim.win32.buffers import write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.handles import THREAD_ALL_ACCESS, map_access, reference, thread_object
from wintunsim.win32.types import BOOL, CURRENT_THREAD, DWORD, FALSE, HANDLE, INT, POINTER, SIZE_T, TRUE, VOID

STILL_ACTIVE = 259
_CREATE_SUSPENDED = 4
_RESUME_FAILED = 0xFFFFFFFF
_THREAD_TERMINATE = 1
_THREAD_SUSPEND_RESUME = 2
_QUERY_LIMITED = 0x800
_SET_LIMITED = 0x400
_PRIORITY_ERROR = 0x7FFFFFFF
_PRIORITIES = {-15: 1, -2: 6, -1: 7, 0: 8, 1: 9, 2: 10, 15: 15}
_START = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint64)
_SUSPENDED = "suspended"
_PRIORITY = "priority"


def _run(context: Context, start: int, argument: int, gate: Event | None) -> None:
    """The body of a client's thread: call its start function, whose result is the exit code."""
    machine = context.machine
    thread = machine.current
    assert thread is not None
    if gate is not None:
        machine.wait((gate,))
    code = _START(start)(argument)
    error = context.loader.take_exception()
    if error is not None:
        raise error
    if thread.is_killed:
        raise ThreadKilled
    thread.exit_code = code


@export("kernel32", HANDLE, POINTER, SIZE_T, POINTER, POINTER, DWORD, POINTER)
def CreateThread(
    context: Context, security: int, stack_bytes: int, start: int, argument: int, flags: int, thread_id: int
) -> int:
    """Start a thread at a C function."""
    if not start:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    if thread_id:
        write_u32(thread_id, 0)
    gate = Event("resumed", manual_reset=True) if flags & _CREATE_SUSPENDED else None
    thread = context.process.start_thread(lambda: _run(context, start, argument, gate))
    if gate is not None:
        thread.local[_SUSPENDED] = gate
    handle = context.handles.insert(thread_object(thread), THREAD_ALL_ACCESS)
    if thread_id:
        write_u32(thread_id, thread.thread_id)
    return handle


@export("kernel32", DWORD, HANDLE)
def ResumeThread(context: Context, handle: int) -> int:
    """Let a thread go that was created suspended. Answers how often it was suspended before: 1 or 0."""
    found = reference(context, handle, ThreadObject, _THREAD_SUSPEND_RESUME)
    if found is None:
        return _RESUME_FAILED
    gate: Event | None = found.thread.local.pop(_SUSPENDED, None)
    if gate is None:
        return 0
    context.machine.set_event(gate)
    return 1


@export("kernel32", VOID, DWORD)
def ExitThread(context: Context, code: int) -> None:
    """End the calling thread."""
    thread = context.thread
    thread.exit_code = code
    context.machine.kill(thread)


@export("kernel32", BOOL, HANDLE, DWORD)
def TerminateThread(context: Context, handle: int, code: int) -> int:
    """End a thread where it stands."""
    found = reference(context, handle, ThreadObject, _THREAD_TERMINATE)
    if found is None:
        return FALSE
    if not found.thread.ended.signalled:
        found.thread.exit_code = code
        context.machine.kill(found.thread)
    return TRUE


@export("kernel32", BOOL, HANDLE, POINTER)
def GetExitCodeThread(context: Context, handle: int, code: int) -> int:
    """A thread's exit code, STILL_ACTIVE (259) while it runs."""
    found = reference(context, handle, ThreadObject, _QUERY_LIMITED)
    if found is None:
        return FALSE
    thread = found.thread
    write_u32(code, thread.exit_code if thread.ended.signalled else STILL_ACTIVE)
    return TRUE


@export("kernel32", HANDLE, user_mode=True)
def GetCurrentThread(context: Context) -> int:
    """The pseudo handle of the calling thread, -2."""
    return CURRENT_THREAD


@export("kernel32", DWORD, user_mode=True)
def GetCurrentThreadId(context: Context) -> int:
    """The calling thread's id."""
    return context.thread.thread_id


@export("kernel32", DWORD, HANDLE)
def GetThreadId(context: Context, handle: int) -> int:
    """The id of a thread."""
    found = reference(context, handle, ThreadObject, _QUERY_LIMITED)
    return 0 if found is None else found.thread.thread_id


def _thread_of(context: Context, thread_id: int) -> Thread | None:
    for thread in context.process.threads:
        if thread.thread_id == thread_id and not thread.ended.signalled:
            return thread
    return None


@export("kernel32", HANDLE, DWORD, BOOL, DWORD)
def OpenThread(context: Context, access: int, inherit: int, thread_id: int) -> int:
    """Open a thread of this process by its id."""
    thread = _thread_of(context, thread_id)
    if thread is None:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    return context.handles.insert(thread_object(thread), map_access(ThreadObject, access))


@export("kernel32", BOOL, HANDLE, INT)
def SetThreadPriority(context: Context, handle: int, priority: int) -> int:
    """Set a thread's priority, relative to its process's: -15, -2 … 2 or 15."""
    found = reference(context, handle, ThreadObject, _SET_LIMITED)
    if found is None:
        return FALSE
    if priority not in _PRIORITIES:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    found.thread.priority = _PRIORITIES[priority]
    found.thread.local[_PRIORITY] = priority
    return TRUE


@export("kernel32", INT, HANDLE)
def GetThreadPriority(context: Context, handle: int) -> int:
    """A thread's priority, relative to its process's."""
    found = reference(context, handle, ThreadObject, _QUERY_LIMITED)
    if found is None:
        return _PRIORITY_ERROR
    priority: Any = found.thread.local.get(_PRIORITY, 0)
    return int(priority)


@export("kernel32", DWORD, HANDLE, DWORD)
def SetThreadAffinityMask(context: Context, handle: int, mask: int) -> int:
    """Accepted: every thread has a processor of its own. Answers the old mask."""
    return 0 if reference(context, handle, ThreadObject, _SET_LIMITED) is None else 0xFF


@export("kernel32", DWORD, HANDLE, POINTER)
def SetThreadDescription(context: Context, handle: int, text: int) -> int:
    """Accepted (an HRESULT)."""
    return 0 if reference(context, handle, ThreadObject, _SET_LIMITED) is not None else 0x80070006
