"""Finding DLLs and their functions, as one simulated process does."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from wintunsim.kernel.process import Process
from wintunsim.win32 import catalogue
from wintunsim.win32.context import Context
from wintunsim.win32.errors import message_of
from wintunsim.win32.exports import DEFINITIONS, Definition
from wintunsim.win32.thunks import OnCall, Pending, make_thunk
from wintunsim.win32.wintun_pools import wintun_functions

_FIRST_MODULE = 0x7FF8_0000_0000
_MODULE_BYTES = 0x0020_0000

ALIASES = {"kernelbase": "kernel32", "ucrtbase": "msvcrt"}
"""DLLs whose functions are all kept under another's name."""

_KNOWN_ON_WINDOWS = (
    "crypt32", "dbghelp", "dnsapi", "fwpuclnt", "gdi32", "newdev", "ole32", "oleaut32", "psapi", "rpcrt4",
    "secur32", "shlwapi", "user32", "version", "ws2_32", "wtsapi32",
)  # fmt: skip


class Export:
    """A function of a library in one process. `address` is a C function pointer in the host's calling convention."""

    __slots__ = ("_pending", "_thunk", "address", "name")

    def __init__(self, name: str, address: int, thunk: Any, pending: Pending) -> None:
        self.name = name
        self.address = address
        self._thunk = thunk
        self._pending = pending

    def take_exception(self) -> BaseException | None:
        """The exception that the running thread's last call could not raise; to be raised after the C call."""
        return self._pending.take()


class Library:
    """A loaded DLL. `name` is canonical (``kernel32.dll``), `handle` its simulated module handle."""

    def __init__(self, loader: Loader, key: str, name: str, handle: int) -> None:
        self.name = name
        self.handle = handle
        self._loader = loader
        self.functions = _functions_of(key, loader)
        """What is simulated of it, by name; functions that are the host's own are not among them."""
        self._host_functions = catalogue.HOST_FUNCTIONS.get(key, {})
        self._exports: dict[str, Export] = {}

    def __repr__(self) -> str:
        return f"Library({self.name})"

    def resolve(self, name: str | int) -> Export | None:
        """The function of that name (case counts); None when it is not there. No ordinal is known."""
        if not isinstance(name, str):
            return None
        found = self._exports.get(name)
        if found is None:
            found = self._make(name)
            if found is not None:
                self._exports[name] = found
        return found

    def _make(self, name: str) -> Export | None:
        loader = self._loader
        definition = self.functions.get(name)
        if definition is not None:
            thunk = make_thunk(definition, loader.context, loader.pending, loader.on_call)
        elif name in self._host_functions:
            thunk = self._host_functions[name]
        else:
            return None
        return Export(name, ctypes.cast(thunk, ctypes.c_void_p).value or 0, thunk, loader.pending)


def _functions_of(key: str, loader: Loader) -> Mapping[str, Definition]:
    if key == "wintun":
        return wintun_functions(loader.context.system.driver.revision.name)
    # setupapi passes cfgmgr32's functions on.
    return {**DEFINITIONS["cfgmgr32"], **DEFINITIONS[key]} if key == "setupapi" else DEFINITIONS[key]


class Loader:
    """The DLLs of one process of `system`. `on_call` is told every call of a DLL function (see `thunks.OnCall`)."""

    def __init__(self, system: Any, process: Process, *, on_call: OnCall | None = None) -> None:
        self.context = Context(system, process, self)
        self.pending = Pending(process.machine)
        self.on_call = on_call
        self._libraries: dict[str, Library] = {}

    def load(self, path: str) -> Library | None:
        """The DLL of that path or name; None when there is none.

        Names compare without case; ``.dll`` may be missing, and folders are not looked at: `wintun.dll` is found
        wherever the client expects it, though no such file exists (spec win32 §6).
        """
        name = path.replace("/", "\\").rsplit("\\", 1)[-1].lower()
        stem = name.removesuffix(".dll")
        if stem.startswith(("api-ms-win-core-", "ext-ms-win-")):
            key = "kernel32"
        elif stem.startswith("api-ms-win-crt-"):
            key = "msvcrt"
        else:
            key = ALIASES.get(stem, stem)
        if key not in DEFINITIONS:
            return None
        library = self._libraries.get(stem)
        if library is None:
            handle = _FIRST_MODULE + len(self._libraries) * _MODULE_BYTES
            library = self._libraries[stem] = Library(self, key, f"{stem}.dll", handle)
        return library

    def by_handle(self, handle: int) -> Library | None:
        """The loaded library with that module handle."""
        index, rest = divmod(handle - _FIRST_MODULE, _MODULE_BYTES)
        libraries = list(self._libraries.values())
        return libraries[index] if not rest and 0 <= index < len(libraries) else None

    def loaded(self, path: str) -> Library | None:
        """The library of that name if the process has loaded it already."""
        name = path.replace("/", "\\").rsplit("\\", 1)[-1].lower().removesuffix(".dll")
        return self._libraries.get(name)

    def take_exception(self) -> BaseException | None:
        """The exception that the running thread's last call could not raise; to be raised after the C call."""
        return self.pending.take()

    def describe_missing(self, library: str, function: str | None = None) -> str:
        """One sentence for the user about a DLL, or a function of a DLL, that is not there."""
        name = library.replace("/", "\\").rsplit("\\", 1)[-1].lower()
        stem = name.removesuffix(".dll")
        if function is None:
            here = ", ".join(sorted([*DEFINITIONS, *ALIASES]))
            if stem in _KNOWN_ON_WINDOWS:
                return f"{stem}.dll is a DLL of Windows that wintunsim does not simulate; it has {here}."
            if "." not in name:
                name += ".dll"
            return f"{name} is not part of the simulated Windows; wintunsim has {here}."
        return (
            f"{stem}.dll has no function {function} in wintunsim: the name is wrong, or it is one of Windows' "
            "functions that wintunsim does not simulate yet."
        )

    def format_message(self, code: int) -> str | None:
        """The text of a Win32 error as FormatMessage gives it, with its line end; None for an unknown code."""
        return message_of(code)
