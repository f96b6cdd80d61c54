"""wintun.dll by ctypes, after the example in its package: adapter, logger, session, two threads, Ctrl+C."""

import ctypes
import os
import struct
import sys
import threading
from ctypes import POINTER, WINFUNCTYPE, byref, c_uint64, c_ulonglong, c_void_p, wintypes
from uuid import UUID

kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
wintun = ctypes.WinDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "wintun.dll"), use_last_error=True)

LOGGER = WINFUNCTYPE(None, wintypes.DWORD, c_uint64, wintypes.LPCWSTR)
ERROR_NO_MORE_ITEMS, ERROR_HANDLE_EOF, ERROR_BUFFER_OVERFLOW = 259, 38, 111


class GUID(ctypes.Structure):
    _fields_ = [("Data", ctypes.c_ubyte * 16)]


def declare(name, result, *arguments):
    function = getattr(wintun, name)
    function.restype, function.argtypes = result, arguments
    return function


create_adapter = declare("WintunCreateAdapter", c_void_p, wintypes.LPCWSTR, wintypes.LPCWSTR, POINTER(GUID))
open_adapter = declare("WintunOpenAdapter", c_void_p, wintypes.LPCWSTR)
close_adapter = declare("WintunCloseAdapter", None, c_void_p)
get_luid = declare("WintunGetAdapterLUID", None, c_void_p, POINTER(c_ulonglong))
driver_version = declare("WintunGetRunningDriverVersion", wintypes.DWORD)
set_logger = declare("WintunSetLogger", None, LOGGER)
start_session = declare("WintunStartSession", c_void_p, c_void_p, wintypes.DWORD)
end_session = declare("WintunEndSession", None, c_void_p)
wait_event = declare("WintunGetReadWaitEvent", wintypes.HANDLE, c_void_p)
receive_packet = declare("WintunReceivePacket", c_void_p, c_void_p, POINTER(wintypes.DWORD))
release_packet = declare("WintunReleaseReceivePacket", None, c_void_p, c_void_p)
allocate_packet = declare("WintunAllocateSendPacket", c_void_p, c_void_p, wintypes.DWORD)
send_packet = declare("WintunSendPacket", None, c_void_p, c_void_p)


@LOGGER
def log(level, time, line):
    print(["info", "warning", "error"][level], line, time > 130_000_000_000_000_000)


def failure(result):
    return ctypes.get_last_error() if not result else 0


def receive(session, count, packets):
    size, handles = wintypes.DWORD(), (wintypes.HANDLE * 2)(wait_event(session), quit_event)
    while len(packets) < count:
        pointer = receive_packet(session, byref(size))
        if pointer:
            packets.append(ctypes.string_at(pointer, size.value))
            release_packet(session, pointer)
        elif ctypes.get_last_error() == ERROR_NO_MORE_ITEMS:
            if kernel32.WaitForMultipleObjects(2, handles, False, 0xFFFFFFFF) != 0:
                return
        else:
            raise ctypes.WinError(ctypes.get_last_error())


def send(session, payload):
    pointer = allocate_packet(session, len(payload))
    if not pointer:
        raise ctypes.WinError(ctypes.get_last_error())
    ctypes.memmove(pointer, payload, len(payload))
    send_packet(session, pointer)


def main(count):
    global quit_event
    quit_event = kernel32.CreateEventW(None, True, False, None)
    set_logger(log)
    guid = UUID("deadbabe-cafe-beef-0123-456789abcdef")
    adapter = create_adapter("Demo", "Example", byref(GUID.from_buffer_copy(guid.bytes_le)))
    if not adapter:
        raise ctypes.WinError(ctypes.get_last_error())
    luid = c_ulonglong()
    get_luid(adapter, byref(luid))
    version = driver_version()
    print(f"driver {version >> 16}.{version & 0xFFFF}, interface type {luid.value >> 48}")
    print("capacity 1000:", failure(start_session(adapter, 1000)))
    session = start_session(adapter, 0x400000)
    print("second session:", failure(start_session(adapter, 0x400000)))
    packets = []
    reader = threading.Thread(target=receive, args=(session, count, packets))
    reader.start()
    for number in range(count):
        send(
            session,
            struct.pack("!BBHHHBBH4s4sI", 0x45, 0, 24, number, 0, 64, 253, 0, b"\n\6\7\10", b"\n\6\7\7", number),
        )
    print("too large:", failure(allocate_packet(session, 0x400000)))
    reader.join(10)
    print("empty:", failure(receive_packet(session, byref(wintypes.DWORD()))))
    kernel32.SetEvent(quit_event)
    reader.join()
    end_session(session)
    close_adapter(adapter)
    print("after:", failure(open_adapter("Demo")))
    print("received", len(packets), "of", sum(map(len, packets)), "bytes")
    set_logger(LOGGER())


if __name__ == "__main__":
    main(int(sys.argv[1]))
