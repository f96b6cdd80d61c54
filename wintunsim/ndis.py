"""`Ndis`: the operating system's side of an adapter, for scripts of tests and experiments.

A script is a function that runs on a thread of the simulated kernel, in virtual time: it hands chains down, keeps and
returns NBLs, pauses and halts the miniport, asks OIDs. Several scripts of one adapter are several processors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from wintun_model.adapter import Packet, ReceiveNbl, SendChain, SendNbl
from wintun_model.oids import OidAnswer, RequestType, direct_oid_request, oid_request
from wintun_model.operations import Entry, Event
from wintun_model.send import send
from wintun_model.trace import Kind
from wintunsim.errors import UsageError
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.machine import FOREVER, TIMED_OUT, Thread
from wintunsim.kernel.ndis import Port
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.kernel.returns import Returner
from wintunsim.network.options import parse_duration, parse_returns

if TYPE_CHECKING:
    from wintunsim.simulation import Simulation

SCRIPT_PRIORITY = 16
Script = Callable[["Ndis"], object]
Nb = bytes | bytearray | Packet
"""What an NB may be given as: its bytes, or a `Packet` (for instance one whose data cannot be mapped)."""


@dataclass(frozen=True, slots=True)
class Received:
    """A packet that the driver indicated: when (virtual ns), its bytes as they stood in the ring then, its NBL."""

    time_ns: int
    data: bytes
    nbl: ReceiveNbl

    @property
    def ip_version(self) -> int:
        """4 or 6, as the NBL is flagged."""
        return self.nbl.ip_version


class Ndis:
    """NDIS beside one adapter. Got from `Simulation.ndis`; its methods that take time are for scripts.

    `received` and `completed` hold every packet and chain that the driver handed back, in order.
    """

    def __init__(self, simulation: Simulation, device: AdapterDevice) -> None:
        self._simulation = simulation
        self._device = device
        self._machine = simulation.machine
        self.received: list[Received] = []
        self.completed: list[SendChain] = []
        self.on_receive: Callable[[Received], object] | None = None
        """Called inside each indication, on the driver's thread; it may send (spec driver §7.1)."""
        self.on_complete: Callable[[SendChain], object] | None = None
        """Called inside each completion, on the thread that the driver completes on; it may send."""
        self._numbers = 0
        self._source = 0
        self._returned: list[ReceiveNbl] = []
        self._arrived = Event(f"{device.name} packet indicated", manual_reset=False)
        self.port.on_receive = self._indicated
        self.port.on_complete = self._completed

    @property
    def port(self) -> Port:
        """The adapter as the simulated NDIS has it: its counters, its model."""
        return self._device.port

    # -- scripts ----------------------------------------------------------------------------------------------------

    def script(self, function: Script) -> Script:
        """Run `function(ndis)` on a kernel thread of its own from the simulation's start on; also as a decorator.

        An exception in it ends the run and comes out of `Simulation.run`. Once all clients have ended, scripts that
        still run are stopped; without clients the run goes on until the scripts have ended.
        """
        if not callable(function):
            raise UsageError(f"the script {function!r} cannot be called: give a function that takes the Ndis")
        name = f"{self._device.name} script {getattr(function, '__name__', 'script')}"
        run = partial(self._simulation.run_script, partial(function, self))
        self._simulation.scripts.append(self._machine.start_thread(name, run, priority=SCRIPT_PRIORITY))
        return function

    @property
    def time_ns(self) -> int:
        """The virtual time."""
        return self._machine.time()

    def sleep(self, duration: int | str) -> None:
        """Let virtual time pass: ns, or words such as "2.5ms". UsageError for a negative one."""
        thread = self._script_thread("sleep")
        time_ns = _duration("sleep", duration)
        thread.waiting_since_ns = self._machine.now
        self._machine.sleep_until(self._machine.now + time_ns)

    def wait_for_link(self, connected: bool = True, timeout: int | str | None = None) -> bool:
        """Wait until the link is up (or down): whether it came to that within `timeout`."""
        self._script_thread("wait_for_link")
        return self._wait(self.port.link_events[connected], timeout)

    def wait_for_packets(self, count: int, timeout: int | str | None = None) -> bool:
        """Wait until `count` packets have been indicated in all: whether that came within `timeout`.

        One script at a time may wait so.
        """
        self._script_thread("wait_for_packets")
        deadline = self._deadline(timeout)
        while len(self.received) < count:
            if self._machine.wait((self._arrived,), deadline_ns=deadline) == TIMED_OUT:
                return False
        return True

    def _wait(self, event: Event, timeout: int | str | None) -> bool:
        return self._machine.wait((event,), deadline_ns=self._deadline(timeout)) != TIMED_OUT

    def _deadline(self, timeout: int | str | None) -> int:
        return FOREVER if timeout is None else self._machine.now + _duration("the timeout", timeout)

    def _script_thread(self, call: str) -> Thread:
        thread = self._machine.current
        if thread is None:
            raise UsageError(f"{call} takes virtual time: call it in a script, a function given to ndis.script")
        return thread

    # -- sending ----------------------------------------------------------------------------------------------------

    def send(self, *nbls: Nb | Sequence[Nb], stale_link: Entry | None = None) -> SendChain:
        """Hand down one chain of NBLs in one call, on the current thread (spec driver §3). The chain, with statuses.

        Each NBL is given as its NBs: bytes or a `Packet` for an NBL with one NB, a sequence of them for one with
        several. The chain may come back before the call does, or later, when chains before it are not finished.
        `stale_link` is what the link word holds that the driver uses (B7). UsageError outside of a script or callback,
        for an NBL without NBs, and while the miniport is halted, when NDIS would not call it.
        """
        thread = self._script_thread("send")
        if not nbls:
            raise UsageError("send was given no NBL: give at least one, as bytes, a Packet, or a sequence of these")
        if self.port.miniport.state not in ("Running", "Paused", "Pausing"):
            raise UsageError(
                f"send needs a miniport that is started, but that of {self._device.name!r} is "
                f"{self.port.miniport.state}: initialize and restart it first"
            )
        chain = SendChain(tuple(SendNbl(self._packets(nbl)) for nbl in nbls), stale_link=stale_link)
        machine = self._machine
        for packet in chain.packets():
            machine.trace.record(
                (machine.now, thread.number, Kind.SEND, packet.source, packet.number, packet.size_bytes)
            )
        self.port.executor.surroundings.check_memory()
        self.port.executor.call(send, self.port.adapter, chain)
        return chain

    def _packets(self, nbl: Nb | Sequence[Nb]) -> tuple[Packet, ...]:
        nbs = (nbl,) if isinstance(nbl, bytes | bytearray | Packet) else tuple(nbl)
        if not nbs:
            raise UsageError("an NBL of send has no NBs: give it at least one packet")
        if not self._source:
            self._source = self._machine.trace.define(f"{self._device.name} scripts", self._machine.time())
        packets = []
        for nb in nbs:
            if not isinstance(nb, bytes | bytearray | Packet):
                raise UsageError(f"an NB of send is {nb!r}: give bytes or a Packet")
            self._numbers += 1
            known = nb if isinstance(nb, Packet) else Packet(bytes(nb))
            packets.append(Packet(known.data, known.size_bytes, source=self._source, number=self._numbers))
        return tuple(packets)

    def _completed(self, chain: SendChain) -> None:
        self.completed.append(chain)
        if self.on_complete is not None:
            self.on_complete(chain)

    # -- receiving --------------------------------------------------------------------------------------------------

    @property
    def returns(self) -> ReturnPolicy:
        """What the stack does with indicated NBLs; set it to another `ReturnPolicy`, or to the command line's words.

        NBLs that are out already stay under the policy that they came in under.
        """
        returner = self.port.returner
        return returner.policy if returner is not None else ReturnPolicy()

    @returns.setter
    def returns(self, policy: ReturnPolicy | str) -> None:
        """Have NBLs that are indicated from now on come back so. UsageError for words that make no sense."""
        self._returned += self.held
        self.port.returner = Returner(self.port, parse_returns(policy) if isinstance(policy, str) else policy)

    @property
    def held(self) -> tuple[ReceiveNbl, ...]:
        """The NBLs that the stack keeps, oldest first: see `ReturnPolicy.keeps`."""
        kept = self.port.returner.held if self.port.returner is not None else []
        return (*self._returned, *(nbl for nbl in kept if nbl not in self._returned))

    def give_back(self, *nbls: ReceiveNbl) -> None:
        """Return kept NBLs in one call, in the order given; without arguments all of them, oldest first.

        UsageError for one that is not held. Several scripts that return at the same time are several processors.
        """
        self._script_thread("give_back")
        held, chosen = self.held, nbls or self.held
        for nbl in chosen:
            if nbl not in held:
                raise UsageError(f"the NBL number {nbl.number} is not held: give back one of ndis.held, and only once")
        returner = self.port.returner
        for nbl in chosen:
            for kept in (self._returned, returner.held if returner is not None else []):
                if nbl in kept:
                    kept.remove(nbl)
        if chosen and returner is not None:
            returner.give_back(tuple(chosen))

    def _indicated(self, nbl: ReceiveNbl, data: bytes) -> None:
        packet = Received(self._machine.now, data, nbl)
        self.received.append(packet)
        if self._arrived.waiters:
            self._machine.set_event(self._arrived)
        if self.on_receive is not None:
            self.on_receive(packet)

    # -- the miniport -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Where the miniport is in its life: Halted, Paused or Running, others while a call goes on."""
        return self.port.miniport.state

    @property
    def links(self) -> tuple[tuple[int, bool], ...]:
        """The link indications: (virtual time in ns, whether it went up)."""
        return tuple(self.port.links)

    def pause(self) -> None:
        """Pause the miniport: waits until senders are out and NBLs are back. UsageError unless it is Running."""
        self._script_thread("pause")
        self.port.miniport.pause()

    def restart(self) -> None:
        """Restart the miniport. UsageError unless it is Paused."""
        self._script_thread("restart")
        self.port.miniport.restart()

    def halt(self) -> None:
        """Halt the miniport: the registration ends. UsageError unless it is Paused."""
        self._script_thread("halt")
        self.port.miniport.halt()

    def initialize(self) -> int:
        """Initialize the halted miniport, with a new context: an NDIS_STATUS. UsageError unless it is Halted."""
        self._script_thread("initialize")
        return self.port.miniport.initialize()

    def rebalance(self) -> int:
        """Stop the device and start it again, as plug and play does to move its resources (spec driver §7.1).

        That is not refused while handles are open; they stay open, on an adapter that is gone. Answers an NDIS_STATUS:
        a start that fails is followed by a surprise removal.
        """
        self._script_thread("rebalance")
        self.port.stop()
        status = self.port.start()
        if status:
            self.remove_by_surprise()
        return status

    def remove_by_surprise(self) -> None:
        """Take the adapter off the machine, as a device that was pulled out (spec driver §6.4, §9)."""
        self._script_thread("remove_by_surprise")
        self._simulation.system.remove_adapter(self._device)

    # -- OIDs -------------------------------------------------------------------------------------------------------

    def query(self, oid: int, length: int) -> OidAnswer:
        """Query an OID with a buffer of `length` bytes (spec driver §7)."""
        return self.request(RequestType.QUERY_INFORMATION, oid, length)

    def set(self, oid: int, length: int) -> OidAnswer:
        """Set an OID with a buffer of `length` bytes; what is in it makes no difference."""
        return self.request(RequestType.SET_INFORMATION, oid, length)

    def request(self, request_type: int, oid: int, length: int) -> OidAnswer:
        """An OID request of any type, see `wintun_model.oids.RequestType`. UsageError for a length below 0."""
        if length < 0:
            raise UsageError(f"the length of an OID request is {length}: give a number of bytes from 0 on")
        return oid_request(self.port.adapter, request_type, oid, length)

    def direct_request(self, request_type: int) -> OidAnswer:
        """A direct or synchronous OID request."""
        return direct_oid_request(request_type)


def _duration(what: str, duration: int | str) -> int:
    if isinstance(duration, str):
        return parse_duration(duration)
    if isinstance(duration, bool) or not isinstance(duration, int) or duration < 0:
        raise UsageError(f"{what} is {duration!r}: give a whole number of ns from 0 on, or words such as '2.5ms'")
    return duration
