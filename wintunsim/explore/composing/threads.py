"""How a composed program falls into threads: who does what in which order, and who waits for whom.

The first branch of a group goes on in the thread that came to it; each other branch is a thread of its own, which
begins when that one has come there. What follows a group begins when all of its branches are done.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wintun_model.operations import Routine, Variable
from wintunsim.errors import UsageError
from wintunsim.explore.composing.text import SETTINGS, Call, Group, Part
from wintunsim.explore.gate import Decision, Gate, wait_until

THREADS_MAX = 8
SETUP = ("register", "initialize", "restart", "pause")
"""What runs before the exploration begins, where a program begins with it."""


@dataclass(eq=False, slots=True)
class Instance:
    """One call of a program, at its place in the text. `before` are the places of the calls that must be over first."""

    place: int
    call: Call
    before: frozenset[int]
    rings: int = -1
    """Which registration it is about: the place of its `register`."""

    @property
    def name(self) -> str:
        """The routine's name."""
        return self.call.name


@dataclass(eq=False, slots=True)
class Mark:
    """Whether a thread has come to a place."""

    variable: Variable[bool]


@dataclass(eq=False, slots=True)
class Join:
    """A thread waits until others have come to their places."""

    marks: tuple[Mark, ...]


Step = Instance | Mark | Join


@dataclass(eq=False, slots=True)
class Thread:
    """One thread: its steps, in order."""

    steps: list[Step] = field(default_factory=list)

    @property
    def calls(self) -> list[Instance]:
        """Its calls."""
        return [step for step in self.steps if isinstance(step, Instance)]

    @property
    def name(self) -> str:
        """What it does, in short."""
        names: list[str] = []
        for instance in self.calls:
            if not names or names[-1] != instance.name:
                names.append(instance.name)
        return ", ".join(names)


@dataclass(eq=False, slots=True)
class Plan:
    """A program in threads. `setup` runs first, call by call; `settings` only say what the stack does."""

    setup: list[Instance] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    settings: list[Instance] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)

    def named(self, *names: str, client: int = 0, adapter: int = 0) -> list[Instance]:
        """The calls of these names, of one client or adapter where it is given, in the order of the text."""
        return [
            instance
            for instance in self.instances
            if instance.name in names and client in (0, instance.call.client) and adapter in (0, instance.call.adapter)
        ]


def plan(body: Part) -> Plan:
    """The threads of a program. UsageError when there are too many."""
    planner = _Planner()
    thread = planner.thread()
    planner.place(body, thread, frozenset())
    found = planner.plan
    _take_setup(found, thread)
    found.threads = _tidy(found.threads)
    if len(found.threads) > THREADS_MAX:
        raise UsageError(f"the program has {len(found.threads)} threads: {THREADS_MAX} are the most")
    return found


class _Planner:
    def __init__(self) -> None:
        self.plan = Plan()
        self._marks = 0

    def thread(self) -> Thread:
        thread = Thread()
        self.plan.threads.append(thread)
        return thread

    def mark(self, thread: Thread) -> Mark:
        self._marks += 1
        mark = Mark(Variable(f"place {self._marks} is reached", False))
        thread.steps.append(mark)
        return mark

    def place(self, part: Part, thread: Thread, before: frozenset[int]) -> frozenset[int]:
        """Put a part into a thread; which calls are over after it."""
        for _ in range(part.times):
            if isinstance(part, Call):
                instance = Instance(len(self.plan.instances), part, before)
                self.plan.instances.append(instance)
                if part.name in SETTINGS:
                    self.plan.settings.append(instance)
                else:
                    thread.steps.append(instance)
                before |= {instance.place}
            elif part.is_parallel:
                before = self.beside(part, thread, before)
            else:
                for inner in part.parts:
                    before = self.place(inner, thread, before)
        return before

    def beside(self, part: Group, thread: Thread, before: frozenset[int]) -> frozenset[int]:
        start = self.mark(thread)
        after = self.place(part.parts[0], thread, before)
        ends = []
        for inner in part.parts[1:]:
            other = self.thread()
            other.steps.append(Join((start,)))
            after |= self.place(inner, other, before)
            ends.append(self.mark(other))
        thread.steps.append(Join(tuple(ends)))
        return after


def _take_setup(found: Plan, thread: Thread) -> None:
    """What a program begins with is set up, as long as it is of a kind that can be."""
    while thread.steps:
        first = thread.steps[0]
        if not isinstance(first, Instance) or first.name not in SETUP:
            return
        found.setup.append(first)
        del thread.steps[0]


def _tidy(threads: list[Thread]) -> list[Thread]:
    """Leave out places that are reached from the start, and those that nobody waits for; threads that do nothing."""
    reached = {id(step) for thread in threads if not thread.calls for step in thread.steps}
    threads = [thread for thread in threads if thread.calls]
    while True:
        for thread in threads:
            thread.steps = [left for step in thread.steps if (left := _without(step, reached)) is not None]
            while isinstance(thread.steps[-1], Join):
                thread.steps.pop()
        leading = {id(thread.steps[0]) for thread in threads if isinstance(thread.steps[0], Mark)}
        waited = {
            id(mark) for thread in threads for step in thread.steps if isinstance(step, Join) for mark in step.marks
        }
        idle = {id(step) for thread in threads for step in thread.steps if isinstance(step, Mark)} - waited
        if not leading | idle:
            return threads
        reached |= leading | idle


def _without(step: Step, reached: set[int]) -> Step | None:
    if isinstance(step, Join):
        marks = tuple(mark for mark in step.marks if id(mark) not in reached)
        return Join(marks) if marks else None
    return None if id(step) in reached else step


def reach(mark: Mark) -> Gate:
    """The step by which a thread says that it has come there."""

    def decide(values: tuple[bool], argument: None) -> Decision:
        return None, (True,)

    return Gate("comes to its place", (mark.variable,), decide)


def join(step: Join) -> Routine[None]:
    """Wait until the others are there."""
    yield wait_until("wait for the others", tuple(mark.variable for mark in step.marks), all)
