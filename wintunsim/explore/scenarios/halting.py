"""Halting and starting: the adapter's context comes and goes while requests use it (spec driver §6.4, §7)."""

from __future__ import annotations

from wintun_model.adapter import Adapter
from wintun_model.dispatch import remove
from wintun_model.miniport import halt, initialize, pause, restart
from wintun_model.operations import Event, Routine, Wait
from wintunsim.explore.files import Handle, close_handle
from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.lives import Build, one_handle, pauses_and_halts, registers, then_sets, without
from wintunsim.explore.scenarios.parts import always_safe, client_with_handle, must_fail, push_all, registered_client
from wintunsim.explore.world import World, ipv4

NBL_POOL = "NBL pool"


def _halt_against_register(setting: Setting) -> World:
    world = setting.world()
    adapter, rings, file_object, process = client_with_handle(world)
    world.machine.watch_context(adapter)
    world.thread("client", lambda: registers(world, process, one_handle(file_object), rings))
    world.thread("system", lambda: pauses_and_halts(adapter))
    return world


def _halt_against_close(*, has_guard: bool) -> Build:
    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, _, file_object, _ = registered_client(world)
        world.machine.watch_context(adapter)
        guard = world.driver.context_guard
        left_out = () if has_guard else (guard.acquire, guard.release)
        world.thread("close", lambda: close_handle(one_handle(file_object)))
        world.thread("system", lambda: without(pauses_and_halts(adapter), *left_out))
        return world

    return build


def _pauses_twice(adapter: Adapter) -> Routine[None]:
    for step in (pause, restart, pause, halt):
        yield from step(adapter)


