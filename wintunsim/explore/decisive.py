"""Which steps of an execution a reader should look at, and why: what was loaded too early, and who was held up.

Four things are told. A load is *stale* when another thread has stored a newer value that is still in its store buffer.
It is *outdated* when its thread goes on with the value though another thread has *overwritten* it since. A thread is
*held up* where another one goes on although it could. And some step *breaks* the property.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from wintun_model import operations as op
from wintunsim.explore.describe import BUFFERED, stored_text
from wintunsim.explore.machine import Machine
from wintunsim.explore.program import Node, Program
from wintunsim.explore.writes import State

if TYPE_CHECKING:
    from wintunsim.explore.counterexample import Step

_STORES = (op.Store, op.StoreSize, op.CopyIn, op.Put, op.MarkCompleted)


@dataclass(slots=True)
class Access:
    """What a step loads, and what it makes visible, as sets of bits (see `wintunsim.explore.layout`)."""

    number: int
    thread: str
    is_flush: bool
    loads: int = 0
    writes: int = 0
    pending: list[tuple[str, int]] = field(default_factory=list)
    """For a load: who has stored something there that is not visible yet, and how many stores stand before it."""
    origin: int = 0
    """For a store that becomes visible: the step that stored it."""
    is_variable: bool = False
    """Whether it loads a variable of the driver's own, which mostly has its lock."""
    can_go_on: bool = False
    """Whether its thread could take the next step too."""

    @classmethod
    def of(
        cls,
        machine: Machine,
        number: int,
        program: Program,
        node: Node,
        state: State,
        *,
        is_flush: bool,
        name_of: Callable[[Program], str],
    ) -> Access:
        """The access of a step that is about to be taken; `name_of` tells threads apart."""
        access = cls(number, name_of(program), is_flush)
        if is_flush:
            access.writes = state[program.buffer][0].writes
            return access
        access.loads = loaded_mask(machine, node)
        access.is_variable = isinstance(node.operation, op.Get)
        if isinstance(node.operation, _STORES):
            access.writes = node.writes
        if access.loads and not any(write.writes & access.loads for write in state[program.buffer]):
            access.pending = [
                (name_of(other), place)
                for other in machine.programs
                if other is not program
                for place, write in enumerate(state[other.buffer])
                if write.writes & access.loads
            ]
        return access


