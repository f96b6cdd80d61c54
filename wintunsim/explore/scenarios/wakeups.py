"""Lost wake-ups: who sleeps while its work is there (spec driver §4.1, §8, B3)."""

from __future__ import annotations

from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.parts import push_all
from wintunsim.explore.world import World, ipv4


def _reader_asleep(*, client_has_barrier: bool) -> object:
    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, process = world.adapter(), world.process()
        rings = world.rings(process, receive=64)
        world.registered(adapter, process, rings)
        ring = rings.client_ring("receive", has_barrier=client_has_barrier)
        # The reader must be between its store of Alertable and its wait when the second packet comes.
        world.thread("client", lambda: push_all(ring, (ipv4(1), ipv4(2))))
        return world

    return build


register(
    Scenario(
        name="receive-wakeup",
        claim="B3",
        title="the driver's reader goes to sleep while a client written from the protocol writes a packet",
        build=_reader_asleep(client_has_barrier=False),  # type: ignore[arg-type]
        is_broken=lambda setting: setting.memory == "tso",
        story=(
            "The client's store of Tail and the reader's store of Alertable both wait in store buffers while each side "
            "loads the other's word: both see the old value, the reader sleeps, and nobody wakes it."
        ),
    ),
    Scenario(
        name="receive-wakeup-client-barrier",
        claim="B3",
        title="the same with a full barrier in the client, between its store of Tail and its load of Alertable",
        build=_reader_asleep(client_has_barrier=True),  # type: ignore[arg-type]
        is_broken=lambda setting: setting.memory == "tso" and not setting.revision.has_full_barrier,
        twin="receive-wakeup",
    ),
)
