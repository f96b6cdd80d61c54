"""Set-ups, routines and checks that several scenarios are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from wintun_model.abi import PACKET_HEADER_BYTES
from wintun_model.adapter import Adapter
from wintun_model.client import ClientRing, Outcome, ReadStrategy, pop, push, read
from wintun_model.operations import Routine, Store, StoreSize
from wintun_model.ring import wrap
from wintunsim.explore.program import Program
from wintunsim.explore.scenario import Scenario, Setting
from wintunsim.explore.world import FileObject, Rings, SmallProcess, World
from wintunsim.explore.writes import State

WAITS = ReadStrategy()


class SmallClient(NamedTuple):
    """An adapter, and a client of it with a handle and memory for two rings."""

    adapter: Adapter
    rings: Rings
    file_object: FileObject
    process: SmallProcess


def registered_client(world: World, *, send: int = 16, receive: int = 32) -> SmallClient:
    """A client whose rings, of so many bytes, are registered before the exploration begins."""
    adapter, process = world.adapter(), world.process()
    rings = world.rings(process, send=send, receive=receive)
    return SmallClient(adapter, rings, world.registered(adapter, process, rings), process)


def client_with_handle(
    world: World, *, adapter: Adapter | None = None, send: int = 16, receive: int = 32
) -> SmallClient:
    """A client that has opened the device, and may register rings of so many bytes."""
    adapter, process = adapter or world.adapter(), world.process()
    rings, file_object = world.rings(process, send=send, receive=receive), world.open(process, adapter)
    world.idle_reader(adapter, rings)
    return SmallClient(adapter, rings, file_object, process)


def always_safe(
    name: str, title: str, build: Callable[[Setting], World], *, twin: str, claim: str = "", story: str = ""
) -> Scenario:
    """A scenario that is expected to be safe whatever the setting; its twin is not."""
    return Scenario(
        name=name, title=title, build=build, is_broken=lambda setting: False, twin=twin, claim=claim, story=story
    )


def must_fail(name: str, title: str, build: Callable[[Setting], World], *, leaves_out: str) -> Scenario:
    """A scenario that is expected to be broken whatever the setting: its driver leaves out what every revision has."""
    return Scenario(name=name, title=title, build=build, is_broken=lambda setting: True, leaves_out=leaves_out)


def pop_some(ring: ClientRing, attempts: int) -> Routine[tuple[bytes, ...]]:
    """A client that looks so often whether there is a packet, and never waits. Returns what it got."""
    got: tuple[bytes, ...] = ()
    for _ in range(attempts):
        packet = yield from pop(ring)
        if isinstance(packet, bytes):
            got += (packet,)
        elif packet is Outcome.INVALID:
            return (*got, b"INVALID")
    return got


def read_all(ring: ClientRing, count: int, strategy: ReadStrategy = WAITS) -> Routine[tuple[bytes, ...]]:
    """A client that waits for `count` packets, or until the driver has stopped. Returns what it got."""
    got: tuple[bytes, ...] = ()
    while len(got) < count:
        packet = yield from read(ring, strategy)
        if not isinstance(packet, bytes):
            break
        got += (packet,)
    return got


def push_all(ring: ClientRing, packets: Sequence[bytes]) -> Routine[tuple[Outcome, ...]]:
    """A client that writes packets, each once. Returns what became of them."""
    outcomes: tuple[Outcome, ...] = ()
    for packet in packets:
        outcome = yield from push(ring, packet)
        outcomes += (outcome,)
    return outcomes


def push_bad(ring: ClientRing) -> Routine[None]:
    """A client that writes what can be no packet: its size is beyond the largest."""
    tail = yield ring.tail.load
    yield StoreSize(ring, tail, ring.limits.max_packet_bytes + 1)
    yield Store(ring.tail, wrap(tail + PACKET_HEADER_BYTES, ring.capacity))
    yield ring.tail_moved.set


def got_only(world: World, client: Program, packets: Sequence[bytes]) -> Callable[[State], str | None]:
    """An end check: the client got none but these packets, and none of them twice."""

    def check(state: State) -> str | None:
        got = world.result(state, client)
        if len(set(got)) != len(got):
            return f"a packet arrives twice: {_text(got)}"
        if set(got) - set(packets):
            return f"what arrives was never sent: {_text(got)}"
        return None

    return check


def _text(packets: Sequence[bytes]) -> str:
    return ", ".join(packet.hex() for packet in packets)
