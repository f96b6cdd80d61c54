"""A sound partial-order reduction: persistent sets from what threads were seen to do later.

Of the transitions of a state only those of a set of threads are followed, when nothing that anybody outside of the set
may ever do depends on the next step of one inside. What a thread may ever do is what was seen from its place in the
code on. What is known of that grows while states are explored, so a set may turn out to be too small; an exploration is
therefore repeated until a whole one has taught nothing new. (Then every set was right: the shortest execution that
proves one wrong would, but for its last step, have been explored in another order, and so its last step be known.)

A state of this machine never comes again in one execution, as histories only grow, so nothing can be put off for ever.
"""

from __future__ import annotations

from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.program import Node
from wintunsim.explore.writes import State, Write


def persistent(machine: Machine, state: State) -> list[int]:
    """Transitions that suffice in a state; none when it has none. Each alone, where one alone is enough."""
    bases: list[int] = []
    nodes: list[Node] = []
    buffers: list[tuple[Write, ...]] = []
    able: list[bool] = []
    future_reads: list[int] = []
    future_writes: list[int] = []
    for slot, buffer_slot, base in machine.rows:
        node = state[slot]
        buffer = state[buffer_slot]
        if not buffer:
            if node.has_ended:
                continue
            guard = node.guard
            is_able = guard is None or guard(state)
            if is_able and node.alone:
                return [base]
            point = node.point
            future_reads.append(point.future_reads)
            future_writes.append(point.future_writes)
        else:
            guard = node.guard
            is_able = not (node.drains or node.has_ended) and (guard is None or guard(state))
            if is_able and node.alone:
                return [base]
            reads, writes = node.point.future_reads | machine.buffers_mask, node.point.future_writes
            for write in buffer:
                reads |= write.reads
                writes |= write.writes
            first = buffer[0]
            if node.held and machine.footprints.protectors(first.writes | first.reads) & node.held:
                return [base | FLUSH]
            future_reads.append(reads)
            future_writes.append(writes)
        bases.append(base)
        nodes.append(node)
        buffers.append(buffer)
        able.append(is_able)
    if len(bases) == 1:
        return _steps(bases[0], nodes[0], buffers[0], able[0])
    return _among(bases, nodes, buffers, able, future_reads, future_writes)


def _among(
    bases: list[int],
    nodes: list[Node],
    buffers: list[tuple[Write, ...]],
    able: list[bool],
    future_reads: list[int],
    future_writes: list[int],
) -> list[int]:
    """Who is outside, and may do something that depends on the next step of each? As sets of bits, `conflicts`."""
    count = len(bases)
    conflicts: list[int] = []
    for index in range(count):
        node, buffer = nodes[index], buffers[index]
        needs = 0
        if buffer:
            write = buffer[0]
            writes = write.writes
            both = writes | write.reads
            for other in range(count):
                if other != index and (writes & future_reads[other] or both & future_writes[other]):
                    needs |= 1 << other
            if not needs:
                return [bases[index] | FLUSH]
            if node.drains or node.has_ended:
                conflicts.append(needs)
                continue
        if able[index]:
            own, writes = 0, node.writes
            both = writes | node.reads
        else:
            # Whoever may let it go belongs to the set.
            own, writes = 0, node.enablers
            both = writes | node.reads
        for other in range(count):
            if other != index and (writes & future_reads[other] or both & future_writes[other]):
                own |= 1 << other
        if not own and able[index]:
            return [bases[index]] if node.choices == 1 else [bases[index], bases[index] | 1]
        conflicts.append(needs | own)
    return _smallest(bases, nodes, buffers, able, conflicts)


def _steps(base: int, node: Node, buffer: tuple[Write, ...], is_able: bool) -> list[int]:
    """The transitions of one thread."""
    found = [base | FLUSH] if buffer else []
    if is_able:
        found.append(base)
        if node.choices > 1:
            found.append(base | 1)
    return found


def _smallest(
    bases: list[int], nodes: list[Node], buffers: list[tuple[Write, ...]], able: list[bool], conflicts: list[int]
) -> list[int]:
    """The transitions of the smallest closed set of threads, one tried from each thread."""
    best: list[int] = []
    least = 1 << 30
    for start in range(len(bases)):
        if not able[start] and not buffers[start]:
            continue
        inside = 1 << start
        grown = inside | conflicts[start]
        while grown != inside:
            fresh = grown & ~inside
            inside = grown
            while fresh:
                bit = fresh & -fresh
                fresh ^= bit
                grown |= conflicts[bit.bit_length() - 1]
        size = 0
        left = inside
        while left:
            bit = left & -left
            left ^= bit
            index = bit.bit_length() - 1
            size += (1 if buffers[index] else 0) + able[index]
        if size < least:
            least = size
            best = []
            left = inside
            while left:
                bit = left & -left
                left ^= bit
                index = bit.bit_length() - 1
                best += _steps(bases[index], nodes[index], buffers[index], able[index])
            if least == 1:
                break
    return best
