"""The world of a scenario: a driver with adapters, processes with rings, and NDIS, around the threads to explore.

A world is built once and explored often; what changes while it runs is in the machine's states alone. So a scenario's
routines keep nothing but their locals, and tell what they saw by what they return.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wintun_model import operations as op
from wintun_model.abi import (
    EVENT_MODIFY_STATE,
    FILE_READ_DATA,
    FILE_WRITE_DATA,
    RING_HEADER_BYTES,
    SYNCHRONIZE,
    Limits,
    RegisterRings,
    RingDescription,
)
from wintun_model.adapter import Adapter, Driver, ReceiveNbl, SendChain
from wintun_model.client import ClientRing
from wintun_model.errors import ModelError
from wintun_model.receive import return_nbls
from wintun_model.registration import Registration, register
from wintun_model.revision import Revision
from wintun_model.ring import ring_bytes_of
from wintun_model.session import SessionRing
from wintun_model.status import NtStatus
from wintunsim.explore.files import FileObject, Handle, close_handle
from wintunsim.explore.layout import Region
from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.program import Program
from wintunsim.explore.rules import Rules
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.writes import State

__all__ = [
    "ACCESS", "HEADER_BYTES", "RIGHTS", "SMALL", "FileObject", "Handle", "Rings", "SmallProcess", "World", "WorldNdis",
    "close_handle", "ipv4",
]  # fmt: skip

SMALL = Limits(min_capacity_bytes=16, max_capacity_bytes=256, max_packet_bytes=44)
"""Rings that wrap early; a packet may have 44 bytes, so that IPv6's smallest fits."""
ACCESS = SYNCHRONIZE | EVENT_MODIFY_STATE
_SETUP_STEPS_MAX = 10_000


def ipv4(number: int, size: int = 20) -> bytes:
    """A packet that the driver takes for IPv4; `number` (0 to 255) tells it from others."""
    return (bytes([0x45, number]) * size)[:size]


class SmallProcess:
    """A process: a token that may register, handles of events, memory for rings."""

    def __init__(self, world: World, name: str, process_id: int) -> None:
        self.world = world
        self.name = name
        self.process_id = process_id
        self.is_local_system = self.is_administrator = True
        self.integrity_level = 0x4000
        self.is_32_bit = False
        self.events: dict[int, op.Event] = {}
        self.regions: list[Region] = []

    def reference_event(self, handle: int, access: int) -> tuple[int, op.Event | None]:
        """The object manager's answer."""
        event = self.events.get(handle)
        return (NtStatus.STATUS_INVALID_HANDLE, None) if event is None else (NtStatus.STATUS_SUCCESS, event)

    def lock_pages(self, address: int, size: int) -> Any:
        """Where in which region that is; None for memory that this process does not have."""
        for region in self.regions:
            if region.address <= address and address + size <= region.address + region.size_bytes:
                return region, address - region.address
        return None


class Rings:
    """Two rings of a process, and the record that registers them.

    `send` and `receive` are how a client of the published protocol sees them; `record` is the registration record.
    """

    def __init__(self, world: World, process: SmallProcess, name: str, regions: tuple[Region, Region]) -> None:
        self.process = process
        self.send_region, self.receive_region = regions
        self.events: list[op.Event] = []
        descriptions = []
        for region, side in zip(regions, ("send", "receive"), strict=True):
            event = op.Event(f"{name}{side} TailMoved", manual_reset=False)
            handle = 0x100 + 4 * len(process.events)
            process.events[handle] = event
            self.events.append(event)
            descriptions.append(RingDescription(region.size_bytes, region.address, handle))
        self.record = RegisterRings(*descriptions).to_bytes()
        self._world = world
        self._name = name
        self.send = self.client_ring("send")
        self.receive = self.client_ring("receive")

    def client_ring(self, side: str, *, has_barrier: bool = False) -> ClientRing:
        """One of the rings for the routines of `wintun_model.client`."""
        index = ("send", "receive").index(side)
        region = (self.send_region, self.receive_region)[index]
        return ClientRing(
            f"client {self._name}{side}",
            memoryview(region.backing),
            region.capacity,
            self.events[index],
            has_barrier=has_barrier,
            limits=self._world.limits,
        )

    def session_ring(self, side: str) -> SessionRing:
        """One of the rings for the routines of `wintun_model.session`."""
        region = self.send_region if side == "send" else self.receive_region
        return SessionRing(f"session {side}", memoryview(region.backing), region.capacity, self._world.limits)


