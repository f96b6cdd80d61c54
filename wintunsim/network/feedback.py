"""What a traffic source may ask for beyond being iterated: chance from the seed, news of its packets, a line to use.

The attachment looks which of these a source has; a plain source has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from wintunsim.kernel.streams import Stream

Streams = Callable[[str], Stream]
"""Gives the stream of a name, from its beginning, out of the source's own ones."""


@runtime_checkable
class Seeded(Protocol):
    """A source whose packets depend on the seed."""

    def seeded_packets(self, streams: Streams, start_ns: int) -> Iterator[tuple[int, bytes]]:
        """What its iteration gives: pairs of a time in ns since the traffic began, at `start_ns`, and an IP packet."""


@runtime_checkable
class Feedback(Protocol):
    """A source that is told what becomes of its packets. `number` counts them from 1, in the order of their sending."""

    def accepted(self, time_ns: int, number: int) -> None:
        """The driver put the packet into the send ring."""

    def refused(self, time_ns: int, number: int, status: int) -> None:
        """The driver completed the packet with a failure, or never saw it because the link was down."""

    def taken(self, time_ns: int, number: int) -> None:
        """The client took the packet out of the send ring: its `Head` was seen to have moved past it."""

    def discarded(self, time_ns: int, number: int) -> None:
        """The registration ended while the packet was in the send ring."""

    def received(self, time_ns: int, packet: bytes) -> None:
        """The adapter handed up a packet that the client had written; anybody's, also one that is not IP."""

    def summary(self) -> dict[str, Any]:
        """What came of it, for the report; times in ns."""


class Line(Protocol):
    """What a closed loop sends on."""

    def time_ns(self) -> int:
        """The virtual time."""

    def send(self, packet: bytes) -> int:
        """Send an IP packet as soon as the system comes to it; its number, from 1."""

    def call_at(self, time_ns: int, function: Callable[[], object]) -> None:
        """Call `function` at a virtual time that is not in the past."""


@runtime_checkable
class ClosedLoop(Protocol):
    """A source that sends in answer to what becomes of its packets. Its iteration gives nothing."""

    def begin(self, line: Line) -> None:
        """The traffic begins now: send on `line` from here on."""
