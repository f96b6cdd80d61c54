"""Requests: device control, close, process exit, removal (spec driver §5, §6, §9)."""

from __future__ import annotations

from enum import IntEnum

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES, TUN_IOCTL_REGISTER_RINGS
from wintun_model.adapter import Adapter, Driver
from wintun_model.operations import Caller, CloseHandle, ListHandles, Put, ReadObject, Routine, call_out
from wintun_model.registration import Registration, register, unregister
from wintun_model.revision import Revision
from wintun_model.status import NdisStatus, NtStatus


class IntegrityLevel(IntEnum):
    """Integrity levels of tokens, by the values that the system gives them."""

    LOW = 0x1000
    MEDIUM = 0x2000
    HIGH = 0x3000
    SYSTEM = 0x4000


def device_control(adapter: Adapter, request: Registration, code: int) -> Routine[tuple[int, int]]:
    """A device control request: (NTSTATUS, bytes returned). `request.data` is the buffered input.

    That the handle grants read and write data access was checked by the system before. Who is let in, and whether
    there is a force-close code, depends on the revision (spec driver §9).
    """
    guard = adapter.driver.context_guard
    revision = adapter.revision
    is_ours = code == TUN_IOCTL_REGISTER_RINGS or (code == TUN_IOCTL_FORCE_CLOSE_HANDLES and revision.has_force_close)
    if not is_ours:
        # NDIS's own handler, unchecked; it knows none of a client's codes.
        return NtStatus.STATUS_INVALID_DEVICE_REQUEST, 0
    if not _is_admitted(revision, request):
        return NtStatus.STATUS_ACCESS_DENIED, 0
    if code == TUN_IOCTL_FORCE_CLOSE_HANDLES:
        status = yield from force_close_handles(adapter, request.caller)
        return status, 0
    yield guard.acquire_shared
    if (yield adapter.is_attached.get):
        status = yield from register(adapter, request)
    else:
        status = NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY
    yield guard.release_shared
    return status, 0


def _is_admitted(revision: Revision, request: Registration) -> bool:
    """The access check of both control codes (spec driver §5, §9). The kernel always passes."""
    if request.kernel is not None:
        return True
    caller = request.caller
    if revision.admits_administrators:
        is_named = caller.is_local_system or caller.is_administrator
        return is_named and caller.integrity_level >= IntegrityLevel.HIGH
    return caller.is_local_system


def force_close_handles(adapter: Adapter, caller: Caller) -> Routine[int]:
    """Close every handle to the device that other processes hold (spec driver §6.5).

    From 0.9 on the answer tells when there was none (§9). A handle that is gone by the time it is to be closed counts
    as closed: whether it still named anything is not told.
    """
    has_closed = False
    for holder, handle, file_object in (yield ListHandles(adapter)):
        # Whether it is one of this device's stands in the object, which the snapshot does not hold (B14).
        yield ReadObject(file_object)
        if holder.process_id != caller.process_id:
            yield from call_out(CloseHandle(holder, handle))
            has_closed = True
    if not has_closed and adapter.revision.force_close_tells_nothing_closed:
        return NtStatus.STATUS_NOTHING_TO_TERMINATE
    return NtStatus.STATUS_SUCCESS


def close(adapter: Adapter, file_object: object) -> Routine[None]:
    """A file object is released (spec driver §6.2)."""
    guard = adapter.driver.context_guard
    yield guard.acquire_shared
    if (yield adapter.is_attached.get):
        yield from unregister(adapter, file_object)
    yield guard.release_shared


def remove(adapter: Adapter, file_object: object | None = None) -> Routine[None]:
    """Query-remove or surprise removal, before the request goes to NDIS (spec driver §9).

    From 0.14 on every handle to the owner file object is closed, in all processes; other handles stay. `file_object` is
    the one that the request carries, if any: its own handles are not closed. The unregister that the last close brings
    happens inside; it may take the registration lock again, which this routine's thread holds, and `closing` tells it.
    Close takes the context guard before that lock, but here it comes after it (B18): the proposed revision closes when
    it has released the lock, and refers to the file object meanwhile.
    """
    revision = adapter.revision
    closes_unlocked = revision.removal_closes_unlocked
    if not revision.closes_handles_on_removal:
        return
    if revision.removal_looks_for_context and not (yield adapter.is_attached.get):
        return
    yield adapter.registration_lock.acquire
    owner = yield adapter.owner.get
    if closes_unlocked:
        yield adapter.registration_lock.release
    if owner is not None and owner is not file_object:
        if not closes_unlocked:
            yield Put(adapter.closing, owner)
        for holder, handle, _ in (yield ListHandles(owner)):
            yield from call_out(CloseHandle(holder, handle))
        if not closes_unlocked:
            yield Put(adapter.closing, None)
    if not closes_unlocked:
        yield adapter.registration_lock.release


def process_exit(driver: Driver, process_id: int) -> Routine[None]:
    """A process ends, before its handles are closed (spec driver §6.3).

    The earliest registered device that it owns is unregistered by force. Looking it up and unregistering it are two
    steps (B10), and nothing keeps the adapter in between (B16). What the proposed revision does about that, and about
    the process's other devices, are switches of their own.
    """
    revision, guard = driver.revision, driver.context_guard
    if revision.exit_holds_guard:
        yield guard.acquire_shared
    yield driver.device_list_lock.acquire_shared
    found: list[Adapter] = []
    for adapter in (yield driver.registered.get):
        if (yield adapter.owner_process_id.get) == process_id:
            found.append(adapter)
            if not revision.exit_ends_all:
                break
    yield driver.device_list_lock.release_shared
    for adapter in found:
        yield from unregister(adapter, None, process_id if revision.exit_checks_process else None)
    if revision.exit_holds_guard:
        yield guard.release_shared
