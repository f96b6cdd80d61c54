"""A machine for vectors: one driver with adapters, processes with rings, an NDIS side; run by the immediate executor.

Everything that comes out of here was done by the model's routines; this file only builds what they work on and looks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from wintun_model import operations as op
from wintun_model.abi import EVENT_MODIFY_STATE, SYNCHRONIZE, TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintun_model.adapter import Adapter, Driver, ReceiveNbl
from wintun_model.dispatch import IntegrityLevel, device_control
from wintun_model.errors import ClientFault, DriverFault
from wintun_model.immediate import ImmediateExecutor, RecordingNdis, SimpleCaller
from wintun_model.miniport import restart
from wintun_model.receive import push_header, return_nbls
from wintun_model.registration import Registration
from wintun_model.revision import Revision
from wintunsim.conformance.notation import ring_memory

SEND_HANDLE, RECEIVE_HANDLE = 0x44, 0x48
ALL_RIGHTS = EVENT_MODIFY_STATE | SYNCHRONIZE
SEND_ADDRESS, RECEIVE_ADDRESS = 0x10000, 0x10000000
PROCESS_ID = 100

ACCOUNTS = ("system", "administrator", "user")
INTEGRITY = {level.name.lower(): int(level) for level in IntegrityLevel}

See = Callable[[op.Operation, Any], None]
"""Told of every operation after it was performed: (operation, what it sent back)."""


def watched(routine: op.Routine[Any], see: See) -> op.Routine[Any]:
    """Run a routine, and the threads that it starts, with somebody looking at what they do."""
    value: Any = None
    while True:
        try:
            operation = routine.send(value)
        except StopIteration as stop:
            return stop.value
        if isinstance(operation, op.StartThread):
            reader = watched(operation.routine, see)
            operation = op.StartThread(reader, operation.name, operation.priority)
        value = yield operation
        see(operation, value)


class Ndis(RecordingNdis):
    """NDIS's side: returns NBLs inside the indication or keeps them; may push a header in front of a packet first."""

    def __init__(self, *, keeps_nbls: bool = False, header: bytes = b"", statuses: Sequence[int] = ()) -> None:
        super().__init__(keeps_nbls=keeps_nbls)
        self.header = header
        self.statuses = statuses
        self.indicated: list[ReceiveNbl] = []
        self.seen: list[bytes] = []
        """The packets' bytes at the time of the indication."""
        self.pushed: list[bool] = []

    def indicate_receive(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None]:
        """A packet comes up."""
        if len(self.indicated) < len(self.statuses):
            nbl.status = self.statuses[len(self.indicated)]
        self.indicated.append(nbl)
        self.seen.append(nbl.peek())
        return self._inside(adapter, nbl)

    def _inside(self, adapter: Adapter, nbl: ReceiveNbl) -> op.Routine[None]:
        if self.header:
            self.pushed.append((yield from push_header(nbl, self.header)))
        if self.keeps_nbls:
            self.kept.append(nbl)
        else:
            yield from return_nbls(adapter, (nbl,))


@lru_cache(maxsize=4)
def _memory(description: str) -> bytes:
    """A described ring's memory; the same one is asked for again for each revision."""
    return bytes(ring_memory(json.loads(description)))


