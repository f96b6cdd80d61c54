"""What things cost in virtual time: plain data, every figure a parameter (spec win32 §7)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Virtual costs of one machine, in ns unless the name says otherwise. The defaults are a quiet desktop."""

    load_ns: int = 2
    """One load or store of a shared word or a variable, in cache."""
    fence_ns: int = 20
    """A full barrier."""
    fence_all_ns: int = 2_000
    """A full barrier on every processor, which takes an interrupt of each."""
    lock_ns: int = 20
    """Taking a free lock; releasing one costs the same again as one store."""
    copy_ps_per_byte: int = 60
    """Copying packet bytes, in picoseconds a byte."""
    event_ns: int = 300
    """Setting an event inside the kernel, from its effect on; clearing one is a store."""
    system_call_ns: int = 500
    """Entering and leaving the kernel with little work done there."""
    user_call_ns: int = 30
    """A call that stays in user mode, such as GetLastError or the performance counter."""
    wake_ns: int = 8_000
    """From the signal until the woken thread runs on another core."""
    yield_ns: int = 200
    """Giving up the processor when nobody else wants it."""
    pass_ns: int = 40
    """One pass of a spin loop."""
    ndis_ns: int = 800
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

    def copy_ns(self, size_bytes: int) -> int:
        """What copying `size_bytes` costs, rounded up to whole ns."""
        return -(-size_bytes * self.copy_ps_per_byte // 1000)
