"""Named streams of randomness, all derived from the one seed (design §3)."""

from __future__ import annotations

import hashlib
import random


class Stream:
    """A source of random bits that depends on the seed and the stream's name alone.

    Only raw bits are taken from the generator (Mersenne Twister, whose bits Python guarantees); the arithmetic on them
    is done here, so that a stream is the same on every version and platform.
    """

    __slots__ = ("_bits", "name")

    def __init__(self, seed: int, name: str) -> None:
        self.name = name
        key = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
        self._bits = random.Random(int.from_bytes(key, "big")).getrandbits

    def bits(self, count: int) -> int:
        """An integer of `count` random bits (0 for none)."""
        return self._bits(count) if count else 0

    def below(self, limit: int) -> int:
        """An integer in 0 … limit-1, every one equally likely. `limit` ≥ 1."""
        count = (limit - 1).bit_length()
        while True:
            value = self.bits(count)
            if value < limit:
                return value

    def take_bytes(self, count: int) -> bytes:
        """`count` random bytes."""
        return self.bits(8 * count).to_bytes(count, "little")
