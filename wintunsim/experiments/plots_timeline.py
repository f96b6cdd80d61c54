"""A timeline: what driver, client and events did around an instant, from the trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wintun_model.trace import Kind
from wintunsim.errors import UsageError
from wintunsim.experiments.plots_axes import (
    COLOURS,
    DROP,
    GREY,
    Quantity,
    label_axis,
    new_axes,
    put_legend,
    size_text,
    time_text,
)
from wintunsim.experiments.result import Moments, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _VERMILLION, _GREEN, _PINK, _ORANGE, _SKY, _BLACK = COLOURS
_RING_HEIGHT = 0.8


@dataclass(frozen=True, slots=True)
class _Mark:
    """How one kind of moment is drawn, in the lane of the thread that did it."""

    label: str
    marker: str
    colour: str
    filled: bool = True


_MARKS = {
    "send": _Mark("packet handed to the driver", "v", _BLUE),
    "drop": _Mark("packet dropped", "X", DROP),
    "take": _Mark("client takes a packet (Head)", "o", _GREEN),
    "write": _Mark("client writes a packet (Tail)", "s", _PINK),
    "receive": _Mark("driver indicates a packet", "^", _SKY),
    "return": _Mark("packet returned", "v", _SKY, filled=False),
    "give back": _Mark("driver frees its space (Head)", "o", _SKY, filled=False),
    "set": _Mark("TailMoved set", "D", _ORANGE),
    "alertable": _Mark("Alertable set", "P", _BLACK),
    "not alertable": _Mark("Alertable cleared", "P", _BLACK, filled=False),
}
_HAND_OVERS = {int(Kind.SEND): "send", int(Kind.RECEIVE): "receive", int(Kind.RETURN): "return"}
"""The marks of packets that are handed on, by the kind of the record."""


class _Lanes:
    """What the records of a window come to, by thread; times are ns from `zero_ns` on."""

    def __init__(self, moments: Moments, zero_ns: int) -> None:
        self.moments = moments
        self.zero_ns = zero_ns
        self.start, self.end = moments.from_ns - zero_ns, moments.to_ns - zero_ns
        self.threads: list[str] = []
        self.marks: dict[str, list[tuple[int, str]]] = {}
        """For each kind of mark: (time, thread)."""
        self.waits: list[tuple[str, int, int]] = []
        """(thread, from, to)."""
        self.wakes: list[tuple[str, int, str, int]] = []
        """An event set by a thread at a time, and the thread that it woke at another."""
        send, receive = moments.content_bytes
        self.content = {"send": [(self.start, send)], "receive": [(self.start, receive)]}
        self._waiting: dict[str, int] = {}
        self._set: dict[int, tuple[str, int]] = {}
        for time_ns, thread, kind, subject, value, extra in moments.records.tolist():
            self._take(time_ns - zero_ns, moments.names[thread] if thread else "", kind, subject, value, extra)
        self.threads.sort(key=_rank)
        for thread, since in self._waiting.items():
            self.waits.append((thread, since, self.end))

    def _take(self, time: int, thread: str, kind: int, subject: int, value: int, extra: int) -> None:
        first = thread not in self.threads
        if thread and first:
            self.threads.append(thread)
        what = None
        if kind == Kind.WAIT:
            self._waiting[thread] = time
        elif kind == Kind.WAKE:
            if thread in self._waiting or first:
                self.waits.append((thread, self._waiting.pop(thread, self.start), time))
            if subject in self._set:
                self.wakes.append((*self._set.pop(subject), thread, time))
        elif kind == Kind.SET:
            self._set[subject] = (thread, time)
            what = "set" if self.moments.names[subject].endswith("TailMoved") else None
        elif kind == Kind.STORE:
            what = self._store(time, self.moments.names[subject], value, extra)
        elif kind == Kind.COMPLETE:
            what = "drop" if extra else None
        else:
            what = _HAND_OVERS.get(kind)
        if what is not None and thread:
            self.marks.setdefault(what, []).append((time, thread))

    def _store(self, time: int, word: str, value: int, old: int) -> str | None:
        _, _, ring_word = word.partition(".")
        ring, _, name = ring_word.rpartition(".")
        if name == "Alertable":
            return "alertable" if value else "not alertable"
        capacity = self.moments.capacity_bytes
        if ring not in self.content or max(value, old) >= capacity:
            return None
        steps = self.content[ring]
        moved = (value - old) & (capacity - 1)
        steps.append((time, steps[-1][1] + (moved if name == "Tail" else -moved)))
        return {"send.Head": "take", "receive.Tail": "write", "receive.Head": "give back"}.get(ring_word)


def timeline(result: Result, *, at_ns: int | None = None, ax: Axes | None = None) -> Axes:
    """Driver, client and events around an instant: a lane for each thread that did something, one for each ring used.

    The result comes from `Experiment.run(window_ns=(from, to))`, and the whole window is shown; times count from
    `at_ns`, or from its beginning. Grey bars are waits, arrows lead from an event to the thread that it woke.
    UsageError for a result without a window, or without anything in it.
    """
    moments = result.moments
    if moments is None:
        raise UsageError("the result has no window of the trace: run the experiment with window_ns=(from, to)")
    if not len(moments.records):
        raise UsageError(f"nothing happened between {moments.from_ns} and {moments.to_ns} ns: choose another window")
    zero_ns = moments.from_ns if at_ns is None else at_ns
    lanes = _Lanes(moments, zero_ns)
    rings = [ring for ring, steps in lanes.content.items() if any(amount for _, amount in steps)]
    names = [*lanes.threads, *(f"{ring} ring" for ring in rings)]
    at = {name: len(names) - 1 - place for place, name in enumerate(names)}
    ax = new_axes(ax, (9, 0.7 * len(names) + 1.2))
    _draw_threads(ax, lanes, at)
    labels = [_thread_label(name) for name in lanes.threads]
    for ring in rings:
        labels.append(_draw_ring(ax, lanes, ring, at[f"{ring} ring"]))
    ax.set_yticks(list(at.values()), labels)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(visible=False, axis="y")
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.set_xlim(lanes.start, lanes.end)
    label_axis(ax, "x", Quantity(f"after {time_text_exact(zero_ns)} of virtual time", time_text, "time"))
    put_legend(ax)
    return ax


def time_text_exact(value_ns: int) -> str:
    """A virtual time in ms with all of its digits: `12.000345 ms`."""
    whole, rest = divmod(value_ns, 10**6)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".") + " ms"


def _draw_threads(ax: Axes, lanes: _Lanes, at: dict[str, int]) -> None:
    for name in lanes.threads:
        ax.hlines(at[name], lanes.start, lanes.end, color="#CCCCCC", linewidth=1, zorder=1)
        bars = [(since, until - since) for thread, since, until in lanes.waits if thread == name]
        if bars:
            ax.broken_barh(bars, (at[name] - 0.15, 0.3), color="#DDDDDD", linewidth=0, zorder=2)
    if lanes.waits:
        ax.barh(0, 0, left=lanes.start, color="#DDDDDD", label="waits")
    for setter, when, woken, later in lanes.wakes:
        if setter and woken in at:
            ax.annotate(
                "",
                (later, at[woken]),
                (when, at[setter]),
                arrowprops={"arrowstyle": "->", "color": GREY, "shrinkA": 3, "shrinkB": 0, "linewidth": 1},
                zorder=3,
            )
    for what, mark in _MARKS.items():
        places = lanes.marks.get(what, [])
        if places:
            # Beside the line, so that what happens at nearly the same time can be seen.
            offset = {"set": -0.22, "alertable": 0.22, "not alertable": 0.22, "drop": 0.22, "return": 0.22}.get(
                what, 0.0
            )
            ax.plot(
                [time for time, _ in places],
                [at[thread] + offset for _, thread in places],
                linestyle="none",
                marker=mark.marker,
                markersize=6,
                color=mark.colour,
                markerfacecolor=mark.colour if mark.filled else "white",
                label=mark.label,
                zorder=4,
            )


def _draw_ring(ax: Axes, lanes: _Lanes, ring: str, place: int) -> str:
    """The ring's content as an area in its lane; the label of the lane."""
    steps = lanes.content[ring]
    most = max(amount for _, amount in steps)
    times = [time for time, _ in steps] + [lanes.end]
    heights = [place - _RING_HEIGHT / 2 + _RING_HEIGHT * amount / most for _, amount in steps]
    heights.append(heights[-1])
    look: dict[str, Any] = {"step": "post", "color": _BLUE, "alpha": 0.35, "linewidth": 0}
    ax.fill_between(times, place - _RING_HEIGHT / 2, heights, **look)
    return f"{ring} ring\n(up to {size_text(most)})"


def _rank(name: str) -> int:
    """Packets go downwards: from the system's sender to clients, to the driver's reader, to those who return them."""
    if "/" in name:
        return 1
    return {"NDIS send": 0, "reader": 2}.get(name.partition(" ")[2], 3)


def _thread_label(name: str) -> str:
    """`client/main` is the client; the driver's reader and NDIS's threads are named after their adapter."""
    if "/" in name:
        return name.partition("/")[0] if name.endswith("/main") else name
    _, _, role = name.partition(" ")
    return {"NDIS send": "system sends", "reader": "driver's reader"}.get(
        role, role.replace("NDIS return", "system returns")
    )
