"""Revisions of the driver: what each one does that others do not (spec driver §9), and which bugs it has (§10)."""

import pytest

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES, TUN_IOCTL_REGISTER_RINGS
from wintun_model.adapter import Driver, Packet, SendChain
from wintun_model.dispatch import IntegrityLevel
from wintun_model.errors import ClientFault
from wintun_model.immediate import SimpleCaller
from wintun_model.miniport import attributes_of, driver_version, initialize, pause
from wintun_model.receive import push_header, return_nbls
from wintun_model.registration import Registration
from wintun_model.revision import PROPOSED_CHANGES, REVISIONS
from wintun_model.send import send
from wintun_model.status import NdisStatus, NtStatus

STOPPED = 0xFFFFFFFF
CAPACITY = 0x20000
NAMES = ["0.8", "0.8.1", "0.9", "0.9.1", "0.10", "0.11", "0.12", "0.13", "0.14", "2026-02"]
each = pytest.mark.parametrize("name", NAMES)

# For each switch: the first revision that has it and the first that has it no more, as §9 and §10 tell it.
SWITCHES = {
    "takes_32_bit_record": ("0.9", None),
    "admits_administrators": ("0.12", None),
    "checks_in_callers_mode": ("2026-02", None),
    "has_force_close": ("0.8", "0.14"),
    "force_close_tells_nothing_closed": ("0.9", None),
    "closes_handles_on_removal": ("0.14", None),
    "loads_head_under_lock": ("2026-02", None),
    "clears_link": ("2026-02", None),
    "has_full_barrier": ("2026-02", None),
    "may_reread_size": ("0.8", "0.9.1"),
    "skips_other_packets": ("0.14", None),
    "offers_headroom": ("0.8", "0.10"),
    "allocates_partial_descriptor": ("0.10", None),
    "partial_descriptor_one_page_short": ("0.10", "0.11"),
    "stores_head_under_lock": ("2026-02", None),
    "indicates_link_down_at_start": ("0.8", "0.13"),
    "reports_full_duplex": ("0.13", None),
}
# Those that no revision has.
PROPOSED_SWITCHES = dict.fromkeys(PROPOSED_CHANGES, False)


def is_between(name, first, end=None):
    """Whether a revision is `first` or later, and before `end`."""
    place = NAMES.index(name)
    return NAMES.index(first) <= place and (end is None or place < NAMES.index(end))


def make_caller(process_id=100, **token):
    """A process that every revision lets in, unless `token` says otherwise."""
    caller = SimpleCaller(process_id)
    caller.is_administrator, caller.integrity_level, caller.is_32_bit = True, IntegrityLevel.SYSTEM, False
    for attribute, value in token.items():
        setattr(caller, attribute, value)
    return caller


@pytest.fixture
def make(tools):
    """Make a bench whose driver is of a revision."""

    def make_bench(name, *, rereads_size=False, **options):
        bench = tools.Bench(driver=Driver(REVISIONS[name], rereads_size=rereads_size), **options)
        caller = make_caller()
        caller.memory, caller.handles = bench.caller.memory, bench.caller.handles
        bench.caller = caller
        return bench

    return make_bench


# -- the records ------------------------------------------------------------------------------------------------------


def test_they_are_those_of_the_specification_in_order():
    assert list(REVISIONS) == NAMES
    assert [revision.date for revision in REVISIONS.values()] == sorted(item.date for item in REVISIONS.values())
    assert all(revision.changes for revision in REVISIONS.values())


@each
def test_switches_are_those_of_the_specification(name):
    expected = {switch: is_between(name, first, end) for switch, (first, end) in SWITCHES.items()}
    assert REVISIONS[name].switches() == expected | PROPOSED_SWITCHES


def test_only_the_first_two_have_the_same_driver():
    switches = [tuple(revision.switches().values()) for revision in REVISIONS.values()]
    assert switches[0] == switches[1]
    assert len(set(switches)) == len(NAMES) - 1


