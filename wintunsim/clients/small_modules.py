"""Small modules of a simulated process: ``signal``, ``atexit``, ``gc``, ``msvcrt``, ``select``, ``importlib`` and
others.
"""

from __future__ import annotations

import enum
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import mmap
import typing
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from wintunsim.clients.importer import View, new_module
from wintunsim.clients.interrupts import SIG_DFL, SIG_IGN, default_int_handler

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess


def make_module(name: str, contents: dict[str, Any]) -> ModuleType:
    """A module with that name and contents."""
    module = ModuleType(name)
    module.__dict__.update(contents)
    return module


def _ignore(*_arguments: object, **_keywords: object) -> None:
    """What would change the surrounding interpreter does nothing here."""


# -- signal -----------------------------------------------------------------------------------------------------------


class Signals(enum.IntEnum):
    """Windows' signals."""

    SIGINT = 2
    SIGILL = 4
    SIGFPE = 8
    SIGSEGV = 11
    SIGTERM = 15
    SIGBREAK = 21
    SIGABRT = 22
    CTRL_C_EVENT = 0
    CTRL_BREAK_EVENT = 1


class Handlers(enum.IntEnum):
    """Handlers that are not functions."""

    SIG_DFL = 0
    SIG_IGN = 1


_NAMES = {2: "Interrupt", 4: "Illegal instruction", 8: "Floating-point exception", 11: "Segmentation fault",
          15: "Terminated", 21: "Break", 22: "Aborted"}  # fmt: skip


def make_signal_module(client: ClientProcess) -> ModuleType:
    """``signal`` as on Windows."""
    interrupts = client.interrupts

    def check(number: int) -> int:
        if number not in _NAMES:
            raise ValueError("invalid signal value")
        return int(number)

    def getsignal(number: int, /) -> Any:
        handler = interrupts.handlers.get(check(number), SIG_DFL)
        return Handlers(handler) if handler in (SIG_DFL, SIG_IGN) else handler

    def set_handler(number: int, handler: Any, /) -> Any:
        number = check(number)
        if client.machine.current is not client.process.main_thread:
            raise ValueError("signal only works in main thread of the main interpreter")
        if not callable(handler) and handler not in (SIG_DFL, SIG_IGN):
            raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
        previous = getsignal(number)
        interrupts.handlers[number] = handler
        return previous

    def raise_signal(number: int, /) -> None:
        interrupts.raise_signal(check(number))
        interrupts.check()

    return make_module(
        "signal",
        {
            **{signal.name: signal for signal in Signals},
            "SIG_DFL": Handlers.SIG_DFL,
            "SIG_IGN": Handlers.SIG_IGN,
            "NSIG": 23,
            "Handlers": Handlers,
            "Signals": Signals,
            "default_int_handler": default_int_handler,
            "getsignal": getsignal,
            "raise_signal": raise_signal,
            "set_wakeup_fd": lambda _handle, **_options: -1,
            "signal": set_handler,
            "strsignal": _NAMES.get,
            "valid_signals": lambda: {Signals(number) for number in _NAMES},
        },
    )


# -- atexit -----------------------------------------------------------------------------------------------------------


