"""The allocators of a simulated process, and the locks of a driver on their memory."""

import ctypes
import itertools
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintunsim.kernel.memory import (
    GRANULARITY_BYTES,
    MEM_COMMIT,
    MEM_MAPPED,
    MEM_PRIVATE,
    MEM_RESERVE,
    PAGE_NOACCESS,
    PAGE_READONLY,
    PAGE_READWRITE,
    AddressSpace,
    Region,
    view,
)

KIB = 1024
PAGE = 4096


@pytest.fixture
def space() -> AddressSpace:
    return AddressSpace()


def allocate(space: AddressSpace, size: int) -> int:
    base = space.allocate(size)
    assert base is not None
    return base


def good(space: AddressSpace, address: int, size: int) -> bool:
    return space.is_accessible(address, size, write=True)


def in_child(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- VirtualAlloc


@given(st.integers(1, 300 * KIB), st.sampled_from([PAGE, GRANULARITY_BYTES, 1 << 20]))
def test_allocation_is_aligned_zeroed_and_shared_with_views(size: int, alignment: int) -> None:
    space = AddressSpace()
    base = space.allocate(size, alignment)
    assert base is not None
    assert base % alignment == 0
    ring = view(base, size)
    assert bytes(ring) == bytes(size)
    ring[-1] = 7
    assert ctypes.string_at(base, size)[-1] == 7
    assert good(space, base, -(-size // PAGE) * PAGE)
    assert space.free(base)


def test_impossible_allocations_are_none(space: AddressSpace) -> None:
    for size in (0, -1, 1 << 60, 1 << 70):
        assert space.allocate(size) is None
        assert space.reserve(size) is None
    for alignment in (0, 5, 3 * PAGE, -PAGE):
        assert space.allocate(PAGE, alignment) is None
    assert space.allocate(PAGE, protect=0x104) is None  # PAGE_GUARD
    assert space.allocate(PAGE, protect=0) is None


def test_more_than_the_host_can_promise_is_none_or_safe(space: AddressSpace) -> None:
    base = space.allocate(1 << 46)
    if base is not None:  # a host that promises anything
        assert space.free(base)


def test_allocations_do_not_overlap(space: AddressSpace) -> None:
    ranges = sorted((allocate(space, size * PAGE), size * PAGE) for size in range(1, 30))
    for (base, size), (following, _) in itertools.pairwise(ranges):
        assert base + size <= following


def test_free_wants_the_base_once(space: AddressSpace) -> None:
    base = allocate(space, 4 * PAGE)
    assert not space.free(base + PAGE)
    assert not space.free(0)
    assert not space.heap_free(base)
    assert not space.unmap_view(base)
    assert space.free(base)
    assert not space.free(base)
    assert space.query(base) is None
    assert not good(space, base, 1)


def test_reserve_commit_decommit(space: AddressSpace) -> None:
    base = space.reserve(16 * PAGE)
    assert base is not None
    assert not space.is_accessible(base, 1, write=False)
    assert space.commit(base + 2 * PAGE + 5, PAGE) == base + 2 * PAGE  # touches two pages
    assert good(space, base + 2 * PAGE, 2 * PAGE)
    assert not good(space, base + 2 * PAGE, 2 * PAGE + 1)
    view(base + 2 * PAGE, PAGE)[:3] = b"abc"
    assert space.commit(base, 4 * PAGE) == base
    assert bytes(view(base + 2 * PAGE, 3)) == b"abc"
    assert space.decommit(base + 2 * PAGE, PAGE)
    assert not space.is_accessible(base + 2 * PAGE, 1, write=False)
    assert space.commit(base + 2 * PAGE, PAGE)
    assert bytes(view(base + 2 * PAGE, PAGE)) == bytes(PAGE)
    assert space.decommit(base, 0)
    assert not space.is_accessible(base + PAGE, 1, write=False)
    assert space.commit(base + 15 * PAGE, 2 * PAGE) is None
    assert space.commit(base - 1, 1) is None
    assert not space.decommit(base + 16 * PAGE, PAGE)


def test_protections(space: AddressSpace) -> None:
    base = allocate(space, 4 * PAGE)
    assert space.protect(base + PAGE, 1, PAGE_READONLY) == PAGE_READWRITE
    assert space.protect(base + 2 * PAGE, PAGE, 0x20) == PAGE_READWRITE  # PAGE_EXECUTE_READ
    assert space.is_accessible(base, 4 * PAGE, write=False)
    assert not good(space, base, 2 * PAGE)
    assert space.protect(base + PAGE, 2 * PAGE, PAGE_NOACCESS) == PAGE_READONLY
    assert not space.is_accessible(base + 2 * PAGE, 1, write=False)
    assert space.protect(base, 4 * PAGE, PAGE_READWRITE) == PAGE_READWRITE
    assert good(space, base, 4 * PAGE)
    assert space.protect(base, 4 * PAGE, 0x1234) is None
    assert space.protect(base, 5 * PAGE, PAGE_READONLY) is None
    space.decommit(base, PAGE)
    assert space.protect(base, 4 * PAGE, PAGE_READONLY) is None


def test_protections_reach_the_host() -> None:
    out = in_child("""
        import mmap
        from wintunsim.kernel import probe
        from wintunsim.kernel.memory import AddressSpace, PAGE_READONLY, PAGE_NOACCESS
        space, page = AddressSpace(), mmap.PAGESIZE
        base = space.allocate(4 * page)
        space.protect(base + page, page, PAGE_READONLY)
        space.protect(base + 2 * page, page, PAGE_NOACCESS)
        space.decommit(base + 3 * page, page)
        for index in range(4):
            print(*[int(probe.is_accessible(base + index * page, page, write=write)) for write in (False, True)])
        space.free(base)
        print(probe.is_accessible(base, 1, write=False))
    """)
    assert out.split() == ["1", "1", "1", "0", "0", "0", "0", "0", "False"]


def test_query(space: AddressSpace) -> None:
    base = space.reserve(8 * PAGE)
    assert base is not None
    space.commit(base + 2 * PAGE, 3 * PAGE)
    space.protect(base + 4 * PAGE, PAGE, PAGE_READONLY)
    rw = PAGE_READWRITE
    assert space.query(base + 1) == Region(base, base, rw, 2 * PAGE, MEM_RESERVE, 0, MEM_PRIVATE)
    assert space.query(base + PAGE) == Region(base + PAGE, base, rw, PAGE, MEM_RESERVE, 0, MEM_PRIVATE)
    at = base + 2 * PAGE
    assert space.query(at + 9) == Region(at, base, rw, 2 * PAGE, MEM_COMMIT, rw, MEM_PRIVATE)
    at = base + 4 * PAGE
    assert space.query(at) == Region(at, base, rw, PAGE, MEM_COMMIT, PAGE_READONLY, MEM_PRIVATE)
    assert space.query(0) is None
    assert space.query(1 << 62) is None
    own = ctypes.create_string_buffer(16)
    region = space.query(ctypes.addressof(own))
    assert region is not None
    assert (region.state, region.protect, region.size) == (MEM_COMMIT, PAGE_READWRITE, PAGE)


def test_untouched_memory_costs_nothing() -> None:
    in_child("""
        import resource
        from wintunsim.kernel.memory import AddressSpace, view
        space, size = AddressSpace(), 64 << 20
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        base, block = space.allocate(size), space.heap_allocate(size)
        section = space.create_section(size)
        mapped = space.map_view(section)
        space.lock(base, size)
        for address in (base, block, mapped):
            assert space.is_accessible(address, size, write=True)
            view(address, size)[size // 2] = 1
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 16 << 10, grown  # three huge pages at most, where the host likes those
    """)


PAGES = 12
change = st.tuples(
    st.sampled_from(["commit", "decommit", "readonly", "noaccess", "readwrite"]),
    st.integers(0, PAGES * PAGE - 1),
    st.integers(1, PAGES * PAGE),
)


@given(st.lists(change, max_size=12))
def test_pages_follow_a_plain_model(changes: list[tuple[str, int, int]]) -> None:
    space = AddressSpace()
    base = space.reserve(PAGES * PAGE)
    assert base is not None
    model = [0] * PAGES
    wanted = {"readonly": PAGE_READONLY, "noaccess": PAGE_NOACCESS, "readwrite": PAGE_READWRITE}
    for what, offset, size in changes:
        touched = range(offset // PAGE, -(-(offset + size) // PAGE))
        fits = offset + size <= PAGES * PAGE
        if what == "commit":
            assert (space.commit(base + offset, size) is not None) == fits
            value = PAGE_READWRITE
        elif what == "decommit":
            assert space.decommit(base + offset, size) == fits
            value = 0
        else:
            fits = fits and all(model[index] for index in touched)
            old = space.protect(base + offset, size, wanted[what])
            assert old == (model[touched[0]] if fits else None)
            value = wanted[what]
        if fits:
            model[touched[0] : touched[-1] + 1] = [value] * len(touched)
    for index, value in enumerate(model):
        at = base + index * PAGE
        assert space.is_accessible(at, PAGE, write=False) == (value in (PAGE_READONLY, PAGE_READWRITE))
        assert space.is_accessible(at, PAGE, write=True) == (value == PAGE_READWRITE)
        if value == PAGE_READWRITE:
            assert bytes(view(at, PAGE)) == bytes(PAGE)
    at = base
    while at < base + PAGES * PAGE:
        region = space.query(at)
        assert region is not None
        run = model[(at - base) // PAGE : (at + region.size - base) // PAGE]
        assert set(run) == {region.protect}
        at += region.size


# --- sections


def test_views_of_a_section_share_bytes(space: AddressSpace) -> None:
    section = space.create_section(200 * KIB)
    assert section is not None
    whole = space.map_view(section)
    part = space.map_view(section, 64 * KIB, 10)
    assert whole is not None
    assert part is not None
    assert whole % GRANULARITY_BYTES == part % GRANULARITY_BYTES == 0
    assert bytes(view(whole, 200 * KIB)) == bytes(200 * KIB)
    view(whole, 200 * KIB)[64 * KIB : 64 * KIB + 4] = b"ring"
    assert bytes(view(part, 4)) == b"ring"
    region = space.query(whole)
    assert region == Region(whole, whole, PAGE_READWRITE, 200 * KIB, MEM_COMMIT, PAGE_READWRITE, MEM_MAPPED)
    section.close()
    section.close()
    assert space.map_view(section) is None
    view(part, 4)[:] = b"view"
    assert bytes(view(whole + 64 * KIB, 4)) == b"view"
    assert not space.free(whole)
    assert space.unmap_view(whole)
    assert not space.unmap_view(whole)
    assert bytes(view(part, 4)) == b"view"


def test_sections_reach_over_processes(space: AddressSpace) -> None:
    section = space.create_section(PAGE)
    assert section is not None
    here, there = space.map_view(section), AddressSpace().map_view(section, protect=PAGE_READONLY)
    assert here is not None
    assert there is not None
    view(here, 1)[0] = 9


def test_impossible_views_are_none(space: AddressSpace) -> None:
    assert space.create_section(0) is None
    assert space.create_section(-1) is None
    assert space.create_section(1 << 70) is None
    section = space.create_section(PAGE)
    assert section is not None
    assert space.map_view(section, PAGE) is None
    assert space.map_view(section, -GRANULARITY_BYTES) is None
    assert space.map_view(section, GRANULARITY_BYTES) is None
    assert space.map_view(section, 0, PAGE + 1) is None
    assert space.map_view(section, 0, -1) is None
    read_only = space.map_view(section, protect=PAGE_READONLY)
    assert read_only is not None
    assert not good(space, read_only, 1)
    assert space.is_accessible(read_only, PAGE, write=False)


# --- heaps


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=20))
def test_heap_blocks(sizes: list[int]) -> None:
    space = AddressSpace()
    blocks = [space.heap_allocate(size, zero=index % 2 == 0) for index, size in enumerate(sizes)]
    for index, (address, size) in enumerate(zip(blocks, sizes, strict=True)):
        assert address is not None
        assert address % 16 == 0
        assert space.heap_size(address) == size
        assert bytes(view(address, size)) == bytes(size)
        view(address, size)[:] = bytes([index]) * size
        assert space.is_accessible(address, size, write=True)
    assert len(set(blocks)) == len(blocks)
    for index, (address, size) in enumerate(zip(blocks, sizes, strict=True)):
        assert address is not None
        assert bytes(view(address, size)) == bytes([index]) * size
        assert space.heap_free(address)
        assert not space.heap_free(address)
        assert space.heap_size(address) is None


def test_heap_reallocation(space: AddressSpace) -> None:
    address = space.heap_allocate(10)
    assert address is not None
    view(address, 10)[:] = b"0123456789"
    assert space.heap_reallocate(address, 20, in_place=True) is None
    assert space.heap_reallocate(address, 1 << 60) is None
    assert space.heap_reallocate(address, -1) is None
    moved = space.heap_reallocate(address, 1000)
    assert moved is not None
    assert space.heap_size(address) is None
    assert bytes(view(moved, 1000)) == b"0123456789" + bytes(990)
    assert space.heap_reallocate(moved, 4, in_place=True) == moved
    assert space.heap_size(moved) == 4
    assert space.heap_reallocate(address, 5) is None
    assert space.heap_free(moved)
    assert space.heap_allocate(-1) is None
    assert space.heap_allocate(1 << 60) is None


# --- locks


def test_freed_memory_lives_until_the_unlock(space: AddressSpace) -> None:
    size = 256 * KIB
    section = space.create_section(size)
    assert section is not None
    cases = [(space.allocate(size), space.free), (space.map_view(section), space.unmap_view)]
    cases.append((space.heap_allocate(size), space.heap_free))
    for address, give_back in cases:
        assert address is not None
        lock, second = space.lock(address + 8, size - 8), space.lock(address, 8)
        ring = view(address, size)
        ring[:4] = b"head"
        assert give_back(address)
        assert not give_back(address)
        assert not good(space, address, 4)
        assert not good(space, address - 4, size)
        assert space.query(address) is None
        others = [space.allocate(size), space.heap_allocate(size)]
        assert all(other is not None and (other + size <= address or address + size <= other) for other in others)
        lock.unlock()
        assert bytes(ring[:4]) == b"head"
        ring[-1] = 1
        del ring
        second.unlock()
        second.unlock()
        lock.unlock()


def test_lock_over_several_allocations_and_none(space: AddressSpace) -> None:
    bases = sorted(allocate(space, PAGE) for _ in range(3))
    lock = space.lock(bases[0], bases[2] + PAGE - bases[0])
    for base in bases:
        view(base, 1)[0] = 5
        assert space.free(base)
    assert [view(base, 1)[0] for base in bases] == [5, 5, 5]
    lock.unlock()
    space.lock(0, PAGE).unlock()
    space.lock(bases[0], 0).unlock()
    space.lock(-5, 3).unlock()


def test_decommit_and_protect_wait_for_the_unlock(space: AddressSpace) -> None:
    base = allocate(space, 4 * PAGE)
    lock = space.lock(base, 4 * PAGE)
    ring = view(base, 4 * PAGE)
    ring[0] = ring[PAGE] = ring[2 * PAGE] = 1
    assert space.decommit(base, PAGE)
    assert space.protect(base + PAGE, PAGE, PAGE_NOACCESS) == PAGE_READWRITE
    assert space.protect(base + 2 * PAGE, PAGE, PAGE_READONLY) == PAGE_READWRITE
    assert not space.is_accessible(base, 1, write=False)
    assert not space.is_accessible(base + PAGE, 1, write=False)
    assert not good(space, base + 2 * PAGE, 1)
    ring[0] = ring[PAGE] = ring[2 * PAGE] = 2  # the driver's own mapping
    assert space.commit(base, PAGE) is None
    lock.unlock()
    assert space.commit(base, 2 * PAGE) == base
    assert (ring[0], ring[PAGE], ring[2 * PAGE]) == (0, 2, 2)


def test_close_releases_all_but_the_locked(space: AddressSpace) -> None:
    locked, other = allocate(space, PAGE), allocate(space, PAGE)
    block = space.heap_allocate(10)
    assert block is not None
    lock = space.lock(locked, PAGE)
    space.close()
    view(locked, PAGE)[0] = 1
    assert not good(space, locked, 1)
    assert not good(space, other, 1)
    assert space.heap_size(block) is None
    lock.unlock()
    assert not good(space, locked, 1)


def test_accessible_over_borders_and_absurd_values(space: AddressSpace) -> None:
    own = ctypes.create_string_buffer(64)
    assert good(space, ctypes.addressof(own), 64)
    base = allocate(space, PAGE)
    for address, size in ((0, 1), (-1, 4), (base, -1), (base, 1 << 70), (1 << 63, 1), (1 << 64, 0), (base, 1 << 47)):
        assert not good(space, address, size)
    assert good(space, 0, 0)
    assert good(space, base, 0)
    assert bytes(view(base, 0)) == b""
