"""Addresses of IP interfaces: MIB_UNICASTIPADDRESS_ROW of iphlpapi (spec win32 §6). Results are Win32 errors."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

from wintun_model.status import Win32Error
from wintunsim.win32.addressing import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    Address,
    UnicastAddress,
    find_device,
    interface_of,
    socket_address,
)
from wintunsim.win32.buffers import read_bytes, write_bytes, write_u64
from wintunsim.win32.clocks import filetime
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.shell import is_administrator
from wintunsim.win32.types import DWORD, ERROR_RESULT, POINTER, VOID

ADDRESS_ROW_BYTES = 80
_INFINITE = 0xFFFFFFFF
_IP_PREFIX_ORIGIN_UNCHANGED = 16
_IP_ORIGIN_MANUAL = 1
_DAD_PREFERRED = 4


@export("iphlpapi", VOID, POINTER, user_mode=True)
def InitializeUnicastIpAddressEntry(context: Context, row: int) -> None:
    """Prepare an address row: origins "unchanged", lifetimes infinite, prefix length 255 (the longest)."""
    record = bytearray(ADDRESS_ROW_BYTES)
    origin = _IP_PREFIX_ORIGIN_UNCHANGED
    struct.pack_into("<IIIIB", record, 44, origin, origin, _INFINITE, _INFINITE, 255)
    write_bytes(row, record)


def _read_address(record: bytes) -> Address | None:
    family = int.from_bytes(record[:2], "little")
    if family == AF_INET:
        return ipaddress.IPv4Address(record[4:8])
    return ipaddress.IPv6Address(record[8:24]) if family == AF_INET6 else None


def _address_row(device: Any, item: UnicastAddress) -> bytes:
    return socket_address(item.address, item.scope_id).ljust(32, b"\0") + struct.pack(
        "<QIIIIIBBxxIIQ",
        device.luid,
        device.interface_index,
        item.prefix_origin,
        item.suffix_origin,
        item.valid_seconds,
        item.preferred_seconds,
        item.prefix_length,
        item.skip_as_source,
        _DAD_PREFERRED,
        item.scope_id,
        item.created_filetime,
    )


def _locate_address(context: Context, row: int) -> tuple[int, Any, bytes, Address]:
    """(error, device, record, address) for the address that a row names."""
    nothing = ipaddress.IPv4Address(0)
    if not row:
        return Win32Error.ERROR_INVALID_PARAMETER, None, b"", nothing
    record = read_bytes(row, ADDRESS_ROW_BYTES)
    luid, index = struct.unpack_from("<QI", record, 32)
    address = _read_address(record)
    if address is None or not (luid or index):
        return Win32Error.ERROR_INVALID_PARAMETER, None, b"", nothing
    device = find_device(context, luid, index)
    return (0 if device is not None else int(Win32Error.ERROR_NOT_FOUND)), device, record, address


def _find_address(device: Any, address: Address) -> UnicastAddress | None:
    return next((item for item in interface_of(device).addresses if item.address == address), None)


@export("iphlpapi", ERROR_RESULT, POINTER)
def CreateUnicastIpAddressEntry(context: Context, row: int) -> int:
    """Give an interface an address: 5010 when it has it already, 1168 for an unknown interface."""
    error, device, record, address = _locate_address(context, row)
    if error:
        return error
    if not is_administrator(context):
        return Win32Error.ERROR_ACCESS_DENIED
    prefix_origin, suffix_origin, valid, preferred = struct.unpack_from("<IIII", record, 44)
    longest = address.max_prefixlen
    prefix_length = longest if record[60] == 255 else record[60]
    is_usable = not (address.is_multicast or address.is_loopback or address.is_unspecified)
    if not is_usable or prefix_length > longest or preferred > valid:
        return Win32Error.ERROR_INVALID_PARAMETER
    if any(_find_address(other, address) is not None for other in context.system.devices):
        return Win32Error.ERROR_OBJECT_ALREADY_EXISTS
    manual = _IP_ORIGIN_MANUAL
    interface_of(device).addresses.append(
        UnicastAddress(
            address,
            prefix_length,
            manual if prefix_origin == _IP_PREFIX_ORIGIN_UNCHANGED else prefix_origin,
            manual if suffix_origin == _IP_PREFIX_ORIGIN_UNCHANGED else suffix_origin,
            valid,
            preferred,
            int(bool(record[61])),
            device.interface_index if address.version == 6 and address.is_link_local else 0,
            filetime(context.machine.now),
        )
    )
    return 0


@export("iphlpapi", ERROR_RESULT, POINTER)
def GetUnicastIpAddressEntry(context: Context, row: int) -> int:
    """Fill an address row."""
    error, device, _, address = _locate_address(context, row)
    if error:
        return error
    item = _find_address(device, address)
    if item is None:
        return Win32Error.ERROR_NOT_FOUND
    write_bytes(row, _address_row(device, item))
    return 0


@export("iphlpapi", ERROR_RESULT, POINTER)
def DeleteUnicastIpAddressEntry(context: Context, row: int) -> int:
    """Take an address from an interface."""
    error, device, _, address = _locate_address(context, row)
    if error:
        return error
    if not is_administrator(context):
        return Win32Error.ERROR_ACCESS_DENIED
    item = _find_address(device, address)
    if item is None:
        return Win32Error.ERROR_NOT_FOUND
    interface_of(device).addresses.remove(item)
    return 0


@export("iphlpapi", ERROR_RESULT, DWORD, POINTER)
def GetUnicastIpAddressTable(context: Context, family: int, table: int) -> int:
    """All addresses of a family (0: of both), in memory that `FreeMibTable` frees."""
    if family not in (AF_UNSPEC, AF_INET, AF_INET6):
        return Win32Error.ERROR_INVALID_PARAMETER
    version = {AF_UNSPEC: (4, 6), AF_INET: (4,), AF_INET6: (6,)}[family]
    rows = [
        _address_row(device, item)
        for device in context.system.devices
        for item in interface_of(device).addresses
        if item.address.version in version
    ]
    data = struct.pack("<Q", len(rows)) + b"".join(rows)
    block = context.memory.heap_allocate(len(data))
    if block is None:
        return Win32Error.ERROR_NOT_ENOUGH_MEMORY
    write_bytes(block, data)
    write_u64(table, block)
    return 0


@export("iphlpapi", VOID, POINTER, user_mode=True)
def FreeMibTable(context: Context, table: int) -> None:
    """Free what a table call gave."""
    context.memory.heap_free(table)
