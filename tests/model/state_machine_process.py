"""Client processes for tests that let anything happen: guarded memory, handles, and a ledger of what is held.

Nothing here knows how the driver works; it is what stands around it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from wintun_model import operations as op
from wintun_model.status import NtStatus

GUARD_BYTES = 64
GUARD = b"\xc3" * GUARD_BYTES


class Block:
    """Memory of a process at a made-up address, with guard bytes around it."""

    def __init__(self, address: int, size_bytes: int, fill: int = 0) -> None:
        self.address = address
        self.size_bytes = size_bytes
        self.cells = bytearray(GUARD + bytes([fill]) * size_bytes + GUARD)
        self.view = memoryview(self.cells)[GUARD_BYTES : GUARD_BYTES + size_bytes]
        self.is_read_only = False

    def check(self) -> None:
        """The guards are as they were."""
        assert self.cells[:GUARD_BYTES] == GUARD, "bytes before the ring were written"
        assert self.cells[-GUARD_BYTES:] == GUARD, "bytes after the ring were written"


class Ledger:
    """What the kernel holds for the driver: event references and locked pages."""

    def __init__(self) -> None:
        self.references: Counter[op.Event] = Counter()
        self.pages: list[LockedPages] = []

    def dereferenced(self, event: op.Event) -> None:
        """The driver gives a reference back."""
        assert self.references[event] > 0, f"{event} was given back more often than it was referenced"
        self.references[event] -= 1

    def held(self) -> tuple[int, int]:
        """(event references, locked ranges of pages)."""
        return self.references.total(), len(self.pages)


class LockedPages:
    """Client pages that are locked down."""

    def __init__(self, ledger: Ledger, view: memoryview) -> None:
        self.ledger = ledger
        self.view = view
        self.views: list[memoryview] = []
        ledger.pages.append(self)

    def unlock(self) -> None:
        """Give the pages back."""
        self.ledger.pages.remove(self)
        self.view.release()


class ClientProcess:
    """A process: memory, a table of handles, and the token that the driver looks at."""

    def __init__(self, ledger: Ledger, process_id: int) -> None:
        self.ledger = ledger
        self.process_id = process_id
        self.is_local_system = True
        self.is_administrator = True
        self.integrity_level = 0x4000
        self.is_32_bit = False
        self.blocks: list[Block] = []
        self.handles: dict[int, tuple[object, int]] = {}
        self._last_handle = 0x40

    def insert(self, target: object, access: int) -> int:
        """A new handle."""
        self._last_handle += 4
        self.handles[self._last_handle] = (target, access)
        return self._last_handle

    def reference_event(self, handle: int, access: int) -> tuple[int, op.Event | None]:
        """Spec driver §5, check 5: unknown handle, then no event, then a right that is missing."""
        if handle not in self.handles:
            return NtStatus.STATUS_INVALID_HANDLE, None
        target, granted = self.handles[handle]
        if not isinstance(target, op.Event):
            return NtStatus.STATUS_OBJECT_TYPE_MISMATCH, None
        if access & ~granted:
            return NtStatus.STATUS_ACCESS_DENIED, None
        self.ledger.references[target] += 1
        return NtStatus.STATUS_SUCCESS, target

    def block_of(self, address: int, size_bytes: int) -> Block | None:
        """The block that holds a whole range."""
        for block in self.blocks:
            if block.address <= address and address + size_bytes <= block.address + block.size_bytes:
                return block
        return None

    def lock_pages(self, address: int, size: int) -> LockedPages | None:
        """Spec driver §5, check 7: the whole range exists and may be written."""
        block = self.block_of(address, size)
        if block is None or block.is_read_only:
            return None
        start = address - block.address
        return LockedPages(self.ledger, block.view[start : start + size])


Look = Callable[[op.Operation, Any], None]


def followed(routine: op.Routine[Any], look: Look) -> op.Routine[Any]:
    """The same routine; `look(operation, result)` is told of each operation that was performed, in its threads too.

    Every access to packet memory is checked to begin inside the ring before it is made: an executor's memory would
    take a negative offset for one from the end.
    """
    result: Any = None
    while True:
        try:
            operation = routine.send(result)
        except StopIteration as stop:
            return stop.value
        kind = type(operation)
        if kind in _ACCESSES:
            memory, offset = operation.memory, operation.offset  # type: ignore[attr-defined]
            assert 0 <= offset < len(memory.data), f"{kind.__name__} at {offset} of {len(memory.data)} bytes"
        elif isinstance(operation, op.StartThread):
            operation = op.StartThread(followed(operation.routine, look), operation.name, operation.priority)
        result = yield operation
        look(operation, result)


_ACCESSES = {op.LoadSize, op.StoreSize, op.LoadByte, op.CopyIn, op.CopyOut}


class Faults:
    """Which allocations fail, by kind; none of a kind that nothing is said of."""

    def __init__(self) -> None:
        self.passing: Counter[str] = Counter()
        """How many of the next attempts of each kind succeed before the failing ones."""
        self.coming: Counter[str] = Counter()
        """How many attempts of each kind fail then."""
        self.log: list[tuple[str, bool]] = []

    def __call__(self, what: str) -> bool:
        fails = not self.passing[what] and self.coming[what] > 0
        (self.coming if fails else self.passing)[what] -= 1 if fails or self.passing[what] else 0
        self.log.append((what, fails))
        return fails
