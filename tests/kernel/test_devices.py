"""Requests to a device in virtual time: every row of the registration table (spec driver §5), aborts, closing."""

import ctypes
import gc
import mmap
import weakref

import numpy as np
import pytest

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES, TUN_IOCTL_REGISTER_RINGS
from wintun_model.errors import ClientFault
from wintun_model.status import NdisStatus, NtStatus, win32_error
from wintunsim.kernel.memory import PAGE_READONLY
from wintunsim.kernel.objects import EventObject, Mutex
from wintunsim.kernel.process import Account
from wintunsim.kernel.system import GENERIC_ALL, GENERIC_READ, GENERIC_WRITE

KIB = 1024
STOPPED = 0xFFFFFFFF
SYNCHRONIZE, MODIFY_STATE = 0x100000, 2
INVALID_PARAMETER = NtStatus.STATUS_INVALID_PARAMETER
NO_RESOURCES = NtStatus.STATUS_INSUFFICIENT_RESOURCES


# -- the registration table ---------------------------------------------------------------------------------------


def ring_bytes(capacity):
    return 12 + capacity + 0x10000


def field(ring, place, value):
    """Spoil a field of the record."""

    def spoil(bench):
        bench.described[ring][place] = value

    return spoil


def event_handle(ring, make, access):
    """Let the record name a handle to something else, or with other rights."""

    def spoil(bench):
        target = make(bench, bench.send if ring == "send" else bench.receive)
        bench.described[ring][2] = bench.process.handles.insert(target, access)

    return spoil


def fails(what, place):
    """Let the kernel's allocation of that kind fail at its n-th attempt."""

    def spoil(bench):
        attempts = []

        def answer(asked):
            attempts.extend([1] if asked == what else [])
            return asked == what and len(attempts) == place

        bench.system.fails = answer

    return spoil


def pages(ring, how):
    """Let pages of the ring be missing or read-only."""

    def spoil(bench):
        memory, target = bench.process.memory, bench.send if ring == "send" else bench.receive
        last = (target.size - 1) // 4096 * 4096
        if how == "wild":
            bench.described[ring][1] = 0x10
        elif how == "kernel":
            bench.described[ring][1] = 0xFFFF_8000_0000_0000
        elif how == "freed":
            memory.free(memory.allocate(target.size))
            bench.described[ring][1] = gone = memory.allocate(target.size)
            memory.free(gone)
        elif how == "read-only":
            memory.protect(target.address, 1, PAGE_READONLY)
        elif how == "last page":
            memory.protect(target.address + last, 1, PAGE_READONLY)
        else:
            bench.described[ring][1] += 65536

    return spoil


def tail(value):
    def spoil(bench):
        bench.send.tail = value

    return spoil


