"""TCP-like connections, run ahead: `network.tcp_sender` and `network.closed_loop` over arrays, step for step.

`k` is where a connection's fields begin. Sets of segments are flags at a segment's number modulo a power of two that
the window fits in. Lost segments are sent again in their order, so a pointer stands for the row of those to repair.
"""

from __future__ import annotations

from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.words import (
    ACK_EXPECTED,
    ACK_FIELDS,
    ACK_SEGMENT,
    ACK_TIME,
    ACKNOWLEDGED,
    ACKS,
    ACKS_AT,
    ACKS_FIRST,
    ACKS_LAST,
    ACKS_MASK,
    ARRIVED,
    CONNECTION_FIELDS,
    CONNECTIONS,
    CONNECTIONS_COUNT,
    DEADLINE_AT,
    EXPECTED,
    FLAGS,
    FOREIGN,
    FOREIGN_AT,
    HAS_ARRIVED,
    HAS_GIVEN_UP,
    HIGHEST,
    IS_IDLE,
    IS_LOST,
    IS_RECOVERING,
    JUDGED,
    LAST_EVENT,
    LATEST,
    LATEST_1,
    LATEST_2,
    LATEST_COUNT,
    LIMIT_BYTES,
    LOST,
    NEVER_NS,
    NOTHING,
    NOW,
    OVERFLOWS,
    PACKET_BYTES,
    PACKET_CONNECTION,
    PACKET_FIELDS,
    PACKET_NUMBER,
    PACKET_SEGMENT,
    PACKET_SIZE,
    PACKET_SOURCE,
    QUEUE,
    QUEUE_FIRST,
    QUEUE_LAST,
    QUEUE_MASK,
    RECOVER,
    REPAIR_FROM,
    RETRIES,
    RTO_INITIAL,
    RTO_MAX,
    RTO_MIN,
    RTT,
    SEGMENT_BYTES,
    SEGMENT_FIELDS,
    SEGMENTS,
    SEGMENTS_AT,
    SEGMENTS_MASK,
    SENDER_AT,
    SENT_AT,
    SEQUENCE,
    SMOOTHED,
    SOURCE,
    THRESHOLD,
    TIMEOUTS_IN_ROW,
    TIMER_AT,
    TRANSMITTED,
    VARIATION,
    WAS_RECEIVED,
    WINDOW,
    Integers,
)

# -- simpy's events -----------------------------------------------------------------------------------------------


@compiled
def _find_foreign(m: Integers) -> None:
    """Which event comes first: those of one time in the order in which they were made."""
    at, sequence, event = NEVER_NS, NOTHING, NOTHING
    for loop in range(m[CONNECTIONS_COUNT]):
        k = m[CONNECTIONS] + loop * CONNECTION_FIELDS
        for which in (ACKS_AT, TIMER_AT):
            when, order = m[k + which], m[k + which + 1]
            if when < at or (when == at < NEVER_NS and order < sequence):
                at, sequence, event = when, order, k + which
    m[FOREIGN_AT], m[FOREIGN] = at, event


@compiled
def foreign_event(m: Integers) -> None:
    """The first event happens."""
    now, event = m[FOREIGN_AT], m[FOREIGN]
    m[NOW] = now
    which = (event - m[CONNECTIONS]) % CONNECTION_FIELDS
    if which == TIMER_AT:
        _timer(m, event - which, now)
    else:
        _acknowledgements_come(m, event - which, now)
    _find_foreign(m)


@compiled
def _place(m: Integers, k: int, segment: int) -> int:
    """Where a segment's fields are."""
    return m[k + SEGMENTS_AT] + SEGMENT_FIELDS * (segment & m[k + SEGMENTS_MASK])  # type: ignore[no-any-return]


# -- sending ------------------------------------------------------------------------------------------------------


@compiled
def begin(m: Integers, k: int, now: int) -> None:
    """Send the first window."""
    _send_window(m, k, now)
    _look(m, k)


