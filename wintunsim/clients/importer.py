"""The import system of one simulated process: its own builtins, its own module table, its own finders (design §5).

CPython takes ``__import__`` from the builtins of the running frame, so only code that was loaded here sees this table.
There are two views of the few modules that name the platform: client modules see Windows, fresh copies of the standard
library see the host's platform, because they would otherwise ask for C modules that only Windows has.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from importlib import machinery
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wintun_model.operations import Event
from wintunsim.clients import sources
from wintunsim.clients.catalogue import (
    ABSENT_ON_WINDOWS,
    HIDDEN,
    HOST_ONLY_C,
    REFUSED,
    SHARED_C,
    SHARED_PACKAGES,
    SHARED_PYTHON,
)
from wintunsim.kernel.machine import FOREVER

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

Facade = Callable[["ClientProcess"], ModuleType]
"""Makes a module of the simulated process in place of the host's."""

_STANDARD_C = frozenset(sys.builtin_module_names)


class View(Enum):
    """Who looks: a client's module, or a fresh copy of a module of the standard library."""

    CLIENT = "client"
    LIBRARY = "library"


class Importer:
    """The module table of a process and what fills it."""

    def __init__(self, client: ClientProcess, facades: Mapping[str, Facade], patches: Mapping[str, Any]) -> None:
        self._client = client
        self._facades = facades
        self._patches = patches
        self.modules: dict[str, Any] = {}
        """``sys.modules`` of the process."""
        self.stdlib_view: dict[str, ModuleType] = {}
        """Modules that the standard library sees in place of those in `modules`."""
        self.path: list[str] = []
        """``sys.path`` of the process."""
        self.builtins: dict[View, dict[str, Any]] = {}
        self._loading: dict[str, tuple[Any, Event]] = {}

    # -- the import statement ---------------------------------------------------------------------------------------

    def make_import(self, view: View) -> Callable[..., Any]:
        """The ``__import__`` of one view."""
        modules = self.modules
        special = self.stdlib_view if view is View.LIBRARY else {}

        def __import__(  # noqa: N807
            name: str,
            globals: Mapping[str, Any] | None = None,
            locals: object = None,
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> Any:
            if level:
                full = _resolve(name, globals or {}, level)
            else:
                full = name
            module = self.import_module(full, view)
            if fromlist:
                if hasattr(module, "__path__"):
                    self._import_names(module, fromlist, view)
                return module
            if not level:
                top = name.partition(".")[0]
                return special.get(top) or modules[top]
            if not name:
                return module
            dropped = len(name) - len(name.partition(".")[0])
            return modules[full[: len(full) - dropped]]

        return __import__

    def import_module(self, name: str, view: View = View.CLIENT) -> Any:
        """The module of that full name, loaded if need be. Raises ImportError as Python does."""
        if view is View.LIBRARY:
            special = self.stdlib_view.get(name)
            if special is not None:
                return special
        module = self.modules.get(name)
        if module is None:
            if name in self.modules:
                raise ModuleNotFoundError(f"import of {name} halted; None in sys.modules", name=name)
            if not name:
                raise ValueError("Empty module name")
            self._load(name, view)
            special = self.stdlib_view.get(name) if view is View.LIBRARY else None
            return special or self.modules[name]
        if self._loading and name in self._loading:
            self._await_loading(name)
        return module

    def _import_names(self, module: Any, names: Sequence[str], view: View) -> None:
        for name in names:
            if name == "*":
                self._import_names(module, [n for n in getattr(module, "__all__", ()) if n != "*"], view)
            elif isinstance(name, str) and not hasattr(module, name):
                full = f"{module.__name__}.{name}"
                try:
                    self.import_module(full, view)
                except ModuleNotFoundError as error:
                    if error.name != full:
                        raise

    def _await_loading(self, name: str) -> None:
        """Another thread is loading the module: wait for it, unless it could be waiting for this one."""
        machine = self._client.machine
        loader, done = self._loading[name]
        is_loading_too = any(thread is machine.current for thread, _ in self._loading.values())
        if machine.current is not None and loader is not machine.current and not is_loading_too:
            machine.wait_quietly((done,), FOREVER)

    # -- loading ----------------------------------------------------------------------------------------------------

    def _load(self, name: str, view: View) -> None:
        parent_name, _, child = name.rpartition(".")
        parent: Any = None
        path: list[str] | None = None
        if parent_name:
            parent = self.import_module(parent_name, view)
            if name in self.modules:
                return
            try:
                path = list(parent.__path__)
            except AttributeError:
                message = f"No module named {name!r}; {parent_name!r} is not a package"
                raise ModuleNotFoundError(message, name=name) from None
        machine = self._client.machine
        done = Event(f"import of {name}", manual_reset=True)
        self._loading[name] = (machine.current, done)
        try:
            self._find_and_load(name, path, view, parent, child)
        finally:
            del self._loading[name]
            done.signalled = True
            machine.signalled(done)
        if parent is not None and name in self.modules:
            setattr(parent, child, self.modules[name])

    def _find_and_load(self, name: str, path: list[str] | None, view: View, parent: Any, child: str) -> None:
        top = name.partition(".")[0]
        facade = self._facades.get(name)
        if view is View.CLIENT and top in ABSENT_ON_WINDOWS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if top in HIDDEN:
            raise _lacks_c_module(name)
        if top in ABSENT_ON_WINDOWS:
            if facade is None and name not in HOST_ONLY_C:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            self.stdlib_view[name] = facade(self._client) if facade else importlib.import_module(name)
            return
        if facade is not None:
            self.modules[name] = facade(self._client)
            return
        if top in REFUSED:
            raise ImportError(REFUSED[top].format(name=name), name=name)
        if top in SHARED_C or top in SHARED_PYTHON or top in SHARED_PACKAGES:
            self.modules[name] = importlib.import_module(name)
            return
        if name in _STANDARD_C:
            raise _lacks_c_module(name)
        spec = self.find_spec(name, path, view)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        self._load_spec(spec, parent, child)

    def find_spec(self, name: str, path: list[str] | None, view: View = View.CLIENT) -> machinery.ModuleSpec | None:
        """The spec of a module that is loaded from a file; `path` is its package's."""
        if path is None:
            library = list(sources.LIBRARY_DIRECTORIES)
            path = [*library, *self.path] if view is View.LIBRARY else self.path
            return sources.find(name, path) or sources.find(name, library) or sources.find_in_host(name, None)
        return sources.find(name, path) or sources.find_in_host(name, path)

    def _load_spec(self, spec: machinery.ModuleSpec, parent: Any, child: str) -> None:
        name = spec.name
        if isinstance(spec.loader, machinery.ExtensionFileLoader):
            self.modules[name] = self._load_extension(spec)
            return
        module = new_module(spec)
        self.modules[name] = module
        if spec.loader is None:
            return
        is_library = sources.is_library(spec.origin or "")
        if isinstance(parent, ModuleType):
            # During circular imports, CPython's `from package import module` asks the host's module table otherwise.
            setattr(parent, child, module)
        try:
            self.execute(spec, module, is_library=is_library)
        except BaseException:
            self.modules.pop(name, None)
            raise
        patch = self._patches.get(name)
        if patch is not None and is_library:
            patch(self._client, module)

    def execute(self, spec: machinery.ModuleSpec, module: ModuleType, *, is_library: bool) -> None:
        """Run a module's code in its dictionary."""
        loader = spec.loader
        if is_library:
            code = sources.stdlib_code(spec)
        elif isinstance(loader, machinery.SourceFileLoader):
            code = sources.client_code(loader.path)
        else:
            loader_of_code: Any = loader
            code = loader_of_code.get_code(spec.name)
        if code is None:
            raise ImportError(f"wintunsim cannot load {spec.name} from {spec.origin}", name=spec.name)
        namespace = module.__dict__
        namespace["__builtins__"] = self.builtins[View.LIBRARY if is_library else View.CLIENT]
        exec(code, namespace)

    @staticmethod
    def _load_extension(spec: machinery.ModuleSpec) -> ModuleType:
        """A C extension of a package. Those that note themselves in the host's table are taken out of it again."""
        name = spec.name
        if sources.is_library(spec.origin or ""):
            raise _lacks_c_module(name)
        known = sys.modules.get(name)
        if known is not None:
            return known
        module = importlib.util.module_from_spec(spec)
        assert spec.loader is not None
        spec.loader.exec_module(module)
        sys.modules.pop(name, None)
        return module


def _lacks_c_module(name: str) -> ModuleNotFoundError:
    """The error for a C module of the host's standard library that is not shared; CPython on Windows may have it."""
    return ModuleNotFoundError(f"wintunsim does not simulate the C module {name!r} of the standard library", name=name)


def new_module(spec: machinery.ModuleSpec) -> ModuleType:
    """An empty module with the attributes that the spec gives it."""
    module = ModuleType(spec.name)
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__package__ = spec.parent
    if spec.submodule_search_locations is not None:
        module.__path__ = spec.submodule_search_locations
    if spec.has_location:
        module.__file__ = spec.origin
        if spec.cached:
            module.__dict__["__cached__"] = spec.cached
    return module


def _resolve(name: str, globals: Mapping[str, Any], level: int) -> str:
    """The full name of a relative import."""
    package = globals.get("__package__")
    if package is None:
        spec = globals.get("__spec__")
        if spec is not None:
            package = spec.parent
        else:
            package = globals.get("__name__", "")
            if "__path__" not in globals:
                package = package.rpartition(".")[0]
    if not package:
        raise ImportError("attempted relative import with no known parent package")
    base = package
    for _ in range(level - 1):
        base, dot, _rest = base.rpartition(".")
        if not dot:
            raise ImportError("attempted relative import beyond top-level package")
    return f"{base}.{name}" if name else base
