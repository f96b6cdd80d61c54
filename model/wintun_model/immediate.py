"""The immediate executor: runs routines to their end at once (design §1).

No time passes and there is one order: the routine started last runs until it blocks or ends, then the oldest that
can go on. For unit tests, golden vectors and property tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from wintun_model import operations as op
from wintun_model.adapter import Adapter, ReceiveNbl, SendChain
from wintun_model.effects import EFFECTS, allocated
from wintun_model.errors import ModelError
from wintun_model.receive import return_nbls
from wintun_model.status import NtStatus

T = TypeVar("T")

FREQUENCY = 10_000_000
"""The performance counter's ticks a second (spec win32 §3)."""

_MAX_STEPS = 10_000_000
_BLOCKED = object()


class Thread:
    """A started routine. `result` is what it returned, once `ended` is set."""

    def __init__(self, routine: op.Routine[Any], name: str) -> None:
        self.routine = routine
        self.name = name
        self.ended = op.Event(f"{name} ended", manual_reset=True)
        self.result: Any = None
        self.blocked_on: op.Operation | None = None

    def __repr__(self) -> str:
        return f"Thread({self.name})"


class Blocked(Exception):
    """A routine that was run to its end did not get there: `args` are its name and the operation that blocks it."""


class RecordingNdis:
    """NDIS's side for tests: notes what it is told; returns indicated NBLs inside the indication, or keeps them."""

    def __init__(self, *, keeps_nbls: bool = False) -> None:
        self.keeps_nbls = keeps_nbls
        self.completed: list[SendChain] = []
        self.received: list[bytes] = []
        self.kept: list[ReceiveNbl] = []
        self.links: list[bool] = []

    def complete_send(self, adapter: Adapter, chain: SendChain) -> op.Routine[None] | None:
        """A send chain comes back."""
        self.completed.append(chain)
        return None

    def indicate_receive(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None] | None:
        """A packet comes up."""
        self.received.append(nbl.peek())
        if self.keeps_nbls:
            self.kept.append(nbl)
            return None
        return return_nbls(adapter, (nbl,))

    def indicate_link(self, adapter: Adapter, connected: bool) -> op.Routine[None] | None:
        """The link goes up or down."""
        self.links.append(connected)
        return None


