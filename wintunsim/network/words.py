"""Words for durations, rates, sizes and amounts, as options have them, as exact values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from wintunsim.errors import UsageError
from wintunsim.network.sizes import IMIX, CoalescedSizes, EmpiricalSizes, FixedSize, MixedSizes, Sizes, UniformSizes

_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "\N{MICRO SIGN}s": 10**3,
    "\N{GREEK SMALL LETTER MU}s": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
DURATION_MAX_NS = 2**63 - 1
NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
_DURATION = re.compile(rf"({NUMBER.pattern})\s*([^\W\d_]*)")
_RATE = re.compile(rf"({NUMBER.pattern})(?:([kMG]?)(pps|bit)(?:/s)?)?", re.ASCII)
_PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_AMOUNT = re.compile(r"([0-9]{1,18})(B|KiB|MiB|GiB)?", re.ASCII)
_AMOUNT_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_WHOLE = re.compile(r"[0-9]{1,6}", re.ASCII)
_RANGE = re.compile(r"([0-9]{1,6})-([0-9]{1,6})", re.ASCII)
_MIX = re.compile(r"[0-9]{1,6}x[0-9]{1,7}(/[0-9]{1,6}x[0-9]{1,7})*", re.ASCII)


def parse_duration(text: str) -> int:
    """A duration in ns: a decimal number with a unit, such as `250ms`, `1.5s` or `2h`; units ns, us, µs, ms, s, m, h.

    Exact. UsageError for anything else, for parts of a nanosecond, and for more than 2**63 - 1 ns (292 years).
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a duration: write a number and a unit, such as 250ms or 1.5s")
    number, unit = match[1], match[3]
    if unit not in _UNITS_NS:
        problem = f"has the unknown unit {unit!r}" if unit else "has no unit"
        raise UsageError(f"the duration {text!r} {problem}: use one of ns, us, ms, s, m, h")
    duration = Fraction(number) * _UNITS_NS[unit]
    if duration.denominator != 1:
        raise UsageError(f"the duration {text!r} is not a whole number of nanoseconds: give fewer decimals")
    if duration > DURATION_MAX_NS:
        raise UsageError(f"the duration {text!r} is too long: give at most 292 years, which is 2562047h")
    return int(duration)


@dataclass(frozen=True, slots=True)
class Rate:
    """How much comes in a second: packets, or bits of IP packets (`is_bits`)."""

    value: Fraction
    is_bits: bool

    def packets_per_s(self, sizes: Sizes) -> Fraction:
        """The rate in packets/s for packets of these sizes: bits go by their mean."""
        return self.value / (8 * sizes.mean_bytes) if self.is_bits else self.value


def parse_rate(text: str) -> Rate:
    """A rate: packets/s such as `1000`, `1.5Mpps`, or bits/s such as `10Gbit`, `64kbit/s`. UsageError for others."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} is not a rate: write packets a second such as 1000 or 1.5Mpps, or bits a second such as 10Gbit"
        )
    number, prefix, unit = match[1], match[3], match[4]
    return Rate(Fraction(number) * _PREFIXES[prefix or ""], unit == "bit")


def parse_sizes(text: str) -> Sizes:
    """Sizes of packets in bytes, as a word.

    `1400` (all the same), `64-1500` (uniform), `imix`, `imix-ethernet`, `imix-ipv6` (see `sizes.IMIX`), a mix of sizes
    and weights such as `40x7/576x4/1500x1`, `coalesced` or with a number of segments, `coalesced-8`, `coalesced-1-44`,
    and `capture:FILE`, the sizes in a capture by chance. UsageError for others.
    """
    if text in IMIX:
        return MixedSizes(IMIX[text], text)
    if _WHOLE.fullmatch(text):
        return FixedSize(int(text))
    if (match := _RANGE.fullmatch(text)) is not None:
        return UniformSizes(int(match[1]), int(match[2]))
    if _MIX.fullmatch(text):
        pairs = [part.partition("x") for part in text.split("/")]
        return MixedSizes([(int(size), int(weight)) for size, _, weight in pairs])
    kind, _, rest = text.partition(":")
    if kind == "capture" and rest:
        return EmpiricalSizes.of_capture(rest)
    kind, dash, rest = text.partition("-")
    if kind == "coalesced" and not dash:
        return CoalescedSizes()
    if kind == "coalesced" and _WHOLE.fullmatch(rest):
        return CoalescedSizes(int(rest), int(rest))
    if kind == "coalesced" and (match := _RANGE.fullmatch(rest)) is not None:
        return CoalescedSizes(int(match[1]), int(match[2]))
    raise UsageError(
        f"{text!r} is not a packet size: write bytes such as 1400, a range such as 64-1500, a mix such as "
        f"40x7/1500x1, {', '.join(IMIX)}, coalesced, or capture:FILE"
    )


def parse_window(text: str) -> tuple[int, bool]:
    """A window: a whole number of packets, or of bytes with a unit such as `256KiB`. (number, whether it is bytes).

    UsageError for anything else.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a window: write packets such as 64, or bytes with a unit such as 256KiB")
    return int(match[1]) * _AMOUNT_UNITS[match[2] or "B"], match[2] is not None


