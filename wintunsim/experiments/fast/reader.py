"""The driver's reader thread, run ahead (`wintun_model.receive`): it returns each packet inside its indication."""

from __future__ import annotations

from wintun_model.trace import Kind
from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.notes import SET, block, go_on, note, stored
from wintunsim.experiments.fast.processors import span
from wintunsim.experiments.fast.tcp import arrive
from wintunsim.experiments.fast.words import (
    ADAPTER_NUMBER,
    ARRIVES_WHEN_TAKEN,
    CLIENT_AT,
    DISCONNECTED,
    EMPTY,
    ENDS_WAIT,
    FIFO_MASK,
    IN_WRITTEN,
    MASK,
    NO_DEADLINE,
    NOTHING,
    NOW,
    ON_RECEIVE_ALERTABLE,
    ON_RECEIVE_HEAD,
    ONE,
    PACKET_CONNECTION,
    PACKET_FIELDS,
    PACKET_SEGMENT,
    PACKET_SIZE,
    PACKET_TIME,
    READER,
    READER_DO,
    READER_NUMBER,
    READER_SPINS,
    RECEIVE_ALERTABLE,
    RECEIVE_DELAYS,
    RECEIVE_DELAYS_AT,
    RECEIVE_HEAD,
    RECEIVE_MOVED,
    RECEIVE_OUT,
    RECEIVE_PUT,
    RECEIVE_RAISED,
    RECEIVE_SEEN,
    RECEIVE_SET,
    RECEIVED,
    SET_TAKES,
    SPINS_ON,
    T_EMPTY_CLEARED,
    T_EMPTY_SET,
    T_INDICATED,
    T_NOTICES,
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
        m[RECEIVE_RAISED] = 1
        note(m, now, thread, _STORE, m[RECEIVE_ALERTABLE], ONE, ZERO)
        if m[SPINS_ON] == ON_RECEIVE_ALERTABLE:
            m[SPINS_ON], m[CLIENT_AT] = NOTHING, now + span(m, T_NOTICES)
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
        m[RECEIVE_RAISED] = 0
        note(m, now, thread, _STORE, m[RECEIVE_ALERTABLE], ZERO, ONE)
        if doing == LOWERS:
            go_on(m, READER, CLEARS, now + span(m, T_READER_CLEARS))
        else:
            go_on(m, READER, LOADS_TAIL, now + span(m, T_READER_AGAIN))


@compiled
def _deliver(m: Integers, doing: int, now: int) -> None:
    """One packet goes up and comes back."""
    thread = m[READER_NUMBER]
    p = m[IN_WRITTEN] + PACKET_FIELDS * (m[RECEIVE_SEEN] & m[FIFO_MASK])
    size = m[p + PACKET_SIZE]
    if doing == CLEARS_EMPTY:
        note(m, now, thread, _CLEAR, m[EMPTY], ZERO, ZERO)
        go_on(m, READER, INDICATES, now + span(m, T_INDICATED))
    elif doing == INDICATES:
        number = m[RECEIVE_SEEN] + 1
        note(m, now, thread, _RECEIVE, m[ADAPTER_NUMBER], number, size)
        m[RECEIVED] += 1
        connection = m[p + PACKET_CONNECTION]
        if connection >= 0 and not m[connection + ARRIVES_WHEN_TAKEN]:
            arrive(m, connection, now, m[p + PACKET_SEGMENT])
        note(m, now, thread, _RETURN, m[ADAPTER_NUMBER], number, ZERO)
        at = now + span(m, T_EMPTY_SET)
        # What setting an event takes is known when it begins.
        m[SET_TAKES] = span(m, T_RETURNED)
        go_on(m, READER, SETS_EMPTY, at)
    elif doing == SETS_EMPTY:
        note(m, now, thread, SET, m[EMPTY], ZERO, ZERO)
        go_on(m, READER, STORES_HEAD, now + m[SET_TAKES])
    else:
        old = m[RECEIVE_OUT]
        m[RECEIVE_OUT] += stored(size)
        m[RECEIVE_SEEN] += 1
        note(m, now, thread, _STORE, m[RECEIVE_HEAD], m[RECEIVE_OUT] & m[MASK], old & m[MASK])
        m[m[RECEIVE_DELAYS_AT] + m[RECEIVE_DELAYS]] = now - m[p + PACKET_TIME]
        m[RECEIVE_DELAYS] += 1
        if m[SPINS_ON] == ON_RECEIVE_HEAD:
            m[SPINS_ON], m[CLIENT_AT] = NOTHING, now + span(m, T_NOTICES)
        go_on(m, READER, LOADS_TAIL, now + span(m, T_READER_NEXT))
