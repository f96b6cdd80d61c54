"""Strategies of clients beyond the published protocol, as routines (spec driver §8)."""

import pytest

from wintun_model import operations as op
from wintun_model.client import Outcome, ReadStrategy, WriteStrategy
from wintun_model.client_strategies import (
    PacketQueue,
    RateMeter,
    Reader,
    dequeue,
    enqueue,
    enqueue_waiting,
    is_above,
    measure,
    pop_batch,
    read_batch,
    write_shared,
)
from wintun_model.immediate import ImmediateExecutor

STOPPED = 0xFFFFFFFF


def run(bench, routine, tools, log=None):
    return bench.executor.run(tools.watched(routine, log))


def stepped(bench, routine, answers=None):
    """Perform a routine step by step: each operation's name, once it has been performed, and what was returned.

    `answers` are sent back instead of what comes of operations of that name.
    """
    value = None
    found = None
    while found is None or found[1] is None:
        try:
            operation = routine.send(value)
        except StopIteration as stop:
            yield found[0], stop.value
            return
        if found is not None:
            yield found
        name = type(operation).__name__
        value = bench.executor._perform(operation)
        value = (answers or {}).get(name, value)
        found = name, None


# -- batches ------------------------------------------------------------------------------------------------------


def test_a_batch_moves_head_once(registered, tools):
    sending, _ = tools.client_rings(registered)
    packets = [tools.packet(20), tools.packet(33), tools.packet(24)]
    registered.send(*packets)
    log = []
    assert run(registered, pop_batch(sending, 2), tools, log) == packets[:2]
    assert log == [
        "Load send.Head",
        "Load send.Tail",
        "LoadSize @0",
        "CopyOut",
        "LoadSize @24",
        "CopyOut",
        "Store send.Head=64",
    ]
    assert run(registered, pop_batch(sending, 2), tools) == packets[2:]
    assert run(registered, pop_batch(sending, 2), tools) is Outcome.EMPTY


def test_packets_before_a_spoilt_one_are_taken(registered, tools):
    sending, _ = tools.client_rings(registered)
    registered.send(tools.packet(20), tools.packet(20))
    run(registered, write_size(sending, 24, 70000), tools)
    assert run(registered, pop_batch(sending, 8), tools) == [tools.packet(20)]
    assert run(registered, pop_batch(sending, 8), tools) is Outcome.INVALID


@pytest.mark.parametrize("tail", [1, 3])
def test_a_batch_of_less_than_a_header(registered, tools, tail):
    sending, _ = tools.client_rings(registered)
    registered.send_ring.tail = tail
    assert run(registered, pop_batch(sending, 8), tools) is Outcome.INVALID
    assert registered.send_ring.head == 0


def write_size(ring, offset, size):
    yield op.StoreSize(ring, offset, size)


@pytest.mark.parametrize("word", ["head", "tail"])
def test_a_batch_of_a_stopped_ring(registered, tools, word):
    sending, _ = tools.client_rings(registered)
    getattr(sending, word).cells[getattr(sending, word).index] = STOPPED
    assert run(registered, pop_batch(sending, 8), tools) is Outcome.STOPPED


# -- reading on several threads -----------------------------------------------------------------------------------


def test_a_lone_reader_keeps_to_the_published_steps(registered, tools):
    sending, _ = tools.client_rings(registered, has_barrier=True)
    log = []
    reader = registered.start(read_batch(Reader(sending, ReadStrategy(), batch=4)), log=log)
    assert log == [
        "Load send.Head",
        "Load send.Tail",
        "Store send.Alertable=1",
        "Fence",
        "Load send.Head",
        "Load send.Tail",
        "Wait send.TailMoved",
    ]
    registered.send(tools.packet(20))
    assert reader.result == [tools.packet(20)]


