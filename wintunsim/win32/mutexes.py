"""Mutexes and semaphores (spec win32 §3)."""

from __future__ import annotations

from wintun_model.status import Win32Error
from wintunsim.kernel.objects import Mutex, Semaphore
from wintunsim.win32.buffers import write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_text
from wintunsim.win32.handles import create_named, map_access, open_named, reference
from wintunsim.win32.types import BOOL, DWORD, FALSE, HANDLE, LONG, POINTER, TEXT, TRUE

MUTEX_ALL_ACCESS = 0x1F0001
SEMAPHORE_ALL_ACCESS = 0x1F0003
_SEMAPHORE_MODIFY_STATE = 2
_INITIAL_OWNER = 1


def _create_mutex(context: Context, is_owned: bool, name: str | None, access: int) -> int:
    def make(label: str) -> Mutex:
        return Mutex(context.machine, label, context.thread if is_owned else None)

    return create_named(context, Mutex, name, access, make)


@export_text("kernel32", HANDLE, POINTER, BOOL, TEXT)
def CreateMutex(context: Context, security: int, is_owned: int, name: str | None) -> int:
    """Create a mutex, owned by the calling thread or free, or open the one of that name."""
    return _create_mutex(context, bool(is_owned), name, MUTEX_ALL_ACCESS)


@export_text("kernel32", HANDLE, POINTER, TEXT, DWORD, DWORD)
def CreateMutexEx(context: Context, security: int, name: str | None, flags: int, access: int) -> int:
    """Create a mutex with the access rights asked for."""
    return _create_mutex(context, bool(flags & _INITIAL_OWNER), name, map_access(Mutex, access))


@export_text("kernel32", HANDLE, DWORD, BOOL, TEXT)
def OpenMutex(context: Context, access: int, inherit: int, name: str | None) -> int:
    """Open a named mutex."""
    return open_named(context, Mutex, name, access)


@export("kernel32", BOOL, HANDLE)
def ReleaseMutex(context: Context, handle: int) -> int:
    """Release a mutex once; it goes to the next waiter when its owner has released it as often as it took it."""
    mutex = reference(context, handle, Mutex, 0)
    if mutex is None:
        return FALSE
    if not mutex.release(context.thread):
        return context.fail(Win32Error.ERROR_NOT_OWNER, FALSE)
    if mutex.owner is None:
        context.machine.signalled(mutex)
    return TRUE


def _create_semaphore(context: Context, initial: int, maximum: int, name: str | None, access: int) -> int:
    if maximum <= 0 or not 0 <= initial <= maximum:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    return create_named(context, Semaphore, name, access, lambda label: Semaphore(label, initial, maximum))


@export_text("kernel32", HANDLE, POINTER, LONG, LONG, TEXT)
def CreateSemaphore(context: Context, security: int, initial: int, maximum: int, name: str | None) -> int:
    """Create a counting semaphore, or open the one of that name."""
    return _create_semaphore(context, initial, maximum, name, SEMAPHORE_ALL_ACCESS)


@export_text("kernel32", HANDLE, POINTER, LONG, LONG, TEXT, DWORD, DWORD)
def CreateSemaphoreEx(
    context: Context, security: int, initial: int, maximum: int, name: str | None, flags: int, access: int
) -> int:
    """Create a semaphore with the access rights asked for."""
    return _create_semaphore(context, initial, maximum, name, map_access(Semaphore, access))


@export_text("kernel32", HANDLE, DWORD, BOOL, TEXT)
def OpenSemaphore(context: Context, access: int, inherit: int, name: str | None) -> int:
    """Open a named semaphore."""
    return open_named(context, Semaphore, name, access)


@export("kernel32", BOOL, HANDLE, LONG, POINTER)
def ReleaseSemaphore(context: Context, handle: int, count: int, previous: int) -> int:
    """Raise a semaphore's count, if that does not exceed its maximum."""
    semaphore = reference(context, handle, Semaphore, _SEMAPHORE_MODIFY_STATE)
    if semaphore is None:
        return FALSE
    if count <= 0:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    if semaphore.count + count > semaphore.maximum:
        return context.fail(Win32Error.ERROR_TOO_MANY_POSTS, FALSE)
    if previous:
        write_u32(previous, semaphore.count)
    semaphore.count += count
    context.machine.signalled(semaphore)
    return TRUE
