"""The miniport's life as NDIS drives it: initialize, restart, pause, halt, in the order that NDIS keeps.

The routines are the model's; which of them may come when is the table of `wintun_model.life_cycles.MINIPORT`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wintun_model.adapter import Adapter
from wintun_model.effects import allocated, free
from wintun_model.life_cycles import MINIPORT
from wintun_model.miniport import halt, initialize, pause, restart
from wintun_model.operations import Allocate, Free, IndicateLink, Initialize, Put, Routine, Set
from wintunsim.errors import UsageError

if TYPE_CHECKING:
    from wintunsim.kernel.ndis import Port

_CALLS = {"Halted": "initialize", "Paused": "restart or halt", "Running": "pause"}
"""What NDIS may call in each state that lasts."""


class Miniport:
    """One adapter's miniport. `state` is one of the table's: Halted, Paused or Running, others while a call goes on."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self.state = MINIPORT.initial
        self._is_used = False

    def initialize(self) -> int:
        """Initialize the miniport on the current thread. Answers an NDIS_STATUS: 0, or why it failed.

        A miniport that was halted, or that failed to initialize, gets a new context, with counters at 0, as Windows
        starts a device anew.
        """
        self._begin("initialize", "Halted", "Initializing")
        port = self._port
        if self._is_used:
            port.take_adapter(Adapter(port.adapter.name, port.adapter.driver, is_initialized=False))
        self._is_used = True
        status, _ = port.executor.request(initialize(port.adapter))
        self.state = "Halted" if status else "Paused"
        return int(status)

    def restart(self) -> int:
        """Restart it: sends and receives run. Answers 0."""
        self._begin("restart", "Paused", "Paused")
        self._port.executor.request(restart(self._port.adapter))
        self.state = "Running"
        return 0

    def pause(self) -> None:
        """Pause it: the current thread waits until senders are out and NBLs are back."""
        self._begin("pause", "Running", "Pausing")
        self._port.executor.request(pause(self._port.adapter))
        self.state = "Paused"

    def halt(self) -> None:
        """Halt it: the registration ends, later requests find no adapter; waits for NBLs and for requests inside."""
        self._begin("halt", "Paused", "Halting")
        self._port.executor.request(halt(self._port.adapter))
        self.state = "Halted"

    def start_unseen(self) -> int:
        """Initialize and restart before the machine runs: nobody can see it, so it takes no thread, time or trace."""
        adapter = self._port.adapter
        self._is_used = True
        for routine, state in ((initialize(adapter), "Paused"), (restart(adapter), "Running")):
            status = self._run_unseen(routine)
            if status:
                return status
            self.state = state
        return 0

    def _begin(self, call: str, needed: str, state: str) -> None:
        if self.state != needed:
            may_be = _CALLS.get(self.state, "nothing until that is done")
            raise UsageError(
                f"{call} of {self._port.adapter.name!r} is for a miniport that is {needed}, but it is {self.state}: "
                f"what may come now is {may_be}"
            )
        self.state = state

    def _run_unseen(self, routine: Routine[Any]) -> int:
        allocate = self._port.executor.surroundings.allocate
        answer: Any = None
        while True:
            try:
                operation = routine.send(answer)
            except StopIteration as stop:
                return int(stop.value[0]) if stop.value is not None else 0
            answer = None
            match operation:
                case Allocate(pool=pool):
                    answer = allocate(pool.name) and allocated(pool)
                case Initialize(target=target, what=what):
                    answer = not what or allocate(what)
                    target.is_ready = answer
                case Free(pool=pool):
                    free(pool)
                case Put(variable=variable, value=value):
                    variable.value = value
                case _:
                    # The event is set and the link is down as they are made.
                    assert isinstance(operation, Set | IndicateLink)
