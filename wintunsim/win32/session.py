"""wintun.dll: sessions, over the same rings and control code as any client (spec win32 §6).

The session layer's routines (`wintun_model.session`) run on the calling thread. What is here is the library's frame:
the allocation, the events, the device, the registration; and pointers instead of offsets.
"""

from __future__ import annotations

from typing import Any

from wintun_model.abi import RING_HEADER_BYTES, TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintun_model.errors import ClientFault
from wintun_model.ring import ring_bytes_of
from wintun_model.session import (
    DEFAULT_LIBRARY_REVISION,
    LIBRARY_REVISIONS,
    LibraryRevision,
    SessionRing,
    allocate_send_packet,
    receive_packet,
    release_receive_packet,
    send_packet,
)
from wintun_model.session import Session as Layer
from wintun_model.status import Win32Error, is_success, win32_error
from wintunsim.kernel.effects import NOT_TRACED
from wintunsim.kernel.handles import EVENT_ALL_ACCESS
from wintunsim.kernel.memory import view
from wintunsim.win32.buffers import poke_u32, write_bytes
from wintunsim.win32.context import Context
from wintunsim.win32.events import create_event
from wintunsim.win32.exports import export
from wintunsim.win32.files import control_device, open_device
from wintunsim.win32.types import DWORD, HANDLE, INVALID_HANDLE_VALUE, POINTER, VOID
from wintunsim.win32.wintun import LOG_ERROR, adapter_of, log

_FIRST_SESSION = 0x0000_01A1_0000_0100
_SESSION_STEP = 0x100
_READ_AND_WRITE = 0xC0000000
_SHARE_ALL = 7
_MASK32 = 0xFFFFFFFF


class Session:
    """A session of a process: its memory, handles, session layer, and the packets that the client holds, by offset."""

    def __init__(self) -> None:
        self.memory = 0
        self.events: list[int] = []
        self.device = INVALID_HANDLE_VALUE
        self.layer: Any = None
        self.received: set[int] = set()
        self.allocated: set[int] = set()
        self.receive_base = 0
        """Address of the data area that the client receives from."""
        self.send_base = 0


class Sessions:
    """The sessions of a process by handle."""

    def __init__(self) -> None:
        self.by_handle: dict[int, Session] = {}
        self.made = 0


_LAYERS = {
    **dict.fromkeys(("0.10", "0.11", "0.12", "0.13"), "0.9.2"),
    **{name: name for name in ("0.9", "0.9.1", "2026-02")},
}


def layer_of(driver: str) -> LibraryRevision:
    """The session layer that belongs to a revision of the driver; those before there was one have that of 0.14."""
    return LIBRARY_REVISIONS[_LAYERS.get(driver, DEFAULT_LIBRARY_REVISION)]


def _session(context: Context, handle: int, function: str) -> Session:
    found = context.state(Sessions).by_handle.get(handle)
    if found is None:
        what = "a null session" if not handle else "a session that has ended or never was"
        raise ClientFault(f"{function} was called with {what}: an access violation on Windows")
    return found


def _system_call(context: Context) -> None:
    context.machine.spend(context.machine.prices.system_call_ns())


def _start(context: Context, session: Session, device: Any, capacity: int) -> int:
    """Set a session up: 0, or the Win32 error of the step that failed; what was done by then is in `session`."""
    process = context.process
    ring_bytes = ring_bytes_of(capacity)
    # One allocation: the receive ring follows at once, so it is aligned to 4 only and shares a page with the send ring.
    session.memory = context.memory.allocate(2 * ring_bytes) or 0
    if not session.memory:
        return Win32Error.ERROR_NOT_ENOUGH_MEMORY
    descriptions = []
    for index in range(2):
        _system_call(context)
        event = create_event(context, False, False, None, EVENT_ALL_ACCESS)
        entry = context.handles.get(event)
        assert entry is not None
        entry.target.name = f"{process.name}/{('read-wait event', 'send TailMoved')[index]} {event:#x}"
        session.events.append(event)
        descriptions.append(RingDescription(ring_bytes & _MASK32, session.memory + index * ring_bytes, event))
    _system_call(context)
    session.device = open_device(context, device.interface_path, _READ_AND_WRITE, _SHARE_ALL)
    if session.device == INVALID_HANDLE_VALUE:
        return context.thread.last_error
    record = RegisterRings(*descriptions).to_bytes()
    block = context.memory.heap_allocate(len(record))
    write_bytes(block, record)
    _system_call(context)
    status, _ = control_device(context, session.device, TUN_IOCTL_REGISTER_RINGS, block, len(record), 0, 0)
    context.memory.heap_free(block)
    if not is_success(status):
        return win32_error(status)
    receiving, sending = (
        SessionRing(f"{process.name}/session {name}", view(description.address, ring_bytes), capacity)
        for name, description in zip(("receive", "send"), descriptions, strict=True)
    )
    for word in (receiving.head, sending.tail):
        # Whoever watches the registered rings sees and traces the library's stores, as any client's.
        word.number = NOT_TRACED
    session.receive_base = session.memory + RING_HEADER_BYTES
    session.send_base = session.receive_base + ring_bytes
    entry = context.handles.get(session.events[1])
    assert entry is not None
    layer = layer_of(context.system.driver.revision.name)
    session.layer = Layer(receiving, sending, entry.target, revision=layer)
    return 0


