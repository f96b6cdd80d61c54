"""The proposed changes of the two data paths, one by one: what a routine does in another order, and nothing else."""

from dataclasses import replace

import pytest

from wintun_model.adapter import Packet, SendChain
from wintun_model.miniport import pause
from wintun_model.receive import return_nbls
from wintun_model.revision import PROPOSED, PROPOSED_CHANGES, REVISIONS, revision_named
from wintun_model.send import send
from wintun_model.status import NdisStatus, NtStatus

STOPPED = 0xFFFFFFFF
LATEST = REVISIONS["2026-02"]
CAPACITY = 0x20000


@pytest.fixture
def make(tools):
    """Make a bench whose driver is 2026-02 with some switches turned."""

    def make_bench(*switches, **options):
        return tools.bench_of(replace(LATEST, **dict.fromkeys(switches, True)), **options)

    return make_bench


def only(log, *wanted):
    return [text for text in log if text in wanted]


def test_the_proposed_revision_is_the_latest_with_its_changes():
    assert revision_named("proposed") is PROPOSED
    assert PROPOSED.switches() == LATEST.switches() | dict.fromkeys(PROPOSED_CHANGES, True)
    assert len(PROPOSED.changes) == len(PROPOSED_CHANGES)


# -- send -------------------------------------------------------------------------------------------------------------

LEAVING = ("CompleteSend", "Release send", "ReleaseShared transition", "CountSent")


@pytest.mark.parametrize(
    ("switches", "order"),
    [
        ((), [1, 0, 1, 2, 3]),
        (("counts_before_release",), [1, 0, 1, 3, 2]),
        (("completes_after_release",), [1, 1, 2, 3, 0]),
        (("counts_before_release", "completes_after_release"), [1, 1, 3, 2, 0]),
    ],
    ids=str,
)
def test_what_a_send_does_around_the_release_of_its_locks(make, tools, switches, order):
    bench, log = make(*switches).register(), []
    assert bench.send(tools.packet(20), log=log) == [0]
    assert only(log, *LEAVING) == [LEAVING[place] for place in order]
    assert bench.statistics == {"out_octets": 20, "out_unicast_octets": 20, "out_unicast_packets": 1}


@pytest.mark.parametrize(("switches", "order"), [((), [2, 0, 3]), (("counts_before_release",), [3, 2, 0])], ids=str)
def test_what_a_refusal_does_around_the_release_of_its_lock(make, tools, switches, order):
    bench, log = make(*switches), []
    assert bench.send(tools.packet(20), log=log) == [NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED]
    assert only(log, *LEAVING) == [LEAVING[place] for place in order]
    assert bench.statistics == {"out_discards": 1}


def test_several_chains_that_are_published_together_are_completed_in_order(make, tools):
    bench = make("completes_after_release").register()
    before, opened = tools.gate("MarkCompleted")
    first, second = (SendChain.of(Packet(tools.packet(20, seed))) for seed in (1, 2))
    bench.start(send(bench.adapter, first), before=before)
    bench.executor.run(send(bench.adapter, second))
    assert not bench.ndis.completed
    opened.signalled = True
    bench.settle()
    assert bench.ndis.completed == [first, second]
    assert [lock.exclusive for lock in bench.locks] == [None] * len(bench.locks)


@pytest.mark.parametrize("switches", [(), ("completes_after_release",)], ids=str)
def test_a_stack_may_send_from_inside_a_completion_once_no_lock_is_held(make, tools, switches):
    bench = make(*switches).register()
    first, second = (SendChain.of(Packet(tools.packet(20, seed))) for seed in (1, 2))
    note = bench.ndis.complete_send

    def complete(adapter, chain):
        note(adapter, chain)
        return send(adapter, second) if chain is first else None

    bench.ndis.complete_send = complete
    thread = bench.start(send(bench.adapter, first))
    bench.settle()
    # Without the change it waits for a lock that it holds itself.
    assert thread.ended.signalled is bool(switches)
    assert bench.ndis.completed == ([first, second] if switches else [first])


# -- receive ----------------------------------------------------------------------------------------------------------


def kept(bench, tools, count):
    """Packets that the stack keeps."""
    bench.register()
    for number in range(count):
        bench.receive_ring.push(tools.packet(20, number))
    bench.settle()
    return bench.ndis.kept


def test_head_is_stored_before_the_list_is_empty(make, tools):
    bench, log = make("stores_head_before_empty", keeps_nbls=True), []
    nbls = kept(bench, tools, 2)
    bench.executor.run(tools.watched(return_nbls(bench.adapter, nbls), log))
    wanted = ("Set receive list empty", "Store receive.Head=24", "Store receive.Head=48")
    assert only(log, *wanted) == [wanted[1], wanted[2], wanted[0]]


