"""The closed vocabulary of atomic operations that a routine may yield (design §1).

A routine is a generator. It yields one operation at a time; the executor performs it and sends the result back. Each
operation is one thing that another thread could observe. The nouns of this module (`Word`, `Variable`, `Lock`,
`Event`, `ActiveList`) hold nothing but state; what blocking, time and memory order mean is the executor's. Operations
without arguments that vary are made once, by their noun (``yield lock.acquire``), because they are yielded often.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, Generic, Protocol, TypeVar

from wintun_model.errors import DriverFault

T = TypeVar("T")

Routine = Generator["Operation", Any, T]
"""A routine that returns a `T`. What each operation sends back is told in the operation's docstring."""


class Operation:
    """One atomic step. The subclasses in this module are all there are."""

    __slots__ = ()


# -- memory shared with the client ------------------------------------------------------------------------------------


class Cells(Protocol):
    """Where words live: something like a `memoryview` cast to ``"I"``, or a list."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class Word:
    """A 32-bit word in memory that the client and the driver share: `cells[index]`, read as unsigned.

    `name` is for people and traces (``send.Tail``); `number` is the word's number in the trace, 0 before it has one.
    `observer` is told the old and the new value of every store by an executor that lets people watch.
    """

    __slots__ = ("cells", "index", "load", "name", "number", "observer")

    def __init__(self, cells: Cells, index: int, name: str) -> None:
        self.cells = cells
        self.index = index
        self.name = name
        self.number = 0
        self.observer: Callable[[int, int], None] | None = None
        self.load = Load(self)

    def __repr__(self) -> str:
        return f"Word({self.name})"


class Load(Operation):
    """Load a shared word. Sends back its value, 0 … 2³²-1."""

    __slots__ = ("word",)

    def __init__(self, word: Word) -> None:
        self.word = word


class Store(Operation):
    """Store the low 32 bits of `value` in a shared word."""

    __slots__ = ("value", "word")

    def __init__(self, word: Word, value: int) -> None:
        self.word = word
        self.value = value


class Fence(Operation):
    """A full memory barrier: drains the store buffer of the processor."""

    __slots__ = ()


class FenceAll(Operation):
    """A full memory barrier on every processor: the system interrupts them, which drains all store buffers."""

    __slots__ = ()


class PacketMemory(Protocol):
    """The data area of a ring as the packet operations see it: `data[0]` is the byte after the ring's header."""

    data: memoryview


class LoadSize(Operation):
    """Load the 32-bit `Size` at byte `offset` of the data area; any alignment. Sends back the value."""

    __slots__ = ("memory", "offset")

    def __init__(self, memory: PacketMemory, offset: int) -> None:
        self.memory = memory
        self.offset = offset


class StoreSize(Operation):
    """Store a packet's 32-bit `Size` at byte `offset` of the data area; any alignment."""

    __slots__ = ("memory", "offset", "value")

    def __init__(self, memory: PacketMemory, offset: int, value: int) -> None:
        self.memory = memory
        self.offset = offset
        self.value = value


class LoadByte(Operation):
    """Load one byte at `offset` of the data area. Sends back the value."""

    __slots__ = ("memory", "offset")

    def __init__(self, memory: PacketMemory, offset: int) -> None:
        self.memory = memory
        self.offset = offset


class CopyIn(Operation):
    """Copy packet bytes into the data area at `offset`. `data` None stands for `size` zero bytes."""

    __slots__ = ("data", "memory", "offset", "size")

    def __init__(self, memory: PacketMemory, offset: int, data: bytes | None, size: int) -> None:
        self.memory = memory
        self.offset = offset
        self.data = data
        self.size = size


class CopyOut(Operation):
    """Copy `size` bytes at `offset` out of the data area. Sends back `bytes`."""

    __slots__ = ("memory", "offset", "size")

    def __init__(self, memory: PacketMemory, offset: int, size: int) -> None:
        self.memory = memory
        self.offset = offset
        self.size = size


