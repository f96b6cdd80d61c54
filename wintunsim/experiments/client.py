"""The client of an experiment: how it waits, what it does with packets, what it does when its ring is full."""

from __future__ import annotations

from dataclasses import dataclass, fields

from wintun_model.client import ReadStrategy, WriteStrategy
from wintun_model.client_strategies import RateMeter
from wintunsim.errors import UsageError

TICKS_PER_US = 10
FULL = ("drop", "spin", "yield", "sleep")
QUEUE_FULL = ("drop", "wait")
_RANGES: dict[str, tuple[float, float]] = {
    "spin_us": (0, 10_000_000),
    "spin_above_bps": (0, 10**12),
    "rate_window_us": (1, 60_000_000),
    "poll_us": (0, 10_000_000),
    "readers": (1, 64),
    "batch": (1, 1024),
    "queue_packets": (0, 1_000_000),
    "handle_ns": (0, 10**9),
    "handle_ps_per_byte": (0, 10**9),
    "full_attempts": (1, 10**9),
    "full_us": (0, 10_000_000),
    "recheck_us": (0, 10_000_000),
    "priority": (1, 31),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client by its strategy: how it reads the send ring, on how many threads, and how it writes the receive ring.

    Whoever handles a packet writes its echo. What the client has of its own for the system comes on another thread.
    UsageError for a value outside of its range.
    """

    spin_us: float = 0
    """How long it spins on an empty ring before it waits, in µs, in steps of 0.1."""
    spin_above_bps: int = 0
    """It spins only while it reads at least so many bits a second; 0 for always."""
    rate_window_us: float = 500_000
    """For that it measures its rate over one such span after the other, in µs."""
    poll_us: float = 0
    """It never waits, but sleeps so long and looks again; 0 for a client that waits."""
    fine_timer: bool = False
    """Whether its sleeps end when they should (a high-resolution timer), and not at a tick of the system timer."""
    readers: int = 1
    """How many threads read the ring; from two on each takes packets under a lock."""
    batch: int = 1
    """It takes up to so many packets and moves `Head` once, before it handles them."""
    queue_packets: int = 0
    """So many packets may stand in a queue between the readers and one thread that handles them; 0 for no queue."""
    queue_full: str = "drop"
    """What a reader does when that is full: drop the packet, wait for space."""
    handle_ns: int = 500
    """What it does with each packet takes so long: encrypting and sending it, say."""
    handle_ps_per_byte: int = 0
    """And so long for each byte, in picoseconds."""
    echo: bool = False
    """Whether it writes each packet into the receive ring once it is handled."""
    full: str = "drop"
    """What it does when the receive ring is full, until it tries again: drop the packet, spin, yield, sleep."""
    full_attempts: int = 1000
    """How often it tries before it drops the packet, unless it drops it at once."""
    full_us: float = 100
    """How long it spins or sleeps in between, in µs."""
    barrier: bool = False
    """Whether it has the full barrier that the published protocol lacks (B3)."""
    always_set: bool = False
    """Whether it sets the driver's event for each packet that it writes, whatever `Alertable` says."""
    recheck_us: float = 0
    """Where `Alertable` is not set it spins so long, and sets the event if that comes to be set, in µs."""
    priority: int = 8
    """Its threads' priority."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, bounds = getattr(self, field.name), _RANGES.get(field.name)
            if bounds is None:
                continue
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or (field.type == "int" and not isinstance(value, int)):
                kind = "whole number" if field.type == "int" else "number"
                raise UsageError(f"{field.name} of the client is {value!r}: give a {kind}")
            if not bounds[0] <= value <= bounds[1]:
                raise UsageError(
                    f"{field.name} of the client is {value}: give a number from {bounds[0]} to {bounds[1]}"
                )
        for name, words in (("full", FULL), ("queue_full", QUEUE_FULL)):
            if getattr(self, name) not in words:
                raise UsageError(f"{name} of the client is {getattr(self, name)!r}: choose one of {', '.join(words)}")

    @property
    def reading(self) -> ReadStrategy:
        """How it waits for packets."""
        return ReadStrategy(
            spin_ticks=round(self.spin_us * TICKS_PER_US),
            sleep_ns=round(self.poll_us * 1000),
            sleeps_finely=self.fine_timer,
        )

    @property
    def writing(self) -> WriteStrategy:
        """What it does when its ring is full."""
        if self.full == "drop":
            return WriteStrategy()
        return WriteStrategy(
            attempts=self.full_attempts,
            spin_ticks=round(self.full_us * TICKS_PER_US) if self.full == "spin" else 0,
            yields=self.full == "yield",
            sleep_ns=round(self.full_us * 1000) if self.full == "sleep" else 0,
            sleeps_finely=self.fine_timer,
        )

    @property
    def rechecking_ticks(self) -> int:
        """How long it spins where `Alertable` is not set, in ticks of the performance counter."""
        return round(self.recheck_us * TICKS_PER_US)

    @property
    def reads_plainly(self) -> bool:
        """Whether it reads one packet after the other, on one thread, as the published protocol says."""
        return self.readers == 1 and self.batch == 1 and not self.queue_packets and not self.spin_above_bps

    @property
    def meter(self) -> RateMeter | None:
        """What measures its rate, if it spins only above one."""
        if not self.spin_above_bps:
            return None
        return RateMeter(round(self.rate_window_us * TICKS_PER_US), self.spin_above_bps)

    def handling_ns(self, size_bytes: int) -> int:
        """How long it takes to handle a packet."""
        return self.handle_ns + self.handle_ps_per_byte * size_bytes // 1000