class WorldNdis:
    """NDIS for a world: returns packets inside the indication, unless `receive` or `complete` say otherwise."""

    def __init__(self) -> None:
        self.receive: Callable[[Adapter, ReceiveNbl], op.Routine[None] | None] = _return_at_once
        self.complete: Callable[[Adapter, SendChain], op.Routine[None] | None] = lambda adapter, chain: None

    def complete_send(self, adapter: Adapter, chain: SendChain) -> op.Routine[None] | None:
        """A send chain comes back."""
        return self.complete(adapter, chain)

    def indicate_receive(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None] | None:
        """A packet comes up."""
        return self.receive(adapter, nbl)

    def indicate_link(self, adapter: Adapter, connected: bool) -> op.Routine[None] | None:
        """The link goes up or down."""
        return None


def _return_at_once(adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None]:
    return return_nbls(adapter, (nbl,))


class World:
    """Everything around the explored threads. Build it, add threads, then explore `machine` from `start()` on."""

    def __init__(
        self,
        revision: Revision,
        *,
        memory: str = "sc",
        rules: Rules | None = None,
        limits: Limits = SMALL,
        failing: Sequence[str] = (),
        checks: bool = True,
        passes_silent: bool = True,
        rereads_size: bool = False,
    ) -> None:
        self.limits = limits
        self.rules = rules or Rules()
        self.ndis = WorldNdis()
        self.machine = Machine(
            self.ndis, memory=memory, rules=self.rules, failing=failing, checks=checks, passes_silent=passes_silent
        )
        self.machine.handles = self._handles
        self.machine.close_handle = self._close_handle
        self.driver = Driver(revision, limits, rereads_size=rereads_size)
        self.file_objects: list[FileObject] = []
        self.processes: list[SmallProcess] = []
        self._next_address = 0x10000
        self._next_handle = 0x40
        self._setup: list[Program] = []
        self._idle_started: dict[str, Callable[[State], bool]] = {}
        self.machine.idle_of_started = self._idle_of_started  # type: ignore[method-assign]

    # -- what there is ----------------------------------------------------------------------------------------------

    def adapter(self, name: str = "tun", *, is_running: bool = True, is_initialized: bool = True) -> Adapter:
        """An adapter; running unless it says otherwise."""
        adapter = Adapter(name, self.driver, is_initialized=is_initialized)
        adapter.running.value = is_running
        return adapter

    def process(self, name: str = "client", process_id: int | None = None) -> SmallProcess:
        """A process that may register."""
        process = SmallProcess(self, name, process_id or 100 + len(self.processes))
        self.processes.append(process)
        return process

    def rings(
        self,
        process: SmallProcess,
        *,
        send: int = 32,
        receive: int = 64,
        send_contents: bytes = b"",
        receive_contents: bytes = b"",
        name: str = "",
    ) -> Rings:
        """Memory for two rings of these capacities, in bytes. `…_contents` are what stands there at first."""
        regions = []
        for side, capacity, contents in (("send", send, send_contents), ("receive", receive, receive_contents)):
            size = ring_bytes_of(capacity, self.limits)
            region = self.machine.layout.add_region(
                f"{name}{side}", self._next_address, capacity, size,
                driver_produces=side == "send", contents=contents,
            )  # fmt: skip
            process.regions.append(region)
            self._next_address += 0x10000
            regions.append(region)
        return Rings(self, process, name, (regions[0], regions[1]))

    def open(self, process: SmallProcess, adapter: Adapter, name: str = "file") -> FileObject:
        """A file object with one handle."""
        file_object = FileObject(f"{name} {len(self.file_objects) + 1}", adapter)
        self.file_objects.append(file_object)
        self.duplicate(file_object, process)
        return file_object

    def duplicate(self, file_object: FileObject, process: SmallProcess) -> Handle:
        """One more handle to a file object."""
        handle = Handle(process, self._next_handle, file_object)
        self._next_handle += 4
        file_object.handles.append(handle)
        file_object.references.value += 1
        return handle

    def registration(self, process: SmallProcess, file_object: FileObject, rings: Rings) -> Registration:
        """The request that registers rings."""
        return Registration(process, file_object, rings.record)

    def registered(self, adapter: Adapter, process: SmallProcess, rings: Rings) -> FileObject:
        """Rings that are registered before the exploration begins; the driver's reader waits for packets then."""
        file_object = self.open(process, adapter)
        self.set_up(
            "register", lambda: _must_succeed(register(adapter, self.registration(process, file_object, rings)))
        )
        self.idle_reader(adapter, rings)
        return file_object

    def idle_reader(self, adapter: Adapter, rings: Rings) -> None:
        """The driver's reader may wait for ever when there is nothing to read in these rings."""
        head, tail, _ = rings.receive_region.words
        capacity = rings.receive_region.capacity

        def is_idle(state: State) -> bool:
            steps = self.machine.steps
            listed = steps.list_slot(adapter.receive_active)
            self.machine.complete(state)
            first, last = state[listed]
            cursor = state[head] if first is None else state[steps.entry_slot(last)][0] & ~3
            return bool(cursor == state[tail] and cursor < capacity)

        self._idle_started[f"{adapter.name} reader"] = is_idle

    def may_oversleep(self, adapter: Adapter) -> None:
        """The driver's reader may sleep for ever beside packets: for scenarios that are about something else."""
        self._idle_started[f"{adapter.name} reader"] = lambda state: True

    def _idle_of_started(self, name: str) -> Callable[[State], bool] | None:
        return self._idle_started.get(name)

    def is_empty(self, region: Region) -> Callable[[State], bool]:
        """Whether a ring has nothing in it."""
        head, tail, _ = region.words
        return lambda state: bool(state[head] == state[tail])

    # -- threads ----------------------------------------------------------------------------------------------------

    def thread(
        self, name: str, factory: Callable[[], op.Routine[Any]], *, idle: Callable[[State], bool] | None = None
    ) -> Program:
        """A thread to explore. Without `idle` it must come to its end in every execution."""
        return self.machine.add_thread(name, factory, idle=idle)

    def set_up(self, name: str, factory: Callable[[], op.Routine[Any]]) -> Program:
        """A routine that runs to its end before the exploration begins, and whom it starts until they wait."""
        program = self.machine.add_thread(f"set-up: {name}", factory, is_set_up=True)
        self._setup.append(program)
        return program

    def result(self, state: State, program: Program) -> Any:
        """What a thread that has ended returned."""
        return state[program.slot].result

    def expect(self, check: Callable[[State], str | None], broken: Property = Property.EXPECTATION) -> None:
        """At the end of each execution, `check` says what is wrong, or None."""

        def end_check(state: State) -> None:
            wrong = check(state)
            if wrong is not None:
                raise Violation(broken, wrong)

        self.machine.end_checks.append(end_check)

    def start(self) -> State:
        """The state at which the exploration begins: all that is set up has run."""
        machine = self.machine
        state = machine.initial()
        explored = {program.index for program in machine.programs if program not in self._setup}
        for program in self._setup:
            self._run_alone(state, program)
        for program in list(machine.programs):
            if program.index not in explored and program not in self._setup:
                self._run_alone(state, program, must_end=False)
        return state

    def _run_alone(self, state: State, program: Program, *, must_end: bool = True) -> None:
        machine = self.machine
        for _ in range(_SETUP_STEPS_MAX):
            if state[program.buffer]:
                machine.apply(state, program.index << 2 | FLUSH)
            elif machine.is_enabled(state, program):
                machine.apply(state, program.index << 2)
            else:
                break
        if must_end and not state[program.slot].has_ended:
            raise ModelError(f"{program.name} does not come to its end: {state[program.slot]}")

    # -- handles ----------------------------------------------------------------------------------------------------

    def _handles(self, target: object) -> Sequence[Handle]:
        return [
            handle
            for file_object in self.file_objects
            if target is file_object or target is file_object.adapter
            for handle in file_object.handles
        ]

    def _close_handle(self, caller: op.Caller, value: int) -> op.Routine[None] | None:
        for file_object in self.file_objects:
            for handle in file_object.handles:
                if handle.value == value and handle.caller is caller:
                    return close_handle(handle, is_inside=True)
        return None


def _must_succeed(routine: op.Routine[int]) -> op.Routine[int]:
    status = yield from routine
    if status:
        raise ModelError(f"the rings of a world could not be registered: status {status:#x}")
    return status


RIGHTS = FILE_READ_DATA | FILE_WRITE_DATA
HEADER_BYTES = RING_HEADER_BYTES