# -- the driver's own state -------------------------------------------------------------------------------------------


class Variable(Generic[T]):
    """A variable of the driver (or of the session layer) that several threads read or write."""

    __slots__ = ("get", "name", "observer", "value")

    def __init__(self, name: str, value: T) -> None:
        self.name = name
        self.value = value
        self.observer: Callable[[T], None] | None = None
        """Told of every new value by an executor that lets people watch; nothing of the semantics."""
        self.get = Get(self)

    def __repr__(self) -> str:
        return f"Variable({self.name}={self.value!r})"


class Get(Operation):
    """Read a variable. Sends back its value."""

    __slots__ = ("variable",)

    def __init__(self, variable: Variable[Any]) -> None:
        self.variable = variable


class Put(Operation):
    """Write a variable."""

    __slots__ = ("value", "variable")

    def __init__(self, variable: Variable[Any], value: Any) -> None:
        self.variable = variable
        self.value = value


class Entry:
    """An entry of an active list: an end offset and a completed mark that share one word (spec driver §2).

    Bit 0 is the mark; the offset is read back with its two low bits cleared, so an odd offset counts as completed at
    once (B11). `link` is the entry's link word: the entry after it, once there is one, and before that whatever the
    word held when the entry came (B7).
    """

    __slots__ = ("link", "marked_offset")

    def __init__(self) -> None:
        self.marked_offset = 0
        self.link: Entry | None = None

    def is_completed(self) -> bool:
        return bool(self.marked_offset & 1)

    def end_offset(self) -> int:
        return self.marked_offset & ~3


EntryT = TypeVar("EntryT", bound=Entry)


class ActiveList(Generic[EntryT]):
    """NBLs in flight, oldest first. Appended to and taken from under the lock of its direction only.

    The entries hang on each other by their link words; the list is empty when `first` is None, whatever `last` says.
    """

    __slots__ = ("first", "last", "name", "take_completed")

    def __init__(self, name: str) -> None:
        self.name = name
        self.first: EntryT | None = None
        self.last: EntryT | None = None
        self.take_completed = TakeCompleted(self)

    def __iter__(self) -> Iterator[EntryT]:
        """The entries as the driver would find them, oldest first."""
        entry: Any = self.first
        while entry is not None:
            yield entry
            entry = entry.link


class Append(Operation):
    """Append an entry with its end offset, marked active. Sends back whether the list was empty before.

    With `clears_link` the entry's link word is cleared; else it stays as it came (B7).
    """

    __slots__ = ("active", "clears_link", "end_offset", "entry")

    def __init__(self, active: ActiveList[Any], entry: Entry, end_offset: int, clears_link: bool = False) -> None:
        self.active = active
        self.entry = entry
        self.end_offset = end_offset
        self.clears_link = clears_link


class TakeCompleted(Operation):
    """Remove the first entry if it is marked completed. Sends back (entry, the list is now empty), else None."""

    __slots__ = ("active",)

    def __init__(self, active: ActiveList[Any]) -> None:
        self.active = active


class MarkCompleted(Operation):
    """Set the completed mark of an entry."""

    __slots__ = ("entry",)

    def __init__(self, entry: Entry) -> None:
        self.entry = entry


# -- locks and events -------------------------------------------------------------------------------------------------


