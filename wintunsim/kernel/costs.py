"""What things cost in virtual time: plain data, every figure a parameter (spec win32 §7)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from wintunsim.errors import UsageError
from wintunsim.kernel.distribution import Distribution

Figure = int | Distribution
"""What something costs: always the same, or by chance."""

VARYING = (
    "contended_lock_ns", "copy_ps_per_byte", "event_ns", "lock_ns", "ndis_ns", "system_call_ns", "wake_ns"
)  # fmt: skip
"""The figures that may be distributions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Virtual costs of one machine, in ns unless the name says otherwise. The defaults are a quiet desktop.

    A distribution of one value is kept as a number. UsageError for a distribution where there can be none.
    """

    load_ns: int = 2
    """One load or store of a shared word or a variable, in cache."""
    fence_ns: int = 20
    """A full barrier."""
    fence_all_ns: int = 2_000
    """A full barrier on every processor, which takes an interrupt of each."""
    lock_ns: Figure = 20
    """Taking a free lock; releasing one costs the same again as one store."""
    contended_lock_ns: Figure = 200
    """From the release of a spin lock until a thread that spins for it goes on."""
    copy_ps_per_byte: Figure = 60
    """Copying packet bytes, in picoseconds a byte; where it varies, it is drawn once for each copy."""
    event_ns: Figure = 300
    """Setting an event inside the kernel, from its effect on; clearing one is a store."""
    system_call_ns: Figure = 500
    """Entering and leaving the kernel with little work done there."""
    user_call_ns: int = 30
    """A call that stays in user mode, such as GetLastError or the performance counter."""
    wake_ns: Figure = 8_000
    """From the signal until the woken thread runs on another core."""
    yield_ns: int = 200
    """Giving up the processor when nobody else wants it."""
    pass_ns: int = 40
    """One pass of a spin loop."""
    ndis_ns: Figure = 800
    """One NDIS send, indicate or complete call."""
    allocate_ns: int = 100
    """One small kernel allocation or release."""
    page_ps: int = 100_000
    """Checking, locking and mapping one page, in picoseconds."""
    thread_ns: int = 30_000
    """Starting a thread."""
    loop_ns: int = 40
    """One iteration of a loop in client code (`client.loop_ns`)."""
    timer_tick_ns: int = 15_625_000
    """The system timer's period (spec win32 §3)."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, Distribution):
                continue
            if item.name not in VARYING:
                raise UsageError(f"{item.name} cannot vary: give a whole number (what can: {', '.join(VARYING)})")
            if value.is_constant:
                object.__setattr__(self, item.name, value.median)

    @property
    def is_constant(self) -> bool:
        """Whether nothing is left to chance: every figure is a number."""
        return not any(isinstance(getattr(self, name), Distribution) for name in VARYING)

    def typical(self, name: str) -> int:
        """A figure, or its median where it varies."""
        value = getattr(self, name)
        return value.median if isinstance(value, Distribution) else int(value)

    def copy_ns(self, size_bytes: int) -> int:
        """What copying `size_bytes` costs, typically, rounded up to whole ns."""
        return -(-size_bytes * self.typical("copy_ps_per_byte") // 1000)
