"""Writes to memory, as they take effect: at once under SC, or when a store buffer is flushed under x86-TSO.

A write to a ring is looked at while it takes effect: that is where the properties of rings are checked. What a check
reads belongs to the write's footprint, so that a reduction keeps its order against what it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wintun_model.abi import STOPPED
from wintunsim.explore.layout import HEADER_WORDS, Mapping, Region
from wintunsim.explore.violation import Property, Violation

State = list[Any]
Check = Callable[[State], None]


class Write:
    """A value on its way to a slot; `apply` makes it visible. Equal writes are one object (see `Writes`).

    `offset` is None for a whole slot, else where in the bytes of a data area `value` goes. `reads` and `writes` are its
    footprint. `text` is for people.
    """

    __slots__ = ("apply", "offset", "reads", "slot", "text", "value", "writes")

    def __init__(
        self, slot: int, offset: int | None, value: Any, reads: int, writes: int, apply: Callable[[State], None],
        text: str,
    ) -> None:  # fmt: skip
        self.slot = slot
        self.offset = offset
        self.value = value
        self.reads = reads
        self.writes = writes
        self.apply = apply
        self.text = text

    def __repr__(self) -> str:
        return f"Write({self.text})"


def hexadecimal(value: int) -> str:
    """A ring position for people: small ones in decimal."""
    return str(value) if value < 0x10000 else hex(value)


class Writes:
    """Makes writes, each once. With `checks` off, rings are written without a look at their properties."""

    def __init__(self, masks: list[int], names: list[str], *, checks: bool = True) -> None:
        self._masks = masks
        self._names = names
        self._checks = checks
        self._known: dict[Any, Write] = {}

    def plain(self, slot: int, value: Any, guards: Sequence[tuple[int, Check]] = ()) -> Write:
        """A write of a whole slot that no ring's property is about; `guards` are (mask, check) before it."""
        key = (slot, None, value, tuple(guards))
        found = self._known.get(key)
        if found is None:
            checks = [check for _, check in guards]

            def apply(state: State) -> None:
                for check in checks:
                    check(state)
                state[slot] = value

            reads = 0
            for mask, _ in guards:
                reads |= mask
            found = self._known[key] = Write(
                slot, None, value, reads, self._masks[slot], apply, f"{self._names[slot]} = {value!r}"
            )
        return found

    def mark(self, slot: int, mask: int) -> Write:
        """The completed mark in an entry's word; `mask` is the bit of the list that it is in."""
        key = (slot, "mark", mask)
        found = self._known.get(key)
        if found is None:

            def apply(state: State) -> None:
                marked, link = state[slot]
                state[slot] = (marked | 1, link)

            found = self._known[key] = Write(slot, None, None, 0, mask, apply, "an entry is marked completed")
        return found

    def word(self, mapping: Mapping, index: int, value: int) -> Write:
        """A store of one of a ring's words."""
        key = ("word", mapping.start, index, value)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._make_word(mapping, index, value)
        return found

    def _make_word(self, mapping: Mapping, index: int, value: int) -> Write:
        region = mapping.region
        slot = region.words[index]
        masks = self._masks
        reads, check = 0, None
        if self._checks and index < 2:
            reads = masks[region.words[1 - index]]
            check = _head_check(region, value) if index == 0 else _tail_check(region, value)
        pages = mapping.pages_slot
        if pages is not None:
            reads |= masks[pages]

        def apply(state: State) -> None:
            if pages is not None and not state[pages]:
                raise released(self._names[slot])
            if check is not None:
                check(state)
            state[slot] = value

        return Write(slot, None, value, reads, masks[slot], apply, f"{self._names[slot]} = {hexadecimal(value)}")

    def data(self, mapping: Mapping, offset: int, value: bytes, *, is_foreign: bool = False) -> Write:
        """A store of bytes at `offset` of a ring's data area; `is_foreign` when a consumer of an NBL stores them."""
        key = ("data", mapping.start, offset, value, is_foreign)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._make_data(mapping, offset, value, is_foreign)
        return found

    def _make_data(self, mapping: Mapping, offset: int, value: bytes, is_foreign: bool) -> Write:
        region, masks = mapping.region, self._masks
        slot, end = region.data, offset + len(value)
        pages = mapping.pages_slot
        reads = 0 if pages is None else masks[pages]
        is_producer = (pages is not None) == region.driver_produces and not is_foreign
        check = None
        if self._checks and (is_producer or is_foreign):
            reads |= masks[region.words[0]] | masks[region.words[1]]
            check = _unread_check(region, offset, len(value))

        def apply(state: State) -> None:
            if pages is not None and not state[pages]:
                raise released(f"{region.name} data")
            if check is not None:
                check(state)
            old = state[slot]
            state[slot] = old[:offset] + value + old[end:]

        what = f"{region.name} data[{offset}:{end}] = {value.hex()}"
        return Write(slot, offset, value, reads, region.cell_mask(offset, len(value)), apply, what)


def released(what: str) -> Violation:
    """Memory of a ring is touched that was given back."""
    return Violation(Property.NOTHING_AFTER_FREE, f"the driver touches {what}, whose pages it has already unlocked")


def _word_check(region: Region, index: int, value: int, moves: Callable[[int, int], None]) -> Check:
    """`Head` or `Tail` is legal, and stays when it says "stopped"; `moves` looks at (old value, the other word)."""
    own, other = region.words[index], region.words[1 - index]
    capacity, name = region.capacity, f"{region.name}.{HEADER_WORDS[index]}"

    def check(state: State) -> None:
        old = state[own]
        if value == old:
            return
        if old >= capacity:
            raise Violation(Property.STAYS_CLOSED, f"{name} was {hex(old)}, and becomes {hexadecimal(value)}")
        if value >= capacity:
            if value != STOPPED:
                raise Violation(Property.WORDS_LEGAL, f"{name} becomes {hex(value)}, beyond the capacity {capacity}")
            return
        if value & 3:
            raise Violation(Property.WORDS_LEGAL, f"{name} becomes {value}, which is no multiple of 4")
        if state[other] < capacity:
            moves(old, state[other])

    return check


def _head_check(region: Region, value: int) -> Check:
    """`Head` moves forward, at most to `Tail`."""
    capacity = region.capacity

    def moves(old: int, tail: int) -> None:
        if (value - old) % capacity > (tail - old) % capacity:
            raise Violation(Property.NEVER_BACK, f"{region.name}.Head goes from {old} to {value}, Tail is {tail}")

    return _word_check(region, 0, value, moves)


def _tail_check(region: Region, value: int) -> Check:
    """`Tail` moves forward, through free space only."""
    capacity = region.capacity

    def moves(old: int, head: int) -> None:
        if (value - old) % capacity > (head - old - 4) % capacity:
            raise Violation(
                Property.UNREAD_KEPT,
                f"{region.name}.Tail goes from {old} to {value} and passes Head, which is {head}",
            )

    return _word_check(region, 1, value, moves)


def _unread_check(region: Region, offset: int, size: int) -> Check:
    """Bytes are written into free space only."""
    head_slot, tail_slot, _ = region.words
    capacity = region.capacity

    def check(state: State) -> None:
        head, tail = state[head_slot], state[tail_slot]
        if head >= capacity or tail >= capacity:
            return
        distance = offset - tail if offset >= capacity else (offset - tail) % capacity
        if distance + size > (head - tail - 4) % capacity:
            raise Violation(
                Property.UNREAD_KEPT,
                f"bytes {offset} to {offset + size - 1} of the {region.name} ring are written while Head is {head} and "
                f"Tail is {tail}",
            )

    return check
