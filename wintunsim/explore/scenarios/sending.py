"""Sending: several processors in the send routine at once, against a client that reads (spec driver §3)."""

from __future__ import annotations

from wintun_model.adapter import Adapter, Packet, SendChain
from wintun_model.operations import Routine
from wintun_model.send import send
from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.parts import got_only, pop_some
from wintunsim.explore.violation import Property
from wintunsim.explore.world import World, ipv4


def send_packets(adapter: Adapter, *packets: bytes) -> Routine[None]:
    """One call of NDIS for each packet, one after the other."""
    for packet in packets:
        yield from send(adapter, SendChain.of(Packet(packet)))


def _concurrent_senders(senders: int) -> object:
    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, process = world.adapter(), world.process()
        rings = world.rings(process, send=16)
        world.registered(adapter, process, rings)
        packets = [ipv4(number, 4) for number in range(senders)]
        for number, packet in enumerate(packets):
            world.thread(f"sender {number + 1}", lambda packet=packet: send_packets(adapter, packet))  # type: ignore[misc]
        client = world.thread("client", lambda: pop_some(rings.send, 2))
        world.expect(got_only(world, client, packets), Property.PACKETS_IN_ORDER)
        return world

    return build


register(
    Scenario(
        name="senders",
        claim="B1",
        title="three senders and a client that reads: the send ring holds one packet",
        build=_concurrent_senders(3),  # type: ignore[arg-type]
        is_broken=lambda setting: not setting.revision.loads_head_under_lock,
        story=(
            "A sender loads Head, and is held up before it takes the send lock. Meanwhile the client frees space and "
            "others use it. The sender then counts as free what is in use, and writes over packets nobody has read."
        ),
    ),
    Scenario(
        name="one-sender",
        title="a single sender and a client that reads",
        build=_concurrent_senders(1),  # type: ignore[arg-type]
        is_broken=lambda setting: False,
        twin="senders",
    ),
)
