"""The scenarios of the two data paths: which changes are enough, and that what is called safe could be broken."""

from dataclasses import replace

import pytest

from wintun_model import operations as op
from wintun_model.adapter import SendChain
from wintun_model.revision import PROPOSED, REVISIONS
from wintun_model.ring import stored_bytes, wrap
from wintunsim.explore.explorer import explore
from wintunsim.explore.scenario import MEMORIES, Setting, find
from wintunsim.explore.scenarios import inside, sending, sessions, wakeups
from wintunsim.explore.search import Verdict
from wintunsim.explore.strategies.exhaustive import exhaustive
from wintunsim.explore.violation import Property
from wintunsim.explore.world import World

LATEST = REVISIONS["2026-02"]


def verdict(scenario, revision=LATEST, memory="tso"):
    return explore(scenario, Setting(revision=revision, memory=memory)).outcome.verdict


def named(*names):
    return pytest.mark.parametrize("scenario", find(names), ids=names)


# -- the proposed changes ---------------------------------------------------------------------------------------------


def test_head_before_empty_is_enough_against_unregister_where_nbls_have_no_descriptor():
    """B2's third consequence (a late store into memory that is gone) without B8, which needs the descriptor."""
    (scenario,) = find(["return-unregister"])
    old = replace(LATEST, allocates_partial_descriptor=False)
    assert verdict(scenario, old) is Verdict.BROKEN
    assert verdict(scenario, replace(old, stores_head_before_empty=True)) is Verdict.SAFE


def test_a_return_call_outlives_its_registration_also_where_it_reads_no_memory_that_is_gone():
    """It takes a packet of the next registration off the list, and stores its offset by the old ring's address."""
    (scenario,) = find(["return-register-again"])
    revision = replace(LATEST, allocates_partial_descriptor=False, stores_head_before_empty=True)
    found = explore(scenario, Setting(revision=revision, memory="sc")).outcome
    assert found.verdict is Verdict.BROKEN
    assert found.violation.property is Property.NOTHING_AFTER_FREE


# -- could what is called safe be broken at all? ----------------------------------------------------------------------


def pause_without_barrier(adapter):
    yield op.Put(adapter.running, False)
    yield op.Wait((adapter.receive_empty,))


def pause_without_wait(adapter):
    yield op.Put(adapter.running, False)
    yield adapter.transition_lock.acquire
    yield adapter.transition_lock.release


@named("pause-receive")
def test_a_pause_without_its_barrier_is_found(scenario, monkeypatch):
    monkeypatch.setattr(inside, "pause", pause_without_barrier)
    assert verdict(scenario) is Verdict.BROKEN


@named("pause-receive")
def test_a_pause_that_does_not_wait_for_packets_is_found_where_indications_hold_no_lock(scenario, monkeypatch):
    monkeypatch.setattr(inside, "pause", pause_without_wait)
    assert verdict(scenario, LATEST) is Verdict.SAFE
    assert verdict(scenario, PROPOSED) is Verdict.BROKEN


def send_where_asked(adapter, *packets):
    """A driver that looks at `Alertable`, as clients do, and has no barrier before it does."""
    for packet in packets:
        ring = yield adapter.send_ring.get
        tail = yield ring.tail.load
        yield op.StoreSize(ring, tail, len(packet))
        yield op.CopyIn(ring, tail + 4, packet, len(packet))
        yield op.Store(ring.tail, wrap(tail + stored_bytes(len(packet)), ring.capacity))
        if (yield ring.alertable.load):
            yield ring.tail_moved.set


@named("send-wakeup", "send-wakeup-spins", "send-wakeup-client-barrier")
def test_a_driver_that_sets_the_event_only_when_asked_loses_wake_ups(scenario, monkeypatch):
    monkeypatch.setattr(wakeups, "send_packets", send_where_asked)
    assert [verdict(scenario, memory=memory) for memory in MEMORIES] == [Verdict.SAFE, Verdict.BROKEN]


def release_at_once(session, offset):
    """A release that takes it that packets are released in order."""
    ring = session.receiving
    size = yield op.LoadSize(ring, offset - 4)
    yield ring.lock.acquire
    yield op.Store(ring.head, wrap(offset - 4 + stored_bytes(size), ring.capacity))
    yield ring.lock.release


def send_at_once(session, offset):
    """A send that takes it that packets are sent in the order of their allocation."""
    ring = session.sending
    yield ring.lock.acquire
    size = (yield op.LoadSize(ring, offset - 4)) & 0x7FFFFFFF
    yield op.StoreSize(ring, offset - 4, size)
    yield op.Store(ring.tail, wrap(offset - 4 + stored_bytes(size), ring.capacity))
    yield session.send_moved.set
    yield ring.lock.release


@named("session-receive")
def test_a_session_layer_that_releases_out_of_order_is_found(scenario, monkeypatch):
    monkeypatch.setattr(sessions, "release_receive_packet", release_at_once)
    assert verdict(scenario) is Verdict.BROKEN


@named("session-send")
def test_a_session_layer_that_sends_out_of_order_is_found(scenario, monkeypatch):
    monkeypatch.setattr(sessions, "send_packet", send_at_once)
    assert verdict(scenario) is Verdict.BROKEN


def send_backwards(adapter, chain):
    yield from send_as_it_is(adapter, SendChain.of(*reversed(chain.packets())))


send_as_it_is = sending.send


@named("chains")
def test_chains_whose_packets_change_places_are_found(scenario, monkeypatch):
    monkeypatch.setattr(sending, "send", send_backwards)
    assert verdict(scenario) is Verdict.BROKEN


# -- a barrier on all processors --------------------------------------------------------------------------------------


def store_and_load(store, load, barrier):
    yield op.Store(store, 4)
    if barrier is not None:
        yield barrier
    value = yield load.load
    return value


def store_buffering(barrier, memory, *, reduced):
    """The outcomes of SB where one side has `barrier` between its store and its load, the other side has none."""
    world = World(LATEST, memory=memory, checks=False)
    process = world.process()
    rings = world.rings(process, send=16, receive=16)
    words = rings.send.tail, rings.receive.tail
    threads = [
        world.thread("one", lambda: store_and_load(*words, barrier)),
        world.thread("other", lambda: store_and_load(*reversed(words), None)),
    ]
    found = exhaustive(
        world.machine,
        world.start(),
        reduced=reduced,
        ending=lambda state: tuple(world.result(state, thread) for thread in threads),
    )
    assert found.verdict is Verdict.SAFE
    return found.endings


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("barrier", [None, op.Fence(), op.FenceAll()], ids=["none", "own", "all"])
def test_one_barrier_on_all_processors_is_enough_for_both_sides(barrier, memory, reduced):
    """A barrier of one's own does not help while the other side's store waits in its buffer."""
    expected = {(0, 4), (4, 0), (4, 4)}
    if memory == "tso" and not isinstance(barrier, op.FenceAll):
        expected.add((0, 0))
    assert store_buffering(barrier, memory, reduced=reduced) == expected


# -- the reduction on these scenarios ---------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", [LATEST, PROPOSED], ids=lambda revision: revision.name)
@named("returns", "return-skip", "return-unregister", "send-inside-indication-close", "send-halt", "stale-link")
def test_the_verdict_is_the_same_without_the_reduction(scenario, revision):
    setting = Setting(revision=revision, memory="tso")
    assert explore(scenario, setting, reduced=False).outcome.verdict is explore(scenario, setting).outcome.verdict
