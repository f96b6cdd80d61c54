"""The life cycles of the driver as tables of data: miniport, registration, reader thread, NBLs.

A step of a table is one operation of a routine, named as `trigger` names it: so the tables can be checked against what
the routines do (`Watcher`), and the diagrams of the documentation are drawn from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wintun_model import operations as op
from wintun_model.abi import STOPPED
from wintun_model.adapter import Adapter, ReceiveNbl
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


class Watcher:
    """Follows the life cycles of adapters while routines run: a step that its table does not have is a `ModelError`.

    An observer outside of the semantics: any executor may run the routines that `watch` gives back.
    """

    def __init__(self) -> None:
        self._states: dict[tuple[str, object], str] = {}
        self.seen: set[tuple[str, Step]] = set()
        """The steps that were taken, each with the name of its life cycle."""

    def state(self, cycle: LifeCycle, subject: object) -> str:
        """The state of an adapter, chain or NBL in a life cycle."""
        known = self._states.get((cycle.name, subject))
        if known is not None:
            return known
        if isinstance(subject, Adapter) and cycle is MINIPORT and subject.is_attached.value:
            return "Running" if subject.running.value else "Paused"
        return cycle.initial

    def watch(self, adapter: Adapter, routine: op.Routine[Any], *, is_miniport: bool = False) -> op.Routine[Any]:
        """The same routine, followed. `is_miniport` for initialize, restart, pause and halt."""
        # An adapter is met in the state that its variables tell, before anything is done to it.
        self._states.setdefault((MINIPORT.name, adapter), self.state(MINIPORT, adapter))
        return self._follow(adapter, routine, None, is_miniport)

    def _follow(
        self, adapter: Adapter, routine: op.Routine[Any], reader: object | None, is_miniport: bool
    ) -> op.Routine[Any]:
        value: Any = None
        while True:
            try:
                operation = routine.send(value)
            except StopIteration as stop:
                return stop.value
            if isinstance(operation, op.StartThread):
                own = object()
                followed = self._follow(adapter, operation.routine, own, False)
                operation = op.StartThread(followed, operation.name, operation.priority)
            value = yield operation
            for cycle, subject, trigger in _meanings(adapter, operation, value, reader, is_miniport):
                self._step(cycle, subject, trigger)

    def _step(self, cycle: LifeCycle, subject: object, trigger: str) -> None:
        source = self.state(cycle, subject)
        target = cycle.after(source, trigger)
        self._states[cycle.name, subject] = target
        self.seen |= {(cycle.name, step) for step in cycle.steps if (step.source, step.trigger) == (source, trigger)}


def _meanings(
    adapter: Adapter, operation: op.Operation, result: Any, reader: object | None, is_miniport: bool
) -> list[tuple[LifeCycle, object, str]]:
    """What an operation that was performed means to the life cycles: (life cycle, whose, trigger)."""
    match operation:
        case op.Put():
            return _of_variable(adapter, operation)
        case op.Store():
            return _of_store(adapter, operation, reader)
        case op.Append(entry=entry) | op.MarkCompleted(entry=entry):
            verb = "append" if isinstance(operation, op.Append) else "mark"
            return [_of_entry(entry, verb)]
        case op.TakeCompleted():
            return [_of_entry(result[0], "take")] if result is not None else []
        case op.CompleteSend(chain=chain):
            return [_of_entry(chain, "complete")]
        case op.IndicateReceive(nbl=nbl):
            return [_of_entry(nbl, "indicate")]
        case op.Clear(event=event) if event is adapter.disconnected:
            return [(REGISTRATION, adapter, "clear disconnected")]
        case op.Set(event=event) if event is adapter.disconnected:
            return [(REGISTRATION, adapter, "set disconnected")]
        case op.Wait(events=(event,)) if event is adapter.receive_empty and reader is not None:
            return [(READER, reader, "all indicated NBLs are back")]
        case op.Wait(events=(event,)) if event is adapter.receive_empty and is_miniport:
            return [(MINIPORT, adapter, "all indicated NBLs are back")]
        case op.ReadFrequency() if reader is not None:
            return [(READER, reader, "read the frequency")]
        case op.UnlockPages(pages=pages) if _is_send_ring(adapter, pages) and adapter.owner.value is None:
            return [(REGISTRATION, adapter, "unlock the send ring")]
        case op.Initialize(target=target) if target is adapter.registration_lock:
            return [(MINIPORT, adapter, "make the registration lock ready")]
        case op.Delete(target=target) if target is adapter.nbl_pool:
            return [(MINIPORT, adapter, "delete the NBL pool")]
        case op.Free(pool=pool) if pool is adapter.context:
            return [(MINIPORT, adapter, "free the context")]
        case _:
            return []


def _of_variable(adapter: Adapter, operation: op.Put) -> list[tuple[LifeCycle, object, str]]:
    variable, value = operation.variable, operation.value
    if variable is adapter.owner:
        return [(REGISTRATION, adapter, "clear the owner" if value is None else "take the owner")]
    if variable is adapter.reader:
        return [(REGISTRATION, adapter, "note the reader thread")]
    if variable is adapter.running:
        return [(MINIPORT, adapter, f"running := {str(value).lower()}")]
    if variable is adapter.is_attached:
        return [(MINIPORT, adapter, "publish the context" if value else "detach the context")]
    return []


def _of_store(adapter: Adapter, operation: op.Store, reader: object | None) -> list[tuple[LifeCycle, object, str]]:
    word, value = operation.word, operation.value
    sending, receiving = adapter.send_ring.value, adapter.receive_ring.value
    if sending is not None and word is sending.tail and value == STOPPED:
        return [(REGISTRATION, adapter, "send Tail := 0xFFFFFFFF")]
    if receiving is None or reader is None:
        return []
    if word is receiving.alertable:
        return [(READER, reader, f"Alertable := {value}")]
    if word is receiving.head:
        return [(READER, reader, f"receive Head {':= 0xFFFFFFFF' if value == STOPPED else 'moves'}")]
    return []


def _of_entry(entry: op.Entry, verb: str) -> tuple[LifeCycle, object, str]:
    if isinstance(entry, ReceiveNbl):
        return RECEIVE_NBL, entry, f"{verb} the NBL"
    return SEND_CHAIN, entry, f"{verb} the chain"


def _is_send_ring(adapter: Adapter, pages: op.Pages) -> bool:
    ring = adapter.send_ring.value
    return ring is not None and ring.pages is pages
