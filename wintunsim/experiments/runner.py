"""Running an experiment: one adapter, a client whose routine reads and echoes, traffic for a while, an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintun_model.client import ClientRing, Outcome, read, write
from wintun_model.errors import ModelError
from wintun_model.operations import Routine, Word, Work
from wintun_model.ring import ring_bytes_of
from wintun_model.status import NdisStatus
from wintun_model.trace import RECORD_LENGTH, Kind
from wintunsim.attachment import Attachment
from wintunsim.errors import UsageError
from wintunsim.experiments.experiment import Experiment
from wintunsim.experiments.result import Moments, Result, Series, Steps
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.effects import NOT_TRACED
from wintunsim.kernel.executor import Executor
from wintunsim.kernel.faults import FaultInjector, FaultPlan
from wintunsim.kernel.host import profile
from wintunsim.kernel.machine import Thread
from wintunsim.kernel.memory import view
from wintunsim.kernel.objects import EventObject
from wintunsim.kernel.process import Process
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.kernel.returns import Returner
from wintunsim.kernel.system import GENERIC_READ, GENERIC_WRITE, System
from wintunsim.network.options import parse_returns, parse_traffic

EVENT_ALL_ACCESS = 0x1F0003
STEPS_MAX = 4096
"""How many entries one of a run's `Steps` has, at most."""
MOMENTS_MAX = 20_000
"""How many records a window may hold."""


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


class ExperimentClient:
    """The client of one run: its process, rings and thread, and what it counts."""

    def __init__(self, experiment: Experiment, system: System, device: AdapterDevice) -> None:
        self.experiment = experiment
        self.system = system
        self.device = device
        self.process: Process = system.create_process("client")
        self.executor = Executor(system.machine, system, engine=experiment.engine, kernel=system.executor)
        self.rings: list[ClientRing] = []
        self.events: list[CountingEvent] = []
        self.read = 0
        self.read_bytes = 0
        self.written = 0
        self.dropped = 0
        self.started_ns = 0
        self.busy_before_ns = 0
        """How long it had a processor before its rings were registered."""
        self.thread: Thread = self.process.start_thread(self._main, priority=experiment.client.priority)

    def _main(self) -> None:
        self._register()
        machine = self.system.machine
        self.started_ns = machine.now
        if isinstance(machine, LimitedMachine):
            self.busy_before_ns = machine.scheduling(self.thread).busy_until(machine.now)
        self.executor.run(self._echo() if self.experiment.client.echo else self._consume())

    def _register(self) -> None:
        process, capacity = self.process, self.experiment.capacity
        size = ring_bytes_of(capacity)
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
                f"client {name}", view(address, size), capacity, event, has_barrier=self.experiment.client.barrier
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

    def _consume(self) -> Routine[None]:
        client, ring = self.experiment.client, self.rings[0]
        strategy = client.reading
        while True:
            packet = yield from read(ring, strategy)
            if isinstance(packet, Outcome):
                return
            self.read += 1
            self.read_bytes += len(packet)
            yield Work(client.handling_ns(len(packet)))

    def _echo(self) -> Routine[None]:
        client = self.experiment.client
        reading, writing = client.reading, client.writing
        sending, receiving = self.rings
        while True:
            packet = yield from read(sending, reading)
            if isinstance(packet, Outcome):
                return
            self.read += 1
            self.read_bytes += len(packet)
            yield Work(client.handling_ns(len(packet)))
            outcome = yield from write(receiving, packet, writing)
            if outcome is Outcome.WRITTEN:
                self.written += 1
            elif outcome is Outcome.FULL:
                self.dropped += 1
            else:
                return


class StepsRecorder:
    """Collects `Steps`: when there are more than `STEPS_MAX` entries, the spans that they stand for become longer."""

    def __init__(self) -> None:
        self.span_ns = 1
        self.value = 0
        """What it is now."""
        self._rows: list[tuple[int, int, int, int]] = []
        """(number of the span, least, most, last)."""

    def add(self, time_ns: int, value: int) -> None:
        """It changed to `value`. Times never go back."""
        rows, place = self._rows, time_ns // self.span_ns
        self.value = value
        if rows and rows[-1][0] == place:
            _, least, most, _ = rows[-1]
            rows[-1] = (place, min(least, value), max(most, value), value)
            return
        rows.append((place, value, value, value))
        while len(self._rows) > STEPS_MAX:
            self._merge()

    def _merge(self) -> None:
        self.span_ns *= 2
        merged: list[tuple[int, int, int, int]] = []
        for place, least, most, last in self._rows:
            place //= 2
            if merged and merged[-1][0] == place:
                _, least_before, most_before, _ = merged[-1]
                merged[-1] = (place, min(least_before, least), max(most_before, most), last)
            else:
                merged.append((place, least, most, last))
        self._rows = merged

    def steps(self) -> Steps:
        """What was collected."""
        table = np.array(self._rows, dtype=np.int64).reshape(-1, 4)
        return Steps(
            times_ns=table[:, 0] * self.span_ns,
            least=table[:, 1],
            most=table[:, 2],
            last=table[:, 3],
            span_ns=self.span_ns,
        )