class Lock:
    """A lock of the kernel: spin lock, reader/writer spin lock or resource, by the operations used on it.

    A waiting exclusive holder keeps new shared holders out (spec driver §7.1). A lock is ready from its making on,
    unless `is_ready` is given as false: then it has to be initialized first. Whoever holds a spin lock (`is_spin`), or
    waits for one, keeps its processor.
    """

    __slots__ = (
        "acquire",
        "acquire_shared",
        "exclusive",
        "is_spin",
        "name",
        "release",
        "release_shared",
        "shared",
        "try_acquire",
        "waiters",
    )

    def __init__(self, name: str, *, is_ready: bool = True, is_spin: bool = False) -> None:
        self.name = name
        self.is_spin = is_spin
        self.exclusive: object | None = None
        self.shared = 0
        self.is_ready = is_ready
        self.waiters: deque[Any] = deque()
        self.acquire = Acquire(self)
        self.try_acquire = TryAcquire(self)
        self.release = Release(self)
        self.acquire_shared = AcquireShared(self)
        self.release_shared = ReleaseShared(self)

    @property
    def is_ready(self) -> bool:
        """Whether the lock was initialized and is not deleted yet."""
        return self.exclusive is not _NOT_READY

    @is_ready.setter
    def is_ready(self, is_ready: bool) -> None:
        # A lock that is not ready is one that nobody can take: so the way of a free lock needs no look at this.
        self.exclusive = None if is_ready else _NOT_READY

    def is_free(self) -> bool:
        """Whether nobody holds it. Raises `DriverFault` when it is not ready."""
        if self.exclusive is _NOT_READY:
            raise DriverFault(f"the driver uses {self.name} lock, which is not initialized, or deleted already")
        return self.exclusive is None and not self.shared

    def __repr__(self) -> str:
        return f"Lock({self.name})"


_NOT_READY = object()


class _LockOperation(Operation):
    __slots__ = ("lock",)

    def __init__(self, lock: Lock) -> None:
        self.lock = lock


class Acquire(_LockOperation):
    """Take a lock exclusively, waiting for it."""

    __slots__ = ()


class TryAcquire(_LockOperation):
    """Take a lock exclusively if that needs no waiting. Sends back whether it was taken."""

    __slots__ = ()


class Release(_LockOperation):
    """Release an exclusively held lock. On x64 that is interlocked, and so a barrier too (spec driver §7.1)."""

    __slots__ = ()


class AcquireShared(_LockOperation):
    """Take a lock shared, waiting for it."""

    __slots__ = ()


class ReleaseShared(_LockOperation):
    """Release a lock held shared."""

    __slots__ = ()


class Event:
    """An event object. `number` is its number in the trace, 0 before it has one; `waiters` belongs to the executor."""

    __slots__ = ("clear", "is_set", "manual_reset", "name", "number", "set", "signalled", "waiters")

    def __init__(self, name: str, *, manual_reset: bool, signalled: bool = False) -> None:
        self.name = name
        self.manual_reset = manual_reset
        self.signalled = signalled
        self.waiters: list[Any] = []
        self.number = 0
        self.set = Set(self)
        self.clear = Clear(self)
        self.is_set = IsSet(self)

    def is_signalled(self, thread: object) -> bool:
        """Whether a wait of `thread` on this object would be satisfied now."""
        return self.signalled

    def consume(self, thread: object) -> None:
        """What a satisfied wait does to the object: an auto-reset event is cleared (spec win32 §3)."""
        if not self.manual_reset:
            self.signalled = False

    def __repr__(self) -> str:
        return f"Event({self.name})"


class _EventOperation(Operation):
    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class Set(_EventOperation):
    """Set an event: an auto-reset one lets one waiter go, a manual-reset one all."""

    __slots__ = ()


class Clear(_EventOperation):
    """Clear an event."""

    __slots__ = ()


class IsSet(_EventOperation):
    """Read an event's state without changing it. Sends back a bool."""

    __slots__ = ()


class Wait(Operation):
    """Wait for any of `events`, lowest index first. Sends back the index of the one that ended the wait."""

    __slots__ = ("events",)

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events = events


class Spin(Operation):
    """Spin until `word` differs from `value`, `event` is set, or `limit_ticks` of the performance counter have passed.

    One pass tests, in this order: moved, event (if there is one), deadline; otherwise it goes round, and first yields
    the processor if it is one that `yields`. Sends back the value of `word` loaded last, so one equal to `value` means
    that the event or the deadline ended it.
    """

    __slots__ = ("event", "limit_ticks", "value", "word", "yields")

    def __init__(self, word: Word, value: int, event: Event | None, limit_ticks: int, yields: bool = True) -> None:
        self.word = word
        self.value = value
        self.event = event
        self.limit_ticks = limit_ticks
        self.yields = yields


