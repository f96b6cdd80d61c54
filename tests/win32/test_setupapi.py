"""Adapters by setupapi: enumerating, creating, disabling, enabling, removing (spec win32 §4, driver §7.1)."""

from __future__ import annotations

import ctypes
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from win32_face import Face, ansi, text

from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintunsim.kernel.process import Account
from wintunsim.kernel.system import System
from wintunsim.win32.buffers import NARROW, WIDE
from wintunsim.win32.device_records import (
    SP_CLASSINSTALL_HEADER,
    SP_DEVICE_INTERFACE_DATA,
    SP_DEVINFO_DATA,
    SP_PROPCHANGE_PARAMS,
    forms,
)

NET = uuid.UUID("4d36e972-e325-11ce-bfc1-08002be10318")
INTERFACE = uuid.UUID("cac88484-7515-4c03-82e6-71a87abac361")
INVALID = 0xFFFFFFFFFFFFFFFF
PRESENT, ALL_CLASSES, BY_INTERFACE = 2, 4, 0x10
REGISTER, INSTALL, CHANGE, REMOVE = 0x19, 2, 0x12, 5
ENABLE, DISABLE, RESTART = 1, 2, 3
NEED_REBOOT = 0x100
STARTED, HAS_PROBLEM, NEED_RESTART = 0x8, 0x400, 0x100
NO_SUCH_DEVINST = 0xE000020B
CAPACITY = 0x20000
RING_BYTES = 12 + CAPACITY + 0x10000


def guid(value: uuid.UUID) -> Any:
    return ctypes.create_string_buffer(value.bytes_le, 16)


def device_data() -> SP_DEVINFO_DATA:
    return SP_DEVINFO_DATA(ctypes.sizeof(SP_DEVINFO_DATA))


