"""Costs that vary: each figure from a stream of its own, the same for both engines, constants as they were."""

import io
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wintunsim import Simulation, UsageError
from wintunsim.experiments import Client, Experiment
from wintunsim.kernel.costs import VARYING, Costs
from wintunsim.kernel.distribution import Distribution
from wintunsim.kernel.host import profiles
from wintunsim.kernel.prices import Prices
from wintunsim.kernel.streams import Stream

TABLES = {
    "contended_lock_ns": [[0, 100], [50, 180], [100, 300]],
    "copy_ps_per_byte": [[0, 30], [90, 100], [100, 250]],
    "event_ns": [[0, 150], [50, 300], [100, 600]],
    "lock_ns": [[0, 15], [99, 30], [100, 60]],
    "ndis_ns": [[0, 500], [50, 800], [100, 2000]],
    "system_call_ns": [[0, 300], [50, 500], [100, 1000]],
    "wake_ns": [[0, 5000], [50, 6500], [100, 20_000]],
}


def varying(*names):
    return Costs(**{name: Distribution.of(TABLES[name]) for name in names})


def streams(seed):
    return lambda name: Stream(seed, name)


def draws(costs, seed=0, count=1000):
    prices = Prices(costs, streams(seed))
    plain = {name: getattr(prices, name) for name in TABLES if name != "copy_ps_per_byte"}
    plain["copy_ps_per_byte"] = lambda: prices.copy_ns(1000)
    return {name: [price() for _ in range(count)] for name, price in plain.items()}


def test_every_figure_that_may_vary_is_tried_here():
    assert set(TABLES) == set(VARYING)


def test_a_number_stays_a_number():
    costs = Costs()
    assert costs.is_constant
    for name, found in draws(costs).items():
        expected = getattr(costs, name)
        assert set(found) == {expected} or name == "copy_ps_per_byte"
    assert set(draws(costs)["copy_ps_per_byte"]) == {60}
    assert all(Prices(costs, streams(0)).varying(name) is None for name in VARYING)


def test_a_distribution_of_one_value_is_a_number():
    costs = Costs(wake_ns=Distribution.of([[0, 700], [100, 700]]), lock_ns=Distribution.of(5))
    assert costs == Costs(wake_ns=700, lock_ns=5)
    assert costs.is_constant