@compiled
def _transmit(m: Integers, k: int, segment: int) -> None:
    m[k + TRANSMITTED] += 1
    last = m[QUEUE_LAST]
    if last - m[QUEUE_FIRST] > m[QUEUE_MASK]:
        m[OVERFLOWS] = 1
        return
    p = m[QUEUE] + PACKET_FIELDS * (last & m[QUEUE_MASK])
    m[p + PACKET_SIZE], m[p + PACKET_SOURCE] = m[k + PACKET_BYTES], m[k + SOURCE]
    m[p + PACKET_NUMBER], m[p + PACKET_CONNECTION], m[p + PACKET_SEGMENT] = m[k + TRANSMITTED], k, segment
    m[QUEUE_LAST] = last + 1
    if m[IS_IDLE]:
        m[IS_IDLE] = 0
        m[SENDER_AT] = m[NOW]


@compiled
def _look(m: Integers, k: int) -> None:
    """After anything that may have changed the sender: keep the timer."""
    if m[k + DEADLINE_AT] < m[k + TIMER_AT]:
        _call_at(m, k, TIMER_AT, m[k + DEADLINE_AT])


@compiled
def _call_at(m: Integers, k: int, which: int, at: int) -> None:
    """Have the connection's event of this kind happen then; behind the time is its place among events of one time."""
    m[k + which] = max(at, m[NOW])
    m[LAST_EVENT] = max(m[LAST_EVENT], m[k + which])
    m[SEQUENCE] += 1
    m[k + which + 1] = m[SEQUENCE]
    _find_foreign(m)


@compiled
def _timer(m: Integers, k: int, now: int) -> None:
    m[k + TIMER_AT] = NEVER_NS
    if m[k + DEADLINE_AT] == NEVER_NS:
        return
    if m[k + DEADLINE_AT] > now:
        _call_at(m, k, TIMER_AT, m[k + DEADLINE_AT])
        return
    _time_out(m, k, now)
    _look(m, k)


@compiled
def _timeout(m: Integers, k: int) -> int:
    """The retransmission timeout now, with its backoff."""
    if m[k + SMOOTHED] < 0:
        timeout = max(m[k + RTO_INITIAL], m[k + RTO_MIN])
    else:
        timeout = max(m[k + RTO_MIN], m[k + SMOOTHED] + max(1, 4 * m[k + VARIATION]))
    for _ in range(m[k + TIMEOUTS_IN_ROW]):
        if timeout >= m[k + RTO_MAX]:
            break
        timeout *= 2
    return min(m[k + RTO_MAX], timeout)  # type: ignore[no-any-return]


