"""A program's rows, performed one by one: each operation takes its time, lets others go first, and has its effect.

That is what the step engine does with operations (`kernel.performers`): what a thread does where nobody can see it
costs time; before anything that others can see or change, whoever is due before has his turn.
"""

from __future__ import annotations

from collections.abc import Callable

from wintun_model.trace import Kind
from wintunsim.experiments.fast.compiled import compiled, kept
from wintunsim.experiments.fast.effects import (
    after_sleep,
    complete,
    find,
    give_back,
    indicate,
    publish,
    refuse,
    store_receive_alertable,
    store_send_alertable,
    take,
    take_due,
    write_in,
)
from wintunsim.experiments.fast.loop import MUST_HAND_ON, begin_run, next_thread, version_of_sources
from wintunsim.experiments.fast.notes import SET, block, note, set_event
from wintunsim.experiments.fast.processors import copying, draw, leave_processor
from wintunsim.experiments.fast.words import (
    CLIENT,
    CLIENT_AT,
    CLIENT_DO,
    CLIENT_NUMBER,
    CLIENT_OWES,
    CLIENT_ROW,
    DISCONNECTED,
    DROPPED,
    EMPTY,
    ENDS_WAIT,
    FIFO_MASK,
    HAS_BEGUN,
    IN_WRITTEN,
    LOOKS_FIRST,
    MASK,
    NO_DEADLINE,
    NOTHING,
    NOW,
    ON_RECEIVE_ALERTABLE,
    ON_RECEIVE_HEAD,
    ON_SEND_TAIL,
    ONE,
    OVERFLOWS,
    PACKET_FIELDS,
    PACKET_SIZE,
    READ,
    READ_BYTES,
    READER,
    READER_SPINS,
    RECEIVE_IN,
    RECEIVE_MOVED,
    RECEIVE_OUT,
    RECEIVE_SEEN,
    RECEIVE_SET,
    SEND_IN,
    SEND_MOVED,
    SEND_OUT,
    SEND_SET,
    SENDER,
    SIZE,
    SPINS_ON,
    TWO,
    WAKEUPS,
    WRITTEN,
    ZERO,
    Integers,
    number,
    places,
)
from wintunsim.experiments.stepped.rows import (
    CODE,
    CODES,
    COST,
    FIGURE,
    FIRST,
    FIXED,
    NEXT,
    ROW,
    SECOND,
    TARGET,
    THIRD,
    USE,
)
from wintunsim.kernel.clock_use import COSTS_LATER, VISIBLE

HAS_EFFECT, GOES_ON, ENDS_SPIN = places(3, ENDS_WAIT + 1)
"""What a thread does next, or `ENDS_WAIT`: its row has its effect; it goes on with its row; its row's spin ends."""

ENDED, WRONG = places(2, 2)
"""What `OVERFLOWS` is when a program comes to an operation that it does not have, and when a ring word is not what the
packets in the ring come to."""

_CLEAR, _WAIT, _WAKE = map(number, (Kind.CLEAR, Kind.WAIT, Kind.WAKE))
_VISIBLE, _COSTS_LATER = map(number, (VISIBLE, COSTS_LATER))
(
    _MOVE, _ADD, _SUBTRACT, _MULTIPLY, _DIVIDE, _AND, _JUMP, _LESS, _EQUAL, _STOP, _LOOK, _TOOK, _WROTE, _DROPPED,
    _PASS, _LOAD, _PUT, _COPY, _SIZE_SENT, _SIZE_WRITTEN,
    _STORE_SEND_HEAD, _STORE_SEND_TAIL, _STORE_SEND_ALERTABLE,
    _STORE_RECEIVE_HEAD, _STORE_RECEIVE_TAIL, _STORE_RECEIVE_ALERTABLE,
    _SET_SEND_MOVED, _SET_RECEIVE_MOVED, _SET_EMPTY, _CLEAR_SEND_MOVED, _CLEAR_RECEIVE_MOVED, _CLEAR_EMPTY,
    _WAIT_SEND_MOVED, _WAIT_RECEIVE_MOVED,
    _SPIN_SEND_TAIL, _SPIN_RECEIVE_HEAD, _SPIN_RECEIVE_ALERTABLE, _SPIN_RECEIVE_TAIL,
    _, _SLEEP, _COMPLETE, _REFUSE, _INDICATE,
) = CODES.values()  # fmt: skip


