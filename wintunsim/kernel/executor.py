"""The virtual-time executor: every operation costs virtual ns, blocking ones block (design §1).

`run` performs a routine on the current thread. The order of things in one step: its cost passes, so whoever is due
before it runs; then it takes effect, at `machine.now`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from wintun_model import operations as op
from wintun_model.effects import EFFECTS, copy_in, copy_out
from wintun_model.errors import DriverFault, ModelError
from wintun_model.trace import Kind
from wintunsim.kernel.machine import Machine, Thread, ThreadKilled

if TYPE_CHECKING:
    from wintun_model.adapter import Adapter, ReceiveNbl, SendChain

T = TypeVar("T")

FREQUENCY = 10_000_000
"""Ticks a second of the performance counter (spec win32 §3)."""

TICK_NS = 1_000_000_000 // FREQUENCY

_STORE = int(Kind.STORE)


_UNCLOCKED = frozenset(
    (
        op.Append,
        op.CountReceived,
        op.CountSent,
        op.Free,
        op.Get,
        op.IsSet,
        op.LoadByte,
        op.LoadSize,
        op.MarkCompleted,
        op.ReadFrequency,
        op.StoreSize,
        op.TakeCompleted,
    )
)
_CLOCKED = frozenset(
    (
        op.Acquire,
        op.AcquireShared,
        op.CopyIn,
        op.CopyOut,
        op.Put,
        op.Release,
        op.ReleaseShared,
        op.TryAcquire,
    )
)
"""Private operations, without and with a use for the clock: nobody is let in before them.

