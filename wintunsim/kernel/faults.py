"""Fault plans: which allocation, mapping or start of a thread fails (spec driver §4.1 step 3, §5 checks 6, 8, 15)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wintunsim.errors import UsageError
from wintunsim.kernel.machine import Machine

FAULTS: dict[str, str] = {
    "NBL": "the NBL of a received packet cannot be allocated: the packet is skipped",
    "partial memory descriptor": "the descriptor of a received packet (0.10 and later): the packet is skipped",
    "packet data": "the data of a packet that the system sends cannot be mapped: zeros are delivered",
    "memory descriptor": "the descriptor of a ring (1: send, 2: receive): registering fails",
    "map": "the pages of a ring cannot be mapped: registering fails",
    "thread": "the reader thread cannot be started: registering fails",
    "adapter context": "the adapter cannot be started",
    "NBL pool": "the adapter cannot be started, and its freed context stays published (B13)",
}
"""What may fail, by the name of a fault plan, and what comes of it."""

PLACE_MAX = 10**12
_PLACES = re.compile(r"([0-9]{1,13})(?:-([0-9]{1,13})?)?", re.ASCII)
_EVERY = re.compile(r"every=([0-9]{1,13})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fault:
    """Attempts that fail: those from `first` to `last` (None: all later ones), every `step`-th of them, from 1."""

    what: str
    first: int = 1
    last: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        if self.what not in FAULTS:
            raise UsageError(f"nothing named {self.what!r} can fail: choose one of {', '.join(FAULTS)}")
        for name, value in (("first", self.first), ("last", self.last), ("step", self.step)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise UsageError(f"the {name} attempt of the fault {self.what!r} is {value!r}: give a whole number")
            if value is not None and not 1 <= value <= PLACE_MAX:
                raise UsageError(
                    f"the {name} attempt of the fault {self.what!r} is {value}: give a number from 1 to {PLACE_MAX}"
                )
        if self.last is not None and self.last < self.first:
            raise UsageError(
                f"the fault {self.what!r} ends at attempt {self.last}, before its first, {self.first}: swap the two"
            )

    def strikes(self, attempt: int) -> bool:
        """Whether the attempt of this number, from 1, fails."""
        if attempt < self.first or (self.last is not None and attempt > self.last):
            return False
        return (attempt - self.first) % self.step == 0


class FaultPlan:
    """Which attempts fail, for one or more simulations: a plan keeps no state.

    `faults` gives, for a name of `FAULTS`, the attempts that fail, counted over the whole machine from 1: one number or
    several; True for all of them. UsageError for anything else.
    """

    def __init__(self, faults: Mapping[str, int | Iterable[int]] | None = None, *more: Fault) -> None:
        self.faults: list[Fault] = []
        for what, places in (faults or {}).items():
            if places is True:
                self.faults.append(Fault(what))
            elif isinstance(places, Iterable):
                self.faults += [Fault(what, place, place) for place in places]
            else:
                self.faults.append(Fault(what, places, places))
        self.faults += more

    @classmethod
    def parse(cls, *texts: str) -> FaultPlan:
        """A plan from the command line's words, each `WHAT:WHICH`.

        WHAT is a name of `FAULTS` in any case, with `-` for spaces; WHICH is `all` or, separated by commas, `3`, `5-9`,
        `7-` or `every=100`. UsageError for anything else.
        """
        names = {name.lower().replace(" ", "-"): name for name in FAULTS}
        plan = cls()
        for text in texts:
            word, colon, places = text.partition(":")
            what = names.get(word.strip().lower().replace(" ", "-"))
            if what is None:
                raise UsageError(f"the fault {text!r} names nothing that can fail: write one of {', '.join(names)}")
            if not colon or not places:
                raise UsageError(f"the fault {text!r} does not say which attempts fail: write {word}:1 or {word}:all")
            plan.faults += [_parse_places(text, what, place.strip()) for place in places.split(",")]
        return plan


def _parse_places(text: str, what: str, place: str) -> Fault:
    if place == "all":
        return Fault(what)
    if (every := _EVERY.fullmatch(place)) is not None:
        number = int(every[1])
        return Fault(what, number, None, number)
    match = _PLACES.fullmatch(place)
    if match is None:
        raise UsageError(
            f"the fault {text!r} has {place!r} for which attempts fail: write all, a number such as 3, a range such as "
            "5-9 or 7-, or every=100"
        )
    first = int(match[1])
    if "-" not in place:
        return Fault(what, first, first)
    return Fault(what, first, int(match[2]) if match[2] else None)


class FaultInjector:
    """A plan at work on one machine: counts attempts, and notes which were made to fail."""

    def __init__(self, machine: Machine, plan: FaultPlan) -> None:
        self.machine = machine
        self._faults: dict[str, list[Fault]] = {}
        for fault in plan.faults:
            self._faults.setdefault(fault.what, []).append(fault)
        self._attempts: dict[str, int] = dict.fromkeys(self._faults, 0)
        self._struck: dict[str, list[tuple[int, int]]] = {what: [] for what in self._faults}

    def is_planned(self, what: str) -> bool:
        """Whether the plan has anything to say about this."""
        return what in self._faults

    def fails(self, what: str) -> bool:
        """Whether the next attempt at this fails."""
        faults = self._faults.get(what)
        if faults is None:
            return False
        self._attempts[what] = attempt = self._attempts[what] + 1
        if not any(fault.strikes(attempt) for fault in faults):
            return False
        self._struck[what].append((attempt, self.machine.time()))
        return True

    def report(self) -> list[dict[str, Any]]:
        """For each thing that was to fail: attempts, how many failed, the first of them and when that was."""
        rows = []
        for what, struck in self._struck.items():
            first, time_ns = struck[0] if struck else (None, None)
            rows.append(
                {
                    "what": what,
                    "attempts": self._attempts[what],
                    "failed": len(struck),
                    "first_failed": first,
                    "first_failed_ns": time_ns,
                }
            )
        return rows
