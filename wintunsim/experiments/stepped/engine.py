"""The step engine, compiled: from where the rings are registered on, a run is a program of operations.

It takes over from the machine as the fast engine does, and gives back as that does; between, each operation of the
model's routines is performed, one by one, in the order that the step engine has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wintunsim.experiments.fast import words
from wintunsim.experiments.fast.engine import Ahead
from wintunsim.experiments.fast.reasons import Unable
from wintunsim.experiments.fast.words import Integers
from wintunsim.experiments.stepped.performing import ENDED, GOES_ON, WRONG, run_steps
from wintunsim.experiments.stepped.program import Program, program
from wintunsim.experiments.stepped.rows import CODE, CODES, FIGURE, FIXED, NEXT, ROW, USE
from wintunsim.experiments.stepped.symbols import Untraceable
from wintunsim.kernel.clock_use import COSTS_LATER, VISIBLE


class Steps(Ahead):
    """One run, operation by operation. `prepare` before the machine runs, `finish` after it has run."""

    name = "step"
    _begins_ns = -1
    """When the client goes on, until the first record of the program's has been seen to come later; else below 0."""

    def _timings(self) -> tuple[Sequence[int], Sequence[Sequence[int]]]:
        times = np.zeros(int(words.TIMES), dtype=np.int64)
        for place in (words.T_NOTICES, words.T_READER_NOTICES):
            times[place - words.SCALARS] = self._machine.costs.pass_ns
        return times.tolist(), [[0] * int(words.TIMES)] * int(words.DRAWN_FIGURES)

    def _goes_on(self, m: Integers) -> int:
        return run_steps(m)

    def _with_threads(self, m: Integers) -> Integers:
        try:
            found = program(
                self._system.driver.revision,
                self._device.port.send.capacity_bytes,
                self._machine.costs,
                self._client,
                len(m),
            )
        except Untraceable as error:
            raise Unable(f"a routine that is not known: {error}") from error
        m = np.concatenate((m, found.words))
        m[words.CLIENT_ROW], m[words.READER_ROW], m[words.SENDER_ROW] = found.entries
        for figure, count in enumerate(_draws_before_effect(found, len(m) - len(found.words))):
            m[words.COUNTS_AT + figure * words.TIMES + words.T_LOADED - words.SCALARS] = count
        m[words.CLIENT_DO] = m[words.READER_DO] = m[words.SENDER_DO] = GOES_ON
        return m

    def _begin_sender(self, m: Integers, begins_ns: int) -> None:
        m[words.SENDER_AT] = begins_ns

    def _begin_client_and_reader(self, m: Integers, begins_ns: int, reads_ns: int, *, has_begun: bool) -> None:
        self._begins_ns = begins_ns
        m[words.CLIENT_AT], m[words.READER_AT] = begins_ns, reads_ns

    def _hand_on(self) -> None:
        m = self._run
        if self._begins_ns >= 0 and m[words.ROWS]:
            # Until there the machine has made all records; none may come before its last one.
            if m[m[words.ROWS_AT]] <= self._begins_ns:
                raise Unable("a client that begins late")
            self._begins_ns = -1
        super()._hand_on()

    def _refuse(self, m: Integers) -> None:
        if m[words.OVERFLOWS] == WRONG:
            raise Unable("a ring word that is not what the packets in the ring come to")
        if m[words.OVERFLOWS] == ENDED:
            raise Unable("an operation that its program does not have")
        super()._refuse(m)


def _draws_before_effect(found: Program, first: int) -> list[int]:
    """How often the sender draws each figure with its first packets, before it does what others see."""
    counts = [0] * int(words.DRAWN_FIGURES)
    row = found.entries[2] - first
    while True:
        code, use, figure = (int(found.words[row + place]) for place in (CODE, USE, FIGURE))
        if code == CODES["JUMP"]:
            row = int(found.words[row + NEXT]) - first
            continue
        if figure != FIXED:
            counts[figure] += 1
        if use in (VISIBLE, COSTS_LATER) or code == CODES["STOP"]:
            return counts
        row += int(ROW)
