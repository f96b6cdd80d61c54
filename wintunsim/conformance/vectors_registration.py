"""Vectors of registration (spec driver §5, §9): record bytes and described process state in, status out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wintun_model import operations as op
from wintun_model.adapter import Adapter
from wintun_model.dispatch import device_control
from wintun_model.immediate import SimpleCaller
from wintun_model.miniport import halt
from wintun_model.registration import Registration
from wintun_model.revision import REVISIONS as DRIVER_REVISIONS
from wintun_model.revision import Revision
from wintun_model.status import NdisStatus, NtStatus, is_success, win32_error
from wintunsim.conformance import registration_cases
from wintunsim.conformance.bench import ACCOUNTS, INTEGRITY, Bench, Rings, is_viewed
from wintunsim.conformance.notation import ring
from wintunsim.conformance.records import Vector, across_drivers
from wintunsim.conformance.schema import Kind, flag, list_of, maybe, number, one_of, record, text

TITLE = "Registration: DeviceIoControl with a record and a described process, to NTSTATUS and Win32 error"
REVISIONS = tuple(DRIVER_REVISIONS)

_POINTER = number(most=(1 << 64) - 1)
_SPACE = {
    "handles": list_of(
        record({"handle": _POINTER, "object": one_of("event", "manual-reset event", "file"), "access": number()})
    ),
    "memory": list_of(
        record(
            {
                "address": _POINTER,
                "size": number("bytes; zeros but for the words of a ring that begins at the address"),
                "is_writable": flag("by the client"),
                "head": number("the first word"),
                "tail": number("the second word"),
            }
        )
    ),
}
_WORDS = record({"head": number(), "tail": number(), "alertable": number()})
KINDS = {
    "device-control": Kind(
        about="one request on an adapter; what it answers, and what the adapter is like when all is at rest",
        input=record(
            {
                "code": number("the control code"),
                "record": text("the input buffer in hexadecimal", "^([0-9a-f]{2})*$"),
                "mode": one_of("user", "kernel", about="that the request was made from"),
                "process": record(
                    {
                        "id": number(),
                        "account": one_of(*ACCOUNTS, about="LocalSystem, a member of Administrators, anybody else"),
                        "integrity": one_of(*INTEGRITY, about="level of the token"),
                        "bits": one_of(32, 64),
                        **_SPACE,
                    }
                ),
                "kernel": maybe(record(_SPACE), "the kernel's own handles and memory, for requests made from it"),
                "adapter": one_of("running", "paused", "halted"),
                "registration_lock": one_of("free", "held", about="held: another request or an unregister is at it"),
                "registered_by": one_of("nobody", "another file object"),
                "faults": list_of(
                    record({"what": text(), "attempt": number()}, about="the n-th attempt of that fails"),
                ),
            }
        ),
        expected=record(
            {
                "status": number("NTSTATUS"),
                "name": text("of the status"),
                "win32_error": number("what the client sees; 0 for success"),
                "information": number("bytes returned"),
                "is_owner": flag("the request's file object is registered"),
                "owner_process": maybe(number(), "that the driver remembers"),
                "is_disconnected": flag("the disconnected event"),
                "reader": one_of("none", "waiting", "ended", about="the registration's thread"),
                "link": list_of({"type": "boolean"}, "indications: true is connected"),
                "reserved_tail": maybe(number(), "the driver's own send tail, once registered"),
                "words": list_of(
                    record({"address": _POINTER, **_WORDS["properties"]}), "the ring words of each block of memory"
                ),
                "locked": list_of(_POINTER, "addresses of blocks whose pages are still locked down"),
            }
        ),
    )
}

_LARGE = 0x100000
"""Memory above this takes long: it is not run for switches that a plain request does not depend on."""


def vectors() -> Iterator[Vector]:
    """All vectors of the group."""
    for case in registration_cases.cases():
        blocks = case.input["process"]["memory"]
        reads = (
            ("checks_in_callers_mode", "has_full_barrier") if any(each["size"] > _LARGE for each in blocks) else None
        )
        yield from across_drivers(case, _evaluation(case.input), reads)


def _evaluation(described: Mapping[str, Any]) -> Callable[[Revision], dict[str, Any]]:
    return lambda revision: _request(revision, described)


class _Space:
    """Handles and memory of a process, or the kernel's, as described."""

    def __init__(self, described: Mapping[str, Any], process_id: int) -> None:
        self.caller = caller = SimpleCaller(process_id)
        for each in described["handles"]:
            manual_reset = each["object"].startswith("manual")
            is_event = each["object"].endswith("event")
            target = op.Event(f"{each['handle']:#x}", manual_reset=manual_reset) if is_event else "a file"
            caller.handles[each["handle"]] = (target, each["access"])
        self.blocks: dict[int, bytearray] = {}
        for each in described["memory"]:
            block = bytearray(each["size"])
            words = each["head"].to_bytes(4, "little") + each["tail"].to_bytes(4, "little")
            block[:8] = words[: len(block)]
            caller.memory[each["address"]] = self.blocks[each["address"]] = block
            if not each["is_writable"]:
                caller.read_only.add(each["address"])

    def words(self) -> list[dict[str, int]]:
        """The first three words of each block."""
        found = []
        for address, block in self.blocks.items():
            values = [int.from_bytes(block[start : start + 4], "little") for start in (0, 4, 8)]
            found.append({"address": address, **dict(zip(("head", "tail", "alertable"), values, strict=True))})
        return found

    def locked(self) -> list[int]:
        """Blocks that somebody still views: they cannot be resized."""
        return [address for address, block in self.blocks.items() if is_viewed(block)]


