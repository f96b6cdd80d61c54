"""Hosts: profiles with a source for each figure, distributions, and runs on them."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintunsim import Simulation, UsageError
from wintunsim.kernel.distribution import Distribution
from wintunsim.kernel.host import Host, find_host, profile, profiles, read_host
from wintunsim.kernel.streams import Stream

RING_CLIENT = Path(__file__).resolve().parents[2] / "examples" / "ring_client.py"
LIMITED = [name for name, host in profiles().items() if not host.is_unlimited]


# -- distributions ------------------------------------------------------------------------------------------------

STEPS = st.lists(st.tuples(st.integers(1, 99), st.integers(0, 10**6)), max_size=5)


@given(STEPS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_distribution_goes_through_its_points_and_never_down(middle, low, more):
    shares = sorted({share for share, _ in middle})
    values = sorted([low, *(low + rise for _, rise in middle[: len(shares)])])
    table = [[0, values[0]], *([s, v] for s, v in zip(shares, values[1:], strict=True)), [100, values[-1] + more]]
    found = Distribution.of(table)
    assert [found.at(share * 10_000) for share, _ in table] == [value for _, value in table]
    along = [found.at(share) for share in range(0, 1_000_001, 50_000)]
    assert along == sorted(along)


def test_draws_follow_the_table():
    found = Distribution.of([[0, 0], [50, 1000], [100, 3000]])
    stream = Stream(1, "test")
    draws = [found.draw(stream) for _ in range(20_000)]
    assert abs(sum(draw < 1000 for draw in draws) - 10_000) < 300
    assert abs(sum(draws) / len(draws) - 1250) < 25
    assert (min(draws), max(draws)) >= (0, 2900)
    assert draws[:3] == [found.draw(again) for again in [Stream(1, "test")] for _ in range(3)]


def test_a_constant_takes_nothing_from_its_stream():
    stream = Stream(1, "test")
    assert Distribution.of(700).draw(stream) == 700
    assert stream.bits(32) == Stream(1, "test").bits(32)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("fast", "it is 'fast': give ns, or a table"),
        (-1, "it has -1: give a whole number of ns from 0 to "),
        ([[0, 1]], "it does not go from 0 to 100 per cent"),
        ([[0, 1], [99, 2]], "it does not go from 0 to 100 per cent"),
        ([[0, 5], [100, 2]], "it goes down at [100, 2]"),
        ([[0, 5], [0, 6], [100, 7]], "it goes down at [0, 6]"),
        ([[0, 1.5], [100, 2]], "it has 1.5: give a whole number"),
        ([[0], [100, 2]], "it has the row [0]: give a percentile and a number of ns"),
    ],
)
def test_distributions_that_make_no_sense(value, message):
    with pytest.raises(UsageError) as caught:
        Distribution.of(value, "it")
    assert str(caught.value).startswith(message)


# -- profiles -----------------------------------------------------------------------------------------------------


def test_the_profiles():
    assert list(profiles()) == ["ideal", "busy", "desktop", "server"]
    assert profile("ideal").is_unlimited


@pytest.mark.parametrize("name", LIMITED)
def test_every_figure_of_a_profile_has_its_source(name):
    text = (files("wintunsim.kernel") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    figures = [line for line in text.splitlines() if " = {" in line]
    assert len(figures) == len(profile(name).sources)
    assert all(source for source in profile(name).sources.values())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"host": {"cores": 4}}, "the host 'mine' has 'cores' in host: it may have boosts, idle_after_ns, "),
        ({"host": {"processors": 0}}, "processors of the host 'mine' is 0: give a whole number from 1 to 256"),
        ({"host": {"processors": {"source": "x"}}}, "processors of the host 'mine' has no value"),
        ({"host": {"switch": "slow"}}, "switch of the host 'mine' is 'slow'"),
        ({"costs": {"wake": 1}}, "the host 'mine' has 'wake' in costs"),
        ({"costs": {"wake_ns": -1}}, "wake_ns of the host 'mine' is -1: give a whole number from 0 to "),
        ({"load": {}}, "the host 'mine' has the table 'load': there are host, costs and background"),
        ({"costs": {"wake_ns": [[0, 5], [100, 2]]}}, "wake_ns of the host 'mine' goes down at [100, 2]"),
        (
            {"costs": {"load_ns": [[0, 1], [100, 2]]}},
            "load_ns of the host 'mine' is [[0, 1], [100, 2]]: give a whole n",
        ),
        ({"costs": {"timer_tick_ns": 0}}, "timer_tick_ns of the host 'mine' is 0: give a whole number from 1 to "),
        ({"costs": 5}, "costs of the host 'mine' is no table: write [costs]"),
        ({"host": {"boosts": 1}}, "boosts of the host 'mine' is 1: give true or false"),
        ({"background": {"busy": 5}}, "background of the host 'mine' is no list of tables"),
        ({"background": [{"busy": 5}]}, "a background load of the host 'mine' has no 'idle'"),
        ({"background": [{"busy": 5, "idle": 5, "threads": 0}]}, "threads of the host 'mine' is 0"),
    ],
)
def test_hosts_that_make_no_sense(data, message):
    with pytest.raises(UsageError) as caught:
        read_host(data, "mine")
    assert str(caught.value).startswith(message)


def test_an_unknown_profile():
    with pytest.raises(UsageError, match="there is no host 'laptop': choose one of ideal, busy, desktop, server"):
        Simulation(host="laptop")


# -- files --------------------------------------------------------------------------------------------------------

LAPTOP = """
[host]
processors = { value = 2, source = "counted" }
[costs]
wake_ns = [[0, 5000], [50, 9000], [100, 30000]]
timer_tick_ns = 1000000
[[background]]
busy = 100_000
idle = [[0, 1000], [100, 900_000]]
"""


def test_a_host_from_a_file(tmp_path):
    file = tmp_path / "laptop.toml"
    file.write_text(LAPTOP)
    found = find_host(str(file))
    assert (found.name, found.processors, found.costs.timer_tick_ns) == ("laptop", 2, 1_000_000)
    assert found.costs.typical("wake_ns") == 9000
    assert found.sources == {"processors": "counted"}
    report = run(str(file))
    assert (report.exit_code, report.host["name"]) == (0, "laptop")
    assert report.digest == run(str(file), engine="step").digest != run("desktop").digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read (No such file or directory): name another file"),
        (b"[host", "is no TOML: "),
        (b"\xff", "is no text in UTF-8: write it as TOML"),
        (b"[host]\ncores = 4", "the host 'own' has 'cores' in host"),
    ],
)
def test_files_that_are_no_hosts(tmp_path, content, message):
    file = tmp_path / "own.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        find_host(str(file))
    assert message in str(caught.value)


def test_the_computer_of_the_documentation(tmp_path):
    text = (Path(__file__).resolve().parents[2] / "docs" / "time.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "own.toml"
    file.write_text(shown, encoding="utf-8")
    host = find_host(str(file))
    assert (host.processors, host.costs.timer_tick_ns, host.costs.is_constant) == (2, 1_000_000, False)
    assert run(str(file), packets=20).exit_code == 0


def test_a_host_is_named_by_a_text():
    with pytest.raises(UsageError, match="the host is 4: give the name of a profile or of a file"):
        find_host(4)


# -- runs ---------------------------------------------------------------------------------------------------------


def run(host, *, engine="direct", seed=0, packets=200, rate=50_000):
    simulation = Simulation(host=host, engine=engine, seed=seed)
    simulation.add_adapter()
    simulation.network(f"udp:rate={rate},size=700,count={packets}")
    simulation.spawn(RING_CLIENT, packets)
    return simulation.run("20s")


@pytest.mark.parametrize("name", LIMITED)
def test_both_engines_agree_and_the_seed_decides(name):
    first, second = run(name), run(name, engine="step")
    assert first.exit_code == 0
    assert first.digest == second.digest
    assert run(name, seed=1).digest != first.digest


def test_one_processor_for_all_is_slower_than_four():
    one, four = (run(Host(name="own", processors=count), rate=400_000) for count in (1, 4))
    latency = [report.adapters[0]["rings"]["send"]["latency_ns"]["p50"] for report in (one, four)]
    assert latency[0] > 2 * latency[1]
    for report in (one, four):
        assert report.adapters[0]["rings"]["receive"]["packets"] == 200


def test_a_busy_machine_starves_the_reader_for_milliseconds_now_and_then():
    """The driver's reader has priority 1: whoever else works comes first."""
    quiet, busy = (run(name, packets=400, rate=1000) for name in ("desktop", "busy"))
    latest = [report.adapters[0]["rings"]["receive"]["latency_ns"]["max"] for report in (quiet, busy)]
    assert latest[0] < 100_000
    assert latest[1] > 1_000_000


def test_the_report_tells_how_busy_the_host_was():
    report = run("desktop")
    assert report.host["name"] == "desktop"
    assert len(report.host["processors"]) == 4
    assert sum(row["busy_ns"] for row in report.host["threads"]) == sum(report.host["processors"])
    assert "  host     desktop: 4 processors, " in report.to_text()
    assert run("ideal").host == {"name": "ideal"}
