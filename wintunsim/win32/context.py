"""What a DLL function knows of the process that calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from wintunsim.kernel.machine import Machine, Thread
    from wintunsim.kernel.process import Process
    from wintunsim.win32.loader import Loader

S = TypeVar("S")
R = TypeVar("R")


class Context:
    """One process as the DLL functions see it. `system` is the simulated system that the process belongs to."""

    __slots__ = ("_states", "handles", "loader", "machine", "process", "system")

    def __init__(self, system: Any, process: Process, loader: Loader) -> None:
        self.system = system
        self.process = process
        self.loader = loader
        self.machine: Machine = process.machine
        self.handles = process.handles
        self._states: dict[type[Any], Any] = {}

    @property
    def memory(self) -> Any:
        """The process's allocators (`wintunsim.kernel.memory.AddressSpace`)."""
        return self.process.memory

    @property
    def thread(self) -> Thread:
        """The calling thread."""
        thread = self.machine.current
        assert thread is not None
        return thread

    def fail(self, error: int, result: R) -> R:
        """Set the calling thread's last error and give back `result`, for ``return context.fail(…)``."""
        self.machine.current.last_error = int(error)  # type: ignore[union-attr]
        return result

    def state(self, kind: type[S]) -> S:
        """This process's only instance of `kind`, made when it is first asked for."""
        found = self._states.get(kind)
        if found is None:
            found = self._states[kind] = kind()
        return found
