"""The fast engine's loop: whoever is due first goes on, as the machine's scheduler has it (`kernel.scheduler`).

Of what is due at one time, events come first, then threads in the order of their start: client, reader, sender.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from wintun_model import status, trace
from wintunsim.experiments.fast.compiled import compiled, kept
from wintunsim.experiments.fast.processors import take_processor
from wintunsim.experiments.fast.reader import read_next
from wintunsim.experiments.fast.sender import look_for_packets, send_next
from wintunsim.experiments.fast.taker import take_next
from wintunsim.experiments.fast.tcp import begin, foreign_event
from wintunsim.experiments.fast.words import (
    BEGUN,
    CHAIN_MOST,
    CLIENT,
    CLIENT_AT,
    CLIENT_PROCESSOR,
    CONNECTION_FIELDS,
    CONNECTIONS,
    CONNECTIONS_COUNT,
    DELAYS_MOST,
    DRAWS_SHORT,
    FOREIGN_AT,
    HAS_BEGUN,
    LOOKS_FIRST,
    NOBODY,
    NOW,
    OFFERED,
    OFFERED_ENDS,
    OFFERED_FIELDS,
    OFFERED_LAST,
    OVERFLOWS,
    PROCESSORS,
    READER,
    READER_AT,
    RECEIVE_DELAYS,
    ROWS,
    ROWS_MOST,
    SEND_DELAYS,
    SENDER,
    SENDER_AT,
    UNNAMED,
    UNTIL,
    Integers,
)
from wintunsim.kernel import clock_use, ndis

IS_OVER, MUST_HAND_ON, NEEDS_PACKETS, NEEDS_DRAWS, OVERFLOWED = range(1, 6)
"""Why the loop returns."""
_ROWS_FULL = ROWS_MOST - 4 * CHAIN_MOST


@compiled
def begin_run(m: Integers) -> None:
    """Connections begin to send."""
    m[HAS_BEGUN] = 1
    for loop in range(m[CONNECTIONS_COUNT]):
        begin(m, m[CONNECTIONS] + loop * CONNECTION_FIELDS, m[BEGUN])


@compiled
def next_thread(m: Integers) -> int:
    """Who is due first, at `NOW`. Below 0 it is why the loop has to return, with the sign changed."""
    while not m[OVERFLOWS]:
        if m[UNNAMED] or m[ROWS] > _ROWS_FULL:
            return -MUST_HAND_ON
        client, reader, sender = m[CLIENT_AT], m[READER_AT], m[SENDER_AT]
        first = min(client, reader, sender)
        if m[FOREIGN_AT] <= first:
            if m[FOREIGN_AT] > m[UNTIL]:
                return -IS_OVER
            foreign_event(m)
            continue
        if first > m[UNTIL]:
            return -IS_OVER
        if m[DRAWS_SHORT]:
            return -NEEDS_DRAWS
        thread = CLIENT if client == first else READER if reader == first else SENDER
        if m[PROCESSORS] and m[CLIENT_PROCESSOR + thread] == NOBODY:
            m[CLIENT_AT + thread] += take_processor(m, thread, first)
            if m[CLIENT_AT + thread] > first:
                continue
        if thread == CLIENT:
            if m[SEND_DELAYS] == DELAYS_MOST:
                return -MUST_HAND_ON
        elif thread == READER:
            if m[RECEIVE_DELAYS] == DELAYS_MOST:
                return -MUST_HAND_ON
        elif m[OFFERED_LAST] - m[OFFERED] <= CHAIN_MOST * OFFERED_FIELDS and not m[OFFERED_ENDS]:
            return -NEEDS_PACKETS
        m[NOW] = first
        return thread  # type: ignore[no-any-return]
    return -OVERFLOWED


def _make_loop(version: int) -> Callable[[Integers], int]:
    """`version` is part of what the machine code on disk is kept under, so that it never outlives a change."""

    def run_ahead(m: Integers) -> int:
        """Go on to the end, or until the caller is needed; answers which. The first call only begins to send."""
        if not m[HAS_BEGUN]:
            begin_run(m)
            if m[LOOKS_FIRST] and version:
                look_for_packets(m, m[NOW])
            return MUST_HAND_ON
        while True:
            thread = next_thread(m)
            if thread < 0:
                return -thread
            if thread == CLIENT:
                take_next(m)
            elif thread == READER:
                read_next(m)
            else:
                send_next(m)

    return kept(run_ahead)


def version_of_sources() -> int:
    """A number of the sources of all that is compiled, and of the modules whose constants are compiled into it."""
    digest = hashlib.sha256()
    others = [Path(str(module.__file__)) for module in (trace, status, ndis, clock_use)]
    for path in [*sorted(Path(__file__).parents[1].glob("*/*.py")), *others]:
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")


run_ahead = _make_loop(version_of_sources())