class Rings:
    """The two rings of a client in its memory, as described, and their events."""

    def __init__(self, send: Mapping[str, Any], receive: Mapping[str, Any], *, manual_reset: bool = False) -> None:
        self.send_before, self.receive_before = _memory(json.dumps(send)), _memory(json.dumps(receive))
        self.send, self.receive = bytearray(self.send_before), bytearray(self.receive_before)
        self.send_moved = op.Event("send.TailMoved", manual_reset=manual_reset)
        self.receive_moved = op.Event("receive.TailMoved", manual_reset=manual_reset)

    def process(self, process_id: int = PROCESS_ID) -> SimpleCaller:
        """A process of LocalSystem that has these rings and events."""
        caller = SimpleCaller(process_id)
        caller.memory = {SEND_ADDRESS: self.send, RECEIVE_ADDRESS: self.receive}
        caller.handles = {SEND_HANDLE: (self.send_moved, ALL_RIGHTS), RECEIVE_HANDLE: (self.receive_moved, ALL_RIGHTS)}
        return caller

    def record(self) -> bytes:
        """The registration record for them."""
        return RegisterRings(
            RingDescription(len(self.send), SEND_ADDRESS, SEND_HANDLE),
            RingDescription(len(self.receive), RECEIVE_ADDRESS, RECEIVE_HANDLE),
        ).to_bytes()

    def is_locked(self) -> bool:
        """Whether pages of a ring are locked down."""
        return is_viewed(self.send) or is_viewed(self.receive)


class Bench:
    """One driver of a revision, adapters, an executor that counts what it is watched for and fails what it shall."""

    def __init__(
        self,
        revision: Revision,
        *,
        ndis: Ndis | None = None,
        faults: Sequence[Mapping[str, Any]] = (),
        rereads_size: bool = False,
        handles: Callable[[Any], Sequence[tuple[op.Caller, int, object]]] = lambda target: (),
        close_handle: Callable[[op.Caller, int], op.Routine[None] | None] = lambda caller, handle: None,
    ) -> None:
        self.ndis = ndis or Ndis()
        self.driver = Driver(revision, rereads_size=rereads_size)
        self.executor = ImmediateExecutor(self.ndis, fails=self._fails, handles=handles, close_handle=close_handle)
        self.adapter = Adapter("tun", self.driver)
        self.sets: Counter[op.Event] = Counter()
        """How often each event was set by the driver."""
        self.head_stores: list[int] = []
        self.observer: See | None = None
        self.hold_faults = False
        """While set nothing fails, and no attempt is counted."""
        self._faults = [(fault["what"], fault["attempt"]) for fault in faults]
        self._attempts: Counter[str] = Counter()

    def _fails(self, what: str) -> bool:
        if self.hold_faults:
            return False
        self._attempts[what] += 1
        return (what, self._attempts[what]) in self._faults

    def _see(self, operation: op.Operation, result: Any) -> None:
        if isinstance(operation, op.Set):
            self.sets[operation.event] += 1
        elif isinstance(operation, op.Store) and operation.word.name.endswith("receive.Head"):
            self.head_stores.append(operation.value & 0xFFFFFFFF)
        if self.observer is not None:
            self.observer(operation, result)

    def run(self, routine: op.Routine[Any]) -> Any:
        """Run a routine to its end, and everybody else as far as they get. Raises `Blocked` when it has to wait."""
        return self.executor.run(watched(routine, self._see))

    def start(self, routine: op.Routine[Any]) -> Any:
        """Start a routine; the thread, which may be waiting now."""
        return self.executor.start(watched(routine, self._see))

    def restart(self, adapter: Adapter | None = None) -> None:
        """Let an adapter run."""
        self.run(restart(adapter or self.adapter))

    def register(self, rings: Rings, caller: SimpleCaller | None = None, file: object = "file") -> int:
        """Register rings; the status."""
        request = Registration(caller or rings.process(), file, rings.record())
        status, _ = self.run(device_control(self.adapter, request, TUN_IOCTL_REGISTER_RINGS))
        return int(status)

    @property
    def statistics(self) -> dict[str, int]:
        """The counters that are not 0."""
        return {name: count for name, count in self.adapter.statistics.as_dict().items() if count}


def is_viewed(block: bytearray) -> bool:
    """Whether somebody has a view of a block of memory: then it cannot be resized."""
    try:
        block.append(0)
        del block[-1]
    except BufferError:
        return True
    return False


def outside_ring(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `act` answers, or that the driver would have accessed memory outside the ring, or what is not its own."""
    try:
        return act()
    except ClientFault:
        return {"fault": "access outside the ring"}
    except DriverFault:
        return {"fault": "use of what is not the driver's"}
