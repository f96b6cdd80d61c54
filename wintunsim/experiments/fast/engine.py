"""The fast engine: from where the rings are registered on, a run is the loop of compiled code.

Everything up to there is done by the machine: its threads stop where they would begin to send, to read and to take.
Then the loop runs them on to the end, and what it came to is put where the machine would have left it. What the loop
does not know raises `Unable`; then the whole run is done by the direct engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wintun_model.receive import read_ring
from wintun_model.status import NdisStatus
from wintunsim.experiments.client import Client
from wintunsim.experiments.fast import reader as driver_reader
from wintunsim.experiments.fast import sender, taker, words
from wintunsim.experiments.fast.host import Draws, give_processors_back, hold_processor, ready_at, take_processors
from wintunsim.experiments.fast.loop import IS_OVER, NEEDS_DRAWS, NEEDS_PACKETS, OVERFLOWED, run_ahead
from wintunsim.experiments.fast.offered import Offered
from wintunsim.experiments.fast.reasons import Unable
from wintunsim.experiments.fast.timings import measure
from wintunsim.experiments.fast.walk import UnknownShape
from wintunsim.experiments.fast.words import NEVER_NS
from wintunsim.kernel.devices import AdapterDevice
from wintunsim.kernel.effects import TICK_NS
from wintunsim.kernel.ndis import CHAIN_PACKETS
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.system import System
from wintunsim.kernel.thread import Thread
from wintunsim.network.closed_loop import TcpTraffic
from wintunsim.network.workloads import Workload

Integers = NDArray[np.int64]
_FULL = int(NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW)
_WINDOW = int(words.OFFERED_PACKETS) - 2 * CHAIN_PACKETS
"""So many packets are asked for at a time."""


class StandIn:
    """A connection while the machine runs, which sends nothing: the loop begins it."""

    def __init__(self, source: TcpTraffic) -> None:
        self.name, self.description = source.name, source.description

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return iter(())


class Ahead:
    """One run ahead. `prepare` before the machine runs, `finish` after it has run."""

    name = "fast"
    """The engine that this is."""

    def __init__(self, client: Client, sources: Sequence[Any], until_ns: int) -> None:
        self._client = client
        self._given = sources
        self._until_ns = until_ns
        self._starts: dict[str, tuple[int, Thread]] = {}
        self._delays: tuple[list[Integers], list[Integers]] = ([], [])
        self._m: Integers | None = None
        self._due: tuple[Integers, ...] = ()
        """Packets that are due, and not yet at the loop's hand."""
        self.sources = [StandIn(source) if isinstance(source, TcpTraffic) else source for source in sources]
        """What the machine is to have as its sources."""

    @property
    def counts(self) -> dict[str, int]:
        """What the client counted: packets and bytes that it read, packets that it wrote and dropped, its wake-ups."""
        m = self._run
        return {
            "read": int(m[words.READ]),
            "read_bytes": int(m[words.READ_BYTES]),
            "written": int(m[words.WRITTEN]),
            "dropped": int(m[words.DROPPED]),
            "wakeups": int(m[words.WAKEUPS]),
        }

    def prepare(self, system: System, device: AdapterDevice) -> None:
        """Have the threads stop where they begin. Unable when the routines are others than those known here."""
        self._system, self._device, self._machine = system, device, system.machine
        self._times, self._counts = self._timings()
        self._draws = Draws(system.machine)
        system.executor.replace(read_ring, lambda adapter: self.begin("reader"))
        device.port.sends = self._begin_sending

    def begin(self, name: str) -> None:
        """A thread begins what is run ahead. With the client everything has begun, or is ready to."""
        machine = self._machine
        assert machine.current is not None
        self._starts[name] = machine.now, machine.current
        hold_processor(machine, machine.current)
        if name == "client":
            machine.stop()
        machine.block()

    def _begin_sending(self) -> None:
        """What the sending thread hands down first is noted at once, as the client's records go on meanwhile."""
        m = self._new_run()
        m[words.LOOKS_FIRST], m[words.NOW] = 1, self._machine.now
        self._goes_on(m)
        self._hand_on()
        self.begin("sender")

    def finish(self) -> None:
        """Run ahead to the end, and leave the counts where the machine would have left them."""
        machine, port = self._machine, self._device.port
        threads = self._begin_threads()
        m = self._run
        while (why := self._goes_on(m)) != IS_OVER:
            if why == OVERFLOWED:
                self._refuse(m)
            if why == NEEDS_PACKETS:
                self._load_packets()
            if why == NEEDS_DRAWS:
                self._draws.draw(m)
            self._hand_on()
        self._hand_on()
        machine.latest = self._end_ns()
        give_processors_back(m, machine, threads)
        port.was_fed(int(m[words.HANDED_DOWN] + m[words.QUEUE_LAST] - m[words.QUEUE_FIRST]) + self._still_due())
        port.send.peak_content_bytes = int(m[words.SEND_PEAK])
        port.send.packets, port.send.size_bytes = int(m[words.READ]), int(m[words.READ_BYTES])
        port.receive.packets = int(m[words.RECEIVED])
        if m[words.REFUSED]:
            port.refused[_FULL] = int(m[words.REFUSED])
        for counts, parts in zip((port.send, port.receive), self._delays, strict=True):
            for part in parts:
                counts.latencies_ns.frombytes(part.tobytes())

    # -- what threads do --------------------------------------------------------------------------------------------

    def _timings(self) -> tuple[Sequence[int], Sequence[Sequence[int]]]:
        """How long parts of routines take, and how often what varies comes on top. Unable for unknown routines."""
        try:
            return measure(self._machine.costs, self._system.driver.revision, self._client)
        except UnknownShape as error:
            raise Unable(f"a routine that is not known: {error}") from error

    def _goes_on(self, m: Integers) -> int:
        """Run on, as far as the loop comes: why it returns."""
        return run_ahead(m)

    def _with_threads(self, m: Integers) -> Integers:
        """The array with all that threads need."""
        return m

    def _begin_sender(self, m: Integers, begins_ns: int) -> None:
        m[words.SENDER_DO], m[words.SENDER_AT] = sender.LOOKS, begins_ns

    def _begin_client_and_reader(self, m: Integers, begins_ns: int, reads_ns: int, *, has_begun: bool) -> None:
        """From when on they go on; whether the reader has begun."""
        # Until here the machine has made all records; none of the loop's may come before its last one.
        sends_ns = m[words.SENDER_AT] + (m[words.T_PUBLISHED] if m[words.SENDER_DO] == sender.LOADS_HEAD else 0)
        if sends_ns <= begins_ns or (m[words.VARIES_AT + words.LOCK] and m[words.SENDER_AT] <= begins_ns):
            raise Unable("a client that begins late")
        m[words.CLIENT_DO], m[words.CLIENT_AT] = taker.LOADS_TAIL, begins_ns + m[words.T_LOADS]
        m[words.READER_DO], m[words.READER_AT] = driver_reader.BEGINS, reads_ns
        if has_begun:
            m[words.READER_DO] = driver_reader.LOADS_TAIL
            m[words.READER_AT] += m[words.T_READER_BEGINS]

    def _refuse(self, m: Integers) -> None:
        """The loop came to what it cannot do."""
        raise Unable("more on its way than there is space for")

    # -- where the loop begins --------------------------------------------------------------------------------------

    @property
    def _run(self) -> Integers:
        assert self._m is not None
        return self._m

    def _new_run(self) -> Integers:
        """Make `m`, with what the system sends."""
        machine, port = self._machine, self._device.port
        network: Any = self._system.network
        numbers = network.source_numbers
        begun_ns = port.links[0][0]
        loops = [
            (source, number)
            for source, number in zip(self._given, numbers, strict=True)
            if isinstance(source, TcpTraffic)
        ]
        windows = [1 + source.options.window_bytes // source.segment_bytes for source, _ in loops]
        processors = machine.host.processors if isinstance(machine, LimitedMachine) else 0
        m = words.new_run(
            port.send.capacity_bytes,
            min(map(_least_bytes, self._given)),
            self._times,
            self._counts,
            windows,
            processors or 0,
        )
        self._m = m = self._with_threads(m)
        m[words.UNTIL], m[words.KEEPS_ROWS] = self._until_ns, machine.trace.is_kept
        m[words.BEGUN] = m[words.NOW] = begun_ns
        assert port.sender is not None
        m[words.SENDER_NUMBER] = port.sender.number
        self._draws.begin(m)
        self._offered = Offered(self._given, numbers, machine.seed, begun_ns)
        self._load_packets()
        for place, (source, number) in enumerate(loops):
            _set_up_loop(m, int(m[words.CONNECTIONS] + place * words.CONNECTION_FIELDS), source, number)
        return m

    def _begin_threads(self) -> tuple[Thread, ...]:
        """Put the threads where they stopped, or where they are to begin. The threads: client, reader, sender."""
        machine, port = self._machine, self._device.port
        reader: Any = self._device.adapter.reader.value
        if "client" not in self._starts or reader is None or port.sender is None:
            raise Unable("a run that ends before it has begun")
        threads = (self._starts["client"][1], reader, port.sender)
        numbers = [thread.number for thread in threads]
        if numbers != sorted(numbers):
            raise Unable("threads in another order")
        if self._m is None:
            m = self._new_run()
            self._goes_on(m)
            self._begin_sender(m, ready_at(machine, port.sender))
        m = self._run
        m[words.CLIENT_NUMBER], m[words.READER_NUMBER] = numbers[0], numbers[1]
        has_begun = "reader" in self._starts
        reads_ns = self._starts["reader"][0] if has_begun else ready_at(machine, reader)
        self._begin_client_and_reader(m, self._starts["client"][0], reads_ns, has_begun=has_begun)
        self._draws.fill(m)
        take_processors(m, machine, threads)
        self._number_objects()
        self._set_up_client()
        return threads

    def _number_objects(self) -> None:
        """Numbers in the trace: of words that have one, and below 0 of events that get it when they are first seen."""
        m, port = self._run, self._device.port
        assert port.send_monitor is not None and port.receive_monitor is not None
        send, receive = port.send_monitor.ring, port.receive_monitor.ring
        m[words.ADAPTER_NUMBER] = port.trace_number
        m[words.SEND_HEAD], m[words.SEND_TAIL], m[words.SEND_ALERTABLE] = (
            send.head.number, send.tail.number, send.alertable.number
        )  # fmt: skip
        m[words.RECEIVE_HEAD], m[words.RECEIVE_TAIL], m[words.RECEIVE_ALERTABLE] = (
            receive.head.number, receive.tail.number, receive.alertable.number
        )  # fmt: skip
        adapter = self._device.adapter
        self._events: dict[int, Any] = {
            int(words.SEND_MOVED): send.tail_moved,
            int(words.RECEIVE_MOVED): receive.tail_moved,
            int(words.EMPTY): adapter.receive_empty,
            int(words.DISCONNECTED): adapter.disconnected,
        }
        for place, event in self._events.items():
            m[place] = event.number or -int(place)

    def _set_up_client(self) -> None:
        m, client, machine = self._run, self._client, self._machine
        reading, writing = client.reading, client.writing
        m[words.ECHOES] = client.echo
        m[words.SPIN_LIMIT] = reading.spin_ticks * TICK_NS
        m[words.SLEEP], m[words.SLEEPS_FINELY] = reading.sleep_ns, reading.sleeps_finely
        m[words.HANDLE], m[words.HANDLE_PS] = client.handle_ns, client.handle_ps_per_byte
        m[words.ALWAYS_SETS], m[words.RECHECK_LIMIT] = client.always_set, client.rechecking_ticks * TICK_NS
        m[words.ATTEMPTS] = writing.attempts
        m[words.WHEN_FULL] = (
            words.SPIN_AGAIN if writing.spin_ticks
            else words.YIELD_AGAIN if writing.yields
            else words.SLEEP_AGAIN if writing.sleep_ns
            else words.AT_ONCE
        )  # fmt: skip
        m[words.FULL_LIMIT] = writing.spin_ticks * TICK_NS
        m[words.FULL_SLEEP], m[words.FULL_FINELY] = writing.sleep_ns, writing.sleeps_finely
        m[words.TICK], m[words.TICK_PHASE] = machine.costs.timer_tick_ns, machine.tick_phase_ns

    def _load_packets(self) -> None:
        """Have more of what is due at hand."""
        m = self._run
        begin, first, last = (int(m[place]) for place in (words.OFFERED_AT, words.OFFERED, words.OFFERED_LAST))
        left = m[first:last].reshape(-1, words.OFFERED_FIELDS).copy()
        if not self._due or not len(self._due[0]):
            self._due = self._offered.take(_WINDOW)
        count = int(words.OFFERED_PACKETS) - len(left)
        more = np.stack([column[:count] for column in self._due], axis=1)
        self._due = tuple(column[count:] for column in self._due)
        found = np.concatenate((left, more)).ravel()
        m[begin : begin + len(found)] = found
        m[words.OFFERED], m[words.OFFERED_LAST], m[words.OFFERED_ENDS] = begin, begin + len(found), not len(more)

    def _end_ns(self) -> int:
        """Until when the machine would have run: a run in which nothing is left to do ends early."""
        m = self._run
        if min(m[place] for place in (words.CLIENT_AT, words.READER_AT, words.SENDER_AT)) < NEVER_NS:
            return self._until_ns
        # Also an event that nobody waits for any more, such as a timer that was set anew, is something to do.
        return min(int(max(m[words.BLOCKED_AT], m[words.LAST_EVENT])), self._until_ns)

    def _still_due(self) -> int:
        """How many packets were due by the end, and not handed down."""
        m, due = self._run, 0
        while True:
            packets = m[m[words.OFFERED] : m[words.OFFERED_LAST]].reshape(-1, words.OFFERED_FIELDS)
            found = int(np.searchsorted(packets[:, words.OFFERED_TIME], self._until_ns, side="right"))
            due += found
            if found < len(packets) or m[words.OFFERED_ENDS]:
                return due
            m[words.OFFERED] = m[words.OFFERED_LAST]
            self._load_packets()

    # -- what the loop came to --------------------------------------------------------------------------------------

    def _hand_on(self) -> None:
        """Hand on the records and delays that the loop has made so far."""
        m = self._run
        begin = int(m[words.ROWS_AT])
        rows = m[begin : begin + m[words.ROWS] * words.RECORD].reshape(-1, words.RECORD)
        while m[words.UNNAMED]:
            unnamed = np.flatnonzero(rows[:, 3] < 0)
            if not len(unnamed):
                m[words.UNNAMED] = 0
                break
            first = int(unnamed[0])
            self._add(rows[:first])
            place, time_ns = -int(rows[first, 3]), int(rows[first, 0])
            event = self._events[place]
            event.number = m[place] = self._machine.trace.define(event.name, time_ns)
            rows = rows[first:]
            rows[rows[:, 3] == -place, 3] = event.number
        self._add(rows)
        m[words.ROWS] = 0
        for parts, place, count in (
            (self._delays[0], words.SEND_DELAYS_AT, words.SEND_DELAYS),
            (self._delays[1], words.RECEIVE_DELAYS_AT, words.RECEIVE_DELAYS),
        ):
            if m[count]:
                parts.append(m[m[place] : m[place] + m[count]].copy())
                m[count] = 0

    def _add(self, rows: Integers) -> None:
        if len(rows):
            self._machine.trace.add_encoded(rows.astype("<i8", copy=False).data.cast("B"))


def _least_bytes(source: Any) -> int:
    """The size of a source's smallest packet."""
    return int(source.sizes.least_bytes if isinstance(source, Workload) else source.size_bytes)


def _set_up_loop(m: Integers, k: int, source: TcpTraffic, number: int) -> None:
    """A connection that has not begun (`network.tcp_sender.TcpSender`)."""
    options, size = source.options, source.segment_bytes
    limit = max(options.window_bytes, size)
    values = {
        words.SEGMENT_BYTES: size,
        words.PACKET_BYTES: source.size_bytes,
        words.LIMIT_BYTES: limit,
        words.SEGMENTS: -1 if source.count is None else source.count,
        words.RTT: source.rtt_ns,
        words.ARRIVES_WHEN_TAKEN: source.acknowledged_by == "taken",
        words.SOURCE: number,
        words.RTO_MIN: options.rto_min_ns,
        words.RTO_INITIAL: options.rto_initial_ns,
        words.RTO_MAX: options.rto_max_ns,
        words.RETRIES: options.retries,
        words.WINDOW: min(options.initial_segments * size, limit),
        words.THRESHOLD: max(options.window_bytes, 2 * size),
        words.RECOVER: -1,
        words.SMOOTHED: -1,
        words.DEADLINE_AT: NEVER_NS,
        words.TIMER_AT: NEVER_NS,
        words.ACKS_AT: NEVER_NS,
    }
    for place, value in values.items():
        m[k + place] = value
