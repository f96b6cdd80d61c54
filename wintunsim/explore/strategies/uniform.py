"""Random: any thread that can takes a step, or any store buffer a flush, each as likely; or the same thread goes on.

If every step were drawn among all, threads would run evenly side by side, and one would never be left far behind: but
that is what races take. So each execution has beforehand how likely it is that a thread simply goes on, and whether its
stores are flushed first when it does. What may fail fails every other time.
"""

from __future__ import annotations

from collections.abc import Callable

from wintun_model.operations import StartThread
from wintunsim.errors import UsageError
from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.program import BLOCKED
from wintunsim.explore.search import Budget, Outcome
from wintunsim.explore.strategies.draws import DRAW_BITS, DRAW_MASK, block
from wintunsim.explore.strategies.sampling import sample
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.writes import State

PERSISTENCES = (0, 32768, 49152, 57344, 61440, 63488, 63488, 64512)
"""How likely it is that a thread goes on without a draw, in 1 / 65536: one of these in each execution, in turn."""

Candidate = tuple[int, int, int]
"""What may be drawn: (a step or a flush, the thread's slot, its buffer's slot)."""


def uniform(
    machine: Machine,
    start: State,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    persistence: int | None = None,
    first: int = 0,
    ending: Callable[[State], object] | None = None,
    watch: Callable[[list[int]], None] | None = None,
) -> Outcome:
    """Look at random executions, from number `first` on, until one breaks a property or the budget is spent.

    There is neither a reduction nor a look at states that came before: steps are as cheap as they can be. Execution
    number k depends on `seed`, `persistence` and k alone. `persistence` is how likely it is that a thread goes on
    without a draw, in 1 / 65536, the same for all executions: 0 for steps that are always drawn among all; left out,
    each execution has its own. `ending` makes of a last state what `Outcome.endings` collects; `watch` is told the
    transitions of each execution. UsageError for a persistence that is out of range.
    """
    if persistence is not None and not 0 <= persistence < 1 << DRAW_BITS:
        raise UsageError(f"the persistence is {persistence}: give a number from 0 to 65535")

    def run(state: State, path: list[int], number: int) -> None:
        if machine.enabled(state):
            _run(machine, state, path, seed, number, persistence)

    return sample(machine, start, budget, run, first=first, ending=ending, watch=watch)


def _candidates(machine: Machine, state: State) -> list[Candidate]:
    """The next steps of all threads that are not at their end, and the flushes that are there."""
    found = []
    for program in machine.programs:
        node, base, slot, buffer = state[program.slot], program.index << 2, program.slot, program.buffer
        if not node.has_ended and node is not program.dormant:
            found.append((base, slot, buffer))
        if state[buffer]:
            found.append((base | FLUSH, slot, buffer))
    return found


def _run(machine: Machine, state: State, path: list[int], seed: int, number: int, persistence: int | None) -> None:
    """One execution: a candidate is drawn; if the state does not have it, one is drawn among those that it has.

    So each of these is equally likely, and mostly nobody has to ask what they are.
    """
    candidates = _candidates(machine, state)
    count, part, programs = len(candidates), 0, machine.programs
    stays = PERSISTENCES[number % len(PERSISTENCES)] if persistence is None else persistence
    flushes_first = bool(number // len(PERSISTENCES) & 1)
    transition, slot, buffer = candidates[0]
    while True:
        for draw in block(seed, "random", number, part):
            if draw & DRAW_MASK >= stays:
                transition, slot, buffer = candidates[(draw >> DRAW_BITS) * count >> DRAW_BITS]
            else:
                transition = transition & ~3 | FLUSH if flushes_first and state[buffer] else transition & ~3
            node = state[slot]
            if not transition & FLUSH and (
                ((guard := node.guard) is not None and not guard(state))
                or (node.drains and state[buffer])
                or node.operation is None
            ):
                enabled = [other for other in machine.enabled(state) if not other & 1]
                if not enabled:
                    return
                if node.operation is None and (candidate := (transition, slot, buffer)) in candidates:
                    candidates.remove(candidate)
                    count -= 1
                # What the product leaves of the draw is as good as a new one.
                rest = (draw >> DRAW_BITS) * count & DRAW_MASK
                transition = enabled[rest * len(enabled) >> DRAW_BITS]
                slot, buffer = programs[transition >> 2].slot, programs[transition >> 2].buffer
                node = state[slot]
            if transition & FLUSH:
                path.append(transition)
                first, *left = state[buffer]
                state[buffer] = tuple(left)
                first.apply(state)
                if not left:
                    candidates.remove((transition, slot, buffer))
                    count -= 1
                    if not count:
                        return
                continue
            outcome = draw & 1 if node.choices > 1 else 0
            path.append(transition | outcome)
            machine.choice = outcome
            key = node.step(state, node)
            if key is BLOCKED:
                continue
            state[slot] = node.children.get(key) or machine.grow(state, node, key)
            if node.later_writes:
                flush = (transition | FLUSH, slot, buffer)
                if flush not in candidates:
                    candidates.append(flush)
                    count += 1
            elif node.operation.__class__ is StartThread:
                machine.complete(state)
                candidates = _candidates(machine, state)
                count = len(candidates)
                if not count:
                    return
        if len(path) > machine.steps_max:
            raise Violation(Property.BOUNDED, f"an execution goes on for more than {machine.steps_max} steps")
        part += 1
