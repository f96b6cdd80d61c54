"""Small random programs over a few words, variables, locks, events, bytes, a pool and a list, and how they may end.

A program is plain data: a tuple of instructions for each thread. What a thread saw is what its routine returns.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from wintun_model import operations as op
from wintunsim.explore.machine import Rules
from wintunsim.explore.plain import described
from wintunsim.explore.scenario import Scenario, Setting

SILENT = (op.Yield, op.Sleep, op.Work, op.ReadFrequency)


class Nouns:
    """What the threads of a program share."""

    def __init__(self, world):
        rings = world.rings(world.process(), send=16, receive=16)
        ring = rings.client_ring("send")
        self.ring = ring
        self.words = (ring.head, ring.tail, ring.alertable)
        self.variables = (op.Variable("x", 0), op.Variable("y", 0))
        self.locks = (op.Lock("first"), op.Lock("second"))
        self.events = (
            op.Event("auto", manual_reset=False),
            op.Event("manual", manual_reset=True),
            op.Event("third", manual_reset=False),
        )
        self.pool = op.Pool("things")
        self.active = op.ActiveList("list")
        self.region = rings.send_region


def started(nouns, kind):
    """A thread that another one starts."""
    yield op.Store(nouns.words[0], 8 + kind)
    if kind:
        yield nouns.events[0].set
        return
    yield op.Put(nouns.variables[0], (yield nouns.words[1].load))


SEES = ("load", "spin", "get", "copy out", "load size", "load byte", "is set", "wait", "yield")


def source_of(instructions, depth=1):
    """The lines of a routine: each instruction has a place in the code of its own, as in routines that people write."""
    indent = "    " * depth
    for name, *arguments in instructions:
        first = arguments[0] if arguments else None
        match name:
            case "lock":
                yield f"{indent}yield nouns.locks[{first}].acquire"
                yield from source_of(arguments[1], depth)
                yield f"{indent}yield nouns.locks[{first}].release"
            case "shared":
                yield f"{indent}yield nouns.locks[{first}].acquire_shared"
                yield from source_of(arguments[1], depth)
                yield f"{indent}yield nouns.locks[{first}].release_shared"
            case "try":
                yield f"{indent}seen += ((yield nouns.locks[{first}].try_acquire),)"
                yield f"{indent}if seen[-1]:"
                yield from source_of(arguments[1], depth + 1)
                yield f"{indent}    yield nouns.locks[{first}].release"
            case "if":
                yield f"{indent}if seen and seen[-1]:"
                yield from source_of(first, depth + 1)
                yield f"{indent}    pass"
            case "twice":
                yield f"{indent}for _ in range(2):"
                yield from source_of(first, depth + 1)
                yield f"{indent}    pass"
            case "start":
                yield f"{indent}handle = yield op.StartThread(started(nouns, {first}), 'started', 8)"
            case "join":
                yield f"{indent}if handle is not None:"
                yield f"{indent}    yield op.Wait((handle.ended,))"
            case "append":
                yield f"{indent}entry = op.Entry()"
                yield f"{indent}seen += ((yield op.Append(nouns.active, entry, {first}, True)),)"
            case "mark":
                yield f"{indent}if entry is not None:"
                yield f"{indent}    yield op.MarkCompleted(entry)"
            case "take":
                yield f"{indent}taken = yield nouns.active.take_completed"
                yield f"{indent}seen += (None if taken is None else (taken[0].end_offset(), taken[1]),)"
            case "allocate":
                yield f"{indent}seen += ((yield nouns.pool.allocate),)"
                yield f"{indent}mine += seen[-1]"
            case "free":
                # As in all routines, what is freed was allocated before: frees are not held against allocations.
                yield f"{indent}if mine:"
                yield f"{indent}    yield nouns.pool.free"
                yield f"{indent}    mine -= 1"
            case _ if name in SEES:
                yield f"{indent}seen += ((yield simple(nouns, {name!r}, {arguments!r})),)"
            case _:
                yield f"{indent}yield simple(nouns, {name!r}, {arguments!r})"


def routine_of(instructions):
    """A thread's routine, as a function of what is shared; it returns what it saw."""
    lines = [
        "def routine(nouns):",
        "    seen, handle, entry, mine = (), None, None, 0",
        *source_of(instructions),
        "    return seen",
    ]
    lines.append("    yield")
    names = {"op": op, "started": started, "simple": simple}
    exec("\n".join(lines), names)
    return names["routine"]


def simple(nouns, name, arguments):
    """The operation of an instruction that is only one."""
    first = arguments[0] if arguments else 0
    match name:
        case "store":
            return op.Store(nouns.words[first], arguments[1])
        case "load":
            return nouns.words[first].load
        case "spin":
            return op.Spin(nouns.words[first], 0, None, 100)
        case "put":
            return op.Put(nouns.variables[first], arguments[1])
        case "get":
            return nouns.variables[first].get
        case "fence":
            return op.Fence()
        case "set":
            return nouns.events[first].set
        case "clear":
            return nouns.events[first].clear
        case "is set":
            return nouns.events[first].is_set
        case "wait":
            return op.Wait(tuple(nouns.events[place] for place in first))
        case "copy in":
            return op.CopyIn(nouns.ring, first, bytes([arguments[2]]) * arguments[1], arguments[1])
        case "copy out":
            return op.CopyOut(nouns.ring, first, arguments[1])
        case "store size":
            return op.StoreSize(nouns.ring, first, arguments[1])
        case "load size":
            return op.LoadSize(nouns.ring, first)
        case "load byte":
            return op.LoadByte(nouns.ring, first)
        case "delete pool":
            return op.Delete(nouns.pool)
        case "delete lock":
            return op.Delete(nouns.locks[first])
        case "yield":
            return op.Yield()
        case "sleep":
            return op.Sleep(1)
    raise AssertionError(name)


