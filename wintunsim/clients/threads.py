"""The ``_thread`` module of a simulated process: its threads are the machine's, its locks wait in virtual time.

The standard library's ``threading``, ``queue`` and ``concurrent.futures`` run over it unchanged, in the forms of 3.11,
3.12
and 3.13, which start and join threads in different ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from wintunsim.clients.locks import TIMEOUT_MAX, Lock, RLock, Sentinel
from wintunsim.kernel.machine import Thread, ThreadKilled

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

_SENTINEL = "clients.sentinel"


class _ThreadHandle:
    """What 3.13's ``threading`` keeps of a thread that can be joined. Subclassed for each process."""

    client: ClassVar[ClientProcess]

    def __init__(self) -> None:
        self.ident = 0
        self.thread: Thread | None = None
        self._is_done = False

    def is_done(self) -> bool:
        return self._is_done

    def _set_done(self) -> None:
        self._is_done = True

    def join(self, timeout: float | None = None) -> None:
        if self._is_done:
            return
        client, thread = self.client, self.thread
        if thread is not None:
            if thread is client.machine.current:
                raise RuntimeError("Cannot join current thread")
            seconds = -1 if timeout is None or timeout < 0 else timeout
            deadline_ns = client.deadline_ns(seconds) if seconds else client.machine.now
            while not thread.ended.signalled:
                if client.machine.now >= deadline_ns:
                    return
                client.interrupts.wait((thread.ended,), deadline_ns)
        self._is_done = True


class _Local:
    """Thread-local data: each simulated thread sees attributes of its own. Subclassed for each process."""

    client: ClassVar[ClientProcess]

    def __new__(cls, /, *args: Any, **keywords: Any) -> _Local:
        if (args or keywords) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        self = object.__new__(cls)
        key = object()
        object.__setattr__(self, "_local__key", key)
        object.__setattr__(self, "_local__thread", None)
        object.__setattr__(self, "_local__arguments", (args, keywords))
        _enter_local(self, called=True)
        return self

    def __getattribute__(self, name: str) -> Any:
        _enter_local(self)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "__dict__":
            raise AttributeError(f"{type(self).__name__!r} object attribute '__dict__' is read-only")
        _enter_local(self)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _enter_local(self)
        object.__delattr__(self, name)


def _enter_local(self: _Local, called: bool = False) -> None:
    """Make the running thread's dictionary the object's."""
    get = object.__getattribute__
    own = get(self, "__dict__")
    thread = type(self).client.machine.current
    if own.get("_local__thread") is thread and thread is not None:
        return
    key = own["_local__key"]
    home: dict[Any, Any] = thread.local if thread is not None else type(self).client.outside
    mine = home.get(key)
    if mine is None:
        arguments = own["_local__arguments"]
        mine = home[key] = {"_local__key": key, "_local__thread": thread, "_local__arguments": arguments}
        object.__setattr__(self, "__dict__", mine)
        if not called:
            positional, keywords = arguments
            type(self).__init__(self, *positional, **keywords)
    else:
        object.__setattr__(self, "__dict__", mine)


