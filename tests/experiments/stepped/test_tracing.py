"""Tracing: a program of rows does what the routine does that it was traced from."""

from functools import cache
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model.operations import Fence, Load, Store, Word, Yield
from wintunsim.experiments.stepped.rewriting import rewritten
from wintunsim.experiments.stepped.symbols import Symbol, Untraceable
from wintunsim.experiments.stepped.tracing import Registers, Tracing, Unsupported, blocks_from

CELLS = [0, 0, 0]
WORDS = [Word(CELLS, place, f"word {place}") for place in range(3)]
INPUT, OTHER, OUTPUT = WORDS


def divisor():
    """The greatest common divisor, by subtraction; the two change places."""
    first = yield INPUT.load
    second = yield OTHER.load
    while second:
        if first < second:
            first, second = second, first
        first -= second
        yield Yield()
        if first < second:
            first, second = second, first
    yield Store(OUTPUT, first)


def counting():
    """So many times something, in one routine inside of the other."""
    total, count = 0, 0
    limit = yield INPUT.load
    step = yield OTHER.load
    while count < limit:
        count += 1
        total = yield from adding(total, step)
    yield Store(OUTPUT, total)


def adding(total, step):
    twice = total + step
    yield Yield()
    return twice


def masked():
    first = yield INPUT.load
    second = yield OTHER.load
    wrapped = (first * 3 - second) & 0xFF
    yield Yield()
    if wrapped >= 100 or wrapped == 7:
        wrapped = 7 // 2 + wrapped // 2
    yield Store(OUTPUT, wrapped)


def begins_with_zero():
    count = 0
    while True:
        limit = yield INPUT.load
        if count != limit:
            count += 1
            continue
        yield Store(OUTPUT, count)
        return


class ToyMeaning:
    """Loads and stores of the three words."""

    def __init__(self, function):
        self.registers = Registers(1)
        self.tracing = Tracing(self.registers, "toy")
        self.places = {word: self.registers.new() for word in WORDS}
        module = ModuleType(__name__)
        vars(module).update({item.__name__: item for item in (divisor, counting, adding, masked, begins_with_zero)})
        vars(module).update(INPUT=INPUT, OTHER=OTHER, OUTPUT=OUTPUT, Yield=Yield, Store=Store, Fence=Fence)
        module.__file__ = __file__
        self.begin = rewritten(module, self.tracing.lift, len).get(function.__name__, function)

    def perform(self, operation):
        if isinstance(operation, Load):
            place = Symbol(self.tracing, self.places[operation.word], is_input=True)
            return self.tracing.write("LOAD", place, result=True)
        if isinstance(operation, Store):
            place = Symbol(self.tracing, self.places[operation.word], is_input=True)
            self.tracing.write("PUT", operation.value, place)
        elif isinstance(operation, Yield):
            self.tracing.write("PASS")
        else:
            raise Unsupported
        return None

    def parts(self, value):
        return None

    def state(self):
        return []


@cache
def traced(function):
    meaning = ToyMeaning(function)
    return meaning.tracing.trace(meaning), meaning


def performed(function, first, second):
    """What the program of a routine stores, or -1."""
    block, meaning = traced(function)
    m = dict(meaning.registers.initial)
    m[meaning.places[INPUT]], m[meaning.places[OTHER]] = first, second
    m[meaning.places[OUTPUT]] = -1
    calculations = {
        "MOVE": lambda a: a, "LOAD": lambda a: a, "ADD": int.__add__, "SUBTRACT": int.__sub__,
        "MULTIPLY": int.__mul__, "DIVIDE": int.__floordiv__, "AND": int.__and__,
    }  # fmt: skip
    while True:
        for row in block.rows:
            if row.name == "PUT":
                m[row.operands[1]] = m[row.operands[0]]
            elif row.name != "PASS":
                m[row.target] = calculations[row.name](*(m[place] for place in row.operands))
        if not block.following:
            return m[meaning.places[OUTPUT]]
        answer = True
        if block.question is not None:
            a, b = (m[place] for place in block.question.operands)
            answer = a < b if block.question.name == "LESS" else a == b
        block = block.following[0 if answer else 1]


def called(function, first, second):
    """What the routine itself stores."""
    CELLS[:] = [first, second, -1]
    routine, value = function(), None
    try:
        while True:
            operation = routine.send(value)
            value = CELLS[operation.word.index] if isinstance(operation, Load) else None
            if isinstance(operation, Store):
                CELLS[operation.word.index] = operation.value
    except StopIteration:
        return CELLS[2]


@pytest.mark.parametrize("function", [divisor, counting, masked, begins_with_zero])
@given(first=st.integers(0, 60), second=st.integers(0, 60))
def test_a_program_does_what_its_routine_does(function, first, second):
    assert performed(function, first, second) == called(function, first, second)


def test_ways_that_come_together_go_on_as_one():
    def splitting():
        value = yield INPUT.load
        for place in range(12):
            if value == place:
                yield Yield()
            yield Yield()

    # Not one block for each of the 4096 ways.
    assert len(blocks_from([traced(splitting)[0]])) < 60


def test_what_is_calculated_and_not_used_has_no_row():
    def careless():
        value = yield INPUT.load
        unused = value + 1
        unused = unused * 2
        yield Store(OUTPUT, value)

    block, _ = traced(careless)
    assert [row.name for row in block.rows] == ["LOAD", "PUT"]


def test_a_program_ends_where_an_operation_has_no_rows():
    def fenced():
        value = yield INPUT.load
        if value:
            yield Fence()
        yield Store(OUTPUT, 5)

    assert [performed(fenced, first, 0) for first in (0, 1)] == [5, -1]


def test_what_must_be_known_is_not_guessed():
    def listing():
        value = yield INPUT.load
        yield Store(OUTPUT, range(10)[value])

    def shifting():
        value = yield INPUT.load
        yield Store(OUTPUT, 1 << value)

    with pytest.raises(Untraceable, match="a routine needs to know what it cannot know before it runs"):
        traced(listing)
    with pytest.raises(Untraceable, match="the toy's routine does what symbols cannot: unsupported operand"):
        traced(shifting)


def test_a_routine_that_does_not_end_is_given_up():
    def numbering():
        for _number in range(1 << 40):
            yield Yield()

    with pytest.raises(Untraceable, match="the toy's routine does not come to where it has been before"):
        traced(numbering)
