"""Loads and stores in an explored state: words, packet bytes, variables, lists of NBLs.

Plain stores go through the thread's store buffer under x86-TSO; loads see the own buffer first. Lists of NBLs change
under their lock, so at once; the completed mark of an NBL is a store like others.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from wintun_model import operations as op
from wintun_model.adapter import WholeRing
from wintun_model.errors import ModelError
from wintunsim.explore.layout import Mapping
from wintunsim.explore.program import Node
from wintunsim.explore.steps_locks import LockSteps
from wintunsim.explore.violation import Property, Violation, after_free
from wintunsim.explore.writes import State, Write


class MemorySteps(LockSteps):
    """Compiles the nodes of operations on memory."""

    def _word(self, word: op.Word) -> tuple[Mapping, int]:
        mapping, offset = self.machine.layout.find(word.cells, 4 * word.index)
        if offset >= 12 or offset % 4:
            raise ModelError(f"{word.name} is no word of a ring's header")
        return mapping, offset // 4

    def _load(self, node: Node, operation: op.Load) -> None:
        mapping, index = self._word(operation.word)
        self._load_word(node, mapping, index)
        node.text = f"load {operation.word.name}"

    def _spin(self, node: Node, operation: op.Spin) -> None:
        """The deadline may always have come, and whatever comes before it can be seen at its very end: so, one load."""
        mapping, index = self._word(operation.word)
        self._load_word(node, mapping, index)
        node.text = f"spin on {operation.word.name}"

    def _load_word(self, node: Node, mapping: Mapping, index: int) -> None:
        layout = self.machine.layout
        slot, pages, buffer = mapping.region.words[index], mapping.pages_slot, node.thread.buffer
        node.reads = layout.masks[slot]
        if pages is not None:
            node.reads |= layout.masks[pages]
        name = layout.names[slot]
        if not self.machine.is_tso and pages is None:
            node.step = lambda state, node: state[slot]
            return

        def load(state: State, node: Node) -> Any:
            if pages is not None and not state[pages]:
                raise after_free(f"the driver reads {name}, whose pages it has already unlocked")
            for write in reversed(state[buffer]):
                if write.slot == slot:
                    return write.value
            return state[slot]

        node.step = load

    def _store(self, node: Node, operation: op.Store) -> None:
        mapping, index = self._word(operation.word)
        self._write(node, self.machine.writes.word(mapping, index, operation.value & 0xFFFFFFFF))
        node.text = f"store {operation.word.name}"

    @staticmethod
    def _fence(node: Node, operation: op.Fence) -> None:
        node.drains = True
        node.step = lambda state, node: None
        node.text = "full barrier"

    def _fence_all(self, node: Node, operation: op.FenceAll) -> None:
        """Nothing is in any store buffer at one moment. Who puts a store there now would be in the way."""
        node.drains = True
        node.step = lambda state, node: None
        node.text = "full barrier on all processors"
        if not self.machine.is_tso:
            return
        programs, own = self.machine.programs, node.thread.buffer
        node.guard = lambda state: not any(state[program.buffer] for program in programs if program.buffer != own)
        node.writes = node.enablers = self.machine.buffers_mask

    def _data(self, memory: op.PacketMemory, offset: int, size: int) -> tuple[Mapping, int]:
        """(mapping, offset in the data area) of `size` bytes of a ring's data."""
        mapping, start = self.machine.layout.find(memory.data)
        start += offset - 12
        if start < 0 or start + size > mapping.region.size_bytes - 12:
            raise Violation(
                Property.WORDS_LEGAL, f"{size} bytes at offset {start} of the {mapping.region.name} ring lie outside it"
            )
        return mapping, start

    def _load_data(
        self, node: Node, memory: op.PacketMemory, offset: int, size: int, decode: Callable[[bytes], Any]
    ) -> None:
        mapping, start = self._data(memory, offset, size)
        layout = self.machine.layout
        region, pages, buffer = mapping.region, mapping.pages_slot, node.thread.buffer
        slot, end = region.data, start + size
        node.reads = region.cell_mask(start, size)
        if pages is not None:
            node.reads |= layout.masks[pages]

        def load(state: State, node: Node) -> Any:
            if pages is not None and not state[pages]:
                raise after_free(f"the driver reads the {region.name} ring, whose pages it has already unlocked")
            data = state[slot]
            for write in state[buffer]:
                if write.slot == slot:
                    data = data[: write.offset] + write.value + data[write.offset + len(write.value) :]
            return decode(data[start:end])

        node.step = load

    def _load_size(self, node: Node, operation: op.LoadSize) -> None:
        self._load_data(node, operation.memory, operation.offset, 4, lambda data: int.from_bytes(data, "little"))
        node.text = f"load Size at {operation.offset}"

    def _load_byte(self, node: Node, operation: op.LoadByte) -> None:
        self._load_data(node, operation.memory, operation.offset, 1, lambda data: data[0])
        node.text = f"load byte {operation.offset}"

    def _copy_out(self, node: Node, operation: op.CopyOut) -> None:
        self._load_data(node, operation.memory, operation.offset, operation.size, bytes)
        node.text = f"copy out {operation.size} bytes at {operation.offset}"

    def _store_size(self, node: Node, operation: op.StoreSize) -> None:
        value = (operation.value & 0xFFFFFFFF).to_bytes(4, "little")
        mapping, start = self._data(operation.memory, operation.offset, 4)
        self._write(node, self.machine.writes.data(mapping, start, value))
        node.text = f"store Size at {operation.offset}"

    def _copy_in(self, node: Node, operation: op.CopyIn) -> None:
        size = operation.size
        value = bytes(size) if operation.data is None else operation.data[:size]
        node.text = f"copy in {size} bytes at {operation.offset}"
        writes = self.machine.writes
        if not isinstance(operation.memory, WholeRing):
            mapping, start = self._data(operation.memory, operation.offset, size)
            self._write(node, writes.data(mapping, start, value))
            return
        # A consumer's header in front of a packet: the part of it over the ring's words is stores of words.
        mapping, start = self.machine.layout.find(operation.memory.data, operation.offset)
        parts: list[Write] = []
        if start + size > 12:
            skipped = max(0, 12 - start)
            parts.append(writes.data(mapping, max(start - 12, 0), value[skipped:], is_foreign=True))
        for index in range(3):
            if start < 4 * index + 4 and start + size > 4 * index:
                # Whole words only: a word that is hit in part is taken to get zeros in its other bytes.
                piece = bytes(
                    value[place - start] if start <= place < start + size else 0
                    for place in range(4 * index, 4 * index + 4)
                )
                parts.append(writes.word(mapping, index, int.from_bytes(piece, "little")))
        self._write(node, *parts)

    # -- the driver's own state -------------------------------------------------------------------------------------

    def _variable(self, variable: op.Variable[Any]) -> int:
        return self.machine.layout.slot(variable, variable.name, variable.value)

    def _get(self, node: Node, operation: op.Get) -> None:
        slot, buffer = self._variable(operation.variable), node.thread.buffer
        node.reads = self.machine.layout.masks[slot]
        node.text = f"read {operation.variable.name}"
        guard = self.context_guard(node, operation.variable)

        def get(state: State, node: Node) -> Any:
            if guard is not None:
                guard(state)
            for write in reversed(state[buffer]):
                if write.slot == slot:
                    return write.value
            return state[slot]

        node.step = get

    def _put(self, node: Node, operation: op.Put) -> None:
        slot = self._variable(operation.variable)
        context = self.machine.context_of(operation.variable)
        guards = [] if context is None else [(self.machine.layout.masks[context], self.context_check(context))]
        value = node.thread.canonical(operation.value)
        self._write(node, self.machine.writes.plain(slot, value, guards))
        node.text = f"write {operation.variable.name}"

    def entry_slot(self, entry: op.Entry) -> int:
        """The slot of an entry: (mark and offset in one word, link)."""
        slot = self.machine.layout.slot(entry, "entry", (entry.marked_offset, entry.link))
        self.entry_slots.add(slot)
        return slot

    def list_slot(self, active: op.ActiveList[Any]) -> int:
        return self.machine.layout.slot(active, active.name, (active.first, active.last))

    def _append(self, node: Node, operation: op.Append) -> None:
        active, end_offset, clears = operation.active, operation.end_offset, operation.clears_link
        entry = self.machine.entry(node, operation.entry)
        slot, own = self.list_slot(active), self.entry_slot(entry)
        if entry.link is not None:
            # A stale link word: what it points to may come to be looked at (B7).
            self.entry_slot(entry.link)
        self.machine.list_of[id(entry)] = slot
        node.writes = self.machine.layout.masks[slot]
        node.drains = True
        node.text = f"append to {active.name}"
        guard = self.context_guard(node, active)
        slot_of = self.entry_slot

        def append(state: State, node: Node) -> bool:
            if guard is not None:
                guard(state)
            state[own] = (end_offset, None if clears else state[own][1])
            first, last = state[slot]
            if first is None:
                state[slot] = (entry, entry)
                return True
            before = slot_of(last)
            state[before] = (state[before][0], entry)
            state[slot] = (first, entry)
            return False

        node.step = append

    def _take_completed(self, node: Node, operation: op.TakeCompleted) -> None:
        active = operation.active
        slot = self.list_slot(active)
        node.writes = self.machine.layout.masks[slot]
        node.drains = True
        node.text = f"take completed of {active.name}"
        guard = self.context_guard(node, active)
        slot_of = self.entry_slot

        def take(state: State, node: Node) -> Any:
            if guard is not None:
                guard(state)
            first, last = state[slot]
            if first is None:
                return None
            marked, link = state[slot_of(first)]
            if not marked & 1:
                return None
            state[slot] = (link, last)
            key = (first, marked, link is None)
            if key not in node.sent:
                taken = copy.copy(first)
                taken.marked_offset = marked
                node.thread.alias(taken, first)
                node.sent[key] = (taken, link is None)
            return key

        node.step = take

    def _mark_completed(self, node: Node, operation: op.MarkCompleted) -> None:
        entry = node.thread.canonical(operation.entry)
        slot = self.entry_slot(entry)
        listed = self.machine.list_of.get(id(entry))
        mask = self.machine.layout.masks[slot if listed is None else listed]
        node.text = "mark completed"
        # It is a store like others: whoever sees the mark sees the bytes that were stored before it.
        self._write(node, self.machine.writes.mark(slot, mask))
