"""Receive: the driver reads the receive ring and hands packets up (spec driver §4)."""

import pytest

from wintun_model.errors import ClientFault, ModelError
from wintun_model.immediate import RecordingNdis
from wintun_model.miniport import pause, restart
from wintun_model.receive import return_nbls
from wintun_model.registration import unregister
from wintun_model.send import send

CAPACITY = 0x20000
STOPPED = 0xFFFFFFFF
TO_SLEEP = [
    "IsSet disconnected",
    "Load receive.Tail",
    "Spin receive.Tail!=0 disconnected 1000",
    "Store receive.Alertable=1",
    "Load receive.Tail",
    "Wait disconnected|receive.TailMoved",
]


def at_position(tools, position, capacity=CAPACITY, **options):
    """A registered bench whose empty receive ring stands at `position`."""
    bench = tools.Bench(capacity, **options)
    bench.receive_ring.head = bench.receive_ring.tail = position
    return bench.register()


def sleep_at(position):
    return [text.replace("!=0", f"!={position}") for text in TO_SLEEP]


def returns(tools, bench, *nbls, log=None, **hooks):
    """NDIS returns NBLs in one call."""
    bench.executor.run(tools.watched(return_nbls(bench.adapter, nbls), log, **hooks))


def receive(bench, *packets):
    """The client writes packets and the driver reads them; the NBLs that NDIS keeps."""
    for data in packets:
        bench.receive_ring.push(data)
        bench.settle()
    return bench.ndis.kept


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_an_idle_reader_spins_then_sets_alertable_then_waits(tools):
    bench, log = tools.Bench(), []
    bench.register(reader_log=log)
    assert log == ["Get receive ring", "Load receive.Head", "ReadFrequency", *TO_SLEEP]
    assert bench.receive_ring.words == (0, 0, 1)


def test_a_packet_wakes_it_and_goes_its_way(tools):
    bench, log = tools.Bench(), []
    bench.register(reader_log=log)
    log.clear()
    receive(bench, tools.packet(41))
    assert log == [
        "Store receive.Alertable=0",
        "IsSet disconnected",
        "Load receive.Tail",
        "LoadSize @0",
        "LoadByte @4",
        "Allocate NBL",
        "AcquireShared transition",
        "Get running",
        "Acquire receive",
        "Append receive active end=48",
        "Clear receive list empty",
        "Release receive",
        "IndicateReceive",
        # NDIS returns it inside the indication.
        "Get receive ring",
        "MarkCompleted",
        "Acquire receive",
        "TakeCompleted receive active",
        "Set receive list empty",
        "Release receive",
        "Store receive.Head=48",
        "Free NBL",
        "Acquire receive",
        "TakeCompleted receive active",
        "Release receive",
        "CountReceived",
        "ReleaseShared transition",
        *sleep_at(48),
    ]
    assert bench.receive_ring.words == (48, 48, 1)
    assert not bench.receive_ring.event.signalled


def test_a_packet_that_comes_during_the_spin_is_read_without_alertable(tools):
    bench, log = tools.Bench(), []

    def before(text):
        if text.startswith("Spin receive.Tail!=0 "):
            bench.receive_ring.push(tools.packet(20))

    bench.register(reader_log=log, reader_before=before)
    assert log[4:8] == ["Load receive.Tail", "Spin receive.Tail!=0 disconnected 1000", "LoadSize @0", "LoadByte @4"]
    assert bench.ndis.received == [tools.packet(20)]


def test_a_packet_that_comes_after_alertable_was_set_clears_alertable_and_the_event(tools):
    bench, log = tools.Bench(), []

    def before(text):
        if text == "Load receive.Tail" and log[-1] == "Store receive.Alertable=1" and not bench.receive_ring.tail:
            bench.receive_ring.push(tools.packet(20))
            assert bench.receive_ring.event.signalled

    bench.register(reader_log=log, reader_before=before)
    start = log.index("Store receive.Alertable=1")
    assert log[start : start + 6] == [
        "Store receive.Alertable=1",
        "Load receive.Tail",
        "Store receive.Alertable=0",
        "Clear receive.TailMoved",
        "LoadSize @0",
        "LoadByte @4",
    ]
    assert not bench.receive_ring.event.signalled
    assert bench.ndis.received == [tools.packet(20)]


def test_the_event_without_a_packet_sends_it_to_sleep_again(tools):
    bench, log = tools.Bench(), []
    bench.register(reader_log=log)
    log.clear()
    bench.receive_ring.event.signalled = True
    bench.settle()
    assert log == ["Store receive.Alertable=0", *TO_SLEEP]