@pytest.mark.parametrize(("name", "version"), [("0.8", 8), ("0.9.1", 9), ("0.10", 10), ("0.14", 14), ("2026-02", 14)])
def test_the_driver_version(make, name, version):
    assert driver_version(make(name).adapter) == version


@each
def test_packets_cross_both_ways_in_each(make, tools, name):
    bench = make(name).register()
    assert bench.send(tools.packet(20), tools.packet(1500, 1)) == [0, 0]
    assert bench.send_ring.pop_all() == [tools.packet(20), tools.packet(1500, 1)]
    for number in range(300):
        bench.receive_ring.push(tools.packet(1400, number, 6))
        bench.settle()
    assert bench.ndis.received == [tools.packet(1400, number, 6) for number in range(300)]
    assert bench.receive_ring.head == bench.receive_ring.tail
    bench.close()
    assert (bench.send_ring.tail, bench.receive_ring.head) == (STOPPED, STOPPED)
    assert all(lock.is_free() for lock in bench.locks)


# -- access -----------------------------------------------------------------------------------------------------------

LEVELS = list(IntegrityLevel)
TOKENS = [(system, administrator, level) for system in (0, 1) for administrator in (0, 1) for level in LEVELS]


@each
@pytest.mark.parametrize("code", [TUN_IOCTL_REGISTER_RINGS, TUN_IOCTL_FORCE_CLOSE_HANDLES])
def test_who_is_let_in(make, name, code):
    if code == TUN_IOCTL_FORCE_CLOSE_HANDLES and not is_between(name, "0.8", "0.14"):
        return
    for is_local_system, is_administrator, level in TOKENS:
        bench = make(name)
        bench.caller.is_local_system = bool(is_local_system)
        bench.caller.is_administrator = bool(is_administrator)
        bench.caller.integrity_level = level
        is_in = bool(is_local_system)
        if is_between(name, "0.12"):
            is_in = bool(is_local_system or is_administrator) and level >= 0x3000
        before = bench.state()
        status = bench.control(code=code)
        assert (status == NtStatus.STATUS_ACCESS_DENIED) is not is_in
        if not is_in:
            assert bench.state() == before


@each
def test_the_kernel_passes_the_access_check_and_may_register_from_2026_on(make, name):
    bench = make(name)
    stranger = make_caller(8, is_local_system=False, is_administrator=False, integrity_level=IntegrityLevel.LOW)
    request = Registration(stranger, bench.file, bench.record(), kernel=bench.caller)
    status = bench.control(request)
    # Before, the kernel's handles are looked for among those of the process that happens to be there.
    assert status == (0 if name == "2026-02" else NtStatus.STATUS_INVALID_HANDLE)


@each
def test_kernel_memory_is_no_memory_of_the_process(make, name):
    bench = make(name)
    stranger = make_caller(8)
    stranger.handles = bench.caller.handles
    request = Registration(stranger, bench.file, bench.record(), kernel=bench.caller)
    assert bench.control(request) == (0 if name == "2026-02" else NtStatus.STATUS_INVALID_USER_BUFFER)


# -- the record of a 32-bit process -----------------------------------------------------------------------------------


def record_32(bench):
    described = (*bench.described["send"], *bench.described["receive"])
    return b"".join(field.to_bytes(4, "little") for field in described)


@each
@pytest.mark.parametrize("is_32_bit", [False, True])
def test_the_24_byte_record_is_for_32_bit_processes_from_0_9_on(make, tools, name, is_32_bit):
    bench = make(name)
    bench.caller.is_32_bit = is_32_bit
    status = bench.control(bench.request(record_32(bench)))
    if not (is_32_bit and is_between(name, "0.9")):
        assert status == NtStatus.STATUS_INVALID_PARAMETER
        return
    assert status == 0
    # Pointers and handles are extended with zeros: the receive ring's address has its top bit set.
    assert bench.adapter.receive_ring.value.address == 0x80000000
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    assert bench.ndis.received == [tools.packet(20)]


