"""Integers that are not known yet: what a routine computes with while it is traced.

A symbol stands for a register. What is done with it becomes rows of the program (`tracing`); where a routine asks
whether something holds, the tracing takes both ways, one after the other.
"""

from __future__ import annotations

from typing import Any, Protocol

Integer = Any
"""An `int`, or a `Symbol`."""


class Untraceable(Exception):
    """A routine that cannot be run with symbols, or that has too many ways to go."""


class Writer(Protocol):
    """What rows are written to."""

    def calculate(self, name: str, left: Integer, right: Integer) -> Symbol: ...

    def decide(self, name: str, left: Integer, right: Integer) -> bool: ...


class Symbol:
    """An integer of which nothing is known but its register, and what it can be at most if that is said.

    `place` is the register. An input is one whose register is its own for good.
    """

    __slots__ = ("is_input", "most", "place", "writer")

    def __init__(self, writer: Writer, place: int, most: int | None = None, *, is_input: bool = False) -> None:
        self.writer = writer
        self.place = place
        self.most = most
        """It is from 0 to this; None where that is not known."""
        self.is_input = is_input

    def __add__(self, other: Integer) -> Symbol:
        return self.writer.calculate("ADD", self, other)

    def __radd__(self, other: Integer) -> Symbol:
        return self.writer.calculate("ADD", self, other)

    def __sub__(self, other: Integer) -> Symbol:
        return self.writer.calculate("SUBTRACT", self, other)

    def __rsub__(self, other: Integer) -> Symbol:
        return self.writer.calculate("SUBTRACT", other, self)

    def __mul__(self, other: Integer) -> Symbol:
        return self.writer.calculate("MULTIPLY", self, other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Integer) -> Symbol:
        return self.writer.calculate("DIVIDE", self, other)

    def __and__(self, other: Integer) -> Symbol:
        return self.writer.calculate("AND", self, other)

    __rand__ = __and__

    def __lt__(self, other: Integer) -> bool:
        return self._is_below(other)

    def __ge__(self, other: Integer) -> bool:
        return not self._is_below(other)

    def __gt__(self, other: Integer) -> bool:
        return not self._is_at_most(other)

    def __le__(self, other: Integer) -> bool:
        return self._is_at_most(other)

    def __eq__(self, other: object) -> bool:
        return self.writer.decide("EQUAL", self, other)

    def __ne__(self, other: object) -> bool:
        return not self.writer.decide("EQUAL", self, other)

    def __bool__(self) -> bool:
        return not self.writer.decide("EQUAL", self, 0)

    __hash__ = None  # type: ignore[assignment]

    def __index__(self) -> int:
        raise Untraceable("a routine needs to know what it cannot know before it runs")

    def _is_below(self, other: Integer) -> bool:
        if self.most is not None and isinstance(other, int) and self.most < other:
            return True
        return self.writer.decide("LESS", self, other)

    def _is_at_most(self, other: Integer) -> bool:
        if self.most is not None and isinstance(other, int) and self.most <= other:
            return True
        return not self.writer.decide("LESS", other, self)