@compiled
def _time_out(m: Integers, k: int, now: int) -> None:
    """What has not arrived is lost, and is sent again with a small window."""
    if m[k + TIMEOUTS_IN_ROW] >= m[k + RETRIES]:
        m[k + HAS_GIVEN_UP], m[k + DEADLINE_AT] = 1, NEVER_NS
        return
    if not m[k + TIMEOUTS_IN_ROW]:
        flight = (m[k + HIGHEST] - m[k + ACKNOWLEDGED]) * m[k + SEGMENT_BYTES]
        m[k + THRESHOLD] = max(flight // 2, 2 * m[k + SEGMENT_BYTES])
    m[k + TIMEOUTS_IN_ROW] += 1
    m[k + WINDOW] = m[k + SEGMENT_BYTES]
    m[k + IS_RECOVERING] = 0
    m[k + RECOVER] = m[k + HIGHEST] - 1
    m[k + LOST] = 0
    for segment in range(m[k + ACKNOWLEDGED], m[k + HIGHEST]):
        p = _place(m, k, segment) + FLAGS
        if m[p] & HAS_ARRIVED:
            m[p] &= ~IS_LOST
        else:
            m[p] |= IS_LOST
            m[k + LOST] += 1
    m[k + REPAIR_FROM], m[k + JUDGED] = m[k + ACKNOWLEDGED], m[k + HIGHEST]
    m[k + DEADLINE_AT] = NEVER_NS
    _send_window(m, k, now)


@compiled
def _repair(m: Integers, k: int) -> None:
    """Send the first lost segment again; there is one."""
    segment = max(m[k + REPAIR_FROM], m[k + ACKNOWLEDGED])
    while not m[_place(m, k, segment) + FLAGS] & IS_LOST:
        segment += 1
    p = _place(m, k, segment)
    m[p + FLAGS] &= ~IS_LOST
    m[p + SENT_AT] = -1
    m[k + LOST] -= 1
    m[k + REPAIR_FROM] = segment + 1
    _transmit(m, k, segment)


@compiled
def _send_window(m: Integers, k: int, now: int) -> None:
    size = m[k + SEGMENT_BYTES]
    while not m[OVERFLOWS]:
        flight = (m[k + HIGHEST] - m[k + ACKNOWLEDGED]) * size
        if flight - (m[k + ARRIVED] + m[k + LOST]) * size + size > m[k + WINDOW]:
            break
        if m[k + LOST]:
            _repair(m, k)
        elif flight + size <= m[k + LIMIT_BYTES] and m[k + HIGHEST] != m[k + SEGMENTS]:
            segment = m[k + HIGHEST]
            m[k + HIGHEST] += 1
            p = _place(m, k, segment)
            m[p + FLAGS], m[p + SENT_AT] = 0, now
            _transmit(m, k, segment)
        else:
            break
    if m[k + DEADLINE_AT] == NEVER_NS and m[k + HIGHEST] > m[k + ACKNOWLEDGED]:
        m[k + DEADLINE_AT] = now + _timeout(m, k)


# -- acknowledgements ---------------------------------------------------------------------------------------------


@compiled
def arrive(m: Integers, k: int, now: int, segment: int) -> None:
    """A segment has come to the far end."""
    if segment > m[k + EXPECTED]:
        m[_place(m, k, segment) + FLAGS] |= WAS_RECEIVED
    elif segment == m[k + EXPECTED]:
        m[k + EXPECTED] += 1
        while m[k + EXPECTED] < m[k + HIGHEST] and m[_place(m, k, m[k + EXPECTED]) + FLAGS] & WAS_RECEIVED:
            m[k + EXPECTED] += 1
    if not m[k + RTT]:
        _acknowledge(m, k, now, m[k + EXPECTED], segment)
        _look(m, k)
        return
    last = m[k + ACKS_LAST]
    if last - m[k + ACKS_FIRST] > m[k + ACKS_MASK]:
        m[OVERFLOWS] = 1
        return
    p = _ack(m, k, last)
    m[p + ACK_TIME], m[p + ACK_EXPECTED], m[p + ACK_SEGMENT] = now + m[k + RTT], m[k + EXPECTED], segment
    m[k + ACKS_LAST] = last + 1
    if last == m[k + ACKS_FIRST]:
        _call_at(m, k, ACKS_AT, now + m[k + RTT])


@compiled
def _acknowledgements_come(m: Integers, k: int, now: int) -> None:
    m[k + ACKS_AT] = NEVER_NS
    while m[k + ACKS_FIRST] < m[k + ACKS_LAST] and m[_ack(m, k, m[k + ACKS_FIRST]) + ACK_TIME] <= now:
        p = _ack(m, k, m[k + ACKS_FIRST])
        m[k + ACKS_FIRST] += 1
        _acknowledge(m, k, now, m[p + ACK_EXPECTED], m[p + ACK_SEGMENT])
        _look(m, k)
    if m[k + ACKS_FIRST] < m[k + ACKS_LAST]:
        _call_at(m, k, ACKS_AT, m[_ack(m, k, m[k + ACKS_FIRST]) + ACK_TIME])


@compiled
def _ack(m: Integers, k: int, number: int) -> int:
    """Where an acknowledgement's fields are."""
    return m[k + ACKS] + ACK_FIELDS * (number & m[k + ACKS_MASK])  # type: ignore[no-any-return]


@compiled
def _acknowledge(m: Integers, k: int, now: int, expected: int, arrived: int) -> None:
    """`arrived` has come, and all before `expected`."""
    if m[k + HAS_GIVEN_UP] or max(expected, arrived + 1) > m[k + HIGHEST]:
        return
    p = _place(m, k, arrived)
    if arrived >= m[k + ACKNOWLEDGED] and m[p + SENT_AT] >= 0:
        _measured(m, k, now - m[p + SENT_AT])
        m[p + SENT_AT] = -1
    has_advanced = expected > m[k + ACKNOWLEDGED]
    if has_advanced:
        _advance(m, k, expected)
    if arrived >= expected and not m[p + FLAGS] & HAS_ARRIVED:
        m[p + FLAGS] |= HAS_ARRIVED
        m[k + ARRIVED] += 1
        if m[p + FLAGS] & IS_LOST:
            m[p + FLAGS] &= ~IS_LOST
            m[k + LOST] -= 1
        _note_latest(m, k, arrived)
    _find_losses(m, k, now)
    if m[k + IS_RECOVERING] and m[k + ACKNOWLEDGED] > m[k + RECOVER]:
        m[k + IS_RECOVERING] = 0
    elif has_advanced and not m[k + IS_RECOVERING]:
        _grow(m, k)
    if has_advanced:
        m[k + DEADLINE_AT] = now + _timeout(m, k) if m[k + HIGHEST] > m[k + ACKNOWLEDGED] else NEVER_NS
    _send_window(m, k, now)


@compiled
def _advance(m: Integers, k: int, expected: int) -> None:
    for segment in range(m[k + ACKNOWLEDGED], expected):
        p = _place(m, k, segment)
        if m[p + FLAGS] & HAS_ARRIVED:
            m[k + ARRIVED] -= 1
        if m[p + FLAGS] & IS_LOST:
            m[k + LOST] -= 1
        m[p + FLAGS] &= WAS_RECEIVED
        m[p + SENT_AT] = -1
    m[k + ACKNOWLEDGED] = expected
    m[k + JUDGED] = max(m[k + JUDGED], expected)
    m[k + TIMEOUTS_IN_ROW] = 0


@compiled
def _note_latest(m: Integers, k: int, arrived: int) -> None:
    """Keep the three highest that arrived, in order."""
    if m[k + LATEST_COUNT] < 3:
        m[k + LATEST + m[k + LATEST_COUNT]] = arrived
        m[k + LATEST_COUNT] += 1
    elif arrived > m[k + LATEST]:
        m[k + LATEST] = arrived
    else:
        return
    count = m[k + LATEST_COUNT]
    if count >= 3 and m[k + LATEST] > m[k + LATEST_1]:
        m[k + LATEST], m[k + LATEST_1] = m[k + LATEST_1], m[k + LATEST]
    if count >= 3 and m[k + LATEST_1] > m[k + LATEST_2]:
        m[k + LATEST_1], m[k + LATEST_2] = m[k + LATEST_2], m[k + LATEST_1]
    if count >= 2 and m[k + LATEST] > m[k + LATEST_1]:
        m[k + LATEST], m[k + LATEST_1] = m[k + LATEST_1], m[k + LATEST]


@compiled
def _grow(m: Integers, k: int) -> None:
    """Slow start, or additive increase."""
    size, window = m[k + SEGMENT_BYTES], m[k + WINDOW]
    step = size if window < m[k + THRESHOLD] else max(1, size * size // window)
    m[k + WINDOW] = min(window + step, m[k + LIMIT_BYTES])


@compiled
def _find_losses(m: Integers, k: int, now: int) -> None:
    """Who is missing while three after him have arrived is lost; the first such loss halves the window."""
    if m[k + LATEST_COUNT] < 3:
        return
    for segment in range(m[k + JUDGED], m[k + LATEST]):
        p = _place(m, k, segment) + FLAGS
        if not m[p] & HAS_ARRIVED:
            m[p] |= IS_LOST
            m[k + LOST] += 1
    m[k + JUDGED] = max(m[k + JUDGED], m[k + LATEST])
    if m[k + LOST] and not m[k + IS_RECOVERING] and m[k + ACKNOWLEDGED] > m[k + RECOVER]:
        m[k + IS_RECOVERING] = 1
        m[k + RECOVER] = m[k + HIGHEST] - 1
        flight = (m[k + HIGHEST] - m[k + ACKNOWLEDGED]) * m[k + SEGMENT_BYTES]
        m[k + THRESHOLD] = max(flight // 2, 2 * m[k + SEGMENT_BYTES])
        m[k + WINDOW] = min(m[k + THRESHOLD], m[k + LIMIT_BYTES])
        _repair(m, k)
        m[k + DEADLINE_AT] = now + _timeout(m, k)


@compiled
def _measured(m: Integers, k: int, round_trip: int) -> None:
    if m[k + SMOOTHED] < 0:
        m[k + SMOOTHED], m[k + VARIATION] = round_trip, round_trip // 2
        return
    m[k + VARIATION] = (3 * m[k + VARIATION] + abs(m[k + SMOOTHED] - round_trip)) // 4
    m[k + SMOOTHED] = (7 * m[k + SMOOTHED] + round_trip) // 8
