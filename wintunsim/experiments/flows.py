"""What became of the packets of each flow: of both directions, and of any kind of source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any, Literal

from wintunsim.experiments.result import FlowResult, status_name
from wintunsim.network.closed_loop import TcpTraffic
from wintunsim.network.feedback import ClosedLoop, Feedback, Line, Seeded, Streams
from wintunsim.network.packets import TCP, UDP
from wintunsim.network.stamps import Flow, flow_key
from wintunsim.network.traffic import TrafficSource

Direction = Literal["send", "receive"]
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}


def flow_of(packet: bytes) -> str:
    """The flow that an IP packet belongs to, in words: its protocol, its ends, and their ports if it has any."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        protocol, ends, offset = packet[9], (packet[12:16], packet[16:20]), (packet[0] & 15) * 4
    elif len(packet) >= 40 and packet[0] >> 4 == 6:
        protocol, ends, offset = packet[6], (packet[8:24], packet[24:40]), 40
    else:
        return "no IP"
    name = PROTOCOLS.get(protocol, f"protocol {protocol}")
    source, destination = (ip_address(end) for end in ends)
    ports = packet[offset : offset + 4]
    if protocol not in (TCP, UDP) or len(ports) < 4:
        return f"{name} {source} > {destination}"
    numbers = int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")
    return f"{name} {Flow(source, destination, *numbers)}"


class _Counts:
    """Of one flow in one direction."""

    def __init__(self) -> None:
        self.offered = self.delivered = self.delivered_bytes = 0
        self.dropped: dict[str, int] = {}


class FlowTable:
    """Counts packets by direction and flow, in the order in which flows were first seen."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Direction, str], _Counts] = {}
        self._names: dict[bytes, str] = {}
        self._loops: list[TcpTraffic] = []

    def _of(self, direction: Direction, packet: bytes) -> _Counts:
        key = flow_key(packet)
        name = self._names.get(key)
        if name is None:
            name = flow_of(packet)
            # Of other packets the key has what changes from one to the next.
            if packet[:1] in (b"\x45", b"\x60") and name.startswith(("tcp ", "udp ")):
                self._names[key] = name
        return self._counts.setdefault((direction, name), _Counts())

    def offered(self, direction: Direction, packet: bytes) -> None:
        """A packet came."""
        self._of(direction, packet).offered += 1

    def delivered(self, direction: Direction, packet: bytes) -> None:
        """It was delivered."""
        counts = self._of(direction, packet)
        counts.delivered += 1
        counts.delivered_bytes += len(packet)

    def dropped(self, direction: Direction, packet: bytes, cause: str) -> None:
        """It was dropped."""
        dropped = self._of(direction, packet).dropped
        dropped[cause] = dropped.get(cause, 0) + 1

    def counted(self, source: TrafficSource) -> TrafficSource:
        """A source of what the system sends, whose packets are counted here."""
        if isinstance(source, TcpTraffic):
            self._loops.append(source)
        return _CountedLoop(source, self) if isinstance(source, ClosedLoop) else _CountedSource(source, self)

    def results(self, virtual_ns: int) -> tuple[FlowResult, ...]:
        """The account, once the run is over."""
        payload = {f"tcp {loop.flow}": int(loop.summary()["acknowledged_bytes"]) for loop in self._loops}
        return tuple(
            FlowResult(
                direction=direction,
                flow=name,
                offered=counts.offered,
                delivered=counts.delivered,
                dropped=dict(sorted(counts.dropped.items())),
                in_flight=counts.offered - counts.delivered - sum(counts.dropped.values()),
                delivered_bytes=counts.delivered_bytes,
                goodput_bps=8e9
                * (payload.get(name, counts.delivered_bytes) if direction == "send" else counts.delivered_bytes)
                / virtual_ns,
            )
            for (direction, name), counts in self._counts.items()
        )


class _CountedSource:
    """A source between another one and the attachment, which tells the table of its packets."""

    def __init__(self, source: TrafficSource, table: FlowTable) -> None:
        self.name, self.description = source.name, source.description
        self._source, self._table = source, table
        self._open: dict[int, bytes] = {}
        self._told: Feedback | None = source if isinstance(source, Feedback) else None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return iter(self._source)

    def seeded_packets(self, streams: Streams, start_ns: int) -> Iterator[tuple[int, bytes]]:
        """What the source gives; who asks for the next packet has taken this one to send it."""
        source = self._source
        packets = source.seeded_packets(streams, start_ns) if isinstance(source, Seeded) else iter(source)
        for number, (time_ns, packet) in enumerate(packets, 1):
            yield time_ns, packet
            self._offer(number, packet)

    def _offer(self, number: int, packet: bytes) -> None:
        self._table.offered("send", packet)
        self._open[number] = packet

    def accepted(self, time_ns: int, number: int) -> None:
        """The driver put it into the ring."""
        if self._told is not None:
            self._told.accepted(time_ns, number)

    def refused(self, time_ns: int, number: int, status: int) -> None:
        """It never got into the ring."""
        self._table.dropped("send", self._open.pop(number), status_name(status))
        if self._told is not None:
            self._told.refused(time_ns, number, status)

    def taken(self, time_ns: int, number: int) -> None:
        """The client took it."""
        del self._open[number]
        if self._told is not None:
            self._told.taken(time_ns, number)

    def discarded(self, time_ns: int, number: int) -> None:
        """Its ring has gone."""
        del self._open[number]
        if self._told is not None:
            self._told.discarded(time_ns, number)

    def received(self, time_ns: int, packet: bytes) -> None:
        """The client wrote a packet."""
        if self._told is not None:
            self._told.received(time_ns, packet)

    def summary(self) -> dict[str, Any]:
        """The source's own account."""
        return {} if self._told is None else self._told.summary()


class _CountedLoop(_CountedSource):
    """The same for a source that sends in answer to what happens."""

    def begin(self, line: Line) -> None:
        """The traffic begins now."""
        assert isinstance(self._source, ClosedLoop)
        self._source.begin(_CountedLine(line, self._offer))


class _CountedLine:
    """A line that tells of what is sent on it."""

    def __init__(self, line: Line, offer: Callable[[int, bytes], None]) -> None:
        self.time_ns, self.call_at = line.time_ns, line.call_at
        self._line, self._offer = line, offer

    def send(self, packet: bytes) -> int:
        """Send a packet; its number."""
        number = self._line.send(packet)
        self._offer(number, packet)
        return number
