"""The command line's words for workloads and closed loops, as traffic sources. Every mistake is a UsageError."""

from __future__ import annotations

from collections.abc import Mapping

from wintunsim.errors import UsageError
from wintunsim.network.arrivals import Arrivals, Bursts, ConstantRate, Poisson, Trains
from wintunsim.network.closed_loop import ACKNOWLEDGED_BY, TcpTraffic
from wintunsim.network.flows import VERSIONS, make_flows
from wintunsim.network.sizes import Sizes
from wintunsim.network.tcp_sender import TcpOptions
from wintunsim.network.traffic import COUNT_MAX
from wintunsim.network.words import (
    duration,
    first,
    integer,
    needed,
    one_of,
    parse_duration,
    parse_rate,
    parse_sizes,
    parse_window,
    read_options,
    split,
)
from wintunsim.network.workloads import Workload

_COMMON = ("size", "count", "flows", "weights", "version", "from", "to")
_KNOWN = {
    "constant": ("rate", *_COMMON),
    "poisson": ("rate", *_COMMON),
    "bursts": ("rate", "on", "off", "times", "gaps", *_COMMON),
    "trains": ("burst", "every", "gap", *_COMMON),
    "tcp": ("window", "size", "rtt", "ack", "count", "initial", "rto", "retries", "series", "from", "to"),
}
KINDS = tuple(_KNOWN)


def parse_workload(kind: str, text: str, index: int = 0) -> Workload | TcpTraffic:
    """The source that a kind (one of `KINDS`) and its options describe; `index` counts the sources, from 0.

    - `constant:rate=RATE,size=SIZE`, `poisson:rate=RATE,size=SIZE`; for RATE and SIZE see `parse_rate`, `parse_sizes`.
    - `bursts:rate=RATE,on=DURATION,off=DURATION,size=SIZE[,times=fixed|exponential][,gaps=even|poisson]`: the rate is
      that while on.
    - `trains:burst=N,every=DURATION,size=SIZE[,gap=DURATION]`.
    - all of these with `[,count=N][,flows=N][,weights=A/B/…][,version=4|6|both][,from=ADDRESS][,to=ADDRESS]`.
    - `tcp:[window=N|BYTES][,size=BYTES][,rtt=DURATION][,ack=returned|taken][,count=N][,initial=N][,rto=DURATION]
      [,retries=N][,series=off|on][,from=ADDRESS][,to=ADDRESS]`; a window without a unit is in packets.

    UsageError for any mistake, also for what the sources themselves refuse.
    """
    values = read_options(kind, split(text), _KNOWN[kind])
    if kind == "tcp":
        return _tcp(values, index)
    sizes = parse_sizes(needed(kind, values, "size", "SIZE"))
    arrivals = _arrivals(kind, values, sizes)
    weights = None
    if "weights" in values:
        weights = [_weight(kind, part) for part in values["weights"][0].split("/")]
    flows = make_flows(
        integer(kind, values, "flows", None, len(weights) if weights else 1),
        version=one_of(kind, values, "version", VERSIONS) if "version" in values else None,
        source=first(values, "from"),
        destination=first(values, "to"),
        index=index,
    )
    count = integer(kind, values, "count", (1, COUNT_MAX)) if "count" in values else None
    return Workload(arrivals, sizes, flows, weights=weights, count=count, name=kind)


def _weight(kind: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"a weight of {kind} traffic is {text!r}: write whole numbers such as 5/3/1")
    return int(text)


def _arrivals(kind: str, values: Mapping[str, list[str]], sizes: Sizes) -> Arrivals:
    if kind == "trains":
        return Trains(
            integer(kind, values, "burst", None),
            parse_duration(needed(kind, values, "every", "DURATION")),
            duration(values, "gap", 0),
        )
    rate_pps = parse_rate(needed(kind, values, "rate", "RATE")).packets_per_s(sizes)
    if kind == "constant":
        return ConstantRate(rate_pps)
    if kind == "poisson":
        return Poisson(rate_pps)
    is_even = one_of(kind, values, "gaps", ("even", "poisson")) == "even"
    return Bursts(
        ConstantRate(rate_pps) if is_even else Poisson(rate_pps),
        parse_duration(needed(kind, values, "on", "DURATION")),
        parse_duration(needed(kind, values, "off", "DURATION")),
        is_exponential=one_of(kind, values, "times", ("fixed", "exponential")) == "exponential",
    )


def _tcp(values: Mapping[str, list[str]], index: int) -> TcpTraffic:
    defaults = TcpOptions()
    window_bytes, window_packets = defaults.window_bytes, None
    if "window" in values:
        amount, is_bytes = parse_window(values["window"][0])
        window_bytes, window_packets = (amount, None) if is_bytes else (window_bytes, amount)
    rto_min_ns = duration(values, "rto", defaults.rto_min_ns)
    options = TcpOptions(
        window_bytes=window_bytes,
        initial_segments=integer("tcp", values, "initial", None, defaults.initial_segments),
        rto_min_ns=rto_min_ns,
        rto_initial_ns=max(rto_min_ns, defaults.rto_initial_ns),
        rto_max_ns=max(rto_min_ns, defaults.rto_max_ns),
        retries=integer("tcp", values, "retries", None, defaults.retries),
    )
    return TcpTraffic(
        options,
        size_bytes=integer("tcp", values, "size", None, 1500),
        window_packets=window_packets,
        rtt_ns=duration(values, "rtt", 0),
        acknowledged_by=one_of("tcp", values, "ack", ACKNOWLEDGED_BY),
        count=integer("tcp", values, "count", (1, COUNT_MAX)) if "count" in values else None,
        series=one_of("tcp", values, "series", ("off", "on")) == "on",
        source=first(values, "from"),
        destination=first(values, "to"),
        index=index,
    )
