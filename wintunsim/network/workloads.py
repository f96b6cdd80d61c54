"""Workloads: arrivals, sizes and flows put together to a traffic source that is told what became of its packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wintunsim.errors import UsageError
from wintunsim.kernel.streams import Stream
from wintunsim.network.arrivals import Arrivals
from wintunsim.network.chance import in_range
from wintunsim.network.feedback import Streams
from wintunsim.network.flows import FlowAccounts, FlowChoice, make_flows
from wintunsim.network.sizes import Sizes
from wintunsim.network.stamps import Flow, StampedPackets
from wintunsim.network.traffic import COUNT_MAX

if TYPE_CHECKING:
    from wintunsim.network.batches import Batches

_FIRST_TAKE, _LARGEST_TAKE = 16, 1024


class Workload:
    """UDP packets that come as `arrivals` say, as long as `sizes` say, of `flows` in turns or by `weights`.

    `count` None never ends. `name` is the word that stands in traces. In a simulation chance comes from its seed, from
    streams of the source's own; iterated on its own, a workload is that of seed 0.

    UsageError for sizes too small for a packet's headers, its flow's number and its place (40 bytes, over IPv6 60), and
    for weights that do not go with the flows.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        sizes: Sizes,
        flows: Sequence[Flow] | None = None,
        *,
        weights: Sequence[int] | None = None,
        count: int | None = None,
        name: str = "workload",
    ) -> None:
        self.name = name
        self.arrivals, self.sizes = arrivals, sizes
        self.flows = make_flows() if flows is None else tuple(flows)
        self.choice = FlowChoice(len(self.flows), weights)
        self.count = None if count is None else in_range(f"the {name} count", count, 1, COUNT_MAX)
        least = max(StampedPackets(flow).least_bytes for flow in self.flows)
        if sizes.least_bytes < least:
            raise UsageError(
                f"the smallest packet of {name} traffic is {sizes.least_bytes} bytes: give sizes from {least} on"
            )
        self._accounts = FlowAccounts(self.flows)
        what = "packets without end" if count is None else f"{count} packets"
        flow, more = self.flows[0], len(self.flows) - 1
        ends = f"{flow.source} > {flow.destination}" + (f" and {more} more flow{'s' if more > 1 else ''}" * bool(more))
        self.description = f"{name} {ends}, {what} of {sizes.description}, {arrivals.description}"

    def seeded_packets(self, streams: Streams, start_ns: int) -> Iterator[tuple[int, bytes]]:
        """Pairs of a time in ns since `start_ns` and a packet; what was counted before is forgotten."""
        self._accounts = accounts = FlowAccounts(self.flows)
        makers = accounts.makers
        sequences = [0] * len(makers)
        times = _one_by_one(self.arrivals.batch(streams("arrivals")))
        sizes = _one_by_one(self.sizes.batch(streams("sizes")))
        places = _one_by_one(self.choice.batch(streams("flows")))
        for number, (time_ns, size, place) in enumerate(zip(times, sizes, places, strict=False), 1):
            if self.count is not None and number > self.count:
                return
            sequence = sequences[place]
            sequences[place] = sequence + 1
            yield time_ns, makers[place].packet(size, place, sequence)
            # Who asks for the next one has taken this one to send it.
            accounts.offer(number, place, sequence, start_ns + time_ns)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self.seeded_packets(lambda name: Stream(0, name), 0)

    # -- what became of them (`feedback.Feedback`) ------------------------------------------------------------------

    def accepted(self, time_ns: int, number: int) -> None:
        """The driver put it into the ring."""
        self._accounts.accepted(number)

    def refused(self, time_ns: int, number: int, status: int) -> None:
        """It never got into the ring."""
        self._accounts.refused(number)

    def taken(self, time_ns: int, number: int) -> None:
        """The client took it."""
        self._accounts.taken(number, time_ns)

    def discarded(self, time_ns: int, number: int) -> None:
        """Its ring has gone."""
        self._accounts.discarded(number)

    def received(self, time_ns: int, packet: bytes) -> None:
        """The client wrote a packet."""
        self._accounts.received(packet, time_ns)

    def summary(self) -> dict[str, Any]:
        """What became of its packets so far: `offered` = `refused` + `taken` + `discarded` + `in_flight`.

        `offered` were due; `accepted` got into the send ring; `taken` were taken out of it by the client, `discarded`
        ended with it. `returned` came back from the client, each once, `reordered` of them after a later one of their
        flow; `repeated` came back again (or after 65536 later ones), `damaged` not as they were. `to_client_ns` and
        `round_trip_ns` are percentiles of the delay from when a packet was due until it was taken, and until it was
        back; None without packets. With several flows, `flows` has the same for each.
        """
        return self._accounts.summary()


def _one_by_one(batch: Batches) -> Iterator[int]:
    """The numbers of arrays as an iterator: the same as its scalar form gives, in less time."""
    count = _FIRST_TAKE
    while True:
        yield from batch.take(count).tolist()
        count = min(2 * count, _LARGEST_TAKE)
