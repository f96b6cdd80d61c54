"""A TCP-like sender and its receiver, as state machines without a clock: window, acknowledgements, loss (RFC 5681).

NewReno without selective acknowledgements: slow start, additive increase, fast retransmit after three duplicates with
fast recovery (RFC 6582, where every partial acknowledgement restarts the timer), limited transmit (RFC 3042), and a
retransmission timeout with backoff (RFC 6298). Segments are counted from 0 and are all of one size; windows are in
bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wintunsim.errors import UsageError
from wintunsim.network.chance import in_range

NS = 10**9
_HOUR_NS = 3600 * NS
DUPLICATES = 3
"""So many duplicate acknowledgements mean a loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions:
    """How a sender behaves; the defaults are those of the RFCs, and of Windows where these leave a choice.

    UsageError for a value outside of its range.
    """

    window_bytes: int = 1 << 20
    """The receiver's window: no more than this is on its way."""
    initial_segments: int = 10
    """The congestion window at first, in segments (RFC 6928)."""
    rto_min_ns: int = 300_000_000
    """The shortest retransmission timeout: 300 ms, as Windows has it."""
    rto_initial_ns: int = NS
    """The timeout before the first round trip was measured."""
    rto_max_ns: int = 60 * NS
    retries: int = 5
    """So many timeouts in a row are answered by sending again; at the next one the connection is given up."""

    def __post_init__(self) -> None:
        in_range("the tcp window in bytes", self.window_bytes, 1, 1 << 30)
        in_range("the tcp initial window in segments", self.initial_segments, 1, 1 << 20)
        in_range("the tcp minimum timeout in ns", self.rto_min_ns, 1, _HOUR_NS)
        in_range("the tcp initial timeout in ns", self.rto_initial_ns, 1, _HOUR_NS)
        in_range("the tcp maximum timeout in ns", self.rto_max_ns, 1, _HOUR_NS)
        in_range("the tcp number of retries", self.retries, 0, 1000)
        if not self.rto_min_ns <= self.rto_max_ns:
            raise UsageError(
                f"the tcp minimum timeout is {self.rto_min_ns} ns, longer than the maximum of {self.rto_max_ns} ns: "
                "give a shorter one"
            )


class TcpReceiver:
    """The far end: which segments have come, in order and out of order."""

    def __init__(self) -> None:
        self.expected = 0
        """The segment that it waits for: all before have come."""
        self._ahead: set[int] = set()

    def arrive(self, segment: int) -> int:
        """A segment comes; the acknowledgement that it is answered with, which is `expected`."""
        if segment > self.expected:
            self._ahead.add(segment)
        elif segment == self.expected:
            self.expected += 1
            while self.expected in self._ahead:
                self._ahead.remove(self.expected)
                self.expected += 1
        return self.expected


