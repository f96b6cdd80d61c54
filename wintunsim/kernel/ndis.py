"""NDIS beside the driver: who sends, what happens to completed sends and to indicated packets (spec driver §3, §4).

One thread of the system sends for each adapter, so sends do not overlap; when it is late, it hands down what is due in
one chain of NBLs. Received NBLs are returned inside the indication. All that is what the system is free to do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from wintun_model.adapter import Adapter, Packet, ReceiveNbl, Ring, SendChain, SendNbl
from wintun_model.operations import Event, Pages, Routine
from wintun_model.receive import return_nbls
from wintun_model.send import send
from wintun_model.status import NdisStatus
from wintun_model.trace import Kind
from wintunsim.kernel.executor import Executor
from wintunsim.kernel.machine import Thread
from wintunsim.kernel.miniport import Miniport
from wintunsim.kernel.monitor import ReceiveMonitor, RingCounts, SendMonitor
from wintunsim.kernel.returns import Returner

SEND_PRIORITY = 16
CHAIN_PACKETS = 16
"""How many packets NDIS hands down in one call, at most."""
_SEND = int(Kind.SEND)
_COMPLETE = int(Kind.COMPLETE)
_RECEIVE = int(Kind.RECEIVE)
_RETURN = int(Kind.RETURN)

Outgoing = Iterator[tuple[int, int, int, bytes]]
"""What is to be sent: (virtual time in ns, number of the source's name in the trace, packet number, bytes)."""


class Network(Protocol):
    """The other side of an adapter: told of what crosses it. Packets are told only while `is_watching`."""

    is_watching: bool

    def link_changed(self, port: Port, connected: bool) -> None: ...

    def packet_sent(self, port: Port, packet: Packet, status: int) -> None: ...

    def packet_received(self, port: Port, data: bytes) -> None: ...


class Port:
    """One adapter as NDIS has it: `adapter` is the model's, `send` and `receive` count what was seen of its rings."""

    def __init__(
        self,
        executor: Executor,
        adapter: Adapter,
        network: Network | None,
        adapter_taken: Callable[[Port], None] = lambda port: None,
    ) -> None:
        self.executor = executor
        self.machine = executor.machine
        self.miniport = Miniport(self)
        self._record = self.machine.trace.record
        self.adapter_taken = adapter_taken
        """Told when the port has an adapter of the model's, also of each new one after a halt."""
        self.links: list[tuple[int, bool]] = []
        """When the link went up or down, in virtual ns."""
        self.link_events = {
            is_up: Event(f"{adapter.name} link {word}", manual_reset=True, signalled=not is_up)
            for is_up, word in ((True, "up"), (False, "down"))
        }
        """What to wait for until the link is up, or down."""
        self.returner: Returner | None = None
        """What returns NBLs otherwise than inside their indication; None for nothing but that."""
        self.on_receive: Callable[[ReceiveNbl, bytes], None] | None = None
        """Called inside each indication, before the NBL is returned; may send."""
        self.on_complete: Callable[[SendChain], None] | None = None
        """Called inside each completion; may send."""
        self.data_fails: Callable[[], bool] | None = None
        """Whether the data of the next packet cannot be mapped; None for never."""
        self.not_sent: Callable[[list[Packet]], None] | None = None
        """Called with packets that were due while the link was down, which the driver never sees."""
        self.sends: Callable[[], None] = self._send_all
        """What the sending thread does."""
        self.network = network
        self.connected = False
        self.send = RingCounts()
        self.receive = RingCounts()
        self.payload_seen: Callable[[bytes], None] | None = None
        """Called with the bytes of every packet that crosses a ring, when payloads are part of the digest."""
        self.send_monitor: SendMonitor | None = None
        self.receive_monitor: ReceiveMonitor | None = None
        self.refused: dict[int, int] = {}
        """Packets refused or failed by the driver, by status."""
        self.trace_number = self.machine.trace.define(adapter.name, self.machine.time())
        self.handed_down = 0
        """Packets that the system came to send, also those that it did not because the link was down."""
        self._queue: deque[Packet] = deque()
        self._outgoing: Outgoing = iter(())
        self._next: tuple[int, int, int, bytes] | None = None
        self._is_idle = False
        self._sender: Thread | None = None
        self.take_adapter(adapter)

    def take_adapter(self, adapter: Adapter) -> None:
        """Work with this adapter of the model's from now on."""
        self.adapter = adapter
        adapter.send_ring.observer = self._send_ring_set
        adapter.receive_ring.observer = self._receive_ring_set
        self.adapter_taken(self)

    # -- the miniport's life (spec driver §6.4, §7) -----------------------------------------------------------------

    def start(self) -> int:
        """Initialize and restart the miniport on the current thread. Answers an NDIS_STATUS: 0, or why it failed."""
        return self.miniport.initialize() or self.miniport.restart()

    def start_unseen(self) -> int:
        """The same before the machine runs, without a trace."""
        return self.miniport.start_unseen()

    def stop(self) -> None:
        """Pause and halt the miniport on the current thread, which waits for NBLs that are out."""
        if self.miniport.state == "Running":
            self.miniport.pause()
        if self.miniport.state == "Paused":
            self.miniport.halt()

    # -- sending ----------------------------------------------------------------------------------------------------

    def feed(self, outgoing: Outgoing) -> None:
        """Send what `outgoing` gives, each packet at its time."""
        self._outgoing = outgoing
        self._next = next(outgoing, None)
        self._wake_sender()

    def enqueue(self, source: int, number: int, data: bytes) -> None:
        """Send a packet as soon as the system comes to it."""
        self._queue.append(Packet(data, None, source=source, number=number))
        self._wake_sender()

    def _wake_sender(self) -> None:
        if self._sender is None:
            self._sender = self.machine.start_thread(
                f"{self.adapter.name} NDIS send", self.sends, priority=SEND_PRIORITY
            )
        elif self._is_idle:
            self._is_idle = False
            self.machine.make_ready(self._sender, self.machine.time())

    def _send_all(self) -> None:
        machine, executor = self.machine, self.executor
        call, check_memory = executor.call, executor.surroundings.check_memory
        record = machine.trace.record
        assert machine.current is not None
        thread_number = machine.current.number
        while True:
            following = self._next
            if self._queue:
                chain = [self._queue.popleft()]
            elif following is not None and following[0] <= machine.now:
                chain = self._take_due(machine.now)
            else:
                self._is_idle = True
                if following is None:
                    machine.block()
                else:
                    machine.sleep_until(following[0])
                self._is_idle = False
                continue
            self.handed_down += len(chain)
            if not self.connected:
                # The system does not send on an interface whose media is disconnected.
                self._count_refused(int(NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED), len(chain))
                if self.not_sent is not None:
                    self.not_sent(chain)
                continue
            now = machine.now
            for packet in chain:
                record((now, thread_number, _SEND, packet.source, packet.number, packet.size_bytes))
                if self.data_fails is not None and self.data_fails():
                    packet.data = None
            check_memory()
            call(send, self.adapter, SendChain(tuple([SendNbl((packet,)) for packet in chain])))
            machine.trace.checkpoint()

    def _take_due(self, now: int) -> list[Packet]:
        """The packets that are due, at most `CHAIN_PACKETS` of them: what a sender that is late hands down at once."""
        chain: list[Packet] = []
        outgoing = self._outgoing
        following = self._next
        while following is not None and following[0] <= now and len(chain) < CHAIN_PACKETS:
            _, source, number, data = following
            chain.append(Packet(data, None, source=source, number=number))
            following = next(outgoing, None)
        self._next = following
        return chain

    @property
    def sender(self) -> Thread | None:
        """The thread that sends; None before there is anything to send."""
        return self._sender

    def was_fed(self, handed_down: int) -> None:
        """Somebody else has come to send so many packets, all that are due."""
        self._next, self.handed_down = None, handed_down

    def due_by(self, time_ns: int) -> int:
        """How many packets the system was to send by then, if it comes to no more: for the end of a run."""
        late = len(self._queue)
        while self._next is not None and self._next[0] <= time_ns:
            late += 1
            self._next = next(self._outgoing, None)
        return self.handed_down + late

    def _count_refused(self, status: int, count: int = 1) -> None:
        self.refused[status] = self.refused.get(status, 0) + count

    # -- what the driver calls --------------------------------------------------------------------------------------

    def complete_send(self, chain: SendChain) -> Routine[None] | None:
        """A chain comes back from the driver."""
        machine, network, counts = self.machine, self.network, self.send
        now, thread, record = machine.now, machine.current, self._record
        thread_number = thread.number if thread else 0
        for nbl in chain.nbls:
            status = nbl.status
            for packet in nbl.packets:
                record((now, thread_number, _COMPLETE, packet.source, packet.number, status))
                if status:
                    self._count_refused(status)
                else:
                    counts.packets += 1
                    counts.size_bytes += packet.size_bytes
                    if self.payload_seen is not None and packet.data is not None:
                        self.payload_seen(packet.data)
                if network is not None and network.is_watching:
                    network.packet_sent(self, packet, status)
        if self.on_complete is not None:
            self.on_complete(chain)
        return None

    def indicate_receive(self, nbl: ReceiveNbl) -> Routine[None] | None:
        """A packet comes up; it is taken, and returned inside the indication unless there is a returner."""
        machine = self.machine
        data = nbl.peek()
        thread = machine.current
        thread_number = thread.number if thread else 0
        record = self._record
        record((machine.now, thread_number, _RECEIVE, self.trace_number, nbl.number, nbl.size_bytes))
        self.receive.packets += 1
        self.receive.size_bytes += nbl.size_bytes
        if self.payload_seen is not None:
            self.payload_seen(data)
        network = self.network
        if network is not None and network.is_watching:
            network.packet_received(self, data)
        if self.on_receive is not None:
            self.on_receive(nbl, data)
        if self.returner is not None:
            self.returner.take(nbl)
            return None
        record((machine.now, thread_number, _RETURN, self.trace_number, nbl.number, nbl.status))
        self.executor.call(return_nbls, self.adapter, (nbl,))
        if not nbl.number & 63:
            machine.trace.checkpoint()
        return None

    def indicate_link(self, connected: bool) -> Routine[None] | None:
        """The link goes up or down."""
        self.connected = connected
        if connected and self.send_monitor is not None and self.receive_monitor is not None:
            self.send.capacity_bytes = self.send_monitor.capacity
            self.receive.capacity_bytes = self.receive_monitor.capacity
        machine = self.machine
        thread = machine.current
        machine.trace.record(
            (machine.time(), thread.number if thread else 0, int(Kind.LINK), self.trace_number, int(connected), 0)
        )
        self.links.append((machine.time(), connected))
        for is_up, event in self.link_events.items():
            event.signalled = is_up is connected
        machine.signalled(self.link_events[connected])
        if self.network is not None:
            self.network.link_changed(self, connected)
        return None

    # -- rings ------------------------------------------------------------------------------------------------------

    def _send_ring_set(self, ring: Ring | None) -> None:
        if ring is not None:
            self.send_monitor = SendMonitor(self.executor, ring, self.send)
            self.executor.monitors.append(self.send_monitor)

    def _receive_ring_set(self, ring: Ring | None) -> None:
        if ring is not None:
            self.receive_monitor = ReceiveMonitor(self.executor, ring, self.receive, self.adapter.disconnected)
            self.executor.monitors.append(self.receive_monitor)

    def pages_unlocked(self, pages: Pages) -> None:
        """These pages are not the driver's any more: stop looking at them."""
        if self.send_monitor is not None and self.send_monitor.ring.pages is pages:
            self.executor.monitors.remove(self.send_monitor)
            self.send_monitor = None
        if self.receive_monitor is not None and self.receive_monitor.ring.pages is pages:
            self.executor.monitors.remove(self.receive_monitor)
            self.receive_monitor = None

    def report(self) -> dict[str, Any]:
        """The NDIS counters of the adapter (spec driver §7), packets refused by status, why reading was stopped."""
        names = {int(status): status.name for status in NdisStatus}
        refused = {names.get(status, f"0x{status:08X}"): count for status, count in sorted(self.refused.items())}
        return {**self.adapter.statistics.as_dict(), "refused": refused, "aborts": list(self.receive.aborts)}
