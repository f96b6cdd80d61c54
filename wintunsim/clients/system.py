"""The ``sys`` module of a simulated process, in two views: Windows for client modules, the host for library modules.

`version_info` and `hexversion` tell the truth about the language level that runs; what the platform answers is as on
Windows 11.
"""

from __future__ import annotations

import sys
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from wintunsim.clients.words import words

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

_KEPT = words(
    """
    _clear_type_cache _debugmallocstats _framework _getframe _getframemodulename _git _home _is_gil_enabled
    abiflags activate_stack_trampoline api_version base_exec_prefix base_prefix byteorder builtin_module_names
    call_tracing copyright dont_write_bytecode exc_info exception exec_prefix flags float_info float_repr_style
    get_coroutine_origin_tracking_depth get_int_max_str_digits getallocatedblocks getdefaultencoding
    getfilesystemencodeerrors getfilesystemencoding getrecursionlimit getrefcount getsizeof getswitchinterval
    hash_info hexversion implementation int_info intern is_finalizing maxsize maxunicode platform platlibdir
    prefix pycache_prefix stdlib_module_names thread_info version version_info
    """
)

_MICRO = ".".join(str(part) for part in sys.version_info[:3])
_PREFIX = f"C:\\Python{sys.version_info[0]}{sys.version_info[1]}"


class WindowsVersion(tuple[Any, ...]):
    """What ``sys.getwindowsversion()`` answers: Windows 11 23H2."""

    major, minor, build, platform, service_pack = 10, 0, 22631, 2, ""
    service_pack_major = service_pack_minor = 0
    suite_mask, product_type = 256, 1
    platform_version = (10, 0, 22631)

    def __new__(cls) -> WindowsVersion:
        return super().__new__(cls, (10, 0, 22631, 2, ""))

    def __repr__(self) -> str:
        return "sys.getwindowsversion(major=10, minor=0, build=22631, platform=2, service_pack='')"


WINDOWS_VALUES: dict[str, Any] = {
    "platform": "win32",
    "version": f"{_MICRO} (tags/v{_MICRO}:0000000, Jan  1 2024, 00:00:00) [MSC v.1942 64 bit (AMD64)]",
    "winver": f"{sys.version_info[0]}.{sys.version_info[1]}",
    "getwindowsversion": WindowsVersion,
    "dllhandle": 0x7FFA00000000,
    "prefix": _PREFIX,
    "exec_prefix": _PREFIX,
    "base_prefix": _PREFIX,
    "base_exec_prefix": _PREFIX,
    "executable": _PREFIX + "\\python.exe",
    "_base_executable": _PREFIX + "\\python.exe",
    "abiflags": "",
}


class ClientSystem(ModuleType):
    """``sys`` as client modules see it: Windows' values; everything else is read from and written to the library's
    view.
    """

    def __init__(self, library: ModuleType) -> None:
        super().__init__("sys")
        self.__dict__["_library"] = library
        self.__dict__.update(WINDOWS_VALUES)

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self.__dict__["_library"], name)
        except AttributeError:
            raise AttributeError(f"module 'sys' has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        if name in WINDOWS_VALUES:
            self.__dict__[name] = value
        else:
            setattr(self.__dict__["_library"], name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            del self.__dict__[name]
        else:
            delattr(self.__dict__["_library"], name)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *dir(self.__dict__["_library"])} - {"_library"})


def make_system_module(client: ClientProcess) -> ModuleType:
    """The library's view of ``sys``; `ClientSystem` makes the client's of it."""
    module = ModuleType("sys")
    state = module.__dict__
    for name in _KEPT:
        if hasattr(sys, name):
            state[name] = getattr(sys, name)
    if sys.version_info < (3, 12):
        state.pop("_getframemodulename", None)
    hooks = _Hooks(client)
    state.update(
        _current_frames=dict,
        _current_exceptions=dict,
        _xoptions={},
        argv=["", *client.arguments],
        orig_argv=["python.exe", *client.arguments],
        modules=client.importer.modules,
        path=client.importer.path,
        meta_path=[],
        path_hooks=[],
        path_importer_cache={},
        warnoptions=[],
        executable=WINDOWS_VALUES["executable"],
        stdin=client.stdin,
        stdout=client.stdout,
        stderr=client.stderr,
        __stdin__=client.stdin,
        __stdout__=client.stdout,
        __stderr__=client.stderr,
        exit=_exit,
        audit=_ignore,
        addaudithook=_ignore,
        setrecursionlimit=_ignore,
        setswitchinterval=_ignore,
        set_int_max_str_digits=_ignore,
        set_coroutine_origin_tracking_depth=_ignore,
        setprofile=_ignore,
        getprofile=_nothing,
        settrace=client.tracing.set,
        gettrace=client.tracing.get,
        get_asyncgen_hooks=client.generators.get,
        set_asyncgen_hooks=client.generators.set,
        displayhook=hooks.displayhook,
        __displayhook__=hooks.displayhook,
        excepthook=hooks.excepthook,
        __excepthook__=hooks.excepthook,
        unraisablehook=hooks.unraisablehook,
        __unraisablehook__=hooks.unraisablehook,
        breakpointhook=hooks.breakpointhook,
        __breakpointhook__=hooks.breakpointhook,
    )
    return module


def _exit(status: object = None, /) -> NoReturn:
    if status is None:
        raise SystemExit
    raise SystemExit(status)


def _ignore(*_arguments: object, **_keywords: object) -> None:
    """What would change the surrounding interpreter does nothing here."""


def _nothing() -> None:
    return None


class _Hooks:
    """The hooks of ``sys`` that write to the process's own streams."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client

    def displayhook(self, value: object, /) -> None:
        if value is not None:
            self._client.system.stdout.write(f"{value!r}\n")

    def excepthook(self, _type: type[BaseException], value: BaseException, _traceback: TracebackType | None, /) -> None:
        self._client.write_error(value)

    def unraisablehook(self, unraisable: Any, /) -> None:
        message = unraisable.err_msg or "Exception ignored in"
        self._client.write_error(unraisable.exc_value, f"{message}: {unraisable.object!r}\n")

    def breakpointhook(self, *_arguments: object, **_keywords: object) -> None:
        client = self._client
        frame = sys._getframe(1)
        while frame.f_back is not None and not client.is_client_frame(frame):
            frame = frame.f_back
        debugger = client.importer.import_module("pdb").Pdb()
        # The first stop is the line after the call, in the frame that made it.
        debugger.set_trace(frame)
