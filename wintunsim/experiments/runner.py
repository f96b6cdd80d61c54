"""Running an experiment: one adapter, a client whose routine reads and echoes, traffic for a while, an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wintunsim.attachment import Attachment
from wintunsim.errors import UsageError
from wintunsim.experiments.client_threads import ExperimentClient
from wintunsim.experiments.experiment import Experiment
from wintunsim.experiments.fast.applies import why_not
from wintunsim.experiments.fast.reasons import Unable
from wintunsim.experiments.flows import FlowTable
from wintunsim.experiments.inbound import Inbound, parse_inbound
from wintunsim.experiments.recorder import Recorder
from wintunsim.experiments.result import Result, status_name
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.faults import FaultInjector, FaultPlan
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.kernel.returns import Returner
from wintunsim.kernel.system import System
from wintunsim.network.options import parse_returns, parse_traffic

if TYPE_CHECKING:
    from wintunsim.experiments.fast.engine import Ahead

FALLBACKS = {"fast": "direct", "step": "interpreted"}
"""The engines that know a part of all runs, and which engine has the others."""


def run(
    experiment: Experiment, *, series: bool = False, window_ns: tuple[int, int] | None = None, flows: bool = False
) -> Result:
    """Run an experiment; for the options see `Experiment.run`.

    UsageError for a workload or a window that makes no sense.
    """
    if window_ns is not None and not 0 <= window_ns[0] < window_ns[1]:
        raise UsageError(f"the window is {window_ns!r}: give two virtual times in ns, the earlier one first")
    fallback = FALLBACKS.get(experiment.engine)
    if fallback is None:
        return _run(experiment, series, window_ns, flows)
    reason = "accounts of flows" if flows else why_not(experiment)
    if reason is None:
        try:
            return _run(experiment, series, window_ns, flows, engine=_compiled_engine(experiment))
        except Unable as error:
            reason = str(error)
    experiment = replace(experiment, engine=fallback)
    return replace(_run(experiment, series, window_ns, flows), engine_reason=reason)


def _compiled_engine(experiment: Experiment) -> Callable[..., Ahead]:
    """What makes machine code of the run. It takes a while to load."""
    if experiment.engine == "step":
        from wintunsim.experiments.stepped.engine import Steps

        return Steps
    from wintunsim.experiments.fast.engine import Ahead

    return Ahead


def _run(
    experiment: Experiment,
    series: bool,
    window_ns: tuple[int, int] | None,
    flows: bool,
    *,
    engine: Callable[..., Ahead] | None = None,
) -> Result:
    system = System(
        seed=experiment.seed,
        revision=experiment.driver,
        engine=experiment.machine_engine,
        host=experiment.computer(),
        store_buffer_ns=experiment.store_buffer_ns,
        keeps_trace=experiment.digest or series or window_ns is not None,
    )
    machine = system.machine
    if not experiment.digest:
        machine.trace.leave_out_digest()
    faults = FaultInjector(machine, FaultPlan.parse(*experiment.faults))
    system.fails = faults.fails
    attachment = Attachment(machine)
    system.network = attachment
    table = FlowTable() if flows else None
    found = [parse_traffic(text, index) for index, text in enumerate(experiment.workload)]
    sources = [source for source in found if source is not None]
    ahead = None
    if engine is not None:
        ahead = engine(experiment.client, sources, experiment.duration_ns)
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
        engine_used=client.ahead.name if client.ahead is not None else experiment.engine,
        digest=machine.trace.digest(),
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
