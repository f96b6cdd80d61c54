"""Send: NDIS hands packets down, the driver writes the send ring (spec driver §3)."""

import pytest

from wintun_model.adapter import Packet, SendChain, SendNbl
from wintun_model.errors import ClientFault, ModelError
from wintun_model.immediate import RecordingNdis
from wintun_model.operations import Put
from wintun_model.registration import unregister
from wintun_model.send import send
from wintun_model.status import NdisStatus

PAUSED = NdisStatus.NDIS_STATUS_PAUSED
DISCONNECTED = NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED
NOT_READY = NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY
OVERFLOW = NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW
INVALID_LENGTH = NdisStatus.NDIS_STATUS_INVALID_LENGTH
FAILURE = NdisStatus.NDIS_STATUS_FAILURE
CAPACITY = 0x20000
CAPACITIES = [1 << bits for bits in range(17, 27)]


def at_position(tools, position, capacity=CAPACITY, **options):
    """A registered bench whose empty send ring stands at `position`."""
    bench = tools.Bench(capacity, **options)
    if capacity == CAPACITY:
        bench.send_ring.fill()
    bench.send_ring.head = bench.send_ring.tail = position
    return bench.register()


def untouched(size):
    return b"\xa5" * size


# -- the steps ---------------------------------------------------------------------------------------------------------


def test_the_steps_in_their_order(registered, tools):
    log = []
    assert registered.send(tools.packet(20), tools.packet(41), log=log) == [0, 0]
    assert log == [
        "AcquireShared transition",
        "Get running",
        "IsSet disconnected",
        "Get send ring",
        "Load send.Head",
        "Acquire send",
        "Get send reserved tail",
        "Put send reserved tail=72",
        "Append send active end=72",
        "Release send",
        "StoreSize @0=20",
        "CopyIn @4+20",
        "StoreSize @24=41",
        "CopyIn @28+41",
        "MarkCompleted",
        "Acquire send",
        "TakeCompleted send active",
        "Store send.Tail=72",
        "Set send.TailMoved",
        "CompleteSend",
        "Release send",
        "ReleaseShared transition",
        "CountSent",
    ]


def test_a_refusal_in_its_order(registered, tools):
    registered.send_ring.head = CAPACITY
    log = []
    registered.send(tools.packet(20), log=log)
    assert log[-4:] == ["Load send.Head", "ReleaseShared transition", "CompleteSend", "CountSent"]


# -- what is delivered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("from_end", [4, 8, 24, 1424, 0x10000, 0x10004])
def test_packets_of_all_sizes_come_out_byte_for_byte_and_in_order_across_the_wrap(tools, capacity, from_end):
    bench = at_position(tools, capacity - from_end, capacity)
    sent = [tools.packet(size, seed) for seed, size in enumerate((0, 1, 20, 1420, 65535))]
    read = []
    for data in sent:
        assert bench.send(data) == [0]
        read += bench.send_ring.pop_all()
    assert read == sent
    assert bench.send_ring.head == bench.send_ring.tail < from_end + 2 * 0x10004
    octets = 1 + 20 + 1420 + 65535
    assert bench.statistics == {"out_octets": octets, "out_unicast_octets": octets, "out_unicast_packets": 5}


def test_a_packet_at_the_end_runs_on_into_the_trailing_bytes(tools):
    bench = at_position(tools, CAPACITY - 4)
    data = tools.packet(65535)
    bench.send(data)
    assert bench.send_ring.at(CAPACITY, 65535) == data
    # The last byte of the ring is padding, and the start of the data area is not touched.
    assert len(bench.send_ring.memory) == 12 + CAPACITY + 65536
    assert bench.send_ring.memory[-1:] == untouched(1)
    assert bench.send_ring.at(0, CAPACITY - 4) == untouched(CAPACITY - 4)
    assert bench.send_ring.tail == 0x10000


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5])
def test_padding_is_not_written(tools, size):
    bench = at_position(tools, 0)
    bench.send(tools.packet(size), tools.packet(20))
    used = 4 + size
    padding = -used % 4
    assert bench.send_ring.at(used, padding) == untouched(padding)
    assert bench.send_ring.packet_at(used + padding) == tools.packet(20)
    assert bench.send_ring.at(used + padding + 24, 64) == untouched(64)


