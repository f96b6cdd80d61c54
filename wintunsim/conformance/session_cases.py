"""Calls of wintun.dll's session layer that vectors are made of (spec win32 §6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

from wintun_model.abi import MAX_PACKET_BYTES, STOPPED
from wintun_model.ring import stored_bytes, wrap
from wintunsim.conformance.notation import packet
from wintunsim.conformance.records import Case, Flags

CAPACITY = 0x20000
Step = dict[str, Any]


def cases() -> Iterator[Case]:
    """All cases."""
    yield from _receiving()
    yield from _releasing()
    yield from _allocating()
    yield from _sending()
    yield from _both()


def _case(name: str, comment: str, *steps: Step, flags: Flags = ()) -> Case:
    return Case("win32 §6", name, "session", comment, {"capacity": CAPACITY, "steps": list(steps)}, flags)


_RECEIVE: Step = {"call": "receive"}


def _release(number: int) -> Step:
    return {"call": "release", "packet": number}


def _allocate(size: int) -> Step:
    return {"call": "allocate", "size": size}


def _send(number: int) -> Step:
    return {"call": "send", "packet": number}


def _words(ring: str, **words: int) -> Step:
    return {"call": "driver", "ring": ring, "words": words, "packets": []}


def _arrived(sizes: Sequence[int], start: int = 0) -> Step:
    """The driver writes packets of these sizes into the ring from `start` on, and moves Tail behind them."""
    packets, cursor = [], start
    for number, size in enumerate(sizes):
        packets.append({"offset": cursor, "size": size, "bytes": packet(size, number)})
        cursor = wrap(cursor + stored_bytes(size), CAPACITY)
    return {"call": "driver", "ring": "receive", "words": {"tail": cursor}, "packets": packets}


def _claimed(size: int, tail: int) -> Step:
    """A packet at offset 0 that says a size, and Tail."""
    packets = [{"offset": 0, "size": size, "bytes": ""}]
    return {"call": "driver", "ring": "receive", "words": {"tail": tail}, "packets": packets}


def _receiving() -> Iterator[Case]:
    yield _case("receive-empty", "nothing there: ERROR_NO_MORE_ITEMS", _RECEIVE)
    for size in (0, 1, 20, 1420, MAX_PACKET_BYTES):
        comment = f"a packet of {size} bytes, then nothing more"
        flags: Flags = ("limit",) if size in (0, MAX_PACKET_BYTES) else ()
        yield _case(f"receive-{size}", comment, _arrived([size]), _RECEIVE, _RECEIVE, flags=flags)
    for tail in (CAPACITY, STOPPED):
        comment = "Tail is not below the capacity: the adapter has ended the session"
        yield _case(f"receive-tail-{tail}", comment, _words("receive", tail=tail), _RECEIVE, flags=("limit",))
    comment = "the end comes when the packets before it have not been received: they are lost"
    yield _case("receive-tail-late", comment, _arrived([20, 24]), _RECEIVE, _words("receive", tail=STOPPED), _RECEIVE)
    for tail in (1, 2, 3):
        comment = "less than a packet header in the ring: ERROR_INVALID_DATA, again and again"
        steps = [_words("receive", tail=tail), _RECEIVE, _RECEIVE]
        yield _case(f"receive-content-{tail}", comment, *steps, flags=("limit",))
    for size in (MAX_PACKET_BYTES + 1, 0x7FFFFFFF, 0x80000000, 0x80000014, 0xFFFFFFFC, 0xFFFFFFFF):
        comment = f"Size {size:#x}: ERROR_INVALID_DATA"
        yield _case(f"receive-size-{size:08x}", comment, _claimed(size, CAPACITY - 4), _RECEIVE, flags=("limit",))
    for size, tail in ((20, 20), (20, 24), (21, 24), (21, 28), (MAX_PACKET_BYTES, 0xFFFF), (MAX_PACKET_BYTES, 0x10004)):
        comment = f"a packet of {size} bytes, {tail} bytes in the ring"
        yield _case(f"receive-size-{size}-tail-{tail}", comment, _claimed(size, tail), _RECEIVE, flags=("limit",))
    comment = "the library does not look whether it is an IP packet"
    yield _case("receive-not-ip", comment, _claimed(8, 12), _RECEIVE)


def _releasing() -> Iterator[Case]:
    start = [_arrived([20, 24, 28]), _RECEIVE, _RECEIVE, _RECEIVE]
    for order in permutations(range(3)):
        comment = "released in this order: Head stays behind the oldest packet that is still held"
        name = f"release-{'-'.join(map(str, order))}"
        yield _case(name, comment, *start, *(_release(number) for number in order))
    comment = "bit 31 of Size marks a packet as released"
    yield _case("release-marks", comment, *start, _release(2))
    comment = "receive, release, receive: the ring goes round"
    steps: list[Step] = []
    cursor = 0
    for number in range(4):
        size = MAX_PACKET_BYTES - 8 * number
        steps += [_arrived([size], cursor), _RECEIVE, _release(number)]
        cursor = wrap(cursor + stored_bytes(size), CAPACITY)
    yield _case("release-wrap", comment, *steps, flags=("wrap",))


def _allocating() -> Iterator[Case]:
    for size in (0, 1, 20, 1420, MAX_PACKET_BYTES):
        comment = f"space for {size} bytes: Size is written with bit 31 set, Tail does not move"
        flags: Flags = ("limit",) if size in (0, MAX_PACKET_BYTES) else ()
        yield _case(f"allocate-{size}", comment, _allocate(size), flags=flags)
    rest = CAPACITY - 4 - stored_bytes(MAX_PACKET_BYTES)
    for size in (rest - 8, rest - 4, rest - 3):
        comment = f"after the largest packet {rest} bytes are left, with the header"
        yield _case(f"allocate-rest-{size}", comment, _allocate(MAX_PACKET_BYTES), _allocate(size), flags=("limit",))
    comment = "no space: ERROR_BUFFER_OVERFLOW, until the driver has moved Head"
    full = [_allocate(MAX_PACKET_BYTES), _allocate(rest - 4), _allocate(0)]
    moved = [_words("send", head=8), _allocate(0), _allocate(0), _allocate(0)]
    yield _case("allocate-full", comment, *full, *moved, flags=("limit",))
    for head in (CAPACITY, STOPPED):
        comment = "Head is not below the capacity: ERROR_HANDLE_EOF"
        yield _case(f"allocate-head-{head}", comment, _words("send", head=head), _allocate(20), flags=("limit",))
    comment = "the driver stops between the allocation and the sending of a packet"
    steps = [_allocate(20), _words("send", head=STOPPED), _send(0), _allocate(20)]
    yield _case("allocate-then-stopped", comment, *steps)


def _sending() -> Iterator[Case]:
    for alertable in (0, 1, 0xFFFFFFFF):
        comment = "TailMoved is set when Alertable is not zero"
        steps = [_words("send", alertable=alertable), _allocate(20), _send(0)]
        yield _case(f"send-alertable-{alertable}", comment, *steps)
    start = [_words("send", alertable=1), _allocate(20), _allocate(24), _allocate(28)]
    for order in permutations(range(3)):
        comment = "sent in this order: Tail moves over the finished packets at the front"
        name = f"send-{'-'.join(map(str, order))}"
        yield _case(name, comment, *start, *(_send(number) for number in order))
    comment = "packets of the largest size, round the ring"
    steps = []
    tail = 0
    for number in range(4):
        tail = wrap(tail + stored_bytes(MAX_PACKET_BYTES), CAPACITY)
        steps += [_allocate(MAX_PACKET_BYTES), _send(number), _words("send", head=tail)]
    yield _case("send-wrap", comment, *steps, flags=("wrap",))
    comment = "Tail was changed by somebody else: the library goes by its own"
    yield _case("send-tail-changed", comment, _allocate(20), _words("send", tail=64), _send(0))


def _both() -> Iterator[Case]:
    comment = "an echo: what is received is sent back, the directions do not disturb each other"
    steps = [_arrived([20, 40]), _words("send", alertable=1)]
    for number, size in enumerate((20, 40)):
        steps += [_RECEIVE, _allocate(size), _release(number), _send(number)]
    yield _case("echo", comment, *steps, _RECEIVE)
    comment = "both directions have ended"
    steps = [_words("receive", tail=STOPPED), _words("send", head=STOPPED), _RECEIVE, _allocate(20)]
    yield _case("ended", comment, *steps)
