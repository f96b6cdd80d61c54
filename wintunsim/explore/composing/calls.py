"""What each name of a composed program does: the calls of NDIS, of the system and of clients."""

from __future__ import annotations

from typing import Any

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES, TUN_IOCTL_REGISTER_RINGS
from wintun_model.adapter import SendChain
from wintun_model.client import Outcome, WriteStrategy, pop, push, read, write
from wintun_model.dispatch import device_control
from wintun_model.operations import CopyIn, CopyOut, Routine, Variable, Wait
from wintun_model.registration import Registration
from wintun_model.revision import Revision
from wintun_model.session import (
    LIBRARY_REVISIONS,
    Session,
    allocate_send_packet,
    receive_packet,
    release_receive_packet,
    send_packet,
)
from wintun_model.status import is_success
from wintunsim.explore.composing.stack import Stack
from wintunsim.explore.composing.surroundings import Client, FileGates
from wintunsim.explore.composing.text import Options
from wintunsim.explore.composing.threads import Instance
from wintunsim.explore.gate import Decision, Gate
from wintunsim.explore.world import Rings, World

LIFE_CYCLE = ("pause", "restart", "halt", "initialize", "remove")
TWICE = WriteStrategy(attempts=2, yields=True)
INVALID = b"INVALID"
"""What a client that reads what cannot be a packet tells it got."""
Item = tuple[Any, ...]
"""What a call tells of itself: what it was, and what came of it."""
Items = tuple[Item, ...]


class Registered:
    """What belongs to one `register` of a program: a file object, rings, a session over them."""

    def __init__(
        self, world: World, client: Client, stack: Stack, options: Options, revision: Revision, name: str
    ) -> None:
        self.client = client
        self.adapter = stack.adapter
        self.rings: Rings = world.rings(client.process, send=options.send, receive=options.receive, name=name)
        file_object = world.open(client.process, stack.adapter)
        self.file = FileGates(file_object, stack.gates)
        client.files.append(self.file)
        self.request = world.registration(client.process, file_object, self.rings)
        self.receive = self.rings.client_ring("receive", has_barrier=options.barrier)
        # wintun.dll goes with the driver: its barrier came in the same revision.
        library = LIBRARY_REVISIONS["2026-02" if revision.has_full_barrier else "0.14"]
        self.session = Session(
            self.rings.session_ring("send"),
            self.rings.session_ring("receive"),
            self.rings.events[1],
            revision=library,
            limits=world.limits,
        )
        self.held: Variable[tuple[int, ...]] = Variable(f"{name}packets that were got", ())
        self.allocated: Variable[tuple[int, ...]] = Variable(f"{name}packets there is room for", ())


