"""What a stack does inside the driver's calls, and what pause and halt wait for (spec driver §3, §7, §7.1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from wintun_model.adapter import Adapter, Packet, ReceiveNbl, SendChain
from wintun_model.dispatch import close
from wintun_model.miniport import pause
from wintun_model.operations import Event, Put, Routine, Variable
from wintun_model.receive import return_nbls
from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.parts import always_safe, push_all, registered_client
from wintunsim.explore.scenarios.stacks import (
    Completions,
    Keeper,
    Protocols,
    number_of,
    pause_and_halt,
    send_chain,
    value_of,
)
from wintunsim.explore.world import World, ipv4


def _send_numbered(adapter: Adapter, number: int, over: Event) -> Routine[None]:
    """A send call with one packet."""
    return send_chain(adapter, SendChain.of(Packet(ipv4(number, 4), number=number)), over)


def _sends_inside_indication(ends: str) -> Callable[[Setting], World]:
    """A stack that answers a packet from inside its indication, while the adapter is paused or the handle closed."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, rings, file_object, _ = registered_client(world)
        protocols = Protocols(setting)

        def receive(adapter: Adapter, nbl: ReceiveNbl) -> Routine[None]:
            yield from protocols.send_inside(adapter, 1)
            yield from return_nbls(adapter, (nbl,))

        world.ndis.receive = receive
        world.may_oversleep(adapter)
        world.thread("client", lambda: push_all(rings.receive, (ipv4(1),)))
        if ends == "pause":
            world.thread("system", lambda: protocols.pause(adapter))
        else:
            world.thread("close", lambda: close(adapter, file_object))
        return world

    return build


def _sends_inside_completion(setting: Setting) -> World:
    world = setting.world()
    adapter, _, file_object, _ = registered_client(world, send=32)
    protocols, over = Protocols(setting), Event("send call is over", manual_reset=True)

    def complete(adapter: Adapter, chain: SendChain) -> Routine[None] | None:
        return protocols.send_inside(adapter, 2) if number_of(chain) == 1 else None

    world.ndis.complete = complete
    world.thread("sender", partial(_send_numbered, adapter, 1, over))
    world.thread("close", lambda: close(adapter, file_object))
    return world


def _send_against_halt(*, is_registered: bool, senders: int = 1) -> Callable[[Setting], World]:
    """Chains are sent, or refused; once they are back, the system takes the adapter away."""

    def build(setting: Setting) -> World:
        world, rules = setting.world(), setting.rules
        adapter, process = world.adapter(), world.process()
        calls = [Event(f"send call {number + 1} is over", manual_reset=True) for number in range(senders)]
        completions = Completions(world, senders)
        if is_registered:
            world.registered(adapter, process, world.rings(process, send=32, receive=32))
        world.machine.watch_context(adapter)
        for number, over in enumerate(calls, 1):
            world.thread(f"sender {number}", partial(_send_numbered, adapter, number, over))
        before_halt = calls if rules.halt_waits_for_send_calls else []
        world.thread("system", lambda: pause_and_halt(adapter, completions.completed, before_halt))
        return world

    return build


def _pause_against_receive(setting: Setting) -> World:
    world = setting.world()
    adapter, rings, *_ = registered_client(world)
    is_paused: Variable[bool] = Variable("the system has paused the adapter", False)
    is_held: Variable[bool] = Variable("the stack uses a packet", False)
    is_wrong: Variable[bool] = Variable("it does so after pause", False)

    def receive(adapter: Adapter, nbl: ReceiveNbl) -> Routine[None]:
        yield Put(is_held, True)
        if (yield is_paused.get):
            yield Put(is_wrong, True)
        yield Put(is_held, False)
        yield from return_nbls(adapter, (nbl,))

    def system() -> Routine[None]:
        yield from pause(adapter)
        yield Put(is_paused, True)
        if (yield is_held.get):
            yield Put(is_wrong, True)

    world.ndis.receive = receive
    world.may_oversleep(adapter)
    world.thread("client", lambda: push_all(rings.receive, (ipv4(1),)))
    world.thread("system", system)
    world.expect(lambda state: "the stack has a packet after pause" if value_of(world, state, is_wrong) else None)
    return world


