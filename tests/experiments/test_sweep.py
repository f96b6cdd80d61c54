"""Sweeps: what is run, the table that comes of it, and that it is the same whoever runs it."""

import gc
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from wintunsim import UsageError
from wintunsim.experiments import Client, Experiment

CAPTURE = Path(__file__).parents[1] / "data" / "tunnel-mixed.pcapng"
SMALL = Experiment(workload="udp:rate=200000,size=1400", duration="2ms")
SLOW_CLIENT = Experiment(workload="udp:rate=900000,size=1400", duration="2ms", client=Client(handle_ns=5000))


@pytest.fixture(scope="module")
def sweep():
    return SMALL.sweep(capacity=[0x20000, 0x100000], spin_us=[0, 12.5], seeds=range(2))


@pytest.fixture(scope="module")
def result(sweep):
    return sweep.run(workers=1)


def test_a_row_for_each_run_in_the_order_of_the_axes(sweep, result):
    expected = [
        {"capacity": capacity, "spin_us": spin, "seed": seed}
        for capacity in (0x20000, 0x100000)
        for spin in (0, 12.5)
        for seed in (0, 1)
    ]
    assert result.table[["capacity", "spin_us", "seed"]].to_dict("records") == expected
    assert len(sweep) == len(result.table) == result.runs == 8
    assert (result.failures, result.from_cache) == ((), 0)


def test_a_row_is_that_of_the_same_experiment_alone(result):
    alone = SMALL.with_values({"capacity": 0x100000, "spin_us": 12.5, "seed": 1}).run().row()
    row = result.table.iloc[7].to_dict()
    for name, value in alone.items():
        assert np.isnan(row[name]) if value is None else row[name] == value, name
    assert list(row) == ["capacity", "spin_us", "seed", *alone]


def test_two_processes_come_to_the_same_table(sweep, result):
    assert sweep.run(workers=2).table.equals(result.table)


def test_an_executor_that_is_there_comes_to_the_same_table(sweep, result):
    with ThreadPoolExecutor(3) as executor:
        assert sweep.run(executor=executor).table.equals(result.table)
        assert executor.submit(int, 3).result() == 3  # it is left to its owner


@pytest.mark.slow
def test_dask_comes_to_the_same_table(sweep, result):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        assert sweep.run(executor=client).table.equals(result.table)
        assert sweep.run(executor=client.get_executor()).table.equals(result.table)


@pytest.mark.slow
def test_joblibs_processes_come_to_the_same_table(sweep, result):
    loky = pytest.importorskip("joblib.externals.loky")
    with loky.ProcessPoolExecutor(2) as executor:
        assert sweep.run(executor=executor).table.equals(result.table)


