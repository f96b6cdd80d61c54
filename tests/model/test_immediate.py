"""The immediate executor, and the vocabulary of operations that every executor knows."""

import pytest

from wintun_model import operations as op
from wintun_model.adapter import Packet, SendNbl
from wintun_model.effects import EFFECTS
from wintun_model.errors import ModelError
from wintun_model.immediate import Blocked, ImmediateExecutor, SimpleCaller
from wintun_model.registration import Registration
from wintun_model.revision import DEFAULT_REVISION, REVISIONS

# What blocks, takes time, starts threads or leaves the driver: each executor's own.
EXECUTORS_OWN = {
    op.Acquire,
    op.TryAcquire,
    op.Release,
    op.AcquireShared,
    op.ReleaseShared,
    op.Set,
    op.Clear,
    op.Wait,
    op.Spin,
    op.Sleep,
    op.Yield,
    op.Work,
    op.ReadClock,
    op.ReadFrequency,
    op.StartThread,
    op.Allocate,
    op.Initialize,
    op.Dereference,
    op.MapPages,
    op.CompleteSend,
    op.IndicateReceive,
    op.IndicateLink,
    op.ListHandles,
    op.CloseHandle,
}


def doing(*operations):
    results = []
    for operation in operations:
        results.append((yield operation))
    return results


def concrete(cls=op.Operation):
    for sub in cls.__subclasses__():
        if sub.__module__.startswith(op.__name__):
            if not sub.__name__.startswith("_") and sub is not op.CallOut:
                yield sub
            yield from concrete(sub)


def test_the_vocabulary_is_closed_and_every_word_of_it_has_a_meaning():
    vocabulary = set(concrete())
    assert vocabulary >= set(EFFECTS)
    assert vocabulary - set(EFFECTS) - EXECUTORS_OWN == set()
    assert set(EFFECTS).isdisjoint(EXECUTORS_OWN)
    assert {cls: getattr(op, cls.__name__, None) for cls in vocabulary} == {cls: cls for cls in vocabulary}