class _Starter:
    """Starts threads of a process and tidies up after them."""

    def __init__(self, client: ClientProcess, handle_type: type[_ThreadHandle]) -> None:
        self.client = client
        self.handle_type = handle_type
        self.joined: list[_ThreadHandle] = []
        """Handles of threads that are not daemons, in the order of their start."""

    def start(self, function: Callable[..., object], arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Thread:
        client = self.client
        client.spend(client.machine.costs.thread_ns)

        def run() -> None:
            try:
                function(*arguments, **keywords)
            except (ThreadKilled, SystemExit):
                pass
            except BaseException as error:
                client.report_thread_error(error, function)
            finally:
                sentinel = thread.local.pop(_SENTINEL, None)
                if sentinel is not None and sentinel.locked():
                    sentinel.release()

        thread = client.process.start_thread(run)
        return thread

    def start_new_thread(
        self, function: Callable[..., object], args: Sequence[Any], kwargs: Mapping[str, Any] | None = None, /
    ) -> int:
        """``_thread.start_new_thread``: the new thread's identifier."""
        if not callable(function):
            raise TypeError("first arg must be callable")
        if not isinstance(args, tuple):
            raise TypeError("2nd arg must be a tuple")
        return self.start(function, args, kwargs or {}).thread_id

    def start_joinable_thread(
        self, function: Callable[..., object], handle: _ThreadHandle | None = None, daemon: bool = True
    ) -> _ThreadHandle:
        """``_thread.start_joinable_thread`` of 3.13."""
        if handle is None:
            handle = self.handle_type()
        thread = self.start(function, (), {})
        handle.thread, handle.ident = thread, thread.thread_id
        if not daemon:
            self.joined.append(handle)
        return handle

    def make_thread_handle(self, ident: int) -> _ThreadHandle:
        """``_thread._make_thread_handle`` of 3.13."""
        handle = self.handle_type()
        handle.ident = ident
        handle.thread = next((t for t in self.client.process.threads if t.thread_id == ident), None)
        return handle

    def shutdown(self) -> None:
        """``_thread._shutdown`` of 3.13: wait for all threads that are not daemons."""
        current = self.client.machine.current
        while self.joined:
            handle = self.joined.pop(0)
            if handle.thread is not current:
                handle.join()


def make_thread_module(client: ClientProcess) -> ModuleType:
    """The ``_thread`` module of one process."""
    machine, process = client.machine, client.process
    common = {"client": client, "__module__": "_thread"}
    lock_type: type[Lock] = type("lock", (Lock,), {"__slots__": (), **common})
    sentinel_type: type[Sentinel] = type("lock", (Sentinel,), {"__slots__": (), **common})
    rlock_type: type[RLock] = type("RLock", (RLock,), {"__slots__": (), "lock_type": lock_type, **common})
    handle_type: type[_ThreadHandle] = type("_ThreadHandle", (_ThreadHandle,), dict(common))
    starter = _Starter(client, handle_type)

    def get_ident() -> int:
        thread = machine.current or process.main_thread
        return thread.thread_id if thread is not None else 0

    def get_main_thread_ident() -> int:
        return process.main_thread.thread_id if process.main_thread is not None else 0

    def set_sentinel() -> Lock:
        sentinel = sentinel_type()
        assert machine.current is not None
        sentinel.ended, sentinel.number = machine.current.ended, machine.current.thread_id
        machine.current.local[_SENTINEL] = sentinel
        return sentinel

    def exit_thread() -> NoReturn:
        raise SystemExit

    def interrupt_main(signum: int = 2) -> None:
        client.interrupts.raise_signal(signum)

    def stack_size(_size: int = 0, /) -> int:
        return 0

    module = ModuleType("_thread")
    module.__dict__.update(
        LockType=lock_type,
        lock=lock_type,
        RLock=rlock_type,
        TIMEOUT_MAX=TIMEOUT_MAX,
        _ExceptHookArgs=_ExceptHookArgs,
        _ThreadHandle=handle_type,
        _count=lambda: len([t for t in process.threads if not t.ended.signalled]) - 1,
        _excepthook=client.thread_excepthook,
        _get_main_thread_ident=get_main_thread_ident,
        _is_main_interpreter=lambda: True,
        _local=type("_local", (_Local,), dict(common)),
        _make_thread_handle=starter.make_thread_handle,
        _set_sentinel=set_sentinel,
        _shutdown=starter.shutdown,
        allocate=lock_type,
        allocate_lock=lock_type,
        daemon_threads_allowed=lambda: True,
        error=RuntimeError,
        exit=exit_thread,
        exit_thread=exit_thread,
        get_ident=get_ident,
        get_native_id=get_ident,
        interrupt_main=interrupt_main,
        stack_size=stack_size,
        start_joinable_thread=starter.start_joinable_thread,
        start_new=starter.start_new_thread,
        start_new_thread=starter.start_new_thread,
    )
    return module


class _ExceptHookArgs(tuple[Any, ...]):
    """The argument of ``threading.excepthook``."""

    exc_type = property(lambda self: self[0])
    exc_value = property(lambda self: self[1])
    exc_traceback = property(lambda self: self[2])
    thread = property(lambda self: self[3])
