"""What both rings must hold, by a model of queues written from spec driver §3 and §4; nothing of the driver's code.

The oracle is told *when* something takes effect (a sender is in, the stack has returned an NBL, the adapter pauses) and
says *what* must then be in memory, in the counters, and on its way to NDIS. It knows nothing of threads and locks.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

STOPPED = 0xFFFFFFFF
HEAD, TAIL, ALERTABLE, DATA = 0, 4, 8, 12
PAUSED, DISCONNECTED, NOT_READY, OVERFLOW = 0xC023002A, 0xC023001F, 0xC0010011, 0x80000005
INVALID_LENGTH, FAILURE = 0xC0010014, 0xC0000001


class Outside(Exception):
    """The driver would leave the ring: it started at an offset that is no multiple of 4 (spec driver §1)."""


def stored(size: int) -> int:
    """What a packet takes in a ring."""
    return 4 + (size + 3) // 4 * 4


@dataclass
class Counters:
    """What the miniport must have counted (spec driver §7)."""

    out_packets: int = 0
    out_octets: int = 0
    out_errors: int = 0
    out_discards: int = 0
    in_packets: int = 0
    in_octets: int = 0
    in_errors: int = 0
    in_discards: int = 0


@dataclass
class Flags:
    """What decides for a whole adapter."""

    running: bool = False
    disconnected: bool = True
    counters: Counters = field(default_factory=Counters)


class RingImage:
    """A ring's memory as it must be: what the client wrote, and what the driver must have written."""

    def __init__(self, image: memoryview, capacity: int) -> None:
        self.image = image
        self.capacity = capacity

    def word(self, offset: int) -> int:
        return int.from_bytes(self.image[offset : offset + 4], "little")

    def set_word(self, offset: int, value: int) -> None:
        self.image[offset : offset + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")

    def read(self, offset: int, size: int) -> bytes:
        if DATA + offset + size > len(self.image):
            raise Outside
        return bytes(self.image[DATA + offset : DATA + offset + size])

    def write(self, offset: int, data: bytes) -> None:
        if DATA + offset + len(data) > len(self.image):
            raise Outside
        self.image[DATA + offset : DATA + offset + len(data)] = data


@dataclass
class Chain:
    """A chain on its way down: (size, its bytes or None) of each packet, by NBL; what it must come back with."""

    nbls: list[list[tuple[int, bytes | None]]]
    end: int = 0
    is_done: bool = False
    is_back: bool = False
    was_in_ring: bool = False
    was_taken_back: bool = False
    """Whether NDIS has got it."""
    has_sender: bool = True
    """Whether the thread that handed it down is in the driver still."""
    statuses: list[int] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)

    def packets(self) -> list[tuple[int, bytes | None]]:
        return [packet for nbl in self.nbls for packet in nbl]


class SendQueue:
    """The send ring of one registration (spec driver §3)."""

    def __init__(self, ring: RingImage, flags: Flags, largest: int, set_event: Callable[[], None]) -> None:
        self.ring, self.flags, self.largest, self.set_event = ring, flags, largest, set_event
        self.reserved = ring.word(TAIL)
        self.active: list[Chain] = []
        self.unread: deque[bytes] = deque()
        """What a client that never broke the rules must find, in order."""

    def enter(self, chain: Chain) -> bool:
        """Steps 3 to 6: whether the chain was taken. Else it is back, with its statuses."""
        ring, counters = self.ring, self.flags.counters
        fitting = [size for size, _ in chain.packets() if size <= self.largest]
        needed = sum(map(stored, fitting)) % 2**32
        head = ring.word(HEAD)
        if head >= ring.capacity:
            return refuse(chain, NOT_READY, counters)
        if (head - self.reserved - 4) % ring.capacity < needed:
            return refuse(chain, OVERFLOW, counters)
        place = self.reserved
        self.reserved = chain.end = (place + needed) % ring.capacity
        # An odd end counts as completed at once (B11).
        chain.is_done = bool(chain.end & 1)
        self.active.append(chain)
        chain.was_in_ring = True
        for nbl in chain.nbls:
            status = 0
            for size, data in nbl:
                if size > self.largest:
                    status = INVALID_LENGTH
                    continue
                ring.write(place, size.to_bytes(4, "little"))
                ring.write(place + 4, bytes(size) if data is None else data)
                chain.delivered.append(bytes(size) if data is None else data)
                status = FAILURE if data is None else status
                place = (place + stored(size)) % ring.capacity
            chain.statuses.append(status)
        return True

    def copied(self, chain: Chain) -> list[Chain]:
        """Steps 7 and 8: the chains that come back now, in order."""
        chain.is_done = True
        counters = self.flags.counters
        for size, data in chain.packets():
            if size > self.largest:
                counters.out_errors += 1
            elif data is None:
                counters.out_discards += 1
            else:
                counters.out_packets += 1
                counters.out_octets += size
        back = []
        while self.active and self.active[0].is_done:
            first = self.active.pop(0)
            first.is_back = True
            self.unread.extend(first.delivered)
            self.ring.set_word(TAIL, first.end & ~3)
            self.set_event()
            back.append(first)
        return back


