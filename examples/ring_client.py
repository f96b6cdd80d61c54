"""A Wintun client without wintun.dll: it talks to the driver itself, through two rings that it registers.

It writes every packet that it reads back, with source and destination swapped and echo requests made into replies, so a
ping through the adapter is answered. Runs on Windows, as LocalSystem, beside an installed Wintun 0.8 adapter; stop it
with Ctrl+C, or give it the number of packets to read.

    python ring_client.py [--capacity BYTES] [--spin MICROSECONDS] [PACKETS]
"""

import argparse
import ctypes
import sys
import threading
import time
from ctypes import wintypes

kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
cfgmgr32 = ctypes.WinDLL("cfgmgr32")

CR_SUCCESS = 0
CR_BUFFER_SMALL = 0x1A
CM_GET_DEVICE_INTERFACE_LIST_PRESENT = 0
GENERIC_READ_WRITE = 0xC0000000
FILE_SHARE_ALL = 0x7
OPEN_EXISTING = 3
INVALID_HANDLE_VALUE = wintypes.HANDLE(-1).value
MEM_COMMIT_RESERVE = 0x3000
MEM_RELEASE = 0x8000
PAGE_READWRITE = 0x04
INFINITE = 0xFFFFFFFF
WAIT_OBJECT_0 = 0
TUN_IOCTL_REGISTER_RINGS = 0xCA6CE5C0

HEADER_SIZE = 12
TRAILING_SIZE = 0x10000
STOPPED = 0xFFFFFFFF


class GUID(ctypes.Structure):
    _fields_ = [
        ("Data1", wintypes.DWORD),
        ("Data2", wintypes.WORD),
        ("Data3", wintypes.WORD),
        ("Data4", ctypes.c_ubyte * 8),
    ]


class TUN_RING_DESCRIPTOR(ctypes.Structure):
    _fields_ = [("RingSize", wintypes.ULONG), ("Ring", ctypes.c_void_p), ("TailMoved", wintypes.HANDLE)]


class TUN_REGISTER_RINGS(ctypes.Structure):
    _fields_ = [("Send", TUN_RING_DESCRIPTOR), ("Receive", TUN_RING_DESCRIPTOR)]


_DATA4 = bytes.fromhex("82E671A87ABAC361")
GUID_WINTUN_INTERFACE = GUID(0xCAC88484, 0x7515, 0x4C03, (ctypes.c_ubyte * 8).from_buffer_copy(_DATA4))

kernel32.CreateFileW.restype = wintypes.HANDLE
kernel32.CreateFileW.argtypes = [
    wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE,
]  # fmt: skip
kernel32.DeviceIoControl.argtypes = [
    wintypes.HANDLE, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD,
    wintypes.LPDWORD, wintypes.LPVOID,
]  # fmt: skip
kernel32.CreateEventW.restype = wintypes.HANDLE
kernel32.CreateEventW.argtypes = [wintypes.LPVOID, wintypes.BOOL, wintypes.BOOL, wintypes.LPCWSTR]
kernel32.SetEvent.argtypes = kernel32.ResetEvent.argtypes = kernel32.CloseHandle.argtypes = [wintypes.HANDLE]
kernel32.WaitForSingleObject.restype = wintypes.DWORD
kernel32.WaitForSingleObject.argtypes = [wintypes.HANDLE, wintypes.DWORD]
kernel32.VirtualAlloc.restype = ctypes.c_void_p
kernel32.VirtualAlloc.argtypes = [wintypes.LPVOID, ctypes.c_size_t, wintypes.DWORD, wintypes.DWORD]
kernel32.VirtualFree.argtypes = [wintypes.LPVOID, ctypes.c_size_t, wintypes.DWORD]


def find_interface():
    """The path of the first Wintun adapter."""
    while True:
        length = wintypes.ULONG()
        guid = ctypes.byref(GUID_WINTUN_INTERFACE)
        flags = CM_GET_DEVICE_INTERFACE_LIST_PRESENT
        result = cfgmgr32.CM_Get_Device_Interface_List_SizeW(ctypes.byref(length), guid, None, flags)
        if result != CR_SUCCESS:
            raise OSError(f"CM_Get_Device_Interface_List_SizeW failed: 0x{result:X}")
        paths = ctypes.create_unicode_buffer(length.value)
        result = cfgmgr32.CM_Get_Device_Interface_ListW(guid, None, paths, length, flags)
        if result == CR_BUFFER_SMALL:
            continue
        if result != CR_SUCCESS:
            raise OSError(f"CM_Get_Device_Interface_ListW failed: 0x{result:X}")
        if not paths.value:
            raise OSError("there is no Wintun adapter")
        return paths.value


def check(result):
    if not result:
        raise ctypes.WinError(ctypes.get_last_error())
    return result


