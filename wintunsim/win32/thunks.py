"""Thunks: C function pointers that lead from a client's call to a function of this package.

A thunk lets the call's virtual time pass first, then calls the function. C code cannot pass exceptions on: a thunk
keeps the one that was raised, for its thread, and returns 0; until somebody takes it (`Pending.take`) every further
call of that thread fails at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import greenlet

from wintun_model.errors import ClientFault
from wintun_model.status import Win32Error
from wintunsim.errors import UsageError
from wintunsim.kernel.machine import Machine, Thread, ThreadKilled
from wintunsim.kernel.probe import AccessViolation

if TYPE_CHECKING:
    from wintunsim.win32.context import Context
    from wintunsim.win32.exports import Definition

OnCall = Callable[[int, str, str, str, tuple[str, ...], str, int], None]
"""`on_call(time_ns, thread, library, function, arguments, result, last_error)`: arguments and result as text.

The time is that of the call's end. The last error is 0 unless the call failed or changed it.
"""

_PATIENCE = 1000


class Pending:
    """Exceptions that thunks of one process could not raise, by thread."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.exceptions: dict[Thread | None, BaseException] = {}
        self._refused: dict[Thread | None, int] = {}

    def store(self, error: BaseException) -> None:
        """Keep an exception for the running thread; the first one counts."""
        self.exceptions.setdefault(self.machine.current, error)

    def take(self) -> BaseException | None:
        """The running thread's exception, which is forgotten here; None for none."""
        return self.exceptions.pop(self.machine.current, None) if self.exceptions else None

    def refuses(self, thread: Thread | None) -> bool:
        """Whether a call of `thread` must fail at once; called when there may be a reason."""
        if thread is not None and not thread.is_killed:
            return thread in self.exceptions
        if thread is None:
            self.store(UsageError("DLL functions can only be called in a thread of the simulation"))
        else:
            self.exceptions.setdefault(thread, ThreadKilled())
        self._refused[thread] = self._refused.get(thread, 0) + 1
        if self._refused[thread] > _PATIENCE:
            # Native code that goes on and on: leave it where it is; whoever ends the thread will abandon it.
            parent = greenlet.getcurrent().parent
            while parent is not None:
                parent.switch()
        return True


# One function for each number of arguments: *args would make every call a fifth slower.
_TEMPLATE = """
def make(function, context, machine, exceptions, refuses, cost_ns, fault):
    def thunk({arguments}):
        try:
            thread = machine.current
            if exceptions or thread is None or thread.is_killed:
                if refuses(thread):
                    return 0
            machine.now = now = machine.now + {cost_ns}
            if now > machine.horizon:
                machine.give_way()
            return function(context, {arguments})
        except BaseException as error:
            return fault(error)
    return thunk
"""


@cache
def _maker(arguments_count: int, is_drawn: bool) -> Callable[..., Callable[..., Any]]:
    names = ", ".join(f"a{index}" for index in range(arguments_count))
    namespace: dict[str, Any] = {}
    exec(
        compile(_TEMPLATE.format(arguments=names, cost_ns="cost_ns()" if is_drawn else "cost_ns"), "<thunk>", "exec"),
        namespace,
    )
    return namespace["make"]  # type: ignore[no-any-return]


def make_thunk(definition: Definition, context: Context, pending: Pending, on_call: OnCall | None) -> Any:
    """The ctypes callback for a function in a process. It must be kept as long as its address may be called."""
    machine = context.machine
    price = machine.prices.varying("system_call_ns") if definition.is_system_call else None
    cost_ns = machine.costs.typical("system_call_ns" if definition.is_system_call else "user_call_ns")
    arguments = (
        context,
        machine,
        pending.exceptions,
        pending.refuses,
        price or cost_ns,
        _fault(definition, context, pending),
    )
    function = definition.function
    thunk = _maker(len(definition.arguments), price is not None)(function, *arguments)
    if on_call is not None:
        thunk = _logged(definition, context, thunk, on_call)
    prototype = ctypes.CFUNCTYPE(definition.result.ctype, *(item.ctype for item in definition.arguments))
    return prototype(thunk)


def _fault(definition: Definition, context: Context, pending: Pending) -> Callable[[BaseException], int]:
    def fault(error: BaseException) -> int:
        if isinstance(error, AccessViolation):
            if definition.is_system_call:
                context.thread.last_error = int(Win32Error.ERROR_NOACCESS)
                return definition.result.failure
            error = ClientFault(f"{definition.dll}.{definition.name}: {error}")
        pending.store(error)
        return 0

    return fault


def _logged(definition: Definition, context: Context, thunk: Callable[..., Any], on_call: OnCall) -> Callable[..., Any]:
    machine = context.machine

    def logged(*values: Any) -> Any:
        shown = tuple(item.show(value) for item, value in zip(definition.arguments, values, strict=True))
        thread = machine.current
        before = thread.last_error if thread is not None else 0
        result = thunk(*values)
        name, last_error = (thread.name, thread.last_error) if thread is not None else ("-", 0)
        if last_error == before and result != definition.result.failure:
            last_error = 0
        text = definition.result.show(result)
        on_call(machine.time(), name, definition.dll, definition.name, shown, text, last_error)
        return result

    return logged


def format_call(
    time_ns: int,
    thread: str,
    library: str,
    function: str,
    arguments: tuple[str, ...],
    result: str,
    last_error: int,
) -> str:
    """One line of the call log, such as ``12.345 µs  main  kernel32.CreateEventW(NULL, 0, 0, NULL) = 0x8``.

    The last error follows when it is not 0.
    """
    micros, nanos = divmod(time_ns, 1000)
    line = f"{micros}.{nanos:03} µs  {thread}  {library}.{function}({', '.join(arguments)})"
    if result:
        line += f" = {result}"
    return f"{line}  [last error {last_error}]" if last_error else line
