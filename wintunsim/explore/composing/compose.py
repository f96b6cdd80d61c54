"""Composed programs: named routines in sequence and side by side, as a scenario. `text` has the language.

A composed program is looked at with the properties that hold for any: those of ring words, nothing used after it is
freed, every chain completed once, packets in order and none made up, and nobody waiting for ever while work is there.
"""

from __future__ import annotations

from functools import partial

from wintun_model.adapter import SendChain
from wintun_model.operations import Routine
from wintunsim.errors import UsageError
from wintunsim.explore.composing.calls import LIFE_CYCLE, Calls, Items, Registered
from wintunsim.explore.composing.checks import Checks
from wintunsim.explore.composing.stack import Stack, Stacks
from wintunsim.explore.composing.surroundings import AdapterGates, Client
from wintunsim.explore.composing.text import FAULTS, Composition, parse
from wintunsim.explore.composing.threads import Instance, Join, Mark, Plan, join, plan, reach
from wintunsim.explore.program import Program
from wintunsim.explore.scenario import Scenario, Setting
from wintunsim.explore.world import World, ipv4

READS = ("pop", "read", "wait")
"""The published protocol on the send ring."""
WRITES = ("push", "write")
SESSION_READS = ("session.receive", "session.release")
SESSION_WRITES = ("session.allocate", "session.send")
NEEDS_RINGS = (*READS, *WRITES, *SESSION_READS, *SESSION_WRITES, "close")


def compose(program: str | Composition) -> Scenario:
    """A program as a scenario; it is expected to be safe. UsageError for one that Windows could not come to."""
    composition = parse(program) if isinstance(program, str) else program
    _resolve(plan(composition.body))
    return Scenario(
        name=str(composition),
        title="a composed program",
        build=partial(_build, composition),
        is_broken=_never,
    )


def _build(composition: Composition, setting: Setting) -> World:
    return ComposedWorld(composition, setting).world


def _never(setting: Setting) -> bool:
    return False


def _resolve(program: Plan) -> Plan:
    """Find out which registration each call is about. UsageError where there is none, or where a ring has two users."""
    for instance in program.instances:
        call = instance.call
        registers = program.named("register", client=call.client, adapter=call.adapter)
        if instance.name == "register":
            instance.rings = instance.place
        elif instance.name in NEEDS_RINGS:
            if not registers:
                raise UsageError(f"{call} has no rings: the program has no register for them")
            before = [register for register in registers if register.place in instance.before]
            instance.rings = (before[-1] if before else registers[0]).place
    for alone, session, ring in ((READS, SESSION_READS, "send"), (WRITES, SESSION_WRITES, "receive")):
        users = program.named(*alone)
        for index, one in enumerate(users):
            for other in users[index + 1 :]:
                if one.rings == other.rings and one.place not in other.before:
                    raise UsageError(
                        f"{one.call} and {other.call} use the {ring} ring side by side, but a ring has one thread of "
                        f"its client: put them one after the other, or use {session[0]} and {session[1]}"
                    )
            for other in program.named(*session):
                if one.rings == other.rings:
                    raise UsageError(
                        f"{one.call} and {other.call} use one {ring} ring in two ways: by the published protocol, and "
                        "through wintun.dll"
                    )
    return program