class Setup:
    """A client that uses SetupAPI the usual way."""

    def __init__(self, face: Face) -> None:
        self.face = face

    def error(self) -> int:
        return self.face.last_error

    def devices(self, handle: int) -> Iterator[SP_DEVINFO_DATA]:
        index = 0
        while True:
            data = device_data()
            if not self.face.SetupDiEnumDeviceInfo(handle, index, data):
                assert self.error() == 259
                return
            yield data
            index += 1

    def adapters(self) -> int:
        handle = self.face.SetupDiGetClassDevsExW(guid(NET), None, 0, PRESENT, 0, None, 0)
        assert handle != INVALID
        return int(handle)

    def instance_id(self, handle: int, data: SP_DEVINFO_DATA) -> str:
        needed = ctypes.c_uint32()
        assert not self.face.SetupDiGetDeviceInstanceIdW(handle, data, None, 0, needed)
        assert self.error() == 122
        buffer = ctypes.create_string_buffer(2 * needed.value)
        assert self.face.SetupDiGetDeviceInstanceIdW(handle, data, buffer, needed.value, None)
        return buffer.raw.decode("utf-16-le").removesuffix("\0")

    def property(self, handle: int, data: SP_DEVINFO_DATA, number: int) -> tuple[int, bytes]:
        kind, needed = ctypes.c_uint32(), ctypes.c_uint32()
        get = self.face.SetupDiGetDeviceRegistryPropertyW
        if not get(handle, data, number, None, None, 0, needed) and self.error() != 122:
            return self.error(), b""
        buffer = ctypes.create_string_buffer(needed.value)
        assert get(handle, data, number, kind, buffer, needed.value, None)
        return kind.value, buffer.raw

    def create(self, hardware_id: str = "Wintun") -> tuple[int, SP_DEVINFO_DATA]:
        """A registered device."""
        face, data = self.face, device_data()
        handle = face.SetupDiCreateDeviceInfoListExW(guid(NET), 0, None, 0)
        assert face.SetupDiCreateDeviceInfoW(handle, text("NET"), guid(NET), text("My Tunnel"), 0, 1, data)
        ids = ctypes.create_string_buffer((hardware_id + "\0\0").encode("utf-16-le"))
        assert face.SetupDiSetDeviceRegistryPropertyW(handle, data, 1, ids, 2 * len(hardware_id) + 4)
        assert face.SetupDiCallClassInstaller(REGISTER, handle, data)
        return handle, data

    def install(self, handle: int, data: SP_DEVINFO_DATA) -> int:
        """The error of installing the first driver that fits; 0 for none."""
        face = self.face
        assert face.SetupDiBuildDriverInfoList(handle, data, 2)
        driver = forms(WIDE).driver_data()
        driver.cbSize = ctypes.sizeof(driver)
        if face.SetupDiEnumDriverInfoW(handle, data, 2, 0, driver):
            assert face.SetupDiSetSelectedDriverW(handle, data, driver)
        else:
            assert self.error() == 259
        if not face.SetupDiCallClassInstaller(INSTALL, handle, data):
            return self.error()
        assert face.SetupDiDestroyDriverInfoList(handle, data, 2)
        return 0

    def change(self, handle: int, data: SP_DEVINFO_DATA, what: int) -> bool:
        """Enable, disable or restart a device; whether a restart of the computer is needed."""
        params = SP_PROPCHANGE_PARAMS(SP_CLASSINSTALL_HEADER(8, CHANGE), what, 1, 0)
        assert self.face.SetupDiSetClassInstallParamsW(handle, data, params, ctypes.sizeof(params))
        assert self.face.SetupDiCallClassInstaller(CHANGE, handle, data)
        return self.needs_reboot(handle, data)

    def needs_reboot(self, handle: int, data: SP_DEVINFO_DATA) -> bool:
        params = forms(WIDE).install_params()
        params.cbSize = ctypes.sizeof(params)
        assert self.face.SetupDiGetDeviceInstallParamsW(handle, data, params)
        return bool(params.Flags & NEED_REBOOT)

    def status(self, data: SP_DEVINFO_DATA) -> tuple[int, int]:
        status, problem = ctypes.c_uint32(), ctypes.c_uint32()
        result = self.face.CM_Get_DevNode_Status(status, problem, data.DevInst, 0)
        return (-result, 0) if result else (status.value & (STARTED | HAS_PROBLEM | NEED_RESTART), problem.value)

    def interfaces(self, flags: int = 0) -> list[str]:
        length = ctypes.c_uint32()
        assert self.face.CM_Get_Device_Interface_List_SizeW(length, guid(INTERFACE), None, flags) == 0
        buffer = ctypes.create_string_buffer(2 * length.value)
        assert self.face.CM_Get_Device_Interface_ListW(guid(INTERFACE), None, buffer, length.value, flags) == 0
        return [path for path in buffer.raw.decode("utf-16-le").split("\0") if path]

    def open(self, path: str) -> int:
        """A handle; a negative number for an error."""
        handle = self.face.CreateFileW(text(path), 0xC0000000, 7, None, 3, 0, 0)
        return -self.error() if handle == INVALID else int(handle)

    def register(self, handle: int) -> tuple[int, Any]:
        """(error, words of the send and the receive ring)."""
        face = self.face
        memory = face.VirtualAlloc(None, 2 * RING_BYTES, 0x3000, 4)
        events = [face.CreateEventW(None, 0, 0, None) for _ in range(2)]
        rings = [RingDescription(RING_BYTES, memory + index * RING_BYTES, events[index]) for index in range(2)]
        record = RegisterRings(*rings).to_bytes()
        buffer = ctypes.create_string_buffer(record, len(record))
        returned = ctypes.c_uint32()
        good = face.DeviceIoControl(handle, TUN_IOCTL_REGISTER_RINGS, buffer, len(record), None, 0, returned, None)
        words = [(ctypes.c_uint32 * 3).from_address(ring.address) for ring in rings]
        return 0 if good else self.error(), words