def test_a_packet_just_before_the_wait_clears_the_event_only_of_a_lone_reader(registered, tools):
    for is_several in (False, True):
        sending, _ = tools.client_rings(registered)
        before, opened = tools.gate("Store send.Alertable=1")
        reading = Reader(sending, ReadStrategy(), has_several_threads=is_several)
        reader = registered.start(read_batch(reading), before=before)
        registered.send(tools.packet(20))
        opened.signalled = True
        registered.executor.settle()
        assert reader.result == [tools.packet(20)]
        assert registered.send_ring.event.signalled is is_several
        registered.send_ring.event.signalled = False


def test_readers_take_packets_under_their_lock_and_each_once(registered, tools):
    sending, _ = tools.client_rings(registered)
    reading = Reader(sending, ReadStrategy(), has_several_threads=True)
    waiting = [registered.start(read_batch(reading)) for _ in range(3)]
    packets = [tools.packet(size) for size in (20, 21, 22)]
    for packet in packets:
        registered.send(packet)
        registered.executor.settle()
    assert sorted(thread.result[0] for thread in waiting) == sorted(packets)
    assert reading.lock.is_free()


def test_a_reader_that_polls_never_waits(registered, tools):
    sending, _ = tools.client_rings(registered)
    steps = stepped(registered, read_batch(Reader(sending, ReadStrategy(spin_ticks=5, sleep_ns=1000))))
    found = [next(steps)[0] for _ in range(8)]
    assert found == ["Load", "Load", "Load", "Spin", "Sleep", "Load", "Load", "Load"]


# -- the rate -----------------------------------------------------------------------------------------------------


def test_the_rate_is_that_of_the_last_whole_window_and_grows_old():
    executor = ImmediateExecutor()
    meter = RateMeter(window_ticks=1000, threshold_bits_per_s=80_000_000)
    assert not executor.run(is_above(meter))
    executor.run(measure(meter, 5000))  # begins the window, and came before it
    for executor.ticks in (400, 800):
        executor.run(measure(meter, 400))
        assert not executor.run(is_above(meter))
    executor.ticks = 1000
    executor.run(measure(meter, 200))
    assert meter.bits_per_s.value == 80_000_000  # 1000 bytes in 100 µs
    assert executor.run(is_above(meter))
    executor.ticks = 3000
    assert executor.run(is_above(meter))
    executor.ticks = 3001
    assert not executor.run(is_above(meter))
    executor.run(measure(meter, 200))
    assert meter.bits_per_s.value == 200 * 8 * 10_000_000 // 2001
    assert not executor.run(is_above(meter))


@pytest.mark.parametrize(("rate", "spins"), [(79, False), (80, True)])
def test_a_reader_spins_only_above_its_rate(registered, tools, rate, spins):
    sending, _ = tools.client_rings(registered)
    meter = RateMeter(1000, 80)
    meter.begun.value, meter.bits_per_s.value = 0, rate
    log = []
    registered.start(read_batch(Reader(sending, ReadStrategy(spin_ticks=125), meter=meter)), log=log)
    assert any(line.startswith("Spin") for line in log) is spins


def test_what_is_read_is_measured(registered, tools):
    sending, _ = tools.client_rings(registered)
    meter = RateMeter(1000, 80)
    meter.begun.value = 0
    registered.send(tools.packet(20), tools.packet(30))
    assert len(run(registered, read_batch(Reader(sending, ReadStrategy(), batch=2, meter=meter)), tools)) == 2
    assert meter.counted_bytes.value == 50


# -- writing ------------------------------------------------------------------------------------------------------


def test_writers_share_the_ring(registered, tools):
    _, receiving = tools.client_rings(registered)
    lock = op.Lock("writing")
    assert run(registered, write_shared(receiving, lock, tools.packet(20), WriteStrategy()), tools) is Outcome.WRITTEN
    assert lock.is_free()
    assert registered.executor.ndis.received == [tools.packet(20)]


