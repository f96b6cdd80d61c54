"""What CPython keeps for each host thread, kept for each simulated thread instead: trace functions, generator hooks.

pdb in a client traces the client's own frames only, in the simulated thread that asked for it.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

_TRACE = "clients.trace"
_GENERATORS = "clients.generators"


class Tracing:
    """``sys.settrace`` of a process."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client
        self._host: Any = None
        self._is_on = False

    def _home(self) -> dict[Any, Any]:
        thread = self._client.machine.current
        return self._client.outside if thread is None else thread.local

    def get(self) -> Any:
        """The running thread's trace function."""
        return self._home().get(_TRACE)

    def set(self, function: Any, /) -> None:
        """Trace the running thread's client frames with `function`; None stops."""
        self._home()[_TRACE] = function
        if function is None:
            if not any(thread.local.get(_TRACE) for thread in self._client.process.threads):
                self.close()
            return
        if not self._is_on:
            self._host, self._is_on = sys.gettrace(), True
        sys.settrace(self._dispatch)

    def _dispatch(self, frame: FrameType, event: str, argument: Any) -> Any:
        thread = self._client.machine.current
        if thread is None or not self._client.is_process_frame(frame):
            return None
        function = thread.local.get(_TRACE)
        return function(frame, event, argument) if function is not None else None

    def close(self) -> None:
        """Give tracing back to the surrounding Python."""
        if self._is_on:
            self._is_on = False
            sys.settrace(self._host)


class GeneratorHooks(NamedTuple):
    """``sys.get_asyncgen_hooks()``."""

    firstiter: Any
    finalizer: Any


_NO_HOOKS = GeneratorHooks(None, None)


class Generators:
    """``sys.set_asyncgen_hooks`` of a process: each simulated thread has its own event loop and so its own hooks."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client
        self._host: Any = _NO_HOOKS
        self._is_on = False

    def _current(self) -> GeneratorHooks:
        thread = self._client.machine.current
        if thread is None:
            return GeneratorHooks(*self._host)
        hooks: GeneratorHooks = thread.local.get(_GENERATORS, _NO_HOOKS)
        return hooks

    def get(self) -> GeneratorHooks:
        """The running thread's hooks."""
        return self._current()

    def set(self, firstiter: Any = ..., finalizer: Any = ...) -> None:
        """Set the running thread's hooks; what is not given stays."""
        thread = self._client.machine.current
        if thread is None:
            return
        old = self._current()
        new = GeneratorHooks(
            old.firstiter if firstiter is ... else firstiter, old.finalizer if finalizer is ... else finalizer
        )
        thread.local[_GENERATORS] = new
        if any(t.local.get(_GENERATORS, _NO_HOOKS) != _NO_HOOKS for t in self._client.process.threads):
            if not self._is_on:
                self._host, self._is_on = sys.get_asyncgen_hooks(), True
                sys.set_asyncgen_hooks(self._first, self._finalize)
        else:
            self.close()

    def _first(self, generator: Any) -> None:
        hook = self._current().firstiter
        if hook is not None:
            hook(generator)

    def _finalize(self, generator: Any) -> None:
        hook = self._current().finalizer
        if hook is not None:
            hook(generator)

    def close(self) -> None:
        """Give the hooks back to the surrounding Python."""
        if self._is_on:
            self._is_on = False
            sys.set_asyncgen_hooks(*self._host)
