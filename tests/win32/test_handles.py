"""Handles: closing, duplicating, pseudo handles (spec win32 §2)."""

from __future__ import annotations

import ctypes

from win32_face import Face, handles, text

from wintunsim.kernel.process import Account

SAME_ACCESS, CLOSE_SOURCE = 2, 1
CURRENT_PROCESS, CURRENT_THREAD = 2**64 - 1, 2**64 - 2


def test_handles_are_multiples_of_four_and_the_value_closed_last_is_reused(face: Face) -> None:
    def main() -> None:
        first, second = face.CreateEventW(0, 0, 0, 0), face.CreateEventW(0, 0, 0, 0)
        assert first and second and not first % 4 and not second % 4 and first != second
        assert face.CloseHandle(first)
        assert face.CreateEventW(0, 0, 0, 0) == first

    face.run(main)


def test_closing_what_is_no_handle(face: Face) -> None:
    def main() -> None:
        handle = face.CreateEventW(0, 0, 0, 0)
        assert face.CloseHandle(handle) == 1
        assert face.CloseHandle(handle) == 0
        assert face.last_error == 6
        assert face.CloseHandle(0) == 0
        assert face.CloseHandle(CURRENT_PROCESS) == 1

    face.run(main)


def test_a_duplicate_names_the_same_object(face: Face) -> None:
    def main() -> None:
        event = face.CreateEventW(0, 1, 0, 0)
        copy = ctypes.c_uint64()
        assert face.DuplicateHandle(CURRENT_PROCESS, event, CURRENT_PROCESS, copy, 0, 0, SAME_ACCESS)
        assert face.CompareObjectHandles(event, copy.value)
        face.CloseHandle(event)
        assert face.SetEvent(copy.value)
        assert face.WaitForSingleObject(copy.value, 0) == 0

    face.run(main)


def test_a_duplicate_may_have_less_access(face: Face) -> None:
    def main() -> None:
        event = face.CreateEventW(0, 1, 0, 0)
        copy = ctypes.c_uint64()
        synchronize, modify = 0x100000, 2
        assert face.DuplicateHandle(CURRENT_PROCESS, event, CURRENT_PROCESS, copy, synchronize, 0, 0)
        assert face.SetEvent(copy.value) == 0
        assert face.last_error == 5
        assert face.DuplicateHandle(CURRENT_PROCESS, event, CURRENT_PROCESS, copy, modify, 0, 0)
        assert face.SetEvent(copy.value) == 1
        assert face.WaitForSingleObject(copy.value, 0) == 0xFFFFFFFF
        assert face.last_error == 5

    face.run(main)


def test_close_source_closes_even_when_duplicating_fails(face: Face) -> None:
    def main() -> None:
        event = face.CreateEventW(0, 0, 0, 0)
        assert face.DuplicateHandle(CURRENT_PROCESS, event, 0x7FFC, None, 0, 0, SAME_ACCESS | CLOSE_SOURCE) == 0
        assert face.SetEvent(event) == 0
        assert face.last_error == 6

    face.run(main)


def test_a_bad_target_pointer_makes_no_handle(face: Face) -> None:
    def main() -> None:
        event = face.CreateEventW(0, 0, 0, 0)
        before = face.process.handles.values()
        assert face.DuplicateHandle(CURRENT_PROCESS, event, CURRENT_PROCESS, 8, 0, 0, SAME_ACCESS) == 0
        assert face.last_error == 998
        assert face.process.handles.values() == before

    face.run(main)


def test_duplicating_into_another_process() -> None:
    face = Face()
    other = Face(system=face.system)

    def main() -> None:
        event = face.CreateEventW(0, 1, 0, 0)
        process = face.OpenProcess(0x1FFFFF, 0, other.process.process_id)
        copy = ctypes.c_uint64()
        assert face.DuplicateHandle(CURRENT_PROCESS, event, process, copy, 0, 0, SAME_ACCESS)
        face.SetEvent(event)
        assert other.process.handles.get(copy.value) is not None
        assert face.WaitForSingleObject(event, 0) == 0

    face.run(main)


def test_a_pseudo_handle_becomes_real_by_duplication(face: Face) -> None:
    def main() -> None:
        copy = ctypes.c_uint64()
        assert face.DuplicateHandle(CURRENT_PROCESS, CURRENT_THREAD, CURRENT_PROCESS, copy, 0, 0, SAME_ACCESS)
        assert face.GetThreadId(copy.value) == face.GetCurrentThreadId()
        assert face.WaitForSingleObject(copy.value, 0) == 258

    face.run(main)


def test_a_protected_handle_cannot_be_closed(face: Face) -> None:
    def main() -> None:
        event = face.CreateEventW(0, 0, 0, 0)
        flags = ctypes.c_uint32()
        assert face.SetHandleInformation(event, 2, 2)
        assert face.GetHandleInformation(event, flags) and flags.value == 2
        assert face.CloseHandle(event) == 0
        assert face.SetHandleInformation(event, 2, 0)
        assert face.CloseHandle(event) == 1

    face.run(main)


def test_names_are_shared_by_processes_and_go_with_the_last_handle() -> None:
    face = Face()
    other = Face(Account.ADMINISTRATOR, system=face.system)

    def first() -> None:
        event = face.CreateEventW(0, 1, 0, text("Global\\ring moved"))
        assert face.last_error == 0
        face.Sleep(1000)
        face.CloseHandle(event)
        face.Sleep(1000)

    def second() -> None:
        other.Sleep(100)
        handle = other.OpenEventW(0x1F0003, 0, text("ring moved"))
        assert handle
        other.CloseHandle(handle)
        other.Sleep(1500)
        assert other.OpenEventW(0x1F0003, 0, text("ring moved")) == 0
        assert other.last_error == 2
        assert other.OpenEventW(0x1F0003, 0, text("Ring Moved")) == 0

    other.thread(second)
    face.run(first)
    assert not other.errors


def test_a_name_belongs_to_one_type(face: Face) -> None:
    def main() -> None:
        assert face.CreateEventW(0, 0, 0, text("x"))
        assert face.CreateEventW(0, 0, 0, text("x"))
        assert face.last_error == 183
        assert face.CreateMutexW(0, 0, text("x")) == 0
        assert face.last_error == 6
        assert face.CreateEventW(0, 0, 0, text("y" * 261)) == 0
        assert face.last_error == 206

    face.run(main)


def test_a_bad_name_pointer(face: Face) -> None:
    def main() -> None:
        assert face.CreateEventW(0, 0, 0, 0x10) == 0
        assert face.last_error == 998
        assert face.WaitForMultipleObjects(2, 0x10, 0, 0) == 0xFFFFFFFF
        assert face.last_error == 998
        event = face.CreateEventW(0, 0, 1, 0)
        assert face.WaitForMultipleObjects(1, handles(event), 0, 0) == 0

    face.run(main)
