"""What the flags of vectors mean: the notes table of every file is taken from here."""

from __future__ import annotations

from collections.abc import Callable

from wintun_model.revision import REVISIONS, Revision

BUG_IN: dict[str, Callable[[Revision], bool]] = {
    "bug:B4": lambda revision: revision.may_reread_size,
    "bug:B5": lambda revision: revision.offers_headroom,
    "bug:B6": lambda revision: not revision.skips_other_packets,
    "bug:B7": lambda revision: not revision.clears_link,
    "bug:B11": lambda revision: True,
}
"""In which revisions a bug is that needs no special interleaving, so that vectors can show it."""

_NOTES = {
    "bug:B4": "Known bug B4: the packet's Size may be read again after the length check.",
    "bug:B5": "Known bug B5: the bytes before a packet are offered as headroom, so a consumer overwrites the ring.",
    "bug:B6": "Known bug B6: one packet that is neither IPv4 nor IPv6 stops the reader until the next registration.",
    "bug:B7": "Known bug B7: a stale link word of the last entry of the active list is followed.",
    "bug:B11": "Known bug B11: start values that are no multiple of 4 are accepted and rounded down when published.",
    "abort": "The reader stops for good and says so in Head.",
    "access": "The access check decides, before anything else is looked at.",
    "fault": "Something of the kernel's fails that a client cannot bring about: skip it where it cannot be injected.",
    "limit": "At a limit, or next to one.",
    "model-choice": "The specification is silent here; the model takes what it documents. Another answer is no error.",
    "not-checked": "Something that looks wrong and that the driver lets pass.",
    "order": "Several checks would fail; the first one decides.",
    "outside-ring": "The driver would access memory outside of the ring: compare only that this is noticed.",
    "oversize": "A packet of more than 0xFFFF bytes.",
    "skip": "A packet is left out and counted as a discard; reading goes on.",
    "unaligned": "An offset that is no multiple of 4.",
    "waits": "A call does not return before something else has happened.",
    "wrap": "Runs past the capacity and goes on at the start.",
}


def note_of(flag: str, *, of_driver: bool = True) -> str:
    """What a flag means; what is new in a driver's revision is told too. KeyError for one that nobody explained."""
    kind, _, name = flag.partition(":")
    if kind != "revision":
        return _NOTES[flag]
    changes = f" {' '.join(REVISIONS[name].changes)}" if of_driver else ""
    return f"The revisions differ here; this is what comes out in {name} and the others of `revisions`.{changes}"
