"""Events (spec win32 §3)."""

from __future__ import annotations

from wintun_model.status import Win32Error
from wintunsim.kernel.handles import EVENT_ALL_ACCESS, EVENT_MODIFY_STATE
from wintunsim.kernel.objects import EventObject
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_text
from wintunsim.win32.handles import create_named, map_access, open_named, reference
from wintunsim.win32.types import BOOL, DWORD, FALSE, HANDLE, POINTER, TEXT, TRUE

_MANUAL_RESET = 1
_INITIAL_SET = 2


def create_event(context: Context, manual_reset: bool, signalled: bool, name: str | None, access: int) -> int:
    """Create or open an event: a handle to it, or 0 with the last error."""

    def make(label: str) -> EventObject:
        return EventObject(label, manual_reset=manual_reset, signalled=signalled, object_name=label or None)

    return create_named(context, EventObject, name, access, make)


@export_text("kernel32", HANDLE, POINTER, BOOL, BOOL, TEXT)
def CreateEvent(context: Context, security: int, manual_reset: int, initial: int, name: str | None) -> int:
    """Create an event, or open the one of that name. `security` is not looked at."""
    return create_event(context, bool(manual_reset), bool(initial), name, EVENT_ALL_ACCESS)


@export_text("kernel32", HANDLE, POINTER, TEXT, DWORD, DWORD)
def CreateEventEx(context: Context, security: int, name: str | None, flags: int, access: int) -> int:
    """Create an event with the access rights asked for."""
    if flags & ~(_MANUAL_RESET | _INITIAL_SET):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    granted = map_access(EventObject, access)
    return create_event(context, bool(flags & _MANUAL_RESET), bool(flags & _INITIAL_SET), name, granted)


@export_text("kernel32", HANDLE, DWORD, BOOL, TEXT)
def OpenEvent(context: Context, access: int, inherit: int, name: str | None) -> int:
    """Open a named event."""
    return open_named(context, EventObject, name, access)


@export("kernel32", BOOL, HANDLE)
def SetEvent(context: Context, handle: int) -> int:
    """Set an event; setting a set one changes nothing."""
    event = reference(context, handle, EventObject, EVENT_MODIFY_STATE)
    if event is None:
        return FALSE
    context.machine.set_event(event)
    return TRUE


@export("kernel32", BOOL, HANDLE)
def ResetEvent(context: Context, handle: int) -> int:
    """Clear an event."""
    event = reference(context, handle, EventObject, EVENT_MODIFY_STATE)
    if event is None:
        return FALSE
    context.machine.clear_event(event)
    return TRUE


@export("kernel32", BOOL, HANDLE)
def PulseEvent(context: Context, handle: int) -> int:
    """Release who waits at this moment (one thread for an auto-reset event) and leave the event clear."""
    event = reference(context, handle, EventObject, EVENT_MODIFY_STATE)
    if event is None:
        return FALSE
    context.machine.set_event(event)
    context.machine.clear_event(event)
    return TRUE
