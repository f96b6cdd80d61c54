"""Opening the device and device control (spec win32 §4)."""

from __future__ import annotations

import ctypes

import pytest
from win32_face import Face, ansi, text

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES, TUN_IOCTL_REGISTER_RINGS
from wintun_model.errors import ClientFault

READ, WRITE, SHARE_ALL, OPEN_EXISTING = 0x80000000, 0x40000000, 7, 3
INVALID_HANDLE_VALUE = 2**64 - 1


def open_device(face: Face, access: int = READ | WRITE) -> int:
    path = face.system.devices[0].interface_path
    return int(face.CreateFileW(text(path), access, SHARE_ALL, 0, OPEN_EXISTING, 0, 0))


@pytest.fixture
def face() -> Face:
    face = Face()
    face.system.create_adapter("tun")
    return face


def test_paths_compare_without_case_and_both_forms_open(face: Face) -> None:
    path = face.system.devices[0].interface_path

    def main() -> None:
        for form, buffer in (
            ("W", text(path.upper())),
            ("A", ansi(path.lower())),
            ("W", text(path.replace("?", ".", 1))),
        ):
            function = getattr(face, "CreateFile" + form)
            handle = function(buffer, READ, SHARE_ALL, 0, OPEN_EXISTING, 0, 0)
            assert handle != INVALID_HANDLE_VALUE
            assert face.CloseHandle(handle)

    face.run(main)


@pytest.mark.parametrize(
    ("path", "disposition", "error"),
    [("\\\\?\\ROOT#NET#0042#{x}\\{y}", 3, 2), ("", 3, 3), ("C:\\temp\\x", 3, 2), ("x", 0, 87), ("x", 6, 87)],
)
def test_paths_that_cannot_be_opened(face: Face, path: str, disposition: int, error: int) -> None:
    def main() -> None:
        assert face.CreateFileW(text(path), READ, 0, 0, disposition, 0, 0) == INVALID_HANDLE_VALUE
        assert face.last_error == error

    face.run(main)


def test_a_bad_path_pointer(face: Face) -> None:
    def main() -> None:
        assert face.CreateFileW(0x100, READ, 0, 0, 3, 0, 0) == INVALID_HANDLE_VALUE
        assert face.last_error == 998

    face.run(main)


def test_several_opens_at_a_time(face: Face) -> None:
    def main() -> None:
        first, second = open_device(face), open_device(face)
        assert INVALID_HANDLE_VALUE not in (first, second) and first != second

    face.run(main)


@pytest.mark.parametrize(
    ("code", "error"),
    [(TUN_IOCTL_REGISTER_RINGS, 87), (0x0012_0003, 1), (TUN_IOCTL_REGISTER_RINGS + 0x100, 1)],
)
def test_errors_of_control_codes(face: Face, code: int, error: int) -> None:
    def main() -> None:
        device, returned = open_device(face), ctypes.c_uint32(5)
        assert face.DeviceIoControl(device, code, None, 0, None, 0, returned, None) == 0
        assert face.last_error == error

    face.run(main)


@pytest.mark.parametrize("access", [READ, WRITE, 0, 0x100000])
def test_the_handle_must_have_the_access_of_the_code(face: Face, access: int) -> None:
    def main() -> None:
        device, returned = open_device(face, access), ctypes.c_uint32()
        assert face.DeviceIoControl(device, TUN_IOCTL_REGISTER_RINGS, None, 0, None, 0, returned, None) == 0
        assert face.last_error == 5

    face.run(main)


def test_what_is_no_file(face: Face) -> None:
    def main() -> None:
        event, returned = face.CreateEventW(0, 0, 0, 0), ctypes.c_uint32()
        for handle in (event, 0, 0x7FFC, INVALID_HANDLE_VALUE):
            assert face.DeviceIoControl(handle, TUN_IOCTL_REGISTER_RINGS, None, 0, None, 0, returned, None) == 0
            assert face.last_error == 6

    face.run(main)


def test_bad_buffers(face: Face) -> None:
    def main() -> None:
        device, returned = open_device(face), ctypes.c_uint32()
        assert face.DeviceIoControl(device, TUN_IOCTL_REGISTER_RINGS, 0x1000, 48, None, 0, returned, None) == 0
        assert face.last_error == 998
        assert face.DeviceIoControl(device, TUN_IOCTL_REGISTER_RINGS, None, 0, 0x1000, 8, returned, None) == 0
        assert face.last_error == 998
        # With METHOD_NEITHER the system does not look.
        assert face.DeviceIoControl(device, TUN_IOCTL_FORCE_CLOSE_HANDLES, 0x1000, 48, None, 0, returned, None) == 1

    face.run(main)


def test_a_null_returned_is_the_client_s_fault(face: Face) -> None:
    def main() -> None:
        with pytest.raises(ClientFault, match="lpBytesReturned"):
            face.DeviceIoControl(open_device(face), TUN_IOCTL_REGISTER_RINGS, None, 0, None, 0, None, None)

    face.run(main)


def test_overlapped_requests_are_done_at_once(face: Face) -> None:
    def main() -> None:
        device = open_device(face)
        event = face.CreateEventW(0, 1, 0, 0)
        overlapped = (ctypes.c_uint64 * 4)(0, 7, 0, event)
        assert face.DeviceIoControl(device, TUN_IOCTL_FORCE_CLOSE_HANDLES, None, 0, None, 0, None, overlapped) == 1
        assert list(overlapped)[:2] == [0, 0]
        assert face.WaitForSingleObject(event, 0) == 0
        transferred = ctypes.c_uint32(9)
        assert face.GetOverlappedResult(device, overlapped, transferred, 1) == 1 and transferred.value == 0

    face.run(main)


def test_reads_and_writes_are_invalid_functions(face: Face) -> None:
    def main() -> None:
        device, count = open_device(face), ctypes.c_uint32()
        for function in (face.ReadFile, face.WriteFile):
            assert function(device, ctypes.create_string_buffer(4), 4, count, None) == 0
            assert face.last_error == 1
            assert function(0, None, 0, count, None) == 0
            assert face.last_error == 6

    face.run(main)
