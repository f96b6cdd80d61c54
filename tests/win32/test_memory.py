"""Virtual memory, heaps, file mappings, the C library (spec win32 §5)."""

from __future__ import annotations

import ctypes

import pytest
from win32_face import Face, text

from wintun_model.errors import ClientFault

COMMIT, RESERVE, DECOMMIT, RELEASE = 0x1000, 0x2000, 0x4000, 0x8000
NOACCESS, READONLY, READWRITE = 1, 2, 4
INVALID_HANDLE_VALUE = 2**64 - 1


class MemoryBasicInformation(ctypes.Structure):
    _fields_ = [
        ("BaseAddress", ctypes.c_uint64),
        ("AllocationBase", ctypes.c_uint64),
        ("AllocationProtect", ctypes.c_uint32),
        ("PartitionId", ctypes.c_uint16),
        ("RegionSize", ctypes.c_uint64),
        ("State", ctypes.c_uint32),
        ("Protect", ctypes.c_uint32),
        ("Type", ctypes.c_uint32),
    ]


def test_virtual_alloc_gives_zeroed_pages_at_the_granularity(face: Face) -> None:
    def main() -> None:
        address = face.VirtualAlloc(0, 100_000, COMMIT | RESERVE, READWRITE)
        assert address and address % 0x10000 == 0
        assert ctypes.string_at(address, 100_000) == bytes(100_000)
        assert face.VirtualFree(address, 0, RELEASE)
        assert face.VirtualFree(address, 0, RELEASE) == 0
        assert face.last_error == 487

    face.run(main)


def test_reserve_commit_and_query(face: Face) -> None:
    def main() -> None:
        base = face.VirtualAlloc(0, 0x10000, RESERVE, READWRITE)
        assert face.VirtualAlloc(base + 0x2000, 0x1000, COMMIT, READONLY) == base + 0x2000
        information = MemoryBasicInformation()
        assert face.VirtualQuery(base + 0x2345, information, 48) == 48
        assert (information.BaseAddress, information.AllocationBase) == (base + 0x2000, base)
        assert (information.RegionSize, information.State, information.Protect) == (0x1000, COMMIT, READONLY)
        assert face.VirtualQuery(base, information, 48) == 48
        assert (information.RegionSize, information.State, information.Protect) == (0x2000, RESERVE, 0)
        assert face.VirtualFree(base + 0x2000, 0x1000, DECOMMIT)
        assert face.VirtualQuery(0x10000, information, 48) == 48
        assert information.State == 0x10000
        assert face.VirtualQuery(base, information, 47) == 0 and face.last_error == 24

    face.run(main)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0, 0, COMMIT, READWRITE), 87),
        ((0, 4096, 0, READWRITE), 87),
        ((0, 4096, COMMIT, 3), 87),
        ((0, 4096, COMMIT | 0x20000000, READWRITE), 1314),
        ((0x10000, 4096, COMMIT, READWRITE), 487),
        ((0, 1 << 62, COMMIT, READWRITE), 8),
    ],
)
def test_what_virtual_alloc_refuses(face: Face, arguments: tuple[int, ...], error: int) -> None:
    def main() -> None:
        assert face.VirtualAlloc(*arguments) == 0
        assert face.last_error == error

    face.run(main)


def test_protect(face: Face) -> None:
    def main() -> None:
        address = face.VirtualAlloc(0, 8192, COMMIT | RESERVE, READWRITE)
        old = ctypes.c_uint32()
        assert face.VirtualProtect(address, 1, NOACCESS, old) and old.value == READWRITE
        assert face.VirtualProtect(address, 1, READWRITE, old) and old.value == NOACCESS
        assert face.VirtualProtect(address, 1, READWRITE, None) == 0 and face.last_error == 998
        assert face.VirtualProtect(0x10000, 1, READWRITE, old) == 0 and face.last_error == 487
        assert face.VirtualLock(address, 8192) and face.VirtualUnlock(address, 8192)
        assert face.VirtualUnlock(address, 8192) == 0 and face.last_error == 158

    face.run(main)