# -- options: key=value,key=value ---------------------------------------------------------------------------------


def split(text: str) -> list[str]:
    """The options in a text, separated by commas."""
    return text.split(",") if text else []


def read_options(
    kind: str,
    options: Sequence[str],
    known: Sequence[str],
    repeatable: Sequence[str] = (),
    *,
    what: str = "traffic",
) -> dict[str, list[str]]:
    """The values of options, by key. UsageError for one that is not known, has no value, or is given twice."""
    values: dict[str, list[str]] = {}
    for option in options:
        key, equals, value = option.partition("=")
        key, value = key.strip(), value.strip()
        if key not in known:
            raise UsageError(f"there is no option {key!r} of {kind} {what}: it is one of {', '.join(known)}")
        if not equals or not value:
            raise UsageError(f"the option {key!r} of {kind} {what} has no value: write {key}=VALUE")
        if key in values and key not in repeatable:
            raise UsageError(f"the option {key!r} of {kind} {what} is given twice: give it once")
        values.setdefault(key, []).append(value)
    return values


def first(values: Mapping[str, list[str]], key: str) -> str | None:
    """The option's only value, or None."""
    return values[key][0] if key in values else None


def needed(kind: str, values: Mapping[str, list[str]], key: str, word: str = "NUMBER") -> str:
    """The option's value. UsageError when it is not given."""
    if key not in values:
        raise UsageError(f"{kind} traffic needs the option {key!r}: write {key}={word}")
    return values[key][0]


def duration(values: Mapping[str, list[str]], key: str, default_ns: int) -> int:
    """The option's duration in ns."""
    return parse_duration(values[key][0]) if key in values else default_ns


def one_of(kind: str, values: Mapping[str, list[str]], key: str, words: Sequence[str]) -> str:
    """The option's word, by default the first one. UsageError for another."""
    word = first(values, key) or words[0]
    if word not in words:
        raise UsageError(f"the {key} of {kind} traffic is {word!r}: choose one of {', '.join(words)}")
    return word


def integer(
    kind: str,
    values: Mapping[str, list[str]],
    key: str,
    bounds: tuple[int, int] | None,
    default: int | None = None,
    *,
    what: str = "traffic",
) -> int:
    """The option's whole number; `bounds` None where the source checks it, because they depend on the addresses."""
    if key not in values:
        if default is None:
            raise UsageError(f"{kind} {what} needs the option {key!r}: write {key}=NUMBER")
        return default
    text = values[key][0]
    if re.fullmatch(r"-?[0-9]{1,30}", text) is None:
        raise UsageError(f"the {key} of {kind} {what} is {text!r}: give a whole number")
    number = int(text)
    if bounds is not None and not bounds[0] <= number <= bounds[1]:
        raise UsageError(f"the {key} of {kind} {what} is {number}: give a number from {bounds[0]} to {bounds[1]}")
    return number
