"""IP interfaces and addresses of iphlpapi (spec win32 §6), with records as a client declares them."""

from __future__ import annotations

import ctypes
import ipaddress
from ctypes import c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

import pytest
from win32_face import Face, text

from wintunsim.kernel.process import Account

AF_INET, AF_INET6 = 2, 23


class InterfaceRow(ctypes.Structure):
    """MIB_IPINTERFACE_ROW."""

    _fields_ = [
        ("Family", c_uint16),
        ("InterfaceLuid", c_uint64),
        ("InterfaceIndex", c_uint32),
        ("MaxReassemblySize", c_uint32),
        ("InterfaceIdentifier", c_uint64),
        ("MinRouterAdvertisementInterval", c_uint32),
        ("MaxRouterAdvertisementInterval", c_uint32),
        ("AdvertisingEnabled", c_uint8),
        ("ForwardingEnabled", c_uint8),
        ("WeakHostSend", c_uint8),
        ("WeakHostReceive", c_uint8),
        ("UseAutomaticMetric", c_uint8),
        ("UseNeighborUnreachabilityDetection", c_uint8),
        ("ManagedAddressConfigurationSupported", c_uint8),
        ("OtherStatefulConfigurationSupported", c_uint8),
        ("AdvertiseDefaultRoute", c_uint8),
        ("RouterDiscoveryBehavior", c_int32),
        ("DadTransmits", c_uint32),
        ("BaseReachableTime", c_uint32),
        ("RetransmitTime", c_uint32),
        ("PathMtuDiscoveryTimeout", c_uint32),
        ("LinkLocalAddressBehavior", c_int32),
        ("LinkLocalAddressTimeout", c_uint32),
        ("ZoneIndices", c_uint32 * 16),
        ("SitePrefixLength", c_uint32),
        ("Metric", c_uint32),
        ("NlMtu", c_uint32),
        ("Connected", c_uint8),
        ("SupportsWakeUpPatterns", c_uint8),
        ("SupportsNeighborDiscovery", c_uint8),
        ("SupportsRouterDiscovery", c_uint8),
        ("ReachableTime", c_uint32),
        ("TransmitOffload", c_uint8),
        ("ReceiveOffload", c_uint8),
        ("DisableDefaultRoutes", c_uint8),
    ]


class AddressRow(ctypes.Structure):
    """MIB_UNICASTIPADDRESS_ROW, its address as bytes."""

    _fields_ = [
        ("Address", c_uint8 * 28),
        ("InterfaceLuid", c_uint64),
        ("InterfaceIndex", c_uint32),
        ("PrefixOrigin", c_int32),
        ("SuffixOrigin", c_int32),
        ("ValidLifetime", c_uint32),
        ("PreferredLifetime", c_uint32),
        ("OnLinkPrefixLength", c_uint8),
        ("SkipAsSource", c_uint8),
        ("DadState", c_int32),
        ("ScopeId", c_uint32),
        ("CreationTimeStamp", c_int64),
    ]


class Adapter(ctypes.Structure):
    """IP_ADAPTER_ADDRESSES."""

    _fields_ = [
        ("Length", c_uint32),
        ("IfIndex", c_uint32),
        ("Next", c_void_p),
        ("AdapterName", ctypes.c_char_p),
        ("FirstUnicastAddress", c_void_p),
        ("FirstAnycastAddress", c_void_p),
        ("FirstMulticastAddress", c_void_p),
        ("FirstDnsServerAddress", c_void_p),
        ("DnsSuffix", c_void_p),
        ("Description", c_void_p),
        ("FriendlyName", c_void_p),
        ("PhysicalAddress", c_uint8 * 8),
        ("PhysicalAddressLength", c_uint32),
        ("Flags", c_uint32),
        ("Mtu", c_uint32),
        ("IfType", c_uint32),
        ("OperStatus", c_int32),
        ("Ipv6IfIndex", c_uint32),
        ("ZoneIndices", c_uint32 * 16),
        ("FirstPrefix", c_void_p),
        ("TransmitLinkSpeed", c_uint64),
        ("ReceiveLinkSpeed", c_uint64),
        ("FirstWinsServerAddress", c_void_p),
        ("FirstGatewayAddress", c_void_p),
        ("Ipv4Metric", c_uint32),
        ("Ipv6Metric", c_uint32),
        ("Luid", c_uint64),
        ("Dhcpv4Server", c_uint64 * 2),
        ("CompartmentId", c_uint32),
        ("NetworkGuid", c_uint8 * 16),
        ("ConnectionType", c_int32),
        ("TunnelType", c_int32),
        ("Dhcpv6Server", c_uint64 * 2),
        ("Dhcpv6ClientDuid", c_uint8 * 130),
        ("Dhcpv6ClientDuidLength", c_uint32),
        ("Dhcpv6Iaid", c_uint32),
        ("FirstDnsSuffix", c_void_p),
    ]