def test_the_list_is_empty_as_the_last_thing_that_a_return_call_does(make, tools):
    bench, log = make("empties_after_return", keeps_nbls=True), []
    nbls = kept(bench, tools, 2)
    assert bench.adapter.receive_outstanding.value == 2
    bench.executor.run(tools.watched(return_nbls(bench.adapter, nbls), log))
    assert log[-6:] == [
        "CountReceived",
        "Acquire receive",
        "Get receive outstanding",
        "Put receive outstanding=0",
        "Set receive list empty",
        "Release receive",
    ]
    assert log.count("Set receive list empty") == 1
    assert bench.receive_ring.head == 48


def test_the_list_is_not_empty_while_a_return_call_goes_on(make, tools):
    """The call of the second packet takes both off the list; that of the first one is not over yet."""
    bench = make("empties_after_return", keeps_nbls=True)
    first, second = kept(bench, tools, 2)
    before, opened = tools.gate("Acquire receive")
    bench.start(return_nbls(bench.adapter, (first,)), before=before)
    bench.executor.run(return_nbls(bench.adapter, (second,)))
    assert bench.receive_ring.head == 48
    assert (bench.adapter.receive_outstanding.value, bench.adapter.receive_empty.signalled) == (1, False)
    paused = bench.start(pause(bench.adapter))
    bench.settle()
    assert not paused.ended.signalled
    opened.signalled = True
    bench.settle()
    assert paused.ended.signalled
    assert (bench.adapter.receive_outstanding.value, bench.adapter.receive_empty.signalled) == (0, True)


def test_the_reader_takes_the_receive_lock_before_it_ends(make, tools):
    bench, log = make("empties_after_return"), []
    bench.register(reader_log=log)
    bench.close()
    assert log[-4:] == [
        "Wait receive list empty",
        "Acquire receive",
        "Release receive",
        f"Store receive.Head={STOPPED}",
    ]


@pytest.mark.parametrize("switches", [(), ("indicates_after_release",)], ids=str)
def test_where_the_transition_lock_is_released_around_an_indication(make, tools, switches):
    bench, log = make(*switches), []
    bench.register(reader_log=log)
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    wanted = ["IndicateReceive", "ReleaseShared transition"]
    assert only(log, *wanted) == (wanted[::-1] if switches else wanted)
    assert bench.adapter.transition_lock.shared == 0


def test_the_barrier_on_all_processors_stands_where_the_own_one_stood(make):
    bench, log = make("has_barrier_everywhere"), []
    bench.register(reader_log=log)
    at = log.index("Store receive.Alertable=1")
    assert log[at + 1 : at + 3] == ["FenceAll", "Load receive.Tail"]


# -- unaligned start values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [1, 2, 3, CAPACITY - 1])
def test_an_unaligned_send_tail_is_refused(make, start):
    bench = make("refuses_unaligned")
    bench.send_ring.head = bench.send_ring.tail = start
    before = bench.state()
    assert bench.control() == NtStatus.STATUS_INVALID_PARAMETER
    assert bench.state() == before


@pytest.mark.parametrize("start", [1, 2, 3, CAPACITY - 1])
def test_an_unaligned_receive_head_stops_the_reader(make, start):
    bench = make("refuses_unaligned")
    bench.receive_ring.head = bench.receive_ring.tail = start
    bench.register()
    assert bench.receive_ring.head == STOPPED
    assert bench.adapter.reader.value.ended.signalled


@pytest.mark.parametrize("start", [0, 4, CAPACITY - 4])
def test_aligned_ones_are_taken(make, tools, start):
    bench = make("refuses_unaligned")
    for ring in (bench.send_ring, bench.receive_ring):
        ring.head = ring.tail = start
    bench.register()
    assert bench.send(tools.packet(20)) == [0]
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    assert len(bench.ndis.received) == 1


# -- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [True, False])
def test_packets_cross_both_ways_in_the_proposed_revision(make, tools, running):
    bench = make(*PROPOSED_CHANGES, running=running).register()
    status = 0 if running else NdisStatus.NDIS_STATUS_PAUSED
    assert bench.send(tools.packet(20)) == [status]
    for number in range(3):
        bench.receive_ring.push(tools.packet(20, number))
    bench.settle()
    assert len(bench.ndis.received) == (3 if running else 0)
    assert bench.receive_ring.head == bench.receive_ring.tail == 72
    bench.close()
    assert (bench.send_ring.tail, bench.receive_ring.head) == (STOPPED, STOPPED)
