"""What is asked of every composed program, at the end of each execution: who may wait for ever, what arrived."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wintun_model import operations as op
from wintunsim.explore.composing.calls import INVALID
from wintunsim.explore.composing.stack import Stack
from wintunsim.explore.composing.threads import Instance
from wintunsim.explore.gate import Gate
from wintunsim.explore.layout import Region
from wintunsim.explore.program import Program
from wintunsim.explore.violation import Property
from wintunsim.explore.writes import State

if TYPE_CHECKING:
    from wintunsim.explore.composing.compose import ComposedWorld

ENDS = ("close", "exit", "force_close", "halt", "remove")
"""What may end a registration."""
DISCARDS = (*ENDS, "pause", "restart", "initialize", "keep", "session.allocate")
"""Where one of these is, not every packet that a client wrote needs to arrive."""


class Checks:
    """The end checks of one composed world."""

    def __init__(self, composed: ComposedWorld) -> None:
        self.composed = composed
        self.world = composed.world
        self.machine = composed.world.machine
        self.regions: dict[int, Region] = {}
        for registered in composed.registered.values():
            self._slot(registered.file.file_object.released)
            self._slot(registered.client.busy)
            for region in (registered.rings.send_region, registered.rings.receive_region):
                self.regions[region.address] = region
        # Every variable that a check asks for has its slot from the start.
        for stack in composed.stacks.values():
            for variable in self._variables(stack):
                self._slot(variable)
            self.machine.steps.list_slot(stack.adapter.receive_active)
        self._chains = {
            place: self.machine.layout.slot(chain, "chain", 0, "completed") for place, chain in composed.chains.items()
        }

    @staticmethod
    def _variables(stack: Stack) -> list[op.Variable[Any]]:
        adapter = stack.adapter
        return [stack.kept, stack.received, stack.gates.known, adapter.owner, adapter.receive_ring]

    def _slot(self, variable: op.Variable[Any]) -> int:
        return self.machine.layout.slot(variable, variable.name, variable.value)

    def value(self, state: State, variable: op.Variable[Any]) -> Any:
        """What a variable holds in a state."""
        return state[self._slot(variable)]

    def install(self) -> None:
        """Make the world ask them."""
        self.machine.idle_of_started = self._reader_idle  # type: ignore[method-assign]
        expect = self.world.expect
        expect(self._sends_complete, Property.COMPLETED_ONCE)
        expect(self._popped, Property.PACKETS_IN_ORDER)
        expect(self._received, Property.PACKETS_IN_ORDER)
        expect(self._owners, Property.EXPECTATION)
        expect(self._outlived, Property.EXPECTATION)
        expect(self._halted, Property.NOTHING_AFTER_FREE)

    # -- who may wait for ever --------------------------------------------------------------------------------------

    def _stack_keeps(self, state: State) -> bool:
        """A network stack that keeps an NBL holds up whoever waits for it (spec driver §6.1)."""
        return any(self.value(state, stack.kept)[1] for stack in self.composed.stacks.values())

    def thread_idle(self, program: Program) -> Callable[[State], bool]:
        """Whether a thread of the program may wait where it stands: for others, for packets, for a stack."""

        def is_idle(state: State) -> bool:
            operation = state[program.slot].operation
            if isinstance(operation, Gate):
                return True
            if isinstance(operation, op.Wait):
                for registered in self.composed.registered.values():
                    if operation.events == (registered.rings.events[0],):
                        head, tail, _ = registered.rings.send_region.words
                        return bool(state[head] == state[tail]) or not self.value(state, registered.client.busy)[0]
            return self._stack_keeps(state)

        return is_idle

    def _reader_idle(self, name: str) -> Callable[[State], bool] | None:
        """The driver's reader may wait while there is nothing to read, and a registration that it belongs to."""
        for stack in self.composed.stacks.values():
            if name == f"{stack.adapter.name} reader":
                return lambda state: self._is_reader_idle(state, stack, name)
        return None

    def _is_reader_idle(self, state: State, stack: Stack, name: str) -> bool:
        adapter, steps = stack.adapter, self.machine.steps
        ring = self.value(state, adapter.receive_ring)
        if ring is None:
            return False
        waits = [
            state[program.slot].operation
            for program in self.machine.programs
            if program.name == name and not state[program.slot].has_ended
        ]
        if not any(isinstance(operation, op.Wait) and adapter.disconnected in operation.events for operation in waits):
            return self._stack_keeps(state)
        region = self.regions[ring.address]
        head, tail, _ = region.words
        first, last = state[steps.list_slot(adapter.receive_active)]
        cursor = state[head] if first is None else state[steps.entry_slot(last)][0] & ~3
        is_registered = self.value(state, adapter.owner) is not None
        return bool(is_registered and cursor == state[tail] and cursor < region.capacity)

    # -- what arrived -----------------------------------------------------------------------------------------------

    def _items(self, state: State) -> list[tuple[Any, ...]]:
        """What all calls told that are over, by their places in the program."""
        items: list[tuple[Any, ...]] = []
        for program in self.composed.programs:
            node = state[program.slot]
            if node.has_ended:
                items += node.result
        return sorted(items, key=lambda item: item[0])

    def _sends_complete(self, state: State) -> str | None:
        for place, kind, *_ in self._items(state):
            if kind == "sent" and not state[self._chains[place]]:
                return f"the chain of {self.composed.plan.instances[place].call} is never completed"
        return None

    def _in_order(self, got: list[bytes], sent: dict[bytes, tuple[Instance, int]], what: str) -> str | None:
        """Packets are some of those that were sent, each once; those of one sender in their order."""
        for place, packet in enumerate(got):
            if packet == INVALID:
                return f"the {what} is given what cannot be a packet"
            if packet not in sent:
                return f"the {what} gets {packet.hex()}, which nobody sent"
            if packet in got[:place]:
                return f"the {what} gets {packet.hex()} twice"
            instance, number = sent[packet]
            for earlier in got[:place]:
                other, number_before = sent[earlier]
                if instance.place in other.before or (other is instance and number < number_before):
                    return f"the {what} gets {packet.hex()} after {earlier.hex()}, which was sent after it"
        return None

    def _popped(self, state: State) -> str | None:
        composed = self.composed
        items = self._items(state)
        for place, registered in composed.registered.items():
            got = [item[2] for item in items if item[1] == "popped" and composed.plan.instances[item[0]].rings == place]
            stack = next(stack for stack in composed.stacks.values() if stack.adapter is registered.adapter)
            sent: dict[bytes, tuple[Instance, int]] = {}
            for chain_place, packets in composed.packets.items():
                instance = composed.plan.instances[chain_place]
                if instance.name in ("send", "send_chain") and composed.stacks[instance.call.adapter] is stack:
                    sent |= {packet: (instance, number) for number, packet in enumerate(packets)}
            nowhere = Instance(-1, composed.plan.instances[place].call, frozenset())
            for chain in stack.chains:
                for packet in chain.packets():
                    sent.setdefault(packet.data or b"", (nowhere, 0))
            wrong = self._in_order(got if self._is_ordered(place) else sorted(set(got)), sent, "client")
            if wrong is not None:
                return wrong
        return None

    def _is_ordered(self, rings: int) -> bool:
        """Whether one thread alone reads these rings: sessions have several."""
        return not any(instance.rings == rings for instance in self.composed.plan.named("session.receive"))

    def _received(self, state: State) -> str | None:
        composed = self.composed
        items = self._items(state)
        for place, registered in composed.registered.items():
            address = registered.rings.receive_region.address
            stack = next(stack for stack in composed.stacks.values() if stack.adapter is registered.adapter)
            got = [data for where, data in self.value(state, stack.received) if where == address]
            sent = {
                packet: (composed.plan.instances[pushed], 0)
                for pushed, packets in composed.packets.items()
                if composed.plan.instances[pushed].rings == place
                for packet in packets
            }
            wrong = self._in_order(got, sent, "stack")
            if wrong is not None:
                return wrong
            if composed.plan.named(*DISCARDS) or composed.composition.options.fail:
                continue
            is_live = any(item[0] == place and item[1:] == ("registered", True) for item in items)
            written = [
                item[2] for item in items if item[1] == "pushed" and composed.plan.instances[item[0]].rings == place
            ]
            missing = [packet for packet in written if packet not in got]
            if is_live and missing and all(self._is_sound(packet) for packet in written):
                return f"the stack never gets {missing[0].hex()}"
        return None

    @staticmethod
    def _is_sound(packet: bytes) -> bool:
        return len(packet) >= 20

    # -- registrations ----------------------------------------------------------------------------------------------

    def _owners(self, state: State) -> str | None:
        """A registration ends with its own handle, process or adapter; nothing else ends it."""
        composed = self.composed
        for place, kind, *rest in self._items(state):
            if kind != "registered" or not rest[0] or self._may_end(place):
                continue
            registered = composed.registered[place]
            if self.value(state, registered.adapter.owner) is not registered.file.file_object:
                return (
                    f"the registration of {composed.plan.instances[place].call} has ended, though its handle is open, "
                    "its process there and its adapter too"
                )
        return None

    def _outlived(self, state: State) -> str | None:
        """A registration does not outlive its file object."""
        for place, registered in self.composed.registered.items():
            file_object = registered.file.file_object
            is_owner = self.value(state, registered.adapter.owner) is file_object
            if is_owner and self.value(state, file_object.released):
                return f"the registration of {self.composed.plan.instances[place].call} outlives its file object"
        return None

    def _may_end(self, place: int) -> bool:
        program = self.composed.plan
        call = program.instances[place].call
        if program.named("halt", "remove", adapter=call.adapter) or program.named("exit", client=call.client):
            return True
        if any(instance.call.client != call.client for instance in program.named("force_close", adapter=call.adapter)):
            return True
        return any(instance.rings == place for instance in program.named("close"))

    def _halted(self, state: State) -> str | None:
        for stack in self.composed.stacks.values():
            known = self.value(state, stack.gates.known)
            if known.state == "halted" and self.value(state, stack.adapter.owner) is not None:
                return f"rings are registered with {stack.adapter.name}, which is halted and freed"
        return None
