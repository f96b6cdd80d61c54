"""What threads run: a tree of operations for each routine, grown as the exploration meets new results.

A routine is a function of the results that are sent into it (design §7 rule 1). So its operations form a tree: a node
is an operation, and has a child for each result that ever came of it. A thread stands at a node, and taking the next
step needs no generator once the child is there. Only where the tree grows is the routine run: from its beginning, with
the results on the way to the node sent in again, as generators cannot be copied.

Objects that a routine makes (NBLs, rings) are new in each run. The first run's stand for all: `canonical`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from operator import length_hint
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from wintun_model import operations as op
from wintunsim.explore.violation import Property, Violation

if TYPE_CHECKING:
    from wintunsim.explore.machine import Machine

Step = Callable[[list[Any], "Node"], Any]
"""Performs an operation on a state; gives the key of its result, or `BLOCKED`."""

SILENT_MAX = 10_000
"""How many operations that nobody can see may follow each other."""

BLOCKED = object()
"""The key that says that a thread waits: somebody else will give it its result."""


class Point:
    """A place in a thread's code: all nodes at which its routines stand at the same instructions.

    `future_reads` and `future_writes` are the footprint of everything that the thread was seen to do from there on.
    """

    __slots__ = ("before", "future_reads", "future_writes")

    def __init__(self) -> None:
        self.future_reads = self.future_writes = 0
        self.before: set[Point] = set()
        """The places from which the thread comes here."""

    def add(self, reads: int, writes: int) -> int:
        """Something is done here or later; how many places that is news to."""
        news, waiting = 0, [self]
        while waiting:
            at = waiting.pop()
            if reads & ~at.future_reads or writes & ~at.future_writes:
                at.future_reads |= reads
                at.future_writes |= writes
                news += 1
                waiting += at.before
        return news


_NOWHERE = Point()


class Kind:
    """How a thread stands where it is able to go on, for the reduction: alike for nodes with equal footprints.

    `waiting` is the same for a thread that is not able to.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting = object()


_ANY, _ENDED = Kind(), Kind()


class Node:
    """An operation of one thread after one history of results.

    `reads` and `writes` are its footprint; `point` is the place in the code. `drains` says that it needs an empty store
    buffer. `guard` tells whether it is enabled where that depends on the state; `enablers` are the bits that it then
    waits for. `choices` is how many outcomes it may have, whatever the state is. `later_reads` and `later_writes` are
    the footprint of a store that goes into the store buffer first. `held` are the locks that the thread holds
    exclusively, and `alone` says that the step may always be taken before everybody else's (see `reduction`).
    `has_ended` marks the end, where `result` is what the routine returned.
    """

    __slots__ = (
        "alone", "blocked", "children", "choices", "drains", "enablers", "generator", "guard", "has_ended",
        "held", "key", "kind", "later_reads", "later_writes", "operation", "parent", "point", "reads", "result", "sent",
        "step", "text", "thread", "twin_of", "writes",
    )  # fmt: skip

    def __init__(self, thread: Program, parent: Node | None, key: Any, operation: op.Operation | None) -> None:
        self.thread = thread
        self.parent = parent
        self.key = key
        """The result of the parent's operation that leads here."""
        self.operation = operation
        self.children: dict[Any, Node] = {}
        self.sent: dict[Any, Any] = {}
        """What is sent into the routine for a key, where it is not the key itself."""
        self.generator: Generator[Any, Any, Any] | None = None
        """The routine, standing here; None when it has gone on."""
        self.reads = self.writes = 0
        self.point = _NOWHERE
        self.kind = _ANY
        self.later_reads = self.later_writes = 0
        self.enablers = 0
        self.drains = False
        self.guard: Callable[[list[Any]], bool] | None = None
        self.choices = 1
        self.step: Step = _no_step
        self.blocked: Node | None = None
        """Where the thread stands while it waits for this operation."""
        self.twin_of: Node | None = None
        """For such a place: the node that it belongs to."""
        self.has_ended = False
        self.held = 0
        self.alone = False
        self.result: Any = None
        self.text = ""

    def child(self, key: Any) -> Node:
        """The node after the result `key`."""
        return self.children.get(key) or self.thread.grow(self.twin_of or self, key)

    def sending(self, key: Any) -> Any:
        """What is sent into the routine for that result."""
        value = self.sent.get(key, self)
        if value is self:
            return key
        return value() if callable(value) else value

    def history(self) -> list[tuple[Node, Any]]:
        """The nodes before this one, from the first on, each with the result that came of it."""
        steps: list[tuple[Node, Any]] = []
        at = self
        while at.parent is not None:
            steps.append((at.parent, at.key))
            at = at.parent
        steps.reverse()
        return steps

    def __repr__(self) -> str:
        return f"Node({self.thread.name}: {self.text or type(self.operation).__name__})"


