"""Between the machine and the loop: draws of what varies, processors, and threads that have not begun."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from wintunsim.experiments.fast import words
from wintunsim.experiments.fast.reasons import Unable
from wintunsim.experiments.fast.timings import DRAWN
from wintunsim.experiments.fast.words import Integers
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.thread import Thread

_FIGURES = (*DRAWN, "copy_ps_per_byte", "wake_ns")
"""The figures of `Costs` that are drawn, in the order of their places."""


class Draws:
    """What varies on one machine: the loop takes its draws from where the machine has left its own."""

    def __init__(self, machine: Machine) -> None:
        self._samplers: list[Callable[[], int] | None] = [machine.prices.varying(name) for name in _FIGURES]
        self._fixed = [machine.costs.typical(name) for name in _FIGURES]
        if isinstance(machine, LimitedMachine):
            for distribution, sampler in (
                (machine.host.switch, machine.draw_switch),
                (machine.host.idle_exit, machine.draw_idle_exit),
            ):
                self._samplers.append(None if distribution.is_constant else sampler)
                self._fixed.append(distribution.median)

    def begin(self, m: Integers) -> None:
        """Say what varies, and draw what the first packets that are handed down take until `Head` is loaded."""
        for figure, (sampler, fixed) in enumerate(zip(self._samplers, self._fixed, strict=True)):
            m[words.VARIES_AT + figure], m[words.FIXED_AT + figure] = sampler is not None, fixed
            m[words.VARIES] |= sampler is not None
            if sampler is not None and figure < words.DRAWN_FIGURES:
                count = m[words.COUNTS_AT + figure * words.TIMES + words.T_LOADED - words.SCALARS]
                self._put(m, figure, _taken(sampler, int(count)))
            m[words.TAKEN_AT + figure] = 0

    def draw(self, m: Integers) -> None:
        """Have enough draws at hand."""
        begin, most = int(m[words.DRAWS_AT]), int(words.DRAWS_MOST)
        for figure, sampler in enumerate(self._samplers):
            taken = int(m[words.TAKEN_AT + figure])
            if sampler is not None and taken:
                left = m[begin + figure * most + taken : begin + (figure + 1) * most]
                self._put(m, figure, np.concatenate((left, _taken(sampler, taken))))
                m[words.TAKEN_AT + figure] = 0
        m[words.DRAWS_SHORT] = 0

    def fill(self, m: Integers) -> None:
        """Have all of them at hand: nobody else draws from here on."""
        for figure in range(len(self._samplers)):
            m[words.TAKEN_AT + figure] = words.DRAWS_MOST
        self.draw(m)

    @staticmethod
    def _put(m: Integers, figure: int, values: Integers) -> None:
        begin = int(m[words.DRAWS_AT] + figure * words.DRAWS_MOST)
        m[begin : begin + len(values)] = values


def _taken(sampler: Callable[[], int], count: int) -> Integers:
    return np.fromiter(islice(iter(sampler, None), count), dtype=np.int64, count=count)


def hold_processor(machine: Machine, thread: Thread) -> None:
    """Have a thread block without leaving its processor: it goes on in the loop."""
    if isinstance(machine, LimitedMachine):
        machine.scheduling(thread).is_spinning = True


def ready_at(machine: Machine, thread: Thread) -> int:
    """When a thread is to go on that has not begun."""
    time_ns = machine.ready_ns(thread)
    if time_ns is None:
        raise Unable("a thread that does not begin")
    return time_ns


def take_processors(m: Integers, machine: Machine, threads: tuple[Thread, ...]) -> None:
    """The loop goes on with the processors as they are."""
    if not isinstance(machine, LimitedMachine):
        return
    numbers: dict[Any, int] = {thread: place for place, thread in enumerate(threads)}
    begin = int(m[words.PROCESSORS_AT])
    m[words.IDLE_AFTER] = machine.host.idle_after_ns
    for place, thread in enumerate(threads):
        state = machine.scheduling(thread)
        m[words.CLIENT_PROCESSOR + place] = words.NOBODY
        m[words.CLIENT_BUSY + place], m[words.CLIENT_SINCE + place] = state.busy_ns, state.since_ns
    for processor in machine.processors:
        p = begin + processor.number * int(words.PROCESSOR_FIELDS)
        m[p + words.PROCESSOR_THREAD] = m[p + words.PROCESSOR_LAST] = words.NOBODY
        m[p + words.PROCESSOR_IDLE_SINCE] = processor.idle_since_ns
        if processor.last in numbers:
            m[p + words.PROCESSOR_LAST] = numbers[processor.last]
        if processor.thread is not None:
            if processor.thread not in numbers:
                raise Unable("a host where others are at work")
            m[p + words.PROCESSOR_THREAD] = numbers[processor.thread]
            m[words.CLIENT_PROCESSOR + numbers[processor.thread]] = p


def give_processors_back(m: Integers, machine: Machine, threads: tuple[Thread, ...]) -> None:
    """The machine's threads have had processors for so long."""
    if not isinstance(machine, LimitedMachine):
        return
    for place, thread in enumerate(threads):
        state = machine.scheduling(thread)
        state.busy_ns = int(m[words.CLIENT_BUSY + place])
        if m[words.CLIENT_PROCESSOR + place] != words.NOBODY:
            state.busy_ns += max(0, machine.latest - int(m[words.CLIENT_SINCE + place]))
        # What `report` adds for a thread that has a processor is in that.
        state.since_ns = machine.latest
