"""Stale link words, pools, locks and descriptors: what is used too early or too late (B7-B9, B13, B14)."""

import pytest

from wintun_model import operations as op
from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES
from wintun_model.adapter import Adapter, ForeignEntry, Packet, ReceiveNbl, SendChain, SendNbl
from wintun_model.dispatch import device_control
from wintun_model.errors import DriverFault
from wintun_model.immediate import ImmediateExecutor, SimpleCaller
from wintun_model.miniport import halt, initialize, restart
from wintun_model.receive import return_nbls
from wintun_model.registration import Registration
from wintun_model.revision import REVISIONS
from wintun_model.send import send
from wintun_model.status import NdisStatus

BEFORE_2026 = [name for name in REVISIONS if name != "2026-02"]
WITH_DESCRIPTOR = [name for name, revision in REVISIONS.items() if revision.allocates_partial_descriptor]


def chain_with(stale_link, tools):
    return SendChain((SendNbl((Packet(tools.packet(20)),)),), stale_link=stale_link)


# -- B7: the link word that an NBL comes with -------------------------------------------------------------------------


@pytest.mark.parametrize("name", BEFORE_2026)
def test_b7_a_stale_link_word_that_looks_completed_is_completed_to_ndis(name, tools):
    bench = tools.bench_of(name).register()
    foreign = ForeignEntry(word=0x41)
    bench.executor.run(send(bench.adapter, chain_with(foreign, tools)))
    assert bench.ndis.completed[-1] is foreign
    # Its word is what Tail was set to.
    assert bench.send_ring.tail == 0x40
    with pytest.raises(DriverFault, match="never handed down"):
        _ = foreign.nbls


@pytest.mark.parametrize("name", BEFORE_2026)
def test_b7_a_stale_link_word_that_looks_active_holds_up_all_later_chains(name, tools):
    bench = tools.bench_of(name).register()
    chain, later = chain_with(ForeignEntry(word=0x40), tools), chain_with(None, tools)
    bench.executor.run(send(bench.adapter, chain))
    bench.executor.run(send(bench.adapter, later))
    assert bench.ndis.completed == [chain]
    assert (bench.send_ring.tail, bench.adapter.send_reserved_tail.value) == (24, 48)
    # The later one hangs on memory that NDIS has back.
    assert chain.link is later


def test_b7_is_closed_in_2026_02(tools):
    bench = tools.bench_of("2026-02").register()
    chain, later = chain_with(ForeignEntry(word=0x41), tools), chain_with(None, tools)
    bench.executor.run(send(bench.adapter, chain))
    bench.executor.run(send(bench.adapter, later))
    assert bench.ndis.completed == [chain, later]
    assert bench.send_ring.tail == 48


def test_a_stale_link_word_is_overwritten_by_the_next_chain(tools):
    """While a chain is not the last of the list, its link word is the driver's own."""
    bench = tools.bench_of("0.8.1").register()
    foreign = ForeignEntry(word=0x41)
    first, second = chain_with(foreign, tools), chain_with(None, tools)
    before, opened = tools.gate("MarkCompleted")
    sender = bench.start(send(bench.adapter, first), before=before)
    bench.executor.run(send(bench.adapter, second))
    assert list(bench.adapter.send_active) == [first, second]
    opened.signalled = True
    bench.settle()
    assert sender.ended.signalled
    assert bench.ndis.completed == [first, second]


# -- pools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REVISIONS)
def test_what_a_registration_allocates_is_freed_when_it_ends(name, tools):
    bench = tools.bench_of(name, keeps_nbls=True).register()
    adapter = bench.adapter
    assert adapter.memory_descriptors.outstanding == 2
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    assert adapter.nbl_pool.outstanding == 1
    assert adapter.partial_descriptors.outstanding == (name in WITH_DESCRIPTOR)
    bench.executor.run(return_nbls(adapter, bench.ndis.kept))
    bench.close()
    pools = (adapter.nbl_pool, adapter.partial_descriptors, adapter.memory_descriptors)
    assert [pool.outstanding for pool in pools] == [0, 0, 0]


def doing(*operations):
    results = []
    for operation in operations:
        results.append((yield operation))
    return results


@pytest.mark.parametrize(
    ("pool", "operations", "message"),
    [
        (op.Pool("NBL", is_ready=False), lambda pool: [pool.allocate], "allocated NBL where it had no pool"),
        (op.Pool("NBL"), lambda pool: [pool.free], "freed NBL more often than it allocated it"),
        (op.Pool("NBL"), lambda pool: [pool.allocate, op.Delete(pool), pool.free], "pool that it had already deleted"),
    ],
    ids=["allocated without a pool", "freed twice", "freed after the pool"],
)
def test_a_wrong_use_of_a_pool_is_the_drivers_fault(pool, operations, message):
    with pytest.raises(DriverFault, match=message):
        ImmediateExecutor().run(doing(*operations(pool)))


@pytest.mark.parametrize("operation", ["acquire", "try_acquire", "acquire_shared"])
def test_a_lock_that_is_not_ready_cannot_be_taken(operation):
    lock = op.Lock("tun.registration", is_ready=False)
    assert not lock.is_ready
    with pytest.raises(DriverFault, match=r"uses tun\.registration lock, which is not initialized"):
        ImmediateExecutor().run(doing(getattr(lock, operation)))
    ImmediateExecutor().run(doing(op.Initialize(lock), getattr(lock, operation)))


