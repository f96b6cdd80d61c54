"""What operations and routines are; see `wintun_model.operations` for all operations and their nouns."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")

Routine = Generator["Operation", Any, T]
"""A routine that returns a `T`. What each operation sends back is told in the operation's docstring."""


class Operation:
    """One atomic step. The subclasses that `wintun_model.operations` has are all there are."""

    __slots__ = ()
