"""The driver's reader thread, run ahead (`wintun_model.receive`): it returns each packet inside its indication."""

from __future__ import annotations

from wintun_model.trace import Kind
from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.effects import give_back, indicate, store_receive_alertable
from wintunsim.experiments.fast.notes import SET, block, go_on, note
from wintunsim.experiments.fast.processors import span
from wintunsim.experiments.fast.words import (
    DISCONNECTED,
    EMPTY,
    ENDS_WAIT,
    NO_DEADLINE,
    NOW,
    ONE,
    READER,
    READER_DO,
    READER_NUMBER,
    READER_SPINS,
    RECEIVE_MOVED,
    RECEIVE_PUT,
    RECEIVE_SEEN,
    RECEIVE_SET,
    SET_TAKES,
    T_EMPTY_CLEARED,
    T_EMPTY_SET,
    T_INDICATED,
    T_READER_AGAIN,
    T_READER_BEGINS,
    T_READER_CLEARS,
    T_READER_LIMIT,
    T_READER_LOOKS,
    T_READER_LOWERS,
    T_READER_NEXT,
    T_READER_RAISES,
    T_READER_SPINS,
    T_READER_WAITS,
    T_READER_WOKEN,
    T_RETURNED,
    TWO,
    ZERO,
    Integers,
    number,
    places,
)

(
    LOADS_TAIL, BEGINS_SPIN, ENDS_SPIN, RAISES, LOOKS_AGAIN, LOWERS, CLEARS, BEGINS_WAIT, LOWERS_AWAKE,
    CLEARS_EMPTY, INDICATES, SETS_EMPTY, STORES_HEAD, BEGINS,
) = places(14, ENDS_WAIT + 1)  # fmt: skip
"""What the thread does next, or `ENDS_WAIT`."""

_STORE, _CLEAR = map(number, (Kind.STORE, Kind.CLEAR))
_WAIT, _WAKE, _RECEIVE, _RETURN = map(number, (Kind.WAIT, Kind.WAKE, Kind.RECEIVE, Kind.RETURN))


@compiled
def read_next(m: Integers) -> None:
    """What the thread does now."""
    doing, now = m[READER_DO], m[NOW]
    if doing == BEGINS:
        go_on(m, READER, LOADS_TAIL, now + span(m, T_READER_BEGINS))
    elif doing >= CLEARS_EMPTY:
        _deliver(m, doing, now)
    elif LOADS_TAIL <= doing <= ENDS_SPIN:
        _look(m, doing, now)
    else:
        _sleep(m, doing, now)


@compiled
def _look(m: Integers, doing: int, now: int) -> None:
    """Look for a packet, and spin for it."""
    if m[RECEIVE_PUT] > m[RECEIVE_SEEN]:
        go_on(m, READER, CLEARS_EMPTY, now + span(m, T_EMPTY_CLEARED))
    elif doing == LOADS_TAIL:
        go_on(m, READER, BEGINS_SPIN, now + span(m, T_READER_SPINS))
    elif doing == BEGINS_SPIN:
        m[READER_SPINS] = 1
        go_on(m, READER, ENDS_SPIN, now + m[T_READER_LIMIT])
    else:
        m[READER_SPINS] = 0
        go_on(m, READER, RAISES, now + span(m, T_READER_RAISES))


@compiled
def _sleep(m: Integers, doing: int, now: int) -> None:
    """Say that it waits, look once more, wait."""
    thread = m[READER_NUMBER]
    if doing == RAISES:
        store_receive_alertable(m, now, ONE)
        go_on(m, READER, LOOKS_AGAIN, now + span(m, T_READER_LOOKS))
    elif doing == LOOKS_AGAIN:
        if m[RECEIVE_PUT] > m[RECEIVE_SEEN]:
            go_on(m, READER, LOWERS, now + span(m, T_READER_LOWERS))
        else:
            go_on(m, READER, BEGINS_WAIT, now + span(m, T_READER_WAITS))
    elif doing == BEGINS_WAIT:
        if not m[RECEIVE_SET]:
            note(m, now, thread, _WAIT, m[DISCONNECTED], TWO, NO_DEADLINE)
            m[READER_DO] = ENDS_WAIT
            block(m, READER, now)
            return
        m[RECEIVE_SET] = 0
        note(m, now, thread, _WAKE, m[RECEIVE_MOVED], ONE, ZERO)
        go_on(m, READER, LOWERS_AWAKE, now + span(m, T_READER_WOKEN))
    elif doing == ENDS_WAIT:
        note(m, now, thread, _WAKE, m[RECEIVE_MOVED], ONE, ZERO)
        go_on(m, READER, LOWERS_AWAKE, now + span(m, T_READER_WOKEN))
    elif doing == CLEARS:
        if m[RECEIVE_SET]:
            m[RECEIVE_SET] = 0
            note(m, now, thread, _CLEAR, m[RECEIVE_MOVED], ZERO, ZERO)
        go_on(m, READER, CLEARS_EMPTY, now + span(m, T_EMPTY_CLEARED))
    else:
        store_receive_alertable(m, now, ZERO)
        if doing == LOWERS:
            go_on(m, READER, CLEARS, now + span(m, T_READER_CLEARS))
        else:
            go_on(m, READER, LOADS_TAIL, now + span(m, T_READER_AGAIN))


@compiled
def _deliver(m: Integers, doing: int, now: int) -> None:
    """One packet goes up and comes back."""
    thread = m[READER_NUMBER]
    if doing == CLEARS_EMPTY:
        note(m, now, thread, _CLEAR, m[EMPTY], ZERO, ZERO)
        go_on(m, READER, INDICATES, now + span(m, T_INDICATED))
    elif doing == INDICATES:
        indicate(m, now)
        at = now + span(m, T_EMPTY_SET)
        # What setting an event takes is known when it begins.
        m[SET_TAKES] = span(m, T_RETURNED)
        go_on(m, READER, SETS_EMPTY, at)
    elif doing == SETS_EMPTY:
        note(m, now, thread, SET, m[EMPTY], ZERO, ZERO)
        go_on(m, READER, STORES_HEAD, now + m[SET_TAKES])
    else:
        give_back(m, now)
        go_on(m, READER, LOADS_TAIL, now + span(m, T_READER_NEXT))
