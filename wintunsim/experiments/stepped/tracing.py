"""Tracing: a program of rows out of a routine that is run with symbols instead of integers.

A routine is a function of what is sent into it, so it may be run again and again, each time another way where it asks
for what is not known (`Symbol`). Where it comes to where it has been before, with nothing but integers that differ,
the ways come together: there the integers have registers of their own.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from wintun_model.operations import Routine
from wintunsim.experiments.stepped.rows import CALCULATING, FIXED
from wintunsim.experiments.stepped.symbols import Integer, Symbol, Untraceable

STATES_MOST = 20_000
"""So many operations, each with all that decides how it goes on, are looked at before that is given up."""


@dataclass(slots=True)
class Row:
    """One row, with registers as operands."""

    name: str
    use: int = 0
    cost: int = 0
    figure: int = int(FIXED)
    target: int = 0
    operands: tuple[int, ...] = ()


@dataclass(slots=True)
class Block:
    """Rows, and what comes after the last: nothing, one block, or one of two by what a row of two operands says."""

    rows: list[Row] = field(default_factory=list)
    question: Row | None = None
    following: list[Block] = field(default_factory=list)
    joins_at: int = -1
    """Behind so many rows other ways come to the same place: it goes on in one block for all. Below 0 for none."""


class Registers:
    """Gives out places: constants, named registers, and others. `initial` says what is in them at first."""

    def __init__(self, first: int) -> None:
        self.first = self.next = first
        self.initial: dict[int, int] = {}
        self._constants: dict[int, int] = {}
        self._named: dict[str, int] = {}

    def new(self, value: int = 0) -> int:
        """One more register."""
        place = self.next
        self.next += 1
        self.initial[place] = value
        return place

    def constant(self, value: int) -> int:
        """Where this number stands."""
        if value not in self._constants:
            self._constants[value] = self.new(value)
        return self._constants[value]

    def named(self, name: str) -> int:
        """The register of this name."""
        if name not in self._named:
            self._named[name] = self.new()
        return self._named[name]


class Traced(Protocol):
    """What the operations of a routine come to."""

    def begin(self) -> Routine[None]:
        """The routine from its start, and everything else as it is then."""

    def perform(self, operation: Any) -> Any:
        """Write an operation's rows; what is sent back. A generator runs instead, and its end is what is sent back."""

    def parts(self, value: object) -> list[tuple[str, object]] | None:
        """The attributes of an object that may hold symbols; None for an object that is always the same."""

    def state(self) -> list[tuple[str, object]]:
        """What else decides how it goes on."""


class _PathEnds(Exception):
    """There is nothing more to be found this way."""


class Unsupported(Exception):
    """An operation that has no rows: the run that comes to it is none for a program."""


