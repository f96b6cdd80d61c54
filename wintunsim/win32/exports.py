"""How DLL functions are defined: a decorator that says which DLL has them, and with which types.

    @export("kernel32", BOOL, HANDLE)
    def SetEvent(context: Context, handle: int) -> int: ...

The function gets the calling process's `Context` and its arguments as integers, and returns its result. It fails by
``return context.fail(Win32Error.ERROR_…, result)``. A bad pointer that it reads or writes through `buffers` makes a
system call fail with ERROR_NOACCESS, and a user-mode call a `ClientFault`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from wintunsim.win32.buffers import read_ansi, read_wide
from wintunsim.win32.types import LPCSTR, LPCWSTR, TEXT, Type

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Definition:
    """One exported function: its result and argument types, and whether it enters the kernel (which costs more)."""

    dll: str
    name: str
    function: Callable[..., Any]
    result: Type
    arguments: tuple[Type, ...]
    is_system_call: bool


DEFINITIONS: dict[str, dict[str, Definition]] = {}
"""By DLL, in lower case and without ``.dll``, then by function."""


def _define(definition: Definition) -> None:
    DEFINITIONS.setdefault(definition.dll, {})[definition.name] = definition


def export(library: str, result: Type, *arguments: Type, user_mode: bool = False, name: str = "") -> Callable[[F], F]:
    """Define a function of `library`, under its own name unless `name` is given. `user_mode`: it is no system call."""

    def register(function: F) -> F:
        _define(Definition(library, name or function.__name__, function, result, arguments, not user_mode))
        return function

    return register


def export_text(library: str, result: Type, *arguments: Type, user_mode: bool = False) -> Callable[[F], F]:
    """Define the A and W forms of a function: its `TEXT` arguments come as `str`, or None for null."""
    places = [index for index, item in enumerate(arguments) if item is TEXT]

    def register(function: F) -> F:
        for suffix, read, kind in (("W", read_wide, LPCWSTR), ("A", read_ansi, LPCSTR)):
            types = tuple(kind if item is TEXT else item for item in arguments)
            form = _decoding(function, places, read)
            _define(Definition(library, function.__name__ + suffix, form, result, types, not user_mode))
        return function

    return register


def _decoding(function: Callable[..., Any], places: list[int], read: Callable[[int], str | None]) -> Callable[..., Any]:
    def call(context: Any, *arguments: Any) -> Any:
        decoded = list(arguments)
        for place in places:
            decoded[place] = read(arguments[place])
        return function(context, *decoded)

    return call
