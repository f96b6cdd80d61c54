"""GetAdaptersAddresses of iphlpapi: linked records in the caller's buffer (spec win32 §6). Sizes of a 64-bit system."""

from __future__ import annotations

import struct
from typing import Any

from wintun_model.status import Win32Error
from wintunsim.win32.addressing import AF_INET, AF_INET6, AF_UNSPEC, UnicastAddress, interface_of, socket_address
from wintunsim.win32.buffers import read_u32, wide, write_bytes, write_u32
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.types import DWORD, ERROR_RESULT, POINTER

ADAPTER_RECORD_BYTES = 448
ADDRESS_RECORD_BYTES = 64
_IF_TYPE_PROP_VIRTUAL = 53
_STATUS_UP, _STATUS_DOWN = 1, 2
_SKIP_UNICAST = 1
_SKIP_FRIENDLY_NAME = 0x20
_DAD_PREFERRED = 4
_LINK_BITS_PER_SECOND = 100_000_000_000
_MTU_BYTES = 0xFFFF
_FLAGS_IPV4, _FLAGS_IPV6 = 0x80, 0x100


class _Layout:
    """Puts parts one after the other, each 8-byte aligned; `base` is where they will lie."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.data = bytearray()

    def reserve(self, size: int) -> int:
        """Make room; its offset."""
        self.data += bytes(-len(self.data) % 8)
        offset = len(self.data)
        self.data += bytes(size)
        return offset

    def add(self, part: bytes) -> int:
        """Add a part; its address."""
        offset = self.reserve(len(part))
        self.data[offset : offset + len(part)] = part
        return self.base + offset


def _add_address(layout: _Layout, item: UnicastAddress) -> int:
    """Add an IP_ADAPTER_UNICAST_ADDRESS with its socket address; the offset of its record."""
    record = layout.reserve(ADDRESS_RECORD_BYTES)
    sockaddr = socket_address(item.address, item.scope_id)
    where = layout.add(sockaddr)
    struct.pack_into(
        "<IIQQI4xIIIIIIB",
        layout.data,
        record,
        ADDRESS_RECORD_BYTES,
        0,
        0,
        where,
        len(sockaddr),
        item.prefix_origin,
        item.suffix_origin,
        _DAD_PREFERRED,
        item.valid_seconds,
        item.preferred_seconds,
        item.valid_seconds,
        item.prefix_length,
    )
    return record


def _add_adapter(layout: _Layout, device: Any, versions: tuple[int, ...], flags: int) -> int:
    """Add an IP_ADAPTER_ADDRESSES with all that hangs on it; the offset of its record."""
    interface = interface_of(device)
    data, record = layout.data, layout.reserve(ADAPTER_RECORD_BYTES)
    guid = layout.add(f"{{{str(device.guid).upper()}}}\0".encode())
    suffix = layout.add(b"\0\0")
    description = layout.add(wide(device.description + "\0"))
    friendly = 0 if flags & _SKIP_FRIENDLY_NAME else layout.add(wide(device.name + "\0"))
    first = previous = 0
    for item in interface.addresses if not flags & _SKIP_UNICAST else ():
        if item.address.version in versions:
            place = _add_address(layout, item)
            if previous:
                struct.pack_into("<Q", data, previous + 8, layout.base + place)
            else:
                first = layout.base + place
            previous = place
    index = device.interface_index
    has_4, has_6 = 4 in versions, 6 in versions
    struct.pack_into("<IIQQQ", data, record, ADAPTER_RECORD_BYTES, index if has_4 else 0, 0, guid, first)
    struct.pack_into("<QQQ", data, record + 56, suffix, description, friendly)
    enabled = (_FLAGS_IPV4 if has_4 else 0) | (_FLAGS_IPV6 if has_6 else 0)
    status = _STATUS_UP if device.port.connected else _STATUS_DOWN
    mtu = interface.mtu_bytes[AF_INET if has_4 else AF_INET6]
    struct.pack_into(
        "<IIIII", data, record + 92, enabled, min(mtu, _MTU_BYTES), _IF_TYPE_PROP_VIRTUAL, status, index if has_6 else 0
    )
    struct.pack_into("<QQ", data, record + 184, _LINK_BITS_PER_SECOND, _LINK_BITS_PER_SECOND)
    struct.pack_into("<IIQ", data, record + 216, interface.metrics[AF_INET], interface.metrics[AF_INET6], device.luid)
    struct.pack_into("<I16s", data, record + 248, 1, device.guid.bytes_le)
    return record


@export("iphlpapi", ERROR_RESULT, DWORD, DWORD, POINTER, POINTER, POINTER)
def GetAdaptersAddresses(context: Context, family: int, flags: int, reserved: int, addresses: int, size: int) -> int:
    """All adapters with their addresses. 111 with the size needed when the buffer is short, 232 without adapters."""
    if family not in (AF_UNSPEC, AF_INET, AF_INET6) or not size:
        return Win32Error.ERROR_INVALID_PARAMETER
    if not context.system.devices:
        return Win32Error.ERROR_NO_DATA
    versions = {AF_UNSPEC: (4, 6), AF_INET: (4,), AF_INET6: (6,)}[family]
    layout = _Layout(addresses)
    previous = None
    for device in context.system.devices:
        record = _add_adapter(layout, device, versions, flags)
        if previous is not None:
            struct.pack_into("<Q", layout.data, previous + 8, addresses + record)
        previous = record
    given = read_u32(size)
    write_u32(size, len(layout.data))
    if not addresses or given < len(layout.data):
        return Win32Error.ERROR_BUFFER_OVERFLOW
    write_bytes(addresses, layout.data)
    return 0
