"""Lost wake-ups: who sleeps while its work is there (spec driver §4.1, §8, win32 §6, B3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from wintun_model.abi import PACKET_HEADER_BYTES
from wintun_model.client import ClientRing, Outcome, ReadStrategy, WriteStrategy, write
from wintun_model.operations import CopyIn, Routine, Store, StoreSize
from wintun_model.ring import stored_bytes, wrap
from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.parts import always_safe, push_all, read_all, registered_client
from wintunsim.explore.scenarios.sending import send_packets
from wintunsim.explore.scenarios.sessions import receive_in_session, send_in_session, session_of
from wintunsim.explore.violation import Property
from wintunsim.explore.world import Rings, World, ipv4

Client = Callable[[Setting, Rings], Callable[[], Routine[object]]]
"""Makes a client's routine for some rings."""


# -- the receive ring: the driver's reader sleeps, a client writes ----------------------------------------------------


def _reader_asleep(client: Client, capacity: int = 64) -> Callable[[Setting], World]:
    """The driver's reader is about to sleep, or does, while a client writes packets."""

    def build(setting: Setting) -> World:
        world = setting.world()
        _, rings, *_ = registered_client(world, receive=capacity)
        world.thread("client", client(setting, rings))
        return world

    return build


PACKETS = (ipv4(1), ipv4(2))
"""The reader must be between its store of Alertable and its wait when the second one comes."""


def _published(*, has_barrier: bool = False) -> Client:
    return lambda setting, rings: partial(push_all, rings.client_ring("receive", has_barrier=has_barrier), PACKETS)


def _spins(setting: Setting, rings: Rings) -> Callable[[], Routine[object]]:
    """A client that spins for space when the ring is full: for the second packet it is."""
    return lambda: _write_all(rings.receive, PACKETS, WriteStrategy(attempts=2, spin_ticks=1))


def _write_all(ring: ClientRing, packets: Sequence[bytes], strategy: WriteStrategy) -> Routine[tuple[Outcome, ...]]:
    outcomes: tuple[Outcome, ...] = ()
    for packet in packets:
        outcomes += ((yield from write(ring, packet, strategy)),)
    return outcomes


def _always_sets(setting: Setting, rings: Rings) -> Callable[[], Routine[object]]:
    return lambda: _push_and_set(rings.receive, PACKETS)


def _push_and_set(ring: ClientRing, packets: Sequence[bytes]) -> Routine[None]:
    """A client that sets the event for each packet, and never looks at `Alertable`. There is space for all of them."""
    for packet in packets:
        tail = yield ring.tail.load
        yield StoreSize(ring, tail, len(packet))
        yield CopyIn(ring, tail + PACKET_HEADER_BYTES, packet, len(packet))
        yield Store(ring.tail, wrap(tail + stored_bytes(len(packet)), ring.capacity))
        yield ring.tail_moved.set


def _library(library: str) -> Client:
    return lambda setting, rings: partial(send_in_session, session_of(rings, library), PACKETS)


# -- the send ring: a client sleeps, the driver writes ----------------------------------------------------------------


