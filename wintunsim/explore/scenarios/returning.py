"""Returning: NDIS gives packets back while others do, while the reader ends, while memory goes (spec driver §4.4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from wintun_model.adapter import Adapter
from wintun_model.dispatch import close
from wintun_model.operations import Routine
from wintun_model.registration import register as register_rings
from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.parts import push_all, push_bad, registered_client
from wintunsim.explore.scenarios.stacks import Keeper, pause_and_halt
from wintunsim.explore.violation import Property
from wintunsim.explore.world import FileObject, Rings, SmallProcess, World, ipv4
from wintunsim.explore.writes import State

STOPPED = 0xFFFFFFFF


def _keeping(world: World, packets: int, capacity: int = 64) -> tuple[Adapter, SmallProcess, Rings, FileObject, Keeper]:
    """An adapter whose stack keeps so many packets already."""
    adapter, rings, file_object, process = registered_client(world, receive=capacity)
    keeper = Keeper(world, packets)
    world.set_up("packets come up", lambda: push_all(rings.receive, [ipv4(number) for number in range(packets)]))
    return adapter, process, rings, file_object, keeper


def _all_came_back(rings: Rings) -> Callable[[State], str | None]:
    head, tail, _ = rings.receive_region.words
    return lambda state: None if state[head] == state[tail] else f"all came back, but Head stays at {state[head]}"


def _concurrent_returns(setting: Setting) -> World:
    world = setting.world()
    adapter, _, rings, _, keeper = _keeping(world, 2)
    for number in (1, 2):
        world.thread(f"return {number}", partial(keeper.give_back, adapter, number))
    world.expect(_all_came_back(rings), Property.PACKETS_IN_ORDER)
    return world


def _return_against_skip(setting: Setting) -> World:
    world = setting.world(failing=("NBL",))
    adapter, _, rings, _, keeper = _keeping(world, 1)
    world.thread("return", lambda: keeper.give_back(adapter, 1))
    world.thread("client", lambda: push_all(rings.client_ring("receive", has_barrier=True), (ipv4(9),)))
    if setting.memory == "tso":
        world.may_oversleep(adapter)
    return world


def _return_against_end(setting: Setting) -> World:
    world = setting.world()
    adapter, _, rings, _, keeper = _keeping(world, 1)
    world.set_up("a bad packet", lambda: push_bad(rings.receive))
    world.thread("return", lambda: keeper.give_back(adapter, 1))
    head = rings.receive_region.words[0]
    world.expect(
        lambda state: None if state[head] == STOPPED else f"the reader has ended, but Head is {state[head]}",
        Property.STAYS_CLOSED,
    )
    return world


def _return_against_unregister(setting: Setting) -> World:
    world = setting.world()
    adapter, _, _, file_object, keeper = _keeping(world, 1)
    world.thread("return", lambda: keeper.give_back(adapter, 1))
    world.thread("close", lambda: close(adapter, file_object))
    return world


def _again(adapter: Adapter, world: World, process: SmallProcess, old: FileObject, rings: Rings) -> Routine[int]:
    """A client that closes its handle, registers other rings on another one, and writes a packet."""
    yield from close(adapter, old)
    request = world.registration(process, world.file_objects[1], rings)
    status = yield from register_rings(adapter, request)
    if not status:
        yield from push_all(rings.client_ring("receive", has_barrier=True), (ipv4(9),))
    return status


def _return_against_registration(setting: Setting) -> World:
    world = setting.world()
    adapter, process, _, old, keeper = _keeping(world, 1)
    others = world.rings(process, send=16, receive=64, name="new ")
    world.open(process, adapter)
    world.thread("return", lambda: keeper.give_back(adapter, 1))
    world.thread("client", lambda: _again(adapter, world, process, old, others))
    world.may_oversleep(adapter)
    return world


def _returns_against_halt(returns: int) -> Callable[[Setting], World]:
    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, _, _, _, keeper = _keeping(world, returns)
        world.machine.watch_context(adapter)
        for number in range(1, returns + 1):
            world.thread(f"return {number}", partial(keeper.give_back, adapter, number))
        waits = keeper.returned if setting.rules.halt_waits_for_returns else []
        world.thread("system", lambda: pause_and_halt(adapter, (), waits))
        return world

    return build


def _races_between_returns(setting: Setting) -> bool:
    return not (
        setting.revision.stores_head_under_lock
        or setting.revision.stores_head_before_empty
        or setting.rules.returns_are_serialised
    )


def _keeps_order(setting: Setting) -> bool:
    return setting.revision.stores_head_before_empty or setting.revision.empties_after_return


register(
    Scenario(
        name="returns",
        claim="B2",
        title="two packets are returned by two threads at once",
        build=_concurrent_returns,
        is_broken=_races_between_returns,
        rules=("returns_are_serialised",),
        story=(
            "Each return call takes the oldest packet off the list under the receive lock, and stores Head once it has "
            "released the lock. Held up in between, it stores the older Head last: Head goes back, and stays there."
        ),
    ),
    Scenario(
        name="return-skip",
        claim="B2",
        title="a packet is returned while the reader skips the one after it",
        build=_return_against_skip,
        is_broken=lambda setting: not _keeps_order(setting),
        story=(
            'The return call sets "receive list empty" before it stores Head. The reader waits for that event and '
            "stores its own head, which is further on; then comes the store of the return call, and Head goes back."
        ),
    ),
    Scenario(
        name="return-end",
        claim="B2",
        title="a packet is returned while the reader comes to its end",
        build=_return_against_end,
        is_broken=lambda setting: not _keeps_order(setting),
        story=(
            'The reader has met a bad packet and waits for "receive list empty", which the return call sets before it '
            "stores Head. Head becomes 0xFFFFFFFF and then an offset again: the client never learns that nobody reads."
        ),
    ),
    Scenario(
        name="return-unregister",
        claim="B8",
        title="a packet is returned while the client closes its handle",
        build=_return_against_unregister,
        is_broken=lambda setting: (
            not setting.revision.empties_after_return
            and (not setting.revision.stores_head_before_empty or setting.revision.allocates_partial_descriptor)
        ),
        story=(
            '"Receive list empty" is set while the return call still has work to do. The reader ends, and unregister '
            "gives the ring's pages back. The call then stores Head there, or reads their memory descriptor."
        ),
    ),
    Scenario(
        name="return-register-again",
        claim="B19",
        title="a return call goes on while the client closes its handle and registers other rings",
        build=_return_against_registration,
        is_broken=lambda setting: not setting.revision.empties_after_return,
        story=(
            "A return call reads the ring's address once, and after each packet looks whether the next one is back. "
            "Meanwhile the registration may have ended and another one begun: it then takes a packet of the new ring "
            "off the list, and stores its offset in the Head of the old one."
        ),
    ),
    Scenario(
        name="return-halt",
        claim="B8",
        title="a packet is returned while the adapter is halted",
        build=_returns_against_halt(1),
        is_broken=lambda setting: (
            not setting.revision.empties_after_return and not setting.rules.halt_waits_for_returns
        ),
        rules=("halt_waits_for_returns",),
        story=(
            'Nobody waits for the return call once "receive list empty" is set: halt deletes the pool and frees the '
            "adapter's memory, and the call frees its NBL into it, takes its lock, adds to its statistics."
        ),
    ),
    Scenario(
        name="returns-halt",
        claim="B8",
        title="two packets are returned by two threads while the adapter is halted",
        build=_returns_against_halt(2),
        is_broken=lambda setting: (
            _races_between_returns(setting)
            or not (setting.revision.empties_after_return or setting.rules.halt_waits_for_returns)
        ),
        rules=("halt_waits_for_returns",),
        story="The same where one call frees what the other one was given, and the last one in is not the last out.",
    ),
)