@pytest.fixture
def setup(face: Face) -> Setup:
    return Setup(face)


def test_adapters_are_enumerated(setup: Setup) -> None:
    devices = [setup.face.system.create_adapter(name) for name in ("one", "two")]

    def main() -> None:
        face, handle = setup.face, setup.adapters()
        found = list(setup.devices(handle))
        assert [setup.instance_id(handle, data) for data in found] == [device.instance_id for device in devices]
        for device, data in zip(devices, found, strict=True):
            assert uuid.UUID(bytes_le=bytes(data.ClassGuid)) == NET
            assert setup.property(handle, data, 1) == (7, "Wintun\0\0".encode("utf-16-le"))
            assert setup.property(handle, data, 0) == (1, "Wintun Userspace Tunnel\0".encode("utf-16-le"))
            assert setup.property(handle, data, 4) == (1, "wintun\0".encode("utf-16-le"))
            assert setup.property(handle, data, 0x16) == (1, "ROOT\0".encode("utf-16-le"))
            assert setup.property(handle, data, 0xC) == (13, b"")
            assert setup.property(handle, data, 0x99) == (0xE0000209, b"")
            key = face.SetupDiOpenDevRegKey(handle, data, 1, 0, 2, 0x20019)
            buffer, length = ctypes.create_string_buffer(100), ctypes.c_uint32(100)
            assert face.RegQueryValueExW(key, text("NetCfgInstanceId"), 0, None, buffer, length) == 0
            assert buffer.raw[: length.value].decode("utf-16-le") == f"{{{str(device.guid).upper()}}}\0"
            assert face.RegCloseKey(key) == 0
            assert setup.status(data) == (STARTED, 0)
        assert face.SetupDiDestroyDeviceInfoList(handle)
        assert not face.SetupDiDestroyDeviceInfoList(handle) and setup.error() == 6

    face = setup.face
    face.run(main)


def test_sets_of_other_kinds(setup: Setup) -> None:
    device = setup.face.system.create_adapter("one")

    def main() -> None:
        face = setup.face

        def count(*arguments: Any) -> int:
            handle = face.SetupDiGetClassDevsW(*arguments)
            assert handle != INVALID
            return len(list(setup.devices(handle)))

        assert count(None, None, 0, ALL_CLASSES | PRESENT) == 1
        assert count(guid(uuid.UUID(int=5)), None, 0, PRESENT) == 0
        assert count(guid(NET), text("root"), 0, PRESENT) == count(guid(NET), text("ROOT\\NET"), 0, 0) == 1
        assert count(guid(NET), text("PCI"), 0, PRESENT) == 0
        assert face.SetupDiGetClassDevsW(None, None, 0, PRESENT) == INVALID and setup.error() == 87
        assert face.SetupDiGetClassDevsExA(guid(NET), None, 0, 2, 0, ansi("\\\\WINTUNSIM"), 0) != INVALID
        assert face.SetupDiGetClassDevsExW(guid(NET), None, 0, 2, 0, text("other"), 0) == INVALID
        handle = face.SetupDiGetClassDevsW(guid(INTERFACE), None, 0, BY_INTERFACE | PRESENT)
        data = SP_DEVICE_INTERFACE_DATA(ctypes.sizeof(SP_DEVICE_INTERFACE_DATA))
        assert face.SetupDiEnumDeviceInterfaces(handle, None, guid(INTERFACE), 0, data) and data.Flags == 1
        needed = ctypes.c_uint32()
        assert not face.SetupDiGetDeviceInterfaceDetailW(handle, data, None, 0, needed, None)
        assert setup.error() == 122
        detail, other = ctypes.create_string_buffer(b"\x08", needed.value), device_data()
        assert face.SetupDiGetDeviceInterfaceDetailW(handle, data, detail, needed.value, None, other)
        assert detail.raw[4:].decode("utf-16-le") == device.interface_path + "\0"
        assert setup.instance_id(handle, other) == device.instance_id
        assert not face.SetupDiEnumDeviceInterfaces(handle, None, guid(INTERFACE), 1, data) and setup.error() == 259

    setup.face.run(main)


