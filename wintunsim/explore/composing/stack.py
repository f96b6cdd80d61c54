"""The network stack of a composed program: what happens inside the driver's calls to NDIS, and what the stack saw."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wintun_model.adapter import Adapter, Packet, ReceiveNbl, SendChain
from wintun_model.operations import CopyOut, Routine, Variable
from wintun_model.receive import return_nbls
from wintun_model.send import send
from wintunsim.explore.composing.surroundings import AdapterGates
from wintunsim.explore.gate import Decision, Gate
from wintunsim.explore.world import World, ipv4

Budget = tuple[int, tuple[ReceiveNbl, ...]]
"""How many NBLs the stack still keeps, and those that it has now."""


class Stack:
    """NDIS and the stack above one adapter. It keeps the first NBLs that it gets, as many as the program says.

    `kept_max` is how many; `echoes` and `resends` are the chains that it sends from inside indications and completions.
    """

    def __init__(self, world: World, gates: AdapterGates, *, kept_max: int, echoes: int, resends: int) -> None:
        self.world = world
        self.gates = gates
        self.adapter = gates.adapter
        name = self.adapter.name
        self.kept: Variable[Budget] = Variable(f"{name}: NBLs that are kept", (kept_max, ()))
        self.received: Variable[tuple[tuple[int, bytes], ...]] = Variable(f"{name}: received", ())
        self.inside: Variable[tuple[int, int]] = Variable(f"{name}: sends from inside", (0, 0))
        self.chains: list[SendChain] = []
        self._keeps = kept_max > 0
        sends = world.rules.stack_sends_inside
        self._echoes = [self.chain(ipv4(200 + number, 4)) for number in range(echoes if sends else 0)]
        self._resends = [self.chain(ipv4(220 + number, 4)) for number in range(resends if sends else 0)]

    def chain(self, *packets: bytes) -> SendChain:
        """A chain to send: made once, as end checks ask what became of it."""
        chain = SendChain.of(*map(Packet, packets))
        self.chains.append(chain)
        return chain

    # -- down -------------------------------------------------------------------------------------------------------

    def send(self, chain: SendChain) -> Routine[bool]:
        """Hand a chain down, if NDIS may: whether it did."""
        if not (yield from self.gates.begin_send()):
            return False
        yield from send(self.adapter, chain)
        yield from self.gates.end_send_call()
        return True

    def completed(self, chain: SendChain) -> Routine[None] | None:
        """A chain comes back."""
        if not self._resends and not self.gates.has_life_cycle:
            return None
        return self._completed()

    def _completed(self) -> Routine[None]:
        yield from self.gates.end_send()
        yield from self._send_inside(1, self._resends, "send from inside a completion")

    def _send_inside(self, index: int, chains: list[SendChain], name: str) -> Routine[None]:
        if not chains:
            return

        def decide(values: tuple[tuple[int, int]], argument: None) -> Decision:
            (counts,) = values
            if counts[index] >= len(chains):
                return None, values
            return counts[index], ((counts[0] + (index == 0), counts[1] + (index == 1)),)

        number = yield Gate(name, (self.inside,), decide)
        if number is not None:
            yield from self.send(chains[number])

    # -- up ---------------------------------------------------------------------------------------------------------

    def indicated(self, nbl: ReceiveNbl) -> Routine[None]:
        """A packet comes up: it is read where it stands, then kept or returned at once."""
        data = yield CopyOut(nbl.ring, nbl.offset, nbl.size_bytes)

        def note(values: tuple[tuple[Any, ...]], argument: Any) -> Decision:
            return None, ((*values[0], argument),)

        yield Gate("the stack reads a packet", (self.received,), note, (nbl.ring.address, data))
        yield from self._send_inside(0, self._echoes, "send from inside an indication")
        if self._keeps and (yield Gate("the stack keeps an NBL", (self.kept,), _keep, nbl)):
            return
        yield from self._return((nbl,))

    def return_kept(self, count: int) -> Routine[None]:
        """Return the oldest NBLs that are kept, in one call; wait until there are so many."""

        def decide(values: tuple[Budget], argument: None) -> Decision | None:
            ((left, kept),) = values
            return None if len(kept) < count else (kept[:count], ((left, kept[count:]),))

        nbls = yield Gate(f"take {count} NBLs to return", (self.kept,), decide)
        yield from self._return(nbls)

    def _return(self, nbls: tuple[ReceiveNbl, ...]) -> Routine[None]:
        yield from self.gates.begin_return()
        yield from return_nbls(self.adapter, nbls)
        yield from self.gates.end_return()


def _keep(values: tuple[Budget], argument: ReceiveNbl) -> Decision:
    left, kept = values[0]
    return (False, values) if not left else (True, ((left - 1, (*kept, argument)),))


class Stacks:
    """NDIS for a world: the stacks of its adapters."""

    def __init__(self, stacks: Iterable[Stack]) -> None:
        self._of = {stack.adapter: stack for stack in stacks}

    def receive(self, adapter: Adapter, nbl: ReceiveNbl) -> Routine[None] | None:
        """See `WorldNdis.receive`."""
        return self._of[adapter].indicated(nbl)

    def complete(self, adapter: Adapter, chain: SendChain) -> Routine[None] | None:
        """See `WorldNdis.complete`."""
        return self._of[adapter].completed(chain)
