"""What the system around the driver guarantees: switches under which verdicts hold (spec driver §7.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the system around the driver guarantees (spec driver §7.1). Verdicts of a search hold under these rules."""

    release_drains: bool = True
    """Releasing a spin lock is interlocked, and so a barrier."""
    waiting_writer_excludes_readers: bool = True
    """Who waits for a reader/writer lock exclusively keeps new readers out."""
    pause_waits_for_sends: bool = True
    """Pause comes after protocols and filters above are paused: nobody sends or starts to send then."""
    halt_follows_pause: bool = True
    """Halt comes after pause."""
    halt_waits_for_sends: bool = True
    """NDIS holds halt back for sends that are not completed yet."""
    halt_waits_for_returns: bool = False
    """Halt waits for a return call that is still executing."""
    halt_waits_for_send_calls: bool = False
    """Halt waits for a send call that is still executing, when all it was given is completed already."""
    returns_are_serialised: bool = False
    """Return calls never run beside each other."""
    stack_sends_inside: bool = True
    """A protocol may send from inside a receive indication or a send completion."""
    nbl_words_zeroed: bool = False
    """An NBL comes with its reserved words zeroed."""
    opens_wait_for_start: bool = True
    """Opens are refused until the device has started; orderly removal is refused while handles are open."""
    failed_restart_is_removed: bool = True
    """A restart that fails after a stop is followed by a surprise removal."""
    removals_are_serialised: bool = False
    """One device's removal or halt never runs beside another device's."""
    exit_precedes_close: bool = True
    """The process-exit notice comes before the process's handles are closed."""
    close_is_alone: bool = True
    """A close request never runs beside another request on the same file object."""

    def with_changes(self, assume: Sequence[str] = (), deny: Sequence[str] = ()) -> Rules:
        """The rules with some of them switched on or off."""
        return replace(self, **dict.fromkeys(assume, True), **dict.fromkeys(deny, False))