class Sleep(Operation):
    """Sleep for `duration_ns` at least; without a fine timer, until a tick of the system's (spec win32 §3)."""

    __slots__ = ("duration_ns", "is_fine")

    def __init__(self, duration_ns: int, is_fine: bool = False) -> None:
        self.duration_ns = duration_ns
        self.is_fine = is_fine


class Yield(Operation):
    """Let another ready thread run, if there is one. Sends back whether there was."""

    __slots__ = ()


class Work(Operation):
    """Work of the caller's own that takes `duration_ns` and that nobody else can see, such as handling a packet."""

    __slots__ = ("duration_ns",)

    def __init__(self, duration_ns: int) -> None:
        self.duration_ns = duration_ns


class ReadFrequency(Operation):
    """Read the frequency of the performance counter. Sends back ticks a second."""

    __slots__ = ()


class ReadClock(Operation):
    """Read the performance counter. Sends back ticks, which never go back."""

    __slots__ = ()


# -- threads, objects, memory, requests -------------------------------------------------------------------------------


class ThreadHandle(Protocol):
    """A started thread as a routine sees it: `ended` is set (for good) when its routine has returned."""

    @property
    def ended(self) -> Event: ...


class StartThread(Operation):
    """Start a system thread that runs `routine`. Sends back a `ThreadHandle`, or None when it cannot be started."""

    __slots__ = ("name", "priority", "routine")

    def __init__(self, routine: Routine[None], name: str, priority: int) -> None:
        self.routine = routine
        self.name = name
        self.priority = priority


class Pages(Protocol):
    """Client pages locked down by `LockPages`.

    `views` are all the views of them that are in use; they are released when the pages are unlocked, so that a later
    access is an error here and not a wild pointer.
    """

    @property
    def view(self) -> memoryview: ...

    @property
    def views(self) -> list[memoryview]: ...

    def unlock(self) -> None:
        """Give the pages back to their process."""


class Caller(Protocol):
    """The process that makes a request, as far as the driver can see it."""

    @property
    def process_id(self) -> int: ...

    @property
    def is_local_system(self) -> bool: ...

    def reference_event(self, handle: int, access: int) -> tuple[int, Event | None]:
        """(NTSTATUS, event): the object manager's answer for `handle` with the access rights asked for."""

    def lock_pages(self, address: int, size: int) -> Pages | None:
        """Lock down `size` bytes at `address`; None when a page is missing or not writable."""


class ReferenceEvent(Operation):
    """Reference the event behind a handle of `caller` with `access` rights. Sends back (NTSTATUS, event or None)."""

    __slots__ = ("access", "caller", "handle")

    def __init__(self, caller: Caller, handle: int, access: int) -> None:
        self.caller = caller
        self.handle = handle
        self.access = access


class Dereference(Operation):
    """Give back the reference that `ReferenceEvent` took."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class Pool:
    """Memory of the kernel for things of one kind: NBLs, memory descriptors, an adapter's context.

    `name` names the kind for fault plans; `outstanding` says how many are allocated and not freed yet.
    """

    __slots__ = ("allocate", "free", "is_ready", "name", "outstanding")

    def __init__(self, name: str, *, is_ready: bool = True) -> None:
        self.name = name
        self.is_ready = is_ready
        self.outstanding = 0
        self.allocate = Allocate(self)
        self.free = Free(self)

    def __repr__(self) -> str:
        return f"Pool({self.name})"


class Allocate(Operation):
    """Allocate one thing of a pool's kind. Sends back whether there was memory."""

    __slots__ = ("pool",)

    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Free(Operation):
    """Free what `Allocate` gave. A fault of the driver when the pool is gone, or when nothing is outstanding."""

    __slots__ = ("pool",)

    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Initialize(Operation):
    """Make a lock or a pool ready. Sends back whether that worked; `what` names a pool for fault plans."""

    __slots__ = ("target", "what")

    def __init__(self, target: Lock | Pool, what: str = "") -> None:
        self.target = target
        self.what = what


