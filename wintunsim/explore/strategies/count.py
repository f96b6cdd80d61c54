"""Count executions: how many different orders of steps there are, without going through each of them.

The orders that go on from a state are those of the states that follow it, added up; each state is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable

from wintunsim.explore.machine import Machine
from wintunsim.explore.search import Budget, Outcome, Verdict
from wintunsim.explore.violation import Violation
from wintunsim.explore.writes import State

LOOK_EVERY = 1024

Key = tuple[object, ...]


def count(
    machine: Machine,
    start: State,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    ending: Callable[[State], object] | None = None,
) -> Outcome:
    """Count all executions from `start` on: `Outcome.executions`; one that breaks a property ends there, and counts.

    `Outcome.schedule` is the first of these that was met; the count goes on. `seed` changes nothing.
    """
    budget = budget or Budget()
    budget.begin()
    outcome = Outcome(Verdict.SAFE)
    counter = _Counter(machine, outcome, ending)
    while True:
        known = machine.shared_locks
        if not counter.run(list(start), budget):
            outcome.verdict = Verdict.NOT_FOUND
            break
        if machine.shared_locks == known:
            break
    outcome.seconds = budget.elapsed_s()
    return outcome


class _Counter:
    """Goes through states depth first; a state's own count is known when it is left."""

    def __init__(self, machine: Machine, outcome: Outcome, ending: Callable[[State], object] | None) -> None:
        self.machine = machine
        self.outcome = outcome
        self.ending = ending
        self.ways: dict[Key, int] = {}
        self.lengths: dict[Key, int] = {}

    def run(self, state: State, budget: Budget) -> bool:
        """Count; false when the budget is spent."""
        self.ways.clear()
        self.lengths.clear()
        machine = self.machine
        machine.complete(state)
        top = _Frame(state, machine.enabled(state), -1)
        frames = [top]
        self._at_end(top, frames)
        while True:
            frame = frames[-1]
            if not frame.left:
                frames.pop()
                self.ways[frame.key], self.lengths[frame.key] = frame.ways, frame.length
                if not frames:
                    break
                frames[-1].add(frame.ways, frame.length)
                continue
            if not len(self.ways) % LOOK_EVERY and budget.is_spent(0):
                return False
            self._follow(frame, frames)
        self.outcome.executions, self.outcome.longest = top.ways, top.length
        self.outcome.states = len(self.ways)
        return True

    def _follow(self, frame: _Frame, frames: list[_Frame]) -> None:
        transition = frame.left.pop()
        after = list(frame.state)
        self.machine.complete(after)
        self.outcome.operations += 1
        try:
            self.machine.apply(after, transition)
        except Violation as violation:
            self._broken(violation, frames, transition)
            frame.add(1, 0)
            return
        known = self.ways.get(tuple(after))
        if known is not None:
            frame.add(known, self.lengths[tuple(after)])
            return
        following = _Frame(after, self.machine.enabled(after), transition)
        frames.append(following)
        self._at_end(following, frames)

    def _at_end(self, frame: _Frame, frames: list[_Frame]) -> None:
        """An execution is over: there is one way to go on from here."""
        if frame.left:
            return
        frame.ways = 1
        try:
            self.machine.check_end(frame.state)
        except Violation as violation:
            self._broken(violation, frames)
            return
        if self.ending is not None:
            self.outcome.endings.add(self.ending(frame.state))

    def _broken(self, violation: Violation, frames: list[_Frame], *last: int) -> None:
        if self.outcome.violation is None:
            self.outcome.verdict, self.outcome.violation = Verdict.BROKEN, violation
            self.outcome.schedule = [frame.transition for frame in frames[1:]] + list(last)


class _Frame:
    """A state on the way: what is left to follow, and how many executions were counted from here."""

    __slots__ = ("key", "left", "length", "state", "transition", "ways")

    def __init__(self, state: State, left: list[int], transition: int) -> None:
        self.state = state
        self.key = tuple(state)
        self.left = left
        self.transition = transition
        self.ways = self.length = 0

    def add(self, ways: int, length: int) -> None:
        """There are so many more, the longest of them so long."""
        self.ways += ways
        self.length = max(self.length, length + 1)
