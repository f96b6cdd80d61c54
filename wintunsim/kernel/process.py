"""Simulated processes: threads, handles, memory and account of one program (spec win32 §2)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from types import FrameType
from typing import Any

from wintun_model.dispatch import IntegrityLevel
from wintun_model.operations import Event
from wintun_model.status import NtStatus
from wintun_model.trace import Kind
from wintunsim.kernel.handles import HandleTable
from wintunsim.kernel.machine import Machine, Thread
from wintunsim.kernel.memory import AddressSpace
from wintunsim.kernel.objects import EventObject
from wintunsim.kernel.registered import RegisteredPages


class Account(Enum):
    """Who a process runs as."""

    SYSTEM = "system"
    ADMINISTRATOR = "administrator"
    USER = "user"


_INTEGRITY_LEVELS = {
    Account.SYSTEM: IntegrityLevel.SYSTEM,
    Account.ADMINISTRATOR: IntegrityLevel.HIGH,
    Account.USER: IntegrityLevel.MEDIUM,
}
"""What the processes of an account run at: an administrator's are elevated."""


class Process:
    """A simulated process.

    `number` is 1 for the first process of a simulation and so on; `process_id` and thread ids are simulated values,
    multiples of 4 as on Windows. `ended` is signalled when the process has ended.
    """

    def __init__(self, machine: Machine, number: int, name: str, account: Account = Account.SYSTEM) -> None:
        self.machine = machine
        self.number = number
        self.name = name
        self.account = account
        self.process_id = 1000 + 4 * number
        self.handles = HandleTable()
        self.memory = AddressSpace()
        self.threads: list[Thread] = []
        self.main_thread: Thread | None = None
        self.exit_code: int | None = None
        """None while the process runs."""
        self.ended = Event(f"{name} ended", manual_reset=True)
        self.trace_number = machine.trace.define(name, machine.time())
        self.local: dict[Any, Any] = {}
        """What layers above keep for each process, by their own keys."""
        self.exit_callbacks: list[Callable[[Process], None]] = []
        """Called, in order, when the process ends: after its threads are gone, before its handles are closed."""
        self.ended_callbacks: list[Callable[[Process], None]] = []
        """Called, in order, when the process has ended."""
        self._threads_started = 0
        self.is_exiting = False

    def start_thread(self, function: Callable[[], object], name: str = "", *, priority: int = 8) -> Thread:
        """Start a thread of this process. The first one is its main thread, which ends the process by `exit`."""
        self._threads_started += 1
        label = name or ("main" if self._threads_started == 1 else f"thread {self._threads_started}")
        thread = self.machine.start_thread(f"{self.name}/{label}", function, process=self, priority=priority)
        thread.thread_id = self.process_id + 100_000 * self.number + 4 * self._threads_started
        self.threads.append(thread)
        if self.main_thread is None:
            self.main_thread = thread
            self.machine.trace.record((self.machine.time(), 0, Kind.PROCESS_START, self.trace_number, 0, 0))
        return thread

    @property
    def is_local_system(self) -> bool:
        """Whether the process runs as LocalSystem (spec driver §5, access check)."""
        return self.account is Account.SYSTEM

    @property
    def is_administrator(self) -> bool:
        """Whether the process's token holds the Administrators group: LocalSystem's does too."""
        return self.account is not Account.USER

    @property
    def integrity_level(self) -> int:
        """The integrity level of the process's token (spec driver §9, access from 0.12 on)."""
        return _INTEGRITY_LEVELS[self.account]

    @property
    def is_32_bit(self) -> bool:
        """Whether this is a 32-bit process: simulated processes are 64-bit ones."""
        return False

    def reference_event(self, handle: int, access: int) -> tuple[int, Event | None]:
        """What the object manager answers a driver that references an event handle of this process (spec driver §5)."""
        entry = self.handles.get(handle)
        if entry is None:
            return NtStatus.STATUS_INVALID_HANDLE, None
        if not isinstance(entry.target, EventObject):
            return NtStatus.STATUS_OBJECT_TYPE_MISMATCH, None
        if access & ~entry.access:
            return NtStatus.STATUS_ACCESS_DENIED, None
        entry.target.pointer_count += 1
        return NtStatus.STATUS_SUCCESS, entry.target

    def lock_pages(self, address: int, size: int) -> RegisteredPages | None:
        """Lock down pages of this process for writing; None when one is missing or read-only (spec driver §5, 7)."""
        if not self.memory.is_accessible(address, size, write=True):
            return None
        return RegisteredPages(self.memory, address, size, [self._frame_of(thread) for thread in self.threads])

    def _frame_of(self, thread: Thread) -> FrameType | None:
        if thread is self.machine.current:
            return sys._getframe()
        frame: FrameType | None = getattr(thread.greenlet, "gr_frame", None)
        return frame

    def exit(self, exit_code: int) -> None:
        """End the process: its other threads, what the driver does then (spec driver §6.3), its handles and memory.

        Called in a thread, which it does not come back to if that is one of the process's own. Threads that are in the
        kernel end when their requests do, and are waited for.
        """
        machine = self.machine
        current = machine.current
        if self.is_exiting:
            if current is not None and current in self.threads:
                machine.kill(current)
            return
        self.is_exiting = True
        others = [thread for thread in self.threads if thread is not current and not thread.ended.signalled]
        for thread in others:
            machine.kill(thread)
        for thread in others:
            if not thread.ended.signalled:
                machine.wait((thread.ended,))
        for callback in self.exit_callbacks:
            callback(self)
        for handle in self.handles.values():
            self.handles.close(handle)
        self.memory.close()
        self.exit_code = exit_code & 0xFFFFFFFF
        machine.trace.record((machine.time(), 0, Kind.PROCESS_END, self.trace_number, self.exit_code, 0))
        machine.set_event(self.ended)
        for callback in self.ended_callbacks:
            callback(self)
        if current is not None and current in self.threads:
            machine.kill(current)
