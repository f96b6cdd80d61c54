"""What happens in the rings, to events and to packets when threads of a run ahead do what others see."""

from __future__ import annotations

from wintun_model.status import NdisStatus
from wintun_model.trace import Kind
from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.notes import block, note, stored
from wintunsim.experiments.fast.processors import span
from wintunsim.experiments.fast.tcp import arrive
from wintunsim.experiments.fast.words import (
    ADAPTER_NUMBER,
    ARRIVES_WHEN_TAKEN,
    CHAIN,
    CHAIN_COUNT,
    CHAIN_MOST,
    CLIENT_AT,
    CLIENT_NUMBER,
    CONNECTION,
    FIFO_MASK,
    HANDED_DOWN,
    IN_WRITTEN,
    IS_IDLE,
    MASK,
    NEVER_NS,
    NO_CONNECTION,
    NOTHING,
    OFFERED,
    OFFERED_FIELDS,
    OFFERED_LAST,
    OFFERED_NUMBER,
    OFFERED_SIZE,
    OFFERED_SOURCE,
    OFFERED_TIME,
    ON_RECEIVE_ALERTABLE,
    ON_RECEIVE_HEAD,
    ON_SEND_TAIL,
    PACKET_CONNECTION,
    PACKET_FIELDS,
    PACKET_NUMBER,
    PACKET_SEGMENT,
    PACKET_SIZE,
    PACKET_SOURCE,
    PACKET_TIME,
    QUEUE,
    QUEUE_FIRST,
    QUEUE_LAST,
    QUEUE_MASK,
    READER_AT,
    READER_NUMBER,
    READER_SPINS,
    RECEIVE_ALERTABLE,
    RECEIVE_DELAYS,
    RECEIVE_DELAYS_AT,
    RECEIVE_HEAD,
    RECEIVE_IN,
    RECEIVE_OUT,
    RECEIVE_PUT,
    RECEIVE_RAISED,
    RECEIVE_SEEN,
    RECEIVE_TAIL,
    RECEIVED,
    REFUSED,
    SEGMENT,
    SEND_ALERTABLE,
    SEND_COMPLETED,
    SEND_DELAYS,
    SEND_DELAYS_AT,
    SEND_HEAD,
    SEND_IN,
    SEND_OUT,
    SEND_PEAK,
    SEND_PUT,
    SEND_RAISED,
    SEND_TAIL,
    SEND_TAKEN,
    SENDER,
    SENDER_AT,
    SENDER_NUMBER,
    SENT,
    SIZE,
    SPINS_ON,
    T_NOTICES,
    T_READER_NOTICES,
    TICK,
    TICK_PHASE,
    ZERO,
    Integers,
    number,
)

_SEND, _COMPLETE, _STORE = map(number, (Kind.SEND, Kind.COMPLETE, Kind.STORE))
_RECEIVE, _RETURN, _WAIT = map(number, (Kind.RECEIVE, Kind.RETURN, Kind.WAIT))
_SUCCESS, _FULL = map(number, (NdisStatus.NDIS_STATUS_SUCCESS, NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW))

# -- the system's sender ------------------------------------------------------------------------------------------


@compiled
def take_due(m: Integers, now: int) -> int:
    """Make a chain of what is in the queue, or of what is due by `now`: of how many packets.

    For none the sender blocks until something is.
    """
    count = 0
    if m[QUEUE_FIRST] < m[QUEUE_LAST]:
        p = m[QUEUE] + PACKET_FIELDS * (m[QUEUE_FIRST] & m[QUEUE_MASK])
        m[QUEUE_FIRST] += 1
        for field in range(PACKET_FIELDS):
            m[CHAIN + field] = m[p + field]
        count = 1
    else:
        p, last = m[OFFERED], m[OFFERED_LAST]
        c = CHAIN
        while p < last and count < CHAIN_MOST and m[p + OFFERED_TIME] <= now:
            m[c + PACKET_SIZE], m[c + PACKET_SOURCE] = m[p + OFFERED_SIZE], m[p + OFFERED_SOURCE]
            m[c + PACKET_NUMBER], m[c + PACKET_CONNECTION] = m[p + OFFERED_NUMBER], NO_CONNECTION
            p += OFFERED_FIELDS
            c += PACKET_FIELDS
            count += 1
        m[OFFERED] = p
        if not count:
            m[IS_IDLE] = 1
            block(m, SENDER, now)
            m[SENDER_AT] = m[p + OFFERED_TIME] if p < last else NEVER_NS
            return 0
    m[IS_IDLE] = 0
    m[HANDED_DOWN] += count
    m[CHAIN_COUNT] = count
    for c in range(CHAIN, CHAIN + count * PACKET_FIELDS, PACKET_FIELDS):
        note(m, now, m[SENDER_NUMBER], _SEND, m[c + PACKET_SOURCE], m[c + PACKET_NUMBER], m[c + PACKET_SIZE])
    return count


