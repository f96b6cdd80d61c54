"""Careless or hostile clients and consumers, and NBLs that come with a stale word (spec driver §10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from wintun_model.adapter import Adapter, ForeignEntry, Packet, ReceiveNbl, SendChain
from wintun_model.client import ClientRing
from wintun_model.operations import Put, Routine, StoreSize, Variable
from wintun_model.receive import push_header, return_nbls
from wintun_model.registration import register as register_rings
from wintun_model.send import send
from wintunsim.explore.scenario import Scenario, Setting, register
from wintunsim.explore.scenarios.parts import push_all, registered_client
from wintunsim.explore.scenarios.stacks import Completions, Keeper, Recorder, value_of
from wintunsim.explore.violation import Property
from wintunsim.explore.world import Rings, World, ipv4

STOPPED = 0xFFFFFFFF
ETHERNET_HEADER = b"\xee" * 14
"""What a virtual switch puts in front of a packet."""


def _changes_size(ring: ClientRing, packet: bytes, size: int) -> Routine[None]:
    """A client that writes a packet, and changes its size when it is already the driver's to read."""
    yield from push_all(ring, (packet,))
    yield StoreSize(ring, 0, size)


def _size_changed(setting: Setting) -> World:
    world = setting.world(rereads_size=True, checks=False)
    adapter, rings, *_ = registered_client(world, receive=64)
    largest: Variable[int] = Variable("size of the packet that came up", 0)

    def receive(adapter: Adapter, nbl: ReceiveNbl) -> Routine[None]:
        yield Put(largest, nbl.size_bytes)
        yield from return_nbls(adapter, (nbl,))

    world.ndis.receive = receive
    world.may_oversleep(adapter)
    world.thread("client", lambda: _changes_size(rings.receive, ipv4(1), 44))

    def check(state: list[object]) -> str | None:
        size = value_of(world, state, largest)
        return f"an NBL says that it has {size} bytes, where the ring holds 20" if size > 20 else None

    world.expect(check, Property.WORDS_LEGAL)
    return world


def _pushes_header(packets: int) -> Callable[[Setting], World]:
    """A consumer that puts a link header in front of the last of so many packets."""

    def build(setting: Setting) -> World:
        world = setting.world()
        adapter, rings, *_ = registered_client(world, receive=64)

        def receive(adapter: Adapter, nbl: ReceiveNbl) -> Routine[None]:
            if nbl.number == packets:
                yield from push_header(nbl, ETHERNET_HEADER)
                yield from return_nbls(adapter, (nbl,))

        world.ndis.receive = receive
        world.may_oversleep(adapter)
        world.thread("client", lambda: push_all(rings.receive, [ipv4(number) for number in range(packets)]))
        return world

    return build


def _send_numbered(adapter: Adapter, numbers: Sequence[int], stale_link: ForeignEntry | None = None) -> Routine[None]:
    """A send call for each of some packets; each chain comes with that link word."""
    for number in numbers:
        chain = SendChain.of(Packet(ipv4(number, 4), number=number))
        chain.link = stale_link
        yield from send(adapter, chain)


def _stale_link(setting: Setting) -> World:
    world = setting.world()
    adapter, *_ = registered_client(world, send=32)
    completions = Completions(world, 2)
    stale = None if setting.rules.nbl_words_zeroed else ForeignEntry(0)
    for number in (1, 2):
        world.thread(f"sender {number}", partial(_send_numbered, adapter, (number,), stale))
    world.expect(completions.wrong, Property.COMPLETED_ONCE)
    return world


def _starts_at(world: World, adapter: Adapter, start: int) -> Rings:
    """A registration of rings whose Head and Tail are at `start`; it may be refused."""
    process = world.process()
    words = start.to_bytes(4, "little") * 2
    rings = world.rings(process, send=32, receive=64, send_contents=words, receive_contents=words)
    file_object = world.open(process, adapter)
    world.set_up("register", lambda: register_rings(adapter, world.registration(process, file_object, rings)))
    world.may_oversleep(adapter)
    return rings


def _unaligned_send(setting: Setting) -> World:
    world = setting.world()
    adapter = world.adapter()
    _starts_at(world, adapter, 1)
    for number in (1, 2):
        world.thread(f"sender {number}", partial(_send_numbered, adapter, (number,)))
    return world


