"""The command line's traffic options and durations, as values. Every mistake is a UsageError of one sentence."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from wintunsim.errors import UsageError
from wintunsim.kernel.distribution import Distribution
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.network.traffic import (
    COUNT_MAX,
    RATE_MAX_PPS,
    CaptureTraffic,
    PingTraffic,
    TrafficSource,
    UdpTraffic,
)
from wintunsim.network.words import NUMBER, first, integer, parse_duration, read_options, split
from wintunsim.network.workload_options import KINDS as WORKLOAD_KINDS
from wintunsim.network.workload_options import parse_workload

__all__ = ["parse_duration", "parse_returns", "parse_traffic"]

KINDS = (
    "capture:FILE",
    "udp:rate=PPS,size=BYTES",
    "ping:count=N",
    "constant:rate=RATE,size=SIZE",
    "poisson:rate=RATE,size=SIZE",
    "bursts:rate=RATE,on=DUR,off=DUR,size=SIZE",
    "trains:burst=N,every=DUR,size=SIZE",
    "tcp:window=N",
    "none",
)

_STATUS = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,10}", re.ASCII)
_SPEED_LEAST, _SPEED_MOST = Fraction(1, 10**6), Fraction(10**6)


def parse_traffic(text: str, index: int = 0) -> TrafficSource | None:
    """The source that one `--traffic` option describes; None for `none`. `index` counts the options, from 0.

    - `capture:FILE[,local=ADDRESS][,loop=N][,speed=X]`, `local` as often as needed. FILE is the longest start of the
      text, up to a comma or the end, that names an existing file; so names with `,` and `=` need no quoting.
    - `udp:rate=PPS,size=BYTES[,count=N][,from=ADDRESS][,to=ADDRESS]`; without `count` it never ends.
    - `ping:count=N[,interval=DURATION][,size=BYTES][,from=ADDRESS][,to=ADDRESS]`.
    - `constant:…`, `poisson:…`, `bursts:…`, `trains:…` and `tcp:…`: see `parse_workload`.

    The index gives every ping its own identifier (1, 2, …) and every udp its own source port (40000, 40001, …), so that
    several of a kind can be told apart; workloads and tcp have ports by it too. UsageError for any mistake, also for
    what the sources themselves refuse.
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
    if kind in WORKLOAD_KINDS:
        return parse_workload(kind, rest, index)
    raise UsageError(f"the traffic {text!r} is of an unknown kind: write one of {', '.join(KINDS)}")


def _capture(text: str) -> TrafficSource:
    name, options = _split_file(text)
    if not name:
        raise UsageError("the traffic 'capture:' names no file: write capture:FILE")
    values = read_options("capture", options, ("local", "loop", "speed"), repeatable=("local",))
    speed = Fraction(1)
    if "speed" in values:
        speed = _speed(values["speed"][0])
    return CaptureTraffic(
        name,
        values.get("local"),
        loop=integer("capture", values, "loop", (1, COUNT_MAX), 1),
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
    values = read_options("udp", split(text), ("rate", "size", "count", "from", "to"))
    return UdpTraffic(
        integer("udp", values, "rate", (1, RATE_MAX_PPS)),
        integer("udp", values, "size", None),
        integer("udp", values, "count", (1, COUNT_MAX)) if "count" in values else None,
        source=first(values, "from"),
        destination=first(values, "to"),
        source_port=40000 + index % 20000,
    )


def _ping(text: str, index: int) -> TrafficSource:
    values = read_options("ping", split(text), ("count", "interval", "size", "from", "to"))
    return PingTraffic(
        integer("ping", values, "count", (1, COUNT_MAX)),
        parse_duration(values["interval"][0]) if "interval" in values else 10**9,
        integer("ping", values, "size", None, 56),
        source=first(values, "from"),
        destination=first(values, "to"),
        identifier=(1 + index) & 0xFFFF,
    )


def parse_returns(text: str) -> ReturnPolicy:
    """The policy that `--returns` describes: what the stack does with indicated packets.

    `inside`, `kept` or `late:delay=DURATION[,jitter=DURATION][,processors=N][,batch=N][,order=fifo|lifo|random]`, each
    with `[,header=BYTES][,status=NUMBER]` after a colon. Instead of a delay with jitter there may be a distribution,
    `delays=PERCENT:DURATION/PERCENT:DURATION/…`, from 0 to 100 per cent. UsageError for any mistake.
    """
    kind, _, rest = text.partition(":")
    common = ("header", "status")
    known = {
        "inside": common,
        "kept": common,
        "late": ("delay", "delays", "jitter", "processors", "batch", "order", *common),
    }
    if kind not in known:
        raise UsageError(f"the returns {text!r} are of an unknown kind: write inside, kept or late:delay=DURATION")
    values = read_options(kind, split(rest), known[kind], what="returns")
    if kind == "late" and "delay" not in values and "delays" not in values:
        raise UsageError("late returns need the option 'delay': write late:delay=DURATION")
    status = values["status"][0] if "status" in values else "0"
    if _STATUS.fullmatch(status) is None:
        raise UsageError(f"the status of {kind} returns is {status!r}: give a number such as 0xC0000001")
    return ReturnPolicy(
        delay_ns=parse_duration(values["delay"][0]) if "delay" in values else None,
        delays=_delays(values["delays"][0]) if "delays" in values else None,
        jitter_ns=parse_duration(values["jitter"][0]) if "jitter" in values else 0,
        processors=integer(kind, values, "processors", None, 1, what="returns"),
        batch=integer(kind, values, "batch", None, 1, what="returns"),
        order=values["order"][0] if "order" in values else "fifo",
        keeps=kind == "kept",
        header_bytes=integer(kind, values, "header", None, 0, what="returns"),
        status=int(status, 0),
    )


def _delays(text: str) -> Distribution:
    rows: list[tuple[float, int]] = []
    for part in text.split("/"):
        percent, colon, time = part.partition(":")
        if not colon or NUMBER.fullmatch(percent) is None:
            raise UsageError(
                f"the delays of late returns have {part!r}: write percentiles such as 0:10us/50:1ms/100:20ms"
            )
        rows.append((float(percent), parse_duration(time)))
    return Distribution.of(rows, "the distribution of late returns")


def _speed(text: str) -> Fraction:
    if NUMBER.fullmatch(text) is None:
        raise UsageError(f"the speed of capture traffic is {text!r}: give a decimal number such as 0.5 or 10")
    speed = Fraction(text)
    if not _SPEED_LEAST <= speed <= _SPEED_MOST:
        raise UsageError(f"the speed of capture traffic is {text}: give a number from 0.000001 to 1000000")
    return speed
