"""Locks of user mode: critical sections, slim reader/writer locks, condition variables, waits on an address.

Their memory is the client's; what they are is kept here by address. A lock that is free costs no system call.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from wintun_model.errors import ClientFault
from wintun_model.operations import Event
from wintun_model.status import Win32Error
from wintunsim.kernel.machine import TIMED_OUT, Thread
from wintunsim.win32.buffers import read_bytes
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.ticks import tick_after
from wintunsim.win32.types import BOOL, BOOLEAN, DWORD, FALSE, INFINITE, POINTER, SIZE_T, TRUE, VOID


@dataclass(slots=True)
class _Lock:
    """Shared and exclusive holders; who waits, in order, with the event that lets it go."""

    owner: Thread | None = None
    depth: int = 0
    shared: int = 0
    waiters: deque[tuple[Thread, bool, Event]] = field(default_factory=deque)

    def is_free(self) -> bool:
        return self.owner is None and not self.shared


class Locks:
    """The locks and condition variables of a process by address."""

    def __init__(self) -> None:
        self.sections: dict[int, _Lock] = {}
        self.slim: dict[int, _Lock] = {}
        self.conditions: dict[int, deque[Event]] = {}
        self.addresses: dict[int, deque[Event]] = {}


def _acquire(context: Context, lock: _Lock, is_exclusive: bool) -> None:
    thread = context.thread
    if lock.is_free() or (not is_exclusive and lock.owner is None and not lock.waiters):
        if is_exclusive:
            lock.owner, lock.depth = thread, 1
        else:
            lock.shared += 1
        return
    event = Event(f"{thread.name} lock", manual_reset=True)
    lock.waiters.append((thread, is_exclusive, event))
    context.machine.spend(context.machine.prices.system_call_ns())
    context.machine.wait((event,))


def _hand_over(context: Context, lock: _Lock) -> None:
    while lock.waiters:
        thread, is_exclusive, event = lock.waiters[0]
        if thread.is_killed:
            lock.waiters.popleft()
            continue
        if lock.owner is not None or (is_exclusive and lock.shared):
            return
        lock.waiters.popleft()
        if is_exclusive:
            lock.owner, lock.depth = thread, 1
        else:
            lock.shared += 1
        context.machine.set_event(event)
        if is_exclusive:
            return


def _release_exclusive(context: Context, lock: _Lock) -> None:
    lock.owner, lock.depth = None, 0
    _hand_over(context, lock)


# --- critical sections


def _section(context: Context, address: int) -> _Lock:
    lock = context.state(Locks).sections.get(address)
    if lock is None:
        raise ClientFault("a critical section was used that is not initialised: an access violation on Windows")
    return lock


@export("kernel32", VOID, POINTER, user_mode=True)
def InitializeCriticalSection(context: Context, address: int) -> None:
    """Make a critical section at an address."""
    context.state(Locks).sections[address] = _Lock()


@export("kernel32", BOOL, POINTER, DWORD, user_mode=True)
def InitializeCriticalSectionAndSpinCount(context: Context, address: int, spin_count: int) -> int:
    """As `InitializeCriticalSection`."""
    InitializeCriticalSection(context, address)
    return TRUE


@export("kernel32", BOOL, POINTER, DWORD, DWORD, user_mode=True)
def InitializeCriticalSectionEx(context: Context, address: int, spin_count: int, flags: int) -> int:
    """As `InitializeCriticalSection`."""
    InitializeCriticalSection(context, address)
    return TRUE


@export("kernel32", VOID, POINTER, user_mode=True)
def DeleteCriticalSection(context: Context, address: int) -> None:
    """Forget a critical section."""
    _section(context, address)
    del context.state(Locks).sections[address]


@export("kernel32", VOID, POINTER, user_mode=True)
def EnterCriticalSection(context: Context, address: int) -> None:
    """Enter a critical section, again if the thread is in it already."""
    lock = _section(context, address)
    if lock.owner is context.thread:
        lock.depth += 1
    else:
        _acquire(context, lock, True)


@export("kernel32", BOOL, POINTER, user_mode=True)
def TryEnterCriticalSection(context: Context, address: int) -> int:
    """Enter a critical section if that needs no waiting."""
    lock = _section(context, address)
    if lock.owner is context.thread:
        lock.depth += 1
    elif lock.is_free():
        lock.owner, lock.depth = context.thread, 1
    else:
        return FALSE
    return TRUE


@export("kernel32", VOID, POINTER, user_mode=True)
def LeaveCriticalSection(context: Context, address: int) -> None:
    """Leave a critical section once."""
    lock = _section(context, address)
    if lock.owner is not context.thread:
        raise ClientFault("LeaveCriticalSection was called by a thread that is not in the critical section")
    lock.depth -= 1
    if not lock.depth:
        _release_exclusive(context, lock)


# --- slim reader/writer locks


def _slim(context: Context, address: int) -> _Lock:
    return context.state(Locks).slim.setdefault(address, _Lock())


@export("kernel32", VOID, POINTER, user_mode=True)
def InitializeSRWLock(context: Context, address: int) -> None:
    """Make a slim lock; zeroed memory is one already."""
    context.state(Locks).slim[address] = _Lock()


@export("kernel32", VOID, POINTER, user_mode=True)
def AcquireSRWLockExclusive(context: Context, address: int) -> None:
    """Take a slim lock exclusively. It is not recursive: a thread that holds it waits for itself."""
    _acquire(context, _slim(context, address), True)


@export("kernel32", VOID, POINTER, user_mode=True)
def AcquireSRWLockShared(context: Context, address: int) -> None:
    """Take a slim lock shared."""
    _acquire(context, _slim(context, address), False)


@export("kernel32", BOOLEAN, POINTER, user_mode=True)
def TryAcquireSRWLockExclusive(context: Context, address: int) -> int:
    """Take a slim lock exclusively if that needs no waiting."""
    lock = _slim(context, address)
    if not lock.is_free():
        return FALSE
    lock.owner, lock.depth = context.thread, 1
    return TRUE


@export("kernel32", BOOLEAN, POINTER, user_mode=True)
def TryAcquireSRWLockShared(context: Context, address: int) -> int:
    """Take a slim lock shared if that needs no waiting."""
    lock = _slim(context, address)
    if lock.owner is not None or lock.waiters:
        return FALSE
    lock.shared += 1
    return TRUE


@export("kernel32", VOID, POINTER, user_mode=True)
def ReleaseSRWLockExclusive(context: Context, address: int) -> None:
    """Release a slim lock held exclusively."""
    lock = _slim(context, address)
    if lock.owner is None:
        raise ClientFault("ReleaseSRWLockExclusive was called for a lock that is not held: STATUS_RESOURCE_NOT_OWNED")
    _release_exclusive(context, lock)


@export("kernel32", VOID, POINTER, user_mode=True)
def ReleaseSRWLockShared(context: Context, address: int) -> None:
    """Release a slim lock held shared."""
    lock = _slim(context, address)
    if not lock.shared:
        raise ClientFault("ReleaseSRWLockShared was called for a lock that is not held: STATUS_RESOURCE_NOT_OWNED")
    lock.shared -= 1
    _hand_over(context, lock)


# --- condition variables


@export("kernel32", VOID, POINTER, user_mode=True)
def InitializeConditionVariable(context: Context, address: int) -> None:
    """Make a condition variable; zeroed memory is one already."""
    context.state(Locks).conditions[address] = deque()


def _sleep(context: Context, queue: deque[Event], milliseconds: int) -> int:
    """Wait in a queue until woken, or until the tick after `milliseconds`."""
    machine = context.machine
    event = Event(f"{context.thread.name} wake-up", manual_reset=True)
    queue.append(event)
    machine.spend(machine.prices.system_call_ns())
    if milliseconds == INFINITE:
        machine.wait((event,))
    elif machine.wait((event,), deadline_ns=tick_after(context, machine.now + milliseconds * 1_000_000)) == TIMED_OUT:
        if event in queue:
            queue.remove(event)
        return context.fail(Win32Error.ERROR_TIMEOUT, FALSE)
    return TRUE


def _sleepers(context: Context, condition: int) -> deque[Event]:
    return context.state(Locks).conditions.setdefault(condition, deque())


@export("kernel32", BOOL, POINTER, POINTER, DWORD, user_mode=True)
def SleepConditionVariableCS(context: Context, condition: int, section: int, milliseconds: int) -> int:
    """Leave a critical section, sleep until woken, enter it again."""
    lock = _section(context, section)
    depth = lock.depth
    _release_exclusive(context, lock)
    result = _sleep(context, _sleepers(context, condition), milliseconds)
    _acquire(context, lock, True)
    lock.depth = depth
    return result


_SHARED = 1


@export("kernel32", BOOL, POINTER, POINTER, DWORD, DWORD, user_mode=True)
def SleepConditionVariableSRW(context: Context, condition: int, address: int, milliseconds: int, flags: int) -> int:
    """Release a slim lock, sleep until woken, take it again."""
    lock = _slim(context, address)
    if flags & _SHARED:
        ReleaseSRWLockShared(context, address)
    else:
        ReleaseSRWLockExclusive(context, address)
    result = _sleep(context, _sleepers(context, condition), milliseconds)
    _acquire(context, lock, not flags & _SHARED)
    return result


@export("kernel32", VOID, POINTER, user_mode=True)
def WakeConditionVariable(context: Context, condition: int) -> None:
    """Wake the thread that sleeps longest."""
    queue = context.state(Locks).conditions.get(condition)
    if queue:
        context.machine.set_event(queue.popleft())


@export("kernel32", VOID, POINTER, user_mode=True)
def WakeAllConditionVariable(context: Context, condition: int) -> None:
    """Wake all threads that sleep."""
    queue = context.state(Locks).conditions.get(condition)
    while queue:
        context.machine.set_event(queue.popleft())


# --- waits on an address


@export("kernel32", BOOL, POINTER, POINTER, SIZE_T, DWORD, user_mode=True)
def WaitOnAddress(context: Context, address: int, compared: int, size: int, milliseconds: int) -> int:
    """Sleep while the 1, 2, 4 or 8 bytes at an address are what they are compared with, until woken."""
    if size not in (1, 2, 4, 8):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    if read_bytes(address, size) != read_bytes(compared, size):
        return TRUE
    return _sleep(context, context.state(Locks).addresses.setdefault(address, deque()), milliseconds)


@export("kernel32", VOID, POINTER, user_mode=True)
def WakeByAddressSingle(context: Context, address: int) -> None:
    """Wake the thread that sleeps longest on an address."""
    queue = context.state(Locks).addresses.get(address)
    if queue:
        context.machine.set_event(queue.popleft())


@export("kernel32", VOID, POINTER, user_mode=True)
def WakeByAddressAll(context: Context, address: int) -> None:
    """Wake all threads that sleep on an address."""
    queue = context.state(Locks).addresses.get(address)
    while queue:
        context.machine.set_event(queue.popleft())
