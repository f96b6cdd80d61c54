"""Registering rings: the checks of spec driver §5, their order, and what a failure leaves behind."""

from itertools import combinations

import pytest

from wintun_model import operations as op
from wintun_model.abi import (
    EVENT_MODIFY_STATE,
    SYNCHRONIZE,
    TUN_IOCTL_FORCE_CLOSE_HANDLES,
    TUN_IOCTL_REGISTER_RINGS,
)
from wintun_model.immediate import SimpleCaller
from wintun_model.registration import register
from wintun_model.send import send
from wintun_model.status import NdisStatus, NtStatus, win32_error

INVALID_PARAMETER = NtStatus.STATUS_INVALID_PARAMETER
RESOURCES = NtStatus.STATUS_INSUFFICIENT_RESOURCES
ALREADY = NtStatus.STATUS_ALREADY_INITIALIZED
NOWHERE = 0xDEAD0000
SIZE, ADDRESS, HANDLE = range(3)

# -- what can be wrong with a request: (bench) -> None, or the request's data ------------------------------------------


def lock_is_held(bench):
    bench.executor.run(_one(bench.adapter.registration_lock.acquire))


def rings_are_registered(bench):
    bench.register(request=bench.request(file="an earlier file object"))
    bench.attempts.clear()


def record_is_too_long(bench):
    bench.failures["record"] = {49}


def described(name, field, value):
    def spoil(bench):
        bench.described[name][field] = value

    return spoil


def handle_names(name, target, rights=EVENT_MODIFY_STATE | SYNCHRONIZE):
    def spoil(bench):
        bench.caller.handles[bench.described[name][HANDLE]] = (target or op.Event("named", manual_reset=False), rights)

    return spoil


def fails(what, attempt):
    def spoil(bench):
        bench.failures.setdefault(what, set()).add(attempt)

    return spoil


def is_read_only(name):
    def spoil(bench):
        bench.caller.read_only.add(bench.described[name][ADDRESS])

    return spoil


def send_tail(value):
    def spoil(bench):
        bench.send_ring.tail = value

    return spoil


def _one(operation):
    return (yield operation)


def _request(bench):
    data = bench.record()
    for length in bench.failures.get("record", ()):
        data = data.ljust(length, b"\0")[:length]
    return bench.request(data)


# -- the table ---------------------------------------------------------------------------------------------------------

# One way to fail each check; these can be combined with each other.
CHECKS = {
    1: (lock_is_held, ALREADY, 1247),
    2: (rings_are_registered, ALREADY, 1247),
    3: (record_is_too_long, INVALID_PARAMETER, 87),
    4: (described("send", SIZE, 12 + 0x20004 + 0x10000), INVALID_PARAMETER, 87),
    5: (described("send", HANDLE, 0x4C), NtStatus.STATUS_INVALID_HANDLE, 6),
    6: (fails("memory descriptor", 1), RESOURCES, 1450),
    7: (described("send", ADDRESS, NOWHERE), NtStatus.STATUS_INVALID_USER_BUFFER, 1784),
    8: (fails("map", 1), RESOURCES, 1450),
    9: (send_tail(0x20000), INVALID_PARAMETER, 87),
    10: (described("receive", SIZE, 12 + 0x20004 + 0x10000), INVALID_PARAMETER, 87),
    11: (described("receive", HANDLE, 0x4C), NtStatus.STATUS_INVALID_HANDLE, 6),
    12: (fails("memory descriptor", 2), RESOURCES, 1450),
    13: (described("receive", ADDRESS, NOWHERE), NtStatus.STATUS_INVALID_USER_BUFFER, 1784),
    14: (fails("map", 2), RESOURCES, 1450),
    15: (fails("thread", 1), NdisStatus.NDIS_STATUS_FAILURE, 31),
}

