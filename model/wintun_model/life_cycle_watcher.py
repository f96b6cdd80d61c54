"""Following the life cycles of adapters while routines run, by the tables of `life_cycles`."""

from __future__ import annotations

from typing import Any

from wintun_model import operations as op
from wintun_model.abi import STOPPED
from wintun_model.adapter import Adapter, ReceiveNbl
from wintun_model.life_cycles import MINIPORT, READER, RECEIVE_NBL, REGISTRATION, SEND_CHAIN, LifeCycle, Step


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
