"""B3 by hand: the driver's reader and a client on two x86 processors, whose stores wait in buffers (driver §7.1).

A processor's stores become visible in their order, some time later; its own loads see them at once. A full barrier, and
every interlocked operation (locks, events), makes them visible first. Here a test says who does what when.
"""

from collections import deque

import pytest

from wintun_model import operations as op
from wintun_model.client import push
from wintun_model.immediate import ImmediateExecutor
from wintun_model.receive import read_ring
from wintun_model.revision import REVISIONS

BARRIERS = (
    op.Fence,
    op.Acquire,
    op.TryAcquire,
    op.Release,
    op.AcquireShared,
    op.ReleaseShared,
    op.Set,
    op.Clear,
    op.Wait,
)


class Processor:
    """Runs one routine, an operation at a time, with a store buffer of its own."""

    def __init__(self, routine, executor):
        self.routine = routine
        self.executor = executor
        self.buffer = deque()
        self.waits_for = None
        self.operation = next(routine)

    def flush(self):
        """Everything stored becomes visible."""
        while self.buffer:
            word, value = self.buffer.popleft()
            word.cells[word.index] = value & 0xFFFFFFFF

    def load(self, word):
        for stored, value in reversed(self.buffer):
            if stored.cells is word.cells and stored.index == word.index:
                return value
        return word.cells[word.index]

    def step(self):
        """Do the next operation; False when it waits and has nothing to wait no more for."""
        operation = self.operation
        if isinstance(operation, BARRIERS):
            self.flush()
        if isinstance(operation, op.Load):
            value = self.load(operation.word)
        elif isinstance(operation, op.Store):
            self.buffer.append((operation.word, operation.value))
            value = None
        elif isinstance(operation, op.Spin):
            value = self.load(operation.word)
        elif isinstance(operation, op.Wait):
            if not any(event.signalled for event in operation.events):
                self.waits_for = operation
                return False
            value = next(place for place, event in enumerate(operation.events) if event.signalled)
            operation.events[value].consume(self)
            self.waits_for = None
        else:
            value = self.executor._perform(operation)
        try:
            self.operation = self.routine.send(value)
        except StopIteration:
            self.operation = None
        return self.operation is not None

    def run_to(self, *kinds):
        """Go on until the next operation is one of these; it is not done."""
        while not isinstance(self.operation, kinds) and self.step():
            pass

    def finish(self):
        """Go on until the end, or until it waits."""
        while self.operation is not None and self.step():
            pass


def two(tools, revision, client_barrier):
    """A reader that has found nothing, and a client about to write: each on a processor of its own."""
    bench = tools.bench_of(revision).register()
    # The bench's own reader waits already; let this one begin where that one did.
    bench.receive_ring.alertable = 0
    executor = ImmediateExecutor(bench.ndis)
    reader = Processor(read_ring(bench.adapter), executor)
    _, ring = tools.client_rings(bench, has_barrier=client_barrier)
    client = Processor(push(ring, tools.packet(20)), executor)
    reader.run_to(op.Spin)
    reader.step()
    return bench, reader, client


def interleave(tools, revision, client_barrier):
    """The order that loses the wake-up, if one does: who lacks the barrier stores and loads, then so does the other.

    The store of the first one still waits in its buffer. Whether the reader ends up asleep on a packet.
    """
    bench, reader, client = two(tools, revision, client_barrier)
    client.run_to(op.Store)
    for processor in (client, reader) if REVISIONS[revision].has_full_barrier else (reader, client):
        processor.step()
        if isinstance(processor.operation, op.Fence):
            processor.step()
        processor.step()
    for processor in (reader, client):
        processor.finish()
        processor.flush()
    reader.finish()
    sleeps = reader.waits_for is not None and not any(event.signalled for event in reader.waits_for.events)
    return sleeps and not bench.ndis.received


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("client_barrier", [False, True])
def test_b3_a_wake_up_is_lost_unless_both_sides_have_a_barrier(revision, client_barrier, tools):
    both = REVISIONS[revision].has_full_barrier and client_barrier
    assert interleave(tools, revision, client_barrier) is not both


def test_without_buffers_no_order_of_the_four_accesses_loses_it(tools):
    """B3 needs store buffers: made visible at once, one of the two stores is seen by the other side."""
    for order in ("rrcc", "rcrc", "rccr", "crrc", "crcr", "ccrr"):
        bench, reader, client = two(tools, "0.8.1", False)
        client.run_to(op.Store)
        for who in order:
            processor = reader if who == "r" else client
            processor.step()
            processor.flush()
        client.finish()
        client.flush()
        reader.finish()
        reader.flush()
        reader.finish()
        assert bench.ndis.received or any(event.signalled for event in reader.waits_for.events), order


def test_releasing_a_spin_lock_makes_stores_visible(tools):
    """On x64 the release is an interlocked operation, so a store before it is seen by whoever takes the lock next."""
    lock, cells = op.Lock("l", is_spin=True), [0]
    word = op.Word(cells, 0, "w")

    def holder():
        yield lock.acquire
        yield op.Store(word, 7)
        yield lock.release

    processor = Processor(holder(), ImmediateExecutor())
    processor.run_to(op.Release)
    assert cells == [0]
    processor.step()
    assert cells == [7]
