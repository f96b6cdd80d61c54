"""A function of the surrounding Python made to run in a simulated process: its names mean the process's modules.

A function at the top of a module with a file is taken from a fresh load of that module. A function made inside another
one is
rebuilt: the same source compiled with the loop hook, over a copy of its module's names in which modules, and what was
imported
from them, are the process's. Closures stay, but for functions of the same module in them, which are rebuilt likewise.
"""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from wintunsim.clients import sources
from wintunsim.clients.catalogue import SHARED_PACKAGES
from wintunsim.clients.importer import View
from wintunsim.clients.loops import compile_with_hooks

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess


class Rebinder:
    """Rebinds functions to one process."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client
        self._functions: dict[FunctionType, Any] = {}
        self._namespaces: dict[str, dict[str, Any]] = {}

    def function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` as the process's. Callables that are not Python functions stay what they are."""
        if inspect.ismethod(function):
            bound: Callable[..., Any] = self.function(function.__func__).__get__(function.__self__)
            return bound
        if not isinstance(function, FunctionType):
            mapped: Callable[..., Any] = self._value(function, "")
            return mapped
        if "<locals>" not in function.__qualname__ and "<lambda>" not in function.__qualname__:
            module = self._fresh_module(function)
            if module is not None:
                found: Any = module
                for part in function.__qualname__.split("."):
                    found = getattr(found, part)
                fresh: Callable[..., Any] = found
                return fresh
        return self._rebuild(function)

    def _fresh_module(self, function: FunctionType) -> Any:
        """The process's load of the module that defines a function; None when it has no file or is the simulation's."""
        name = function.__module__
        host = sys.modules.get(name)
        filename = getattr(host, "__file__", None)
        if filename is None or not filename.endswith(".py") or name == "__main__":
            return None
        modules = self._client.importer.modules
        if name in modules:
            return modules[name]
        namespace = function.__globals__
        module = ModuleType(name)
        for attribute in ("__file__", "__package__", "__path__", "__spec__", "__loader__"):
            if attribute in namespace:
                module.__dict__[attribute] = namespace[attribute]
        module.__dict__["__builtins__"] = self._client.importer.builtins[View.CLIENT]
        modules[name] = module
        try:
            exec(sources.client_code(filename), module.__dict__)
        except ImportError:
            # A test's module may import what only the surroundings have: the function alone is rebuilt then.
            modules.pop(name, None)
            return None
        except BaseException:
            modules.pop(name, None)
            raise
        return module

    # -- rebuilding -------------------------------------------------------------------------------------------------

    def _rebuild(self, function: FunctionType) -> FunctionType:
        known: FunctionType | None = self._functions.get(function)
        if known is not None:
            return known
        code = self._code(function)
        namespace = self._namespace(function)
        cells = None
        if function.__closure__ is not None:
            by_name = dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))
            cells = tuple(by_name[name] for name in code.co_freevars)
        rebuilt = FunctionType(code, namespace, function.__name__, function.__defaults__, cells)
        self._functions[function] = rebuilt
        rebuilt.__kwdefaults__ = function.__kwdefaults__
        rebuilt.__qualname__ = function.__qualname__
        rebuilt.__module__ = function.__module__
        if cells is not None:
            swapped = tuple(self._cell(cell, function) for cell in cells)
            if any(new is not old for new, old in zip(swapped, cells, strict=True)):
                again = FunctionType(code, namespace, function.__name__, function.__defaults__, swapped)
                again.__kwdefaults__ = function.__kwdefaults__
                again.__qualname__ = function.__qualname__
                self._functions[function] = rebuilt = again
        for name in _names(code):
            if name in function.__globals__ and name not in namespace:
                namespace[name] = self._global(function.__globals__[name], name, function)
        return rebuilt

    def _namespace(self, function: FunctionType) -> dict[str, Any]:
        name = function.__module__
        if name not in self._namespaces:
            kept = ("__name__", "__file__", "__package__", "__spec__", "__doc__")
            namespace = {key: function.__globals__[key] for key in kept if key in function.__globals__}
            namespace["__builtins__"] = self._client.importer.builtins[View.CLIENT]
            self._namespaces[name] = namespace
        return self._namespaces[name]

    def _cell(self, cell: CellType, function: FunctionType) -> CellType:
        try:
            value = cell.cell_contents
        except ValueError:
            return cell
        if isinstance(value, FunctionType) and value.__globals__ is function.__globals__:
            known = self._functions.get(value)
            return CellType(known if known is not None else self._rebuild(value))
        if isinstance(value, ModuleType):
            return CellType(self._value(value, ""))
        return cell

    def _global(self, value: Any, name: str, function: FunctionType) -> Any:
        if isinstance(value, FunctionType) and value.__globals__ is function.__globals__:
            return self._rebuild(value)
        if isinstance(value, type) and value.__module__ == function.__module__:
            module = self._fresh_module(function)
            return value if module is None else getattr(module, value.__qualname__, value)
        return self._value(value, name)

    def _value(self, value: Any, name: str) -> Any:
        """The process's module, class or function in place of the host's; other values stay."""
        importer = self._client.importer
        if isinstance(value, ModuleType):
            try:
                return importer.import_module(value.__name__)
            except ImportError:
                return value
        home = getattr(value, "__module__", None)
        qualified = getattr(value, "__qualname__", None)
        if not isinstance(home, str) or not isinstance(qualified, str):
            return value
        if home == "builtins" or home.partition(".")[0] in SHARED_PACKAGES:
            return value
        for attribute in (qualified, name):
            if attribute and _get(sys.modules.get(home), attribute) is value:
                try:
                    mapped = _get(importer.import_module(home), attribute)
                except ImportError:
                    return value
                return value if mapped is None else mapped
        return value

    def _code(self, function: FunctionType) -> CodeType:
        """The function's code with the loop hook, where its source is to be had."""
        code = function.__code__
        try:
            module = sources.client_code(code.co_filename)
        except (OSError, SyntaxError):
            lines = linecache.getlines(code.co_filename)  # a notebook's cell
            if not lines:
                return code
            module = compile_with_hooks("".join(lines), code.co_filename)
        for candidate in _codes(module):
            if (
                candidate.co_qualname == code.co_qualname
                and candidate.co_firstlineno == code.co_firstlineno
                and set(candidate.co_freevars) == set(code.co_freevars)
            ):
                return candidate
        return code


def _get(module: Any, qualified: str) -> Any:
    for part in qualified.split("."):
        module = getattr(module, part, None)
    return module


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in _codes(code):
        yield from inner.co_names
