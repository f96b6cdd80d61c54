"""A ring as the user-mode side has it: its words and its data area, over memory that is to be registered."""

from __future__ import annotations

from wintun_model.abi import RING_HEADER_BYTES, WINTUN_LIMITS, Limits
from wintun_model.errors import ModelError
from wintun_model.operations import Word
from wintun_model.ring import ring_bytes_of


class UserRing:
    """One ring; `memory` is all of it. `data` is the data area, from whose start offsets count.

    Raises `ModelError` for memory whose size is not that of a ring of that capacity.
    """

    __slots__ = ("alertable", "capacity", "data", "head", "name", "tail")

    def __init__(self, name: str, memory: memoryview, capacity: int, limits: Limits = WINTUN_LIMITS) -> None:
        if len(memory) != ring_bytes_of(capacity, limits):
            raise ModelError(f"the {name} ring's memory has {len(memory)} bytes, its capacity needs another size")
        words = memory[:RING_HEADER_BYTES].cast("I")
        self.name = name
        self.capacity = capacity
        self.head = Word(words, 0, f"{name}.Head")
        self.tail = Word(words, 1, f"{name}.Tail")
        self.alertable = Word(words, 2, f"{name}.Alertable")
        self.data = memory[RING_HEADER_BYTES:]
