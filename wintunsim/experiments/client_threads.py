"""The client of a running experiment: its process, rings and threads, and what it counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintun_model.client import ClientRing, Outcome, read, write
from wintun_model.client_strategies import (
    PacketQueue,
    Reader,
    dequeue,
    enqueue,
    enqueue_waiting,
    read_batch,
    work,
    write_shared,
)
from wintun_model.errors import ModelError
from wintun_model.operations import Lock, Word
from wintun_model.ring import ring_bytes_of
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.effects import NOT_TRACED
from wintunsim.kernel.executor import Executor
from wintunsim.kernel.machine import Thread
from wintunsim.kernel.memory import view
from wintunsim.kernel.objects import EventObject
from wintunsim.kernel.process import Process
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.system import GENERIC_READ, GENERIC_WRITE, System

if TYPE_CHECKING:
    from wintunsim.experiments.experiment import Experiment
    from wintunsim.experiments.fast.engine import Ahead
    from wintunsim.experiments.flows import FlowTable
    from wintunsim.experiments.inbound import Inbound

EVENT_ALL_ACCESS = 0x1F0003
QUEUE_FULL = "queue_full"
"""The cause of what is dropped because the client's queue is full."""


class CountingEvent(EventObject):
    """An event that counts the waits that it ended."""

    __slots__ = ("ended_waits",)

    def __init__(self, name: str, *, manual_reset: bool, signalled: bool) -> None:
        super().__init__(name, manual_reset=manual_reset, signalled=signalled)
        self.ended_waits = 0

    def consume(self, thread: object) -> None:
        """A wait has ended."""
        self.ended_waits += 1
        super().consume(thread)


class QueueTimes:
    """How long packets stood in a queue; told by its counters."""

    def __init__(self, queue: PacketQueue, time: Callable[[], int]) -> None:
        self._put_ns: deque[int] = deque()
        self._waits_ns: list[int] = []
        self._time = time
        queue.put.observer = self._put
        queue.taken.observer = self._taken

    def _put(self, count: int) -> None:
        self._put_ns.append(self._time())

    def _taken(self, count: int) -> None:
        self._waits_ns.append(self._time() - self._put_ns.popleft())

    def waits_ns(self) -> npt.NDArray[np.int64]:
        """One a packet that was taken out, in order."""
        return np.array(self._waits_ns, dtype=np.int64)


