"""Lists device interfaces again and again, as a client does that waits for its adapter; asks again when more came."""

import ctypes
import sys
from ctypes import byref, wintypes

cfgmgr32 = ctypes.WinDLL("cfgmgr32")
CR_SUCCESS, CR_BUFFER_SMALL = 0, 0x1A
INTERFACE = (ctypes.c_ubyte * 16).from_buffer_copy(bytes.fromhex("8484C8CA1575034C82E671A87ABAC361"))


def interfaces():
    """The paths, and how often the list had grown between the two calls."""
    grown = 0
    while True:
        size = wintypes.ULONG()
        result = cfgmgr32.CM_Get_Device_Interface_List_SizeW(byref(size), INTERFACE, None, 0)
        assert result == CR_SUCCESS
        buffer = ctypes.create_unicode_buffer(size.value)
        result = cfgmgr32.CM_Get_Device_Interface_ListW(INTERFACE, None, buffer, size, 0)
        if result != CR_BUFFER_SMALL:
            assert result == CR_SUCCESS
            return [path for path in buffer[:].split("\0") if path], grown
        grown += 1


def main(count):
    seen, asked_again = 0, 0
    while seen < count:
        paths, grown = interfaces()
        assert len(paths) >= seen
        seen = len(paths)
        asked_again += grown
    print(seen, "interfaces; asked again:", asked_again > 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
