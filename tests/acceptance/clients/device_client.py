"""Adapters by setupapi, as installers of VPN clients handle them: create, list, use, disable, enable, remove."""

import ctypes
import sys
import uuid
from ctypes import byref, sizeof, wintypes

import tunring
from tunring import cfgmgr32, kernel32

setupapi = ctypes.WinDLL("setupapi", use_last_error=True)
advapi32 = ctypes.WinDLL("advapi32")

NET = uuid.UUID("{4d36e972-e325-11ce-bfc1-08002be10318}")
DIGCF_PRESENT, DICD_GENERATE_ID, SPDIT_COMPATDRIVER, SPDRP_HARDWAREID = 2, 1, 2, 1
DIF_INSTALLDEVICE, DIF_REMOVE, DIF_PROPERTYCHANGE, DIF_REGISTERDEVICE = 2, 5, 0x12, 0x19
DIF_INSTALLINTERFACES, DIF_REGISTER_COINSTALLERS = 0x20, 0x22
DICS_ENABLE, DICS_DISABLE, DICS_FLAG_GLOBAL, DIREG_DRV, DI_REMOVEDEVICE_GLOBAL = 1, 2, 1, 2, 1
DI_QUIETINSTALL, DI_NEEDRESTART, DI_NEEDREBOOT = 0x800000, 0x80, 0x100
ERROR_INSUFFICIENT_BUFFER, ERROR_NO_MORE_ITEMS = 122, 259
KEY_READ = 0x20019


class GUID(ctypes.Structure):
    _fields_ = [
        ("Data1", wintypes.DWORD),
        ("Data2", wintypes.WORD),
        ("Data3", wintypes.WORD),
        ("Data4", wintypes.BYTE * 8),
    ]


class SP_DEVINFO_DATA(ctypes.Structure):
    _fields_ = [
        ("cbSize", wintypes.DWORD),
        ("ClassGuid", GUID),
        ("DevInst", wintypes.DWORD),
        ("Reserved", ctypes.c_void_p),
    ]


class SP_DEVINSTALL_PARAMS(ctypes.Structure):
    _fields_ = [
        ("cbSize", wintypes.DWORD),
        ("Flags", wintypes.DWORD),
        ("FlagsEx", wintypes.DWORD),
        ("hwndParent", wintypes.HWND),
        ("InstallMsgHandler", ctypes.c_void_p),
        ("InstallMsgHandlerContext", ctypes.c_void_p),
        ("FileQueue", ctypes.c_void_p),
        ("ClassInstallReserved", ctypes.c_void_p),
        ("Reserved", wintypes.DWORD),
        ("DriverPath", wintypes.WCHAR * 260),
    ]


class SP_DRVINFO_DATA(ctypes.Structure):
    _fields_ = [
        ("cbSize", wintypes.DWORD),
        ("DriverType", wintypes.DWORD),
        ("Reserved", ctypes.c_void_p),
        ("Description", wintypes.WCHAR * 256),
        ("MfgName", wintypes.WCHAR * 256),
        ("ProviderName", wintypes.WCHAR * 256),
        ("DriverDate", wintypes.FILETIME),
        ("DriverVersion", ctypes.c_ulonglong),
    ]


class SP_CLASSINSTALL_HEADER(ctypes.Structure):
    _fields_ = [("cbSize", wintypes.DWORD), ("InstallFunction", wintypes.UINT)]


class SP_PROPCHANGE_PARAMS(ctypes.Structure):
    _fields_ = [
        ("ClassInstallHeader", SP_CLASSINSTALL_HEADER),
        ("StateChange", wintypes.DWORD),
        ("Scope", wintypes.DWORD),
        ("HwProfile", wintypes.DWORD),
    ]


class SP_REMOVEDEVICE_PARAMS(ctypes.Structure):
    _fields_ = [
        ("ClassInstallHeader", SP_CLASSINSTALL_HEADER),
        ("Scope", wintypes.DWORD),
        ("HwProfile", wintypes.DWORD),
    ]


def declare(dll, result, name, *arguments):
    function = getattr(dll, name)
    function.restype, function.argtypes = result, arguments
    return function


