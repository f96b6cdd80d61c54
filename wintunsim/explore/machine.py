"""The machine that is explored: its threads, their memory, and what may happen next in a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from types import FunctionType
from typing import Any, Protocol

from wintun_model import operations as op
from wintun_model.adapter import Adapter, ReceiveNbl, SendChain
from wintun_model.errors import ModelError
from wintunsim.explore.footprints import Footprints
from wintunsim.explore.layout import NOT_READY, Layout
from wintunsim.explore.program import BLOCKED, Node, Program
from wintunsim.explore.rules import Rules
from wintunsim.explore.steps import Steps
from wintunsim.explore.violation import Property, Violation, freed_too_often
from wintunsim.explore.writes import State, Writes

FLUSH = 2
"""The low two bits of a transition: an outcome of the thread's operation (0 or 1), or this: a store becomes visible."""
STEPS_MAX = 2000
"""How many steps one execution may have, unless the machine says otherwise."""
OUTSIDE_CONTEXT = frozenset((
    "name", "driver", "limits", "revision", "rereads_size", "context", "is_attached", "partial_descriptors",
    "memory_descriptors", "nbl_pool",
))  # fmt: skip
"""What the model's adapter has that is no part of the driver's memory for it."""


class Ndis(Protocol):
    """NDIS's side: what happens inside the driver's calls. Each answer depends on the arguments alone."""

    def complete_send(self, adapter: Adapter, chain: SendChain) -> op.Routine[None] | None: ...

    def indicate_receive(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None] | None: ...

    def indicate_link(self, adapter: Adapter, connected: bool) -> op.Routine[None] | None: ...


class ExploredPages:
    """Pages that a thread locked down; whether they are still locked is in the state."""

    def __init__(self, view: memoryview, slot: int) -> None:
        self.view = view
        self.views: list[memoryview] = []
        self.slot = slot

    def unlock(self) -> None:
        """Nothing: unlocking is in the state."""


class StartedThread:
    """What a routine gets for a thread that it started."""

    def __init__(self, ended: op.Event) -> None:
        self.ended = ended


class StartedProgram(Program):
    """A thread that another one starts."""

    handle: StartedThread