@pytest.mark.parametrize("operation", sorted(concrete(), key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__)
def test_every_operation_says_what_it_does(operation):
    assert operation.__doc__


def test_an_operation_outside_the_vocabulary_is_a_model_error():
    class Strange(op.Operation):
        pass

    with pytest.raises(ModelError, match="outside the vocabulary"):
        ImmediateExecutor().run(doing(Strange()))


def test_a_word_holds_32_bits():
    cells = [7, 8]
    word = op.Word(cells, 1, "tun.Tail")
    assert ImmediateExecutor().run(doing(word.load, op.Store(word, -1), word.load)) == [8, None, 0xFFFFFFFF]
    assert cells == [7, 0xFFFFFFFF]
    assert repr(word) == "Word(tun.Tail)"


def test_variables(tools):
    variable = op.Variable("tun.owner", 1)
    assert ImmediateExecutor().run(doing(op.Put(variable, 2), variable.get, op.Fence())) == [None, 2, None]
    assert repr(variable) == "Variable(tun.owner=2)"


class Memory:
    def __init__(self, size):
        self.data = memoryview(bytearray(size))


def test_packet_memory():
    memory = Memory(16)
    results = ImmediateExecutor().run(
        doing(
            op.StoreSize(memory, 1, 0x01020304),
            op.LoadSize(memory, 1),
            op.LoadByte(memory, 1),
            op.CopyIn(memory, 5, b"abcdef", 3),
            op.CopyOut(memory, 4, 5),
            op.CopyIn(memory, 5, None, 2),
            op.CopyOut(memory, 5, 3),
        )
    )
    assert results == [None, 0x01020304, 4, None, b"\x01abc\0", None, b"\0\0c"]


@pytest.mark.parametrize("held", ["exclusive", "shared"])
def test_try_acquire_needs_a_free_lock(held):
    lock = op.Lock("tun.registration")
    executor = ImmediateExecutor()
    executor.run(doing(lock.acquire if held == "exclusive" else lock.acquire_shared))
    assert executor.run(doing(lock.try_acquire)) == [False]
    executor.run(doing(lock.release if held == "exclusive" else lock.release_shared))
    assert executor.run(doing(lock.try_acquire)) == [True]
    assert repr(lock) == "Lock(tun.registration)"


def test_locks_are_released_by_those_who_hold_them():
    lock = op.Lock("send")
    for operation in (lock.release, lock.release_shared):
        with pytest.raises(ModelError, match="send is released but not held"):
            ImmediateExecutor().run(doing(operation))


def test_readers_share_and_a_waiting_writer_keeps_new_readers_out():
    lock, executor = op.Lock("transition"), ImmediateExecutor()
    executor.run(doing(lock.acquire_shared))
    executor.run(doing(lock.acquire_shared))
    writer = executor.start(doing(lock.acquire), "writer")
    reader = executor.start(doing(lock.acquire_shared), "reader")
    executor.run(doing(lock.release_shared))
    assert [thread.blocked_on for thread in executor.threads] == [lock.acquire, lock.acquire_shared]
    executor.run(doing(lock.release_shared))
    assert writer.ended.signalled and not reader.ended.signalled
    executor.run(doing(lock.release))
    assert reader.ended.signalled


def test_a_wait_takes_the_lowest_index_and_clears_an_auto_reset_event():
    auto, manual = op.Event("auto", manual_reset=False), op.Event("manual", manual_reset=True)
    executor = ImmediateExecutor()
    executor.run(doing(auto.set, manual.set))
    assert executor.run(doing(op.Wait((auto, manual)), auto.is_set)) == [0, False]
    assert executor.run(doing(op.Wait((auto, manual)), manual.is_set)) == [1, True]
    executor.run(doing(manual.clear))
    with pytest.raises(Blocked) as caught:
        executor.run(doing(op.Wait((auto, manual))), "waiter")
    assert caught.value.args[0] == "waiter"
    assert isinstance(caught.value.args[1], op.Wait)
    assert repr(auto) == "Event(auto)"
    assert not auto.is_signalled(None)


def test_an_auto_reset_event_lets_the_oldest_waiter_go():
    event, executor = op.Event("auto", manual_reset=False), ImmediateExecutor()
    threads = [executor.start(doing(op.Wait((event,))), name) for name in ("first", "second")]
    event.signalled = True
    executor.settle()
    assert [thread.ended.signalled for thread in threads] == [True, False]
    assert repr(threads[1]) == "Thread(second)"


def test_a_started_thread_runs_once_its_starter_blocks_or_ends():
    order = []

    def starter():
        thread = yield op.StartThread(started(), "started", 1)
        order.append("starter")
        yield op.Wait((thread.ended,))
        order.append("starter again")

    def started():
        order.append("started")
        yield op.Fence()

    ImmediateExecutor().run(starter())
    assert order == ["starter", "started", "starter again"]


def test_an_entry_shares_one_word_between_its_offset_and_its_mark():
    entry, active = op.Entry(), op.ActiveList("send active")
    executor = ImmediateExecutor()
    assert executor.run(doing(active.take_completed)) == [None]
    assert executor.run(doing(op.Append(active, entry, 24), active.take_completed)) == [True, None]
    assert not entry.is_completed()
    assert executor.run(doing(op.Append(active, op.Entry(), 28))) == [False]
    executor.run(doing(op.MarkCompleted(entry)))
    assert entry.is_completed() and entry.end_offset() == 24
    assert executor.run(doing(active.take_completed)) == [(entry, False)]


def test_the_object_manager_of_a_simple_caller():
    caller = SimpleCaller()
    caller.memory[0x1000] = bytearray(0x100)
    assert caller.lock_pages(0x0FFF, 4) is None
    assert caller.lock_pages(0x10FD, 4) is None
    assert len(caller.lock_pages(0x10FC, 4).view) == 4
    assert caller.reference_event(4, 0)[1] is None


def test_a_ring_needs_memory_of_its_size(bench):
    from wintun_model.adapter import Ring

    pages = bench.caller.lock_pages(bench.send_ring.address, 100)
    with pytest.raises(ModelError, match="send ring's memory has 100 bytes"):
        Ring("send", pages, 0x20000, bench.send_ring.event, bench.adapter.limits)


def test_records_are_what_they_were_made_of(bench):
    request = Registration(bench.caller, bench.file, b"data")
    assert request == Registration(bench.caller, bench.file, b"data")
    nbl = SendNbl((Packet(b"abc", source=2, number=5),))
    assert (nbl.packets[0].source, nbl.packets[0].number, nbl.packets[0].size_bytes) == (2, 5, 3)


def test_the_default_revision_is_known():
    revision = REVISIONS[DEFAULT_REVISION]
    assert (revision.name, revision.date, revision.version) == ("0.8.1", "2020-02-27", (0, 8))
    assert list(REVISIONS) == sorted(REVISIONS, key=lambda name: REVISIONS[name].date)