class TcpSender:
    """The near end. It calls `transmit(segment, is_retransmission)` whenever it sends one.

    `segments` is how many there are to send; None never ends.
    """

    def __init__(
        self,
        options: TcpOptions,
        segment_bytes: int,
        transmit: Callable[[int, bool], object],
        segments: int | None = None,
    ) -> None:
        self.options = options
        self.segment_bytes = segment_bytes
        self.segments = segments
        self._transmit = transmit
        self.acknowledged = 0
        """The first segment that is not acknowledged."""
        self.next = 0
        """The segment to be sent next."""
        self.highest = 0
        """The first segment that was never sent."""
        self.window_bytes = min(options.initial_segments * segment_bytes, max(options.window_bytes, segment_bytes))
        """The congestion window."""
        self.threshold_bytes = max(options.window_bytes, 2 * segment_bytes)
        """Slow start goes up to here."""
        self.is_recovering = False
        self.deadline_ns: int | None = None
        """When the retransmission timeout ends; None while nothing is on its way."""
        self.fast_retransmits = self.timeouts = self.retransmissions = 0
        self.has_given_up = False
        self._recover = -1
        self._duplicates = 0
        self._timeouts_in_row = 0
        self._sent_ns: dict[int, int] = {}
        self._smoothed_ns: int | None = None
        self._variation_ns = 0

    @property
    def flight_bytes(self) -> int:
        """What was sent and not acknowledged, since the last timeout."""
        return (self.next - self.acknowledged) * self.segment_bytes

    @property
    def is_done(self) -> bool:
        """Whether everything has been acknowledged."""
        return self.segments is not None and self.acknowledged >= self.segments

    @property
    def timeout_ns(self) -> int:
        """The retransmission timeout now, with its backoff."""
        options = self.options
        if self._smoothed_ns is None:
            timeout_ns = max(options.rto_initial_ns, options.rto_min_ns)
        else:
            timeout_ns = max(options.rto_min_ns, self._smoothed_ns + max(1, 4 * self._variation_ns))
        return min(options.rto_max_ns, timeout_ns << min(self._timeouts_in_row, 40))

    def begin(self, now_ns: int) -> None:
        """Send the first window."""
        self._send_window(now_ns)

    def acknowledge(self, now_ns: int, expected: int) -> int | None:
        """An acknowledgement for all segments before `expected` came. The round trip that it measured in ns, or None.

        Only segments that were sent once measure one (Karn's rule), and not while a loss is being repaired.
        """
        if self.has_given_up or expected > self.highest:
            return None
        round_trip_ns = None
        if expected > self.acknowledged:
            round_trip_ns = self._advance(now_ns, expected)
        elif expected == self.acknowledged and self.next > self.acknowledged:
            self._duplicate(now_ns)
        self._send_window(now_ns)
        return round_trip_ns

    def time_out(self, now_ns: int) -> None:
        """The deadline has come: begin again from the first segment that is not acknowledged, with a small window."""
        self.timeouts += 1
        if self._timeouts_in_row >= self.options.retries:
            self.has_given_up = True
            self.deadline_ns = None
            return
        if not self._timeouts_in_row:
            self.threshold_bytes = max(self.flight_bytes // 2, 2 * self.segment_bytes)
        self._timeouts_in_row += 1
        self.window_bytes = self.segment_bytes
        self.is_recovering = False
        self._duplicates = 0
        # What the receiver has already is sent again too; its duplicates up to the first new segment mean no loss.
        self._recover = self.highest
        self._sent_ns.clear()
        self.next = self.acknowledged
        self.deadline_ns = None
        self._send_window(now_ns)

    def _advance(self, now_ns: int, expected: int) -> int | None:
        count = expected - self.acknowledged
        round_trip_ns = None
        times = [self._sent_ns.pop(segment, None) for segment in range(self.acknowledged, expected)]
        if not self.is_recovering and None not in times and times[-1] is not None:
            round_trip_ns = now_ns - times[-1]
            self._measured(round_trip_ns)
        self.acknowledged = expected
        self.next = max(self.next, expected)
        self._duplicates = self._timeouts_in_row = 0
        size = self.segment_bytes
        if self.is_recovering and expected > self._recover:
            self.is_recovering = False
            self.window_bytes = min(self.threshold_bytes, max(self.flight_bytes, size) + size)
        elif self.is_recovering:
            # A partial acknowledgement: the next hole is sent at once, and the window shrinks by what has gone.
            self.window_bytes = max(size, self.window_bytes - count * size + size)
            self._send(now_ns, expected)
        elif self.window_bytes < self.threshold_bytes:
            self.window_bytes += size
        else:
            self.window_bytes += max(1, size * size // self.window_bytes)
        self.window_bytes = min(self.window_bytes, self._window_most())
        self.deadline_ns = now_ns + self.timeout_ns if self.next > self.acknowledged else None
        return round_trip_ns

    def _duplicate(self, now_ns: int) -> None:
        size = self.segment_bytes
        self._duplicates += 1
        if self.is_recovering:
            self.window_bytes = min(self.window_bytes + size, self._window_most())
        elif self._duplicates == DUPLICATES and self.acknowledged > self._recover:
            self.fast_retransmits += 1
            self.threshold_bytes = max(self.flight_bytes // 2, 2 * size)
            self._recover = self.highest - 1
            self.is_recovering = True
            self.window_bytes = self.threshold_bytes + DUPLICATES * size
            self._send(now_ns, self.acknowledged)
            self.deadline_ns = now_ns + self.timeout_ns

    def _window_most(self) -> int:
        """What the congestion window may grow to: more than the receiver takes would never be used."""
        return max(self.options.window_bytes, self.segment_bytes) + DUPLICATES * self.segment_bytes

    def _send_window(self, now_ns: int) -> None:
        size = self.segment_bytes
        usable = self.window_bytes
        if not self.is_recovering:
            usable += min(self._duplicates, DUPLICATES - 1) * size
        usable = min(usable, max(self.options.window_bytes, size))
        while self.flight_bytes + size <= usable and (self.segments is None or self.next < self.segments):
            segment = self.next
            self.next += 1
            self._send(now_ns, segment)
        if self.deadline_ns is None and self.next > self.acknowledged and not self.has_given_up:
            self.deadline_ns = now_ns + self.timeout_ns

    def _send(self, now_ns: int, segment: int) -> None:
        is_again = segment < self.highest
        if is_again:
            self.retransmissions += 1
            self._sent_ns.pop(segment, None)
        else:
            self.highest = segment + 1
            self._sent_ns[segment] = now_ns
        self._transmit(segment, is_again)

    def _measured(self, round_trip_ns: int) -> None:
        if self._smoothed_ns is None:
            self._smoothed_ns, self._variation_ns = round_trip_ns, round_trip_ns // 2
            return
        self._variation_ns = (3 * self._variation_ns + abs(self._smoothed_ns - round_trip_ns)) // 4
        self._smoothed_ns = (7 * self._smoothed_ns + round_trip_ns) // 8
