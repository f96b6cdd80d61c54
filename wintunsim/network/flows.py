"""Several flows: who they are, which one the next packet belongs to, and what became of the packets of each.

A packet carries its flow's number (the stamp, from 0) and its place in that flow (from 0), so that loss, order and
delay of each flow can be told wherever the packet comes out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate, cycle
from typing import TYPE_CHECKING, Any

from wintunsim.errors import UsageError
from wintunsim.kernel.streams import Stream
from wintunsim.network.chance import DRAW_BITS, below, in_range
from wintunsim.network.delays import Delays
from wintunsim.network.packets import Address
from wintunsim.network.sizes import WEIGHT_MOST
from wintunsim.network.stamps import Flow, StampedPackets, flow_key
from wintunsim.network.traffic import address_pair

if TYPE_CHECKING:
    from wintunsim.network.batches import Batches

FLOWS_MOST = 4096
SOURCE_PORT, DESTINATION_PORT = 20000, 5000
AWAITED_MOST = 65536
"""So many packets of a flow are awaited back at a time; who comes back later has no delay any more."""
VERSIONS = ("4", "6", "both")


def make_flows(
    count: int = 1,
    *,
    version: str | None = None,
    source: Address | str | None = None,
    destination: Address | str | None = None,
    index: int = 0,
) -> tuple[Flow, ...]:
    """`count` UDP flows between two addresses, that differ in their source ports: 20000, 20001, …

    `version` "both" has flows over IPv4 and IPv6 in turns, between the default addresses of each. Sources with another
    `index` have another destination port (5000, 5001, …). UsageError for addresses that do not go with the version.
    """
    in_range("the number of flows", count, 1, FLOWS_MOST)
    if version is not None and version not in VERSIONS:
        raise UsageError(f"the IP version of flows is {version!r}: choose one of {', '.join(VERSIONS)}")
    if version == "both":
        if source is not None or destination is not None:
            raise UsageError("flows over both versions have no addresses of their own: leave out either")
        pairs = [address_pair(None, None), address_pair("fd06:7::7", None)]
    else:
        default = "fd06:7::7" if version == "6" and source is None and destination is None else source
        pairs = [address_pair(default, destination)]
        if version is not None and pairs[0][0].version != int(version):
            raise UsageError(f"flows from {pairs[0][0]} to {pairs[0][1]} are not over IPv{version}: leave out either")
    port = DESTINATION_PORT + index % 15000
    return tuple(Flow(*pairs[number % len(pairs)], SOURCE_PORT + number, port) for number in range(count))


class FlowChoice:
    """Which flow the next packet belongs to: each in turn, or by chance with `weights`, one for each flow."""

    def __init__(self, count: int, weights: Sequence[int] | None = None) -> None:
        in_range("the number of flows", count, 1, FLOWS_MOST)
        self.count = count
        self.weights = None if weights is None else tuple(weights)
        if self.weights is not None:
            if len(self.weights) != count:
                raise UsageError(f"{count} flows have {len(self.weights)} weights: give one for each flow")
            for weight in self.weights:
                in_range("the weight of a flow", weight, 1, WEIGHT_MOST)
            in_range("the sum of the weights of flows", sum(self.weights), 1, (1 << 32) - 1)

    def numbers(self, stream: Stream) -> Iterator[int]:
        """Numbers of flows, from 0; each takes one draw if there are weights."""
        if self.weights is None:
            return cycle(range(self.count))
        return self._drawn(stream)

    def _drawn(self, stream: Stream) -> Iterator[int]:
        ends = list(accumulate(self.weights or ()))
        bits, limit = stream.bits, ends[-1]
        while True:
            yield bisect_right(ends, below(bits(DRAW_BITS), limit))

    def batch(self, stream: Stream) -> Batches:
        """The same as arrays."""
        from wintunsim.network.batches import RepeatedBatches, WeightedBatches

        if self.weights is None:
            return RepeatedBatches(range(self.count))
        return WeightedBatches(range(self.count), list(accumulate(self.weights)), stream)


class FlowAccount:
    """What became of one flow's packets."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.offered = self.accepted = self.refused = self.taken = self.discarded = 0
        self.returned = self.reordered = self.repeated = self.damaged = 0
        self.highest = -1
        self.to_client = Delays()
        self.round_trip = Delays()
        self.awaited: OrderedDict[int, int] = OrderedDict()

    def counts(self) -> dict[str, int]:
        """The counters."""
        return {
            "offered": self.offered,
            "accepted": self.accepted,
            "refused": self.refused,
            "taken": self.taken,
            "discarded": self.discarded,
            "returned": self.returned,
            "reordered": self.reordered,
            "repeated": self.repeated,
            "damaged": self.damaged,
        }

    def offer(self, sequence: int, time_ns: int) -> None:
        """A packet is due."""
        self.offered += 1
        self.awaited[sequence] = time_ns
        if len(self.awaited) > AWAITED_MOST:
            self.awaited.popitem(last=False)

    def came_back(self, sequence: int, time_ns: int) -> None:
        """The client wrote the packet with this place."""
        if sequence >= self.offered:
            self.damaged += 1
            return
        offered_ns = self.awaited.pop(sequence, None)
        if offered_ns is None:
            self.repeated += 1
            return
        self.returned += 1
        self.round_trip.note(time_ns - offered_ns)
        # RFC 4737: late is who comes after a later one.
        if sequence < self.highest:
            self.reordered += 1
        else:
            self.highest = sequence