@each
def test_the_48_byte_record_is_taken_from_any_process(make, name):
    bench = make(name)
    bench.caller.is_32_bit = True
    assert bench.control() == 0


@each
@pytest.mark.parametrize("size", [0, 23, 25, 47, 49])
def test_other_sizes_are_refused(make, name, size):
    bench = make(name)
    bench.caller.is_32_bit = True
    assert bench.control(bench.request(bytes(size))) == NtStatus.STATUS_INVALID_PARAMETER


# -- force close ------------------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("others", [0, 1, 2])
def test_what_force_close_answers(make, name, others):
    bench = make(name).register()
    bench.open_handles = [(bench.caller, 0x10, bench.file)]
    bench.open_handles += [(make_caller(200 + each), 0x20, f"file {each}") for each in range(others)]
    status = bench.control(code=TUN_IOCTL_FORCE_CLOSE_HANDLES)
    if is_between(name, "0.14"):
        assert status == NtStatus.STATUS_INVALID_DEVICE_REQUEST
        assert len(bench.open_handles) == 1 + others
        return
    tells = is_between(name, "0.9") and not others
    assert status == (0x00000122 if tells else 0)
    assert len(bench.open_handles) == 1


def test_without_force_close_the_code_goes_to_ndis_unchecked(make):
    bench = make("0.14")
    bench.caller.is_local_system = bench.caller.is_administrator = False
    assert bench.control(code=TUN_IOCTL_FORCE_CLOSE_HANDLES) == NtStatus.STATUS_INVALID_DEVICE_REQUEST


# -- where Head is loaded and stored, and the barrier (B1, B2, B3) ----------------------------------------------------


@each
def test_b1_where_send_head_is_loaded(make, tools, name):
    bench, log = make(name).register(), []
    bench.send(tools.packet(20), log=log)
    order = [text for text in log if text in ("Load send.Head", "Acquire send")]
    if name == "2026-02":
        assert order == ["Acquire send", "Load send.Head", "Acquire send"]
    else:
        assert order == ["Load send.Head", "Acquire send", "Acquire send"]


@each
def test_a_bad_head_is_refused_without_any_lock_left(make, tools, name):
    bench = make(name).register()
    bench.send_ring.head = CAPACITY
    assert bench.send(tools.packet(20)) == [NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY]
    assert all(lock.is_free() for lock in bench.locks)


@each
def test_b1_a_sender_with_an_old_head_overwrites_what_nobody_has_read(make, tools, name):
    """The shortest case of §10: Head 0 and reserved tail C - 4; the client frees, another sender takes the space."""
    bench = make(name)
    bench.send_ring.tail = CAPACITY - 4
    bench.register()
    text = "Acquire send" if name != "2026-02" else "Load send.Head"
    before, opened = tools.gate(text)
    if name == "2026-02":
        # Under the lock nobody comes between; the client alone may move Head before it is loaded.
        bench.send_ring.head = 100
        assert bench.send(tools.packet(96)) == [0]
        assert bench.send(tools.packet(96)) == [NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW]
        return
    stale = SendChain.of(Packet(tools.packet(96, 1)))
    bench.start(send(bench.adapter, stale), before=before)
    bench.send_ring.head = 100
    assert bench.send(tools.packet(96)) == [0]
    opened.signalled = True
    bench.settle()
    # The ring was full, and the stale sender wrote all the same: Tail has passed Head.
    assert stale.nbls[0].status == 0
    assert bench.send_ring.tail == 196 > bench.send_ring.head


