"""One routine, three executors: they perform the same operations in the same order, each thread by itself.

The virtual-time executor, the immediate one and the explorer run a registration, a send, a client that reads and
writes, the driver's reader with the return of its packet, and a close, one after the other.
"""

from types import SimpleNamespace

import pytest

from wintun_model import operations as op
from wintun_model.adapter import Packet, SendChain
from wintun_model.client import pop, push
from wintun_model.dispatch import close
from wintun_model.immediate import ImmediateExecutor
from wintun_model.receive import return_nbls
from wintun_model.registration import Registration, register
from wintun_model.revision import REVISIONS
from wintun_model.send import send
from wintunsim.explore.program import fields_of
from wintunsim.explore.scenario import Setting
from wintunsim.explore.world import ipv4
from wintunsim.kernel.executor import Executor
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.objects import EventObject

PHASES = ("register", "send", "pop", "push", "close")


def told(operation):
    """An operation's class, and the names of the nouns that it is about."""
    parts = [getattr(operation, name) for name in fields_of(type(operation)) if name != "value"]
    nouns = [part for value in parts for part in (value if isinstance(value, tuple) else (value,))]
    return type(operation).__name__, *(noun.name for noun in nouns if isinstance(getattr(noun, "name", None), str))


class RealCaller:
    """A process of an explored world whose pages are the memory itself, for executors that have memory."""

    is_local_system = is_administrator = True
    integrity_level = 0x4000
    is_32_bit = False

    def __init__(self, process):
        self.name = process.name
        self.process_id = process.process_id
        self.reference_event = process.reference_event
        self._process = process

    def lock_pages(self, address, size):
        region, offset = self._process.lock_pages(address, size)
        view = memoryview(region.backing)[offset : offset + size]
        return SimpleNamespace(view=view, views=[], unlock=lambda: None)


def world_of(revision, event_class=None):
    """A world with an adapter and rings, and the routines of the phases, for a caller."""
    world = Setting(revision=REVISIONS[revision], memory="sc", passes_silent=False).world(checks=False)
    adapter, process = world.adapter(), world.process()
    rings = world.rings(process, send=64, receive=64)
    if event_class is not None:
        rings.events = [event_class(event.name, manual_reset=False, signalled=False) for event in rings.events]
        process.events = dict(zip(process.events, rings.events, strict=True))
        rings.send, rings.receive = rings.client_ring("send"), rings.client_ring("receive")
    file_object = world.open(process, adapter)
    world.idle_reader(adapter, rings)

    def routines(caller):
        return {
            "register": lambda: register(adapter, Registration(caller, file_object, rings.record)),
            "send": lambda: send(adapter, SendChain.of(Packet(ipv4(1)))),
            "pop": lambda: pop(rings.send),
            "push": lambda: push(rings.receive, ipv4(2)),
            "close": lambda: close(adapter, file_object),
        }

    return world, process, routines


def recorded(routine, logs, name):
    """A routine that notes what it yields, and what the threads that it starts yield."""
    value, log = None, logs.setdefault(name, [])
    while True:
        try:
            operation = routine.send(value)
        except StopIteration as stop:
            return stop.value
        log.append(told(operation))
        if isinstance(operation, op.StartThread):
            routine_of_it = recorded(operation.routine, logs, operation.name)
            operation = op.StartThread(routine_of_it, operation.name, operation.priority)
        value = yield operation


def explored(revision):
    world, process, routines = world_of(revision)
    threads = {name: world.thread(name, factory) for name, factory in routines(process).items()}
    machine, state = world.machine, world.start()
    for name in PHASES:
        others = [program for program in machine.programs if program.name not in PHASES]
        for _ in range(1000):
            program = next((one for one in (threads[name], *others) if machine.is_enabled(state, one)), None)
            if program is None:
                break
            machine.apply(state, program.index << 2)
            others = [program for program in machine.programs if program.name not in PHASES]
    logs = {}
    for program in machine.programs:
        assert state[program.slot].has_ended
        steps = [before.operation for before, _ in state[program.slot].history()]
        logs[program.name] = [told(step) for step in steps if program.ended is None or step is not program.ended.set]
    return logs


def immediate(revision):
    _, process, routines = world_of(revision)
    executor, logs = ImmediateExecutor(), {}
    for name, factory in routines(RealCaller(process)).items():
        executor.run(recorded(factory(), logs, name), name)
        executor.settle()
    return logs


class Quiet:
    """Surroundings where nothing fails, and packets are returned inside their indication."""

    complete_send = indicate_link = close_handle = lambda self, *arguments: None
    check_memory = poll = lambda self: None
    pages_locked = pages_unlocked = lambda self, pages: None

    def indicate_receive(self, adapter, nbl):
        return return_nbls(adapter, (nbl,))

    def allocate(self, what):
        return True

    def list_handles(self, adapter):
        return ()


def in_virtual_time(revision):
    _, process, routines = world_of(revision, EventObject)
    machine, logs = Machine(), {}
    executor = Executor(machine, Quiet(), engine="step")

    def client():
        for name, factory in routines(RealCaller(process)).items():
            executor.run(recorded(factory(), logs, name))
            machine.block(machine.now + 10_000_000)

    machine.start_thread("client", client)
    machine.run()
    machine.close()
    return logs


@pytest.mark.parametrize("revision", ["0.8.1", "2026-02"])
def test_all_executors_perform_the_same_operations(revision):
    found = explored(revision)
    assert found.keys() == {*PHASES, "tun reader"}
    assert {"Append", "IndicateReceive", "MarkCompleted", "Wait"} <= {name for name, *_ in found["tun reader"]}
    assert immediate(revision) == found
    assert in_virtual_time(revision) == found
