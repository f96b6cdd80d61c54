"""What threads touch, and under which locks: what the reduction knows beyond one state.

Two facts let a step be taken before everybody else's, in every state: nobody else ever touches what it touches; or
everybody who ever does so holds a lock then, which the step's own thread holds now. Both are about all that was seen so
far, and are looked at anew before each pass of a search.
"""

from __future__ import annotations

from wintun_model.operations import FenceAll
from wintunsim.explore.program import Node, Program


class Footprints:
    """Collects what the nodes of all threads touch."""

    def __init__(self, programs: list[Program], unprotected: int) -> None:
        self.growth = 0
        """How often a lock turned out to protect less than it was seen to."""
        self.chosen: dict[tuple[object, ...], list[int]] = {}
        """What the reduction has chosen in this pass, by how the threads stand."""
        self._programs = programs
        self._nodes: dict[Node, None] = {}
        self._protectors: dict[int, int] = {unprotected: 0}
        self._others: dict[int, tuple[int, int]] = {}

    def note(self, node: Node) -> None:
        """There is a new node, or one touches more than it did."""
        if node.thread.is_set_up:
            return
        self._nodes[node] = None
        held = node.held
        mask = node.reads | node.writes | node.later_reads | node.later_writes
        protectors = self._protectors
        while mask:
            bit = mask & -mask
            mask ^= bit
            known = protectors.get(bit)
            if known is None:
                protectors[bit] = held
            elif known & ~held:
                protectors[bit] = known & held
                self.growth += 1
        node.alone = self._is_alone(node)

    def refresh(self) -> None:
        """Judge all nodes anew: before a pass."""
        self._others.clear()
        self.chosen.clear()
        for node in self._nodes:
            node.alone = self._is_alone(node)

    def written(self) -> int:
        """The bits of everything that an explored thread was seen to write."""
        mask = 0
        for program in self._programs:
            if not program.is_set_up:
                mask |= program.dormant.point.future_writes
        return mask

    def protectors(self, mask: int) -> int:
        """The locks that everybody holds who touches any of these bits; -1 when nobody touches them."""
        found = -1
        while mask and found:
            bit = mask & -mask
            mask ^= bit
            found &= self._protectors.get(bit, -1)
        return found

    def _is_alone(self, node: Node) -> bool:
        if node.choices > 1:
            return False
        if isinstance(node.operation, FenceAll):
            # It changes nothing: where it is possible now, whatever may come before it may as well come after.
            return True
        reads, writes = self._of_others(node.thread)
        used = node.enablers if node.guard is not None else 0
        if not (node.writes | used) & (reads | writes) and not (node.reads | used) & writes:
            return True
        return (
            node.guard is None and node.blocked is None and bool(self.protectors(node.reads | node.writes) & node.held)
        )

    def _of_others(self, thread: Program) -> tuple[int, int]:
        found = self._others.get(thread.index)
        if found is None:
            reads = writes = 0
            for program in self._programs:
                if program is not thread and not program.is_set_up:
                    reads |= program.dormant.point.future_reads
                    writes |= program.dormant.point.future_writes
            found = self._others[thread.index] = reads, writes
        return found
