"""Rings in memory of the client's own: numpy arrays, bytearrays, mmaps, ctypes arrays, heap and C memory.

python memory_client.py KIND COUNT
"""

import ctypes
import gc
import mmap
import sys

from tunring import KIB, Session, kernel32, must

CAPACITY = 256 * KIB
SIZE = 12 + CAPACITY + 0x10000


def with_numpy():
    import numpy as np

    memory = np.zeros(SIZE // 4 + 1, dtype="<u4")
    return memory, memory.ctypes.data


def with_empty_numpy():
    import numpy as np

    memory = np.empty(SIZE, dtype=np.uint8)
    memory[:12] = 0
    return memory, memory.__array_interface__["data"][0]


def with_bytearray():
    memory = bytearray(SIZE)
    return memory, ctypes.addressof((ctypes.c_char * SIZE).from_buffer(memory))


def with_mmap():
    memory = mmap.mmap(-1, SIZE, tagname="Local\\ring", access=mmap.ACCESS_WRITE)
    return memory, ctypes.addressof(ctypes.c_ubyte.from_buffer(memory))


def with_ctypes():
    memory = ctypes.create_string_buffer(SIZE)
    return memory, ctypes.addressof(memory)


def with_structure():
    class TUN_RING(ctypes.Structure):
        _fields_ = [("Head", ctypes.c_ulong), ("Tail", ctypes.c_ulong), ("Alertable", ctypes.c_long),
                    ("Data", ctypes.c_ubyte * (CAPACITY + 0x10000))]  # fmt: skip

    memory = TUN_RING()
    assert ctypes.sizeof(memory) == SIZE
    return memory, ctypes.addressof(memory)


def with_heap():
    kernel32.GetProcessHeap.restype = kernel32.HeapAlloc.restype = ctypes.c_void_p
    kernel32.HeapAlloc.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_size_t]
    return None, must(kernel32.HeapAlloc(kernel32.GetProcessHeap(), 8, SIZE))


def with_malloc():
    msvcrt = ctypes.cdll.msvcrt
    msvcrt.calloc.restype = ctypes.c_void_p
    msvcrt.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    return None, msvcrt.calloc(1, SIZE)


def main(kind, count):
    memory = [globals()["with_" + kind]() for _ in range(2)]
    with Session(CAPACITY, send_at=memory[0][1], receive_at=memory[1][1]) as session:
        del memory
        gc.collect()
        for _ in range(count):
            packet = session.send.read()
            assert session.receive.write(packet)
        session.receive.flush()
    print(kind, count)


main(sys.argv[1], int(sys.argv[2]))