class FlowAccounts:
    """What became of the packets of several flows. Delays are from when a packet was due."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        self.makers = [StampedPackets(flow) for flow in flows]
        self.flows = [FlowAccount(flow) for flow in flows]
        self._by_key = {key: place for place, maker in enumerate(self.makers) for key in maker.return_keys()}
        self._open: dict[int, tuple[FlowAccount, int, int]] = {}

    @property
    def in_flight(self) -> int:
        """Packets that were due and are neither refused nor taken nor discarded yet."""
        return len(self._open)

    def offer(self, number: int, place: int, sequence: int, time_ns: int) -> None:
        """Packet `number` of all, the `sequence`-th of flow `place`, was due at this virtual time."""
        account = self.flows[place]
        account.offer(sequence, time_ns)
        self._open[number] = account, sequence, time_ns

    def accepted(self, number: int) -> None:
        """It is in the send ring."""
        self._open[number][0].accepted += 1

    def refused(self, number: int) -> None:
        """It never got there."""
        account, sequence, _ = self._open.pop(number)
        account.refused += 1
        account.awaited.pop(sequence, None)

    def taken(self, number: int, time_ns: int) -> None:
        """The client took it."""
        account, _, due_ns = self._open.pop(number)
        account.taken += 1
        account.to_client.note(time_ns - due_ns)

    def discarded(self, number: int) -> None:
        """The ring has gone."""
        account, sequence, _ = self._open.pop(number)
        account.discarded += 1
        account.awaited.pop(sequence, None)

    def received(self, packet: bytes, time_ns: int) -> None:
        """The client wrote a packet, anybody's."""
        place = self._by_key.get(flow_key(packet))
        if place is None:
            return
        stamp = self.makers[place].read(packet)
        if stamp is None or stamp.stamp != place:
            self.flows[place].damaged += 1
        else:
            self.flows[place].came_back(stamp.number, time_ns)

    def summary(self) -> dict[str, Any]:
        """Counters and delays over all flows, and with several flows the same for each of them in `flows`."""
        parts = [account.counts() for account in self.flows]
        row: dict[str, Any] = {key: sum(part[key] for part in parts) for key in parts[0]}
        row["in_flight"] = self.in_flight
        row["to_client_ns"] = Delays.together(account.to_client for account in self.flows).summary()
        row["round_trip_ns"] = Delays.together(account.round_trip for account in self.flows).summary()
        if len(parts) > 1:
            row["flows"] = [
                {
                    "flow": str(account.flow),
                    **part,
                    "to_client_ns": account.to_client.summary(),
                    "round_trip_ns": account.round_trip.summary(),
                }
                for account, part in zip(self.flows, parts, strict=True)
            ]
        return row
