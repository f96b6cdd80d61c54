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

from wintunsim.win32.buffers import NARROW, WIDE, Characters
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

    def register(function: F) -> F:
        for form in (WIDE, NARROW):
            _define_form(library, function, result, arguments, form, user_mode=user_mode, passed=())
        return function

    return register


def export_forms(library: str, result: Type, *arguments: Type, user_mode: bool = False) -> Callable[[F], F]:
    """As `export_text`, for functions that write texts too: they get their form, WIDE or NARROW, after the context."""

    def register(function: F) -> F:
        for form in (WIDE, NARROW):
            _define_form(library, function, result, arguments, form, user_mode=user_mode, passed=(form,))
        return function

    return register


def _define_form(
    library: str,
    function: Callable[..., Any],
    result: Type,
    arguments: tuple[Type, ...],
    form: Characters,
    *,
    user_mode: bool,
    passed: tuple[Characters, ...],
) -> None:
    kind, suffix = (LPCWSTR, "W") if form is WIDE else (LPCSTR, "A")
    types = tuple(kind if item is TEXT else item for item in arguments)
    places = [index for index, item in enumerate(arguments) if item is TEXT]

    def call(context: Any, *values: Any) -> Any:
        decoded = list(values)
        for place in places:
            decoded[place] = form.read(values[place])
        return function(context, *passed, *decoded)

    _define(Definition(library, function.__name__ + suffix, call, result, types, not user_mode))
