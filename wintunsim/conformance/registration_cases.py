"""The registration requests that vectors are made of, systematically (spec driver §5, §9)."""

from __future__ import annotations

from collections.abc import Iterator

from wintun_model.abi import (
    EVENT_MODIFY_STATE,
    REGISTER_RINGS_32_BYTES,
    REGISTER_RINGS_BYTES,
    SYNCHRONIZE,
    TUN_IOCTL_FORCE_CLOSE_HANDLES,
)
from wintun_model.ring import ring_bytes_of
from wintunsim.conformance.bench import (
    ACCOUNTS,
    INTEGRITY,
    RECEIVE_ADDRESS,
    RECEIVE_HANDLE,
    SEND_ADDRESS,
    SEND_HANDLE,
)
from wintunsim.conformance.records import Case, Flags
from wintunsim.conformance.situations import (
    CAPACITY,
    CHECKS,
    NAMES,
    Situation,
    Spoil,
    spoil_by_fault,
    spoil_field,
    spoil_handle,
    spoil_length,
    spoil_memory,
    spoil_tail,
)

_SIDES = {"send": 4, "receive": 10}
_INVALID_CAPACITIES = (0, 4, CAPACITY // 2, CAPACITY - 4, CAPACITY + 4, 0x30000, 0x3FFFFFC, 0x4000004, 0x8000000)


def cases() -> Iterator[Case]:
    """All cases, in the order of the specification."""
    yield _case("5", "success", "a request that passes every check")
    yield from _access()
    yield from _requests()
    yield from _early_checks()
    for side, first in _SIDES.items():
        yield from _parameters(side, first)
        yield from _event(side, first + 1)
        yield from _pages(side, first + 3)
        for number, what in ((first + 2, "memory descriptor"), (first + 4, "map")):
            attempt = 1 if side == "send" else 2
            name = f"check-{number}-{NAMES[number]}"
            comment = f"check {number}: the {side} ring's {'mapping' if what == 'map' else what} fails"
            yield _case("5", name, comment, spoil_by_fault(what, attempt), flags=("fault",))
    yield from _tail()
    yield _case("5", f"check-15-{NAMES[15]}", "check 15: no thread", spoil_by_fault("thread", 1), flags=("fault",))
    yield from _order()
    yield from _not_checked()
    yield from _records()
    yield from _kernel()


def _case(
    section: str,
    name: str,
    comment: str,
    *spoils: Spoil,
    flags: Flags = (),
    situation: Situation | None = None,
) -> Case:
    it = situation or Situation()
    for spoil in spoils:
        spoil(it)
    return Case(f"driver §{section}", name, "device-control", comment, it.fields(), flags)


def _access() -> Iterator[Case]:
    for name, code in (("register", Situation().code), ("force-close", TUN_IOCTL_FORCE_CLOSE_HANDLES)):
        for account in ACCOUNTS:
            for integrity in INTEGRITY:
                it = Situation()
                it.code, it.account, it.integrity = code, account, integrity
                comment = f"{name} by {account} at {integrity} integrity"
                yield _case("5", f"access-{name}-{account}-{integrity}", comment, flags=("access",), situation=it)
    it = Situation()
    it.account = "user"
    comment = "who is not let in learns nothing of the other checks"
    yield _case("5", "access-before-checks", comment, *CHECKS.values(), flags=("access", "order"), situation=it)
    it = Situation()
    it.account, it.adapter = "user", "halted"
    yield _case("5", "access-before-halted", comment, flags=("access", "order"), situation=it)


def _requests() -> Iterator[Case]:
    it = Situation()
    it.adapter = "halted"
    yield _case("5", "halted", "no adapter context any more", situation=it)
    it = Situation()
    it.adapter = "halted"
    yield _case(
        "5", "halted-before-checks", "a halted adapter tells so first", CHECKS[3], flags=("order",), situation=it
    )
    for code in (0, 0x00222000, 0xCA6CE5C4, 0xCA6CE5C8, 0xCA6CE5C1, 0xCA6C25C0, 0x4A6CE5C0, 0xFFFFFFFF):
        it = Situation()
        it.code = code
        yield _case("5", f"other-code-{code:08x}", "any other control code goes to NDIS, unchecked", situation=it)
    it = Situation()
    it.code, it.account, it.integrity = 0xCA6CE5C4, "user", "low"
    yield _case(
        "5", "other-code-user", "for other control codes nobody asks who it is", flags=("access",), situation=it
    )
    yield _case("5", "paused", "registering works while paused", situation=_paused())


def _paused() -> Situation:
    it = Situation()
    it.adapter = "paused"
    return it


def _early_checks() -> Iterator[Case]:
    yield _case("5", "check-1-lock-held", "check 1: another registration or unregister is under way", CHECKS[1])
    yield _case("5", "check-2-owned", "check 2: another file object has registered", CHECKS[2])
    for length in (0, 1, 4, 23, 24, 25, 32, 47, 49, 64, 96):
        comment = f"check 3: an input of {length} bytes"
        flags: Flags = ("limit",) if length in (23, 25, 47, 49) else ()
        yield _case("5", f"check-3-length-{length}", comment, spoil_length(length), flags=flags)


def _parameters(side: str, check: int) -> Iterator[Case]:
    prefix = f"check-{check}-{side}"
    for capacity in _INVALID_CAPACITIES:
        size = ring_bytes_of(capacity)
        comment = f"check {check}: a {side} capacity of {capacity}"
        spoil = spoil_field(side, 0, size)
        yield _case("5", f"{prefix}-capacity-{capacity}", comment, spoil, flags=("limit",))
    for size in (0, 1, 12, 0x1000B, ring_bytes_of(CAPACITY) - 1, ring_bytes_of(CAPACITY) + 1, 0xFFFFFFFF):
        comment = f"check {check}: a {side} ring of {size} bytes; a size that is too small wraps to a huge capacity"
        yield _case("5", f"{prefix}-ring-size-{size}", comment, spoil_field(side, 0, size), flags=("limit",))
    for capacity in (0x40000, 0x4000000):
        size = ring_bytes_of(capacity)
        comment = f"check {check} passes: a {side} capacity of {capacity}"
        spoils = spoil_field(side, 0, size), spoil_memory(side, size=size)
        yield _case("5", f"{prefix}-capacity-{capacity}-passes", comment, *spoils, flags=("limit",))
    yield _case("5", f"{prefix}-event-null", f"check {check}: no {side} event", spoil_field(side, 2, 0))
    yield _case("5", f"{prefix}-ring-null", f"check {check}: no {side} ring", spoil_field(side, 1, 0))


def _event(side: str, check: int) -> Iterator[Case]:
    prefix = f"check-{check}-{side}"
    yield _case("5", f"{prefix}-handle-unknown", f"check {check}: no such handle", spoil_handle(side, "unknown"))
    yield _case("5", f"{prefix}-handle-file", f"check {check}: a handle to no event", spoil_handle(side, "file"))
    comment = f"check {check}: the type is looked at before the rights"
    yield _case("5", f"{prefix}-handle-file-no-rights", comment, spoil_handle(side, "file", 0), flags=("order",))
    for name, access in (
        ("none", 0),
        ("modify-state", EVENT_MODIFY_STATE),
        ("synchronize", SYNCHRONIZE),
        ("query", 1 | 0x20000),
    ):
        comment = f"check {check}: the {side} event's handle grants {name}"
        yield _case("5", f"{prefix}-rights-{name}", comment, spoil_handle(side, "event", access))
    for handle in (1, SEND_HANDLE + 1, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 1 << 32 | SEND_HANDLE):
        comment = f"check {check}: a handle value that names nothing"
        spoil = spoil_field(side, 2, handle)
        yield _case("5", f"{prefix}-handle-{handle:x}", comment, spoil, flags=("limit",))


def _pages(side: str, check: int) -> Iterator[Case]:
    prefix = f"check-{check}-{side}"
    size = ring_bytes_of(CAPACITY)
    address = SEND_ADDRESS if side == "send" else RECEIVE_ADDRESS
    yield _case("5", f"{prefix}-missing", f"check {check}: no memory there", spoil_memory(side))
    comment = f"check {check}: the client may only read it"
    yield _case("5", f"{prefix}-read-only", comment, spoil_memory(side, is_writable=False))
    comment = f"check {check}: the last page is missing"
    yield _case("5", f"{prefix}-too-short", comment, spoil_memory(side, size=size - 0x1000), flags=("limit",))
    comment = f"check {check}: the first page is missing"
    yield _case("5", f"{prefix}-too-early", comment, spoil_field(side, 1, address - 0x1000), flags=("limit",))
    for wild in (1, 0x1000, 0x7FFFFFFFFFFF, 0xFFFF800000000000, 0xFFFFFFFFFFFFFFFC):
        comment = f"check {check}: a wild pointer"
        yield _case("5", f"{prefix}-wild-{wild:x}", comment, spoil_field(side, 1, wild), flags=("limit",))


def _tail() -> Iterator[Case]:
    for tail in (CAPACITY - 4, CAPACITY, CAPACITY + 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        comment = f"check 9: send Tail {tail}, the capacity is {CAPACITY}"
        yield _case("5", f"check-9-tail-{tail}", comment, spoil_tail(tail), flags=("limit",))
    for tail in (1, 2, 3, CAPACITY - 1):
        flags: Flags = ("limit", "not-checked", "unaligned", "bug:B11")
        comment = "check 9 passes: that Tail is a multiple of 4 is not checked"
        yield _case("5", f"check-9-tail-{tail}", comment, spoil_tail(tail), flags=flags)


def _order() -> Iterator[Case]:
    """Every two checks that fail together."""
    for first, spoil_first in CHECKS.items():
        for second, spoil_second in CHECKS.items():
            if first < second:
                name = f"order-{first}-{second}-{NAMES[first]}-{NAMES[second]}"
                comment = f"checks {first} and {second} both fail: {first} decides"
                # What shortens the record comes last, so that the other's field is in it.
                yield _case("5", name, comment, spoil_second, spoil_first, flags=("order",))


def _not_checked() -> Iterator[Case]:
    for head in (CAPACITY, 0xFFFFFFFF, 1):
        comment = "send Head is not checked: each send looks at it anew"
        yield _case(
            "5", f"not-checked-send-head-{head}", comment, spoil_memory("send", head=head), flags=("not-checked",)
        )
    for head in (CAPACITY - 4, CAPACITY - 1, CAPACITY, 0xFFFFFFFF, 1):
        comment = "receive Head is not checked: a bad one ends the reader at once"
        flags: Flags = ("not-checked",) if head < CAPACITY else ("not-checked", "abort")
        spoil = spoil_memory("receive", head=head, tail=head)
        yield _case("5", f"not-checked-receive-head-{head}", comment, spoil, flags=flags)
    for tail in (1, 3, CAPACITY, 0xFFFFFFFF):
        comment = "receive Tail is not checked: a bad one makes the reader stop"
        flags = ("not-checked", "abort")
        spoil = spoil_memory("receive", tail=tail)
        yield _case("5", f"not-checked-receive-tail-{tail}", comment, spoil, flags=flags)
    size = ring_bytes_of(CAPACITY)
    comment = "the two rings may be the same memory"
    both = spoil_field("receive", 1, SEND_ADDRESS)
    yield _case("5", "not-checked-overlap", comment, both, flags=("not-checked",))
    comment = (
        "a ring need not be aligned to a page: the receive ring follows the send ring at once, as wintun.dll has it"
    )
    spoils = spoil_field("receive", 1, SEND_ADDRESS + size), spoil_memory("send", size=2 * size)
    yield _case("5", "not-checked-adjacent", comment, *spoils, flags=("not-checked",))
    comment = "the two events may be the same"
    yield _case("5", "not-checked-one-event", comment, spoil_field("receive", 2, SEND_HANDLE), flags=("not-checked",))
    for side in _SIDES:
        comment = f"the {side} event may be a manual-reset one"
        spoil = spoil_handle(side, "manual-reset event")
        yield _case("5", f"not-checked-manual-reset-{side}", comment, spoil, flags=("not-checked",))


def _records() -> Iterator[Case]:
    for bits in (32, 64):
        for layout, length in ((64, REGISTER_RINGS_BYTES), (32, REGISTER_RINGS_32_BYTES)):
            it = Situation()
            it.bits, it.layout = bits, layout
            comment = f"a {bits}-bit process registers with the record of {length} bytes"
            yield _case("9", f"record-{length}-from-{bits}-bit", comment, situation=it)
        it = Situation()
        it.bits, it.layout, it.cut = bits, 32, 23
        yield _case(
            "9", f"record-23-from-{bits}-bit", "a short record one byte too short", flags=("limit",), situation=it
        )
    for what, spoil in (("event-null", spoil_field("send", 2, 0)), ("tail", spoil_tail(CAPACITY))):
        it = Situation()
        it.bits, it.layout = 32, 32
        comment = "the checks are the same for the short record"
        yield _case("9", f"record-24-{what}", comment, spoil, flags=("order",), situation=it)


def _kernel() -> Iterator[Case]:
    def from_kernel(has_own: bool, has_process: bool) -> Situation:
        it = Situation()
        it.from_kernel = True
        if has_own:
            it.kernel_handles = {handle: dict(fields) for handle, fields in it.handles.items()}
            it.kernel_memory = {address: dict(fields) for address, fields in it.memory.items()}
        if not has_process:
            it.handles, it.memory = {}, {}
        return it

    comment = "from kernel mode, with the kernel's own handles and memory"
    yield _case("9", "kernel-own", comment, flags=("access",), situation=from_kernel(True, False))
    comment = "from kernel mode, with handles and memory of the process in whose context it runs"
    yield _case("9", "kernel-of-process", comment, flags=("access", "model-choice"), situation=from_kernel(False, True))
    it = from_kernel(True, False)
    it.account, it.integrity = "user", "low"
    yield _case("5", "kernel-access", "the access check lets the kernel pass, whoever the process is", situation=it)
    it = from_kernel(True, True)
    it.handles, it.memory = {RECEIVE_HANDLE: it.handles[RECEIVE_HANDLE]}, {}
    comment = "from kernel mode; of the process only the receive event exists"
    yield _case("9", "kernel-mixed", comment, flags=("model-choice",), situation=it)
    it = from_kernel(True, True)
    it.layout, it.bits = 32, 32
    yield _case("9", "kernel-record-24", "the kernel passes the long record only", situation=it)
    it = from_kernel(True, False)
    it.code = TUN_IOCTL_FORCE_CLOSE_HANDLES
    yield _case("9", "kernel-force-close", "force close from kernel mode", situation=it)
