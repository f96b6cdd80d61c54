"""How long the routines' parts take on one machine, measured on the routines themselves.

Each routine is walked through once for each way that it can go: its operations' costs are added up as the step engine
does, and the operations that others may see must come in the order that is known here. So no figure stands twice, and
a routine that has changed its shape is refused (`UnknownShape`), never guessed at. All times are in ns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from wintun_model.adapter import Packet, SendChain, SendNbl
from wintun_model.client import ClientRing, Outcome, ReadStrategy, WriteStrategy, push, read, write
from wintun_model.receive import read_ring
from wintun_model.revision import Revision
from wintun_model.send import send
from wintunsim.experiments.client import Client
from wintunsim.experiments.fast.walk import UnknownShape, Walk, late, put
from wintunsim.experiments.fast.world import world
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.effects import FREQUENCY, TICK_NS


@dataclass(frozen=True, slots=True)
class SendTimes:
    """One chain handed down, from its start. What copying takes comes on top from `published` on."""

    loaded: int
    """Head is loaded, and the space counted."""
    published: int
    """From there to the store of Tail, for a chain of no packets; the event is set at the same time."""
    each: int
    """So much later for each packet."""
    completed: int
    """From there to the completion."""
    end: int
    """From there to the end of the call."""
    refused: int
    """From the load of Head to the completion of a refusal."""
    refused_end: int


@dataclass(frozen=True, slots=True)
class ReadTimes:
    """The driver's reader. `seen` is where it knows that there is a packet: a load of Tail, or the end of its spin."""

    begins: int
    """From the thread's start to the first load of Tail."""
    spins: int
    """From a load of Tail that found nothing to the look that begins the spin."""
    spin_limit: int
    notices: int
    """From a store to the end of the spin that it ends."""
    alertable: int
    """From the end of a spin in vain to the store of Alertable."""
    looks: int
    """From there to the load of Tail after it."""
    waits: int
    """From there to the wait."""
    woken: int
    """From the end of a wait to the store of Alertable."""
    again: int
    """From there to the next load of Tail."""
    lowers: int
    """From the load that found a packet after all to the store of Alertable."""
    clears: int
    """From there to the clearing of the event; `seen` is there."""
    empty_cleared: int
    """From `seen` to the clearing of "empty"."""
    indicated: int
    """From there to the indication and the return inside of it."""
    empty_set: int
    """From there to the setting of "empty"."""
    returned: int
    """From there to the store of Head."""
    next: int
    """From there to the next load of Tail."""


@dataclass(frozen=True, slots=True)
class ClientTimes:
    """The client. `seen` is the load of Tail that found a packet; what copying takes comes on top."""

    loads: int
    """From the beginning of an attempt to the load of Tail."""
    spins: int
    """From that load to the look that begins the spin."""
    notices: int
    sleeps: int
    """From that load, or from the end of a spin in vain, to the beginning of a sleep."""
    alertable: int
    """From that load, or from the end of a spin in vain, to the store of Alertable."""
    looks: int
    """From there to the load of Tail after it."""
    waits: int
    """From there to the wait."""
    woken: int
    """From the wait's end to the store of Alertable, where the next attempt begins."""
    taken: int
    """From `seen` to the store of Head."""
    lowers: int
    """From there to the store of Alertable, when the packet was found after raising it."""
    clears: int
    """From there to the clearing of the event."""
    push_loads: int
    """From the beginning of a write to the load of Head."""
    push_tail: int
    """From there to the load of Tail: what is full is known."""
    push_stores: int
    """From there to the store of Tail."""
    push_looks: int
    """From there to the load of Alertable, or to the setting of the event for a client that always does."""
    push_sets: int
    """Setting the event."""
    rechecks: int
    """From the load of Alertable to the look that begins a spin on it."""
    full_loads: int
    """From where it is known that the ring is full to the load of Head before a spin."""
    full_spins: int
    """From there to the look that begins the spin."""
    full_yields: int
    """From where it is known that the ring is full to the yield."""
    yielded: int
    """What yielding takes from there on."""
    full_sleeps: int
    """From where it is known that the ring is full to the beginning of a sleep."""


