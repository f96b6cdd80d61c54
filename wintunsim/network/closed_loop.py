"""A closed loop: a TCP-like connection whose sending is driven by what the client does with its packets."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from wintunsim.errors import UsageError
from wintunsim.network.arrivals import duration_text
from wintunsim.network.chance import in_range
from wintunsim.network.delays import Delays
from wintunsim.network.feedback import Line
from wintunsim.network.packets import PACKET_MAX_BYTES, TCP, Address
from wintunsim.network.stamps import Flow, StampedPackets, flow_key
from wintunsim.network.tcp_sender import TcpOptions, TcpReceiver, TcpSender
from wintunsim.network.traffic import COUNT_MAX, address_pair

NS = 10**9
ACKNOWLEDGED_BY = ("returned", "taken")
SOURCE_PORT, DESTINATION_PORT = 40000, 5201
RTT_MOST_NS = 3600 * NS


class TcpTraffic:
    """One connection that sends as fast as its window, its acknowledgements and its losses let it.

    The segments are TCP packets of `size_bytes`, which go to the client. They arrive at the far end when the client has
    written them back ("returned": a client that echoes), or when it has taken them out of the send ring ("taken": one
    that only reads). The far end acknowledges each of them, and the acknowledgement is back `rtt_ns` later. What the
    driver refuses is lost, and nobody tells the sender: three duplicate acknowledgements or a timeout do.

    `window_packets` says the receiver's window in segments, instead of `options`. `count` is how many segments there
    are to send; None never ends. With `series`, `window_series` holds every change of the window, in the report too.
    UsageError for values outside of their ranges.
    """

    name = "tcp"

    def __init__(
        self,
        options: TcpOptions | None = None,
        *,
        size_bytes: int = 1500,
        window_packets: int | None = None,
        rtt_ns: int = 0,
        acknowledged_by: str = "returned",
        count: int | None = None,
        series: bool = False,
        source: Address | str | None = None,
        destination: Address | str | None = None,
        index: int = 0,
    ) -> None:
        if acknowledged_by not in ACKNOWLEDGED_BY:
            words = ", ".join(ACKNOWLEDGED_BY)
            raise UsageError(f"tcp segments are acknowledged by {acknowledged_by!r}: choose one of {words}")
        ends = address_pair(source, destination)
        self.flow = Flow(*ends, SOURCE_PORT + index % 20000, DESTINATION_PORT)
        self._packets = StampedPackets(self.flow, TCP)
        self.size_bytes = in_range("the tcp size", size_bytes, self._packets.least_bytes, PACKET_MAX_BYTES)
        self.segment_bytes = size_bytes - self._packets.headers_bytes
        self.options = options or TcpOptions()
        if window_packets is not None:
            in_range("the tcp window in packets", window_packets, 1, 1 << 20)
            self.options = replace(self.options, window_bytes=window_packets * self.segment_bytes)
        self.rtt_ns = in_range("the tcp rtt in ns", rtt_ns, 0, RTT_MOST_NS)
        self.acknowledged_by = acknowledged_by
        self.count = None if count is None else in_range("the tcp count", count, 1, COUNT_MAX)
        self.window_series: list[tuple[int, int]] | None = [] if series else None
        """(virtual time in ns, congestion window in bytes), at each change; None unless asked for."""
        what = "segments without end" if count is None else f"{count} segments"
        self.description = (
            f"tcp {ends[0]} > {ends[1]}, {what} in packets of {size_bytes} bytes, window {self.options.window_bytes} "
            f"bytes, acknowledged when {acknowledged_by}" + (f" + {duration_text(rtt_ns)}" if rtt_ns else "")
        )
        self._keys = frozenset(self._packets.return_keys())
        self._sender = TcpSender(self.options, self.segment_bytes, self._transmit, count)
        self._receiver = TcpReceiver()
        self._line: Line | None = None
        self._begun_ns = self._done_ns = 0
        self._timer_ns: int | None = None
        self._segments: dict[int, int] = {}
        self._acknowledgements: deque[tuple[int, int, int]] = deque()
        self._offered = self._accepted = self._refused = self._taken = self._discarded = self._damaged = 0
        self._round_trips = Delays()
        self._window_least = self._window_most = self._window_now = self._sender.window_bytes

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Nothing: it sends in answer to what happens."""
        return iter(())

    def begin(self, line: Line) -> None:
        """Send the first window on `line`."""
        self._line = line
        self._begun_ns = line.time_ns()
        if self.window_series is not None:
            self.window_series.append((self._begun_ns, self._window_now))
        self._sender.begin(self._begun_ns)
        self._look(self._begun_ns)

    # -- sending ----------------------------------------------------------------------------------------------------

    def _transmit(self, segment: int, _is_retransmission: bool) -> None:
        assert self._line is not None
        self._offered += 1
        number = self._line.send(self._packets.packet(self.size_bytes, self._offered & 0xFFFFFFFF, segment))
        self._segments[number] = segment

    def _look(self, now_ns: int) -> None:
        """After anything that may have changed the sender: keep the timer and the account of the window."""
        sender = self._sender
        if sender.window_bytes != self._window_now:
            self._window_now = window = sender.window_bytes
            self._window_least = min(self._window_least, window)
            self._window_most = max(self._window_most, window)
            if self.window_series is not None:
                self.window_series.append((now_ns, window))
        deadline_ns = sender.deadline_ns
        if deadline_ns is not None and (self._timer_ns is None or deadline_ns < self._timer_ns):
            self._set_timer(deadline_ns)
        if sender.is_done and not self._done_ns:
            self._done_ns = now_ns

    def _set_timer(self, time_ns: int) -> None:
        assert self._line is not None
        self._timer_ns = time_ns
        self._line.call_at(time_ns, lambda: self._timer(time_ns))

    def _timer(self, time_ns: int) -> None:
        if time_ns != self._timer_ns:
            return  # an earlier one took its place
        self._timer_ns = None
        sender = self._sender
        if sender.deadline_ns is None:
            return
        if sender.deadline_ns > time_ns:
            # It was put off meanwhile: one timer waits at a time, whatever the number of acknowledgements.
            self._set_timer(sender.deadline_ns)
            return
        sender.time_out(time_ns)
        self._look(time_ns)

    # -- acknowledgements -------------------------------------------------------------------------------------------

    def _arrive(self, now_ns: int, segment: int) -> None:
        """A segment has come to the far end."""
        expected = self._receiver.arrive(segment)
        if not self.rtt_ns:
            self._acknowledge(now_ns, expected, segment)
            return
        assert self._line is not None
        self._acknowledgements.append((now_ns + self.rtt_ns, expected, segment))
        if len(self._acknowledgements) == 1:
            self._line.call_at(now_ns + self.rtt_ns, self._acknowledgements_come)

    def _acknowledgements_come(self) -> None:
        assert self._line is not None
        waiting, now_ns = self._acknowledgements, self._line.time_ns()
        while waiting and waiting[0][0] <= now_ns:
            self._acknowledge(now_ns, *waiting.popleft()[1:])
        if waiting:
            self._line.call_at(waiting[0][0], self._acknowledgements_come)

    def _acknowledge(self, now_ns: int, expected: int, segment: int) -> None:
        round_trip_ns = self._sender.acknowledge(now_ns, expected, segment)
        if round_trip_ns is not None:
            self._round_trips.note(round_trip_ns)
        self._look(now_ns)

    # -- what became of the packets (`feedback.Feedback`) -----------------------------------------------------------

    def accepted(self, time_ns: int, number: int) -> None:
        """The driver put it into the ring."""
        self._accepted += 1

    def refused(self, time_ns: int, number: int, status: int) -> None:
        """It is lost."""
        self._refused += 1
        del self._segments[number]

    def taken(self, time_ns: int, number: int) -> None:
        """The client took it: so it arrives, if that is what counts."""
        self._taken += 1
        segment = self._segments.pop(number)
        if self.acknowledged_by == "taken":
            self._arrive(time_ns, segment)

    def discarded(self, time_ns: int, number: int) -> None:
        """Its ring has gone: it is lost."""
        self._discarded += 1
        del self._segments[number]

    def received(self, time_ns: int, packet: bytes) -> None:
        """The client wrote a packet: if it is a segment that came back, it arrives, if that is what counts."""
        if self.acknowledged_by != "returned" or flow_key(packet) not in self._keys:
            return
        stamp = self._packets.read(packet)
        if stamp is None or len(packet) != self.size_bytes or stamp.number >= self._sender.highest:
            self._damaged += 1
            return
        self._arrive(time_ns, stamp.number)

    def summary(self) -> dict[str, Any]:
        """What came of the connection so far: `offered` = `refused` + `taken` + `discarded` + `in_flight`, in packets.

        `goodput_bits_per_s` is what was acknowledged of the payload, from the first packet until the last segment was
        acknowledged, or until now. `retransmissions` are packets; `fast_retransmits` and `timeouts` are losses that
        were noticed. `window_bytes` is the congestion window: least, most, last. `round_trip_ns` are percentiles from
        the sending of a segment until its acknowledgement; None without any. `done_ns` is how long it took to send
        everything, None if it is not done; `given_up` says that there were too many timeouts in a row.
        """
        sender = self._sender
        now_ns = self._line.time_ns() if self._line is not None else 0
        took_ns = (self._done_ns or now_ns) - self._begun_ns
        acknowledged_bytes = sender.acknowledged * self.segment_bytes
        row: dict[str, Any] = {
            "offered": self._offered,
            "accepted": self._accepted,
            "refused": self._refused,
            "taken": self._taken,
            "discarded": self._discarded,
            "damaged": self._damaged,
            "in_flight": len(self._segments),
            "acknowledged_segments": sender.acknowledged,
            "acknowledged_bytes": acknowledged_bytes,
            "goodput_bits_per_s": acknowledged_bytes * 8 * NS // took_ns if took_ns > 0 else 0,
            "retransmissions": sender.retransmissions,
            "fast_retransmits": sender.fast_retransmits,
            "timeouts": sender.timeouts,
            "window_bytes": {"min": self._window_least, "max": self._window_most, "last": self._window_now},
            "round_trip_ns": self._round_trips.summary(),
            "done_ns": self._done_ns - self._begun_ns if self._done_ns else None,
            "given_up": sender.has_given_up,
        }
        if self.window_series is not None:
            row["window_series"] = [list(point) for point in self.window_series]
        return row