def refuse(chain: Chain, status: int, counters: Counters) -> bool:
    """The whole chain comes back with one status; all its packets count as discards."""
    chain.statuses = [status] * len(chain.nbls)
    chain.is_back = True
    counters.out_discards += len(chain.packets())
    return False


@dataclass
class Found:
    """A packet that the reader has in hand, or has handed up: data offset, size, end offset."""

    offset: int
    size: int
    end: int
    is_done: bool = False


class ReceiveQueue:
    """The receive ring of one registration: its reader and its NBLs (spec driver §4)."""

    def __init__(
        self,
        ring: RingImage,
        flags: Flags,
        largest: int,
        *,
        skips: bool,
        kinds: tuple[str, ...],
        failing: Counter[str],
        takes_event: Callable[[], bool],
    ) -> None:
        self.ring, self.flags, self.largest = ring, flags, largest
        self.skips = skips
        """Whether a packet that is no IP packet is skipped (0.14)."""
        self.kinds, self.failing = kinds, failing
        """What a packet takes to allocate, in order, and how many of the next attempts of each kind fail."""
        self.takes_event = takes_event
        self.state = "no thread"
        self.cursor = 0
        self.hand: Found | None = None
        self.active: list[Found] = []
        self.skipped_to = 0
        self.consumed: list[bytes] = []
        """The packets that were handed up or dropped since somebody looked, in order."""

    def advance(self) -> None:
        """The reader goes on as far as it can: to sleep, to wait for NBLs, to the transition lock, or to its end."""
        ring = self.ring
        if self.state == "starting":
            self.cursor = ring.word(HEAD)
            if self.cursor >= ring.capacity:
                ring.set_word(HEAD, STOPPED)
                self.state = "ended"
            else:
                self.state = "reading"
        while self._step():
            pass

    def _step(self) -> bool:
        """One step; whether it got on."""
        ring = self.ring
        match self.state:
            case "asleep":
                if not self.flags.disconnected and not self.takes_event():
                    return False
                ring.set_word(ALERTABLE, 0)
                self.state = "reading"
            case "skipping" if not self.active:
                ring.set_word(HEAD, self.skipped_to)
                self.state = "reading"
            case "stopping" if not self.active:
                ring.set_word(HEAD, STOPPED)
                self.state = "ended"
            case "reading" if self.flags.disconnected:
                self.state = "stopping"
            case "reading" if ring.word(TAIL) == self.cursor:
                ring.set_word(ALERTABLE, 1)
                self.state = "asleep"
            case "reading":
                self._take()
            case _:
                return False
        return True

    def _take(self) -> None:
        ring, tail = self.ring, self.ring.word(TAIL)
        self.state = "stopping"
        content = (tail - self.cursor) % ring.capacity
        if tail >= ring.capacity or content < 4:
            return
        size = int.from_bytes(ring.read(self.cursor, 4), "little")
        if size > self.largest or stored(size) > content:
            return
        version = ring.read(self.cursor + 4, 1)[0] >> 4 if size >= 20 else 0
        is_ip = version == 4 or (version == 6 and size >= 40)
        if not is_ip and not self.skips:
            return
        start = self.cursor + 4
        self.cursor = (self.cursor + stored(size)) % ring.capacity
        self.hand = Found(start, size, self.cursor)
        if is_ip and not any(self._fails(kind) for kind in self.kinds):
            self.state = "in hand"
        else:
            self._drop()

    def _fails(self, kind: str) -> bool:
        fails = self.failing[kind] > 0
        self.failing[kind] -= fails
        return fails

    def _drop(self) -> None:
        """Spec driver §4.2."""
        assert self.hand is not None
        self.flags.counters.in_discards += 1
        self.consumed.append(bytes(self.ring.image[DATA + self.hand.offset :][: self.hand.size]))
        self.skipped_to, self.hand = self.hand.end, None
        self.state = "skipping"

    def hand_up(self) -> Found | None:
        """The reader has the transition lock: what must be indicated now, if anything (step 4)."""
        self.advance()
        assert self.state == "in hand" and self.hand is not None, f"the reader is {self.state}, and hands up a packet"
        if not self.flags.running:
            self._drop()
            return None
        found, self.hand = self.hand, None
        found.is_done = bool(found.end & 1)
        self.active.append(found)
        self.consumed.append(self.ring.read(found.offset, found.size))
        self.state = "reading"
        return found

    def returned(self, found: Found) -> None:
        """NDIS has returned one (§4.4)."""
        found.is_done = True
        while self.active and self.active[0].is_done:
            self.ring.set_word(HEAD, self.active.pop(0).end & ~3)
