"""`Experiment`: everything that decides a run, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from wintun_model.abi import MAX_RING_CAPACITY, MIN_RING_CAPACITY
from wintun_model.revision import DEFAULT_REVISION, REVISIONS
from wintunsim.errors import UsageError
from wintunsim.experiments.client import Client
from wintunsim.experiments.result import Result
from wintunsim.kernel.faults import FaultPlan
from wintunsim.kernel.host import Host, find_host
from wintunsim.network.options import parse_duration, parse_returns

STORE_BUFFER_MAX_NS = 1_000_000

if TYPE_CHECKING:
    from wintunsim.experiments.sweep import Sweep

TICK_MIN_NS, TICK_MAX_NS = 500_000, 15_625_000
"""The periods that Windows' timer may have (spec win32 §3)."""

ENGINES = {"direct": "direct", "fast": "direct", "step": "step", "interpreted": "step"}
"""What an experiment may be run by, and the engine that the machine has meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One run: what is offered to which client, over which driver, on which computer, for how long.

    UsageError, which names the field, for values that make no sense. Two equal experiments have the same result.
    """

    workload: tuple[str, ...] | str = ("udp:rate=100000,size=1400",)
    """What the system sends, in the words of `--traffic`; one source or several."""
    inbound: tuple[str, ...] | str = ()
    """What comes to the client from outside, for it to write into the receive ring, in the same words."""
    client: Client = field(default_factory=Client)
    host: str = "desktop"
    """The computer, as the name of a profile, or of a file that ends in ".toml"."""
    driver: str = DEFAULT_REVISION
    capacity: int = 0x100000
    """The capacity of each ring, in bytes: a power of two from 128 KiB to 64 MiB."""
    duration: str = "100ms"
    """How long packets are offered, in virtual time from the registration on."""
    returns: str = "inside"
    """When the system gives received packets back, in the words of `--returns`."""
    faults: tuple[str, ...] = ()
    """What fails, in the words of `--fault`; not `packet-data`, whose packets are refused and delivered at once."""
    store_buffer_ns: int = 0
    """How long a store stays where only its own thread sees it, unless a barrier comes before; 0 for not at all."""
    timer_tick: str = ""
    """The system timer's period: a time from 0.5 ms to 15.625 ms; the host's own when it is empty."""
    engine: str = "direct"
    """How it is run: `direct`, `fast` (machine code, where that is possible; needs numba), `step` (every operation, one
    by one, by machine code where that is possible) or `interpreted` (the same in Python). The results are the same."""
    digest: bool = True
    """Whether the result has the digest of all that happened; a run without it is quicker."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("workload", "inbound", "faults"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        if isinstance(self.client, Mapping):
            object.__setattr__(self, "client", Client(**self.client))
        if self.driver not in REVISIONS:
            raise UsageError(f"the driver of the experiment is {self.driver!r}: choose one of {', '.join(REVISIONS)}")
        self.computer()
        is_number = isinstance(self.capacity, int) and not isinstance(self.capacity, bool)
        if not is_number or not MIN_RING_CAPACITY <= self.capacity <= MAX_RING_CAPACITY:
            raise UsageError(
                f"the capacity of the experiment is {self.capacity!r}: give a power of two from {MIN_RING_CAPACITY} to "
                f"{MAX_RING_CAPACITY}"
            )
        if self.capacity & (self.capacity - 1):
            raise UsageError(f"the capacity of the experiment is {self.capacity}: give a power of two")
        if self.engine not in ENGINES:
            raise UsageError(f"the engine of the experiment is {self.engine!r}: choose one of {', '.join(ENGINES)}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 64:
            raise UsageError(f"the seed of the experiment is {self.seed!r}: give an integer from 0 to 2^64 - 1")
        if not self.duration_ns:
            raise UsageError("the duration of the experiment is 0: give a time, such as 100ms")
        buffers = self.store_buffer_ns
        if isinstance(buffers, bool) or not isinstance(buffers, int) or not 0 <= buffers <= STORE_BUFFER_MAX_NS:
            raise UsageError(
                f"store_buffer_ns of the experiment is {buffers!r}: give a whole number from 0 to {STORE_BUFFER_MAX_NS}"
            )
        if self.client.spin_above_bps and self.client.rate_window_us * 1000 >= self.duration_ns:
            raise UsageError(
                f"the client measures its rate over {self.client.rate_window_us / 1000:g} ms, and the experiment is "
                f"over before: give a longer duration than {self.duration}, or a shorter rate_window_us"
            )
        parse_returns(self.returns)
        if any(fault.what == "packet data" for fault in FaultPlan.parse(*self.faults).faults):
            raise UsageError(
                "the fault packet-data is none for experiments: the driver refuses such a packet, delivers zeros for "
                "it, and so it would count twice; leave it out, or give it to wintunsim run as --fault"
            )

    @property
    def duration_ns(self) -> int:
        """The duration in ns."""
        return parse_duration(self.duration)

    @property
    def machine_engine(self) -> str:
        """The engine of the machine itself: direct or step."""
        return ENGINES[self.engine]

    def computer(self) -> Host:
        """The host with the experiment's tick. UsageError when there is none, or when either makes no sense."""
        host = find_host(self.host)
        if not self.timer_tick:
            return host
        tick_ns = parse_duration(self.timer_tick)
        if not TICK_MIN_NS <= tick_ns <= TICK_MAX_NS:
            raise UsageError(f"the timer_tick of the experiment is {self.timer_tick!r}: give 500us to 15.625ms")
        return replace(host, costs=replace(host.costs, timer_tick_ns=tick_ns))

    def run(self, *, series: bool = False, window_ns: tuple[int, int] | None = None, flows: bool = False) -> Result:
        """Run it. The same experiment has the same result, everywhere.

        With `series` the result has what the run was like over time; with `window_ns` the trace between two virtual
        times, so many ns after the start; with `flows` the account of each flow. UsageError for a window that makes no
        sense or has too much in it.
        """
        from wintunsim.experiments.runner import run

        return run(self, series=series, window_ns=window_ns, flows=flows)

    def with_values(self, values: Mapping[str, Any]) -> Experiment:
        """The same with some values changed: fields of the experiment or, by their names, of its client.

        UsageError for a name that neither has.
        """
        own = {item.name for item in fields(self)}
        of_client = {item.name for item in fields(Client)}
        for name in values:
            if name not in own | of_client:
                raise UsageError(
                    f"an experiment has no {name!r}: it has {', '.join(sorted(own))} and, of its client, "
                    f"{', '.join(sorted(of_client))}"
                )
        client = replace(self.client, **{name: value for name, value in values.items() if name in of_client - own})
        changed = {name: value for name, value in values.items() if name in own}
        return replace(self, **{"client": client, **changed})

    def sweep(self, *, seeds: Iterable[int] | int | None = None, **axes: Iterable[Any]) -> Sweep:
        """Every combination of the axes' values, each with every seed; `.run()` of it comes to a table.

        An axis is a field of the experiment or of its client with a list of values, `capacity=[0x100000, 0x200000]`,
        or with a mapping from labels, which stand in the table, to values: `workload={"slow": "udp:…", "IMIX": "…"}`.
        Without `seeds` (a list, or how many) there is the experiment's own. UsageError, which names the axis, for what
        cannot be swept.
        """
        from wintunsim.experiments.sweep import Sweep

        return Sweep.of(self, axes, seeds)

    def as_dict(self) -> dict[str, Any]:
        """The experiment as plain data, ready for JSON; `Experiment(**data)` makes it again."""
        data = asdict(self)
        for name in ("workload", "inbound", "faults"):
            data[name] = list(data[name])
        return data
