"""What operations do in virtual time: to memory, events, threads, locks, and around the driver (design §1).

Each effect is a function of what its operation's constructor takes. Its cost has passed when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from wintun_model import operations as op
from wintun_model.effects import PLAIN_EFFECTS, allocated, copy_in, copy_out, unlock_pages
from wintun_model.errors import ModelError
from wintun_model.trace import Kind
from wintunsim.kernel.machine import Machine, Thread
from wintunsim.kernel.processors import LimitedMachine

if TYPE_CHECKING:
    from wintun_model.adapter import Adapter, ReceiveNbl, SendChain

FREQUENCY = 10_000_000
"""Ticks a second of the performance counter (spec win32 §3)."""

TICK_NS = 1_000_000_000 // FREQUENCY

NOT_TRACED = -1
"""The trace number of a word whose stores are seen as the client's own."""

_STORE = int(Kind.STORE)


class Surroundings(Protocol):
    """What is around the driver: NDIS, handles, fault plans."""

    def complete_send(self, adapter: Adapter, chain: SendChain) -> op.Routine[None] | None: ...

    def indicate_receive(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None] | None: ...

    def indicate_link(self, adapter: Adapter, connected: bool) -> op.Routine[None] | None: ...

    def list_handles(self, adapter: Adapter) -> Sequence[tuple[op.Caller, int, object]]: ...

    def close_handle(self, caller: op.Caller, handle: int) -> op.Routine[None] | None: ...

    def allocate(self, what: str) -> bool: ...

    def pages_locked(self, pages: op.Pages) -> None: ...

    def pages_unlocked(self, pages: op.Pages) -> None: ...

    def poll(self) -> None:
        """See what clients stored in ring words."""

    def check_memory(self) -> None:
        """Raise `ClientFault` when registered memory that nobody holds has gone."""


class WordWatch:
    """Something to wait for: a shared word that differs from `value`.

    Watches of the same word share their waiters (`other` is one that is there), so each of them stands for all.
    """

    __slots__ = ("number", "value", "waiters", "word")

    def __init__(self, word: op.Word, value: int, other: WordWatch | None = None) -> None:
        self.number = 0
        self.waiters: list[Any] = [] if other is None else other.waiters
        self.word = word
        self.value = value

    @property
    def name(self) -> str:
        """What is waited for, in words."""
        return f"{self.word.name} moved"

    def is_signalled(self, thread: object) -> bool:
        """Whether the word differs now."""
        return self.word.cells[self.word.index] != self.value

    def consume(self, thread: object) -> None:
        """A wait changes nothing."""


