"""Plots of results and tables. Each function takes the axes to draw on, or makes new ones, and returns them.

They need matplotlib: `pip install 'wintunsim[experiments]'`. Times are virtual.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wintunsim.errors import UsageError
from wintunsim.experiments.extra import library
from wintunsim.experiments.plots_axes import (
    DROP,
    GREY,
    Quantity,
    label_axis,
    new_axes,
    put_legend,
    quantity,
    size_text,
    style,
    time_text,
)
from wintunsim.experiments.plots_timeline import timeline
from wintunsim.experiments.result import Result, Series, Steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["against", "latency", "ring_content", "timeline"]

RINGS = ("send", "receive")
CONFIDENCE = 0.95
_CURVE_POINTS = 1000
_TICKS_MAX = 9

Results = Result | Mapping[str, Result | Iterable[Result]]
"""One result, or several by their names; those under one name (of several seeds, say) are taken together."""


def latency(results: Results, *, ring: str = "send", ax: Axes | None = None) -> Axes:
    """How long packets stood in a ring, "send" or "receive": the longest of how many percent of them.

    Percentiles are spread as in HdrHistogram: from one tick to the next ten times fewer packets took longer.
    UsageError when a result has no packets, or for another ring.
    """
    _check_ring(ring)
    ax = new_axes(ax)
    most = 10
    for place, (name, group) in enumerate(_groups(results).items()):
        samples = [result.latencies_ns if ring == "send" else result.echo_latencies_ns for result in group]
        ordered = np.sort(np.concatenate(samples)) if samples else np.array([])
        if not len(ordered):
            raise UsageError(
                f"no packet of {name or 'the result'} left the {ring} ring: there are no latencies to plot"
            )
        count = len(ordered)
        # The packet of this rank and the `count - rank - 1` behind it took as long or longer.
        ranks = np.unique(np.concatenate([[0], count - np.geomspace(count, 1, _CURVE_POINTS)]).astype(int))
        longer = count / (count - ranks)
        most = max(most, count)
        look = style(place) | {"marker": None}
        ax.plot(longer, np.maximum(ordered[ranks], 1), drawstyle="steps-post", label=name or None, **look)
    label_axis(ax, "y", Quantity(f"time in the {ring} ring", time_text, "time"), is_log=True)
    ax.set_xscale("log")
    ticks = [1, 2, *(10**power for power in range(1, len(str(most))))]
    ax.set_xticks(ticks, [f"{100 * (1 - 1 / tick):.10g} %" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlim(1, most)
    ax.set_xlabel("share of packets that took no longer")
    put_legend(ax)
    return ax


def against(
    table: Any, x: str, y: str, *, by: str | None = None, ax: Axes | None = None, scale: str | None = None
) -> Axes:
    """A number of the table, the mean over its seeds, against a swept parameter; a curve for each value of `by`.

    `table` has one row a run, or is something with such a `table`. Bands, or bars where x are words, are 95 %
    confidence intervals of the mean (Student's t), cut at 0, and at 1 for shares; small dots are the runs. `scale` of x
    is "linear", "log" or "even" (one place after the other, as for words); None chooses. UsageError for columns that
    the table lacks.
    """
    table = getattr(table, "table", table)
    for name in (x, y, *([by] if by else [])):
        if name not in table.columns:
            raise UsageError(f"the table has no column {name!r}: it has {', '.join(map(str, table.columns))}")
    if table[y].isna().all():
        raise UsageError(f"the table has no value of {y!r}: there is nothing to plot")
    if scale not in (None, "linear", "log", "even"):
        raise UsageError(f"the scale is {scale!r}: choose linear, log or even")
    ax = new_axes(ax)
    values = _values(table[x])
    words = not all(map(_is_number, values))
    scale = "even" if words else scale or _best_scale(values)
    places = {value: index if scale == "even" else value for index, value in enumerate(values)}
    shown_x, shown_y = quantity(x), quantity(y)
    groups = (
        {_value_text(by, value): table[table[by] == value] for value in _values(table[by])} if by else {None: table}
    )
    for place, (label, rows) in enumerate(groups.items()):
        look = style(place) | ({"linestyle": "none"} if words else {})
        # Words have no distances: the groups stand side by side there.
        aside = 0.12 * (place - (len(groups) - 1) / 2) if words else 0
        _curve(ax, rows, (x, y), {value: at + aside for value, at in places.items()}, look, label)
    low, high = table[y].min(), table[y].max()
    is_log = shown_y.kind == "time" and low > 0 and high / low > 50
    label_axis(ax, "x", shown_x, is_log=scale == "log")
    label_axis(ax, "y", shown_y, is_log=is_log)
    if not is_log:
        ax.set_ylim(bottom=0 if low >= 0 else None)
    if scale == "even" or len(values) <= _TICKS_MAX:
        ax.set_xticks(list(places.values()), [_value_text(x, value) for value in values])
        ax.xaxis.minorticks_off()
    if words:
        ax.set_xlim(-0.5, len(values) - 0.5)
    put_legend(ax, None if by is None else quantity(by).label)
    return ax


def _curve(
    ax: Axes, rows: Any, columns: tuple[str, str], places: Mapping[Any, Any], look: dict[str, Any], label: str | None
) -> None:
    """Means with their band; `look` without a line has bars instead, as between words there is nothing."""
    x, y = columns
    middle: list[tuple[float, float, float, float]] = []
    for value, place in places.items():
        samples = rows.loc[rows[x] == value, y].dropna().to_numpy(dtype=float)
        if not len(samples):
            continue
        mean, half = float(samples.mean()), confidence(samples)
        top = min(1.0, mean + half) if quantity(y).kind == "share" and samples.max() <= 1 else mean + half
        middle.append((place, mean, max(0.0, mean - half) if samples.min() >= 0 else mean - half, top))
        if len(samples) > 1:
            ax.plot([place] * len(samples), samples, ".", color=look["color"], markersize=3, alpha=0.5)
    at, means, lows, highs = np.array(middle).reshape(-1, 4).T
    if look["linestyle"] == "none":
        ax.vlines(at, lows, highs, color=look["color"], alpha=0.35, linewidth=4)
    else:
        ax.fill_between(at, lows, highs, color=look["color"], alpha=0.15, linewidth=0)
    ax.plot(at, means, markersize=6, label=label, **look)


def confidence(samples: npt.NDArray[np.float64]) -> float:
    """Half of the 95 % confidence interval of the mean of independent samples, by Student's t; 0 for one sample."""
    if len(samples) < 2 or np.ptp(samples) == 0:
        return 0.0
    t = library("scipy.stats", "a confidence band").t
    return float(t.ppf((1 + CONFIDENCE) / 2, len(samples) - 1) * samples.std(ddof=1) / np.sqrt(len(samples)))


def ring_content(results: Results, *, ring: str = "send", ax: Axes | None = None) -> Axes:
    """What was in a ring, "send" or "receive", over virtual time; where it is full; when the send ring lost packets.

    The results come from `Experiment.run(series=True)`. In a long run a band shows the least and the most of each span
    of time. UsageError for a result without series.
    """
    _check_ring(ring)
    ax = new_axes(ax)
    groups = _groups(results)
    end_ns, drops = 0, []
    for place, (name, group) in enumerate(groups.items()):
        for index, result in enumerate(group):
            series = _series_of(result, name)
            steps = series.send_content if ring == "send" else series.receive_content
            look = style(place) | {"marker": None, "linestyle": "-", "linewidth": 1.2}
            label = (name or None) if not index else None
            end_ns = max(end_ns, result.virtual_ns, int(steps.times_ns.max(initial=0)))
            _content(ax, steps, result.virtual_ns, look, label)
            ax.axhline(series.capacity_bytes - 4, color=look["color"], linestyle=":", linewidth=1)
            if ring == "send":
                drops.append((look["color"], series.dropped))
    ax.set_xlim(0, end_ns)
    label_axis(ax, "x", Quantity("virtual time", time_text, "time"))
    label_axis(ax, "y", Quantity(f"in the {ring} ring", size_text, "size"))
    ax.set_ylim(bottom=0)
    ax.plot([], [], color=GREY, linestyle=":", linewidth=1, label="full")
    if any(len(steps.times_ns) for _, steps in drops):
        _mark_drops(ax, drops, many=len(groups) > 1)
    put_legend(ax)
    return ax


def _content(ax: Axes, steps: Steps, end_ns: int, look: dict[str, Any], label: str | None) -> None:
    times = np.concatenate([[0], steps.times_ns, [max(end_ns, int(steps.times_ns.max(initial=0)))]])
    last = np.concatenate([[0], steps.last, steps.last[-1:] if len(steps.last) else [0]])
    if steps.span_ns > 1:
        least, most = (np.concatenate([[0], values, last[-1:]]) for values in (steps.least, steps.most))
        ax.fill_between(times, least, most, step="post", color=look["color"], alpha=0.3, linewidth=0)
    ax.plot(times, last, drawstyle="steps-post", label=label, **look)


def _mark_drops(ax: Axes, drops: list[tuple[str, Steps]], *, many: bool) -> None:
    """Short strokes above the data, one row for each result."""
    for row, (colour, steps) in enumerate(drops):
        at = 1.02 + 0.03 * row
        ax.plot(
            steps.times_ns,
            np.full(len(steps.times_ns), at),
            "|",
            color=colour if many else DROP,
            markersize=6,
            transform=ax.get_xaxis_transform(),
            clip_on=False,
        )
    ax.plot([], [], "|", color=GREY if many else DROP, markersize=6, label="packets dropped")


def _series_of(result: Result, name: str) -> Series:
    if result.series is None:
        whose = f"the result {name!r}" if name else "the result"
        raise UsageError(f"{whose} has no series: run the experiment with series=True")
    return result.series


def _check_ring(ring: str) -> None:
    if ring not in RINGS:
        raise UsageError(f"there is no ring {ring!r}: choose send or receive")


def _groups(results: Results) -> dict[str, list[Result]]:
    if isinstance(results, Result):
        return {"": [results]}
    return {str(name): [group] if isinstance(group, Result) else list(group) for name, group in results.items()}


def _best_scale(values: list[Any]) -> str:
    """Even for few values that spread far with a 0 among them, log for other far spread ones."""
    least, most = min(values), max(values)
    if least < 0 or len(values) < 3:
        return "linear"
    above = [value for value in values if value > 0]
    if not above or max(above) < 8 * min(above):
        return "linear"
    if least == 0:
        return "even" if len(values) <= _TICKS_MAX else "linear"
    return "log" if most > 0 else "linear"


def _values(column: Any) -> list[Any]:
    """The values of a column: numbers in their order, others in that of the table."""
    values = list(dict.fromkeys(column))
    return sorted(values) if all(map(_is_number, values)) else values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _value_text(column: str, value: Any) -> str:
    return quantity(column).text(value) if _is_number(value) else str(value)
