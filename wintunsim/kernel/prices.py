"""Prices: what things cost this time, on one machine (spec win32 §7)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import TYPE_CHECKING

from wintunsim.kernel.costs import Costs
from wintunsim.kernel.distribution import Distribution

if TYPE_CHECKING:
    from wintunsim.kernel.streams import Stream

Price = Callable[[], int]
"""What gives what something costs this time, in ns."""


class Prices:
    """The figures that may vary. Each one that does is drawn from a stream of its own, whoever asks.

    So another distribution of one figure leaves the draws of all others as they are.
    """

    __slots__ = (
        "_copy",
        "_figures",
        "contended_lock_ns",
        "event_ns",
        "lock_ns",
        "ndis_ns",
        "system_call_ns",
        "wake_ns",
    )

    def __init__(self, costs: Costs, stream: Callable[[str], Stream]) -> None:
        self._figures: dict[str, Price] = {}

        def price(name: str) -> Price:
            value = getattr(costs, name)
            if not isinstance(value, Distribution):
                return repeat(value).__next__
            self._figures[name] = value.sampler(stream(f"kernel.costs {name}"))
            return self._figures[name]

        self.contended_lock_ns = price("contended_lock_ns")
        self.event_ns = price("event_ns")
        self.lock_ns = price("lock_ns")
        self.ndis_ns = price("ndis_ns")
        self.system_call_ns = price("system_call_ns")
        self.wake_ns = price("wake_ns")
        self._copy = price("copy_ps_per_byte")

    def varying(self, name: str) -> Price | None:
        """What draws a figure, by its name in `Costs`; None for one that is always the same."""
        return self._figures.get(name)

    def copy_ns(self, size_bytes: int) -> int:
        """What copying `size_bytes` costs, rounded up to whole ns."""
        return -(-size_bytes * self._copy() // 1000)
