"""The registry by advapi32 (spec win32 §4)."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from win32_face import Face, ansi, text

from wintunsim.kernel.process import Account

HKLM = 0xFFFFFFFF80000002
HKCU = 0x80000001
READ, WRITE, ALL = 0x20019, 0x20006, 0xF003F
CLASS = "SYSTEM\\CurrentControlSet\\Control\\Class\\{4D36E972-E325-11CE-BFC1-08002BE10318}"
SZ, BINARY, DWORD, MULTI_SZ, QWORD = 1, 3, 4, 7, 11


def opened(face: Face, path: str, access: int = READ, root: int = HKLM) -> int:
    """A handle to a key; a negative number for an error."""
    key = ctypes.c_uint64(77)
    error = face.RegOpenKeyExW(root, text(path), 0, access, key)
    assert bool(key.value) == (not error)
    return -error if error else key.value


def query(face: Face, key: int, name: str | None, room: int = 200) -> tuple[int, int, bytes]:
    """(error, type, data) of a value."""
    kind, length = ctypes.c_uint32(), ctypes.c_uint32(room)
    buffer = ctypes.create_string_buffer(room + 1)
    error = face.RegQueryValueExW(key, None if name is None else text(name), 0, kind, buffer, length)
    return error, kind.value, buffer.raw[: length.value] if not error else b""


def subkeys(face: Face, key: int) -> list[str]:
    names = []
    while True:
        buffer, length = ctypes.create_string_buffer(512), ctypes.c_uint32(256)
        error = face.RegEnumKeyExW(key, len(names), buffer, length, 0, 0, 0, 0)
        if error:
            assert error == 259
            return names
        names.append(buffer.raw[: 2 * length.value].decode("utf-16-le"))


def set_value(face: Face, key: int, name: str, kind: int, data: bytes) -> int:
    return int(face.RegSetValueExW(key, text(name), 0, kind, ctypes.create_string_buffer(data, len(data)), len(data)))


def wide(value: str) -> bytes:
    return value.encode("utf-16-le")


@pytest.fixture
def face() -> Face:
    face = Face()
    face.system.create_adapter("Office")
    return face


def test_the_class_key_tells_of_each_adapter(face: Face) -> None:
    second = face.system.create_adapter("Home")

    def main() -> None:
        key = opened(face, CLASS)
        assert subkeys(face, key) == ["0000", "0001", "Properties"]
        driver = opened(face, "0001", root=key)
        guid = f"{{{str(second.guid).upper()}}}"
        assert query(face, driver, "netcfginstanceid") == (0, SZ, wide(guid + "\0"))
        assert query(face, driver, "NetLuidIndex") == (0, DWORD, (second.luid >> 24 & 0xFFFFFF).to_bytes(4, "little"))
        assert query(face, driver, "*IfType") == (0, DWORD, (53).to_bytes(4, "little"))
        for name, content in {
            "ComponentId": "wintun",
            "DriverDesc": "Wintun Userspace Tunnel",
            "DriverVersion": "0.8.1.0",
            "DriverDate": "2-27-2020",
            "DeviceInstanceID": second.instance_id,
        }.items():
            assert query(face, driver, name) == (0, SZ, wide(content + "\0")), name
        assert query(face, driver, "Missing")[0] == 2
        network = CLASS.replace("Class", "Network") + f"\\{guid}\\Connection"
        assert query(face, opened(face, network), "Name") == (0, SZ, wide("Home\0"))
        assert query(face, opened(face, f"SYSTEM\\ControlSet001\\Enum\\{second.instance_id}"), "HardwareID") == (
            0, MULTI_SZ, wide("Wintun\0\0"),
        )  # fmt: skip

    face.run(main)


def test_opening_keys(face: Face) -> None:
    def main() -> None:
        assert opened(face, "SYSTEM\\Nowhere") == -2
        assert opened(face, "\\SYSTEM") == -161
        assert opened(face, "system\\") > 0
        key = opened(face, "SYSTEM")
        assert face.RegCloseKey(key) == 0
        assert face.RegCloseKey(key) == 6
        assert face.RegCloseKey(HKLM) == 0
        assert query(face, key, "x")[0] == 6
        assert face.RegOpenKeyExW(0x80000009, text("SYSTEM"), 0, READ, ctypes.c_uint64()) == 6
        assert face.RegOpenKeyExW(HKLM, text("SYSTEM"), 0, READ, None) == 87
        event = face.CreateEventW(None, 1, 0, None)
        assert face.RegCloseKey(event) == 6
        assert opened(face, "SYSTEM", root=HKLM & 0xFFFFFFFF) > 0
        # They are handles like others.
        assert face.CloseHandle(opened(face, "SYSTEM")) == 1

    face.run(main)


def test_sizes_of_values(face: Face) -> None:
    def main() -> None:
        key = opened(face, CLASS + "\\0000")
        length, kind, buffer = ctypes.c_uint32(5), ctypes.c_uint32(), ctypes.create_string_buffer(14)
        name = text("ComponentId")
        assert face.RegQueryValueExW(key, name, 0, kind, None, length) == 0 and length.value == 14
        length.value = 13
        assert face.RegQueryValueExW(key, name, 0, kind, buffer, length) == 234 and length.value == 14
        assert face.RegQueryValueExW(key, name, 0, kind, buffer, length) == 0 and buffer.raw == wide("wintun\0")
        assert face.RegQueryValueExW(key, name, 0, None, None, None) == 0
        assert face.RegQueryValueExW(key, name, 0, None, buffer, None) == 87
        assert face.RegQueryValueExW(key, name, 1, None, None, None) == 87
        # In the A functions' characters it is half as long.
        assert face.RegQueryValueExA(key, ansi("ComponentId"), 0, kind, buffer, length) == 0
        assert (buffer.raw[: length.value], kind.value) == (b"wintun\0", SZ)

    face.run(main)


def test_writing_and_deleting(face: Face) -> None:
    def main() -> None:
        key, disposition = ctypes.c_uint64(), ctypes.c_uint32()

        def create(path: str, root: int = HKLM) -> int:
            return int(face.RegCreateKeyExW(root, text(path), 0, None, 0, ALL, None, key, disposition))

        assert create("SOFTWARE\\Tests\\Deep") == 0 and disposition.value == 1
        assert create("software\\tests\\deep") == 0 and disposition.value == 2
        assert create("Tests") == 87
        values: list[tuple[str, int, bytes]] = [
            ("", SZ, wide("default\0")),
            ("Binary", BINARY, b"\1\2\3"),
            ("Number", DWORD, b"\7\0\0\0"),
            ("Empty", BINARY, b""),
            ("Odd", 1234, b"x"),
        ]
        for name, kind, data in values:
            assert set_value(face, key.value, name, kind, data) == 0
        for name, kind, data in values:
            assert query(face, key.value, name) == (0, kind, data)
        assert query(face, key.value, None) == (0, *values[0][1:])
        found: list[Any] = []
        while True:
            name, size = ctypes.create_string_buffer(100), ctypes.c_uint32(50)
            kind, data, room = ctypes.c_uint32(), ctypes.create_string_buffer(50), ctypes.c_uint32(50)
            error = face.RegEnumValueW(key.value, len(found), name, size, 0, kind, data, room)
            if error:
                assert error == 259
                break
            found.append((name.raw[: 2 * size.value].decode("utf-16-le"), kind.value, data.raw[: room.value]))
        assert found == values
        assert face.RegEnumValueW(key.value, 1, name, ctypes.c_uint32(6), 0, None, None, None) == 234
        assert face.RegDeleteValueW(key.value, text("number")) == 0
        assert face.RegDeleteValueW(key.value, text("number")) == 2
        assert face.RegSetValueExA(key.value, ansi("A"), 0, SZ, ansi("text"), 5) == 0
        assert query(face, key.value, "A") == (0, SZ, wide("text\0"))
        assert face.RegDeleteKeyW(HKLM, text("SOFTWARE\\Tests")) == 5
        assert face.RegDeleteKeyW(HKLM, text("SOFTWARE\\Tests\\Deep")) == 0
        assert face.RegDeleteKeyW(HKLM, text("SOFTWARE\\Tests\\Deep")) == 2
        assert query(face, key.value, "A")[0] == 1018
        assert create("SOFTWARE\\Tests\\Again\\And") == 0
        assert face.RegDeleteTreeW(HKLM, text("SOFTWARE\\Tests")) == 0
        assert opened(face, "SOFTWARE\\Tests") == -2

    face.run(main)


def test_handles_grant_what_they_were_opened_with(face: Face) -> None:
    def main() -> None:
        reading, writing = opened(face, "SOFTWARE"), opened(face, "SOFTWARE", WRITE)
        assert set_value(face, reading, "x", DWORD, bytes(4)) == 5
        assert set_value(face, writing, "x", DWORD, bytes(4)) == 0
        assert query(face, writing, "x")[0] == 5
        assert face.RegDeleteValueW(reading, text("x")) == 5
        assert face.RegEnumKeyExW(writing, 0, ctypes.create_string_buffer(20), ctypes.c_uint32(9), 0, 0, 0, 0) == 5

    face.run(main)


@pytest.mark.parametrize(
    ("account", "software", "enum", "properties"),
    [(Account.SYSTEM, 1, 1, 1), (Account.ADMINISTRATOR, 1, -5, -5), (Account.USER, -5, -5, -5)],
)
def test_who_may_write(account: Account, software: int, enum: int, properties: int) -> None:
    face = Face(account)
    device = face.system.create_adapter("tun")

    def main() -> None:
        def outcome(path: str, access: int, root: int = HKLM) -> int:
            return min(opened(face, path, access, root), 1)

        assert outcome("SOFTWARE", READ) == 1
        assert outcome("SOFTWARE", WRITE) == software
        assert outcome(CLASS + "\\0000", 2) == software
        assert outcome(f"SYSTEM\\CurrentControlSet\\Enum\\{device.instance_id}", WRITE) == enum
        assert outcome(CLASS + "\\Properties", READ) == properties
        assert outcome("SOFTWARE", 0x02000000) == 1
        key = ctypes.c_uint64()
        error = face.RegCreateKeyExW(HKLM, text("SOFTWARE\\New"), 0, None, 0, ALL, None, key, None)
        assert error == (0 if software > 0 else 5)
        assert face.RegDeleteKeyW(HKLM, text("SOFTWARE\\Classes")) == (0 if software > 0 else 5)
        assert face.RegCreateKeyExW(HKCU, text("Mine"), 0, None, 0, ALL, None, key, None) == 0
        assert set_value(face, key.value, "x", DWORD, bytes(4)) == 0
        key.value = HKLM
        assert set_value(face, key.value, "x", DWORD, bytes(4)) == (0 if software > 0 else 5)

    face.run(main)


def test_values_of_a_type(face: Face) -> None:
    def main() -> None:
        path, kind, room = text(CLASS + "\\0000"), ctypes.c_uint32(), ctypes.c_uint32(40)
        buffer = ctypes.create_string_buffer(40)

        def get(name: str, flags: int) -> int:
            room.value = 40
            return int(face.RegGetValueW(HKLM, path, text(name), flags, kind, buffer, room))

        assert get("ComponentId", 2) == 0 and buffer.raw[: room.value] == wide("wintun\0")
        assert get("*IfType", 0x10) == 0 and (kind.value, room.value) == (DWORD, 4)
        assert get("*IfType", 0xFFFF) == 0
        assert get("*IfType", 2) == 1630
        assert get("Missing", 0xFFFF) == 2
        buffer.raw = b"x" * 40
        assert get("Missing", 0x2000FFFF) == 2 and buffer.raw == bytes(40)
        assert face.RegGetValueW(HKLM, text("Nowhere"), text(""), 2, None, None, None) == 2
        key = opened(face, "SOFTWARE", WRITE)
        set_value(face, key, "bare", SZ, wide("no end"))
        path = text("SOFTWARE")
        assert get("bare", 2) == 0 and buffer.raw[: room.value] == wide("no end\0")

    face.run(main)


def test_what_a_key_is_asked(face: Face) -> None:
    def main() -> None:
        key = opened(face, CLASS + "\\0000")
        numbers = [ctypes.c_uint32(99) for _ in range(6)]
        written = ctypes.c_uint64()
        assert face.RegQueryInfoKeyW(key, 0, 0, 0, *numbers, 0, written) == 0
        found = [number.value for number in numbers]
        device = face.system.devices[0]
        values = device.keys.driver.values()
        assert found == [1, len("Linkage"), 0, len(values), len("PhysicalMediaType") + 1, 2 * 39]
        assert written.value > 133_000_000_000_000_000

    face.run(main)


def test_changes_are_told_once(face: Face) -> None:
    def main() -> None:
        network = opened(face, CLASS.replace("Class", "Network"), READ)
        event = face.CreateEventW(None, 0, 0, None)
        assert face.RegNotifyChangeKeyValue(network, 1, 4, event, 1) == 0
        assert face.WaitForSingleObject(event, 0) == 258
        face.system.devices[0].name = "Other"
        assert face.WaitForSingleObject(event, 0) == 0
        face.system.devices[0].name = "Third"
        assert face.WaitForSingleObject(event, 0) == 258
        # The key itself, without what is below it.
        assert face.RegNotifyChangeKeyValue(network, 0, 4, event, 1) == 0
        face.system.devices[0].name = "Fourth"
        assert face.WaitForSingleObject(event, 0) == 258
        face.thread(lambda: (face.Sleep(50), face.system.create_adapter("New")))
        before = face.machine.now
        assert face.RegNotifyChangeKeyValue(network, 1, 1, 0, 0) == 0
        assert face.machine.now - before > 30_000_000
        assert face.WaitForSingleObject(event, 0) == 0
        assert face.RegNotifyChangeKeyValue(network, 1, 0, 0, 0) == 87

    face.run(main)


def test_bad_pointers(face: Face) -> None:
    def main() -> None:
        key = opened(face, CLASS + "\\0000")
        assert face.RegQueryValueExW(key, 8, 0, None, None, None) == 998
        assert face.RegQueryValueExW(key, text("ComponentId"), 0, None, None, 16) == 998

    face.run(main)
