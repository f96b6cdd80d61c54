"""The rows of a program: what each does, and its fields.

A program is part of a run's array `m` (`fast.words`). A row's operands are places in `m`: of registers, of ring words,
of constants.
"""

from __future__ import annotations

from wintunsim.experiments.fast.words import number, places

CODE, USE, COST, FIGURE, TARGET, FIRST, SECOND, THIRD, NEXT, ROW = places(10)
"""A row's fields: what it does, how it stands to the clock (`kernel.clock_use`), what it costs in ns, which figure that
is drawn it costs besides (`FIXED` for none), the register for its result, operands, the row that comes next if it is
another than the one behind; and how many there are."""

FIXED = number(-1)

NAMES = (
    # Calculating, which takes no time.
    "MOVE", "ADD", "SUBTRACT", "MULTIPLY", "DIVIDE", "AND",
    # Going on elsewhere: always, unless FIRST < SECOND, unless FIRST == SECOND, nowhere.
    "JUMP", "LESS", "EQUAL", "STOP",
    # What the system and an experiment's client do beside their routines' operations.
    "LOOK", "TOOK", "WROTE", "DROPPED",
    # Operations: without an effect that others see, on memory, on events, on time, on NDIS.
    "PASS", "LOAD", "PUT", "COPY", "SIZE_SENT", "SIZE_WRITTEN",
    "STORE_SEND_HEAD", "STORE_SEND_TAIL", "STORE_SEND_ALERTABLE",
    "STORE_RECEIVE_HEAD", "STORE_RECEIVE_TAIL", "STORE_RECEIVE_ALERTABLE",
    "SET_SEND_MOVED", "SET_RECEIVE_MOVED", "SET_EMPTY", "CLEAR_SEND_MOVED", "CLEAR_RECEIVE_MOVED", "CLEAR_EMPTY",
    "WAIT_SEND_MOVED", "WAIT_RECEIVE_MOVED",
    "SPIN_SEND_TAIL", "SPIN_RECEIVE_HEAD", "SPIN_RECEIVE_ALERTABLE", "SPIN_RECEIVE_TAIL",
    "WORK", "SLEEP", "COMPLETE", "REFUSE", "INDICATE",
)  # fmt: skip
"""What rows do. Those of one kind stand together, which is how `performing` tells the kinds apart."""

CODES = dict(zip(NAMES, places(len(NAMES)), strict=True))
CALCULATING = frozenset(("MOVE", "ADD", "SUBTRACT", "MULTIPLY", "DIVIDE", "AND"))
"""Rows that do nothing but give their TARGET a value."""
