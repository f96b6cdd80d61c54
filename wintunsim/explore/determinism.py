"""Run an execution again, plainly, and compare it step by step with what the explorer made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wintunsim.explore.machine import FLUSH, Machine
from wintunsim.explore.plain import NotDeterministic, PlainRun, PlainThread, described
from wintunsim.explore.program import Node
from wintunsim.explore.schedule import Roster
from wintunsim.explore.violation import Violation
from wintunsim.explore.world import World
from wintunsim.explore.writes import State


def rerun(build: Callable[[], World], machine: Machine, start: State, transitions: Sequence[int]) -> None:
    """Take an execution's steps in the explorer and in a plain run of a world that `build` makes anew.

    Raises NotDeterministic where the two come to different operations, results, ends or memory. A last transition that
    breaks a property is compared, and not taken.
    """
    plain = PlainRun(build())
    state = list(start)
    machine.complete(state)
    roster = Roster(machine, state)
    for place, transition in enumerate(transitions):
        program = machine.programs[transition >> 2]
        thread = plain.threads[roster.threads.index(program)]
        node: Node = state[program.slot]
        if not transition & FLUSH:
            _same(f"step {place + 1}, {program.name} comes to", node.operation, thread.operation)
        try:
            machine.apply(state, transition)
        except Violation:
            return
        if transition & FLUSH:
            plain.flush(thread)
        else:
            result = plain.step(thread, transition & 1)
            _same_result(f"step {place + 1}, {program.name} gets", node, state[program.slot], result)
        roster.look(state)
    _compare_ends(machine, state, roster, plain)


def _same(what: str, explored: Any, plainly: Any) -> None:
    one, other = described(explored), described(plainly)
    if one != other:
        raise NotDeterministic(f"{what} {one} when it is explored, and {other} when it runs plainly")


def _same_result(what: str, node: Node, after: Node, result: Any) -> None:
    if after is node.blocked or result is PlainRun.WAITS:
        if after is not node.blocked or result is not PlainRun.WAITS:
            raise NotDeterministic(f"{what} to wait in one run, and not in the other: {node.text}")
        return
    key = next(key for key, child in node.children.items() if child is after)
    _same(what, node.sending(key), result)


def _compare_ends(machine: Machine, state: State, roster: Roster, plain: PlainRun) -> None:
    threads: list[PlainThread] = plain.threads
    for program, thread in zip(roster.threads, threads, strict=True):
        node = state[program.slot]
        _same(f"{program.name} ends before", node.operation, thread.operation)
        if node.has_ended:
            _same(f"{program.name} returns", node.result, thread.result)
    for region, other in zip(machine.layout.regions, plain.machine.layout.regions, strict=True):
        words = b"".join(state[slot].to_bytes(4, "little") for slot in region.words)
        _same(f"the {region.name} ring holds", words + state[region.data], bytes(other.backing))