@pytest.mark.parametrize(
    ("options", "between"),
    [({"spin_ticks": 3}, "Spin"), ({"yields": True}, "Yield"), ({"sleep_ns": 5}, "Sleep"), ({}, "Acquire")],
)
def test_the_lock_is_free_between_attempts(registered, tools, options, between):
    _, receiving = tools.client_rings(registered)
    registered.executor.ndis.keeps_nbls = True
    big = tools.packet(60000)
    while run(registered, write_shared(receiving, op.Lock("w"), big, WriteStrategy()), tools) is Outcome.WRITTEN:
        pass
    lock = op.Lock("writing")
    routine = write_shared(receiving, lock, big, WriteStrategy(attempts=2, **options))
    states = [(*step, lock.exclusive is None) for step in stepped(registered, routine)]
    assert states[-1][1] is Outcome.FULL
    names = [name for name, _, _ in states]
    assert names.count("Acquire") == 2
    assert all(
        is_free is (name not in ("Acquire", "Load")) for name, _, is_free in states if name in ("Acquire", between)
    )
    assert between in names[names.index("Release") + 1 :]


@pytest.mark.parametrize(
    ("options", "is_set"), [({}, False), ({"always_sets": True}, True), ({"recheck_ticks": 10}, False)]
)
def test_the_event_is_set_always_or_when_alertable_is(registered, tools, options, is_set):
    _, receiving = tools.client_rings(registered, **options)
    receiving.alertable.cells[receiving.alertable.index] = 0
    registered.receive_ring.event.signalled = False
    log = []
    run(registered, write_shared(receiving, op.Lock("w"), tools.packet(20), WriteStrategy()), tools, log)
    assert ("Set receive.TailMoved" in log) is is_set
    assert any(line.startswith("Spin") for line in log) is ("recheck_ticks" in options)


def test_a_second_look_finds_alertable_set_meanwhile(registered, tools):
    _, receiving = tools.client_rings(registered, recheck_ticks=10)
    receiving.alertable.cells[receiving.alertable.index] = 0
    routine = write_shared(receiving, op.Lock("w"), tools.packet(20), WriteStrategy())
    found = list(stepped(registered, routine, {"Spin": 1}))
    assert [name for name, _ in found[-3:]] == ["Spin", "Set", "Release"]
    assert found[-1][1] is Outcome.WRITTEN


# -- the queue ----------------------------------------------------------------------------------------------------


def test_a_queue_keeps_the_order_and_refuses_what_does_not_fit():
    executor = ImmediateExecutor()
    queue = PacketQueue("client", 2)
    assert [executor.run(enqueue(queue, packet)) for packet in (b"a", b"b", b"c")] == [True, True, False]
    assert [executor.run(dequeue(queue)) for _ in range(2)] == [b"a", b"b"]
    assert executor.run(enqueue(queue, b"d"))
    assert executor.run(dequeue(queue)) == b"d"


def test_who_waits_for_a_packet_gets_it():
    executor = ImmediateExecutor()
    queue = PacketQueue("client", 2)
    worker = executor.start(dequeue(queue))
    assert worker.blocked_on is not None
    executor.run(enqueue(queue, b"a"))
    assert worker.result == b"a"


def test_all_who_wait_for_space_get_some():
    """The event of free space wakes one of them: that one passes it on."""
    executor = ImmediateExecutor()
    queue = PacketQueue("client", 2)
    for packet in (b"a", b"b"):
        executor.run(enqueue(queue, packet))
    waiting = [executor.start(enqueue_waiting(queue, packet)) for packet in (b"c", b"d")]
    assert all(thread.blocked_on is not None for thread in waiting)

    def take_two():
        first = yield from dequeue(queue)
        second = yield from dequeue(queue)
        return [first, second]

    assert executor.run(take_two()) == [b"a", b"b"]
    executor.settle()
    assert all(thread.ended.signalled for thread in waiting)
    assert sorted(executor.run(take_two())) == [b"c", b"d"]