class SocketAddress(ctypes.Structure):
    """SOCKET_ADDRESS."""

    _fields_ = [("Sockaddr", c_void_p), ("Length", c_int32)]


class Unicast(ctypes.Structure):
    """IP_ADAPTER_UNICAST_ADDRESS."""

    _fields_ = [
        ("Length", c_uint32),
        ("Flags", c_uint32),
        ("Next", c_void_p),
        ("Address", SocketAddress),
        ("PrefixOrigin", c_int32),
        ("SuffixOrigin", c_int32),
        ("DadState", c_int32),
        ("ValidLifetime", c_uint32),
        ("PreferredLifetime", c_uint32),
        ("LeaseLifetime", c_uint32),
        ("OnLinkPrefixLength", c_uint8),
    ]


@pytest.fixture
def face() -> Face:
    face = Face()
    face.system.create_adapter("tun")
    return face


def interface_row(face: Face, family: int) -> InterfaceRow:
    row = InterfaceRow()
    face.InitializeIpInterfaceEntry(row)
    row.Family, row.InterfaceLuid = family, face.system.devices[0].luid
    return row


def address_row(face: Face, address: str, prefix: int | None = None) -> AddressRow:
    row = AddressRow()
    face.InitializeUnicastIpAddressEntry(row)
    row.InterfaceLuid = face.system.devices[0].luid
    value = ipaddress.ip_address(address)
    at, family = (4, AF_INET) if value.version == 4 else (8, AF_INET6)
    row.Address[0] = family
    row.Address[at : at + len(value.packed)] = list(value.packed)
    if prefix is not None:
        row.OnLinkPrefixLength = prefix
    return row


def test_record_sizes() -> None:
    sizes = [ctypes.sizeof(kind) for kind in (InterfaceRow, AddressRow, Adapter, Unicast)]
    assert sizes == [168, 80, 448, 64]
    assert InterfaceRow.NlMtu.offset == 152


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_the_mtu_is_kept_for_each_family(face: Face, family: int) -> None:
    other = AF_INET + AF_INET6 - family

    def main() -> None:
        row = interface_row(face, family)
        assert face.GetIpInterfaceEntry(row) == 0
        assert (row.NlMtu, row.InterfaceIndex, row.Connected) == (65535, face.system.devices[0].interface_index, 0)
        row.NlMtu, row.SitePrefixLength = 1420, 0
        assert face.SetIpInterfaceEntry(row) == 0
        for kind, mtu in ((family, 1420), (other, 65535)):
            row = interface_row(face, kind)
            assert face.GetIpInterfaceEntry(row) == 0 and row.NlMtu == mtu

    face.run(main)


def test_only_the_real_size_of_a_row_is_written(face: Face) -> None:
    def main() -> None:
        buffer = (c_uint8 * 200)(*[0xAA] * 200)
        face.InitializeIpInterfaceEntry(buffer)
        assert set(buffer[168:]) == {0xAA}
        ctypes.memset(buffer, 0, 20)
        buffer[0] = AF_INET6
        c_uint32.from_buffer(buffer, 16).value = face.system.devices[0].interface_index
        assert face.GetIpInterfaceEntry(buffer) == 0
        assert set(buffer[168:]) == {0xAA}

    face.run(main)


def test_values_of_an_initialised_row_change_nothing(face: Face) -> None:
    def main() -> None:
        row = interface_row(face, AF_INET)
        row.UseAutomaticMetric, row.Metric = 0, 33
        assert face.SetIpInterfaceEntry(row) == 0
        assert face.SetIpInterfaceEntry(interface_row(face, AF_INET)) == 0
        row = interface_row(face, AF_INET)
        face.GetIpInterfaceEntry(row)
        assert (row.Metric, row.NlMtu, row.UseAutomaticMetric) == (33, 65535, 0)

    face.run(main)


def test_errors_of_interface_rows(face: Face) -> None:
    def main() -> None:
        row = interface_row(face, AF_INET)
        row.InterfaceLuid = 5
        assert face.GetIpInterfaceEntry(row) == 2
        row.InterfaceLuid = 0
        assert face.GetIpInterfaceEntry(row) == 87
        assert face.GetIpInterfaceEntry(None) == 87
        assert face.GetIpInterfaceEntry(interface_row(face, 10)) == 87  # AF_INET6 of Linux
        row = interface_row(face, AF_INET6)
        row.NlMtu = 1279
        assert face.SetIpInterfaceEntry(row) == 87
        row = interface_row(face, AF_INET)
        face.GetIpInterfaceEntry(row)
        # As the system filled it: the site prefix must be cleared first for IPv4.
        assert face.SetIpInterfaceEntry(row) == 87

    face.run(main)


