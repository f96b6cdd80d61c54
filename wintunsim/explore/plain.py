"""A plain executor for one schedule: fresh routines on real objects, one operation after the other.

It shares nothing with the explorer's trees and states: memory is bytes, locks and events are the nouns themselves, and
what does not block is done by the model's own table of effects. So it is the explorer's cross-check.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from wintun_model import operations as op
from wintun_model.abi import RING_HEADER_BYTES
from wintun_model.adapter import WholeRing
from wintun_model.effects import EFFECTS
from wintun_model.errors import ModelError
from wintunsim.explore.layout import Region
from wintunsim.explore.program import fields_of
from wintunsim.explore.world import World

STORES = (op.Store, op.StoreSize, op.CopyIn, op.Put, op.MarkCompleted)
LOADS = (op.Load, op.Spin, op.LoadSize, op.LoadByte, op.CopyOut, op.Get)
NEEDS_NO_DRAIN = (
    *STORES, *LOADS, op.IsSet, op.ReadDescriptor, op.ReadObject, op.ListHandles, op.CountSent, op.CountReceived,
    op.IndicateReceive, op.IndicateLink, op.CloseHandle, op.ReadFrequency, op.ReadClock, op.Yield, op.MapPages,
    op.Sleep, op.Work, op.Dereference,
)  # fmt: skip
"""What is not interlocked, and no call into the system: it may be done while stores wait in the buffer."""
_WAITS = object()
SETUP_STEPS_MAX = 10_000


Buffered = tuple[Any, Any, Callable[[], object]]
"""A store: (where, what, how it becomes visible)."""


class NotDeterministic(ModelError):
    """An execution that is run again does not go the same way, or comes to something else."""


class _Pages:
    """Pages that a thread locked down, as a view of the ring's own memory."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.views: list[memoryview] = []

    def unlock(self) -> None:
        """Nothing: whoever uses them then has a released view."""


class PlainThread:
    """A routine that runs. `operation` is its next one; None at its end, where `result` is what it returned."""

    def __init__(self, title: str, routine: op.Routine[Any], ended: op.Event | None) -> None:
        self.title = title
        self.routine = routine
        self.ended = ended
        self.operation: op.Operation | None = None
        self.result: Any = None
        self.waits = False
        """Whether it waits in an event's queue, or as a lock's announced writer."""
        self.buffer: deque[Buffered] = deque()
        """Stores that nobody else sees yet, oldest first."""


