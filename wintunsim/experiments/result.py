"""What an experiment came to: one row of numbers, and series on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A number that changes now and then, over virtual time: each change, or what it was like in equal spans.

    Changes are kept one by one (`span_ns` is 1) until there are too many; then those in one span become one entry.
    """

    times_ns: npt.NDArray[np.int64]
    """When it changed, or where the span begins; rising. A span without a change has no entry."""
    least: npt.NDArray[np.int64]
    """The least that it changed to there."""
    most: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    """What it was afterwards."""
    span_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What a run was like over virtual time, in memory that does not grow with its length."""

    send_content: Steps
    """Bytes in the send ring."""
    receive_content: Steps
    dropped: Steps
    """Packets that the driver refused or failed so far."""
    capacity_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """The trace of a window of virtual time, for `plots.timeline`."""

    from_ns: int
    to_ns: int
    records: npt.NDArray[np.int64] = field(repr=False)
    """One row a record, as `wintun_model.trace` has them."""
    names: tuple[str, ...] = field(repr=False)
    """The names that threads and subjects stand for."""
    content_bytes: tuple[int, int]
    """What was in the send and in the receive ring when the window began."""
    capacity_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of one run. Packets towards the client are counted; `echoed` ones are those that it wrote back.

    Offered = delivered + dropped (by cause) + in_flight.
    """

    digest: str
    """SHA-256 of the trace."""
    virtual_ns: int
    """How long packets were offered."""
    offered: int
    """Packets that the system was to send."""
    delivered: int
    """Packets that the client took out of the send ring."""
    dropped: dict[str, int]
    """Packets that were refused or failed, by status."""
    in_flight: int
    """Packets that were in the send ring at the end, or not handed down yet."""
    delivered_bytes: int
    echo_written: int
    """Packets that the client wrote into the receive ring."""
    echo_dropped: int
    """Packets that it gave up, because the ring was full."""
    echo_received: int
    """Packets of those that reached the system."""
    wakeups: int
    """How often the client's wait ended."""
    client_busy_ns: int | None
    """How long the client's thread had a processor; None where processors are not limited."""
    reader_busy_ns: int | None
    """The same for the driver's reader thread."""
    peak_content_bytes: int
    latencies_ns: npt.NDArray[np.int64] = field(repr=False)
    """How long each delivered packet stood in the send ring, in the order in which they left it."""
    echo_latencies_ns: npt.NDArray[np.int64] = field(repr=False)
    """The same for the receive ring."""
    series: Series | None = field(default=None, repr=False)
    """If it was asked for."""
    moments: Moments | None = field(default=None, repr=False)
    """If a window was asked for."""

    @property
    def dropped_packets(self) -> int:
        """All that were dropped."""
        return sum(self.dropped.values())

    @property
    def throughput_bps(self) -> float:
        """Bits that were delivered in a second of virtual time."""
        return 8e9 * self.delivered_bytes / self.virtual_ns

    def row(self) -> dict[str, Any]:
        """The numbers as one row of a table: plain values, latencies as nearest-rank percentiles in ns."""
        row: dict[str, Any] = {
            "offered": self.offered,
            "delivered": self.delivered,
            "dropped": self.dropped_packets,
            **{f"dropped_{cause}": count for cause, count in sorted(self.dropped.items())},
            "in_flight": self.in_flight,
            "drop_share": self.dropped_packets / self.offered if self.offered else 0.0,
            "throughput_bps": self.throughput_bps,
            "echo_written": self.echo_written,
            "echo_dropped": self.echo_dropped,
            "echo_received": self.echo_received,
            "wakeups": self.wakeups,
            "peak_content_bytes": self.peak_content_bytes,
            **percentiles("latency", self.latencies_ns),
            **percentiles("echo_latency", self.echo_latencies_ns),
            "digest": self.digest,
        }
        for name, busy in (("client", self.client_busy_ns), ("reader", self.reader_busy_ns)):
            row[f"{name}_busy"] = None if busy is None else busy / self.virtual_ns
        return row


def percentiles(name: str, values: npt.NDArray[np.int64]) -> dict[str, int | None]:
    """Nearest-rank percentiles of durations, as `name_p50_ns` and so on; None without values."""
    ordered = np.sort(values)
    found: dict[str, int | None] = {}
    for label, share in (("p50", 500), ("p90", 900), ("p99", 990), ("p999", 999), ("max", 1000)):
        rank = max(0, -(-len(ordered) * share // 1000) - 1)
        found[f"{name}_{label}_ns"] = int(ordered[rank]) if len(ordered) else None
    return found
