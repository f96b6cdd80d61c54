"""Processes that carry out runs, as an executor of concurrent.futures.

`ProcessPoolExecutor` ends all of its processes, and gives up all that they do, when one of them dies; it can wait for
ever when that one dies while it starts or sends; and it runs the caller's main module anew. Here each process has a
pipe and a run of its own, so that a death is seen at once and costs the one run.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from multiprocessing import Pipe, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread, active_count
from types import ModuleType
from typing import Any, Literal

from wintunsim.errors import UsageError

ATTEMPTS = 2
"""How often a run is begun whose process dies: once may have been somebody else's fault."""

_Task = tuple["Future[Any]", tuple[Any, ...]]
_start_lock = Lock()


class ProcessLostError(Exception):
    """The process that carried out a run ended before the run did."""


class Processes(Executor):
    """So many processes; what they run is a module's function.

    A process starts as a copy of this one where that is safe, as it then has at once what takes a fresh interpreter a
    second; else fresh, when it is first needed. Calls must not raise: an exception ends the process. A future has
    `ProcessLostError` when the process died, twice.
    """

    def __init__(self, count: int) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._workers = [_Worker(self._tasks) for _ in range(count)]
        if may_fork():
            for number, worker in enumerate(self._workers):
                with suppress(UsageError):  # a fresh one is tried when it is needed
                    worker.fork(beside=self._workers[:number])
        for worker in self._workers:
            worker.thread.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Call `function(*arguments)` in one of the processes. There are no `options`."""
        assert not options
        future: Future[Any] = Future()
        self._tasks.put((future, (function, *arguments)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they have done all; with `cancel_futures` now, whatever they do."""
        for worker in self._workers:
            if cancel_futures:
                worker.stop()
            self._tasks.put(None)
        for worker in self._workers:
            if wait:
                worker.thread.join()


def may_fork() -> bool:
    """Whether a copy of this process can be made to work.

    Not beside other threads, as a notebook has them: what they hold would never be let go in the copy. Those that
    libraries have without Python's knowledge (BLAS, Arrow) are no obstacle, as no run calls these. Apple's libraries do
    not bear it at all.
    """
    return sys.platform == "linux" and active_count() == 1


class _Worker:
    """One process, and the thread here that hands it calls."""

    def __init__(self, tasks: SimpleQueue[_Task | None]) -> None:
        self._tasks = tasks
        self._process: BaseProcess | None = None
        self._connection: Connection[Any, Any] | None = None
        self._is_stopped = False
        self.thread = Thread(target=self._serve, daemon=True)

    def fork(self, beside: Sequence[_Worker]) -> None:
        """Let the process be a copy of this one. It gets the ends of the pipes to those `beside` it too."""
        inherited = [worker._connection for worker in beside if worker._connection is not None]
        with warnings.catch_warnings():
            # Python counts the threads of libraries too.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._start("fork", inherited)

    def stop(self) -> None:
        """End the process, whatever it does."""
        with _start_lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.terminate()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, call = task
            if self._is_stopped:
                future.cancel()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._answer(call))
            except Exception as error:
                future.set_exception(error)
        self._end()

    def _answer(self, call: tuple[Any, ...]) -> Any:
        for _ in range(ATTEMPTS):
            if self._is_stopped:
                break
            if self._connection is None:
                self._start("spawn")
            assert self._connection is not None
            try:
                self._connection.send(call)
                return self._connection.recv()
            except (EOFError, OSError):
                self._end()
        raise ProcessLostError("its process ended before it did: it was killed, or there was not enough memory")

    def _start(self, method: Literal["fork", "spawn"], inherited: Sequence[Connection[Any, Any]] = ()) -> None:
        with _start_lock:
            if self._is_stopped:
                raise ProcessLostError("it was stopped")
            ours, theirs = Pipe()
            not_theirs = [*inherited, ours] if method == "fork" else []
            # A blank main module instead of the caller's, which a fresh process would run first: so a script needs no
            # `if __name__ == "__main__"`, and may come from standard input.
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                context: Any = get_context(method)
                arguments = (theirs, str(Path.cwd()), not_theirs)
                process: BaseProcess = context.Process(target=_serve_calls, args=arguments, daemon=True)
                process.start()
            except OSError as error:
                ours.close()
                raise UsageError(f"a worker cannot be started ({error}): give fewer workers") from None
            finally:
                sys.modules["__main__"] = main
                theirs.close()  # the process has its own: when that is closed too, ours has an end
            self._process, self._connection = process, ours

    def _end(self) -> None:
        with _start_lock:
            process, connection, self._process, self._connection = self._process, self._connection, None, None
        if connection is not None:
            connection.close()  # which is what the process waits for
        if process is not None:
            process.join()


def _serve_calls(connection: Connection[Any, Any], folder: str, not_ours: Sequence[Connection[Any, Any]]) -> None:
    """What a process does: calls, until the other end of the pipe is closed; `not_ours` are ends of others."""
    # What is here because this is a copy belongs to the process that it is a copy of.
    gc.freeze()
    for other in not_ours:
        other.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl+C reaches all processes of a terminal; the sweep decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(folder)
    Thread(target=_leave_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            function, *arguments = connection.recv()
            connection.send(function(*arguments))


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