def rows():
    yield "3 no input", lambda bench: b"", INVALID_PARAMETER
    yield "3 one byte less", lambda bench: bench.record()[:-1], INVALID_PARAMETER
    yield "3 one byte more", lambda bench: bench.record() + b"\0", INVALID_PARAMETER
    yield "3 the 32-bit record", lambda bench: bytes(24), INVALID_PARAMETER
    numbers = {"send": ("4", "5", "6", "7", "8", 1), "receive": ("10", "11", "12", "13", "14", 2)}
    for ring, (check, event_check, allocate_check, pages_check, map_check, place) in numbers.items():
        for capacity in (64 * KIB, 128 * KIB - 4, 128 * KIB + 4, 192 * KIB, 128 * KIB * KIB, 0):
            yield f"{check} {ring} capacity {capacity}", field(ring, 0, ring_bytes(capacity)), INVALID_PARAMETER
        for size in (0, 11, 0x1000B, 0x1000C, STOPPED):
            yield f"{check} {ring} ring of {size} bytes", field(ring, 0, size), INVALID_PARAMETER
        yield f"{check} {ring} no event", field(ring, 2, 0), INVALID_PARAMETER
        yield f"{check} {ring} no pointer", field(ring, 1, 0), INVALID_PARAMETER
        for handle in (0x4444, 1 << 63):
            yield f"{event_check} {ring} handle {handle:#x}", field(ring, 2, handle), NtStatus.STATUS_INVALID_HANDLE
        yield (
            f"{event_check} {ring} mutex",
            event_handle(ring, lambda bench, _: Mutex(bench.machine, "m"), 0x1F0001),
            NtStatus.STATUS_OBJECT_TYPE_MISMATCH,
        )
        for access in (SYNCHRONIZE, 0) + ((MODIFY_STATE,) if ring == "receive" else ()):
            yield (
                f"{event_check} {ring} event with rights {access:#x}",
                event_handle(ring, lambda _, target: target.event, access),
                NtStatus.STATUS_ACCESS_DENIED,
            )
        yield f"{allocate_check} {ring} descriptor", fails("memory descriptor", place), NO_RESOURCES
        for how in ("wild", "kernel", "freed", "read-only", "last page", "too far"):
            yield f"{pages_check} {ring} {how}", pages(ring, how), NtStatus.STATUS_INVALID_USER_BUFFER
        yield f"{map_check} {ring} mapping", fails("map", place), NO_RESOURCES
    for value in (128 * KIB, 128 * KIB + 4, STOPPED):
        yield f"9 send Tail {value:#x}", tail(value), INVALID_PARAMETER
    yield "15 thread", fails("thread", 1), NdisStatus.NDIS_STATUS_FAILURE


ROWS = {name: (spoil, status) for name, spoil, status in rows()}


@pytest.mark.parametrize("name", ROWS)
def test_a_refused_registration_leaves_no_trace(bench, name):
    spoil, expected = ROWS[name]

    def client():
        bench.open()
        record = dict(bench.described)
        bench.described = {ring: list(values) for ring, values in record.items()}
        data = spoil(bench)
        before = bench.state()
        assert bench.control(data if isinstance(data, bytes) else None) == expected
        assert bench.state() == before
        # The way is free for one that is right, when its cause has gone.
        bench.described, bench.system.fails = record, lambda what: False
        for ring in (bench.send, bench.receive):
            bench.process.memory.protect(ring.address, ring.size, 4)
        bench.send.tail = bench.send.head = 0
        assert bench.control() == 0
        bench.close()
        assert [ring.event.pointer_count for ring in (bench.send, bench.receive)] == [0, 0]

    bench.run(client)
    assert win32_error(expected) in (5, 6, 31, 87, 1450, 1784)


def test_the_send_event_needs_no_right_to_wait(bench):
    def client():
        event_handle("send", lambda _, target: target.event, MODIFY_STATE)(bench)
        assert bench.control() == 0
        bench.close()

    bench.run(client)


def test_checks_are_made_in_their_order(bench):
    """Each of the checks, while all that come after it would fail as well."""
    spoilers = ["9 send Tail 0x20000", "8 send mapping", "7 send wild", "5 send handle 0x4444", "4 send no pointer"]
    seen = []

    def client():
        bench.open()
        for name in ["14 receive mapping", "13 receive wild", "11 receive handle 0x4444", "10 receive no event"]:
            ROWS[name][0](bench)
            seen.append((bench.control(), ROWS[name][1]))
        for name in spoilers:
            ROWS[name][0](bench)
            if name.startswith("4"):
                bench.described["send"][2] = 0
            seen.append((bench.control(), ROWS[name][1]))

    bench.run(client)
    assert all(status == expected for status, expected in seen)
    assert len(seen) == 9


def test_check_1_while_another_registration_is_under_way(bench):
    results = []

    def client():
        results.append(bench.control())

    def other():
        file = bench.open()
        bench.until(lambda: bench.adapter.registration_lock.exclusive is not None)
        results.append(bench.control(file=file))

    bench.run(client, other)
    assert results == [NtStatus.STATUS_ALREADY_INITIALIZED, 0]
    assert win32_error(results[0]) == 1247


