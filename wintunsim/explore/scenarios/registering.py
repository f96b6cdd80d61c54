"""Registering: two registrations at once, one after the other, and beside senders (spec driver §5)."""

from __future__ import annotations

from wintun_model.adapter import Adapter
from wintun_model.dispatch import close
from wintun_model.operations import Routine
from wintun_model.registration import register as register_rings
from wintun_model.registration import unregister
from wintun_model.status import NtStatus
from wintunsim.explore.files import close_handle
from wintunsim.explore.program import Program
from wintunsim.explore.scenario import Setting, register
from wintunsim.explore.scenarios.lives import Build, one_handle, owned_by, registers, sends, value_of, without
from wintunsim.explore.scenarios.parts import always_safe, client_with_handle, must_fail, pop_some, registered_client
from wintunsim.explore.violation import Property
from wintunsim.explore.world import FileObject, Rings, SmallProcess, World, ipv4
from wintunsim.explore.writes import State


def _comes_and_goes(world: World, process: SmallProcess, file_object: FileObject, rings: Rings) -> Routine[int]:
    """A client that registers, and closes its handle: the status of its registration."""
    status = yield from registers(world, process, one_handle(file_object), rings)
    yield from close_handle(one_handle(file_object))
    return status


def _some_register(world: World, clients: list[Program]) -> None:
    """Expect that each client registered, or was told that another one had, and that not all of them were told so."""

    def check(state: State) -> str | None:
        statuses = [world.result(state, client) for client in clients]
        if set(statuses) <= {0, NtStatus.STATUS_ALREADY_INITIALIZED} and 0 in statuses:
            return None
        return f"the registrations came to {', '.join(hex(status) for status in statuses)}"

    world.expect(check)


def _two_files(*, has_lock: bool) -> Build:
    """Two clients of one adapter, each on a file object of its own."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter = world.adapter()
        lock = adapter.registration_lock
        left_out = () if has_lock else (lock.try_acquire, lock.acquire, lock.release)
        clients = []
        for name in ("one", "other"):
            process = world.process(name)
            rings, file_object = (
                world.rings(process, send=16, receive=32, name=f"{name} "),
                world.open(process, adapter),
            )
            world.idle_reader(adapter, rings)

            def client(
                process: SmallProcess = process, file: FileObject = file_object, rings: Rings = rings
            ) -> Routine[int]:
                return without(_comes_and_goes(world, process, file, rings), *left_out)

            clients.append(world.thread(name, client))
        _some_register(world, clients)
        owned_by(world, adapter, None)
        return world

    return build


def _two_adapters(*, has_lock: bool) -> Build:
    """A process that closes a device by one thread and registers on another device by another one."""

    def build(setting: Setting) -> World:
        world = setting.world()
        process = world.process()
        first, second = world.adapter("first"), world.adapter("second")
        world.registered(first, process, world.rings(process, send=16, receive=32, name="first "))
        rings, file_object = world.rings(process, send=16, receive=32, name="second "), world.open(process, second)
        world.idle_reader(second, rings)
        lock = world.driver.device_list_lock
        left_out = () if has_lock else (lock.acquire, lock.release)
        world.thread("close", lambda: without(close_handle(one_handle(world.file_objects[0])), *left_out))
        world.thread("register", lambda: without(registers(world, process, one_handle(file_object), rings), *left_out))

        def check(state: State) -> str | None:
            listed = value_of(world, state, world.driver.registered)
            return None if listed == (second,) else f"registered at the end: {listed}, not the second one only"

        world.expect(check)
        return world

    return build


def _again(
    adapter: Adapter, world: World, process: SmallProcess, rings: Rings, *left_out: object
) -> Routine[tuple[bytes, ...]]:
    """A client that closes its handle and registers fresh rings on another one: what it reads there."""
    first, second = world.file_objects
    yield from without(close(adapter, first), *left_out)  # type: ignore[arg-type]
    status = yield from register_rings(adapter, world.registration(process, second, rings))
    if status:
        return (b"not registered",)
    got = yield from pop_some(rings.send, 1)
    return got


def _register_again(*, has_barrier: bool) -> Build:
    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, process = world.adapter(), world.process()
        world.registered(adapter, process, world.rings(process, send=16, receive=32, name="old "))
        world.open(process, adapter)
        fresh = world.rings(process, send=16, receive=32, name="fresh ")
        world.idle_reader(adapter, fresh)
        lock = adapter.transition_lock
        left_out = () if has_barrier else (lock.acquire, lock.release)
        client = world.thread("client", lambda: _again(adapter, world, process, fresh, *left_out))
        world.thread("sender", lambda: sends(adapter, 1))
        world.expect(
            lambda state: (
                None
                if world.result(state, client) in ((), (ipv4(1, 4),))
                else f"the client got {world.result(state, client)} from its fresh ring"
            ),
            Property.PACKETS_IN_ORDER,
        )
        return world

    return build


def _register_against_send(*, has_barrier: bool) -> Build:
    """Senders may write the ring from the moment the disconnected event is clear; then no thread can be started."""

    def build(setting: Setting) -> World:
        world = setting.world(failing=("thread",))
        adapter, rings, file_object, process = client_with_handle(world)
        lock = adapter.transition_lock
        left_out = () if has_barrier else (lock.acquire, lock.release)
        world.thread("client", lambda: without(registers(world, process, one_handle(file_object), rings), *left_out))
        world.thread("sender", lambda: sends(adapter, 1))
        return world

    return build


def _two_unregister(*, has_lock: bool) -> Build:
    """The owner closes its handle while the registration is ended by force."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, _, file_object, _ = registered_client(world)
        lock = adapter.registration_lock
        left_out = () if has_lock else (lock.acquire, lock.release)
        world.thread("close", lambda: without(close(adapter, file_object), *left_out))
        world.thread("force", lambda: without(unregister(adapter, None), *left_out))
        owned_by(world, adapter, None)
        return world

    return build


