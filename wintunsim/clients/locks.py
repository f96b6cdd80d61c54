"""``_thread``'s locks for simulated threads: free ones cost nothing, contended ones wait in virtual time.

As in CPython a lock is not handed over: a release wakes the oldest waiter, which then competes for it. Free locks cost
nothing
because how often ``threading`` and its like take one differs between versions of Python, and runs must not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from wintun_model.operations import Event

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

TIMEOUT_MAX = 4294967.0
"""The longest timeout in seconds that a lock takes on Windows."""


class Lock:
    """A lock. Subclassed for each process, which gives `client`."""

    client: ClassVar[ClientProcess]
    __slots__ = ("__weakref__", "_held", "_wake")

    def __init__(self) -> None:
        self._held = False
        self._wake: Event | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False when that is not possible in `timeout` seconds."""
        if timeout != -1:
            check_timeout(blocking, timeout)
        client = self.client
        if not self._held:
            self._held = True
            client.calls[0] += 1
            return True
        if not blocking or timeout == 0:
            client.calls[0] += 1
            return False
        return self._wait(timeout)

    def _wait(self, timeout: float) -> bool:
        client = self.client
        machine = client.machine
        if machine.current is None:
            return False
        deadline_ns = client.deadline_ns(timeout)
        wake = self._wake
        if wake is None:
            wake = self._wake = Event(client.new_lock_name(), manual_reset=False)
        try:
            while self._held:
                if machine.now >= deadline_ns:
                    return False
                client.interrupts.wait((wake,), deadline_ns)
        except BaseException:
            if not self._held:
                self._wake_one()
            raise
        self._held = True
        client.calls[0] += 1
        return True

    def _wake_one(self) -> None:
        wake = self._wake
        if wake is not None and wake.waiters:
            wake.signalled = True
            self.client.machine.signalled(wake)

    def release(self) -> None:
        """Give the lock back. Raises RuntimeError when nobody holds it."""
        if not self._held:
            raise RuntimeError("release unlocked lock")
        self._held = False
        if self._wake is not None:
            self._wake_one()

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return self._held

    def _at_fork_reinit(self) -> None:
        self._held = False
        self._wake = None

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked
    __enter__ = acquire

    def __exit__(self, *exception: object) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "locked" if self._held else "unlocked"
        return f"<{state} _thread.lock object at {id(self):#x}>"


class Sentinel(Lock):
    """The lock that tells ``threading`` of 3.11 and 3.12 that a thread has ended: who waits for it waits for the
    thread.
    """

    __slots__ = ("ended", "number")
    ended: Event
    number: int

    def __hash__(self) -> int:
        return self.number  # threading keeps these in a set, whose order must not depend on addresses

    def _wait(self, timeout: float) -> bool:
        client = self.client
        if client.machine.current is None:
            return False
        deadline_ns = client.deadline_ns(timeout)
        while not self.ended.signalled:
            if client.machine.now >= deadline_ns:
                return False
            client.interrupts.wait((self.ended,), deadline_ns)
        self._held = True
        return True


class RLock:
    """A lock that its owner may take again. Subclassed for each process, which gives `client`."""

    client: ClassVar[ClientProcess]
    lock_type: ClassVar[type[Lock]]
    __slots__ = ("__weakref__", "_count", "_lock", "_owner")

    def __init__(self) -> None:
        self._lock = self.lock_type()
        self._owner: Any = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, once more if need be; False when that is not possible in `timeout` seconds."""
        current = self.client.machine.current
        if self._owner is not None and self._owner is current:
            self._count += 1
            return True
        if self._lock.acquire(blocking, timeout):
            self._owner = current
            self._count = 1
            return True
        return False

    def release(self) -> None:
        """Give the lock back, once. Raises RuntimeError for anybody but the owner."""
        if self._owner is not self.client.machine.current or not self._count:
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if self._count == 0:
            self._owner = None
            self._lock.release()

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return self._count > 0

    def _is_owned(self) -> bool:
        return self._count > 0 and self._owner is self.client.machine.current

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def _release_save(self) -> tuple[int, Any]:
        if not self._count:
            raise RuntimeError("cannot release un-acquired lock")
        state = (self._count, self._owner)
        self._count, self._owner = 0, None
        self._lock.release()
        return state

    def _acquire_restore(self, state: tuple[int, Any]) -> None:
        self._lock.acquire()
        self._count, self._owner = state

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()
        self._count, self._owner = 0, None

    __enter__ = acquire

    def __exit__(self, *exception: object) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "locked" if self._count else "unlocked"
        return f"<{state} _thread.RLock object owner={self._owner} count={self._count} at {id(self):#x}>"


def check_timeout(blocking: bool, timeout: float) -> None:
    """Refuse the timeouts that CPython refuses."""
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > TIMEOUT_MAX or math.isnan(timeout):
        raise OverflowError("timeout value is too large")
