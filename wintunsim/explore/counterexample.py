"""An execution that breaks a property, step by step, as data: what reports are made of.

Everything here is plain (numbers, texts, lists), so that it can be written as JSON; `wintunsim.explore.decisive` marks
the steps that a reader should look at.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from wintun_model import operations as op
from wintunsim.errors import UsageError
from wintunsim.explore import describe
from wintunsim.explore.decisive import Access, mark
from wintunsim.explore.layout import Region
from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.program import Program
from wintunsim.explore.reference import Reference
from wintunsim.explore.scenario import Scenario, Setting
from wintunsim.explore.schedule import Roster, decode, encode, words
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.world import World
from wintunsim.explore.writes import State, Write


@dataclass(slots=True)
class RingState:
    """A ring at one moment: its words, and the bytes of its data area as hexadecimal text."""

    head: int
    tail: int
    alertable: int
    data: str


@dataclass(slots=True)
class Step:
    """One step of an execution, and what there is after it."""

    number: int
    """Counted from 1."""
    thread: str
    word: str
    """As the schedule writes it: ``A``, ``b`` (a store becomes visible), ``C!`` (what may fail fails)."""
    action: str
    result: str
    """What came of it; empty where that says nothing."""
    is_flush: bool
    rings: dict[str, RingState]
    buffers: dict[str, list[str]]
    """What waits in each thread's store buffer, oldest first; threads with an empty one are left out."""
    changes: list[str]
    """Locks, events and threads that are not any more as they were before."""
    positions: dict[str, str]
    """Where each thread stands: what it does next, or waits for."""
    marks: list[str] = field(default_factory=list)
    """Why the step is decisive: "stale", "outdated", "overwrites", "held up", "breaks"; empty when it is not."""
    notes: list[str] = field(default_factory=list)
    """The same in sentences."""
    kind: str = "other"
    """What it is for memory: "load", "store" or "barrier" of ring words, "flush", or "other"."""
    place: str = ""
    """For a load or store of a ring's word, that word."""
    value: int | None = None
    """For such a load or store, the value."""

    @property
    def is_decisive(self) -> bool:
        """Whether a reader should look at it."""
        return bool(self.marks)

    @property
    def text(self) -> str:
        """What it does, with what came of it."""
        return f"{self.action} → {self.result}" if self.result else self.action


@dataclass(slots=True)
class Counterexample:
    """An execution and what it breaks. `capacities` are bytes; `start` is what there is before the first step."""

    reference: str
    scenario: str
    title: str
    claim: str
    revision: str
    memory: str
    rules: dict[str, bool]
    """The rules of the surroundings, all of them."""
    deciding_rules: list[str]
    rules_told: str
    """In words, which of these hold: those that decide the verdict, and those that are not as usual."""
    property: str
    what: str
    schedule: str
    threads: list[str]
    capacities: dict[str, int]
    start: dict[str, RingState]
    steps: list[Step]
    preemptions: int
    """How often another thread goes on although the one before it could."""

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def counterexample(scenario: Scenario, setting: Setting, schedule: str) -> Counterexample:
    """Take the steps of a schedule and tell them. UsageError when it breaks nothing, or fits another scenario."""
    world = scenario.build(setting)
    start = world.start()
    recorder = _Recorder(world, start)
    first = recorder.rings_of(start)
    violation = recorder.run(schedule)
    if violation is None:
        raise UsageError(f"the schedule breaks nothing in {scenario.name} with {setting.revision.name}: {schedule!r}")
    schedule = encode(world.machine, start, recorder.transitions)
    culprits, breaking = recorder.culprits(violation)
    preemptions = mark(recorder.steps, recorder.accesses, culprits, breaking, violation.what)
    return Counterexample(
        reference=Reference.of(scenario.name, setting, schedule).encode(),
        scenario=scenario.name,
        title=scenario.title,
        claim=scenario.claim,
        revision=setting.revision.name,
        memory=setting.memory,
        rules={name: getattr(setting.rules, name) for name in type(setting.rules).__dataclass_fields__},
        deciding_rules=list(scenario.rules),
        rules_told=describe.rules_text(scenario.rules, setting.rules),
        property=violation.property.value,
        what=violation.what,
        schedule=schedule,
        threads=[recorder.name_of(program) for program in recorder.roster.threads],
        capacities={region.name: region.capacity for region in recorder.regions},
        start=first,
        steps=recorder.steps,
        preemptions=preemptions,
    )


