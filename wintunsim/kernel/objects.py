"""Kernel objects that handles name and threads wait for (spec win32 §2, §3)."""

from __future__ import annotations

from typing import Any

from wintun_model.operations import Event
from wintunsim.kernel.machine import FOREVER, Machine, Thread


class KernelObject:
    """A reference-counted object. It dies when its last handle is closed and no pointer to it is left.

    `handle_count` counts handles in all processes, `pointer_count` the kernel's own references.
    """

    type_name = "Object"

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.waiters: list[Any] = []
        self.handle_count = 0
        self.pointer_count = 0

    def is_signalled(self, thread: object) -> bool:
        """Objects that are no synchronisation objects are never signalled."""
        return False

    def consume(self, thread: object) -> None:
        """What a satisfied wait does to the object."""

    def last_handle_closed(self) -> None:
        """Called once the last handle is gone."""


class EventObject(Event):
    """An event that handles name."""

    __slots__ = ("handle_count", "object_name", "pointer_count")

    type_name = "Event"

    def __init__(self, name: str, *, manual_reset: bool, signalled: bool, object_name: str | None = None) -> None:
        super().__init__(name, manual_reset=manual_reset, signalled=signalled)
        self.object_name = object_name
        self.handle_count = 0
        self.pointer_count = 0

    def last_handle_closed(self) -> None:
        """Nothing to do: whoever waits or holds a reference keeps the event."""


class Mutex(KernelObject):
    """A mutex: owned by a thread, any number of times; abandoned when that thread ends.

    `is_abandoned` stays set until the next owner has been told (spec win32 §3, WAIT_ABANDONED).
    """

    type_name = "Mutant"

    def __init__(self, machine: Machine, name: str, owner: Thread | None = None) -> None:
        super().__init__(name)
        self.machine = machine
        self.owner: Thread | None = None
        self.depth = 0
        self.is_abandoned = False
        if owner is not None:
            self.consume(owner)

    def is_signalled(self, thread: object) -> bool:
        return self.owner is None or self.owner is thread

    def consume(self, thread: object) -> None:
        assert isinstance(thread, Thread)
        if self.owner is None:
            self.owner = thread
            thread.ended.waiters.append(_Abandonment(self))
        self.depth += 1

    def release(self, thread: Thread) -> bool:
        """Release once. False when `thread` does not own the mutex. The caller signals it when it became free."""
        if self.owner is not thread:
            return False
        self.depth -= 1
        if not self.depth:
            self.owner = None
            waiters = thread.ended.waiters
            waiters[:] = [item for item in waiters if not (isinstance(item, _Abandonment) and item.mutex is self)]
        return True


class _Abandonment:
    """Stands among those who wait for a thread's end, for a mutex that the thread owns."""

    wait_all = False
    waiting_for = ""

    def __init__(self, mutex: Mutex) -> None:
        self.mutex = mutex
        self.wait_objects = (self,)

    def is_signalled(self, thread: object) -> bool:
        """The owner has ended: pass the mutex on. The machine, which asks, has nobody to wake for this."""
        mutex = self.mutex
        mutex.owner, mutex.depth, mutex.is_abandoned = None, 0, True
        mutex.machine.signalled(mutex)
        return False


class Semaphore(KernelObject):
    """A counting semaphore."""

    type_name = "Semaphore"

    def __init__(self, name: str, count: int, maximum: int) -> None:
        super().__init__(name)
        self.count = count
        self.maximum = maximum

    def is_signalled(self, thread: object) -> bool:
        return self.count > 0

    def consume(self, thread: object) -> None:
        self.count -= 1


class Timer(KernelObject):
    """A waitable timer; `high_resolution` ones are not bound to the system timer's tick."""

    type_name = "Timer"

    def __init__(self, machine: Machine, name: str, *, manual_reset: bool, high_resolution: bool) -> None:
        super().__init__(name)
        self.machine = machine
        self.manual_reset = manual_reset
        self.high_resolution = high_resolution
        self.signalled = False
        self._setting = 0

    def is_signalled(self, thread: object) -> bool:
        return self.signalled

    def consume(self, thread: object) -> None:
        if not self.manual_reset:
            self.signalled = False

    def set(self, due_ns: int, period_ns: int = 0) -> None:
        """Start the timer: due at `due_ns`, then every `period_ns` (0: once). Starting it makes it unsignalled."""
        self._setting += 1
        self.signalled = False
        self._arm(due_ns, period_ns, self._setting)

    def cancel(self) -> None:
        """Stop the timer; its state stays."""
        self._setting += 1

    def last_handle_closed(self) -> None:
        self.cancel()

    def _arm(self, due_ns: int, period_ns: int, setting: int) -> None:
        at = due_ns if self.high_resolution else self.machine.tick_after(due_ns)
        if at >= FOREVER:
            return

        def expire() -> None:
            if setting != self._setting:
                return
            self.signalled = True
            self.machine.signalled(self)
            if period_ns:
                self._arm(due_ns + period_ns, period_ns, setting)

        self.machine.call_at(at, expire)


class ThreadObject(KernelObject):
    """A thread as handles name it: signalled once it has ended."""

    type_name = "Thread"

    def __init__(self, thread: Thread) -> None:
        super().__init__(thread.name)
        self.thread = thread
        self.waiters = thread.ended.waiters

    def is_signalled(self, thread: object) -> bool:
        return self.thread.ended.signalled


class ProcessObject(KernelObject):
    """A process as handles name it: signalled once it has ended."""

    type_name = "Process"

    def __init__(self, process: Any) -> None:
        super().__init__(process.name)
        self.process = process
        self.waiters = process.ended.waiters

    def is_signalled(self, thread: object) -> bool:
        return bool(self.process.ended.signalled)


class Section(KernelObject):
    """A file mapping object backed by the paging file: `memory` is what the address space made for it."""

    type_name = "Section"

    def __init__(self, name: str, memory: Any, size_bytes: int) -> None:
        super().__init__(name)
        self.memory = memory
        self.size_bytes = size_bytes
