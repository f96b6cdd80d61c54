"""A simulated process with a DLL of a few functions, and a way to run client source in it."""

from __future__ import annotations

import ctypes
import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wintun_model.operations import Event
from wintunsim.clients import ClientProcess
from wintunsim.kernel.machine import FOREVER, TIMED_OUT, Machine
from wintunsim.kernel.process import Process

MILLISECOND = 1_000_000


class Export:
    def __init__(self, name: str, thunk: Any) -> None:
        self.name = name
        self.thunk = thunk
        self.address: int = ctypes.cast(thunk, ctypes.c_void_p).value or 0


class Loader:
    """A `LibraryLoader` whose kernel32 has functions that show how calls arrive."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.name = "kernel32.dll"
        self.handle = 0x1000
        self.exceptions: dict[Any, BaseException] = {}
        self.text = ctypes.create_string_buffer("wide ☃".encode("utf-16-le") + b"\0\0")
        self.forever = Event("forever", manual_reset=False)
        u32, u64, pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
        self.exports = {
            1: self.export("Add", u32, self.add, u32, u32),
            2: self.export("Fail", u32, self.fail, u32),
            3: self.export("LastError", u32, self.last_error),
            4: self.export("WaitForSingleObject", u32, self.wait, u64, u32),
            5: self.export("CountUnits", u32, self.count_units, pointer),
            6: self.export("Text", pointer, self.get_text),
            7: self.export("Raise", u32, self.raise_error),
            8: self.export("Call", u32, self.call, pointer, u32),
            9: self.export("CallText", u32, self.call_text, pointer),
            10: self.export("Hresult", ctypes.c_int32, lambda: -2147024891),
        }

    def export(self, name: str, restype: Any, function: Callable[..., Any], *argtypes: Any) -> Export:
        def thunk(*arguments: Any) -> Any:
            try:
                self.machine.spend(1_000)
                return function(*arguments)
            except BaseException as error:
                self.exceptions[self.machine.current] = error
                return 0

        return Export(name, ctypes.CFUNCTYPE(restype, *argtypes)(thunk))

    def load(self, path: str) -> Loader | None:
        return self if "kernel32" in path.lower() else None

    def resolve(self, name: str | int) -> Export | None:
        if isinstance(name, int):
            return self.exports.get(name)
        return next((export for export in self.exports.values() if export.name == name), None)

    def take_exception(self) -> BaseException | None:
        return self.exceptions.pop(self.machine.current, None)

    def describe_missing(self, library: str, function: str | None) -> str:
        return f"nothing is known of {library} {function}"

    def format_message(self, code: int) -> str | None:
        return {0: "The operation completed successfully.\r\n", 5: "Access is denied.\r\n"}.get(code)

    def add(self, a: int, b: int) -> int:
        return a + b

    def fail(self, code: int) -> int:
        assert self.machine.current is not None
        self.machine.current.last_error = code
        return 0

    def last_error(self) -> int:
        assert self.machine.current is not None
        return self.machine.current.last_error

    def wait(self, _handle: int, timeout_ms: int) -> int:
        deadline_ns = FOREVER if timeout_ms == 0xFFFFFFFF else self.machine.now + timeout_ms * MILLISECOND
        return 258 if self.machine.wait([self.forever], deadline_ns=deadline_ns) == TIMED_OUT else 0

    def count_units(self, address: int) -> int:
        count = 0
        while ctypes.c_uint16.from_address(address + 2 * count).value:
            count += 1
        return count

    def get_text(self) -> int:
        return ctypes.addressof(self.text)

    def raise_error(self) -> int:
        raise OSError("from inside the thunk")

    def call(self, function: int, value: int) -> int:
        return int(ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)(function)(value))

    def call_text(self, function: int) -> int:
        return int(ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)(function)(self.get_text()))


@dataclass
class Computer:
    """A machine and its clients."""

    directory: Path
    machine: Machine = field(default_factory=Machine)
    count: int = 0

    def start(self, client: str | Callable[..., Any], *arguments: Any, **options: Any) -> ClientProcess:
        """Start a client (source text, or a callable) with its streams redirected to strings."""
        self.count += 1
        process = Process(self.machine, self.count, f"client{self.count}")
        options.setdefault("stdout", io.StringIO())
        options.setdefault("stderr", io.StringIO())
        started = ClientProcess(process, Loader(self.machine), **options)
        if isinstance(client, str):
            script = self.directory / f"client{self.count}.py"
            script.write_text(textwrap.dedent(client))
            main = started.main_script(script)
        else:
            main = started.main_callable(client, *arguments)
        process.start_thread(main, "main")
        return started

    def run(self, client: str | Callable[..., Any], *arguments: Any, **options: Any) -> ClientProcess:
        """Start a client and run until nothing is left to do."""
        started = self.start(client, *arguments, **options)
        self.machine.run()
        return started

    def output(self, client: str, **options: Any) -> list[str]:
        """The lines that a client prints; it must end well."""
        ended = self.run(client, **options)
        assert ended.exit_code == 0, ended.stderr.getvalue()
        lines: list[str] = ended.stdout.getvalue().splitlines()
        return lines


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)
