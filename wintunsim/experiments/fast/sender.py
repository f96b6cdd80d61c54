"""The system's sending thread and the driver's send routine in it, run ahead (`kernel.ndis`, `wintun_model.send`)."""

from __future__ import annotations

from wintun_model.status import NdisStatus
from wintun_model.trace import Kind
from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.notes import block, go_on, note, set_event, stored
from wintunsim.experiments.fast.processors import copying, span
from wintunsim.experiments.fast.tcp import arrive
from wintunsim.experiments.fast.words import (
    ARRIVES_WHEN_TAKEN,
    CHAIN,
    CHAIN_COUNT,
    CHAIN_MOST,
    CLIENT,
    CLIENT_AT,
    FIFO_MASK,
    HANDED_DOWN,
    IS_IDLE,
    MASK,
    NEVER_NS,
    NO_CONNECTION,
    NOTHING,
    NOW,
    OFFERED,
    OFFERED_FIELDS,
    OFFERED_LAST,
    OFFERED_NUMBER,
    OFFERED_SIZE,
    OFFERED_SOURCE,
    OFFERED_TIME,
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
    REFUSED,
    ROOM,
    SEND_COMPLETED,
    SEND_IN,
    SEND_MOVED,
    SEND_OUT,
    SEND_PEAK,
    SEND_PUT,
    SEND_SET,
    SEND_TAIL,
    SEND_TAKEN,
    SENDER,
    SENDER_DO,
    SENDER_NUMBER,
    SENT,
    SPINS_ON,
    T_COMPLETED,
    T_EACH,
    T_LOADED,
    T_NOTICES,
    T_PUBLISHED,
    T_REFUSAL,
    T_REFUSED,
    T_SENT,
    WAKEUPS,
    Integers,
    number,
    places,
)

LOOKS, LOADS_HEAD, IS_REFUSED, STORES_TAIL, COMPLETES = places(5)
"""What the thread does next."""

_SEND, _COMPLETE, _STORE = map(number, (Kind.SEND, Kind.COMPLETE, Kind.STORE))
_SUCCESS, _FULL = map(number, (NdisStatus.NDIS_STATUS_SUCCESS, NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW))


@compiled
def send_next(m: Integers) -> None:
    """What the thread does now."""
    doing, now = m[SENDER_DO], m[NOW]
    if doing == LOOKS:
        look_for_packets(m, now)
    elif doing == LOADS_HEAD:
        _load_head(m, now)
    elif doing == STORES_TAIL:
        _store_tail(m, now)
    elif doing == COMPLETES:
        _complete(m, now)
    else:
        _end_chain(m, now, _FULL)
        m[REFUSED] += m[CHAIN_COUNT]
        look_for_packets(m, now + span(m, T_REFUSAL))


@compiled
def look_for_packets(m: Integers, now: int) -> None:
    """Hand down what is in the queue, or what is due by `now`, the thread's own time; else wait for it."""
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
            go_on(m, SENDER, LOOKS, m[p + OFFERED_TIME] if p < last else NEVER_NS)
            return
    m[IS_IDLE] = 0
    m[HANDED_DOWN] += count
    m[CHAIN_COUNT] = count
    for c in range(CHAIN, CHAIN + count * PACKET_FIELDS, PACKET_FIELDS):
        note(m, now, m[SENDER_NUMBER], _SEND, m[c + PACKET_SOURCE], m[c + PACKET_NUMBER], m[c + PACKET_SIZE])
    go_on(m, SENDER, LOADS_HEAD, now + span(m, T_LOADED))


@compiled
def _load_head(m: Integers, now: int) -> None:
    required = 0
    end = CHAIN + m[CHAIN_COUNT] * PACKET_FIELDS
    for c in range(CHAIN, end, PACKET_FIELDS):
        required += stored(m[c + PACKET_SIZE])
    if m[SEND_IN] + required - m[SEND_OUT] > m[ROOM]:
        go_on(m, SENDER, IS_REFUSED, now + span(m, T_REFUSED))
        return
    published = now + span(m, T_PUBLISHED)
    for c in range(CHAIN, end, PACKET_FIELDS):
        published += span(m, T_EACH) + copying(m, m[c + PACKET_SIZE])
    go_on(m, SENDER, STORES_TAIL, published)


@compiled
def _store_tail(m: Integers, now: int) -> None:
    """The chain is published, and the event is set, at the same time."""
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
    m[WAKEUPS] += set_event(m, now, SENDER, SEND_MOVED, SEND_SET, CLIENT)
    go_on(m, SENDER, COMPLETES, now + span(m, T_COMPLETED))


@compiled
def _complete(m: Integers, now: int) -> None:
    _end_chain(m, now, _SUCCESS)
    for _ in range(m[CHAIN_COUNT]):
        if m[SEND_COMPLETED] < m[SEND_TAKEN]:
            # The client was quicker than the completion.
            p = m[SENT] + PACKET_FIELDS * (m[SEND_COMPLETED] & m[FIFO_MASK])
            tell_taken(m, m[p + PACKET_CONNECTION], m[p + PACKET_SEGMENT], m[p + PACKET_TIME])
        m[SEND_COMPLETED] += 1
    look_for_packets(m, now + span(m, T_SENT))


@compiled
def _end_chain(m: Integers, now: int, status: int) -> None:
    for c in range(CHAIN, CHAIN + m[CHAIN_COUNT] * PACKET_FIELDS, PACKET_FIELDS):
        note(m, now, m[SENDER_NUMBER], _COMPLETE, m[c + PACKET_SOURCE], m[c + PACKET_NUMBER], status)


@compiled
def tell_taken(m: Integers, connection: int, segment: int, now: int) -> None:
    """Tell a packet's connection, if it has one, that the client took it."""
    if connection >= 0 and m[connection + ARRIVES_WHEN_TAKEN]:
        arrive(m, connection, now, segment)
