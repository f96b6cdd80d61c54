"""The program of a run: what its three threads do, in rows, ready for the array that a run is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wintun_model.adapter import Ring
from wintun_model.client import ClientRing
from wintun_model.revision import Revision
from wintunsim.experiments.client import Client
from wintunsim.experiments.fast.words import Integers
from wintunsim.experiments.fast.world import world
from wintunsim.experiments.stepped import rows
from wintunsim.experiments.stepped.meaning import Reading, Sending, Taking
from wintunsim.experiments.stepped.rows import CODES
from wintunsim.experiments.stepped.tracing import Block, Registers, Row, blocks_from
from wintunsim.kernel.costs import Costs


@dataclass(frozen=True, slots=True)
class Program:
    """What stands behind everything else in a run's array, and where client, reader and sender begin."""

    words: Integers
    entries: tuple[int, int, int]


@lru_cache(maxsize=64)
def program(revision: Revision, capacity: int, costs: Costs, client: Client, first: int) -> Program:
    """The program for runs of this kind, whose words begin at the place `first`."""
    around = world(
        revision,
        capacity,
        has_barrier=client.barrier,
        always_sets=client.always_set,
        recheck_ticks=client.rechecking_ticks,
    )
    registers = Registers(first)
    places: dict[object, int] = {}
    for ring, own in (
        (around.adapter.send_ring.value, around.send),
        (around.adapter.receive_ring.value, around.receive),
    ):
        assert isinstance(ring, Ring) and isinstance(own, ClientRing)
        for word, same in ((ring.head, own.head), (ring.tail, own.tail), (ring.alertable, own.alertable)):
            places[word] = places[same] = registers.new()
    for variable in (around.adapter.send_reserved_tail, around.adapter.receive_outstanding):
        places[variable] = registers.new()
    meanings = (
        Taking(around, registers, "client", costs, places, client),
        Reading(around, registers, "reader", costs, places),
        Sending(around, registers, "sender", costs, places),
    )
    threads = [meaning.tracing.trace(meaning) for meaning in meanings]
    return _laid_out(threads, registers)


def _laid_out(threads: list[Block], registers: Registers) -> Program:
    """Registers, and then the rows of all threads."""
    blocks = blocks_from(threads)
    begins: dict[int, int] = {}
    table: list[list[int]] = []
    jumps: list[tuple[int, Block]] = []
    size = int(rows.ROW)

    def add(row: Row) -> list[int]:
        fields = [int(CODES[row.name]), row.use, row.cost, row.figure, row.target, *row.operands, 0, 0, 0][: size - 1]
        table.append([*fields, 0])
        return table[-1]

    for block, behind in zip(blocks, [*blocks[1:], None], strict=True):
        begins[id(block)] = len(table)
        for row in block.rows:
            add(row)
        following = block.following
        if block.question is not None:
            add(block.question)
            jumps.append((len(table) - 1, following[1]))
            following = following[:1]
        if not following:
            add(Row("STOP"))
        elif following[0] is not behind:
            add(Row("JUMP"))
            jumps.append((len(table) - 1, following[0]))
    first_row = registers.next
    for place, block in jumps:
        table[place][int(rows.NEXT)] = first_row + size * begins[id(block)]
    values = np.array([registers.initial[place] for place in range(registers.first, registers.next)], dtype=np.int64)
    client, reader, sender = (first_row + size * begins[id(block)] for block in threads)
    return Program(np.concatenate((values, np.array(table, dtype=np.int64).ravel())), (client, reader, sender))
