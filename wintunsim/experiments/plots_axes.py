"""What the plots have in common: axes with units that can be read, colours, legends beside the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wintunsim.experiments.extra import library

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The palette of Okabe and Ito, which people with any kind of colour vision can tell apart, without its yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
GREY = "#666666"
DROP = "#D55E00"

_TIMES = ((10**9, "s"), (10**6, "ms"), (10**3, "µs"), (1, "ns"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_RATES = ((10**9, "Gbit/s"), (10**6, "Mbit/s"), (10**3, "kbit/s"), (1, "bit/s"))


def style(place: int) -> dict[str, Any]:
    """Colour, line and marker of the curve with this place: each differs in all three."""
    return {"color": COLOURS[place % 7], "linestyle": LINES[place % 7], "marker": MARKERS[place % 7]}


def _scaled(value: float, units: Sequence[tuple[int, str]]) -> str:
    for size, unit in units:
        if abs(value) >= size * 0.9995 or size == 1:
            return f"{number_text(value / size)} {unit}" if value else f"0 {units[-1][1]}"
    raise AssertionError("the last unit is 1")


def number_text(value: float) -> str:
    """A number in up to four digits, without zeros at its end, or with all of its digits when it has more."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.4g}" if abs(value) >= 0.001 or not value else f"{value:.1e}"


def time_text(value_ns: float) -> str:
    """A duration given in ns, in its best unit: `12.5 µs`."""
    return _scaled(value_ns, _TIMES) if value_ns else "0"


def size_text(value_bytes: float) -> str:
    """An amount of bytes in its best binary unit: `16 MiB`; little that is no whole KiB in bytes."""
    if value_bytes < 10240 and value_bytes % 1024:
        return f"{number_text(value_bytes)} B"
    return _scaled(value_bytes, _SIZES) if value_bytes else "0"


def rate_text(value_bps: float) -> str:
    """Bits a second in their best unit: `9.9 Gbit/s`."""
    return _scaled(value_bps, _RATES) if value_bps else "0"


def share_text(value: float) -> str:
    """A share of 1 in percent."""
    return f"{number_text(round(100 * value, 9))} %"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A column of a table, as an axis has it."""

    label: str
    text: Callable[[float], str]
    kind: str
    """"time", "size", "rate", "share" or "number"."""


_LABELS = {
    "capacity": "ring capacity",
    "spin_us": "spins before it waits",
    "poll_us": "looks every",
    "full_us": "waits on a full ring",
    "handle_ns": "handling of a packet",
    "full": "when the ring is full",
    "host": "computer",
    "driver": "driver",
    "drop_share": "share of packets dropped",
    "throughput_bps": "throughput",
    "client_busy": "processor use of the client",
    "reader_busy": "processor use of the driver's reader",
    "peak_content_bytes": "most that was in the send ring",
    "delivered": "packets delivered",
    "dropped": "packets dropped",
    "offered": "packets offered",
    "wakeups": "wake-ups of the client",
}
_PERCENTILES = {"p50": "median", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "max": "longest"}


def quantity(name: str) -> Quantity:
    """How a column is shown: by what its name ends with (`_ns`, `_us`, `_bytes`, `_bps`, `_share`, `_busy`)."""
    label = _LABELS.get(name)
    for prefix, what in (("latency_", "time in the send ring"), ("echo_latency_", "time in the receive ring")):
        percentile = name.removeprefix(prefix).removesuffix("_ns")
        if percentile in _PERCENTILES:
            label = f"{what}, {_PERCENTILES[percentile]}"
    stem, _, unit = name.rpartition("_")
    if unit == "us":
        return Quantity(label or stem.replace("_", " "), lambda value: time_text(value * 1000), "time")
    if name == "capacity" or unit == "bytes":
        return Quantity(label or stem.replace("_", " "), size_text, "size")
    kinds = {"ns": (time_text, "time"), "bps": (rate_text, "rate")}
    if unit in kinds:
        return Quantity(label or stem.replace("_", " "), *kinds[unit])
    if unit in ("share", "busy"):
        return Quantity(label or name.replace("_", " "), share_text, "share")
    return Quantity(label or name.replace("_", " "), number_text, "number")


def new_axes(ax: Axes | None, size: tuple[float, float] = (8, 4)) -> Axes:
    """These axes, or new ones, in the style of all plots. UsageError when matplotlib is missing."""
    plt = library("matplotlib.pyplot", "a plot")
    if ax is None:
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def label_axis(ax: Axes, which: str, shown: Quantity, *, is_log: bool = False) -> None:
    """Name the axis "x" or "y" and write its ticks in units; sizes have their ticks at powers of two."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

    axis = ax.xaxis if which == "x" else ax.yaxis
    if is_log:
        (ax.set_xscale if which == "x" else ax.set_yscale)("log", base=2 if shown.kind == "size" else 10)
        least, most = axis.get_view_interval()
        # Less than two decades: ticks in between have their numbers too.
        subs = (1.0, 2.0, 5.0) if shown.kind != "size" and most < 200 * max(least, 1e-9) else (1.0,)
        axis.set_major_locator(LogLocator(base=2 if shown.kind == "size" else 10, subs=subs, numticks=9))
        axis.set_minor_formatter(NullFormatter())
    elif shown.kind == "size":
        axis.set_major_locator(_binary_locator())
    if shown.kind == "share" and not is_log:
        axis.set_major_formatter(PercentFormatter(1, decimals=None, symbol=" %"))
    else:
        axis.set_major_formatter(FuncFormatter(lambda value, _: shown.text(value)))
    axis.set_label_text(shown.label)


def _binary_locator() -> Any:
    """Ticks at whole multiples of a power of two, at most nine of them."""
    from matplotlib.ticker import Locator

    class BinaryLocator(Locator):
        """See `_binary_locator`."""

        def __call__(self) -> list[float]:
            assert self.axis is not None
            least, most = sorted(self.axis.get_view_interval())
            return self.tick_values(float(least), float(most))

        def tick_values(self, vmin: float, vmax: float) -> list[float]:
            step = 1
            while (vmax - vmin) / step > 8:
                step *= 2
            return [float(place * step) for place in range(int(-(-vmin // step)), int(vmax // step) + 1)]

    return BinaryLocator()


def put_legend(ax: Axes, title: str | None = None) -> None:
    """A legend on the right of the axes, where no data are; none for a single curve without a name."""
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        ax.legend(
            handles, labels, title=title, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, alignment="left"
        )