@each
def test_b2_where_receive_head_is_stored(make, tools, name):
    bench = make(name, keeps_nbls=True).register()
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    log = []
    bench.executor.run(tools.watched(return_nbls(bench.adapter, bench.ndis.kept), log))
    wanted = ("Set receive list empty", "Store receive.Head=24", "Release receive", "CountReceived")
    order = [text for text in log if text in wanted]
    if name == "2026-02":
        # Still after the event was set: against the reader's own store it remains open.
        assert order == [wanted[0], wanted[1], wanted[2], wanted[2], wanted[3]]
    else:
        assert order == [wanted[0], wanted[2], wanted[1], wanted[2], wanted[3]]


@each
def test_b2_head_goes_backwards_between_two_returns(make, tools, name):
    bench = make(name, keeps_nbls=True).register()
    for number in range(2):
        bench.receive_ring.push(tools.packet(20, number))
    bench.settle()
    first, second = bench.ndis.kept
    before, opened = tools.gate("Store receive.Head=24")
    late = bench.start(return_nbls(bench.adapter, (first,)), before=before)
    other = bench.start(return_nbls(bench.adapter, (second,)))
    between = bench.receive_ring.head
    opened.signalled = True
    bench.settle()
    assert late.ended.signalled and other.ended.signalled
    assert (between, bench.receive_ring.head) == ((0, 48) if name == "2026-02" else (48, 24))


@each
def test_b3_the_barrier(make, name):
    bench, log = make(name), []
    bench.register(reader_log=log)
    at = log.index("Store receive.Alertable=1")
    barrier = ["Fence"] if name == "2026-02" else []
    assert log[at + 1 :] == [*barrier, "Load receive.Tail", "Wait disconnected|receive.TailMoved"]


# -- B4: the size is read twice ---------------------------------------------------------------------------------------


def change_size(bench, size):
    """A client that changes a packet's `Size` once the driver has loaded it."""

    def before(text):
        if text == "LoadByte @4":
            bench.receive_ring.memory[12:16] = size.to_bytes(4, "little")

    return before


@each
@pytest.mark.parametrize("rereads_size", [False, True])
def test_b4_sizes_are_loaded_once_unless_the_compiler_does_otherwise(make, tools, name, rereads_size):
    bench, log = make(name, rereads_size=rereads_size), []
    bench.receive_ring.push(tools.packet(20))
    bench.register(reader_log=log)
    twice = rereads_size and is_between(name, "0.8", "0.9.1")
    assert log.count("LoadSize @0") == (2 if twice else 1)


def grow_between_loads(bench, size):
    """The client changes `Size` between the two loads of it, so after the length check."""
    loads = []

    def before(text):
        loads.append(text)
        if loads.count("LoadSize @0") == 2:
            bench.receive_ring.memory[12:16] = size.to_bytes(4, "little")

    return before


@each
def test_b4_the_length_check_is_bypassed(make, tools, name):
    bench = make(name, rereads_size=True, keeps_nbls=True)
    bench.receive_ring.push(tools.packet(20))
    if is_between(name, "0.8", "0.9.1"):
        bench.register(reader_before=grow_between_loads(bench, 0x1000))
        # More is indicated than the client has written, and the driver's own head is past Tail.
        assert bench.ndis.kept[0].size_bytes == 0x1000
        assert bench.receive_ring.tail == 24
        bench.executor.run(return_nbls(bench.adapter, bench.ndis.kept))
        assert bench.receive_ring.head != 24
    else:
        bench.register(reader_before=change_size(bench, 0x1000))
        assert bench.ndis.kept[0].size_bytes == 20
        bench.executor.run(return_nbls(bench.adapter, bench.ndis.kept))
        assert bench.receive_ring.head == 24


def test_b4_a_huge_size_reaches_past_the_ring(make, tools):
    bench = make("0.8.1", rereads_size=True)
    bench.receive_ring.push(tools.packet(20))
    with pytest.raises(ClientFault, match="access outside the ring"):
        bench.register(reader_before=grow_between_loads(bench, 0x40000000))