def _caller(described: Mapping[str, Any]) -> _Space:
    process = described["process"]
    space = _Space(process, process["id"])
    space.caller.is_local_system = process["account"] == "system"
    space.caller.is_administrator = process["account"] in ("system", "administrator")
    space.caller.integrity_level = INTEGRITY[process["integrity"]]
    space.caller.is_32_bit = process["bits"] == 32
    return space


def _request(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    bench = Bench(revision, faults=described["faults"])
    adapter = bench.adapter
    if described["adapter"] != "paused":
        bench.restart()
    if described["adapter"] == "halted":
        bench.run(halt(adapter))
    if described["registered_by"] != "nobody":
        # By a process of its own, before anything is made to fail.
        bench.hold_faults = True
        status = bench.register(Rings(ring(0x20000, fill="00"), ring(0x20000, fill="00")), file="another")
        assert status == NtStatus.STATUS_SUCCESS
        bench.hold_faults = False
    if described["registration_lock"] == "held":
        bench.run(_take(adapter))
    bench.ndis.links.clear()
    space = _caller(described)
    spaces = [space]
    kernel: SimpleCaller | None = None
    if described["mode"] == "kernel":
        spaces.append(_Space(described["kernel"], 0))
        kernel = spaces[1].caller
    request = Registration(space.caller, "this", bytes.fromhex(described["record"]), kernel=kernel)
    status, information = bench.run(device_control(adapter, request, described["code"]))
    is_owner = adapter.owner.value == "this"
    reader: Any = adapter.reader.value
    return {
        "status": int(status),
        "name": status.name if isinstance(status, NtStatus | NdisStatus) else "",
        "win32_error": 0 if is_success(status) else int(win32_error(status)),
        "information": information,
        "is_owner": is_owner,
        "owner_process": adapter.owner_process_id.value if adapter.owner.value is not None else None,
        "is_disconnected": adapter.disconnected.signalled,
        "reader": "none" if not is_owner else "ended" if reader.ended.signalled else "waiting",
        "link": list(bench.ndis.links),
        "reserved_tail": adapter.send_reserved_tail.value if is_owner else None,
        "words": [words for each in spaces for words in each.words()],
        "locked": [address for each in spaces for address in each.locked()],
    }


def _take(adapter: Adapter) -> op.Routine[bool]:
    return (yield adapter.registration_lock.try_acquire)  # type: ignore[no-any-return]
