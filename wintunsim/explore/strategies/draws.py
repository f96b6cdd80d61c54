"""Chance for sampling: the draws of one execution depend on the seed, the strategy's name and the number alone.

They are raw bits of SHAKE-128 with whole-number arithmetic on them: the same on every Python and platform (design §3),
and cheaper to begin anew for each execution than a generator with a large state.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import shake_128
from struct import Struct

DRAWS_PER_BLOCK = 256
DRAW_BITS = 16
"""A draw is a number of so many bits: `draw * limit >> DRAW_BITS` is below `limit`, each as likely as it can be."""
DRAW_MASK = (1 << DRAW_BITS) - 1
_unpack = Struct(f"<{DRAWS_PER_BLOCK}I").unpack


def block(seed: int, name: str, number: int, part: int) -> tuple[int, ...]:
    """A part of the draws of execution `number`: `DRAWS_PER_BLOCK` numbers, each of which is two draws."""
    key = f"{seed}\0{name}\0{number}\0{part}".encode()
    return _unpack(shake_128(key).digest(4 * DRAWS_PER_BLOCK))


def draws(seed: int, name: str, number: int) -> Iterator[int]:
    """All draws of execution `number`, one after the other."""
    part = 0
    while True:
        for pair in block(seed, name, number, part):
            yield pair & DRAW_MASK
            yield pair >> DRAW_BITS
        part += 1
