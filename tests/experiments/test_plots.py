"""Plots say what the results say, in units; series and windows are what the trace has."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from wintunsim import UsageError
from wintunsim.experiments import Client, Experiment

matplotlib = pytest.importorskip("matplotlib")
pandas = pytest.importorskip("pandas")
matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402

from wintunsim.experiments import plots  # noqa: E402
from wintunsim.experiments.plots_axes import quantity, size_text, time_text  # noqa: E402

STALLS = Experiment(
    workload="udp:rate=156250,size=8000", client=Client(poll_us=1500, fine_timer=True), duration="4ms", host="ideal"
)
ECHO = Experiment(workload="ping:count=2,interval=1ms", client=Client(echo=True), duration="3ms", host="ideal")


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def stalled():
    return STALLS.run(series=True)


@pytest.fixture(scope="module")
def table():
    rows = []
    for capacity in (0x20000, 0x100000, 0x400000):
        for seed in range(3):
            values = {"capacity": capacity, "poll_us": 1000, "seed": seed}
            rows.append({**values, **STALLS.with_values({**values, "duration": "3ms"}).run().row()})
    return pandas.DataFrame(rows)


def drawn(ax):
    """Drawn for good: what fails only then fails here. The labels of x and y, and of the legend."""
    ax.figure.canvas.draw()
    legend = ax.get_legend()
    return (
        [label.get_text() for label in ax.get_xticklabels()],
        [label.get_text() for label in ax.get_yticklabels()],
        [text.get_text() for text in legend.get_texts()] if legend else [],
    )


# -- series and windows -------------------------------------------------------------------------------------------


def test_series_and_windows_change_nothing(stalled):
    assert stalled.row() == STALLS.run().row() == STALLS.run(window_ns=(0, 10**6)).row()


def test_the_series_of_a_run_agree_with_its_numbers(stalled):
    series = stalled.series
    content = series.send_content
    assert (
        content.most.max()
        == stalled.peak_content_bytes
        == series.capacity_bytes - 4 - (series.capacity_bytes - 4) % 8004
    )
    assert content.least.min() == 0

    assert (np.diff(content.times_ns) > 0).all()
    assert series.dropped.last[-1] == stalled.dropped_packets > 0
    assert len(series.receive_content.times_ns) == 0


def test_the_series_of_a_longer_run_are_no_larger():
    run = STALLS.with_values({"workload": "udp:rate=800000,size=60", "duration": "6ms", "poll_us": 100})
    content = run.run(series=True).series.send_content
    assert content.span_ns > 1
    assert len(content.times_ns) <= 4096
    assert (content.least <= content.last).all()
    assert (content.last <= content.most).all()
    assert (content.times_ns % content.span_ns == 0).all()


def test_a_window_has_the_trace_of_its_time():
    moments = ECHO.run(window_ns=(1_000_000, 1_200_000)).moments
    times = moments.records[:, 0]
    assert 1_000_000 <= times.min() <= times.max() <= 1_200_000
    assert moments.content_bytes == (0, 0)
    assert "client/main" in {moments.names[number] for number in moments.records[:, 1]}


@pytest.mark.parametrize("window_ns", [(5, 5), (9, 3), (-1, 4)])
def test_windows_that_make_no_sense(window_ns):
    with pytest.raises(UsageError, match="give two virtual times in ns, the earlier one first"):
        ECHO.run(window_ns=window_ns)


def test_a_window_with_too_much_in_it():
    run = STALLS.with_values({"workload": "udp:rate=900000,size=60", "duration": "6ms", "poll_us": 0})
    with pytest.raises(UsageError, match="the window from 0 to 10000000 ns has more than 20000 records"):
        run.run(window_ns=(0, 10**7))


# -- latency --------------------------------------------------------------------------------------------------------


def test_latency_shows_the_percentiles(stalled):
    ax = plots.latency({"stalls": stalled, "twice": [stalled, stalled]})
    x, _, legend = drawn(ax)
    assert x[:4] == ["0 %", "50 %", "90 %", "99 %"]
    assert legend == ["stalls", "twice"]
    ordered = np.sort(stalled.latencies_ns)
    for line in ax.lines:
        at, values = line.get_xdata(), line.get_ydata()
        assert values[0] == ordered[0]
        assert values[-1] == ordered[-1]
        median = values[np.searchsorted(at, 2, side="right") - 1]
        assert median == pytest.approx(np.median(ordered), rel=0.02)


def test_latency_of_one_result_needs_no_legend(stalled):
    assert drawn(plots.latency(stalled))[2] == []


def test_latency_of_what_was_not_there(stalled):
    with pytest.raises(UsageError, match="no packet of the result left the receive ring"):
        plots.latency(stalled, ring="receive")
    with pytest.raises(UsageError, match="there is no ring 'left': choose send or receive"):
        plots.latency(stalled, ring="left")


# -- against --------------------------------------------------------------------------------------------------------


def test_against_shows_means_with_units(table):
    ax = plots.against(table, "capacity", "drop_share")
    x, y, legend = drawn(ax)
    assert x == ["128 KiB", "1 MiB", "4 MiB"]
    assert all(label.endswith(" %") for label in y)
    assert legend == []
    curve = max(ax.lines, key=lambda line: len(set(line.get_xdata())))
    assert list(curve.get_xdata()) == [0x20000, 0x100000, 0x400000]
    assert list(curve.get_ydata()) == pytest.approx(list(table.groupby("capacity")["drop_share"].mean()))


def test_against_has_a_curve_for_each_group(table):
    doubled = pandas.concat([table.assign(host="desktop"), table.assign(host="busy")])
    ax = plots.against(doubled, "capacity", "throughput_bps", by="host")
    _, y, legend = drawn(ax)
    assert legend == ["desktop", "busy"]
    assert y[-1].endswith("bit/s")


def test_against_puts_words_in_the_order_of_the_table(table):
    words = table.assign(full=table["capacity"].map({0x20000: "spin", 0x100000: "drop", 0x400000: "yield"}))
    assert drawn(plots.against(words, "full", "latency_p99_ns"))[0] == ["spin", "drop", "yield"]


def test_words_have_bars_side_by_side(table):
    words = table.assign(full=table["capacity"].map({0x20000: "spin", 0x100000: "drop", 0x400000: "yield"}))
    doubled = pandas.concat([words.assign(host="desktop"), words.assign(host="busy")])
    ax = plots.against(doubled, "full", "latency_p99_ns", by="host")
    assert drawn(ax)[2] == ["desktop", "busy"]
    means = [line for line in ax.lines if len(line.get_xdata()) == 3 and len(set(line.get_xdata())) == 3]
    assert [list(line.get_xdata()) for line in means] == [
        pytest.approx([-0.06, 0.94, 1.94]), pytest.approx([0.06, 1.06, 2.06])
    ]  # fmt: skip
    assert all(line.get_linestyle() == "None" for line in means)


def test_a_group_without_values_has_no_curve(table):
    gap = table.assign(client_busy=[0.5 if seed else None for seed in table["seed"]])
    assert drawn(plots.against(gap, "capacity", "client_busy", by="seed"))[2] == ["0", "1", "2"]


def test_without_the_library_there_is_a_sentence(stalled, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(UsageError, match=r"a plot needs matplotlib, .*pip install 'wintunsim\[experiments\]'"):
        plots.latency(stalled)


def test_a_parameter_that_spreads_far_from_zero_has_even_places(table):
    spun = table.assign(spin_us=table["capacity"].map({0x20000: 0.0, 0x100000: 12.5, 0x400000: 15000.0}))
    assert drawn(plots.against(spun, "spin_us", "wakeups"))[0] == ["0", "12.5 µs", "15 ms"]
    assert drawn(plots.against(spun, "spin_us", "wakeups", scale="linear"))[0] == ["0", "12.5 µs", "15 ms"]


def test_bands_are_those_of_student():
    samples = np.array([1.0, 2.0, 3.0, 4.0])
    assert plots.confidence(samples) == pytest.approx(3.182446 * 1.290994 / 2, rel=1e-5)
    assert plots.confidence(samples[:1]) == plots.confidence(np.array([2.0, 2.0])) == 0


def test_tables_that_lack_what_is_asked_for(table):
    with pytest.raises(UsageError, match="the table has no column 'speed': it has capacity, poll_us, seed"):
        plots.against(table, "speed", "drop_share")
    with pytest.raises(UsageError, match="the table has no value of 'client_busy'"):
        plots.against(table, "capacity", "client_busy")
    with pytest.raises(UsageError, match="the scale is 'round': choose linear, log or even"):
        plots.against(table, "capacity", "drop_share", scale="round")


# -- content and timeline ---------------------------------------------------------------------------------------------


def test_ring_content_shows_the_ring_and_where_it_is_full(stalled):
    ax = plots.ring_content({"1 MiB": stalled})
    x, y, legend = drawn(ax)
    assert legend == ["1 MiB", "full", "packets dropped"]
    assert "1 ms" in x
    assert "512 KiB" in y
    assert max(max(line.get_ydata()) for line in ax.lines if len(line.get_xdata()) > 2) == stalled.peak_content_bytes


def test_ring_content_needs_series():
    with pytest.raises(UsageError, match="the result 'a' has no series: run the experiment with series=True"):
        plots.ring_content({"a": ECHO.run()})


def test_a_timeline_has_lanes_for_threads_and_rings():
    result = ECHO.run(window_ns=(1_080_000, 1_130_000))
    ax = plots.timeline(result, at_ns=1_091_000)
    _, lanes, legend = drawn(ax)
    assert lanes == [
        "system sends",
        "client",
        "driver's reader",
        "send ring\n(up to 88 B)",
        "receive ring\n(up to 88 B)",
    ]
    assert {"packet handed to the driver", "client takes a packet (Head)", "waits", "TailMoved set"} <= set(legend)
    assert "packet dropped" not in legend
    assert ax.get_xlabel() == "after 1.091 ms of virtual time"


def test_a_timeline_shows_drops():
    result = STALLS.run(window_ns=(1_000_000, 1_200_000))
    assert "packet dropped" in drawn(plots.timeline(result))[2]


def test_timelines_of_nothing():
    with pytest.raises(UsageError, match="the result has no window of the trace"):
        plots.timeline(ECHO.run())
    result = ECHO.run(window_ns=(500_000, 500_100))
    with pytest.raises(UsageError, match="nothing happened between 500000 and 500100 ns"):
        plots.timeline(result)


def test_every_plot_draws_on_the_axes_that_it_is_given(stalled, table):
    windowed = replace(stalled, moments=ECHO.run(window_ns=(1_080_000, 1_130_000)).moments)
    for draw in (
        lambda ax: plots.latency(stalled, ax=ax),
        lambda ax: plots.against(table, "capacity", "dropped", ax=ax),
        lambda ax: plots.ring_content(stalled, ax=ax),
        lambda ax: plots.timeline(windowed, ax=ax),
    ):
        _, ax = plt.subplots()
        assert draw(ax) is ax


# -- units ------------------------------------------------------------------------------------------------------------


def test_units_are_the_best_ones():
    assert [time_text(value) for value in (0, 134, 12_500, 15 * 10**6, 2 * 10**9)] == [
        "0", "134 ns", "12.5 µs", "15 ms", "2 s"
    ]  # fmt: skip
    assert [size_text(value) for value in (0, 88, 1404, 0x20000, 1 << 20, 3 << 19)] == [
        "0", "88 B", "1 404 B", "128 KiB", "1 MiB", "1.5 MiB"
    ]  # fmt: skip
    assert quantity("spin_us").text(12.5) == "12.5 µs"
    assert quantity("latency_p99_ns").label == "time in the send ring, 99 %"
    assert quantity("client_busy").text(0.125) == "12.5 %"
    assert quantity("offered").text(12345) == "12 345"
