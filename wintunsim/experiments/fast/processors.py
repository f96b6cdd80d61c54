"""What is drawn, and who has a processor, as far as threads have one each (`kernel.prices`, `kernel.processors`).

Nobody waits for a processor here: there is one for each thread. But a thread that blocks leaves its own, and it takes
time until one runs it again.
"""

from __future__ import annotations

from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.words import (
    CLIENT_BUSY,
    CLIENT_PROCESSOR,
    CLIENT_SINCE,
    COPY,
    COUNTS_AT,
    DRAWN_FIGURES,
    DRAWS_AT,
    DRAWS_LEAST,
    DRAWS_MOST,
    DRAWS_SHORT,
    FIXED_AT,
    IDLE_AFTER,
    IDLE_EXIT,
    NOBODY,
    PROCESSOR_FIELDS,
    PROCESSOR_IDLE_SINCE,
    PROCESSOR_LAST,
    PROCESSOR_THREAD,
    PROCESSORS,
    PROCESSORS_AT,
    SCALARS,
    SWITCHING,
    TAKEN_AT,
    TIMES,
    VARIES,
    VARIES_AT,
    ZERO,
    Integers,
)


@compiled
def draw(m: Integers, figure: int) -> int:
    """What a figure is this time."""
    if not m[VARIES_AT + figure]:
        return m[FIXED_AT + figure]  # type: ignore[no-any-return]
    place = m[TAKEN_AT + figure]
    m[TAKEN_AT + figure] = place + 1
    if place >= DRAWS_MOST - DRAWS_LEAST:
        m[DRAWS_SHORT] = 1
    return m[m[DRAWS_AT] + figure * DRAWS_MOST + place]  # type: ignore[no-any-return]


@compiled
def span(m: Integers, which: int) -> int:
    """How long a part of a routine takes this time; what is drawn for it is drawn now."""
    time = m[which]
    if m[VARIES]:
        for figure in range(DRAWN_FIGURES):
            for _ in range(m[COUNTS_AT + figure * TIMES + which - SCALARS]):
                time += draw(m, figure)
    return time  # type: ignore[no-any-return]


@compiled
def copying(m: Integers, size: int) -> int:
    """What copying a packet takes this time."""
    return -(-size * draw(m, COPY) // 1000)


@compiled
def take_processor(m: Integers, thread: int, now: int) -> int:
    """A thread that has none gets a processor: how long that takes."""
    best = NOBODY
    for p in range(m[PROCESSORS_AT], m[PROCESSORS_AT] + m[PROCESSORS] * PROCESSOR_FIELDS, PROCESSOR_FIELDS):
        if m[p + PROCESSOR_THREAD] == NOBODY:
            if m[p + PROCESSOR_LAST] == thread:
                best = p
                break
            if best == NOBODY or m[p + PROCESSOR_IDLE_SINCE] > m[best + PROCESSOR_IDLE_SINCE]:
                best = p
    delay = ZERO
    if now - m[best + PROCESSOR_IDLE_SINCE] >= m[IDLE_AFTER]:
        delay += draw(m, IDLE_EXIT)
    if m[best + PROCESSOR_LAST] != thread:
        delay += draw(m, SWITCHING)
    m[best + PROCESSOR_THREAD] = m[best + PROCESSOR_LAST] = thread
    m[CLIENT_PROCESSOR + thread] = best
    m[CLIENT_SINCE + thread] = now
    return delay  # type: ignore[no-any-return]


@compiled
def leave_processor(m: Integers, thread: int, now: int) -> None:
    """A thread blocks."""
    if m[PROCESSORS]:
        p = m[CLIENT_PROCESSOR + thread]
        m[CLIENT_BUSY + thread] += now - m[CLIENT_SINCE + thread]
        m[p + PROCESSOR_THREAD], m[p + PROCESSOR_IDLE_SINCE] = NOBODY, now
        m[CLIENT_PROCESSOR + thread] = NOBODY
