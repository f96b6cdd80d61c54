"""What the operations that never block do: one table for every executor that keeps real memory.

An effect is a function of what the operation's constructor takes, so that an executor may perform it without making
the operation. An executor adds what is its own: costs, traces, what blocks, starts threads or leaves the driver.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from inspect import signature
from operator import attrgetter
from typing import Any

from wintun_model import operations as op
from wintun_model.errors import ClientFault, DriverFault

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


def load(word: op.Word) -> int:
    return word.cells[word.index]


def store(word: op.Word, value: int) -> None:
    word.cells[word.index] = value & _MASK32


def load_size(memory: op.PacketMemory, offset: int) -> int:
    try:
        size: int = _unpack_size(memory.data, offset)[0]
    except struct.error:
        check_inside(memory, offset, 4)
        raise
    return size


def store_size(memory: op.PacketMemory, offset: int, value: int) -> None:
    try:
        _pack_size(memory.data, offset, value & _MASK32)
    except struct.error:
        check_inside(memory, offset, 4)
        raise


def load_byte(memory: op.PacketMemory, offset: int) -> int:
    try:
        return memory.data[offset]
    except IndexError:
        check_inside(memory, offset, 1)
        raise


def copy_in(memory: op.PacketMemory, offset: int, data: bytes | None, size: int) -> None:
    target = memory.data
    if offset + size > len(target):
        check_inside(memory, offset, size)
    target[offset : offset + size] = bytes(size) if data is None else data[:size]


def copy_out(memory: op.PacketMemory, offset: int, size: int) -> bytes:
    check_inside(memory, offset, size)
    return bytes(memory.data[offset : offset + size])


def get(variable: op.Variable[Any]) -> Any:
    return variable.value


def put(variable: op.Variable[Any], value: Any) -> None:
    variable.value = value


def append(active: op.ActiveList[Any], entry: op.Entry, end_offset: int, clears_link: bool = False) -> bool:
    entry.marked_offset = end_offset
    if clears_link:
        entry.link = None
    was_empty = active.first is None
    if was_empty:
        active.first = entry
    else:
        last: Any = active.last
        last.link = entry
    active.last = entry
    return was_empty


def take_completed(active: op.ActiveList[Any]) -> tuple[op.Entry, bool] | None:
    entry = active.first
    if entry is None or not entry.marked_offset & 1:
        return None
    following = active.first = entry.link
    return entry, following is None


def mark_completed(entry: op.Entry) -> None:
    entry.marked_offset |= 1


def is_set(event: op.Event) -> bool:
    return event.signalled


def reference_event(caller: op.Caller, handle: int, access: int) -> tuple[int, op.Event | None]:
    return caller.reference_event(handle, access)


def lock_pages(caller: op.Caller, address: int, size: int) -> op.Pages | None:
    return caller.lock_pages(address, size)


def unlock_pages(pages: op.Pages) -> None:
    for view in pages.views:
        view.release()
    pages.views.clear()
    pages.unlock()


def read_descriptor(pages: op.Pages) -> None:
    if not pages.views:
        raise DriverFault("the driver read the memory descriptor of ring pages that it had already unlocked")


def read_object(target: Any) -> None:
    if getattr(target, "is_released", False):
        raise DriverFault("the driver read a file object that was already released")


def allocated(pool: op.Pool) -> bool:
    """Count what an executor that has memory for it allocates."""
    if not pool.is_ready:
        raise DriverFault(f"the driver allocated {pool.name} where it had no pool for it")
    pool.outstanding += 1
    return True


def free(pool: op.Pool) -> None:
    if not pool.is_ready:
        raise DriverFault(f"the driver freed {pool.name} to a pool that it had already deleted")
    if not pool.outstanding:
        raise DriverFault(f"the driver freed {pool.name} more often than it allocated it")
    pool.outstanding -= 1


def delete(target: op.Lock | op.Pool) -> None:
    target.is_ready = False


def count_sent(statistics: Any, packets: int = 0, octets: int = 0, errors: int = 0, discards: int = 0) -> None:
    statistics.out_unicast_packets += packets
    statistics.out_octets += octets
    statistics.out_unicast_octets += octets
    statistics.out_errors += errors
    statistics.out_discards += discards


def count_received(statistics: Any, packets: int = 0, octets: int = 0, errors: int = 0, discards: int = 0) -> None:
    statistics.in_unicast_packets += packets
    statistics.in_octets += octets
    statistics.in_unicast_octets += octets
    statistics.in_errors += errors
    statistics.in_discards += discards


def nothing() -> None:
    """For operations without an effect of their own where memory is sequentially consistent."""


PLAIN_EFFECTS: dict[type[op.Operation], Callable[..., Any]] = {
    op.Load: load,
    op.Store: store,
    op.Fence: nothing,
    op.FenceAll: nothing,
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
    op.ReadDescriptor: read_descriptor,
    op.ReadObject: read_object,
    op.UnlockPages: unlock_pages,
    op.Free: free,
    op.Delete: delete,
    op.CountSent: count_sent,
    op.CountReceived: count_received,
}
"""What an operation of each class does, as a function of its constructor's arguments; the result is sent back."""


def handler(kind: type[op.Operation], effect: Callable[..., Any]) -> Callable[[Any], Any]:
    """An effect as a function of the operation itself."""
    names = list(signature(kind).parameters)
    if effect is get or effect is is_set:
        # No more than an attribute of the only field.
        return attrgetter("variable.value" if effect is get else "event.signalled")
    # Written out as text: a call with plain arguments is several times as quick as one with a tuple of them.
    fields = ", ".join(f"operation.{name}" for name in names)
    performed: Callable[[Any], Any] = eval(f"lambda operation: effect({fields})", {"effect": effect})
    return performed


EFFECTS: dict[type[op.Operation], Callable[[Any], Any]] = {
    kind: handler(kind, effect) for kind, effect in PLAIN_EFFECTS.items()
}
"""The same, as functions of the operation."""
