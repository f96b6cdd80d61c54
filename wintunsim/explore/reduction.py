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

Row = tuple[int, Node, tuple[Write, ...], bool, int, int]
"""A thread that is not at its end: (base, node, store buffer, is able to go on, future reads, future writes)."""


def persistent(machine: Machine, state: State) -> list[int]:
    """Transitions that suffice in a state; none when it has none. Each alone, where one alone is enough.

    What is chosen depends on no more than how the threads stand, so it is thought out once for each way to stand.
    """
    stand: list[object] = []
    for slot, buffer_slot, base in machine.rows:
        node = state[slot]
        buffer = state[buffer_slot]
        if buffer:
            stand.append(buffer)
        guard = node.guard
        if node.has_ended or (buffer and node.drains) or (guard is not None and not guard(state)):
            stand.append(node.kind.waiting)
        elif node.alone:
            return [base]
        else:
            stand.append(node.kind)
    key = tuple(stand)
    chosen = machine.footprints.chosen.get(key)
    if chosen is None:
        chosen = machine.footprints.chosen[key] = _choose(machine, state)
    return chosen.copy()


def _choose(machine: Machine, state: State) -> list[int]:
    """One step that nobody else can ever get in the way of; or those of the smallest closed set of threads."""
    rows: list[Row] = []
    for slot, buffer_slot, base in machine.rows:
        node, buffer = state[slot], state[buffer_slot]
        if node.has_ended and not buffer:
            continue
        reads, writes = node.point.future_reads, node.point.future_writes
        if buffer:
            first = buffer[0]
            if node.held & machine.footprints.protectors(first.writes | first.reads):
                return [base | FLUSH]
            reads |= machine.buffers_mask
            for write in buffer:
                reads |= write.reads
                writes |= write.writes
        able = not node.has_ended and not (buffer and node.drains) and (node.guard is None or node.guard(state))
        rows.append((base, node, buffer, able, reads, writes))
    steps = [_steps(row) for row in rows]
    needs = []
    for index, (base, node, buffer, able, _, _) in enumerate(rows):
        flush_needs = 0
        if buffer:
            flush_needs = _needs(rows, index, buffer[0].reads, buffer[0].writes)
            if not flush_needs:
                return [base | FLUSH]
        if able:
            own_needs = _needs(rows, index, node.reads, node.writes)
            if not own_needs:
                return [base] if node.choices == 1 else [base, base | 1]
        elif node.has_ended or (buffer and node.drains):
            # It waits for its own flushes only.
            own_needs = 0
        else:
            # Whoever may let it go belongs to the set.
            own_needs = _needs(rows, index, node.reads | node.enablers, node.enablers)
        needs.append(flush_needs | own_needs)
    return _smallest(steps, needs)


def _needs(rows: list[Row], index: int, reads: int, writes: int) -> int:
    """Who else may ever do something that depends on a step with this footprint: a set of bits."""
    both = reads | writes
    found = 0
    for other, row in enumerate(rows):
        if other != index and (writes & row[4] or both & row[5]):
            found |= 1 << other
    return found


def _steps(row: Row) -> list[int]:
    """The transitions of one thread."""
    base, node, buffer, able, _, _ = row
    found = [base | FLUSH] if buffer else []
    if able:
        found.append(base)
        if node.choices > 1:
            found.append(base | 1)
    return found


def _smallest(steps: list[list[int]], needs: list[int]) -> list[int]:
    """The steps of the smallest closed set of threads, one tried from each thread that can do something."""
    best: list[int] = []
    for start, own in enumerate(steps):
        if not own:
            continue
        inside, waiting, chosen = 1 << start, [start], []  # type: tuple[int, list[int], list[int]]
        while waiting:
            index = waiting.pop()
            chosen += steps[index]
            fresh = needs[index] & ~inside
            inside |= fresh
            waiting += [other for other in range(len(steps)) if fresh >> other & 1]
        if not best or len(chosen) < len(best):
            best = chosen
    return best