def test_the_a_forms(setup: Setup) -> None:
    device = setup.face.system.create_adapter("one")

    def main() -> None:
        face, data, buffer = setup.face, device_data(), ctypes.create_string_buffer(100)
        handle = face.SetupDiGetClassDevsA(guid(NET), ansi("ROOT"), 0, PRESENT)
        assert face.SetupDiEnumDeviceInfo(handle, 0, data)
        assert face.SetupDiGetDeviceInstanceIdA(handle, data, buffer, 100, None)
        assert buffer.value.decode() == device.instance_id
        needed = ctypes.c_uint32()
        assert face.SetupDiGetDeviceRegistryPropertyA(handle, data, 1, None, buffer, 100, needed)
        assert buffer.raw[: needed.value] == b"Wintun\0\0"
        assert face.SetupDiSetDeviceRegistryPropertyA(handle, data, 0xC, ansi("Friend"), 7)
        assert device.description == "Friend"
        params = forms(NARROW).install_params()
        params.cbSize = ctypes.sizeof(params)
        assert face.SetupDiGetDeviceInstallParamsA(handle, data, params)
        assert face.SetupDiClassNameFromGuidA(guid(NET), buffer, 100, None) and buffer.value == b"Net"

    setup.face.run(main)


def test_wrong_handles_records_and_devices(setup: Setup) -> None:
    setup.face.system.create_adapter("one")

    def main() -> None:
        face, handle = setup.face, setup.adapters()
        (data,) = setup.devices(handle)
        other = setup.adapters()
        wrong = SP_DEVINFO_DATA.from_buffer_copy(data)
        wrong.cbSize = 28
        assert not face.SetupDiEnumDeviceInfo(handle, 0, wrong) and setup.error() == 1784
        assert not face.SetupDiGetDeviceInstanceIdW(handle, wrong, None, 0, None) and setup.error() == 1784
        wrong.cbSize, wrong.Reserved = 32, 1
        for function in (
            lambda given: face.SetupDiGetDeviceInstanceIdW(handle, given, None, 0, None),
            lambda given: face.SetupDiCallClassInstaller(REMOVE, handle, given),
        ):
            assert not function(wrong) and setup.error() == 87
            assert not function(None) and setup.error() == 87
        assert not face.SetupDiEnumDeviceInfo(5, 0, data) and setup.error() == 6
        assert not face.SetupDiEnumDeviceInfo(INVALID, 0, data) and setup.error() == 6
        assert not face.SetupDiCallClassInstaller(0x7777, handle, data) and setup.error() == 0xE000020E
        assert not face.SetupDiCallClassInstaller(CHANGE, handle, data) and setup.error() == 0xE0000215
        assert face.SetupDiOpenDevRegKey(handle, data, 1, 0, 4, 0x20019) == INVALID and setup.error() == 87
        # A device that somebody else removed.
        (same,) = setup.devices(other)
        assert face.SetupDiCallClassInstaller(REMOVE, other, same)
        assert not face.SetupDiGetDeviceInstanceIdW(handle, data, None, 0, None) and setup.error() == NO_SUCH_DEVINST
        assert setup.status(data) == (-0xD, 0)
        assert list(setup.devices(setup.adapters())) == []

    setup.face.run(main)


