"""Chance in whole numbers: what raw random bits become, the same on every platform (design §3).

A draw takes 64 raw bits. An exponential is the negative logarithm of a number between 0 and 1, from a table of exact
logarithms with straight lines between them: it is off by less than 10**-8, and the same for ever.
"""

from __future__ import annotations

from functools import cache

from wintunsim.errors import UsageError
from wintunsim.kernel.streams import Stream

DRAW_BITS = 64
EXPONENTIAL_BITS = 32
"""An exponential draw is given in parts of 1 / 2**32 of its mean."""
LOG_BITS = 40
INDEX_BITS = 12
REST_BITS = 24


@cache
def logarithms() -> tuple[int, ...]:
    """ln(1 + i / 4096) for i in 0 … 4096, in parts of 1 / 2**40, rounded down; the last one is ln 2."""
    guard_bits = 96
    entries = 1 << INDEX_BITS
    total = 0
    table = [0]
    for index in range(entries):
        # ln((N + i + 1) / (N + i)) = 2 artanh(1 / (2N + 2i + 1)), a series of a few terms.
        ratio = 2 * entries + 2 * index + 1
        term, power = (2 << guard_bits) // ratio, 1
        while term:
            total += term // power
            term //= ratio * ratio
            power += 2
        table.append(total >> (guard_bits - LOG_BITS))
    return tuple(table)


def exponential(bits: int) -> int:
    """An exponential with mean 2**32 from a draw of 64 bits; from 0 to 45 times its mean."""
    bits |= 1
    length = bits.bit_length()
    mantissa = bits << (DRAW_BITS - length)  # the top bit is set; the rest is an index and what is behind it
    index = (mantissa >> (63 - INDEX_BITS)) & ((1 << INDEX_BITS) - 1)
    rest = (mantissa >> (63 - INDEX_BITS - REST_BITS)) & ((1 << REST_BITS) - 1)
    table = logarithms()
    low = table[index]
    logarithm = low + ((table[index + 1] - low) * rest >> REST_BITS)
    return ((DRAW_BITS + 1 - length) * table[-1] - logarithm) >> (LOG_BITS - EXPONENTIAL_BITS)


def below(bits: int, limit: int) -> int:
    """An integer in 0 … limit-1 from a draw of 64 bits. `limit` from 1 to 2**32; each is as likely as it can be."""
    return bits * limit >> DRAW_BITS


def child(stream: Stream, name: str) -> Stream:
    """A stream of its own for a part of what `stream` is for; takes one draw from it."""
    return Stream(stream.bits(DRAW_BITS), f"{stream.name}.{name}")


def in_range(what: str, value: int, least: int, most: int) -> int:
    """`value`, if it is a whole number from `least` to `most`; else UsageError, which calls it `what`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{what} is {value!r}: give a whole number")
    if not least <= value <= most:
        raise UsageError(f"{what} is {value}: give a number from {least} to {most}")
    return value
