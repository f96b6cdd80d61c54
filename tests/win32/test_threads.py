"""Threads, processes, locks of user mode, thread-local storage, exceptions in thunks."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from win32_face import INFINITE, Face

from wintun_model.errors import ClientFault
from wintunsim.errors import UsageError
from wintunsim.kernel.machine import ThreadKilled
from wintunsim.kernel.process import Account
from wintunsim.kernel.system import System
from wintunsim.win32.loader import Loader

START = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)
CURRENT_PROCESS, CURRENT_THREAD, STILL_ACTIVE = 2**64 - 1, 2**64 - 2, 259


def address_of(callback: Any) -> int:
    return ctypes.cast(callback, ctypes.c_void_p).value or 0


def test_create_thread_calls_a_c_function(face: Face) -> None:
    seen: list[Any] = []

    @START
    def start(argument: Any) -> int:
        seen.append((argument, face.GetCurrentThreadId()))
        face.Sleep(20)
        return 42

    def main() -> None:
        thread_id, code = ctypes.c_uint32(), ctypes.c_uint32()
        thread = face.CreateThread(0, 0, address_of(start), 0x77, 0, thread_id)
        assert face.GetExitCodeThread(thread, code) and code.value == STILL_ACTIVE
        assert face.WaitForSingleObject(thread, INFINITE) == 0
        assert face.GetExitCodeThread(thread, code) and code.value == 42
        assert seen == [(0x77, thread_id.value)]
        assert thread_id.value != face.GetCurrentThreadId()

    face.run(main)


def test_a_suspended_thread_waits_for_its_resume(face: Face) -> None:
    ran: list[int] = []
    start = START(lambda argument: ran.append(1) or 0)

    def main() -> None:
        thread = face.CreateThread(0, 0, address_of(start), None, 4, None)
        face.Sleep(20)
        assert not ran
        assert face.ResumeThread(thread) == 1
        assert face.WaitForSingleObject(thread, INFINITE) == 0
        assert ran and face.ResumeThread(thread) == 0

    face.run(main)


def test_terminated_and_exiting_threads(face: Face) -> None:
    after: list[int] = []

    def sleeper() -> None:
        face.Sleep(INFINITE)
        after.append(1)

    def leaver() -> None:
        face.Sleep(20)
        face.ExitThread(5)
        after.append(2)

    def main() -> None:
        codes = []
        for function in (sleeper, leaver):
            thread = face.thread(function)
            handle = face.OpenThread(0x1FFFFF, 0, thread.thread_id)
            if function is sleeper:
                face.Sleep(20)
                assert face.TerminateThread(handle, 4)
            assert face.WaitForSingleObject(handle, INFINITE) == 0
            code = ctypes.c_uint32()
            face.GetExitCodeThread(handle, code)
            codes.append(code.value)
        assert codes == [4, 5]

    face.run(main)
    assert not after


def test_a_killed_thread_gets_no_further_call(face: Face) -> None:
    """A client that catches everything still makes no call, and its thread still ends."""
    calls: list[str] = []

    def stubborn() -> None:
        event = face.CreateEventW(0, 0, 0, 0)
        try:
            face.WaitForSingleObject(event, INFINITE)
        except BaseException:
            calls.append("killed")
        with pytest.raises(ThreadKilled):
            face.SetEvent(event)

    def main() -> None:
        thread = face.thread(stubborn)
        face.Sleep(20)
        handle = face.OpenThread(1, 0, thread.thread_id)
        face.TerminateThread(handle, 0)
        assert thread.ended.signalled
        assert calls == ["killed"]

    face.run(main)


def test_processes(face: Face) -> None:
    other = Face(Account.SYSTEM, system=face.system)
    user = Face(Account.USER, system=face.system)

    def main() -> None:
        handle = face.OpenProcess(0x1FFFFF, 0, other.process.process_id)
        code = ctypes.c_uint32()
        assert face.GetProcessId(handle) == other.process.process_id
        assert face.GetExitCodeProcess(handle, code) and code.value == STILL_ACTIVE
        assert face.TerminateProcess(handle, 9)
        assert face.GetExitCodeProcess(handle, code) and code.value == 9
        assert face.TerminateProcess(handle, 9) == 0 and face.last_error == 5
        assert face.OpenProcess(0x1FFFFF, 0, 3) == 0 and face.last_error == 87
        assert face.GetProcessId(CURRENT_PROCESS) == face.GetCurrentProcessId() == face.process.process_id

    def not_allowed() -> None:
        assert user.OpenProcess(0x1FFFFF, 0, face.process.process_id) == 0 and user.last_error == 5
        user.Sleep(INFINITE)

    other.thread(lambda: other.Sleep(INFINITE))
    user.thread(not_allowed)
    face.run(main)
    assert not user.errors
    assert other.process.exit_code == 9


def test_priorities(face: Face) -> None:
    def main() -> None:
        assert face.SetThreadPriority(CURRENT_THREAD, 2)
        assert face.GetThreadPriority(CURRENT_THREAD) == 2
        assert face.machine.current is not None and face.machine.current.priority == 10
        assert face.SetThreadPriority(CURRENT_THREAD, 5) == 0 and face.last_error == 87

    face.run(main)


def test_last_error_is_the_thread_s_own(face: Face) -> None:
    def main() -> None:
        face.SetLastError(77)
        face.thread(lambda: face.SetLastError(5))
        face.Sleep(20)
        assert face.last_error == 77

    face.run(main)


def test_thread_local_storage(face: Face) -> None:
    def main() -> None:
        slot = face.TlsAlloc()
        assert face.TlsSetValue(slot, 0x1234) and face.TlsGetValue(slot) == 0x1234
        others: list[int] = []
        face.thread(lambda: others.append(face.TlsGetValue(slot)))
        face.Sleep(20)
        assert others == [0]
        assert face.TlsFree(slot)
        assert face.TlsAlloc() == slot and face.TlsGetValue(slot) == 0
        assert face.TlsFree(99) == 0 and face.last_error == 87

    face.run(main)


def test_a_critical_section_excludes_and_counts(face: Face) -> None:
    order: list[str] = []

    def main() -> None:
        section = ctypes.create_string_buffer(40)
        with pytest.raises(ClientFault, match="not initialised"):
            face.EnterCriticalSection(section)
        face.InitializeCriticalSection(section)
        face.EnterCriticalSection(section)
        face.EnterCriticalSection(section)

        def other() -> None:
            assert face.TryEnterCriticalSection(section) == 0
            face.EnterCriticalSection(section)
            order.append("other")
            face.LeaveCriticalSection(section)

        face.thread(other)
        face.Sleep(20)
        face.LeaveCriticalSection(section)
        face.Sleep(20)
        order.append("main")
        face.LeaveCriticalSection(section)
        face.Sleep(20)
        face.DeleteCriticalSection(section)

    face.run(main)
    assert order == ["main", "other"]


def test_slim_locks_and_condition_variables(face: Face) -> None:
    items: list[int] = []
    taken: list[int] = []

    def main() -> None:
        lock, condition = ctypes.c_uint64(), ctypes.c_uint64()

        def consumer() -> None:
            face.AcquireSRWLockExclusive(lock)
            while not items:
                assert face.SleepConditionVariableSRW(condition, lock, INFINITE, 0)
            taken.append(items.pop())
            face.ReleaseSRWLockExclusive(lock)

        for _ in range(2):
            face.thread(consumer)
        face.Sleep(20)
        for number in (1, 2):
            face.AcquireSRWLockExclusive(lock)
            items.append(number)
            face.WakeConditionVariable(condition)
            face.ReleaseSRWLockExclusive(lock)
            face.Sleep(20)
        face.AcquireSRWLockShared(lock)
        assert face.TryAcquireSRWLockShared(lock) == 1
        assert face.TryAcquireSRWLockExclusive(lock) == 0
        face.ReleaseSRWLockShared(lock)
        face.ReleaseSRWLockShared(lock)
        face.AcquireSRWLockExclusive(lock)
        assert face.SleepConditionVariableSRW(condition, lock, 10, 0) == 0 and face.last_error == 1460
        face.ReleaseSRWLockExclusive(lock)

    face.run(main)
    assert taken == [1, 2]


def test_waits_on_an_address(face: Face) -> None:
    def main() -> None:
        word, seen = ctypes.c_uint32(0), ctypes.c_uint32(0)
        woken: list[int] = []

        def waiter() -> None:
            while word.value == 0:
                assert face.WaitOnAddress(word, seen, 4, INFINITE)
            woken.append(word.value)

        for _ in range(2):
            face.thread(waiter)
        face.Sleep(20)
        face.WakeByAddressAll(word)  # for nothing: they look and sleep again
        face.Sleep(20)
        assert not woken
        word.value = 5
        face.WakeByAddressSingle(word)
        face.Sleep(20)
        assert woken == [5]
        face.WakeByAddressAll(word)
        face.Sleep(20)
        assert woken == [5, 5]
        assert face.WaitOnAddress(word, seen, 4, INFINITE)
        seen.value = 5
        assert face.WaitOnAddress(word, seen, 4, 5) == 0 and face.last_error == 1460
        assert face.WaitOnAddress(word, seen, 3, 5) == 0 and face.last_error == 87

    face.run(main)


def test_exceptions_of_thunks_are_kept_for_their_thread() -> None:
    """A client's C code goes on after a fault; its further calls fail until the exception is taken."""
    face = Face()

    def main() -> None:
        export = face.loader.load("kernel32").resolve("QueryPerformanceCounter")  # type: ignore[union-attr]
        assert export is not None
        query = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_uint64)(export.address)
        counter = ctypes.c_uint64()
        assert query(8) == 0
        assert query(ctypes.addressof(counter)) == 0
        error = face.loader.take_exception()
        assert isinstance(error, ClientFault)
        assert face.loader.take_exception() is None
        assert query(ctypes.addressof(counter)) == 1

    face.run(main)


def test_a_call_outside_of_the_simulation() -> None:
    system = System()
    loader = Loader(system, system.create_process("client"))
    export = loader.load("kernel32").resolve("GetLastError")  # type: ignore[union-attr]
    assert export is not None
    assert ctypes.CFUNCTYPE(ctypes.c_uint32)(export.address)() == 0
    assert isinstance(export.take_exception(), UsageError)