def test_a_packet_without_the_event_does_not_wake_it(registered, tools):
    registered.receive_ring.put_packet_at(0, tools.packet(20))
    registered.receive_ring.tail = 24
    registered.settle()
    assert registered.ndis.received == []


def test_with_a_manual_reset_event_it_polls_until_the_client_clears_it(tools):
    bench, log = tools.Bench(manual_reset=True), []

    def before(text):
        if text == "Store receive.Alertable=0" and log.count(text) == 9:
            bench.receive_ring.event.signalled = False

    bench.register(reader_log=log, reader_before=before)
    log.clear()
    bench.receive_ring.event.signalled = True
    bench.settle()
    assert log == ["Store receive.Alertable=0", *TO_SLEEP] * 10
    assert "Clear receive.TailMoved" not in log


def test_a_reader_that_polls_for_ever_is_an_error_and_not_a_hang(tools, monkeypatch):
    monkeypatch.setattr("wintun_model.immediate._MAX_STEPS", 1000)
    bench = tools.Bench(manual_reset=True)
    bench.receive_ring.event.signalled = True
    with pytest.raises(ModelError, match="tun reader does not come to an end"):
        bench.register()


# -- what is delivered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [1 << bits for bits in range(17, 27)])
@pytest.mark.parametrize("from_end", [4, 8, 24, 1424, 0x10000, 0x10004])
def test_packets_of_all_sizes_come_up_byte_for_byte_and_in_order_across_the_wrap(tools, capacity, from_end):
    bench = at_position(tools, capacity - from_end, capacity)
    written = [tools.packet(size, seed) for seed, size in enumerate((20, 21, 1420, 65535))]
    receive(bench, *written)
    assert bench.ndis.received == written
    assert bench.receive_ring.head == bench.receive_ring.tail < from_end + 2 * 0x10004
    octets = 20 + 21 + 1420 + 65535
    assert bench.statistics == {"in_octets": octets, "in_unicast_octets": octets, "in_unicast_packets": 4}


def test_several_packets_are_indicated_one_by_one(registered, tools):
    written = [tools.packet(40 + seed, seed, version) for seed, version in enumerate((4, 6, 4, 6))]
    for data in written:
        registered.receive_ring.push(data)
    registered.settle()
    assert registered.ndis.received == written


def test_a_full_ring_is_read(registered, tools):
    written = [tools.packet(65532, 1), tools.packet(65528, 2)]
    for data in written:
        registered.receive_ring.push(data)
    assert registered.receive_ring.tail == CAPACITY - 4
    registered.settle()
    assert registered.ndis.received == written


def test_packets_before_the_registration_are_read(bench, tools):
    bench.receive_ring.push(tools.packet(20))
    bench.register()
    assert bench.ndis.received == [tools.packet(20)]


def test_an_nbl_points_into_the_ring(tools):
    bench = at_position(tools, 8, keeps_nbls=True)
    (nbl,) = receive(bench, tools.packet(40, version=6))
    assert (nbl.offset, nbl.size_bytes, nbl.ip_version, nbl.number) == (12, 40, 6, 1)
    assert nbl.peek() == tools.packet(40, version=6)
    bench.receive_ring.put_packet_at(8, bytes(40))
    assert nbl.peek() == bytes(40)


@pytest.mark.parametrize(("size", "version"), [(20, 4), (40, 6), (65535, 4), (65535, 6)])
def test_smallest_and_largest_ip_packets(tools, size, version):
    bench = tools.Bench(keeps_nbls=True).register()
    (nbl,) = receive(bench, tools.packet(size, version=version))
    assert nbl.ip_version == version
    assert nbl.size_bytes == size


def test_the_driver_writes_nothing_but_head_and_alertable(tools):
    bench = tools.Bench()
    bench.receive_ring.fill()
    bench.register()
    receive(bench, tools.packet(21), tools.packet(41))
    expected = bytearray(bench.receive_ring.memory)
    expected[0:12] = (76).to_bytes(4, "little") * 2 + b"\1\0\0\0"
    ring = bench.receive_ring
    assert (ring.packet_at(0), ring.packet_at(28)) == (tools.packet(21), tools.packet(41))
    assert (ring.at(25, 3), ring.at(73, 3)) == (b"\xa5" * 3, b"\xa5" * 3)
    assert ring.at(76, 1000) == b"\xa5" * 1000
    assert ring.memory == expected


# -- abort -------------------------------------------------------------------------------------------------------------


def put(data, tail, size=None):
    def write(ring):
        ring.put_packet_at(0, data, size)
        ring.move_tail(tail)

    return write