def test_a_device_is_created_and_removed(setup: Setup) -> None:
    def main() -> None:
        face, system = setup.face, setup.face.system
        handle, data = setup.create()
        assert setup.instance_id(handle, data) == "ROOT\\NET\\0000"
        assert setup.status(data) == (HAS_PROBLEM, 1) and system.devices == []
        assert face.SetupDiOpenDevRegKey(handle, data, 1, 0, 2, 0x20019) == INVALID
        assert setup.error() == 0xE0000204
        # It wants a GUID of its own choice.
        wanted = uuid.UUID(int=99)
        key = face.SetupDiCreateDevRegKeyW(handle, data, 1, 0, 2, 0, None)
        value = text(f"{{{str(wanted).upper()}}}")
        face.RegSetValueExW(key, text("NetSetupAnticipatedInstanceId"), 0, 1, value, len(value.raw))
        assert setup.install(handle, data) == 0
        assert setup.status(data) == (STARTED, 0)
        (device,) = system.devices
        assert (device.guid, device.name, device.description) == (wanted, "Local Area Connection", "My Tunnel")
        assert setup.interfaces() == [device.interface_path]
        opened = setup.open(device.interface_path)
        assert setup.register(opened)[0] == 0
        face.CloseHandle(opened)
        second = setup.create()
        assert setup.install(*second) == 0
        assert [one.name for one in system.devices] == ["Local Area Connection", "Local Area Connection 2"]
        assert face.SetupDiCallClassInstaller(REMOVE, handle, data)
        assert not face.SetupDiCallClassInstaller(REMOVE, handle, data) and setup.error() == NO_SUCH_DEVINST
        assert [setup.instance_id(*second)] == [one.instance_id for one in system.devices] == ["ROOT\\NET\\0001"]
        assert setup.open(device.interface_path) == -2
        registry = system.registry.control_set
        for path in (
            "Enum\\ROOT\\NET\\0000",
            f"Control\\Class\\{{{NET}}}\\0000",
            f"Control\\Network\\{{{NET}}}\\{{{wanted}}}",
        ):
            assert registry.find(path) is None, path
        # The lowest numbers are taken again.
        assert setup.instance_id(*setup.create()) == "ROOT\\NET\\0000"

    setup.face.run(main)


def test_devices_that_no_driver_fits(setup: Setup) -> None:
    def main() -> None:
        face = setup.face
        handle, data = setup.create("Other")
        assert setup.install(handle, data) == 0xE0000203
        assert not setup.change(handle, data, DISABLE) and setup.status(data) == (HAS_PROBLEM, 22)
        assert not setup.change(handle, data, ENABLE) and setup.status(data) == (HAS_PROBLEM, 1)
        assert not face.SetupDiCallClassInstaller(0x17, handle, data) and setup.error() == 0xE0000228
        handle, data = setup.create("WINTUN")
        assert face.WintunDeleteDriver() == 1
        assert setup.install(handle, data) == 0xE0000203
        assert len(list(setup.devices(setup.adapters()))) == 2

    setup.face.run(main)


def test_a_device_that_was_not_registered_goes_with_its_set(setup: Setup) -> None:
    def main() -> None:
        face, data = setup.face, device_data()
        handle = face.SetupDiCreateDeviceInfoList(guid(NET), 0)
        create = face.SetupDiCreateDeviceInfoW
        assert create(handle, text("NET"), guid(NET), None, 0, 1, data)
        assert list(setup.devices(setup.adapters())) == []
        assert not create(handle, text("ROOT\\NET\\0000"), guid(NET), None, 0, 0, data)
        assert setup.error() == 0xE0000207
        assert not create(handle, text("A\\B"), guid(NET), None, 0, 1, data) and setup.error() == 0xE0000205
        assert not create(handle, text("NET"), guid(INTERFACE), None, 0, 1, data) and setup.error() == 0xE0000201
        assert not create(handle, None, guid(NET), None, 0, 1, data) and setup.error() == 87
        assert not face.SetupDiCallClassInstaller(INSTALL, handle, data) and setup.error() == 0xE0000208
        assert face.SetupDiOpenDevRegKey(handle, data, 1, 0, 2, 0x20019) == INVALID
        assert setup.error() == 0xE0000208
        assert setup.status(data) == (-0xD, 0)
        assert face.SetupDiDestroyDeviceInfoList(handle)
        assert face.system.tree.nodes == []

    setup.face.run(main)