class ExitCallbacks:
    """``atexit`` of one process."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client
        self._callbacks: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []

    def register(self, function: Callable[..., object], /, *arguments: Any, **keywords: Any) -> Any:
        self._callbacks.append((function, arguments, keywords))
        return function

    def unregister(self, function: Callable[..., object], /) -> None:
        self._callbacks = [entry for entry in self._callbacks if entry[0] != function]

    def run(self) -> None:
        """Call what is registered, last first; an exception is printed and the rest goes on."""
        while self._callbacks:
            function, arguments, keywords = self._callbacks.pop()
            try:
                function(*arguments, **keywords)
            except Exception as error:
                self._client.write_error(error, f"Exception ignored in atexit callback: {function!r}\n")

    def make_module(self) -> ModuleType:
        """The ``atexit`` module."""
        return make_module(
            "atexit",
            {
                "register": self.register,
                "unregister": self.unregister,
                "_run_exitfuncs": self.run,
                "_clear": self._callbacks.clear,
                "_ncallbacks": lambda: len(self._callbacks),
            },
        )


# -- the import library -----------------------------------------------------------------------------------------------


def make_importlib_module(client: ClientProcess) -> ModuleType:
    """``importlib`` on the process's own table."""
    importer = client.importer

    def import_module(name: str, package: str | None = None) -> Any:
        if name.startswith("."):
            if not package:
                raise TypeError(f"the 'package' argument is required to perform a relative import for {name!r}")
            name = importlib.util.resolve_name(name, package)
        return importer.import_module(name)

    def reload(module: Any) -> Any:
        name = module.__spec__.name if getattr(module, "__spec__", None) else module.__name__
        if importer.modules.get(name) is not module:
            raise ImportError(f"module {name} not in sys.modules", name=name)
        parent = name.rpartition(".")[0]
        path = list(importer.modules[parent].__path__) if parent else None
        spec: Any = importer.find_spec(name, path)
        if spec is None or spec.loader is None:
            return module
        importer.execute(spec, importer.modules[name], is_library=client.is_library_module(module))
        return importer.modules[name]

    host = importlib
    module = make_module(
        "importlib",
        {
            "__import__": importer.make_import(View.CLIENT),
            "import_module": import_module,
            "invalidate_caches": _ignore,
            "machinery": importlib.machinery,
            "abc": importlib.abc,
            "reload": reload,
        },
    )
    module.__path__ = list(host.__path__)
    importer.modules["importlib"] = module
    for name in ("abc", "machinery"):
        importer.modules[f"importlib.{name}"] = getattr(host, name)
    return module


def make_importlib_util_module(client: ClientProcess) -> ModuleType:
    """``importlib.util`` on the process's own table."""
    importer = client.importer

    def find_spec(name: str, package: str | None = None) -> Any:
        full = importlib.util.resolve_name(name, package) if name.startswith(".") else name
        known = importer.modules.get(full)
        if known is not None:
            spec = getattr(known, "__spec__", None)
            return spec or importlib.machinery.ModuleSpec(full, None)
        parent = full.rpartition(".")[0]
        if client.can_import_without_file(full):
            return importlib.machinery.ModuleSpec(full, None)
        path = list(importer.import_module(parent).__path__) if parent else None
        return importer.find_spec(full, path)

    def module_from_spec(spec: Any) -> ModuleType:
        module = new_module(spec)
        if isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = module.__loader__ = _ClientLoader(client, spec)
        return module

    contents = {name: getattr(importlib.util, name) for name in importlib.util.__dict__ if not name.startswith("_")}
    contents.update(find_spec=find_spec, module_from_spec=module_from_spec)
    contents.pop("sys", None)
    return make_module("importlib.util", contents)


class _ClientLoader:
    """The loader of a module that a client makes from a spec of its own."""

    def __init__(self, client: ClientProcess, spec: Any) -> None:
        self._client = client
        self._spec = spec
        self._host = spec.loader
        self.name, self.path = spec.loader.name, spec.loader.path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def exec_module(self, module: ModuleType) -> None:
        spec = importlib.machinery.ModuleSpec(self._spec.name, self._host, origin=self._spec.origin)
        self._client.importer.execute(spec, module, is_library=False)


# -- others -----------------------------------------------------------------------------------------------------------


def make_io_module(client: ClientProcess, name: str) -> ModuleType:
    """``io`` whose `open` finds the process's files."""
    contents = {key: value for key, value in vars(io).items() if not key.startswith("__")}
    opener = client.importer.builtins[View.CLIENT]["open"]
    contents.update(open=opener, open_code=lambda path: opener(path, "rb"), __all__=list(io.__all__))
    return make_module(name, contents)