OTHER_WAYS = [
    (3, "shorter", lambda bench: bench.failures.update(record={47}), INVALID_PARAMETER, 87),
    (3, "empty", lambda bench: bench.failures.update(record={0}), INVALID_PARAMETER, 87),
    (3, "32-bit record", lambda bench: bench.failures.update(record={24}), INVALID_PARAMETER, 87),
]
for _name, _first in (("send", 4), ("receive", 10)):
    for _what, _size in {
        "size 0": 0,
        "size below the header": 11,
        "no capacity": 12 + 0x10000,
        "smaller than 128 KiB": 12 + 0x10000 + 0x10000,
        "larger than 64 MiB": 12 + 0x8000000 + 0x10000,
        "no power of two": 12 + 0x30000 + 0x10000,
        "without trailing bytes": 12 + 0x20000,
        "largest number": 0xFFFFFFFF,
    }.items():
        OTHER_WAYS.append((_first, _what, described(_name, SIZE, _size), INVALID_PARAMETER, 87))
    OTHER_WAYS += [
        (_first, "no event", described(_name, HANDLE, 0), INVALID_PARAMETER, 87),
        (_first, "no pointer", described(_name, ADDRESS, 0), INVALID_PARAMETER, 87),
        (_first + 1, "no event object", handle_names(_name, object()), NtStatus.STATUS_OBJECT_TYPE_MISMATCH, 6),
        (_first + 1, "no rights", handle_names(_name, None, 0), NtStatus.STATUS_ACCESS_DENIED, 5),
        (_first + 1, "only to wait", handle_names(_name, None, SYNCHRONIZE), NtStatus.STATUS_ACCESS_DENIED, 5),
        (_first + 1, "no object, no rights", handle_names(_name, object(), 0), NtStatus.STATUS_OBJECT_TYPE_MISMATCH, 6),
        (_first + 3, "read-only pages", is_read_only(_name), NtStatus.STATUS_INVALID_USER_BUFFER, 1784),
    ]
OTHER_WAYS += [
    (7, "one byte missing", described("send", ADDRESS, 0x10001), NtStatus.STATUS_INVALID_USER_BUFFER, 1784),
    (13, "one byte missing", described("receive", ADDRESS, 0x80000001), NtStatus.STATUS_INVALID_USER_BUFFER, 1784),
    (9, "Tail is the stopped mark", send_tail(0xFFFFFFFF), INVALID_PARAMETER, 87),
    (11, "only to set", handle_names("receive", None, EVENT_MODIFY_STATE), NtStatus.STATUS_ACCESS_DENIED, 5),
]
EVERY_WAY = [(check, "row", *rest) for check, rest in CHECKS.items()] + OTHER_WAYS

# What a check that was passed leaves to be undone. Check 15's own part is undone before all of it.
UNDO = {
    2: "Put owner=None",
    5: "Dereference send.TailMoved",
    6: "Free memory descriptor",
    7: "UnlockPages",
    11: "Dereference receive.TailMoved",
    12: "Free memory descriptor",
    13: "UnlockPages",
}
UNDOING = ("Put owner=None", "Dereference", "Free", "UnlockPages")


def undone_after(check):
    """What happens between the failing check and the end of the request, in order."""
    undone = [UNDO[passed] for passed in sorted(UNDO, reverse=True) if check > 2 and passed < check]
    if check == 15:
        undone = ["Set disconnected", "Acquire transition", "Release transition", *undone]
    if check > 1:
        undone.append("Release registration")
    return [*undone, "ReleaseShared context guard"]


@pytest.mark.parametrize(
    ("check", "spoil", "status", "error"),
    [(check, *rest) for check, _, *rest in EVERY_WAY],
    ids=[f"{check}: {way}" for check, way, *_ in EVERY_WAY],
)
def test_a_failed_check_gives_its_status_and_changes_nothing(bench, check, spoil, status, error):
    spoil(bench)
    before = bench.state()
    log = []
    assert bench.control(_request(bench), log=log) == status
    assert win32_error(status) == error
    assert bench.state() == before
    undone = undone_after(check)
    assert log[-len(undone) :] == undone
    assert [text for text in log if text.startswith(UNDOING)] == [t for t in undone if t.startswith(UNDOING)]
    assert not any(text.startswith(("Store", "CopyIn", "IndicateLink")) for text in log)