class PlainRun:
    """A fresh world, set up and ready to be run by a schedule. The world must not be used for anything else."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.machine = world.machine
        for region in self.machine.layout.regions:
            self._fill(region)
        self._queues: dict[int, list[PlainThread]] = {}
        self._writers: dict[int, int] = {}
        self.outcome = 0
        self.threads: list[PlainThread] = []
        """In the order of their letters."""
        self._effects: dict[type[op.Operation], Callable[[PlainThread, Any], Any]] = {
            op.Acquire: self._acquire,
            op.TryAcquire: self._try_acquire,
            op.Release: self._release,
            op.AcquireShared: self._acquire_shared,
            op.ReleaseShared: self._release_shared,
            op.Set: self._set,
            op.Wait: self._wait,
            op.StartThread: self._start_thread,
            op.LockPages: self._lock_pages,
            op.Allocate: self._allocate,
            op.Initialize: self._initialize,
            op.ReadObject: lambda thread, operation: None,
            op.ReadDescriptor: lambda thread, operation: None,
            op.ListHandles: self._list_handles,
            op.Clear: self._clear,
            op.CompleteSend: lambda thread, operation: self._ndis.complete_send(operation.adapter, operation.chain),
        }
        self._ndis = world.ndis
        self._set_up()

    def _fill(self, region: Region) -> None:
        """Memory of a ring as it is at first."""
        initial = self.machine.layout.initial
        words = b"".join(initial[slot].to_bytes(4, "little") for slot in region.words)
        region.backing[:] = words + initial[region.data]

    def _set_up(self) -> None:
        programs = list(self.machine.programs)
        for program in programs:
            if program.is_set_up:
                self._run_alone(self._new(program.name, program.factory(), None))
        started, self.threads = self.threads, []
        for program in programs:
            if not program.is_set_up:
                self.threads.append(self._new(program.name, program.factory(), None))
        for thread in started:
            self.threads.append(thread)
            self._run_alone(thread)

    def _run_alone(self, thread: PlainThread) -> None:
        for _ in range(SETUP_STEPS_MAX):
            if thread.buffer:
                self.flush(thread)
            elif thread.operation is None or not self.is_able(thread):
                return
            else:
                self.step(thread, 0)

    # -- running ----------------------------------------------------------------------------------------------------

    def _new(self, title: str, routine: op.Routine[Any], ended: op.Event | None) -> PlainThread:
        thread = PlainThread(title, routine, ended)
        self._advance(thread, None)
        return thread

    def _advance(self, thread: PlainThread, value: Any) -> None:
        """Send a result in; go past what nobody can see."""
        if thread.ended is not None and thread.operation is thread.ended.set:
            thread.operation = None
            return
        try:
            operation = thread.routine.send(value)
            while self.machine.passes_silent and (silent := self.machine.steps.silent(operation)) is not None:
                operation = thread.routine.send(silent())
            thread.operation = operation
        except StopIteration as stop:
            thread.result = stop.value
            thread.operation = None if thread.ended is None else thread.ended.set

    def flush(self, thread: PlainThread) -> None:
        """The oldest store of a thread becomes visible. NotDeterministic when there is none."""
        if not thread.buffer:
            raise NotDeterministic(f"{thread.title} has no store to flush in the plain run")
        thread.buffer.popleft()[2]()

    def is_able(self, thread: PlainThread) -> bool:
        """Whether a thread can take its next step."""
        operation = thread.operation
        if operation is None or (thread.buffer and not isinstance(operation, NEEDS_NO_DRAIN)):
            return False
        if isinstance(operation, op.FenceAll) and any(other.buffer for other in self.threads):
            return False
        if isinstance(operation, op.AcquireShared):
            lock = operation.lock
            excluded = self.machine.rules.waiting_writer_excludes_readers and self._writers.get(id(lock))
            return not excluded and (lock.exclusive is None or not lock.is_ready)
        if isinstance(operation, op.Acquire) and thread.waits:
            return operation.lock.is_free()
        return not thread.waits

    def step(self, thread: PlainThread, outcome: int) -> Any:
        """Perform a thread's next operation: its result, or `PlainRun.WAITS`. NotDeterministic when it cannot."""
        operation = thread.operation
        if operation is None or not self.is_able(thread):
            raise NotDeterministic(f"{thread.title} cannot go on in the plain run: {described(operation)}")
        self.outcome = outcome
        result: Any = None
        if isinstance(operation, STORES):
            self._store(thread, operation)
        elif isinstance(operation, LOADS):
            result = self._load(thread, operation)
        elif type(operation) in self._effects:
            result = self._effects[type(operation)](thread, operation)
        elif (silent := self.machine.steps.silent(operation)) is not None:
            result = silent()
        else:
            result = EFFECTS[type(operation)](operation)
        if result is not _WAITS:
            self._advance(thread, result)
        return result

    WAITS = _WAITS
    """The result of an operation that waits."""

    # -- memory -----------------------------------------------------------------------------------------------------

    def _store(self, thread: PlainThread, operation: Any) -> None:
        for store in _stores_of(operation):
            if self.machine.is_tso:
                thread.buffer.append(store)
            else:
                store[2]()

    @staticmethod
    def _load(thread: PlainThread, operation: Any) -> Any:
        if isinstance(operation, op.Get):
            for where, what, _ in reversed(thread.buffer):
                if where is operation.variable:
                    return what
            return operation.variable.value
        address, size = _place_of(operation)
        data = bytearray(ctypes.string_at(address, size))
        for where, what, _ in thread.buffer:
            if isinstance(where, int):
                for place, byte in enumerate(what, where - address):
                    if 0 <= place < size:
                        data[place] = byte
        return bytes(data) if isinstance(operation, op.CopyOut) else int.from_bytes(data, "little")

    # -- locks and events -------------------------------------------------------------------------------------------

    def _acquire(self, thread: PlainThread, operation: op.Acquire) -> Any:
        lock = operation.lock
        if not lock.is_free():
            if not self.machine.rules.waiting_writer_excludes_readers:
                raise NotDeterministic(f"{thread.title} cannot go on in the plain run: {described(operation)}")
            self._writers[id(lock)] = self._writers.get(id(lock), 0) + 1
            thread.waits = True
            return _WAITS
        if thread.waits:
            self._writers[id(lock)] -= 1
            thread.waits = False
        lock.exclusive = thread
        return None

    @staticmethod
    def _try_acquire(thread: PlainThread, operation: op.TryAcquire) -> bool:
        if not operation.lock.is_free():
            return False
        operation.lock.exclusive = thread
        return True

    @staticmethod
    def _release(thread: PlainThread, operation: op.Release) -> None:
        operation.lock.exclusive = None

    @staticmethod
    def _acquire_shared(thread: PlainThread, operation: op.AcquireShared) -> None:
        operation.lock.shared += 1

    @staticmethod
    def _release_shared(thread: PlainThread, operation: op.ReleaseShared) -> None:
        operation.lock.shared -= 1

    def _set(self, thread: PlainThread, operation: op.Set) -> None:
        event = operation.event
        queue = self._queues.get(id(event), [])
        if not queue:
            event.signalled = True
            return
        event.signalled = event.manual_reset
        for waiter in list(queue) if event.manual_reset else queue[:1]:
            events = waiter.operation.events  # type: ignore[union-attr]
            for other in events:
                self._queues[id(other)].remove(waiter)
            waiter.waits = False
            self._advance(waiter, events.index(event))

    @staticmethod
    def _clear(thread: PlainThread, operation: op.Clear) -> None:
        operation.event.signalled = False

    def _wait(self, thread: PlainThread, operation: op.Wait) -> Any:
        for index, event in enumerate(operation.events):
            if event.signalled:
                event.consume(thread)
                return index
        for event in operation.events:
            self._queues.setdefault(id(event), []).append(thread)
        thread.waits = True
        return _WAITS

    # -- the rest ---------------------------------------------------------------------------------------------------

    def _start_thread(self, thread: PlainThread, operation: op.StartThread) -> Any:
        if self.outcome:
            operation.routine.close()
            return None
        started = self._new(operation.name, operation.routine, op.Event(f"{operation.name} ended", manual_reset=True))
        self.threads.append(started)
        return started

    def _lock_pages(self, thread: PlainThread, operation: op.LockPages) -> Any:
        place: Any = operation.caller.lock_pages(operation.address, operation.size)
        if place is None:
            return None
        region, offset = place
        return _Pages(memoryview(region.backing)[offset : offset + operation.size])

    def _allocate(self, thread: PlainThread, operation: op.Allocate) -> bool:
        if self.outcome:
            return False
        operation.pool.outstanding += 1
        return True

    def _initialize(self, thread: PlainThread, operation: op.Initialize) -> bool:
        if self.outcome:
            return False
        operation.target.is_ready = True
        return True

    def _list_handles(self, thread: PlainThread, operation: op.ListHandles) -> Any:
        handles = self.machine.handles_of(operation.adapter)
        return tuple((handle.caller, handle.value, handle.file_object) for handle in handles if handle.open.value)