@pytest.mark.parametrize("name", TABLES)
def test_draws_follow_the_table(name):
    costs = varying(name)
    assert not costs.is_constant
    found = sorted(draws(costs, count=20_000)[name])
    for percentile, value in TABLES[name]:
        place = min(len(found) - 1, len(found) * percentile // 100)
        assert found[place] == pytest.approx(value, rel=0.03, abs=1)
    assert TABLES[name][0][1] <= found[0] and found[-1] <= TABLES[name][-1][1]
    assert costs.typical(name) == Distribution.of(TABLES[name]).median


@pytest.mark.parametrize("name", TABLES)
def test_another_distribution_of_one_figure_leaves_the_draws_of_all_others(name):
    before = draws(varying(*TABLES))
    after = draws(replace(varying(*TABLES), **{name: Distribution.of([[0, 10], [100, 90_000]])}))
    assert [other for other in TABLES if before[other] != after[other]] == [name]
    assert before != draws(varying(*TABLES), seed=1)


def test_a_copy_is_rounded_up_and_never_free():
    prices = Prices(varying("copy_ps_per_byte"), streams(0))
    assert {prices.copy_ns(1) for _ in range(100)} == {1}
    assert prices.copy_ns(0) == 0


@given(
    st.lists(st.tuples(st.integers(1, 99), st.integers(0, 10**9)), max_size=5, unique_by=lambda point: point[0]),
    st.integers(0, 10**9),
)
def test_a_sampler_stays_inside_and_repeats(middle, more):
    shares, values = sorted(share for share, _ in middle), sorted(value for _, value in middle)
    rows = [[0, 0], *map(list, zip(shares, values, strict=True))]
    table = Distribution.of([*rows, [100, rows[-1][1] + more + 1]])
    first, second = (table.sampler(Stream(3, "test")) for _ in range(2))
    found = [first() for _ in range(1200)]
    assert found == [second() for _ in range(1200)]
    assert min(found) >= 0 and max(found) <= table.points[-1][1]


def test_what_cannot_vary():
    with pytest.raises(UsageError, match="load_ns cannot vary: give a whole number"):
        Costs(load_ns=Distribution.of([[0, 1], [100, 3]]))


@pytest.mark.parametrize("name", [name for name, host in profiles().items() if not host.is_unlimited])
def test_profiles_vary_where_the_specification_has_ranges(name):
    """Spec win32 §7."""
    ranges = {
        "system_call_ns": (300, 1000),
        "wake_ns": (5000, 20_000),
        "contended_lock_ns": (100, 300),
        "copy_ps_per_byte": (30, 250),
        "ndis_ns": (500, 2000),
    }
    costs = profiles()[name].costs
    for figure, (low, high) in ranges.items():
        table = getattr(costs, figure)
        assert low <= table.at(0) < table.median < table.at(1_000_000) <= high, figure


# -- runs ---------------------------------------------------------------------------------------------------------


def host_file(folder, names, processors):
    """A computer on which these figures vary, and nothing else does."""
    figures = "".join(f"{name} = {TABLES[name]}\n" for name in names)
    limit = "" if processors is None else f"processors = {processors}\n"
    file = folder / f"{processors} {' '.join(names)}.toml"
    file.write_text(f"[host]\n{limit}[costs]\n{figures}")
    return str(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hosts")


runs = given(
    names=st.sets(st.sampled_from(sorted(TABLES)), min_size=1),
    processors=st.sampled_from([None, None, 1, 3]),
    client=st.builds(
        Client,
        spin_us=st.sampled_from([0, 12.5]),
        poll_us=st.sampled_from([0, 0, 300]),
        echo=st.booleans(),
        full=st.sampled_from(["drop", "spin", "yield", "sleep"]),
    ),
    workload=st.sampled_from(
        ["udp:rate=600000,size=1400", "poisson:rate=50000,size=imix", "ping:count=5,interval=1ms"]
    ),
    returns=st.sampled_from(["inside", "late:delay=100us,jitter=50us,processors=2"]),
    seed=st.integers(0, 5),
)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@runs
def test_both_engines_draw_in_the_same_order(folder, names, **values):
    assert_engines_agree(host_file(folder, sorted(names), values.pop("processors")), duration="2ms", **values)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@runs
def test_both_engines_draw_in_the_same_order_at_length(folder, names, **values):
    assert_engines_agree(host_file(folder, sorted(names), values.pop("processors")), duration="3ms", **values)


def assert_engines_agree(host, **values):
    first, second = (Experiment(host=host, engine=engine, **values).run() for engine in ("direct", "interpreted"))
    assert first.row() == second.row()
    assert (first.latencies_ns == second.latencies_ns).all()


def test_a_clients_calls_cost_what_is_drawn(tmp_path):
    """A DLL call that enters the kernel takes another time each time; one that stays in user mode does not."""
    script = tmp_path / "client.py"
    script.write_text(
        "import ctypes, time\n"
        "kernel32 = ctypes.WinDLL('kernel32')\n"
        "event = kernel32.CreateEventW(None, True, False, None)\n"
        "count = ctypes.c_int64()\n"
        "for call in (lambda: kernel32.SetEvent(event), lambda: kernel32.GetLastError()):\n"
        "    times = []\n"
        "    for _ in range(50):\n"
        "        times.append(time.perf_counter_ns())\n"
        "        call()\n"
        "    print(len({b - a for a, b in zip(times, times[1:])}))\n"
    )

    def run(costs):
        out = io.StringIO()
        simulation = Simulation(costs=costs)
        simulation.spawn(script, stdout=out)
        assert simulation.run("1s").exit_code == 0
        return [int(line) for line in out.getvalue().split()]

    constant, drawn = run(Costs()), run(varying("system_call_ns"))
    assert drawn[0] > constant[0] + 2
    assert drawn[1] <= constant[1] + 1


@pytest.mark.parametrize("processors", [1, 2])
def test_both_engines_agree_where_threads_take_each_others_processor(folder, processors):
    """A thread that gives way inside an expression comes back later than it left."""
    host = host_file(folder, [], processors)
    assert_engines_agree(host, client=Client(echo=True), workload="udp:rate=600000,size=1400", duration="2ms")
