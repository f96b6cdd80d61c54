"""The network on the other side of the adapters: feeds traffic in, answers, notes what crossed the rings."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import TYPE_CHECKING, Any

from wintun_model.abi import MAX_PACKET_BYTES
from wintun_model.adapter import Packet
from wintun_model.status import NdisStatus
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.ndis import Port
from wintunsim.kernel.streams import Stream
from wintunsim.network.feedback import ClosedLoop, Feedback, Seeded
from wintunsim.network.host import AnsweringHost
from wintunsim.network.traffic import EchoMonitor, TrafficSource

if TYPE_CHECKING:
    from wintunsim.trace.pcapng import CaptureWriter

_LINK_DOWN = int(NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED)
_REFUSALS = (
    _LINK_DOWN,
    int(NdisStatus.NDIS_STATUS_PAUSED),
    int(NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY),
    int(NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW),
)
"""With these a chain is refused as a whole; with others its packets stand in the ring (spec driver §3)."""


class Attachment:
    """Sources, the answering host and the capture file of one simulation.

    Traffic begins when the link of an adapter first goes up, and stays with that adapter: before, no stack would send.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.is_watching = False
        """Whether anybody wants to know of single packets."""
        self.host: AnsweringHost | None = None
        self._capture: CaptureWriter | None = None
        self.port: Port | None = None
        """Where the traffic goes; None until a link is up."""
        self.sources: list[TrafficSource] = []
        self._monitors: list[EchoMonitor] = []
        self._feedback: dict[int, Feedback] = {}
        self._in_ring: deque[tuple[Feedback | None, int]] = deque()
        self._taken_early: deque[int] = deque()
        self._numbers: list[int] = []
        self._host_number = 0
        self._answers = 0
        self._interfaces: dict[tuple[int, bool], int] = {}

    @property
    def capture(self) -> CaptureWriter | None:
        """Where what crosses the rings is written; None for nowhere."""
        return self._capture

    @capture.setter
    def capture(self, capture: CaptureWriter | None) -> None:
        """Write there from now on."""
        self._capture = capture
        self._look()

    def _look(self) -> None:
        self.is_watching = bool(self._monitors or self._feedback or self._capture or self.host)

    @property
    def source_numbers(self) -> tuple[int, ...]:
        """The number of each source's name in the trace."""
        return tuple(self._numbers)

    def add(self, sources: Sequence[TrafficSource]) -> None:
        """Add traffic; before the simulation runs."""
        for source in sources:
            self.sources.append(source)
            self._numbers.append(self.machine.trace.define(source.name))
            if isinstance(source, EchoMonitor):
                self._monitors.append(source)
            if isinstance(source, Feedback):
                self._feedback[self._numbers[-1]] = source
        self._look()

    def answer_with(self, host: AnsweringHost | None) -> None:
        """Have `host` answer what the client writes; None for nobody."""
        self.host = host
        self._look()
        if host is not None and not self._host_number:
            self._host_number = self.machine.trace.define("answering host")

    # -- what the adapters tell (`kernel.ndis.Network`) -------------------------------------------------------------

    def link_changed(self, port: Port, connected: bool) -> None:
        """The link of an adapter goes up or down."""
        if connected and self.port is None:
            self.port = port
            if self._feedback:
                port.send.taken = self._taken
                port.not_sent = self._not_sent
            for number, source in zip(self._numbers, self.sources, strict=True):
                if isinstance(source, ClosedLoop):
                    source.begin(_Line(self.machine, port, number))
            if self.sources:
                port.feed(self._outgoing(self.machine.time()))
        elif port is self.port:
            self._ring_ended()

    def packet_sent(self, port: Port, packet: Packet, status: int) -> None:
        """The driver completed a packet that the system sent."""
        now = self.machine.now
        if self._feedback:
            self._completed(port, packet, status)
        if status or packet.data is None:
            return
        for monitor in self._monitors:
            monitor.sent(now, packet.data)
        if self._capture is not None:
            self._write(port, packet.data, now, inbound=False)

    def packet_received(self, port: Port, data: bytes) -> None:
        """The driver handed up a packet that the client wrote."""
        now = self.machine.now
        for monitor in self._monitors:
            monitor.received(now, data)
        for source in self._feedback.values():
            source.received(now, data)
        if self._capture is not None:
            self._write(port, data, now, inbound=True)
        if self.host is not None:
            answer = self.host.answer(data)
            if answer is not None:
                self._answers += 1
                port.enqueue(self._host_number, self._answers, answer)

    # -- what becomes of packets ------------------------------------------------------------------------------------

    def _completed(self, port: Port, packet: Packet, status: int) -> None:
        """Tell a packet's source, and note what stands in the ring, in its order."""
        now = self.machine.now
        source = self._feedback.get(packet.source)
        if source is not None:
            if status:
                source.refused(now, packet.number, status)
            else:
                source.accepted(now, packet.number)
        if port is not self.port or status in _REFUSALS or packet.size_bytes > MAX_PACKET_BYTES:
            return
        entry = (None if status else source, packet.number)
        if self._taken_early:
            # The client was quicker than the driver's completion.
            self._take(entry, self._taken_early.popleft())
        else:
            self._in_ring.append(entry)

    def _taken(self, count: int) -> None:
        """The client took so many packets out of the send ring."""
        now = self.machine.time()
        for _ in range(count):
            if self._in_ring:
                self._take(self._in_ring.popleft(), now)
            else:
                self._taken_early.append(now)

    @staticmethod
    def _take(entry: tuple[Feedback | None, int], time_ns: int) -> None:
        source, number = entry
        if source is not None:
            source.taken(time_ns, number)

    def _not_sent(self, packets: Sequence[Packet]) -> None:
        """These were due while the link was down."""
        now = self.machine.now
        for packet in packets:
            source = self._feedback.get(packet.source)
            if source is not None:
                source.refused(now, packet.number, _LINK_DOWN)

    def _ring_ended(self) -> None:
        """A registration begins or ends: what stands in the old ring is lost."""
        now = self.machine.time()
        for source, number in self._in_ring:
            if source is not None:
                source.discarded(now, number)
        self._in_ring.clear()
        self._taken_early.clear()

    # -- what is sent -----------------------------------------------------------------------------------------------

    def _packets(self, place: int, start_ns: int) -> Iterator[tuple[int, bytes]]:
        source = self.sources[place]
        if not isinstance(source, Seeded):
            return iter(source)
        seed = self.machine.seed
        return source.seeded_packets(lambda name: Stream(seed, f"traffic.{place + 1}.{name}"), start_ns)

    def _outgoing(self, start_ns: int) -> Iterator[tuple[int, int, int, bytes]]:
        # Ties go to the source that was named first: (time, place) decides before anything else is compared.
        def timed(place: int) -> Iterator[tuple[int, int, int, bytes]]:
            for number, (time_ns, data) in enumerate(self._packets(place, start_ns), 1):
                yield start_ns + time_ns, place, number, data

        numbers = self._numbers
        if len(self.sources) == 1:
            # What `timed` and the loop below would come to.
            source_number = numbers[0]
            for number, (time_ns, data) in enumerate(self._packets(0, start_ns), 1):
                yield start_ns + time_ns, source_number, number, data
            return
        streams = [timed(place) for place in range(len(self.sources))]
        for time_ns, place, number, data in merge(*streams, key=lambda item: item[:2]):
            yield time_ns, numbers[place], number, data

    def _write(self, port: Port, data: bytes, now: int, *, inbound: bool) -> None:
        assert self._capture is not None
        key = (port.trace_number, inbound)
        if key not in self._interfaces:
            ring = "receive" if inbound else "send"
            text = "client to system" if inbound else "system to client"
            name = port.adapter.name
            self._interfaces[key] = self._capture.add_interface(f"{name} {ring}", f"{ring} ring of {name}: {text}")
        self._capture.write(self._interfaces[key], now, data, inbound=inbound)

    def report(self) -> list[dict[str, Any]]:
        """What became of each source, in their order."""
        rows: list[dict[str, Any]] = []
        for source in self.sources:
            row: dict[str, Any] = {"source": source.name, "description": source.description}
            if isinstance(source, EchoMonitor | Feedback):
                row.update(source.summary())
            rows.append(row)
        return rows


class _Line:
    """What a closed loop sends on: the port's queue, under the source's number."""

    def __init__(self, machine: Machine, port: Port, source_number: int) -> None:
        self.time_ns: Callable[[], int] = machine.time
        self.call_at: Callable[[int, Callable[[], object]], None] = machine.call_at
        self._port, self._source_number = port, source_number
        self._sent = 0

    def send(self, packet: bytes) -> int:
        """Queue one packet; its number."""
        self._sent += 1
        self._port.enqueue(self._source_number, self._sent, packet)
        return self._sent
