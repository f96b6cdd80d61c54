"""Closing: the client's last handle goes while somebody uses the rings (spec driver §6.1, §6.2)."""

from __future__ import annotations

from wintun_model.dispatch import close
from wintun_model.operations import Wait
from wintunsim.explore.files import close_handle
from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.lives import Build, one_handle, owned_by, registers, sends, without
from wintunsim.explore.scenarios.parts import (
    always_safe,
    client_with_handle,
    must_fail,
    push_all,
    read_all,
    registered_client,
)
from wintunsim.explore.violation import Property
from wintunsim.explore.world import World, ipv4

STOPPED = 0xFFFFFFFF


def _close_against_send(*, has_barrier: bool) -> Build:
    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, _, file_object, _ = registered_client(world)
        lock = adapter.transition_lock
        left_out = () if has_barrier else (lock.acquire, lock.release)
        world.thread("sender", lambda: sends(adapter, 1))
        world.thread("close", lambda: without(close(adapter, file_object), *left_out))
        return world

    return build


def _close_against_read(packets: int, *, sets_event: bool = True) -> Build:
    """A client reads until the driver has stopped, waiting as the protocol says; another thread of it closes."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, rings, file_object, _ = registered_client(world)
        if packets:
            world.thread("sender", lambda: sends(adapter, *range(1, packets + 1)))
        world.thread("client", lambda: read_all(rings.send, packets + 1))
        left_out = () if sets_event else (rings.events[0].set,)
        world.thread("close", lambda: without(close(adapter, file_object), *left_out))
        return world

    return build


def _close_against_write(*, waits: bool) -> Build:
    """A client writes a packet; another thread of it closes the handle."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, rings, file_object, _ = registered_client(world)
        left_out = () if waits else (Wait,)
        world.thread("client", lambda: push_all(rings.receive, (ipv4(1),)))
        world.thread("close", lambda: without(close(adapter, file_object), *left_out))
        head = rings.receive_region.words[0]
        world.expect(
            lambda state: None if state[head] == STOPPED else f"closed, but receive Head is {state[head]}",
            Property.STAYS_CLOSED,
        )
        return world

    return build


def _close_against_own_register(setting: Setting) -> World:
    """A client registers on a handle that another thread of it closes."""
    world = setting.world()
    adapter, rings, file_object, process = client_with_handle(world)
    world.thread("client", lambda: registers(world, process, one_handle(file_object), rings))
    world.thread("close", lambda: close_handle(one_handle(file_object)))
    owned_by(world, adapter, None)
    return world


register(
    always_safe(
        "close-send",
        "the client closes its handle while NDIS sends a packet",
        _close_against_send(has_barrier=True),
        twin="close-send-no-barrier",
        story=(
            "Unregister sets the disconnected event and then takes the transition lock exclusively: who saw the event "
            "clear holds that lock until its packet is in the ring, so the pages go when nobody writes them any more."
        ),
    ),
    must_fail(
        "close-send-no-barrier",
        "the same in a driver whose unregister takes no transition lock",
        _close_against_send(has_barrier=False),
        leaves_out="the transition-lock barrier of unregister",
    ),
    always_safe(
        "close-read",
        "the client closes its handle while it reads the send ring and NDIS sends a packet",
        _close_against_read(1),
        twin="close-read-no-event",
        story=(
            "Unregister stores Tail = 0xFFFFFFFF and sets TailMoved after it: a client that waits wakes up and sees "
            "that the driver has stopped, whatever it was about to do."
        ),
    ),
    must_fail(
        "close-read-no-event",
        "the same in a driver that does not set TailMoved at the end",
        _close_against_read(1, sets_event=False),
        leaves_out="the setting of TailMoved at the end",
    ),
    always_safe(
        "close-wait",
        "the client closes its handle while it goes to sleep beside an empty send ring",
        _close_against_read(0),
        twin="close-wait-no-event",
        story="As above: the event is set after the store of Tail, so nobody sleeps for ever.",
    ),
    must_fail(
        "close-wait-no-event",
        "the same in a driver that does not set TailMoved at the end",
        _close_against_read(0, sets_event=False),
        leaves_out="the setting of TailMoved at the end",
    ),
    always_safe(
        "close-write",
        "the client closes its handle while it writes a packet that the stack returns at once",
        _close_against_write(waits=True),
        twin="close-write-no-wait",
        story=(
            "Unregister waits for the end of the reader thread, which waits for its packets: then Head is 0xFFFFFFFF "
            "and the pages may go."
        ),
    ),
    must_fail(
        "close-write-no-wait",
        "the same in a driver that does not wait for its reader thread",
        _close_against_write(waits=False),
        leaves_out="the wait for the reader thread",
    ),
    Scenario(
        name="close-own-register",
        title="a client closes a handle on which another thread of it registers rings",
        build=_close_against_own_register,
        is_broken=lambda setting: not setting.rules.close_is_alone,
        rules=("close_is_alone",),
        story=(
            "The request that registers holds the file object, so the close comes after it and ends the registration. "
            "Did it run beside it, it might find no owner yet: the registration would outlive its handle."
        ),
    ),
)
