"""Ending: a process goes, handles are forced closed, a device is removed (spec driver §6.3, §6.5, §9)."""

from __future__ import annotations

from wintun_model.dispatch import process_exit, remove
from wintun_model.miniport import halt
from wintun_model.operations import Routine
from wintun_model.status import NtStatus
from wintunsim.explore.files import Handle, close_handle
from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.lives import (
    Build,
    exits,
    exits_and_is_gone,
    force_closes,
    leaves_no_pages,
    one_handle,
    owned_by,
    pauses_and_halts,
    registers,
    value_of,
)
from wintunsim.explore.scenarios.parts import always_safe, registered_client
from wintunsim.explore.world import Rings, SmallProcess, World
from wintunsim.explore.writes import State


def _exit_against_close(*, keeps_handle: bool) -> Build:
    """A process ends while another process closes its duplicate of the handle."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, process, other = world.adapter(), world.process("ending"), world.process("other")
        file_object = world.registered(adapter, process, world.rings(process, send=16, receive=32))
        duplicate = world.duplicate(file_object, other)
        if not keeps_handle:
            world.set_up("the ending process closes its handle", lambda: close_handle(one_handle(file_object)))
        ending = world.thread("exit", lambda: exits_and_is_gone(world, process, adapter))
        world.thread("other", lambda: close_handle(duplicate))
        leaves_no_pages(world, ending)
        owned_by(world, adapter, None)
        return world

    return build


def _closes_and_registers(world: World, process: SmallProcess, old: Handle, new: Handle, rings: Rings) -> Routine[int]:
    yield from close_handle(old)
    status = yield from registers(world, process, new, rings)
    return status


def _exit_against_registration(setting: Setting) -> World:
    """A process ends; the only handle is with another process, which closes it and registers on a new one."""
    world = setting.world()
    adapter, process, other = world.adapter(), world.process("ending"), world.process("other")
    file_object = world.registered(adapter, process, world.rings(process, send=16, receive=32, name="old "))
    duplicate, new = world.duplicate(file_object, other), world.open(other, adapter)
    rings = world.rings(other, send=16, receive=32, name="new ")
    world.idle_reader(adapter, rings)
    world.set_up("the ending process closes its handle", lambda: close_handle(one_handle(file_object)))
    world.thread("exit", lambda: exits(world, process))
    client = world.thread("other", lambda: _closes_and_registers(world, other, duplicate, one_handle(new), rings))

    def check(state: State) -> str | None:
        # Process exit may hold the registration lock just then.
        if world.result(state, client) == NtStatus.STATUS_ALREADY_INITIALIZED:
            return None
        owner = value_of(world, state, adapter.owner)
        return None if owner is new else f"the other process has registered on {new}, but the owner is {owner}"

    world.expect(check)
    return world


def _exit_of_two(setting: Setting) -> World:
    """A process with two devices ends; another process has duplicates of both handles."""
    world = setting.world()
    process, other = world.process("ending"), world.process("other")
    adapters = world.adapter("first"), world.adapter("second")
    for adapter in adapters:
        rings = world.rings(process, send=16, receive=32, name=f"{adapter.name} ")
        world.duplicate(world.registered(adapter, process, rings), other)
    ending = world.thread("exit", lambda: exits_and_is_gone(world, process, *adapters))
    leaves_no_pages(world, ending)
    return world


def _exit_against_halt(setting: Setting) -> World:
    world = setting.world()
    adapter, _, _, process = registered_client(world)
    world.machine.watch_context(adapter)
    world.thread("exit", lambda: process_exit(world.driver, process.process_id))
    world.thread("system", lambda: pauses_and_halts(adapter))
    return world


def _exit_gone_against_halt(setting: Setting) -> World:
    world = setting.world()
    adapter, _, _, process = registered_client(world)
    ending = world.thread("exit", lambda: exits_and_is_gone(world, process, adapter))
    world.thread("system", lambda: pauses_and_halts(adapter))
    leaves_no_pages(world, ending)
    return world


def _force_close(*, is_registered: bool) -> Build:
    """A process forces handles closed while the one that has such a handle closes it."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, process, other = world.adapter(), world.process(), world.process("other")
        if is_registered:
            file_object = world.registered(adapter, process, world.rings(process, send=16, receive=32))
        else:
            file_object = world.open(process, adapter)
        own = world.open(other, adapter)
        world.thread("client", lambda: close_handle(one_handle(file_object)))
        world.thread("other", lambda: force_closes(world, other, one_handle(own)))
        return world

    return build


# -- removal ----------------------------------------------------------------------------------------------------------


def _removes_and_halts(first: Routine[None], second: Routine[None]) -> Routine[None]:
    yield from first
    yield from second


def _removal_against_close(setting: Setting) -> World:
    """A device is removed by surprise; another file object of it is closed; another device is halted."""
    world = setting.world()
    adapter, another = world.adapter(), world.adapter("another")
    process, other = world.process(), world.process("other")
    world.registered(adapter, process, world.rings(process, send=16, receive=32))
    second = world.open(other, adapter)
    if setting.rules.removals_are_serialised:
        world.thread("system", lambda: _removes_and_halts(remove(adapter), halt(another)))
    else:
        world.thread("removal", lambda: remove(adapter))
        world.thread("halt", lambda: halt(another))
    world.thread("other", lambda: close_handle(one_handle(second)))
    return world


