"""The compiled engines come to what the others come to, in every field and in the digest of all that happened."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wintun_model.revision import REVISIONS
from wintunsim.experiments import Client, Experiment
from wintunsim.network.options import parse_traffic

SIZES = ("1400", "64", "1500", "9000", "imix", "100-1500")
RATES = (3000, 20_000, 100_000, 333_333, 500_000, 800_000, 1_200_000, 2_500_000, 5_000_000)
ABOUT_THE_ENGINE = ("engine_used", "engine_reason")


@st.composite
def workloads(draw):
    kind = draw(st.sampled_from(("constant", "poisson", "bursts", "trains", "udp")))
    rate, size = draw(st.sampled_from(RATES)), draw(st.sampled_from(SIZES))
    if kind == "udp":
        return f"udp:rate={rate},size={draw(st.sampled_from((100, 1400, 9000)))}"
    if kind == "trains":
        return f"trains:burst={draw(st.sampled_from((3, 50, 400)))},every=1ms,size={size}"
    text = f"{kind}:rate={rate},size={size}"
    if kind == "bursts":
        times, gaps = draw(st.sampled_from(("fixed", "exponential"))), draw(st.sampled_from(("even", "poisson")))
        text += f",on=200us,off=300us,times={times},gaps={gaps}"
    return text


@st.composite
def connections(draw):
    text = f"tcp:size={draw(st.sampled_from((100, 1400, 9000)))},window={draw(st.sampled_from((1, 4, 64, 500)))}"
    text += f",ack={draw(st.sampled_from(('taken', 'returned')))},rto={draw(st.sampled_from(('100us', '2ms')))}"
    text += draw(st.sampled_from(("", ",count=40", ",initial=1", ",retries=1")))
    return text + f",rtt={draw(st.sampled_from(('0ns', '3us', '150us')))}"


sources = st.one_of(workloads(), connections())
clients = st.builds(
    Client,
    echo=st.booleans(),
    spin_us=st.sampled_from((0, 0, 0.5, 5, 12.5, 100, 1000)),
    poll_us=st.sampled_from((0, 0, 0, 20, 400)),
    fine_timer=st.booleans(),
    handle_ns=st.sampled_from((0, 100, 500, 3000, 40_000)),
    handle_ps_per_byte=st.sampled_from((0, 100)),
    full=st.sampled_from(("drop", "spin", "yield", "sleep")),
    full_attempts=st.sampled_from((1, 2, 20, 1000)),
    full_us=st.sampled_from((0, 5, 100)),
    barrier=st.booleans(),
    always_set=st.booleans(),
    recheck_us=st.sampled_from((0, 0, 0.2, 5)),
    priority=st.sampled_from((1, 8, 15)),
)
experiments = st.builds(
    Experiment,
    workload=st.lists(sources, min_size=1, max_size=3).map(tuple),
    client=clients,
    host=st.sampled_from(("ideal", "desktop")),
    driver=st.sampled_from(sorted(REVISIONS)),
    capacity=st.sampled_from((0x20000, 0x40000, 0x100000)),
    duration=st.sampled_from(("200us", "1ms", "2ms")),
    seed=st.integers(0, 1 << 32),
)


compiled = st.sampled_from(("fast", "step"))


def differences(first, second):
    """The names of fields that two results do not agree in."""
    return [
        item.name
        for item in fields(first)
        if item.name not in ABOUT_THE_ENGINE
        and not np.array_equal(getattr(first, item.name), getattr(second, item.name))
    ]


def agree(experiment, engine="fast", other="direct"):
    """The compiled engine's result, which is as the other engine's."""
    found = experiment.with_values({"engine": engine}).run()
    assert not differences(found, experiment.with_values({"engine": other}).run())
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(experiments, compiled)
def test_any_experiment(experiment, engine):
    result = agree(experiment, engine)
    assert result.offered == result.delivered + result.dropped_packets + result.in_flight
    assert result.delivered == len(result.latencies_ns)
    if experiment.client.echo:
        assert 0 <= result.delivered - result.echo_written - result.echo_dropped <= 1
    assert result.echo_received <= result.echo_written


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(experiments, compiled, st.sampled_from(("direct", "interpreted")))
def test_any_experiment_at_length(experiment, engine, other):
    agree(experiment.with_values({"duration": "4ms"}), engine, other)


CASES = {
    "a client that waits": {},
    "a client that spins": {"client": Client(spin_us=12.5)},
    "the same, echoing": {"client": Client(spin_us=12.5, echo=True), "workload": "udp:rate=400000,size=1400"},
    "a reader that is woken": {"client": Client(echo=True), "workload": "constant:rate=4000,size=1400"},
    "a reader that is woken in bursts": {
        "client": Client(echo=True, handle_ns=0), "workload": "trains:burst=40,every=1ms,size=1400",
    },
    "the send ring is full": {"client": Client(handle_ns=5000), "workload": "udp:rate=3000000,size=1400"},
    "both rings are full": {"client": Client(echo=True, handle_ns=100), "workload": "udp:rate=3000000,size=1400"},
    "IMIX by chance": {"client": Client(echo=True, spin_us=5), "workload": "poisson:rate=400000,size=imix"},
    "several sources": {"workload": ("udp:rate=100000,size=1400", "poisson:rate=50000,size=imix")},
    "a source that fills whole windows at once": {
        "workload": ("trains:burst=9000,every=10ms,size=64", "udp:rate=1,size=99"),
    },
    "a workload that ends": {"workload": "udp:rate=100000,size=1400,count=20"},
    "a client that spins until there is room": {
        "workload": "udp:rate=3000000,size=1400", "client": Client(echo=True, full="spin", handle_ns=0),
    },
    "a client that sleeps until there is room": {
        "workload": "udp:rate=3000000,size=1400",
        "client": Client(echo=True, full="sleep", full_us=20, fine_timer=True, handle_ns=0),
    },
    "a closed loop": {"workload": "tcp:window=64,size=1400", "client": Client(echo=True, spin_us=12.5)},
    "a closed loop that loses packets": {
        "workload": ("tcp:window=500,size=1400,rto=1ms", "udp:rate=900000,size=1400"), "client": Client(echo=True),
    },
    "connections that end before the run": {
        "workload": ("tcp:window=8,size=1400,count=60", "tcp:window=500,size=1400,count=700,rto=1ms"),
        "client": Client(echo=True),
    },
    "nothing left to do, once timers are over": {"workload": "tcp:size=1400,count=60", "duration": "1500ms"},
    "a client that polls": {
        "client": Client(poll_us=400, fine_timer=True, handle_ns=100), "workload": "constant:rate=10Gbit/s,size=8000",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("host", ["ideal", "desktop"])
@pytest.mark.parametrize("duration", ["1ms", pytest.param("5ms", marks=pytest.mark.slow)])
def test_what_is_interpreted_agrees(name, host, duration):
    experiment = Experiment(**{"host": host, "duration": duration, "capacity": 0x20000, **CASES[name]})
    expected = experiment.with_values({"engine": "interpreted"}).run()
    assert expected.delivered
    for engine in ("fast", "step"):
        result = experiment.with_values({"engine": engine}).run()
        assert not differences(result, expected)
        assert (result.engine_used, result.engine_reason) == (engine, "")


@pytest.mark.parametrize("engine", ["fast", "step"])
def test_series_and_windows_are_the_same(engine):
    experiment = Experiment(
        host="ideal",
        workload="poisson:rate=700000,size=1400",
        capacity=0x20000,
        client=Client(echo=True),
        duration="4ms",
    )
    found = experiment.with_values({"engine": engine}).run(series=True, window_ns=(1_000_000, 1_400_000))
    plain = experiment.run(series=True, window_ns=(1_000_000, 1_400_000))
    for name in ("send_content", "receive_content", "dropped"):
        first, second = getattr(found.series, name), getattr(plain.series, name)
        assert all(np.array_equal(getattr(first, item.name), getattr(second, item.name)) for item in fields(first))
    assert np.array_equal(found.moments.records, plain.moments.records)
    assert (found.moments.names, found.moments.content_bytes) == (plain.moments.names, plain.moments.content_bytes)


@pytest.mark.parametrize(("engine", "fallback"), [("fast", "direct"), ("step", "interpreted")])
def test_what_cannot_be_compiled_is_left_to_another_engine(engine, fallback):
    for values, reason in (
        ({"host": "busy"}, "a host where threads wait for processors"),
        ({"returns": "late:delay=1ms"}, "its returns"),
        ({"faults": ("NBL:every=7",)}, "its faults"),
        ({"workload": "ping:count=3"}, "the workload ping"),
        ({"duration": "9us"}, "a run that ends before it has begun"),
    ):
        result = agree(Experiment(**{"host": "ideal", "duration": "2ms", "capacity": 0x20000, **values}), engine)
        assert (result.engine_used, result.engine_reason) == (fallback, reason)


def test_a_run_without_a_digest_is_the_same_otherwise():
    experiment = Experiment(host="ideal", client=Client(echo=True), duration="2ms", engine="fast")
    for engine in ("fast", "direct", "step", "interpreted"):
        with_one, without = (
            experiment.with_values({"engine": engine, "digest": digest}).run() for digest in (True, False)
        )
        assert without.digest == ""
        assert differences(with_one, without) == ["digest"]


def test_sources_of_every_kind_are_known_or_left_alone():
    # A source that is neither must be looked at, before the fast engine may run it.
    kinds = ("udp:rate=1000,size=100", "constant:rate=1000,size=100", "ping:count=3", "tcp:window=4")
    assert [type(parse_traffic(text)).__name__ for text in kinds] == [
        "UdpTraffic",
        "Workload",
        "PingTraffic",
        "TcpTraffic",
    ]
