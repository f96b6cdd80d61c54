"""What a run is while it is run ahead: one array `m` of 64-bit integers, and the places of things in it.

First come single numbers, at the places named here, then the timings, then the packets of the chain under way; where
the areas behind them begin is a number itself. A packet, a connection or a segment is some fields one behind the other.

Times are in ns, sizes in bytes. Each thread has the time at which it goes on (`…_AT`) and what it does then (`…_DO`).
Totals of bytes never wrap; an offset is a total modulo the capacity. Packets in a ring are counted, and stand at their
count modulo the area's length. Constants are numpy's, so that what is compiled knows their type and not their value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wintun_model.errors import ModelError
from wintun_model.trace import RECORD_LENGTH
from wintunsim.kernel.ndis import CHAIN_PACKETS

Integers = NDArray[np.int64]


def number(value: int) -> Any:
    """A constant."""
    return np.int64(value)


def places(count: int, first: int = 0) -> Any:
    """Constants that count from `first` on."""
    return np.arange(first, first + count, dtype=np.int64)


ZERO, ONE, TWO, NO_DEADLINE, NO_CONNECTION = map(number, (0, 1, 2, -1, -1))
NEVER_NS = number(1 << 62)
ROWS_MOST = number(1 << 12)
"""So many records are kept until they are handed on."""
DELAYS_MOST = number(1 << 12)
OFFERED_PACKETS = number(1 << 12)
"""So many packets that are due are at hand."""
CHAIN_MOST = number(CHAIN_PACKETS)
RECORD = number(RECORD_LENGTH)

(
    HAS_BEGUN, BEGUN, LOOKS_FIRST, UNTIL, NOW, BLOCKED_AT, SEQUENCE, LAST_EVENT, FOREIGN_AT, FOREIGN, OVERFLOWS,
    CLIENT_AT, READER_AT, SENDER_AT, CLIENT_DO, READER_DO, SENDER_DO,
    # Processors, if they are limited: how many, who has which since when, and how long threads have had one.
    PROCESSORS, PROCESSORS_AT, IDLE_AFTER,
    CLIENT_PROCESSOR, READER_PROCESSOR, SENDER_PROCESSOR, CLIENT_SINCE, READER_SINCE, SENDER_SINCE,
    CLIENT_BUSY, READER_BUSY, SENDER_BUSY,
    # Draws: whether there are any, where they are, whether some run short; what setting its event takes the reader.
    VARIES, DRAWS_AT, DRAWS_SHORT, SET_TAKES,
    # Records of the trace: how many there are, whether anybody wants them, whether one has a subject without a number.
    ROWS, ROWS_AT, KEEPS_ROWS, UNNAMED,
    # Numbers in the trace.
    CLIENT_NUMBER, READER_NUMBER, SENDER_NUMBER, ADAPTER_NUMBER,
    SEND_HEAD, SEND_TAIL, SEND_ALERTABLE, RECEIVE_HEAD, RECEIVE_TAIL, RECEIVE_ALERTABLE,
    SEND_MOVED, RECEIVE_MOVED, EMPTY, DISCONNECTED,
    # The rings: bytes and packets that went in and came out, Alertable, the event.
    MASK, ROOM, FIFO_MASK,
    SEND_IN, SEND_OUT, SEND_PUT, SEND_TAKEN, SEND_COMPLETED, SEND_RAISED, SEND_SET, SEND_PEAK, SEND_DELAYS,
    SEND_DELAYS_AT, SENT,
    RECEIVE_IN, RECEIVE_OUT, RECEIVE_PUT, RECEIVE_SEEN, RECEIVE_RAISED, RECEIVE_SET, RECEIVE_DELAYS,
    RECEIVE_DELAYS_AT, IN_WRITTEN,
    # What the system sends: the window of what is due, the queue of what is to go at once, the chain under way.
    OFFERED_AT, OFFERED, OFFERED_LAST, OFFERED_ENDS, QUEUE, QUEUE_FIRST, QUEUE_LAST, QUEUE_MASK, CHAIN_COUNT,
    IS_IDLE, HANDED_DOWN, REFUSED, CONNECTIONS, CONNECTIONS_COUNT,
    # The packet that the client has, what it spins on, and its counts.
    SIZE, CONNECTION, SEGMENT, SPINS_ON, IS_FULL, ATTEMPT, HEAD_SEEN, READ, READ_BYTES, WRITTEN, DROPPED, WAKEUPS,
    # The driver's reader.
    READER_SPINS, RECEIVED,
    # How the client is.
    ECHOES, SPIN_LIMIT, SLEEP, SLEEPS_FINELY, HANDLE, HANDLE_PS, ALWAYS_SETS, RECHECK_LIMIT,
    WHEN_FULL, ATTEMPTS, FULL_LIMIT, FULL_SLEEP, FULL_FINELY, TICK, TICK_PHASE,
    # The step engine's: where each thread is in its program, and what its operation still takes.
    CLIENT_ROW, READER_ROW, SENDER_ROW, CLIENT_OWES, READER_OWES, SENDER_OWES,
    SCALARS,
) = places(124)  # fmt: skip
"""Places of single numbers."""

SPIN_AGAIN, YIELD_AGAIN, SLEEP_AGAIN, AT_ONCE = places(4)
"""What a client does between two attempts when its ring is full: `WHEN_FULL`."""

ENDS_WAIT = number(0)
"""What a thread does whose wait has ended, client or reader; it waits while its time is `NEVER_NS`."""

NOTHING, ON_SEND_TAIL, ON_RECEIVE_HEAD, ON_RECEIVE_ALERTABLE = places(4)
"""Which word the client spins on: `SPINS_ON`."""

PACKET_SIZE, PACKET_CONNECTION, PACKET_SEGMENT, PACKET_TIME, PACKET_SOURCE, PACKET_NUMBER, PACKET_FIELDS = places(7)
"""A packet's fields in a ring, in the queue and in the chain; nobody has all of them."""