class Calls:
    """The calls of a program. Each is a routine that returns what it tells."""

    stacks: dict[int, Stack]
    clients: dict[int, Client]
    registered: dict[int, Registered]
    """By the place of the `register`."""
    chains: dict[int, SendChain]
    packets: dict[int, tuple[bytes, ...]]

    def call(self, instance: Instance) -> Routine[Items]:
        """One call: what it tells."""
        name, call = instance.name, instance.call
        stack = self.stacks[call.adapter]
        if name in ("send", "send_chain"):
            was_sent = yield from stack.send(self.chains[instance.place])
            return (("sent",),) if was_sent else ()
        if name == "return":
            yield from stack.return_kept(call.given[0])
            return ()
        if name in LIFE_CYCLE:
            yield from getattr(stack.gates, name)()
            return ()
        client = self.clients[call.client]
        if name == "exit":
            yield from client.exit()
            return ()
        # Who only waits may be killed at any time: an exit does not wait for it.
        is_counted = name not in ("read", "wait")
        if is_counted and not (yield from client.begin()):
            return ()
        items = yield from getattr(self, f"_{name.replace('.', '_')}")(instance)
        if is_counted:
            yield from client.end()
        return items  # type: ignore[no-any-return]

    # -- requests ---------------------------------------------------------------------------------------------------

    def _register(self, instance: Instance) -> Routine[Items]:
        registration = self.registered[instance.place]
        stack = self.stacks[instance.call.adapter]
        if not (yield from registration.file.begin_request()):
            return ()
        status, _ = yield from device_control(stack.adapter, registration.request, TUN_IOCTL_REGISTER_RINGS)
        yield from registration.file.end_request()
        return (("registered", is_success(status)),)

    def _close(self, instance: Instance) -> Routine[Items]:
        yield from self.registered[instance.rings].file.close()
        return ()

    def _force_close(self, instance: Instance) -> Routine[Items]:
        process = self.clients[instance.call.client].process
        request = Registration(process, None, b"")
        adapter = self.stacks[instance.call.adapter].adapter
        yield from device_control(adapter, request, TUN_IOCTL_FORCE_CLOSE_HANDLES)
        return ()

    # -- the published protocol -------------------------------------------------------------------------------------

    def _pop(self, instance: Instance) -> Routine[Items]:
        return _popped((yield from pop(self.registered[instance.rings].rings.send)))

    def _read(self, instance: Instance) -> Routine[Items]:
        return _popped((yield from read(self.registered[instance.rings].rings.send)))

    def _wait(self, instance: Instance) -> Routine[Items]:
        ring = self.registered[instance.rings].rings.send
        while (yield ring.head.load) == (yield ring.tail.load):
            yield Wait((ring.tail_moved,))
        return ()

    def _push(self, instance: Instance) -> Routine[Items]:
        (packet,) = self.packets[instance.place]
        return _pushed((yield from push(self.registered[instance.rings].receive, packet)), packet)

    def _write(self, instance: Instance) -> Routine[Items]:
        (packet,) = self.packets[instance.place]
        return _pushed((yield from write(self.registered[instance.rings].receive, packet, TWICE)), packet)

    # -- wintun.dll -------------------------------------------------------------------------------------------------

    def _session_receive(self, instance: Instance) -> Routine[Items]:
        registration = self.registered[instance.rings]
        error, offset, size = yield from receive_packet(registration.session)
        if error:
            return ()
        data = yield CopyOut(registration.session.receiving, offset, size)
        yield _put("a packet was got", registration.held, offset)
        return (("popped", data),)

    def _session_release(self, instance: Instance) -> Routine[Items]:
        registration = self.registered[instance.rings]
        offset = yield _take("a packet to release", registration.held)
        yield from release_receive_packet(registration.session, offset)
        return ()

    def _session_allocate(self, instance: Instance) -> Routine[Items]:
        registration = self.registered[instance.rings]
        (packet,) = self.packets[instance.place]
        error, offset = yield from allocate_send_packet(registration.session, len(packet))
        if error:
            return ()
        yield CopyIn(registration.session.sending, offset, packet, len(packet))
        yield _put("there is room for a packet", registration.allocated, offset)
        return (("pushed", packet),)

    def _session_send(self, instance: Instance) -> Routine[Items]:
        registration = self.registered[instance.rings]
        offset = yield _take("a packet to send", registration.allocated)
        yield from send_packet(registration.session, offset)
        return ()


def _popped(outcome: bytes | Outcome) -> Items:
    if isinstance(outcome, bytes):
        return (("popped", outcome),)
    return (("popped", INVALID),) if outcome is Outcome.INVALID else ()


def _pushed(outcome: Outcome, packet: bytes) -> Items:
    return (("pushed", packet),) if outcome is Outcome.WRITTEN else ()


def _put(name: str, variable: Variable[tuple[int, ...]], offset: int) -> Gate:
    """One more in a queue of a client's own."""

    def decide(values: tuple[Any, ...], argument: int) -> Decision:
        return None, ((*values[0], argument),)

    return Gate(name, (variable,), decide, offset)


def _take(name: str, variable: Variable[tuple[int, ...]]) -> Gate:
    """The oldest of such a queue, once there is one."""

    def decide(values: tuple[Any, ...], argument: None) -> Decision | None:
        return (values[0][0], (values[0][1:],)) if values[0] else None

    return Gate(name, (variable,), decide)
