"""The system's sending thread and the driver's send routine in it, run ahead (`kernel.ndis`, `wintun_model.send`)."""

from __future__ import annotations

from wintunsim.experiments.fast.compiled import compiled
from wintunsim.experiments.fast.effects import complete, publish, refuse, take_due
from wintunsim.experiments.fast.notes import go_on, set_event, stored
from wintunsim.experiments.fast.processors import copying, span
from wintunsim.experiments.fast.words import (
    CHAIN,
    CHAIN_COUNT,
    CLIENT,
    NOW,
    PACKET_FIELDS,
    PACKET_SIZE,
    ROOM,
    SEND_IN,
    SEND_MOVED,
    SEND_OUT,
    SEND_SET,
    SENDER,
    SENDER_DO,
    T_COMPLETED,
    T_EACH,
    T_LOADED,
    T_PUBLISHED,
    T_REFUSAL,
    T_REFUSED,
    T_SENT,
    WAKEUPS,
    Integers,
    places,
)

LOOKS, LOADS_HEAD, IS_REFUSED, STORES_TAIL, COMPLETES = places(5)
"""What the thread does next."""


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
        complete(m, now)
        look_for_packets(m, now + span(m, T_SENT))
    else:
        refuse(m, now)
        look_for_packets(m, now + span(m, T_REFUSAL))


@compiled
def look_for_packets(m: Integers, now: int) -> None:
    """Hand down what is in the queue, or what is due by `now`, the thread's own time; else wait for it."""
    if take_due(m, now):
        go_on(m, SENDER, LOADS_HEAD, now + span(m, T_LOADED))
    else:
        m[SENDER_DO] = LOOKS


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
    publish(m, now)
    m[WAKEUPS] += set_event(m, now, SENDER, SEND_MOVED, SEND_SET, CLIENT)
    go_on(m, SENDER, COMPLETES, now + span(m, T_COMPLETED))
