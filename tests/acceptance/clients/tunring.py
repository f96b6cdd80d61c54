"""A small library for Wintun's ring generation, as its users write one for Windows."""

import ctypes
from ctypes import wintypes

kernel32 = ctypes.WinDLL("kernel32.dll", use_last_error=True)
cfgmgr32 = ctypes.windll.LoadLibrary("cfgmgr32.dll")

REGISTER_RINGS = (51820 << 16) | (3 << 14) | (0x970 << 2)
FORCE_CLOSE_HANDLES = (51820 << 16) | (3 << 14) | (0x971 << 2) | 3
HEADER, TRAILING, STOPPED = 12, 0x10000, 0xFFFFFFFF
INVALID = ctypes.c_void_p(-1).value
INFINITE = 0xFFFFFFFF
KIB, MIB = 1 << 10, 1 << 20


class RING(ctypes.Structure):
    _fields_ = [("RingSize", wintypes.ULONG), ("Ring", ctypes.c_void_p), ("TailMoved", wintypes.HANDLE)]


class RINGS(ctypes.Structure):
    _fields_ = [("Send", RING), ("Receive", RING)]


class GUID(ctypes.Structure):
    _fields_ = [("a", wintypes.DWORD), ("b", wintypes.WORD), ("c", wintypes.WORD), ("d", wintypes.BYTE * 8)]


INTERFACE = GUID.from_buffer_copy(bytes.fromhex("8484C8CA1575034C82E671A87ABAC361"))

kernel32.CreateFileW.restype = wintypes.HANDLE
kernel32.CreateFileW.argtypes = (
    wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE,
)  # fmt: skip
kernel32.DeviceIoControl.argtypes = (
    wintypes.HANDLE, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD,
    ctypes.POINTER(wintypes.DWORD), wintypes.LPVOID,
)  # fmt: skip
kernel32.CreateEventW.restype = kernel32.OpenEventW.restype = kernel32.GetCurrentProcess.restype = wintypes.HANDLE
kernel32.CreateEventExW.restype = wintypes.HANDLE
kernel32.CreateEventW.argtypes = (wintypes.LPVOID, wintypes.BOOL, wintypes.BOOL, wintypes.LPCWSTR)
kernel32.OpenEventW.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.LPCWSTR)
kernel32.CreateEventExW.argtypes = (wintypes.LPVOID, wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD)
for function in (kernel32.SetEvent, kernel32.ResetEvent, kernel32.CloseHandle):
    function.argtypes = (wintypes.HANDLE,)
kernel32.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
kernel32.WaitForMultipleObjects.argtypes = (
    wintypes.DWORD, ctypes.POINTER(wintypes.HANDLE), wintypes.BOOL, wintypes.DWORD,
)  # fmt: skip
kernel32.DuplicateHandle.argtypes = (
    wintypes.HANDLE, wintypes.HANDLE, wintypes.HANDLE, ctypes.POINTER(wintypes.HANDLE), wintypes.DWORD, wintypes.BOOL,
    wintypes.DWORD,
)  # fmt: skip
kernel32.VirtualAlloc.restype = ctypes.c_void_p
kernel32.VirtualAlloc.argtypes = (wintypes.LPVOID, ctypes.c_size_t, wintypes.DWORD, wintypes.DWORD)
kernel32.VirtualFree.argtypes = (wintypes.LPVOID, ctypes.c_size_t, wintypes.DWORD)
kernel32.VirtualProtect.argtypes = (wintypes.LPVOID, ctypes.c_size_t, wintypes.DWORD, ctypes.POINTER(wintypes.DWORD))


def last_error():
    return ctypes.get_last_error()


def must(result):
    if result in (0, None, INVALID):
        raise ctypes.WinError(last_error())
    return result


def interfaces():
    size = wintypes.ULONG()
    result = cfgmgr32.CM_Get_Device_Interface_List_SizeW(ctypes.byref(size), ctypes.byref(INTERFACE), None, 0)
    assert result == 0
    text = ctypes.create_unicode_buffer(size.value)
    result = cfgmgr32.CM_Get_Device_Interface_ListW(ctypes.byref(INTERFACE), None, text, size, 0)
    assert result == 0
    return [path for path in text[:].split("\0") if path]


