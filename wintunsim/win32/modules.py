"""Modules: LoadLibrary, GetProcAddress (spec win32 §6: `wintun.dll` is found by any path or name)."""

from __future__ import annotations

from wintun_model.status import Win32Error
from wintunsim.win32.buffers import ANSI, read_ansi, wide, write_bytes
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_text
from wintunsim.win32.types import BOOL, DWORD, HANDLE, LPCSTR, POINTER, TEXT, TRUE

PROGRAM_MODULE = 0x7FF6_0000_0000
"""The module handle of the program itself."""


def _load(context: Context, path: str | None) -> int:
    library = context.loader.load(path) if path else None
    return context.fail(Win32Error.ERROR_MOD_NOT_FOUND, 0) if library is None else library.handle


@export_text("kernel32", HANDLE, TEXT)
def LoadLibrary(context: Context, path: str | None) -> int:
    """Load a DLL of the simulated Windows."""
    return _load(context, path)


@export_text("kernel32", HANDLE, TEXT, HANDLE, DWORD)
def LoadLibraryEx(context: Context, path: str | None, file: int, flags: int) -> int:
    """As `LoadLibrary`: it is the same wherever the DLL is looked for."""
    return _load(context, path)


@export_text("kernel32", HANDLE, TEXT)
def GetModuleHandle(context: Context, name: str | None) -> int:
    """The handle of a DLL that is loaded; null name: of the program."""
    if name is None:
        return PROGRAM_MODULE
    library = context.loader.loaded(name)
    if library is None and name.lower().removesuffix(".dll") in ("kernel32", "ntdll", "kernelbase"):
        # In every process from its start.
        library = context.loader.load(name)
    return context.fail(Win32Error.ERROR_MOD_NOT_FOUND, 0) if library is None else library.handle


@export("kernel32", POINTER, HANDLE, LPCSTR)
def GetProcAddress(context: Context, module: int, name: int) -> int:
    """The address of a function of a loaded DLL. Ordinals are not known."""
    library = context.loader.by_handle(module)
    if library is None:
        return context.fail(Win32Error.ERROR_MOD_NOT_FOUND, 0)
    found = library.resolve(read_ansi(name) or "") if name >= 0x10000 else None
    return context.fail(Win32Error.ERROR_PROC_NOT_FOUND, 0) if found is None else found.address


@export("kernel32", BOOL, HANDLE)
def FreeLibrary(context: Context, module: int) -> int:
    """Accepted; DLLs stay loaded."""
    if context.loader.by_handle(module) is None:
        return context.fail(Win32Error.ERROR_MOD_NOT_FOUND, 0)
    return TRUE


def _file_name(context: Context, module: int) -> str | None:
    if module in (0, PROGRAM_MODULE):
        return f"C:\\Program Files\\{context.process.name}\\{context.process.name}.exe"
    library = context.loader.by_handle(module)
    return None if library is None else f"C:\\Windows\\System32\\{library.name}"


def _write_name(context: Context, module: int, buffer: int, size: int, encoding: str, unit: int) -> int:
    name = _file_name(context, module)
    if name is None:
        return context.fail(Win32Error.ERROR_MOD_NOT_FOUND, 0)
    data = name.encode(encoding, "replace")
    length = len(data) // unit
    if length >= size:
        if size:
            write_bytes(buffer, data[: (size - 1) * unit] + bytes(unit))
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, size)
    write_bytes(buffer, data + bytes(unit))
    return length


@export("kernel32", DWORD, HANDLE, POINTER, DWORD)
def GetModuleFileNameW(context: Context, module: int, buffer: int, size: int) -> int:
    """Where a module would lie on Windows; its length, or `size` when it was cut."""
    return _write_name(context, module, buffer, size, "utf-16-le", 2)


@export("kernel32", DWORD, HANDLE, POINTER, DWORD)
def GetModuleFileNameA(context: Context, module: int, buffer: int, size: int) -> int:
    """As `GetModuleFileNameW`."""
    return _write_name(context, module, buffer, size, ANSI, 1)


class CommandLine:
    """The process's command line in client memory, once it was asked for."""

    def __init__(self) -> None:
        self.address = 0


@export("kernel32", POINTER, user_mode=True)
def GetCommandLineW(context: Context) -> int:
    """The command line."""
    line = context.state(CommandLine)
    if not line.address:
        data = wide(f'"{_file_name(context, 0)}"') + bytes(2)
        line.address = context.memory.heap_allocate(len(data)) or 0
        write_bytes(line.address, data)
    return line.address