OFFERED_TIME, OFFERED_SIZE, OFFERED_SOURCE, OFFERED_NUMBER, OFFERED_FIELDS = places(5)

(
    SEGMENT_BYTES, PACKET_BYTES, LIMIT_BYTES, SEGMENTS, RTT, ARRIVES_WHEN_TAKEN, SOURCE, RTO_MIN, RTO_INITIAL, RTO_MAX,
    RETRIES,
    TRANSMITTED, EXPECTED, ACKNOWLEDGED, HIGHEST, WINDOW, THRESHOLD, IS_RECOVERING, HAS_GIVEN_UP, RECOVER, ARRIVED,
    LOST, LATEST, LATEST_1, LATEST_2, LATEST_COUNT, REPAIR_FROM, JUDGED, TIMEOUTS_IN_ROW, SMOOTHED, VARIATION,
    DEADLINE_AT, ACKS_AT, ACKS_SEQUENCE, TIMER_AT, TIMER_SEQUENCE, ACKS_FIRST, ACKS_LAST,
    ACKS, ACKS_MASK, SEGMENTS_AT, SEGMENTS_MASK,
    CONNECTION_FIELDS,
) = places(43)  # fmt: skip
"""A TCP connection's fields."""

FLAGS, SENT_AT, SEGMENT_FIELDS = places(3)
"""A segment's fields: flags, and when it was sent; -1 if it measures no round trip."""
HAS_ARRIVED, IS_LOST, WAS_RECEIVED = map(number, (1, 2, 4))
ACK_TIME, ACK_EXPECTED, ACK_SEGMENT, ACK_FIELDS = places(4)

(
    T_LOADED, T_PUBLISHED, T_EACH, T_COMPLETED, T_SENT, T_REFUSED, T_REFUSAL,
    T_READER_BEGINS, T_READER_SPINS, T_READER_LIMIT, T_READER_NOTICES, T_READER_RAISES, T_READER_LOOKS, T_READER_WAITS,
    T_READER_WOKEN, T_READER_AGAIN, T_READER_LOWERS, T_READER_CLEARS, T_EMPTY_CLEARED, T_INDICATED, T_EMPTY_SET,
    T_RETURNED, T_READER_NEXT,
    T_LOADS, T_SPINS, T_NOTICES, T_SLEEPS, T_RAISES, T_LOOKS, T_WAITS, T_WOKEN, T_TAKEN, T_LOWERS, T_CLEARS,
    T_PUSH_LOADS, T_PUSH_TAIL, T_PUSH_STORES, T_PUSH_LOOKS, T_PUSH_SETS, T_RECHECKS, T_FULL_LOADS, T_FULL_SPINS,
    T_FULL_YIELDS, T_YIELDED, T_FULL_SLEEPS,
    TIMES_END,
) = places(46, SCALARS)  # fmt: skip
"""The fields of `SendTimes`, `ReadTimes` and `ClientTimes` in their order."""

