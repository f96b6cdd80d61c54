"""Locks, and the operations on them."""

from __future__ import annotations

from collections import deque
from typing import Any

from wintun_model.errors import DriverFault
from wintun_model.operations_base import Operation


class Lock:
    """A lock of the kernel: spin lock, reader/writer spin lock or resource, by the operations used on it.

    A waiting exclusive holder keeps new shared holders out (spec driver §7.1). A lock is ready from its making on,
    unless `is_ready` is given as false: then it has to be initialized first. Whoever holds a spin lock (`is_spin`), or
    waits for one, keeps its processor.
    """

    __slots__ = (
        "acquire",
        "acquire_shared",
        "exclusive",
        "is_spin",
        "name",
        "release",
        "release_shared",
        "shared",
        "try_acquire",
        "waiters",
    )

    def __init__(self, name: str, *, is_ready: bool = True, is_spin: bool = False) -> None:
        self.name = name
        self.is_spin = is_spin
        self.exclusive: object | None = None
        self.shared = 0
        self.is_ready = is_ready
        self.waiters: deque[Any] = deque()
        self.acquire = Acquire(self)
        self.try_acquire = TryAcquire(self)
        self.release = Release(self)
        self.acquire_shared = AcquireShared(self)
        self.release_shared = ReleaseShared(self)

    @property
    def is_ready(self) -> bool:
        """Whether the lock was initialized and is not deleted yet."""
        return self.exclusive is not _NOT_READY

    @is_ready.setter
    def is_ready(self, is_ready: bool) -> None:
        # A lock that is not ready is one that nobody can take: so the way of a free lock needs no look at this.
        self.exclusive = None if is_ready else _NOT_READY

    def is_free(self) -> bool:
        """Whether nobody holds it. Raises `DriverFault` when it is not ready."""
        if self.exclusive is _NOT_READY:
            raise DriverFault(f"the driver uses {self.name} lock, which is not initialized, or deleted already")
        return self.exclusive is None and not self.shared

    def __repr__(self) -> str:
        return f"Lock({self.name})"


_NOT_READY = object()


class _LockOperation(Operation):
    __slots__ = ("lock",)

    def __init__(self, lock: Lock) -> None:
        self.lock = lock


class Acquire(_LockOperation):
    """Take a lock exclusively, waiting for it."""

    __slots__ = ()


class TryAcquire(_LockOperation):
    """Take a lock exclusively if that needs no waiting. Sends back whether it was taken."""

    __slots__ = ()


class Release(_LockOperation):
    """Release an exclusively held lock. On x64 that is interlocked, and so a barrier too (spec driver §7.1)."""

    __slots__ = ()


class AcquireShared(_LockOperation):
    """Take a lock shared, waiting for it."""

    __slots__ = ()


class ReleaseShared(_LockOperation):
    """Release a lock held shared."""

    __slots__ = ()