class Tracing:
    """Traces one thread's routine. `entry` is where its program begins."""

    def __init__(self, registers: Registers, name: str) -> None:
        self.registers = registers
        self.name = name
        self._joins: set[Any] = set()
        """Where ways come together: a block begins there."""
        self._kept: dict[int, object] = {}
        """What is known by its `id`, which nothing else may get meanwhile."""

    def trace(self, meaning: Traced) -> Block:
        """All ways that the routine may go."""
        while True:
            self._begun: dict[Any, Block] = {}
            self.entry = Block()
            self._seen: set[Any] = set()
            self._found: set[Any] = set()
            waiting: list[tuple[bool, ...]] = [()]
            while waiting:
                self._walk(meaning, waiting.pop(), waiting)
            self._joins |= self._found
            if not self._found:
                _forget_unused([self.entry])
                return self.entry

    def _walk(self, meaning: Traced, answers: tuple[bool, ...], waiting: list[tuple[bool, ...]]) -> None:
        """Go one way: give these answers, and then always yes."""
        self._block, self._at = self.entry, 0
        self._answers, self._given, self._waiting = answers, list[bool](), waiting
        stack: list[Generator[Any, Any, Any]] = [meaning.begin()]
        value: Any = None
        try:
            while stack:
                try:
                    operation = stack[-1].send(value)
                except StopIteration as stop:
                    stack.pop()
                    value = stop.value
                    continue
                except TypeError as error:
                    raise Untraceable(f"the {self.name}'s routine does what symbols cannot: {error}") from error
                self._arrive(meaning, stack)
                value = meaning.perform(operation)
                if isinstance(value, Generator):
                    stack.append(value)
                    value = None
        except (_PathEnds, Unsupported):
            pass
        for routine in reversed(stack):
            routine.close()

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(
        self,
        name: str,
        *operands: Integer,
        use: int = 0,
        cost: int = 0,
        figure: int = int(FIXED),
        result: bool = False,
    ) -> Symbol | None:
        """One more row; with a `result` the symbol for what comes of it."""
        rows = self._block.rows
        if self._at == len(rows):
            target = self.registers.new() if result else 0
            rows.append(Row(name, use, cost, figure, target, tuple(map(self.place_of, operands))))
        row = rows[self._at]
        self._at += 1
        return Symbol(self, row.target) if result else None

    def place_of(self, value: Integer) -> int:
        """Where an integer stands."""
        return value.place if isinstance(value, Symbol) else self.registers.constant(int(value))

    def lift(self, value: int) -> Symbol:
        """A number that a routine begins to count with."""
        return Symbol(self, self.registers.constant(value))

    def calculate(self, name: str, left: Integer, right: Integer) -> Symbol:
        """What a symbol calculates."""
        found = self.write(name, left, right, result=True)
        assert found is not None
        return found

    def decide(self, name: str, left: Integer, right: Integer) -> bool:
        """What a symbol is asked: one answer, and the other one another time."""
        block = self._block
        if block.question is None:
            block.question = Row(name, operands=(self.place_of(left), self.place_of(right)))
            block.following = [Block(), Block()]
        given = self._given
        if len(given) < len(self._answers):
            answer = self._answers[len(given)]
        else:
            answer = True
            self._waiting.append((*given, False))
        given.append(answer)
        self._block, self._at = block.following[0 if answer else 1], 0
        return answer

    # -- where ways come together ----------------------------------------------------------------------------------

    def _arrive(self, meaning: Traced, stack: list[Generator[Any, Any, Any]]) -> None:
        """The routine has come to an operation: it may have been here before."""
        is_known = len(self._given) < len(self._answers)
        if is_known and self._block.joins_at != self._at:
            return  # on the way to where it has not been
        symbols: dict[int, tuple[str, Symbol]] = {}
        key = tuple(self._describe(meaning, stack, symbols))
        if key not in self._joins:
            if key in self._seen:
                self._found.add(key)
                raise _PathEnds
            self._seen.add(key)
            if len(self._seen) > STATES_MOST:
                raise Untraceable(f"the {self.name}'s routine does not come to where it has been before")
            return
        block = self._block
        if block.following:
            # On the way to somewhere else it goes on in the block that it began here.
            self._settle(symbols, is_written=False)
            self._block, self._at = block.following[0], 0
            return
        block.joins_at = self._at
        self._settle(symbols, is_written=True)
        is_new = key not in self._begun
        if is_new:
            self._begun[key] = Block()
        block.following = [self._begun[key]]
        if not is_new:
            raise _PathEnds
        self._block, self._at = self._begun[key], 0

    def _settle(self, symbols: dict[int, tuple[str, Symbol]], *, is_written: bool) -> None:
        """Put all symbols where they are whenever the program comes here."""
        moves = [(self.registers.named(f"{self.name}.{name}"), symbol) for name, symbol in symbols.values()]
        moves = [(place, symbol) for place, symbol in moves if place != symbol.place]
        if is_written:
            targets = {place for place, _ in moves}
            sources = {symbol.place: symbol.place for _, symbol in moves}
            for place in sorted(targets & sources.keys()):
                sources[place] = self.registers.new()
                self._block.rows.append(Row("MOVE", target=sources[place], operands=(place,)))
            for place, symbol in moves:
                self._block.rows.append(Row("MOVE", target=place, operands=(sources[symbol.place],)))
        for place, symbol in moves:
            symbol.place = place

    def _describe(
        self, meaning: Traced, stack: list[Generator[Any, Any, Any]], symbols: dict[int, tuple[str, Symbol]]
    ) -> Iterator[Any]:
        """Where the routine is, and all that decides how it goes on but what is in registers."""
        objects: dict[int, int] = {}
        depth = 0
        for routine in stack:
            inner: Any = routine
            while isinstance(inner, Generator):
                frame: Any = inner.gi_frame  # type: ignore[attr-defined]
                yield frame.f_code, frame.f_lasti
                for name, value in frame.f_locals.items():
                    yield name
                    yield from self._about(meaning, value, f"{depth}.{name}", symbols, objects)
                inner = inner.gi_yieldfrom  # type: ignore[attr-defined]
                depth += 1
        for name, value in meaning.state():
            yield from self._about(meaning, value, name, symbols, objects)

    def _about(
        self,
        meaning: Traced,
        value: Any,
        path: str,
        symbols: dict[int, tuple[str, Symbol]],
        objects: dict[int, int],
    ) -> Iterator[Any]:
        """One value: what is known of it."""
        if isinstance(value, Symbol):
            if value.is_input:
                yield "input", value.place
                return
            known = id(value) in symbols
            symbols.setdefault(id(value), (path, value))
            yield "same" if known else "symbol", list(symbols).index(id(value))
        elif value is None or isinstance(value, int | str | bytes | Enum):
            yield type(value), value
        elif isinstance(value, tuple | list):
            yield type(value), len(value)
            for place, item in enumerate(value):
                yield from self._about(meaning, item, f"{path}.{place}", symbols, objects)
        elif (parts := meaning.parts(value)) is None:
            self._kept[id(value)] = value
            yield "object", id(value)
        elif id(value) in objects:
            yield "same object", objects[id(value)]
        else:
            objects[id(value)] = len(objects)
            yield type(value)
            for name, part in parts:
                yield from self._about(meaning, part, f"{path}.{name}", symbols, objects)


# -- what comes of it -------------------------------------------------------------------------------------------------


def blocks_from(entries: list[Block]) -> list[Block]:
    """All blocks that come after these, each once, a block behind the one that it follows if that may be."""
    found: dict[int, Block] = {}
    waiting = list(reversed(entries))
    while waiting:
        block = waiting.pop()
        if id(block) not in found:
            found[id(block)] = block
            waiting.extend(reversed(block.following))
    return list(found.values())


def _forget_unused(entries: list[Block]) -> None:
    """Leave out what is calculated and never used."""
    blocks = blocks_from(entries)
    while True:
        used = {place for block in blocks for row in block.rows for place in row.operands}
        used |= {place for block in blocks if block.question is not None for place in block.question.operands}
        before = sum(len(block.rows) for block in blocks)
        for block in blocks:
            block.rows[:] = [row for row in block.rows if row.name not in CALCULATING or row.target in used]
        if sum(len(block.rows) for block in blocks) == before:
            return
