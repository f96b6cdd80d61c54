"""Single statements of the specification that no other test of the Windows face is about (spec win32, driver §5)."""

from __future__ import annotations

import ctypes
import uuid

import pytest
from win32_face import INFINITE, Face, text

from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintun_model.dispatch import IntegrityLevel
from wintun_model.ring import ring_bytes_of
from wintunsim.kernel.process import Account

CAPACITY = 0x20000
SIZE = ring_bytes_of(CAPACITY)
WAIT_TIMEOUT, WAIT_FAILED = 258, 0xFFFFFFFF


def registration(face: Face) -> tuple[int, ctypes.Array[ctypes.c_char]]:
    """(device, record) of a registration that succeeds."""
    path = face.system.devices[0].interface_path
    device = int(face.CreateFileW(text(path), 0xC0000000, 7, 0, 3, 0, 0))
    rings = [
        RingDescription(SIZE, face.VirtualAlloc(0, SIZE, 0x3000, 4), face.CreateEventW(0, 0, 0, 0)) for _ in range(2)
    ]
    data = RegisterRings(*rings).to_bytes()
    return device, ctypes.create_string_buffer(data, len(data))


@pytest.fixture
def face() -> Face:
    face = Face()
    face.system.create_adapter("tun")
    return face


@pytest.mark.parametrize("length", [0, 1, 48, 4096])
def test_the_output_of_a_registration_is_ignored(face: Face, length: int) -> None:
    def main() -> None:
        device, record = registration(face)
        output = ctypes.create_string_buffer(b"\xa5" * 4096, 4096)
        returned = ctypes.c_uint32(77)
        arguments = (device, TUN_IOCTL_REGISTER_RINGS, record, 48, output, length, returned, None)
        assert face.DeviceIoControl(*arguments) == 1
        assert returned.value == 0
        assert output.raw == b"\xa5" * 4096

    face.run(main)


def test_the_input_of_a_buffered_request_is_copied_before_the_driver_runs(face: Face) -> None:
    def main() -> None:
        device, record = registration(face)

        def spoil(what: str) -> bool:
            """No allocation fails; but the client's record is gone by the driver's first one."""
            ctypes.memset(record, 0, 48)
            return False

        face.system.fails = spoil
        returned = ctypes.c_uint32()
        assert face.DeviceIoControl(device, TUN_IOCTL_REGISTER_RINGS, record, 48, None, 0, returned, None) == 1
        assert record.raw == bytes(48)

    face.run(main)


def test_a_wait_without_an_end_has_no_deadline(face: Face) -> None:
    """0xFFFFFFFE ms are 49.7 days: the longest wait that ends."""
    ended: list[tuple[str, int]] = []

    def main() -> None:
        event = face.CreateEventW(0, 0, 0, 0)
        face.thread(lambda: ended.append(("infinite", face.WaitForSingleObject(event, INFINITE))))
        ended.append(("longest", face.WaitForSingleObject(face.CreateEventW(0, 0, 0, 0), 0xFFFFFFFE)))
        face.SetEvent(event)
        face.Sleep(20)

    face.run(main)
    assert ended == [("longest", WAIT_TIMEOUT), ("infinite", 0)]


def test_events_without_a_name_are_private(face: Face) -> None:
    def main() -> None:
        first, second = face.CreateEventW(0, 0, 0, None), face.CreateEventW(0, 0, 1, None)
        assert face.last_error == 0
        assert not face.CompareObjectHandles(first, second)
        assert face.WaitForSingleObject(first, 0) == WAIT_TIMEOUT
        assert face.WaitForSingleObject(second, 0) == 0

    face.run(main)


def test_every_account_has_its_integrity_level() -> None:
    levels = {account: Face(account).process.integrity_level for account in Account}
    assert levels[Account.SYSTEM] == IntegrityLevel.SYSTEM
    assert levels[Account.ADMINISTRATOR] == IntegrityLevel.HIGH
    assert levels[Account.USER] == IntegrityLevel.MEDIUM


def test_a_session_has_two_auto_reset_events(face: Face) -> None:
    def main() -> None:
        adapter = face.WintunOpenAdapter(text("tun"))
        assert face.WintunStartSession(adapter, CAPACITY)
        driver = face.system.devices[0].adapter
        events = [driver.send_ring.value.tail_moved, driver.receive_ring.value.tail_moved]
        assert events[0] is not events[1]
        assert [event.manual_reset for event in events] == [False, False]

    face.run(main)


def test_the_read_wait_event_is_the_sessions(face: Face) -> None:
    """It goes with the session, which closes it."""

    def main() -> None:
        session = face.WintunStartSession(face.WintunOpenAdapter(text("tun")), CAPACITY)
        event = face.WintunGetReadWaitEvent(session)
        assert event == face.WintunGetReadWaitEvent(session)
        assert face.WaitForSingleObject(event, 0) == WAIT_TIMEOUT
        face.WintunEndSession(session)
        assert face.WaitForSingleObject(event, 0) == WAIT_FAILED and face.last_error == 6

    face.run(main)


NET_CLASS = uuid.UUID("4d36e972-e325-11ce-bfc1-08002be10318")


class DeviceInfo(ctypes.Structure):
    """SP_DEVINFO_DATA."""

    _fields_ = [
        ("cbSize", ctypes.c_uint32),
        ("ClassGuid", ctypes.c_uint8 * 16),
        ("DevInst", ctypes.c_uint32),
        ("Reserved", ctypes.c_uint64),
    ]


def device_set(face: Face) -> tuple[int, DeviceInfo]:
    """(a set of the present network devices, a record to be filled in)."""
    guid = ctypes.create_string_buffer(NET_CLASS.bytes_le, 16)
    return int(face.SetupDiGetClassDevsW(guid, None, 0, 2)), DeviceInfo(ctypes.sizeof(DeviceInfo))


def test_the_end_of_an_enumeration_of_devices(face: Face) -> None:
    def main() -> None:
        handle, data = device_set(face)
        assert face.SetupDiEnumDeviceInfo(handle, 0, data) == 1
        for index in (1, 2, 0xFFFFFFFF):
            assert face.SetupDiEnumDeviceInfo(handle, index, data) == 0 and face.last_error == 259

    face.run(main)


def test_sizes_are_asked_for_first(face: Face) -> None:
    def main() -> None:
        handle, data = device_set(face)
        assert face.SetupDiEnumDeviceInfo(handle, 0, data)
        needed, kind = ctypes.c_uint32(), ctypes.c_uint32()
        assert face.SetupDiGetDeviceInstanceIdW(handle, data, None, 0, needed) == 0 and face.last_error == 122
        assert needed.value == len("ROOT\\NET\\0000") + 1
        arguments = (handle, data, 1, kind, None, 0, needed)
        assert face.SetupDiGetDeviceRegistryPropertyW(*arguments) == 0 and face.last_error == 122
        # A list of texts, in bytes, with both NULs.
        assert (kind.value, needed.value) == (7, 2 * len("Wintun\0\0"))

    face.run(main)