@dataclass(frozen=True, slots=True)
class Timings:
    """All of them."""

    send: SendTimes
    read: ReadTimes
    client: ClientTimes

    def as_list(self) -> list[int]:
        """Every one, in their order."""
        return [getattr(part, item.name) for part in (self.send, self.read, self.client) for item in fields(part)]


def _chain(count: int) -> SendChain:
    return SendChain(tuple(SendNbl((Packet(bytes(20)),)) for _ in range(count)))


def _send_times(costs: Costs, revision: Revision) -> SendTimes:
    found = []
    for count in (1, 2, 5):
        walk = Walk(costs)
        walk.run(send(world(revision)[0], _chain(count)))
        times = walk.expect("Load send.Head", "Store send.Tail", "Set send moved", "CompleteSend")
        if times[2] != times[1]:
            raise UnknownShape("the event is set later than Tail is stored")
        found.append((times[0], times[1], times[3] - times[1], walk.now - times[3]))
    one, two, five = found
    each = two[1] - one[1]
    if five != (one[0], one[1] + 4 * each, *one[2:]) or two != (one[0], one[1] + each, *one[2:]):
        raise UnknownShape("sending takes other than so much for each packet")
    refusals = []
    for count in (1, 2):
        walk = Walk(costs)
        adapter, ring, _ = world(revision)
        ring.head.cells[0], adapter.send_reserved_tail.value = 8, 0
        walk.run(send(adapter, _chain(count)))
        times = walk.expect("Load send.Head", "CompleteSend")
        refusals.append((times[0], times[1], walk.now))
    if refusals[0] != refusals[1] or refusals[0][0] != one[0]:
        raise UnknownShape("a refusal takes longer for more packets")
    loaded, completed, end = refusals[0]
    return SendTimes(loaded, one[1] - each - loaded, each, one[2], one[3], completed - loaded, end - completed)


def _read_times(costs: Costs, revision: Revision) -> ReadTimes:
    adapter, _, ring = world(revision)
    walk = Walk(costs)
    walk.actions["spin"] = lambda: put(ring, 24)
    walk.run(read_ring(adapter), until="Store receive.Alertable")
    body = ["Clear a.receive list empty", "IndicateReceive", "Set a.receive list empty", "Store receive.Head"]
    times = walk.expect(
        "Load receive.Head", "Load receive.Tail", "Spin", *body, "Load receive.Tail", "Spin", "Store receive.Alertable"
    )
    begins, spun = times[1], times[2]
    cleared, indicated, is_empty, returned, following = (times[place + 1] - times[place] for place in range(2, 7))

    # It waits, and is woken.
    adapter, _, ring = world(revision)
    walk = Walk(costs)
    walk.actions["wait"] = lambda: put(ring, 24)
    walk.run(read_ring(adapter), until="IndicateReceive")
    fence = ("Fence",) * revision.has_full_barrier
    waits = walk.expect(
        "Load receive.Head", "Load receive.Tail", "Spin", "Store receive.Alertable", *fence, "Load receive.Tail",
        "Wait", "Store receive.Alertable", "Load receive.Tail", body[0], "IndicateReceive",
    )  # fmt: skip
    raised, looked, waited, lowered, again = waits[3], *waits[4 + len(fence) : 8 + len(fence)]

    # A packet comes just after it has said that it waits.
    adapter, _, ring = world(revision)
    after = Walk(costs)
    after.run(late(read_ring(adapter), lambda: put(ring, 24)), until="IndicateReceive")
    found = after.expect(
        "Load receive.Head", "Load receive.Tail", "Spin", "Store receive.Alertable", *fence, "Load receive.Tail",
        "Store receive.Alertable", "Clear receive moved", body[0], "IndicateReceive",
    )  # fmt: skip
    looked_late, lowered_late, cleared_late, empty_late = found[4 + len(fence) : 8 + len(fence)]
    if empty_late - cleared_late != cleared or waits[-2] - waits[-3] != cleared:
        raise UnknownShape("reading a packet takes longer after a wait")
    return ReadTimes(
        begins=begins,
        spins=spun - begins,
        spin_limit=FREQUENCY // 10000 * TICK_NS,
        notices=costs.pass_ns,
        alertable=raised - spun,
        looks=looked - raised,
        waits=waited - looked,
        woken=lowered - waited,
        again=again - lowered,
        lowers=lowered_late - looked_late,
        clears=cleared_late - lowered_late,
        empty_cleared=cleared,
        indicated=indicated,
        empty_set=is_empty,
        returned=returned,
        next=following,
    )


