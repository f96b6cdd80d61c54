"""IP interfaces and their names: MIB_IPINTERFACE_ROW of iphlpapi (spec win32 §6). Results are Win32 errors.

Rows have their real size; a caller may pass a larger one.
"""

from __future__ import annotations

import struct
import uuid
from typing import Any

from wintun_model.status import Win32Error
from wintunsim.win32.addressing import AF_INET, AF_INET6, AUTOMATIC_METRIC, MTU_MOST, find_device, interface_of
from wintunsim.win32.buffers import read_bytes, read_u32, read_u64, read_wide, wide, write_bytes, write_u32, write_u64
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.shell import is_administrator
from wintunsim.win32.types import DWORD, ERROR_RESULT, LPCWSTR, POINTER, SIZE_T, VOID

INTERFACE_ROW_BYTES = 168
_MTU_LEAST = {AF_INET: 352, AF_INET6: 1280}
_UNCHANGED = 0xFFFFFFFF

# --- interface rows: MIB_IPINTERFACE_ROW


@export("iphlpapi", VOID, POINTER, user_mode=True)
def InitializeIpInterfaceEntry(context: Context, row: int) -> None:
    """Prepare a row for `SetIpInterfaceEntry`: no interface, every value "unchanged"."""
    write_bytes(row, bytes(20) + b"\xff" * (INTERFACE_ROW_BYTES - 20))


def _locate(context: Context, row: int) -> tuple[int, Any, int]:
    """(error, device, family) for the interface that a row names."""
    if not row:
        return Win32Error.ERROR_INVALID_PARAMETER, None, 0
    family = int.from_bytes(read_bytes(row, 2), "little")
    luid, index = read_u64(row + 8), read_u32(row + 16)
    if family not in (AF_INET, AF_INET6) or not (luid or index):
        return Win32Error.ERROR_INVALID_PARAMETER, None, 0
    device = find_device(context, luid, index)
    if device is None:
        return Win32Error.ERROR_FILE_NOT_FOUND, None, 0
    return 0, device, family


@export("iphlpapi", ERROR_RESULT, POINTER)
def GetIpInterfaceEntry(context: Context, row: int) -> int:
    """Fill a row for the interface and family that it names."""
    error, device, family = _locate(context, row)
    if error:
        return error
    interface = interface_of(device)
    record = bytearray(INTERFACE_ROW_BYTES)
    struct.pack_into("<HxxxxxxQI", record, 0, family, device.luid, device.interface_index)
    struct.pack_into("<I", record, 20, 0xFFFF if family == AF_INET else 0x10000)  # MaxReassemblySize
    struct.pack_into("<II", record, 32, 200, 600)  # router advertisement intervals in seconds
    record[41] = interface.forwarding[family]
    record[44] = interface.is_metric_automatic[family]
    record[45] = 1  # UseNeighborUnreachabilityDetection
    struct.pack_into(
        "<iIII", record, 52, interface.router_discovery[family], interface.dad_transmits[family], 30000, 1000
    )
    struct.pack_into("<I", record, 68, 600_000)  # PathMtuDiscoveryTimeout in ms
    struct.pack_into("<i", record, 72, 0 if family == AF_INET else 1)  # LinkLocalAddressBehavior
    struct.pack_into("<I", record, 76, 0)
    struct.pack_into("<16I", record, 80, *[0 if zone < 2 else device.interface_index for zone in range(16)])
    # For IPv4, too, the system answers 64 here, which SetIpInterfaceEntry then refuses.
    struct.pack_into("<III", record, 144, 64, interface.metrics[family], interface.mtu_bytes[family])
    record[156] = int(device.port.connected)
    record[158] = 0  # SupportsNeighborDiscovery: a point-to-point tunnel has none
    record[159] = 1
    struct.pack_into("<I", record, 160, 30000)  # ReachableTime in ms
    write_bytes(row, record)
    return 0


