"""What the network stack above the adapter does in scenarios, and the system that pauses and halts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wintun_model.adapter import Adapter, ForeignEntry, Packet, ReceiveNbl, SendChain
from wintun_model.miniport import halt, pause
from wintun_model.operations import CopyOut, Event, Lock, Put, Routine, Variable, Wait
from wintun_model.receive import return_nbls
from wintun_model.send import send
from wintunsim.explore.scenario import Setting
from wintunsim.explore.world import World
from wintunsim.explore.writes import State


class Keeper:
    """A stack that keeps the first `count` packets that come up, until threads return them; it returns others at once.

    Where return calls are serialised, they are so by a lock of the stack's.
    """

    def __init__(self, world: World, count: int) -> None:
        self._kept: list[Variable[ReceiveNbl | None]] = [
            Variable(f"kept packet {number + 1}", None) for number in range(count)
        ]
        self._lock = Lock("stack") if world.rules.returns_are_serialised else None
        self.returned = [Event(f"return call {number + 1} is over", manual_reset=True) for number in range(count)]
        world.ndis.receive = self._receive

    def _receive(self, adapter: Adapter, nbl: ReceiveNbl) -> Routine[None]:
        if nbl.number <= len(self._kept) and (yield self._kept[nbl.number - 1].get) is None:
            yield Put(self._kept[nbl.number - 1], nbl)
        else:
            yield from return_nbls(adapter, (nbl,))

    def give_back(self, adapter: Adapter, *numbers: int) -> Routine[None]:
        """One return call with the kept packets of these numbers, from 1."""
        nbls: tuple[ReceiveNbl, ...] = ()
        for number in numbers:
            nbls += ((yield self._kept[number - 1].get),)
        if self._lock is not None:
            yield self._lock.acquire
        yield from return_nbls(adapter, nbls)
        if self._lock is not None:
            yield self._lock.release
        yield self.returned[numbers[0] - 1].set


class Recorder:
    """A stack that notes the packets that come up, in order, and returns each inside its indication."""

    def __init__(self, world: World) -> None:
        self._seen: Variable[tuple[bytes, ...]] = Variable("packets seen", ())
        self._world = world
        world.ndis.receive = self._receive

    def _receive(self, adapter: Adapter, nbl: ReceiveNbl) -> Routine[None]:
        data = yield CopyOut(nbl.ring, nbl.offset, nbl.size_bytes)
        seen = yield self._seen.get
        yield Put(self._seen, (*seen, data))
        yield from return_nbls(adapter, (nbl,))

    def seen(self, state: State) -> tuple[bytes, ...]:
        """The packets that came up."""
        return value_of(self._world, state, self._seen)  # type: ignore[no-any-return]


class Completions:
    """A stack that notes which of its chains came back. Packet numbers, from 1, tell the chains apart."""

    def __init__(self, world: World, count: int) -> None:
        self._world = world
        self.completed = [Event(f"chain {number + 1} is complete", manual_reset=True) for number in range(count)]
        self._foreign = Event("a foreign chain is complete", manual_reset=True)
        world.ndis.complete = self._complete

    def _complete(self, adapter: Adapter, chain: SendChain) -> Routine[None]:
        if isinstance(chain, ForeignEntry):
            yield self._foreign.set
        else:
            yield self.completed[number_of(chain) - 1].set

    def wrong(self, state: State) -> str | None:
        """An end check: all chains came back, and nothing else."""
        if is_set(self._world, state, self._foreign):
            return "NDIS is given back a chain that it never handed down"
        for number, event in enumerate(self.completed):
            if not is_set(self._world, state, event):
                return f"chain {number + 1} is never completed"
        return None


class Protocols:
    """Protocols above the adapter, which send from inside what the driver calls them for, where they may.

    Where pause waits for them, they are paused before the driver is: nobody sends, or starts to, from then on.
    """

    def __init__(self, setting: Setting) -> None:
        self._rules = setting.rules
        self._paused: Variable[bool] = Variable("protocols paused", False)
        self._sending = Lock("protocols")

    def send_inside(self, adapter: Adapter, number: int) -> Routine[None]:
        """Send a packet from inside a call of the driver's."""
        if not self._rules.stack_sends_inside:
            return
        yield self._sending.acquire_shared
        if not (yield self._paused.get):
            yield from send(adapter, SendChain.of(Packet(bytes([0x45, 0, 0, number]), number=number)))
        yield self._sending.release_shared

    def pause(self, adapter: Adapter) -> Routine[None]:
        """Pause the protocols, if that comes first, and the driver."""
        if self._rules.pause_waits_for_sends:
            yield self._sending.acquire
            yield Put(self._paused, True)
            yield self._sending.release
        yield from pause(adapter)


def send_chain(adapter: Adapter, chain: SendChain, over: Event) -> Routine[None]:
    """One send call; `over` is set when it has returned."""
    yield from send(adapter, chain)
    yield over.set


def pause_and_halt(adapter: Adapter, before_pause: Sequence[Event], before_halt: Sequence[Event]) -> Routine[None]:
    """The system takes the adapter away, once it has waited for what it waits for."""
    for event in before_pause:
        yield Wait((event,))
    yield from pause(adapter)
    for event in before_halt:
        yield Wait((event,))
    yield from halt(adapter)


def number_of(chain: SendChain) -> int:
    """The number of a chain: that of its first packet."""
    return chain.packets()[0].number


def value_of(world: World, state: State, variable: Variable[Any]) -> Any:
    """What a variable holds in a state."""
    slot = world.machine.layout.slot(variable, variable.name, variable.value)
    world.machine.complete(state)
    return state[slot]


def is_set(world: World, state: State, event: Event) -> bool:
    """Whether an event is set in a state."""
    slot = world.machine.layout.slot(event, event.name, event.signalled)
    world.machine.complete(state)
    return state[slot] is True
