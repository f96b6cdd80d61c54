"""Functions of DLLs and callbacks: ctypes function pointers to thunks, so that ctypes does the marshalling (design §5).

A call from Python swaps the thread's last error as ``use_last_error`` asks, and raises what the thunk could not raise.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wintun_model.errors import ClientFault, ModelError
from wintunsim.clients.ctypes_types import c_wchar, c_wchar_p, encode, read_wide
from wintunsim.clients.interrupts import INTERRUPTIBLE, Interrupted
from wintunsim.errors import UsageError
from wintunsim.kernel.machine import Thread, ThreadKilled

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

_Function: Any = ctypes._CFuncPtr  # type: ignore[attr-defined]
LAST_ERROR = "ctypes.last_error"
"""The key of ctypes' copy of the last error in a thread's local data."""

FUNCFLAG_STDCALL, FUNCFLAG_CDECL, FUNCFLAG_HRESULT, FUNCFLAG_PYTHONAPI = 0, 1, 2, 4
FUNCFLAG_USE_ERRNO, FUNCFLAG_USE_LASTERROR = 8, 16

# The host's calling convention is the only one there is; a thunk is Python, so that the interpreter lock is kept.
_HOST_FLAGS = FUNCFLAG_CDECL | FUNCFLAG_PYTHONAPI
_NOT_SWALLOWED = (ThreadKilled, Interrupted, KeyboardInterrupt, ClientFault, ModelError, UsageError)


class Functions:
    """Makes the function types of one process."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client
        self._pending: dict[Thread | None, BaseException] = {}
        self._types: dict[Any, Any] = {}

    # -- calls ------------------------------------------------------------------------------------------------------

    def _make_call(self, use_last_error: bool) -> Callable[..., Any]:
        client = self._client
        machine, calls, observe = client.machine, client.calls, client.observe
        interrupts, take, pending = client.interrupts, client.loader.take_exception, self._pending
        call = _Function.__call__

        def invoke(function: Any, arguments: tuple[Any, ...]) -> Any:
            try:
                result = call(function, *arguments)
            except BaseException:
                raise_pending()
                raise
            error = take()
            if error is not None or pending:
                raise_pending(error)
            if interrupts.pending:
                interrupts.check()
            return result

        def raise_pending(error: BaseException | None = None) -> None:
            error = error or take() or pending.pop(machine.current, None)
            pending.pop(machine.current, None)
            if isinstance(error, Interrupted):
                interrupts.check()
            elif error is not None:
                raise error.with_traceback(None)

        def __call__(self: Any, *arguments: Any) -> Any:  # noqa: N807
            calls[0] += 1
            if observe is not None:
                observe()
            if self._marshal:
                arguments = self._marshal(arguments)
            thread = machine.current
            if thread is None:
                return invoke(self, arguments)
            # Only the main thread is interrupted, so no other thread's call may touch the mark.
            is_marked = self._interruptible and thread is client.process.main_thread
            if is_marked:
                interrupts.check()
                interrupts.is_calling = True
            if use_last_error:
                local = thread.local
                thread.last_error, local[LAST_ERROR] = local.get(LAST_ERROR, 0), thread.last_error
                try:
                    return invoke(self, arguments)
                finally:
                    if is_marked:
                        interrupts.is_calling = False
                    thread.last_error, local[LAST_ERROR] = local[LAST_ERROR], thread.last_error
            try:
                return invoke(self, arguments)
            finally:
                if is_marked:
                    interrupts.is_calling = False

        return __call__

    def function_type(self, restype: Any, use_last_error: bool) -> Any:
        """The type of the functions of one DLL object."""
        return self._make_type("_FuncPtr", use_last_error, {"_restype_": restype})

    def _make_type(self, name: str, use_last_error: bool, contents: dict[str, Any]) -> Any:
        native_argtypes, native_restype, native_errcheck = _Function.argtypes, _Function.restype, _Function.errcheck
        after_swap = self._after_swap if use_last_error else lambda check: check

        def set_argtypes(self: Any, types: Any) -> None:
            native_argtypes.__set__(self, types)
            self._marshal = None if types is not None else _encode_strings

        def set_restype(self: Any, restype: Any) -> None:
            is_check = callable(restype) and not isinstance(restype, type)
            native_restype.__set__(self, after_swap(restype) if is_check else restype)
            self._restype = restype

        def get_restype(self: Any) -> Any:
            return native_restype.__get__(self) if self._restype is None else self._restype

        def set_errcheck(self: Any, check: Any) -> None:
            native_errcheck.__set__(self, after_swap(check))
            self._errcheck = check

        def del_errcheck(self: Any) -> None:
            native_errcheck.__delete__(self)
            self._errcheck = None

        return type(_Function)(
            name,
            (_Function,),
            {
                "__module__": "ctypes",
                "__call__": self._make_call(use_last_error),
                "_flags_": _HOST_FLAGS,
                "_interruptible": False,
                "_marshal": staticmethod(_encode_strings),
                "_restype": None,
                "_errcheck": None,
                "argtypes": property(native_argtypes.__get__, set_argtypes),
                "restype": property(get_restype, set_restype),
                "errcheck": property(lambda self: self._errcheck, set_errcheck, del_errcheck),
                **contents,
            },
        )

    def _after_swap(self, check: Callable[..., Any]) -> Callable[..., Any]:
        """`check`, called by ctypes inside the call, as on Windows: after the last error has been swapped."""
        machine = self._client.machine

        def swapped(*arguments: Any) -> Any:
            thread = machine.current
            if thread is None:
                return check(*arguments)
            local = thread.local
            thread.last_error, local[LAST_ERROR] = local[LAST_ERROR], thread.last_error
            try:
                return check(*arguments)
            finally:
                thread.last_error, local[LAST_ERROR] = local[LAST_ERROR], thread.last_error

        return swapped

    # -- prototypes and callbacks -----------------------------------------------------------------------------------

    def prototype(self, restype: Any, *argtypes: Any, use_errno: bool = False, use_last_error: bool = False) -> Any:
        """``ctypes.WINFUNCTYPE`` and ``CFUNCTYPE``, which are the same on this host."""
        key = (restype, argtypes, use_last_error)
        try:
            return self._types[key]
        except KeyError:
            made = self._types[key] = self._make_prototype(restype, argtypes, use_last_error)
            return made

    def _make_prototype(self, restype: Any, argtypes: tuple[Any, ...], use_last_error: bool) -> Any:
        functions = self

        def __new__(cls: Any, *arguments: Any) -> Any:  # noqa: N807
            target = arguments[0] if arguments else None
            if isinstance(target, tuple):
                name, library = target
                if len(arguments) > 1 and arguments[1]:
                    function = _Function.__new__(with_parameters(cls, arguments[1]), library._address(name))
                else:
                    function = _Function.__new__(cls, library._address(name))
                function._interruptible = name in INTERRUPTIBLE
                return function
            if callable(target) and not isinstance(target, int):
                function = _Function.__new__(cls, functions.callback(target, argtypes, restype))
                function._target = target
                return function
            return _Function.__new__(cls, *arguments)

        def with_parameters(cls: Any, flags: Any) -> Any:
            bind = parameter_binder(argtypes, flags)

            def __call__(self: Any, *arguments: Any, **keywords: Any) -> Any:  # noqa: N807
                return cls.__call__(self, *bind(arguments, keywords))

            kept = {name: contents[name] for name in ("_argtypes_", "_restype_", "_flags_")}
            return type(_Function)("WinFunctionType", (cls,), {**kept, "__call__": __call__})

        contents: dict[str, Any] = {
            "_argtypes_": argtypes,
            "_restype_": restype,
            "_flags_": _HOST_FLAGS,
            "_marshal": None,
            "__new__": __new__,
            "__init__": _no_init,
        }
        return self._make_type("WinFunctionType", use_last_error, contents)

    def callback(self, target: Any, argtypes: tuple[Any, ...], restype: Any) -> Callable[..., Any]:
        """`target` as C calls it: wide characters are text; what must not be swallowed is kept for the outer call."""
        client, pending = self._client, self._pending
        wide = [index for index, kind in enumerate(argtypes) if kind in (c_wchar, c_wchar_p)]

        def call(*arguments: Any) -> Any:
            if wide:
                converted = list(arguments)
                for index in wide:
                    value = converted[index]
                    if argtypes[index] is c_wchar:
                        converted[index] = chr(value)
                    else:
                        converted[index] = read_wide(value) if value else None
                arguments = tuple(converted)
            try:
                return target(*arguments)
            except _NOT_SWALLOWED as error:
                pending.setdefault(client.machine.current, error)
            except BaseException as error:
                client.write_error(error, f"Exception ignored on calling ctypes callback function {target!r}:\n")
            return None if restype is None else 0

        return call