def test_the_driver_that_is_offered(setup: Setup) -> None:
    def main() -> None:
        face = setup.face
        handle, data = setup.create()
        assert face.SetupDiBuildDriverInfoList(handle, data, 2)
        driver = forms(WIDE).driver_data()
        driver.cbSize = 8
        assert not face.SetupDiEnumDriverInfoW(handle, data, 2, 0, driver) and setup.error() == 1784
        driver.cbSize = ctypes.sizeof(driver)
        assert face.SetupDiEnumDriverInfoW(handle, data, 2, 0, driver)
        assert driver.DriverVersion == 8 << 32 | 1 << 16
        assert bytes(driver.Description).decode("utf-16-le").rstrip("\0") == "Wintun Userspace Tunnel"
        detail, needed = forms(WIDE).driver_detail(), ctypes.c_uint32()
        assert not face.SetupDiGetDriverInfoDetailW(handle, data, driver, None, 0, needed) and setup.error() == 122
        buffer = ctypes.create_string_buffer(needed.value)
        ctypes.c_uint32.from_buffer(buffer).value = ctypes.sizeof(detail)
        assert face.SetupDiGetDriverInfoDetailW(handle, data, driver, buffer, needed.value, None)
        ids = buffer.raw[type(detail).HardwareID.offset :].decode("utf-16-le")
        assert ids == "Wintun\0\0"
        assert not face.SetupDiGetSelectedDriverW(handle, data, driver) and setup.error() == 0xE0000203
        assert face.SetupDiSetSelectedDriverW(handle, data, driver)
        assert face.SetupDiGetSelectedDriverW(handle, data, driver)

    setup.face.run(main)


@pytest.mark.parametrize("account", [Account.USER, Account.ADMINISTRATOR])
def test_rights(account: Account) -> None:
    face = Face(account)
    setup = Setup(face)
    device = face.system.create_adapter("one")
    may = account is not Account.USER

    def main() -> None:
        handle, data = setup.adapters(), device_data()
        (found,) = setup.devices(handle)
        assert setup.property(handle, found, 1)[0] == 7
        assert setup.instance_id(handle, found) == device.instance_id
        list_handle = face.SetupDiCreateDeviceInfoList(guid(NET), 0)
        for expected, done in (
            (may, lambda: face.SetupDiCreateDeviceInfoW(list_handle, text("NET"), guid(NET), None, 0, 1, data)),
            (may, lambda: face.SetupDiSetDeviceRegistryPropertyW(handle, found, 0xC, text("x"), 4)),
            (may, lambda: face.SetupDiCallClassInstaller(REMOVE, handle, found)),
        ):
            assert bool(done()) == expected
            assert expected or setup.error() == 5
        assert face.system.devices == ([] if may else [device])

    face.run(main)


def test_disabling_and_enabling(setup: Setup) -> None:
    device = setup.face.system.create_adapter("one")

    def main() -> None:
        face, handle = setup.face, setup.adapters()
        (data,) = setup.devices(handle)
        assert not setup.change(handle, data, DISABLE)
        assert setup.status(data) == (HAS_PROBLEM, 22)
        assert setup.interfaces() == [] and setup.interfaces(1) == [device.interface_path]
        assert setup.open(device.interface_path) == -2
        assert face.GetAdaptersAddresses(0, 0, None, None, ctypes.c_uint32()) == 232
        # It is there, as a device; its key says so.
        assert len(list(setup.devices(setup.adapters()))) == 1
        assert setup.property(handle, data, 0xA) == (4, b"\1\0\0\0")
        assert not setup.change(handle, data, DISABLE)
        assert not setup.change(handle, data, ENABLE)
        assert setup.status(data) == (STARTED, 0)
        assert setup.property(handle, data, 0xA) == (4, b"\0\0\0\0")
        opened = setup.open(setup.interfaces()[0])
        assert setup.register(opened)[0] == 0
        face.CloseHandle(opened)
        assert not setup.change(handle, data, RESTART)
        assert setup.status(data) == (STARTED, 0)

    setup.face.run(main)