def _no_step(state: list[Any], node: Node) -> Any:
    raise Violation(Property.EXPECTATION, "a thread that has ended takes a step")


class Program:
    """One thread: `factory` makes its routine anew. `index` is its place among the machine's threads.

    `slot` holds where it stands (a `Node`), `buffer` its store buffer, a tuple of writes, oldest first.
    """

    def __init__(
        self, machine: Machine, index: int, name: str, factory: Callable[[], op.Routine[Any]], *, is_started: bool
    ) -> None:
        self.machine = machine
        self.index = index
        self.name = name
        self.factory = factory
        self.slot = -1
        self.buffer = -1
        self.is_started = is_started
        self.is_set_up = False
        """Whether it has ended before the exploration begins."""
        self.ended: op.Event | None = None
        """Set when the routine has returned, for whoever holds a handle to the thread."""
        self.idle: Callable[[list[Any]], bool] | None = None
        """Whether it may wait for ever in a state; None when it may not at all."""
        self._canonical: dict[int, Any] = {}
        self._kept: list[Any] = []
        self._root: Node | None = None
        self.dormant = Node(self, None, None, None)
        """Where it stands before it is started."""
        self.dormant.guard = lambda state: False
        self.dormant.text = "not started"
        self.dormant.point = Point()
        self._points: dict[tuple[object, ...], Point] = {}
        self._kinds: dict[tuple[object, ...], Kind] = {}

    @property
    def root(self) -> Node:
        """Where it begins."""
        if self._root is None:
            self._root = self._place(None, None, self.factory(), None, is_first=True)
        return self._root

    def canonical(self, value: Any) -> Any:
        """The object that stands for `value` in states: the one that the first run of the routine made."""
        if isinstance(value, tuple):
            return tuple(self.canonical(part) for part in value) if value else value
        # What stands for it may since have got something that stands for it in turn.
        while (other := self._canonical.get(id(value))) is not None:
            value = other
        return value

    def alias(self, value: Any, canonical: Any) -> None:
        """From now on `canonical` stands for `value`."""
        if value is canonical or isinstance(value, int | str | bytes | None | GeneratorType):
            return
        if isinstance(value, tuple) and isinstance(canonical, tuple):
            for part, other in zip(value, canonical, strict=True):
                self.alias(part, other)
            return
        if type(value) is type(canonical) and id(value) not in self._canonical:
            self._kept.append(value)
            self._canonical[id(value)] = canonical

    def grow(self, node: Node, key: Any) -> Node:
        """Run the routine on from `node` with the result `key`, to its next operation."""
        generator = node.generator
        if generator is None:
            generator = self._run_to(node)
        node.generator = None
        child = self._place(node, key, generator, node.sending(key))
        node.children[key] = child
        return child

    def _run_to(self, node: Node) -> Generator[Any, Any, Any]:
        """A new run of the routine, brought to `node`."""
        generator = self.factory()
        operation = self._pass_silent(generator, next(generator))
        for before, key in node.history():
            self._same(operation, before.operation)
            operation = self._send(generator, before, before.sending(key))
        self._same(operation, node.operation)
        return generator

    def routines_at(self, node: Node) -> tuple[str, ...]:
        """The names of the routines that are under way where a thread stands, the outermost first."""
        node = node.twin_of or node
        if node.operation is None or (self.ended is not None and node.operation is self.ended.set):
            return ()
        run: Any = self._run_to(node)
        names, inner = [], run
        while isinstance(inner, GeneratorType):
            names.append(inner.gi_code.co_name)
            inner = inner.gi_yieldfrom
        return tuple(names)

    def _same(self, operation: op.Operation, known: op.Operation | None) -> None:
        """Two runs came to the same operation: what it is made of corresponds."""
        if operation is known:
            return
        if type(operation) is not type(known):
            raise Violation(
                Property.EXPECTATION,
                f"{self.name} does not do the same again for the same results: a routine keeps nothing but its locals",
            )
        for name in fields_of(type(operation)):
            self.alias(getattr(operation, name), getattr(known, name))

    def _send(self, generator: Generator[Any, Any, Any], node: Node, value: Any) -> Any:
        """The next operation that can be seen, past those that cannot."""
        operation = generator.send(value)
        return self._pass_silent(generator, operation)

    def _pass_silent(self, generator: Generator[Any, Any, Any], operation: Any) -> Any:
        steps = self.machine.steps
        for _ in range(SILENT_MAX):
            if not self.machine.passes_silent or (silent := steps.silent(operation)) is None:
                return operation
            operation = generator.send(silent())
        raise Violation(Property.BOUNDED, f"{self.name} goes on for ever without a step that anybody could see")

    def _place(
        self, parent: Node | None, key: Any, generator: Generator[Any, Any, Any], value: Any, *, is_first: bool = False
    ) -> Node:
        try:
            operation = next(generator) if is_first else generator.send(value)
            operation = self._pass_silent(generator, operation)
        except StopIteration as stop:
            return self._end(parent, key, stop.value)
        node = Node(self, parent, key, operation)
        node.generator = generator
        self._compile(node, generator)
        return node

    def _compile(self, node: Node, generator: Generator[Any, Any, Any] | None) -> None:
        machine, parent = self.machine, node.parent
        node.point = self._find_point(node, generator)
        if parent is not None:
            node.held = machine.steps.held_after(parent, node.key)
        machine.steps.compile(node)
        if node.blocked is not None:
            node.blocked.held, node.blocked.point = node.held, node.point
        self.note_footprint(node)
        machine.footprints.note(node)

    def _end(self, parent: Node | None, key: Any, result: Any) -> Node:
        """The routine has returned; a thread that somebody holds sets its event as the last thing it does."""
        if self.ended is not None and not (parent is not None and parent.operation is self.ended.set):
            last = Node(self, parent, key, self.ended.set)
            self._compile(last, None)
            last.text = "ends"
            last.result = result
            end = self._end_node(last, None, result)
            last.children[None] = end
            return last
        return self._end_node(parent, key, result)

    def _end_node(self, parent: Node | None, key: Any, result: Any) -> Node:
        node = Node(self, parent, key, None)
        node.has_ended = True
        node.kind = _ENDED
        node.result = self.canonical(result)
        node.text = "ended"
        return node

    def note_footprint(self, node: Node) -> None:
        """Tell the places before what may follow them. Where that is news, what was decided there may be wrong."""
        news = node.point.add(node.reads | node.later_reads, node.writes | node.later_writes)
        self.machine.growth += news
        for place in (node, node.blocked):
            if place is not None:
                described = (
                    place.point, place.reads, place.writes, place.enablers, place.choices, place.held, place.drains
                )  # fmt: skip
                place.kind = self._kinds.setdefault(described, Kind())

    def _find_point(self, node: Node, generator: Generator[Any, Any, Any] | None) -> Point:
        """The place where a routine stands, known from now on to come after its parent's."""
        where: list[object] = []
        inner: Any = generator
        while isinstance(inner, GeneratorType):
            frame: Any = inner.gi_frame
            where += (inner.gi_code, frame.f_lasti)
            inner = inner.gi_yieldfrom
        if inner is not None:
            # A routine may yield from a list of operations: it stands where so many are left.
            where.append(length_hint(inner))
        key = tuple(where)
        point = self._points.get(key)
        if point is None:
            point = self._points[key] = Point()
        before = self.dormant.point if node.parent is None else node.parent.point
        if before not in point.before:
            point.before.add(before)
            self.machine.growth += before.add(point.future_reads, point.future_writes)
        return point


_fields: dict[type, tuple[str, ...]] = {}


def fields_of(kind: type) -> tuple[str, ...]:
    """The names of the fields of an operation's class."""
    found = _fields.get(kind)
    if found is None:
        names: list[str] = []
        for base in kind.__mro__:
            slots = base.__dict__.get("__slots__", ())
            names += [slots] if isinstance(slots, str) else list(slots)
        found = _fields[kind] = tuple(sorted(set(names)))
    return found
