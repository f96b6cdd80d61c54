"""What the network stack does with packets that are indicated to it: when, in which order, from where they come back.

NDIS may return NBLs in any order, from any number of processors, inside the indication or much later (spec driver §4.4,
§7.1), and a consumer may push a header in front of a packet (B5). A `ReturnPolicy` says what this stack does.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from wintun_model.adapter import ReceiveNbl
from wintun_model.receive import push_header, return_nbls
from wintun_model.trace import Kind
from wintunsim.kernel.machine import Thread
from wintunsim.kernel.return_policy import ReturnPolicy

if TYPE_CHECKING:
    from wintunsim.kernel.ndis import Port

RETURN_PRIORITY = 16
_LINK_HEADER = bytes.fromhex("0200000000010200000000028100") * 19
"""What a header that is pushed in front of a packet holds, over and over: link addresses and a type."""


class Returner:
    """A policy at work on one port: takes indicated NBLs, and returns them."""

    def __init__(self, port: Port, policy: ReturnPolicy) -> None:
        self.port = port
        self.policy = policy
        self.held: list[ReceiveNbl] = []
        """NBLs that are kept, oldest first."""
        self._due: list[tuple[int, int, ReceiveNbl]] = []
        self._order = 0
        self._idle: list[Thread] = []
        self._threads: list[Thread] = []
        name = f"{port.adapter.name}.returns"
        self._chance = port.machine.stream(name)

    def take(self, nbl: ReceiveNbl) -> None:
        """An NBL was indicated; the current thread is inside the indication."""
        policy, port = self.policy, self.port
        nbl.status = policy.status
        if policy.header_bytes:
            port.executor.run(push_header(nbl, _LINK_HEADER[: policy.header_bytes]))
        if policy.keeps:
            self.held.append(nbl)
        elif policy.is_late:
            self._later(nbl)
        else:
            self.give_back((nbl,))

    def give_back(self, nbls: tuple[ReceiveNbl, ...]) -> None:
        """Return NBLs on the current thread, in one call."""
        port, machine = self.port, self.port.machine
        number = machine.current.number if machine.current else 0
        for nbl in nbls:
            machine.trace.record((machine.now, number, Kind.RETURN, port.trace_number, nbl.number, nbl.status))
        port.executor.call(return_nbls, port.adapter, nbls)

    def _later(self, nbl: ReceiveNbl) -> None:
        machine = self.port.machine
        due = machine.now + self.policy.draw_ns(self._chance)
        is_earliest = not self._due or due < self._due[0][0]
        self._order += 1
        heappush(self._due, (due, self._order, nbl))
        while len(self._threads) < self.policy.processors:
            number = len(self._threads) + 1
            self._threads.append(
                machine.start_thread(
                    f"{self.port.adapter.name} NDIS return {number}", self._return_all, priority=RETURN_PRIORITY
                )
            )
        if is_earliest:
            for thread in self._idle:
                machine.make_ready(thread, machine.now)
            self._idle.clear()

    def _return_all(self) -> None:
        machine = self.port.machine
        thread = machine.current
        assert thread is not None
        while True:
            batch = self._take_due(machine.now)
            if batch:
                self.give_back(batch)
                machine.trace.checkpoint()
                continue
            self._idle.append(thread)
            if self._due:
                machine.sleep_until(self._due[0][0])
            else:
                machine.block()
            if thread in self._idle:
                self._idle.remove(thread)

    def _take_due(self, now: int) -> tuple[ReceiveNbl, ...]:
        policy = self.policy
        ready: list[tuple[int, int, ReceiveNbl]] = []
        limit = policy.batch if policy.order == "fifo" else len(self._due)
        while self._due and self._due[0][0] <= now and len(ready) < limit:
            ready.append(heappop(self._due))
        chosen: list[ReceiveNbl] = []
        while ready and len(chosen) < policy.batch:
            place = 0
            if policy.order == "lifo":
                place = len(ready) - 1
            elif policy.order == "random":
                place = self._chance.below(len(ready))
            chosen.append(ready.pop(place)[2])
        for item in ready:
            heappush(self._due, item)
        return tuple(chosen)