def _unaligned_receive(setting: Setting) -> World:
    world = setting.world(checks=False)
    adapter = world.adapter()
    rings = _starts_at(world, adapter, 1)
    Keeper(world, 1)
    head = rings.receive_region.words[0]
    world.thread("client", lambda: push_all(rings.receive, (ipv4(1), ipv4(2))))
    world.expect(
        lambda state: (
            None if state[head] in (1, STOPPED) else f"Head is at {state[head]}, past a packet that the stack keeps"
        ),
        Property.WORDS_LEGAL,
    )
    return world


def _other_packet(setting: Setting) -> World:
    world = setting.world()
    adapter, rings, *_ = registered_client(world, receive=64)
    recorder = Recorder(world)
    world.may_oversleep(adapter)
    ring = rings.client_ring("receive", has_barrier=True)
    world.thread("client", lambda: push_all(ring, (bytes(20), ipv4(1))))
    head = rings.receive_region.words[0]
    world.expect(
        lambda state: "the reader has stopped" if state[head] == STOPPED and not recorder.seen(state) else None,
        Property.PACKETS_IN_ORDER,
    )
    return world


register(
    Scenario(
        name="size-changed",
        claim="B4",
        title="a client changes a packet's size while the reader checks it, and the compiler reads the size twice",
        build=_size_changed,
        is_broken=lambda setting: setting.revision.may_reread_size,
        story=(
            "The reader checks the size that it has loaded. Compiled code may load it again for what it does next, and "
            "then uses a size that nobody has checked: the NBL goes on past the packets, and past the ring."
        ),
    ),
    Scenario(
        name="headroom",
        claim="B5",
        title="a virtual switch puts a link header in front of the packet at the ring's start",
        build=_pushes_header(1),
        is_broken=lambda setting: setting.revision.offers_headroom,
        story=(
            "The NBL says that the bytes before the packet are free to use. They are the ring's words and the packet's "
            "own size: 14 bytes of header overwrite half of Head, and all of Tail and Alertable."
        ),
    ),
    Scenario(
        name="headroom-next",
        claim="B5",
        title="a virtual switch puts a link header in front of a packet while the stack keeps the one before it",
        build=_pushes_header(2),
        is_broken=lambda setting: setting.revision.offers_headroom,
        story="The header overwrites the packet's own size and the last 10 bytes of the packet before it.",
    ),
    Scenario(
        name="other-packet",
        claim="B6",
        title="a client writes a packet that is neither IPv4 nor IPv6, and then one that is",
        build=_other_packet,
        is_broken=lambda setting: not setting.revision.skips_other_packets,
        story="The reader ends at the first packet that is no IP packet, and all packets after it are lost.",
    ),
    Scenario(
        name="stale-link",
        claim="B7",
        title="two senders, and NDIS hands down chains whose link word is not zero",
        build=_stale_link,
        is_broken=lambda setting: not setting.revision.clears_link and not setting.rules.nbl_words_zeroed,
        rules=("nbl_words_zeroed",),
        story=(
            "The last entry of the active list keeps the link word that it came with. When it is taken off, what that "
            "word points to becomes the list: chains that join it later are never completed."
        ),
    ),
    Scenario(
        name="unaligned-send",
        claim="B11",
        title="two senders on a send ring whose Tail was 1 at registration",
        build=_unaligned_send,
        is_broken=lambda setting: not setting.revision.refuses_unaligned,
        story=(
            "The mark of a completed entry is bit 0 of its end offset. With an odd offset each chain counts as "
            "completed at once: another sender publishes it before its packets are copied, and completes its NBLs."
        ),
    ),
    Scenario(
        name="unaligned-receive",
        claim="B11",
        title="a receive ring whose Head was 1 at registration, and a stack that keeps the first of two packets",
        build=_unaligned_receive,
        is_broken=lambda setting: not setting.revision.refuses_unaligned,
        story=(
            "With odd offsets each NBL counts as returned at once. When the second packet comes back the first one is "
            "freed with it, and Head moves past it, while the stack still keeps it."
        ),
    ),
)
