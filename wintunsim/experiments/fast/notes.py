"""What all threads of the fast engine need: records of the trace, and what a packet takes in a ring and to copy."""

from __future__ import annotations

from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.words import (
    KEEPS_ROWS,
    RECORD,
    ROWS,
    ROWS_AT,
    UNNAMED,
    Integers,
)


@compiled
def note(m: Integers, now: int, thread: int, kind: int, subject: int, value: int, extra: int) -> None:
    """One record of the trace. A subject below 0 has no number yet."""
    if m[KEEPS_ROWS]:
        p = m[ROWS_AT] + RECORD * m[ROWS]
        m[p], m[p + 1], m[p + 2], m[p + 3], m[p + 4], m[p + 5] = now, thread, kind, subject, value, extra
        m[ROWS] += 1
        if subject < 0:
            m[UNNAMED] = 1


@compiled
def stored(size: int) -> int:
    """What a packet of `size` bytes takes in a ring: its header, and up to the next multiple of 4."""
    return (size + 7) & ~3
