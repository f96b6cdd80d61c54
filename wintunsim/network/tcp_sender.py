"""A TCP-like sender and its receiver, as state machines without a clock: window, acknowledgements, loss (RFC 5681).

Slow start, additive increase, multiplicative decrease, fast retransmit after three duplicates, repair by selective
acknowledgements (RFC 6675, as Windows does), and a retransmission timeout with backoff (RFC 6298). Each segment that
comes is acknowledged at once. Segments are counted from 0 and are all of one size; windows are in bytes.
"""

from __future__ import annotations

from collections import deque
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
        self.highest = 0
        """The first segment that was never sent."""
        self._limit_bytes = max(options.window_bytes, segment_bytes)
        self.window_bytes = min(options.initial_segments * segment_bytes, self._limit_bytes)
        """The congestion window: so much may be on its way."""
        self.threshold_bytes = max(options.window_bytes, 2 * segment_bytes)
        """Slow start goes up to here."""
        self.is_recovering = False
        """Whether losses are being repaired that duplicates told of."""
        self.deadline_ns: int | None = None
        """When the retransmission timeout ends; None while nothing is on its way."""
        self.fast_retransmits = self.timeouts = self.retransmissions = 0
        self.has_given_up = False
        self._recover = -1
        self._arrived: set[int] = set()  # ahead of the first that is missing
        self._latest_arrived: list[int] = []  # the three highest of them, in order
        self._lost: set[int] = set()  # not sent again yet
        self._to_repair: deque[int] = deque()  # these in order, and some that are not lost any more
        self._judged = 0  # all segments before are acknowledged, arrived, or were taken for lost
        self._timeouts_in_row = 0
        self._sent_ns: dict[int, int] = {}  # of those that were sent once
        self._smoothed_ns: int | None = None
        self._variation_ns = 0

    @property
    def flight_bytes(self) -> int:
        """What was sent and is not acknowledged in order."""
        return (self.highest - self.acknowledged) * self.segment_bytes

    @property
    def pipe_bytes(self) -> int:
        """What is thought to be on its way: neither arrived nor lost."""
        return self.flight_bytes - (len(self._arrived) + len(self._lost)) * self.segment_bytes

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

    def acknowledge(self, now_ns: int, expected: int, arrived: int) -> int | None:
        """`arrived` has come, and all before `expected`. The round trip that this measured in ns, or None.

        Only segments that were sent once measure one (Karn's rule).
        """
        if self.has_given_up or max(expected, arrived + 1) > self.highest:
            return None
        sent_ns = self._sent_ns.pop(arrived, None)
        round_trip_ns = None if sent_ns is None else now_ns - sent_ns
        if round_trip_ns is not None:
            self._measured(round_trip_ns)
        has_advanced = expected > self.acknowledged
        if has_advanced:
            self._advance(expected)
        if arrived >= expected and arrived not in self._arrived:
            self._arrived.add(arrived)
            self._lost.discard(arrived)
            self._latest_arrived = sorted((*self._latest_arrived, arrived))[-DUPLICATES:]
        self._find_losses(now_ns)
        if self.is_recovering and self.acknowledged > self._recover:
            self.is_recovering = False
        elif has_advanced and not self.is_recovering:
            self._grow()
        if has_advanced:
            self.deadline_ns = now_ns + self.timeout_ns if self.highest > self.acknowledged else None
        self._send_window(now_ns)
        return round_trip_ns

    def time_out(self, now_ns: int) -> None:
        """The deadline has come: what has not arrived is lost, and is sent again with a small window."""
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
        # What was sent before brings no second decrease.
        self._recover = self.highest - 1
        missing = [segment for segment in range(self.acknowledged, self.highest) if segment not in self._arrived]
        self._lost, self._to_repair, self._judged = set(missing), deque(missing), self.highest
        self.deadline_ns = None
        self._send_window(now_ns)

    def _advance(self, expected: int) -> None:
        for segment in range(self.acknowledged, expected):
            self._arrived.discard(segment)
            self._lost.discard(segment)
            self._sent_ns.pop(segment, None)
        self.acknowledged = expected
        self._judged = max(self._judged, expected)
        self._timeouts_in_row = 0

    def _grow(self) -> None:
        """Slow start, or additive increase: a segment for each acknowledgement, or for each window of them."""
        size = self.segment_bytes
        step = size if self.window_bytes < self.threshold_bytes else max(1, size * size // self.window_bytes)
        self.window_bytes = min(self.window_bytes + step, self._limit_bytes)

    def _find_losses(self, now_ns: int) -> None:
        """Who is missing while three after him have arrived is lost; the first such loss halves the window."""
        if len(self._latest_arrived) < DUPLICATES:
            return
        for segment in range(self._judged, self._latest_arrived[0]):
            if segment not in self._arrived:
                self._lost.add(segment)
                self._to_repair.append(segment)
        self._judged = max(self._judged, self._latest_arrived[0])
        if self._lost and not self.is_recovering and self.acknowledged > self._recover:
            self.fast_retransmits += 1
            self.is_recovering = True
            self._recover = self.highest - 1
            self.threshold_bytes = max(self.flight_bytes // 2, 2 * self.segment_bytes)
            self.window_bytes = min(self.threshold_bytes, self._limit_bytes)
            self._repair()
            self.deadline_ns = now_ns + self.timeout_ns

    def _repair(self) -> None:
        """Send the first lost segment again; there is one."""
        segment = self._to_repair.popleft()
        while segment not in self._lost:
            segment = self._to_repair.popleft()
        self._lost.remove(segment)
        self._sent_ns.pop(segment, None)
        self.retransmissions += 1
        self._transmit(segment, True)

    def _send_window(self, now_ns: int) -> None:
        size = self.segment_bytes
        while self.pipe_bytes + size <= self.window_bytes:
            if self._lost:
                self._repair()
            elif self.flight_bytes + size <= self._limit_bytes and self.highest != self.segments:
                segment = self.highest
                self.highest += 1
                self._sent_ns[segment] = now_ns
                self._transmit(segment, False)
            else:
                break
        if self.deadline_ns is None and self.highest > self.acknowledged:
            self.deadline_ns = now_ns + self.timeout_ns

    def _measured(self, round_trip_ns: int) -> None:
        if self._smoothed_ns is None:
            self._smoothed_ns, self._variation_ns = round_trip_ns, round_trip_ns // 2
            return
        self._variation_ns = (3 * self._variation_ns + abs(self._smoothed_ns - round_trip_ns)) // 4
        self._smoothed_ns = (7 * self._smoothed_ns + round_trip_ns) // 8