HEADER4, HEADER6 = b"\x45", b"\x60"
ABORTS = {
    "Tail is the capacity": put(HEADER4 + bytes(19), CAPACITY),
    "Tail is above the capacity": put(HEADER4 + bytes(19), CAPACITY + 24),
    "Tail is the stopped mark": put(HEADER4 + bytes(19), STOPPED),
    "content of 1 byte": put(HEADER4 + bytes(19), 1),
    "content of 3 bytes": put(HEADER4 + bytes(19), 3),
    "Size above 0xFFFF": put(HEADER4 + bytes(19), CAPACITY - 4, 0x10000),
    "Size is the largest number": put(HEADER4 + bytes(19), CAPACITY - 4, 0xFFFFFFFF),
    "packet above the content": put(HEADER4 + bytes(19), 20),
    "aligned packet above the content": put(HEADER4 + bytes(20), 25),
    "no room for data": put(HEADER4 + bytes(19), 4),
    "size 0": put(b"", 4),
    "IPv4 of 19 bytes": put(HEADER4 + bytes(18), 24),
    "IPv6 of 39 bytes": put(HEADER6 + bytes(38), 44),
    "IPv6 of 20 bytes": put(HEADER6 + bytes(19), 24),
} | {f"version {version}": put(bytes([version << 4]) + bytes(59), 64) for version in range(16) if version not in (4, 6)}


@pytest.mark.parametrize("write", ABORTS.values(), ids=ABORTS)
def test_each_cause_of_an_abort_stops_the_reader_for_good(tools, write):
    bench, log = tools.Bench(), []
    bench.register(reader_log=log)
    write(bench.receive_ring)
    bench.settle()
    assert bench.receive_ring.head == STOPPED
    assert log[-2:] == ["Wait receive list empty", f"Store receive.Head={STOPPED}"]
    assert bench.executor.threads == []
    assert bench.ndis.received == []
    assert bench.statistics == {}
    # The registration stays, and the other direction works on.
    assert bench.adapter.owner.value is bench.file
    assert bench.ndis.links == [True]
    assert bench.send(tools.packet(20)) == [0]
    bench.receive_ring.event.signalled = True
    bench.settle()
    assert bench.receive_ring.head == STOPPED


@pytest.mark.parametrize("write", [ABORTS["size 0"], ABORTS["Tail is the capacity"]])
def test_after_an_abort_closing_and_registering_again_works(registered, tools, write):
    write(registered.receive_ring)
    registered.settle()
    registered.close()
    registered.receive_ring.head = registered.receive_ring.tail = registered.receive_ring.alertable = 0
    registered.send_ring.head = registered.send_ring.tail = 0
    registered.register()
    receive(registered, tools.packet(20))
    assert registered.ndis.received == [tools.packet(20)]


def test_a_size_that_fits_exactly_is_no_abort(registered, tools):
    put(tools.packet(20), 24)(registered.receive_ring)
    registered.settle()
    assert registered.ndis.received == [tools.packet(20)]


def test_an_abort_waits_until_all_nbls_are_back(tools):
    bench = tools.Bench(keeps_nbls=True).register()
    (nbl,) = receive(bench, tools.packet(20))
    bench.receive_ring.move_tail(CAPACITY)
    bench.settle()
    assert bench.receive_ring.head == 0
    returns(tools, bench, nbl)
    assert bench.receive_ring.head == STOPPED


@pytest.mark.parametrize("head", [CAPACITY, CAPACITY + 4, STOPPED])
def test_a_bad_first_head_ends_the_reader_at_once_without_the_wait(bench, head):
    log = []
    bench.receive_ring.head = head
    bench.register(reader_log=log)
    assert log == ["Get receive ring", "Load receive.Head", f"Store receive.Head={STOPPED}"]
    assert bench.adapter.owner.value is bench.file
    assert not bench.adapter.disconnected.signalled


# -- skipped packets ---------------------------------------------------------------------------------------------------


def test_without_memory_for_an_nbl_the_packet_is_skipped(tools):
    bench, log = tools.Bench(), []
    bench.failures = {"NBL": {1}}
    bench.register(reader_log=log)
    log.clear()
    receive(bench, tools.packet(20))
    assert log[3:] == [
        "LoadSize @0",
        "LoadByte @4",
        "Allocate NBL",
        "CountReceived",
        "Wait receive list empty",
        "Store receive.Head=24",
        *sleep_at(24),
    ]
    assert bench.ndis.received == []
    assert bench.statistics == {"in_discards": 1}
    receive(bench, tools.packet(24))
    assert bench.ndis.received == [tools.packet(24)]


