"""Driver revisions as data (spec driver §9): one frozen record of switches, read where behaviour differs.

The defaults are the behaviour of 0.8.1, the base of the specification; a later revision is the one before it with some
switches turned. A bug of spec driver §10 is nothing special: it is what a revision's switches do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What distinguishes one revision of the driver from another."""

    name: str
    date: str
    """Author date, ISO 8601."""
    version: tuple[int, int]
    """Major and minor as the driver reports them (spec driver §7)."""
    changes: tuple[str, ...] = ()
    """What is new against the revision before it, a sentence each: for people."""

    # Requests (spec driver §5, §6).
    takes_32_bit_record: bool = False
    """A 32-bit process may register with the 24-byte record."""
    admits_administrators: bool = False
    """Administrators are let in beside LocalSystem, and all callers must run at high integrity or above."""
    checks_in_callers_mode: bool = False
    """Event handles and pages of a request from kernel mode are the kernel's own."""
    has_force_close: bool = True
    """The driver knows the force-close control code; else it goes to NDIS (B14)."""
    force_close_tells_nothing_closed: bool = False
    """Force close answers STATUS_NOTHING_TO_TERMINATE when it closed nothing."""
    closes_handles_on_removal: bool = False
    """Query-remove and surprise removal close every handle to the owner file object."""

    # The send path (spec driver §3).
    loads_head_under_lock: bool = False
    """Send `Head` is loaded under the send lock, not before it (B1)."""

    clears_link: bool = False
    """The link word of an entry that joins an active list is cleared (B7)."""

    # The receive path (spec driver §4).
    has_full_barrier: bool = False
    """There is a full barrier between the store of `Alertable` and the load of `Tail` (B3)."""
    may_reread_size: bool = True
    """Compiled code may read a packet's `Size` again after the length check (B4); see `Driver`."""
    skips_other_packets: bool = False
    """A packet that is neither IPv4 nor IPv6 is skipped; else it aborts the reader (B6)."""
    offers_headroom: bool = True
    """An NBL tells NDIS that the ring's bytes before the packet are usable (B5)."""
    allocates_partial_descriptor: bool = False
    """Each NBL has a partial memory descriptor of its own, one more allocation that can fail."""
    partial_descriptor_one_page_short: bool = False
    """That descriptor is sized as if packets began at a page's start, so it may lack the last page."""
    stores_head_under_lock: bool = False
    """A return stores receive `Head` under the receive lock, not after it (B2 between returns)."""

    # What no revision does yet: the proposed changes of the two data paths (see `PROPOSED_CHANGES`).
    counts_before_release: bool = False
    """A send call adds to the statistics before it releases the transition lock, not as the last thing it does."""
    completes_after_release: bool = False
    """A send call completes the chains that it published after it has released the send and the transition lock."""
    indicates_after_release: bool = False
    """The reader releases the transition lock before it indicates an NBL."""
    stores_head_before_empty: bool = False
    """A return stores receive `Head`, under the receive lock, before it sets "receive list empty"."""
    empties_after_return: bool = False
    """"Receive list empty" is set when no return call is under way any more, as the last thing that the last one does;
    the reader takes and releases the receive lock before it ends."""
    refuses_unaligned: bool = False
    """A send `Tail` that is no multiple of 4 is refused at registration, and such a receive `Head` stops the reader."""
    has_barrier_everywhere: bool = False
    """The barrier between the store of `Alertable` and the load of `Tail` is one on every processor."""

    # The miniport (spec driver §7).
    indicates_link_down_at_start: bool = True
    """Initialize indicates media disconnected."""
    reports_full_duplex: bool = False
    """The attributes tell that the media is full duplex."""

    # What no revision does yet: the proposed changes of registrations and adapters' lives (see `PROPOSED_CHANGES`).
    halt_detaches_first: bool = False
    """Halt detaches the context, and keeps the context guard until it has ended the registration."""
    publishes_context_last: bool = False
    """Initialize publishes the context when all of it is ready, and not at all when it fails."""
    removal_looks_for_context: bool = False
    """Query-remove and surprise removal do nothing where there is no adapter context."""
    removal_closes_unlocked: bool = False
    """A removal closes handles after it has released the registration lock."""
    exit_checks_process: bool = False
    """Process exit looks at the owner process again under the registration lock."""
    exit_ends_all: bool = False
    """Process exit ends the registrations of all devices of the process, not of the earliest one only."""
    exit_holds_guard: bool = False
    """Process exit holds the context guard from its look at the list of devices to its end."""
    leaves_list_last: bool = False
    """Unregister leaves the list of devices when the rings' pages are unlocked, not as one of the first things."""

    def switches(self) -> dict[str, bool]:
        """The switches by name, in the order of this record."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.type == "bool"}


class _Step(NamedTuple):
    """One revision as its difference from the one before it."""

    name: str
    date: str
    version: tuple[int, int]
    changes: tuple[str, ...]
    switches: dict[str, bool] = {}


_STEPS = (
    _Step(
        "0.8",
        "2019-12-10",
        (0, 8),
        ("The installer decides once, too early, what it has to do; the driver is that of 0.8.1.",),
    ),
    _Step(
        "0.8.1",
        "2020-02-27",
        (0, 8),
        ("The installer decides anew in each session; the base of the specification.",),
    ),
    _Step(
        "0.9",
        "2020-11-06",
        (0, 9),
        (
            "A 32-bit process may register with the 24-byte record.",
            "Force close answers STATUS_NOTHING_TO_TERMINATE when it closed nothing.",
            "Ring words are loaded with acquire and stored with release semantics (no difference on x86).",
        ),
        {
            "takes_32_bit_record": True,
            "force_close_tells_nothing_closed": True,
        },
    ),
    _Step(
        "0.9.1",
        "2020-11-17",
        (0, 9),
        ("A packet's Size is certainly read once (B4 closed).",),
        {
            "may_reread_size": False,
        },
    ),
    _Step(
        "0.10",
        "2020-12-15",
        (0, 10),
        (
            "NBLs offer no headroom before the packet (B5 closed).",
            "Each packet takes a partial memory descriptor, one page short for some that cross a page's end.",
        ),
        {
            "offers_headroom": False,
            "allocates_partial_descriptor": True,
            "partial_descriptor_one_page_short": True,
        },
    ),
    _Step(
        "0.11",
        "2021-05-10",
        (0, 11),
        ("The partial memory descriptor is sized from the packet's real address.",),
        {
            "partial_descriptor_one_page_short": False,
        },
    ),
    _Step(
        "0.12",
        "2021-06-24",
        (0, 12),
        ("Access for LocalSystem and Administrators, at high integrity or above.",),
        {
            "admits_administrators": True,
        },
    ),
    _Step(
        "0.13",
        "2021-08-02",
        (0, 13),
        (
            "Initialize indicates no link down.",
            "The attributes report full duplex.",
        ),
        {
            "indicates_link_down_at_start": False,
            "reports_full_duplex": True,
        },
    ),
    _Step(
        "0.14",
        "2021-10-12",
        (0, 14),
        (
            "A packet that is neither IPv4 nor IPv6 is skipped and does not stop the adapter (B6 closed).",
            "The force-close control code is gone (B14 closed).",
            "Query-remove and surprise removal close the handles to the owner file object in all processes.",
        ),
        {
            "skips_other_packets": True,
            "has_force_close": False,
            "closes_handles_on_removal": True,
        },
    ),
    _Step(
        "2026-02",
        "2026-02-24",
        (0, 14),
        (
            "Event handles and pages are checked in the caller's mode: the kernel may register too.",
            "The link of the last active-list entry is cleared (B7 closed).",
            "Send Head is loaded under the send lock (B1 closed).",
            "A return stores receive Head under the receive lock (B2 closed between returns).",
            "A full barrier stands between the store of Alertable and the load of Tail (B3, the driver's half).",
        ),
        {
            "checks_in_callers_mode": True,
            "loads_head_under_lock": True,
            "clears_link": True,
            "stores_head_under_lock": True,
            "has_full_barrier": True,
        },
    ),
)


def _history() -> dict[str, Revision]:
    known: dict[str, Revision] = {}
    switches: dict[str, bool] = {}
    for step in _STEPS:
        switches |= step.switches
        known[step.name] = Revision(
            name=step.name, date=step.date, version=step.version, changes=step.changes, **switches
        )
    return known


REVISIONS: dict[str, Revision] = _history()
"""The revisions of the ring generation, oldest first (0.9.2 and 0.14.1 leave the driver unchanged)."""

DEFAULT_REVISION = "0.8.1"

PROPOSED_CHANGES: dict[str, str] = {
    "counts_before_release": (
        "A send call counts before it releases the transition lock: what halt frees is not touched after (B15 closed)."
    ),
    "completes_after_release": (
        "Sends are completed with no lock held: a stack may send from inside a completion (B12 closed for completions)."
    ),
    "indicates_after_release": (
        "Packets are indicated without the transition lock: a stack may send from inside an indication (B12 closed)."
    ),
    "stores_head_before_empty": (
        'A return stores Head before it sets "receive list empty", so nobody stores after the reader (B2 closed).'
    ),
    "empties_after_return": (
        '"Receive list empty" is the last thing that a return call does, under a lock that the reader waits for at its '
        "end: no call is left when memory is freed (B8 closed), or when rings are registered again (B19 closed)."
    ),
    "refuses_unaligned": "Start values that are no multiple of 4 are refused (B11 closed).",
    "has_barrier_everywhere": (
        "The reader's barrier before it sleeps is one on every processor, so clients need none (B3 closed)."
    ),
    "halt_detaches_first": (
        "Halt takes the context guard exclusively, detaches the context and ends the registration before it releases "
        "the guard: no registration comes after (B9 closed)."
    ),
    "publishes_context_last": (
        "Initialize publishes the context as the last thing, so nobody finds one that is not ready or was freed "
        "(B13 closed)."
    ),
    "removal_looks_for_context": (
        "A removal first looks whether there is a context: after a start that failed there is none (B13 closed for "
        "removals)."
    ),
    "removal_closes_unlocked": (
        "A removal closes handles when it has released the registration lock, as each close takes the context guard, "
        "which comes before that lock (B18 closed)."
    ),
    "exit_checks_process": ("Process exit compares the owner process again under the registration lock (B10 closed)."),
    "exit_ends_all": (
        "Process exit ends the registrations of all devices that the process owns (B10 closed, its second half)."
    ),
    "exit_holds_guard": (
        "Process exit holds the context guard from the look-up to the end, so no adapter is freed in between "
        "(B16 closed)."
    ),
    "leaves_list_last": (
        "Unregister leaves the list of devices when the pages are unlocked: process exit finds what it has to wait for "
        "(B17 closed)."
    ),
}
"""The switches of `PROPOSED` that no revision has, each with what the change is and what it closes, in a sentence."""

PROPOSED = replace(
    REVISIONS["2026-02"],
    name="proposed",
    changes=tuple(PROPOSED_CHANGES.values()),
    **dict.fromkeys(PROPOSED_CHANGES, True),  # type: ignore[arg-type]
)
"""2026-02 with the smallest change to each routine that closes every race that is confirmed there. Nobody ships it."""


def revision_named(name: str) -> Revision | None:
    """The revision of that name, the proposed one included; None when there is none."""
    return PROPOSED if name == PROPOSED.name else REVISIONS.get(name)