def _client_times(costs: Costs, revision: Revision, client: Client) -> ClientTimes:
    has_barrier, strategy = client.barrier, client.reading
    fence = ("Fence",) * has_barrier

    def walk(start: Any) -> tuple[Walk, ClientRing]:
        _, ring, _ = world(revision)
        ring.has_barrier = has_barrier
        one = Walk(costs, in_user_mode=True)
        start(one, ring)
        return one, ring

    def copied(one: Walk, _ring: Any) -> None:
        put(_ring, 24)
        if one.run(read(_ring, ReadStrategy())) is Outcome.EMPTY:
            raise UnknownShape("a packet is not read")

    one, _ = walk(copied)
    times = one.expect("Load send.Head", "Load send.Tail", "Store send.Head")
    loads, taken = times[1], times[2] - times[1]
    if one.now != times[2]:
        raise UnknownShape("a client that has taken a packet does more")

    def waiting(one: Walk, ring: ClientRing) -> None:
        one.actions["wait"] = lambda: put(ring, 24)
        one.run(read(ring, ReadStrategy()))

    one, _ = walk(waiting)
    times = one.expect(
        "Load send.Head", "Load send.Tail", "Store send.Alertable", *fence, "Load send.Head", "Load send.Tail", "Wait",
        "Store send.Alertable", "Load send.Head", "Load send.Tail", "Store send.Head",
    )  # fmt: skip
    place = 4 + len(fence)
    alertable, looks, waits = times[2] - times[1], times[place] - times[2], times[place + 1] - times[place]
    woken = times[place + 2] - times[place + 1]
    if times[place + 4] - times[place + 2] != loads:
        raise UnknownShape("a client that was woken does more")

    def just_late(one: Walk, ring: ClientRing) -> None:
        one.run(late(read(ring, ReadStrategy()), lambda: put(ring, 24)))

    one, _ = walk(just_late)
    times = one.expect(
        "Load send.Head", "Load send.Tail", "Store send.Alertable", *fence, "Load send.Head", "Load send.Tail",
        "Store send.Head", "Store send.Alertable", "Clear send moved",
    )  # fmt: skip
    lowers, clears = times[place + 2] - times[place + 1], times[place + 3] - times[place + 2]
    if times[place + 1] - times[place] != taken or one.now != times[place + 3]:
        raise UnknownShape("a client that found a packet late takes it in another time")

    spins, sleeps = _pauses(walk, strategy, loads)
    return ClientTimes(
        loads, spins, costs.pass_ns, sleeps, alertable, looks, waits, woken, taken, lowers, clears,
        *_push_times(costs, revision, client), *_retry_times(costs, revision, client.writing),
    )  # fmt: skip


def _pauses(walk: Any, strategy: ReadStrategy, loads: int) -> tuple[int, int]:
    """From the load of Tail to the beginning of a spin, and of a sleep; 0 for a client that does not."""
    spins = sleeps = 0
    if strategy.spin_ticks:

        def spinning(one: Walk, ring: ClientRing) -> None:
            one.actions["spin"] = lambda: put(ring, 24)
            one.run(read(ring, strategy))

        one, _ = walk(spinning)
        times = one.expect(
            "Load send.Head", "Load send.Tail", "Load send.Head", "Spin", "Load send.Head", "Load send.Tail",
            "Store send.Head",
        )  # fmt: skip
        spins = times[3] - times[1]
        if times[5] - times[3] != loads:
            raise UnknownShape("a client that has spun does more")
    if strategy.sleep_ns:
        one, _ = walk(lambda one, ring: one.run(read(ring, ReadStrategy(sleep_ns=1)), until="Sleep"))
        times = one.expect("Load send.Head", "Load send.Tail", "Sleep")
        sleeps = times[2] - times[1]
    return spins, sleeps