class ComposedWorld(Calls):
    """The world of one program in one setting."""

    def __init__(self, composition: Composition, setting: Setting) -> None:
        self.composition = composition
        self.plan = _resolve(plan(composition.body))
        self.world: World = setting.world(failing=[FAULTS[name] for name in composition.options.fail])
        # Known from the start, so that a schedule means the same whatever was explored before it.
        self.world.machine.note_shared(self.world.driver.context_guard)
        self.world.machine.note_shared(self.world.driver.device_list_lock)
        self.stacks = {}
        for number in sorted({instance.call.adapter for instance in self.plan.instances} | {1}):
            self.stacks[number] = self._stack(number)
        exits = {instance.call.client for instance in self.plan.named("exit")}
        self.clients = {
            number: Client(self.world, number, may_exit=number in exits)
            for number in sorted({instance.call.client for instance in self.plan.instances} | {1})
        }
        self.registered = {}
        for place, instance in enumerate(self.plan.named("register")):
            self.registered[instance.place] = Registered(
                self.world,
                self.clients[instance.call.client],
                self.stacks[instance.call.adapter],
                composition.options,
                setting.revision,
                f"{place + 1}. " if place else "",
            )
        self.chains: dict[int, SendChain] = {}
        self.packets: dict[int, tuple[bytes, ...]] = {}
        self._make_packets()
        ndis = Stacks(self.stacks.values())
        self.world.ndis.receive = ndis.receive
        self.world.ndis.complete = ndis.complete
        self.world.machine.close_handle = self._close_handle
        self.programs: list[Program] = []
        """The threads of the program, and what is set up."""
        self.checks = Checks(self)
        self.checks.install()
        self._add_threads()

    def _stack(self, number: int) -> Stack:
        """An adapter and what is above it, as the program needs them."""
        program = self.plan
        cycle = program.named(*LIFE_CYCLE, adapter=number)
        begins = {"initialize": "halted", "restart": "paused"}.get(cycle[0].name if cycle else "", "running")
        adapter = self.world.adapter(
            "tun" if number == 1 else f"tun {number}",
            is_running=begins == "running",
            is_initialized=begins != "halted",
        )
        self.world.machine.note_shared(adapter.transition_lock)
        if program.named("halt", "initialize", "remove", adapter=number):
            self.world.machine.watch_context(adapter)
        gates = AdapterGates(adapter, self.world.rules, begins=begins, has_life_cycle=bool(cycle))
        kept, echoes, resends = (
            sum(instance.call.given[0] for instance in program.named(*names, adapter=number))
            for names in (("return", "keep"), ("echo",), ("resend",))
        )
        return Stack(self.world, gates, kept_max=kept, echoes=echoes, resends=resends)

    def _make_packets(self) -> None:
        """Each call has packets of its own, which tell their call by their second byte."""
        for instance in self.plan.instances:
            if instance.name in ("send", "send_chain"):
                packets = tuple(
                    ipv4(instance.place * 4 + place, size) for place, size in enumerate(instance.call.given)
                )
                self.packets[instance.place] = packets
                self.chains[instance.place] = self.stacks[instance.call.adapter].chain(*packets)
            elif instance.name in (*WRITES, "session.allocate"):
                self.packets[instance.place] = (ipv4(instance.place * 4, instance.call.given[0]),)

    def _close_handle(self, caller: object, value: int) -> Routine[None] | None:
        for registered in self.registered.values():
            handle = registered.file.handle
            if handle.value == value and handle.caller is caller:
                return registered.file.close()
        return None

    # -- threads ----------------------------------------------------------------------------------------------------

    def _add_threads(self) -> None:
        for instance in self.plan.setup:
            name = str(instance.call)
            self.programs.append(self.world.set_up(name, lambda instance=instance: self._run((instance,))))  # type: ignore[misc]
        taken: dict[str, int] = {}
        for thread in self.plan.threads:
            name = thread.name
            taken[name] = taken.get(name, 0) + 1
            name += f" {taken[name]}" if taken[name] > 1 else ""
            steps = tuple(thread.steps)
            program = self.world.thread(name, lambda steps=steps: self._run(steps))  # type: ignore[misc]
            program.idle = self.checks.thread_idle(program)
            self.programs.append(program)

    def _run(self, steps: tuple[Instance | Mark | Join, ...]) -> Routine[Items]:
        """A thread of the program. Returns what its calls tell, each with the call's place.

        Each step is one level deeper than the one before: so that the explorer tells apart where a thread stands.
        """
        if not steps:
            return ()
        items: Items = ()
        step = steps[0]
        if isinstance(step, Mark):
            yield reach(step)
        elif isinstance(step, Join):
            yield from join(step)
        else:
            told = yield from self.call(step)
            items = tuple((step.place, *item) for item in told)
        return items + (yield from self._run(steps[1:]))