P, B, D, H, S = ctypes.c_void_p, wintypes.BOOL, wintypes.DWORD, wintypes.HANDLE, wintypes.LPCWSTR
create_list = declare(setupapi, H, "SetupDiCreateDeviceInfoListExW", P, H, S, P)
destroy_list = declare(setupapi, B, "SetupDiDestroyDeviceInfoList", H)
class_devices = declare(setupapi, H, "SetupDiGetClassDevsExW", P, S, H, D, H, S, P)
enumerate_devices = declare(setupapi, B, "SetupDiEnumDeviceInfo", H, D, P)
create_device = declare(setupapi, B, "SetupDiCreateDeviceInfoW", H, S, P, S, H, D, P)
instance_id_of = declare(setupapi, B, "SetupDiGetDeviceInstanceIdW", H, P, wintypes.LPWSTR, D, P)
get_property = declare(setupapi, B, "SetupDiGetDeviceRegistryPropertyW", H, P, D, P, P, D, P)
set_property = declare(setupapi, B, "SetupDiSetDeviceRegistryPropertyW", H, P, D, P, D)
open_key = declare(setupapi, H, "SetupDiOpenDevRegKey", H, P, D, D, D, D)
get_params = declare(setupapi, B, "SetupDiGetDeviceInstallParamsW", H, P, P)
set_params = declare(setupapi, B, "SetupDiSetDeviceInstallParamsW", H, P, P)
set_class_params = declare(setupapi, B, "SetupDiSetClassInstallParamsW", H, P, P, D)
call_installer = declare(setupapi, B, "SetupDiCallClassInstaller", D, H, P)
build_drivers = declare(setupapi, B, "SetupDiBuildDriverInfoList", H, P, D)
enumerate_drivers = declare(setupapi, B, "SetupDiEnumDriverInfoW", H, P, D, D, P)
select_driver = declare(setupapi, B, "SetupDiSetSelectedDriverW", H, P, P)
destroy_drivers = declare(setupapi, B, "SetupDiDestroyDriverInfoList", H, P, D)
query_value = declare(advapi32, wintypes.LONG, "RegQueryValueExW", H, S, P, P, P, P)
close_key = declare(advapi32, wintypes.LONG, "RegCloseKey", H)

NET_GUID = GUID.from_buffer_copy(NET.bytes_le)


def must(result):
    if result in (None, False, 0, tunring.INVALID):
        raise ctypes.WinError(ctypes.get_last_error())
    return result


def device_data():
    return SP_DEVINFO_DATA(sizeof(SP_DEVINFO_DATA))


