"""Vectors of the binary interface: constants, control codes, records, statuses and their Win32 errors."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

from wintun_model import abi
from wintun_model.abi import RegisterRings, control_code
from wintun_model.status import NdisStatus, NtStatus, is_success, win32_error
from wintunsim.conformance.records import Case, Vector
from wintunsim.conformance.schema import Kind, number, record, text

TITLE = "The binary interface: sizes and offsets, control codes, the registration record, statuses and errors"
REVISIONS: tuple[str, ...] = ()

_RING = record(
    {"ring_bytes": number(), "address": number(most=0xFFFF_FFFF_FFFF_FFFF), "tail_moved": number(most=(1 << 64) - 1)},
    about="RingSize, Ring and TailMoved",
)
KINDS = {
    "constant": Kind(
        about="a constant by its name",
        input=record({"name": text()}),
        expected=record({"value": number()}),
    ),
    "control-code": Kind(
        about="CTL_CODE: device type, function, transfer method and access in one number",
        input=record({"device": number(), "function": number(), "method": number(), "access": number()}),
        expected=record({"value": number()}),
    ),
    "record": Kind(
        about="TUN_REGISTER_RINGS as a client lays it out, little-endian: 48 bytes for 64 bits, 24 for 32 bits",
        input=record({"record": text("hexadecimal")}),
        expected=record({"send": _RING, "receive": _RING}),
    ),
    "win32-error": Kind(
        about="the Win32 error that a client sees when a request fails with a status",
        input=record({"status": number(), "name": text("empty: no name of its own")}),
        expected=record({"win32_error": number()}),
    ),
    "is-success": Kind(
        about="whether a status is one of success: DeviceIoControl then returns TRUE",
        input=record({"status": number()}),
        expected=record({"is_success": {"type": "boolean"}}),
    ),
}

_CONSTANTS = (
    "HEAD_OFFSET",
    "TAIL_OFFSET",
    "ALERTABLE_OFFSET",
    "RING_HEADER_BYTES",
    "PACKET_HEADER_BYTES",
    "ALIGNMENT",
    "STOPPED",
    "TRAILING_BYTES",
    "MIN_RING_CAPACITY",
    "MAX_RING_CAPACITY",
    "MAX_PACKET_BYTES",
    "REGISTER_RINGS_BYTES",
    "REGISTER_RINGS_32_BYTES",
    "TUN_IOCTL_REGISTER_RINGS",
    "TUN_IOCTL_FORCE_CLOSE_HANDLES",
    "FILE_DEVICE_WINTUN",
    "EVENT_MODIFY_STATE",
    "SYNCHRONIZE",
)
_UNMAPPED = (0xC0010012, 0xC0010FFF, 0xC001FFFF, 0xC0000123, 0xC0020001, 0xC0230123, 0xE0010011)


def vectors() -> Iterator[Vector]:
    """All vectors of the group."""
    yield from _constants()
    yield from _records()
    yield from _statuses()


def _constants() -> Iterator[Vector]:
    for name in _CONSTANTS:
        case = Case("driver §1", f"constant-{_slug(name)}", "constant", f"the value of {name}", {"name": name})
        yield case.vector({"value": getattr(abi, name)})
    members: list[IntEnum] = [*NtStatus, *NdisStatus]
    for member in members:
        comment = f"the value of {member.name}"
        case = Case("driver §5", f"constant-{_slug(member.name)}", "constant", comment, {"name": member.name})
        yield case.vector({"value": int(member)})
    for name, fields in (
        ("register-rings", (51820, 0x970, 0, 3)),
        ("force-close", (51820, 0x971, 3, 3)),
        ("of-no-access", (51820, 0x970, 0, 0)),
        ("of-another-device", (0x22, 0x800, 0, 0)),
    ):
        described = dict(zip(("device", "function", "method", "access"), fields, strict=True))
        comment = "how a control code is put together"
        yield Case("driver §1", f"control-code-{name}", "control-code", comment, described).vector(
            {"value": control_code(*fields)}
        )


def _records() -> Iterator[Vector]:
    def told(name: str, comment: str, data: bytes) -> Vector:
        found = RegisterRings.from_bytes(data)
        expected = {
            side: {"ring_bytes": ring.ring_bytes, "address": ring.address, "tail_moved": ring.tail_moved}
            for side, ring in (("send", found.send), ("receive", found.receive))
        }
        return Case("driver §1", f"record-{name}", "record", comment, {"record": data.hex()}).vector(expected)

    numbers = (0x3000C, 0x1122334455667788, 0x44, 0x4001000C, 0x99AABBCCDDEEFF00, 0xFFFFFFFFFFFFFFFF)
    wide = struct.pack("<IIQQIIQQ", numbers[0], 0, *numbers[1:3], numbers[3], 0, *numbers[4:])
    yield told("64-bit", "the 48-byte record: natural alignment", wide)
    padded = struct.pack("<IIQQIIQQ", numbers[0], 0xDEADBEEF, *numbers[1:3], numbers[3], 0xFEEDFACE, *numbers[4:])
    yield told("64-bit-padding", "what stands in the padding of the 48-byte record does not matter", padded)
    narrow = struct.pack("<IIIIII", 0x3000C, 0x80000000, 0x44, 0x4001000C, 0xFFFFF000, 0xFFFFFFFC)
    yield told("32-bit", "the 24-byte record: pointers and handles are zero-extended", narrow)
    yield told("64-bit-zeros", "a record of zeros", bytes(48))
    yield told("32-bit-zeros", "a short record of zeros", bytes(24))


def _statuses() -> Iterator[Vector]:
    errors: list[tuple[int, str]] = [(status, status.name) for status in NtStatus if not is_success(status)]
    errors = [(status, name) for status, name in errors if status >> 30 == 3]
    errors.append((NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY, "NDIS_STATUS_ADAPTER_NOT_READY"))
    for status, name in errors:
        case = Case(
            "driver §5",
            f"win32-error-{_slug(name)}",
            "win32-error",
            f"{name} reaches the client as this error",
            {"status": int(status), "name": name},
        )
        yield case.vector({"win32_error": int(win32_error(status))})
    for status in _UNMAPPED:
        comment = "a status that the system's table lacks: its low word when the high word is 0xC001, else 317"
        case = Case(
            "driver §5", f"win32-error-{status:08x}", "win32-error", comment, {"status": status, "name": ""}, ("limit",)
        )
        yield case.vector({"win32_error": int(win32_error(status))})
    for status in (0, NtStatus.STATUS_NOTHING_TO_TERMINATE, 0x40000000, 0x7FFFFFFF, 0x80000000, 0x80000005, 0xC0000001):
        case = Case(
            "driver §5",
            f"is-success-{status:08x}",
            "is-success",
            "success is a non-negative signed 32-bit number",
            {"status": int(status)},
        )
        yield case.vector({"is_success": is_success(status)})


def _slug(name: str) -> str:
    return name.lower().replace("_", "-")