@pytest.mark.parametrize(("first", "second"), list(combinations(CHECKS, 2)), ids=str)
def test_the_first_failing_check_decides(tools, first, second):
    logs = []
    for checks in ((first,), (first, second)):
        bench = tools.Bench()
        # An earlier registration needs a sound request, and the lock.
        for check in sorted(checks, key=lambda check: (check != 2, -check)):
            CHECKS[check][0](bench)
        logs.append([])
        assert bench.control(_request(bench), log=logs[-1]) == CHECKS[first][1]
    # Not only the status: the driver did the very same things, so it did not look further.
    assert _without_data(logs[0]) == _without_data(logs[1])


def _without_data(log):
    return [text.split("+0x")[0] for text in log]


@pytest.mark.parametrize("check", [check for check in CHECKS if check > 1])
def test_after_a_failure_the_next_registration_works(tools, check):
    bench = tools.Bench()
    CHECKS[check][0](bench)
    bench.control(_request(bench))
    if check == 2:
        bench.close("an earlier file object")
    other = tools.Bench()
    bench.caller.memory, bench.described = other.caller.memory, other.described
    bench.caller.handles, bench.failures = other.caller.handles, {}
    bench.register()


# -- success -----------------------------------------------------------------------------------------------------------


def test_registering_does_the_steps_in_their_order(bench):
    bench.send_ring.tail = 8
    log, reader_log = [], []
    bench.register(log=log, reader_log=reader_log)
    assert log == [
        "AcquireShared context guard",
        "Get attached",
        "TryAcquire registration",
        "Get owner",
        "Put owner",
        "ReferenceEvent 0x44 0x2",
        "Allocate memory descriptor",
        "LockPages 0x10000+0x3000c",
        "MapPages",
        "Load send.Tail",
        "Put send ring",
        "Put send reserved tail=8",
        "ReferenceEvent 0x48 0x100002",
        "Allocate memory descriptor",
        "LockPages 0x80000000+0x3000c",
        "MapPages",
        "Put receive ring",
        "Clear disconnected",
        "StartThread",
        "Put reader",
        "Put owner process=100",
        "Acquire device list",
        "Get registered devices",
        "Put registered devices",
        "Release device list",
        "Release registration",
        "IndicateLink True",
        "ReleaseShared context guard",
    ]
    assert reader_log[:2] == ["Get receive ring", "Load receive.Head"]


def test_a_registered_adapter(registered):
    adapter = registered.adapter
    assert adapter.owner.value is registered.file
    assert adapter.owner_process_id.value == 100
    assert adapter.driver.registered.value == (adapter,)
    assert not adapter.disconnected.signalled
    assert registered.ndis.links == [True]
    assert all(lock.is_free() for lock in registered.locks)


@pytest.mark.parametrize("capacity", [1 << bits for bits in range(17, 27)])
def test_every_capacity_can_be_registered(tools, capacity):
    tools.Bench(send_capacity=capacity, receive_capacity=0x20000).register()
    tools.Bench(send_capacity=0x20000, receive_capacity=capacity).register()


@pytest.mark.parametrize("send_head", [0x20000, 0xFFFFFFFF, 3])
@pytest.mark.parametrize("receive_words", [(0, 0xFFFFFFFF), (0xFFFFFFFF, 0), (2, 2), (0x20000, 5)])
def test_other_words_of_the_rings_are_not_checked_and_none_is_written(bench, send_head, receive_words):
    bench.send_ring.head = send_head
    bench.receive_ring.head, bench.receive_ring.tail = receive_words
    log = []
    bench.register(log=log)
    assert not any(text.startswith(("Store", "CopyIn")) for text in log)


def test_pointers_need_no_alignment(bench, tools):
    for name, ring in (("send", bench.send_ring), ("receive", bench.receive_ring)):
        memory = bytearray(3) + ring.memory
        bench.caller.memory[ring.address] = memory
        bench.described[name][ADDRESS] += 3
    bench.register()
    assert bench.send(tools.packet(20)) == [0]
    assert bench.caller.memory[bench.send_ring.address][3 + 12 : 3 + 12 + 4] == b"\x14\0\0\0"


