"""What an experiment came to: one row of numbers, and series on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from wintun_model.status import NdisStatus

_STATUS_NAMES = {int(status): status.name for status in NdisStatus}


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
class FlowResult:
    """What became of one flow's packets: offered = delivered + dropped (by cause) + in_flight."""

    direction: str
    """"send" towards the client, "receive" from it."""
    flow: str
    """Its protocol, its ends and their ports."""
    offered: int
    delivered: int
    dropped: dict[str, int]
    in_flight: int
    delivered_bytes: int
    goodput_bps: float
    """Bits of IP packets that were delivered in a second; of a TCP flow, bits of its payload, each once."""

    def row(self) -> dict[str, Any]:
        """As one row of a table."""
        return {
            "direction": self.direction,
            "flow": self.flow,
            "offered": self.offered,
            "delivered": self.delivered,
            "dropped": sum(self.dropped.values()),
            **{f"dropped_{cause}": count for cause, count in self.dropped.items()},
            "in_flight": self.in_flight,
            "goodput_bps": self.goodput_bps,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundResult:
    """What became of the packets that the client had for the system: offered = delivered + dropped + in_flight."""

    offered: int
    """Packets that came to the client from outside."""
    delivered: int
    """Packets that the driver indicated to the system."""
    dropped: dict[str, int]
    """By cause: `ring_full`, which the client gave up, and `skipped` by the driver."""
    in_flight: int
    """Packets that the client had not come to, was about to write, or had in the receive ring."""
    delivered_bytes: int
    throughput_bps: float
    latencies_ns: npt.NDArray[np.int64] = field(repr=False)
    """For each delivered packet, from when it came until its indication."""

    def row(self) -> dict[str, Any]:
        """The numbers for a row of a table."""
        dropped = sum(self.dropped.values())
        return {
            "inbound_offered": self.offered,
            "inbound_delivered": self.delivered,
            "inbound_dropped": dropped,
            **{f"inbound_dropped_{cause}": count for cause, count in sorted(self.dropped.items())},
            "inbound_in_flight": self.in_flight,
            "inbound_drop_share": dropped / self.offered if self.offered else 0.0,
            "inbound_throughput_bps": self.throughput_bps,
            **percentiles("inbound_latency", self.latencies_ns),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of one run. Packets towards the client are counted; `echoed` ones are those that it wrote back.

    Offered = delivered + dropped (by cause) + in_flight.
    """

    digest: str
    """SHA-256 of the trace; empty for a run without."""
    virtual_ns: int
    """How long packets were offered."""
    offered: int
    """Packets that the system was to send."""
    delivered: int
    """Packets that the client took out of the send ring, and out of its queue if it has one."""
    dropped: dict[str, int]
    """Packets that were refused or failed, by status, and `queue_full` that the client's queue had no space for."""
    in_flight: int
    """Packets that were in the send ring or the client's queue at the end, or not handed down yet."""
    delivered_bytes: int
    echo_written: int
    """Packets that the client wrote into the receive ring."""
    echo_dropped: int
    """Packets that it gave up, because the ring was full."""
    echo_received: int
    """Packets of those that reached the system."""
    wakeups: int
    """How often a wait for the send ring ended."""
    client_busy_ns: int | None
    """How long the client's threads had a processor, in all; None where processors are not limited."""
    reader_busy_ns: int | None
    """The same for the driver's reader thread."""
    peak_content_bytes: int
    latencies_ns: npt.NDArray[np.int64] = field(repr=False)
    """How long each packet stood in the send ring, in the order in which they left it."""
    echo_latencies_ns: npt.NDArray[np.int64] = field(repr=False)
    """The same for the receive ring."""
    queue_latencies_ns: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    """How long each delivered packet stood in the client's queue; None without one."""
    inbound: InboundResult | None = None
    """The other direction; None if the client has nothing of its own for the system."""
    flows: tuple[FlowResult, ...] | None = field(default=None, repr=False)
    """Each flow, if it was asked for."""
    engine_used: str = "direct"
    """The engine that did it: step, direct, fast or interpreted."""
    engine_reason: str = ""
    """What the engine that was asked for could not do, if it left the run to another one."""
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
        }
        if self.queue_latencies_ns is not None:
            row |= percentiles("queue_latency", self.queue_latencies_ns)
        if self.inbound is not None:
            row |= self.inbound.row()
        row["digest"] = self.digest
        for name, busy in (("client", self.client_busy_ns), ("reader", self.reader_busy_ns)):
            row[f"{name}_busy"] = None if busy is None else busy / self.virtual_ns
        return row


def status_name(status: int) -> str:
    """The name of an NDIS_STATUS, as the cause of a drop."""
    return _STATUS_NAMES.get(status, f"0x{status:08X}")


def percentiles(name: str, values: npt.NDArray[np.int64]) -> dict[str, int | None]:
    """Nearest-rank percentiles of durations, as `name_p50_ns` and so on; None without values."""
    ordered = np.sort(values)
    found: dict[str, int | None] = {}
    for label, share in (("p50", 500), ("p90", 900), ("p99", 990), ("p999", 999), ("max", 1000)):
        rank = max(0, -(-len(ordered) * share // 1000) - 1)
        found[f"{name}_{label}_ns"] = int(ordered[rank]) if len(ordered) else None
    return found