They cost time, but take effect together with the visible operation before them. They touch what their thread alone may
touch then (state under a lock that it holds, ring bytes that are not published or not given back yet), or a flag or
lock for which any order is one that a real machine may take. So runs need a third of the thread switches. What is
ordered exactly: ring words, events, waits, calls to NDIS. (The exploring executor orders everything.)
"""
_VISIBLE = 2


def _clock_use(kind: type[op.Operation]) -> int:
    return 0 if kind in _UNCLOCKED else 1 if kind in _CLOCKED else _VISIBLE


class Surroundings(Protocol):
    """What is around the driver: NDIS, handles, fault plans."""

    def complete_send(self, adapter: Adapter, chain: SendChain) -> op.Routine[None] | None: ...

    def indicate_receive(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None] | None: ...

    def indicate_link(self, adapter: Adapter, connected: bool) -> op.Routine[None] | None: ...

    def list_handles(self, adapter: Adapter) -> list[tuple[op.Caller, int]]: ...

    def close_handle(self, caller: op.Caller, handle: int) -> op.Routine[None] | None: ...

    def allocate(self, what: str) -> bool: ...

    def pages_unlocked(self, pages: op.Pages) -> None: ...

    def check_memory(self) -> None:
        """Raise `ClientFault` when registered memory that nobody holds has gone."""


class WordWatch:
    """Something to wait for: a shared word that differs from `value`."""

    def __init__(self, word: op.Word, value: int) -> None:
        self.name = f"{word.name} moved"
        self.number = 0
        self.waiters: list[Any] = []
        self.word = word
        self.value = value

    def is_signalled(self, thread: object) -> bool:
        """Whether the word differs now."""
        return self.word.cells[self.word.index] != self.value

    def consume(self, thread: object) -> None:
        """A wait changes nothing."""


class Executor:
    """Performs routines in virtual time for all threads of one machine."""

    def __init__(self, machine: Machine, surroundings: Surroundings) -> None:
        self.machine = machine
        self._record = machine.trace.record
        self.surroundings = surroundings
        self.spins: dict[op.Word, WordWatch] = {}
        """Words that a thread spins on."""
        costs = machine.costs
        own: dict[type[op.Operation], Callable[[Any], Any]] = {
            op.Store: self._store,
            op.CopyIn: self._copy_in,
            op.CopyOut: self._copy_out,
            op.Put: self._put,
            op.Set: self._set,
            op.Clear: self._clear,
            op.Wait: self._wait,
            op.Spin: self._spin,
            op.ReadFrequency: self._frequency,
            op.StartThread: self._start_thread,
            op.Allocate: self._allocate,
            op.Free: self._nothing,
            op.Dereference: self._dereference,
            op.LockPages: self._lock_pages,
            op.MapPages: self._map_pages,
            op.UnlockPages: self._unlock_pages,
            op.Acquire: self._acquire,
            op.TryAcquire: self._try_acquire,
            op.Release: self._release,
            op.AcquireShared: self._acquire_shared,
            op.ReleaseShared: self._release_shared,
            op.CompleteSend: self._complete_send,
            op.IndicateReceive: self._indicate_receive,
            op.IndicateLink: self._indicate_link,
            op.ListHandles: self._list_handles,
            op.CloseHandle: self._close_handle,
        }
        cost_of: dict[type[op.Operation], int] = {
            op.Fence: costs.fence_ns,
            op.Set: costs.event_ns,
            op.Clear: costs.event_ns,
            op.Wait: costs.event_ns,
            op.Spin: costs.pass_ns,
            op.StartThread: costs.thread_ns,
            op.Allocate: costs.allocate_ns,
            op.Free: costs.allocate_ns,
            op.Acquire: costs.lock_ns,
            op.TryAcquire: costs.lock_ns,
            op.AcquireShared: costs.lock_ns,
            op.CompleteSend: costs.ndis_ns,
            op.IndicateReceive: costs.ndis_ns,
            op.IndicateLink: costs.ndis_ns,
        }
        handlers = {**EFFECTS, **own}
        self._table: dict[type[op.Operation], tuple[Callable[[Any], Any], int, int]] = {
            kind: (handler, cost_of.get(kind, costs.load_ns), _clock_use(kind)) for kind, handler in handlers.items()
        }

    # -- running ----------------------------------------------------------------------------------------------------

    def run(self, routine: op.Routine[T]) -> T:
        """Run a routine to its end on the current thread, in virtual time, and answer its result."""
        machine = self.machine
        table = self._table
        send = routine.send
        value: Any = None
        now = machine.now
        try:
            while True:
                operation = send(value)
                handler, cost, clock_use = table[operation.__class__]
                now += cost
                if clock_use:
                    machine.now = now
                    if clock_use == _VISIBLE and now > machine.horizon:
                        machine.give_way()
                    value = handler(operation)
                    now = machine.now
                else:
                    value = handler(operation)
        except StopIteration as stop:
            machine.now = now
            return stop.value  # type: ignore[no-any-return]
        except ValueError as error:
            if "released memoryview" in str(error):
                raise DriverFault("the driver touched ring memory that it had already given back") from error
            raise
        except KeyError as error:
            if isinstance(error.args[0], type):
                raise ModelError(f"{error.args[0].__name__} is outside the vocabulary of operations") from error
            raise

    def request(self, routine: op.Routine[T]) -> T:
        """Run a routine in kernel mode: a thread that is terminated meanwhile ends only when the routine has ended."""
        thread = self.machine.current
        if thread is None or thread.is_killed:
            raise ThreadKilled
        self.surroundings.check_memory()
        thread.kernel_depth += 1
        try:
            return self.run(routine)
        finally:
            thread.kernel_depth -= 1
            if thread.is_doomed and not thread.kernel_depth:
                self.machine.kill(thread)

    # -- memory -----------------------------------------------------------------------------------------------------

    def _store(self, operation: op.Store) -> None:
        word = operation.word
        machine = self.machine
        thread = machine.current
        old = word.cells[word.index]
        value = operation.value & 0xFFFFFFFF
        word.cells[word.index] = value
        number = word.number
        if not number:
            number = word.number = machine.trace.define(word.name, machine.now)
        self._record((machine.now, thread.number if thread else 0, _STORE, number, value, old))
        if word.observer is not None:
            word.observer(old, value)
        if word in self.spins:
            machine.signalled(self.spins[word])

    def _copy_in(self, operation: op.CopyIn) -> None:
        machine = self.machine
        machine.now -= operation.size * machine.costs.copy_ps_per_byte // -1000
        copy_in(operation)

    def _copy_out(self, operation: op.CopyOut) -> bytes:
        self.machine.now += self.machine.costs.copy_ns(operation.size)
        return copy_out(operation)

    @staticmethod
    def _put(operation: op.Put) -> None:
        variable = operation.variable
        variable.value = operation.value
        if variable.observer is not None:
            variable.observer(operation.value)

    @staticmethod
    def _nothing(operation: op.Operation) -> None:
        pass

    # -- events, waits, threads -------------------------------------------------------------------------------------

    def _set(self, operation: op.Set) -> None:
        self.machine.set_event(operation.event)

    def _clear(self, operation: op.Clear) -> None:
        self.machine.clear_event(operation.event)

    def _wait(self, operation: op.Wait) -> int:
        index = self.machine.wait(operation.events)
        self.surroundings.check_memory()
        return index

    def _spin(self, operation: op.Spin) -> int:
        """One step: block until the word moves, the event is set or the deadline has passed, then load once more.

        A spinning thread notices within a pass; it sees what a client stored from the client's next call or loop
        iteration on, when the store becomes visible to the simulation.
        """
        machine, word = self.machine, operation.word
        watch = WordWatch(word, operation.value)
        if not watch.is_signalled(None) and not operation.event.signalled:
            self.spins[word] = watch
            deadline_ns = machine.now + operation.limit_ticks * TICK_NS
            try:
                machine.wait_quietly((watch, operation.event), deadline_ns, machine.costs.pass_ns)
            finally:
                del self.spins[word]
            self.surroundings.check_memory()
        return word.cells[word.index]

    @staticmethod
    def _frequency(operation: op.ReadFrequency) -> int:
        return FREQUENCY

    def _start_thread(self, operation: op.StartThread) -> Thread | None:
        if not self.surroundings.allocate("thread"):
            operation.routine.close()
            return None
        routine = operation.routine
        return self.machine.start_thread(
            operation.name, lambda: self.run(routine), priority=operation.priority, delay_ns=self.machine.costs.wake_ns
        )

    # -- objects and pages ------------------------------------------------------------------------------------------

    def _allocate(self, operation: op.Allocate) -> bool:
        return self.surroundings.allocate(operation.what)

    @staticmethod
    def _dereference(operation: op.Dereference) -> None:
        event: Any = operation.event
        event.pointer_count -= 1

    def _lock_pages(self, operation: op.LockPages) -> op.Pages | None:
        pages = operation.size // 4096 + 1
        self.machine.spend(pages * self.machine.costs.page_ps // 1000)
        return operation.caller.lock_pages(operation.address, operation.size)

    def _map_pages(self, operation: op.MapPages) -> bool:
        return self.surroundings.allocate("map")

    def _unlock_pages(self, operation: op.UnlockPages) -> None:
        self.surroundings.pages_unlocked(operation.pages)
        EFFECTS[op.UnlockPages](operation)

    # -- locks ------------------------------------------------------------------------------------------------------

    def _acquire(self, operation: op.Acquire) -> None:
        lock = operation.lock
        thread = self.machine.current
        if lock.exclusive is None and not lock.shared and not lock.waiters:
            lock.exclusive = thread
            return
        lock.waiters.append((thread, True))
        self.machine.block_on(lock)

    def _try_acquire(self, operation: op.TryAcquire) -> bool:
        lock = operation.lock
        if not lock.is_free() or lock.waiters:
            return False
        lock.exclusive = self.machine.current
        return True

    def _acquire_shared(self, operation: op.AcquireShared) -> None:
        lock = operation.lock
        if lock.exclusive is None and not lock.waiters:
            lock.shared += 1
            return
        lock.waiters.append((self.machine.current, False))
        self.machine.block_on(lock)

    def _release(self, operation: op.Release) -> None:
        lock = operation.lock
        if lock.exclusive is None:
            raise ModelError(f"{lock.name} is released but not held")
        lock.exclusive = None
        if lock.waiters:
            self._hand_over(lock)

    def _release_shared(self, operation: op.ReleaseShared) -> None:
        lock = operation.lock
        if not lock.shared:
            raise ModelError(f"{lock.name} is released but not held shared")
        lock.shared -= 1
        if lock.waiters:
            self._hand_over(lock)

    def _hand_over(self, lock: op.Lock) -> None:
        """Give a lock to the first waiter: to one exclusive holder, or to all shared ones up to the next exclusive."""
        machine = self.machine
        while lock.waiters:
            thread, is_exclusive = lock.waiters[0]
            if thread.is_killed:
                lock.waiters.popleft()
                continue
            if is_exclusive:
                if not lock.is_free():
                    return
                lock.exclusive = thread
            else:
                if lock.exclusive is not None:
                    return
                lock.shared += 1
            lock.waiters.popleft()
            machine.make_ready(thread, machine.now + machine.costs.pass_ns)
            if is_exclusive:
                return

    # -- calls out of the driver ------------------------------------------------------------------------------------

    def _complete_send(self, operation: op.CompleteSend) -> op.Routine[None] | None:
        return self.surroundings.complete_send(operation.adapter, operation.chain)

    def _indicate_receive(self, operation: op.IndicateReceive) -> op.Routine[None] | None:
        return self.surroundings.indicate_receive(operation.adapter, operation.nbl)

    def _indicate_link(self, operation: op.IndicateLink) -> op.Routine[None] | None:
        return self.surroundings.indicate_link(operation.adapter, operation.connected)

    def _list_handles(self, operation: op.ListHandles) -> list[tuple[op.Caller, int]]:
        return self.surroundings.list_handles(operation.adapter)

    def _close_handle(self, operation: op.CloseHandle) -> op.Routine[None] | None:
        return self.surroundings.close_handle(operation.caller, operation.handle)
