"""What the client itself has for the system: packets that come to it from outside, and that it writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING

import numpy as np

from wintun_model.abi import PACKET_HEADER_BYTES
from wintun_model.adapter import ReceiveNbl
from wintun_model.client import Outcome
from wintun_model.client_strategies import wait_for, work
from wintun_model.operations import Event
from wintunsim.errors import UsageError
from wintunsim.experiments.result import InboundResult
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.machine import Machine, Thread
from wintunsim.kernel.streams import Stream
from wintunsim.network.feedback import ClosedLoop, Seeded
from wintunsim.network.options import parse_traffic
from wintunsim.network.traffic import TrafficSource

if TYPE_CHECKING:
    from wintunsim.experiments.client_threads import ExperimentClient
    from wintunsim.experiments.flows import FlowTable

RING_FULL = "ring_full"
"""The cause of what the client gives up because the receive ring is full."""
SKIPPED = "skipped"
"""The cause of what the driver skips: no memory for it, or no IP packet."""


def parse_inbound(texts: Sequence[str], first_index: int = 0) -> list[TrafficSource]:
    """The sources that the words of `--traffic` describe; `first_index` sources come before them.

    UsageError for words that make no sense, and for a closed loop: nobody acknowledges what the client writes.
    """
    sources = []
    for index, text in enumerate(texts, first_index):
        source = parse_traffic(text, index)
        if isinstance(source, ClosedLoop):
            raise UsageError(f"the inbound traffic {text!r} is a closed loop: choose a kind whose packets just come")
        if source is not None:
            sources.append(source)
    return sources


@dataclass(slots=True)
class _Written:
    """A packet of the client's own that it writes, or has written."""

    packet: bytes
    due_ns: int


class Inbound:
    """The packets of one run, the thread that writes them, and the account of them.

    A packet comes from outside at its time and wakes the thread, if that has nothing else to do. Those that come
    meanwhile wait outside, as many as there are. The thread handles each as the client handles packets, writes it, and
    has the next one. The packet is delivered when the driver indicates it.
    """

    def __init__(
        self,
        sources: Sequence[TrafficSource],
        machine: Machine,
        device: AdapterDevice,
        flows: FlowTable | None = None,
    ) -> None:
        self.sources = sources
        self.machine = machine
        self.device = device
        self.flows = flows
        self.delivered = self.delivered_bytes = 0
        self.dropped: dict[str, int] = {}
        self._taken_up = 0
        """Packets that the thread has come to."""
        self._latencies_ns: list[int] = []
        self._arrived = Event("client inbound packet", manual_reset=False)
        self._packets: Iterator[tuple[int, bytes]] = iter(())
        self._next: tuple[int, bytes] | None = None
        self._client: ExperimentClient | None = None
        self._thread: Thread | None = None
        self._stored: deque[_Written] = deque()
        """Its packets whose writing has begun, and whose `Tail` nobody has seen yet."""
        self._standing: deque[tuple[int, _Written | None]] = deque()
        """(offset of the data, packet) of what stands in the ring unread, in its order; None for an echo."""
        self._skipped = 0

    def begin(self, client: ExperimentClient, start_ns: int) -> None:
        """The packets come from now on."""
        self._client = client
        self._packets = self._merged(start_ns)
        self._next = next(self._packets, None)
        self.device.port.receive.written = self._tail_moved
        self.device.port.on_receive = self._indicated

    def _merged(self, start_ns: int) -> Iterator[tuple[int, bytes]]:
        def timed(place: int) -> Iterator[tuple[int, int, bytes]]:
            source, seed = self.sources[place], self.machine.seed
            packets = (
                source.seeded_packets(lambda name: Stream(seed, f"inbound.{place + 1}.{name}"), start_ns)
                if isinstance(source, Seeded)
                else iter(source)
            )
            for time_ns, data in packets:
                yield start_ns + time_ns, place, data

        streams = [timed(place) for place in range(len(self.sources))]
        for time_ns, _, data in merge(*streams, key=lambda item: item[:2]):
            yield time_ns, data

    # -- writing ----------------------------------------------------------------------------------------------------

    def write_all(self) -> None:
        """What the thread does."""
        client, machine = self._client, self.machine
        assert client is not None
        self._thread = machine.current
        call, handling_ns = client.executor.call, client.experiment.client.handling_ns
        while (following := self._next) is not None:
            due_ns, packet = following
            if due_ns > machine.now:
                machine.call_at(due_ns, self._come)
                call(wait_for, self._arrived)
                continue
            self._next = next(self._packets, None)
            self._take_up(packet)
            call(work, handling_ns(len(packet)))
            self._stored.append(_Written(packet, due_ns))
            outcome = client.write(packet)
            if outcome is Outcome.WRITTEN:
                continue
            self._stored.pop()
            if outcome is not Outcome.FULL:
                return
            self._drop(packet, RING_FULL)

    def _come(self) -> None:
        self.machine.set_event(self._arrived)

    def _take_up(self, packet: bytes) -> None:
        self._taken_up += 1
        if self.flows is not None:
            self.flows.offered("receive", packet)

    def _drop(self, packet: bytes, cause: str) -> None:
        self.dropped[cause] = self.dropped.get(cause, 0) + 1
        if self.flows is not None:
            self.flows.dropped("receive", packet, cause)

    # -- what is seen of them ---------------------------------------------------------------------------------------

    def _tail_moved(self, old_tail: int) -> None:
        """The client's `Tail` was seen to have moved on from there: one packet stands in the ring."""
        assert self._client is not None
        thread = self._client.executor.effects.storing()
        written = self._stored.popleft() if thread is self._thread else None
        self._standing.append((old_tail + PACKET_HEADER_BYTES, written))

    def _indicated(self, nbl: ReceiveNbl, data: bytes) -> None:
        """The driver hands up a packet; those that stand before it were skipped."""
        standing = self._standing
        while standing[0][0] != nbl.offset:
            self._skip()
        _, written = standing.popleft()
        if written is None:
            return
        self.delivered += 1
        self.delivered_bytes += len(written.packet)
        self._latencies_ns.append(self.machine.now - written.due_ns)
        if self.flows is not None:
            self.flows.delivered("receive", written.packet)

    def _skip(self) -> None:
        self._skipped += 1
        _, written = self._standing.popleft()
        if written is not None:
            self._drop(written.packet, SKIPPED)

    def result(self, virtual_ns: int) -> InboundResult:
        """The account, once the run is over."""
        # Those that the driver skipped last have nothing behind them that would tell.
        while self._standing and self._skipped < self.device.adapter.statistics.in_discards:
            self._skip()
        while self._next is not None and self._next[0] <= self.machine.latest:
            self._take_up(self._next[1])
            self._next = next(self._packets, None)
        return InboundResult(
            offered=self._taken_up,
            delivered=self.delivered,
            dropped=dict(sorted(self.dropped.items())),
            in_flight=self._taken_up - self.delivered - sum(self.dropped.values()),
            delivered_bytes=self.delivered_bytes,
            throughput_bps=8e9 * self.delivered_bytes / virtual_ns,
            latencies_ns=np.array(self._latencies_ns, dtype=np.int64),
        )
