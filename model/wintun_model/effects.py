"""What the operations that never block do: one table for every executor that keeps real memory.

An executor adds what is its own: costs, traces, the operations that block, start threads or leave the driver.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from wintun_model import operations as op
from wintun_model.errors import ClientFault

_unpack_size = struct.Struct("<I").unpack_from
_pack_size = struct.Struct("<I").pack_into
_MASK32 = 0xFFFFFFFF


def check_inside(memory: op.PacketMemory, offset: int, size: int) -> None:
    """Raise `ClientFault` unless `size` bytes at `offset` of the data area lie inside the ring."""
    # Only an unaligned start offset, which the driver does not refuse, gets here with bytes past the ring (§1).
    if offset + size > len(memory.data):
        excess = offset + size - len(memory.data)
        raise ClientFault(
            f"access outside the ring: {size} bytes at offset {offset} of the data area end {excess} bytes past the "
            "ring; the client set Head or Tail to a value that is no multiple of 4"
        )


def load(operation: op.Load) -> int:
    word = operation.word
    return word.cells[word.index]


def store(operation: op.Store) -> None:
    word = operation.word
    word.cells[word.index] = operation.value & _MASK32


def load_size(operation: op.LoadSize) -> int:
    try:
        size: int = _unpack_size(operation.memory.data, operation.offset)[0]
    except struct.error:
        check_inside(operation.memory, operation.offset, 4)
        raise
    return size


def store_size(operation: op.StoreSize) -> None:
    try:
        _pack_size(operation.memory.data, operation.offset, operation.value & _MASK32)
    except struct.error:
        check_inside(operation.memory, operation.offset, 4)
        raise


def load_byte(operation: op.LoadByte) -> int:
    check_inside(operation.memory, operation.offset, 1)
    return operation.memory.data[operation.offset]


def copy_in(operation: op.CopyIn) -> None:
    offset, size, data = operation.offset, operation.size, operation.data
    target = operation.memory.data
    if offset + size > len(target):
        check_inside(operation.memory, offset, size)
    target[offset : offset + size] = bytes(size) if data is None else data[:size]


def copy_out(operation: op.CopyOut) -> bytes:
    check_inside(operation.memory, operation.offset, operation.size)
    return bytes(operation.memory.data[operation.offset : operation.offset + operation.size])


def get(operation: op.Get) -> Any:
    return operation.variable.value


def put(operation: op.Put) -> None:
    operation.variable.value = operation.value


def append(operation: op.Append) -> bool:
    entries = operation.active.entries
    was_empty = not entries
    operation.entry.marked_offset = operation.end_offset
    entries.append(operation.entry)
    return was_empty


def take_completed(operation: op.TakeCompleted) -> tuple[op.Entry, bool] | None:
    entries = operation.active.entries
    if not entries or not entries[0].marked_offset & 1:
        return None
    return entries.popleft(), not entries


def mark_completed(operation: op.MarkCompleted) -> None:
    operation.entry.marked_offset |= 1


def is_set(operation: op.IsSet) -> bool:
    return operation.event.signalled


def reference_event(operation: op.ReferenceEvent) -> tuple[int, op.Event | None]:
    return operation.caller.reference_event(operation.handle, operation.access)


def lock_pages(operation: op.LockPages) -> op.Pages | None:
    return operation.caller.lock_pages(operation.address, operation.size)


def unlock_pages(operation: op.UnlockPages) -> None:
    pages = operation.pages
    for view in pages.views:
        view.release()
    pages.views.clear()
    pages.unlock()


def count_sent(operation: op.CountSent) -> None:
    statistics = operation.statistics
    statistics.out_unicast_packets += operation.packets
    statistics.out_octets += operation.octets
    statistics.out_unicast_octets += operation.octets
    statistics.out_errors += operation.errors
    statistics.out_discards += operation.discards


def count_received(operation: op.CountReceived) -> None:
    statistics = operation.statistics
    statistics.in_unicast_packets += operation.packets
    statistics.in_octets += operation.octets
    statistics.in_unicast_octets += operation.octets
    statistics.in_errors += operation.errors
    statistics.in_discards += operation.discards


def nothing(operation: op.Operation) -> None:
    """For operations without an effect of their own where memory is sequentially consistent."""


EFFECTS: dict[type[op.Operation], Callable[[Any], Any]] = {
    op.Load: load,
    op.Store: store,
    op.Fence: nothing,
    op.LoadSize: load_size,
    op.StoreSize: store_size,
    op.LoadByte: load_byte,
    op.CopyIn: copy_in,
    op.CopyOut: copy_out,
    op.Get: get,
    op.Put: put,
    op.Append: append,
    op.TakeCompleted: take_completed,
    op.MarkCompleted: mark_completed,
    op.IsSet: is_set,
    op.ReferenceEvent: reference_event,
    op.LockPages: lock_pages,
    op.UnlockPages: unlock_pages,
    op.CountSent: count_sent,
    op.CountReceived: count_received,
}
"""What an operation of each class does; the result is what is sent back."""