class ImmediateExecutor:
    """Runs routines. `fails(what)` says whether an allocation or start fails: "NBL", "memory descriptor", "map",
    "thread", "partial memory descriptor", "NBL pool", "adapter context"; by default nothing does."""

    def __init__(
        self,
        ndis: RecordingNdis | None = None,
        *,
        fails: Callable[[str], bool] = lambda what: False,
        handles: Callable[[Adapter], Sequence[tuple[op.Caller, int, object]]] = lambda adapter: (),
        close_handle: Callable[[op.Caller, int], op.Routine[None] | None] = lambda caller, handle: None,
    ) -> None:
        self.ndis = ndis or RecordingNdis()
        self.fails = fails
        self.threads: list[Thread] = []
        """Started and not ended, oldest first."""
        self._list_handles = handles
        self._close_handle = close_handle
        self._steps = 0
        self.ticks = 0
        """What the performance counter says; it stands still unless a test moves it."""
        self._effects: dict[type[op.Operation], Callable[[Any], Any]] = {
            **EFFECTS,
            op.Set: self._set,
            op.Clear: self._clear,
            op.Wait: self._wait,
            op.Spin: self._spin,
            op.Sleep: lambda operation: None,
            op.Yield: lambda operation: False,
            op.Work: lambda operation: None,
            op.ReadFrequency: lambda operation: FREQUENCY,
            op.ReadClock: lambda operation: self.ticks,
            op.StartThread: self._start_thread,
            op.Allocate: lambda operation: not self.fails(operation.pool.name) and allocated(operation.pool),
            op.Initialize: self._initialize,
            op.Dereference: lambda operation: None,
            op.MapPages: lambda operation: not self.fails("map"),
            op.CompleteSend: lambda operation: self.ndis.complete_send(operation.adapter, operation.chain),
            op.IndicateReceive: lambda operation: self.ndis.indicate_receive(operation.adapter, operation.nbl),
            op.IndicateLink: lambda operation: self.ndis.indicate_link(operation.adapter, operation.connected),
            op.ListHandles: lambda operation: list(self._list_handles(operation.adapter)),
            op.CloseHandle: lambda operation: self._close_handle(operation.caller, operation.handle),
            op.Acquire: self._acquire,
            op.TryAcquire: self._try_acquire,
            op.Release: self._release,
            op.AcquireShared: self._acquire_shared,
            op.ReleaseShared: self._release_shared,
        }

    # -- running ----------------------------------------------------------------------------------------------------

    def run(self, routine: op.Routine[T], name: str = "run") -> T:
        """Run a routine to its end and answer its result; then let everybody else go on.

        Raises `Blocked` when it cannot end; it stays started and may end later.
        """
        thread = self.start(routine, name)
        if not thread.ended.signalled:
            raise Blocked(name, thread.blocked_on)
        return thread.result  # type: ignore[no-any-return]

    def start(self, routine: op.Routine[Any], name: str = "thread") -> Thread:
        """Start a routine and run until nobody can go on."""
        thread = Thread(routine, name)
        self.threads.append(thread)
        self._advance(thread, None)
        self.settle()
        return thread

    def settle(self) -> None:
        """Run whoever can go on, oldest first, until nobody can: after a test has written to ring memory, say."""
        moved = True
        while moved:
            moved = False
            for thread in list(self.threads):
                if self._retry(thread):
                    moved = True

    def _retry(self, thread: Thread) -> bool:
        operation = thread.blocked_on
        if operation is None:
            # Started by another routine, has not run yet.
            self._advance(thread, None)
            return True
        result = self._perform(operation)
        if result is _BLOCKED:
            return False
        thread.blocked_on = None
        self._advance(thread, result)
        return True

    def _advance(self, thread: Thread, value: Any) -> None:
        while True:
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise ModelError(f"{thread.name} does not come to an end")
            try:
                operation = thread.routine.send(value)
            except StopIteration as stop:
                thread.result = stop.value
                thread.ended.signalled = True
                self.threads.remove(thread)
                return
            value = self._perform(operation)
            if value is _BLOCKED:
                thread.blocked_on = operation
                return

    def _perform(self, operation: op.Operation) -> Any:
        effect = self._effects.get(type(operation))
        if effect is None:
            raise ModelError(f"{operation!r} is outside the vocabulary of operations")
        return effect(operation)

    # -- operations that are this executor's own --------------------------------------------------------------------

    @staticmethod
    def _set(operation: op.Set) -> None:
        operation.event.signalled = True

    @staticmethod
    def _clear(operation: op.Clear) -> None:
        operation.event.signalled = False

    @staticmethod
    def _wait(operation: op.Wait) -> Any:
        for index, event in enumerate(operation.events):
            if event.signalled:
                event.consume(None)
                return index
        return _BLOCKED

    @staticmethod
    def _spin(operation: op.Spin) -> int:
        """One pass; then the deadline has come, since nothing can change meanwhile."""
        return operation.word.cells[operation.word.index]

    def _start_thread(self, operation: op.StartThread) -> Thread | None:
        if self.fails("thread"):
            operation.routine.close()
            return None
        thread = Thread(operation.routine, operation.name)
        self.threads.append(thread)
        return thread

    def _initialize(self, operation: op.Initialize) -> bool:
        if operation.what and self.fails(operation.what):
            return False
        operation.target.is_ready = True
        return True

    @staticmethod
    def _acquire(operation: op.Acquire) -> Any:
        if not operation.lock.is_free():
            return _BLOCKED
        operation.lock.exclusive = operation
        return None

    @staticmethod
    def _try_acquire(operation: op.TryAcquire) -> bool:
        if not operation.lock.is_free():
            return False
        operation.lock.exclusive = operation
        return True

    @staticmethod
    def _release(operation: op.Release) -> None:
        if operation.lock.exclusive is None:
            raise ModelError(f"{operation.lock.name} is released but not held")
        operation.lock.exclusive = None

    def _acquire_shared(self, operation: op.AcquireShared) -> Any:
        is_held = not operation.lock.is_free() and not operation.lock.shared
        if is_held or self._has_waiting_writer(operation.lock):
            return _BLOCKED
        operation.lock.shared += 1
        return None

    def _has_waiting_writer(self, lock: op.Lock) -> bool:
        """A waiting writer keeps new readers out (spec driver §7.1)."""
        waits = (thread.blocked_on for thread in self.threads)
        return any(isinstance(wait, op.Acquire) and wait.lock is lock for wait in waits)

    @staticmethod
    def _release_shared(operation: op.ReleaseShared) -> None:
        if not operation.lock.shared:
            raise ModelError(f"{operation.lock.name} is released but not held shared")
        operation.lock.shared -= 1


class SimpleCaller:
    """A process for tests: memory as bytearrays at made-up addresses, handles as a table."""

    def __init__(self, process_id: int = 4, *, is_local_system: bool = True) -> None:
        self.process_id = process_id
        self.is_local_system = is_local_system
        self.is_administrator = is_local_system
        self.integrity_level = 0x4000 if is_local_system else 0x2000
        self.is_32_bit = False
        self.memory: dict[int, bytearray] = {}
        self.handles: dict[int, tuple[object, int]] = {}
        self.read_only: set[int] = set()

    def reference_event(self, handle: int, access: int) -> tuple[int, op.Event | None]:
        """The object manager's answer: unknown handle, then wrong type, then missing rights."""
        target, granted = self.handles.get(handle, (None, 0))
        if target is None:
            return NtStatus.STATUS_INVALID_HANDLE, None
        if not isinstance(target, op.Event):
            return NtStatus.STATUS_OBJECT_TYPE_MISMATCH, None
        if access & ~granted:
            return NtStatus.STATUS_ACCESS_DENIED, None
        return NtStatus.STATUS_SUCCESS, target

    def lock_pages(self, address: int, size: int) -> SimplePages | None:
        """Pages inside one bytearray that may be written."""
        for base, block in self.memory.items():
            if base <= address and address + size <= base + len(block):
                if base in self.read_only:
                    return None
                return SimplePages(memoryview(block)[address - base : address - base + size])
        return None


class SimplePages:
    """Locked pages of a `SimpleCaller`."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.views: list[memoryview] = []
        self.is_locked = True

    def unlock(self) -> None:
        """Give the pages back."""
        self.is_locked = False
        self.view.release()
