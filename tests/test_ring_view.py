"""A ring to look at: what it knows of words and packets, that it reads nothing outside, and its drawing."""

import struct
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model.abi import WINTUN_LIMITS
from wintun_model.adapter import Ring
from wintun_model.operations import Event
from wintunsim import Simulation, UsageError
from wintunsim.ring_view import WALKED_PACKETS, RingView

CAPACITY = 0x20000
SVG = "{http://www.w3.org/2000/svg}"


class Pages:
    """Locked pages, as far as a ring needs them."""

    def __init__(self, memory):
        self.view = memoryview(memory)
        self.views = []

    def release(self):
        for view in self.views:
            view.release()
        self.view.release()


def registered(sizes=(), head=0, tail=None, alertable=0, name="Wintun.send"):
    """A ring with packets of these sizes from `head` on; `tail` is behind them unless it is given."""
    memory = bytearray(12 + CAPACITY + 0x10000)
    cursor = head
    for size in sizes:
        struct.pack_into("<I", memory, 12 + cursor, size)
        cursor = (cursor + 4 + (size + 3) // 4 * 4) % CAPACITY
    struct.pack_into("<III", memory, 0, head, cursor if tail is None else tail, alertable)
    return Ring(name, Pages(memory), CAPACITY, Event("moved", manual_reset=False), WINTUN_LIMITS)


def drawn(view):
    """The drawing: its texts, and the texts that show under the pointer."""
    root = ET.fromstring(view._repr_svg_())
    inline = view._repr_html_()
    assert "<script" not in inline.lower()
    ET.fromstring(inline)
    for rectangle in root.iter(f"{SVG}rect"):
        x, width = float(rectangle.get("x", 0)), float(rectangle.get("width"))
        assert width > 0
        assert x >= 0 and x + width <= float(root.get("width")) + 0.1
    texts = [element.text for element in root.iter(f"{SVG}text")]
    return texts, [element.text for element in root.iter(f"{SVG}title")]


# -- what it knows ------------------------------------------------------------------------------------------------


def test_packets_are_found_from_head_to_tail():
    view = RingView.of(registered([84, 0, 1401], head=400, alertable=1))
    assert [tuple(packet) for packet in view.packets] == [(400, 84, 88), (488, 0, 4), (492, 1401, 1408)]
    assert (view.head, view.tail, view.alertable, view.content_bytes) == (400, 1900, 1, 1500)
    assert (view.capacity, view.trailing_bytes, view.name, view.problem) == (CAPACITY, 0x10000, "Wintun.send", "")
    assert view.overhang_bytes == 0


def test_a_packet_may_go_on_behind_the_capacity():
    view = RingView.of(registered([100, 2000, 40], head=CAPACITY - 1000))
    assert [packet.offset for packet in view.packets] == [CAPACITY - 1000, CAPACITY - 896, 1108]
    assert view.overhang_bytes == 1108
    assert view.content_bytes == 104 + 2004 + 44


@pytest.mark.parametrize(
    ("ring", "packets", "problem"),
    [
        (
            registered([100, 0x10000], tail=5000),
            1,
            "the packet at offset 104 says 65,536 bytes, more than any packet has",
        ),
        (registered([100, 200], tail=208), 1, "the packet at offset 104 says 200 bytes, but 104 are left up to Tail"),
        (registered([100], tail=106), 1, "2 bytes at offset 104 are less than a packet header"),
        (registered(tail=4 * (WALKED_PACKETS + 2)), WALKED_PACKETS, "8 bytes behind the first 4,096 packets"),
    ],
)
def test_what_makes_no_sense_ends_the_walk_and_is_told(ring, packets, problem):
    view = RingView.of(ring)
    assert (len(view.packets), view.problem) == (packets, problem)
    assert problem in drawn(view)[0]


@given(
    head=st.integers(0, CAPACITY - 1) | st.integers(0, 2**32 - 1),
    tail=st.integers(0, CAPACITY - 1) | st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 70000), max_size=8),
    seed=st.binary(min_size=4, max_size=64),
)
def test_any_ring_can_be_looked_at(head, tail, sizes, seed):
    memory = bytearray((seed * (CAPACITY // len(seed) + 20000))[: 12 + CAPACITY + 0x10000])
    for number, size in enumerate(sizes):
        place = 12 + (head + number * 1000) % CAPACITY
        struct.pack_into("<I", memory, place, size)
    struct.pack_into("<III", memory, 0, head, tail, 1)
    before = bytes(memory)
    view = RingView.of(Ring("r", Pages(memory), CAPACITY, Event("moved", manual_reset=False), WINTUN_LIMITS))
    assert bytes(memory) == before
    for packet in view.packets:
        assert packet.offset < CAPACITY
        assert packet.offset + packet.stored_bytes <= CAPACITY + 0x10000
        assert packet.stored_bytes == 4 + (packet.size_bytes + 3) // 4 * 4
    for one, following in pairwise(view.packets):
        assert following.offset == (one.offset + one.stored_bytes) % CAPACITY
    taken = sum(packet.stored_bytes for packet in view.packets)
    if head < CAPACITY and tail < CAPACITY:
        assert taken == view.content_bytes or (taken < view.content_bytes and view.problem)
    else:
        assert view.content_bytes is None and view.packets == ()
    drawn(view)


def test_words_alone_are_enough():
    view = RingView(capacity=CAPACITY, head=CAPACITY - 4, tail=8, alertable=2)
    assert (view.content_bytes, view.packets) == (12, None)
    texts, _ = drawn(view)
    assert {"ring", "Head 131,068", "Tail 8", "Alertable 2", "the ring wraps"} <= set(texts)
    assert repr(view) == "RingView(ring: capacity 131072, Head 131068, Tail 8, Alertable 2)"


@pytest.mark.parametrize("capacity", [0, -4, 12, 100_000])
def test_a_capacity_is_a_power_of_two(capacity):
    with pytest.raises(UsageError, match=f"capacity of {capacity} bytes is no power of two"):
        RingView(capacity=capacity, head=0, tail=0)


def test_a_ring_that_is_not_there_says_so():
    gone = registered([84])
    gone.pages.release()
    for view, name in ((RingView.of(None, "Wintun.send"), "Wintun.send"), (RingView.of(gone), "Wintun.send")):
        assert not view.is_registered
        assert drawn(view)[0] == [name, "is not registered"]
        assert repr(view) == "RingView(Wintun.send: not registered)"


def test_it_stays_as_it_was():
    ring = registered([84])
    view = RingView.of(ring)
    before = view._repr_svg_()
    ring.head.cells[0] = 88
    ring.pages.release()
    assert view._repr_svg_() == before


# -- the drawing --------------------------------------------------------------------------------------------------


def test_the_drawing_tells_words_and_packets():
    texts, told = drawn(RingView.of(registered([1400, 60, 1500], head=400, alertable=1)))
    assert {"Wintun.send", "128 KiB · 2,972 B in it (2.27 %) · 3 packets"} <= set(texts)
    assert {"Head 400", "Tail 3,372", "Alertable 1", "1,400", "1,500", "+ 64 KiB"} <= set(texts)
    assert "packet of 60 bytes at offset 1,804" in told
    assert any("must set TailMoved" in line for line in told)
    assert "the ring wraps" not in texts


def test_the_drawing_tells_what_lies_behind_the_capacity():
    texts, told = drawn(RingView.of(registered([100, 2000, 40], head=CAPACITY - 1000)))
    assert "1,108 bytes of the packet that begins before the capacity lie here" in told
    assert "1,108 bytes that count as content, but lie behind the capacity" in told
    assert "the ring wraps" in texts


def test_an_empty_and_a_stopped_ring_have_no_content():
    texts, _ = drawn(RingView.of(registered()))
    assert "128 KiB · empty" in texts
    assert "content, from Head to Tail" not in texts
    texts, _ = drawn(RingView(capacity=CAPACITY, head=0xFFFFFFFF, tail=CAPACITY))
    assert "128 KiB · Head stopped · Tail 131,072 is not below the capacity" in texts


def test_many_small_packets_share_a_bar():
    sizes = [0] * 3000 + [1400] * 5
    view = RingView.of(registered(sizes))
    assert len(view.packets) == 3005
    _, told = drawn(view)
    bars = [int(line.removesuffix(" packets")) for line in told if line.endswith(" packets")]
    assert sum(bars) == 3000
    assert len([line for line in told if line.startswith("packet of 1,400 bytes")]) == 5
    assert len(view._repr_svg_()) < 40_000


def test_names_are_escaped():
    view = RingView(capacity=CAPACITY, head=0, tail=4, name="<b>&\"'")
    texts, told = drawn(view)
    assert "<b>&\"'" in texts
    assert told[0].startswith("RingView(<b>&\"'")


def test_the_rings_of_a_running_simulation():
    simulation = Simulation()
    device = simulation.add_adapter()
    simulation.network(answer=False)
    views = []

    def script(ndis):
        views.append(RingView.of(device.adapter.send_ring.value, "before"))
        ndis.wait_for_link()
        ndis.send(bytes([0x45]) + bytes(83))
        views.append(RingView.of(device.adapter.send_ring.value))
        ndis.sleep("1ms")
        views.append(RingView.of(device.adapter.send_ring.value))

    simulation.ndis(device).script(script)
    simulation.spawn(Path(__file__).parent.parent / "examples" / "ring_client.py", "1000")
    simulation.run("1s")
    assert [view.content_bytes for view in views] == [None, 88, 0]
    assert [(packet.offset, packet.size_bytes) for packet in views[1].packets] == [(0, 84)]
    assert [view.alertable for view in views[1:]] == [0, 1]
    assert not RingView.of(device.adapter.send_ring.value).is_registered