def _orders(*, waits: bool) -> Build:
    """Pause, restart, pause, halt, while the client writes a packet that the stack returns at once."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, rings, *_ = registered_client(world)
        world.machine.watch_context(adapter)
        left_out = () if waits else (Wait,)
        world.thread("client", lambda: push_all(rings.receive, (ipv4(1),)))
        world.thread("system", lambda: without(_pauses_twice(adapter), *left_out))
        return world

    return build


# -- starting ---------------------------------------------------------------------------------------------------------


def _start_against_register(*, is_first: bool, may_fail: bool = False) -> Build:
    """The device starts. When it is the first time, nobody has it open, unless a rule says otherwise."""

    def build(setting: Setting) -> World:
        world = setting.world(failing=(NBL_POOL,) if may_fail else ())
        adapter, rings, file_object, process = client_with_handle(
            world, adapter=world.adapter(is_running=False, is_initialized=False)
        )
        world.machine.watch_context(adapter)
        started = Event("device has started", manual_reset=True)
        waits = is_first and setting.rules.opens_wait_for_start

        def client() -> Routine[int]:
            if waits:
                yield Wait((started,))
            return (yield from registers(world, process, one_handle(file_object), rings))

        world.thread("client", client)
        world.thread("system", lambda: then_sets(initialize(adapter), started))
        return world

    return build


def _failed_start(adapter: Adapter, *, is_removed: bool) -> Routine[None]:
    """The device starts again after a stop; when that fails, the system removes it by surprise."""
    status, _ = yield from initialize(adapter)
    if status and is_removed:
        yield from remove(adapter)


def _closes_after(event: Event, handle: Handle) -> Routine[None]:
    yield Wait((event,))
    yield from close_handle(handle)


def _failed_restart(*, closes: bool) -> Build:
    def build(setting: Setting) -> World:
        world = setting.world(failing=(NBL_POOL,))
        adapter, process = world.adapter(is_running=False, is_initialized=False), world.process()
        file_object = world.open(process, adapter)
        world.machine.watch_context(adapter)
        is_removed = setting.rules.failed_restart_is_removed and not closes
        over = Event("start is over", manual_reset=True)
        world.thread("system", lambda: then_sets(_failed_start(adapter, is_removed=is_removed), over))
        if closes:
            world.thread("client", lambda: _closes_after(over, one_handle(file_object)))
        return world

    return build


_PUBLISHED_EARLY = (
    "After a stop for rebalancing the device starts again, with the client's handle open all the time. Initialize "
    "makes the context known first and its registration lock ready last: a request in between takes a lock that is "
    "none yet."
)

register(
    Scenario(
        name="halt-register",
        claim="B9",
        title="a client registers while the adapter is halted",
        build=_halt_against_register,
        is_broken=lambda setting: not setting.revision.halt_detaches_first,
        story=(
            "Halt ends the registration, and only later detaches the context from the device. A client that registers "
            "in between succeeds: it gets rings and a reader thread on an adapter whose memory halt frees next."
        ),
    ),
    always_safe(
        "halt-close",
        "a client closes its handle while the adapter is halted",
        _halt_against_close(has_guard=True),
        twin="halt-close-no-guard",
        story="Close holds the context guard shared, and halt takes it exclusively before it frees anything.",
    ),
    must_fail(
        "halt-close-no-guard",
        "the same in a driver whose halt does not take the context guard",
        _halt_against_close(has_guard=False),
        leaves_out="the context guard of halt",
    ),
    always_safe(
        "pause-restart-halt",
        "the adapter is paused, restarted, paused and halted while the client writes a packet",
        _orders(waits=True),
        twin="pause-restart-halt-no-wait",
        story="A paused adapter drops what the client writes, and halt waits for the reader's end: in every order.",
    ),
    must_fail(
        "pause-restart-halt-no-wait",
        "the same in a driver that waits neither for its packets nor for its reader thread",
        _orders(waits=False),
        leaves_out="all waits of pause and halt",
    ),
    Scenario(
        name="start-register",
        claim="B13",
        title="a client registers while the device starts for the first time",
        build=_start_against_register(is_first=True),
        is_broken=lambda setting: (
            not setting.rules.opens_wait_for_start and not setting.revision.publishes_context_last
        ),
        twin="restart-register",
        rules=("opens_wait_for_start",),
        story="Nobody can open a device before it has started the first time, so nobody can send it requests.",
    ),
    Scenario(
        name="restart-register",
        claim="B13",
        title="a client registers while the device starts again after a stop",
        build=_start_against_register(is_first=False),
        is_broken=lambda setting: not setting.revision.publishes_context_last,
        story=_PUBLISHED_EARLY,
    ),
    Scenario(
        name="failed-restart-register",
        claim="B13",
        title="a client registers while the device starts again and there is no memory",
        build=_start_against_register(is_first=False, may_fail=True),
        is_broken=lambda setting: not setting.revision.publishes_context_last,
        story=_PUBLISHED_EARLY + " When memory fails meanwhile, the context is freed and stays known.",
    ),
    Scenario(
        name="failed-restart-close",
        claim="B13",
        title="a client closes its handle after the device has started again, or failed to, as there was no memory",
        build=_failed_restart(closes=True),
        is_broken=lambda setting: not setting.revision.publishes_context_last,
        story=(
            "When the start fails, initialize frees the context, and does not withdraw it. Whoever closes a handle "
            "after that uses its registration lock: no race is needed."
        ),
    ),
    Scenario(
        name="failed-restart-removal",
        claim="B13",
        title="the device starts again after a stop, there is no memory, and the system removes it by surprise",
        build=_failed_restart(closes=False),
        is_broken=lambda setting: (
            setting.rules.failed_restart_is_removed
            and setting.revision.closes_handles_on_removal
            and not (setting.revision.publishes_context_last and setting.revision.removal_looks_for_context)
        ),
        rules=("failed_restart_is_removed",),
        story=(
            "From 0.14 on a removal takes the registration lock. After a start that failed for want of memory the "
            "system removes the device by surprise, and the lock stands in memory that is freed, or was never made "
            "ready."
        ),
    ),
)
