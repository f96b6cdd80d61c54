"""What the operations of the driver's and the client's routines come to, as rows of a program."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from wintun_model import client, receive, send
from wintun_model import operations as op
from wintun_model.adapter import Packet, ReceiveNbl, SendChain, SendNbl
from wintun_model.operations import Routine
from wintun_model.status import NdisStatus
from wintunsim.experiments.client import Client
from wintunsim.experiments.fast.timings import DRAWN
from wintunsim.experiments.fast.words import CHAIN, CHAIN_MOST, PACKET_FIELDS, PACKET_SIZE
from wintunsim.experiments.fast.world import World
from wintunsim.experiments.stepped.rewriting import rewritten
from wintunsim.experiments.stepped.rows import FIXED
from wintunsim.experiments.stepped.symbols import Integer, Symbol
from wintunsim.experiments.stepped.tracing import Registers, Tracing, Unsupported
from wintunsim.kernel.clock_use import clock_use, costs_of, figure_of
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.effects import FREQUENCY, TICK_NS

PACKET_MOST = 0xFFFF
"""No packet that is offered has more bytes than that."""


class Look(op.Operation):
    """The system's sender takes what is due, or waits for it. Sends back how many packets that is."""

    __slots__ = ()


class Took(op.Operation):
    """The client counts a packet that it has read."""

    __slots__ = ()


class Wrote(op.Operation):
    """The client counts a packet that it has written."""

    __slots__ = ()


class Dropped(op.Operation):
    """The client counts a packet that it has dropped."""

    __slots__ = ()


class PacketBytes:
    """A packet's bytes, of which nothing is known but how many there are."""

    __slots__ = ("size",)

    def __init__(self, size: Integer) -> None:
        self.size = size


def length(value: Any) -> Integer:
    """What `len` is for routines that are traced."""
    return value.size if isinstance(value, PacketBytes) else len(value)


_STORES = {
    "send.Head": "STORE_SEND_HEAD",
    "send.Tail": "STORE_SEND_TAIL",
    "send.Alertable": "STORE_SEND_ALERTABLE",
    "receive.Head": "STORE_RECEIVE_HEAD",
    "receive.Tail": "STORE_RECEIVE_TAIL",
    "receive.Alertable": "STORE_RECEIVE_ALERTABLE",
}
_SPINS = {
    "send.Tail": "SPIN_SEND_TAIL",
    "receive.Head": "SPIN_RECEIVE_HEAD",
    "receive.Alertable": "SPIN_RECEIVE_ALERTABLE",
    "receive.Tail": "SPIN_RECEIVE_TAIL",
}
_COUNTS = {Took: "TOOK", Wrote: "WROTE", Dropped: "DROPPED"}
_PASSES = (
    op.Acquire, op.AcquireShared, op.Release, op.ReleaseShared, op.Fence, op.FenceAll, op.StoreSize, op.Free,
    op.CountSent, op.CountReceived, op.ReadDescriptor,
)  # fmt: skip
"""Operations that nobody sees anything of here: every lock is free whenever somebody takes it."""