@pytest.mark.parametrize(("address", "prefix"), [("10.6.7.7", 24), ("fd00::1", 64), ("10.6.7.8", None)])
def test_addresses_come_and_go(face: Face, address: str, prefix: int | None) -> None:
    def main() -> None:
        row = address_row(face, address, prefix)
        assert face.CreateUnicastIpAddressEntry(row) == 0
        assert face.CreateUnicastIpAddressEntry(row) == 5010
        found = address_row(face, address)
        assert face.GetUnicastIpAddressEntry(found) == 0
        assert found.OnLinkPrefixLength == (32 if prefix is None else prefix) and found.DadState == 4
        table = c_uint64()
        assert face.GetUnicastIpAddressTable(0, table) == 0
        assert c_uint32.from_address(table.value).value == 1
        listed = AddressRow.from_address(table.value + 8)
        assert list(listed.Address) == list(found.Address)
        face.FreeMibTable(table.value)
        assert face.DeleteUnicastIpAddressEntry(row) == 0
        assert face.DeleteUnicastIpAddressEntry(row) == 1168

    face.run(main)


@pytest.mark.parametrize(("address", "prefix"), [("224.0.0.1", 24), ("0.0.0.0", 8), ("10.0.0.1", 33), ("::1", 128)])
def test_addresses_that_no_interface_can_have(face: Face, address: str, prefix: int) -> None:
    def main() -> None:
        assert face.CreateUnicastIpAddressEntry(address_row(face, address, prefix)) == 87

    face.run(main)


def test_unknown_interfaces_and_standard_users() -> None:
    face = Face(Account.USER)
    face.system.create_adapter("tun")

    def main() -> None:
        row = address_row(face, "10.0.0.1")
        assert face.CreateUnicastIpAddressEntry(row) == 5
        row.InterfaceLuid = 99
        assert face.CreateUnicastIpAddressEntry(row) == 1168
        assert face.SetIpInterfaceEntry(interface_row(face, AF_INET)) == 5

    face.run(main)


def test_names_of_interfaces(face: Face) -> None:
    device = face.system.devices[0]

    def main() -> None:
        luid, index, guid = c_uint64(device.luid), c_uint32(), ctypes.create_string_buffer(16)
        assert face.ConvertInterfaceLuidToIndex(luid, index) == 0 and index.value == device.interface_index
        luid.value = 0
        assert face.ConvertInterfaceIndexToLuid(index.value, luid) == 0 and luid.value == device.luid
        assert face.ConvertInterfaceLuidToGuid(luid, guid) == 0 and guid.raw == device.guid.bytes_le
        luid.value = 0
        assert face.ConvertInterfaceGuidToLuid(guid, luid) == 0 and luid.value == device.luid
        alias = ctypes.create_string_buffer(16)
        assert face.ConvertInterfaceLuidToAlias(luid, alias, 8) == 0
        assert alias.raw[:8].decode("utf-16-le") == "tun\0"
        assert face.ConvertInterfaceLuidToAlias(luid, alias, 3) == 8
        luid.value = 0
        assert face.ConvertInterfaceAliasToLuid(text("TUN"), luid) == 0 and luid.value == device.luid
        luid.value = 5
        assert face.ConvertInterfaceLuidToIndex(luid, index) == 87
        assert face.ConvertInterfaceIndexToLuid(999, luid) == 2

    face.run(main)


def test_get_adapters_addresses(face: Face) -> None:
    face.system.create_adapter("second")

    def main() -> None:
        for address, prefix in (("10.6.7.7", 24), ("fd00::1", 64)):
            assert face.CreateUnicastIpAddressEntry(address_row(face, address, prefix)) == 0
        size = c_uint32(0)
        assert face.GetAdaptersAddresses(0, 0, None, None, size) == 111
        buffer = ctypes.create_string_buffer(size.value)
        assert face.GetAdaptersAddresses(0, 0, None, buffer, size) == 0
        adapter = Adapter.from_buffer(buffer)
        assert (adapter.Length, adapter.IfType, adapter.OperStatus, adapter.Mtu) == (448, 53, 2, 65535)
        assert adapter.AdapterName == f"{{{str(face.system.devices[0].guid).upper()}}}".encode()
        assert adapter.Luid == face.system.devices[0].luid
        first = Unicast.from_address(adapter.FirstUnicastAddress)
        assert (
            ctypes.string_at(first.Address.Sockaddr, 8) == b"\x02\0\0\0\x0a\x06\x07\x07" and first.Address.Length == 16
        )
        second = Unicast.from_address(first.Next)
        assert second.OnLinkPrefixLength == 64 and second.Next is None
        assert ctypes.string_at(second.Address.Sockaddr, 2) == b"\x17\0"
        following = Adapter.from_address(adapter.Next)
        assert ctypes.string_at(following.FriendlyName, 14).decode("utf-16-le") == "second\0"
        assert following.FirstUnicastAddress is None and following.Next is None
        size.value = 10
        assert face.GetAdaptersAddresses(0, 0, None, buffer, size) == 111

    face.run(main)
