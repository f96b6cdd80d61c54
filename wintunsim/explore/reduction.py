"""A sound partial-order reduction: persistent sets from what threads were seen to do later.

Of the transitions of a state only those of a set of threads are followed, when nothing that anybody outside of the set
may ever do depends on the next step of one inside. What a thread may ever do is what stands below its node in its
tree. That tree grows while states are explored, so a set may turn out to be too small; an exploration is therefore
repeated until a whole one has let no tree grow. (Then every set was right: the shortest execution that proves one wrong
would, but for its last step, have been explored in another order, and so its last step would stand in the tree.)

A state of this machine never comes again in one execution, as histories only grow, so nothing can be put off for ever.
"""

from __future__ import annotations

from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.writes import State


def persistent(machine: Machine, state: State) -> list[int]:
    """Transitions that suffice in a state; none when it has none. Each alone, where one alone is enough."""
    waiting = []
    for program in machine.programs:
        node = state[program.slot]
        buffer = state[program.buffer]
        if node.has_ended and not buffer:
            continue
        base = program.index << 2
        is_held = bool(buffer) and node.drains
        is_enabled = not is_held and not node.has_ended and (node.guard is None or node.guard(state))
        if is_enabled and node.alone:
            return [base]
        reads, writes = node.future_reads, node.future_writes
        for write in buffer:
            reads |= write.reads
            writes |= write.writes
        waiting.append((base, node, buffer, is_enabled, is_held, reads, writes))
    if not waiting:
        return []
    for index, (base, node, buffer, is_enabled, _, _, _) in enumerate(waiting):
        if not is_enabled and not buffer:
            continue
        reads = writes = 0
        for other, row in enumerate(waiting):
            if other != index:
                reads |= row[5]
                writes |= row[6]
        both = reads | writes
        if buffer:
            first = buffer[0]
            if not first.writes & both and not first.reads & writes:
                return [base | FLUSH]
            if node.held and machine.footprints.protectors(first.writes | first.reads) & node.held:
                return [base | FLUSH]
        if is_enabled and not node.writes & both and not node.reads & writes:
            return [base] if node.choices == 1 else [base, base | 1]
    return _smallest(waiting)


def _smallest(waiting: list[tuple]) -> list[int]:  # type: ignore[type-arg]
    """The smallest set of transitions that a closed set of threads has, one tried from each thread."""
    count = len(waiting)
    steps: list[list[int]] = []
    needs: list[tuple[int, int]] = []
    for base, node, buffer, is_enabled, is_held, _, _ in waiting:
        own: list[int] = []
        reads = writes = 0
        if buffer:
            own.append(base | FLUSH)
            reads, writes = buffer[0].reads, buffer[0].writes
        if is_enabled:
            own.append(base)
            if node.choices > 1:
                own.append(base | 1)
            reads |= node.reads
            writes |= node.writes
        elif not is_held and not node.has_ended:
            # Whoever may let it go belongs to the set.
            reads |= node.enablers
            writes |= node.enablers
        steps.append(own)
        needs.append((reads, writes))
    best: list[int] | None = None
    for start in range(count):
        if not steps[start]:
            continue
        inside = [start]
        outside = [index for index in range(count) if index != start]
        at = 0
        while at < len(inside) and outside:
            reads, writes = needs[inside[at]]
            both = reads | writes
            left = []
            for index in outside:
                row = waiting[index]
                if writes & row[5] or both & row[6]:
                    inside.append(index)
                else:
                    left.append(index)
            outside = left
            at += 1
        chosen = [step for index in inside for step in steps[index]]
        if best is None or len(chosen) < len(best):
            best = chosen
            if len(best) == 1:
                break
    return best or []
