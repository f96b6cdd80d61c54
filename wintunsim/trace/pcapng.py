"""Captures of what crossed the rings, as pcapng files that Wireshark opens.

dpkt's writer has one time unit and float times; its block classes do it right, but take four times as long for a
packet, which every captured run would feel. Only three kinds of block are needed, so they are laid out here; the tests
read them back with dpkt and tshark.
"""

from __future__ import annotations

import struct
from os import PathLike
from pathlib import Path
from types import TracebackType

from wintunsim.trace.whole_file import WholeFile

EPOCH_NS = 1_704_067_200 * 10**9
"""The date of virtual time 0: 2024-01-01T00:00:00Z, in ns since 1970."""

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_LINKTYPE_RAW = 101
_OPTION_COMMENT = 1
_APPLICATION = 4
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL = 2, 3, 9
_EPB_FLAGS = 2
_INBOUND, _OUTBOUND = 1, 2
_OPTION_MAX_BYTES = 0xFFFF

# type, length, interface, time (upper, lower half), captured and original length
_PACKET_HEAD = struct.Struct("<IIIIIII")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class CaptureWriter:
    """Writes one pcapng file: an interface for each ring, link type raw IP, times in ns.

    Virtual time 0 is 2024-01-01T00:00:00Z. The same calls give the same bytes. The file appears under its name when
    :meth:`close` is called; until then it grows beside it as `NAME.part`, which :meth:`discard` removes. As a context
    manager it is closed at the end, and discarded when an exception leaves the block. A path that exists and is no
    regular file (a pipe, `/dev/stdout`) is written directly.

    UsageError if the file cannot be written: at once for an impossible path, later for a full disk.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._interfaces = 0
        self._file = WholeFile(path, "the capture", binary=True)
        self._put = self._file.write
        section = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)
        self._put(_block(_SECTION, section + _options((_APPLICATION, b"wintunsim"))))

    def add_interface(self, name: str, description: str) -> int:
        """Describe one more interface; its number, from 0, is what :meth:`write` takes. Allowed between packets."""
        options = _options((_IF_NAME, _text(name)), (_IF_DESCRIPTION, _text(description)), (_IF_TSRESOL, b"\x09"))
        self._put(_block(_INTERFACE, struct.pack("<HHI", _LINKTYPE_RAW, 0, 0) + options))
        self._interfaces += 1
        return self._interfaces - 1

    def write(self, interface: int, time_ns: int, packet: bytes, *, inbound: bool, comment: str | None = None) -> None:
        """Append one packet that crossed `interface` at this virtual time.

        `inbound` is from the operating system's view: True for the receive ring. Packets of any size, also 0 bytes.
        ValueError for an interface that was not added, or a time outside 64 bits.
        """
        if not 0 <= interface < self._interfaces:
            raise ValueError(f"interface {interface} was not added")
        stamp = EPOCH_NS + time_ns
        if not 0 <= stamp < 1 << 64:
            raise ValueError(f"the time {time_ns} ns does not fit into a capture")
        options = _FLAGS_INBOUND if inbound else _FLAGS_OUTBOUND
        if comment is not None:
            flags = (_EPB_FLAGS, (_INBOUND if inbound else _OUTBOUND).to_bytes(4, "little"))
            options = _options((_OPTION_COMMENT, _text(comment)), flags)
        size = len(packet)
        padding = _PADDING[size & 3]
        length = _PACKET_HEAD.size + size + len(padding) + len(options) + 4
        head = _PACKET_HEAD.pack(_PACKET, length, interface, stamp >> 32, stamp & 0xFFFFFFFF, size, size)
        self._put(b"".join((head, packet, padding, options, length.to_bytes(4, "little"))))

    def close(self) -> None:
        """Finish the file and give it its name. Closing twice is allowed."""
        self._file.close()

    def discard(self) -> None:
        """Give the file up: what stood under its name before stays as it was. No effect after :meth:`close`."""
        self._file.discard()

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def _text(text: str) -> bytes:
    """UTF-8, cut to what an option holds without splitting a character."""
    data = text.encode("utf-8", "replace")
    return data if len(data) <= _OPTION_MAX_BYTES else data[:_OPTION_MAX_BYTES].decode("utf-8", "ignore").encode()


def _options(*options: tuple[int, bytes]) -> bytes:
    parts = [struct.pack("<HH", code, len(value)) + value + _PADDING[len(value) & 3] for code, value in options]
    return b"".join(parts) + b"\0\0\0\0"


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


_FLAGS_INBOUND = _options((_EPB_FLAGS, _INBOUND.to_bytes(4, "little")))
_FLAGS_OUTBOUND = _options((_EPB_FLAGS, _OUTBOUND.to_bytes(4, "little")))
