"""A raw-ring client for the benchmark: reads packets in batches and writes each of them back, as fast as it can.

Written for Windows with ctypes alone; run it with ``wintunsim run`` or by `bench.py`. Its argument is how many
packets to read.
"""

import ctypes
import struct
import sys
from ctypes import wintypes

kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
cfgmgr32 = ctypes.WinDLL("cfgmgr32")
kernel32.CreateFileW.restype = kernel32.CreateEventW.restype = wintypes.HANDLE
kernel32.CreateFileW.argtypes = [
    wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE,
]  # fmt: skip
kernel32.DeviceIoControl.argtypes = [
    wintypes.HANDLE, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD,
    wintypes.LPDWORD, wintypes.LPVOID,
]  # fmt: skip
kernel32.VirtualAlloc.restype = ctypes.c_void_p
kernel32.VirtualAlloc.argtypes = [wintypes.LPVOID, ctypes.c_size_t, wintypes.DWORD, wintypes.DWORD]
kernel32.WaitForSingleObject.argtypes = [wintypes.HANDLE, wintypes.DWORD]
kernel32.SetEvent.argtypes = kernel32.CloseHandle.argtypes = [wintypes.HANDLE]

CAPACITY = 0x400000
MASK = CAPACITY - 1
RING_SIZE = 12 + CAPACITY + 0x10000
INFINITE = 0xFFFFFFFF
HEAD, TAIL, ALERTABLE = 0, 1, 2


def find_interface():
    guid = (ctypes.c_ubyte * 16).from_buffer_copy(bytes.fromhex("8484c8ca1575034c82e671a87abac361"))
    length = wintypes.ULONG()
    cfgmgr32.CM_Get_Device_Interface_List_SizeW(ctypes.byref(length), guid, None, 0)
    paths = ctypes.create_unicode_buffer(length.value)
    cfgmgr32.CM_Get_Device_Interface_ListW(guid, None, paths, length, 0)
    return paths.value


def make_ring():
    address = kernel32.VirtualAlloc(None, RING_SIZE, 0x3000, 0x04)
    memory = memoryview((ctypes.c_char * RING_SIZE).from_address(address)).cast("B")
    return address, kernel32.CreateEventW(None, False, False, None), memory[:12].cast("I"), memory[12:]


def main(count):
    device = kernel32.CreateFileW(find_interface(), 0xC0000000, 7, None, 3, 0, None)
    send_address, send_moved, send, send_data = make_ring()
    receive_address, receive_moved, receive, receive_data = make_ring()
    record = struct.pack("<I4xQQI4xQQ", RING_SIZE, send_address, send_moved, RING_SIZE, receive_address, receive_moved)
    returned = wintypes.DWORD()
    if not kernel32.DeviceIoControl(device, 0xCA6CE5C0, record, len(record), None, 0, ctypes.byref(returned), None):
        raise ctypes.WinError(ctypes.get_last_error())
    size_at = struct.Struct("<I").unpack_from
    head = tail = done = dropped = 0
    while done < count:
        end = send[TAIL]
        if head == end:
            send[ALERTABLE] = 1
            if send[TAIL] == head:
                kernel32.WaitForSingleObject(send_moved, INFINITE)
            send[ALERTABLE] = 0
            continue
        while head != end:
            stored = size_at(send_data, head)[0] + 7 & ~3
            if receive[HEAD] - tail - 4 & MASK >= stored:
                # The packet with its header, as it stands.
                receive_data[tail : tail + stored] = send_data[head : head + stored]
                tail = tail + stored & MASK
                receive[TAIL] = tail
                if receive[ALERTABLE]:
                    kernel32.SetEvent(receive_moved)
            else:
                dropped += 1
            head = head + stored & MASK
            send[HEAD] = head
            done += 1
    kernel32.CloseHandle(device)
    print(f"read {done}, dropped {dropped}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