def test_head_and_alertable_are_never_written_and_tail_moved_is_set_whatever_alertable_says(tools):
    for alertable in (0, 1, 0xFFFFFFFF):
        bench = at_position(tools, 64)
        bench.send_ring.alertable = alertable
        bench.send(tools.packet(20))
        assert bench.send_ring.words == (64, 88, alertable)
        assert bench.send_ring.event.signalled


def test_tail_moved_is_set_once_for_each_chain(registered, tools):
    log = []
    for _ in range(3):
        registered.send(tools.packet(20), tools.packet(30), tools.packet(40), log=log)
    assert log.count("Set send.TailMoved") == 3


def test_an_empty_chain_of_oversize_packets_stores_tail_unchanged_and_sets_tail_moved(registered):
    registered.send_ring.tail = registered.send_ring.head = 0
    log = []
    assert registered.send(bytes(65536), bytes(70000), log=log) == [INVALID_LENGTH, INVALID_LENGTH]
    assert [text for text in log if "Tail" in text] == ["Store send.Tail=0", "Set send.TailMoved"]
    assert registered.statistics == {"out_errors": 2}


def test_a_chain_of_oversize_packets_passes_though_the_ring_is_full(registered):
    fill_ring(registered)
    tail = registered.send_ring.tail
    assert registered.send(bytes(65536)) == [INVALID_LENGTH]
    assert registered.send_ring.tail == tail


def fill_ring(bench):
    """Fill the send ring to its last byte."""
    assert bench.send(bytes(65528), bytes(65532)) == [0, 0]
    assert bench.send_ring.tail == CAPACITY - 4


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_full_ring_refuses_even_an_empty_packet(registered):
    fill_ring(registered)
    assert registered.send(b"") == [OVERFLOW]
    registered.send_ring.head = 4
    assert registered.send(b"") == [0]
    assert registered.send_ring.tail == 0


def test_a_chain_goes_in_as_a_whole_or_not_at_all(registered, tools):
    registered.send(bytes(65528))
    before = bytes(registered.send_ring.memory)
    registered.send_ring.event.signalled = False
    log = []
    statuses = registered.send(tools.packet(20), bytes(65516), tools.packet(20), log=log)
    assert statuses == [OVERFLOW] * 3
    assert registered.send_ring.memory == before
    assert not registered.send_ring.event.signalled
    assert log[-5:] == [
        "Get send reserved tail",
        "Release send",
        "ReleaseShared transition",
        "CompleteSend",
        "CountSent",
    ]
    assert registered.statistics["out_discards"] == 3
    assert registered.send(tools.packet(20), bytes(65504)) == [0, 0]


def test_while_paused(tools):
    bench = tools.Bench(running=False)
    assert bench.send(tools.packet(20)) == [PAUSED]
    assert bench.statistics == {"out_discards": 1}


def test_without_a_registration(bench, tools):
    assert bench.send(tools.packet(20), tools.packet(20)) == [DISCONNECTED] * 2
    assert bench.statistics == {"out_discards": 2}


@pytest.mark.parametrize("head", [CAPACITY, CAPACITY + 4, 0xFFFFFFFF])
def test_with_a_bad_head_until_it_is_valid_again(registered, tools, head):
    registered.send_ring.head = head
    assert registered.send(tools.packet(20)) == [NOT_READY]
    registered.send_ring.head = 0
    assert registered.send(tools.packet(20)) == [0]


def test_the_first_refusal_that_applies_decides(tools):
    bench = tools.Bench(running=False, keeps_nbls=True).register()
    bench.executor.run(_put(bench.adapter.running, True))
    fill_ring(bench)
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    big = bytes(65528)
    assert bench.send(big) == [OVERFLOW]
    bench.send_ring.head = CAPACITY
    assert bench.send(big) == [NOT_READY]
    # A stack that keeps an NBL holds up the end of the registration: the rings are there, but disconnected.
    bench.executor.start(unregister(bench.adapter, None))
    assert bench.send(big) == [DISCONNECTED]
    bench.executor.run(_put(bench.adapter.running, False))
    assert bench.send(big) == [PAUSED]
    assert bench.statistics["out_discards"] == 4


