"""Pools, pages, objects, calls and threads in an explored state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wintun_model import operations as op
from wintunsim.explore.layout import NOT_READY
from wintunsim.explore.observations import AreLocked
from wintunsim.explore.program import Node
from wintunsim.explore.steps_memory import MemorySteps
from wintunsim.explore.violation import Property, Violation, after_free, freed_too_often
from wintunsim.explore.writes import State


class ObjectSteps(MemorySteps):
    """Compiles the nodes of what allocates, frees, locks pages, calls out of the driver or starts threads."""

    silent: Callable[[op.Operation | None], Callable[[], Any] | None]

    def _pool(self, pool: op.Pool) -> int:
        return self.machine.layout.slot(pool, pool.name, pool.outstanding if pool.is_ready else NOT_READY)

    def _allocate(self, node: Node, operation: op.Allocate) -> None:
        pool = operation.pool
        slot = self._pool(pool)
        node.drains = True
        node.text = f"allocate {pool.name}"
        # Counting up and down commutes: only making and deleting the pool is in the way.
        node.reads = self.machine.layout.masks[slot]
        if pool.name in self.machine.failing:
            node.choices = 2

        def allocate(state: State, node: Node) -> bool:
            if state[slot] is NOT_READY:
                raise after_free(f"the driver allocates {pool.name} where there is no pool for it")
            if node.choices == 2 and self.machine.choice:
                return False
            state[slot] += 1
            return True

        node.step = allocate

    def _free(self, node: Node, operation: op.Free) -> None:
        pool = operation.pool
        slot = self._pool(pool)
        node.drains = True
        node.text = f"free {pool.name}"
        is_context = self.machine.is_context(pool)
        if is_context:
            node.writes = self.machine.layout.masks[slot]
        else:
            # What others allocate meanwhile must not decide: the count is looked at when an execution ends.
            node.reads = self.machine.layout.masks[slot]
            self.machine.counted_pools[slot] = pool.name

        def free(state: State, node: Node) -> None:
            if state[slot] is NOT_READY:
                raise after_free(f"the driver frees {pool.name} to a pool that is deleted already")
            if is_context and not state[slot]:
                raise freed_too_often(pool.name)
            state[slot] -= 1

        node.step = free

    def _initialize(self, node: Node, operation: op.Initialize) -> None:
        target = operation.target
        node.drains = True
        node.text = f"initialize {target.name}"
        slot = self._lock(target) if isinstance(target, op.Lock) else self._pool(target)
        node.writes = self.machine.layout.masks[slot] | self._try_mask(target)
        ready = None if isinstance(target, op.Lock) else 0
        if operation.what and operation.what in self.machine.failing:
            node.choices = 2
        guard = self.context_guard(node, target)

        def initialize(state: State, node: Node) -> bool:
            if guard is not None:
                guard(state)
            if node.choices == 2 and self.machine.choice:
                return False
            state[slot] = ready
            return True

        node.step = initialize

    def _delete(self, node: Node, operation: op.Delete) -> None:
        target = operation.target
        node.drains = True
        node.text = f"delete {target.name}"
        slot = self._lock(target) if isinstance(target, op.Lock) else self._pool(target)
        node.writes = self.machine.layout.masks[slot] | self._try_mask(target)

        def delete(state: State, node: Node) -> None:
            state[slot] = NOT_READY

        node.step = delete

    def _reference_event(self, node: Node, operation: op.ReferenceEvent) -> None:
        node.drains = True
        node.text = "reference event"
        caller, handle, access = operation.caller, operation.handle, operation.access
        node.step = lambda state, node: caller.reference_event(handle, access)

    def _lock_pages(self, node: Node, operation: op.LockPages) -> None:
        """Locked pages are new ones for each time that this thread locks some, and seen at addresses of their own."""
        machine = self.machine
        node.drains = True
        node.text = "lock pages"
        ordinal = sum(isinstance(before.operation, op.LockPages) for before, _ in node.history())
        pages = machine.pages(node.thread.index, ordinal, operation)
        if pages is None:
            node.step = lambda state, node: None
            return
        slot = pages.slot
        node.writes = machine.layout.masks[slot]

        def lock(state: State, node: Node) -> Any:
            state[slot] = True
            return pages

        node.step = lock

    def _unlock_pages(self, node: Node, operation: op.UnlockPages) -> None:
        slot = node.thread.canonical(operation.pages).slot
        node.drains = True
        node.text = "unlock pages"
        node.writes = self.machine.layout.masks[slot]

        def unlock(state: State, node: Node) -> None:
            if not state[slot]:
                raise after_free("the driver unlocks pages that it has unlocked already")
            state[slot] = False

        node.step = unlock

    def _read_descriptor(self, node: Node, operation: op.ReadDescriptor) -> None:
        slot = node.thread.canonical(operation.pages).slot
        node.reads = self.machine.layout.masks[slot]
        node.text = "read memory descriptor"

        def read(state: State, node: Node) -> None:
            if not state[slot]:
                raise after_free("the driver reads the memory descriptor of ring pages that it has already unlocked")

        node.step = read

    def _are_locked(self, node: Node, operation: AreLocked) -> None:
        slot = node.thread.canonical(operation.pages).slot
        node.reads = self.machine.layout.masks[slot]
        node.text = "look for locked pages"
        node.step = lambda state, node: state[slot]

    def _read_object(self, node: Node, operation: op.ReadObject) -> None:
        target: Any = operation.target
        slot = self._variable(target.released)
        node.reads = self.machine.layout.masks[slot]
        node.text = f"read {target}"

        def read(state: State, node: Node) -> None:
            if state[slot]:
                raise after_free(f"the driver reads {target}, which is released already")

        node.step = read

    # -- calls out of the driver, threads ---------------------------------------------------------------------------

    def _count(self, node: Node, operation: Any) -> None:
        guard = self.context_guard(node, operation.statistics)
        node.text = "count"
        node.step = lambda state, node: None if guard is None else guard(state)

    def _complete_send(self, node: Node, operation: op.CompleteSend) -> None:
        """NDIS gets its chain back: once."""
        chain: Any = self.machine.entry(node, operation.chain)
        slot = self.machine.layout.slot(chain, "chain", 0, "completed")
        node.writes = self.machine.layout.masks[slot]
        node.text = "complete send"
        ndis, adapter = self.machine.ndis, operation.adapter
        node.sent[None] = lambda: ndis.complete_send(adapter, chain)

        def complete(state: State, node: Node) -> None:
            if state[slot]:
                raise Violation(Property.COMPLETED_ONCE, "a chain of NBLs is completed to NDIS for the second time")
            state[slot] = 1

        node.step = complete

    def _call(self, node: Node, text: str) -> None:
        """A call that changes nothing itself; only seen where silent operations are not passed over."""
        node.text = text
        operation = node.operation
        node.sent[None] = self.silent(operation)
        node.step = lambda state, node: None

    def _indicate_receive(self, node: Node, operation: op.IndicateReceive) -> None:
        self._call(node, "indicate receive")

    def _indicate_link(self, node: Node, operation: op.IndicateLink) -> None:
        self._call(node, f"indicate link {'up' if operation.connected else 'down'}")

    def _close_handle(self, node: Node, operation: op.CloseHandle) -> None:
        self._call(node, f"close handle {operation.handle:#x}")

    def _list_handles(self, node: Node, operation: op.ListHandles) -> None:
        """The handles that are open now."""
        machine = self.machine
        handles = machine.handles_of(operation.adapter)
        slots = [self._variable(handle.open) for handle in handles]
        node.text = "list handles"
        for slot in slots:
            node.reads |= machine.layout.masks[slot]

        def list_handles(state: State, node: Node) -> Any:
            return tuple(
                (handle.caller, handle.value, handle.file_object)
                for handle, slot in zip(handles, slots, strict=True)
                if state[slot]
            )

        node.step = list_handles

    def _start_thread(self, node: Node, operation: op.StartThread) -> None:
        machine = self.machine
        node.drains = True
        node.text = f"start {operation.name}"
        if "thread" in machine.failing:
            node.choices = 2
        program = machine.started_by(node, operation)
        slot, handle, root = program.slot, program.handle, program
        node.writes = machine.layout.masks[slot]

        def start(state: State, node: Node) -> Any:
            if node.choices == 2 and machine.choice:
                return None
            state[slot] = root.root
            return handle

        node.step = start