class Ring:
    """Memory and event of one ring: its three words, and its data area."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.size = HEADER_SIZE + capacity + TRAILING_SIZE
        self.address = check(kernel32.VirtualAlloc(None, self.size, MEM_COMMIT_RESERVE, PAGE_READWRITE))
        self.tail_moved = check(kernel32.CreateEventW(None, False, False, None))
        memory = memoryview((ctypes.c_char * self.size).from_address(self.address)).cast("B")
        self.words = memory[:HEADER_SIZE].cast("I")
        self.data = memory[HEADER_SIZE:]

    def descriptor(self):
        return TUN_RING_DESCRIPTOR(self.size, self.address, self.tail_moved)

    def close(self):
        self.words = self.data = None
        kernel32.CloseHandle(self.tail_moved)
        kernel32.VirtualFree(self.address, 0, MEM_RELEASE)


HEAD, TAIL, ALERTABLE = 0, 1, 2


class SendRing(Ring):
    """What the system sends: the driver moves Tail, we move Head."""

    def pop(self):
        """The next packet; None when the ring is empty."""
        words, data = self.words, self.data
        head = words[HEAD]
        if words[TAIL] == head:
            return None
        size = int.from_bytes(data[head : head + 4], "little")
        packet = bytes(data[head + 4 : head + 4 + size])
        words[HEAD] = (head + 4 + size + 3) & ~3 & (self.capacity - 1)
        return packet

    def read(self, spin):
        """The next packet, spinning first, then waiting; None when the adapter has gone."""
        words = self.words
        deadline = time.perf_counter() + spin
        while True:
            if words[TAIL] == STOPPED:
                return None
            packet = self.pop()
            if packet is not None:
                return packet
            if time.perf_counter() < deadline:
                continue
            words[ALERTABLE] = 1
            packet = self.pop() if words[TAIL] != STOPPED else None
            if packet is not None or words[TAIL] == STOPPED:
                words[ALERTABLE] = 0
                kernel32.ResetEvent(self.tail_moved)
                return packet
            kernel32.WaitForSingleObject(self.tail_moved, INFINITE)
            words[ALERTABLE] = 0


class ReceiveRing(Ring):
    """What we send into the system: we move Tail, the driver moves Head."""

    def write(self, packet):
        """Write a packet, waiting for space; False when the driver has stopped reading."""
        words, mask = self.words, self.capacity - 1
        tail = words[TAIL]
        needed = (4 + len(packet) + 3) & ~3
        while True:
            head = words[HEAD]
            if head == STOPPED:
                return False
            if (head - tail - 4) & mask >= needed:
                break
            kernel32.SwitchToThread()
        self.data[tail : tail + 4] = len(packet).to_bytes(4, "little")
        self.data[tail + 4 : tail + 4 + len(packet)] = packet
        words[TAIL] = (tail + needed) & mask
        if words[ALERTABLE]:
            kernel32.SetEvent(self.tail_moved)
        return True

    def flush(self):
        """Wait until the driver has read everything, or has stopped."""
        while self.words[HEAD] not in (self.words[TAIL], STOPPED):
            time.sleep(0.0001)


def turn_round(packet):
    """The packet with source and destination swapped; an echo request becomes its reply."""
    answer = bytearray(packet)
    if packet[0] >> 4 == 4:
        answer[12:16], answer[16:20] = packet[16:20], packet[12:16]
        start = (packet[0] & 15) * 4
        is_first = not int.from_bytes(packet[6:8], "big") & 0x1FFF
        if packet[9] == 1 and is_first and packet[start] == 8:
            answer[start] = 0
            add_to_checksum(answer, start + 2, 8 << 8)
    else:
        answer[8:24], answer[24:40] = packet[24:40], packet[8:24]
        if packet[6] == 58 and packet[40] == 128:
            answer[40] = 129
            add_to_checksum(answer, 42, -(1 << 8))
    return bytes(answer)


def add_to_checksum(packet, offset, difference):
    """Make a checksum right again after the sum of what it covers fell by `difference`."""
    total = int.from_bytes(packet[offset : offset + 2], "big") + difference
    total %= 0xFFFF
    packet[offset : offset + 2] = total.to_bytes(2, "big")


class Session:
    def __init__(self, capacity):
        self.path = find_interface()
        self.device = kernel32.CreateFileW(self.path, GENERIC_READ_WRITE, FILE_SHARE_ALL, None, OPEN_EXISTING, 0, None)
        if self.device == INVALID_HANDLE_VALUE:
            raise ctypes.WinError(ctypes.get_last_error())
        self.send = SendRing(capacity)
        self.receive = ReceiveRing(capacity)
        record = TUN_REGISTER_RINGS(self.send.descriptor(), self.receive.descriptor())
        returned = wintypes.DWORD()
        check(
            kernel32.DeviceIoControl(
                self.device, TUN_IOCTL_REGISTER_RINGS, ctypes.byref(record), ctypes.sizeof(record), None, 0,
                ctypes.byref(returned), None,
            )
        )  # fmt: skip

    def close(self):
        kernel32.CloseHandle(self.device)
        self.send.close()
        self.receive.close()


def main():
    parser = argparse.ArgumentParser(description="Read packets from a Wintun adapter and write answers back.")
    parser.add_argument("packets", nargs="?", type=int, help="stop after so many packets (default: at Ctrl+C)")
    parser.add_argument("--capacity", type=int, default=0x100000, help="of each ring, in bytes (default: 1 MiB)")
    parser.add_argument("--spin", type=float, default=50.0, help="how long to spin before waiting, in µs (default: 50)")
    arguments = parser.parse_args()

    session = Session(arguments.capacity)
    answers, wake = [], threading.Condition()
    counts = {"read": 0, "written": 0}

    def write_answers():
        while True:
            with wake:
                while not answers:
                    wake.wait()
                batch = answers[:]
                answers.clear()
            for answer in batch:
                if answer is None or not session.receive.write(answer):
                    return
                counts["written"] += 1

    writer = threading.Thread(target=write_answers, name="writer")
    writer.start()
    try:
        while arguments.packets is None or counts["read"] < arguments.packets:
            packet = session.send.read(arguments.spin / 1e6)
            if packet is None:
                break
            counts["read"] += 1
            with wake:
                answers.append(turn_round(packet))
                wake.notify()
    except KeyboardInterrupt:
        pass
    with wake:
        answers.append(None)
        wake.notify()
    writer.join()
    session.receive.flush()
    session.close()
    print(f"read {counts['read']} packets, wrote {counts['written']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
