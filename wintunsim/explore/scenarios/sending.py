"""Sending: several processors in the send routine at once, against a client that reads (spec driver §3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from wintun_model.adapter import Adapter, Packet, SendChain
from wintun_model.operations import Routine
from wintun_model.send import send
from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.parts import always_safe, got_only, pop_some, registered_client
from wintunsim.explore.scenarios.stacks import Completions
from wintunsim.explore.violation import Property
from wintunsim.explore.world import World, ipv4
from wintunsim.explore.writes import State


def send_packets(adapter: Adapter, *packets: bytes) -> Routine[None]:
    """One call of NDIS for each packet, one after the other."""
    for packet in packets:
        yield from send(adapter, SendChain.of(Packet(packet)))


def _concurrent_senders(senders: int) -> Callable[[Setting], World]:
    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, rings, *_ = registered_client(world, receive=64)
        packets = [ipv4(number, 4) for number in range(senders)]
        for number, packet in enumerate(packets):
            world.thread(f"sender {number + 1}", partial(send_packets, adapter, packet))
        client = world.thread("client", lambda: pop_some(rings.send, 2))
        world.expect(got_only(world, client, packets), Property.PACKETS_IN_ORDER)
        return world

    return build


def _full_ring(setting: Setting) -> World:
    world = setting.world()
    adapter, rings, *_ = registered_client(world, receive=64)
    packets = [ipv4(0, 4), b"", ipv4(1, 4), ipv4(2, 4)]
    world.set_up("the ring is full", lambda: send_packets(adapter, *packets[:2]))
    for number in (1, 2):
        world.thread(f"sender {number}", partial(send_packets, adapter, packets[number + 1]))
    client = world.thread("client", lambda: pop_some(rings.send, 2))
    world.expect(got_only(world, client, packets), Property.PACKETS_IN_ORDER)
    return world


def _chains(setting: Setting) -> World:
    """Chains of two packets each: the first one just fits, all of the second or nothing of it when one is read."""
    world = setting.world()
    adapter, rings, *_ = registered_client(world, send=32, receive=64)
    completions = Completions(world, 2)
    packets = [ipv4(number, 4) for number in (1, 2, 3, 4)]

    def send_pair(number: int) -> Routine[None]:
        pair = [Packet(packet, number=number) for packet in packets[2 * number - 2 : 2 * number]]
        yield from send(adapter, SendChain.of(*pair))

    for number in (1, 2):
        world.thread(f"sender {number}", partial(send_pair, number))
    client = world.thread("client", lambda: pop_some(rings.send, 2))

    def check(state: State) -> str | None:
        got = world.result(state, client)
        pairs = (packets, [*packets[2:], *packets[:2]])
        in_order = any(tuple(order[: len(got)]) == got for order in pairs)
        return None if in_order else "packets of a chain arrive apart, or in another order"

    world.expect(check, Property.PACKETS_IN_ORDER)
    world.expect(completions.wrong, Property.COMPLETED_ONCE)
    return world


register(
    Scenario(
        name="senders",
        claim="B1",
        title="three senders and a client that reads: the send ring holds one packet",
        build=_concurrent_senders(3),
        is_broken=lambda setting: not setting.revision.loads_head_under_lock,
        story=(
            "A sender loads Head, and is held up before it takes the send lock. Meanwhile the client frees space and "
            "others use it. The sender then counts as free what is in use, and writes over packets nobody has read."
        ),
    ),
    Scenario(
        name="senders-full-ring",
        claim="B1",
        title="two senders and a client that reads: the send ring is full at first",
        build=_full_ring,
        is_broken=lambda setting: not setting.revision.loads_head_under_lock,
        story=(
            "In a nearly full ring one packet is enough for that: the reserved tail comes to the Head that the other "
            "sender has loaded, a lap later, and a full ring looks like an empty one."
        ),
    ),
    always_safe(
        "chains",
        "two senders of chains of two packets, and a client that reads",
        _chains,
        twin="senders",
        story="Chains are published whole and in the order of their reservation, and each is completed once.",
    ),
    always_safe(
        "one-sender",
        "a single sender and a client that reads",
        _concurrent_senders(1),
        twin="senders",
    ),
)
