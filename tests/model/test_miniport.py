"""The miniport's life from initialize to halt, and removal (spec driver §6.4, §7, §9)."""

import pytest

from wintun_model.dispatch import close, device_control, remove
from wintun_model.immediate import Blocked, ImmediateExecutor, SimpleCaller
from wintun_model.miniport import halt, initialize, pause, restart
from wintun_model.receive import return_nbls
from wintun_model.registration import unregister
from wintun_model.revision import REVISIONS
from wintun_model.status import NdisStatus, NtStatus

STOPPED = 0xFFFFFFFF
CLOSING = [name for name, revision in REVISIONS.items() if revision.closes_handles_on_removal]
OTHERS = [name for name in REVISIONS if name not in CLOSING]


def with_handles(bench):
    """An executor that keeps `open_handles` as a system does: (process, value, file object), closed with the last."""

    def list_handles(what):
        return [entry for entry in bench.open_handles if what in (entry[2], bench.adapter)]

    def close_handle(caller, handle):
        entry = next(entry for entry in bench.open_handles if entry[:2] == (caller, handle))
        bench.open_handles.remove(entry)
        is_last = not any(each[2] is entry[2] for each in bench.open_handles)
        return close(bench.adapter, entry[2]) if is_last else None

    return ImmediateExecutor(bench.ndis, handles=list_handles, close_handle=close_handle)


@pytest.fixture
def make(tools):
    """Make a registered bench whose driver is of a revision."""

    def make_bench(name="0.8.1", **options):
        bench = tools.bench_of(name, **options)
        bench.executor = with_handles(bench)
        return bench.register()

    return make_bench


# -- initialize -------------------------------------------------------------------------------------------------------


def test_the_steps_of_initialize(tools):
    bench, log = tools.Bench(running=False), []
    bench.executor.run(tools.watched(initialize(bench.adapter), log))
    assert log == [
        "Allocate adapter context",
        "Put attached=True",
        "Set disconnected",
        "Initialize NBL",
        "Initialize registration",
        "IndicateLink False",
    ]


def test_after_initialize_the_miniport_is_paused(tools):
    bench = tools.Bench(running=False)
    bench.executor.run(initialize(bench.adapter))
    assert bench.send(tools.packet(20)) == [NdisStatus.NDIS_STATUS_PAUSED]
    bench.executor.run(restart(bench.adapter))
    assert bench.send(tools.packet(20)) == [NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED]


# -- halt -------------------------------------------------------------------------------------------------------------


def test_the_steps_of_halt_in_their_order(make, tools):
    bench, other, unregistering, log = make(), make(), [], []
    other.executor.run(tools.watched(unregister(other.adapter, None), unregistering))
    bench.executor.run(tools.watched(halt(bench.adapter), log))
    assert log[: len(unregistering)] == unregistering
    assert log[len(unregistering) :] == [
        "Acquire transition",
        "Release transition",
        "Delete NBL",
        "Put attached=False",
        "Acquire context guard",
        "Release context guard",
        "Delete registration",
        "Free adapter context",
    ]


def test_halt_ends_the_registration_and_later_requests_find_no_adapter(make):
    bench = make()
    bench.executor.run(halt(bench.adapter))
    assert (bench.send_ring.tail, bench.receive_ring.head) == (STOPPED, STOPPED)
    assert bench.ndis.links == [True, False]
    assert bench.control() == NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY
    before = bench.state()
    bench.close()
    assert bench.state() == before
    assert not bench.adapter.registration_lock.is_ready
    assert all(lock.is_free() for lock in bench.locks if lock.is_ready)


def test_halt_without_a_registration(tools):
    bench = tools.Bench()
    bench.executor.run(halt(bench.adapter))
    assert bench.ndis.links == []
    assert bench.control() == NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY


def test_halt_waits_for_requests_already_inside(make, tools):
    bench = tools.Bench()
    before, opened = tools.gate("TryAcquire registration")
    request = bench.start(device_control(bench.adapter, bench.request(b""), 0xCA6CE5C0), before=before)
    halting = bench.start(halt(bench.adapter))
    assert halting.blocked_on is bench.adapter.driver.context_guard.acquire
    opened.signalled = True
    bench.settle()
    assert request.result == (NtStatus.STATUS_INVALID_PARAMETER, 0)
    assert halting.ended.signalled


def test_halt_waits_for_nbls_that_are_out(make, tools):
    bench = make(keeps_nbls=True)
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    with pytest.raises(Blocked):
        bench.executor.run(halt(bench.adapter), "halt")
    assert bench.adapter.is_attached.value
    bench.executor.run(return_nbls(bench.adapter, bench.ndis.kept))
    assert not bench.adapter.is_attached.value