class Meaning:
    """One thread's operations. `places` has the places of ring words and of variables that change, by the object."""

    def __init__(self, world: World, registers: Registers, name: str, costs: Costs, places: dict[Any, int]) -> None:
        self.world = world
        self.tracing = Tracing(registers, name)
        self._costs = costs
        self._is_client = name == "client"
        self._prices = costs_of(costs, in_user_mode=self._is_client)
        self._places = places
        self._active: dict[op.ActiveList[Any], list[Any]] = {}
        self._completed: list[Any] = []
        tracing = self.tracing
        self._names = {module: rewritten(module, tracing.lift, length) for module in (client, receive, send)}
        self._handlers: dict[type[op.Operation], Callable[[Any], Any]] = {
            **dict.fromkeys(_PASSES, self._pass),
            **dict.fromkeys(_COUNTS, self._count),
            Look: lambda operation: tracing.write("LOOK", result=True),
            op.Load: self._load,
            op.Store: self._store,
            op.LoadSize: self._load_size,
            op.LoadByte: self._load_byte,
            op.CopyIn: self._copy_in,
            op.CopyOut: self._copy_out,
            op.Get: self._get,
            op.Put: self._put,
            op.Append: self._append,
            op.MarkCompleted: self._mark_completed,
            op.TakeCompleted: self._take_completed,
            op.IsSet: self._is_set,
            op.Set: self._set,
            op.Clear: self._clear,
            op.Wait: self._wait,
            op.Spin: self._spin,
            op.Sleep: self._sleep,
            op.Yield: lambda operation: self._row("WORK", operation, self._costs.yield_ns),
            op.Work: lambda operation: self._row("WORK", operation, operation.duration_ns),
            op.Allocate: self._allocate,
            op.ReadFrequency: self._read_frequency,
            op.CompleteSend: self._complete_send,
            op.IndicateReceive: self._indicate_receive,
        }

    # -- for the tracing --------------------------------------------------------------------------------------------

    def begin(self) -> Routine[None]:
        """The routine from its start."""
        self._active = {}
        self._completed = []
        return self.routine()

    def routine(self) -> Routine[None]:
        """The thread's routine."""
        raise NotImplementedError

    def perform(self, operation: Any) -> Any:
        """Write an operation's rows; what is sent back, or a routine that runs before."""
        handler = self._handlers.get(type(operation))
        if handler is None:
            raise Unsupported
        return handler(operation)

    def parts(self, value: object) -> list[tuple[str, object]] | None:
        """The attributes that may hold symbols."""
        if isinstance(value, PacketBytes):
            return [("size", value.size)]
        if isinstance(value, SendChain):
            return [("offset", value.offset), ("marked", value.marked_offset), ("statuses", value.statuses)]
        if isinstance(value, ReceiveNbl):
            return [
                ("offset", value.offset), ("size", value.size_bytes), ("number", value.number),
                ("marked", value.marked_offset),
            ]  # fmt: skip
        return None

    def state(self) -> list[tuple[str, object]]:
        """NBLs in flight, and which of them are completed."""
        flying = [(active.name, entries) for active, entries in self._active.items() if entries]
        return [*flying, ("completed", self._completed)]

    def called(self, module: ModuleType, name: str, *arguments: Any) -> Routine[Any]:
        """A routine of the model as it is traced."""
        routine: Routine[Any] = self._names[module][name](*arguments)
        return routine

    # -- operations -------------------------------------------------------------------------------------------------

    def _row(self, name: str, operation: Any, *operands: Integer, result: bool = False) -> Symbol | None:
        kind = type(operation)
        cost, figure = self._prices.get(kind, self._costs.load_ns), int(FIXED)
        drawn = figure_of(kind, in_user_mode=self._is_client)
        if drawn is not None and not isinstance(getattr(self._costs, drawn), int):
            if drawn not in DRAWN:
                raise Unsupported
            cost, figure = 0, DRAWN.index(drawn)
        return self.tracing.write(name, *operands, use=clock_use(kind), cost=cost, figure=figure, result=result)

    def _pass(self, operation: Any) -> None:
        self._row("PASS", operation)

    def _count(self, operation: Any) -> None:
        self.tracing.write(_COUNTS[type(operation)])

    def _register(self, target: Any) -> Symbol:
        return Symbol(self.tracing, self._places[target], is_input=True)

    def _load(self, operation: op.Load) -> Symbol | None:
        return self._row("LOAD", operation, self._register(operation.word), result=True)

    def _store(self, operation: op.Store) -> None:
        name = _STORES.get(operation.word.name)
        if name is None:
            raise Unsupported
        self._row(name, operation, operation.value, self._register(operation.word))

    def _load_size(self, operation: op.LoadSize) -> Symbol | None:
        is_client = isinstance(operation.memory, client.ClientRing)
        return self._row("SIZE_SENT" if is_client else "SIZE_WRITTEN", operation, operation.offset, result=True)

    def _load_byte(self, operation: op.LoadByte) -> int:
        self._pass(operation)
        return 0x45  # what is offered is IPv4

    def _copy_in(self, operation: op.CopyIn) -> None:
        self._row("COPY", operation, operation.size)

    def _copy_out(self, operation: op.CopyOut) -> PacketBytes:
        self._row("COPY", operation, operation.size)
        return PacketBytes(operation.size)

    def _get(self, operation: op.Get) -> Any:
        self._pass(operation)
        if operation.variable not in self._places:
            return operation.variable.value
        return self.tracing.write("MOVE", self._register(operation.variable), result=True)

    def _put(self, operation: op.Put) -> None:
        if operation.variable not in self._places:
            raise Unsupported
        self._row("PUT", operation, operation.value, self._register(operation.variable))

    def _append(self, operation: op.Append) -> bool:
        self._pass(operation)
        operation.entry.marked_offset = operation.end_offset
        entries = self._active.setdefault(operation.active, [])
        entries.append(operation.entry)
        return len(entries) == 1

    def _mark_completed(self, operation: op.MarkCompleted) -> None:
        self._pass(operation)
        self._completed.append(operation.entry)

    def _take_completed(self, operation: op.TakeCompleted) -> tuple[op.Entry, bool] | None:
        self._pass(operation)
        entries = self._active.get(operation.active, [])
        if not entries or entries[0] not in self._completed:
            return None
        self._completed.remove(entries[0])
        return entries.pop(0), not entries

    def _is_set(self, operation: op.IsSet) -> bool:
        self._pass(operation)
        if operation.event is not self.world.adapter.disconnected:
            raise Unsupported
        return False

    def _set(self, operation: op.Set) -> None:
        self._row(f"SET_{self._event(operation.event)}", operation)

    def _clear(self, operation: op.Clear) -> None:
        self._row(f"CLEAR_{self._event(operation.event)}", operation)

    def _event(self, event: op.Event) -> str:
        world = self.world
        for known, name in (
            (world.send.tail_moved, "SEND_MOVED"),
            (world.receive.tail_moved, "RECEIVE_MOVED"),
            (world.adapter.receive_empty, "EMPTY"),
        ):
            if event is known:
                return name
        raise Unsupported

    def _wait(self, operation: op.Wait) -> int:
        world = self.world
        if operation.events == (world.send.tail_moved,):
            self._row("WAIT_SEND_MOVED", operation)
            return 0
        if operation.events == (world.adapter.disconnected, world.receive.tail_moved):
            self._row("WAIT_RECEIVE_MOVED", operation)
            return 1
        raise Unsupported

    def _spin(self, operation: op.Spin) -> Symbol | None:
        name = _SPINS.get(operation.word.name)
        if name is None:
            raise Unsupported
        limit_ns = operation.limit_ticks * TICK_NS
        return self._row(name, operation, operation.value, self._register(operation.word), limit_ns, result=True)

    def _sleep(self, operation: op.Sleep) -> None:
        self._row("SLEEP", operation, operation.duration_ns, int(operation.is_fine))

    def _allocate(self, operation: op.Allocate) -> bool:
        self._pass(operation)
        return True

    def _read_frequency(self, operation: op.ReadFrequency) -> int:
        self._pass(operation)
        return FREQUENCY

    def _complete_send(self, operation: op.CompleteSend) -> None:
        self._row("REFUSE" if operation.chain.nbls[0].status else "COMPLETE", operation)

    def _indicate_receive(self, operation: op.IndicateReceive) -> Routine[None]:
        """The system returns the NBL inside of its indication."""
        self._row("INDICATE", operation)
        return self.called(receive, "return_nbls", operation.adapter, (operation.nbl,))


