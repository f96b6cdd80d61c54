"""Wild, freed, read-only and misaligned pointers, absurd sizes, closed handles: never a crash of the simulator.

Each client runs in a child process of the command line, so that a crash is seen as one.
"""

import re
import textwrap

import pytest

REGISTER = """
from tunring import *
import mmap, gc
device = open_device()
def rings(send_at=None, receive_at=None, capacity=128 * KIB):
    send, receive = Sender(capacity, send_at), Receiver(capacity, receive_at)
    assert register(device, RINGS(send.record(), receive.record())) == 0
    return send, receive
SIZE = 12 + 128 * KIB + 0x10000
"""

GOES_ON = {
    "VirtualFree while registered": """
        send, receive = rings()
        kernel32.VirtualFree(send.address, 0, 0x8000), kernel32.VirtualFree(receive.address, 0, 0x8000)
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "VirtualFree(MEM_DECOMMIT) while registered": """
        send, receive = rings()
        print(kernel32.VirtualFree(send.address, 0, 0x4000))
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "read-only while registered": """
        send, receive = rings()
        must(kernel32.VirtualProtect(send.address, send.size, 2, wintypes.DWORD()))
        kernel32.Sleep(2500)
        print(send.tail != 0)
        kernel32.CloseHandle(device)
        """,
    "a ctypes array without a reference": """
        array = (ctypes.c_ubyte * SIZE)()
        send, receive = rings(ctypes.addressof(array))
        del array; gc.collect()
        noise = [(ctypes.c_ubyte * SIZE)() for _ in range(20)]
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "a bytearray without a reference": """
        array = bytearray(SIZE)
        send, receive = rings(receive_at=ctypes.addressof(ctypes.c_char.from_buffer(array)))
        del array; gc.collect()
        noise = [bytearray(b"x") * SIZE for _ in range(20)]
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "an anonymous mmap": """
        memory = mmap.mmap(-1, SIZE)
        view = ctypes.c_char.from_buffer(memory)
        send, receive = rings(ctypes.addressof(view))
        del view
        try: memory.close()
        except BufferError as error: print(error)
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "HeapFree while registered": """
        kernel32.GetProcessHeap.restype = kernel32.HeapAlloc.restype = ctypes.c_void_p
        kernel32.HeapAlloc.argtypes = kernel32.HeapFree.argtypes = [wintypes.HANDLE, wintypes.DWORD, ctypes.c_size_t]
        heap = kernel32.GetProcessHeap()
        block = kernel32.HeapAlloc(heap, 8, SIZE)
        send, receive = rings(block)
        must(kernel32.HeapFree(heap, 0, block))
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "UnmapViewOfFile while registered": """
        kernel32.CreateFileMappingW.restype = wintypes.HANDLE
        kernel32.CreateFileMappingW.argtypes = [
            wintypes.HANDLE, ctypes.c_void_p, *[wintypes.DWORD] * 3, ctypes.c_wchar_p,
        ]
        kernel32.MapViewOfFile.restype = ctypes.c_void_p
        kernel32.MapViewOfFile.argtypes = [wintypes.HANDLE] + [wintypes.DWORD] * 3 + [ctypes.c_size_t]
        kernel32.UnmapViewOfFile.argtypes = [ctypes.c_void_p]
        section = must(kernel32.CreateFileMappingW(INVALID, None, 4, 0, 2 * SIZE, "rings"))
        block = must(kernel32.MapViewOfFile(section, 0xF001F, 0, 0, 0))
        send, receive = rings(block)
        must(kernel32.UnmapViewOfFile(block)); kernel32.CloseHandle(section)
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "C malloc and free while registered": """
        msvcrt = ctypes.CDLL("msvcrt")
        msvcrt.malloc.restype, msvcrt.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        msvcrt.free.argtypes, msvcrt.free.restype = [ctypes.c_void_p], None
        block = msvcrt.malloc(SIZE)
        ctypes.memset(block, 0, SIZE)
        send, receive = rings(block)
        msvcrt.free(block)
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "misaligned rings": """
        for offset in (1, 2, 3, 6):
            memory = (ctypes.c_ubyte * (2 * SIZE + 64))()
            send, receive = rings(ctypes.addressof(memory) + offset, ctypes.addressof(memory) + SIZE + 2 * offset)
            assert receive.write(bytes([0x45]) + bytes(19))
            receive.flush()
            assert receive.head == 24
            kernel32.CloseHandle(device)
            device = open_device()
        """,
    "misaligned Head and Tail": """
        for start in (1, 2, 3, 0x1FFFF):
            send, receive = Sender(128 * KIB), Receiver(128 * KIB)
            send.head = send.tail = receive.head = receive.tail = start
            assert register(device, RINGS(send.record(), receive.record())) == 0
            kernel32.Sleep(1100)
            receive.put(bytes([0x45]) + bytes(19))
            kernel32.Sleep(100)
            kernel32.CloseHandle(device)
            device = open_device()
        """,
    "overlapping rings": """
        memory = allocate(SIZE)
        send, receive = rings(memory, memory)
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "the same event twice": """
        one = event()
        send, receive = Sender(128 * KIB, None, one), Receiver(128 * KIB, None, one)
        assert register(device, RINGS(send.record(), receive.record())) == 0
        kernel32.Sleep(2500)
        kernel32.CloseHandle(device)
        """,
    "events closed while registered": """
        send, receive = rings()
        kernel32.CloseHandle(send.tail_moved), kernel32.CloseHandle(receive.tail_moved)
        print(kernel32.WaitForSingleObject(send.tail_moved, 100), last_error())
        kernel32.Sleep(2500)
        print(send.tail)
        kernel32.CloseHandle(device)
        """,
    "garbage all over the rings": """
        send, receive = rings()
        ctypes.memset(send.address, 0xFF, send.size), ctypes.memset(receive.address, 0xA5, receive.size)
        kernel32.SetEvent(receive.tail_moved)
        kernel32.Sleep(2500)
        print(receive.head == STOPPED)
        kernel32.CloseHandle(device)
        """,
    "absurd sizes": """
        print(kernel32.VirtualAlloc(None, 1 << 60, 0x3000, 4), last_error())
        print(kernel32.VirtualAlloc(None, 0, 0x3000, 4), last_error())
        print(kernel32.VirtualAlloc(None, 2**64 - 1, 0x3000, 4) is None)
        array = (wintypes.HANDLE * 100)()
        print(kernel32.WaitForMultipleObjects(100, array, False, 0) == 0xFFFFFFFF - 2**32, last_error())
        print(kernel32.WaitForMultipleObjects(2**31, array, True, 0), last_error())
        text = ctypes.create_unicode_buffer(64)
        print(kernel32.FormatMessageW(0x1000, None, 5, 0, text, 0xFFFFFFFF, None))
        """,
    "closed handles": """
        one = event()
        kernel32.CloseHandle(one)
        for function in (kernel32.SetEvent, kernel32.ResetEvent, kernel32.CloseHandle):
            print(function(one), last_error())
        print(kernel32.WaitForSingleObject(one, 0), last_error())
        copy = wintypes.HANDLE()
        me = kernel32.GetCurrentProcess()
        print(kernel32.DuplicateHandle(me, one, me, ctypes.byref(copy), 0, False, 2), last_error())
        """,
    "string_at, memmove and memset on bad addresses": """
        freed = allocate(4096)
        kernel32.VirtualFree(freed, 0, 0x8000)
        constant = allocate(4096)
        kernel32.VirtualProtect(constant, 4096, 2, wintypes.DWORD())
        for call in (
            lambda: ctypes.string_at(0), lambda: ctypes.string_at(8, 4), lambda: ctypes.string_at(freed, 4),
            lambda: ctypes.wstring_at(0x10), lambda: ctypes.memmove(freed, b"1234", 4),
            lambda: ctypes.memmove(constant, b"1234", 4), lambda: ctypes.memmove(ctypes.create_string_buffer(8), 24, 4),
            lambda: ctypes.memset(constant + 4, 0, 4), lambda: ctypes.memset(2**63, 0, 4),
        ):
            try: call()
            except OSError as error: print(str(error).split(" 0x")[0])
        """,
    "pointers of calls": """
        def error_of(result): return result, last_error()
        create = kernel32.CreateFileW
        create.argtypes = None
        print(error_of(create(ctypes.c_void_p(1), 0, 0, None, 3, 0, None)))
        print(error_of(kernel32.WaitForMultipleObjects(2, ctypes.cast(16, ctypes.POINTER(wintypes.HANDLE)), 0, 0)))
        print(error_of(kernel32.CreateEventW(ctypes.c_void_p(3), False, False, "x")) is not None)
        """,
}


@pytest.mark.parametrize("name", GOES_ON)
def test_the_client_goes_on(client, name):
    source = REGISTER + textwrap.dedent(GOES_ON[name]) + "\nprint('end')\n"
    process = client.command(source, options=["--quiet", "--until", "60s", "--traffic", "ping:count=3"])
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == "end"
    assert process.stderr == ""


CRASHES = {
    "a word of no memory": "ctypes.c_uint32.from_address(16).value = 1",
    "a pointer to nothing": "ctypes.cast(0x1234, ctypes.POINTER(ctypes.c_int)).contents.value",
    "a word of freed memory": """
        at = allocate(4096); kernel32.VirtualFree(at, 0, 0x8000)
        print(ctypes.c_uint32.from_address(at).value)
        """,
    "a store to read-only memory": """
        at = allocate(4096); kernel32.VirtualProtect(at, 4096, 2, wintypes.DWORD())
        ctypes.c_uint32.from_address(at).value = 1
        """,
    "a callback that is no function": "ctypes.WINFUNCTYPE(ctypes.c_int)(0x1000)()",
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_is_the_clients(client, name):
    source = REGISTER + "rings()\n" + textwrap.dedent(CRASHES[name]).lstrip("\n")
    process = client.command(source, options=["--until", "60s"])
    assert process.returncode == 139, process.stderr
    assert re.search(r'File ".*client.py", line \d+ in <module>', process.stderr)
    last = process.stderr.splitlines()[-1]
    assert last.startswith("wintunsim: the client crashed")
    assert "access violation" in last


def test_a_null_pointer_where_windows_would_crash_is_a_fault_of_the_client(client):
    source = REGISTER + "kernel32.DeviceIoControl(device, REGISTER_RINGS, None, 0, None, 0, None, None)\n"
    process = client.command(source, options=["--quiet"])
    assert process.returncode not in (0, 2, 3)
    assert "DeviceIoControl" in process.stderr
    assert "client.py" in process.stderr
