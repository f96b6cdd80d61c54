"""Why a reader thread stopped, from what it loaded last (spec driver §4.1)."""

from __future__ import annotations

from typing import Any

from wintun_model import operations as op
from wintun_model.abi import PACKET_HEADER_BYTES, STOPPED
from wintun_model.adapter import Adapter
from wintun_model.ring import content, stored_bytes

CAUSES = {
    "head-out-of-range": "the first Head was not below the capacity (4.1, first paragraph)",
    "disconnected": "no abort: the registration ended (4.3)",
    "tail-out-of-range": "Tail is not below the capacity",
    "content-below-header": "less than a packet header is in the ring",
    "size-too-large": "Size is above 0xFFFF",
    "packet-beyond-content": "the packet is longer than what is in the ring",
    "not-ip": "the packet is neither IPv4 nor IPv6",
}
"""The causes, and what they mean."""


class ReaderWatch:
    """Looks at the reader of one registration; `cause` is None while it runs."""

    def __init__(self, adapter: Adapter) -> None:
        self.cause: str | None = None
        self._adapter = adapter
        self._cursor = 0
        self._tail = 0
        self._size: int | None = None
        self._has_started = False
        self.is_skipping = False
        """Whether the reader has counted a skipped packet, and not passed it yet (spec driver §4.2)."""

    def see(self, operation: op.Operation, result: Any) -> None:
        """One operation of any thread, after it was performed."""
        ring = self._adapter.receive_ring.value
        if ring is None:
            return
        if isinstance(operation, op.CountReceived) and operation.discards:
            self.is_skipping = True
        if operation is ring.head.load:
            self._cursor = result
        elif operation is ring.tail.load or (isinstance(operation, op.Spin) and operation.word is ring.tail):
            self._tail, self._size, self._has_started = result, None, True
        elif isinstance(operation, op.LoadSize) and operation.memory is ring:
            self._cursor, self._size = operation.offset, result
        elif isinstance(operation, op.Append) and operation.active is self._adapter.receive_active:
            self._cursor, self._size = operation.end_offset, None
        elif isinstance(operation, op.Store) and operation.word is ring.head and self.cause is None:
            if operation.value == STOPPED:
                self.cause = self._why(ring.capacity)
            elif self.is_skipping and self._size is not None:
                self.is_skipping = False
                self._cursor, self._size = operation.value, None

    def _why(self, capacity: int) -> str:
        if not self._has_started and self._cursor >= capacity:
            return "head-out-of-range"
        if self._adapter.disconnected.signalled:
            return "disconnected"
        if self._tail >= capacity:
            return "tail-out-of-range"
        available = content(self._cursor, self._tail, capacity)
        if available < PACKET_HEADER_BYTES:
            return "content-below-header"
        if self._size is None or self._size > self._adapter.limits.max_packet_bytes:
            return "size-too-large"
        return "packet-beyond-content" if stored_bytes(self._size) > available else "not-ip"
