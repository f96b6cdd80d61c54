"""`Simulation`: a computer with the Wintun driver, unchanged clients on it, a network on the other side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from types import FrameType
from typing import Any

from wintun_model.revision import DEFAULT_REVISION
from wintunsim.attachment import Attachment
from wintunsim.clients import ClientProcess
from wintunsim.errors import UsageError
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.faults import FaultInjector, FaultPlan
from wintunsim.kernel.host import Host, find_host
from wintunsim.kernel.machine import FOREVER, Thread
from wintunsim.kernel.process import Account, Process
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.kernel.returns import Returner
from wintunsim.kernel.system import System
from wintunsim.ndis import Ndis
from wintunsim.network.host import AnsweringHost
from wintunsim.network.options import parse_duration, parse_returns, parse_traffic
from wintunsim.network.traffic import TrafficSource
from wintunsim.report import Report, format_duration, ring_report
from wintunsim.trace.jsonl import JsonLines
from wintunsim.trace.pcapng import CaptureWriter
from wintunsim.trace.perfetto import PerfettoTrace
from wintunsim.win32.loader import Loader
from wintunsim.win32.thunks import OnCall

GRACE_NS = 1_000_000_000
"""How long a client may go on after its Ctrl+C before it is terminated."""

TERMINATED = 0xC000013A
"""The exit code of a process that Ctrl+C ended (STATUS_CONTROL_C_EXIT)."""


class Simulation:
    """One simulated computer, from power-on to the end of its clients. Two simulations do not disturb each other.

    `seed` decides everything that is random; `driver` is a revision of the driver (`wintun_model.revision.REVISIONS`);
    `costs` says what things cost in virtual time; `engine` is "direct" or "step", with the same results; `host`
    is the computer, as a `Host`, the name of a profile, or that of a file (see `find_host`): how many processors it
    has, how it schedules; `faults` says which allocations fail, `returns` what the system does with packets that it is
    given, as a policy or in the command line's words. UsageError for a revision that is not known, and for words that
    make no sense.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        driver: str = DEFAULT_REVISION,
        costs: Costs | None = None,
        digest: bool = True,
        digest_payload: bool = False,
        engine: str = "direct",
        host: Host | str = "ideal",
        faults: FaultPlan | None = None,
        returns: ReturnPolicy | str | None = None,
    ) -> None:
        self._returns = parse_returns(returns) if isinstance(returns, str) else returns
        self.system = System(
            seed=seed,
            revision=driver,
            costs=costs,
            engine=engine,
            host=find_host(host) if isinstance(host, str) else host,
            keeps_trace=digest,
        )
        self.machine = self.system.machine
        self._faults = FaultInjector(self.machine, faults or FaultPlan())
        self.system.fails = self._faults.fails
        self.system.device_added = self._device_added
        self.attachment = Attachment(self.machine)
        self.system.network = self.attachment
        self.clients: list[ClientProcess] = []
        self.scripts: list[Thread] = []
        """The threads of scripts, see `ndis`."""
        self._ndis: dict[AdapterDevice, Ndis] = {}
        self._digest_payload = digest_payload
        self._payloads: dict[bytes, int] = {}
        self._files: list[JsonLines | PerfettoTrace | CaptureWriter] = []
        self._has_run = False
        self._was_interrupted = False

    # -- building ---------------------------------------------------------------------------------------------------

    def add_adapter(self, name: str = "Wintun") -> AdapterDevice:
        """Put a Wintun adapter on the computer, as an installer would have."""
        return self.system.create_adapter(name)

    def network(self, *traffic: str | TrafficSource, answer: bool | AnsweringHost = True) -> Attachment:
        """Say what the operating system sends, as sources or in the command line's words, and whether a host answers.

        Traffic begins when the first link goes up. UsageError for words that make no sense.
        """
        sources = [
            parse_traffic(source, index) if isinstance(source, str) else source for index, source in enumerate(traffic)
        ]
        self.attachment.add([source for source in sources if source is not None])
        self.attachment.answer_with(AnsweringHost() if answer is True else answer or None)
        return self.attachment

    def ndis(self, adapter: AdapterDevice | str) -> Ndis:
        """The operating system's side of an adapter (as `add_adapter` gave it, or its name), for scripts.

        UsageError for a name that no adapter has.
        """
        devices = [device for device in self.system.all_devices if adapter in (device, device.name)]
        if not devices:
            names = ", ".join(repr(device.name) for device in self.system.all_devices) or "none"
            raise UsageError(f"there is no adapter {adapter!r}: the adapters are {names}")
        if devices[0] not in self._ndis:
            self._ndis[devices[0]] = Ndis(self, devices[0])
        return self._ndis[devices[0]]

    def spawn(
        self,
        client: str | PathLike[str] | Callable[..., Any],
        *arguments: Any,
        module: bool = False,
        account: str = "system",
        environment: Mapping[str, str] | None = None,
        on_call: OnCall | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
    ) -> ClientProcess:
        """Start a client in a simulated process of its own, as soon as the simulation runs.

        `client` is a script's path, a module's name (with `module`), or a callable. `arguments` are the script's
        (strings) or the callable's. `account` is "system", "administrator" or "user". `on_call` is told every DLL call.
        UsageError for a script that is not there or an account that is not one.
        """
        accounts = {account.value: account for account in Account}
        if account not in accounts:
            raise UsageError(f"{account!r} is no account: choose one of {', '.join(accounts)}")
        is_callable = callable(client)
        if is_callable:
            name = getattr(client, "__name__", "client")
        else:
            name = str(client) if module else Path(str(client)).name
            if not module and not Path(str(client)).is_file():
                raise UsageError(f"there is no client script {str(client)!r}: name an existing Python file")
        process = self.system.create_process(name, accounts[account])
        process.ended_callbacks.append(self._process_ended)
        loader = Loader(self.system, process, on_call=on_call)
        running = ClientProcess(
            process,
            loader,
            arguments=() if is_callable else tuple(str(argument) for argument in arguments),
            environment=environment,
            observe=self.system.executor.poll,
            is_known_memory=self.system.is_registered_memory,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        if callable(client):
            main = running.main_callable(client, *arguments)
        elif module:
            main = running.main_module(str(client))
        else:
            main = running.main_script(str(client))
        process.start_thread(main, "main")
        self.clients.append(running)
        return running

    def _need_trace(self, what: str) -> None:
        if not self.machine.trace.is_kept:
            raise UsageError(
                f"{what} needs the trace, which a simulation with digest=False does not keep: leave it out"
            )

    def write_trace(self, path: str | PathLike[str]) -> None:
        """Write the trace to a file as JSON lines (`-` is standard output). UsageError when that cannot be."""
        self._need_trace("a trace file")
        self._files.append(JsonLines(path, self.machine.trace))

    def write_perfetto(self, path: str | PathLike[str]) -> None:
        """Write the trace to a file for ui.perfetto.dev; docs/perfetto.md says what it shows.

        UsageError when that cannot be, and when the library `perfetto` is not installed.
        """
        self._need_trace("a file for Perfetto")
        self._files.append(PerfettoTrace(path, self.system))

    def write_capture(self, path: str | PathLike[str]) -> None:
        """Write what crosses the rings to a pcapng file. UsageError when that cannot be."""
        self.attachment.capture = CaptureWriter(path)
        self._files.append(self.attachment.capture)

    def discard_files(self) -> None:
        """Give up the files of a simulation that will not run. No effect on those of one that has."""
        for file in self._files:
            file.discard()

    # -- running ----------------------------------------------------------------------------------------------------

    def run(self, until: int | str | None = None) -> Report:
        """Run until every client has ended, or nothing can happen any more, or the virtual time `until` has come.

        `until` is in ns, or in words ("2.5s"). At that time each client's main thread gets Ctrl+C; a second later what
        still runs is terminated. A simulation runs once.
        """
        if self._has_run:
            raise UsageError("a simulation runs once: make another Simulation for another run")
        self._has_run = True
        until_ns = parse_duration(until) if isinstance(until, str) else until
        if until_ns is not None and until_ns < 0:
            raise UsageError(f"until={until_ns} is before the start: give a time of at least 0 ns")
        machine = self.machine
        try:
            is_over = not machine.run(FOREVER if until_ns is None else until_ns)
            if until_ns is not None and self._live():
                self._end_at(max(until_ns, machine.latest))
            elif self._was_interrupted and self._live():
                self._end_at(machine.latest)
            return self._report(is_over)
        finally:
            for file in self._files:
                file.close()
            machine.close()

    def interrupt(self) -> None:
        """End the run as if `until` had come: for a person's Ctrl+C. May be called from a signal handler."""
        self._was_interrupted = True
        self.machine.stop()

    def _live(self) -> list[ClientProcess]:
        return [client for client in self.clients if client.exit_code is None]

    def _end_at(self, until_ns: int) -> None:
        """Ctrl+C at `until_ns`; a second later, termination."""
        machine = self.machine
        for client in self._live():
            machine.call_at(until_ns, client.interrupt)
        machine.run(until_ns + GRACE_NS)
        for client in self._live():
            machine.start_thread(f"end of {client.process.name}", partial(client.process.exit, TERMINATED))
        if self._live():
            machine.run(until_ns + 2 * GRACE_NS)

    def _process_ended(self, _process: Process) -> None:
        if not self._live():
            self.machine.stop()

    def run_script(self, script: Callable[[], object]) -> None:
        """What the thread of a script does: the run is over when the last one has ended and there are no clients."""
        try:
            script()
        finally:
            live = [thread for thread in self.scripts if not thread.ended.signalled]
            if not self.clients and len(live) <= 1:
                self.machine.stop()

    def _device_added(self, device: AdapterDevice) -> None:
        if self._digest_payload:
            device.port.payload_seen = self._payload_seen
        if self._returns is not None and self._returns != ReturnPolicy():
            device.port.returner = Returner(device.port, self._returns)
        if self._faults.is_planned("packet data"):
            device.port.data_fails = partial(self._faults.fails, "packet data")

    def _payload_seen(self, payload: bytes) -> None:
        if payload not in self._payloads:
            self._payloads[payload] = number = len(self._payloads) + 1
            self.machine.trace.payload(self.machine.now, number, payload)

    # -- the outcome ------------------------------------------------------------------------------------------------

    def _report(self, is_over: bool) -> Report:
        machine, system = self.machine, self.system
        return Report(
            digest=machine.trace.digest(),
            seed=machine.seed,
            driver=system.driver.revision.name,
            virtual_ns=machine.latest,
            clients=[
                {
                    "name": client.process.name,
                    "process_id": client.process.process_id,
                    "exit_code": client.exit_code,
                }
                for client in self.clients
            ],
            adapters=[
                {
                    "name": device.name,
                    **device.port.report(),
                    "rings": {
                        "send": ring_report(device.port.send),
                        "receive": ring_report(device.port.receive),
                    },
                }
                for device in system.all_devices
            ],
            traffic=self.attachment.report(),
            commands=[
                {"process": client.process.name, "command": command.line, "exit_code": command.exit_code}
                for client in self.clients
                for command in client.commands
            ],
            stuck=self._stuck(is_over),
            faults=self._faults.report(),
            host=machine.report() if isinstance(machine, LimitedMachine) else {"name": "ideal"},
        )

    def _stuck(self, is_over: bool) -> list[str]:
        """Who waits for ever, in words: client threads; scripts, when there are no clients; and then also the driver's.

        Scripts, which stop with the clients, wait for ever only when nothing can happen any more (`is_over`).
        """
        lines = []
        for client in self._live():
            for thread in client.process.threads:
                if not thread.ended.signalled:
                    lines.append(_describe_wait(client, thread))
        if is_over and (self._live() or not self.clients):
            lines += [_describe_block(thread) for thread in self.scripts if not thread.ended.signalled]
        if lines:
            empty = [device.adapter.receive_empty for device in self.system.all_devices]
            lines += [
                _describe_block(thread)
                for thread in self.machine.threads
                if thread.process is None
                and thread not in self.scripts
                and (thread.waiting_for or any(item in empty for item in thread.wait_objects))
            ]
        return lines


def _describe_object(item: Any) -> str:
    """What is waited for, in words: threads and processes are waited for until they end."""
    name: str = item.name.removesuffix(" ended")
    is_end = name != item.name or getattr(item, "type_name", None) in ("Thread", "Process")
    return f"the end of {name}" if is_end else name


def _describe_target(thread: Thread) -> str:
    if thread.wait_objects:
        word = " and " if thread.wait_all else " or "
        return word.join(map(_describe_object, thread.wait_objects))
    return thread.waiting_for or "nothing that is known"


def _describe_block(thread: Thread) -> str:
    """One sentence on a thread of the kernel."""
    return f"{thread.name} waits for {_describe_target(thread)} since {format_duration(thread.waiting_since_ns)}"


def _describe_wait(client: ClientProcess, thread: Thread) -> str:
    """One sentence: which thread waits for what since when, and where in the client."""
    target = _describe_target(thread)
    identity = f"thread {thread.thread_id}"
    threading = client.importer.modules.get("threading")
    python_thread = getattr(threading, "_active", {}).get(thread.thread_id)
    if python_thread is not None:
        identity = f"{python_thread.name!r}, {identity}"
    line = f"{thread.name} ({identity}) waits for {target} since {format_duration(thread.waiting_since_ns)}"
    frame: FrameType | None = thread.greenlet.gr_frame if thread is not None else sys._getframe()
    while frame is not None and not client.is_client_frame(frame):
        frame = frame.f_back
    if frame is not None:
        line += f", at {Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_name}"
    return line


def simulate(
    client: str | PathLike[str] | Callable[..., Any],
    *arguments: Any,
    traffic: Iterable[str | TrafficSource] = (),
    seed: int = 0,
    until: int | str | None = None,
) -> Report:
    """Run one client against one adapter: the short form of `Simulation`."""
    simulation = Simulation(seed=seed)
    simulation.add_adapter()
    simulation.network(*traffic)
    simulation.spawn(client, *arguments)
    return simulation.run(until)