TIMES = TIMES_END - SCALARS
LOCK, EVENT, SYSTEM_CALL, NDIS, COPY, WAKING, SWITCHING, IDLE_EXIT, FIGURES = places(9)
"""Figures that may be drawn: those of `timings.DRAWN`, which parts of routines are made of, and others."""
DRAWN_FIGURES = NDIS + 1
DRAWS_MOST = number(1 << 12)
DRAWS_LEAST = number(2 * CHAIN_PACKETS)
"""So many draws of each figure are at hand whenever somebody goes on."""
COUNTS_AT = TIMES_END
"""From here on: how often each of the first figures comes on top of each of the timings."""
VARIES_AT = COUNTS_AT + DRAWN_FIGURES * TIMES
"""From here on: whether each figure varies; then what it is otherwise; then how many of its draws have been taken."""
FIXED_AT = VARIES_AT + FIGURES
TAKEN_AT = FIXED_AT + FIGURES
CHAIN = TAKEN_AT + FIGURES

PROCESSOR_THREAD, PROCESSOR_LAST, PROCESSOR_IDLE_SINCE, PROCESSOR_FIELDS = places(4)
"""A processor's fields: which of the three threads has it, and had it last (-1 for none), since when it is idle."""
CLIENT, READER, SENDER, NOBODY = map(number, (0, 1, 2, -1))
THREADS = number(3)


def power_of_two(least: int) -> int:
    """The first one that is not below `least`."""
    return 1 << max(0, int(least) - 1).bit_length()


def new_run(
    capacity: int,
    least_bytes: int,
    timings: Sequence[int],
    counts: Sequence[Sequence[int]],
    windows: Sequence[int],
    processors: int,
) -> Integers:
    """`m` for a run in which nothing has happened. `windows` are those of the connections, in segments.

    No packet has less than `least_bytes`: what fits in a processor's cache is twice as quick.
    """
    # A chain may be taken before it is completed.
    packets = power_of_two(capacity // least_bytes + CHAIN_PACKETS)
    segments = [power_of_two(window + 1) for window in windows]
    queued = power_of_two(8 * sum(segments))
    place = int(CHAIN + CHAIN_MOST * PACKET_FIELDS)
    begins: dict[int, int] = {}

    def area(name: int, length: int) -> None:
        nonlocal place
        begins[name] = place
        place += int(length)

    area(ROWS_AT, ROWS_MOST * RECORD)
    area(SEND_DELAYS_AT, DELAYS_MOST)
    area(RECEIVE_DELAYS_AT, DELAYS_MOST)
    area(DRAWS_AT, FIGURES * DRAWS_MOST)
    area(PROCESSORS_AT, processors * PROCESSOR_FIELDS)
    area(OFFERED_AT, OFFERED_PACKETS * OFFERED_FIELDS)
    area(SENT, packets * PACKET_FIELDS)
    area(IN_WRITTEN, packets * PACKET_FIELDS)
    area(QUEUE, queued * PACKET_FIELDS)
    area(CONNECTIONS, len(windows) * CONNECTION_FIELDS)
    loops = begins[CONNECTIONS] + CONNECTION_FIELDS * np.arange(len(windows))
    for k, window in zip(loops.tolist(), segments, strict=True):
        area(k + SEGMENTS_AT, window * SEGMENT_FIELDS)
        area(k + ACKS, 8 * window * ACK_FIELDS)
    m = np.zeros(place, dtype=np.int64)
    if len(timings) != TIMES or len(counts) != DRAWN_FIGURES:
        raise ModelError(f"there are {len(timings)} timings, and places for {TIMES}")
    m[SCALARS:TIMES_END] = timings
    m[COUNTS_AT:VARIES_AT] = np.array(counts).ravel()
    for name, begin in begins.items():
        m[name] = begin
    for k, window in zip(loops.tolist(), segments, strict=True):
        m[k + SEGMENTS_MASK], m[k + ACKS_MASK] = window - 1, 8 * window - 1
    m[CONNECTIONS_COUNT], m[QUEUE_MASK] = len(windows), queued - 1
    m[MASK], m[ROOM], m[FIFO_MASK] = capacity - 1, capacity - 4, packets - 1
    m[OFFERED] = m[OFFERED_LAST] = begins[OFFERED_AT]
    m[FOREIGN_AT] = NEVER_NS
    m[PROCESSORS] = processors
    return m
