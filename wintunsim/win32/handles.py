"""Handles: looking them up, closing and duplicating them (spec win32 §2)."""

from __future__ import annotations

from typing import Any, TypeVar

from wintun_model.status import Win32Error
from wintunsim.kernel.handles import HANDLE_FLAG_INHERIT, HANDLE_FLAG_PROTECT_FROM_CLOSE, SYNCHRONIZE, Handle
from wintunsim.kernel.machine import Thread
from wintunsim.kernel.objects import EventObject, Mutex, ProcessObject, Section, Semaphore, ThreadObject, Timer
from wintunsim.kernel.registry import KeyObject
from wintunsim.win32.buffers import write_u32, write_u64
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.types import BOOL, CURRENT_PROCESS, CURRENT_THREAD, DWORD, FALSE, HANDLE, POINTER, TRUE

K = TypeVar("K")

PROCESS_ALL_ACCESS = 0x1FFFFF
THREAD_ALL_ACCESS = 0x1FFFFF
MAXIMUM_ALLOWED = 0x02000000

_GENERIC_MAPPINGS: dict[type, tuple[int, int, int, int]] = {
    # read, write, execute, all
    EventObject: (0x20001, 0x20002, 0x120000, 0x1F0003),
    Mutex: (0x20001, 0x20000, 0x120000, 0x1F0001),
    Semaphore: (0x20001, 0x20002, 0x120000, 0x1F0003),
    Timer: (0x20001, 0x20002, 0x120000, 0x1F0003),
    KeyObject: (0x20019, 0x20006, 0x20019, 0xF003F),
    Section: (0x20005, 0x20002, 0x20008, 0xF001F),
    ProcessObject: (0x20410, 0x20BEA, 0x121001, PROCESS_ALL_ACCESS),
    ThreadObject: (0x20048, 0x20437, 0x121800, THREAD_ALL_ACCESS),
}
_FILE_MAPPING = (0x120089, 0x120116, 0x1200A0, 0x1F01FF)

_CLOSE_SOURCE = 1
_SAME_ACCESS = 2


def map_access(kind: type, access: int) -> int:
    """Access rights with the generic ones replaced by what they mean for a type of object."""
    read, write, execute, everything = _GENERIC_MAPPINGS.get(kind, _FILE_MAPPING)
    mapped = access & 0x01FFFFFF
    for bit, rights in ((31, read), (30, write), (29, execute), (28, everything)):
        if access >> bit & 1:
            mapped |= rights
    return mapped | everything if access & MAXIMUM_ALLOWED else mapped


def thread_object(thread: Thread) -> ThreadObject:
    """The one object that all handles to a thread name."""
    found = thread.local.get(ThreadObject)
    if found is None:
        found = thread.local[ThreadObject] = ThreadObject(thread)
    return found


def process_object(process: Any) -> ProcessObject:
    """The one object that all handles to a process name."""
    found = process.local.get(ProcessObject)
    if found is None:
        found = process.local[ProcessObject] = ProcessObject(process)
    return found  # type: ignore[no-any-return]


def find(context: Context, handle: int) -> Handle | None:
    """What a handle value stands for, pseudo handles included; None for one that names nothing."""
    entry = context.handles.get(handle)
    if entry is None:
        if handle == CURRENT_PROCESS:
            return Handle(process_object(context.process), PROCESS_ALL_ACCESS)
        if handle == CURRENT_THREAD:
            return Handle(thread_object(context.thread), THREAD_ALL_ACCESS)
    return entry


def reference(context: Context, handle: int, kind: type[K], access: int) -> K | None:
    """The object of type `kind` behind a handle with the access rights asked for.

    None after setting the last error, by the first of: unknown handle 6, other type 6, right missing 5.
    """
    entry = context.handles.get(handle) or find(context, handle)
    if entry is None or not isinstance(entry.target, kind):
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, None)
    if access & ~entry.access:
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, None)
    return entry.target


@export("kernel32", BOOL, HANDLE)
def CloseHandle(context: Context, handle: int) -> int:
    """Close a handle; the last one to a file object closes it, which may take its time (spec driver §6.2)."""
    entry = context.handles.get(handle)
    if entry is None:
        # Pseudo handles are closed without effect.
        if handle > CURRENT_PROCESS - 6:
            return TRUE
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, FALSE)
    if entry.flags & HANDLE_FLAG_PROTECT_FROM_CLOSE:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, FALSE)
    context.handles.close(handle)
    return TRUE


