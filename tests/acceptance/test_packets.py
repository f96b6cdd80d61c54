"""What NDIS sends comes out of the send ring, what the client writes comes out at NDIS, byte for byte and in order."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wintunsim.network.captures import read_capture
from wintunsim.network.traffic import CaptureTraffic

CAPTURE = Path(__file__).parent.parent / "data" / "tunnel-mixed.pcapng"
KIB = 1 << 10
CAPACITIES = [128 * KIB << shift for shift in range(10)]


class Packets:
    """Traffic of given packets, one every `gap_ns`."""

    name = description = "packets"

    def __init__(self, packets, gap_ns=100_000):
        self.packets, self.gap_ns = packets, gap_ns

    def __iter__(self):
        return ((number * self.gap_ns, packet) for number, packet in enumerate(self.packets))


class Host:
    """The other side, which answers nothing and keeps what it gets."""

    def __init__(self):
        self.got = []

    def answer(self, packet):
        self.got.append(bytes(packet))


def packet_of(size, number=0):
    """A packet of any size, IPv4 or IPv6 where it is long enough, with content that differs from its neighbours'."""
    body = bytes((size + number + 7 * place) & 0xFF for place in range(min(size, 251)))
    body = (body * (size // 251 + 1))[:size] if size else b""
    first = 0x60 if size >= 40 and number % 2 else 0x45
    return bytes((first,))[:size] + body[1:]


def is_ip(packet):
    return len(packet) >= (20 if packet[:1] == b"E" else 40)


def read_back(path):
    data, packets, at = path.read_bytes(), [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        packets.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return packets


def mirror(client, packets, directory, capacity=128 * KIB, start=0, gap_ns=100_000):
    """Send packets through the mirror: (what the client read, what NDIS got back)."""
    path, host = directory / "packets.bin", Host()
    traffic = [Packets(packets, gap_ns)]
    outcome = client.good("mirror.py", len(packets), path, capacity, start, traffic=traffic, answer=host)
    assert outcome.report.adapters[0]["refused"] == {}
    return read_back(path), host.got


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("before_end", [4, 40])
def test_every_size_crosses_the_wrap(client, tmp_path, capacity, before_end):
    sizes = [0, 1, 2, 3, 4, 5, 19, 20, 21, 39, 40, 41, 1280, 1420, 1500, 9000, 65533, 65534, 65535]
    packets = [packet_of(size, number) for number, size in enumerate(sizes + sizes[::-1])]
    read, got = mirror(client, packets, tmp_path, capacity, capacity - before_end)
    assert read == packets
    assert got == [packet for packet in packets if is_ip(packet)]


@pytest.mark.parametrize("size", [0, 1, 20, 1420, 65535])
def test_one_size_several_laps(client, tmp_path, size):
    count = min(3 * 128 * KIB // (size + 4), 900)
    packets = [packet_of(size, number) for number in range(count)]
    start = 128 * KIB - (size + 7 & ~3) * (count // 2) % (128 * KIB) & ~3
    read, got = mirror(client, packets, tmp_path, start=start % (128 * KIB))
    assert read == packets
    assert got == [packet for packet in packets if is_ip(packet)]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 2000) | st.integers(60000, 65535), min_size=1, max_size=30),
    start=st.integers(0, 32767).map(lambda word: 4 * word),
    gap_ns=st.sampled_from([20_000, 200_000]),
)
def test_any_sizes_from_any_start(client, tmp_path, sizes, start, gap_ns):
    packets = [packet_of(size, number) for number, size in enumerate(sizes)]
    if gap_ns == 20_000:
        packets = [packet[:1500] for packet in packets]
    read, got = mirror(client, packets, tmp_path, start=start, gap_ns=gap_ns)
    assert read == packets
    assert got == [packet for packet in packets if is_ip(packet)]


@pytest.mark.parametrize("capacity", [128 * KIB, pytest.param(64 << 20, marks=pytest.mark.slow)])
def test_the_capture_through_the_mirror(client, tmp_path, capacity):
    sent = [packet for _, packet in CaptureTraffic(CAPTURE)]
    path, capture = tmp_path / "packets.bin", tmp_path / "rings.pcapng"
    client.good(
        "mirror.py", len(sent), path, capacity, traffic=f"capture:{CAPTURE}",
        setup=lambda simulation: simulation.write_capture(capture),
    )  # fmt: skip
    assert read_back(path) == sent
    crossed = [packet.data for packet in read_capture(capture)]
    assert sorted(crossed) == sorted(2 * sent)


@pytest.mark.slow
def test_a_full_lap_of_the_largest_ring(client, tmp_path):
    packets = [packet_of(65535, number) for number in range(1100)]
    read, got = mirror(client, packets, tmp_path, 64 << 20, gap_ns=50_000)
    assert read == got == packets


def test_a_ring_holds_all_but_four_bytes_of_its_capacity(client):
    """The client does not read at first: what does not fit is refused, what fits exactly is not."""
    outcome = client.good(
        """
        from tunring import *
        with Session(128 * KIB) as session:
            for milliseconds in (350, 200):
                kernel32.Sleep(milliseconds)
                print((session.send.tail - session.send.head) & 0x1FFFF, end=": ")
                for packet in iter(session.send.pop, None):
                    print(len(packet), end=" ")
                print()
        """,
        traffic=[Packets([packet_of(size) for size in (65535, 65525, 65524, 0, 1)], 100_000_000)],
    )
    assert outcome.lines == ["131068: 65535 65524 ", "8: 1 "]
    adapter = outcome.report.adapters[0]
    assert adapter["out_discards"] == 2
    assert adapter["refused"] == {"NDIS_STATUS_BUFFER_OVERFLOW": 2}
    assert adapter["rings"]["send"]["peak_content_bytes"] == 131068
