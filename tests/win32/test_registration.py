"""Registering rings through DeviceIoControl: every row of the table (spec driver §5), and what is left afterwards."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from win32_face import Face, text

from wintun_model.abi import (
    MAX_RING_CAPACITY,
    MIN_RING_CAPACITY,
    TUN_IOCTL_REGISTER_RINGS,
    RegisterRings,
    RingDescription,
)
from wintun_model.ring import ring_bytes_of
from wintunsim.kernel.process import Account

READ_WRITE, INVALID_HANDLE_VALUE = 0xC0000000, 2**64 - 1
MEM_COMMIT_RESERVE, READONLY, READWRITE = 0x3000, 2, 4
STOPPED = 0xFFFFFFFF


@dataclass
class Attempt:
    """What a client registers; a test changes one thing of it."""

    face: Face
    device: int = 0
    sizes: list[int] = field(default_factory=list)
    rings: list[int] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    length: int = 48

    def word(self, ring: int, index: int) -> ctypes.c_uint32:
        """`Head`, `Tail` or `Alertable` of the send (0) or receive (1) ring."""
        return ctypes.c_uint32.from_address(self.rings[ring] + 4 * index)

    def register(self) -> int:
        """The Win32 error, 0 for success."""
        record = RegisterRings(
            *(RingDescription(*fields) for fields in zip(self.sizes, self.rings, self.events, strict=True))
        )
        data = ctypes.create_string_buffer(record.to_bytes() + bytes(16))
        returned = ctypes.c_uint32(99)
        face = self.face
        if face.DeviceIoControl(self.device, TUN_IOCTL_REGISTER_RINGS, data, self.length, None, 0, returned, None):
            assert returned.value == 0
            return 0
        return face.last_error


def prepare(face: Face, capacity: int = MIN_RING_CAPACITY) -> Attempt:
    attempt = Attempt(face)
    path = text(face.system.devices[0].interface_path)
    attempt.device = face.CreateFileW(path, READ_WRITE, 7, 0, 3, 0, 0)
    for _ in range(2):
        size = ring_bytes_of(capacity)
        attempt.sizes.append(size)
        attempt.rings.append(face.VirtualAlloc(0, size, MEM_COMMIT_RESERVE, READWRITE))
        attempt.events.append(face.CreateEventW(0, 0, 0, 0))
    return attempt


def set_size(ring: int, capacity: int) -> Callable[[Attempt], None]:
    return lambda attempt: attempt.sizes.__setitem__(ring, ring_bytes_of(capacity))


def set_raw_size(ring: int, size: int) -> Callable[[Attempt], None]:
    return lambda attempt: attempt.sizes.__setitem__(ring, size)


def set_ring(ring: int, address: int) -> Callable[[Attempt], None]:
    return lambda attempt: attempt.rings.__setitem__(ring, address)


def set_event(ring: int, handle: int) -> Callable[[Attempt], None]:
    return lambda attempt: attempt.events.__setitem__(ring, handle)


def use_device_as_event(ring: int) -> Callable[[Attempt], None]:
    return lambda attempt: attempt.events.__setitem__(ring, attempt.device)


def use_limited_event(ring: int, access: int) -> Callable[[Attempt], None]:
    def change(attempt: Attempt) -> None:
        attempt.events[ring] = attempt.face.CreateEventExW(0, None, 0, access)

    return change


def protect(ring: int) -> Callable[[Attempt], None]:
    def change(attempt: Attempt) -> None:
        old = ctypes.c_uint32()
        assert attempt.face.VirtualProtect(attempt.rings[ring] + 0x10000, 4096, READONLY, old)

    return change


def free(ring: int) -> Callable[[Attempt], None]:
    return lambda attempt: attempt.face.VirtualFree(attempt.rings[ring], 0, 0x8000)


def set_tail(value: int) -> Callable[[Attempt], None]:
    def change(attempt: Attempt) -> None:
        attempt.word(0, 1).value = value

    return change


def set_length(length: int) -> Callable[[Attempt], None]:
    return lambda attempt: setattr(attempt, "length", length)


SYNCHRONIZE, MODIFY = 0x100000, 2
CASES: dict[str, tuple[Callable[[Attempt], None], int]] = {
    "3 short record": (set_length(47), 87),
    "3 long record": (set_length(49), 87),
    "3 the 32-bit record": (set_length(24), 87),
    "3 empty record": (set_length(0), 87),
    "5 unknown handle": (set_event(0, 0x7FFC), 6),
    "5 no event": (use_device_as_event(0), 6),
    "5 no right to set it": (use_limited_event(0, SYNCHRONIZE), 5),
    "11 no right to wait for it": (use_limited_event(1, MODIFY), 5),
    "11 no right to set it": (use_limited_event(1, SYNCHRONIZE), 5),
    "9 tail at the capacity": (set_tail(MIN_RING_CAPACITY), 87),
    "9 tail of a stopped ring": (set_tail(STOPPED), 87),
}
for _ring, _name in ((0, "4"), (1, "10")):
    CASES |= {
        f"{_name} capacity too small": (set_size(_ring, MIN_RING_CAPACITY // 2), 87),
        f"{_name} capacity too large": (set_size(_ring, 2 * MAX_RING_CAPACITY), 87),
        f"{_name} capacity no power of two": (set_size(_ring, MIN_RING_CAPACITY + 4), 87),
        f"{_name} size 0": (set_raw_size(_ring, 0), 87),
        f"{_name} null ring": (set_ring(_ring, 0), 87),
        f"{_name} null event": (set_event(_ring, 0), 87),
    }
for _ring, _name in ((0, "7"), (1, "13")):
    CASES |= {
        f"{_name} wild pointer": (set_ring(_ring, 0x12340000), 1784),
        f"{_name} pointer to the system": (set_ring(_ring, 0xFFFF8000_00000000), 1784),
        f"{_name} read-only page": (protect(_ring), 1784),
        f"{_name} freed memory": (free(_ring), 1784),
    }
CASES |= {"11 unknown handle": (set_event(1, 0x7FFC), 6), "11 no event": (use_device_as_event(1), 6)}


@pytest.fixture
def face() -> Face:
    face = Face()
    face.system.create_adapter("tun")
    return face


@pytest.mark.parametrize("case", CASES)
def test_each_check_has_its_error_and_leaves_nothing_behind(face: Face, case: str) -> None:
    change, error = CASES[case]

    def main() -> None:
        attempt = prepare(face)
        adapter = face.system.devices[0].adapter
        change(attempt)
        assert attempt.register() == error
        assert adapter.owner.value is None
        assert adapter.disconnected.signalled
        assert adapter.registration_lock.is_free()
        # As if the call had not been: the right record registers on the same handle.
        good = prepare(face)
        face.CloseHandle(good.device)
        good.device = attempt.device
        assert good.register() == 0

    face.run(main)


@pytest.mark.parametrize(
    ("check", "what", "failing_call", "error"),
    [
        (6, "memory descriptor", 1, 1450),
        (8, "map", 1, 1450),
        (12, "memory descriptor", 2, 1450),
        (14, "map", 2, 1450),
        (15, "thread", 1, 31),
    ],
)
def test_resources_that_run_out(face: Face, check: int, what: str, failing_call: int, error: int) -> None:
    calls: list[str] = []

    def fails(asked: str) -> bool:
        calls.append(asked)
        return asked == what and calls.count(what) == failing_call

    def main() -> None:
        attempt = prepare(face)
        face.system.fails = fails
        assert attempt.register() == error
        assert face.system.devices[0].adapter.disconnected.signalled
        assert attempt.register() == 0

    face.run(main)


def test_registering_twice(face: Face) -> None:
    def main() -> None:
        first, second = prepare(face), prepare(face)
        assert first.register() == 0
        for attempt in (first, second):
            attempt.length = 0  # check 2 comes before check 3
            assert attempt.register() == 1247

    face.run(main)


@pytest.mark.parametrize("account", [Account.ADMINISTRATOR, Account.USER])
def test_only_local_system_may_register(account: Account) -> None:
    face = Face(account)
    face.system.create_adapter("tun")

    def main() -> None:
        attempt = prepare(face)
        attempt.length = 3
        assert attempt.register() == 5

    face.run(main)


@pytest.mark.parametrize("capacity", [MIN_RING_CAPACITY, MAX_RING_CAPACITY])
def test_after_success_the_words_are_untouched_and_close_tells_the_client(face: Face, capacity: int) -> None:
    def main() -> None:
        attempt = prepare(face, capacity)
        assert attempt.register() == 0
        assert [attempt.word(ring, index).value for ring in (0, 1) for index in (0, 1)] == [0] * 4
        face.Sleep(1)
        # The reader is asleep.
        assert attempt.word(1, 2).value == 1
        face.CloseHandle(attempt.device)
        assert attempt.word(0, 1).value == STOPPED
        assert attempt.word(1, 0).value == STOPPED
        assert face.WaitForSingleObject(attempt.events[0], 0) == 0

    face.run(main)


def test_a_request_of_a_halted_adapter(face: Face) -> None:
    def main() -> None:
        attempt = prepare(face)
        face.system.remove_adapter(face.system.devices[0])
        assert attempt.register() == 17

    face.run(main)


def test_memory_freed_while_registered_does_no_harm(face: Face) -> None:
    def main() -> None:
        attempt = prepare(face)
        assert attempt.register() == 0
        for ring in attempt.rings:
            assert face.VirtualFree(ring, 0, 0x8000)
        face.Sleep(5)
        assert face.CloseHandle(attempt.device)

    face.run(main)