@pytest.mark.parametrize("same_file", [True, False])
def test_check_2_while_it_is_registered(bench, tools, same_file):
    def client():
        bench.register()
        owner = bench.file
        if not same_file:
            bench.open()
        before = bench.state()
        assert bench.control() == NtStatus.STATUS_ALREADY_INITIALIZED
        assert bench.state() == before
        assert bench.adapter.owner.value is owner
        # Even a record that is wrong gets that answer.
        assert bench.control(b"") == NtStatus.STATUS_ALREADY_INITIALIZED

    bench.run(client)


@pytest.mark.parametrize("account", [Account.ADMINISTRATOR, Account.USER])
@pytest.mark.parametrize("code", [TUN_IOCTL_REGISTER_RINGS, TUN_IOCTL_FORCE_CLOSE_HANDLES])
def test_only_local_system_gets_in(tools, account, code):
    bench = tools.Bench(account=account)

    def client():
        assert bench.control(code=code) == NtStatus.STATUS_ACCESS_DENIED
        assert bench.control(b"", code=code) == NtStatus.STATUS_ACCESS_DENIED

    bench.run(client)
    assert bench.network.links == []


@pytest.mark.parametrize(
    ("access", "status"),
    [
        (GENERIC_READ, NtStatus.STATUS_ACCESS_DENIED),
        (GENERIC_WRITE, NtStatus.STATUS_ACCESS_DENIED),
        (0, NtStatus.STATUS_ACCESS_DENIED),
        (0x0003, 0),
        (GENERIC_ALL, 0),
    ],
)
def test_the_handle_must_grant_reading_and_writing(bench, access, status):
    def client():
        bench.open(access)
        assert bench.control() == status

    bench.run(client)
    assert len(bench.network.links) == (status == 0)


@pytest.mark.parametrize("code", [0, 0x00220000, TUN_IOCTL_REGISTER_RINGS - 1, TUN_IOCTL_REGISTER_RINGS + 4, STOPPED])
def test_other_codes_go_to_ndis_which_knows_none(bench, code):
    results = []
    bench.run(lambda: results.append(bench.control(code=code)))
    assert results == [NtStatus.STATUS_INVALID_DEVICE_REQUEST]
    assert win32_error(results[0]) == 1


def test_registering_writes_no_ring_word_and_may_start_anywhere(bench):
    bench.send.head = bench.send.tail = 128 * KIB - 4
    bench.receive.head = bench.receive.tail = 4000
    bench.send.alertable = 7
    words = [list(ring.words) for ring in (bench.send, bench.receive)]

    def client():
        bench.register()
        assert [list(ring.words) for ring in (bench.send, bench.receive)] == words

    bench.run(client, until=60_000)
    assert bench.network.links[0][1] is True


@pytest.mark.parametrize("alignment", [0, 1, 2, 3, 4])
def test_rings_may_lie_anywhere(tools, alignment):
    bench = tools.Bench()
    base = bench.process.memory.allocate(4 * bench.send.size)
    rings = [
        tools.ClientRing(bench, name, 128 * KIB, base + alignment + place * bench.send.size)
        for place, name in enumerate(("send", "receive"))
    ]
    bench.send, bench.receive = rings
    bench.described = {
        name: [ring.size, ring.address, ring.handle] for name, ring in zip(("send", "receive"), rings, strict=True)
    }
    data = tools.packet(100)

    def client():
        bench.register()
        bench.feed([data], start_ns=bench.machine.now)
        bench.receive.push(data)
        bench.sleep(300_000)
        assert bench.send.pop() == data
        bench.close()

    bench.run(client)
    assert bench.received == [data]