def hardware_ids(devices, data):
    kind, needed = wintypes.DWORD(), wintypes.DWORD()
    found = get_property(devices, byref(data), SPDRP_HARDWAREID, None, None, 0, byref(needed))
    if not found and ctypes.get_last_error() != ERROR_INSUFFICIENT_BUFFER:
        return []
    buffer = ctypes.create_unicode_buffer(needed.value // 2)
    must(get_property(devices, byref(data), SPDRP_HARDWAREID, byref(kind), buffer, needed, None))
    return [text.lower() for text in buffer[:].split("\0") if text]


def instance_id(devices, data):
    needed = wintypes.DWORD()
    instance_id_of(devices, byref(data), None, 0, byref(needed))
    buffer = ctypes.create_unicode_buffer(needed.value)
    must(instance_id_of(devices, byref(data), buffer, needed, None))
    return buffer.value


def adapters():
    """Calls for each adapter: its set, its record."""
    devices = must(class_devices(byref(NET_GUID), None, None, DIGCF_PRESENT, None, None, None))
    index = 0
    try:
        while True:
            data = device_data()
            if not enumerate_devices(devices, index, byref(data)):
                assert ctypes.get_last_error() == ERROR_NO_MORE_ITEMS
                return
            index += 1
            if "wintun" in hardware_ids(devices, data):
                yield devices, data
    finally:
        must(destroy_list(devices))


def value(devices, data, name, kind=ctypes.c_wchar * 64):
    key = must(open_key(devices, byref(data), DICS_FLAG_GLOBAL, 0, DIREG_DRV, KEY_READ))
    buffer, size = kind(), wintypes.DWORD(sizeof(kind))
    error = query_value(key, name, None, None, byref(buffer), byref(size))
    close_key(key)
    if error:
        raise ctypes.WinError(error)
    return buffer.value


def create():
    devices = must(create_list(byref(NET_GUID), None, None, None))
    data = device_data()
    must(create_device(devices, "NET", byref(NET_GUID), "Client Tunnel", None, DICD_GENERATE_ID, byref(data)))
    params = SP_DEVINSTALL_PARAMS(sizeof(SP_DEVINSTALL_PARAMS))
    must(get_params(devices, byref(data), byref(params)))
    params.Flags |= DI_QUIETINSTALL
    must(set_params(devices, byref(data), byref(params)))
    ids = ctypes.create_unicode_buffer("Wintun\0")
    must(set_property(devices, byref(data), SPDRP_HARDWAREID, ids, sizeof(ids)))
    must(build_drivers(devices, byref(data), SPDIT_COMPATDRIVER))
    best, index = None, 0
    while True:
        driver = SP_DRVINFO_DATA(sizeof(SP_DRVINFO_DATA))
        if not enumerate_drivers(devices, byref(data), SPDIT_COMPATDRIVER, index, byref(driver)):
            assert ctypes.get_last_error() == ERROR_NO_MORE_ITEMS
            break
        if best is None or driver.DriverVersion > best.DriverVersion:
            best = driver
        index += 1
    must(select_driver(devices, byref(data), byref(best)))
    for function in (DIF_REGISTERDEVICE, DIF_REGISTER_COINSTALLERS, DIF_INSTALLINTERFACES, DIF_INSTALLDEVICE):
        must(call_installer(function, devices, byref(data)))
    must(destroy_drivers(devices, byref(data), SPDIT_COMPATDRIVER))
    print("created:", instance_id(devices, data), best.Description, best.DriverVersion >> 32 & 0xFFFF)
    must(destroy_list(devices))


def needs_reboot(devices, data):
    params = SP_DEVINSTALL_PARAMS(sizeof(SP_DEVINSTALL_PARAMS))
    must(get_params(devices, byref(data), byref(params)))
    return bool(params.Flags & (DI_NEEDREBOOT | DI_NEEDRESTART))


def change(what):
    """Disable or enable the adapter: whether a reboot is needed, and the device's problem."""
    for devices, data in adapters():
        params = SP_PROPCHANGE_PARAMS()
        params.ClassInstallHeader = SP_CLASSINSTALL_HEADER(sizeof(SP_CLASSINSTALL_HEADER), DIF_PROPERTYCHANGE)
        params.StateChange, params.Scope = what, DICS_FLAG_GLOBAL
        must(set_class_params(devices, byref(data), byref(params), sizeof(params)))
        must(call_installer(DIF_PROPERTYCHANGE, devices, byref(data)))
        status, problem = wintypes.ULONG(), wintypes.ULONG()
        assert cfgmgr32.CM_Get_DevNode_Status(byref(status), byref(problem), data.DevInst, 0) == 0
        return ("reboot " if needs_reboot(devices, data) else "") + f"problem {problem.value}"
    return None


def remove():
    for devices, data in adapters():
        params = SP_REMOVEDEVICE_PARAMS()
        params.ClassInstallHeader = SP_CLASSINSTALL_HEADER(sizeof(SP_CLASSINSTALL_HEADER), DIF_REMOVE)
        params.Scope = DI_REMOVEDEVICE_GLOBAL
        must(set_class_params(devices, byref(data), byref(params), sizeof(params)))
        must(call_installer(DIF_REMOVE, devices, byref(data)))


def main():
    create()
    for devices, data in adapters():
        guid, luid_index = (
            value(devices, data, "NetCfgInstanceId"),
            value(devices, data, "NetLuidIndex", wintypes.DWORD),
        )
        print("type", value(devices, data, "*IfType", wintypes.DWORD), "LUID index", luid_index)
    (path,) = tunring.interfaces()
    assert path.upper().endswith(guid)
    session = tunring.Session()
    print("disable while in use:", change(DICS_DISABLE))
    print("words:", session.send.tail == tunring.STOPPED, session.receive.head == tunring.STOPPED)
    again = tunring.RINGS(session.send.record(), session.receive.record())
    print("register on the old handle:", tunring.register(session.device, again))
    kernel32.CloseHandle(session.device)
    print("disable:", change(DICS_DISABLE))
    print("interfaces:", len(tunring.interfaces()), "devices:", len(list(adapters())))
    handle = kernel32.CreateFileW(path, 0xC0000000, 7, None, 3, 0, None)
    print("open:", tunring.last_error() if handle == tunring.INVALID else "done")
    print("enable:", change(DICS_ENABLE))
    with tunring.Session() as session:
        packet = session.send.read(timeout=5000)
        assert session.receive.write(packet)
        session.receive.flush()
        print("packet of", len(packet), "bytes")
    remove()
    print("devices:", len(list(adapters())), "interfaces:", len(tunring.interfaces()))


if __name__ == "__main__":
    sys.exit(main())
