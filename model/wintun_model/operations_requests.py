"""Operations on what a request names: its process, events behind handles, client pages, file objects."""

from __future__ import annotations

from typing import Any, Protocol

from wintun_model.operations_base import Operation
from wintun_model.operations_events import Event


class Pages(Protocol):
    """Client pages locked down by `LockPages`.

    `views` are all the views of them that are in use; they are released when the pages are unlocked, so that a later
    access is an error here and not a wild pointer.
    """

    @property
    def view(self) -> memoryview: ...

    @property
    def views(self) -> list[memoryview]: ...

    def unlock(self) -> None:
        """Give the pages back to their process."""


class Caller(Protocol):
    """The process that makes a request, as far as the driver can see it."""

    @property
    def process_id(self) -> int: ...

    @property
    def is_local_system(self) -> bool: ...

    def reference_event(self, handle: int, access: int) -> tuple[int, Event | None]:
        """(NTSTATUS, event): the object manager's answer for `handle` with the access rights asked for."""

    def lock_pages(self, address: int, size: int) -> Pages | None:
        """Lock down `size` bytes at `address`; None when a page is missing or not writable."""


class ReferenceEvent(Operation):
    """Reference the event behind a handle of `caller` with `access` rights. Sends back (NTSTATUS, event or None)."""

    __slots__ = ("access", "caller", "handle")

    def __init__(self, caller: Caller, handle: int, access: int) -> None:
        self.caller = caller
        self.handle = handle
        self.access = access


class Dereference(Operation):
    """Give back the reference that `ReferenceEvent` took."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class LockPages(Operation):
    """Check and lock down client pages for writing. Sends back `Pages` or None."""

    __slots__ = ("address", "caller", "size")

    def __init__(self, caller: Caller, address: int, size: int) -> None:
        self.caller = caller
        self.address = address
        self.size = size


class MapPages(Operation):
    """Map locked pages into the system. Sends back whether that worked."""

    __slots__ = ("pages",)

    def __init__(self, pages: Pages) -> None:
        self.pages = pages


class ReadDescriptor(Operation):
    """Read the memory descriptor of locked pages. A fault of the driver when they are unlocked already (B8)."""

    __slots__ = ("pages",)

    def __init__(self, pages: Pages) -> None:
        self.pages = pages


class UnlockPages(Operation):
    """Unlock pages; their mapping goes with them."""

    __slots__ = ("pages",)

    def __init__(self, pages: Pages) -> None:
        self.pages = pages


class ListHandles(Operation):
    """Take a snapshot of all handles to the adapter's device, or to one file object.

    Sends back a list of (caller, handle value, file object). It holds no references: what it names may be gone by the
    time that somebody looks.
    """

    __slots__ = ("adapter",)

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter


class ReadObject(Operation):
    """Read a file object by a pointer. A fault of the driver when that is released already (B14)."""

    __slots__ = ("target",)

    def __init__(self, target: Any) -> None:
        self.target = target