def _pause_against_return(setting: Setting) -> World:
    world = setting.world()
    adapter, rings, *_ = registered_client(world, receive=64)
    keeper = Keeper(world, 1)
    world.may_oversleep(adapter)
    world.set_up("a packet comes up", lambda: push_all(rings.receive, (ipv4(1),)))
    world.thread("return", lambda: keeper.give_back(adapter, 1))
    world.thread("client", lambda: push_all(rings.receive, (ipv4(2),)))
    world.thread("system", lambda: pause(adapter))
    return world


_SENDING_INSIDE = (
    "The reader holds the transition lock shared while it indicates a packet. From inside, the stack sends, and the "
    "send takes that lock shared once more. When somebody has begun to wait for it exclusively in between, no new "
    "reader is let in: each waits for the other, for ever."
)

register(
    Scenario(
        name="send-inside-indication-close",
        claim="B12",
        title="a stack answers a packet from inside its indication while the client closes its handle",
        build=_sends_inside_indication("close"),
        is_broken=lambda setting: (
            setting.rules.stack_sends_inside
            and setting.rules.waiting_writer_excludes_readers
            and not setting.revision.indicates_after_release
        ),
        rules=("stack_sends_inside", "waiting_writer_excludes_readers"),
        story=_SENDING_INSIDE,
    ),
    Scenario(
        name="send-inside-indication-pause",
        claim="B12",
        title="a stack answers a packet from inside its indication while the adapter is paused",
        build=_sends_inside_indication("pause"),
        is_broken=lambda setting: (
            not setting.rules.pause_waits_for_sends
            and setting.rules.stack_sends_inside
            and setting.rules.waiting_writer_excludes_readers
            and not setting.revision.indicates_after_release
        ),
        rules=("pause_waits_for_sends",),
        twin="send-inside-indication-close",
        story=(
            _SENDING_INSIDE + " Pause takes the lock exclusively too, but protocols are paused before: nobody sends "
            "from inside an indication any more when the driver is. So only a system that does not do so shows this."
        ),
    ),
    Scenario(
        name="send-inside-completion",
        claim="B12",
        title="a stack sends the next packet from inside the completion of the one before",
        build=_sends_inside_completion,
        is_broken=lambda setting: setting.rules.stack_sends_inside and not setting.revision.completes_after_release,
        rules=("stack_sends_inside",),
        story=(
            "A chain is completed while the send lock is held. A send from inside the completion waits for that lock, "
            "which its own thread holds: no second thread is needed for this one."
        ),
    ),
    Scenario(
        name="send-halt",
        claim="B15",
        title="the adapter is halted once the only chain that was sent is complete",
        build=_send_against_halt(is_registered=True),
        is_broken=lambda setting: (
            not setting.revision.counts_before_release and not setting.rules.halt_waits_for_send_calls
        ),
        rules=("halt_waits_for_send_calls",),
        story=(
            "A send call adds to the statistics as the last thing that it does: after its chain is complete, and after "
            "it has released the transition lock. By then nothing holds up halt, which frees the adapter's memory."
        ),
    ),
    Scenario(
        name="sends-halt",
        claim="B15",
        title="the adapter is halted once two chains, sent by two threads, are complete",
        build=_send_against_halt(is_registered=True, senders=2),
        is_broken=lambda setting: (
            not setting.revision.counts_before_release and not setting.rules.halt_waits_for_send_calls
        ),
        rules=("halt_waits_for_send_calls",),
        story="The same where one send call completes the chain of the other, which still has its locks to release.",
    ),
    Scenario(
        name="refused-send-halt",
        claim="B15",
        title="the adapter is halted once the only chain that was sent is refused",
        build=_send_against_halt(is_registered=False),
        is_broken=lambda setting: (
            not setting.revision.counts_before_release and not setting.rules.halt_waits_for_send_calls
        ),
        rules=("halt_waits_for_send_calls",),
        story="The same for a chain that is refused: it is completed first, and counted as discarded then.",
    ),
    always_safe(
        "pause-receive",
        "the adapter is paused while a packet comes up",
        _pause_against_receive,
        twin="pause-return",
        story="When pause has returned, no packet comes up any more, and all that came up before are back.",
    ),
    Scenario(
        name="pause-return",
        claim="B2",
        title="the adapter is paused while a packet comes back and the client writes another one",
        build=_pause_against_return,
        is_broken=lambda setting: (
            not setting.revision.stores_head_before_empty and not setting.revision.empties_after_return
        ),
        story=(
            "While paused, the reader goes on and discards what it reads. It stores its own head as soon as "
            '"receive list empty" is set, which is before the last return call stores Head: that then goes back.'
        ),
    ),
)
