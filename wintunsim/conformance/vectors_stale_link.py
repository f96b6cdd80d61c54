"""Vectors of a stale link word in an NBL that joins the send active list (spec driver §10, B7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wintun_model import operations as op
from wintun_model.adapter import ForeignEntry, Packet, SendChain, SendNbl
from wintun_model.revision import Revision
from wintun_model.send import send
from wintunsim.conformance.bench import Bench, Rings
from wintunsim.conformance.notation import bytes_of, packet, ring, words_of
from wintunsim.conformance.records import Case, Vector, across_drivers
from wintunsim.conformance.schema import Kind, list_of, maybe, number, one_of, record, ref

KIND = Kind(
    about="two chains of one packet, one after the other; the first one's link word points to foreign memory",
    input=record(
        {
            "ring": ref("ring"),
            "foreign_word": maybe(number("what stands there as end offset and mark"), "null: the link word is zero"),
            "sizes": list_of(number(), "of the two packets"),
        }
    ),
    expected=record(
        {
            "completed": list_of(one_of("first", "second", "foreign"), "in order; foreign: what was never handed down"),
            "tails": list_of(number(), "stored in Tail, in order"),
            "words": ref("words"),
            "tail_moved_sets": number(),
        }
    ),
)


def vectors() -> Iterator[Vector]:
    """The vectors of kind ``stale-link``."""
    for name, word in (("none", None), ("active", 0x40), ("completed", 0x41), ("zero", 0), ("one", 1)):
        comment = f"the link word points to {'nothing' if word is None else f'memory that holds {word:#x}'}"
        described = {"ring": ring(0x20000), "foreign_word": word, "sizes": [20, 24]}
        flags = () if word is None else ("bug:B7",)
        case = Case("driver §3", f"stale-link-{name}", "stale-link", comment, described, flags)
        yield from _across(case)


def _across(case: Case) -> Iterator[Vector]:
    return across_drivers(case, lambda revision: _send_two(revision, case.input))


def _send_two(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    bench = Bench(revision)
    rings = Rings(described["ring"], ring(0x20000, fill="00"))
    bench.restart()
    bench.register(rings)
    tails: list[int] = []

    def see(operation: op.Operation, result: Any) -> None:
        if isinstance(operation, op.Store) and operation.word.name.endswith("send.Tail"):
            tails.append(operation.value)

    bench.observer = see
    word = described["foreign_word"]
    foreign = None if word is None else ForeignEntry(word)
    nbls = [(SendNbl((Packet(bytes_of(packet(size))),)),) for size in described["sizes"]]
    first, second = SendChain(nbls[0], stale_link=foreign), SendChain(nbls[1])
    for chain in (first, second):
        bench.run(send(bench.adapter, chain))
    completed: list[object] = [*bench.ndis.completed]
    return {
        "completed": ["first" if chain is first else "second" if chain is second else "foreign" for chain in completed],
        "tails": tails,
        "words": words_of(rings.send),
        "tail_moved_sets": bench.sets[rings.send_moved],
    }