def _undo(context: Context, session: Session) -> None:
    """Take down what `_start` has set up, in reverse order."""
    if session.device != INVALID_HANDLE_VALUE:
        context.handles.close(session.device)
    for event in reversed(session.events):
        context.handles.close(event)
    if session.memory:
        context.memory.free(session.memory)


@export("wintun", HANDLE, HANDLE, DWORD)
def WintunStartSession(context: Context, adapter: int, capacity: int) -> int:
    """Start a session with two rings of `capacity` bytes; null with the cause as last error."""
    device = adapter_of(context, adapter, "WintunStartSession").device
    session = Session()
    error = _start(context, session, device, capacity)
    if error:
        _undo(context, session)
        log(context, LOG_ERROR, "Failed to register rings", error)
        return context.fail(error, 0)
    sessions = context.state(Sessions)
    handle = _FIRST_SESSION + sessions.made * _SESSION_STEP
    sessions.made += 1
    sessions.by_handle[handle] = session
    return handle


@export("wintun", VOID, HANDLE)
def WintunEndSession(context: Context, handle: int) -> None:
    """End a session: its device, events and memory go. Null does nothing."""
    if handle:
        session = _session(context, handle, "WintunEndSession")
        del context.state(Sessions).by_handle[handle]
        _undo(context, session)


@export("wintun", HANDLE, HANDLE, user_mode=True)
def WintunGetReadWaitEvent(context: Context, handle: int) -> int:
    """The event that is set when there may be packets to receive. It is the session's: nobody else may close it."""
    return _session(context, handle, "WintunGetReadWaitEvent").events[0]


@export("wintun", POINTER, HANDLE, POINTER, user_mode=True)
def WintunReceivePacket(context: Context, handle: int, size: int) -> int:
    """The oldest packet not received yet: a pointer into the ring, and its size in bytes; null with the last error."""
    session = context.state(Sessions).by_handle.get(handle) or _session(context, handle, "WintunReceivePacket")
    error, offset, size_bytes = context.system.executor.run(receive_packet(session.layer))
    if error:
        return context.fail(error, 0)
    poke_u32(size, size_bytes)
    session.received.add(offset)
    return int(session.receive_base + offset)


@export("wintun", VOID, HANDLE, POINTER, user_mode=True)
def WintunReleaseReceivePacket(context: Context, handle: int, packet: int) -> None:
    """Give a received packet back, in any order."""
    session = _session(context, handle, "WintunReleaseReceivePacket")
    offset = packet - session.receive_base
    if offset not in session.received:
        raise ClientFault(
            "WintunReleaseReceivePacket was called with a pointer that is no received packet of the session, or was "
            "released before: the ring would be corrupted on Windows"
        )
    session.received.discard(offset)
    context.system.executor.run(release_receive_packet(session.layer, offset))


@export("wintun", POINTER, HANDLE, DWORD, user_mode=True)
def WintunAllocateSendPacket(context: Context, handle: int, size: int) -> int:
    """Space in the ring for a packet of `size` bytes to send; null with the last error."""
    session = _session(context, handle, "WintunAllocateSendPacket")
    error, offset = context.system.executor.run(allocate_send_packet(session.layer, size))
    if error:
        return context.fail(error, 0)
    session.allocated.add(offset)
    return int(session.send_base + offset)


@export("wintun", VOID, HANDLE, POINTER, user_mode=True)
def WintunSendPacket(context: Context, handle: int, packet: int) -> None:
    """Send an allocated packet; it leaves after those that were allocated before it."""
    session = _session(context, handle, "WintunSendPacket")
    offset = packet - session.send_base
    if offset not in session.allocated:
        raise ClientFault(
            "WintunSendPacket was called with a pointer that is no packet allocated by the session, or was sent "
            "before: the ring would be corrupted on Windows"
        )
    session.allocated.discard(offset)
    context.system.executor.run(send_packet(session.layer, offset))