class ExperimentClient:
    """The client of one run. Its main thread registers the rings, starts the others, and reads."""

    def __init__(
        self,
        experiment: Experiment,
        system: System,
        device: AdapterDevice,
        inbound: Inbound | None = None,
        flows: FlowTable | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self.experiment = experiment
        self.ahead = ahead
        """What runs its thread ahead from its first read on; None for an engine that does not."""
        self.system = system
        self.device = device
        self.inbound = inbound
        self.flows = flows
        self.process: Process = system.create_process("client")
        self.executor = Executor(system.machine, system, engine=experiment.machine_engine, kernel=system.executor)
        self.rings: list[ClientRing] = []
        self.events: list[CountingEvent] = []
        self.read = 0
        """Packets that it took to handle them."""
        self.read_bytes = 0
        self.written = 0
        self.echo_dropped = 0
        self.dropped: dict[str, int] = {}
        """Packets that it took out of the ring and dropped, by cause."""
        self.started_ns = 0
        self.busy_before_ns = 0
        """How long it had a processor before its rings were registered."""
        self.queue: PacketQueue | None = None
        self.queue_times: QueueTimes | None = None
        self.threads: list[Thread] = []
        client = experiment.client
        handlers = client.readers if not client.queue_packets else 1
        writers = (handlers if client.echo else 0) + (1 if inbound is not None else 0)
        self._writing = client.writing
        self._write_lock = Lock("client writing") if writers > 1 else None
        self._start(self._main)

    def _start(self, function: Callable[[], object], name: str = "") -> None:
        self.threads.append(self.process.start_thread(function, name, priority=self.experiment.client.priority))

    def _main(self) -> None:
        self._register()
        machine, client = self.system.machine, self.experiment.client
        self.started_ns = machine.now
        if isinstance(machine, LimitedMachine):
            self.busy_before_ns = machine.scheduling(self.threads[0]).busy_until(machine.now)
        if self.ahead is not None:
            self.ahead.begin("client")
        if self.inbound is not None:
            self.inbound.begin(self, machine.now)
            self._start(self.inbound.write_all, "writer")
        if client.reads_plainly:
            self._read()
            return
        if client.queue_packets:
            self.queue = PacketQueue("client", client.queue_packets)
            self.queue_times = QueueTimes(self.queue, machine.time)
            self._start(self._handle_queue, "worker")
        reader = Reader(
            self.rings[0],
            client.reading,
            batch=client.batch,
            meter=client.meter,
            has_several_threads=client.readers > 1,
        )
        for number in range(2, client.readers + 1):
            self._start(lambda: self._read_batches(reader), f"reader {number}")
        self._read_batches(reader)

    def _register(self) -> None:
        process, experiment = self.process, self.experiment
        client, size = experiment.client, ring_bytes_of(experiment.capacity)
        descriptions = []
        for name in ("send", "receive"):
            address = process.memory.allocate(size)
            if not address:
                raise ModelError("there is no memory for the rings")
            event = CountingEvent(f"client {name} TailMoved", manual_reset=False, signalled=False)
            self.events.append(event)
            handle = process.handles.insert(event, EVENT_ALL_ACCESS)
            descriptions.append(RingDescription(size, address, handle))
            ring = ClientRing(
                f"client {name}",
                view(address, size),
                experiment.capacity,
                event,
                has_barrier=client.barrier,
                always_sets=client.always_set,
                recheck_ticks=client.rechecking_ticks,
            )
            self.rings.append(ring)
        file_object = self.device.open(process, GENERIC_READ | GENERIC_WRITE | 3)
        process.handles.insert(file_object, 3)
        status, _ = file_object.control(process, TUN_IOCTL_REGISTER_RINGS, RegisterRings(*descriptions).to_bytes())
        if status:
            raise ModelError(f"the rings could not be registered: status {status:#x}")
        adapter = self.device.adapter
        for own, known in zip(self.rings, (adapter.send_ring.value, adapter.receive_ring.value), strict=True):
            assert known is not None
            words: list[tuple[Word, Word]] = [
                (own.head, known.head), (own.tail, known.tail), (own.alertable, known.alertable)
            ]  # fmt: skip
            for word, same in words:
                # Whoever watches the registered rings sees and traces the client's stores.
                word.number = NOT_TRACED
                self.system.executor.effects.same[word] = same

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """The published protocol: one packet after the other."""
        call, ring, strategy = self.executor.call, self.rings[0], self.experiment.client.reading
        while True:
            packet: bytes | Outcome = call(read, ring, strategy)
            if isinstance(packet, Outcome):
                return
            self._count_read((packet,))
            if not self._handle(packet):
                return

    def _read_batches(self, reader: Reader) -> None:
        call, queue, waits = self.executor.call, self.queue, self.experiment.client.queue_full == "wait"
        while True:
            packets: list[bytes] | Outcome = call(read_batch, reader)
            if isinstance(packets, Outcome):
                return
            if queue is None:
                self._count_read(packets)
            for packet in packets:
                if queue is None:
                    if not self._handle(packet):
                        return
                elif waits:
                    call(enqueue_waiting, queue, packet)
                elif not call(enqueue, queue, packet):
                    self.dropped[QUEUE_FULL] = self.dropped.get(QUEUE_FULL, 0) + 1
                    if self.flows is not None:
                        self.flows.dropped("send", packet, QUEUE_FULL)

    def _handle_queue(self) -> None:
        queue = self.queue
        assert queue is not None
        while True:
            packet: bytes = self.executor.call(dequeue, queue)
            self._count_read((packet,))
            if not self._handle(packet):
                return

    def _count_read(self, packets: Any) -> None:
        self.read += len(packets)
        for packet in packets:
            self.read_bytes += len(packet)
            if self.flows is not None:
                self.flows.delivered("send", packet)

    def _handle(self, packet: bytes) -> bool:
        """Handle a packet, and echo it if the client does so: whether there is any use in going on."""
        client = self.experiment.client
        self.executor.call(work, client.handling_ns(len(packet)))
        if not client.echo:
            return True
        outcome = self.write(packet)
        if outcome is Outcome.WRITTEN:
            self.written += 1
        elif outcome is Outcome.FULL:
            self.echo_dropped += 1
        return outcome is not Outcome.STOPPED

    def write(self, packet: bytes) -> Outcome:
        """Write a packet into the receive ring, on the current thread."""
        ring, strategy = self.rings[1], self._writing
        if self._write_lock is None:
            return self.executor.call(write, ring, packet, strategy)
        return self.executor.call(write_shared, ring, self._write_lock, packet, strategy)

    def take_counts(self) -> None:
        """What it counted where it was run ahead."""
        assert self.ahead is not None
        counts = self.ahead.counts
        self.read, self.read_bytes = counts["read"], counts["read_bytes"]
        self.written, self.echo_dropped = counts["written"], counts["dropped"]
        self.events[0].ended_waits = counts["wakeups"]

    # -- the end ----------------------------------------------------------------------------------------------------

    def busy_ns(self) -> int | None:
        """How long its threads had processors since the registration; None where processors are not limited."""
        machine = self.system.machine
        if not isinstance(machine, LimitedMachine):
            return None
        return sum(machine.scheduling(thread).busy_ns for thread in self.threads) - self.busy_before_ns

    def end(self) -> None:
        """Terminate its threads: one that still waits would keep the whole machine, as nothing sees into its stack."""
        for thread in self.threads:
            self.system.machine.kill(thread)
