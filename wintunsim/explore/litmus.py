"""The store-buffering core of a counterexample as a litmus test for herd7, which knows x86-TSO independently of us.

The core is two threads: each stores a word, then loads the word that the other one stores, and both loads miss the
other's store. What stands between the store and the load (loads and stores of ring words, barriers) goes along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from wintunsim.errors import UsageError
from wintunsim.explore.counterexample import Counterexample, RingState, Step

_REGISTERS = (("eax", "rax"), ("ebx", "rbx"), ("ecx", "rcx"), ("edx", "rdx"), ("esi", "rsi"), ("edi", "rdi"))
_KINDS = ("load", "store", "barrier")


def litmus_text(found: Counterexample) -> str:
    """The litmus test, in herd7's X86_64 format. UsageError for a counterexample that needs no store buffer."""
    windows = next(_windows(found), None)
    if windows is None:
        raise UsageError(
            f"{found.scenario} has no store-buffering core, two threads that each store a word and miss the other's"
        )
    places = sorted({step.place for window in windows for step in window if step.place})
    first = min(window[0].number for window in windows)
    rings = found.steps[first - 2].rings if first > 1 else found.start
    # What the two loads miss is what stood there before: that may have come to be after the window's beginning.
    missed = {window[-1].place: window[-1].value for window in windows}
    initial = [f" uint32_t {_name(place)}={missed.get(place, _visible(rings, place))};" for place in places]
    programs, conditions = [], []
    for number, window in enumerate(windows):
        lines, told = _program(number, window)
        programs.append([f"P{number}", *lines])
        conditions += told
    widths = [max(map(len, lines)) for lines in programs]
    rows = [
        " " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " ;"
        for row in zip_longest(*programs, fillvalue="")
    ]
    name = re.sub(r"[^\w.+-]", "_", found.scenario)
    threads = " and ".join(f"P{number} is {window[0].thread}" for number, window in enumerate(windows))
    doc = f'"driver {found.revision}: {threads}"'
    exists = " /\\ ".join(conditions)
    return "\n".join([f"X86_64 {name}", doc, "{", *initial, "}", *rows, f"exists ({exists})", ""])


def _windows(found: Counterexample) -> Iterator[tuple[list[Step], list[Step]]]:
    """For two threads, their steps from a store to the load that misses the other's store."""
    for load in found.steps:
        if "stale" not in load.marks or load.kind != "load":
            continue
        for stored in reversed(found.steps[: load.number - 1]):
            if stored.kind != "store" or stored.place != load.place or stored.thread == load.thread:
                continue
            pair = _other_side(found.steps, stored, load)
            if pair is not None:
                missing, own = pair
                yield _window(found.steps, stored, missing), _window(found.steps, own, load)


def _other_side(steps: Sequence[Step], stored: Step, load: Step) -> tuple[Step, Step] | None:
    """What the thread that has `stored` loads after that, and the store of `load`'s thread that it misses."""
    for missing in steps[stored.number :]:
        if missing.thread != stored.thread or missing.kind != "load":
            continue
        for own in reversed(steps[: load.number - 1]):
            is_of_other = own.thread == load.thread and own.kind == "store" and own.place == missing.place
            if is_of_other and own.value != missing.value:
                return missing, own
    return None


def _window(steps: Sequence[Step], first: Step, last: Step) -> list[Step]:
    between = steps[first.number - 1 : last.number]
    return [step for step in between if step.thread == first.thread and step.kind in _KINDS]


def _program(number: int, window: Sequence[Step]) -> tuple[list[str], list[str]]:
    """Instructions of one thread, and what its loads come to."""
    lines, conditions = [], []
    registers = iter(_REGISTERS)
    for step in window:
        if step.kind == "barrier":
            lines.append("mfence")
        elif step.kind == "store":
            lines.append(f"movl ${step.value},({_name(step.place)})")
        else:
            short, long = next(registers, ("", ""))
            if not short:
                raise UsageError(f"{step.thread} loads more words than a litmus test has registers for")
            lines.append(f"movl ({_name(step.place)}),%{short}")
            conditions.append(f"{number}:{long}={step.value}")
    return lines, conditions


def _name(place: str) -> str:
    return re.sub(r"\W", "_", place)


def _visible(rings: Mapping[str, RingState], place: str) -> int:
    ring, _, word = place.rpartition(".")
    return int(getattr(rings[ring], word.lower()))