@compiled
def _go(m: Integers, thread: int) -> None:
    """A thread goes on, up to its next operation that others can see."""
    now, row, doing = m[NOW], m[CLIENT_ROW + thread], m[CLIENT_DO + thread]
    if doing != GOES_ON:
        if doing == HAS_EFFECT:
            if not _has_effect(m, thread, row, now):
                return
        elif doing == ENDS_SPIN:
            _end_spin(m, thread, row)
        else:
            _end_wait(m, thread, now)
        now += m[CLIENT_OWES + thread]
        row += ROW
    owed = ZERO
    while True:
        code = m[row + CODE]
        if code <= _STOP:
            row = _calculate(m, row, code)
            if not row:
                m[OVERFLOWS] = ENDED
                return
            continue
        if code <= _DROPPED:
            now += owed
            owed = ZERO
            if not _count(m, row, code, now):
                m[CLIENT_DO + thread], m[CLIENT_ROW + thread] = GOES_ON, row
                return
        else:
            use, cost = m[row + USE], m[row + COST]
            if m[row + FIGURE] != FIXED:
                cost += draw(m, m[row + FIGURE])
            if use >= _VISIBLE:
                now += owed
                if use == _COSTS_LATER:
                    m[CLIENT_OWES + thread] = cost
                else:
                    now += cost
                    m[CLIENT_OWES + thread] = ZERO
                m[CLIENT_AT + thread], m[CLIENT_DO + thread], m[CLIENT_ROW + thread] = now, HAS_EFFECT, row
                return
            owed += cost
            if code != _PASS:
                if use:
                    now += owed
                    owed = ZERO
                now += _have_private_effect(m, row, code)
        row += ROW


@compiled
def _calculate(m: Integers, row: int, code: int) -> int:
    """Calculate, or ask: the row that comes next, 0 for none."""
    first, second = m[m[row + FIRST]], m[m[row + SECOND]]
    if code == _LESS:
        return row + ROW if first < second else m[row + NEXT]  # type: ignore[no-any-return]
    if code == _EQUAL:
        return row + ROW if first == second else m[row + NEXT]  # type: ignore[no-any-return]
    if code == _JUMP:
        return m[row + NEXT]  # type: ignore[no-any-return]
    if code == _STOP:
        return 0
    if code == _MOVE:
        value = first
    elif code == _ADD:
        value = first + second
    elif code == _SUBTRACT:
        value = first - second
    elif code == _MULTIPLY:
        value = first * second
    elif code == _DIVIDE:
        value = first // second
    else:
        value = first & second
    m[m[row + TARGET]] = value
    return row + ROW  # type: ignore[no-any-return]


@compiled
def _count(m: Integers, row: int, code: int, now: int) -> int:
    """What is beside the operations: whether the thread goes on."""
    if code == _LOOK:
        count = take_due(m, now)
        m[m[row + TARGET]] = count
        return count
    if code == _TOOK:
        m[READ] += 1
        m[READ_BYTES] += m[SIZE]
    elif code == _WROTE:
        m[WRITTEN] += 1
    else:
        m[DROPPED] += 1
    return 1


@compiled
def _have_private_effect(m: Integers, row: int, code: int) -> int:
    """What nobody else can see: how much longer it takes for it."""
    first = m[m[row + FIRST]]
    if code == _COPY:
        return copying(m, first)
    if code == _PUT:
        m[m[row + SECOND]] = first
    elif code == _SIZE_SENT:
        find(m)
        m[m[row + TARGET]] = m[SIZE]
        if first != m[SEND_OUT] & m[MASK]:
            m[OVERFLOWS] = WRONG
    else:
        p = m[IN_WRITTEN] + PACKET_FIELDS * (m[RECEIVE_SEEN] & m[FIFO_MASK])
        m[m[row + TARGET]] = m[p + PACKET_SIZE]
        if first != m[RECEIVE_OUT] & m[MASK]:
            m[OVERFLOWS] = WRONG
    return 0


@compiled
def _has_effect(m: Integers, thread: int, row: int, now: int) -> int:
    """An operation that others can see: whether the thread goes on behind it at once."""
    code = m[row + CODE]
    if code == _LOAD:
        m[m[row + TARGET]] = m[m[row + FIRST]]
    elif code == _PASS:
        pass
    elif code <= _STORE_RECEIVE_ALERTABLE:
        _store(m, row, code, now)
    elif code <= _CLEAR_EMPTY:
        _set_or_clear(m, thread, code, now)
    elif code <= _WAIT_RECEIVE_MOVED:
        return _wait(m, thread, code, now)
    elif code <= _SPIN_RECEIVE_TAIL:
        return _spin(m, thread, row, code, now)
    elif code <= _SLEEP:
        at = now + m[m[row + FIRST]]
        if code == _SLEEP:
            leave_processor(m, thread, now)
            at = after_sleep(m, at, m[m[row + SECOND]])
        m[CLIENT_AT + thread], m[CLIENT_DO + thread], m[CLIENT_ROW + thread] = at, GOES_ON, row + ROW
        return 0
    elif code == _COMPLETE:
        complete(m, now)
    elif code == _REFUSE:
        refuse(m, now)
    elif code == _INDICATE:
        indicate(m, now)
    return 1


