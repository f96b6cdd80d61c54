"""Registration requests in the making: a good one, and ways to spoil it so that a check fails (spec driver §5)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS
from wintun_model.ring import ring_bytes_of
from wintunsim.conformance.bench import (
    ALL_RIGHTS,
    PROCESS_ID,
    RECEIVE_ADDRESS,
    RECEIVE_HANDLE,
    SEND_ADDRESS,
    SEND_HANDLE,
)

CAPACITY = 0x20000
FILE_HANDLE = 0x50


class Situation:
    """A request to register rings that succeeds, as plain data; whoever wants another one changes it."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        size = ring_bytes_of(capacity)
        self.send = [size, SEND_ADDRESS, SEND_HANDLE]
        self.receive = [size, RECEIVE_ADDRESS, RECEIVE_HANDLE]
        """RingSize, Ring and TailMoved."""
        self.layout = 64
        self.cut: int | None = None
        """Bytes of the record that are passed, if not all; beyond its end: zeros."""
        self.code = TUN_IOCTL_REGISTER_RINGS
        self.from_kernel = False
        self.account, self.integrity, self.bits = "system", "system", 64
        self.handles = {
            SEND_HANDLE: {"object": "event", "access": ALL_RIGHTS},
            RECEIVE_HANDLE: {"object": "event", "access": ALL_RIGHTS},
        }
        self.memory = {
            SEND_ADDRESS: {"size": size, "is_writable": True, "head": 0, "tail": 0},
            RECEIVE_ADDRESS: {"size": size, "is_writable": True, "head": 0, "tail": 0},
        }
        self.kernel_handles: dict[int, dict[str, Any]] = {}
        self.kernel_memory: dict[int, dict[str, Any]] = {}
        self.adapter = "running"
        self.registration_lock = "free"
        self.registered_by = "nobody"
        self.faults: list[dict[str, Any]] = []

    def record(self) -> bytes:
        """The input buffer."""
        layout = "<IIQQIIQQ" if self.layout == 64 else "<IIIIII"
        padding = (0,) if self.layout == 64 else ()
        fields = (self.send[0], *padding, *self.send[1:], self.receive[0], *padding, *self.receive[1:])
        data = struct.pack(layout, *fields)
        return data if self.cut is None else (data + bytes(max(0, self.cut - len(data))))[: self.cut]

    def fields(self) -> dict[str, Any]:
        """The input of a vector."""
        return {
            "code": self.code,
            "record": self.record().hex(),
            "mode": "kernel" if self.from_kernel else "user",
            "process": {
                "id": PROCESS_ID,
                "account": self.account,
                "integrity": self.integrity,
                "bits": self.bits,
                **_space(self.handles, self.memory),
            },
            "kernel": _space(self.kernel_handles, self.kernel_memory) if self.from_kernel else None,
            "adapter": self.adapter,
            "registration_lock": self.registration_lock,
            "registered_by": self.registered_by,
            "faults": list(self.faults),
        }


def _space(handles: dict[int, dict[str, Any]], memory: dict[int, dict[str, Any]]) -> dict[str, Any]:
    return {
        "handles": [{"handle": handle, **fields} for handle, fields in handles.items()],
        "memory": [{"address": address, **fields} for address, fields in memory.items()],
    }


Spoil = Callable[[Situation], Any]

_SIDES = ("send", "receive")


def spoil_lock(it: Situation) -> None:
    """Check 1."""
    it.registration_lock = "held"


def spoil_owner(it: Situation) -> None:
    """Check 2."""
    it.registered_by = "another file object"


def spoil_length(length: int) -> Spoil:
    """Check 3."""
    return lambda it: setattr(it, "cut", length)


def spoil_field(side: str, place: int, value: int) -> Spoil:
    """Checks 4 and 10: RingSize (0), Ring (1) or TailMoved (2)."""

    def spoil(it: Situation) -> None:
        getattr(it, side)[place] = value

    return spoil


def spoil_handle(side: str, what: str, access: int = ALL_RIGHTS) -> Spoil:
    """Checks 5 and 11: ``unknown``, ``file``, or ``event`` with other rights."""
    handle = SEND_HANDLE if side == "send" else RECEIVE_HANDLE

    def spoil(it: Situation) -> None:
        if what == "unknown":
            del it.handles[handle]
        else:
            it.handles[handle] = {"object": what, "access": access}

    return spoil


def spoil_by_fault(what: str, attempt: int) -> Spoil:
    """Checks 6, 8, 12, 14 and 15: something of the kernel's fails."""
    return lambda it: it.faults.append({"what": what, "attempt": attempt})


def spoil_memory(side: str, **changes: Any) -> Spoil:
    """Checks 7 and 13: other pages; no changes: none at all."""
    address = SEND_ADDRESS if side == "send" else RECEIVE_ADDRESS

    def spoil(it: Situation) -> None:
        if not changes:
            del it.memory[address]
        else:
            it.memory[address] |= changes

    return spoil


def spoil_tail(value: int) -> Spoil:
    """Check 9."""
    return spoil_memory("send", tail=value)


def _ring_checks(side: str, first: int) -> dict[int, Spoil]:
    attempt = _SIDES.index(side) + 1
    return {
        first: spoil_field(side, 2, 0),
        first + 1: spoil_handle(side, "file"),
        first + 2: spoil_by_fault("memory descriptor", attempt),
        first + 3: spoil_memory(side, is_writable=False),
        first + 4: spoil_by_fault("map", attempt),
    }


CHECKS: dict[int, Spoil] = {
    1: spoil_lock,
    2: spoil_owner,
    3: spoil_length(47),
    **_ring_checks("send", 4),
    9: spoil_tail(CAPACITY),
    **_ring_checks("receive", 10),
    15: spoil_by_fault("thread", 1),
}
"""One way to make each check fail, and no other check."""

NAMES = {
    1: "lock-held",
    2: "owned",
    3: "length",
    4: "send-parameters",
    5: "send-event",
    6: "send-descriptor",
    7: "send-pages",
    8: "send-mapping",
    9: "send-tail",
    10: "receive-parameters",
    11: "receive-event",
    12: "receive-descriptor",
    13: "receive-pages",
    14: "receive-mapping",
    15: "reader-thread",
}
"""The checks by a short name."""