class Machine:
    """Threads over one memory. States are lists; `layout` says what their slots hold.

    With `memory` "tso" each thread has a store buffer, as x86 processors do; with "sc" stores are seen at once. With
    `passes_silent` off, operations that nobody can see are steps too. `failing` names what may fail: each attempt is
    then tried both ways.
    """

    def __init__(
        self,
        ndis: Ndis,
        *,
        memory: str = "sc",
        rules: Rules | None = None,
        failing: Sequence[str] = (),
        checks: bool = True,
        passes_silent: bool = True,
        steps_max: int = STEPS_MAX,
    ) -> None:
        self.ndis = ndis
        self.is_tso = memory == "tso"
        self.rules = rules or Rules()
        self.failing = frozenset(failing)
        self.passes_silent = passes_silent
        self.steps_max = steps_max
        self.layout = Layout()
        self.buffers_mask = self.layout.bit()
        """The bit for what is in store buffers at all: barriers on all processors depend on it."""
        self.writes = Writes(self.layout.masks, self.layout.names, checks=checks)
        self.steps = Steps(self)
        self.programs: list[Program] = []
        self.rows: list[tuple[int, int, int]] = []
        """For each thread that is explored: (its slot, its buffer's slot, its index << 2)."""
        self.footprints = Footprints(self.programs, self.buffers_mask)
        self.growth = 0
        """How often something was learnt by which what was decided before may be wrong."""
        self.choice = 0
        """Which outcome the operation that is being performed is to have."""
        self.waits: dict[int, list[int]] = {}
        self.list_of: dict[int, int] = {}
        self.counted_pools: dict[int, str] = {}
        """The names of pools that something is freed to, by their slots."""
        self.try_masks: dict[int, int] = {}
        self.lock_nodes: dict[int, list[Node]] = {}
        self.event_nodes: dict[int, list[Node]] = {}
        self.end_checks: list[Callable[[State], None]] = []
        self.handles: Callable[[object], Sequence[Any]] = lambda target: ()
        self.close_handle: Callable[[op.Caller, int], op.Routine[None] | None] = lambda caller, handle: None
        self._shared_locks: set[int] = set()
        self._contexts: dict[int, int] = {}
        self._context_pools: set[int] = set()
        self._started: dict[Any, StartedProgram] = {}
        self._entries: dict[Any, op.Entry] = {}
        self._known_entries: set[int] = set()
        self._pages: dict[Any, ExploredPages] = {}

    # -- threads ----------------------------------------------------------------------------------------------------

    def add_thread(
        self,
        name: str,
        factory: Callable[[], op.Routine[Any]],
        *,
        idle: Callable[[State], bool] | None = None,
        is_set_up: bool = False,
    ) -> Program:
        """A thread that is there from the start. `idle` tells whether it may wait for ever in a state.

        One that `is_set_up` has ended before the exploration begins.
        """
        program = Program(self, len(self.programs), name, factory, is_started=True)
        program.is_set_up = is_set_up
        program.idle = idle
        self._place(program)
        return program

    def _place(self, program: Program) -> None:
        program.slot = self.layout.add(program.name, program.dormant)
        program.buffer = self.layout.add(f"{program.name} store buffer", ())
        program.dormant.enablers = self.layout.masks[program.slot]
        self.programs.append(program)
        if not program.is_set_up:
            self.rows.append((program.slot, program.buffer, program.index << 2))

    def started_by(self, node: Node, operation: op.StartThread) -> StartedProgram:
        """The thread that a `StartThread` starts: one for each time that this thread starts this routine."""
        parent = node.thread
        ordinal = sum(isinstance(before.operation, op.StartThread) for before, _ in node.history())
        routine: Any = operation.routine
        code, arguments = routine.gi_code, routine.gi_frame.f_locals
        key = (parent.index, ordinal, code, tuple(id(parent.canonical(value)) for value in arguments.values()))
        found = self._started.get(key)
        if found is None:
            values = {name: parent.canonical(value) for name, value in arguments.items()}
            function = FunctionType(code, routine.gi_frame.f_globals)
            names = [*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]]

            def factory() -> op.Routine[Any]:
                positional = names[: code.co_argcount]
                rest = {name: values[name] for name in names[code.co_argcount :]}
                return function(*(values[name] for name in positional), **rest)  # type: ignore[no-any-return]

            if code.co_freevars:
                raise ModelError(f"{code.co_name} is started as a thread: define it outside of other functions")
            found = StartedProgram(self, len(self.programs), operation.name, factory, is_started=False)
            found.ended = op.Event(f"{operation.name} ended", manual_reset=True)
            found.handle = StartedThread(found.ended)
            found.idle = self.idle_of_started(operation.name)
            self._place(found)
            self._started[key] = found
            self.growth += 1
        return found

    def idle_of_started(self, name: str) -> Callable[[State], bool] | None:
        """Whether a thread that the driver starts may wait for ever; a world says it."""
        return None

    def let_go(self, state: State, index: int, slot: int) -> None:
        """The setting of the event in `slot` ends the wait of the thread with that index."""
        program = self.programs[index]
        twin = state[program.slot]
        slots = self.waits[id(twin)]
        for other in slots:
            waiters = state[other]
            if type(waiters) is tuple:
                state[other] = tuple(waiter for waiter in waiters if waiter != index) or False
        place = slots.index(slot)
        state[program.slot] = twin.children.get(place) or self.grow(state, twin, place)

    # -- what nodes need to know ------------------------------------------------------------------------------------

    def watch_context(self, adapter: Adapter) -> None:
        """Check from now on that nobody uses the adapter's memory once it is freed."""
        slot = self.layout.slot(adapter.context, "context of " + adapter.name, adapter.context.outstanding)
        self._context_pools.add(id(adapter.context))
        for name, value in vars(adapter).items():
            if name not in OUTSIDE_CONTEXT:
                self._contexts[id(value)] = slot

    def context_of(self, noun: object) -> int | None:
        """The slot that says whether the memory that a noun is part of is still there; None where nobody asks."""
        return self._contexts.get(id(noun))

    def is_context(self, pool: op.Pool) -> bool:
        """Whether a pool is the memory of an adapter that is watched."""
        return id(pool) in self._context_pools

    def is_shared_lock(self, lock: op.Lock) -> bool:
        """Whether anybody takes a lock shared."""
        return id(lock) in self._shared_locks

    @property
    def shared_locks(self) -> int:
        """How many locks were seen to be taken shared: who waits for such a lock exclusively announces itself."""
        return len(self._shared_locks)

    def note_shared(self, lock: op.Lock) -> None:
        """Somebody takes the lock shared: who takes it exclusively must announce itself."""
        if id(lock) in self._shared_locks:
            return
        self._shared_locks.add(id(lock))
        self.growth += 1
        for node in self.lock_nodes.pop(id(lock), []):
            self.steps.compile(node)
            node.thread.note_footprint(node)
            self.footprints.note(node)

    def announces(self, state: State, program: Program) -> bool:
        """Whether a thread can announce itself as a lock's waiting writer, if the lock is taken shared somewhere else.

        A schedule that says so knows more executions than its own; from now on this machine knows that too.
        """
        operation = state[program.slot].operation
        if isinstance(operation, op.Acquire) and not self.is_shared_lock(operation.lock):
            self.note_shared(operation.lock)
            self.complete(state)
        return self.is_enabled(state, program)

    def wait_together(self, slots: Sequence[int]) -> None:
        """Setting one of some events ends a wait for all of them: so they depend on each other."""
        masks = self.layout.masks
        together = 0
        for slot in slots:
            together |= masks[slot]
        for slot in slots:
            if masks[slot] != together:
                masks[slot] = together
                self.growth += 1
                for node in self.event_nodes.get(slot, ()):
                    node.writes |= together
                    node.thread.note_footprint(node)
                    self.footprints.note(node)

    def entry(self, node: Node, entry: op.Entry) -> op.Entry:
        """The entry that stands for one that a thread hands to a list, or completes, in all of its histories.

        It is the first one that came in the same place among those of the thread, and is described alike.
        """
        thread = node.thread
        known = thread.canonical(entry)
        if id(known) in self._known_entries:
            return known  # type: ignore[no-any-return]
        kinds = (op.Append, op.CompleteSend)
        ordinal = sum(type(before.operation) in kinds for before, _ in node.history())
        described: tuple[object, ...] = (ordinal,)
        if isinstance(entry, ReceiveNbl):
            described += (entry.offset, entry.size_bytes, entry.number, id(thread.canonical(entry.ring)))
        elif isinstance(entry, SendChain):
            described += tuple((packet.data, packet.size_bytes) for packet in entry.packets())
        canonical = self._entries.setdefault((thread.index, type(entry), described), known)
        self._known_entries.add(id(canonical))
        thread.alias(known, canonical)
        thread.alias(entry, canonical)
        return canonical

    def pages(self, thread: int, ordinal: int, operation: op.LockPages) -> ExploredPages | None:
        """The pages that a thread gets when it locks some for the nth time; None for memory that cannot be."""
        place: Any = operation.caller.lock_pages(operation.address, operation.size)
        if place is None:
            return None
        key = (thread, ordinal, operation.address, operation.size)
        found = self._pages.get(key)
        if found is None:
            region, offset = place
            slot = self.layout.add(f"pages of {region.name}", False)
            found = ExploredPages(self.layout.map_pages(region, offset, operation.size, slot), slot)
            self._pages[key] = found
        return found

    def handles_of(self, target: object) -> Sequence[Any]:
        """All handles, open or not, to an adapter's device or to a file object."""
        return self.handles(target)

    # -- states -----------------------------------------------------------------------------------------------------

    def initial(self) -> State:
        """The state before anything has happened."""
        for program in self.programs:
            if program.is_started:
                self.layout.initial[program.slot] = program.root
        return list(self.layout.initial)

    def knowledge(self) -> int:
        """A number that changes when something is learnt by which what was decided before may be wrong."""
        return self.growth + self.footprints.growth

    def key_of(self) -> Callable[[State], object]:
        """What tells states apart: the slots that explored threads were seen to write, and where the threads are.

        What only counts up and down (pools) is left out: the histories of the threads decide it.
        """
        written = self.footprints.written()
        places = [place for slot, buffer, _ in self.rows for place in ((slot, buffer) if self.is_tso else (slot,))]
        thread_slots = {place for slot, buffer, _ in self.rows for place in (slot, buffer)}
        data_slots = {region.data: region for region in self.layout.regions}
        for slot, mask in enumerate(self.layout.masks):
            if slot in thread_slots:
                continue
            if slot in data_slots:
                mask = data_slots[slot].cell_mask(0, data_slots[slot].size_bytes - 12)
            if mask & written or slot in self.steps.entry_slots:
                places.append(slot)
        return itemgetter(*places) if places else tuple

    def complete(self, state: State) -> None:
        """Give a state the slots that have come since it was made."""
        if len(state) < len(self.layout.initial):
            state.extend(self.layout.initial[len(state) :])

    def apply(self, state: State, transition: int) -> None:
        """Take a transition. Violation when a property does not hold."""
        program = self.programs[transition >> 2]
        outcome = transition & 3
        if outcome == FLUSH:
            buffer = state[program.buffer]
            state[program.buffer] = buffer[1:]
            buffer[0].apply(state)
            return
        slot = program.slot
        node = state[slot]
        self.choice = outcome
        key = node.step(state, node)
        if key is not BLOCKED:
            state[slot] = node.children.get(key) or self.grow(state, node, key)

    def grow(self, state: State, node: Node, key: object) -> Node:
        """Where a thread stands after a result that its operation never had yet; what is new then joins the state."""
        child = node.child(key)
        self.complete(state)
        return child

    def is_enabled(self, state: State, program: Program) -> bool:
        """Whether a thread can take its next step."""
        node = state[program.slot]
        if node.has_ended or (node.drains and state[program.buffer]):
            return False
        return node.guard is None or node.guard(state)

    def enabled(self, state: State) -> list[int]:
        """All transitions that a state has."""
        found = []
        for slot, buffer, base in self.rows:
            node = state[slot]
            if state[buffer]:
                found.append(base | FLUSH)
                if node.drains:
                    continue
            if not node.has_ended and (node.guard is None or node.guard(state)):
                found.append(base)
                if node.choices > 1:
                    found.append(base | 1)
        return found

    def check_end(self, state: State) -> None:
        """Nothing can happen any more: who still waits may do so? Then what the world asks of ends."""
        for program in self.programs:
            node = state[program.slot]
            if node.has_ended or node is program.dormant:
                continue
            if program.idle is None or not program.idle(state):
                what = node.text if node.twin_of is not None else f"cannot {node.text}"
                raise Violation(Property.NO_LOST_WAKEUP, f"{program.name} {what}, for ever")
        for slot, name in self.counted_pools.items():
            if slot < len(state) and state[slot] is not NOT_READY and state[slot] < 0:
                raise freed_too_often(name)
        for check in self.end_checks:
            check(state)