# -- closing and aborts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["handle", "process", "adapter"])
def test_a_client_that_waits_wakes_and_sees_the_end(bench, how):
    machine, seen = bench.machine, []
    other = bench.system.create_process("other")

    def reader():
        bench.register()
        while bench.send.tail != STOPPED:
            assert machine.wait((bench.send.event,)) == 0
            seen.append(bench.send.tail)

    def closer():
        bench.until(lambda: bench.port.connected)
        bench.sleep(1_000_000)
        if how == "handle":
            bench.close()
        elif how == "adapter":
            bench.system.remove_adapter(bench.device)
        else:
            bench.process.exit_callbacks.append(lambda _: seen.append(bench.send.tail))
            bench.process.exit(0)

    bench.start(reader)
    bench.start(closer, process=None if how == "handle" else other)
    bench.run()
    assert seen == [STOPPED]
    assert machine.latest > 1_000_000
    assert bench.adapter.owner.value is None
    if how != "process":
        assert bench.receive.head == STOPPED
        assert bench.receive.alertable == 0


def spoiled(size, content, *, tail=None):
    """A receive ring whose next packet is wrong."""

    def spoil(ring, packet):
        end = ring.put(content if content is not None else packet, size)
        ring.move_tail(end if tail is None else tail(ring, end))

    return spoil


IPV4, IPV6 = b"\x45" + bytes(99), b"\x60" + bytes(99)
ABORTS = {
    "Tail is the capacity": spoiled(None, IPV4, tail=lambda ring, end: ring.capacity),
    "Tail is -1": spoiled(None, IPV4, tail=lambda ring, end: STOPPED),
    "content below 4": spoiled(None, IPV4, tail=lambda ring, end: ring.tail + 3),
    "size above 0xFFFF": spoiled(0x10000, IPV4),
    "size beyond Tail": spoiled(101, IPV4),
    "size far beyond Tail": spoiled(0xFFFF, IPV4),
    "no IP version": spoiled(None, b"\x55" + bytes(99)),
    "IPv4 too short": spoiled(None, IPV4[:19]),
    "IPv6 too short": spoiled(None, IPV6[:39]),
    "one byte": spoiled(None, b"\x45"),
    "empty packet": spoiled(None, b""),
}


@pytest.mark.parametrize("cause", ABORTS)
def test_an_abort_is_final_for_the_registration_and_for_no_other(bench, tools, cause):
    good = tools.packet(60, 1)

    def client():
        bench.register()
        ring = bench.receive
        ring.push(good)
        bench.sleep(50_000)
        assert bench.received == [good]
        ABORTS[cause](ring, good)
        bench.sleep(300_000)
        assert ring.head == STOPPED
        # Nothing is read any more, the other direction goes on, and the owner stays.
        bench.feed([good], start_ns=bench.machine.now)
        bench.sleep(100_000)
        assert bench.send.pop() == good
        assert bench.control() == NtStatus.STATUS_ALREADY_INITIALIZED
        bench.close()
        assert bench.send.tail == STOPPED
        for each in (bench.send, bench.receive):
            each.head = each.tail = each.alertable = 0
        bench.register()
        bench.receive.push(tools.packet(80, 2))
        bench.sleep(300_000)
        assert bench.received == [good, tools.packet(80, 2)]
        bench.close()

    bench.run(client)
    assert [connected for _, connected in bench.network.links] == [True, False, True, False]


def test_a_bad_head_ends_the_reader_at_once(bench):
    bench.receive.head = 128 * KIB

    def client():
        bench.register()
        bench.sleep(20_000)
        assert bench.receive.head == STOPPED

    bench.run(client)


# -- memory of every kind -----------------------------------------------------------------------------------------


def from_bytearray(size):
    buffer = bytearray(size)
    return buffer, ctypes.addressof((ctypes.c_char * size).from_buffer(buffer))


def from_ctypes(size):
    buffer = (ctypes.c_ubyte * size)()
    return buffer, ctypes.addressof(buffer)


def from_mmap(size):
    buffer = mmap.mmap(-1, size)
    return buffer, ctypes.addressof((ctypes.c_char * size).from_buffer(buffer))