def _put(variable, value):
    yield Put(variable, value)


def test_every_nbl_of_a_refused_chain_gets_the_status_and_every_packet_counts(bench, tools):
    small = Packet(tools.packet(20))
    chain = SendChain((SendNbl((small, small), status=5), SendNbl((small, Packet(bytes(65536))))))
    bench.executor.run(send(bench.adapter, chain))
    assert [nbl.status for nbl in chain.nbls] == [DISCONNECTED] * 2
    assert bench.statistics == {"out_discards": 4}


# -- packets that fail -------------------------------------------------------------------------------------------------


def test_an_oversize_packet_is_skipped(registered, tools):
    registered.send_ring.fill()
    first, last = tools.packet(20, 1), tools.packet(24, 2)
    assert registered.send(first, bytes(65536), last) == [0, INVALID_LENGTH, 0]
    assert registered.send_ring.tail == 24 + 28
    assert registered.send_ring.pop_all() == [first, last]
    assert registered.statistics == {
        "out_octets": 44,
        "out_unicast_octets": 44,
        "out_unicast_packets": 2,
        "out_errors": 1,
    }


def test_a_packet_that_cannot_be_mapped_is_delivered_as_zeros(registered, tools):
    registered.send_ring.fill()
    first, last = tools.packet(20, 1), tools.packet(24, 2)
    assert registered.send(first, Packet(None, 33), last) == [0, FAILURE, 0]
    assert registered.send_ring.at(24 + 4 + 33, 3) == untouched(3)
    assert registered.send_ring.pop_all() == [first, bytes(33), last]
    assert registered.statistics == {
        "out_octets": 44,
        "out_unicast_octets": 44,
        "out_unicast_packets": 2,
        "out_discards": 1,
    }


def test_an_nbl_keeps_the_status_it_came_with_unless_a_packet_of_it_fails(registered, tools):
    good, bad, unmapped = Packet(tools.packet(20)), Packet(bytes(65536)), Packet(None, 8)
    chain = SendChain(
        (
            SendNbl((good, good), status=0x103),
            SendNbl((good, bad, good), status=0x103),
            SendNbl((bad, unmapped), status=0x103),
            SendNbl((unmapped, bad)),
        )
    )
    registered.executor.run(send(registered.adapter, chain))
    assert [nbl.status for nbl in chain.nbls] == [0x103, INVALID_LENGTH, FAILURE, INVALID_LENGTH]
    assert len(registered.send_ring.pop_all()) == 4 + 2


def test_the_required_space_is_a_32_bit_sum():
    largest = Packet(None, 65535)
    chain = SendChain((SendNbl((largest,) * 0x10000),))
    assert chain.required_bytes() == 0x10004 * 0x10000 - 2**32


def test_a_packet_needs_data_or_a_size():
    with pytest.raises(ModelError, match="data or a size"):
        Packet(None)


# -- several senders ---------------------------------------------------------------------------------------------------


def test_a_chain_whose_copy_finished_early_waits_for_the_one_before_it(registered, tools):
    before, opened = tools.gate("MarkCompleted")
    first, second = tools.chain_of(tools.packet(20, 1)), tools.chain_of(tools.packet(24, 2), tools.packet(28, 3))
    log = []
    registered.start(send(registered.adapter, first), log=log, before=before)
    registered.start(send(registered.adapter, second))
    assert registered.ndis.completed == []
    assert registered.send_ring.tail == 0
    assert not registered.send_ring.event.signalled
    opened.signalled = True
    registered.settle()
    assert registered.ndis.completed == [first, second]
    # The first one publishes both, one after the other.
    assert [text for text in log if text.startswith(("Store send", "Set", "Complete"))] == [
        "Store send.Tail=24",
        "Set send.TailMoved",
        "CompleteSend",
        "Store send.Tail=84",
        "Set send.TailMoved",
        "CompleteSend",
    ]
    assert registered.send_ring.pop_all() == [tools.packet(20, 1), tools.packet(24, 2), tools.packet(28, 3)]


