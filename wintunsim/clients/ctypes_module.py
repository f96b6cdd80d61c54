"""The ``ctypes`` package of a simulated process: Windows' names, sizes, DLLs and last errors (spec win32 §1)."""

from __future__ import annotations

import ctypes
import os
from ctypes import _endian as host_endian
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wintunsim.clients import ctypes_types as types
from wintunsim.clients.ctypes_errors import windows_error
from wintunsim.clients.ctypes_functions import LAST_ERROR, Functions
from wintunsim.clients.ctypes_memory import Memory
from wintunsim.clients.interrupts import INTERRUPTIBLE
from wintunsim.clients.words import words

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess
    from wintunsim.clients.libraries import Library

_HOST_NAMES = words(
    """
    ARRAY ArgumentError Array BigEndianStructure BigEndianUnion LittleEndianStructure LittleEndianUnion _Pointer
    _SimpleCData _CFuncPtr addressof alignment byref c_bool c_byte c_char c_char_p c_double c_float c_int16
    c_int8 c_short c_ubyte c_uint16 c_uint8 c_ushort c_void_p create_string_buffer c_buffer get_errno py_object
    resize set_errno sizeof
    """
)


class LibraryCalls:
    """What ``ctypes`` of one process needs of it: its loader, its threads' last errors."""

    def __init__(self, client: ClientProcess) -> None:
        self.client = client
        self.functions = Functions(client)

    def _thread(self) -> Any:
        client = self.client
        return client.machine.current or client.process.main_thread

    def get_last_error(self) -> int:
        value: int = self._thread().local.get(LAST_ERROR, 0)
        return value

    def set_last_error(self, value: int, /) -> int:
        local = self._thread().local
        previous: int = local.get(LAST_ERROR, 0)
        local[LAST_ERROR] = int(types.c_ulong(value).value)
        return previous

    def get_thread_error(self) -> int:
        """``ctypes.GetLastError``."""
        return int(self._thread().last_error)

    def format_error(self, code: int | None = None) -> str:
        """``ctypes.FormatError``."""
        if code is None:
            code = self.get_thread_error()
        text = self.client.loader.format_message(code & 0xFFFFFFFF)
        return "<no description>" if text is None else text.rstrip()

    def win_error(self, code: int | None = None, descr: str | None = None) -> OSError:
        """``ctypes.WinError``."""
        if code is None:
            code = self.get_thread_error()
        return windows_error(code, self.format_error(code).strip() if descr is None else descr)

    def load(self, name: Any) -> Any:
        """The library of that name. Raises FileNotFoundError as CPython on Windows does."""
        if name is None:
            raise TypeError("argument 1 must be str, not None")
        path = os.fsdecode(name)
        library = self.client.loader.load(path)
        if library is None:
            error = FileNotFoundError(
                f"Could not find module '{path}' (or one of its dependencies). "
                "Try using the full path with constructor syntax."
            )
            error.add_note(self.client.loader.describe_missing(path, None))
            raise error
        return library

    def loaded(self, handle: int) -> Any:
        """The library that the process has loaded under that module handle. OSError when there is none."""
        library = self.client.loader.by_handle(handle)
        if library is None:
            raise windows_error(126, self.format_error(126))
        return library

    def address_of(self, library: Library, name: str | int) -> int:
        """The address of a DLL function. AttributeError, with a note on what is missing, when there is none."""
        export = library.resolve(name)
        if export is None:
            kind = "function" if isinstance(name, str) else "function ordinal"
            error = AttributeError(f"{kind} {name!r} not found")
            error.add_note(self.client.loader.describe_missing(library.name, str(name)))
            raise error
        return export.address

    # -- classes ----------------------------------------------------------------------------------------------------

    def dll_classes(self) -> dict[str, Any]:
        """``CDLL``, ``WinDLL``, ``OleDLL``, ``PyDLL`` and ``HRESULT``."""
        calls = self

        class HRESULT(types._Simple):  # type: ignore[misc]
            _type_ = "i"

            @staticmethod
            def _check_retval_(result: int) -> int:
                if result < 0:
                    raise calls.win_error(result & 0xFFFFFFFF)
                return result

        class CDLL:
            _func_flags_ = 1
            _func_restype_: Any = types.c_long
            _name: str | None = "<uninitialized>"
            _handle = 0

            def __init__(
                self, name: Any, mode: int = 0, handle: int | None = None, use_errno: bool = False,
                use_last_error: bool = False, winmode: int | None = None,
            ) -> None:  # fmt: skip
                self._library = calls.load(name) if handle is None else calls.loaded(handle)
                self._name = name if name is None else os.fsdecode(name)
                self._handle = self._library.handle if handle is None else handle
                self._FuncPtr = calls.functions.function_type(self._func_restype_, use_last_error)

            def __repr__(self) -> str:
                return f"<{type(self).__name__} '{self._name}', handle {self._handle:x}>"

            def _address(self, name: str | int) -> int:
                return calls.address_of(self._library, name)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("__") and name.endswith("__"):
                    raise AttributeError(name)
                function = self[name]
                setattr(self, name, function)
                return function

            def __getitem__(self, name: str | int) -> Any:
                function = self._FuncPtr(self._address(name))
                if isinstance(name, str):
                    function.__name__ = name
                    function._interruptible = name in INTERRUPTIBLE
                return function

        class WinDLL(CDLL):
            _func_flags_ = 0

        class OleDLL(WinDLL):
            _func_restype_ = HRESULT

        class PyDLL:
            def __init__(self, name: object, *_arguments: Any, **_keywords: Any) -> None:
                raise OSError(
                    f"wintunsim does not simulate Python's own C functions (PyDLL {name!r}); use Python instead"
                )

        for made in (HRESULT, CDLL, WinDLL, OleDLL, PyDLL):
            made.__module__ = "ctypes"
            made.__qualname__ = made.__name__
        return {"HRESULT": HRESULT, "CDLL": CDLL, "WinDLL": WinDLL, "OleDLL": OleDLL, "PyDLL": PyDLL}


