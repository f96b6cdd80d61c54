"""Simulated processes: threads, handles, memory and account of one program (spec win32 §2)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from wintun_model.operations import Event
from wintun_model.trace import Kind
from wintunsim.kernel.handles import HandleTable
from wintunsim.kernel.machine import Machine, Thread, ThreadKilled


class Account(Enum):
    """Who a process runs as."""

    SYSTEM = "system"
    ADMINISTRATOR = "administrator"
    USER = "user"


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
        self.threads: list[Thread] = []
        self.main_thread: Thread | None = None
        self.exit_code: int | None = None
        """None while the process runs."""
        self.ended = Event(f"{name} ended", manual_reset=True)
        self.trace_number = machine.trace.define(name, machine.time())
        self.local: dict[Any, Any] = {}
        """What layers above keep for each process, by their own keys."""
        self.exit_callbacks: list[Callable[[Process], None]] = []
        """Called, in order, when the process ends: after its threads are gone."""
        self._threads_started = 0
        self.is_exiting = False

    def start_thread(self, function: Callable[[], object], name: str = "", *, priority: int = 8) -> Thread:
        """Start a thread of this process. The first one is its main thread: when it ends, the process ends."""
        self._threads_started += 1
        label = name or ("main" if self._threads_started == 1 else f"thread {self._threads_started}")
        thread = self.machine.start_thread(f"{self.name}/{label}", function, process=self, priority=priority)
        thread.thread_id = self.process_id + 100_000 * self.number + 4 * self._threads_started
        self.threads.append(thread)
        if self.main_thread is None:
            self.main_thread = thread
            self.machine.trace.record((self.machine.time(), 0, Kind.PROCESS_START, self.trace_number, 0, 0))
        return thread

    def exit(self, exit_code: int) -> None:
        """End the process: its other threads are terminated, then its handles closed.

        In one of its own threads, which is where it must be called unless it holds no device, this does not come back.
        """
        if self.is_exiting:
            raise ThreadKilled
        self.is_exiting = True
        machine = self.machine
        current = machine.current
        for thread in self.threads:
            if thread is not current:
                machine.kill(thread)
        self.exit_code = exit_code & 0xFFFFFFFF
        for callback in self.exit_callbacks:
            callback(self)
        machine.trace.record((machine.time(), 0, Kind.PROCESS_END, self.trace_number, self.exit_code, 0))
        machine.set_event(self.ended)
        if current is not None and current in self.threads:
            machine.kill(current)