def test_a_chain_may_be_complete_before_its_packets_are_counted(registered, tools):
    before, opened = tools.gate("CountSent")
    registered.start(send(registered.adapter, tools.chain_of(tools.packet(20))), before=before)
    assert len(registered.ndis.completed) == 1
    assert registered.statistics == {}
    opened.signalled = True
    registered.settle()
    assert registered.statistics["out_unicast_packets"] == 1


def test_space_is_counted_from_the_reserved_tail_not_the_published_one(registered, tools):
    before, opened = tools.gate("MarkCompleted")
    registered.start(send(registered.adapter, tools.chain_of(bytes(65528), bytes(65532))), before=before)
    assert registered.send_ring.tail == 0
    assert registered.send(tools.packet(20)) == [OVERFLOW]
    opened.signalled = True
    registered.settle()
    assert registered.send_ring.tail == CAPACITY - 4


def test_a_protocol_may_send_again_from_inside_a_completion(tools):
    """It cannot while the send lock is held (B12): such a send waits for itself."""

    class SendingNdis(RecordingNdis):
        def complete_send(self, adapter, chain):
            super().complete_send(adapter, chain)
            return send(adapter, tools.chain_of(tools.packet(20))) if len(self.completed) == 1 else None

    bench = tools.Bench(ndis=SendingNdis())
    bench.executor.start(send(bench.adapter, tools.chain_of(tools.packet(20))))
    # Refused chains are completed outside of the locks.
    assert len(bench.ndis.completed) == 2
    bench = tools.Bench(ndis=SendingNdis()).register()
    sender = bench.executor.start(send(bench.adapter, tools.chain_of(tools.packet(20))))
    assert sender.blocked_on is bench.adapter.send_lock.acquire


# -- known bugs --------------------------------------------------------------------------------------------------------


def test_b1_a_stale_head_lets_unread_packets_be_overwritten(registered, tools):
    """Head 0, reserved tail C-4; the client frees 100, another sender takes 100; the stale sender computes C-100."""
    ring = registered.send_ring
    registered.send(bytes(96), bytes(65528), bytes(65432))
    assert (ring.head, ring.tail) == (0, CAPACITY - 4)
    before, opened = tools.gate("Acquire send")
    stale = registered.start(send(registered.adapter, tools.chain_of(bytes(996))), before=before)
    assert ring.pop() == bytes(96)
    assert registered.send(bytes(96)) == [0]
    assert (ring.head, ring.tail) == (100, 96)
    opened.signalled = True
    registered.settle()
    assert stale.ended.signalled
    # Truly there was no room at all; Tail has now passed Head.
    assert [nbl.status for nbl in registered.ndis.completed[-1].nbls] == [0]
    assert ring.head == 100
    assert ring.tail == 96 + 1000


@pytest.mark.parametrize("start", [1, 2, 3, CAPACITY - 3, CAPACITY - 2])
def test_b11_an_unaligned_start_is_accepted_and_published_rounded_down(tools, start):
    bench = at_position(tools, start)
    data = tools.packet(20)
    bench.send(data)
    assert bench.send_ring.packet_at(start) == data
    assert bench.send_ring.tail == (start + 24) % CAPACITY & ~3
    assert bench.adapter.send_reserved_tail.value == (start + 24) % CAPACITY


def test_b11_an_odd_start_publishes_a_chain_before_it_is_copied(tools):
    bench = at_position(tools, 1)
    before, opened = tools.gate("CopyIn @5+20")
    bench.start(send(bench.adapter, tools.chain_of(tools.packet(20))), before=before)
    bench.send(tools.packet(20))
    # Both are complete, though the first has not been copied.
    assert len(bench.ndis.completed) == 2
    assert bench.send_ring.at(5, 20) == untouched(20)
    opened.signalled = True
    bench.settle()
    assert bench.send_ring.at(5, 20) == tools.packet(20)


def test_b11_a_packet_from_an_unaligned_start_that_ends_past_the_ring_is_the_clients_fault(tools):
    bench = at_position(tools, CAPACITY - 1)
    with pytest.raises(ClientFault, match=r"access outside the ring: .* 2 bytes past the ring") as caught:
        bench.executor.run(send(bench.adapter, tools.chain_of(bytes(65535))))
    assert ClientFault(*caught.value.args).args == caught.value.args
    assert at_position(tools, CAPACITY - 1).send(bytes(65533)) == [0]
