"""Registering and unregistering rings (spec driver §5, §6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from wintun_model.abi import (
    EVENT_MODIFY_STATE,
    REGISTER_RINGS_32_BYTES,
    REGISTER_RINGS_BYTES,
    STOPPED,
    SYNCHRONIZE,
    RegisterRings,
    RingDescription,
)
from wintun_model.adapter import Adapter, Ring
from wintun_model.operations import (
    Caller,
    Dereference,
    IndicateLink,
    LockPages,
    MapPages,
    Operation,
    Put,
    ReferenceEvent,
    Routine,
    StartThread,
    Store,
    UnlockPages,
    Wait,
    call_out,
)
from wintun_model.receive import read_ring
from wintun_model.ring import capacity_of, is_valid_capacity
from wintun_model.status import NdisStatus, NtStatus, is_success

READER_PRIORITY = 1


class Requester(Caller, Protocol):
    """A process that sends device control requests: also what some revisions ask of its token and its kind (§9)."""

    @property
    def is_administrator(self) -> bool:
        """Whether its token holds the Administrators group; LocalSystem's does."""

    @property
    def integrity_level(self) -> int:
        """The integrity level of its token, see `dispatch.IntegrityLevel`."""

    @property
    def is_32_bit(self) -> bool:
        """Whether it is a 32-bit process on a 64-bit system."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A request to register rings: by which process, on which file object, with which input buffer.

    `kernel` is set when the request was made from kernel mode: the kernel's own handles and memory, which the record
    then names. `caller` is the process in whose context it was made.
    """

    caller: Requester
    file_object: object
    data: bytes
    kernel: Caller | None = None


def barrier(adapter: Adapter) -> Routine[None]:
    """Wait until everybody who saw an old flag is out of the rings (spec driver §2, transition lock)."""
    yield adapter.transition_lock.acquire
    yield adapter.transition_lock.release


def register(adapter: Adapter, request: Registration) -> Routine[int]:
    """`TUN_IOCTL_REGISTER_RINGS` after its access check (spec driver §5). Returns an NTSTATUS."""
    # Check 1.
    if not (yield adapter.registration_lock.try_acquire):
        return NtStatus.STATUS_ALREADY_INITIALIZED
    # Check 2.
    if (yield adapter.owner.get) is not None:
        yield adapter.registration_lock.release
        return NtStatus.STATUS_ALREADY_INITIALIZED
    yield Put(adapter.owner, request.file_object)
    undo: list[Operation] = [Put(adapter.owner, None)]
    status = yield from _register_rings(adapter, request, undo)
    if not is_success(status):
        yield from reversed(undo)
        yield adapter.registration_lock.release
        return status
    yield Put(adapter.owner_process_id, request.caller.process_id)
    yield from _join_device_list(adapter)
    yield adapter.registration_lock.release
    yield from call_out(IndicateLink(adapter, True))
    return status


def _register_rings(adapter: Adapter, request: Registration, undo: list[Operation]) -> Routine[int]:
    """Checks 3 to 15; what was done so far is noted in `undo`, in order.

    Which records are taken, and whose handles and pages they name, depends on the revision (spec driver §9).
    """
    # Check 3.
    if not _is_record_size(adapter, request):
        return NtStatus.STATUS_INVALID_PARAMETER
    owner: Caller = request.caller
    if request.kernel is not None and adapter.revision.checks_in_callers_mode:
        owner = request.kernel
    record = RegisterRings.from_bytes(request.data)
    # Checks 4 to 8 for send.
    status, send_ring = yield from _prepare_ring(adapter, owner, record.send, "send", EVENT_MODIFY_STATE, undo)
    if send_ring is None:
        return status
    # Check 9: one load; it becomes the reserved tail.
    tail = yield send_ring.tail.load
    if tail >= send_ring.capacity or (adapter.revision.refuses_unaligned and tail & 3):
        return NtStatus.STATUS_INVALID_PARAMETER
    yield Put(adapter.send_ring, send_ring)
    yield Put(adapter.send_reserved_tail, tail)
    # Checks 10 to 14: the same for receive.
    status, receive_ring = yield from _prepare_ring(
        adapter, owner, record.receive, "receive", SYNCHRONIZE | EVENT_MODIFY_STATE, undo
    )
    if receive_ring is None:
        return status
    yield Put(adapter.receive_ring, receive_ring)
    # Check 15: from the clear on, senders may write the send ring.
    yield adapter.disconnected.clear
    reader = yield StartThread(read_ring(adapter), f"{adapter.name} reader", READER_PRIORITY)
    if reader is None:
        yield adapter.disconnected.set
        yield from barrier(adapter)
        return NdisStatus.NDIS_STATUS_FAILURE
    yield Put(adapter.reader, reader)
    return NtStatus.STATUS_SUCCESS


