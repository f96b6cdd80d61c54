"""What adapters have as IP interfaces: MTUs, metrics, addresses; kept for each adapter beside the kernel's state."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import Any

from wintunsim.win32.context import Context

AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 23

MTU_MOST = 0xFFFF
AUTOMATIC_METRIC = 5

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(slots=True)
class UnicastAddress:
    """One address of an interface, with what its row holds besides."""

    address: Address
    prefix_length: int
    prefix_origin: int
    suffix_origin: int
    valid_seconds: int
    preferred_seconds: int
    skip_as_source: int
    scope_id: int
    created_filetime: int


@dataclass(slots=True)
class Interface:
    """What an adapter has as an IP interface: per address family its MTU in bytes and metric; its addresses."""

    mtu_bytes: dict[int, int] = field(default_factory=lambda: {AF_INET: MTU_MOST, AF_INET6: MTU_MOST})
    metrics: dict[int, int] = field(default_factory=lambda: {AF_INET: AUTOMATIC_METRIC, AF_INET6: AUTOMATIC_METRIC})
    is_metric_automatic: dict[int, int] = field(default_factory=lambda: {AF_INET: 1, AF_INET6: 1})
    forwarding: dict[int, int] = field(default_factory=lambda: {AF_INET: 0, AF_INET6: 0})
    dad_transmits: dict[int, int] = field(default_factory=lambda: {AF_INET: 3, AF_INET6: 1})
    router_discovery: dict[int, int] = field(default_factory=lambda: {AF_INET: 2, AF_INET6: 1})
    addresses: list[UnicastAddress] = field(default_factory=list)


def interface_of(device: Any) -> Interface:
    """The IP interface of an adapter that runs; its settings go when the adapter stops."""
    found: Interface | None = device.local.get(Interface)
    if found is None:
        found = device.local[Interface] = Interface()
    return found


def find_device(context: Context, luid: int, index: int) -> Any:
    """The adapter of a LUID or, if that is 0, of an interface index; None for none."""
    for device in context.system.devices:
        if device.luid == luid if luid else device.interface_index == index:
            return device
    return None


def socket_address(address: Address, scope_id: int = 0) -> bytes:
    """A SOCKADDR_IN (16 bytes) or SOCKADDR_IN6 (28 bytes)."""
    if address.version == 4:
        return struct.pack("<HH4s8x", AF_INET, 0, address.packed)
    return struct.pack("<HHI16sI", AF_INET6, 0, 0, address.packed, scope_id)
