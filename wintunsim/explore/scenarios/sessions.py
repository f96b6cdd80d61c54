"""Several threads in wintun.dll's session layer: allocate, send, receive, release in any order (spec win32 §6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from wintun_model.operations import CopyIn, CopyOut, Event, Routine, Wait
from wintun_model.session import (
    LIBRARY_REVISIONS,
    Session,
    allocate_send_packet,
    receive_packet,
    release_receive_packet,
    send_packet,
)
from wintun_model.status import Win32Error
from wintunsim.explore.scenario import Setting, register
from wintunsim.explore.scenarios.parts import always_safe, registered_client
from wintunsim.explore.scenarios.sending import send_packets
from wintunsim.explore.scenarios.stacks import Recorder
from wintunsim.explore.violation import Property
from wintunsim.explore.world import Rings, World, ipv4
from wintunsim.explore.writes import State

Placed = tuple[tuple[int, bytes], ...]
"""Packets, each with where its data is in the ring."""


def session_of(rings: Rings, library: str) -> Session:
    """A session of wintun.dll over these rings, as that revision of the library works."""
    return Session(
        rings.session_ring("send"),
        rings.session_ring("receive"),
        rings.events[1],
        revision=LIBRARY_REVISIONS[library],
        limits=rings.send.limits,
    )


def send_in_session(session: Session, packets: Sequence[bytes], *, backwards: bool = False) -> Routine[Placed]:
    """Allocate space for packets, fill it and send them. With `backwards`, the last one that was allocated first."""
    placed: Placed = ()
    for packet in packets:
        error, offset = yield from allocate_send_packet(session, len(packet))
        if error:
            break
        placed += ((offset, packet),)
        if not backwards:
            yield CopyIn(session.sending, offset, packet, len(packet))
            yield from send_packet(session, offset)
    if backwards:
        for offset, packet in reversed(placed):
            yield CopyIn(session.sending, offset, packet, len(packet))
            yield from send_packet(session, offset)
    return placed


def receive_in_session(session: Session, moved: Event, count: int) -> Routine[Placed]:
    """Receive packets, waiting for the read event when there is none; look at each and release it."""
    got: Placed = ()
    while len(got) < count:
        error, offset, size = yield from receive_packet(session)
        if error == Win32Error.ERROR_NO_MORE_ITEMS:
            yield Wait((moved,))
        elif error:
            break
        else:
            got += ((offset, (yield CopyOut(session.receiving, offset, size))),)
            yield from release_receive_packet(session, offset)
    return got


def _receive_at_once(session: Session, attempts: int, *, backwards: bool) -> Routine[Placed]:
    """Try so often to receive a packet; release them at the end, `backwards` or not, after a look at each."""
    held: tuple[tuple[int, int], ...] = ()
    got: Placed = ()
    for _ in range(attempts):
        error, offset, size = yield from receive_packet(session)
        if not error:
            held += ((offset, size),)
    for offset, size in reversed(held) if backwards else held:
        got += ((offset, (yield CopyOut(session.receiving, offset, size))),)
        yield from release_receive_packet(session, offset)
    return got


def _several_send(setting: Setting) -> World:
    world = setting.world()
    adapter, rings, *_ = registered_client(world, receive=64)
    recorder = Recorder(world)
    world.may_oversleep(adapter)
    session = session_of(rings, "0.14")
    threads = [
        world.thread(f"thread {number}", partial(send_in_session, session, (ipv4(number),))) for number in (1, 2)
    ]

    def check(state: State) -> str | None:
        placed = sorted(place for thread in threads for place in world.result(state, thread))
        seen, expected = recorder.seen(state), tuple(packet for _, packet in placed)
        return None if seen == expected[: len(seen)] else "packets come up in another order than they were allocated in"

    world.expect(check, Property.PACKETS_IN_ORDER)
    return world


def _several_receive(library: str) -> Callable[[Setting], World]:
    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, rings, *_ = registered_client(world, send=32)
        session = session_of(rings, library)
        packets = [ipv4(number, 4) for number in (1, 2, 3, 4)]
        world.set_up("packets are there", lambda: send_packets(adapter, *packets[:3]))
        # For the fourth one there is space once the first one is released.
        world.thread("sender", lambda: send_packets(adapter, *packets[3:]))
        threads = [
            world.thread(f"thread {number}", partial(_receive_at_once, session, count, backwards=count > 1))
            for number, count in ((1, 2), (2, 1))
        ]

        def check(state: State) -> str | None:
            got = [packet for _, packet in sorted(place for each in threads for place in world.result(state, each))]
            return None if got == packets[: len(got)] else "packets are not those that were sent, each once"

        world.expect(check, Property.PACKETS_IN_ORDER)
        return world

    return build


register(
    always_safe(
        "session-send",
        "two threads send packets in one session of wintun.dll",
        _several_send,
        twin="receive-wakeup-library-0.14",
        story="Packets come up in the order of their allocation, whole and each once, whoever sends first.",
    ),
    always_safe(
        "session-receive",
        "two threads receive and release packets in one session of wintun.dll, one of them backwards",
        _several_receive("0.14"),
        twin="senders-full-ring",
        story="Head stays behind the oldest packet that is not released: nobody overwrites what somebody still has.",
    ),
)
