"""wintun.dll: adapters and sessions over the real driver model (spec win32 §6)."""

from __future__ import annotations

import ctypes
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from win32_face import INFINITE, Face, text

from wintun_model.errors import ClientFault
from wintun_model.ring import stored_bytes
from wintunsim.kernel.process import Account

CAPACITY = 0x20000
LOGGER = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p)


def packet(size: int, fill: int = 0) -> bytes:
    """An IPv4 packet as far as the driver looks."""
    return (bytes([0x45]) + bytes([fill]) * size)[:size]


class Network:
    """What NDIS gets from the driver."""

    is_watching = True

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def link_changed(self, port: Any, connected: bool) -> None:
        pass

    def packet_sent(self, port: Any, sent: Any, status: int) -> None:
        pass

    def packet_received(self, port: Any, data: bytes) -> None:
        self.received.append(bytes(data))


class Tunnel:
    """A session of a client, with the other side."""

    def __init__(self, face: Face, capacity: int = CAPACITY) -> None:
        self.face = face
        self.adapter = face.WintunCreateAdapter(text("tun"), text("Test"), None)
        self.session = face.WintunStartSession(self.adapter, capacity)
        self.port = face.system.devices[-1].port
        self.sent = 0

    def deliver(self, data: bytes) -> None:
        """The system sends a packet through the adapter."""
        self.sent += 1
        self.port.enqueue(1, self.sent, data)

    def receive(self) -> tuple[int, bytes] | None:
        size = ctypes.c_uint32()
        pointer = self.face.WintunReceivePacket(self.session, size)
        return (pointer, ctypes.string_at(pointer, size.value)) if pointer else None

    def allocate(self, data: bytes) -> int:
        pointer = self.face.WintunAllocateSendPacket(self.session, len(data))
        if pointer:
            ctypes.memmove(pointer, data, len(data))
        return int(pointer)

    def word(self, ring: int, index: int) -> ctypes.c_uint32:
        """A ring word: ring 0 is the one that the client receives from."""
        adapter = self.port.adapter
        registered = (adapter.send_ring if ring == 0 else adapter.receive_ring).value
        return ctypes.c_uint32.from_buffer(registered.head.cells, 4 * index)


@pytest.fixture
def network(face: Face) -> Network:
    face.system.network = Network()
    return face.system.network


def test_packets_are_received_in_order_and_byte_for_byte(face: Face) -> None:
    def main() -> None:
        tunnel = Tunnel(face)
        assert tunnel.receive() is None and face.last_error == 259
        packets = [packet(size, size & 0xFF) for size in (20, 21, 1420, 65535, 40)]
        for data in packets:
            tunnel.deliver(data)
        got = []
        while len(got) < len(packets):
            item = tunnel.receive()
            if item is None:
                assert face.last_error == 259
                assert face.WaitForSingleObject(face.WintunGetReadWaitEvent(tunnel.session), 1000) == 0
                continue
            got.append(item[1])
            face.WintunReleaseReceivePacket(tunnel.session, item[0])
        assert got == packets

    face.run(main)


