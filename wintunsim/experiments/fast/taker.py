"""The client's thread, run ahead (`wintun_model.client`): it reads, handles, and may write back."""

from __future__ import annotations

from wintun_model.trace import Kind
from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.effects import after_sleep, find, store_send_alertable, take, write_in
from wintunsim.experiments.fast.notes import block, go_on, note, set_event, stored
from wintunsim.experiments.fast.processors import copying, leave_processor, span
from wintunsim.experiments.fast.words import (
    ALWAYS_SETS,
    ATTEMPT,
    ATTEMPTS,
    CLIENT,
    CLIENT_DO,
    CLIENT_NUMBER,
    DROPPED,
    ECHOES,
    ENDS_WAIT,
    FULL_FINELY,
    FULL_LIMIT,
    FULL_SLEEP,
    HANDLE,
    HANDLE_PS,
    HEAD_SEEN,
    IS_FULL,
    NO_DEADLINE,
    NOTHING,
    NOW,
    ON_RECEIVE_ALERTABLE,
    ON_RECEIVE_HEAD,
    ON_SEND_TAIL,
    ONE,
    READ,
    READ_BYTES,
    READER,
    RECEIVE_IN,
    RECEIVE_MOVED,
    RECEIVE_OUT,
    RECEIVE_RAISED,
    RECEIVE_SET,
    RECHECK_LIMIT,
    ROOM,
    SEND_MOVED,
    SEND_PUT,
    SEND_SET,
    SEND_TAKEN,
    SIZE,
    SLEEP,
    SLEEP_AGAIN,
    SLEEPS_FINELY,
    SPIN_AGAIN,
    SPIN_LIMIT,
    SPINS_ON,
    T_CLEARS,
    T_FULL_LOADS,
    T_FULL_SLEEPS,
    T_FULL_SPINS,
    T_FULL_YIELDS,
    T_LOADS,
    T_LOOKS,
    T_LOWERS,
    T_PUSH_LOADS,
    T_PUSH_LOOKS,
    T_PUSH_SETS,
    T_PUSH_STORES,
    T_PUSH_TAIL,
    T_RAISES,
    T_RECHECKS,
    T_SLEEPS,
    T_SPINS,
    T_TAKEN,
    T_WAITS,
    T_WOKEN,
    T_YIELDED,
    WAKEUPS,
    WHEN_FULL,
    WRITTEN,
    YIELD_AGAIN,
    ZERO,
    Integers,
    number,
    places,
)

(
    LOADS_TAIL, BEGINS_SPIN, ENDS_SPIN, BEGINS_SLEEP, ENDS_SLEEP, RAISES, LOOKS_AGAIN, BEGINS_WAIT, LOWERS_AWAKE,
    TAKES, TAKES_LATE, LOWERS, CLEARS,
    LOADS_HEAD, KNOWS_WHETHER_FULL, WRITES, LOOKS_ALERTABLE, BEGINS_RECHECK, ENDS_RECHECK,
    LOADS_FULL, BEGINS_FULL_SPIN, ENDS_FULL_SPIN, YIELDS, BEGINS_FULL_SLEEP, TRIES_AGAIN,
) = places(25, ENDS_WAIT + 1)  # fmt: skip
"""What the thread does next, or `ENDS_WAIT`."""

_STORE, _CLEAR, _WAIT, _WAKE = map(number, (Kind.STORE, Kind.CLEAR, Kind.WAIT, Kind.WAKE))


@compiled
def take_next(m: Integers) -> None:
    """What the thread does now."""
    doing, now = m[CLIENT_DO], m[NOW]
    if LOADS_TAIL <= doing <= ENDS_SLEEP:
        _look(m, doing, now)
    elif doing <= LOWERS_AWAKE:
        _wait(m, doing, now)
    elif doing <= CLEARS:
        _take(m, doing, now)
    elif doing <= ENDS_RECHECK:
        _write(m, doing, now)
    else:
        _try_again(m, doing, now)


# -- reading ------------------------------------------------------------------------------------------------------


@compiled
def _find(m: Integers, now: int, doing: int) -> None:
    """There is a packet; it is copied until it is taken."""
    find(m)
    go_on(m, CLIENT, doing, now + span(m, T_TAKEN) + copying(m, m[SIZE]))


