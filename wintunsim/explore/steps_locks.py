"""Locks, events and waits in an explored state (spec driver §7.1, win32 §3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wintun_model import operations as op
from wintunsim.explore.layout import NOT_READY
from wintunsim.explore.program import BLOCKED, Node
from wintunsim.explore.steps_base import BaseSteps
from wintunsim.explore.violation import after_free
from wintunsim.explore.writes import State, Write


class LockSteps(BaseSteps):
    """A lock's slot holds None when it is free, its holder's index when it is held, and -n when n share it.

    Whoever wants a reader/writer lock exclusively announces itself first, if it has to wait: from then on no new reader
    gets in. An event's slot holds True, False, or the indices of the threads that wait for it, in the order of arrival.
    """

    def held_after(self, node: Node, key: Any) -> int:
        """The locks that a thread holds exclusively after an operation had the result `key`."""
        match node.operation:
            case op.Acquire(lock=lock):
                return node.held | self.machine.layout.masks[self._lock(lock)]
            case op.TryAcquire(lock=lock) if key:
                return node.held | self.machine.layout.masks[self._lock(lock)]
            case op.Release(lock=lock):
                return node.held & ~self.machine.layout.masks[self._lock(lock)]
        return node.held

    # -- locks ------------------------------------------------------------------------------------------------------

    def _lock(self, lock: op.Lock) -> int:
        layout = self.machine.layout
        slot = layout.slot(lock, f"{lock.name} lock", None if lock.is_ready else NOT_READY)
        if id(lock) not in self.machine.try_masks:
            self.machine.try_masks[id(lock)] = layout.bit()
        return slot

    def _try_mask(self, target: op.Lock | op.Pool) -> int:
        """The bit of a lock that says that it may be looked at without waiting."""
        return self.machine.try_masks.get(id(target), 0)

    def _waiting(self, lock: op.Lock) -> int:
        """The slot that counts who waits for a reader/writer lock exclusively."""
        return self.machine.layout.slot(lock, f"{lock.name} lock writers", 0, "writers")

    def _lock_node(self, node: Node, lock: op.Lock, verb: str) -> tuple[int, Callable[[State], Any]]:
        """The lock's slot, and what looks at it: Violation where there is no lock, or no memory that it is in."""
        slot = self._lock(lock)
        # It may have been compiled before, as that of a lock that nobody takes shared.
        node.reads, node.guard = 0, None
        node.drains = True
        node.text = f"{verb} {lock.name} lock"
        guard = self.context_guard(node, lock)
        node.enablers = self.machine.layout.masks[slot] | self._try_mask(lock)

        def look(state: State) -> Any:
            if guard is not None:
                guard(state)
            held = state[slot]
            if held is NOT_READY:
                raise after_free(f"the driver uses the {lock.name} lock, which is not initialized, or deleted")
            return held

        return slot, look

    def _acquire(self, node: Node, operation: op.Acquire) -> None:
        lock, index = operation.lock, node.thread.index
        self.machine.lock_nodes.setdefault(id(lock), []).append(node)
        slot, look = self._lock_node(node, lock, "acquire")
        node.writes = self.machine.layout.masks[slot]
        if self.machine.is_shared_lock(lock) and self.machine.rules.waiting_writer_excludes_readers:
            self._acquire_announced(node, lock, slot, look)
            return
        node.guard = _is_free(slot)

        def acquire(state: State, node: Node) -> None:
            look(state)
            state[slot] = index

        node.step = acquire

    def _acquire_announced(self, node: Node, lock: op.Lock, slot: int, look: Callable[[State], Any]) -> None:
        """Two steps when it has to wait: announce itself, then take the lock when the last one is out."""
        index, writers = node.thread.index, self._waiting(lock)
        twin = self._twin(node)
        twin.guard = _is_free(slot)
        twin.drains = True
        thread_slot = node.thread.slot
        node.writes |= self.machine.layout.masks[writers]

        def announce(state: State, node: Node) -> Any:
            if look(state) is None:
                state[slot] = index
                return None
            state[writers] += 1
            state[thread_slot] = twin
            return BLOCKED

        def take(state: State, twin: Node) -> None:
            look(state)
            state[writers] -= 1
            state[slot] = index

        node.step = announce
        twin.step = take

    def _twin(self, node: Node) -> Node:
        twin = Node(node.thread, node.parent, node.key, node.operation)
        twin.twin_of = node
        twin.children = node.children
        twin.sent = node.sent
        twin.text = f"waits: {node.text}"
        node.blocked = twin
        return twin

    def _try_acquire(self, node: Node, operation: op.TryAcquire) -> None:
        lock, index = operation.lock, node.thread.index
        slot, look = self._lock_node(node, lock, "try to acquire")
        node.writes = self.machine.layout.masks[slot] | self._try_mask(lock)

        def try_acquire(state: State, node: Node) -> bool:
            if look(state) is not None:
                return False
            state[slot] = index
            return True

        node.step = try_acquire

    def _release(self, node: Node, operation: op.Release) -> None:
        lock, index = operation.lock, node.thread.index
        self.machine.lock_nodes.setdefault(id(lock), []).append(node)
        slot, look = self._lock_node(node, lock, "release")

        def release(state: State) -> None:
            if look(state) != index:
                raise after_free(f"the {lock.name} lock is released by who does not hold it")
            state[slot] = None

        if self.machine.is_tso and not self.machine.rules.release_drains:
            # A plain store: the lock is free once it has left the store buffer.
            node.drains = False
            mask = self.machine.layout.masks[slot] | self._try_mask(lock)
            self._write(node, Write(slot, None, None, node.reads, mask, release, f"{lock.name} is released"))
            return
        # Nobody who waits for the lock can come before its release: only who does not wait can tell the difference.
        node.writes = self._try_mask(lock)
        if self.machine.is_shared_lock(lock):
            node.writes |= self.machine.layout.masks[slot]
        node.step = lambda state, node: release(state)

    def _acquire_shared(self, node: Node, operation: op.AcquireShared) -> None:
        lock = operation.lock
        self.machine.note_shared(lock)
        slot, look = self._lock_node(node, lock, "acquire shared")
        node.reads |= self.machine.layout.masks[slot]
        excludes = self.machine.rules.waiting_writer_excludes_readers
        writers = self._waiting(lock)
        node.reads |= self.machine.layout.masks[writers]
        node.enablers |= self.machine.layout.masks[writers]

        def may_enter(state: State) -> bool:
            held = state[slot]
            if excludes and state[writers]:
                return False
            return held is None or held is NOT_READY or held < 0

        node.guard = may_enter

        def acquire_shared(state: State, node: Node) -> None:
            held = look(state)
            state[slot] = -1 if held is None else held - 1

        node.step = acquire_shared

    def _release_shared(self, node: Node, operation: op.ReleaseShared) -> None:
        lock = operation.lock
        self.machine.note_shared(lock)
        slot, look = self._lock_node(node, lock, "release shared")
        node.reads |= self.machine.layout.masks[slot]

        def release_shared(state: State, node: Node) -> None:
            held = look(state)
            if held is None or held >= 0:
                raise after_free(f"the {lock.name} lock is released, but nobody shares it")
            state[slot] = None if held == -1 else held + 1

        node.step = release_shared

    # -- events -----------------------------------------------------------------------------------------------------

    def _event(self, event: op.Event) -> int:
        return self.machine.layout.slot(event, event.name, event.signalled)

    def _set(self, node: Node, operation: op.Set) -> None:
        event = operation.event
        slot = self._event(event)
        node.drains = True
        node.writes = self.machine.layout.masks[slot]
        self.machine.event_nodes.setdefault(slot, []).append(node)
        node.text = f"set {event.name}"
        guard = self.context_guard(node, event)
        machine, manual = self.machine, event.manual_reset

        def set_event(state: State, node: Node) -> None:
            if guard is not None:
                guard(state)
            now = state[slot]
            if now is True:
                return
            if now is False:
                state[slot] = True
                return
            # The waiters are let go by the setting itself: an auto-reset event lets one go and stays clear.
            if manual:
                state[slot] = True
                for index in now:
                    machine.let_go(state, index, slot)
            else:
                machine.let_go(state, now[0], slot)

        node.step = set_event

    def _clear(self, node: Node, operation: op.Clear) -> None:
        event = operation.event
        slot = self._event(event)
        node.drains = True
        node.writes = self.machine.layout.masks[slot]
        node.text = f"clear {event.name}"
        guard = self.context_guard(node, event)

        def clear(state: State, node: Node) -> None:
            if guard is not None:
                guard(state)
            if state[slot] is True:
                state[slot] = False

        node.step = clear

    def _is_set(self, node: Node, operation: op.IsSet) -> None:
        slot = self._event(operation.event)
        node.reads = self.machine.layout.masks[slot]
        node.text = f"read {operation.event.name}"
        guard = self.context_guard(node, operation.event)

        def is_set(state: State, node: Node) -> bool:
            if guard is not None:
                guard(state)
            return state[slot] is True

        node.step = is_set

    def _wait(self, node: Node, operation: op.Wait) -> None:
        events = operation.events
        slots = [self._event(event) for event in events]
        automatic = [not event.manual_reset for event in events]
        node.drains = True
        node.text = "wait for " + " or ".join(event.name for event in events)
        guards = [guard for event in events if (guard := self.context_guard(node, event)) is not None]
        self.machine.wait_together(slots)
        for slot in slots:
            node.writes |= self.machine.layout.masks[slot]
        node.enablers = node.writes
        twin = self._twin(node)
        twin.guard = lambda state: False
        twin.text = f"waits for {' or '.join(event.name for event in events)}"
        index, thread_slot = node.thread.index, node.thread.slot
        self.machine.waits[id(twin)] = slots

        def wait(state: State, node: Node) -> Any:
            for guard in guards:
                guard(state)
            for place, slot in enumerate(slots):
                if state[slot] is True:
                    if automatic[place]:
                        state[slot] = False
                    return place
            for slot in slots:
                now = state[slot]
                state[slot] = (*now, index) if now else (index,)
            state[thread_slot] = twin
            return BLOCKED

        node.step = wait


def _is_free(slot: int) -> Callable[[State], bool]:
    def is_free(state: State) -> bool:
        held = state[slot]
        return held is None or held is NOT_READY

    return is_free
