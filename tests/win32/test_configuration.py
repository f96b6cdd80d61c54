"""Interface lists of cfgmgr32 (spec win32 §4)."""

from __future__ import annotations

import ctypes
import uuid

import pytest
from win32_face import Face, ansi, text

WINTUN = uuid.UUID("CAC88484-7515-4C03-82E6-71A87ABAC361")
OTHER = uuid.UUID("ad498944-762f-11d0-8dca-00c04fc3358c")


def guid(value: uuid.UUID) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(value.bytes_le, 16)


def interfaces(
    face: Face, device_id: str | None = None, flags: int = 0, of: uuid.UUID = WINTUN
) -> tuple[int, list[str]]:
    """(CONFIGRET of the size call, the list)."""
    length = ctypes.c_uint32(77)
    filter_text = None if device_id is None else text(device_id)
    result = face.CM_Get_Device_Interface_List_SizeW(length, guid(of), filter_text, flags)
    if result:
        assert length.value == 0
        return result, []
    buffer = ctypes.create_string_buffer(2 * length.value)
    assert face.CM_Get_Device_Interface_ListW(guid(of), filter_text, buffer, length.value, flags) == 0
    whole = buffer.raw.decode("utf-16-le")
    assert whole.endswith("\0\0") or whole == "\0"
    return 0, [path for path in whole.split("\0") if path]


@pytest.fixture
def face() -> Face:
    face = Face()
    for name in ("one", "two"):
        face.system.create_adapter(name)
    return face


def test_the_list_has_every_adapter_s_path(face: Face) -> None:
    def main() -> None:
        devices = face.system.devices
        paths = [device.interface_path for device in devices]
        assert interfaces(face) == interfaces(face, "") == interfaces(face, None, 1) == (0, paths)
        assert paths[0].lower().startswith("\\\\?\\root#net#0000#{cac88484-7515-4c03-82e6-71a87abac361}\\{")
        assert interfaces(face, devices[1].instance_id.lower()) == (0, paths[1:])
        assert interfaces(face, of=OTHER) == (0, [])
        assert interfaces(face, devices[1].instance_id, of=OTHER) == (0, [])

    face.run(main)


def test_the_a_forms(face: Face) -> None:
    def main() -> None:
        length = ctypes.c_uint32()
        device = face.system.devices[0]
        assert face.CM_Get_Device_Interface_List_SizeA(length, guid(WINTUN), ansi(device.instance_id), 0) == 0
        buffer = ctypes.create_string_buffer(length.value)
        instance_id = ansi(device.instance_id)
        assert face.CM_Get_Device_Interface_ListA(guid(WINTUN), instance_id, buffer, length.value, 0) == 0
        assert buffer.raw == device.interface_path.encode() + b"\0\0"

    face.run(main)


def test_config_errors(face: Face) -> None:
    def main() -> None:
        assert interfaces(face, "ROOT\\NET\\0042")[0] == 0xD
        assert interfaces(face, "nonsense")[0] == 0x1E
        assert interfaces(face, None, 2)[0] == 4
        length = ctypes.c_uint32()
        assert face.CM_Get_Device_Interface_List_SizeW(None, guid(WINTUN), None, 0) == 3
        assert face.CM_Get_Device_Interface_List_SizeW(length, None, None, 0) == 3
        buffer = ctypes.create_string_buffer(400)
        assert face.CM_Get_Device_Interface_ListW(guid(WINTUN), None, None, 200, 0) == 3
        assert face.CM_Get_Device_Interface_ListW(guid(WINTUN), None, buffer, 5, 0) == 0x1A

    face.run(main)


def test_an_adapter_that_comes_between_the_two_calls_makes_the_buffer_small(face: Face) -> None:
    def main() -> None:
        length = ctypes.c_uint32()
        assert face.CM_Get_Device_Interface_List_SizeW(length, guid(WINTUN), None, 0) == 0
        buffer = ctypes.create_string_buffer(2 * length.value)
        face.system.create_adapter("three")
        assert face.CM_Get_Device_Interface_ListW(guid(WINTUN), None, buffer, length.value, 0) == 0x1A

    face.run(main)


def test_no_interface_is_success_with_length_one() -> None:
    face = Face()

    def main() -> None:
        length = ctypes.c_uint32()
        assert face.CM_Get_Device_Interface_List_SizeW(length, guid(WINTUN), None, 0) == 0
        assert length.value == 1
        assert interfaces(face) == (0, [])

    face.run(main)


def test_device_nodes(face: Face) -> None:
    def main() -> None:
        node, status, problem = ctypes.c_uint32(), ctypes.c_uint32(), ctypes.c_uint32(9)
        assert face.CM_Locate_DevNodeW(node, text(face.system.devices[1].instance_id), 0) == 0
        assert face.CM_Get_DevNode_Status(status, problem, node.value, 0) == 0
        assert status.value & 8 and problem.value == 0
        assert face.CM_Locate_DevNodeW(node, text("ROOT\\NET\\0042"), 0) == 0xD
        assert face.CM_Get_DevNode_Status(status, problem, 99, 0) == 5

    face.run(main)