register(
    always_safe(
        "two-files",
        "two clients register on one adapter and close their handles",
        _two_files(has_lock=True),
        twin="two-files-no-lock",
        story=(
            "Who does not get the registration lock at once is told that somebody else has registered; who gets it and "
            "finds an owner, too. A close by another file object than the owner changes nothing."
        ),
    ),
    must_fail(
        "two-files-no-lock",
        "the same in a driver without the registration lock",
        _two_files(has_lock=False),
        leaves_out="the registration lock",
    ),
    always_safe(
        "two-adapters",
        "a process closes one device while it registers on another one",
        _two_adapters(has_lock=True),
        twin="two-adapters-no-lock",
        story="The list of registered devices changes under a lock of its own: no device is lost from it, none stays.",
    ),
    must_fail(
        "two-adapters-no-lock",
        "the same in a driver without the lock of that list",
        _two_adapters(has_lock=False),
        leaves_out="the device list lock",
    ),
    always_safe(
        "register-again",
        "a client closes its handle and registers fresh rings while NDIS sends a packet",
        _register_again(has_barrier=True),
        twin="register-again-no-barrier",
        story=(
            "A packet goes into the old ring, into the fresh one, or to neither; its sender has left the old ring "
            "before the fresh one is there."
        ),
    ),
    must_fail(
        "register-again-no-barrier",
        "the same in a driver whose unregister takes no transition lock",
        _register_again(has_barrier=False),
        leaves_out="the transition-lock barrier of unregister",
    ),
    always_safe(
        "register-send",
        "rings are registered while NDIS sends a packet; the reader thread may fail to start",
        _register_against_send(has_barrier=True),
        twin="register-send-no-barrier",
        story=(
            "Senders write the ring before the reader is started. When that fails, the disconnected event is set "
            "again, and the transition lock taken, before the pages are unlocked."
        ),
    ),
    must_fail(
        "register-send-no-barrier",
        "the same in a driver that does not take the transition lock when the thread fails to start",
        _register_against_send(has_barrier=False),
        leaves_out="the transition-lock barrier of a registration that fails",
    ),
    always_safe(
        "two-ends",
        "the owner closes its handle while its registration is ended by force",
        _two_unregister(has_lock=True),
        twin="two-ends-no-lock",
        story="One of them finds the owner under the registration lock; the other one finds none, and is done.",
    ),
    must_fail(
        "two-ends-no-lock",
        "the same in a driver without the registration lock",
        _two_unregister(has_lock=False),
        leaves_out="the registration lock",
    ),
)