# -- B5: headroom -----------------------------------------------------------------------------------------------------

ETHERNET = bytes(range(0xE0, 0xEE))


def received_at(make, tools, name, position):
    bench = make(name, keeps_nbls=True)
    bench.receive_ring.head = bench.receive_ring.tail = position
    bench.register()
    bench.receive_ring.push(tools.packet(40))
    bench.settle()
    return bench, bench.ndis.kept[0]


@each
@pytest.mark.parametrize("position", [0, 64, CAPACITY - 4])
def test_b5_the_headroom_of_an_nbl(make, tools, name, position):
    _, nbl = received_at(make, tools, name, position)
    assert nbl.headroom_bytes == (12 + position + 4 if is_between(name, "0.8", "0.10") else 0)


@each
def test_b5_a_header_before_the_first_packet_overwrites_the_rings_words(make, tools, name):
    bench, nbl = received_at(make, tools, name, 0)
    before = bytes(bench.receive_ring.memory)
    wrote = bench.executor.run(push_header(nbl, ETHERNET))
    assert nbl.peek() == tools.packet(40)
    assert wrote is is_between(name, "0.8", "0.10")
    after = bytes(bench.receive_ring.memory)
    if not wrote:
        assert after == before
        return
    # The upper half of Head, all of Tail and Alertable, and the packet's own Size.
    assert after == before[:2] + ETHERNET + before[16:]


@each
def test_b5_the_reader_aborts_when_it_then_loads_the_bad_tail(make, tools, name):
    bench, nbl = received_at(make, tools, name, 0)
    bench.executor.run(push_header(nbl, ETHERNET))
    bench.receive_ring.event.signalled = True
    bench.settle()
    bench.executor.run(return_nbls(bench.adapter, (nbl,)))
    assert bench.receive_ring.head == (STOPPED if is_between(name, "0.8", "0.10") else 44)


@each
def test_b5_a_header_before_another_packet_overwrites_its_size_and_ten_bytes(make, tools, name):
    bench, nbl = received_at(make, tools, name, 64)
    bench.receive_ring.memory[12:76] = bytes([0xA5]) * 64
    before = bytes(bench.receive_ring.memory)
    wrote = bench.executor.run(push_header(nbl, ETHERNET))
    after = bytes(bench.receive_ring.memory)
    assert after == (before[: 12 + 54] + ETHERNET + before[12 + 68 :] if wrote else before)


def test_b5_a_header_longer_than_the_headroom_does_not_go_into_the_ring(make, tools):
    bench, nbl = received_at(make, tools, "0.8.1", 0)
    assert bench.executor.run(push_header(nbl, bytes(17))) is False
    assert bench.executor.run(push_header(nbl, bytes(16))) is True
    assert bench.receive_ring.words == (0, 0, 0)


# -- the partial memory descriptor (0.10, 0.11) -----------------------------------------------------------------------


@each
def test_each_packet_takes_a_partial_descriptor_from_0_10_on(make, tools, name):
    bench, log, returned = make(name, keeps_nbls=True), [], []
    bench.receive_ring.push(tools.packet(20))
    bench.register(reader_log=log)
    bench.executor.run(tools.watched(return_nbls(bench.adapter, bench.ndis.kept), returned))
    allocated = [text for text in log if text.startswith("Allocate")]
    freed = [text for text in returned if text.startswith("Free")]
    if is_between(name, "0.10"):
        assert allocated == ["Allocate partial memory descriptor", "Allocate NBL"]
        assert freed == ["Free partial memory descriptor", "Free NBL"]
    else:
        assert (allocated, freed) == (["Allocate NBL"], ["Free NBL"])