def instructions(weird=True):
    """One instruction."""
    places = st.integers(0, 2)
    memory = st.one_of(
        st.tuples(st.just("store"), places, st.integers(1, 2)),
        st.tuples(st.just("load"), places),
        st.tuples(st.just("put"), st.integers(0, 1), st.integers(1, 2)),
        st.tuples(st.just("get"), st.integers(0, 1)),
        st.tuples(st.just("spin"), places),
        st.just(("fence",)),
    )
    events = st.one_of(
        st.tuples(st.just("set"), places),
        st.tuples(st.just("clear"), places),
        st.tuples(st.just("is set"), places),
        st.tuples(st.just("wait"), st.sampled_from([(0,), (1,), (0, 1), (1, 2), (2, 0), (0, 1, 2)])),
    )
    data = st.one_of(
        st.tuples(st.just("copy in"), st.sampled_from([0, 2, 4]), st.sampled_from([1, 4, 6]), st.integers(1, 2)),
        st.tuples(st.just("copy out"), st.sampled_from([0, 4]), st.sampled_from([4, 8])),
        st.tuples(st.just("store size"), st.sampled_from([0, 4, 6]), st.integers(1, 2)),
        st.tuples(st.just("load size"), st.sampled_from([0, 4])),
        st.tuples(st.just("load byte"), st.sampled_from([0, 5])),
    )
    others = [
        st.just(("yield",)),
        st.just(("sleep",)),
        st.just(("allocate",)),
        st.just(("free",)),
        st.tuples(st.just("start"), places.map(lambda n: n % 2)),
        st.just(("join",)),
    ]
    if weird:
        others += [st.just(("delete pool",)), st.tuples(st.just("delete lock"), st.integers(0, 1))]
    simple_ones = st.one_of(memory, memory, events, data, st.one_of(*others))
    listed = st.one_of(
        st.tuples(st.just("append"), st.sampled_from([4, 8])), st.just(("take",)), st.just(("mark",)), memory
    )
    bodies = st.lists(simple_ones, min_size=0, max_size=3).map(tuple)
    nested = st.one_of(
        st.tuples(st.sampled_from(["lock", "shared", "try"]), st.integers(0, 1), bodies),
        st.tuples(st.sampled_from(["lock", "lock", "try"]), st.just(0), st.lists(memory, max_size=2).map(tuple)),
        st.tuples(st.just("lock"), st.just(0), st.lists(listed, min_size=1, max_size=3).map(tuple)),
        st.tuples(st.just("lock"), st.just(0), st.tuples(st.tuples(st.just("try"), st.just(1), bodies))),
        st.tuples(st.just("if"), bodies),
        st.tuples(st.just("twice"), st.lists(simple_ones, max_size=2).map(tuple)),
    )
    return st.one_of(simple_ones, nested, st.just(("mark",)))


@st.composite
def programs(draw, weird=True):
    """Threads of a program, and what may fail in it."""
    threads = draw(
        st.lists(st.lists(instructions(weird), min_size=1, max_size=5).map(tuple), min_size=2, max_size=3).filter(
            lambda found: sum(map(size, found)) <= 13
        )
    )
    failing = draw(st.sampled_from([(), (), ("things",), ("thread",)]))
    return Drawn(tuple(threads), failing, draw(st.booleans()))


def size(found):
    """About how many operations instructions are."""
    total = 0
    for part in found:
        if isinstance(part, tuple):
            total += (part[0] in ("lock", "shared", "try")) + 1 if part and isinstance(part[0], str) else 0
            total += sum(size((inner,)) for inner in part if isinstance(inner, tuple)) if part else 0
    return total


@dataclass(frozen=True)
class Drawn:
    """A program."""

    threads: tuple
    failing: tuple = ()
    excludes: bool = True
    """Whether a waiting writer keeps new readers out."""

    def scenario(self):
        """A scenario of it: nothing is expected but what comes of it, and whoever waits may."""

        def build(setting):
            world = setting.world(checks=False, failing=self.failing)
            nouns = world.nouns = Nouns(world)
            world.machine.idle_of_started = lambda name: lambda state: True
            for number, thread in enumerate(self.threads):
                routine = routine_of(thread)
                world.thread(f"thread {number}", lambda routine=routine: routine(nouns), idle=lambda state: True)
            return world

        return Scenario(name="drawn", title="a random program", build=build, is_broken=lambda setting: False)

    def setting(self, memory, passes_silent=True):
        """Where it is explored."""
        rules = Rules(waiting_writer_excludes_readers=self.excludes)
        return Setting(memory=memory, passes_silent=passes_silent, rules=rules)


def ending_of(world):
    """What the end of an execution is, whatever order it was reached in."""
    nouns, machine = world.nouns, world.machine
    slot = machine.layout.slot
    variable_slots = [slot(variable, variable.name, variable.value) for variable in nouns.variables]
    event_slots = [slot(event, event.name, event.signalled) for event in nouns.events]

    def ending(state):
        machine.complete(state)
        threads = []
        for program in machine.programs:
            node = state[program.slot]
            if node is program.dormant:
                continue
            steps = [
                (described(before.operation), described(before.sending(key)))
                for before, key in node.history()
                if not isinstance(before.operation, SILENT)
            ]
            threads.append(
                (program.name, node.has_ended, described(node.result), described(node.operation), tuple(steps))
            )
        memory = [state[slot] for slot in nouns.region.words] + [state[nouns.region.data]]
        variables = [state[place] for place in variable_slots]
        events = [state[place] is True for place in event_slots]
        return (tuple(sorted(threads)), *memory, *variables, *events)

    return ending
