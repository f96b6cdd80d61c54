"""Captures are written so that dpkt and Wireshark read back what was put in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.network.captures import load_capture, read_capture
from wintunsim.network.packets import echo_request, udp_packet
from wintunsim.trace.pcapng import EPOCH_NS, CaptureWriter

ECHO = echo_request("10.6.7.7", "10.6.7.8", 1, 1, b"payload")
ECHO6 = echo_request("fd06:7::7", "fd06:7::8", 1, 1, b"odd")
UDP = udp_packet("10.6.7.8", "10.6.7.7", 5000, 9, b"x")
LARGEST = udp_packet("10.6.7.7", "10.6.7.8", 5000, 5001, bytes(65535 - 28))


def write_example(path):
    with CaptureWriter(path) as writer:
        send = writer.add_interface("wintun send", "send ring of Wintun, from the system to the client")
        receive = writer.add_interface("wintun receive", "receive ring of Wintun \N{RIGHTWARDS ARROW} system")
        assert (send, receive) == (0, 1)
        writer.write(send, 0, ECHO, inbound=False)
        writer.write(receive, 1, ECHO6, inbound=True, comment="first reply \N{CHECK MARK}")
        writer.write(receive, 1_500_000_001, UDP, inbound=True)
        writer.write(send, 3_000_000_000, LARGEST, inbound=False)


def blocks(path):
    """Every block of the file after the section header, parsed by dpkt."""
    content = path.read_bytes()
    kinds = {
        1: dpkt.pcapng.InterfaceDescriptionBlockLE,
        6: dpkt.pcapng.EnhancedPacketBlockLE,
        0x0A0D0D0A: dpkt.pcapng.SectionHeaderBlockLE,
    }
    while content:
        length = int.from_bytes(content[4:8], "little")
        yield kinds[int.from_bytes(content[:4], "little")](content[:length])
        content = content[length:]


def options(block):
    return {option.code: option.data for option in block.opts if option.code}


def test_every_block_says_what_was_written(tmp_path):
    path = tmp_path / "out.pcapng"
    write_example(path)
    section, send, receive, *packets = blocks(path)
    assert options(section) == {4: b"wintunsim"}
    assert (send.linktype, send.snaplen) == (101, 0)
    assert options(send)[2] == b"wintun send"
    assert options(receive)[3].decode() == "receive ring of Wintun \N{RIGHTWARDS ARROW} system"
    assert options(send)[9] == options(receive)[9] == b"\x09"
    assert [packet.pkt_data for packet in packets] == [ECHO, ECHO6, UDP, LARGEST]
    assert [packet.pkt_len for packet in packets] == [len(ECHO), len(ECHO6), len(UDP), 65535]
    assert [packet.iface_id for packet in packets] == [0, 1, 1, 0]
    times = [(packet.ts_high << 32 | packet.ts_low) - EPOCH_NS for packet in packets]
    assert times == [0, 1, 1_500_000_001, 3_000_000_000]
    assert [options(packet)[2] for packet in packets] == [b"\x02\0\0\0", b"\x01\0\0\0", b"\x01\0\0\0", b"\x02\0\0\0"]
    assert options(packets[1])[1].decode() == "first reply \N{CHECK MARK}"


def test_virtual_time_0_is_new_year_2024(tmp_path):
    write_example(tmp_path / "out.pcapng")
    with (tmp_path / "out.pcapng").open("rb") as file:
        assert next(iter(dpkt.pcapng.Reader(file)))[0] == 1_704_067_200  # 2024-01-01T00:00:00Z


def test_our_own_reader_takes_it(tmp_path):
    write_example(tmp_path / "out.pcapng")
    found = [(packet.time_ns, packet.data) for packet in read_capture(tmp_path / "out.pcapng")]
    assert found == [(0, ECHO), (1, ECHO6), (1_500_000_001, UDP), (3_000_000_000, LARGEST)]


@pytest.fixture
def tshark():
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not installed")

    def run(*arguments):
        done = subprocess.run([program, "-n", *arguments], capture_output=True, text=True, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    return run


def test_tshark_shows_packets_interfaces_directions_and_comments(tmp_path, tshark):
    path = tmp_path / "out.pcapng"
    write_example(path)
    fields = (
        "frame.protocols",
        "frame.interface_name",
        "frame.time_epoch",
        "frame.len",
        "frame.packet_flags_direction",
        "frame.comment",
        "_ws.malformed",
    )
    rows = tshark("-r", str(path), "-T", "fields", *(word for field in fields for word in ("-e", field)))
    rows = [row + [""] * (len(fields) - len(row)) for row in rows]
    # what tshark guesses of the payload, and whether it names the link layer, differs between versions
    protocols = [row[0].removeprefix("raw:").split(":")[:2] for row in rows]
    assert protocols == [["ip", "icmp"], ["ipv6", "icmpv6"], ["ip", "udp"], ["ip", "udp"]]
    assert [row[1] for row in rows] == ["wintun send", "wintun receive", "wintun receive", "wintun send"]
    assert rows[0][2].startswith(("1704067200", "2024-01-01T00:00:00"))
    assert ".500000001" in rows[2][2]
    assert [int(row[3]) for row in rows] == [len(ECHO), len(ECHO6), len(UDP), 65535]
    assert [int(row[4], 0) for row in rows] == [2, 1, 1, 2]
    assert rows[1][5] == "first reply \N{CHECK MARK}"
    assert all(not row[6] for row in rows)


def test_tshark_counts_empty_packets_and_packets_that_are_no_ip(tmp_path, tshark):
    path = tmp_path / "out.pcapng"
    with CaptureWriter(path) as writer:
        ring = writer.add_interface("ring", "")
        for size in (0, 1, 2, 3, 4, 20, 65535):
            writer.write(ring, size, bytes(size), inbound=True)
    rows = tshark("-r", str(path), "-T", "fields", "-e", "frame.len")
    assert [int(row[0]) for row in rows] == [0, 1, 2, 3, 4, 20, 65535]


@settings(max_examples=60, deadline=None)
@given(
    packets=st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(0, 10**15), st.binary(max_size=40), st.booleans(), st.none() | st.text()
        ),
        max_size=12,
    )
)
def test_any_packets_are_read_back_and_the_same_calls_give_the_same_bytes(tmp_path_factory, packets):
    base = tmp_path_factory.getbasetemp()
    for name in ("one", "two"):
        with CaptureWriter(base / name) as writer:
            for ring in range(3):
                writer.add_interface(f"ring {ring}", "")
            for ring, time, packet, inbound, comment in packets:
                writer.write(ring, time, packet, inbound=inbound, comment=comment)
    assert (base / "one").read_bytes() == (base / "two").read_bytes()
    read = [
        (
            block.iface_id,
            (block.ts_high << 32 | block.ts_low) - EPOCH_NS,
            block.pkt_data,
            options(block)[2][0] == 1,
            options(block)[1].decode() if 1 in options(block) else None,
        )
        for block in blocks(base / "one")
        if block.type == 6
    ]
    assert read == [(*rest, None if comment is None else as_utf8(comment)) for *rest, comment in packets]


def as_utf8(text):
    return text.encode("utf-8", "replace").decode()


def test_a_comment_that_is_too_long_is_cut_between_characters(tmp_path):
    with CaptureWriter(tmp_path / "out.pcapng") as writer:
        writer.write(writer.add_interface("ring", ""), 0, ECHO, inbound=True, comment="\N{EURO SIGN}" * 30_000)
    comment = options(list(blocks(tmp_path / "out.pcapng"))[-1])[1]
    assert comment.decode() == "\N{EURO SIGN}" * 21_845


def test_the_file_appears_under_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "out.pcapng"
    path.write_bytes(b"from an earlier run")
    writer = CaptureWriter(path)
    writer.write(writer.add_interface("ring", ""), 0, ECHO, inbound=True)
    assert path.read_bytes() == b"from an earlier run"
    writer.close()
    writer.close()
    writer.discard()
    assert [file.name for file in tmp_path.iterdir()] == ["out.pcapng"]
    assert load_capture(path).packets[0].data == ECHO
    with pytest.raises(ValueError, match="closed"):
        writer.add_interface("late", "")


def test_an_exception_leaves_no_file(tmp_path):
    path = tmp_path / "out.pcapng"
    with pytest.raises(KeyError), CaptureWriter(path):
        raise KeyError("elsewhere")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_followed(tmp_path):
    (tmp_path / "link.pcapng").symlink_to(tmp_path / "real.pcapng")
    write_example(tmp_path / "link.pcapng")
    assert (tmp_path / "link.pcapng").is_symlink()
    assert len(read_capture(tmp_path / "real.pcapng")) == 4


@pytest.mark.parametrize("name", ["no/such/folder.pcapng", "", "a" * 5000, "nul\0.pcapng"])
def test_an_impossible_path_is_refused_at_once(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be written \\("):
        CaptureWriter(f"{tmp_path}/{name}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_full_disk_is_told_and_a_device_is_not_replaced():
    with pytest.raises(UsageError, match="cannot be written \\(No space left"), CaptureWriter("/dev/full") as w:
        w.write(w.add_interface("ring", ""), 0, ECHO, inbound=True)
    assert Path("/dev/full").is_char_device()


def test_misuse_is_told_at_the_call(tmp_path):
    with CaptureWriter(tmp_path / "out.pcapng") as writer:
        with pytest.raises(ValueError, match="interface 0 was not added"):
            writer.write(0, 0, ECHO, inbound=True)
        ring = writer.add_interface("ring", "")
        with pytest.raises(ValueError, match="does not fit"):
            writer.write(ring, 1 << 64, ECHO, inbound=True)