class Sending(Meaning):
    """The system's sender (`kernel.ndis`), and the driver's send routine in it."""

    def __init__(self, world: World, registers: Registers, name: str, costs: Costs, places: dict[Any, int]) -> None:
        super().__init__(world, registers, name, costs, places)
        self._chains = [self._chain(count) for count in range(1, int(CHAIN_MOST) + 1)]

    def _chain(self, count: int) -> SendChain:
        places = [int(CHAIN + place * PACKET_FIELDS + PACKET_SIZE) for place in range(count)]
        sizes = [Symbol(self.tracing, place, PACKET_MOST, is_input=True) for place in places]
        return SendChain(tuple([SendNbl((Packet(b"", size),)) for size in sizes]))  # type: ignore[arg-type]

    def begin(self) -> Routine[None]:
        """With chains that nobody has sent yet. They stay the same objects, by which it is known where a routine is."""
        for chain in self._chains:
            chain.offset = chain.marked_offset = 0
            for nbl in chain.nbls:
                nbl.status = int(NdisStatus.NDIS_STATUS_SUCCESS)
        return super().begin()

    def routine(self) -> Routine[None]:
        """One chain after the other."""
        while True:
            yield from self._hand_down((yield Look()))

    def _hand_down(self, count: Integer) -> Routine[None]:
        for chain in self._chains:
            if count == len(chain.nbls):
                yield from self.called(send, "send", self.world.adapter, chain)
                return


class Reading(Meaning):
    """The driver's reader."""

    def routine(self) -> Routine[None]:
        """As the driver has it."""
        return self.called(receive, "read_ring", self.world.adapter)


class Taking(Meaning):
    """An experiment's client (`experiments.client_threads`)."""

    def __init__(
        self, world: World, registers: Registers, name: str, costs: Costs, places: dict[Any, int], options: Client
    ) -> None:
        super().__init__(world, registers, name, costs, places)
        self._options = options
        self._reading, self._writing = options.reading, options.writing

    def routine(self) -> Routine[None]:
        """One packet after the other, to the end."""
        while (yield from self._take()):
            pass

    def _take(self) -> Routine[bool]:
        options = self._options
        packet = yield from self.called(client, "read", self.world.send, self._reading)
        if isinstance(packet, client.Outcome):
            return False
        yield Took()
        yield op.Work(options.handling_ns(packet.size))
        if not options.echo:
            return True
        outcome = yield from self.called(client, "write", self.world.receive, packet, self._writing)
        if outcome is client.Outcome.WRITTEN:
            yield Wrote()
        elif outcome is client.Outcome.FULL:
            yield Dropped()
        else:
            return False
        return True