def _no_init(_self: Any, *_arguments: Any) -> None:
    """All is done in ``__new__``."""


def _encode_strings(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Plain strings, where no argument types are declared, go as UTF-16."""
    for argument in arguments:
        if type(argument) is str:
            return tuple(encode(value) if isinstance(value, str) else value for value in arguments)
    return arguments


def parameter_binder(argtypes: tuple[Any, ...], flags: Any) -> Callable[..., tuple[Any, ...]]:
    """What makes a function's arguments of a call's, by the names and defaults in `paramflags`.

    Output parameters are refused.
    """
    names: list[str | None] = []
    defaults: list[Any] = []
    for direction, *rest in flags:
        if direction & 2:
            raise UsageError("wintunsim does not support output parameters in paramflags: pass byref() instead")
        names.append(rest[0] if rest else None)
        defaults.append(rest[1:2])

    def bind(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
        bound = list(arguments)
        for name, default in list(zip(names, defaults, strict=True))[len(arguments) :]:
            if name in keywords:
                bound.append(keywords[name])
            elif default:
                bound.append(default[0])
            else:
                raise TypeError(f"required argument {name!r} missing")
        if len(bound) > len(argtypes):
            raise TypeError(f"call takes exactly {len(argtypes)} arguments ({len(bound)} given)")
        return tuple(bound)

    return bind
