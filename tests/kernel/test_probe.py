"""Probing addresses: both ways of asking agree, and no address crashes the process."""

import ctypes
import mmap
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.kernel import probe
from wintunsim.kernel.probe import AccessViolation, first_inaccessible, is_accessible, read_bytes, write_bytes

PAGE = mmap.PAGESIZE
NONE, READ, WRITE = 0, 1, 3
LAYOUT = (WRITE, READ, WRITE, WRITE, NONE, WRITE, READ, READ, NONE, WRITE)
BEST = probe.default_method()


def address_of(buffer: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def set_protection(address: int, size: int, protection: int) -> None:
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    assert mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), protection) == 0


@pytest.fixture(scope="module")
def checkered() -> Iterator[int]:
    """The address of pages with the protections of LAYOUT."""
    area = mmap.mmap(-1, PAGE * len(LAYOUT), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = address_of(area)
    area[:] = bytes(range(256)) * (len(area) // 256)
    for index, protection in enumerate(LAYOUT):
        set_protection(base + index * PAGE, PAGE, protection)
    yield base
    set_protection(base, len(area), WRITE)
    assert area[:] == bytes(range(256)) * (len(area) // 256), "probing changed a byte"


def expected(offset: int, size: int, write: bool) -> int | None:
    needed = WRITE if write else READ
    for at in range(offset, offset + size):
        if LAYOUT[at // PAGE] & needed != needed:
            return at
    return None


@given(st.integers(0, PAGE * len(LAYOUT) - 1), st.integers(1, PAGE * 4), st.booleans())
def test_ways_of_asking_agree(checkered: int, offset: int, size: int, write: bool) -> None:
    size = min(size, PAGE * len(LAYOUT) - offset)
    bad = expected(offset, size, write)
    wanted = None if bad is None else checkered + bad
    assert first_inaccessible(checkered + offset, size, write=write, method="pipe") == wanted
    assert first_inaccessible(checkered + offset, size, write=write, method=BEST) == wanted


@given(st.integers(0, PAGE * len(LAYOUT) - 1), st.integers(1, PAGE * 3))
@pytest.mark.skipif(BEST != "map", reason="reads the process's memory map, which only Linux has")
def test_map_as_text_agrees(checkered: int, offset: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        by_query = first_inaccessible(checkered + offset, size, write=True, method="map")
        patch.setattr(probe, "_regions_by_query", lambda address: None)
        assert first_inaccessible(checkered + offset, size, write=True, method="map") == by_query


@settings(max_examples=300)
@given(st.integers() | st.integers(0, 2**64), st.integers() | st.integers(0, 2**66) | st.just(PAGE), st.booleans())
def test_any_integers_are_answered(address: int, size: int, write: bool) -> None:
    by_pipe = is_accessible(address, min(size, 1 << 20), write=write, method="pipe")
    assert is_accessible(address, min(size, 1 << 20), write=write) == by_pipe
    if size < 0 or address < 0 or (size and address + size > probe.ADDRESS_LIMIT):
        assert not is_accessible(address, size, write=write)


@pytest.mark.parametrize("method", [BEST, "pipe"])
def test_empty_range_is_not_probed(method: probe.Method) -> None:
    # ProbeForWrite with length 0 succeeds whatever the address.
    for address in (0, 8, 1 << 47, (1 << 64) - 1):
        assert is_accessible(address, 0, write=True, method=method)
    assert not is_accessible(-1, 0, write=True, method=method)
    assert not is_accessible(1 << 64, 0, write=True, method=method)


@pytest.mark.parametrize("method", [BEST, "pipe"])
def test_unmapped_memory_is_bad_at_once(method: probe.Method) -> None:
    area = mmap.mmap(-1, 4 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = address_of(area)
    assert is_accessible(base, 4 * PAGE, write=True, method=method)
    area.close()
    assert not is_accessible(base, 4 * PAGE, write=False, method=method)


@pytest.mark.parametrize("method", [BEST, "pipe"])
def test_mapping_longer_than_its_file(method: probe.Method, tmp_path: Path) -> None:
    # A touch beyond the file's end would be SIGBUS, though the mapping looks good.
    path = tmp_path / "backing"
    path.write_bytes(bytes(4 * PAGE))
    with path.open("r+b") as file:
        area = mmap.mmap(file.fileno(), 4 * PAGE)
        file.truncate(PAGE + 1)
        base = address_of(area)
        assert is_accessible(base, 2 * PAGE, write=True, method=method)
        assert first_inaccessible(base, 4 * PAGE, write=True, method=method) == base + 2 * PAGE
        area.close()


def test_asking_touches_no_pages() -> None:
    text = """
        import ctypes, mmap, resource
        from wintunsim.kernel.probe import is_accessible
        area = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        base = ctypes.addressof(ctypes.c_char.from_buffer(area))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert is_accessible(base, 64 << 20, write=True)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 4096, grown
    """
    in_child(text)


def test_wild_pointers_are_violations() -> None:
    text = """
        from wintunsim.kernel.probe import AccessViolation, read_bytes, write_bytes
        for address in (-5, 0, 8, 0xDEAD, 1 << 46, 1 << 47, (1 << 63) - 2, 1 << 63, (1 << 64) - 4, 1 << 64, 1 << 80):
            for access in (lambda: read_bytes(address, 4), lambda: write_bytes(address, b"abcd")):
                try:
                    access()
                except AccessViolation:
                    continue
                raise AssertionError(hex(address))
    """
    in_child(text)


def test_works_after_a_fork() -> None:
    text = """
        import ctypes, os, sys
        from wintunsim.kernel.probe import read_bytes
        buffer = ctypes.create_string_buffer(b"parent", 100_000)
        address = ctypes.addressof(buffer)
        assert read_bytes(address, 6) == b"parent"
        child = os.fork()
        buffer.value = b"second" if child else b"child!"
        for _ in range(2000):
            assert read_bytes(address, 6) == buffer.value[:6]
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    in_child(text)


def in_child(text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@given(st.integers(0, 3 * PAGE), st.integers(0, 3 * PAGE))
def test_read_and_write_move_bytes(offset: int, size: int) -> None:
    buffer = ctypes.create_string_buffer((bytes(range(251)) * PAGE)[: 6 * PAGE], 6 * PAGE)
    address = ctypes.addressof(buffer)
    assert read_bytes(address + offset, size) == buffer.raw[offset : offset + size]
    data = bytes(index % 253 for index in range(size))
    wanted = buffer.raw[:offset] + data + buffer.raw[offset + size :]
    write_bytes(address + offset, data)
    assert buffer.raw == wanted


def test_large_moves() -> None:
    data = bytes(range(256)) * 4000
    buffer = ctypes.create_string_buffer(len(data))
    write_bytes(ctypes.addressof(buffer), memoryview(data))
    assert read_bytes(ctypes.addressof(buffer), len(data)) == data


@given(st.integers(0, PAGE * len(LAYOUT) - 1), st.integers(1, PAGE * 4))
def test_violation_names_the_first_bad_address(checkered: int, offset: int, size: int) -> None:
    size = min(size, PAGE * len(LAYOUT) - offset)
    for write in (False, True):
        bad = expected(offset, size, write)
        try:
            if write:
                write_bytes(checkered + offset, bytes(at % 256 for at in range(offset, offset + size)))
            else:
                read_bytes(checkered + offset, size)
        except AccessViolation as error:
            assert bad is not None
            kind = "writing" if write else "reading"
            assert str(error) == f"exception: access violation {kind} 0x{checkered + bad:016X}"
        else:
            assert bad is None


def test_violation_is_the_error_of_windows() -> None:
    with pytest.raises(OSError, match=r"^exception: access violation reading 0x0000000000000008$") as caught:
        read_bytes(8, 4)
    assert caught.value.args == ("exception: access violation reading 0x0000000000000008",)
    assert caught.value.errno is None
    rebuilt = type(caught.value)(*caught.value.args)
    assert str(rebuilt) == str(caught.value) == str(pickle.loads(pickle.dumps(rebuilt)))


@pytest.mark.parametrize("size", [-1, -(1 << 70)])
def test_negative_sizes_are_violations(size: int) -> None:
    with pytest.raises(AccessViolation):
        read_bytes(ctypes.addressof(ctypes.c_long()), size)
