"""Vectors of wintun.dll's session layer (spec win32 §6): calls in a row, with results, last errors and ring words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wintun_model import operations as op
from wintun_model.immediate import ImmediateExecutor
from wintun_model.session import (
    LIBRARY_REVISIONS,
    LibraryRevision,
    Session,
    SessionRing,
    allocate_send_packet,
    receive_packet,
    release_receive_packet,
    send_packet,
)
from wintun_model.status import Win32Error
from wintunsim.conformance import session_cases
from wintunsim.conformance.bench import watched
from wintunsim.conformance.notation import bytes_of, ring, ring_memory, words_of
from wintunsim.conformance.records import Case, Vector, across
from wintunsim.conformance.schema import Kind, either, list_of, maybe, number, one_of, record, ref, text

TITLE = "wintun.dll's session layer: receive, release, allocate and send, over rings whose other side is described"
REVISIONS = tuple(LIBRARY_REVISIONS)

_CALLS = either(
    record({"call": one_of("receive")}, about="WintunReceivePacket"),
    record({"call": one_of("release", "send"), "packet": number("the n-th packet that was received or allocated")}),
    record({"call": one_of("allocate"), "size": number()}, about="WintunAllocateSendPacket"),
    record(
        {
            "call": one_of("driver", about="no call: what the driver does, or somebody who spoils the rings"),
            "ring": one_of("receive", "send"),
            "words": record({"head": number(), "tail": number(), "alertable": number()}, "head", "tail", "alertable"),
            "packets": list_of(record({"offset": number(), "size": number(), "bytes": ref("bytes")})),
        }
    ),
)
KINDS = {
    "session": Kind(
        about="calls on a session that has just started: both rings of zeros, then as the steps say. Directions are "
        "the library's: `receive` is the driver's send ring, `send` is the driver's receive ring",
        input=record({"capacity": number(), "steps": list_of(_CALLS, least=1)}),
        expected=record(
            {
                "steps": list_of(
                    record(
                        {
                            "error": maybe(number(), "last error of a call that can fail; 0: it succeeded"),
                            "name": text("of the error"),
                            "offset": maybe(number(), "of the packet's data in the data area of its ring"),
                            "size": maybe(number(), "of a received packet"),
                            "size_word": maybe(number(), "Size of that packet as it stands in the ring, with its mark"),
                            "tail_moved_sets": number("how often the call set the driver's receive TailMoved"),
                            "stores": list_of(
                                record({"word": one_of("receive.head", "send.tail"), "value": number()}),
                                "what the call stored in ring words, in order",
                            ),
                            "receive": ref("words"),
                            "send": ref("words"),
                        }
                    )
                )
            }
        ),
    )
}


def vectors() -> Iterator[Vector]:
    """All vectors of the group."""
    for case in session_cases.cases():
        yield from _across(case)


def _across(case: Case) -> Iterator[Vector]:
    return across(case, LIBRARY_REVISIONS, lambda revision: _Run(revision, case.input).expected())


class _Run:
    """One session, its steps, and what each of them does."""

    def __init__(self, revision: LibraryRevision, described: Mapping[str, Any]) -> None:
        capacity = described["capacity"]
        self.steps = described["steps"]
        self.executor = ImmediateExecutor()
        self.memory = {name: ring_memory(ring(capacity, fill="00")) for name in ("receive", "send")}
        self.rings = {name: SessionRing(name, memoryview(self.memory[name]), capacity) for name in self.memory}
        moved = op.Event("send.TailMoved", manual_reset=False)
        self.session = Session(self.rings["receive"], self.rings["send"], moved, revision=revision)
        self.received: list[int] = []
        self.allocated: list[int] = []
        self.sets = 0
        self.stores: list[dict[str, Any]] = []

    def expected(self) -> dict[str, Any]:
        """What comes of all steps."""
        return {"steps": [self._step(step) for step in self.steps]}

    def _see(self, operation: op.Operation, result: Any) -> None:
        if isinstance(operation, op.Set):
            self.sets += 1
        elif isinstance(operation, op.Store):
            self.stores.append({"word": operation.word.name.lower(), "value": operation.value & 0xFFFFFFFF})

    def _call(self, routine: op.Routine[Any]) -> Any:
        return self.executor.run(watched(routine, self._see))

    def _step(self, step: Mapping[str, Any]) -> dict[str, Any]:
        self.sets, self.stores = 0, []
        error, offset, size = self._act(step)
        ring_name = "receive" if step["call"] in ("receive", "release") else "send"
        size_word = None
        if offset is not None:
            start = 12 + offset - 4
            size_word = int.from_bytes(self.memory[ring_name][start : start + 4], "little")
        return {
            "error": error,
            "name": "" if error is None else Win32Error(error).name,
            "offset": offset,
            "size": size,
            "size_word": size_word,
            "tail_moved_sets": self.sets,
            "stores": self.stores,
            **{name: words_of(memory) for name, memory in self.memory.items()},
        }

    def _act(self, step: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
        """Do a step: (error, offset, size), each None where there is none."""
        match step["call"]:
            case "receive":
                error, offset, size = self._call(receive_packet(self.session))
                if error:
                    return int(error), None, None
                self.received.append(offset)
                return 0, offset, size
            case "allocate":
                error, offset = self._call(allocate_send_packet(self.session, step["size"]))
                if error:
                    return int(error), None, None
                self.allocated.append(offset)
                return 0, offset, None
            case "release":
                offset = self.received[step["packet"]]
                self._call(release_receive_packet(self.session, offset))
                return None, offset, None
            case "send":
                offset = self.allocated[step["packet"]]
                self._call(send_packet(self.session, offset))
                return None, offset, None
        self._write(step)
        return None, None, None

    def _write(self, step: Mapping[str, Any]) -> None:
        memory = self.memory[step["ring"]]
        for each in step["packets"]:
            data = each["size"].to_bytes(4, "little") + bytes_of(each["bytes"])
            memory[12 + each["offset"] : 12 + each["offset"] + len(data)] = data
        for place, name in enumerate(("head", "tail", "alertable")):
            if name in step["words"]:
                memory[4 * place : 4 * place + 4] = step["words"][name].to_bytes(4, "little")