def make_gc_module(_client: ClientProcess) -> ModuleType:
    """``gc``, which cannot be switched off for the surrounding Python."""
    state = {"enabled": True}
    contents = {name: getattr(gc, name) for name in dir(gc) if not name.startswith("__")}
    contents.update(
        disable=lambda: state.update(enabled=False),
        enable=lambda: state.update(enabled=True),
        isenabled=lambda: state["enabled"],
        freeze=_ignore,
        set_debug=_ignore,
        set_threshold=_ignore,
        unfreeze=_ignore,
        callbacks=[],
    )
    return make_module("gc", contents)


def make_select_module(_client: ClientProcess) -> ModuleType:
    """``select``, which on Windows is for sockets."""

    def select(*_arguments: object) -> NoReturn:
        raise OSError(10038, "wintunsim does not simulate sockets yet; select.select has nothing to wait for")

    return make_module("select", {"select": select, "error": OSError})


def make_msvcrt_module(client: ClientProcess) -> ModuleType:
    """``msvcrt``: the console and locks of files, as far as they need no console."""

    def getwch() -> str:
        text: str = client.system.stdin.read(1)
        return text

    return make_module(
        "msvcrt",
        {
            "CRT_ASSEMBLY_VERSION": "10.0.22621.0",
            "LK_LOCK": 1, "LK_NBLCK": 2, "LK_NBRLCK": 4, "LK_RLCK": 3, "LK_UNLCK": 0,
            "SEM_FAILCRITICALERRORS": 1, "SEM_NOALIGNMENTFAULTEXCEPT": 4, "SEM_NOGPFAULTERRORBOX": 2,
            "SEM_NOOPENFILEERRORBOX": 0x8000,
            "SetErrorMode": lambda _mode: 0,
            "getch": lambda: getwch().encode(),
            "getche": lambda: getwch().encode(),
            "getwch": getwch,
            "getwche": getwch,
            "get_osfhandle": lambda handle: handle,
            "heapmin": _ignore,
            "kbhit": lambda: False,
            "locking": _ignore,
            "open_osfhandle": lambda handle, _flags: handle,
            "putch": lambda char: client.system.stdout.write(char.decode()),
            "putwch": lambda text: client.system.stdout.write(text),  # noqa: PLW0108 - the stream may be replaced
            "setmode": lambda _handle, _flags: 0x4000,
        },
    )  # fmt: skip


def make_mmap_module(_client: ClientProcess) -> ModuleType:
    """``mmap`` with Windows' arguments."""

    class Map(mmap.mmap):
        def __new__(cls, fileno: int, length: int, tagname: str | None = None, access: int = 0, offset: int = 0) -> Map:
            return super().__new__(cls, fileno, length, access=access, offset=offset)

    Map.__name__ = Map.__qualname__ = "mmap"
    Map.__module__ = "mmap"
    names = ("ACCESS_COPY", "ACCESS_DEFAULT", "ACCESS_READ", "ACCESS_WRITE", "PAGESIZE", "error")
    contents = {name: getattr(mmap, name) for name in names}
    return make_module("mmap", {**contents, "mmap": Map, "ALLOCATIONGRANULARITY": 65536, "PAGESIZE": 4096})


def make_faulthandler_module(_client: ClientProcess) -> ModuleType:
    """``faulthandler``, which does nothing."""
    names = "enable disable dump_traceback dump_traceback_later cancel_dump_traceback_later"
    return make_module("faulthandler", {**dict.fromkeys(names.split(), _ignore), "is_enabled": lambda: False})


def make_typing_module(client: ClientProcess) -> ModuleType:
    """The host's ``typing``, whose functions look for classes in the process's module table."""
    contents = {name: value for name, value in vars(typing).items() if name not in ("__builtins__", "__spec__")}
    system = client.importer.stdlib_view["sys"]
    contents["sys"] = system
    for name in ("get_type_hints", "_allow_reckless_class_checks"):
        function = contents.get(name)
        if isinstance(function, FunctionType):
            rebound = FunctionType(
                function.__code__, {**vars(typing), "sys": system}, name, function.__defaults__, function.__closure__
            )
            rebound.__kwdefaults__ = function.__kwdefaults__
            contents[name] = rebound
    return make_module("typing", contents)