@each
@pytest.mark.parametrize("what", ["partial memory descriptor", "NBL"])
def test_a_failed_allocation_skips_the_packet_and_leaks_nothing(make, tools, name, what):
    bench, log = make(name), []
    bench.failures = {what: {1}}
    for number in range(2):
        bench.receive_ring.push(tools.packet(20, number))
    bench.register(reader_log=log)
    fails = what == "NBL" or is_between(name, "0.10")
    assert bench.ndis.received == [tools.packet(20, number) for number in range(fails, 2)]
    assert bench.statistics.get("in_discards", 0) == fails
    assert bench.receive_ring.head == 48
    allocated = sum(text == f"Allocate {item}" for text in log for item in ("partial memory descriptor", "NBL"))
    assert allocated - sum(text.startswith("Free ") for text in log) == fails


@each
def test_a_packet_that_meets_a_pause_gives_everything_back(make, tools, name):
    bench, log = make(name).register(), []
    bench.executor.run(pause(bench.adapter))
    bench.close()
    bench.receive_ring.head = bench.receive_ring.tail = bench.send_ring.tail = 0
    bench.receive_ring.push(tools.packet(20))
    bench.register(reader_log=log)
    descriptor = ["partial memory descriptor"] if is_between(name, "0.10") else []
    assert [text[5:] for text in log if text.startswith("Free")] == [*descriptor, "NBL"]
    assert bench.receive_ring.head == 24


@each
@pytest.mark.parametrize(
    ("position", "size", "crosses"),
    [
        (0, 40, False),
        (4096 - 16 - 39, 40, False),
        (4096 - 16 - 36, 40, True),
        (4096 - 16 - 4, 4096, True),
        (4096 - 16, 4096, False),
        (0, 4096, True),
        (0, 4097, False),
    ],
)
def test_the_descriptor_of_0_10_lacks_a_page_of_some_packets(make, tools, name, position, size, crosses):
    """The ring begins at a page's start, so the data of a packet at 0 stands 16 bytes into the page."""
    position &= ~3
    bench = make(name, keeps_nbls=True)
    bench.receive_ring.head = bench.receive_ring.tail = position
    bench.register()
    bench.receive_ring.push(tools.packet(size))
    bench.settle()
    nbl = bench.ndis.kept[0]
    assert nbl.missing_pages == (1 if crosses and name == "0.10" else 0)
    # By its mapped address the packet is whole in any case.
    assert bench.ndis.received == [tools.packet(size)]


# -- B6: packets that are not IP --------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize(
    "data",
    [b"", b"\x45", b"\x45" + bytes(18), b"\x60" + bytes(38), b"\x50" + bytes(60), bytes(64)],
    ids=["empty", "one byte", "short IPv4", "short IPv6", "version 5", "version 0"],
)
def test_b6_a_packet_that_is_not_ip(make, tools, name, data):
    bench = make(name).register()
    bench.receive_ring.push(data)
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    if is_between(name, "0.14"):
        assert bench.ndis.received == [tools.packet(20)]
        assert bench.receive_ring.head == bench.receive_ring.tail
        assert bench.statistics == {
            "in_discards": 1,
            "in_unicast_packets": 1,
            "in_octets": 20,
            "in_unicast_octets": 20,
        }
    else:
        assert bench.ndis.received == []
        assert bench.receive_ring.head == STOPPED
        assert bench.statistics == {}


def test_a_skipped_packet_waits_for_those_before_it_and_allocates_nothing(make, tools):
    bench, log = make("0.14", keeps_nbls=True), []
    bench.receive_ring.push(tools.packet(20))
    bench.receive_ring.push(bytes(20))
    bench.register(reader_log=log)
    assert log[-1] == "Wait receive list empty"
    assert sum(text.startswith("Allocate") for text in log) == 2
    assert bench.receive_ring.head == 0
    bench.executor.run(return_nbls(bench.adapter, bench.ndis.kept))
    assert bench.receive_ring.head == 48


