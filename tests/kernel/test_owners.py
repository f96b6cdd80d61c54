"""Finding and holding the Python object that a ring lies in, without running any of the client's code."""

import array
import ctypes
import gc
import mmap
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wintunsim.kernel.memory import AddressSpace, view
from wintunsim.kernel.owners import Owner, find_owner

SIZE = 8192


def address_of(buffer: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def from_buffer_array() -> Any:
    return (ctypes.c_ubyte * SIZE).from_buffer(bytearray(SIZE))


def numpy_slice() -> Any:
    return np.zeros(SIZE + 64, dtype=np.uint8)[64:]


@pytest.fixture(scope="module", autouse=True)
def few_objects() -> None:
    """What other tests have left does not take part: each search looks at all objects."""
    gc.collect()
    gc.freeze()


class Record(ctypes.Structure):
    _fields_ = [("head", ctypes.c_uint32), ("data", ctypes.c_ubyte * SIZE)]


MAKERS: list[Callable[[], Any]] = [
    ctypes.c_ubyte * SIZE,
    lambda: ctypes.create_string_buffer(SIZE),
    lambda: Record().data,
    from_buffer_array,
    lambda: bytearray(SIZE),
    lambda: mmap.mmap(-1, SIZE),
    lambda: array.array("I", bytes(SIZE)),
    lambda: np.zeros(SIZE, dtype=np.uint8),
    lambda: np.zeros((2, SIZE // 8), dtype=np.uint32),
    numpy_slice,
    lambda: np.frombuffer(bytearray(SIZE), dtype=np.uint8),
    lambda: memoryview(bytearray(SIZE)),
]


class Holder:
    def __init__(self, ring: Any) -> None:
        self.ring = ring


PLACES: list[Callable[[Any], Any]] = [
    Holder,
    lambda ring: [ring],
    lambda ring: {"ring": ring},
    lambda ring: Holder({"rings": (1, (ring, 2))}),
    lambda ring: lambda: ring,
]


@pytest.mark.parametrize(
    ("maker", "place"), [*((each, Holder) for each in MAKERS), *((MAKERS[4], each) for each in PLACES)]
)
def test_found_wherever_it_is_kept(maker: Callable[[], Any], place: Callable[[Any], Any]) -> None:
    ring = maker()
    address = address_of(ring)
    kept = place(ring)
    del ring
    gc.collect()  # lets the collector forget containers of plain things
    owner = find_owner(address, SIZE, [sys._getframe()])
    assert owner is not None
    assert find_owner(address - 1, SIZE + 512, [sys._getframe()]) is None
    view(address, SIZE)[0] = 77
    del kept
    gc.collect()
    noise = [bytearray(SIZE) for _ in range(50)]
    assert view(address, SIZE)[0] == 77
    assert noise[0][0] == 0
    owner.release()
    owner.release()


def test_found_in_the_locals_of_another_frame() -> None:
    def client() -> Any:
        ring = bytearray(SIZE)
        yield address_of(ring)
        del ring

    running = client()
    address = next(running)
    owner = find_owner(address + 100, SIZE - 100, [running.gi_frame, None])
    assert owner is not None
    assert isinstance(find_owner(address, SIZE, [running.gi_frame]), Owner)


def test_locals_are_not_kept_by_the_search() -> None:
    class Ring(ctypes.Structure):
        _fields_ = [("data", ctypes.c_ubyte * SIZE)]

    def client() -> Any:
        ring = Ring()
        yield ctypes.addressof(ring), weakref.ref(ring)
        del ring
        yield None

    running = client()
    address, alive = next(running)
    owner = find_owner(address, SIZE, [running.gi_frame])
    assert owner is not None
    next(running)
    assert alive() is not None
    owner.release()
    assert alive() is None


def test_held_objects_can_not_move() -> None:
    ring = bytearray(SIZE)
    owner = find_owner(address_of(ring), SIZE, [sys._getframe()])
    assert owner is not None
    with pytest.raises(BufferError):
        ring.extend(b"more")
    owner.release()
    ring.extend(b"more")

    mapped = mmap.mmap(-1, SIZE)
    owner = find_owner(address_of(mapped), SIZE, [sys._getframe()])
    assert owner is not None
    with pytest.raises(BufferError):
        mapped.close()
    owner.release()
    mapped.close()

    numbers = np.zeros(SIZE, dtype=np.uint8)
    owner = find_owner(address_of(numbers), SIZE, [sys._getframe()])
    assert owner is not None
    owner.release()


def test_views_that_own_nothing_do_not_count() -> None:
    space = AddressSpace()
    base = space.allocate(SIZE)
    assert base is not None
    kept = (ctypes.c_ubyte * SIZE).from_address(base)
    views = [kept, view(base, SIZE), np.frombuffer(kept, dtype=np.uint8), (ctypes.c_ubyte * SIZE).from_buffer(kept)]
    assert find_owner(base, SIZE, [sys._getframe()]) is None
    assert len(views) == 4


def test_absurd_ranges_have_no_owner() -> None:
    ring = bytearray(SIZE)
    for address, size in ((0, 0), (0, 10), (-5, 10), (address_of(ring), 0), (address_of(ring), -1), (1 << 70, 5)):
        assert find_owner(address, size, [sys._getframe()]) is None
    assert find_owner(address_of(ring), 1 << 70, [sys._getframe()]) is None
    closed = mmap.mmap(-1, SIZE)
    closed.close()
    released = memoryview(ring)
    released.release()
    assert find_owner(8, 8, [sys._getframe()]) is None


def test_no_code_of_the_client_runs() -> None:
    def trap(*args: object, **names: object) -> Any:
        raise AssertionError("the client's code ran")

    class Meta(type):
        __hash__ = trap
        __eq__ = trap
        __instancecheck__ = trap
        __subclasscheck__ = trap

    class Client(metaclass=Meta):
        __hash__ = trap
        __eq__ = trap
        __getattribute__ = trap
        __len__ = trap
        __class__ = property(trap)  # type: ignore[assignment]

    class Ring(ctypes.Structure):
        _fields_ = [("data", ctypes.c_ubyte * SIZE)]
        _b_base_ = _b_needsfree_ = property(trap)
        __getattribute__ = trap

    class Bytes(bytearray):
        __len__ = trap
        __buffer__ = trap
        __iter__ = trap

    objects = [Client(), Ring(), {"one": Client()}, (Bytes(10),)]
    assert find_owner(ctypes.addressof(objects[1]), SIZE, [sys._getframe()]) is not None
    assert find_owner(64, SIZE, [sys._getframe()]) is None


@pytest.mark.parametrize("base", [bytearray, mmap.mmap])
def test_subclasses_are_held_like_their_bases(base: Any) -> None:
    class Memory(base):  # type: ignore[misc]
        def __len__(self) -> int:
            raise AssertionError

    memory = Memory(SIZE) if base is bytearray else Memory(-1, SIZE)
    start = np.frombuffer(memory, dtype=np.uint8).__array_interface__["data"][0]
    owner = find_owner(start, SIZE, [sys._getframe()])
    assert owner is not None
    with pytest.raises(BufferError):
        memory.clear() if base is bytearray else memory.close()
    owner.release()


def test_class_bodies_with_their_own_namespace() -> None:
    class Namespace(dict):  # type: ignore[type-arg]
        def values(self) -> Any:
            raise AssertionError("the client's code ran")

    class Meta(type):
        @classmethod
        def __prepare__(cls, name: str, bases: Any, **names: Any) -> Any:
            return Namespace()

    class Body(metaclass=Meta):
        found = find_owner(64, SIZE, [sys._getframe()])

    assert Body.found is None


def test_what_nobody_owns_is_not_found_among_many_objects() -> None:
    crowd = [Holder((index, {"n": str(index)})) for index in range(50_000)]
    assert find_owner(64, SIZE, [sys._getframe()]) is None
    assert len(gc.get_objects()) > len(crowd)
