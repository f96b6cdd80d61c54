"""A simulated process for tests of the Windows face: functions are called through their real thunks, by ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from wintunsim.kernel.process import Account
from wintunsim.kernel.system import System
from wintunsim.win32.exports import DEFINITIONS
from wintunsim.win32.loader import Loader

NULL = 0
INFINITE = 0xFFFFFFFF


class Face:
    """One process. ``face.run(function)`` runs a function in its thread; ``face.SetEvent(h)`` calls a DLL function."""

    def __init__(self, account: Account = Account.SYSTEM, system: System | None = None, **options: Any) -> None:
        self.system = system or System(seed=1)
        self.machine = self.system.machine
        self.process = self.system.create_process("client", account)
        self.loader = Loader(self.system, self.process, **options)
        self.errors: list[BaseException] = []

    def call(self, library: str, name: str, *arguments: Any) -> Any:
        """Call a function and raise what its thunk could not."""
        loaded = self.loader.load(library)
        assert loaded is not None
        export = loaded.resolve(name)
        assert export is not None, f"{library}.{name} is missing"
        definition = loaded.functions[name]
        prototype = ctypes.CFUNCTYPE(definition.result.ctype, *(item.ctype for item in definition.arguments))
        converted = [_convert(argument) for argument in arguments]
        result = prototype(export.address)(*converted)
        error = export.take_exception()
        if error is not None:
            raise error
        return result

    def __getattr__(self, name: str) -> Callable[..., Any]:
        for library, functions in DEFINITIONS.items():
            if name in functions or (library == "wintun" and name.startswith("Wintun")):
                return lambda *arguments: self.call(library, name, *arguments)
        raise AttributeError(name)

    @property
    def last_error(self) -> int:
        return int(self.GetLastError())

    def thread(self, function: Callable[[], object], name: str = "") -> Any:
        """Start another thread of the process; what it raises fails `run`."""

        def body() -> None:
            try:
                function()
            except Exception as error:
                self.errors.append(error)

        return self.process.start_thread(body, name)

    def run(self, function: Callable[[], Any], until_ns: int = 1 << 62) -> Any:
        """Run `function` in the next thread of the process, and the machine until nothing is left to do."""
        result: list[Any] = []
        self.thread(lambda: result.append(function()))
        self.machine.run(until_ns)
        if self.errors:
            raise self.errors[0]
        return result[0] if result else None


def _convert(argument: Any) -> Any:
    if argument is None:
        return 0
    if isinstance(argument, (ctypes.Array, ctypes.Structure, ctypes._SimpleCData)):
        return ctypes.addressof(argument)
    return argument


def text(value: str) -> Any:
    """`value` as a UTF-16 buffer with its NUL."""
    return ctypes.create_string_buffer(value.encode("utf-16-le") + b"\0\0")


def ansi(value: str) -> Any:
    """`value` as a buffer of the A functions."""
    return ctypes.create_string_buffer(value.encode("cp1252"))


def handles(*values: int) -> Any:
    """An array of handles."""
    return (ctypes.c_uint64 * len(values))(*values)