def test_while_paused_every_packet_is_skipped_and_head_moves(tools):
    bench, log = tools.Bench(running=False), []
    bench.register(reader_log=log)
    log.clear()
    receive(bench, tools.packet(20), tools.packet(24))
    assert bench.receive_ring.words == (52, 52, 1)
    assert bench.statistics == {"in_discards": 2}
    assert log[5:13] == [
        "Allocate NBL",
        "AcquireShared transition",
        "Get running",
        "ReleaseShared transition",
        "Free NBL",
        "CountReceived",
        "Wait receive list empty",
        "Store receive.Head=24",
    ]
    bench.executor.run(restart(bench.adapter))
    receive(bench, tools.packet(28))
    assert bench.ndis.received == [tools.packet(28)]


def test_a_skipped_packet_waits_for_the_nbls_before_it_even_after_a_disconnect(tools):
    bench = tools.Bench(keeps_nbls=True)
    bench.failures = {"NBL": {2}}
    bench.register()
    (nbl,) = receive(bench, tools.packet(20), tools.packet(24))
    assert bench.receive_ring.head == 0
    closing = bench.start(unregister(bench.adapter, None))
    assert not closing.ended.signalled
    assert bench.receive_ring.head == 0
    log = []
    returns(tools, bench, nbl, log=log)
    assert "Store receive.Head=24" in log
    assert closing.ended.signalled
    assert bench.receive_ring.head == STOPPED


@pytest.mark.parametrize("start", [1, 2, 3, 5])
def test_b11_the_store_of_a_skipped_packet_is_not_masked_but_that_of_a_return_is(tools, start):
    bench = at_position(tools, start)
    bench.failures = {"NBL": {1}}
    receive(bench, tools.packet(20))
    assert bench.receive_ring.head == start + 24
    receive(bench, tools.packet(20))
    assert bench.receive_ring.head == start + 48 & ~3
    assert bench.ndis.received == [tools.packet(20)]


# -- returns -----------------------------------------------------------------------------------------------------------


def kept(tools, *sizes):
    bench = tools.Bench(keeps_nbls=True).register()
    return bench, list(receive(bench, *(tools.packet(size, seed) for seed, size in enumerate(sizes))))