def test_heaps(face: Face) -> None:
    def main() -> None:
        heap, own = face.GetProcessHeap(), face.HeapCreate(0, 0, 0)
        assert heap != own
        block = face.HeapAlloc(own, 8, 100)
        assert block % 16 == 0 and face.HeapSize(own, 0, block) == 100
        ctypes.memmove(block, b"ring", 4)
        block = face.HeapReAlloc(own, 0, block, 5000)
        assert ctypes.string_at(block, 4) == b"ring" and face.HeapSize(own, 0, block) == 5000
        assert face.HeapSize(heap, 0, block) == 2**64 - 1
        assert face.HeapFree(heap, 0, None)
        with pytest.raises(ClientFault, match="HeapFree"):
            face.HeapFree(heap, 0, block)
        assert face.HeapFree(own, 0, block)
        assert face.HeapDestroy(own)
        with pytest.raises(ClientFault, match="no heap"):
            face.HeapAlloc(own, 0, 1)

    face.run(main)


def test_local_memory_and_the_c_library(face: Face) -> None:
    def main() -> None:
        block = face.LocalAlloc(0x40, 10)
        assert face.GlobalSize(block) == 10
        assert face.LocalFree(block) == 0
        assert face.LocalFree(block) == block and face.last_error == 6
        block = face.malloc(3)
        block = face.realloc(block, 30_000)
        face.free(block)
        with pytest.raises(ClientFault, match="free"):
            face.free(block)
        assert face.realloc(face.calloc(2, 4), 0) == 0

    face.run(main)


def test_views_of_a_section_share_bytes(face: Face) -> None:
    other = Face(system=face.system)

    def main() -> None:
        section = face.CreateFileMappingW(INVALID_HANDLE_VALUE, 0, READWRITE, 0, 0x30000, text("rings"))
        first = face.MapViewOfFile(section, 2, 0, 0, 0)
        second = face.MapViewOfFile(section, 4, 0, 0x10000, 0x10000)
        ctypes.memmove(first + 0x10000, b"packet", 6)
        assert ctypes.string_at(second, 6) == b"packet"
        face.CloseHandle(section)  # views keep the memory, not the name
        assert ctypes.string_at(first + 0x10000, 6) == b"packet"
        assert face.UnmapViewOfFile(first) and face.UnmapViewOfFile(second)
        assert face.UnmapViewOfFile(first) == 0 and face.last_error == 487
        assert face.OpenFileMappingW(6, 0, text("rings")) == 0 and face.last_error == 2

    face.run(main)
    assert not other.errors


@pytest.mark.parametrize(
    ("access", "offset", "size", "error"), [(2, 4096, 0, 1132), (2, 0x30000, 0, 5), (2, 0, 0x30001, 5)]
)
def test_views_that_do_not_fit(face: Face, access: int, offset: int, size: int, error: int) -> None:
    def main() -> None:
        section = face.CreateFileMappingA(INVALID_HANDLE_VALUE, 0, READWRITE, 0, 0x30000, None)
        assert face.MapViewOfFile(section, access, 0, offset, size) == 0
        assert face.last_error == error

    face.run(main)


def test_a_read_only_section_cannot_be_mapped_for_writing(face: Face) -> None:
    def main() -> None:
        section = face.CreateFileMappingW(INVALID_HANDLE_VALUE, 0, READONLY, 0, 4096, None)
        assert face.MapViewOfFile(section, 2, 0, 0, 0) == 0 and face.last_error == 5
        assert face.MapViewOfFile(section, 4, 0, 0, 0)
        assert face.CreateFileMappingW(INVALID_HANDLE_VALUE, 0, READWRITE, 0, 0, None) == 0 and face.last_error == 87
        assert face.CreateFileMappingW(0, 0, READWRITE, 0, 1, None) == 0 and face.last_error == 6

    face.run(main)
