"""The claims that scenarios are about: the known bugs of spec driver §10, and what the search found beyond them.

What a claim's scenarios say, and which revisions have it, is not here: that is what the search says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim. `switches` are the changes of the proposed revision that close it (`revision.PROPOSED_CHANGES`)."""

    name: str
    title: str
    shows: str
    """How it shows to a user."""
    closed_by: str
    """What closes it: a revision, or a change in words."""
    switches: tuple[str, ...] = ()
    mended_by: tuple[str, ...] = ()
    """The switches of the revision that has closed it, or part of it."""
    is_new: bool = False
    """Whether the specification does not have it: it was found while the search was put to use."""


_CLAIMS = (
    Claim(
        name="B1",
        title="Concurrent senders count free space from a stale Head",
        shows=(
            "Packets that the client has not read yet are overwritten: it sees garbage, or a Size that cannot be, and "
            "a careful client gives the registration up. It takes two processors that send, and a nearly full ring."
        ),
        closed_by="2026-02 loads Head under the send lock.",
        mended_by=("loads_head_under_lock",),
    ),
    Claim(
        name="B2",
        title="Receive Head is stored outside the lock, or after the list is said to be empty",
        shows=(
            "Head goes back, and the client believes that the ring is fuller than it is, until it is full for good; or "
            "the final 0xFFFFFFFF is overwritten, and the client never learns that the driver has stopped reading."
        ),
        closed_by=(
            "2026-02 stores Head under the receive lock, which is enough between two return calls. Against the reader "
            "the store has to come before the event that says that the list is empty."
        ),
        switches=("stores_head_before_empty",),
        mended_by=("stores_head_under_lock",),
    ),
    Claim(
        name="B3",
        title="No full barrier between a store of one word and the load of another",
        shows=(
            "A packet lies in the ring and nobody wakes up for it, until the next packet comes: stalls of seconds "
            "under light load. Only processors with store buffers do this, so a search without them cannot find it."
        ),
        closed_by=(
            "A full barrier on both sides: 2026-02 has one in the driver and one in wintun.dll. A client that is "
            "written from the published protocol has none; the driver alone can close it with a barrier on all "
            "processors."
        ),
        switches=("has_barrier_everywhere",),
        mended_by=("has_full_barrier",),
    ),
    Claim(
        name="B4",
        title="Size may be read again after its check",
        shows=(
            "A client that changes Size between the two reads makes the driver hand up bytes beyond the packet. No "
            "careful client does; a hostile one may."
        ),
        closed_by="0.9.1 reads Size once for certain.",
        mended_by=("may_reread_size",),
    ),
    Claim(
        name="B5",
        title="The bytes before a received packet are offered as headroom",
        shows=(
            "Behind a virtual switch the ring's words or the packet's own Size are overwritten with a link header; the "
            "adapter stops receiving, or hands up garbage."
        ),
        closed_by="0.10 describes only the packet's own bytes.",
        mended_by=("offers_headroom",),
    ),
    Claim(
        name="B6",
        title="A packet that is neither IPv4 nor IPv6 ends the reader",
        shows="One such packet, and the adapter receives nothing until the client registers again.",
        closed_by="0.14 skips the packet.",
        mended_by=("skips_other_packets",),
    ),
    Claim(
        name="B7",
        title="The link of the last entry of an active list is not cleared",
        shows=(
            "If a stack hands down NBLs with a word that is not zero where the driver keeps its link, the driver takes "
            "foreign memory for a packet. Never observed."
        ),
        closed_by="2026-02 clears the link.",
        mended_by=("clears_link",),
    ),
    Claim(
        name="B8",
        title="A return call goes on after the list is said to be empty",
        shows=(
            "The system stops with an error when a handle is closed, or an adapter disabled, under load: the call "
            "frees its packet into a pool, or reads memory, that is gone."
        ),
        closed_by="The event that says that the list is empty is the last thing that a return call does.",
        switches=("empties_after_return",),
    ),
    Claim(
        name="B9",
        title="A registration succeeds while the adapter is halted",
        shows=(
            "The system stops with an error when an adapter is disabled or removed just as a client starts: the client "
            "has rings and a reader thread on an adapter whose memory is gone."
        ),
        closed_by="Halt detaches the context before it ends the registration, and keeps requests out meanwhile.",
        switches=("halt_detaches_first",),
    ),
    Claim(
        name="B10",
        title="The exit of one process ends another one's registration, or forgets one of its own",
        shows=(
            "A service hands its device on to its successor and dies: the successor's tunnel stops a moment after it "
            "has started. Or a process with two devices, whose handles others hold too, dies, and the system stops "
            "with PROCESS_HAS_LOCKED_PAGES."
        ),
        closed_by=(
            "Process exit looks at the owner process again under the registration lock, and ends all registrations of "
            "the process."
        ),
        switches=("exit_checks_process", "exit_ends_all"),
    ),
    Claim(
        name="B11",
        title="Start values that are no multiple of 4 are accepted",
        shows=(
            "A careless client registers with an odd Tail or Head, and gets packets out of order, twice, or none: "
            "every packet counts as done at once."
        ),
        closed_by="Registration refuses such a Tail, and the reader such a Head.",
        switches=("refuses_unaligned",),
    ),
    Claim(
        name="B12",
        title="Locks are held across calls into the network stack",
        shows=(
            "With a stack that answers a packet from inside its indication, disabling the adapter or closing the "
            "handle hangs for ever, and with it whoever sends."
        ),
        closed_by="Packets are indicated, and sends completed, with no lock held.",
        switches=("indicates_after_release", "completes_after_release"),
    ),
    Claim(
        name="B13",
        title="Initialize makes the context known before it is ready, and leaves it known when it fails",
        shows=(
            "The system stops with an error when the device is started again, after a stop for rebalancing, with a "
            "client's handle open; or, when memory was short at that start, as soon as anybody uses or closes a handle."
        ),
        closed_by="The context is made known last; a removal looks whether there is one.",
        switches=("publishes_context_last", "removal_looks_for_context"),
    ),
    Claim(
        name="B14",
        title="Force close looks at file objects that may be gone",
        shows="The system stops with an error when a client closes its handle while a second one forces it out.",
        closed_by="0.14 has no such request any more.",
        mended_by=("has_force_close",),
    ),
    Claim(
        name="B15",
        title="A send call counts after it has let go of everything that holds up halt",
        shows="The system stops with an error, rarely, when an adapter is disabled while it sends.",
        closed_by="A send call counts before it releases the transition lock.",
        switches=("counts_before_release",),
        is_new=True,
    ),
    Claim(
        name="B16",
        title="Process exit uses an adapter that halt has freed",
        shows=(
            "The system stops with an error when a client's process ends while its adapter is being disabled or "
            "removed: an installer that kills the service and removes the adapter at once does just that."
        ),
        closed_by="Process exit holds the context guard from its look-up to its end.",
        switches=("exit_holds_guard",),
        is_new=True,
    ),
    Claim(
        name="B17",
        title="Process exit does not wait for an unregister that is under way",
        shows=(
            "The system stops with PROCESS_HAS_LOCKED_PAGES when a process ends while another one closes the last "
            "handle to the device that it registered; most likely while the network stack holds a packet."
        ),
        closed_by="Unregister leaves the list of devices once the pages are unlocked, so process exit waits for it.",
        switches=("leaves_list_last",),
        is_new=True,
    ),
    Claim(
        name="B18",
        title="A removal takes its locks in the opposite order of a close",
        shows=(
            "Removing or disabling two devices at once, while a client closes a handle, hangs for ever, and every "
            "later request to any Wintun device with it. Where the system removes one device at a time it cannot "
            "happen; nothing documented says that it does."
        ),
        closed_by="A removal closes handles when it has released the registration lock.",
        switches=("removal_closes_unlocked",),
        is_new=True,
    ),
    Claim(
        name="B19",
        title="A return call of one registration goes on in the next one",
        shows=(
            "A client that closes its handle and registers again at once, under load, misses packets, or finds that "
            "its new ring's Head stands still: the old call has taken a packet of the new ring off the list, and "
            "stored its offset in a ring that is gone."
        ),
        closed_by="The event that says that the list is empty is the last thing that a return call does.",
        switches=("empties_after_return",),
        is_new=True,
    ),
)

CLAIMS: dict[str, Claim] = {claim.name: claim for claim in _CLAIMS}
"""All claims by name, in order."""


def claims_closed_by(changes: Iterable[str]) -> list[Claim]:
    """The claims that a race with these changes, each of which closes it, is about.

    A proposed change is for its claim. A switch of a revision counts where there is none: it may only take away what
    shows the race.
    """
    names = set(changes)
    return [claim for claim in _CLAIMS if names & set(claim.switches)] or [
        claim for claim in _CLAIMS if names & set(claim.mended_by)
    ]