def _is_record_size(adapter: Adapter, request: Registration) -> bool:
    """Whether the input has the size of a record that this revision takes from this caller (§5 check 3, §9)."""
    size = len(request.data)
    if size == REGISTER_RINGS_BYTES:
        return True
    takes_24 = adapter.revision.takes_32_bit_record and request.kernel is None
    return takes_24 and size == REGISTER_RINGS_32_BYTES and request.caller.is_32_bit


def _prepare_ring(
    adapter: Adapter,
    caller: Caller,
    description: RingDescription,
    name: str,
    access: int,
    undo: list[Operation],
) -> Routine[tuple[int, Ring | None]]:
    """Checks 4 to 8 for one ring: (status, the ring if all of them passed)."""
    # Check 4.
    capacity = capacity_of(description.ring_bytes, adapter.limits)
    if not is_valid_capacity(capacity, adapter.limits) or not description.tail_moved or not description.address:
        return NtStatus.STATUS_INVALID_PARAMETER, None
    # Check 5.
    status, event = yield ReferenceEvent(caller, description.tail_moved, access)
    if event is None:
        return status, None
    undo.append(Dereference(event))
    # Check 6.
    if not (yield adapter.memory_descriptors.allocate):
        return NtStatus.STATUS_INSUFFICIENT_RESOURCES, None
    undo.append(adapter.memory_descriptors.free)
    # Check 7.
    pages = yield LockPages(caller, description.address, description.ring_bytes)
    if pages is None:
        return NtStatus.STATUS_INVALID_USER_BUFFER, None
    undo.append(UnlockPages(pages))
    # Check 8.
    if not (yield MapPages(pages)):
        return NtStatus.STATUS_INSUFFICIENT_RESOURCES, None
    ring = Ring(
        f"{adapter.name}.{name}",
        pages,
        capacity,
        event,
        adapter.limits,
        address=description.address,
        revision=adapter.revision,
    )
    return NtStatus.STATUS_SUCCESS, ring


def _join_device_list(adapter: Adapter) -> Routine[None]:
    driver = adapter.driver
    yield driver.device_list_lock.acquire
    registered = yield driver.registered.get
    yield Put(driver.registered, (*registered, adapter))
    yield driver.device_list_lock.release


def _leave_device_list(adapter: Adapter) -> Routine[None]:
    driver = adapter.driver
    yield driver.device_list_lock.acquire
    registered = yield driver.registered.get
    yield Put(driver.registered, tuple(other for other in registered if other is not adapter))
    yield driver.device_list_lock.release


def unregister(adapter: Adapter, file_object: object | None, process_id: int | None = None) -> Routine[bool]:
    """End the registration of `file_object`, or any registration when it is None (spec driver §6.1).

    With `process_id` only that of this process: it is looked at under the registration lock. Returns whether there was
    one to end. Waits for NBLs that the network stack keeps. Inside a removal that closes handles the registration lock
    is held already (spec driver §9, 0.14; see `dispatch.remove`).
    """
    is_inside = False
    if adapter.revision.closes_handles_on_removal and file_object is not None:
        is_inside = (yield adapter.closing.get) is file_object
    if not is_inside:
        yield adapter.registration_lock.acquire
    has_ended = yield from _unregister(adapter, file_object, process_id)
    if not is_inside:
        yield adapter.registration_lock.release
    return has_ended


def _unregister(adapter: Adapter, file_object: object | None, process_id: int | None) -> Routine[bool]:
    """The steps of §6.1 under the registration lock."""
    leaves_last = adapter.revision.leaves_list_last
    owner = yield adapter.owner.get
    if owner is None or file_object not in (None, owner):
        return False
    if process_id is not None and (yield adapter.owner_process_id.get) != process_id:
        return False
    yield Put(adapter.owner, None)
    if not leaves_last:
        yield from _leave_device_list(adapter)
    yield from call_out(IndicateLink(adapter, False))
    yield adapter.disconnected.set
    yield from barrier(adapter)
    reader = yield adapter.reader.get
    yield Wait((reader.ended,))
    send_ring = yield adapter.send_ring.get
    yield Store(send_ring.tail, STOPPED)
    yield send_ring.tail_moved.set
    receive_ring = yield adapter.receive_ring.get
    for ring in (receive_ring, send_ring):
        yield UnlockPages(ring.pages)
        yield adapter.memory_descriptors.free
        yield Dereference(ring.tail_moved)
    if leaves_last:
        # A process that ends finds the device until then, and waits for the registration lock (B17).
        yield from _leave_device_list(adapter)
    return True
