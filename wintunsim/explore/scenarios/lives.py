"""Routines that the scenarios about lives are made of: closing, registering, ending, halting, starting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES, TUN_IOCTL_REGISTER_RINGS
from wintun_model.adapter import Adapter, Packet, SendChain
from wintun_model.dispatch import device_control
from wintun_model.miniport import halt, pause
from wintun_model.operations import Event, Operation, Pages, Routine, TryAcquire, Variable
from wintun_model.registration import Registration
from wintun_model.send import send
from wintunsim.explore.files import FileObject, Handle, exit_process, request
from wintunsim.explore.observations import AreLocked
from wintunsim.explore.program import Program
from wintunsim.explore.scenario import Setting
from wintunsim.explore.violation import Property
from wintunsim.explore.world import Rings, SmallProcess, World, ipv4
from wintunsim.explore.writes import State

Build = Callable[[Setting], World]


def without(routine: Routine[Any], *left_out: Operation | type[Operation]) -> Routine[Any]:
    """A routine of the driver that leaves out some operations: for twins, which must fail."""
    result = None
    while True:
        try:
            operation = routine.send(result)
        except StopIteration as stop:
            return stop.value
        if any(operation is one or type(operation) is one for one in left_out):
            result = isinstance(operation, TryAcquire) or None
        else:
            result = yield operation


# -- requests and processes -------------------------------------------------------------------------------------------


def one_handle(file_object: FileObject) -> Handle:
    """The handle that opening a file object gave."""
    return file_object.handles[0]


def registers(world: World, process: SmallProcess, handle: Handle, rings: Rings) -> Routine[int]:
    """A process registers rings: the status."""
    file_object = handle.file_object
    asked = device_control(
        file_object.adapter, world.registration(process, file_object, rings), TUN_IOCTL_REGISTER_RINGS
    )
    return request(handle, asked, is_held=world.rules.close_is_alone)


def force_closes(world: World, process: SmallProcess, handle: Handle) -> Routine[int]:
    """A process forces other processes' handles closed: the status."""
    file_object = handle.file_object
    asked = Registration(process, file_object, b"")
    return request(handle, device_control(file_object.adapter, asked, TUN_IOCTL_FORCE_CLOSE_HANDLES))


def exits(world: World, process: SmallProcess) -> Routine[None]:
    """A process ends."""
    handles = [handle for file in world.file_objects for handle in file.handles if handle.caller is process]
    notice_first = world.rules.exit_precedes_close
    return exit_process(world.driver, process.process_id, *handles, notice_first=notice_first)


def exits_and_is_gone(world: World, process: SmallProcess, *adapters: Adapter) -> Routine[int]:
    """A process that has registered rings on these adapters ends: how many of its rings are locked when it is gone."""
    pages: tuple[Pages, ...] = ()
    for adapter in adapters:
        for ring in (adapter.send_ring, adapter.receive_ring):
            pages += ((yield ring.get).pages,)
    yield from exits(world, process)
    locked = 0
    for one in pages:
        locked += yield AreLocked(one)
    return locked


def leaves_no_pages(world: World, ending: Program) -> None:
    """Expect that a process that is gone has no pages locked: the system stops with an error otherwise."""
    world.expect(
        lambda state: (
            f"{world.result(state, ending)} of the process's rings are locked when it is gone"
            if world.result(state, ending)
            else None
        ),
        Property.PAGES_UNLOCKED,
    )


# -- NDIS and the system ----------------------------------------------------------------------------------------------


def sends(adapter: Adapter, *numbers: int) -> Routine[None]:
    """NDIS hands down packets of four bytes, one call each."""
    for number in numbers:
        yield from send(adapter, SendChain.of(Packet(ipv4(number, 4), number=number)))


def pauses_and_halts(adapter: Adapter) -> Routine[None]:
    """The system takes an adapter away."""
    yield from pause(adapter)
    yield from halt(adapter)


def then_sets(routine: Routine[Any], event: Event) -> Routine[Any]:
    """A routine, and when it is over, an event that others wait for."""
    result = yield from routine
    yield event.set
    return result


# -- checks -----------------------------------------------------------------------------------------------------------


def value_of(world: World, state: State, variable: Variable[Any]) -> Any:
    """What a variable holds in a state."""
    slot = world.machine.layout.slot(variable, variable.name, variable.value)
    world.machine.complete(state)
    return state[slot]


def owned_by(world: World, adapter: Adapter, *owners: FileObject | None) -> None:
    """Expect that a registration of one of these is there at the end; None for no registration."""

    def check(state: State) -> str | None:
        owner = value_of(world, state, adapter.owner)
        if owner in owners:
            return None
        return f"the owner of {adapter.name} is {owner} at the end, not {' or '.join(map(str, owners))}"

    world.expect(check)
