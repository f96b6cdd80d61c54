"""Single statements of the specification that no other test is about."""

import struct

import pytest

from wintun_model import operations as op
from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES, Limits
from wintun_model.adapter import Adapter, Driver
from wintun_model.dispatch import process_exit
from wintun_model.immediate import ImmediateExecutor, RecordingNdis, SimpleCaller
from wintun_model.installer import run
from wintun_model.installer_evaluate import Module
from wintun_model.installer_scenario import ANCHOR, Kind, Scenario
from wintun_model.installer_state import RegistryType, RegistryValue
from wintun_model.miniport import pause
from wintun_model.oids import statistics_record
from wintun_model.receive import return_nbls
from wintun_model.registration import register
from wintun_model.revision import DEFAULT_REVISION, REVISIONS, Revision
from wintun_model.ring import ring_bytes_of
from wintun_model.send import send
from wintun_model.session import (
    LIBRARY_REVISIONS,
    MARK,
    Session,
    SessionRing,
    allocate_send_packet,
    receive_packet,
    release_receive_packet,
    send_packet,
)
from wintun_model.status import NtStatus, Win32Error

CAPACITY = 0x20000
STOPPED = 0xFFFFFFFF
each = pytest.mark.parametrize("name", REVISIONS)


def make(tools, name, **options):
    """A registered bench whose driver is of a revision, and whose caller each revision lets in."""
    return tools.bench_of(name, **options).register()


# -- §2 state ---------------------------------------------------------------------------------------------------------


def test_a_registered_ring_keeps_its_pages_its_capacity_and_its_event(tools):
    bench = tools.Bench(send_capacity=0x20000, receive_capacity=0x40000).register()
    for ring, client in (
        (bench.adapter.send_ring.value, bench.send_ring),
        (bench.adapter.receive_ring.value, bench.receive_ring),
    ):
        assert (ring.capacity, ring.tail_moved) == (client.capacity, client.event)
        client.memory[100] = 0x5A
        assert (len(ring.pages.view), ring.pages.view[100]) == (len(client.memory), 0x5A)