def test_a_script_needs_no_guard_and_workers_see_its_folder(tmp_path):
    """Also one that comes from standard input; its folder is the one that it has changed to."""
    (tmp_path / "there").mkdir()
    script = f"""
import os, shutil
from wintunsim.experiments import Experiment
os.chdir({str(tmp_path)!r})
shutil.copy({str(CAPTURE)!r}, "local.pcapng")
sweep = Experiment(workload="capture:local.pcapng", duration="1ms").sweep(seeds=3)
print(len(sweep.run(workers=2).table))
"""
    process = subprocess.run([sys.executable], input=script, capture_output=True, text=True, timeout=60, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (0, "3\n", "")


# -- axes ---------------------------------------------------------------------------------------------------------


def labels(sweep):
    return [{name: label for name, label in parameters.items() if name != "seed"} for parameters, _ in sweep]


def test_texts_name_workloads_and_hosts():
    sweep = SMALL.sweep(workload=["ping:count=1", ("ping:count=1", "udp:rate=1000,size=60")], host=["ideal", "busy"])
    assert labels(sweep)[1:3] == [
        {"workload": "ping:count=1", "host": "busy"},
        {"workload": "ping:count=1 + udp:rate=1000,size=60", "host": "ideal"},
    ]
    assert [experiment.host for _, experiment in sweep] == ["ideal", "busy"] * 2


def test_a_mapping_gives_values_their_labels():
    sweep = SMALL.sweep(workload={"few": "udp:rate=1000,size=60", "many": "udp:rate=90000,size=60"})
    assert labels(sweep) == [{"workload": "few"}, {"workload": "many"}]
    assert list(sweep.run(workers=1).table["workload"]) == ["few", "many"]


def test_an_axis_of_a_client_changes_each_client():
    sweep = SMALL.sweep(spin_us=[0, 5], client=[Client(), Client(echo=True), Client(poll_us=500, full="spin")])
    assert {row["client"] for row in labels(sweep)} == {"default", "echo=True", "poll_us=500, full=spin"}
    assert [(run.client.spin_us, run.client.echo) for _, run in sweep] == [
        (0, False),
        (0, True),
        (0, False),
        (5, False),
        (5, True),
        (5, False),
    ]


def test_faults_have_labels_too():
    assert labels(SMALL.sweep(faults=[(), "nbl:3", ("nbl:3", "map:9")])) == [
        {"faults": "none"},
        {"faults": "nbl:3"},
        {"faults": "nbl:3 + map:9"},
    ]


def test_numbers_of_numpy_are_numbers():
    sweep = SMALL.sweep(capacity=2 ** np.arange(17, 19), spin_us=np.array([0.5]), seeds=np.arange(2))
    assert [parameters for parameters, _ in sweep][3] == {"capacity": 0x40000, "spin_us": 0.5, "seed": 1}
    assert sweep.run(workers=1).table["capacity"].dtype == np.int64


@pytest.mark.parametrize(("seeds", "expected"), [(None, [7]), (3, [0, 1, 2]), ([5, 2], [5, 2]), (range(2, 4), [2, 3])])
def test_seeds(seeds, expected):
    sweep = SMALL.with_values({"seed": 7}).sweep(seeds=seeds)
    assert [parameters for parameters, _ in sweep] == [{"seed": seed} for seed in expected]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"rings": [1]}, "there is no axis 'rings': choose among seeds, workload, inbound, client, host, driver, "),
        ({"seed": [1]}, "the axis 'seed' is called seeds: write seeds=range(10)"),
        ({"host": "busy"}, "the axis host is 'busy': give a list of values"),
        ({"capacity": 0x20000}, "the axis capacity is 131072: give a list of values"),
        ({"capacity": []}, "the axis capacity has no values"),
        ({"capacity": [0x20000, 0x40000, 0x20000]}, "the axis capacity has 131072 twice"),
        ({"capacity": [0x20000, 1000]}, "the axis capacity has 1000, but the capacity of the experiment is 1000: give"),
        ({"spin_us": [-1]}, "the axis spin_us has -1, but spin_us of the client is -1: give a number from 0"),
        ({"workload": ["udp:size=3"]}, "the axis workload has 'udp:size=3', but "),
        ({"workload": [3]}, "the axis workload has 3: that is nothing that workload can be"),
        ({"host": ["laptop"]}, "the axis host has 'laptop', but there is no host 'laptop'"),
        ({"client": Client()}, "the axis client is Client("),
        ({"host": {(1, 2): "busy"}}, "the axis host has the label (1, 2): give a text or a number"),
        ({"seeds": []}, "the seeds are none"),
        ({"seeds": 0}, "the seeds are none"),
        ({"seeds": [1, 1]}, "the seeds have 1 twice"),
        ({"seeds": [-1]}, "the seeds have -1, but the seed of the experiment is -1"),
        ({"seeds": "ten"}, "the seeds are 'ten': give a list of integers"),
        ({"seeds": 1.5}, "the seeds are 1.5: give a list of integers"),
    ],
)
def test_axes_that_make_no_sense(axes, message):
    with pytest.raises(UsageError) as caught:
        SMALL.sweep(**axes)
    assert str(caught.value).startswith(message)


def test_a_workload_that_makes_no_sense_is_found_before_the_first_run():
    with pytest.raises(UsageError, match="of an unknown kind"):
        Experiment(workload="telepathy").sweep(seeds=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0: give a whole number"),
        ({"workers": 1.5}, "workers is 1.5: give a whole number"),
        ({"executor": "dask"}, "executor is 'dask': give one that has submit"),
        ({"executor": 3, "workers": 2}, "both workers and an executor are given"),
        ({"on_failure": "cry"}, "on_failure is 'cry': choose stop or continue"),
    ],
)
def test_options_that_make_no_sense(sweep, options, message):
    with pytest.raises(UsageError, match=message):
        sweep.run(**options)


# -- what comes of it ---------------------------------------------------------------------------------------------


