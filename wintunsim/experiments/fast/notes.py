"""What all threads of the fast engine need: records of the trace, going on, events, what a packet takes in a ring."""

from __future__ import annotations

from wintun_model.trace import Kind
from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.processors import draw, leave_processor
from wintunsim.experiments.fast.words import (
    BLOCKED_AT,
    CLIENT_AT,
    CLIENT_DO,
    CLIENT_NUMBER,
    ENDS_WAIT,
    KEEPS_ROWS,
    NEVER_NS,
    RECORD,
    ROWS,
    ROWS_AT,
    UNNAMED,
    WAKING,
    ZERO,
    Integers,
    number,
)

SET = number(Kind.SET)


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


@compiled
def go_on(m: Integers, thread: int, doing: int, at: int) -> None:
    """A thread goes on with this, then."""
    m[CLIENT_DO + thread], m[CLIENT_AT + thread] = doing, at


@compiled
def block(m: Integers, thread: int, now: int) -> None:
    """A thread waits until somebody wakes it."""
    m[BLOCKED_AT] = now
    leave_processor(m, thread, now)
    m[CLIENT_AT + thread] = NEVER_NS


@compiled
def set_event(m: Integers, now: int, thread: int, event: int, is_set: int, waiter: int) -> int:
    """A thread sets the event at the place `event`: whether that ends the wait of `waiter`, which alone waits for it.

    `is_set` is the place where it stands whether the event is set.
    """
    note(m, now, m[CLIENT_NUMBER + thread], SET, m[event], m[is_set], ZERO)
    if m[CLIENT_DO + waiter] != ENDS_WAIT or m[CLIENT_AT + waiter] < NEVER_NS:
        m[is_set] = 1
        return 0
    m[CLIENT_AT + waiter] = now + draw(m, WAKING)
    return 1
