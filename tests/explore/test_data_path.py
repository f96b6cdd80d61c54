"""The scenarios of the two data paths: what decides their verdicts, and that what is called safe could be broken."""

from dataclasses import replace

import pytest

from wintun_model import operations as op
from wintun_model.adapter import SendChain
from wintun_model.revision import PROPOSED, PROPOSED_CHANGES, REVISIONS, revision_named
from wintun_model.ring import stored_bytes, wrap
from wintunsim.explore.explorer import explore
from wintunsim.explore.scenario import MEMORIES, Setting, all_scenarios, find
from wintunsim.explore.scenarios import inside, sending, sessions, wakeups
from wintunsim.explore.search import Verdict
from wintunsim.explore.strategies.exhaustive import exhaustive
from wintunsim.explore.violation import Property
from wintunsim.explore.world import World

LATEST = REVISIONS["2026-02"]
NEWEST_LAST = ("0.8.1", "0.14", "2026-02", "proposed")

CLOSES = {
    "counts_before_release": ("send-halt", "sends-halt", "refused-send-halt"),
    "completes_after_release": ("send-inside-completion",),
    "indicates_after_release": ("send-inside-indication-close",),
    "stores_head_before_empty": ("return-skip", "return-end", "pause-return"),
    "empties_after_return": (
        "return-unregister", "return-register-again", "return-halt", "returns-halt",
        "return-skip", "return-end", "pause-return",
    ),
    "refuses_unaligned": ("unaligned-send", "unaligned-receive"),
    "has_barrier_everywhere": ("receive-wakeup", "receive-wakeup-spins", "receive-wakeup-library-0.14"),
}  # fmt: skip
"""Which scenarios of 2026-02 each proposed change closes, alone."""


def verdict(scenario, revision=LATEST, memory="tso"):
    return explore(scenario, Setting(revision=revision, memory=memory)).outcome.verdict


def named(*names):
    return pytest.mark.parametrize("scenario", find(names), ids=names)


closing = [
    pytest.param(switch, scenario, id=f"{switch}-{scenario.name}")
    for switch, names in CLOSES.items()
    for scenario in find(names)
]


# -- the proposed changes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("switch", "scenario"), closing)
def test_a_proposed_change_closes_alone_what_it_is_for(switch, scenario):
    assert verdict(scenario) is Verdict.BROKEN
    changed = replace(LATEST, **{switch: True})
    assert [verdict(scenario, changed, memory) for memory in MEMORIES] == [Verdict.SAFE, Verdict.SAFE]


@pytest.mark.parametrize("switch", CLOSES)
def test_without_a_change_the_proposed_revision_has_a_race(switch):
    without = replace(PROPOSED, **{switch: False})
    is_broken = any(verdict(scenario, without) is Verdict.BROKEN for scenario in find(CLOSES[switch]))
    # What is open of B2 is closed by the change for B8 too.
    assert is_broken is (switch != "stores_head_before_empty")


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize(
    "scenario",
    [pytest.param(each, id=name) for name, each in all_scenarios().items() if not each.leaves_out],
)
def test_the_proposed_revision_is_safe_in_every_scenario(scenario, memory):
    assert verdict(scenario, PROPOSED, memory) is Verdict.SAFE


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


def test_all_switches_are_tried():
    assert set(CLOSES) <= set(PROPOSED_CHANGES)


# -- the rules of the surroundings, twins -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "rule"),
    [pytest.param(each, rule, id=f"{name}-{rule}") for name, each in all_scenarios().items() for rule in each.rules],
)
def test_a_rule_that_decides_a_verdict_changes_it(scenario, rule):
    pairs = []
    for name in ("0.8.1", "2026-02"):
        setting = Setting(revision=REVISIONS[name], memory="tso")
        changes = {"deny" if getattr(setting.rules, rule) else "assume": [rule]}
        changed = replace(setting, rules=setting.rules.with_changes(**changes))
        pairs.append([explore(scenario, each).outcome.verdict.value for each in (setting, changed)])
        assert pairs[-1] == [scenario.expected(setting), scenario.expected(changed)]
    assert any(before != after for before, after in pairs)


def is_ever_broken(scenario):
    return any(
        scenario.is_broken(Setting(revision=revision_named(name), memory=memory))
        for name in NEWEST_LAST
        for memory in MEMORIES
    )


@pytest.mark.parametrize("scenario", [pytest.param(each, id=name) for name, each in all_scenarios().items()])
def test_what_is_safe_everywhere_has_a_twin_that_fails(scenario):
    if not is_ever_broken(scenario) and not scenario.rules:
        (twin,) = find([scenario.twin])
        assert is_ever_broken(twin)


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
