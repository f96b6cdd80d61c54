"""Store buffers: a store stays with its processor for a while before others see it, as on x86 (spec driver §10, B3).

What an x86 processor stores waits in its store buffer until it owns the cache line. Meanwhile its own loads see the new
value and everybody else's the old one; stores leave in their order. A full barrier waits until the buffer is empty, and
so does everything interlocked: taking and releasing locks, setting, clearing and waiting for events (spec driver §7.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from wintun_model import operations as op
from wintun_model.trace import Kind
from wintunsim.kernel.effects import NOT_TRACED, Surroundings, TimedEffects
from wintunsim.kernel.machine import Machine, Thread

DRAINING: tuple[type[op.Operation], ...] = (
    op.Fence,
    op.Acquire,
    op.TryAcquire,
    op.Release,
    op.AcquireShared,
    op.ReleaseShared,
    op.Set,
    op.Clear,
    op.Wait,
    op.Sleep,
    op.Yield,
)
"""Operations that empty the store buffer of their processor before they take effect."""


class BufferedEffects(TimedEffects):
    """Effects on a machine where each store of a ring word stays in its thread's buffer for `store_buffer_ns`.

    Packet bytes are seen at once: whoever may read them has seen a ring word that was stored after them. A thread's
    buffer goes with it to another processor; in life it is emptied then, and switching takes longer than any buffer.
    """

    def __init__(
        self,
        machine: Machine,
        surroundings: Surroundings,
        run: Callable[[op.Routine[Any]], Any],
        store_buffer_ns: int,
    ) -> None:
        super().__init__(machine, surroundings, run)
        self.store_buffer_ns = store_buffer_ns
        self._buffers: dict[Thread, deque[tuple[int, op.Word, int]]] = {}
        """Of each thread (number of the store, word, value), oldest first."""
        self._number = 0
        self._committing: Thread | None = None
        self.table[op.Store] = self._store_later
        self.table[op.Load] = self._load
        for kind in DRAINING:
            self.table[kind] = self._after_draining(self.table[kind])
        self.table[op.FenceAll] = self._drain_everywhere

    def storing(self) -> Thread | None:
        """The thread whose store is being seen."""
        return self._committing or self.machine.current

    def drain_all(self) -> None:
        """Let all stores be seen: for the end of a run."""
        self.machine.now = self.machine.latest
        self._drain_everywhere()

    def _drain_everywhere(self) -> None:
        for thread in self._buffers:
            self._commit(thread, self._number)

    def _store_later(self, word: op.Word, value: int) -> None:
        machine = self.machine
        thread = machine.current
        assert thread is not None
        self._number += 1
        self._buffers.setdefault(thread, deque()).append((self._number, word, value & 0xFFFFFFFF))
        machine.call_at(machine.now + self.store_buffer_ns, partial(self._commit_due, thread, self._number))

    def _load(self, word: op.Word) -> int:
        thread = self.machine.current
        if thread is not None:
            for _, stored, value in reversed(self._buffers.get(thread, ())):
                if stored is word:
                    return value
        return word.cells[word.index]

    def _commit_due(self, thread: Thread, number: int) -> None:
        # Outside of any thread, so there is no thread's time to keep.
        self.machine.now = self.machine.time()
        self._commit(thread, number)

    def _commit(self, thread: Thread, number: int) -> None:
        """Let a thread's stores up to that number be seen, as far as they have not been."""
        buffer = self._buffers[thread]
        while buffer and buffer[0][0] <= number:
            _, word, value = buffer.popleft()
            self._committing = thread
            self._make_visible(thread, word, value)
            self._committing = None

    def _make_visible(self, thread: Thread, word: op.Word, value: int) -> None:
        machine = self.machine
        old = word.cells[word.index]
        word.cells[word.index] = value
        if word.number == NOT_TRACED:
            self.surroundings.poll()
            return
        if not word.number:
            word.number = machine.trace.define(word.name, machine.now)
        machine.trace.record((machine.now, thread.number, int(Kind.STORE), word.number, value, old))
        if word.observer is not None:
            word.observer(old, value)
        if word in self.spins:
            machine.signalled(self.spins[word])

    def _after_draining(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def drain(*fields: Any) -> Any:
            thread = self.machine.current
            if thread is not None and self._buffers.get(thread):
                self._commit(thread, self._number)
            return effect(*fields)

        return drain