def _stores_of(operation: Any) -> list[Buffered]:
    """What an operation stores. A header in front of a packet is several stores when it hits the ring's words."""
    if isinstance(operation, op.Put):
        variable, value = operation.variable, operation.value
        return [(variable, value, lambda: setattr(variable, "value", value))]
    if isinstance(operation, op.MarkCompleted):
        return [(operation.entry, None, lambda: EFFECTS[op.MarkCompleted](operation))]
    address, size = _place_of(operation)
    if not isinstance(operation, op.CopyIn):
        return [_bytes_at(address, (operation.value & 0xFFFFFFFF).to_bytes(4, "little"))]
    data = bytes(size) if operation.data is None else operation.data[:size]
    offset = operation.offset
    if not isinstance(operation.memory, WholeRing) or offset >= RING_HEADER_BYTES:
        return [_bytes_at(address, data)]
    ends = sorted({offset, *(end for end in (4, 8, 12) if offset < end < offset + size), offset + size})
    parts = [_bytes_at(address + a - offset, data[a - offset : b - offset]) for a, b in pairwise(ends)]
    return parts[-1:] + parts[:-1] if offset + size > RING_HEADER_BYTES else parts


def _bytes_at(address: int, data: bytes) -> Buffered:
    return address, data, lambda: ctypes.memmove(address, data, len(data))


def _place_of(operation: Any) -> tuple[int, int]:
    """(address, size) of what a load or a store is about."""
    cells: Any
    if isinstance(operation, op.Load | op.Store | op.Spin):
        cells, offset, size = operation.word.cells, 4 * operation.word.index, 4
    else:
        cells, offset = operation.memory.data, operation.offset
        size = 4 if isinstance(operation, op.LoadSize | op.StoreSize) else getattr(operation, "size", 1)
    return ctypes.addressof(ctypes.c_char.from_buffer(cells)) + offset, size


def described(value: Any) -> str:
    """An operation, or what is sent back for one, as text that is the same in every run."""
    if isinstance(value, op.Operation):
        parts = [f"{name}={described(getattr(value, name))}" for name in fields_of(type(value))]
        return f"{type(value).__name__}({', '.join(parts)})"
    if value is None or isinstance(value, bool | int | str | bytes):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(described(part) for part in value)}]"
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else "something"
