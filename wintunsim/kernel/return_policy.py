"""When and how the network stack returns what is indicated to it: the policy, as data (spec driver §4.4, §7.1)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from wintunsim.errors import UsageError
from wintunsim.kernel.distribution import Distribution
from wintunsim.kernel.streams import Stream

ORDERS = ("fifo", "lifo", "random")
_DAY_NS = 24 * 3600 * 10**9
_RANGES: dict[str, tuple[int, int]] = {
    "delay_ns": (0, _DAY_NS),
    "jitter_ns": (0, _DAY_NS),
    "processors": (1, 64),
    "batch": (1, 1024),
    "header_bytes": (0, 256),
    "status": (0, 0xFFFFFFFF),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnPolicy:
    """When and how the stack returns the NBLs that it is given. UsageError for a value outside of its range.

    By default each one comes back inside its indication. With `delay_ns` (also 0) it comes back that much later, plus
    up to `jitter_ns` of chance, or as `delays` say: from one of `processors` threads, which return up to `batch` NBLs
    in one call, in `order`: "fifo", "lifo" or "random" among those that are due. With `keeps` it comes back when a
    script says so.
    """

    delay_ns: int | None = None
    """From 0 to a day; None returns inside the indication."""
    jitter_ns: int = 0
    delays: Distribution | None = None
    """Instead of a `delay_ns` with jitter: how much later it comes back, as a distribution."""
    processors: int = 1
    """1 to 64."""
    batch: int = 1
    """1 to 1024."""
    order: str = "fifo"
    keeps: bool = False
    header_bytes: int = 0
    """The length of a link header that is pushed in front of each packet, 0 to 256."""
    status: int = 0
    """The status that NBLs are returned with; a negative one as a signed 32-bit number counts as an error."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, bounds = getattr(self, field.name), _RANGES.get(field.name)
            if bounds is None or (value is None and field.name == "delay_ns"):
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise UsageError(f"{field.name} of the return policy is {value!r}: give a whole number")
            if not bounds[0] <= value <= bounds[1]:
                raise UsageError(
                    f"{field.name} of the return policy is {value}: give a number from {bounds[0]} to {bounds[1]}"
                )
        if self.order not in ORDERS:
            raise UsageError(f"the order of the return policy is {self.order!r}: choose one of {', '.join(ORDERS)}")
        if self.delays is not None:
            if not isinstance(self.delays, Distribution):
                raise UsageError(f"delays of the return policy are {self.delays!r}: give a Distribution")
            if self.delay_ns is not None or self.jitter_ns:
                raise UsageError("a return policy with delays has no delay_ns and no jitter_ns: leave out either")
        if self.keeps and self.is_late:
            raise UsageError("a return policy that keeps NBLs has no delay_ns: leave one of the two out")
        if not self.is_late and (self.jitter_ns or self.processors > 1 or self.batch > 1 or self.order != "fifo"):
            raise UsageError(
                "jitter_ns, processors, batch and order are about NBLs that come back later: give delay_ns too"
            )

    @property
    def is_late(self) -> bool:
        """Whether NBLs come back later, by themselves."""
        return self.delay_ns is not None or self.delays is not None

    def draw_ns(self, stream: Stream) -> int:
        """How much later the next NBL comes back."""
        if self.delays is not None:
            return self.delays.draw(stream)
        assert self.delay_ns is not None
        return self.delay_ns + stream.below(self.jitter_ns + 1)
