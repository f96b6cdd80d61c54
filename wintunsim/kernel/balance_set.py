"""The balance set manager, as far as it helps threads that starve.

Once a second it looks for threads that have been ready for about four seconds without running, and lifts their
priority to 15, the highest that is not real-time, for three quantum units, which is a tick of 15.625 ms; then it
falls back to where it was (Yosifovich, Ionescu, Russinovich, Solomon: Windows Internals, 7th edition, part 1,
chapter 4, "Priority boosts for CPU starvation"). At most ten threads are boosted at once. That it looks at sixteen
ready threads at a time only is left out: it finds all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from wintunsim.kernel.scheduler import FOREVER
from wintunsim.kernel.streams import Stream
from wintunsim.kernel.thread import Thread

STARVED_NS = 4_000_000_000
"""A thread that was ready for so long without running has starved."""
PERIOD_NS = 1_000_000_000
BOOSTED_PRIORITY = 15
BOOSTED_NS = 15_625_000
BOOSTED_AT_ONCE = 10


class BalanceSetManager:
    """When it looks, and whom it finds. `due_ns` is when it may find somebody next; it need not look before."""

    __slots__ = ("boosted", "due_ns", "phase_ns")

    def __init__(self, stream: Stream) -> None:
        self.phase_ns = stream.below(PERIOD_NS)
        """When it looks first; the phase of its seconds against the start of the run comes from the seed."""
        self.due_ns = FOREVER
        self.boosted = 0
        """How many threads it has boosted, in all."""

    def expect(self, ready_since_ns: int) -> None:
        """A thread is ready since then, and does not run."""
        starved_ns = ready_since_ns + STARVED_NS
        if starved_ns < self.due_ns:
            self.due_ns = min(self.due_ns, starved_ns + (self.phase_ns - starved_ns) % PERIOD_NS)

    def look(self, ready: Iterable[tuple[int, Thread]], now: int) -> list[Thread]:
        """Who is to be boosted, of the threads that may be, each after the time since when it is ready.

        Who waits longest comes first; threads that began to wait together come in the order of their start.
        """
        waiting = sorted(((since, thread.number, thread) for since, thread in ready), key=lambda row: row[:2])
        starved = [row[2] for row in waiting if now - row[0] >= STARVED_NS][:BOOSTED_AT_ONCE]
        self.due_ns = FOREVER
        for since, _, _ in waiting[len(starved) :]:
            self.expect(max(since, now + 1 - STARVED_NS))
        self.boosted += len(starved)
        return starved