def from_numpy(size):
    buffer = np.zeros(size, dtype=np.uint8)
    return buffer, buffer.ctypes.data


MAKERS = {"bytearray": from_bytearray, "ctypes": from_ctypes, "mmap": from_mmap, "numpy": from_numpy}
SIZE = ring_bytes(128 * KIB)


@pytest.mark.parametrize("kind", MAKERS)
def test_rings_in_memory_of_python_are_held_while_they_are_registered(tools, kind):
    kept = [MAKERS[kind](SIZE) for _ in range(2)]
    bench = tools.Bench(send=kept[0][1], receive=kept[1][1])
    packets = [tools.packet(size, size) for size in (20, 1420, 65535)]
    watched = [weakref.ref(buffer) for buffer, _ in kept] if kind in ("ctypes", "numpy", "mmap") else []

    def client():
        bench.register()
        kept.clear()
        gc.collect()
        assert all(watch() is not None for watch in watched)
        bench.feed(packets, start_ns=bench.machine.now)
        for data in packets:
            bench.receive.push(data)
            bench.sleep(300_000)
        assert [bench.send.pop() for _ in packets] == packets
        bench.close()
        gc.collect()
        assert all(watch() is None for watch in watched)

    bench.run(client)
    assert bench.received == packets


@pytest.mark.parametrize("kind", ["bytearray", "mmap"])
def test_a_held_buffer_cannot_be_moved_or_closed(tools, kind):
    (buffer, address), (other, other_address) = (MAKERS[kind](SIZE) for _ in range(2))
    bench = tools.Bench(send=address, receive=other_address)
    lose = buffer.close if kind == "mmap" else (lambda: buffer.extend(b"x"))

    def client():
        bench.register()
        gc.collect()
        with pytest.raises(BufferError):
            lose()
        bench.close()
        gc.collect()
        lose()

    bench.run(client)
    assert other is not None


_libc = ctypes.CDLL(None)
_libc.mmap.restype = ctypes.c_size_t
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


@pytest.mark.parametrize("activity", ["send", "request", "close", "look"])
def test_memory_that_nobody_holds_is_probed_before_the_driver_touches_it(tools, activity):
    addresses = [_libc.mmap(None, SIZE, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0) for _ in range(2)]
    bench = tools.Bench(send=addresses[0], receive=addresses[1])
    data = tools.packet(100)

    def client():
        bench.register()
        bench.feed([data], start_ns=bench.machine.now)
        bench.receive.push(data)
        bench.sleep(300_000)
        assert bench.send.pop() == data
        assert bench.received == [data]
        bench.step()
        _libc.munmap(addresses[0], SIZE)
        if activity == "send":
            bench.port.enqueue(1, 2, data)
            bench.machine.block(bench.machine.now + 100_000)
        elif activity == "request":
            bench.file.control(bench.process, TUN_IOCTL_REGISTER_RINGS, bench.record())
        elif activity == "close":
            bench.process.handles.close(bench.file_handle)
        else:
            bench.system.poll()

    with pytest.raises(ClientFault, match=rf"released {SIZE} bytes of ring memory while they were registered"):
        bench.run(client)
    _libc.munmap(addresses[1], SIZE)


def test_events_may_be_the_same_and_rings_may_overlap(bench):
    """Spec driver §5: not checked. What comes of it is the client's to see, and no crash."""
    bench.described["receive"] = list(bench.described["send"])
    event = EventObject("manual", manual_reset=True, signalled=True)
    bench.described["send"][2] = bench.process.handles.insert(event, 0x1F0003)

    def client():
        bench.register()
        bench.feed([b"\x45" + bytes(59)], start_ns=bench.machine.now)
        bench.sleep(500_000)
        bench.close()

    bench.run(client)
    # The driver read what it wrote: Tail is one word.
    assert bench.received == [b"\x45" + bytes(59)]