@compiled
def _store(m: Integers, row: int, code: int, now: int) -> None:
    """A store of a ring word."""
    value = m[m[row + FIRST]]
    m[m[row + SECOND]] = value
    expected = value
    if code == _STORE_SEND_HEAD:
        take(m, now)
        expected = m[SEND_OUT] & m[MASK]
    elif code == _STORE_SEND_TAIL:
        publish(m, now)
        expected = m[SEND_IN] & m[MASK]
    elif code == _STORE_SEND_ALERTABLE:
        store_send_alertable(m, now, value)
    elif code == _STORE_RECEIVE_HEAD:
        give_back(m, now)
        expected = m[RECEIVE_OUT] & m[MASK]
    elif code == _STORE_RECEIVE_TAIL:
        write_in(m, now)
        expected = m[RECEIVE_IN] & m[MASK]
    else:
        store_receive_alertable(m, now, value)
    if value != expected:
        m[OVERFLOWS] = WRONG


@compiled
def _set_or_clear(m: Integers, thread: int, code: int, now: int) -> None:
    number = m[CLIENT_NUMBER + thread]
    if code == _SET_SEND_MOVED:
        m[WAKEUPS] += set_event(m, now, thread, SEND_MOVED, SEND_SET, CLIENT)
    elif code == _SET_RECEIVE_MOVED:
        set_event(m, now, thread, RECEIVE_MOVED, RECEIVE_SET, READER)
    elif code == _SET_EMPTY:
        note(m, now, number, SET, m[EMPTY], ZERO, ZERO)
    elif code == _CLEAR_EMPTY:
        note(m, now, number, _CLEAR, m[EMPTY], ZERO, ZERO)
    else:
        is_client = code == _CLEAR_SEND_MOVED
        is_set = SEND_SET if is_client else RECEIVE_SET
        if m[is_set]:
            m[is_set] = 0
            note(m, now, number, _CLEAR, m[SEND_MOVED if is_client else RECEIVE_MOVED], ZERO, ZERO)


@compiled
def _wait(m: Integers, thread: int, code: int, now: int) -> int:
    """Client or reader waits: whether what it waits for is set already."""
    if code == _WAIT_SEND_MOVED:
        first, count, is_set = SEND_MOVED, ONE, SEND_SET
    else:
        first, count, is_set = DISCONNECTED, TWO, RECEIVE_SET
    if m[is_set]:
        m[is_set] = 0
        if thread == CLIENT:
            m[WAKEUPS] += 1
        _end_wait(m, thread, now)
        return 1
    note(m, now, m[CLIENT_NUMBER + thread], _WAIT, m[first], count, NO_DEADLINE)
    m[CLIENT_DO + thread] = ENDS_WAIT
    block(m, thread, now)
    return 0


@compiled
def _end_wait(m: Integers, thread: int, now: int) -> None:
    """It is the last of what it waits for that ends a wait."""
    if thread == CLIENT:
        note(m, now, m[CLIENT_NUMBER], _WAKE, m[SEND_MOVED], ZERO, ZERO)
    else:
        note(m, now, m[CLIENT_NUMBER + thread], _WAKE, m[RECEIVE_MOVED], ONE, ZERO)


@compiled
def _spin(m: Integers, thread: int, row: int, code: int, now: int) -> int:
    """Client or reader spins on a word: whether that has moved already."""
    value = m[m[row + SECOND]]
    m[m[row + TARGET]] = value
    if value != m[m[row + FIRST]]:
        return 1
    if code == _SPIN_SEND_TAIL:
        m[SPINS_ON] = ON_SEND_TAIL
    elif code == _SPIN_RECEIVE_HEAD:
        m[SPINS_ON] = ON_RECEIVE_HEAD
    elif code == _SPIN_RECEIVE_ALERTABLE:
        m[SPINS_ON] = ON_RECEIVE_ALERTABLE
    else:
        m[READER_SPINS] = 1
    m[CLIENT_DO + thread] = ENDS_SPIN
    m[CLIENT_AT + thread] = now + m[m[row + THIRD]]
    return 0


@compiled
def _end_spin(m: Integers, thread: int, row: int) -> None:
    if thread == CLIENT:
        m[SPINS_ON] = NOTHING
    else:
        m[READER_SPINS] = 0
    m[m[row + TARGET]] = m[m[row + SECOND]]


def _make_loop(version: int) -> Callable[[Integers], int]:
    def run_steps(m: Integers) -> int:
        """Go on to the end, or until the caller is needed; answers which. The first call only begins to send."""
        if not m[HAS_BEGUN]:
            begin_run(m)
            if m[LOOKS_FIRST] and version:
                _go(m, SENDER)
            return MUST_HAND_ON
        while True:
            thread = next_thread(m)
            if thread < 0:
                return -thread
            _go(m, thread)

    return kept(run_steps)


run_steps = _make_loop(version_of_sources())