def test_both_rings_may_be_the_same_memory_with_the_same_event(bench):
    bench.described["receive"] = list(bench.described["send"])
    bench.register()


def test_a_ring_may_overlap_the_other(bench):
    bench.described["receive"][ADDRESS] = bench.described["send"][ADDRESS] + 4
    bench.caller.memory[bench.send_ring.address] = bytearray(0x40000)
    bench.register()


def test_only_the_send_event_needs_no_right_to_wait(bench):
    handle_names("send", None, EVENT_MODIFY_STATE)(bench)
    bench.register()


def test_registering_works_while_paused(tools):
    bench = tools.Bench(running=False).register()
    assert bench.send(tools.packet(20)) == [NdisStatus.NDIS_STATUS_PAUSED]


def test_senders_may_write_before_the_reader_thread_exists(bench, tools):
    before, opened = tools.gate("StartThread")
    bench.failures = {"thread": {1}}
    registering = bench.start(register(bench.adapter, bench.request()), before=before)
    assert bench.send(tools.packet(20)) == [0]
    assert bench.send_ring.words == (0, 24, 0)
    assert bench.send_ring.event.signalled
    opened.signalled = True
    bench.settle()
    assert registering.result == NdisStatus.NDIS_STATUS_FAILURE
    assert bench.send(tools.packet(20)) == [NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED]


def test_a_failed_start_of_the_reader_waits_for_the_senders_that_are_in_the_ring(bench, tools):
    before, opened = tools.gate("StartThread")
    before_mark, marked = tools.gate("MarkCompleted")
    bench.failures = {"thread": {1}}
    registering = bench.start(register(bench.adapter, bench.request()), before=before)
    bench.start(send(bench.adapter, tools.chain_of(tools.packet(20))), before=before_mark)
    opened.signalled = True
    bench.settle()
    assert registering.blocked_on is bench.adapter.transition_lock.acquire
    marked.signalled = True
    bench.settle()
    assert registering.result == NdisStatus.NDIS_STATUS_FAILURE
    assert bench.send_ring.tail == 24


def test_while_another_registration_is_under_way_a_second_one_is_refused_without_waiting(bench, tools):
    before, opened = tools.gate("StartThread")
    registering = bench.start(register(bench.adapter, bench.request()), before=before)
    assert bench.control(bench.request(file="another file object")) == ALREADY
    opened.signalled = True
    bench.settle()
    assert registering.result == 0
    assert bench.adapter.owner.value is bench.file


# -- before the checks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [TUN_IOCTL_REGISTER_RINGS, TUN_IOCTL_FORCE_CLOSE_HANDLES])
def test_only_local_system_is_let_in(bench, code):
    bench.caller.is_local_system = False
    before = bench.state()
    assert bench.control(code=code) == NtStatus.STATUS_ACCESS_DENIED
    assert bench.state() == before


def test_access_is_checked_before_the_adapter_is_looked_for(bench):
    bench.adapter.is_attached.value = False
    stranger = SimpleCaller(7, is_local_system=False)
    assert bench.control(bench.request(caller=stranger)) == NtStatus.STATUS_ACCESS_DENIED


def test_a_halted_adapter_is_not_ready(bench):
    bench.adapter.is_attached.value = False
    before = bench.state()
    assert bench.control(bench.request(b"")) == NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY
    assert bench.state() == before


@pytest.mark.parametrize("code", [0, 0x222000, TUN_IOCTL_REGISTER_RINGS + 1, 0xFFFFFFFF])
@pytest.mark.parametrize("is_local_system", [True, False])
def test_any_other_control_code_goes_to_ndis_unchecked(bench, code, is_local_system):
    bench.caller.is_local_system = is_local_system
    before = bench.state()
    assert bench.control(code=code) == NtStatus.STATUS_INVALID_DEVICE_REQUEST
    assert bench.state() == before
