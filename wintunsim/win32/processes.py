"""Processes: ids, exit codes, ends (spec win32 §2)."""

from __future__ import annotations

import struct

from wintun_model.status import Win32Error
from wintunsim.kernel.objects import ProcessObject
from wintunsim.kernel.process import Account
from wintunsim.win32.buffers import write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.handles import map_access, process_object, reference
from wintunsim.win32.threads import STILL_ACTIVE
from wintunsim.win32.types import BOOL, CURRENT_PROCESS, DWORD, FALSE, HANDLE, POINTER, TRUE, VOID

_PROCESS_TERMINATE = 1
_QUERY_LIMITED = 0x1000
_SET_INFORMATION = 0x200
_NORMAL_PRIORITY_CLASS = 0x20


@export("kernel32", HANDLE, user_mode=True)
def GetCurrentProcess(context: Context) -> int:
    """The pseudo handle of this process, -1."""
    return CURRENT_PROCESS


@export("kernel32", DWORD, user_mode=True)
def GetCurrentProcessId(context: Context) -> int:
    """This process's id."""
    return context.process.process_id


@export("kernel32", DWORD, HANDLE)
def GetProcessId(context: Context, handle: int) -> int:
    """The id of a process."""
    found = reference(context, handle, ProcessObject, _QUERY_LIMITED)
    return 0 if found is None else int(found.process.process_id)


@export("kernel32", HANDLE, DWORD, BOOL, DWORD)
def OpenProcess(context: Context, access: int, inherit: int, process_id: int) -> int:
    """Open a process of the simulation by its id; a standard user gets at its own account's only."""
    for process in context.system.processes:
        if process.process_id == process_id and process.exit_code is None:
            if context.process.account is Account.USER and process.account is not Account.USER:
                return context.fail(Win32Error.ERROR_ACCESS_DENIED, 0)
            return context.handles.insert(process_object(process), map_access(ProcessObject, access))
    return context.fail(Win32Error.ERROR_INVALID_PARAMETER, 0)


@export("kernel32", VOID, DWORD)
def ExitProcess(context: Context, code: int) -> None:
    """End this process: its threads, then its handles."""
    context.process.exit(code)


@export("kernel32", BOOL, HANDLE, DWORD)
def TerminateProcess(context: Context, handle: int, code: int) -> int:
    """End a process."""
    found = reference(context, handle, ProcessObject, _PROCESS_TERMINATE)
    if found is None:
        return FALSE
    if found.process.exit_code is not None:
        return context.fail(Win32Error.ERROR_ACCESS_DENIED, FALSE)
    found.process.exit(code)
    return TRUE


@export("kernel32", BOOL, HANDLE, POINTER)
def GetExitCodeProcess(context: Context, handle: int, code: int) -> int:
    """A process's exit code, STILL_ACTIVE (259) while it runs."""
    found = reference(context, handle, ProcessObject, _QUERY_LIMITED)
    if found is None:
        return FALSE
    value = found.process.exit_code
    write_u32(code, STILL_ACTIVE if value is None else value)
    return TRUE


@export("kernel32", BOOL, HANDLE, POINTER)
def IsWow64Process(context: Context, handle: int, answer: int) -> int:
    """No process is a 32-bit one."""
    if reference(context, handle, ProcessObject, _QUERY_LIMITED) is None:
        return FALSE
    write_u32(answer, FALSE)
    return TRUE


_IMAGE_FILE_MACHINE_AMD64 = 0x8664


@export("kernel32", BOOL, HANDLE, POINTER, POINTER)
def IsWow64Process2(context: Context, handle: int, process_machine: int, native_machine: int) -> int:
    """The process runs on its own kind of machine, an AMD64 one."""
    if reference(context, handle, ProcessObject, _QUERY_LIMITED) is None:
        return FALSE
    write_bytes(process_machine, struct.pack("<H", 0))
    if native_machine:
        write_bytes(native_machine, struct.pack("<H", _IMAGE_FILE_MACHINE_AMD64))
    return TRUE


@export("kernel32", BOOL, HANDLE, DWORD)
def SetPriorityClass(context: Context, handle: int, priority_class: int) -> int:
    """Accepted: no process of the simulation waits for another's processor."""
    return FALSE if reference(context, handle, ProcessObject, _SET_INFORMATION) is None else TRUE


@export("kernel32", DWORD, HANDLE)
def GetPriorityClass(context: Context, handle: int) -> int:
    """NORMAL_PRIORITY_CLASS."""
    return 0 if reference(context, handle, ProcessObject, _QUERY_LIMITED) is None else _NORMAL_PRIORITY_CLASS