class Delete(Operation):
    """Delete a lock or a pool: a later use of it is a fault of the driver."""

    __slots__ = ("target",)

    def __init__(self, target: Lock | Pool) -> None:
        self.target = target


class LockPages(Operation):
    """Check and lock down client pages for writing. Sends back `Pages` or None."""

    __slots__ = ("address", "caller", "size")

    def __init__(self, caller: Caller, address: int, size: int) -> None:
        self.caller = caller
        self.address = address
        self.size = size


class MapPages(Operation):
    """Map locked pages into the system. Sends back whether that worked."""

    __slots__ = ("pages",)

    def __init__(self, pages: Pages) -> None:
        self.pages = pages


class ReadDescriptor(Operation):
    """Read the memory descriptor of locked pages. A fault of the driver when they are unlocked already (B8)."""

    __slots__ = ("pages",)

    def __init__(self, pages: Pages) -> None:
        self.pages = pages


class UnlockPages(Operation):
    """Unlock pages; their mapping goes with them."""

    __slots__ = ("pages",)

    def __init__(self, pages: Pages) -> None:
        self.pages = pages


# -- calls out of the driver ------------------------------------------------------------------------------------------


class CallOut(Operation):
    """A call into NDIS, on the calling thread. Sends back a routine for what happens inside the call, or None."""

    __slots__ = ()


class CompleteSend(CallOut):
    """Complete a send chain to NDIS; each NBL carries its status."""

    __slots__ = ("adapter", "chain")

    def __init__(self, adapter: Any, chain: Any) -> None:
        self.adapter = adapter
        self.chain = chain


class IndicateReceive(CallOut):
    """Indicate one received NBL to NDIS."""

    __slots__ = ("adapter", "nbl")

    def __init__(self, adapter: Any, nbl: Any) -> None:
        self.adapter = adapter
        self.nbl = nbl


class IndicateLink(CallOut):
    """Indicate media connected or disconnected to NDIS."""

    __slots__ = ("adapter", "connected")

    def __init__(self, adapter: Any, connected: bool) -> None:
        self.adapter = adapter
        self.connected = connected


class _Count(Operation):
    __slots__ = ("discards", "errors", "octets", "packets", "statistics")

    def __init__(self, statistics: Any, packets: int = 0, octets: int = 0, errors: int = 0, discards: int = 0) -> None:
        self.statistics = statistics
        self.packets = packets
        self.octets = octets
        self.errors = errors
        self.discards = discards


class CountSent(_Count):
    """Add to the adapter's counters of what went out, as the calling processor's own (spec driver §3 step 8)."""

    __slots__ = ()


class CountReceived(_Count):
    """Add to the adapter's counters of what came in (spec driver §4.4)."""

    __slots__ = ()


class ListHandles(Operation):
    """Take a snapshot of all handles to the adapter's device, or to one file object.

    Sends back a list of (caller, handle value, file object). It holds no references: what it names may be gone by the
    time that somebody looks.
    """

    __slots__ = ("adapter",)

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter


class ReadObject(Operation):
    """Read a file object by a pointer. A fault of the driver when that is released already (B14)."""

    __slots__ = ("target",)

    def __init__(self, target: Any) -> None:
        self.target = target


class CloseHandle(CallOut):
    """Close a handle in its process; whether it still names anything is not told."""

    __slots__ = ("caller", "handle")

    def __init__(self, caller: Caller, handle: int) -> None:
        self.caller = caller
        self.handle = handle


def call_out(operation: CallOut) -> Routine[None]:
    """Make a call out of the driver, and run on this thread what happens inside it."""
    inside = yield operation
    if inside is not None:
        yield from inside