@pytest.mark.parametrize("offset", [0, 4, 8, 5, 6, 7])
def test_mark_and_end_offset_of_an_entry_share_one_word(offset, tools):
    active, entry = op.ActiveList("list"), op.Entry()
    executor = ImmediateExecutor()
    executor.run(tools.recorded((step for step in (op.Append(active, entry, offset),)), []))
    assert (entry.is_completed(), entry.end_offset()) == (bool(offset & 1), offset // 4 * 4)
    executor.run(tools.recorded((step for step in (op.MarkCompleted(entry),)), []))
    assert (entry.is_completed(), entry.end_offset(), entry.marked_offset) == (True, offset // 4 * 4, offset | 1)


# -- §3 send ----------------------------------------------------------------------------------------------------------


def test_the_reserved_tail_wraps(bench, tools):
    bench.send_ring.head = bench.send_ring.tail = CAPACITY - 4
    bench.register()
    bench.send(tools.packet(20))
    assert bench.adapter.send_reserved_tail.value == bench.send_ring.tail == 20


# -- §4 the reader thread ---------------------------------------------------------------------------------------------


def test_the_reader_thread_has_low_priority_and_is_one_for_each_registration(bench, tools):
    for _ in range(2):
        operations = []
        bench.executor.run(tools.recorded(register(bench.adapter, bench.request()), operations))
        assert [one.priority for one in operations if isinstance(one, op.StartThread)] == [1]
        assert len(bench.executor.threads) == 1
        bench.close()
        assert bench.executor.threads == []
        bench.send_ring.tail = bench.receive_ring.head = 0


def test_the_reader_loads_head_once(bench, tools):
    log = []
    bench.register(reader_log=log)
    for number in range(3):
        bench.receive_ring.push(tools.packet(20, number))
        bench.settle()
    assert (len(bench.ndis.received), log.count("Load receive.Head")) == (3, 1)


@pytest.mark.parametrize(
    ("frequency", "ticks"), [(10_000_000, 1000), (3_579_545, 357), (19_999, 1), (10_000, 1), (9_999, 0)]
)
def test_the_spin_lasts_a_ten_thousandth_of_the_frequency_in_whole_ticks(bench, frequency, ticks, tools):
    operations = []
    bench.executor.run(tools.recorded(register(bench.adapter, bench.request()), operations, frequency=frequency))
    limits = [one.limit_ticks for one in operations if isinstance(one, op.Spin)]
    assert limits == [ticks]
    assert isinstance(limits[0], int)


@pytest.mark.parametrize("tail", [25, 26, 27])
def test_an_unaligned_tail_is_no_abort(registered, tools, tail):
    registered.receive_ring.put_packet_at(0, tools.packet(20))
    registered.receive_ring.move_tail(tail)
    registered.settle()
    assert registered.ndis.received == [tools.packet(20)]
    # What is left is less than a packet's header: that is one.
    assert registered.receive_ring.head == STOPPED


# -- §5 requests ------------------------------------------------------------------------------------------------------


def test_force_close_needs_no_adapter_context(bench):
    bench.adapter.is_attached.value = False
    bench.open_handles = [(SimpleCaller(200), 0x20, "another file")]
    assert bench.control(code=TUN_IOCTL_FORCE_CLOSE_HANDLES) == NtStatus.STATUS_SUCCESS
    assert bench.open_handles == []


# -- §7 the miniport --------------------------------------------------------------------------------------------------


def test_everything_counts_as_unicast(registered, tools):
    multicast = b"\x45" + bytes(15) + bytes([224, 0, 0, 1])
    broadcast = b"\x45" + bytes(15) + bytes([255] * 4)
    for data in (multicast, broadcast, tools.packet(40)):
        assert registered.send(data) == [0]
        registered.receive_ring.push(data)
        registered.settle()
    counted = registered.adapter.statistics
    assert (counted.out_unicast_packets, counted.out_unicast_octets, counted.out_octets) == (3, 80, 80)
    assert (counted.in_unicast_packets, counted.in_unicast_octets, counted.in_octets) == (3, 80, 80)
    counters = struct.unpack("<BBHI18Q", statistics_record(counted))[4:]
    assert [counters[place] for place in (4, 5, 8, 9, 13, 14, 16, 17)] == [0] * 8


# -- §9 revisions -----------------------------------------------------------------------------------------------------


def test_the_dates_of_the_revisions():
    assert {name: revision.date for name, revision in REVISIONS.items()} == {
        "0.8": "2019-12-10",
        "0.8.1": "2020-02-27",
        "0.9": "2020-11-06",
        "0.9.1": "2020-11-17",
        "0.10": "2020-12-15",
        "0.11": "2021-05-10",
        "0.12": "2021-06-24",
        "0.13": "2021-08-02",
        "0.14": "2021-10-12",
        "2026-02": "2026-02-24",
    }


def test_the_base_of_the_page_is_the_default():
    assert DEFAULT_REVISION == "0.8.1"
    assert Adapter("tun").revision is REVISIONS["0.8.1"]
    assert Revision(name="", date="", version=(0, 0)).switches() == REVISIONS["0.8.1"].switches()


def whole_life(tools, name):
    """Every operation of a registration, a send, a packet received, and a close, as text."""
    log, reader_log = [], []
    bench = tools.Bench(driver=Driver(REVISIONS[name]))
    bench.register(log=log, reader_log=reader_log)
    bench.send(tools.packet(20), log=log)
    bench.receive_ring.push(tools.packet(40))
    bench.settle()
    bench.close(log=log)
    return log, reader_log


def test_acquire_and_release_change_no_operation(tools):
    assert whole_life(tools, "0.9") == whole_life(tools, "0.8.1")


# -- §10 bugs that are open in all revisions --------------------------------------------------------------------------


@each
def test_b2_stays_open_against_the_reader_in_all_revisions(tools, name):
    bench = make(tools, name, keeps_nbls=True)
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    bench.receive_ring.move_tail(CAPACITY)
    bench.settle()
    before, opened = tools.gate("Store receive.Head=24")
    late = bench.start(return_nbls(bench.adapter, bench.ndis.kept), before=before)
    # "Empty" was set, so the reader has ended, and nothing held it up.
    assert bench.receive_ring.head == STOPPED
    opened.signalled = True
    bench.settle()
    assert late.ended.signalled
    assert bench.receive_ring.head == 24


@each
def test_b10_is_open_in_all_revisions(tools, name):
    bench = make(tools, name)
    before, opened = tools.gate("Acquire registration")
    bench.start(process_exit(bench.adapter.driver, 100), before=before)
    bench.close()
    other = tools.let_in(SimpleCaller(200))
    other.memory, other.handles = bench.caller.memory, bench.caller.handles
    bench.send_ring.tail = bench.receive_ring.head = 0
    bench.register(request=bench.request(caller=other, file="a file object of the other process"))
    opened.signalled = True
    bench.settle()
    assert bench.adapter.owner.value is None
    assert bench.send_ring.tail == STOPPED


@each
def test_b12_is_open_in_all_revisions(tools, name):
    inside = {}

    class SendingNdis(RecordingNdis):
        def indicate_receive(self, adapter, nbl):
            before, inside["gate"] = tools.gate("AcquireShared transition")
            return tools.watched(send(adapter, tools.chain_of(tools.packet(20))), before=before)

    bench = make(tools, name, ndis=SendingNdis())
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    pausing = bench.start(pause(bench.adapter))
    inside["gate"].signalled = True
    bench.settle()
    lock = bench.adapter.transition_lock
    assert pausing.blocked_on is lock.acquire
    assert lock.acquire_shared in [thread.blocked_on for thread in bench.executor.threads]


# -- the session layer (spec win32 §6) --------------------------------------------------------------------------------

SMALL = Limits(min_capacity_bytes=16, max_capacity_bytes=1024, max_packet_bytes=40)


@pytest.fixture
def session():
    """A session over two rings of 64 bytes that nobody has registered."""
    rings = [
        SessionRing(name, memoryview(bytearray(ring_bytes_of(64, SMALL))), 64, SMALL) for name in ("receive", "send")
    ]
    return Session(*rings, op.Event("send moved", manual_reset=False), limits=SMALL)


def arrive(session, offset, size):
    """A packet of the driver at `offset`, and `Tail` behind it."""
    ring = session.receiving
    ring.data[offset : offset + 4] = size.to_bytes(4, "little")
    ring.tail.cells[ring.tail.index] = offset + 4 + (size + 3) // 4 * 4


def test_a_session_whose_own_position_is_bad_has_ended(session):
    arrive(session, 0, 8)
    for position in (64, STOPPED):
        for ring in (session.receiving, session.sending):
            ring.positions.value = (position, 0, 0)
        executor = ImmediateExecutor()
        assert executor.run(receive_packet(session)) == (Win32Error.ERROR_HANDLE_EOF, 0, 0)
        assert executor.run(allocate_send_packet(session, 4)) == (Win32Error.ERROR_HANDLE_EOF, 0)


def test_a_received_packet_counts_as_outstanding(session):
    executor = ImmediateExecutor()
    offsets = []
    for count, start in enumerate((0, 12, 24), 1):
        arrive(session, start, 8)
        offsets.append(executor.run(receive_packet(session))[1])
        assert session.receiving.positions.value == (start + 12, 0, count)
    for left, offset in zip((2, 1, 0), offsets, strict=True):
        executor.run(release_receive_packet(session, offset))
        assert session.receiving.positions.value[2] == left


def test_releasing_marks_the_size(session):
    executor = ImmediateExecutor()
    for start in (0, 12):
        arrive(session, start, 8)
        executor.run(receive_packet(session))
    executor.run(release_receive_packet(session, 16))
    sizes = [int.from_bytes(session.receiving.data[start : start + 4], "little") for start in (0, 12)]
    assert sizes == [8, 8 | MARK]
    assert session.receiving.head.cells[0] == 0


def test_the_library_never_sets_alertable_of_the_send_ring(session, tools):
    executor = ImmediateExecutor()
    session.receiving.alertable.cells[2] = 7
    operations = []
    executor.run(tools.recorded(receive_packet(session), operations))
    arrive(session, 0, 8)
    _, offset, _ = executor.run(tools.recorded(receive_packet(session), operations))
    executor.run(tools.recorded(release_receive_packet(session, offset), operations))
    _, offset = executor.run(tools.recorded(allocate_send_packet(session, 8), operations))
    executor.run(tools.recorded(send_packet(session, offset), operations))
    assert session.receiving.alertable.cells[2] == 7
    stored = {one.word.name for one in operations if isinstance(one, op.Store)}
    assert stored == {"receive.Head", "send.Tail"}


@pytest.mark.parametrize(("revision", "always"), [("0.9", True), ("0.9.1", True), ("0.9.2", False), ("2026-02", False)])
def test_tail_is_stored_when_the_ring_has_another(session, revision, always, tools):
    executor = ImmediateExecutor()
    session.revision = LIBRARY_REVISIONS[revision]
    ring = session.sending
    ring.alertable.cells[2] = 1

    def sent(offset):
        """Whether a send stored Tail, and whether it told the driver."""
        operations = []
        session.send_moved.signalled = False
        executor.run(tools.recorded(send_packet(session, offset), operations))
        stores = [one for one in operations if isinstance(one, op.Store) and one.word is ring.tail]
        return bool(stores), session.send_moved.signalled

    first, second, third = (executor.run(allocate_send_packet(session, 4))[1] for _ in range(3))
    # Nothing at the front is finished, and the ring's Tail is what it was.
    assert sent(second) == (always, always)
    # Somebody has changed it: it is put right.
    ring.tail.cells[1] = 40
    assert sent(third) == (True, True)
    assert ring.tail.cells[1] == 0
    # Somebody has set it to where it is to go: there is nothing to store.
    ring.tail.cells[1] = 24
    assert sent(first) == (always, always)
    assert ring.tail.cells[1] == 24


def test_each_direction_of_a_session_has_a_lock_of_its_own(session, tools):
    executor = ImmediateExecutor()
    executor.run(tools.recorded((step for step in (session.receiving.lock.acquire,)), []))
    error, offset = executor.run(allocate_send_packet(session, 8))
    assert not error
    executor.run(send_packet(session, offset))
    receiving = executor.start(receive_packet(session))
    assert receiving.blocked_on is session.receiving.lock.acquire


# -- the installer ----------------------------------------------------------------------------------------------------


def test_the_anchor_is_a_number_that_is_1():
    assert RegistryValue("", RegistryType.REG_DWORD, 1) == ANCHOR
    report = run(Scenario(kind=Kind.INSTALL, new=Module("a", "1", "0.8.1")))
    assert report.end.value("") == ANCHOR


def test_0_8_says_where_it_evaluates():
    old, new = Module("abc", "100", "0.8"), Module("def", "200", "0.8.1")
    report = run(Scenario(kind=Kind.MAJOR, new=new, installed=old, revision="0.8"))
    (event,) = [event for event in report.events_of("major") if event.action == "EvaluateWintun"]
    assert (event.outcome, event.note) == ("skipped", "0.8 runs it once in a major upgrade: in the removal")