def test_head_stays_behind_the_oldest_packet_held(face: Face) -> None:
    def main() -> None:
        tunnel = Tunnel(face)
        for index in range(3):
            tunnel.deliver(packet(100, index))
        face.Sleep(5)
        pointers = [item[0] for item in (tunnel.receive(), tunnel.receive(), tunnel.receive()) if item]
        head = tunnel.word(0, 0)
        heads = []
        for index in (2, 0, 1):
            face.WintunReleaseReceivePacket(tunnel.session, pointers[index])
            heads.append(head.value // stored_bytes(100))
        assert heads == [0, 1, 3]

    face.run(main)


def test_the_order_on_the_wire_is_that_of_allocation(face: Face, network: Network) -> None:
    def main() -> None:
        tunnel = Tunnel(face)
        pointers = [tunnel.allocate(packet(60, index)) for index in range(3)]
        for index in (2, 0, 1):
            face.WintunSendPacket(tunnel.session, pointers[index])
        face.Sleep(5)
        assert network.received == [packet(60, index) for index in range(3)]

    face.run(main)


def test_a_full_ring_and_a_stopped_one(face: Face) -> None:
    def main() -> None:
        tunnel = Tunnel(face)
        first = tunnel.allocate(packet(60000))
        assert first and tunnel.allocate(packet(60000))
        assert tunnel.allocate(packet(60000)) == 0 and face.last_error == 111
        face.system.remove_adapter(face.system.devices[0])
        assert tunnel.allocate(packet(10)) == 0 and face.last_error == 38
        assert tunnel.receive() is None and face.last_error == 38
        assert face.WaitForSingleObject(face.WintunGetReadWaitEvent(tunnel.session), 0) == 0

    face.run(main)


def test_bad_data_in_the_ring(face: Face) -> None:
    def main() -> None:
        tunnel = Tunnel(face)
        tunnel.deliver(packet(100))
        face.Sleep(5)
        ring = tunnel.port.adapter.send_ring.value
        ring.data[0:4] = (101).to_bytes(4, "little")
        assert tunnel.receive() is None and face.last_error == 13

    face.run(main)


def test_pointers_that_are_no_packets_are_the_client_s_fault(face: Face) -> None:
    def main() -> None:
        tunnel = Tunnel(face)
        pointer = tunnel.allocate(packet(40))
        face.WintunSendPacket(tunnel.session, pointer)
        for function in (face.WintunSendPacket, face.WintunReleaseReceivePacket):
            with pytest.raises(ClientFault, match="pointer"):
                function(tunnel.session, pointer)
        face.WintunEndSession(tunnel.session)
        with pytest.raises(ClientFault, match="session that has ended"):
            face.WintunReceivePacket(tunnel.session, 0)
        face.WintunCloseAdapter(tunnel.adapter)
        with pytest.raises(ClientFault, match="adapter"):
            face.WintunStartSession(tunnel.adapter, CAPACITY)

    face.run(main)


@pytest.mark.parametrize("capacity", [0, 1, CAPACITY - 1, CAPACITY // 2, 3 * CAPACITY, 0x8000000])
def test_bad_capacities_leave_nothing_behind(face: Face, capacity: int) -> None:
    def main() -> None:
        adapter = face.WintunCreateAdapter(text("tun"), text("Test"), None)
        before = face.process.handles.values()
        assert face.WintunStartSession(adapter, capacity) == 0
        assert face.last_error == 87
        assert face.process.handles.values() == before
        assert face.WintunStartSession(adapter, CAPACITY)

    face.run(main)


def test_one_session_at_a_time(face: Face) -> None:
    def main() -> None:
        tunnel = Tunnel(face)
        assert face.WintunStartSession(tunnel.adapter, CAPACITY) == 0 and face.last_error == 1247
        face.WintunEndSession(tunnel.session)
        assert face.process.handles.values() == []
        assert face.WintunStartSession(tunnel.adapter, CAPACITY)

    face.run(main)


def test_both_rings_lie_in_one_allocation(face: Face) -> None:
    def main() -> None:
        tunnel = Tunnel(face)
        adapter = tunnel.port.adapter
        first, second = (
            ctypes.addressof(ctypes.c_char.from_buffer(ring.value.head.cells))
            for ring in (adapter.send_ring, adapter.receive_ring)
        )
        assert second == first + 12 + CAPACITY + 0x10000

    face.run(main)


def test_adapters(face: Face) -> None:
    def main() -> None:
        assert face.WintunGetRunningDriverVersion() == 0 and face.last_error == 2
        wanted = uuid.UUID(int=77)
        guid = ctypes.create_string_buffer(wanted.bytes_le, 16)
        adapter = face.WintunCreateAdapter(text("Office"), text("Test"), guid)
        (device,) = face.system.devices
        assert (device.name, device.guid) == ("Office", wanted)
        luid = ctypes.c_uint64()
        face.WintunGetAdapterLUID(adapter, luid)
        assert luid.value == device.luid
        assert face.WintunGetRunningDriverVersion() == 8
        assert face.WintunDeleteDriver() == 0
        assert face.WintunCreateAdapter(text("Second"), text("Test"), guid) == 0 and face.last_error == 183
        opened = face.WintunOpenAdapter(text("office"))
        face.WintunCloseAdapter(opened)
        assert face.system.devices == [device]
        assert face.WintunOpenAdapter(text("Home")) == 0 and face.last_error == 1168
        assert face.WintunCreateAdapter(text("Office"), text("Test"), None)
        assert [item.name for item in face.system.devices] == ["Office", "Office 1"]
        face.WintunCloseAdapter(adapter)
        assert [item.name for item in face.system.devices] == ["Office 1"]
        face.WintunCloseAdapter(None)
        face.ExitProcess(0)

    face.run(main)
    # The process has ended, and its adapters with it.
    assert face.system.devices == []


@pytest.mark.parametrize(
    ("name", "kind", "error"), [("n" * 128, "t", 111), ("n", "t" * 128, 111), ("", "t", 87), ("n" * 127, "t", 0)]
)
def test_names_of_adapters(face: Face, name: str, kind: str, error: int) -> None:
    def main() -> None:
        assert bool(face.WintunCreateAdapter(text(name), text(kind), None)) == (not error)
        assert not error or face.last_error == error

    face.run(main)


def test_rights() -> None:
    user = Face(Account.USER)
    user.system.create_adapter("tun")

    def without() -> None:
        assert user.IsUserAnAdmin() == 0
        assert user.WintunCreateAdapter(text("x"), text("t"), None) == 0 and user.last_error == 5
        assert user.WintunOpenAdapter(text("tun")) == 0 and user.last_error == 5
        assert user.WintunDeleteDriver() == 0 and user.last_error == 5

    user.run(without)
    administrator = Face(Account.ADMINISTRATOR)

    def some() -> None:
        assert administrator.IsUserAnAdmin() == 1
        adapter = administrator.WintunCreateAdapter(text("x"), text("t"), None)
        # The driver of this revision is for LocalSystem alone.
        assert administrator.WintunStartSession(adapter, CAPACITY) == 0 and administrator.last_error == 5

    administrator.run(some)


def test_the_logger(face: Face) -> None:
    lines: list[tuple[int, str]] = []

    @LOGGER
    def logger(level: int, timestamp: int, line: int) -> None:
        size = 0
        while ctypes.string_at(line + size, 2) != b"\0\0":
            size += 2
        lines.append((level, ctypes.string_at(line, size).decode("utf-16-le")))
        face.SetLastError(1)

    def main() -> None:
        face.WintunSetLogger(ctypes.cast(logger, ctypes.c_void_p).value)
        adapter = face.WintunCreateAdapter(text("tun"), text("t"), None)
        assert face.WintunStartSession(adapter, 5) == 0
        assert face.last_error == 87
        face.WintunSetLogger(None)
        face.WintunOpenAdapter(text("nothing"))

    face.run(main)
    assert lines[0] == (0, "Creating adapter")
    assert lines[1] == (2, "Failed to register rings: The parameter is incorrect. (Code 0x00000057)")
    assert len(lines) == 2


def test_a_reader_waits_while_another_thread_sends(face: Face, network: Network) -> None:
    def main() -> None:
        tunnel = Tunnel(face)
        got: list[bytes] = []

        def reader() -> None:
            event = face.WintunGetReadWaitEvent(tunnel.session)
            while len(got) < 50:
                item = tunnel.receive()
                if item is None:
                    face.WaitForSingleObject(event, INFINITE)
                    continue
                got.append(item[1])
                face.WintunReleaseReceivePacket(tunnel.session, item[0])

        face.thread(reader)
        for index in range(50):
            tunnel.deliver(packet(200, index))
            pointer = tunnel.allocate(packet(300, index))
            face.WintunSendPacket(tunnel.session, pointer)
            face.Sleep(1 if index % 10 == 0 else 0)
        face.Sleep(20)
        assert got == [packet(200, index) for index in range(50)]
        assert network.received == [packet(300, index) for index in range(50)]

    face.run(main)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["in", "out", "take", "idle"]), st.integers(20, 65535)), max_size=60))
