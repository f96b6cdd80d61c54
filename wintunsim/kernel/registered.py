"""Client pages that a driver has locked down: held as well as the host allows (design §4)."""

from __future__ import annotations

from collections.abc import Sequence
from types import FrameType

from wintun_model.errors import ClientFault
from wintunsim.kernel import probe
from wintunsim.kernel.memory import AddressSpace, view
from wintunsim.kernel.owners import find_owner


class RegisteredPages:
    """Locked pages: `view` is the client's own memory.

    Memory of the simulated allocators stays until `unlock`, whatever the client frees. Of other memory the Python
    object that owns it is held; where none is found, `check` must be called before the driver touches it again.
    """

    def __init__(self, space: AddressSpace, address: int, size: int, frames: Sequence[FrameType | None]) -> None:
        self._lock = space.lock(address, size)
        is_ours = space.owns(address, size)
        self._owner = None if is_ours else find_owner(address, size, frames)
        self.is_held = is_ours or self._owner is not None
        self._address = address
        self._size = size
        self.view = view(address, size)
        self.views: list[memoryview] = []

    def contains(self, address: int, size: int) -> bool:
        """Whether a range lies in these pages."""
        return self._address <= address and address + size <= self._address + self._size

    def check(self) -> None:
        """Raise `ClientFault` when the memory has gone since it was registered."""
        if not self.is_held and not probe.is_accessible(self._address, self._size, write=True):
            raise ClientFault(
                f"the client released {self._size} bytes of ring memory while they were registered; on Windows they "
                "would stay locked, here they are gone: keep the memory until the handle is closed"
            )

    def unlock(self) -> None:
        """Give the pages back."""
        self.view.release()
        self._lock.unlock()
        if self._owner is not None:
            self._owner.release()
            self._owner = None