def _removal_against_owner(setting: Setting) -> World:
    world = setting.world()
    adapter, _, file_object, _ = registered_client(world)
    world.thread("removal", lambda: remove(adapter))
    world.thread("client", lambda: close_handle(one_handle(file_object)))
    owned_by(world, adapter, None)
    return world


def _removal_against_exit(setting: Setting) -> World:
    world = setting.world()
    adapter, _, _, process = registered_client(world)
    world.thread("removal", lambda: remove(adapter))
    world.thread("exit", lambda: exits(world, process))
    owned_by(world, adapter, None)
    return world


_GONE_TOO_EARLY = (
    "Unregister takes the device off the list first, and unlocks the pages last. A process that ends in between finds "
    "nothing of its own on the list, and is gone while its pages are locked: Windows stops with "
    "PROCESS_HAS_LOCKED_PAGES."
)

register(
    Scenario(
        name="exit-close",
        claim="B17",
        title="a process ends while another one closes its duplicate of the handle",
        build=_exit_against_close(keeps_handle=True),
        is_broken=lambda setting: not setting.rules.exit_precedes_close and not setting.revision.leaves_list_last,
        twin="exit-last-close",
        rules=("exit_precedes_close",),
        story=(
            "The process's own handle keeps the registration until the driver has had its notice, and the notice ends "
            "it. Were the handles closed before the notice, the other process's close might be under way then."
        ),
    ),
    Scenario(
        name="exit-last-close",
        claim="B17",
        title="a process ends while another one closes the last handle",
        build=_exit_against_close(keeps_handle=False),
        is_broken=lambda setting: not setting.revision.leaves_list_last,
        story=_GONE_TOO_EARLY,
    ),
    always_safe(
        "exit-removal",
        "a process ends while its device is removed by surprise",
        _removal_against_exit,
        twin="exit-halt",
        story=(
            "Removal and process exit both end the registration, each under the registration lock: whoever comes "
            "second finds none. The adapter stays until halt, which comes after the removal."
        ),
    ),
    Scenario(
        name="exit-registration",
        claim="B10",
        title="a process ends while another one closes the last handle and registers on a new one",
        build=_exit_against_registration,
        is_broken=lambda setting: not setting.revision.exit_checks_process,
        story=(
            "Process exit finds the device on the list, with the ending process as its owner. Before it unregisters, "
            "the other process closes the handle and registers rings of its own: these are then torn down."
        ),
    ),
    Scenario(
        name="exit-two-devices",
        claim="B10",
        title="a process with two devices ends; another one has duplicates of both handles",
        build=_exit_of_two,
        is_broken=lambda setting: not setting.revision.exit_ends_all,
        story=(
            "Process exit ends one registration only. The other one goes when its handles are closed, but another "
            "process still has one: the pages stay locked, and Windows stops with PROCESS_HAS_LOCKED_PAGES."
        ),
    ),
    Scenario(
        name="exit-halt",
        claim="B16",
        title="a process ends while its device is halted",
        build=_exit_against_halt,
        is_broken=lambda setting: not setting.revision.exit_holds_guard,
        story=(
            "Process exit finds the adapter on the list and lets go of the list. Nothing keeps the adapter then: halt "
            "ends the registration and frees the adapter, and process exit takes a lock in memory that is gone."
        ),
    ),
    Scenario(
        name="exit-gone-halt",
        claim="B16",
        title="a process ends while its device is halted, and closes its handle",
        build=_exit_gone_against_halt,
        is_broken=lambda setting: not setting.revision.exit_holds_guard,
        story=(
            "As above. With the guard held, process exit may find nothing on the list any more, but the close of the "
            "process's own handle waits for halt then, so the pages are unlocked when the process is gone."
        ),
    ),
    Scenario(
        name="force-close-close",
        claim="B14",
        title="a client closes its handle while another process forces it closed",
        build=_force_close(is_registered=False),
        is_broken=lambda setting: setting.revision.has_force_close,
        story=(
            "Force close takes a snapshot of all handles and looks at the file object behind each. When the handle is "
            "closed meanwhile, the file object is released, and force close reads memory that is something else."
        ),
    ),
    Scenario(
        name="force-close-registered",
        claim="B14",
        title="the same while rings are registered on that handle",
        build=_force_close(is_registered=True),
        is_broken=lambda setting: setting.revision.has_force_close,
        story="As above; the close takes longer, as it waits for the reader thread, so the window is wider.",
    ),
    Scenario(
        name="removal-close",
        claim="B18",
        title="a device is removed by surprise while a second file object of it is closed and another device is halted",
        build=_removal_against_close,
        is_broken=lambda setting: (
            setting.revision.closes_handles_on_removal
            and not setting.revision.removal_closes_unlocked
            and setting.rules.waiting_writer_excludes_readers
            and not setting.rules.removals_are_serialised
        ),
        rules=("waiting_writer_excludes_readers", "removals_are_serialised"),
        story=(
            "The removal takes the registration lock and closes the owner's handle inside, which takes the context "
            "guard shared. The other close holds the guard and waits for the registration lock. When halt of any "
            "device waits for the guard exclusively, it keeps the removal out: all three wait for ever."
        ),
    ),
    always_safe(
        "removal-owner-close",
        "a device is removed by surprise while the owner closes its handle",
        _removal_against_owner,
        twin="removal-close",
        story=(
            "Whoever closes the last handle brings the close, once; a close by the client waits for the registration "
            "lock, and finds the guard its own."
        ),
    ),
)