@each
@pytest.mark.parametrize("content", [b"\x00\x00\x01\x00", b"\x15\x00\x00\x00", b"\xff\xff\xff\xff"])
def test_other_causes_of_an_abort_stay_in_all_revisions(make, name, content):
    bench = make(name).register()
    bench.receive_ring.memory[12:16] = content
    bench.receive_ring.move_tail(24)
    bench.settle()
    assert bench.receive_ring.head == STOPPED


# -- B11: unaligned start values --------------------------------------------------------------------------------------


@each
def test_b11_an_even_unaligned_send_tail_is_rounded_down_when_published(make, tools, name):
    bench = make(name)
    bench.send_ring.head = bench.send_ring.tail = 6
    bench.register()
    assert bench.send(tools.packet(20)) == [0]
    # The packet was written at 6, and Tail tells 28, not 30.
    assert bench.send_ring.packet_at(6) == tools.packet(20)
    assert bench.send_ring.tail == 28
    assert bench.adapter.send_reserved_tail.value == 30


@each
def test_b11_with_an_odd_send_tail_chains_are_published_before_they_are_copied(make, tools, name):
    bench = make(name)
    bench.send_ring.head = bench.send_ring.tail = 5
    bench.register()
    before, opened = tools.gate("CopyIn @9+20")
    slow = tools.chain_of(tools.packet(20))
    bench.start(send(bench.adapter, slow), before=before)
    assert bench.ndis.completed == []
    bench.executor.run(send(bench.adapter, tools.chain_of(tools.packet(20, 1))))
    # The second sender published and completed the first one's chain, whose bytes are not there yet.
    assert slow in bench.ndis.completed
    assert bench.send_ring.at(9, 20) == bytes(20)
    opened.signalled = True
    bench.settle()
    assert bench.send_ring.at(9, 20) == tools.packet(20)
    assert bench.ndis.completed.count(slow) == 1


@each
def test_b11_an_unaligned_receive_head_is_rounded_down_by_returns_only(make, tools, name):
    bench = make(name)
    bench.receive_ring.head = bench.receive_ring.tail = 6
    bench.register()
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    assert bench.receive_ring.head == 28
    bench.executor.run(pause(bench.adapter))
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    # A skipped packet's store is not rounded.
    assert bench.receive_ring.head == 54


@each
def test_b11_with_an_odd_receive_head_nbls_are_freed_while_the_stack_has_them(make, tools, name):
    bench = make(name, keeps_nbls=True)
    bench.receive_ring.head = bench.receive_ring.tail = 5
    bench.register()
    for number in range(2):
        bench.receive_ring.push(tools.packet(20, number))
    bench.settle()
    first, second = bench.ndis.kept
    log = []
    bench.executor.run(tools.watched(return_nbls(bench.adapter, (second,)), log))
    # The first counts as completed as well, though the stack still has it.
    assert log.count("Free NBL") == 2
    assert bench.receive_ring.head == 52
    assert first.peek() == tools.packet(20)


# -- the miniport -----------------------------------------------------------------------------------------------------


@each
def test_initialize_indicates_link_down_before_0_13(make, name):
    bench = make(name, running=False)
    status, attributes = bench.executor.run(initialize(bench.adapter))
    assert status == 0
    assert bench.ndis.links == ([] if is_between(name, "0.13") else [False])
    assert bench.adapter.disconnected.signalled
    assert not bench.adapter.running.value
    assert attributes == attributes_of(REVISIONS[name])


@each
def test_the_attributes(name):
    attributes = attributes_of(REVISIONS[name])
    assert attributes.is_full_duplex is is_between(name, "0.13")
    assert (attributes.media_type, attributes.mtu_bytes, attributes.lookahead_bytes) == ("IP", 0xFFFF, 0xFFFF)
    assert attributes.transmit_bits_per_second == attributes.receive_bits_per_second == 100 * 10**9
    assert attributes.interface_type == 53
    assert not attributes.is_media_connected
    assert not attributes.halts_on_suspend
    assert attributes.allows_surprise_removal
