"""Small worlds of a few words and threads, without a driver."""

from __future__ import annotations

from wintun_model import operations as op
from wintunsim.explore.scenario import Setting

FENCE = op.Fence()


def litmus(memory, *threads, words=4):
    """A machine of threads over some words, x0, x1…, all 0 at first: (machine, first state, what the end of one is).

    A thread is a sequence of ("W", word, value), ("R", word) and "F", a full barrier. An end is the values that each
    thread read, and then the words.
    """
    world = Setting(memory=memory).world(checks=False)
    regions = [world.rings(world.process(), name=f"{number} ") for number in range((words + 1) // 2)]
    rings = [ring for pair in regions for ring in (pair.send, pair.receive)]
    cells = [ring.alertable for ring in rings]
    slots = [slot for pair in regions for slot in (pair.send_region.words[2], pair.receive_region.words[2])]
    programs = [
        world.thread(f"thread {number}", lambda thread=thread: steps(cells, thread))
        for number, thread in enumerate(threads)
    ]

    def ending(state):
        read = tuple(state[program.slot].result for program in programs)
        return (*read, tuple(state[slot] for slot in slots[:words]))

    return world.machine, world.start(), ending


def steps(cells, thread):
    """A litmus test's thread, as a routine: what it read."""
    read = ()
    for step in thread:
        if step == "F":
            yield FENCE
        elif step[0] == "W":
            yield op.Store(cells[step[1]], step[2])
        else:
            read += ((yield cells[step[1]].load),)
    return read


def machine_of(memory, *factories, passes_silent=True):
    """A machine of these routines, and its first state; whoever waits may do so for ever."""
    world = Setting(memory=memory, passes_silent=passes_silent).world(checks=False)
    for number, factory in enumerate(factories):
        world.thread(f"thread {number}", factory, idle=lambda state: True)
    return world.machine, world.start()