@compiled
def publish(m: Integers, now: int) -> None:
    """The driver stores the send ring's Tail: the chain is the client's."""
    old = m[SEND_IN] & m[MASK]
    for c in range(CHAIN, CHAIN + m[CHAIN_COUNT] * PACKET_FIELDS, PACKET_FIELDS):
        p = m[SENT] + PACKET_FIELDS * (m[SEND_PUT] & m[FIFO_MASK])
        m[p + PACKET_SIZE], m[p + PACKET_TIME] = m[c + PACKET_SIZE], now
        m[p + PACKET_CONNECTION], m[p + PACKET_SEGMENT] = m[c + PACKET_CONNECTION], m[c + PACKET_SEGMENT]
        m[SEND_PUT] += 1
        m[SEND_IN] += stored(m[c + PACKET_SIZE])
    m[SEND_PEAK] = max(m[SEND_PEAK], m[SEND_IN] - m[SEND_OUT])
    note(m, now, m[SENDER_NUMBER], _STORE, m[SEND_TAIL], m[SEND_IN] & m[MASK], old)
    if m[SPINS_ON] == ON_SEND_TAIL:
        m[SPINS_ON], m[CLIENT_AT] = NOTHING, now + span(m, T_NOTICES)


@compiled
def complete(m: Integers, now: int) -> None:
    """The chain comes back: sent."""
    _end_chain(m, now, _SUCCESS)
    for _ in range(m[CHAIN_COUNT]):
        if m[SEND_COMPLETED] < m[SEND_TAKEN]:
            # The client was quicker than the completion.
            p = m[SENT] + PACKET_FIELDS * (m[SEND_COMPLETED] & m[FIFO_MASK])
            _tell_taken(m, m[p + PACKET_CONNECTION], m[p + PACKET_SEGMENT], m[p + PACKET_TIME])
        m[SEND_COMPLETED] += 1


@compiled
def refuse(m: Integers, now: int) -> None:
    """The chain comes back: the ring is full."""
    _end_chain(m, now, _FULL)
    m[REFUSED] += m[CHAIN_COUNT]


@compiled
def _end_chain(m: Integers, now: int, status: int) -> None:
    for c in range(CHAIN, CHAIN + m[CHAIN_COUNT] * PACKET_FIELDS, PACKET_FIELDS):
        note(m, now, m[SENDER_NUMBER], _COMPLETE, m[c + PACKET_SOURCE], m[c + PACKET_NUMBER], status)


@compiled
def _tell_taken(m: Integers, connection: int, segment: int, now: int) -> None:
    """Tell a packet's connection, if it has one, that the client took it."""
    if connection >= 0 and m[connection + ARRIVES_WHEN_TAKEN]:
        arrive(m, connection, now, segment)


# -- the client ---------------------------------------------------------------------------------------------------


@compiled
def find(m: Integers) -> None:
    """The client looks at the first packet of the send ring."""
    p = m[SENT] + PACKET_FIELDS * (m[SEND_TAKEN] & m[FIFO_MASK])
    m[SIZE], m[CONNECTION], m[SEGMENT] = m[p + PACKET_SIZE], m[p + PACKET_CONNECTION], m[p + PACKET_SEGMENT]


@compiled
def take(m: Integers, now: int) -> None:
    """The client stores the send ring's Head: it has taken a packet."""
    p = m[SENT] + PACKET_FIELDS * (m[SEND_TAKEN] & m[FIFO_MASK])
    old = m[SEND_OUT]
    m[SEND_OUT] += stored(m[SIZE])
    note(m, now, m[CLIENT_NUMBER], _STORE, m[SEND_HEAD], m[SEND_OUT] & m[MASK], old & m[MASK])
    m[m[SEND_DELAYS_AT] + m[SEND_DELAYS]] = now - m[p + PACKET_TIME]
    m[SEND_DELAYS] += 1
    if m[SEND_TAKEN] < m[SEND_COMPLETED]:
        _tell_taken(m, m[CONNECTION], m[SEGMENT], now)
    else:
        m[p + PACKET_TIME] = now
    m[SEND_TAKEN] += 1