@compiled
def _look(m: Integers, doing: int, now: int) -> None:
    """Look for a packet; spin for it, sleep, or say that it waits."""
    if doing == ENDS_SLEEP:
        go_on(m, CLIENT, LOADS_TAIL, now + span(m, T_LOADS))
    elif doing == BEGINS_SLEEP:
        leave_processor(m, CLIENT, now)
        go_on(m, CLIENT, ENDS_SLEEP, after_sleep(m, now + m[SLEEP], m[SLEEPS_FINELY]))
    elif m[SEND_PUT] > m[SEND_TAKEN]:
        if doing == LOADS_TAIL:
            _find(m, now, TAKES)
        else:
            go_on(m, CLIENT, LOADS_TAIL, now + span(m, T_LOADS))
    elif doing == LOADS_TAIL and m[SPIN_LIMIT]:
        go_on(m, CLIENT, BEGINS_SPIN, now + span(m, T_SPINS))
    elif doing == BEGINS_SPIN:
        m[SPINS_ON] = ON_SEND_TAIL
        go_on(m, CLIENT, ENDS_SPIN, now + m[SPIN_LIMIT])
    else:
        m[SPINS_ON] = NOTHING
        if m[SLEEP]:
            go_on(m, CLIENT, BEGINS_SLEEP, now + span(m, T_SLEEPS))
        else:
            go_on(m, CLIENT, RAISES, now + span(m, T_RAISES))


@compiled
def _wait(m: Integers, doing: int, now: int) -> None:
    """Say that it waits, look once more, wait."""
    thread = m[CLIENT_NUMBER]
    if doing == RAISES:
        store_send_alertable(m, now, ONE)
        go_on(m, CLIENT, LOOKS_AGAIN, now + span(m, T_LOOKS))
    elif doing == LOOKS_AGAIN:
        if m[SEND_PUT] > m[SEND_TAKEN]:
            _find(m, now, TAKES_LATE)
        else:
            go_on(m, CLIENT, BEGINS_WAIT, now + span(m, T_WAITS))
    elif doing == BEGINS_WAIT and not m[SEND_SET]:
        note(m, now, thread, _WAIT, m[SEND_MOVED], ONE, NO_DEADLINE)
        m[CLIENT_DO] = ENDS_WAIT
        block(m, CLIENT, now)
    elif doing == LOWERS_AWAKE:
        store_send_alertable(m, now, ZERO)
        go_on(m, CLIENT, LOADS_TAIL, now + span(m, T_LOADS))
    else:
        if doing == BEGINS_WAIT:
            m[SEND_SET] = 0
            m[WAKEUPS] += 1
        note(m, now, thread, _WAKE, m[SEND_MOVED], ZERO, ZERO)
        go_on(m, CLIENT, LOWERS_AWAKE, now + span(m, T_WOKEN))


@compiled
def _take(m: Integers, doing: int, now: int) -> None:
    """Move Head; when the packet was found late, take back that it waits."""
    thread = m[CLIENT_NUMBER]
    if doing <= TAKES_LATE:
        take(m, now)
        if doing == TAKES_LATE:
            go_on(m, CLIENT, LOWERS, now + span(m, T_LOWERS))
            return
    elif doing == LOWERS:
        store_send_alertable(m, now, ZERO)
        go_on(m, CLIENT, CLEARS, now + span(m, T_CLEARS))
        return
    elif m[SEND_SET]:
        m[SEND_SET] = 0
        note(m, now, thread, _CLEAR, m[SEND_MOVED], ZERO, ZERO)
    # It has the packet, and handles it.
    m[READ] += 1
    m[READ_BYTES] += m[SIZE]
    handled = now + m[HANDLE] + m[HANDLE_PS] * m[SIZE] // 1000
    if m[ECHOES]:
        m[ATTEMPT] = 0
        go_on(m, CLIENT, LOADS_HEAD, handled + span(m, T_PUSH_LOADS))
    else:
        go_on(m, CLIENT, LOADS_TAIL, handled + span(m, T_LOADS))


