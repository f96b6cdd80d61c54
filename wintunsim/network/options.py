"""The command line's traffic options and durations, as values. Every mistake is a UsageError of one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from wintunsim.errors import UsageError
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.network.traffic import (
    COUNT_MAX,
    RATE_MAX_PPS,
    CaptureTraffic,
    PingTraffic,
    TrafficSource,
    UdpTraffic,
)

KINDS = ("capture:FILE", "udp:rate=PPS,size=BYTES", "ping:count=N", "none")

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
_STATUS = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,10}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
_DURATION = re.compile(rf"({_NUMBER.pattern})\s*([^\W\d_]*)")
_SPEED_LEAST, _SPEED_MOST = Fraction(1, 10**6), Fraction(10**6)


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


def parse_traffic(text: str, index: int = 0) -> TrafficSource | None:
    """The source that one `--traffic` option describes; None for `none`. `index` counts the options, from 0.

    - `capture:FILE[,local=ADDRESS][,loop=N][,speed=X]`, `local` as often as needed. FILE is the longest start of the
      text, up to a comma or the end, that names an existing file; so names with `,` and `=` need no quoting.
    - `udp:rate=PPS,size=BYTES[,count=N][,from=ADDRESS][,to=ADDRESS]`; without `count` it never ends.
    - `ping:count=N[,interval=DURATION][,size=BYTES][,from=ADDRESS][,to=ADDRESS]`.

    The index gives every ping its own identifier (1, 2, …) and every udp its own source port (40000, 40001, …), so that
    several of a kind can be told apart. UsageError for any mistake, also for what the sources themselves refuse.
    """
    kind, _, rest = text.partition(":")
    if text == "none":
        return None
    if kind == "capture":
        return _capture(rest)
    if kind == "udp":
        return _udp(rest, index)
    if kind == "ping":
        return _ping(rest, index)
    raise UsageError(f"the traffic {text!r} is of an unknown kind: write one of {', '.join(KINDS)}")


def _capture(text: str) -> TrafficSource:
    name, options = _split_file(text)
    if not name:
        raise UsageError("the traffic 'capture:' names no file: write capture:FILE")
    values = _options("capture", options, ("local", "loop", "speed"), repeatable=("local",))
    speed = Fraction(1)
    if "speed" in values:
        speed = _speed(values["speed"][0])
    return CaptureTraffic(
        name,
        values.get("local"),
        loop=_integer("capture", values, "loop", (1, COUNT_MAX), 1),
        speed=speed,
    )


def _split_file(text: str) -> tuple[str, list[str]]:
    parts = text.split(",")
    for count in range(len(parts), 0, -1):
        name = ",".join(parts[:count])
        if name and _is_file(name):
            return name, parts[count:]
    return parts[0], parts[1:]


def _is_file(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _udp(text: str, index: int) -> TrafficSource:
    values = _options("udp", _split(text), ("rate", "size", "count", "from", "to"))
    return UdpTraffic(
        _integer("udp", values, "rate", (1, RATE_MAX_PPS)),
        _integer("udp", values, "size", None),
        _integer("udp", values, "count", (1, COUNT_MAX)) if "count" in values else None,
        source=_first(values, "from"),
        destination=_first(values, "to"),
        source_port=40000 + index % 20000,
    )


def _ping(text: str, index: int) -> TrafficSource:
    values = _options("ping", _split(text), ("count", "interval", "size", "from", "to"))
    return PingTraffic(
        _integer("ping", values, "count", (1, COUNT_MAX)),
        parse_duration(values["interval"][0]) if "interval" in values else 10**9,
        _integer("ping", values, "size", None, 56),
        source=_first(values, "from"),
        destination=_first(values, "to"),
        identifier=(1 + index) & 0xFFFF,
    )


def parse_returns(text: str) -> ReturnPolicy:
    """The policy that `--returns` describes: what the stack does with indicated packets.

    `inside`, `kept` or `late:delay=DURATION[,jitter=DURATION][,processors=N][,batch=N][,order=fifo|lifo|random]`, each
    with `[,header=BYTES][,status=NUMBER]` after a colon. UsageError for any mistake.
    """
    kind, _, rest = text.partition(":")
    common = ("header", "status")
    known = {"inside": common, "kept": common, "late": ("delay", "jitter", "processors", "batch", "order", *common)}
    if kind not in known:
        raise UsageError(f"the returns {text!r} are of an unknown kind: write inside, kept or late:delay=DURATION")
    values = _options(kind, _split(rest), known[kind], what="returns")
    delay = None
    if kind == "late":
        if "delay" not in values:
            raise UsageError("late returns need the option 'delay': write late:delay=DURATION")
        delay = parse_duration(values["delay"][0])
    status = values["status"][0] if "status" in values else "0"
    if _STATUS.fullmatch(status) is None:
        raise UsageError(f"the status of {kind} returns is {status!r}: give a number such as 0xC0000001")
    return ReturnPolicy(
        delay_ns=delay,
        jitter_ns=parse_duration(values["jitter"][0]) if "jitter" in values else 0,
        processors=_integer(kind, values, "processors", None, 1, what="returns"),
        batch=_integer(kind, values, "batch", None, 1, what="returns"),
        order=values["order"][0] if "order" in values else "fifo",
        keeps=kind == "kept",
        header_bytes=_integer(kind, values, "header", None, 0, what="returns"),
        status=int(status, 0),
    )


def _split(text: str) -> list[str]:
    return text.split(",") if text else []


def _options(
    kind: str,
    options: Sequence[str],
    known: Sequence[str],
    repeatable: Sequence[str] = (),
    *,
    what: str = "traffic",
) -> dict[str, list[str]]:
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


def _first(values: Mapping[str, list[str]], key: str) -> str | None:
    return values[key][0] if key in values else None


def _integer(
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


def _speed(text: str) -> Fraction:
    if _NUMBER.fullmatch(text) is None:
        raise UsageError(f"the speed of capture traffic is {text!r}: give a decimal number such as 0.5 or 10")
    speed = Fraction(text)
    if not _SPEED_LEAST <= speed <= _SPEED_MOST:
        raise UsageError(f"the speed of capture traffic is {text}: give a number from 0.000001 to 1000000")
    return speed