def test_sessions_agree_with_plain_lists(steps: list[tuple[str, int]]) -> None:
    """What goes in comes out, in order, whatever fits; across the wrap."""
    face = Face()
    network = face.system.network = Network()

    def main() -> None:
        tunnel = Tunnel(face)
        taken: list[bytes] = []
        written: list[bytes] = []
        for number, (step, size) in enumerate(steps):
            data = packet(size, number & 0xFF)
            if step == "in":
                tunnel.deliver(data)
            elif step == "out":
                pointer = tunnel.allocate(data)
                if pointer:
                    face.WintunSendPacket(tunnel.session, pointer)
                    written.append(data)
            elif step == "take":
                item = tunnel.receive()
                if item is not None:
                    taken.append(item[1])
                    face.WintunReleaseReceivePacket(tunnel.session, item[0])
            else:
                face.Sleep(1)
        face.Sleep(20)
        while (item := tunnel.receive()) is not None:
            taken.append(item[1])
            face.WintunReleaseReceivePacket(tunnel.session, item[0])
        offered = [packet(size, number & 0xFF) for number, (step, size) in enumerate(steps) if step == "in"]
        refused = sum(tunnel.port.refused.values())
        remaining = iter(offered)
        assert all(data in remaining for data in taken)  # in order
        assert len(taken) + refused == len(offered)
        assert network.received == written
        assert tunnel.word(0, 0).value == tunnel.word(0, 1).value
        assert tunnel.word(1, 0).value == tunnel.word(1, 1).value

    face.run(main)
