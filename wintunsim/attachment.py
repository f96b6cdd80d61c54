"""The network on the other side of the adapters: feeds traffic in, answers, notes what crossed the rings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import TYPE_CHECKING, Any

from wintun_model.adapter import Packet
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.ndis import Port
from wintunsim.network.host import AnsweringHost
from wintunsim.network.traffic import EchoMonitor, TrafficSource

if TYPE_CHECKING:
    from wintunsim.trace.pcapng import CaptureWriter


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
        self.is_watching = bool(self._monitors or self._capture or self.host)

    def add(self, sources: Sequence[TrafficSource]) -> None:
        """Add traffic; before the simulation runs."""
        for source in sources:
            self.sources.append(source)
            self._numbers.append(self.machine.trace.define(source.name))
            if isinstance(source, EchoMonitor):
                self._monitors.append(source)
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
            if self.sources:
                port.feed(self._outgoing(self.machine.time()))

    def packet_sent(self, port: Port, packet: Packet, status: int) -> None:
        """The driver completed a packet that the system sent."""
        if status or packet.data is None:
            return
        now = self.machine.now
        for monitor in self._monitors:
            monitor.sent(now, packet.data)
        if self._capture is not None:
            self._write(port, packet.data, now, inbound=False)

    def packet_received(self, port: Port, data: bytes) -> None:
        """The driver handed up a packet that the client wrote."""
        now = self.machine.now
        for monitor in self._monitors:
            monitor.received(now, data)
        if self._capture is not None:
            self._write(port, data, now, inbound=True)
        if self.host is not None:
            answer = self.host.answer(data)
            if answer is not None:
                self._answers += 1
                port.enqueue(self._host_number, self._answers, answer)

    def _outgoing(self, start_ns: int) -> Iterator[tuple[int, int, int, bytes]]:
        # Ties go to the source that was named first: (time, place) decides before anything else is compared.
        def timed(place: int, source: TrafficSource) -> Iterator[tuple[int, int, int, bytes]]:
            for number, (time_ns, data) in enumerate(source, 1):
                yield start_ns + time_ns, place, number, data

        numbers = self._numbers
        if len(self.sources) == 1:
            # What `timed` and the loop below would come to.
            source_number = numbers[0]
            for number, (time_ns, data) in enumerate(self.sources[0], 1):
                yield start_ns + time_ns, source_number, number, data
            return
        streams = [timed(place, source) for place, source in enumerate(self.sources)]
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
            if isinstance(source, EchoMonitor):
                row.update(source.summary())
            rows.append(row)
        return rows
