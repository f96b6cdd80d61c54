"""What clients do to the rings that they have registered: as they should, carelessly, or in bad faith."""

from __future__ import annotations

import struct

from state_machine_oracle import ALERTABLE, DATA, HEAD, TAIL, stored
from state_machine_parts import SMALL, Registered
from state_machine_world import World


class Clients(World):
    """A world whose clients read and write; `index` says on which adapter."""

    def registered(self, index: int) -> Registered | None:
        return self.nics[index].registered

    def read(self, index: int, count: int) -> None:
        """The client reads packets of the send ring as it should."""
        registered = self.registered(index)
        for _ in range(count):
            if registered is None or registered.send is None:
                return
            ring, unread = registered.send_ring, registered.send.unread
            head, tail = ring.word(HEAD), ring.word(TAIL)
            if head == tail or max(head, tail) >= ring.capacity:
                assert registered.is_send_spoilt or not unread, "packets were lost"
                return
            start = DATA + head
            size = int.from_bytes(ring.block.view[start : start + 4], "little")
            if registered.is_send_spoilt and size > SMALL.max_packet_bytes:
                return
            data = bytes(ring.block.view[start + 4 : start + 4 + size])
            if not registered.is_send_spoilt:
                assert data == unread.popleft(), "packets of the send ring are out of order, or not what was sent"
            ring.set_word(HEAD, (head + stored(size)) % ring.capacity)

    def wait(self, index: int) -> None:
        """The client's wait for the send ring's event takes it."""
        registered = self.registered(index)
        if registered is not None:
            ring = registered.send_ring
            ring.event.signalled = ring.is_set = False
            ring.set_word(ALERTABLE, 1)

    def write(self, index: int, sizes: list[int], first: int, wakes: bool) -> None:
        """The client writes packets to the receive ring, in one batch; `wakes` is false for one that forgets to."""
        registered = self.registered(index)
        if registered is None:
            return
        ring = registered.receive_ring
        head, tail = ring.word(HEAD), ring.word(TAIL)
        if max(head, tail) >= ring.capacity:
            return
        for size in sizes:
            if (tail - head) % ring.capacity + stored(size) > ring.capacity - 4:
                break
            data = self.packet(size, first)
            ring.put(DATA + tail, struct.pack("<I", size) + data)
            registered.written.append(data)
            tail = (tail + stored(size)) % ring.capacity
        ring.set_word(TAIL, tail)
        if ring.word(ALERTABLE) and wakes:
            ring.set_event()
        self.settle()

    def write_badly(self, index: int, size_word: int, moves: int) -> None:
        """The client writes any `Size`, and moves Tail by any number of bytes."""
        registered = self.registered(index)
        if registered is None:
            return
        ring = registered.receive_ring
        registered.is_receive_spoilt = True
        tail = ring.word(TAIL) % ring.capacity
        ring.put(DATA + tail, struct.pack("<I", size_word) + b"\x45")
        ring.set_word(TAIL, (tail + moves) % ring.capacity)
        ring.set_event()
        self.settle()

    def spoil(self, index: int, is_send: bool, offset: int, value: int, wakes: bool) -> None:
        """Anything is written to a word of a ring."""
        registered = self.registered(index)
        if registered is None:
            return
        ring = registered.send_ring if is_send else registered.receive_ring
        ring.set_word(offset, value)
        if is_send:
            registered.is_send_spoilt |= offset != ALERTABLE
        else:
            registered.is_receive_spoilt |= offset != ALERTABLE
        if wakes:
            ring.set_event()
        self.settle()