# -- writing ------------------------------------------------------------------------------------------------------


@compiled
def _write(m: Integers, doing: int, now: int) -> None:
    """Write the packet into the receive ring, if there is room, and set the event if the driver waits."""
    if doing == LOADS_HEAD:
        m[IS_FULL] = m[RECEIVE_IN] + stored(m[SIZE]) - m[RECEIVE_OUT] > m[ROOM]
        go_on(m, CLIENT, KNOWS_WHETHER_FULL, now + span(m, T_PUSH_TAIL))
    elif doing == KNOWS_WHETHER_FULL and m[IS_FULL]:
        _give_up_or_try_again(m, now)
    elif doing == KNOWS_WHETHER_FULL:
        go_on(m, CLIENT, WRITES, now + span(m, T_PUSH_STORES) + copying(m, m[SIZE]))
    elif doing == WRITES:
        write_in(m, now)
        go_on(m, CLIENT, LOOKS_ALERTABLE, now + span(m, T_PUSH_LOOKS))
    elif m[RECEIVE_RAISED] or (doing == LOOKS_ALERTABLE and m[ALWAYS_SETS]):
        set_event(m, now, CLIENT, RECEIVE_MOVED, RECEIVE_SET, READER)
        _end_write(m, now + span(m, T_PUSH_SETS))
    elif doing == LOOKS_ALERTABLE and m[RECHECK_LIMIT]:
        go_on(m, CLIENT, BEGINS_RECHECK, now + span(m, T_RECHECKS))
    elif doing == BEGINS_RECHECK:
        m[SPINS_ON] = ON_RECEIVE_ALERTABLE
        go_on(m, CLIENT, ENDS_RECHECK, now + m[RECHECK_LIMIT])
    else:
        m[SPINS_ON] = NOTHING
        _end_write(m, now)


@compiled
def _end_write(m: Integers, now: int) -> None:
    m[WRITTEN] += 1
    go_on(m, CLIENT, LOADS_TAIL, now + span(m, T_LOADS))


# -- the receive ring is full -------------------------------------------------------------------------------------


@compiled
def _give_up_or_try_again(m: Integers, now: int) -> None:
    m[ATTEMPT] += 1
    if m[ATTEMPT] >= m[ATTEMPTS]:
        m[DROPPED] += 1
        go_on(m, CLIENT, LOADS_TAIL, now + span(m, T_LOADS))
    elif m[WHEN_FULL] == SPIN_AGAIN:
        go_on(m, CLIENT, LOADS_FULL, now + span(m, T_FULL_LOADS))
    elif m[WHEN_FULL] == YIELD_AGAIN:
        go_on(m, CLIENT, YIELDS, now + span(m, T_FULL_YIELDS))
    elif m[WHEN_FULL] == SLEEP_AGAIN:
        go_on(m, CLIENT, BEGINS_FULL_SLEEP, now + span(m, T_FULL_SLEEPS))
    else:
        go_on(m, CLIENT, LOADS_HEAD, now + span(m, T_PUSH_LOADS))


@compiled
def _try_again(m: Integers, doing: int, now: int) -> None:
    if doing == LOADS_FULL:
        m[HEAD_SEEN] = m[RECEIVE_OUT]
        go_on(m, CLIENT, BEGINS_FULL_SPIN, now + span(m, T_FULL_SPINS))
    elif doing == BEGINS_FULL_SPIN and m[HEAD_SEEN] == m[RECEIVE_OUT]:
        m[SPINS_ON] = ON_RECEIVE_HEAD
        go_on(m, CLIENT, ENDS_FULL_SPIN, now + m[FULL_LIMIT])
    elif doing == YIELDS:
        go_on(m, CLIENT, TRIES_AGAIN, now + span(m, T_YIELDED))
    elif doing == BEGINS_FULL_SLEEP:
        leave_processor(m, CLIENT, now)
        go_on(m, CLIENT, TRIES_AGAIN, after_sleep(m, now + m[FULL_SLEEP], m[FULL_FINELY]))
    else:
        m[SPINS_ON] = NOTHING
        go_on(m, CLIENT, LOADS_HEAD, now + span(m, T_PUSH_LOADS))