class TimedEffects:
    """The effects of all operations on one machine. `table` holds them by the operation's class."""

    def __init__(self, machine: Machine, surroundings: Surroundings, run: Callable[[op.Routine[Any]], Any]) -> None:
        self.machine = machine
        self._record = machine.trace.record
        self._copy_ns = machine.prices.copy_ns
        self.surroundings = surroundings
        self._poll = surroundings.poll
        self._run = run
        self.spins: dict[op.Word, WordWatch] = {}
        """Words that a thread spins on."""
        self.same: dict[op.Word, op.Word] = {}
        """For a client's own word, the driver's at the same place in memory: it is that whose stores are seen."""
        self.table: dict[type[op.Operation], Callable[..., Any]] = {
            **PLAIN_EFFECTS,
            op.Store: self._store,
            op.CopyIn: self._copy_in,
            op.CopyOut: self._copy_out,
            op.Put: self._put,
            op.Set: machine.set_event,
            op.Clear: machine.clear_event,
            op.Wait: self._wait,
            op.Spin: self._spin,
            op.Sleep: self._sleep,
            op.Yield: machine.yield_processor,
            op.Work: machine.spend,
            op.ReadFrequency: self._frequency,
            op.ReadClock: self._clock,
            op.StartThread: self._start_thread,
            op.Allocate: self._allocate,
            op.Initialize: self._initialize,
            op.Dereference: self._dereference,
            op.LockPages: self._lock_pages,
            op.MapPages: self._map_pages,
            op.UnlockPages: self._unlock_pages,
            op.Acquire: self._acquire,
            op.TryAcquire: self._try_acquire,
            op.Release: self._release,
            op.AcquireShared: self._acquire_shared,
            op.ReleaseShared: self._release_shared,
            op.CompleteSend: surroundings.complete_send,
            op.IndicateReceive: surroundings.indicate_receive,
            op.IndicateLink: surroundings.indicate_link,
            op.ListHandles: surroundings.list_handles,
            op.CloseHandle: surroundings.close_handle,
        }

        if isinstance(machine, LimitedMachine):
            self.table |= self._raising(machine)

    def _raising(self, machine: LimitedMachine) -> dict[type[op.Operation], Callable[..., Any]]:
        """The operations on locks where it matters that a holder of a spin lock runs at DISPATCH_LEVEL."""

        def taking(effect: Callable[[op.Lock], Any]) -> Callable[[op.Lock], Any]:
            def take(lock: op.Lock) -> Any:
                answer = effect(lock)
                if lock.is_spin:
                    machine.raise_level(machine.current)
                return answer

            return take

        def releasing(effect: Callable[[op.Lock], None]) -> Callable[[op.Lock], None]:
            def release(lock: op.Lock) -> None:
                effect(lock)
                if lock.is_spin:
                    machine.lower_level(machine.current)

            return release

        return {
            op.Acquire: taking(self._acquire),
            op.AcquireShared: taking(self._acquire_shared),
            op.Release: releasing(self._release),
            op.ReleaseShared: releasing(self._release_shared),
        }

    def storing(self) -> Thread | None:
        """The thread whose store is being seen."""
        return self.machine.current

    def drain_all(self) -> None:
        """Let all stores be seen: here they are at once."""

    # -- memory -----------------------------------------------------------------------------------------------------

    def _store(self, word: op.Word, value: int) -> None:
        number = word.number
        if number == NOT_TRACED:
            word.cells[word.index] = value & 0xFFFFFFFF
            self._poll()
            return
        machine, cells, index = self.machine, word.cells, word.index
        thread = machine.current
        old = cells[index]
        cells[index] = value = value & 0xFFFFFFFF
        if not number:
            number = word.number = machine.trace.define(word.name, machine.now)
        self._record((machine.now, 0 if thread is None else thread.number, _STORE, number, value, old))
        if word.observer is not None:
            word.observer(old, value)
        if word in self.spins:
            machine.signalled(self.spins[word])

    def _copy_in(self, memory: op.PacketMemory, offset: int, data: bytes | None, size: int) -> None:
        self.machine.now += self._copy_ns(size)
        copy_in(memory, offset, data, size)

    def _copy_out(self, memory: op.PacketMemory, offset: int, size: int) -> bytes:
        self.machine.now += self._copy_ns(size)
        return copy_out(memory, offset, size)

    @staticmethod
    def _put(variable: op.Variable[Any], value: Any) -> None:
        variable.value = value
        if variable.observer is not None:
            variable.observer(value)

    # -- events, waits, threads -------------------------------------------------------------------------------------

    def _wait(self, events: tuple[op.Event, ...]) -> int:
        index = self.machine.wait(events)
        self.surroundings.check_memory()
        return index

    def _sleep(self, duration_ns: int, is_fine: bool = False) -> None:
        machine = self.machine
        until_ns = machine.now + duration_ns
        machine.block(until_ns if is_fine else machine.tick_after(until_ns))

    def _spin(self, word: op.Word, value: int, event: op.Event | None, limit_ticks: int, yields: bool = True) -> int:
        """One step: block until the word moves, the event is set or the deadline has passed, then load once more.

        A spinning thread notices within a pass; it sees what a client stored from the client's next call or loop
        iteration on, when the store becomes visible to the simulation.
        """
        if word.cells[word.index] == value and not (event is not None and event.signalled):
            machine, spins = self.machine, self.spins
            word = self.same.get(word, word)
            spins[word] = watch = WordWatch(word, value, spins.get(word))
            deadline_ns = machine.now + limit_ticks * TICK_NS
            try:
                machine.spin((watch,) if event is None else (watch, event), deadline_ns, yields=yields)
            finally:
                waiters = watch.waiters
                if not waiters:
                    last = spins.get(word)
                    if last is not None and last.waiters is waiters:
                        del spins[word]
            self.surroundings.check_memory()
        return word.cells[word.index]

    @staticmethod
    def _frequency() -> int:
        return FREQUENCY

    def _clock(self) -> int:
        return self.machine.now // TICK_NS

    def _start_thread(self, routine: op.Routine[None], name: str, priority: int) -> Thread | None:
        if not self.surroundings.allocate("thread"):
            routine.close()
            return None
        return self.machine.start_thread(
            name, lambda: self._run(routine), priority=priority, delay_ns=self.machine.prices.wake_ns()
        )

    # -- objects and pages ------------------------------------------------------------------------------------------

    def _allocate(self, pool: op.Pool) -> bool:
        return self.surroundings.allocate(pool.name) and allocated(pool)

    def _initialize(self, target: op.Lock | op.Pool, what: str = "") -> bool:
        if what and not self.surroundings.allocate(what):
            return False
        target.is_ready = True
        return True

    @staticmethod
    def _dereference(event: Any) -> None:
        event.pointer_count -= 1

    def _lock_pages(self, caller: op.Caller, address: int, size: int) -> op.Pages | None:
        pages = size // 4096 + 1
        self.machine.spend(pages * self.machine.costs.page_ps // 1000)
        locked = caller.lock_pages(address, size)
        if locked is not None:
            self.surroundings.pages_locked(locked)
        return locked

    def _map_pages(self, pages: op.Pages) -> bool:
        return self.surroundings.allocate("map")

    def _unlock_pages(self, pages: op.Pages) -> None:
        self.surroundings.pages_unlocked(pages)
        unlock_pages(pages)

    # -- locks ------------------------------------------------------------------------------------------------------

    def _acquire(self, lock: op.Lock) -> None:
        thread = self.machine.current
        if lock.exclusive is None and not lock.shared and not lock.waiters:
            lock.exclusive = thread
            return
        lock.is_free()
        lock.waiters.append((thread, True))
        self.machine.block_on(lock)

    def _try_acquire(self, lock: op.Lock) -> bool:
        if not lock.is_free() or lock.waiters:
            return False
        lock.exclusive = self.machine.current
        return True

    def _acquire_shared(self, lock: op.Lock) -> None:
        if lock.exclusive is None and not lock.waiters:
            lock.shared += 1
            return
        lock.is_free()
        lock.waiters.append((self.machine.current, False))
        self.machine.block_on(lock)

    def _release(self, lock: op.Lock) -> None:
        if lock.exclusive is None:
            raise ModelError(f"{lock.name} is released but not held")
        lock.exclusive = None
        if lock.waiters:
            self._hand_over(lock)

    def _release_shared(self, lock: op.Lock) -> None:
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
            delay_ns = machine.prices.contended_lock_ns() if lock.is_spin else machine.costs.pass_ns
            machine.make_ready(thread, machine.now + delay_ns)
            if is_exclusive:
                return