class LibraryLoader:
    """``ctypes.windll`` and its like: DLLs by attribute."""

    def __init__(self, dlltype: Any) -> None:
        self._dlltype = dlltype

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            library = self._dlltype(name)
        except OSError as error:
            missing = AttributeError(name)
            for note in error.__notes__:
                missing.add_note(note)
            raise missing from None
        setattr(self, name, library)
        return library

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def LoadLibrary(self, name: Any) -> Any:  # noqa: N802
        """A new object for the DLL."""
        return self._dlltype(name)


def _missing_attribute(name: str) -> Any:
    text = f"module 'ctypes' has no attribute {name!r}"
    if name == "pythonapi":
        text = "wintunsim does not simulate ctypes.pythonapi: a client cannot reach into the interpreter"
    raise AttributeError(text, name=name)


def make_ctypes_module(client: ClientProcess) -> ModuleType:
    """The ``ctypes`` package."""
    calls = LibraryCalls(client)
    memory = Memory(client.is_known_memory)
    classes = calls.dll_classes()
    module = ModuleType("ctypes")
    contents = module.__dict__
    contents.update({name: getattr(ctypes, name) for name in _HOST_NAMES if hasattr(ctypes, name)})
    contents.update(classes)
    long, ulong, longlong, ulonglong = types.c_long, types.c_ulong, types.c_longlong, types.c_ulonglong
    contents.update(
        c_long=long, c_int=long, c_int32=long, c_ulong=ulong, c_uint=ulong, c_uint32=ulong,
        c_longlong=longlong, c_int64=longlong, c_ssize_t=longlong, c_time_t=longlong,
        c_ulonglong=ulonglong, c_uint64=ulonglong, c_size_t=ulonglong, c_longdouble=ctypes.c_double,
        c_voidp=ctypes.c_void_p,
        c_wchar=types.c_wchar, c_wchar_p=types.c_wchar_p, Structure=types.Structure, Union=types.Union,
        POINTER=types.pointer_type, pointer=types.pointer_to, cast=types.cast,
        create_unicode_buffer=types.create_unicode_buffer,
        string_at=memory.string_at, wstring_at=memory.wstring_at, memmove=memory.memmove, memset=memory.memset,
        WINFUNCTYPE=calls.functions.prototype, CFUNCTYPE=calls.functions.prototype,
        PYFUNCTYPE=calls.functions.prototype,
        get_last_error=calls.get_last_error, set_last_error=calls.set_last_error,
        GetLastError=calls.get_thread_error, FormatError=calls.format_error, WinError=calls.win_error,
        LibraryLoader=LibraryLoader, DEFAULT_MODE=0, RTLD_GLOBAL=0, RTLD_LOCAL=0, __version__="1.1.0",
        cdll=LibraryLoader(classes["CDLL"]), windll=LibraryLoader(classes["WinDLL"]),
        oledll=LibraryLoader(classes["OleDLL"]), pydll=LibraryLoader(classes["PyDLL"]),
        SetPointerType=lambda pointer, target: pointer.set_type(target),
    )  # fmt: skip
    module.__path__ = list(ctypes.__path__)
    contents["_private"] = {"load": calls.load}
    contents["__getattr__"] = _missing_attribute
    return module


def make_private_module(client: ClientProcess) -> ModuleType:
    """``_ctypes``: what clients take from it on Windows."""
    public = client.importer.import_module("ctypes")
    module = ModuleType("_ctypes")
    names = """
        Structure Union Array _Pointer _SimpleCData ArgumentError addressof alignment byref sizeof resize POINTER
        pointer
    """
    module.__dict__.update({name: getattr(public, name) for name in names.split()})
    module.__dict__.update(
        CFuncPtr=public._CFuncPtr,
        FUNCFLAG_CDECL=1,
        FUNCFLAG_STDCALL=0,
        FUNCFLAG_USE_LASTERROR=16,
        FormatError=public.FormatError,
        FreeLibrary=lambda _handle: None,
        LoadLibrary=lambda name, *_flags: public._private["load"](name).handle,
        get_last_error=public.get_last_error,
        set_last_error=public.set_last_error,
    )
    return module


def make_endian_module(_client: ClientProcess) -> ModuleType:
    """``ctypes._endian``."""
    return host_endian


def make_util_module(client: ClientProcess) -> ModuleType:
    """``ctypes.util`` as on Windows."""

    def find_library(name: str) -> str | None:
        if name in ("c", "m"):
            return None
        library = client.loader.load(name)
        return None if library is None else f"C:\\Windows\\System32\\{library.name}"

    module = ModuleType("ctypes.util")
    module.__dict__.update(find_library=find_library, find_msvcrt=lambda: None)
    return module