class Recorder:
    """Reads the trace as it grows: what is in the rings, what is dropped, and all of it inside of a window."""

    def __init__(self, system: System, device: AdapterDevice, window_ns: tuple[int, int] | None) -> None:
        self.port = device.port
        self.trace = system.machine.trace
        self.window_ns = window_ns
        self.send, self.receive, self.dropped = StepsRecorder(), StepsRecorder(), StepsRecorder()
        self._drops = 0
        self._moments: list[Sequence[int]] = []
        self._content_before: tuple[int, int] | None = None
        self._words: dict[int, tuple[StepsRecorder, list[int], int, int]] = {}
        """Of each word Head or Tail: what it changes, the ring's [Head, Tail], which of the two it is, the mask."""
        self.trace.add_sink(self.take)

    def take(self, records: Sequence[int]) -> None:
        """Take a batch of whole records, flattened."""
        if len(self._words) < 4:
            self._find_words()
        first, last = self.window_ns or (1, 0)
        for start in range(0, len(records), RECORD_LENGTH):
            time_ns, _, kind, subject, value, extra = row = records[start : start + RECORD_LENGTH]
            if time_ns >= first and self._content_before is None:
                self._content_before = (self.send.value, self.receive.value)
            if kind == Kind.STORE and subject in self._words:
                steps, ends, place, mask = self._words[subject]
                ends[place] = value
                if max(ends) <= mask:
                    steps.add(time_ns, (ends[1] - ends[0]) & mask)
            elif kind == Kind.COMPLETE and extra:
                self._drops += 1
                self.dropped.add(time_ns, self._drops)
            # One too many is kept, and refused at the end.
            if first <= time_ns <= last and kind != Kind.NAME and len(self._moments) <= MOMENTS_MAX:
                self._moments.append(row)

    def _find_words(self) -> None:
        """A batch ends when a thread starts, as the driver's reader does before anybody stores into a ring."""
        for monitor, steps in ((self.port.send_monitor, self.send), (self.port.receive_monitor, self.receive)):
            if monitor is not None and monitor.ring.head.number not in self._words:
                ends, mask = [0, 0], monitor.capacity - 1
                self._words[monitor.ring.head.number] = (steps, ends, 0, mask)
                self._words[monitor.ring.tail.number] = (steps, ends, 1, mask)

    def series(self) -> Series:
        """What was collected over the whole run."""
        return Series(
            send_content=self.send.steps(),
            receive_content=self.receive.steps(),
            dropped=self.dropped.steps(),
            capacity_bytes=self.port.send.capacity_bytes,
        )

    def moments(self) -> Moments | None:
        """The window. UsageError when too much happened in it."""
        if self.window_ns is None:
            return None
        if len(self._moments) > MOMENTS_MAX:
            raise UsageError(
                f"the window from {self.window_ns[0]} to {self.window_ns[1]} ns has more than {MOMENTS_MAX} records of "
                "the trace: choose a shorter one"
            )
        records = np.array(self._moments, dtype=np.int64).reshape(-1, RECORD_LENGTH)
        return Moments(
            from_ns=self.window_ns[0],
            to_ns=self.window_ns[1],
            records=records,
            names=tuple(self.trace.names),
            content_bytes=self._content_before or (self.send.value, self.receive.value),
            capacity_bytes=self.port.send.capacity_bytes,
        )


def run(experiment: Experiment, *, series: bool = False, window_ns: tuple[int, int] | None = None) -> Result:
    """Run an experiment; for `series` and `window_ns` see `Experiment.run`.

    UsageError for a workload or a window that makes no sense.
    """
    if window_ns is not None and not 0 <= window_ns[0] < window_ns[1]:
        raise UsageError(f"the window is {window_ns!r}: give two virtual times in ns, the earlier one first")
    system = System(
        seed=experiment.seed, revision=experiment.driver, engine=experiment.engine, host=profile(experiment.host)
    )
    machine = system.machine
    faults = FaultInjector(machine, FaultPlan.parse(*experiment.faults))
    system.fails = faults.fails
    attachment = Attachment(machine)
    system.network = attachment
    sources = [parse_traffic(text, index) for index, text in enumerate(experiment.workload)]
    attachment.add([source for source in sources if source is not None])
    device = system.create_adapter("Wintun")
    returns = parse_returns(experiment.returns)
    if returns != ReturnPolicy():
        device.port.returner = Returner(device.port, returns)
    client = ExperimentClient(experiment, system, device)
    recorder = Recorder(system, device, window_ns) if series or window_ns is not None else None
    try:
        machine.run(experiment.duration_ns)
        result = _account(system, device, client)
        if recorder is None:
            return result
        return replace(result, series=recorder.series() if series else None, moments=recorder.moments())
    finally:
        # A thread that still waits would keep the whole machine: nothing sees into its stack.
        machine.kill(client.thread)
        machine.close()


def _account(system: System, device: AdapterDevice, client: ExperimentClient) -> Result:
    machine, port = system.machine, device.port
    system.poll()
    names = {int(status): status.name for status in NdisStatus}
    dropped = {names.get(status, f"0x{status:08X}"): count for status, count in sorted(port.refused.items())}
    offered = port.due_by(machine.latest)
    delivered = client.read
    busy: dict[str, int | None] = {"client": None, "reader": None}
    if isinstance(machine, LimitedMachine):
        machine.report()
        busy["client"] = machine.scheduling(client.thread).busy_ns - client.busy_before_ns
        reader: Any = device.adapter.reader.value
        busy["reader"] = machine.scheduling(reader).busy_ns if reader is not None else 0
    return Result(
        digest=machine.trace.digest(),
        virtual_ns=max(1, machine.latest - client.started_ns),
        offered=offered,
        delivered=delivered,
        dropped=dropped,
        in_flight=offered - delivered - sum(dropped.values()),
        delivered_bytes=client.read_bytes,
        echo_written=client.written,
        echo_dropped=client.dropped,
        echo_received=port.receive.packets,
        wakeups=client.events[0].ended_waits if client.events else 0,
        client_busy_ns=busy["client"],
        reader_busy_ns=busy["reader"],
        peak_content_bytes=port.send.peak_content_bytes,
        latencies_ns=np.array(port.send.latencies_ns, dtype=np.int64),
        echo_latencies_ns=np.array(port.receive.latencies_ns, dtype=np.int64),
    )
