"""What all steps of an explored state share: the checks of an adapter's memory, and how a store takes effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wintunsim.explore.program import Node
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.writes import State, Write

if TYPE_CHECKING:
    from wintunsim.explore.machine import Machine


class BaseSteps:
    """Compiles nodes of one machine's threads."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.entry_slots: set[int] = set()

    def context_check(self, context: int) -> Callable[[State], None]:
        """Fails when the memory of an adapter is freed."""
        name = self.machine.layout.names[context]

        def check(state: State) -> None:
            if not state[context]:
                raise Violation(Property.NOTHING_AFTER_FREE, f"the driver touches the {name}, which it has freed")

        return check

    def context_guard(self, node: Node, noun: object) -> Callable[[State], None] | None:
        """The check that a noun's adapter is still there, if that is watched; it joins the node's footprint."""
        context = self.machine.context_of(noun)
        if context is None:
            return None
        node.reads |= self.machine.layout.masks[context]
        return self.context_check(context)

    def _write(self, node: Node, *writes: Write) -> None:
        """A plain store: at once, or into the store buffer."""
        reads = written = 0
        for write in writes:
            reads |= write.reads
            written |= write.writes
        if self.machine.is_tso:
            buffer = node.thread.buffer
            node.reads = self.machine.buffers_mask
            node.later_reads, node.later_writes = reads, written

            def store(state: State, node: Node) -> None:
                state[buffer] += writes

            node.step = store
            return
        node.reads, node.writes = reads, written
        if len(writes) == 1:
            apply = writes[0].apply
            node.step = lambda state, node: apply(state)
        else:

            def store_all(state: State, node: Node) -> None:
                for write in writes:
                    write.apply(state)

            node.step = store_all
