"""Captures are read exactly, and every file that is not one is refused in a sentence."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.network.captures import CapturedPacket, load_capture, read_capture
from wintunsim.network.packets import udp_packet

MIXED = Path(__file__).parents[1] / "data" / "tunnel-mixed.pcapng"
IPV4 = udp_packet("10.6.7.7", "10.6.7.8", 5000, 7, b"four")
IPV6 = udp_packet("fd06:7::7", "fd06:7::8", 5000, 7, b"six")
ETHER = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02"


def pcap(records, link=101, order="<", magic=0xA1B2C3D4):
    """A pcap file of (seconds, fraction, frame[, original length])."""
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for seconds, fraction, frame, *original in records:
        out += struct.pack(order + "IIII", seconds, fraction, len(frame), *(original or [len(frame)])) + frame
    return out


def block(kind, body, order="<"):
    body += b"\0" * (-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def section(order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link=101, order="<", snap=0, resolution=None, offset=None, comment=None):
    options = b""
    if comment is not None:
        options += struct.pack(order + "HH", 1, len(comment)) + comment + b"\0" * (-len(comment) % 4)
    if resolution is not None:
        options += struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def enhanced(frame, ticks, number=0, order="<", original=None, options=b""):
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), original or len(frame))
    return block(6, head + frame + b"\0" * (-len(frame) % 4) + options, order)


def write(tmp_path, content, name="test.cap"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_the_real_capture_is_read_as_dpkt_reads_it():
    packets = read_capture(MIXED)
    expected = list(dpkt.pcapng.Reader(io.BytesIO(MIXED.read_bytes())))
    assert [packet.data for packet in packets] == [data for _, data in expected]
    assert [packet.number for packet in packets] == list(range(1, len(expected) + 1))
    start = expected[0][0]
    # dpkt's times are floats: half a microsecond is what they keep of a date of today
    assert all(
        abs(packet.time_ns - (time - start) * 1e9) < 1000 for packet, (time, _) in zip(packets, expected, strict=True)
    )
    assert packets[0].time_ns == 0
    assert packets[4].time_ns == 1_388_589_000


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "unit_ns"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_of_each_byte_order_and_unit(tmp_path, order, magic, unit_ns):
    late = (4_000_000_000, 999_999)
    content = pcap([(3_999_999_999, 1, IPV4), (*late, IPV6)], order=order, magic=magic)
    assert read_capture(write(tmp_path, content)) == [
        CapturedPacket(0, IPV4, 1),
        CapturedPacket(10**9 + 999_998 * unit_ns, IPV6, 2),
    ]


@pytest.mark.parametrize(
    ("link", "head4", "head6"),
    [
        (12, b"", b""),
        (14, b"", b""),
        (101, b"", b""),
        (1, ETHER + b"\x08\x00", ETHER + b"\x86\xdd"),
        (1, ETHER + b"\x81\x00\x00\x05\x08\x00", ETHER + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x86\xdd"),
        (113, b"\0\x04\xff\xfe" + b"\0" * 10 + b"\x08\x00", b"\0\x04\xff\xfe" + b"\0" * 10 + b"\x86\xdd"),
        (276, b"\x08\x00" + b"\0" * 18, b"\x86\xdd" + b"\0" * 18),
        (0, b"\x02\0\0\0", b"\x1e\0\0\0"),
        (0, b"\0\0\0\x02", b"\0\0\0\x18"),
        (108, b"\0\0\0\x02", b"\0\0\0\x1c"),
    ],
)
def test_each_link_type(tmp_path, link, head4, head6):
    content = pcap([(1, 0, head4 + IPV4), (1, 1, head6 + IPV6)], link=link)
    assert [packet.data for packet in read_capture(write(tmp_path, content))] == [IPV4, IPV6]


@pytest.mark.parametrize(("link", "packet"), [(228, IPV4), (229, IPV6)])
def test_link_types_of_one_family(tmp_path, link, packet):
    assert [found.data for found in read_capture(write(tmp_path, pcap([(1, 0, packet)], link)))] == [packet]


def test_other_frames_and_truncated_packets_are_counted_and_keep_their_numbers(tmp_path):
    ethernet = ETHER + b"\x08\x00"
    content = pcap(
        [
            (1, 0, ETHER + b"\x08\x06" + b"\0" * 28),  # ARP
            (2, 0, ethernet + IPV4[:24], 14 + len(IPV4)),  # cut by the capture's length limit
            (3, 0, ethernet + IPV4 + b"\0" * 14),  # padded to Ethernet's least size
            (4, 0, ethernet + IPV4[:-1]),  # says it is longer than it is
            (5, 0, ethernet + IPV4[:2] + b"\0\0" + IPV4[4:]),  # no length, as before segmentation
            (6, 0, ETHER[:5]),
        ],
        link=1,
    )
    capture = load_capture(write(tmp_path, content))
    assert capture.packets == [CapturedPacket(0, IPV4, 3)]
    assert (capture.not_ip, capture.truncated) == (2, 3)


def test_times_out_of_order_are_put_in_order(tmp_path):
    content = pcap([(5, 0, IPV4), (4, 0, IPV6), (5, 0, IPV6)])
    found = [(packet.time_ns, packet.number) for packet in read_capture(write(tmp_path, content))]
    assert found == [(0, 2), (10**9, 1), (10**9, 3)]


@pytest.mark.parametrize("order", "<>")
def test_pcapng_keeps_link_type_and_time_unit_of_each_interface(tmp_path, order):
    content = (
        section(order)
        + interface(101, order, resolution=9, comment=b"\xff not utf-8")
        + interface(1, order, resolution=0x80 | 10, offset=100)
        + interface(228, order)
        + block(0xBAD, b"unknown", order)
        + enhanced(IPV4, 100 * 10**9 + 7, 0, order, options=struct.pack(order + "HH4s", 1, 3, b"\xff\xff\xff\0"))
        + enhanced(ETHER + b"\x86\xdd" + IPV6, 3 * 1024 + 1, 1, order)
        + enhanced(IPV4, 104 * 10**6 + 5, 2, order)
    )
    assert read_capture(write(tmp_path, content)) == [
        CapturedPacket(0, IPV4, 1),
        CapturedPacket(3 * 10**9 + 10**9 // 1024 - 7, IPV6, 2),
        CapturedPacket(4 * 10**9 + 5000 - 7, IPV4, 3),
    ]


def test_pcapng_sections_and_old_block_kinds(tmp_path):
    obsolete = struct.pack(">HHIIII", 0, 0, 0, 2_000_000, len(IPV6), len(IPV6)) + IPV6 + b"\0" * (-len(IPV6) % 4)
    content = (
        section()
        + interface()
        + enhanced(IPV4, 1_000_000)
        + block(3, struct.pack("<I", len(IPV4)) + IPV4)
        + section(">")
        + interface(order=">")
        + block(2, obsolete, ">")
    )
    assert read_capture(write(tmp_path, content)) == [
        CapturedPacket(0, IPV4, 1),
        CapturedPacket(0, IPV4, 2),
        CapturedPacket(10**9, IPV6, 3),
    ]


def test_a_simple_block_is_cut_at_the_snap_length(tmp_path):
    content = section() + interface(snap=24) + block(3, struct.pack("<I", len(IPV4)) + IPV4[:24])
    with pytest.raises(UsageError, match=r"no whole IP packet .0 other records, 1 truncated"):
        read_capture(write(tmp_path, content))


def test_an_unsupported_interface_beside_a_supported_one_is_passed_over(tmp_path):
    content = section() + interface(189) + interface() + enhanced(b"usb", 5, 0) + enhanced(IPV4, 9, 1)
    capture = load_capture(write(tmp_path, content))
    assert capture.packets == [CapturedPacket(0, IPV4, 2)]
    assert capture.not_ip == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"Hello, this is no capture at all.", "neither a pcap nor a pcapng"),
        (b"\x1f\x8b\x08\0\0\0\0", "compressed: unpack it first"),
        (pcap([(1, 0, IPV4)], link=189), "link type 189, which is not supported: use one of raw IP"),
        (pcap([]), "no whole IP packet"),
        (pcap([(1, 0, b"\x10nothing")]), "no whole IP packet .1 other record"),
        (pcap([(1, 0, IPV4)])[:20], "cut off in its file header"),
        (pcap([(1, 0, IPV4), (2, 0, IPV4)])[:-1], "cut off in the middle of record 2"),
        (section() + interface() + enhanced(IPV4, 0)[:-4], "cut off in the middle of the block at byte 48"),
        (section() + interface() + enhanced(IPV4, 0, number=1), "interface 1, which is not described"),
        (section() + block(6, b"short"), "shorter than its header"),
        (section() + block(1, b""), "interface block is shorter"),
        (section() + block(3, b"1234"), "before any interface"),
        (section() + struct.pack("<III", 5, 8, 8), "impossible length 8"),
        (section() + struct.pack("<III", 5, 12, 16), "two lengths of the block at byte 28 differ"),
        (b"\x0a\x0d\x0d\x0a" + b"\0" * 24, "no byte-order mark"),
        (section() + interface() + block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), "longer than its block"),
    ],
)
def test_what_is_no_capture_is_refused_in_a_sentence(tmp_path, content, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_capture(write(tmp_path, content, "odd.cap"))
    assert "odd.cap" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(UsageError, match=r"none\.pcap cannot be read: No such file"):
        read_capture(tmp_path / "none.pcap")
    with pytest.raises(UsageError, match="directory"):
        read_capture(tmp_path)


@pytest.mark.parametrize("whole", [pcap([(1, 0, IPV4), (2, 0, IPV6)]), section() + interface() + enhanced(IPV4, 5)])
def test_a_file_cut_anywhere_is_refused_or_ends_at_a_record(tmp_path, whole):
    path = write(tmp_path, whole)
    full = read_capture(path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        try:
            found = read_capture(path)
        except UsageError:
            continue
        assert found == full[: len(found)]
        assert size == 24 + 16 + len(IPV4)  # pcap has no other place where a record ends


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_give_packets_or_a_sentence(tmp_path_factory, data):
    whole = data.draw(
        st.sampled_from(
            [
                pcap([(1, 0, IPV4), (2, 0, IPV6)]),
                section()
                + interface(resolution=9, offset=3)
                + enhanced(IPV4, 5)
                + block(3, struct.pack("<I", len(IPV4)) + IPV4),
            ]
        )
    )
    damaged = bytearray(whole)
    places = st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=6)):
        damaged[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged.cap"
    path.write_bytes(damaged)
    try:
        packets = read_capture(path)
    except UsageError:
        return
    assert packets
    assert packets[0].time_ns == 0