def open_device(access=0xC0000000):
    return must(kernel32.CreateFileW(interfaces()[0], access, 7, None, 3, 0, None))


def event(manual=False, name=None):
    return must(kernel32.CreateEventW(None, manual, False, name))


def allocate(size):
    return must(kernel32.VirtualAlloc(None, size, 0x3000, 4))


class Ring:
    """Memory (own, or given by its address) and an event; three words and the data."""

    def __init__(self, capacity, address=None, tail_moved=None):
        self.capacity, self.mask = capacity, capacity - 1
        self.size = HEADER + capacity + TRAILING
        self.address = address or allocate(self.size)
        self.tail_moved = tail_moved or event()
        self.words = (ctypes.c_uint32 * 3).from_address(self.address)
        self.data = memoryview((ctypes.c_ubyte * (self.size - HEADER)).from_address(self.address + HEADER)).cast("B")

    head = property(lambda self: self.words[0], lambda self, value: self.words.__setitem__(0, value))
    tail = property(lambda self: self.words[1], lambda self, value: self.words.__setitem__(1, value))
    alertable = property(lambda self: self.words[2], lambda self, value: self.words.__setitem__(2, value))

    def record(self):
        return RING(self.size, self.address, self.tail_moved)


class Sender(Ring):
    """The send ring: what the system sends."""

    def pop(self):
        head = self.head
        if self.tail == head:
            return None
        size = int.from_bytes(self.data[head : head + 4], "little")
        packet = bytes(self.data[head + 4 : head + 4 + size])
        self.head = (head + ((size + 7) & ~3)) & self.mask
        return packet

    def read(self, timeout=INFINITE):
        """The next packet; None at the end, or when `timeout` (ms) has passed."""
        while self.tail != STOPPED:
            packet = self.pop()
            if packet is not None:
                return packet
            self.alertable = 1
            if self.tail not in (self.head, STOPPED):
                self.alertable = 0
                kernel32.ResetEvent(self.tail_moved)
                continue
            result = kernel32.WaitForSingleObject(self.tail_moved, timeout)
            self.alertable = 0
            if result:
                return None
        return None


class Receiver(Ring):
    """The receive ring: what the client sends."""

    def put(self, packet, signal=True):
        """Write a packet; False when there is no space, or nobody who reads."""
        head, tail = self.head, self.tail
        needed = (len(packet) + 7) & ~3
        if head == STOPPED or (head - tail - 4) & self.mask < needed:
            return False
        self.data[tail : tail + 4] = len(packet).to_bytes(4, "little")
        self.data[tail + 4 : tail + 4 + len(packet)] = packet
        self.tail = (tail + needed) & self.mask
        if signal and self.alertable:
            kernel32.SetEvent(self.tail_moved)
        return True

    def write(self, packet):
        while not self.put(packet):
            if self.head == STOPPED:
                return False
            kernel32.SwitchToThread()
        return True

    def flush(self):
        while self.head not in (self.tail, STOPPED):
            kernel32.Sleep(1)


def register(device, record, size=None):
    """The Win32 error of the request; 0 when it succeeds."""
    size = ctypes.sizeof(record) if size is None else size
    returned = wintypes.DWORD(99)
    ctypes.set_last_error(0)
    if kernel32.DeviceIoControl(device, REGISTER_RINGS, ctypes.byref(record), size, None, 0, returned, None):
        assert returned.value == 0
        return 0
    return last_error() or -1


class Session:
    """One registration, from opening the device to closing it."""

    def __init__(self, capacity=128 * KIB, **options):
        self.device = open_device()
        self.send = Sender(capacity, options.get("send_at"), options.get("send_event"))
        self.receive = Receiver(capacity, options.get("receive_at"), options.get("receive_event"))
        error = register(self.device, RINGS(self.send.record(), self.receive.record()))
        if error:
            raise ctypes.WinError(error)

    def close(self):
        must(kernel32.CloseHandle(self.device))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