@export("kernel32", BOOL, HANDLE, HANDLE, HANDLE, POINTER, DWORD, BOOL, DWORD)
def DuplicateHandle(
    context: Context,
    source_process: int,
    source: int,
    target_process: int,
    target: int,
    access: int,
    inherit: int,
    options: int,
) -> int:
    """Make another handle to an object, in this or another process of the simulation."""
    giver = reference(context, source_process, ProcessObject, 0)
    if giver is None:
        return FALSE
    process = giver.process
    is_own = process is context.process
    entry = find(context, source) if is_own else process.handles.get(source)
    if entry is None:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, FALSE)
    error = 0
    if target_process:
        taker = reference(context, target_process, ProcessObject, 0)
        error = context.thread.last_error if taker is None else _duplicate(entry, taker, target, access, options)
    if options & _CLOSE_SOURCE and not entry.flags & HANDLE_FLAG_PROTECT_FROM_CLOSE:
        process.handles.close(source)
    return context.fail(error, FALSE) if error else TRUE


def _duplicate(entry: Handle, taker: ProcessObject, target: int, access: int, options: int) -> int:
    kind = type(entry.target)
    granted = entry.access if options & _SAME_ACCESS else map_access(kind, access)
    if kind not in _GENERIC_MAPPINGS and granted & ~entry.access:
        # File objects: nobody gets more than was granted at the open.
        return int(Win32Error.ERROR_ACCESS_DENIED)
    if taker.process.exit_code is not None:
        return int(Win32Error.ERROR_ACCESS_DENIED)
    if target:
        write_u64(target, 0)
    handle = taker.process.handles.insert(entry.target, granted)
    if target:
        write_u64(target, handle)
    return 0


@export("kernel32", BOOL, HANDLE, POINTER)
def GetHandleInformation(context: Context, handle: int, flags: int) -> int:
    """The flags of a handle: inherit 1, protect from close 2."""
    entry = context.handles.get(handle)
    if entry is None:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, FALSE)
    write_u32(flags, entry.flags)
    return TRUE


@export("kernel32", BOOL, HANDLE, DWORD, DWORD)
def SetHandleInformation(context: Context, handle: int, mask: int, flags: int) -> int:
    """Change the flags of a handle that `mask` names."""
    entry = context.handles.get(handle)
    if entry is None:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, FALSE)
    if mask & ~(HANDLE_FLAG_INHERIT | HANDLE_FLAG_PROTECT_FROM_CLOSE):
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    entry.flags = entry.flags & ~mask | flags & mask
    return TRUE


@export("kernel32", BOOL, HANDLE, HANDLE)
def CompareObjectHandles(context: Context, first: int, second: int) -> int:
    """Whether two handles name the same object."""
    one, other = find(context, first), find(context, second)
    if one is None or other is None:
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, FALSE)
    return int(one.target is other.target)


NAMESPACES = ("Local\\", "Global\\")


def create_named(
    context: Context,
    kind: type[K],
    name: str | None,
    access: int,
    make: Any,
) -> int:
    """Create an object, or open the one that has the name already; a handle to it, or 0 with the last error.

    `make(label)` makes the object; it may answer None after setting the last error. An existing object leaves
    ERROR_ALREADY_EXISTS as last error, and one of another type is ERROR_INVALID_HANDLE (spec win32 §3).
    """
    if name is not None and len(name) > 260:
        return context.fail(Win32Error.ERROR_FILENAME_EXCED_RANGE, 0)
    name = plain_name(name)
    existing = open_existing(context, name)
    if existing is not None:
        if not isinstance(existing, kind):
            return context.fail(Win32Error.ERROR_INVALID_HANDLE, 0)
        context.thread.last_error = int(Win32Error.ERROR_ALREADY_EXISTS)
        return context.handles.insert(existing, access)
    made = make(name or "")
    if made is None:
        return 0
    handle = context.handles.insert(made, access)
    if name:
        context.system.named_objects[name] = made
        made.name = f'{made.type_name.lower()} "{name}"'
    else:
        made.name = f"{context.process.name}/{made.type_name.lower()} {handle:#x}"
    context.thread.last_error = 0
    return handle


def plain_name(name: str | None) -> str | None:
    """An object's name without its namespace; None for none. The simulated machine has one session."""
    for prefix in NAMESPACES:
        if name is not None and name.lower().startswith(prefix.lower()):
            return name[len(prefix) :]
    return name or None


def open_existing(context: Context, name: str | None) -> Any:
    """The object of that plain name; None for none. A name goes with the last handle to its object."""
    found = context.system.named_objects.get(name) if name else None
    return found if found is not None and found.handle_count else None


def open_named(context: Context, kind: type[K], name: str | None, access: int) -> int:
    """Open an object by its name; a handle to it, or 0 with the last error."""
    if not name:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)
    existing = open_existing(context, plain_name(name))
    if existing is None:
        return context.fail(Win32Error.ERROR_FILE_NOT_FOUND, 0)
    if not isinstance(existing, kind):
        return context.fail(Win32Error.ERROR_INVALID_HANDLE, 0)
    return context.handles.insert(existing, map_access(kind, access))


__all__ = [
    "SYNCHRONIZE",
    "create_named",
    "find",
    "map_access",
    "open_named",
    "process_object",
    "reference",
    "thread_object",
]