@compiled
def write_in(m: Integers, now: int) -> None:
    """The client stores the receive ring's Tail: it has written the packet that it has."""
    p = m[IN_WRITTEN] + PACKET_FIELDS * (m[RECEIVE_PUT] & m[FIFO_MASK])
    m[p + PACKET_SIZE], m[p + PACKET_TIME] = m[SIZE], now
    m[p + PACKET_CONNECTION], m[p + PACKET_SEGMENT] = m[CONNECTION], m[SEGMENT]
    old = m[RECEIVE_IN]
    m[RECEIVE_PUT] += 1
    m[RECEIVE_IN] += stored(m[SIZE])
    note(m, now, m[CLIENT_NUMBER], _STORE, m[RECEIVE_TAIL], m[RECEIVE_IN] & m[MASK], old & m[MASK])
    if m[READER_SPINS]:
        m[READER_SPINS], m[READER_AT] = 0, now + span(m, T_READER_NOTICES)


@compiled
def store_send_alertable(m: Integers, now: int, value: int) -> None:
    """The client says whether it waits."""
    note(m, now, m[CLIENT_NUMBER], _STORE, m[SEND_ALERTABLE], value, m[SEND_RAISED])
    m[SEND_RAISED] = value


@compiled
def after_sleep(m: Integers, until: int, is_fine: int) -> int:
    """When a sleep ends that should last until then."""
    return until if is_fine else until + (m[TICK_PHASE] - until) % m[TICK]


# -- the driver's reader ------------------------------------------------------------------------------------------


@compiled
def store_receive_alertable(m: Integers, now: int, value: int) -> None:
    """The driver says whether it waits; a client that spins on that notices."""
    note(m, now, m[READER_NUMBER], _STORE, m[RECEIVE_ALERTABLE], value, m[RECEIVE_RAISED])
    m[RECEIVE_RAISED] = value
    if value and m[SPINS_ON] == ON_RECEIVE_ALERTABLE:
        m[SPINS_ON], m[CLIENT_AT] = NOTHING, now + span(m, T_NOTICES)


@compiled
def indicate(m: Integers, now: int) -> None:
    """The driver indicates a packet, and the system returns it at once."""
    thread, number = m[READER_NUMBER], m[RECEIVE_SEEN] + 1
    p = m[IN_WRITTEN] + PACKET_FIELDS * (m[RECEIVE_SEEN] & m[FIFO_MASK])
    note(m, now, thread, _RECEIVE, m[ADAPTER_NUMBER], number, m[p + PACKET_SIZE])
    m[RECEIVED] += 1
    connection = m[p + PACKET_CONNECTION]
    if connection >= 0 and not m[connection + ARRIVES_WHEN_TAKEN]:
        arrive(m, connection, now, m[p + PACKET_SEGMENT])
    note(m, now, thread, _RETURN, m[ADAPTER_NUMBER], number, ZERO)


@compiled
def give_back(m: Integers, now: int) -> None:
    """The driver stores the receive ring's Head: the space of one packet is the client's again."""
    p = m[IN_WRITTEN] + PACKET_FIELDS * (m[RECEIVE_SEEN] & m[FIFO_MASK])
    old = m[RECEIVE_OUT]
    m[RECEIVE_OUT] += stored(m[p + PACKET_SIZE])
    m[RECEIVE_SEEN] += 1
    note(m, now, m[READER_NUMBER], _STORE, m[RECEIVE_HEAD], m[RECEIVE_OUT] & m[MASK], old & m[MASK])
    m[m[RECEIVE_DELAYS_AT] + m[RECEIVE_DELAYS]] = now - m[p + PACKET_TIME]
    m[RECEIVE_DELAYS] += 1
    if m[SPINS_ON] == ON_RECEIVE_HEAD:
        m[SPINS_ON], m[CLIENT_AT] = NOTHING, now + span(m, T_NOTICES)