def _push_times(costs: Costs, revision: Revision, client: Client) -> Sequence[int]:
    fence = ("Fence",) * client.barrier
    found = []
    for is_alertable in (0, 1):
        _, _, ring = world(revision)
        ring.has_barrier, ring.always_sets = client.barrier, client.always_set
        ring.alertable.cells[2] = is_alertable
        one = Walk(costs, in_user_mode=True)
        one.run(push(ring, bytes(20)))
        looks = () if client.always_set else ("Load receive.Alertable",)
        sets = ("Set receive moved",) * (is_alertable or client.always_set)
        times = one.expect("Load receive.Head", "Load receive.Tail", "Store receive.Tail", *fence, *looks, *sets)
        looked = times[3 + len(fence)]
        found.append((times[0], times[1] - times[0], times[2] - times[1], looked - times[2], one.now - looked))
    plain, alerted = found
    rechecks = 0
    if client.rechecking_ticks and not client.always_set:
        _, _, ring = world(revision)
        ring.has_barrier, ring.recheck_ticks = client.barrier, client.rechecking_ticks
        one = Walk(costs, in_user_mode=True)
        one.actions["spin"] = lambda: ring.alertable.cells.__setitem__(2, 1)
        one.run(push(ring, bytes(20)))
        times = one.expect(
            "Load receive.Head", "Load receive.Tail", "Store receive.Tail", *fence, "Load receive.Alertable", "Spin",
            "Set receive moved",
        )  # fmt: skip
        rechecks = times[-2] - times[-3]
        if times[-1] != times[-2] or one.now - times[-1] != alerted[4]:
            raise UnknownShape("setting the event takes longer after a spin")
    return (*plain[:4], alerted[4], rechecks)


def _retry_times(costs: Costs, revision: Revision, strategy: WriteStrategy) -> Sequence[int]:
    """What it does when the ring is full, from where that is known; 0 for what it does not."""
    spins = (0, 0)
    others = {"Yield": 0, "Sleep": 0}
    name = "Spin" if strategy.spin_ticks else "Yield" if strategy.yields else "Sleep" if strategy.sleep_ns else ""
    if strategy.attempts > 1 and name:
        _, _, ring = world(revision)
        ring.head.cells[0], ring.tail.cells[1] = 8, 4
        one = Walk(costs, in_user_mode=True)
        one.run(write(ring, bytes(20), strategy), until=name)
        loads = ("Load receive.Head",) * (name == "Spin")
        times = one.expect("Load receive.Head", "Load receive.Tail", *loads, name)
        if loads:
            spins = times[2] - times[1], times[3] - times[2]
        else:
            others[name] = times[2] - times[1]
    return (*spins, others["Yield"], costs.yield_ns, others["Sleep"])


DRAWN = ("lock_ns", "event_ns", "system_call_ns", "ndis_ns")
"""The figures of `Costs` that a part of a routine may take by chance."""


def measure(costs: Costs, revision: Revision, client: Client) -> tuple[list[int], list[list[int]]]:
    """The timings of one machine, driver and client: what is always the same, and how often `DRAWN` come on top.

    Both as `Timings.as_list` has them. UnknownShape when a routine goes another way than known here.
    """
    varying = [name for name in DRAWN if not isinstance(getattr(costs, name), int)]
    fixed = replace(costs, **dict.fromkeys(varying, 0))

    def measured(costs: Costs) -> list[int]:
        times = Timings(
            _send_times(costs, revision), _read_times(costs, revision), _client_times(costs, revision, client)
        )
        return times.as_list()

    plain = measured(fixed)
    counts = []
    for name in DRAWN:
        changed = measured(replace(fixed, **{name: 1})) if name in varying else plain
        counts.append([more - time for more, time in zip(changed, plain, strict=True)])
    return plain, counts