def test_head_moves_in_ring_order_only(tools):
    bench, nbls = kept(tools, 20, 24, 28, 32)
    heads = []
    for index in (1, 3, 0, 2):
        returns(tools, bench, nbls[index])
        heads.append((bench.receive_ring.head, bench.adapter.receive_empty.signalled))
    assert heads == [(0, False), (0, False), (24 + 28, False), (24 + 28 + 32 + 36, True)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_several_nbls_in_one_call(tools, order):
    bench, nbls = kept(tools, 20, 24, 28)
    log = []
    returns(tools, bench, *(nbls[index] for index in order), log=log)
    assert [text for text in log if text.startswith("Store")] == [f"Store receive.Head={h}" for h in (24, 52, 84)]
    # The ring is read once, the statistics are added once, the lock is taken for each look at the list.
    assert (log[0], log.count("Get receive ring")) == ("Get receive ring", 1)
    assert (log[-1], log.count("CountReceived")) == ("CountReceived", 1)
    assert log.count("Acquire receive") == log.count("TakeCompleted receive active") == 3 + 3
    assert bench.statistics == {"in_octets": 72, "in_unicast_octets": 72, "in_unicast_packets": 3}


def test_the_list_is_empty_before_head_is_stored_after_the_release_of_the_lock(tools):
    """The window of B2."""
    bench, nbls = kept(tools, 20)
    log = []
    returns(tools, bench, *nbls, log=log)
    assert log[2:7] == [
        "Acquire receive",
        "TakeCompleted receive active",
        "Set receive list empty",
        "Release receive",
        "Store receive.Head=24",
    ]


@pytest.mark.parametrize("status", [0x80000000, 0xC0000001, 0xFFFFFFFF])
def test_a_negative_status_counts_as_an_error_and_head_moves_all_the_same(tools, status):
    bench, nbls = kept(tools, 20, 24)
    nbls[0].status = status
    returns(tools, bench, *nbls)
    assert bench.statistics == {
        "in_octets": 24,
        "in_unicast_octets": 24,
        "in_unicast_packets": 1,
        "in_errors": 1,
    }
    assert bench.receive_ring.head == 52


@pytest.mark.parametrize("status", [0, 0x103, 0x7FFFFFFF])
def test_any_other_status_counts_as_a_packet(tools, status):
    bench, nbls = kept(tools, 20)
    nbls[0].status = status
    returns(tools, bench, *nbls)
    assert bench.statistics["in_unicast_packets"] == 1


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_disconnect_wakes_the_reader_and_clears_alertable(tools):
    bench, log = tools.Bench(), []
    bench.register(reader_log=log)
    log.clear()
    bench.close()
    assert log == [
        "Store receive.Alertable=0",
        "IsSet disconnected",
        "Wait receive list empty",
        f"Store receive.Head={STOPPED}",
    ]


def test_a_disconnect_comes_before_tail_moved_which_keeps_its_signal(tools):
    bench, log = tools.Bench(), []
    bench.register(reader_log=log)
    log.clear()
    bench.receive_ring.push(tools.packet(20))
    assert bench.receive_ring.event.signalled
    bench.close()
    assert bench.ndis.received == []
    assert bench.receive_ring.event.signalled
    assert bench.receive_ring.words == (STOPPED, 24, 0)


def test_a_disconnect_that_ends_the_spin_still_goes_through_alertable(tools):
    bench, log = tools.Bench(), []
    before, opened = tools.gate("Spin receive.Tail!=0 disconnected 1000")
    bench.register(reader_log=log, reader_before=before)
    closing = bench.start(unregister(bench.adapter, None))
    opened.signalled = True
    bench.settle()
    assert closing.result is True
    assert log[-9:] == [
        "Load receive.Tail",
        "Spin receive.Tail!=0 disconnected 1000",
        "Store receive.Alertable=1",
        "Load receive.Tail",
        "Wait disconnected|receive.TailMoved",
        "Store receive.Alertable=0",
        "IsSet disconnected",
        "Wait receive list empty",
        f"Store receive.Head={STOPPED}",
    ]


# -- known bugs --------------------------------------------------------------------------------------------------------


def test_b2_two_returns_may_store_head_backwards(tools):
    bench, (first, second) = kept(tools, 20, 24)
    before, opened = tools.gate("Store receive.Head=24")
    bench.start(return_nbls(bench.adapter, (first,)), before=before)
    returns(tools, bench, second)
    assert bench.receive_ring.head == 52
    opened.signalled = True
    bench.settle()
    assert bench.receive_ring.head == 24


def test_b2_a_late_return_overwrites_the_stopped_mark(tools):
    bench, (nbl,) = kept(tools, 20)
    before, opened = tools.gate("Store receive.Head=24")
    bench.start(return_nbls(bench.adapter, (nbl,)), before=before)
    bench.receive_ring.move_tail(CAPACITY)
    bench.settle()
    assert bench.receive_ring.head == STOPPED
    opened.signalled = True
    bench.settle()
    assert bench.receive_ring.head == 24


@pytest.mark.parametrize("start", [1, 3])
def test_b11_with_an_odd_start_nbls_count_as_completed_at_once(tools, start):
    bench = at_position(tools, start, keeps_nbls=True)
    first, second = receive(bench, tools.packet(20), tools.packet(24))
    returns(tools, bench, second)
    # The first one is still with NDIS, but freed and out of the list.
    assert bench.receive_ring.head == start + 52 & ~3
    assert bench.adapter.receive_empty.signalled
    assert bench.adapter.receive_active.first is None
    returns(tools, bench, first)
    assert bench.statistics["in_unicast_packets"] == 2


def test_b11_an_nbl_from_an_unaligned_start_that_ends_past_the_ring_is_the_clients_fault(tools):
    bench = at_position(tools, CAPACITY - 1)
    bench.receive_ring.put_packet_at(CAPACITY - 1, tools.packet(256), size=65535)
    bench.receive_ring.move_tail(65539)
    with pytest.raises(ClientFault, match="2 bytes past the ring"):
        bench.settle()


def test_b12_a_send_inside_an_indication_deadlocks_with_a_pause(tools):
    """The transition lock, held shared across the indication, is taken shared again while a writer waits for it."""
    inside = {}

    class SendingNdis(RecordingNdis):
        def indicate_receive(self, adapter, nbl):
            before, inside["gate"] = tools.gate("AcquireShared transition")
            return tools.watched(send(adapter, tools.chain_of(tools.packet(20))), before=before)

    bench = tools.Bench(ndis=SendingNdis()).register()
    receive(bench, tools.packet(20))
    assert bench.adapter.transition_lock.shared == 1
    pausing = bench.start(pause(bench.adapter))
    inside["gate"].signalled = True
    bench.settle()
    lock = bench.adapter.transition_lock
    assert pausing.blocked_on is lock.acquire
    assert lock.acquire_shared in [thread.blocked_on for thread in bench.executor.threads]
