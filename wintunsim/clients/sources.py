"""Finding Python modules on the host's disk and compiling them for a simulated process, without the host's import
system.

Code objects are kept for all processes of this host process: library modules come from the host's ``.pyc`` files,
client
modules are compiled with the loop hook, once for each version of the file.
"""

# A client's paths are strings, and os is what they are for.
# ruff: noqa: PTH109, PTH116, PTH120

from __future__ import annotations

import os
import sys
import sysconfig
from importlib import machinery
from importlib.abc import Loader
from pathlib import Path
from types import CodeType
from typing import Any

from wintunsim.clients.loops import compile_with_hooks

_HERE = str(Path(__file__).resolve().parent.parent) + os.sep

_LOADERS: list[tuple[type[Loader], list[str]]] = [
    (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
    (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
    (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
]

LIBRARY_DIRECTORIES = tuple(
    dict.fromkeys(
        os.path.realpath(directory)
        for directory in (
            sysconfig.get_path("stdlib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}),
            os.path.dirname(os.__file__),
            *(entry for entry in sys.path if entry.endswith("lib-dynload")),
        )
    )
)
"""Where the standard library is."""

_finders: dict[str, machinery.FileFinder] = {}
_library_codes: dict[str, CodeType] = {}
_client_codes: dict[str, tuple[tuple[int, int], CodeType]] = {}


def refresh() -> None:
    """Forget what the directories held: files may have come since the last process started."""
    for finder in _finders.values():
        finder.invalidate_caches()


def is_ours(filename: str) -> bool:
    """Whether a file is part of wintunsim."""
    return filename.startswith(_HERE)


def is_library(filename: str) -> bool:
    """Whether a file is part of Python's standard library."""
    path = os.path.realpath(filename)
    return any(
        path.startswith(directory + os.sep) and not path.startswith(directory + os.sep + "site-packages")
        for directory in LIBRARY_DIRECTORIES
    )


def find(name: str, path: list[str]) -> machinery.ModuleSpec | None:
    """The spec of module `name` on the directories of `path`; None when it is not there. Namespace packages are
    merged.
    """
    portions: list[str] = []
    for entry in path:
        directory = entry or os.getcwd()
        finder = _finders.get(directory)
        if finder is None:
            finder = _finders[directory] = machinery.FileFinder(directory, *_LOADERS)
        spec = finder.find_spec(name)
        if spec is None:
            continue
        if spec.loader is not None:
            return spec
        portions.extend(spec.submodule_search_locations or ())
    if not portions:
        return None
    spec = machinery.ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = portions
    return spec


def find_in_host(name: str, path: list[str] | None) -> machinery.ModuleSpec | None:
    """The spec by the host's own special finders, such as those of editable installations; None when they know
    nothing.
    """
    builtin: tuple[Any, ...] = (machinery.BuiltinImporter, machinery.FrozenImporter, machinery.PathFinder)
    for finder in sys.meta_path:
        if finder in builtin or type(finder).__module__.startswith(("_pytest", "six")):
            continue
        find_spec = getattr(finder, "find_spec", None)
        spec: machinery.ModuleSpec | None = find_spec(name, path) if find_spec else None
        if spec is not None and isinstance(spec.loader, machinery.SourceFileLoader):
            return spec
    return None


def stdlib_code(spec: machinery.ModuleSpec) -> CodeType | None:
    """The code of a module of the standard library, from the host's cached bytecode."""
    code = _library_codes.get(spec.name)
    if code is None:
        loader: Any = spec.loader
        found = loader.get_code(spec.name)
        if found is None:
            return None
        code = _library_codes[spec.name] = found
    return code


def client_code(filename: str) -> CodeType:
    """The code of a client's source file, with the loop hook. Raises OSError and SyntaxError as Python does."""
    status = os.stat(filename)
    version = (status.st_mtime_ns, status.st_size)
    known = _client_codes.get(filename)
    if known is None or known[0] != version:
        known = _client_codes[filename] = (version, compile_with_hooks(Path(filename).read_bytes(), filename))
    return known[1]
