"""The fast engine's loop: whoever is due first goes on, as the machine's scheduler has it (`kernel.scheduler`).

Of what is due at one time, events come first, then threads in the order of their start: client, reader, sender.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from wintunsim.experiments.fast.compiled import kept
from wintunsim.experiments.fast.reader import read_next
from wintunsim.experiments.fast.sender import look_for_packets, send_next
from wintunsim.experiments.fast.taker import take_next
from wintunsim.experiments.fast.tcp import begin, foreign_event
from wintunsim.experiments.fast.words import (
    BEGUN,
    CHAIN_MOST,
    CLIENT_AT,
    DELAYS_MOST,
    FOREIGN_AT,
    HAS_BEGUN,
    LOOP_FIELDS,
    LOOPS,
    LOOPS_COUNT,
    NOW,
    OFFERED,
    OFFERED_ENDS,
    OFFERED_FIELDS,
    OFFERED_LAST,
    OVERFLOWS,
    READER_AT,
    RECEIVE_DELAYS,
    ROWS,
    ROWS_MOST,
    SEND_DELAYS,
    SENDER_AT,
    UNNAMED,
    UNTIL,
    Integers,
)

IS_OVER, MUST_HAND_ON, NEEDS_PACKETS, OVERFLOWED = range(4)
"""Why the loop returns."""
_ROWS_FULL = ROWS_MOST - 4 * CHAIN_MOST


def _make_loop(version: int) -> Callable[[Integers], int]:
    """`version` is part of what the machine code on disk is kept under, so that it never outlives a change."""

    def run_ahead(m: Integers) -> int:
        """Go on to the end, or until the caller is needed; answers which. The first call only begins to send."""
        if not m[HAS_BEGUN]:
            m[HAS_BEGUN] = version != 0
            for loop in range(m[LOOPS_COUNT]):
                begin(m, m[LOOPS] + loop * LOOP_FIELDS, m[BEGUN])
            look_for_packets(m, m[NOW])
            return MUST_HAND_ON
        while not m[OVERFLOWS]:
            if m[UNNAMED] or m[ROWS] > _ROWS_FULL:
                return MUST_HAND_ON
            client, reader, sender = m[CLIENT_AT], m[READER_AT], m[SENDER_AT]
            first = min(client, reader, sender)
            if m[FOREIGN_AT] <= first:
                if m[FOREIGN_AT] > m[UNTIL]:
                    return IS_OVER
                foreign_event(m)
                continue
            if first > m[UNTIL]:
                return IS_OVER
            m[NOW] = first
            if client == first:
                if m[SEND_DELAYS] == DELAYS_MOST:
                    return MUST_HAND_ON
                take_next(m)
            elif reader == first:
                if m[RECEIVE_DELAYS] == DELAYS_MOST:
                    return MUST_HAND_ON
                read_next(m)
            else:
                if m[OFFERED_LAST] - m[OFFERED] <= CHAIN_MOST * OFFERED_FIELDS and not m[OFFERED_ENDS]:
                    return NEEDS_PACKETS
                send_next(m)
        return OVERFLOWED

    return kept(run_ahead)


def _version() -> int:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")


run_ahead = _make_loop(_version())
