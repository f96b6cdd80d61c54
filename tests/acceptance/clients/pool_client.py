"""wintun.dll as it was from 0.9 to 0.13, by ctypes: adapters in pools, which stay until they are deleted."""

import ctypes
from ctypes import POINTER, WINFUNCTYPE, byref, c_ulonglong, c_void_p, wintypes

wintun = ctypes.WinDLL("wintun.dll", use_last_error=True)

LOGGER = WINFUNCTYPE(None, wintypes.DWORD, wintypes.LPCWSTR)
ENUMERATE = WINFUNCTYPE(wintypes.BOOL, c_void_p, wintypes.LPARAM)


def declare(name, result, *arguments):
    function = getattr(wintun, name)
    function.restype, function.argtypes = result, arguments
    return function


S, BOOLS = wintypes.LPCWSTR, POINTER(wintypes.BOOL)
create_adapter = declare("WintunCreateAdapter", c_void_p, S, S, c_void_p, BOOLS)
open_adapter = declare("WintunOpenAdapter", c_void_p, S, S)
delete_adapter = declare("WintunDeleteAdapter", wintypes.BOOL, c_void_p, wintypes.BOOL, BOOLS)
delete_pool = declare("WintunDeletePoolDriver", wintypes.BOOL, S, BOOLS)
enumerate_adapters = declare("WintunEnumAdapters", wintypes.BOOL, S, ENUMERATE, wintypes.LPARAM)
free_adapter = declare("WintunFreeAdapter", None, c_void_p)
get_name = declare("WintunGetAdapterName", wintypes.BOOL, c_void_p, wintypes.LPWSTR)
set_name = declare("WintunSetAdapterName", wintypes.BOOL, c_void_p, S)
get_luid = declare("WintunGetAdapterLUID", None, c_void_p, POINTER(c_ulonglong))
driver_version = declare("WintunGetRunningDriverVersion", wintypes.DWORD)
set_logger = declare("WintunSetLogger", None, LOGGER)
start_session = declare("WintunStartSession", c_void_p, c_void_p, wintypes.DWORD)
end_session = declare("WintunEndSession", None, c_void_p)
receive_packet = declare("WintunReceivePacket", c_void_p, c_void_p, POINTER(wintypes.DWORD))
release_packet = declare("WintunReleaseReceivePacket", None, c_void_p, c_void_p)
wait_event = declare("WintunGetReadWaitEvent", wintypes.HANDLE, c_void_p)


@LOGGER
def log(level, line):
    print(["info", "warning", "error"][level], line)


def name_of(adapter):
    buffer = ctypes.create_unicode_buffer(128)
    assert get_name(adapter, buffer)
    return buffer.value


def names(pool, most=99):
    found = []

    @ENUMERATE
    def callback(adapter, parameter):
        found.append((name_of(adapter), parameter))
        return len(found) < most

    assert enumerate_adapters(pool, callback, 7)
    return found


def failure(result):
    return 0 if result else ctypes.get_last_error()


def main():
    set_logger(log)
    reboot = wintypes.BOOL(True)
    first = create_adapter("Pool", "First", None, byref(reboot))
    second = create_adapter("Pool", "Second", None, None)
    other = create_adapter("Other", "Third", None, None)
    print("reboot", reboot.value, "driver", driver_version() & 0xFFFF)
    print(names("pool"), names("Pool", 1), names("Other"), names("None"))
    print("open:", failure(open_adapter("Pool", "Nobody")), failure(open_adapter("Pool", "Third")))
    print("long:", failure(open_adapter("P" * 128, "x")), failure(create_adapter("P", "x" * 128, None, None)))
    assert set_name(second, "Renamed")
    again = open_adapter("Pool", "renamed")
    print("renamed:", name_of(again))
    assert set_name(again, "First")
    print("taken:", name_of(again))
    free_adapter(again)

    session = start_session(first, 0x20000)
    size = wintypes.DWORD()
    ctypes.windll.kernel32.WaitForSingleObject(wait_event(session), 5000)
    packet = receive_packet(session, byref(size))
    print("packet of", size.value)
    release_packet(session, packet)
    assert delete_adapter(first, False, byref(reboot))
    print("delete in use:", reboot.value, len(names("Pool")))
    end_session(session)
    assert delete_adapter(first, False, byref(reboot))
    print("delete:", reboot.value, names("Pool"), failure(get_name(first, ctypes.create_unicode_buffer(128))))
    free_adapter(first)
    assert delete_pool("Pool", byref(reboot))
    free_adapter(second)
    print("pool:", names("Pool"), names("Other"), driver_version() & 0xFFFF)
    free_adapter(other)


if __name__ == "__main__":
    main()
