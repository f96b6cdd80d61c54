"""Running an experiment: one adapter, a client whose routine reads and echoes, traffic for a while, an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from wintun_model.trace import RECORD_LENGTH, Kind
from wintunsim.attachment import Attachment
from wintunsim.errors import UsageError
from wintunsim.experiments.client_threads import ExperimentClient
from wintunsim.experiments.experiment import Experiment
from wintunsim.experiments.fast.applies import why_not
from wintunsim.experiments.fast.reasons import Unable
from wintunsim.experiments.flows import FlowTable
from wintunsim.experiments.inbound import Inbound, parse_inbound
from wintunsim.experiments.result import Moments, Result, Series, Steps, status_name
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.faults import FaultInjector, FaultPlan
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.kernel.returns import Returner
from wintunsim.kernel.system import System
from wintunsim.network.options import parse_returns, parse_traffic

STEPS_MAX = 4096
"""How many entries one of a run's `Steps` has, at most."""
MOMENTS_MAX = 20_000
"""How many records a window may hold."""


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


def run(
    experiment: Experiment, *, series: bool = False, window_ns: tuple[int, int] | None = None, flows: bool = False
) -> Result:
    """Run an experiment; for the options see `Experiment.run`.

    UsageError for a workload or a window that makes no sense.
    """
    if window_ns is not None and not 0 <= window_ns[0] < window_ns[1]:
        raise UsageError(f"the window is {window_ns!r}: give two virtual times in ns, the earlier one first")
    if experiment.engine != "fast":
        return _run(experiment, series, window_ns, flows)
    reason = "accounts of flows" if flows else why_not(experiment)
    experiment = replace(experiment, engine="direct")
    if reason is None:
        try:
            return _run(experiment, series, window_ns, flows, is_ahead=True)
        except Unable as error:
            reason = str(error)
    return replace(_run(experiment, series, window_ns, flows), engine_reason=reason)


def _run(
    experiment: Experiment, series: bool, window_ns: tuple[int, int] | None, flows: bool, *, is_ahead: bool = False
) -> Result:
    system = System(
        seed=experiment.seed,
        revision=experiment.driver,
        engine=experiment.engine,
        host=experiment.computer(),
        store_buffer_ns=experiment.store_buffer_ns,
        keeps_trace=experiment.digest or series or window_ns is not None,
    )
    machine = system.machine
    faults = FaultInjector(machine, FaultPlan.parse(*experiment.faults))
    system.fails = faults.fails
    attachment = Attachment(machine)
    system.network = attachment
    table = FlowTable() if flows else None
    found = [parse_traffic(text, index) for index, text in enumerate(experiment.workload)]
    sources = [source for source in found if source is not None]
    ahead = None
    if is_ahead:
        from wintunsim.experiments.fast.engine import Ahead  # it takes a while to load

        ahead = Ahead(experiment.client, sources, experiment.duration_ns)
        sources = ahead.sources
    attachment.add(sources if table is None else [table.counted(source) for source in sources])
    device = system.create_adapter("Wintun")
    returns = parse_returns(experiment.returns)
    if returns != ReturnPolicy():
        device.port.returner = Returner(device.port, returns)
    inbound = None
    if experiment.inbound:
        inbound = Inbound(parse_inbound(experiment.inbound, len(found)), machine, device, table)
    client = ExperimentClient(experiment, system, device, inbound, table, ahead)
    recorder = Recorder(system, device, window_ns) if series or window_ns is not None else None
    try:
        if ahead is not None:
            ahead.prepare(system, device)
        machine.run(experiment.duration_ns)
        if ahead is not None:
            ahead.finish()
            client.take_counts()
        result = _account(system, device, client)
        if recorder is None:
            return result
        return replace(result, series=recorder.series() if series else None, moments=recorder.moments())
    finally:
        client.end()
        machine.close()


def _account(system: System, device: AdapterDevice, client: ExperimentClient) -> Result:
    machine, port, experiment = system.machine, device.port, client.experiment
    system.executor.effects.drain_all()
    system.poll()
    dropped = {status_name(status): count for status, count in sorted(port.refused.items())} | client.dropped
    offered = port.due_by(machine.latest)
    delivered = client.read
    reader_busy_ns = None
    if isinstance(machine, LimitedMachine):
        machine.report()
        reader: Any = device.adapter.reader.value
        reader_busy_ns = machine.scheduling(reader).busy_ns if reader is not None else 0
    virtual_ns = max(1, machine.latest - client.started_ns)
    inbound = client.inbound.result(virtual_ns) if client.inbound is not None else None
    return Result(
        engine_used="fast" if client.ahead is not None else experiment.engine,
        digest=machine.trace.digest() if experiment.digest else "",
        virtual_ns=virtual_ns,
        offered=offered,
        delivered=delivered,
        dropped=dropped,
        in_flight=offered - delivered - sum(dropped.values()),
        delivered_bytes=client.read_bytes,
        echo_written=client.written,
        echo_dropped=client.echo_dropped,
        echo_received=port.receive.packets - (inbound.delivered if inbound is not None else 0),
        wakeups=client.events[0].ended_waits if client.events else 0,
        client_busy_ns=client.busy_ns(),
        reader_busy_ns=reader_busy_ns,
        peak_content_bytes=port.send.peak_content_bytes,
        latencies_ns=np.array(port.send.latencies_ns, dtype=np.int64),
        echo_latencies_ns=np.array(port.receive.latencies_ns, dtype=np.int64),
        queue_latencies_ns=client.queue_times.waits_ns() if client.queue_times is not None else None,
        inbound=inbound,
        flows=client.flows.results(virtual_ns) if client.flows is not None else None,
    )
