"""Thread-local storage."""

from __future__ import annotations

from wintun_model.status import Win32Error
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.types import BOOL, DWORD, FALSE, POINTER, TRUE

_OUT_OF_INDEXES = 0xFFFFFFFF
_SLOTS_MOST = 1088
_VALUES = "tls"


class Slots:
    """The slots of a process that are in use, with how often each was given out before."""

    def __init__(self) -> None:
        self.used: dict[int, int] = {}
        self.generation = 0


@export("kernel32", DWORD, user_mode=True)
@export("kernel32", DWORD, POINTER, user_mode=True, name="FlsAlloc")
def TlsAlloc(context: Context, callback: int = 0) -> int:
    """Take the lowest free slot; its value is 0 in every thread."""
    slots = context.state(Slots)
    for index in range(_SLOTS_MOST):
        if index not in slots.used:
            slots.generation += 1
            slots.used[index] = slots.generation
            return index
    return context.fail(Win32Error.ERROR_NO_MORE_ITEMS, _OUT_OF_INDEXES)


@export("kernel32", BOOL, DWORD, user_mode=True)
@export("kernel32", BOOL, DWORD, user_mode=True, name="FlsFree")
def TlsFree(context: Context, index: int) -> int:
    """Give a slot back."""
    if context.state(Slots).used.pop(index, None) is None:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    return TRUE


@export("kernel32", POINTER, DWORD, user_mode=True)
@export("kernel32", POINTER, DWORD, user_mode=True, name="FlsGetValue")
def TlsGetValue(context: Context, index: int) -> int:
    """The calling thread's value of a slot; the last error becomes 0, since 0 is a value too."""
    generation = context.state(Slots).used.get(index)
    if generation is None:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    thread = context.thread
    thread.last_error = 0
    return int(thread.local.get((_VALUES, generation), 0))


@export("kernel32", BOOL, DWORD, POINTER, user_mode=True)
@export("kernel32", BOOL, DWORD, POINTER, user_mode=True, name="FlsSetValue")
def TlsSetValue(context: Context, index: int, value: int) -> int:
    """Set the calling thread's value of a slot."""
    generation = context.state(Slots).used.get(index)
    if generation is None:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    context.thread.local[_VALUES, generation] = value
    return TRUE
