"""Schedules as text: who takes how many steps, in which order; the same execution on every machine and Python.

``A5b2B!`` says: thread A takes five steps, two stores of B's become visible, and B takes a step with its other outcome
(what may fail fails). Letters go by the order in which a scenario names its threads; threads that others start come
after them, in the order of their starts in this very execution.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from wintunsim.errors import UsageError
from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.program import Program
from wintunsim.explore.writes import State

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PART = re.compile(r"([A-Za-z])(!?)(\d*)")


class Roster:
    """The letters of threads in one execution."""

    def __init__(self, machine: Machine, state: State) -> None:
        self._machine = machine
        self.threads: list[Program] = [
            program for program in machine.programs if program.is_started and not program.is_set_up
        ]
        self.look(state)

    def look(self, state: State) -> None:
        """Threads may have been started: they get the next letters."""
        for program in self._machine.programs:
            if not program.is_started and program not in self.threads and state[program.slot] is not program.dormant:
                self.threads.append(program)

    def letter(self, program: Program) -> str:
        """The letter of a thread."""
        return LETTERS[self.threads.index(program)]

    def program(self, letter: str) -> Program | None:
        """The thread of a letter."""
        place = LETTERS.find(letter.upper())
        return self.threads[place] if 0 <= place < len(self.threads) else None


def encode(machine: Machine, start: State, transitions: Sequence[int]) -> str:
    """The text of a schedule; the last transition may be one that breaks a property."""
    state = list(start)
    machine.complete(state)
    roster = Roster(machine, state)
    parts: list[list[object]] = []
    for place, transition in enumerate(transitions):
        letter = roster.letter(machine.programs[transition >> 2])
        outcome = transition & 3
        word = letter.lower() if outcome == FLUSH else letter + ("!" if outcome else "")
        if parts and parts[-1][0] == word:
            parts[-1][1] = int(str(parts[-1][1])) + 1
        else:
            parts.append([word, 1])
        if place + 1 < len(transitions):
            machine.apply(state, transition)
            roster.look(state)
    return "".join(f"{word}{count if count != 1 else ''}" for word, count in parts)


def words(text: str) -> Iterator[str]:
    """The steps of a schedule, one word each: ``A``, ``b``, ``C!``. UsageError for text that is no schedule."""
    at = 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None or (match[2] and match[1].islower()):
            raise UsageError(f"{text!r} is no schedule: {text[at:]!r} does not begin with a step such as A3, b or C!")
        at = match.end()
        for _ in range(int(match[3] or 1)):
            yield match[1] + match[2]


def decode(machine: Machine, start: State, steps: str | Iterable[str]) -> Iterator[tuple[int, State]]:
    """The transitions of a schedule, each with the state that it is to be taken in; the caller applies it to that.

    UsageError when a step is not possible where the schedule has it.
    """
    state = list(start)
    machine.complete(state)
    roster = Roster(machine, state)
    for place, word in enumerate(words(steps) if isinstance(steps, str) else steps):
        program = roster.program(word[0])
        if program is None:
            raise UsageError(f"step {place + 1} of the schedule is {word}: there is no such thread yet")
        outcome = FLUSH if word[0].islower() else int(word.endswith("!"))
        transition = program.index << 2 | outcome
        if transition not in machine.enabled(state) and not machine.announces(state, program):
            raise UsageError(
                f"step {place + 1} of the schedule is {word}, which {program.name} cannot do there: is the schedule of "
                "another scenario, revision or memory model?"
            )
        yield transition, state
        roster.look(state)