@export("iphlpapi", ERROR_RESULT, POINTER)
def SetIpInterfaceEntry(context: Context, row: int) -> int:
    """Change an interface: MTU, metric, forwarding, duplicate detection, router discovery. The rest is accepted."""
    error, device, family = _locate(context, row)
    if error:
        return error
    if not is_administrator(context):
        return Win32Error.ERROR_ACCESS_DENIED
    record = read_bytes(row, INTERFACE_ROW_BYTES)
    router_discovery, dad_transmits = struct.unpack_from("<II", record, 52)
    site_prefix, metric, mtu = struct.unpack_from("<III", record, 144)
    if site_prefix not in (_UNCHANGED, 0) and site_prefix > (32 if family == AF_INET else 128):
        return Win32Error.ERROR_INVALID_PARAMETER
    if mtu != _UNCHANGED and not _MTU_LEAST[family] <= mtu <= MTU_MOST:
        return Win32Error.ERROR_INVALID_PARAMETER
    interface = interface_of(device)
    if mtu != _UNCHANGED:
        interface.mtu_bytes[family] = mtu
    if record[44] != 0xFF:
        interface.is_metric_automatic[family] = int(bool(record[44]))
    if metric != _UNCHANGED and not interface.is_metric_automatic[family]:
        interface.metrics[family] = metric
    if interface.is_metric_automatic[family]:
        interface.metrics[family] = AUTOMATIC_METRIC
    if record[41] != 0xFF:
        interface.forwarding[family] = int(bool(record[41]))
    if dad_transmits != _UNCHANGED:
        interface.dad_transmits[family] = dad_transmits
    if router_discovery != _UNCHANGED:
        interface.router_discovery[family] = router_discovery
    # The real call leaves this in the caller's row.
    write_u32(row + 144, 0)
    return 0


# --- names of interfaces


@export("iphlpapi", ERROR_RESULT, POINTER, POINTER)
def ConvertInterfaceLuidToIndex(context: Context, luid: int, index: int) -> int:
    """The index of an interface; 87 for an unknown LUID."""
    device = find_device(context, read_u64(luid), -1)
    if device is None:
        return Win32Error.ERROR_INVALID_PARAMETER
    write_u32(index, device.interface_index)
    return 0


@export("iphlpapi", ERROR_RESULT, DWORD, POINTER)
def ConvertInterfaceIndexToLuid(context: Context, index: int, luid: int) -> int:
    """The LUID of an interface; 2 for an unknown index."""
    device = find_device(context, 0, index)
    if device is None:
        write_u64(luid, 0)
        return Win32Error.ERROR_FILE_NOT_FOUND
    write_u64(luid, device.luid)
    return 0


@export("iphlpapi", ERROR_RESULT, POINTER, POINTER)
def ConvertInterfaceLuidToGuid(context: Context, luid: int, guid: int) -> int:
    """The GUID of an interface; 87 for an unknown LUID."""
    device = find_device(context, read_u64(luid), -1)
    if device is None:
        return Win32Error.ERROR_INVALID_PARAMETER
    write_bytes(guid, device.guid.bytes_le)
    return 0


@export("iphlpapi", ERROR_RESULT, POINTER, POINTER)
def ConvertInterfaceGuidToLuid(context: Context, guid: int, luid: int) -> int:
    """The LUID of an interface; 87 for an unknown GUID."""
    wanted = uuid.UUID(bytes_le=read_bytes(guid, 16))
    for device in context.system.devices:
        if device.guid == wanted:
            write_u64(luid, device.luid)
            return 0
    return Win32Error.ERROR_INVALID_PARAMETER


@export("iphlpapi", ERROR_RESULT, POINTER, POINTER, SIZE_T)
def ConvertInterfaceLuidToAlias(context: Context, luid: int, buffer: int, length: int) -> int:
    """The connection name of an interface; `length` in characters."""
    device = find_device(context, read_u64(luid), -1)
    if device is None:
        return Win32Error.ERROR_INVALID_PARAMETER
    if len(device.name) >= length:
        return Win32Error.ERROR_NOT_ENOUGH_MEMORY
    write_bytes(buffer, wide(device.name) + bytes(2))
    return 0


@export("iphlpapi", ERROR_RESULT, LPCWSTR, POINTER)
def ConvertInterfaceAliasToLuid(context: Context, alias: int, luid: int) -> int:
    """The LUID of the interface with a connection name; 87 for an unknown one."""
    name = (read_wide(alias) or "").lower()
    for device in context.system.devices:
        if device.name.lower() == name:
            write_u64(luid, device.luid)
            return 0
    return Win32Error.ERROR_INVALID_PARAMETER
