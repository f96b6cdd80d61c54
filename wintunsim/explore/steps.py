"""What operations do to an explored state, and what they touch: one entry for each class of the vocabulary.

A step is compiled once for each node of a thread's tree. Plain stores (of words, packet bytes and variables) go through
the thread's store buffer under x86-TSO; loads see the own buffer first. What is interlocked on x64 needs an empty
buffer: locks, events, waits, and every call into the system (spec driver §7.1). Lists of NBLs change under their lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wintun_model import operations as op
from wintun_model.errors import ModelError
from wintun_model.immediate import FREQUENCY
from wintunsim.explore.gate import Gate, compile_gate
from wintunsim.explore.observations import AreLocked
from wintunsim.explore.program import Node
from wintunsim.explore.steps_objects import ObjectSteps

if TYPE_CHECKING:
    from wintunsim.explore.machine import Machine


class Steps(ObjectSteps):
    """Compiles the nodes of one machine's threads."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._compilers: dict[type[op.Operation], Callable[[Node, Any], None]] = {
            op.Load: self._load,
            op.Spin: self._spin,
            op.Store: self._store,
            op.Fence: self._fence,
            op.FenceAll: self._fence_all,
            op.LoadSize: self._load_size,
            op.LoadByte: self._load_byte,
            op.CopyOut: self._copy_out,
            op.StoreSize: self._store_size,
            op.CopyIn: self._copy_in,
            op.Get: self._get,
            op.Put: self._put,
            op.Append: self._append,
            op.TakeCompleted: self._take_completed,
            op.MarkCompleted: self._mark_completed,
            op.Acquire: self._acquire,
            op.TryAcquire: self._try_acquire,
            op.Release: self._release,
            op.AcquireShared: self._acquire_shared,
            op.ReleaseShared: self._release_shared,
            op.Set: self._set,
            op.Clear: self._clear,
            op.IsSet: self._is_set,
            op.Wait: self._wait,
            op.StartThread: self._start_thread,
            op.ReferenceEvent: self._reference_event,
            op.LockPages: self._lock_pages,
            op.UnlockPages: self._unlock_pages,
            op.ReadDescriptor: self._read_descriptor,
            op.Allocate: self._allocate,
            op.Free: self._free,
            op.Initialize: self._initialize,
            op.Delete: self._delete,
            op.CompleteSend: self._complete_send,
            op.IndicateReceive: self._indicate_receive,
            op.IndicateLink: self._indicate_link,
            op.ListHandles: self._list_handles,
            op.ReadObject: self._read_object,
            op.CloseHandle: self._close_handle,
            op.CountSent: self._count,
            op.CountReceived: self._count,
            AreLocked: self._are_locked,
            Gate: lambda node, gate: compile_gate(self, node, gate),
        }

    def compile(self, node: Node) -> None:
        """Say what the node's operation does."""
        operation = node.operation
        assert operation is not None
        compiler = self._compilers.get(type(operation))
        if compiler is not None:
            compiler(node, operation)
        elif self.silent(operation) is not None:
            node.step = lambda state, node: self.silent(operation)()  # type: ignore[misc]
            node.text = type(operation).__name__
        else:
            raise ModelError(f"{operation!r} is outside the vocabulary of operations")
        if node.blocked is not None:
            node.blocked.enablers = node.enablers
            node.blocked.reads, node.blocked.writes = node.reads, node.writes

    def silent(self, operation: op.Operation | None) -> Callable[[], Any] | None:
        """For an operation that nobody can see and whose result is always the same: what gives that; else None."""
        match operation:
            case op.ReadFrequency():
                return lambda: FREQUENCY
            case op.ReadClock():
                # No time passes here, and what a clock says is nobody's to decide.
                return lambda: 0
            case op.Yield():
                return lambda: False
            case op.MapPages():
                return lambda: True
            case op.Sleep() | op.Work() | op.Dereference():
                return lambda: None
            case op.CountSent() | op.CountReceived() if self.machine.context_of(operation.statistics) is None:
                return lambda: None
            case op.IndicateReceive(adapter=adapter, nbl=nbl):
                return lambda: self.machine.ndis.indicate_receive(adapter, nbl)
            case op.IndicateLink(adapter=adapter, connected=connected):
                return lambda: self.machine.ndis.indicate_link(adapter, connected)
            case op.CloseHandle(caller=caller, handle=handle):
                return lambda: self.machine.close_handle(caller, handle)
        return None
