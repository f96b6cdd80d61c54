"""A client in the style of C: CreateThread with a callback, a quit event, WaitForMultipleObjects, a global state."""

import sys
from ctypes import WINFUNCTYPE, byref, wintypes

from tunring import INFINITE, MIB, STOPPED, Session, event, kernel32, must

WAIT_OBJECT_0 = 0
THREAD_START = WINFUNCTYPE(wintypes.DWORD, wintypes.LPVOID)
kernel32.CreateThread.restype = wintypes.HANDLE
kernel32.CreateThread.argtypes = [
    wintypes.LPVOID, wintypes.LPVOID, THREAD_START, wintypes.LPVOID, wintypes.DWORD, wintypes.LPDWORD,
]  # fmt: skip
kernel32.GetExitCodeThread.argtypes = [wintypes.HANDLE, wintypes.LPDWORD]

session = Session(MIB)
quit_event = event(manual=True, name="Local\\quit")


@THREAD_START
def receive_packets(parameter):
    packets = 0
    handles = (wintypes.HANDLE * 2)(session.send.tail_moved, quit_event)
    while True:
        packet = session.send.pop()
        if packet is not None:
            packets += 1
            if packets == parameter:
                kernel32.SetEvent(quit_event)
            continue
        session.send.alertable = 1
        if session.send.tail != session.send.head:
            session.send.alertable = 0
            continue
        result = kernel32.WaitForMultipleObjects(2, handles, False, INFINITE)
        session.send.alertable = 0
        if result == WAIT_OBJECT_0 + 1 or session.send.tail == STOPPED:
            return packets


@THREAD_START
def send_packets(parameter):
    sequence = 0
    while kernel32.WaitForSingleObject(quit_event, 5) != WAIT_OBJECT_0:
        packet = bytes((0x45, 0, 0, 28)) + bytes(16) + sequence.to_bytes(8, "big")
        if session.receive.put(packet):
            sequence += 1
    return sequence


count = int(sys.argv[1])
identifier = wintypes.DWORD()
threads = [
    must(kernel32.CreateThread(None, 0, receive_packets, count, 0, byref(identifier))),
    must(kernel32.CreateThread(None, 0, send_packets, None, 4, None)),
]
assert identifier.value
assert kernel32.ResumeThread(threads[1]) == 1
assert kernel32.WaitForMultipleObjects(2, (wintypes.HANDLE * 2)(*threads), True, 60000) == WAIT_OBJECT_0
codes = []
for thread in threads:
    code = wintypes.DWORD()
    must(kernel32.GetExitCodeThread(thread, byref(code)))
    codes.append(code.value)
    must(kernel32.CloseHandle(thread))
session.receive.flush()
session.close()
print("received", codes[0], "sent", codes[1] > 0)