def _client_asleep(client: Client, packets: int = 2) -> Callable[[Setting], World]:
    """A client reads as many packets as the driver sends, and sleeps when there is none."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, rings, *_ = registered_client(world, send=32)
        sent = [ipv4(number, 4) for number in range(packets)]
        world.thread("sender", lambda: send_packets(adapter, *sent))
        reader = world.thread("client", client(setting, rings))
        world.expect(
            lambda state: None if len(world.result(state, reader)) == packets else "the client lacks a packet",
            Property.PACKETS_IN_ORDER,
        )
        return world

    return build


def _reads(*, has_barrier: bool = False, spins: bool = False) -> Client:
    strategy = ReadStrategy(spin_ticks=1) if spins else ReadStrategy()
    return lambda setting, rings: partial(read_all, rings.client_ring("send", has_barrier=has_barrier), 2, strategy)


def _library_reads(setting: Setting, rings: Rings) -> Callable[[], Routine[object]]:
    session = session_of(rings, "0.14")
    return lambda: receive_in_session(session, rings.events[0], 2)


def _lacks_both(setting: Setting) -> bool:
    """Whether a client without a barrier may lose a wake-up."""
    return setting.memory == "tso" and not setting.revision.has_barrier_everywhere


def _lacks_the_drivers(setting: Setting) -> bool:
    """Whether a client with a barrier may lose one."""
    return _lacks_both(setting) and not setting.revision.has_full_barrier


_STORY = (
    "The client's store of Tail and the reader's store of Alertable both wait in store buffers while each side loads "
    "the other's word: both see the old value, the reader sleeps, and nobody wakes it."
)
_ONE_SIDE = "A barrier on one side only is not enough: the other side's store may still wait in its buffer."
_EVENT = (
    "The driver sets TailMoved after each store of Tail, whatever Alertable says, and setting an event makes the store "
    "visible first. So nothing can be lost here, on any memory."
)

register(
    Scenario(
        name="receive-wakeup",
        claim="B3",
        title="the driver's reader goes to sleep while a client written from the protocol writes a packet",
        build=_reader_asleep(_published()),
        is_broken=_lacks_both,
        story=f"{_STORY} {_ONE_SIDE}",
    ),
    Scenario(
        name="receive-wakeup-spins",
        claim="B3",
        title="the same with a client that spins for space in a ring that holds one packet",
        build=_reader_asleep(_spins, capacity=32),
        is_broken=_lacks_both,
        story=_STORY,
    ),
    Scenario(
        name="receive-wakeup-client-barrier",
        claim="B3",
        title="the same with a full barrier in the client, between its store of Tail and its load of Alertable",
        build=_reader_asleep(_published(has_barrier=True)),
        is_broken=_lacks_the_drivers,
        twin="receive-wakeup",
        story=_ONE_SIDE,
    ),
    always_safe(
        "receive-wakeup-always-set",
        "the same with a client that sets the event for each packet, whatever Alertable says",
        _reader_asleep(_always_sets),
        claim="B3",
        twin="receive-wakeup",
        story="Setting an event makes the store of Tail visible first, and Alertable is not asked: nothing is lost.",
    ),
    Scenario(
        name="receive-wakeup-library-0.14",
        claim="B3",
        title="the same with wintun.dll of 0.14, which has no barrier",
        build=_reader_asleep(_library("0.14")),
        is_broken=_lacks_both,
        story=f"{_STORY} {_ONE_SIDE}",
    ),
    Scenario(
        name="receive-wakeup-library-2026-02",
        claim="B3",
        title="the same with wintun.dll of 2026-02, which has a barrier",
        build=_reader_asleep(_library("2026-02")),
        is_broken=_lacks_the_drivers,
        twin="receive-wakeup-library-0.14",
        story=_ONE_SIDE,
    ),
    always_safe(
        "send-wakeup",
        "a client written from the protocol goes to sleep while the driver sends it packets",
        _client_asleep(_reads()),
        claim="B3",
        twin="receive-wakeup",
        story=_EVENT,
    ),
    always_safe(
        "send-wakeup-spins",
        "the same with a client that spins before it sleeps",
        _client_asleep(_reads(spins=True)),
        claim="B3",
        twin="receive-wakeup",
        story=_EVENT,
    ),
    always_safe(
        "send-wakeup-client-barrier",
        "the same with a full barrier in the client, between its store of Alertable and its load of Tail",
        _client_asleep(_reads(has_barrier=True)),
        claim="B3",
        twin="receive-wakeup",
        story=_EVENT,
    ),
    always_safe(
        "send-wakeup-library",
        "the same with wintun.dll, which never sets Alertable",
        _client_asleep(_library_reads),
        claim="B3",
        twin="receive-wakeup",
        story=_EVENT,
    ),
)