# -- B8: after "empty" ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_DESCRIPTOR)
def test_b8_the_end_of_a_registration_may_overtake_a_return(name, tools):
    bench = tools.bench_of(name, keeps_nbls=True).register()
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    before, opened = tools.gate("ReadDescriptor")
    bench.start(return_nbls(bench.adapter, bench.ndis.kept), before=before)
    bench.close()
    opened.signalled = True
    with pytest.raises(DriverFault, match="memory descriptor of ring pages that it had already unlocked"):
        bench.settle()


@pytest.mark.parametrize("name", REVISIONS)
def test_b8_halt_may_overtake_a_return(name, tools):
    bench = tools.bench_of(name, keeps_nbls=True).register()
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    before, opened = tools.gate("Free NBL")
    bench.start(return_nbls(bench.adapter, bench.ndis.kept), before=before)
    bench.executor.run(halt(bench.adapter))
    opened.signalled = True
    with pytest.raises(DriverFault, match="freed NBL to a pool that it had already deleted"):
        bench.settle()


# -- B14: a snapshot of handles ---------------------------------------------------------------------------------------


class File:
    """A file object as far as the driver reads it."""

    is_released = False


@pytest.mark.parametrize("name", [name for name, revision in REVISIONS.items() if revision.has_force_close])
def test_b14_force_close_may_read_a_file_object_that_was_released(name, tools):
    bench, file = tools.bench_of(name), File()
    bench.open_handles = [(SimpleCaller(200), 0x20, file)]
    before, opened = tools.gate("ReadObject")
    request = Registration(bench.caller, bench.file, b"")
    bench.start(device_control(bench.adapter, request, TUN_IOCTL_FORCE_CLOSE_HANDLES), before=before)
    # Meanwhile its process closes it.
    bench.close(file)
    file.is_released = True
    opened.signalled = True
    with pytest.raises(DriverFault, match="read a file object that was already released"):
        bench.settle()


# -- B13: initialize --------------------------------------------------------------------------------------------------


def uninitialized(tools, name="0.8.1"):
    bench = tools.bench_of(name, running=False)
    bench.adapter = Adapter("tun", bench.adapter.driver, is_initialized=False)
    return bench


@pytest.mark.parametrize("name", REVISIONS)
def test_a_miniport_from_its_beginning(name, tools):
    bench = uninitialized(tools, name)
    assert bench.control() == NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY
    status, _ = bench.executor.run(initialize(bench.adapter))
    assert status == 0
    bench.executor.run(restart(bench.adapter))
    bench.register()
    assert bench.send(tools.packet(20)) == [0]


@pytest.mark.parametrize("name", REVISIONS)
def test_b13_a_registration_during_initialize_meets_a_lock_that_is_not_ready(name, tools):
    bench = uninitialized(tools, name)
    before, _ = tools.gate("Initialize registration")
    bench.start(initialize(bench.adapter), before=before)
    with pytest.raises(DriverFault, match="registration lock, which is not initialized"):
        bench.executor.run(device_control(bench.adapter, bench.request(), 0xCA6CE5C0))


@pytest.mark.parametrize("name", REVISIONS)
def test_b13_a_failed_initialize_leaves_its_freed_context_published(name, tools):
    bench = uninitialized(tools, name)
    bench.failures = {"NBL pool": {1}}
    assert bench.executor.run(initialize(bench.adapter)) == (NdisStatus.NDIS_STATUS_RESOURCES, None)
    assert bench.adapter.context.outstanding == 0
    assert bench.adapter.is_attached.value
    with pytest.raises(DriverFault, match="registration lock"):
        bench.control()


def test_without_memory_for_the_context_nothing_is_published(tools):
    bench = uninitialized(tools)
    bench.failures = {"adapter context": {1}}
    assert bench.executor.run(initialize(bench.adapter)) == (NdisStatus.NDIS_STATUS_RESOURCES, None)
    assert not bench.adapter.is_attached.value


@pytest.mark.parametrize("name", REVISIONS)
def test_b9_a_registration_that_halt_lets_in_uses_a_pool_that_is_gone(name, tools):
    bench = tools.bench_of(name).register()
    before, opened = tools.gate("Put attached=False")
    bench.start(halt(bench.adapter), before=before)
    for ring in (bench.send_ring, bench.receive_ring):
        ring.head = ring.tail = 0
    bench.register()
    opened.signalled = True
    bench.settle()
    bench.receive_ring.push(tools.packet(20))
    with pytest.raises(DriverFault, match="allocated NBL where it had no pool"):
        bench.settle()


def test_a_return_of_what_was_never_indicated_is_a_fault(tools):
    bench = tools.bench_of("0.8.1").register()
    nbl = ReceiveNbl(bench.adapter.receive_ring.value, 4, 20, 4, 1)
    bench.adapter.receive_active.first = bench.adapter.receive_active.last = nbl
    with pytest.raises(DriverFault, match="freed NBL more often"):
        bench.executor.run(return_nbls(bench.adapter, [nbl]))
