"""Ctrl+C and signal handlers of one simulated process, and waits that Ctrl+C ends.

As in CPython, handlers run in the main thread, between two steps of it. Here it is interrupted also inside the waits of
Windows' API, which on Windows would only tell it afterwards; a handler of the client's own does have to wait for those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wintunsim.clients.words import words
from wintunsim.kernel.machine import FOREVER, TIMED_OUT, Waitable

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

SIGINT = 2
SIG_DFL, SIG_IGN = 0, 1

INTERRUPTIBLE = frozenset(
    words(
        """
        WaitForSingleObject WaitForSingleObjectEx WaitForMultipleObjects WaitForMultipleObjectsEx Sleep SleepEx
        SignalObjectAndWait GetQueuedCompletionStatus GetOverlappedResult
        """
    )
)
"""Functions of DLLs that Ctrl+C gets the main thread out of."""


class Interrupted(BaseException):
    """Raised inside a wait of the main thread to let it run its signal handlers."""


def default_int_handler(_signal: int, _frame: object) -> None:
    """What Ctrl+C does unless the client says otherwise."""
    raise KeyboardInterrupt


class Interrupts:
    """Pending signals and their handlers."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client
        self.handlers: dict[int, Any] = {SIGINT: default_int_handler}
        self.pending: list[int] = []
        self.is_waiting = False
        """The main thread is in a wait of ours for objects."""
        self.is_sleeping = False
        """The main thread is in a wait of ours for its deadline alone."""
        self.is_calling = False
        """The main thread is in an interruptible function of a DLL."""

    def raise_signal(self, number: int) -> None:
        """Let the main thread handle a signal as soon as it can; from any thread or none."""
        client = self._client
        self.pending.append(number)
        main = client.process.main_thread
        machine = client.machine
        if main is None:
            return
        if main is machine.current:
            self.check()
            return
        is_default = self.handlers.get(number) in (default_int_handler, SIG_DFL)
        # A wait that has been satisfied ends by itself; what satisfied it must not get lost.
        is_waiting = self.is_sleeping or (self.is_waiting and bool(main.wait_objects))
        if is_waiting or (self.is_calling and is_default):
            machine.interrupt(main, Interrupted())

    def check(self) -> None:
        """Run the handlers of pending signals, when this is the main thread. Raises what they raise."""
        while self.pending and self._client.machine.current is self._client.process.main_thread:
            number = self.pending.pop(0)
            handler = self.handlers.get(number, SIG_DFL)
            if callable(handler):
                handler(number, None)
            elif handler == SIG_DFL:
                self._client.process.exit(3 if number != SIGINT else 0xC000013A)

    def wait(self, objects: Sequence[Waitable], deadline_ns: int = FOREVER) -> int:
        """Wait for any of `objects`, of which none is signalled; none at all: only for the deadline.

        The answer is an index or `TIMED_OUT`, which a wait for objects also gives after a signal handler has run:
        callers look again whether what they wait for is there. Such waits leave no word in the trace: they are Python's
        own, and differ from version to version.
        """
        client = self._client
        machine = client.machine
        if machine.current is not client.process.main_thread:
            return self._block(objects, deadline_ns)
        while True:
            if self.pending:
                self.check()
                if objects:
                    return TIMED_OUT
            self.is_waiting, self.is_sleeping = bool(objects), not objects
            try:
                index = self._block(objects, deadline_ns)
            except Interrupted:
                if not objects and machine.now >= deadline_ns:
                    self.check()
                    return TIMED_OUT
            else:
                self.check()
                return index
            finally:
                self.is_waiting = self.is_sleeping = False

    def _block(self, objects: Sequence[Waitable], deadline_ns: int) -> int:
        machine = self._client.machine
        if objects:
            return machine.wait_quietly(objects, deadline_ns)
        return int(machine.block(deadline_ns))