def test_b9_a_registration_may_follow_the_one_that_halt_ended(make, tools):
    bench = make()
    before, opened = tools.gate("Delete NBL")
    bench.start(halt(bench.adapter), before=before)
    bench.close()
    for ring in (bench.send_ring, bench.receive_ring):
        ring.head = ring.tail = 0
    assert bench.control() == 0
    opened.signalled = True
    bench.settle()
    # The context is gone, and the registration lives.
    assert not bench.adapter.is_attached.value
    assert bench.adapter.owner.value is bench.file


def test_pause_then_halt(make, tools):
    bench = make()
    bench.executor.run(pause(bench.adapter))
    bench.executor.run(halt(bench.adapter))
    assert bench.send(tools.packet(20)) == [NdisStatus.NDIS_STATUS_PAUSED]


# -- removal ----------------------------------------------------------------------------------------------------------


def open_handles(bench):
    """Three handles to the owner file object in two processes, and one to another file object."""
    other = SimpleCaller(200)
    owned = [(bench.caller, 0x10, bench.file), (other, 0x20, bench.file), (bench.caller, 0x14, bench.file)]
    bench.open_handles = [*owned, (other, 0x24, "another file object")]


@pytest.mark.parametrize("name", OTHERS)
def test_before_0_14_a_removal_is_left_to_ndis(make, tools, name):
    bench, log = make(name), []
    open_handles(bench)
    bench.executor.run(tools.watched(remove(bench.adapter), log))
    assert log == []
    assert len(bench.open_handles) == 4
    assert bench.adapter.owner.value is bench.file


@pytest.mark.parametrize("name", CLOSING)
def test_a_removal_closes_the_owners_handles_everywhere_and_no_others(make, tools, name):
    bench, log = make(name), []
    open_handles(bench)
    bench.executor.run(tools.watched(remove(bench.adapter), log))
    assert [entry[2] for entry in bench.open_handles] == ["another file object"]
    assert bench.adapter.owner.value is None
    assert (bench.send_ring.tail, bench.receive_ring.head) == (STOPPED, STOPPED)
    assert all(lock.is_free() for lock in bench.locks)
    # The registration lock is held from the beginning to the end; the unregister happens inside.
    assert log[:4] == ["Acquire registration", "Get owner", "Put closing", "ListHandles"]
    assert log.count("Acquire registration") == log.count("Release registration") == 1
    assert log[-2:] == ["Put closing=None", "Release registration"]
    assert log.index("CloseHandle") < log.index("Store send.Tail=4294967295")


@pytest.mark.parametrize("name", CLOSING)
def test_a_removal_that_carries_the_owner_file_object_closes_nothing(make, name):
    bench = make(name)
    open_handles(bench)
    bench.executor.run(remove(bench.adapter, bench.file))
    assert len(bench.open_handles) == 4
    assert bench.adapter.owner.value is bench.file


@pytest.mark.parametrize("name", CLOSING)
def test_a_removal_without_an_owner_closes_nothing(make, name):
    bench = make(name)
    bench.close()
    open_handles(bench)
    bench.executor.run(remove(bench.adapter))
    assert len(bench.open_handles) == 4
    assert all(lock.is_free() for lock in bench.locks)


@pytest.mark.parametrize("name", CLOSING)
def test_a_removal_waits_for_a_registration_under_way_and_for_nbls(make, tools, name):
    bench = make(name, keeps_nbls=True)
    open_handles(bench)
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    removing = bench.start(remove(bench.adapter))
    assert not removing.ended.signalled
    # Meanwhile nobody else registers or unregisters.
    assert bench.control() == NtStatus.STATUS_ALREADY_INITIALIZED
    forced = bench.start(unregister(bench.adapter, None))
    assert forced.blocked_on is bench.adapter.registration_lock.acquire
    bench.executor.run(return_nbls(bench.adapter, bench.ndis.kept))
    assert removing.ended.signalled
    assert forced.result is False


@pytest.mark.parametrize("name", CLOSING)
def test_after_a_removal_that_was_called_off_the_client_may_register_again(make, name):
    bench = make(name)
    open_handles(bench)
    bench.executor.run(remove(bench.adapter))
    for ring in (bench.send_ring, bench.receive_ring):
        ring.head = ring.tail = 0
    assert bench.control(bench.request(file="a new open")) == 0
    bench.close("a new open")
    assert bench.adapter.owner.value is None
    assert all(lock.is_free() for lock in bench.locks)