class _Recorder:
    """Runs a schedule and keeps what can be told of it."""

    def __init__(self, world: World, start: State) -> None:
        self.world = world
        self.machine: Machine = world.machine
        self.start = start
        self.machine.complete(self.start)
        self.roster = Roster(self.machine, self.start)
        self.steps: list[Step] = []
        self.accesses: list[Access] = []
        self.transitions: list[int] = []
        self.regions = [region for process in world.processes for region in process.regions]
        self.pending: dict[int, list[tuple[int, str]]] = {}
        """For each thread what waits in its store buffer: (number of the step that stored it, text)."""
        self.names: dict[int, str] = {}
        """The names of threads by their numbers."""
        self.state = self.start
        self.is_midway = False
        """Whether a step broke the property, and not the end."""

    def name_of(self, program: Program) -> str:
        """A thread's name; of several with the same one, the later ones have a number behind it."""
        if program.index not in self.names:
            taken, name, number = set(self.names.values()), program.name, 2
            while name in taken:
                name, number = f"{program.name} {number}", number + 1
            self.names[program.index] = name
        return self.names[program.index]

    # -- running ----------------------------------------------------------------------------------------------------

    def run(self, schedule: str) -> Violation | None:
        """Take all steps; what they break, on the way or at the end."""
        names = list(words(schedule))
        try:
            for (transition, state), word in zip(decode(self.machine, self.start, schedule), names, strict=True):
                self._step(state, transition, word)
                self.state = state
            if not self.machine.enabled(self.state):
                self.machine.check_end(self.state)
        except Violation as violation:
            return violation
        return None

    def _step(self, state: State, transition: int, word: str) -> None:
        machine = self.machine
        program = machine.programs[transition >> 2]
        is_flush = transition & 3 == FLUSH
        before = list(state)
        node = before[program.slot]
        self.transitions.append(transition)
        number = len(self.steps) + 1
        access = Access.of(machine, number, program, node, before, is_flush=is_flush, name_of=self.name_of)
        if is_flush:
            origin, text = self.pending[program.index].pop(0)
            action = f"becomes visible: {text}"
            access.origin = origin
        else:
            action = describe.action_text(machine, node)
        result = "fails" if word.endswith("!") else ""
        step = Step(number, self.name_of(program), word, action, result, is_flush, {}, {}, [], {})
        self.steps.append(step)
        if is_flush:
            step.kind = "flush"
        else:
            step.kind, step.place, step.value = describe.word_access(machine, node)
        self.accesses.append(access)
        try:
            machine.apply(state, transition)
        except Violation:
            self.is_midway = True
            self._picture(step, before)
            raise
        if not is_flush:
            self._tell_result(step, program, before, state, access)
        following = state[program.slot]
        access.can_go_on = not following.has_ended and (following.guard is None or following.guard(state))
        self.roster.look(state)
        self._picture(step, state)

    def _tell_result(self, step: Step, program: Program, before: State, state: State, access: Access) -> None:
        node, after = before[program.slot], state[program.slot]
        stored: tuple[Write, ...] = state[program.buffer][len(before[program.buffer]) :]
        if stored:
            text = describe.stored_text(step.action)
            texts = [text] if len(stored) == 1 else [write.text for write in stored]
            self.pending.setdefault(program.index, []).extend((step.number, each) for each in texts)
            step.action += describe.BUFFERED
        if after is node.blocked:
            step.result = "must wait"
        elif not step.result:
            key = describe.result_key(node, after)
            step.result = describe.result_text(node.operation, key)
            if step.kind == "load" and isinstance(key, int):
                step.value = key
        if not stored and not isinstance(node.operation, op.Put):
            step.changes = describe.changes_text(self.machine, before, state, self._skipped())
        for other in self.machine.programs:
            moved = state[other.slot]
            if other is program or moved is (before[other.slot] if other.slot < len(before) else moved):
                continue
            step.changes.append(f"{self.name_of(other)} {'starts' if moved.parent is None else 'is woken'}")

    def _skipped(self) -> set[int]:
        """Slots that are told elsewhere: rings, where threads stand, their store buffers."""
        skipped = {slot for region in self.regions for slot in (*region.words, region.data)}
        for program in self.machine.programs:
            skipped |= {program.slot, program.buffer}
        return skipped

    # -- pictures ---------------------------------------------------------------------------------------------------

    def _picture(self, step: Step, state: State) -> None:
        step.rings = self.rings_of(state)
        step.buffers = {
            self.name_of(program): [text for _, text in waiting]
            for program in self.roster.threads
            if (waiting := self.pending.get(program.index))
        }
        where = {self.name_of(program): state[program.slot] for program in self.roster.threads}
        step.positions = {name: describe.position_text(self.machine, node) for name, node in where.items()}

    def rings_of(self, state: State) -> dict[str, RingState]:
        """All rings in a state."""
        return {region.name: _ring_of(region, state) for region in self.regions}

    # -- who it is about --------------------------------------------------------------------------------------------

    def culprits(self, violation: Violation) -> tuple[set[str], int]:
        """The threads whose view of memory matters, and the step that is to blame last.

        That is who breaks the property; at the end of an execution who waits for ever; else it is all of them.
        """
        if self.is_midway:
            return {self.steps[-1].thread}, len(self.steps)
        waiting = {
            self.name_of(program)
            for program in self.roster.threads
            if not self.state[program.slot].has_ended and (program.idle is None or not program.idle(self.state))
        }
        if violation.property is Property.NO_LOST_WAKEUP and waiting:
            numbers = [step.number for step in self.steps if step.thread in waiting and not step.is_flush]
            return waiting, max(numbers, default=0)
        return {self.name_of(program) for program in self.roster.threads}, len(self.steps)


def _ring_of(region: Region, state: State) -> RingState:
    head, tail, alertable = region.words
    return RingState(state[head], state[tail], state[alertable], bytes(state[region.data]).hex())
