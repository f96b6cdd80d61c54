"""Both rings against a plain list of packets: byte for byte, in order, whatever the sizes and the wrap."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintun_model.abi import WINTUN_LIMITS, Limits
from wintun_model.adapter import Packet
from wintun_model.receive import return_nbls
from wintun_model.status import NdisStatus

OVERFLOW = NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW
INVALID_LENGTH = NdisStatus.NDIS_STATUS_INVALID_LENGTH
FAILURE = NdisStatus.NDIS_STATUS_FAILURE

# Small limits make a short run cross the wrap many times; the real ones are tried too.
SMALL = Limits(min_capacity_bytes=256, max_capacity_bytes=1024, max_packet_bytes=100)
SMALL_SIZES = st.integers(0, 104)
REAL_SIZES = st.one_of(st.sampled_from([0, 1, 20, 1420, 65535, 65536]), st.integers(0, 65540))
RINGS = {
    "256 bytes": (256, SMALL, SMALL_SIZES),
    "1024 bytes": (1024, SMALL, SMALL_SIZES),
    "128 KiB": (0x20000, WINTUN_LIMITS, REAL_SIZES),
}
LENGTHS = pytest.mark.parametrize("examples", [20, pytest.param(100, marks=pytest.mark.slow)])


def stored(size):
    """What a packet takes in a ring: 4 bytes of header, and its data rounded up to 4."""
    return 4 + (size + 3) // 4 * 4


class Image:
    """What the data area of a ring must look like, byte by byte."""

    def __init__(self, ring):
        ring.fill()
        self.data = bytearray(ring.memory[12:])

    def write(self, offset, data):
        self.data[offset : offset + 4] = len(data).to_bytes(4, "little")
        self.data[offset + 4 : offset + 4 + len(data)] = data


# -- send ---------------------------------------------------------------------------------------------------------


def send_actions(sizes):
    packets = st.lists(st.tuples(sizes, st.booleans()), min_size=1, max_size=4)
    return st.lists(st.one_of(packets, st.integers(1, 5)), min_size=60, max_size=120)


@LENGTHS
@pytest.mark.parametrize("kind", RINGS)
def test_the_send_ring_is_a_list_of_packets(tools, kind, examples):
    capacity, limits, sizes = RINGS[kind]

    @settings(max_examples=examples)
    @given(st.integers(0, capacity // 4 - 1).map(lambda word: word * 4), send_actions(sizes))
    def check(start, actions):
        bench = tools.Bench(capacity, limits=limits)
        ring = bench.send_ring
        ring.head = ring.tail = start
        image, position = Image(ring), start
        bench.register()
        waiting = deque()
        expected = {"packets": 0, "octets": 0, "errors": 0, "discards": 0}
        for number, action in enumerate(actions):
            if isinstance(action, int):
                # The client reads some packets.
                for _ in range(action):
                    assert ring.pop() == (waiting.popleft() if waiting else None)
                continue
            # NDIS sends a chain; of some packets the bytes cannot be mapped.
            chain = [(size, mapped, tools.packet(size, number)) for size, mapped in action]
            fitting = [entry for entry in chain if entry[0] <= limits.max_packet_bytes]
            used = sum(stored(len(data)) for data in waiting)
            needed = sum(stored(size) for size, _, _ in fitting)
            statuses = bench.send(*(Packet(data if mapped else None, size) for size, mapped, data in chain))
            if used + needed > capacity - 4:
                assert statuses == [OVERFLOW] * len(chain)
                expected["discards"] += len(chain)
                continue
            for (size, mapped, data), status in zip(chain, statuses, strict=True):
                if size > limits.max_packet_bytes:
                    assert status == INVALID_LENGTH
                    expected["errors"] += 1
                    continue
                assert status == (0 if mapped else FAILURE)
                delivered = data if mapped else bytes(size)
                expected["packets" if mapped else "discards"] += 1
                expected["octets"] += size if mapped else 0
                waiting.append(delivered)
                image.write(position, delivered)
                position = (position + stored(size)) % capacity
            assert ring.tail == position
            assert ring.event.signalled
        assert ring.pop_all() == list(waiting)
        assert ring.memory[12:] == image.data
        assert bench.adapter.statistics.as_dict() == {
            "out_octets": expected["octets"],
            "out_unicast_octets": expected["octets"],
            "out_unicast_packets": expected["packets"],
            "out_errors": expected["errors"],
            "out_discards": expected["discards"],
        } | {name: 0 for name in bench.adapter.statistics.as_dict() if name.startswith("in_")}
        bench.close()
        assert ring.tail == 0xFFFFFFFF

    check()


# -- receive ------------------------------------------------------------------------------------------------------


def receive_actions(sizes):
    """Packet sizes to write; whether the next NBL cannot be allocated; which kept NBL comes back, with which status."""
    write = st.tuples(st.just("write"), sizes, st.booleans())
    lack = st.tuples(st.just("lack"), st.none(), st.none())
    give_back = st.tuples(st.just("return"), st.integers(0, 10), st.sampled_from([0, 0x103, 0xC0000001]))
    return st.lists(st.one_of(write, write, give_back, give_back, lack), min_size=60, max_size=120)


@LENGTHS
@pytest.mark.parametrize("kind", RINGS)
@pytest.mark.parametrize("wakes", [True, False], ids=["one by one", "in batches"])
def test_the_receive_ring_is_a_list_of_packets(tools, kind, wakes, examples):
    capacity, limits, _ = RINGS[kind]
    sizes = st.integers(40, limits.max_packet_bytes)

    @settings(max_examples=examples)
    @given(st.integers(0, capacity // 4 - 1).map(lambda word: word * 4), receive_actions(sizes))
    def check(start, actions):
        bench = tools.Bench(capacity, limits=limits, keeps_nbls=True)
        run = ReceiveRun(tools, bench, start)
        for verb, argument, option in actions:
            if verb == "write":
                run.write(argument, 6 if option else 4)
            elif verb == "return":
                run.give_back(argument, option)
            else:
                run.lack()
            if wakes:
                bench.settle()
            run.check()
        bench.settle()
        run.finish()

    check()


class ReceiveRun:
    """A run of the receive ring, with what must come of it."""

    def __init__(self, tools, bench, start):
        self.tools, self.bench, self.ring = tools, bench, bench.receive_ring
        self.ring.head = self.ring.tail = start
        self.image = Image(self.ring)
        self.written = []
        self.number = self.octets = self.packets = self.errors = 0
        bench.register()

    def write(self, size, version):
        """The client writes a packet if there is room for it."""
        used = (self.ring.tail - self.ring.head) % self.ring.capacity
        if used + stored(size) > self.ring.capacity - 4:
            return
        self.number += 1
        data = self.tools.packet(size, self.number, version)
        self.image.write(self.ring.tail, data)
        self.written.append(data)
        self.ring.push(data)

    def lack(self):
        """The next NBL cannot be allocated."""
        self.bench.failures.setdefault("NBL", set()).add(self.bench.attempts["NBL"] + 1)

    def give_back(self, index, status):
        """NDIS returns one of the NBLs that it keeps."""
        kept = self.bench.ndis.kept
        if not kept:
            return
        nbl = kept.pop(index % len(kept))
        nbl.status = status
        if status < 0x80000000:
            self.packets += 1
            self.octets += nbl.size_bytes
        else:
            self.errors += 1
        self.bench.executor.run(return_nbls(self.bench.adapter, (nbl,)))

    def check(self):
        """What holds at any time: NDIS saw what was written, in order; Head stands before what it keeps."""
        ndis, ring = self.bench.ndis, self.ring
        rest = iter(self.written)
        assert all(any(data == other for other in rest) for data in ndis.received)
        for nbl in ndis.kept:
            assert nbl.peek() == self.written[self._place(nbl)]
        if ndis.kept:
            oldest = min(ndis.kept, key=lambda nbl: nbl.number)
            before = (oldest.offset - 4 - ring.head) % ring.capacity
            assert before <= (ring.tail - ring.head) % ring.capacity
        assert ring.memory[12:] == self.image.data

    def _place(self, nbl):
        return self.written.index(self.bench.ndis.received[nbl.number - 1])

    def finish(self):
        """Everything comes back: Head has caught up, and every packet is counted once."""
        bench = self.bench
        while bench.ndis.kept:
            self.give_back(0, 0)
            bench.settle()
        statistics = bench.adapter.statistics
        assert self.ring.head == self.ring.tail
        assert statistics.in_discards == len(bench.failures.get("NBL", ())) - self._lacks_to_come()
        assert len(bench.ndis.received) + statistics.in_discards == len(self.written)
        assert (statistics.in_unicast_packets, statistics.in_octets, statistics.in_errors) == (
            self.packets,
            self.octets,
            self.errors,
        )
        assert self.packets + self.errors == len(bench.ndis.received)
        self.check()
        bench.close()
        assert self.ring.head == 0xFFFFFFFF

    def _lacks_to_come(self):
        return sum(attempt > self.bench.attempts["NBL"] for attempt in self.bench.failures.get("NBL", ()))
