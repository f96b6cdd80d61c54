"""The closed vocabulary of atomic operations that a routine may yield (design §1).

A routine is a generator. It yields one operation at a time; the executor performs it and sends the result back. Each
operation is one thing that another thread could observe. The nouns of this module (`Word`, `Variable`, `Lock`,
`Event`, `ActiveList`) hold nothing but state; what blocking, time and memory order mean is the executor's. Operations
without arguments that vary are made once, by their noun (``yield lock.acquire``), because they are yielded often.

This module is the vocabulary's public face, and all of it; where its words stand:

- `operations_base`: what an operation is, and a routine
- `operations_memory`: words shared with the client, barriers, and the bytes of packets
- `operations_state`: the driver's own variables and its lists of NBLs in flight
- `operations_locks`: locks
- `operations_events`: event objects, and waits for them or for a word to change
- `operations_threads`: threads, sleep and other passing of time, the performance counter
- `operations_pools`: pools of kernel memory; making these and locks ready, and deleting them
- `operations_requests`: what a request names: its process, events behind handles, client pages, file objects
- `operations_ndis`: calls out of the driver, above all into NDIS; the counters of the adapter
"""

from __future__ import annotations

from wintun_model.operations_base import Operation, Routine
from wintun_model.operations_events import Clear, Event, IsSet, Set, Spin, Wait
from wintun_model.operations_locks import Acquire, AcquireShared, Lock, Release, ReleaseShared, TryAcquire
from wintun_model.operations_memory import (
    Cells,
    CopyIn,
    CopyOut,
    Fence,
    FenceAll,
    Load,
    LoadByte,
    LoadSize,
    PacketMemory,
    Store,
    StoreSize,
    Word,
)
from wintun_model.operations_ndis import (
    CallOut,
    CloseHandle,
    CompleteSend,
    CountReceived,
    CountSent,
    IndicateLink,
    IndicateReceive,
    call_out,
)
from wintun_model.operations_pools import Allocate, Delete, Free, Initialize, Pool
from wintun_model.operations_requests import (
    Caller,
    Dereference,
    ListHandles,
    LockPages,
    MapPages,
    Pages,
    ReadDescriptor,
    ReadObject,
    ReferenceEvent,
    UnlockPages,
)
from wintun_model.operations_state import ActiveList, Append, Entry, Get, MarkCompleted, Put, TakeCompleted, Variable
from wintun_model.operations_threads import ReadClock, ReadFrequency, Sleep, StartThread, ThreadHandle, Work, Yield

__all__ = [
    "Acquire",
    "AcquireShared",
    "ActiveList",
    "Allocate",
    "Append",
    "CallOut",
    "Caller",
    "Cells",
    "Clear",
    "CloseHandle",
    "CompleteSend",
    "CopyIn",
    "CopyOut",
    "CountReceived",
    "CountSent",
    "Delete",
    "Dereference",
    "Entry",
    "Event",
    "Fence",
    "FenceAll",
    "Free",
    "Get",
    "IndicateLink",
    "IndicateReceive",
    "Initialize",
    "IsSet",
    "ListHandles",
    "Load",
    "LoadByte",
    "LoadSize",
    "Lock",
    "LockPages",
    "MapPages",
    "MarkCompleted",
    "Operation",
    "PacketMemory",
    "Pages",
    "Pool",
    "Put",
    "ReadClock",
    "ReadDescriptor",
    "ReadFrequency",
    "ReadObject",
    "ReferenceEvent",
    "Release",
    "ReleaseShared",
    "Routine",
    "Set",
    "Sleep",
    "Spin",
    "StartThread",
    "Store",
    "StoreSize",
    "TakeCompleted",
    "ThreadHandle",
    "TryAcquire",
    "UnlockPages",
    "Variable",
    "Wait",
    "Word",
    "Work",
    "Yield",
    "call_out",
]
