"""What the proposed revision changes in registrations and adapters' lives, change by change (spec driver §6, §7)."""

from dataclasses import replace

import pytest

from tests.model.test_miniport import open_handles, with_handles
from wintun_model.adapter import Driver
from wintun_model.dispatch import process_exit, remove
from wintun_model.immediate import SimpleCaller
from wintun_model.miniport import NBL_POOL, halt, initialize
from wintun_model.registration import unregister
from wintun_model.revision import PROPOSED, PROPOSED_CHANGES, REVISIONS, revision_named
from wintun_model.status import NdisStatus

STOPPED = 0xFFFFFFFF
LATEST = REVISIONS["2026-02"]


@pytest.fixture
def make(tools):
    """Make a bench whose driver is 2026-02 with these switches turned."""

    def make_bench(*switches, **options):
        bench = tools.bench_of(replace(LATEST, **dict.fromkeys(switches, True)), **options)
        bench.executor = with_handles(bench)
        return bench

    return make_bench


def test_it_is_the_latest_with_the_proposed_changes():
    assert PROPOSED.switches() == LATEST.switches() | dict.fromkeys(PROPOSED_CHANGES, True)
    assert revision_named("proposed") is PROPOSED
    assert all(change.endswith(".") for change in PROPOSED_CHANGES.values())


# -- the miniport -----------------------------------------------------------------------------------------------------


def test_halt_detaches_under_the_guard_and_ends_the_registration_there(make, tools):
    bench, log = make("halt_detaches_first").register(), []
    bench.executor.run(tools.watched(halt(bench.adapter), log))
    assert log[:3] == ["Acquire context guard", "Put attached=False", "Acquire registration"]
    assert log[-7:] == [
        "Release registration",
        "Release context guard",
        "Acquire transition",
        "Release transition",
        "Delete NBL",
        "Delete registration",
        "Free adapter context",
    ]
    assert bench.adapter.owner.value is None
    assert bench.control() == NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY


def test_initialize_publishes_the_context_when_it_is_ready(make, tools):
    bench, log = make("publishes_context_last", running=False), []
    bench.executor.run(tools.watched(initialize(bench.adapter), log))
    assert log == [
        "Allocate adapter context",
        "Set disconnected",
        "Initialize NBL",
        "Initialize registration",
        "Put attached=True",
    ]


def test_initialize_publishes_nothing_when_it_fails(tools):
    bench = tools.Bench(driver=Driver(replace(LATEST, publishes_context_last=True)), running=False)
    bench.adapter.is_attached.value = False
    bench.failures = {NBL_POOL: {1}}
    status, _ = bench.executor.run(initialize(bench.adapter))
    assert status == NdisStatus.NDIS_STATUS_RESOURCES
    assert not bench.adapter.is_attached.value


# -- removal ----------------------------------------------------------------------------------------------------------


def test_a_removal_closes_when_it_has_released_the_registration_lock(make, tools):
    bench, log = make("removal_closes_unlocked").register(), []
    open_handles(bench)
    bench.executor.run(tools.watched(remove(bench.adapter), log))
    assert log[:4] == ["Acquire registration", "Get owner", "Release registration", "ListHandles"]
    # The close that the last handle brings takes its locks as any other.
    guard = log.index("AcquireShared context guard")
    assert guard < log.index("Acquire registration", 1) < log.index("ReleaseShared context guard")
    assert bench.adapter.owner.value is None
    assert [entry[2] for entry in bench.open_handles] == ["another file object"]
    assert all(lock.is_free() for lock in bench.locks)


def test_a_removal_without_an_owner_closes_nothing(make, tools):
    bench, log = make("removal_closes_unlocked"), []
    open_handles(bench)
    bench.executor.run(tools.watched(remove(bench.adapter), log))
    assert log == ["Acquire registration", "Get owner", "Release registration"]


@pytest.mark.parametrize("is_attached", [True, False])
def test_a_removal_looks_whether_there_is_a_context(make, tools, is_attached):
    bench, log = make("removal_looks_for_context"), []
    bench.adapter.is_attached.value = is_attached
    bench.executor.run(tools.watched(remove(bench.adapter), log))
    assert ("Acquire registration" in log) is is_attached


# -- unregister and process exit --------------------------------------------------------------------------------------


def test_unregister_leaves_the_list_when_the_pages_are_unlocked(make, tools):
    bench, log = make("leaves_list_last").register(), []
    bench.executor.run(tools.watched(unregister(bench.adapter, bench.file), log))
    assert log[-5:] == [
        "Acquire device list",
        "Get registered devices",
        "Put registered devices",
        "Release device list",
        "Release registration",
    ]
    last_unlock = max(place for place, text in enumerate(log) if text.startswith("UnlockPages"))
    assert last_unlock < log.index("Acquire device list")
    assert bench.adapter.driver.registered.value == ()


def test_process_exit_holds_the_guard_from_its_look_to_its_end(make, tools):
    bench, log = make("exit_holds_guard").register(), []
    bench.executor.run(tools.watched(process_exit(bench.adapter.driver, 100), log))
    assert log[:2] == ["AcquireShared context guard", "AcquireShared device list"]
    assert log[-2:] == ["Release registration", "ReleaseShared context guard"]
    assert bench.adapter.owner.value is None


def test_process_exit_ends_all_registrations_of_the_process(make):
    first = make("exit_ends_all", name="first")
    driver = first.adapter.driver
    second, other = make(driver=driver, name="second"), make(driver=driver, name="other", process_id=7)
    for bench in (first, other, second):
        bench.executor = first.executor
        bench.register()
    first.executor.run(process_exit(driver, 100))
    assert driver.registered.value == (other.adapter,)
    assert [bench.send_ring.tail for bench in (first, second, other)] == [STOPPED, STOPPED, 0]


def test_process_exit_leaves_the_registration_of_another_process_alone(make, tools):
    bench = make("exit_checks_process").register()
    before, opened = tools.gate("Acquire registration")
    leaving = bench.start(process_exit(bench.adapter.driver, 100), before=before)
    bench.close()
    other = tools.let_in(SimpleCaller(200))
    other.memory, other.handles = bench.caller.memory, bench.caller.handles
    for ring in (bench.send_ring, bench.receive_ring):
        ring.head = ring.tail = 0
    bench.register(request=bench.request(caller=other, file="a file object of the other process"))
    opened.signalled = True
    bench.settle()
    assert leaving.ended.signalled
    assert bench.adapter.owner.value == "a file object of the other process"
    assert bench.send_ring.tail == 0
    assert all(lock.is_free() for lock in bench.locks)


def test_process_exit_ends_a_registration_that_is_still_the_process_s(make):
    bench = make("exit_checks_process").register()
    bench.executor.run(process_exit(bench.adapter.driver, 100))
    assert bench.adapter.owner.value is None
