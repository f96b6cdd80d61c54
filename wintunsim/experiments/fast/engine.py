"""The engine that runs ahead: from where the rings are registered on, each thread on its own and many packets at once.

Everything up to there is done by the machine. Then the sending thread, the client and the driver's reader are run
ahead by turns, each as far as it depends on nothing that another may still do, and their records are put in order.
What cannot be run ahead raises `Unable`; then the whole run is done anew by the direct engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wintun_model.errors import ModelError
from wintun_model.receive import read_ring
from wintun_model.status import NdisStatus
from wintun_model.trace import Kind
from wintunsim.experiments.client import Client
from wintunsim.experiments.fast.offered import Offered
from wintunsim.experiments.fast.reader import Reader
from wintunsim.experiments.fast.rows import SENDER, Rows
from wintunsim.experiments.fast.sender import Chains, Sender
from wintunsim.experiments.fast.taker import Taker, Unable
from wintunsim.experiments.fast.timings import Timings, measure
from wintunsim.experiments.fast.walk import UnknownShape
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.ndis import CHAIN_PACKETS
from wintunsim.kernel.system import System
from wintunsim.kernel.thread import Thread

Integers = NDArray[np.int64]
_CAREFUL_ROUNDS = 30
"""So many times it looks whether rings have room, once they had none."""
_FULL = int(NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW)


class Ahead:
    """One run ahead. `prepare` before the machine runs, `finish` after it has run."""

    def __init__(self, client: Client, sources: Any, until_ns: int) -> None:
        self._client = client
        self._sources = sources
        self._until_ns = until_ns
        self._starts: dict[str, tuple[int, Thread]] = {}
        self._sent_first = 0
        self._pending_resets: list[int] = []
        self._published_ns = -1
        self._put_in = 0
        self._offset = 0
        self._peak_bytes = 0
        self._handed_down = 0
        self._offered = 0
        self.taker: Taker

    def prepare(self, system: System, device: AdapterDevice) -> None:
        """Have the threads stop where they begin. Unable when the routines are others than those known here."""
        self._system, self._device = system, device
        reading = self._client.reading
        try:
            self._timings: Timings = measure(
                system.machine.costs, system.driver.revision, has_barrier=self._client.barrier, strategy=reading
            )
        except UnknownShape as error:
            raise Unable(f"a routine that is not known: {error}") from error
        system.executor.replace(read_ring, lambda adapter: self.begin("reader"))
        device.port.sends = self._begin_sending

    def begin(self, name: str) -> None:
        """A thread begins what is run ahead."""
        machine = self._system.machine
        assert machine.current is not None
        self._starts[name] = machine.now, machine.current
        machine.block()

    def _begin_sending(self) -> None:
        """What the sending thread hands down first is noted at once: the client's records go on meanwhile."""
        machine = self._system.machine
        thread = machine.current
        assert thread is not None
        network: Any = self._system.network
        numbers = network.source_numbers
        offered = Offered(self._sources, numbers, machine.seed, machine.now)
        for time_ns, size, source, number in zip(*offered.take(CHAIN_PACKETS), strict=True):
            if time_ns > machine.now or self._sent_first == CHAIN_PACKETS:
                break
            self._sent_first += 1
            machine.trace.record((machine.now, thread.number, Kind.SEND, int(source), int(number), int(size)))
        self._numbers = numbers
        self.begin("sender")

    def finish(self) -> None:
        """Run ahead to the end, and leave the counts where the machine would have left them."""
        machine, port, until = self._system.machine, self._device.port, self._until_ns
        if set(self._starts) != {"client", "reader", "sender"}:
            raise Unable("a run that ends before it has begun")
        starts = {name: start for name, (start, _) in self._starts.items()}
        threads = [self._starts[name][1] for name in ("client", "reader", "sender")]
        if not threads[0].number < threads[1].number < threads[2].number:
            raise Unable("threads in another order")
        if starts["client"] >= starts["sender"] + self._timings.send.published:
            raise Unable("a client that begins late")
        numbers = threads[0].number, threads[1].number, threads[2].number
        self._rows = rows = Rows(machine.trace, until, numbers)
        offered = Offered(self._sources, self._numbers, machine.seed, starts["sender"])
        self._reader = reader = Reader(self._timings, self._device, starts["reader"], rows, until)
        self.taker = taker = Taker(
            self._timings, self._client, port, reader if self._client.echo else None, starts["client"], rows, until
        )
        if not self._client.echo:
            reader.end()
        self._run(Sender(self._timings, port.send.capacity_bytes, offered, starts["sender"], until))
        machine.latest = until
        port._next = None
        port.handed_down = max(self._offered, self._handed_down)
        port.send.peak_content_bytes = min(self._peak_bytes, port.send.capacity_bytes - 4)
        port.send.packets, port.send.size_bytes = taker.read, taker.read_bytes
        port.receive.packets = reader.received
        for counts, latencies in ((port.send, taker.latencies), (port.receive, reader.latencies)):
            for part in latencies:
                counts.latencies_ns.frombytes(part.astype(np.int64).tobytes())

    def _run(self, sender: Sender) -> None:
        taker, reader, rows = self.taker, self._reader, self._rows
        place = sender.base
        careful = 0
        while not sender.is_done:
            sender.load()
            chains = None
            if not careful:
                chains = self._hopefully(sender)
                careful = 0 if chains is not None else _CAREFUL_ROUNDS
            else:
                careful -= 1
            if chains is None:
                before = sender.place
                chains = sender.advance(taker.taken)
                if chains is not None:
                    self._publish(sender, chains)
                elif not sender.is_done and sender.place == before:
                    raise ModelError("the sender does not go on")
                taker.advance()
                if self._client.echo:
                    reader.advance()
            if chains is not None:
                self._note(sender, chains)
            bounds = [sender.key_ns, taker.begin_ns]
            if self._client.echo:
                bounds.append(reader.look_ns)
            rows.flush(min(bounds))
            taker.taken.forget(sender.free_ns)
            reader.returned.forget(taker.begin_ns)
            place = sender.base
        self._offered = place + int(np.searchsorted(sender.times, self._until_ns, side="right"))
        if sender.has_ended:
            raise Unable("a workload that ends")
        taker.end()
        if self._client.echo:
            reader.end()
        rows.flush(self._until_ns + 1)

    def _hopefully(self, sender: Sender) -> Chains | None:
        """Go on as if both rings had room for everything. If they had not, go back, and answer None."""
        taker, reader, rows = self.taker, self._reader, self._rows
        kept = [(part, part.state()) for part in (sender, taker, reader, rows)]
        chains = sender.advance(None)
        taker.is_hopeful = True
        if chains is not None:
            self._publish(sender, chains)
            taker.advance()
            if self._client.echo:
                reader.advance()
        if chains is None or (sender.has_room(chains, taker.taken) and taker.has_room()):
            taker.is_hopeful = False
            return chains
        for part, state in kept:
            part.restore(state)
        return None

    def _publish(self, sender: Sender, chains: Chains) -> None:
        """Tell the client what appears in its ring."""
        accepted = chains.is_accepted
        if accepted.all():
            first, last, published = chains.first, chains.last, chains.published
            sizes = sender.sizes[int(first[0]) : int(last[-1])]
        else:
            first, last, published = chains.first[accepted], chains.last[accepted], chains.published[accepted]
            parts = [sender.sizes[start:end] for start, end in zip(first.tolist(), last.tolist(), strict=True)]
            sizes = np.concatenate(parts) if parts else sender.sizes[:0]
        self.taker.add(np.repeat(published, last - first), sizes)

    def _note(self, sender: Sender, chains: Chains) -> None:
        """Make the records of chains, now that it is known what the client did meanwhile."""
        rows, port = self._rows, self._device.port
        counts = chains.last - chains.first
        packets = slice(int(chains.first[0]), int(chains.last[-1]))
        sizes, sources, numbers = sender.sizes[packets], sender.sources[packets], sender.numbers[packets]
        accepted = chains.is_accepted
        published = chains.published[accepted]
        monitor = port.send_monitor
        assert monitor is not None
        ring, mask = monitor.ring, monitor.mask
        if len(published):
            required = sender.stored[chains.last] - sender.stored[chains.first]
            totals = self._put_in + np.cumsum(required[accepted])
            offsets = totals & mask
            old = np.concatenate(([self._put_in & mask], offsets[:-1]))
            self._put_in = int(totals[-1])
            done = int(np.searchsorted(published, self._until_ns, side="right"))
            content = totals[:done] - self.taker.taken.at(published[:done])
            self._peak_bytes = max(self._peak_bytes, int(content.max(initial=0)))
            rows.add(SENDER, published, published, Kind.STORE, ring.tail.number, offsets, old)
            event = rows.object_number(ring.tail_moved)
            rows.add(SENDER, published, published, Kind.SET, event, self._was_set(published), 0)
        status = np.where(accepted, 0, _FULL)
        completed = np.repeat(chains.completed, counts)
        rows.add(SENDER, completed, completed, Kind.COMPLETE, sources, numbers, np.repeat(status, counts))
        key, start = np.repeat(chains.key, counts), np.repeat(chains.start, counts)
        skip, self._sent_first = self._sent_first, 0
        rows.add(SENDER, key[skip:], start[skip:], Kind.SEND, sources[skip:], numbers[skip:], sizes[skip:])
        self._handed_down = sender.base + int(
            chains.last[np.searchsorted(chains.key, self._until_ns, side="right") - 1]
        )
        refused = int(counts[~accepted & (chains.completed <= self._until_ns)].sum())
        if refused:
            port.refused[_FULL] = port.refused.get(_FULL, 0) + refused

    def _was_set(self, published: Integers) -> Integers:
        """Whether each set of the event finds it set: unless a wait or a clear of the client's came in between."""
        was_set = np.ones(len(published), dtype=np.int64)
        if self._published_ns < 0:
            was_set[0] = 0
        resets = self._pending_resets + self.taker.resets
        self.taker.resets = []
        places = np.searchsorted(published, np.array(resets, dtype=np.int64), side="left")
        was_set[places[places < len(published)]] = 0
        self._pending_resets = resets[int(np.searchsorted(places, len(published))) :]
        self._published_ns = int(published[-1])
        return was_set
