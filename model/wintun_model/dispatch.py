"""Requests: device control, close, process exit (spec driver §5, §6)."""

from __future__ import annotations

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES, TUN_IOCTL_REGISTER_RINGS
from wintun_model.adapter import Adapter, Driver
from wintun_model.operations import Caller, CloseHandle, ListHandles, Routine, call_out
from wintun_model.registration import Registration, register, unregister
from wintun_model.status import NdisStatus, NtStatus


def device_control(adapter: Adapter, request: Registration, code: int) -> Routine[tuple[int, int]]:
    """A device control request: (NTSTATUS, bytes returned). `request.data` is the buffered input.

    That the handle grants read and write data access was checked by the system before.
    """
    guard = adapter.driver.context_guard
    if code not in (TUN_IOCTL_REGISTER_RINGS, TUN_IOCTL_FORCE_CLOSE_HANDLES):
        # NDIS's own handler, unchecked; it knows none of a client's codes.
        return NtStatus.STATUS_INVALID_DEVICE_REQUEST, 0
    if not request.caller.is_local_system:
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


def force_close_handles(adapter: Adapter, caller: Caller) -> Routine[int]:
    """Close every handle to the device that other processes hold (spec driver §6.5)."""
    for holder, handle in (yield ListHandles(adapter)):
        if holder.process_id != caller.process_id:
            yield from call_out(CloseHandle(holder, handle))
    return NtStatus.STATUS_SUCCESS


def close(adapter: Adapter, file_object: object) -> Routine[None]:
    """A file object is released (spec driver §6.2)."""
    guard = adapter.driver.context_guard
    yield guard.acquire_shared
    if (yield adapter.is_attached.get):
        yield from unregister(adapter, file_object)
    yield guard.release_shared


def process_exit(driver: Driver, process_id: int) -> Routine[None]:
    """A process ends, before its handles are closed (spec driver §6.3).

    The earliest registered device that it owns is unregistered by force. Looking it up and unregistering it are two
    steps (B10).
    """
    yield driver.device_list_lock.acquire_shared
    found = None
    for adapter in (yield driver.registered.get):
        if (yield adapter.owner_process_id.get) == process_id:
            found = adapter
            break
    yield driver.device_list_lock.release_shared
    if found is not None:
        yield from unregister(found, None)
