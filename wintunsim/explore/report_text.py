"""A counterexample for a terminal: a column for each thread, then ring words and store buffers.

Columns of fixed width and wrapped cells need the standard library only; colour is left to who knows that it is wanted.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wintun_model.abi import STOPPED
from wintunsim.explore.counterexample import Counterexample, RingState, Step
from wintunsim.explore.describe import BUFFERED, stored_text
from wintunsim.explore.schedule import LETTERS

WIDTH = 120
"""Columns, unless it is said otherwise."""
NARROWEST_THREAD, WIDEST_THREAD = 15, 32
_BUFFERS_WIDTH, _BUFFERS_LEAST = 24, 18
"""Of the column of store buffers: where there is room, and at least."""
_WORDS = ("Head", "Tail", "A")
_GAP = "  "
_MARK = "►"

_COLOURS = {"bold": "1", "dim": "2", "red": "1;31", "yellow": "33", "plain": ""}


@dataclass(frozen=True, slots=True)
class Style:
    """Whether to colour."""

    is_coloured: bool = False

    def __call__(self, look: str, text: str) -> str:
        """`text` in that look: bold, dim, red, yellow or plain."""
        code = _COLOURS[look]
        return f"\x1b[{code}m{text}\x1b[0m" if self.is_coloured and code and text.strip() else text


def counterexample_text(found: Counterexample, *, width: int = WIDTH, is_coloured: bool = False) -> str:
    """The whole report on a counterexample, without a line end at its end."""
    style = Style(is_coloured)
    claim = f" ({found.claim})" if found.claim else ""
    under = f"; {found.rules_told}" if found.rules_told else ""
    lines = [
        *(style("bold", line) for line in textwrap.wrap(f"{found.scenario}{claim}: {found.title}", width)),
        *textwrap.wrap(f"driver {found.revision}, memory model {found.memory}{under}", width),
        style("red", f"BROKEN: {found.property}"),
        *textwrap.wrap(found.what, width, initial_indent="  ", subsequent_indent="  "),
        "",
        *_Table(found, width, style).lines(),
        "",
        *(line for each in _legend(found) for line in textwrap.wrap(each, width)),
        f"Run it again: wintunsim explore --replay {shlex.quote(found.reference)}",
    ]
    return "\n".join(line.rstrip() for line in lines)


def _legend(found: Counterexample) -> Iterator[str]:
    count = sum(step.is_decisive for step in found.steps)
    switches = f"{found.preemptions} preemption{'' if found.preemptions == 1 else 's'}"
    decisive = f"{count} decisive step{' is' if count == 1 else 's are'} marked {_MARK}"
    yield f"{len(found.steps)} steps, {switches}; {decisive}. A is Alertable."
    if found.memory == "tso":
        yield "A store waits in its thread's store buffer; ↯ marks where it becomes visible to the others."


def _word(value: int) -> str:
    return "stop" if value == STOPPED else f"{value:#x}" if value > 0xFFFF else str(value)


def _wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    """The lines of a cell: a name that is too long for one is broken behind a dot."""
    words = (word if len(word) <= width - len(indent) else word.replace(".", ".\0 ") for word in text.split(" "))
    lines = textwrap.wrap(" ".join(words), width, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace("\0 ", "").removesuffix("\0") for line in lines]


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


class _Table:
    def __init__(self, found: Counterexample, width: int, style: Style) -> None:
        self.found = found
        self.style = style
        self.letters = dict(zip(found.threads, LETTERS, strict=False))
        acting = {step.thread for step in found.steps}
        self.threads = [name for name in found.threads if name in acting]
        self.rings = [name for name in found.capacities if _is_touched(found, name)]
        self.has_buffers = found.memory == "tso"
        self.number_width = len(str(len(found.steps)))
        self.ring_widths = {name: self._word_widths(name) for name in self.rings}
        taken = self.number_width + 2
        taken += sum(sum(widths) + 2 + len(_GAP) for widths in self.ring_widths.values())
        self._share_out(width - taken)
        self.width = max(width, 60)

    def _share_out(self, left: int) -> None:
        """The columns of threads and of store buffers get what is left: in need, the buffers give way first."""
        count = max(len(self.threads), 1)
        for buffers in (_BUFFERS_WIDTH, _BUFFERS_LEAST):
            room = (left - (len(_GAP) + buffers) * self.has_buffers) // count - len(_GAP)
            if room >= NARROWEST_THREAD:
                break
        self.thread_width = min(max(room, NARROWEST_THREAD), WIDEST_THREAD)
        self.buffers_width = min(max(buffers + (room - self.thread_width) * count, buffers), WIDEST_THREAD)

    def _word_widths(self, name: str) -> list[int]:
        states = [self.found.start[name], *(step.rings[name] for step in self.found.steps)]
        return [
            max(len(label), *(len(_word(value)) for value in values))
            for label, values in zip(
                _WORDS, zip(*((state.head, state.tail, state.alertable) for state in states), strict=True), strict=True
            )
        ]

    def lines(self) -> Iterator[str]:
        """Head lines, the start, and the steps."""
        heads = {name: _shortened(f"{self.letters[name]} {name}", self.thread_width) for name in self.threads}
        yield self.style("bold", self._line("", "", heads, {name: name for name in self.rings}, ["store buffers"]))
        yield self.style("dim", self._line("", "", {}, self._ring_labels(), []))
        first = {self.threads[0]: "(at first)"} if self.threads else {}
        yield self._line("", "", first, self._rings(self.found.start, None), [])
        before = self.found.start
        buffers: dict[str, list[str]] = {}
        for step in self.found.steps:
            yield from self._step(step, before, buffers)
            before, buffers = step.rings, step.buffers

    def _step(self, step: Step, before: dict[str, RingState], buffers: dict[str, list[str]]) -> Iterator[str]:
        text = step.text.replace(BUFFERED, "")
        if step.is_flush:
            text = f"↯ {stored_text(step.action).removeprefix('becomes visible: ')}"
        width = self.thread_width
        cells = _wrapped(text, width) or [""]
        rings = self._rings(step.rings, None if step.is_decisive else before)
        waiting = self._buffers(step) if self.has_buffers and (step.is_decisive or step.buffers != buffers) else []
        look = "red" if "breaks" in step.marks else "bold" if step.is_decisive else "dim" if step.is_flush else "plain"
        others = {
            name: "(is woken)" if "woken" in change else "(starts)"
            for change in step.changes
            for name in self.threads
            if change in (f"{name} is woken", f"{name} starts")
        }
        for place in range(max(len(cells), len(waiting))):
            cell = cells[place] if place < len(cells) else ""
            yield self._line(
                str(step.number) if not place else "",
                _MARK if step.is_decisive and not place else "",
                {step.thread: self.style(look, cell.ljust(width)), **(others if not place else {})},
                rings if not place else {},
                waiting[place : place + 1],
            )
        yield from self._notes(step)

    def _notes(self, step: Step) -> Iterator[str]:
        indent = " " * (self.number_width + 4)
        look = "red" if "breaks" in step.marks else "yellow"
        for note in step.notes:
            for place, line in enumerate(textwrap.wrap(note, self.width - len(indent) - 3)):
                yield indent + self.style(look, ("   " if place else "└─ ") + line)

    def _line(
        self, number: str, mark: str, threads: dict[str, str], rings: dict[str, str], buffers: Sequence[str]
    ) -> str:
        parts = [f"{number:>{self.number_width}} {mark or ' '}"]
        for name in self.threads:
            cell = threads.get(name, "")
            parts.append(cell if cell.startswith("\x1b") else cell[: self.thread_width].ljust(self.thread_width))
        for name in self.rings:
            width = sum(self.ring_widths[name]) + 2
            parts.append(rings.get(name, "").ljust(width))
        if self.has_buffers:
            parts.append("".join(buffers))
        return _GAP.join(parts).rstrip()

    def _ring_labels(self) -> dict[str, str]:
        return {name: self._ring_cell(self.ring_widths[name], _WORDS) for name in self.rings}

    @staticmethod
    def _ring_cell(widths: Iterable[int], texts: Iterable[str]) -> str:
        return " ".join(text.rjust(width) for text, width in zip(texts, widths, strict=True))

    def _rings(self, states: dict[str, RingState], before: dict[str, RingState] | None) -> dict[str, str]:
        """The words of the rings; where `before` is given, of those whose words are not as they were."""
        told = {}
        for name in self.rings:
            state = states[name]
            words = (state.head, state.tail, state.alertable)
            if before is None or words != (before[name].head, before[name].tail, before[name].alertable):
                told[name] = self._ring_cell(self.ring_widths[name], map(_word, words))
        return told

    def _buffers(self, step: Step) -> list[str]:
        """One line for each store, with the letter of its thread."""
        lines = []
        for thread, stores in step.buffers.items():
            for text in stores:
                lines += _wrapped(f"{self.letters[thread]}: {text}", self.buffers_width, "   ")
        return lines or ["(empty)"]


def _is_touched(found: Counterexample, name: str) -> bool:
    """Whether any step loads or stores something of a ring."""
    return any(f"{name}{sign}" in step.action for step in found.steps for sign in ".[")