def test_means_with_their_confidence_intervals():
    found = SMALL.sweep(capacity=[0x20000, 0x100000], seeds=3).run(workers=1)
    summary = found.summary("latency_max_ns", "offered")
    assert list(summary.columns) == [
        *("capacity", "runs", "latency_max_ns", "latency_max_ns_low", "latency_max_ns_high"),
        *("offered", "offered_low", "offered_high"),
    ]
    values = list(found.table["latency_max_ns"][:3])
    half = 4.302652729911275 * statistics.stdev(values) / 3**0.5  # t(0.975) of two degrees of freedom
    line = summary.iloc[0]
    assert (line["capacity"], line["runs"]) == (0x20000, 3)
    assert line["latency_max_ns"] == pytest.approx(statistics.mean(values))
    assert line["latency_max_ns_low"] == pytest.approx(statistics.mean(values) - half)
    assert line["latency_max_ns_high"] == pytest.approx(statistics.mean(values) + half)
    wider = found.summary("latency_max_ns", confidence=0.99).iloc[0]
    assert wider["latency_max_ns_high"] > line["latency_max_ns_high"]


def test_one_seed_has_a_mean_and_no_interval():
    line = SMALL.sweep().run(workers=1).summary().iloc[0]
    assert line["runs"] == 1 and line["throughput_bps"] > 0
    assert np.isnan(line["throughput_bps_low"]) and np.isnan(line["drop_share_high"])


def test_a_metric_without_values_has_no_mean(result):
    assert np.isnan(result.summary("echo_latency_p99_ns")["echo_latency_p99_ns"]).all()


@pytest.mark.parametrize(
    ("metrics", "options", "message"),
    [
        (["speed"], {}, "there is no metric 'speed': choose among offered, delivered, dropped, "),
        (["digest"], {}, "there is no metric 'digest'"),
        (["seed"], {}, "there is no metric 'seed'"),
        ([], {"confidence": 95}, "the confidence is 95: give a number between 0 and 1"),
    ],
)
def test_summaries_that_make_no_sense(result, metrics, options, message):
    with pytest.raises(UsageError, match=message):
        result.summary(*metrics, **options)


def test_causes_of_drops_stand_in_every_row_and_behind_their_sum():
    table = SLOW_CLIENT.sweep(capacity=[0x20000, 0x400000], queue_packets=[0, 16]).run(workers=1).table
    columns = list(table.columns)
    causes = [name for name in columns if name.startswith("dropped_")]
    assert len(causes) == 2  # the ring, and the queue
    assert columns[columns.index("dropped") + 1 :][: len(causes)] == sorted(causes)
    assert (table[causes].sum(axis=1) == table["dropped"]).all()
    assert (table["dropped"] == 0).any() and table["dropped"].max() > 0
    assert all(table[cause].dtype == np.int64 for cause in causes)


def test_whole_results_come_on_request(sweep, result):
    with pytest.raises(UsageError, match="kept rows only: run it with series=True"):
        result.results  # noqa: B018
    whole = sweep.run(workers=2, series=True)
    assert whole.table.equals(result.table)
    assert [found.digest for found in whole.results] == list(whole.table["digest"])
    assert [len(found.latencies_ns) for found in whole.results] == list(whole.table["delivered"])
    assert all(found.series.send_content.most.max() > 0 for found in whole.results)


@pytest.mark.parametrize("client", [Client(), Client(poll_us=100), Client(echo=True, full="sleep")])
def test_a_run_leaves_nothing_behind(client):
    """Neither its computer nor its packets: a sweep's memory is that of its rows."""
    sweep = Experiment(workload="udp:rate=900000,size=1400", duration="1ms", client=client, capacity=0x20000)
    sizes = []
    for _ in range(2):
        assert len(sweep.sweep(seeds=5).run(workers=1).table) == 5
        gc.collect()
        sizes.append(len(gc.get_objects()))
    assert sizes[1] - sizes[0] < 500


def test_in_a_notebook_it_is_its_table(result):
    assert "<table" in result._repr_html_() and "spin_us" in result._repr_html_()


def test_the_progress_line_is_for_terminals(sweep, capsys, monkeypatch):
    sweep.run(workers=1)
    assert capsys.readouterr().err == ""
    sweep.run(workers=1, progress=True)
    assert "8/8" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    sweep.run(workers=1, progress=False)
    assert capsys.readouterr().err == ""


def test_what_is_not_installed_is_named_before_anything_runs(sweep, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"needs pandas, .*: run pip install 'wintunsim\[experiments\]'"):
        sweep.run(executor=object())
