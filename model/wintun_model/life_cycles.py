"""The life cycles of the driver as tables of data: miniport, registration, reader thread, NBLs.

A step of a table is one operation of a routine: so the tables can be checked against what the routines do
(`life_cycle_watcher`), and the diagrams of the documentation are drawn from them.
"""

from __future__ import annotations

from dataclasses import dataclass

from wintun_model.errors import ModelError


@dataclass(frozen=True, slots=True)
class Step:
    """In state `source` the operation `trigger` leads to state `target`; `section` of the specification says so."""

    source: str
    trigger: str
    target: str
    section: str


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """One life cycle: its states with their meaning, the first of them where it begins, and its steps."""

    name: str
    states: dict[str, str]
    steps: tuple[Step, ...]

    @property
    def initial(self) -> str:
        """Where it begins."""
        return next(iter(self.states))

    @property
    def triggers(self) -> frozenset[str]:
        """The operations that mean something to this life cycle."""
        return frozenset(step.trigger for step in self.steps)

    def allowed(self, state: str) -> tuple[str, ...]:
        """What may happen in a state, in the table's order."""
        return tuple(step.trigger for step in self.steps if step.source == state)

    def after(self, state: str, trigger: str) -> str:
        """The state that follows. Raises `ModelError` for a step that the table does not have."""
        for step in self.steps:
            if step.source == state and step.trigger == trigger:
                return step.target
        raise ModelError(f"{self.name}: {trigger!r} in state {state!r}, where {', '.join(self.allowed(state))} may be")


def _steps(*rows: tuple[str, str, str, str]) -> tuple[Step, ...]:
    return tuple(Step(*row) for row in rows)


MINIPORT = LifeCycle(
    "miniport",
    {
        "Halted": "there is no adapter context; requests are refused",
        "Initializing": "the context is published, its registration lock is not ready yet (B13)",
        "Paused": "every send is refused, every received packet is discarded",
        "Running": "sends and receives run",
        "Pausing": "senders are on their way out, indicated NBLs are waited for",
        "Halting": "the registration has ended, the NBL pool is gone",
        "Detached": "later requests find no context; those inside are waited for",
        "Failed": "the context is freed but still published (B13)",
    },
    _steps(
        ("Halted", "publish the context", "Initializing", "driver §7"),
        ("Initializing", "make the registration lock ready", "Paused", "driver §7"),
        ("Initializing", "free the context", "Failed", "driver §10 B13"),
        ("Paused", "running := true", "Running", "driver §7"),
        ("Running", "running := false", "Pausing", "driver §7"),
        ("Pausing", "all indicated NBLs are back", "Paused", "driver §7"),
        ("Paused", "delete the NBL pool", "Halting", "driver §6.4"),
        ("Halting", "detach the context", "Detached", "driver §6.4"),
        ("Detached", "free the context", "Halted", "driver §6.4"),
    ),
)

REGISTRATION = LifeCycle(
    "registration",
    {
        "Unregistered": "no owner; the disconnected event is set",
        "Registering": "an owner, checks 3 to 14 under way or being undone",
        "Open": "the disconnected event is clear: senders may write, the reader is not started yet",
        "Registered": "rings are in use in both directions",
        "Disconnecting": "the owner is cleared; sends still succeed",
        "Draining": "senders are on their way out, the reader and its NBLs are waited for",
        "Stopped": "both rings say that they have ended; their memory is being released",
    },
    _steps(
        ("Unregistered", "set disconnected", "Unregistered", "driver §7"),
        ("Unregistered", "take the owner", "Registering", "driver §5 check 2"),
        ("Registering", "clear the owner", "Unregistered", "driver §5"),
        ("Registering", "clear disconnected", "Open", "driver §5 check 15"),
        ("Open", "set disconnected", "Registering", "driver §5 check 15"),
        ("Open", "note the reader thread", "Registered", "driver §5 check 15"),
        ("Registered", "clear the owner", "Disconnecting", "driver §6.1"),
        ("Disconnecting", "set disconnected", "Draining", "driver §6.1"),
        ("Draining", "send Tail := 0xFFFFFFFF", "Stopped", "driver §6.1"),
        ("Stopped", "unlock the send ring", "Unregistered", "driver §6.1"),
    ),
)

READER = LifeCycle(
    "reader thread",
    {
        "Starting": "has not looked at the ring",
        "Running": "looks for a packet, spins, checks one or hands one up",
        "Alertable": "Alertable is 1: the client is asked to set TailMoved",
        "Waiting": "waits for all NBLs to be back: to skip a packet, or to end",
        "Ended": "receive Head is 0xFFFFFFFF",
    },
    _steps(
        ("Starting", "receive Head := 0xFFFFFFFF", "Ended", "driver §4.3"),
        ("Starting", "read the frequency", "Running", "driver §4.1"),
        ("Running", "Alertable := 1", "Alertable", "driver §4.1 step 1"),
        ("Alertable", "Alertable := 0", "Running", "driver §4.1 step 1"),
        ("Running", "receive Head moves", "Running", "driver §4.4, a return inside the indication"),
        ("Running", "all indicated NBLs are back", "Waiting", "driver §4.2, §4.3"),
        ("Waiting", "receive Head moves", "Running", "driver §4.2"),
        ("Waiting", "receive Head := 0xFFFFFFFF", "Ended", "driver §4.3"),
    ),
)

SEND_CHAIN = LifeCycle(
    "send chain",
    {
        "With NDIS": "not handed down yet",
        "Active": "space is reserved, packets are being copied",
        "Copied": "marked completed; waits for the chains before it",
        "Published": "taken off the active list; Tail is about to pass it",
        "Completed": "back with NDIS, refused or sent",
    },
    _steps(
        ("With NDIS", "complete the chain", "Completed", "driver §3 step 3, 4"),
        ("With NDIS", "append the chain", "Active", "driver §3 step 5"),
        ("Active", "mark the chain", "Copied", "driver §3 step 7"),
        ("Active", "take the chain", "Published", "driver §10 B11"),
        ("Published", "mark the chain", "Published", "driver §10 B11"),
        ("Completed", "mark the chain", "Completed", "driver §10 B11"),
        ("Copied", "take the chain", "Published", "driver §3 step 7"),
        ("Published", "complete the chain", "Completed", "driver §3 step 7"),
    ),
)

RECEIVE_NBL = LifeCycle(
    "received NBL",
    {
        "New": "describes a packet in the ring",
        "Active": "on the receive active list",
        "Indicated": "NDIS has it",
        "Returned": "marked completed; waits for the NBLs before it",
        "Off the list": "Head is about to pass it, or has passed it",
    },
    _steps(
        ("New", "append the NBL", "Active", "driver §4.1 step 4"),
        ("Active", "indicate the NBL", "Indicated", "driver §4.1 step 4"),
        ("Active", "take the NBL", "Off the list", "driver §10 B11"),
        ("Off the list", "indicate the NBL", "Off the list", "driver §10 B11"),
        ("Indicated", "mark the NBL", "Returned", "driver §4.4"),
        ("Indicated", "take the NBL", "Off the list", "driver §10 B11"),
        ("Off the list", "mark the NBL", "Off the list", "driver §10 B11"),
        ("Returned", "take the NBL", "Off the list", "driver §4.4"),
    ),
)

LIFE_CYCLES: tuple[LifeCycle, ...] = (MINIPORT, REGISTRATION, READER, SEND_CHAIN, RECEIVE_NBL)