def test_open_handles_hold_up_orderly_changes(setup: Setup) -> None:
    device = setup.face.system.create_adapter("one")

    def main() -> None:
        face, handle = setup.face, setup.adapters()
        (data,) = setup.devices(handle)
        opened = setup.open(device.interface_path)
        error, (send, _) = setup.register(opened)
        assert error == 0
        assert setup.change(handle, data, DISABLE)
        assert setup.status(data) == (STARTED | NEED_RESTART, 0)
        assert send[1] == 0
        assert face.CM_Disable_DevNode(data.DevInst, 0) == 0x17
        assert face.SetupDiCallClassInstaller(REMOVE, handle, data) and setup.needs_reboot(handle, data)
        assert face.system.devices == [device]
        face.CloseHandle(opened)
        assert face.SetupDiCallClassInstaller(REMOVE, handle, data)
        assert face.system.devices == []

    setup.face.run(main)


def test_from_014_on_the_owner_s_handle_is_closed_first() -> None:
    face = Face(system=System(seed=1, revision="0.14"))
    setup = Setup(face)
    device = face.system.create_adapter("one")

    def main() -> None:
        handle = setup.adapters()
        (data,) = setup.devices(handle)
        opened = setup.open(device.interface_path)
        error, (send, receive) = setup.register(opened)
        assert error == 0
        other = setup.open(device.interface_path)
        # The other handle keeps the device; the registration is over nevertheless.
        assert setup.change(handle, data, DISABLE)
        assert (send[1], receive[0]) == (0xFFFFFFFF, 0xFFFFFFFF)
        assert setup.register(opened)[0] == 6 and setup.status(data) == (STARTED | NEED_RESTART, 0)
        face.CloseHandle(other)
        opened = setup.open(device.interface_path)
        error, (send, receive) = setup.register(opened)
        assert error == 0
        fresh = setup.adapters()
        (data,) = setup.devices(fresh)
        assert not setup.change(fresh, data, DISABLE)
        assert (send[1], receive[0]) == (0xFFFFFFFF, 0xFFFFFFFF)
        assert setup.status(data) == (HAS_PROBLEM, 22)
        assert not setup.change(fresh, data, ENABLE)
        assert setup.register(setup.open(device.interface_path))[0] == 0

    face.run(main)


def test_a_surprise_leaves_handles_that_are_good_for_nothing(setup: Setup) -> None:
    device = setup.face.system.create_adapter("one")

    def main() -> None:
        opened = setup.open(device.interface_path)
        error, (send, receive) = setup.register(opened)
        assert error == 0
        setup.face.system.remove_adapter(device)
        assert (send[1], receive[0]) == (0xFFFFFFFF, 0xFFFFFFFF)
        assert setup.register(opened)[0] == 17
        assert setup.open(device.interface_path) == -2 and setup.interfaces() == []
        assert setup.face.CloseHandle(opened) == 1

    setup.face.run(main)


def test_a_driver_that_does_not_start(setup: Setup) -> None:
    system = setup.face.system
    system.fails = lambda what: what == "adapter context"

    def main() -> None:
        handle, data = setup.create()
        assert setup.install(handle, data) == 0
        assert setup.status(data) == (HAS_PROBLEM, 10)
        assert setup.interfaces() == []
        assert setup.face.WintunCreateAdapter(text("x"), text("t"), None) == 0 and setup.error() == 31
        system.fails = lambda what: False
        assert not setup.change(handle, data, ENABLE)
        assert setup.status(data) == (STARTED, 0)

    setup.face.run(main)