def loaded_mask(machine: Machine, node: Node) -> int:
    """The bits of memory whose value an operation sends back; 0 for one that loads nothing."""
    layout = machine.layout
    match node.operation:
        case op.Load(word=word) | op.Spin(word=word):
            mapping, offset = layout.find(word.cells, 4 * word.index)
            return layout.masks[mapping.region.words[offset // 4]]
        case op.LoadSize(memory=memory, offset=offset):
            return _cells(machine, memory, offset, 4)
        case op.LoadByte(memory=memory, offset=offset):
            return _cells(machine, memory, offset, 1)
        case op.CopyOut(memory=memory, offset=offset, size=size):
            return _cells(machine, memory, offset, size)
        case op.Get():
            return node.reads
    return 0


def _cells(machine: Machine, memory: op.PacketMemory, offset: int, size: int) -> int:
    mapping, start = machine.layout.find(memory.data, offset)
    return mapping.region.cell_mask(start - 12, size)


def mark(steps: Sequence[Step], accesses: Sequence[Access], culprits: set[str], breaking: int, what: str) -> int:
    """Mark the decisive steps; answers how many preemptions there are. `breaking` is the step that is to blame last."""
    marker = _Marker(steps, accesses)
    gaps = list(_gaps(accesses))
    everybody = {access.thread for access in accesses} <= culprits
    for thread in sorted(culprits):
        for load, newer in marker.outdated(thread):
            if not everybody or any(_is_about(gap, load, newer) for gap in gaps):
                marker.tell_outdated(load, newer)
    marker.stale()
    for gap in gaps:
        if gap.resumed:
            marker.tell(gap.number, "held up", f"{gap.thread} is held up here, and goes on in step {gap.resumed}")
            for load, newer in marker.outdated(gap.thread, gap.number):
                if newer.number < gap.resumed and not load.is_variable and marker.is_last(load):
                    marker.tell_outdated(load, newer)
                    break
        marker.conflicts(gap, breaking)
    if steps:
        marker.tell(breaking or len(steps), "breaks", what)
    return len(gaps)


@dataclass(frozen=True, slots=True)
class Gap:
    """After step `number` of a thread that could go on, others do; it goes on in step `resumed` (0: never)."""

    thread: str
    number: int
    resumed: int


def _gaps(accesses: Sequence[Access]) -> Iterator[Gap]:
    runs = [access for access in accesses if not access.is_flush]
    for before, after in pairwise(runs):
        if before.thread != after.thread and before.can_go_on:
            later = (each.number for each in runs if each.number > before.number and each.thread == before.thread)
            yield Gap(before.thread, before.number, next(later, 0))


def _is_about(gap: Gap, load: Access, newer: Access) -> bool:
    """Whether a load and the write that outdates it stand on two sides of a hold-up, or in it and after it."""
    if load.thread == gap.thread:
        return load.number <= gap.number < newer.number
    return newer.thread == gap.thread and gap.number < load.number < newer.number


class _Marker:
    def __init__(self, steps: Sequence[Step], accesses: Sequence[Access]) -> None:
        self._steps = steps
        self._accesses = accesses

    def tell(self, number: int, mark: str, note: str) -> None:
        """Mark a step, once for each reason."""
        step = self._steps[number - 1]
        if mark not in step.marks:
            step.marks.append(mark)
        if note not in step.notes:
            step.notes.append(note)

    def outdated(self, thread: str, until: int | None = None) -> Iterator[tuple[Access, Access]]:
        """A thread's last load of each place that others have written since, with the first such write; latest first.

        `until` is the step after which loads do not count.
        """
        seen = 0
        for load in reversed(self._accesses[:until]):
            if load.thread != thread or not load.loads & ~seen:
                continue
            fresh = load.loads & ~seen
            seen |= load.loads
            for newer in self._accesses[load.number :]:
                if newer.thread != thread and newer.writes & fresh:
                    yield load, newer
                    break

    def conflicts(self, gap: Gap, breaking: int) -> None:
        """In a hold-up, who writes where the thread then breaks a property, or what it loads before and after."""
        accesses = self._accesses
        between = [each for each in accesses[gap.number : (gap.resumed or breaking) - 1] if each.thread != gap.thread]
        last = accesses[breaking - 1] if breaking else None
        if last is not None and last.thread == gap.thread:
            for each in reversed(between):
                if each.writes & last.writes:
                    told = f"changes {_noun(self._steps[each.number - 1])}, and {gap.thread} goes on to step {breaking}"
                    self.tell(each.number, "overwrites", told)
                    break
        if not gap.resumed:
            return
        again = accesses[gap.number - 1].loads & accesses[gap.resumed - 1].loads
        for each in between:
            if each.writes & again:
                told = f"comes between two loads of the same place, in steps {gap.number} and {gap.resumed}"
                self.tell(each.number, "overwrites", told)
                break

    def is_last(self, load: Access) -> bool:
        """Whether its thread never loads that place again."""
        return not any(
            later.thread == load.thread and later.loads & load.loads for later in self._accesses[load.number :]
        )

    def tell_outdated(self, load: Access, newer: Access) -> None:
        """A load whose value is not the last word, and the write that says so."""
        if load.pending:
            return  # `stale` says it better.
        what = _noun(self._steps[load.number - 1])
        self.tell(
            load.number, "outdated", f"{load.thread} goes by this value, though step {newer.number} changes {what}"
        )
        self.tell(newer.number, "overwrites", f"changes {what}, which {load.thread} has loaded in step {load.number}")

    def stale(self) -> None:
        """Loads that miss a store in another thread's store buffer: of each thread and place the last one.

        Who stored that may miss something too: what it has loaded since its store, and the other one has written.
        """
        last = {(access.thread, access.loads): access for access in self._accesses if access.loads}
        for access in self._accesses:
            if not access.pending:
                continue
            self._steps[access.number - 1].result += " (stale)"
            if last[access.thread, access.loads] is not access:
                continue
            thread, place = access.pending[-1]
            stored = self._stored(access.number, thread, place)
            what = stored_text(stored.action)
            where = f"in step {stored.number}, which is still in its store buffer"
            self.tell(access.number, "stale", f"{thread} has stored {what} {where}")
            for load, newer in self.outdated(thread):
                if load.number > stored.number and newer.thread == access.thread:
                    self.tell_outdated(load, newer)

    def _stored(self, number: int, thread: str, place: int) -> Step:
        """The step that stored what stands at a place in a thread's store buffer before step `number`."""
        flushed = [each.origin for each in self._accesses[: number - 1] if each.is_flush and each.thread == thread]
        stored = [
            step for step in self._steps[: number - 1] if step.thread == thread and step.action.endswith(BUFFERED)
        ]
        return [step for step in stored if step.number not in flushed][place]


def _noun(step: Step) -> str:
    """What a step loads or stores: its action without the verb and the value."""
    action = step.action.removeprefix("becomes visible: ").removesuffix(BUFFERED)
    for verb in ("load byte ", "load ", "spin on ", "copy out ", "read ", "store ", "copy in ", "write "):
        action = action.removeprefix(verb)
    return action.partition(" = ")[0]
