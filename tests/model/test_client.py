"""The published client protocol as routines, against the driver's (spec driver §8)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintun_model import operations as op
from wintun_model.client import ClientRing, Outcome, ReadStrategy, WriteStrategy, pop, push, read, write
from wintun_model.errors import ModelError

STOPPED = 0xFFFFFFFF


def run(bench, routine, tools, log=None):
    return bench.executor.run(tools.watched(routine, log))


# -- reading ------------------------------------------------------------------------------------------------------


def test_a_packet_that_is_there_is_read_at_once(registered, tools):
    sending, _ = tools.client_rings(registered)
    registered.send(tools.packet(20), tools.packet(33))
    log = []
    assert run(registered, read(sending), tools, log) == tools.packet(20)
    assert log == ["Load send.Head", "Load send.Tail", "LoadSize @0", "CopyOut", "Store send.Head=24"]
    assert run(registered, pop(sending), tools) == tools.packet(33)
    assert run(registered, pop(sending), tools) is Outcome.EMPTY


def test_the_steps_of_waiting(registered, tools):
    sending, _ = tools.client_rings(registered)
    log = []
    reader = registered.start(read(sending), log=log)
    assert reader.blocked_on is not None
    assert log == [
        "Load send.Head",
        "Load send.Tail",
        "Store send.Alertable=1",
        "Load send.Head",
        "Load send.Tail",
        "Wait send.TailMoved",
    ]
    registered.send(tools.packet(20))
    assert reader.result == tools.packet(20)
    assert log[6:8] == ["Store send.Alertable=0", "Load send.Head"]
    assert not registered.send_ring.event.signalled


def test_a_packet_that_comes_just_before_the_wait_is_found_and_the_event_reset(registered, tools):
    sending, _ = tools.client_rings(registered)
    before, opened = tools.gate("Store send.Alertable=1")
    reader = registered.start(read(sending), before=before)
    registered.send(tools.packet(20))
    opened.signalled = True
    registered.settle()
    assert reader.result == tools.packet(20)
    assert registered.send_ring.alertable == 0
    assert not registered.send_ring.event.signalled


def test_a_barrier_stands_between_the_store_and_the_load(registered, tools):
    sending, receiving = tools.client_rings(registered, has_barrier=True)
    log = []
    registered.start(read(sending), log=log)
    assert log[2:5] == ["Store send.Alertable=1", "Fence", "Load send.Head"]
    log.clear()
    run(registered, push(receiving, tools.packet(20)), tools, log)
    assert log[-4:-1] == ["Store receive.Tail=24", "Fence", "Load receive.Alertable"]


def test_spinning_comes_first_and_polling_never_asks_to_be_woken(registered, tools):
    sending, _ = tools.client_rings(registered)
    log = []
    registered.start(read(sending, ReadStrategy(spin_ticks=125)), log=log)
    assert log[2:5] == ["Load send.Head", "Spin send.Tail!=0 - 125", "Store send.Alertable=1"]
    log = []
    slept = []

    def stop_after_three(text):
        if text == "Sleep":
            slept.append(text)
            if len(slept) == 3:
                registered.send_ring.tail = STOPPED

    routine = tools.watched(read(sending, ReadStrategy(sleep_ns=1000)), log, before=stop_after_three)
    assert registered.executor.run(routine) is Outcome.STOPPED
    assert not [text for text in log if "Alertable" in text]


@pytest.mark.parametrize("end", ["close", "word"])
def test_the_end_of_the_registration_ends_the_wait(end, registered, tools):
    sending, _ = tools.client_rings(registered)
    reader = registered.start(read(sending))
    if end == "close":
        registered.close()
    else:
        registered.send_ring.tail = STOPPED
        registered.send_ring.event.signalled = True
    registered.settle()
    assert reader.result is Outcome.STOPPED


@pytest.mark.parametrize(
    ("tail", "size", "outcome"),
    [(3, 0, Outcome.INVALID), (24, 0x10000, Outcome.INVALID), (24, 21, Outcome.INVALID), (0x20000, 0, Outcome.STOPPED)],
    ids=["less than a header", "too large", "longer than what is there", "Tail out of range"],
)
def test_what_cannot_be_a_packet(tail, size, outcome, registered, tools):
    sending, _ = tools.client_rings(registered)
    registered.send_ring.tail = tail
    registered.send_ring.put_packet_at(0, b"", size)
    assert run(registered, pop(sending), tools) is outcome
    assert registered.send_ring.head == 0


def test_head_out_of_range_is_stopped_too(registered, tools):
    sending, _ = tools.client_rings(registered)
    registered.send_ring.head = STOPPED
    assert run(registered, pop(sending), tools) is Outcome.STOPPED


def test_the_largest_packet_is_read(registered, tools):
    sending, _ = tools.client_rings(registered)
    registered.send(bytes(0xFFFF))
    assert run(registered, pop(sending), tools) == bytes(0xFFFF)


# -- writing ------------------------------------------------------------------------------------------------------


def test_the_steps_of_writing_while_the_driver_waits(registered, tools):
    _, receiving = tools.client_rings(registered)
    log = []
    assert run(registered, write(receiving, tools.packet(33)), tools, log) is Outcome.WRITTEN
    assert log == [
        "Load receive.Head",
        "Load receive.Tail",
        "StoreSize @0=33",
        "CopyIn @4+33",
        "Store receive.Tail=40",
        "Load receive.Alertable",
        "Set receive.TailMoved",
    ]
    assert registered.ndis.received == [tools.packet(33)]


def test_a_ring_that_has_ended(registered, tools):
    _, receiving = tools.client_rings(registered)
    registered.close()
    assert run(registered, write(receiving, tools.packet(20), WriteStrategy(attempts=5)), tools) is Outcome.STOPPED


def fill(bench, receiving, tools):
    """Fill the receive ring to the last byte, with NBLs that NDIS keeps."""
    count = 0
    while run(bench, push(receiving, tools.packet(1020)), tools) is Outcome.WRITTEN:
        count += 1
    return count


@pytest.mark.parametrize(
    ("strategy", "between"),
    [
        (WriteStrategy(), []),
        (WriteStrategy(attempts=3, spin_ticks=50), ["Load receive.Head", "Spin receive.Head!=0 - 50"]),
        (WriteStrategy(attempts=3, yields=True), ["Yield"]),
        (WriteStrategy(attempts=3, sleep_ns=1000), ["Sleep"]),
        (WriteStrategy(attempts=3), []),
    ],
    ids=["drop", "spin", "yield", "sleep", "at once"],
)
def test_a_full_ring(strategy, between, tools):
    bench = tools.Bench(keeps_nbls=True).register()
    _, receiving = tools.client_rings(bench)
    assert fill(bench, receiving, tools) == (0x20000 - 4) // 1024
    log = []
    assert run(bench, write(receiving, tools.packet(1020), strategy), tools, log) is Outcome.FULL
    attempt = ["Load receive.Head", "Load receive.Tail"]
    assert log == attempt + (between + attempt) * (strategy.attempts - 1)


def test_space_that_comes_while_it_tries_is_used(tools):
    bench = tools.Bench(keeps_nbls=True).register()
    _, receiving = tools.client_rings(bench)
    fill(bench, receiving, tools)
    yields = []

    def give_space(text):
        if text == "Yield":
            yields.append(text)
            if len(yields) == 2:
                bench.receive_ring.head = 1024

    routine = tools.watched(
        write(receiving, tools.packet(1020), WriteStrategy(attempts=9, yields=True)), before=give_space
    )
    assert bench.executor.run(routine) is Outcome.WRITTEN
    assert len(yields) == 2


# -- both ---------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(20, 3000), max_size=60), barrier=st.booleans())
def test_what_is_sent_comes_back_in_order(sizes, barrier, tools):
    """An echo through both rings, several laps: every packet once, in order, byte for byte."""
    bench = tools.Bench().register()
    sending, receiving = tools.client_rings(bench, has_barrier=barrier)
    packets = [tools.packet(size, seed) for seed, size in enumerate(sizes)]
    for data in packets:
        assert bench.send(data) == [0]
        echoed = run(bench, read(sending), tools)
        assert run(bench, write(receiving, echoed), tools) is Outcome.WRITTEN
    assert bench.ndis.received == packets
    assert bench.send_ring.head == bench.send_ring.tail
    assert bench.receive_ring.head == bench.receive_ring.tail


def test_a_ring_of_another_size_is_refused():
    with pytest.raises(ModelError, match="the send ring's memory has 100 bytes"):
        ClientRing("send", memoryview(bytearray(100)), 0x20000, op.Event("e", manual_reset=False))
