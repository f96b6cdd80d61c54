"""Experiments: every packet is accounted for, both engines agree, and what a strategy costs shows."""

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wintunsim import UsageError
from wintunsim.experiments import Client, Experiment
from wintunsim.kernel.host import profiles

CLIENTS = st.builds(
    Client,
    spin_us=st.sampled_from([0, 0.1, 12.5, 100]),
    poll_us=st.sampled_from([0, 0, 500]),
    fine_timer=st.booleans(),
    handle_ns=st.integers(0, 5000),
    echo=st.booleans(),
    full=st.sampled_from(["drop", "spin", "yield", "sleep"]),
    full_attempts=st.integers(1, 50),
    barrier=st.booleans(),
    spin_above_bps=st.sampled_from([0, 0, 800_000_000]),
    rate_window_us=st.sampled_from([100, 1000]),
    readers=st.sampled_from([1, 1, 2, 5]),
    batch=st.sampled_from([1, 1, 4, 64]),
    queue_packets=st.sampled_from([0, 0, 1, 3, 200]),
    queue_full=st.sampled_from(["drop", "wait"]),
    always_set=st.booleans(),
    recheck_us=st.sampled_from([0, 0, 1, 50]),
)
EXPERIMENTS = st.builds(
    Experiment,
    workload=st.sampled_from(
        [
            "udp:rate=500000,size=1400",
            "udp:rate=20000,size=60",
            "udp:rate=900000,size=9000",
            "ping:count=5,interval=1ms",
            ("bursts:rate=4Gbit,on=100us,off=200us,size=imix,flows=3", "udp:rate=20000,size=60"),
            "tcp:window=32,rtt=300us,ack=taken",
        ]
    ),
    inbound=st.sampled_from(
        [
            (),
            "poisson:rate=1Gbit,size=1400",
            ("constant:rate=300000,size=64-1500,flows=2", "udp:rate=5000,size=100"),
            "trains:burst=50,every=500us,size=9000",
        ]
    ),
    store_buffer_ns=st.sampled_from([0, 0, 100, 2000]),
    client=CLIENTS,
    host=st.sampled_from(list(profiles())),
    driver=st.sampled_from(["0.8.1", "0.14", "2026-02"]),
    capacity=st.sampled_from([0x20000, 0x100000]),
    duration=st.just("3ms"),
    returns=st.sampled_from(
        [
            "inside",
            "late:delay=100us,jitter=50us,processors=2",
            "late:delays=0:1us/90:100us/100:2ms,order=random",
        ]
    ),
    faults=st.sampled_from([(), ("nbl:every=7",), ("partial-memory-descriptor:every=5",)]),
    seed=st.integers(0, 5),
)
SETTINGS = settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(EXPERIMENTS)
def test_every_packet_is_accounted_for(experiment):
    check_packets(experiment)


@pytest.mark.slow
@settings(SETTINGS, max_examples=100)
@given(EXPERIMENTS)
def test_every_packet_is_accounted_for_at_length(experiment):
    check_packets(experiment)


def check_packets(experiment):
    result = experiment.run(flows=True)
    assert result.offered == result.delivered + result.dropped_packets + result.in_flight
    assert result.in_flight >= 0
    client = experiment.client
    dropped_behind = result.dropped.get("queue_full", 0)
    # What it has taken, and neither handled nor dropped, stands in its queue or is in its threads' hands.
    in_hands = len(result.latencies_ns) - result.delivered - dropped_behind
    assert 0 <= in_hands <= client.queue_packets + client.readers * client.batch
    if client.queue_packets:
        assert 0 <= len(result.queue_latencies_ns) - result.delivered <= 1
        assert client.queue_full == "drop" or not dropped_behind
    assert result.echo_written + result.echo_dropped <= result.delivered
    # One that is written may be on its way up while its writer still looks after the event.
    assert result.echo_received <= result.echo_written + (1 if client.queue_packets else client.readers)
    assert (result.latencies_ns >= 0).all()
    assert result.peak_content_bytes <= experiment.capacity - 4
    check_inbound(experiment, result)
    check_flows(result)


def check_inbound(experiment, result):
    inbound = result.inbound
    assert (inbound is not None) is bool(experiment.inbound)
    if inbound is None:
        return
    assert inbound.offered == inbound.delivered + sum(inbound.dropped.values()) + inbound.in_flight
    assert inbound.in_flight >= 0
    assert len(inbound.latencies_ns) == inbound.delivered
    # It is handled before it is written.
    assert (inbound.latencies_ns >= experiment.client.handle_ns).all()
    assert set(inbound.dropped) <= {"ring_full", "skipped"}


def check_flows(result):
    """Each flow's packets are accounted for, and in all they are those of the run."""
    for flow in result.flows:
        assert flow.offered == flow.delivered + sum(flow.dropped.values()) + flow.in_flight
        assert flow.in_flight >= 0
    whole = {
        "send": (result.offered, result.delivered, result.dropped, result.delivered_bytes),
        "receive": result.inbound
        and (result.inbound.offered, result.inbound.delivered, result.inbound.dropped, result.inbound.delivered_bytes),
    }
    for direction, expected in whole.items():
        flows = [flow for flow in result.flows if flow.direction == direction]
        dropped = sum((Counter(flow.dropped) for flow in flows), Counter())
        found = tuple(sum(getattr(flow, name) for flow in flows) for name in ("offered", "delivered"))
        if expected:
            assert (*found, dropped, sum(flow.delivered_bytes for flow in flows)) == expected
        else:
            assert not flows


@SETTINGS
@given(EXPERIMENTS)
def test_both_engines_come_to_the_same(experiment):
    check_engines(experiment)


@pytest.mark.slow
@settings(SETTINGS, max_examples=60)
@given(EXPERIMENTS)
def test_both_engines_come_to_the_same_at_length(experiment):
    check_engines(experiment)


def check_engines(experiment):
    first, second = experiment.run(), experiment.with_values({"engine": "interpreted"}).run()
    assert first.row() == second.row()
    assert (first.latencies_ns == second.latencies_ns).all()
    if first.inbound is not None:
        assert (first.inbound.latencies_ns == second.inbound.latencies_ns).all()


def row(client=None, **options):
    options = {"workload": "udp:rate=100000,size=1400", "duration": "20ms", **options}
    return Experiment(client=client or Client(), **options).run().row()


def test_the_bottleneck_decides_the_throughput():
    """A client that takes 10 µs for a packet gets 100 000 of them a second, whatever is offered."""
    found = row(Client(handle_ns=10_000, spin_us=1000), workload="udp:rate=400000,size=1400", host="ideal")
    assert found["delivered"] / 0.02 == pytest.approx(1e9 / (10_000 + 130), rel=0.01)
    assert found["dropped_NDIS_STATUS_BUFFER_OVERFLOW"] == found["dropped"] > 0


@pytest.mark.parametrize("capacity", [0x20000, 0x100000])
def test_a_stall_drops_what_the_ring_cannot_take(capacity):
    """A client that sleeps for 5 ms between looks: what comes meanwhile must fit into capacity - 4 bytes."""
    found = row(Client(poll_us=5000, fine_timer=True, handle_ns=0), capacity=capacity, host="ideal", duration="24ms")
    assert (found["dropped"] > 0) is (capacity - 4 < 500 * 1404)
    assert found["peak_content_bytes"] <= capacity - 4


def test_spinning_buys_latency_with_the_processor():
    waits, spins = row(Client()), row(Client(spin_us=100))
    assert spins["latency_p99_ns"] < waits["latency_p99_ns"] / 2
    assert spins["client_busy"] > 0.95 > waits["client_busy"]
    assert spins["wakeups"] < waits["wakeups"] / 100


def test_a_sleep_on_the_timers_tick_is_longer_than_it_says():
    fine, coarse = (row(Client(poll_us=500, fine_timer=is_fine), duration="60ms") for is_fine in (True, False))
    assert fine["latency_max_ns"] < 700_000
    assert coarse["latency_max_ns"] > 10_000_000


@pytest.mark.parametrize("tick", ["500us", "1ms", "15.625ms", ""])
def test_sleeps_end_on_the_experiments_tick(tick):
    """A client that looks every 100 µs in fact looks at each tick: packets wait for a tick at most."""
    found = row(Client(poll_us=100, handle_ns=0), timer_tick=tick, duration="100ms", host="ideal")
    tick_ns = {"500us": 500_000, "1ms": 1_000_000}.get(tick, 15_625_000)
    # A sleep that would end just after a tick ends at the next one.
    assert 0.9 * tick_ns < found["latency_max_ns"] < 1.1 * tick_ns + 100_000


def test_the_same_experiment_has_the_same_result_and_another_seed_another():
    digests = [row(seed=seed, host="busy")["digest"] for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_an_experiment_is_plain_data():
    experiment = Experiment(client=Client(spin_us=12.5), workload=("ping:count=1", "udp:rate=1000,size=60"))
    data = json.loads(json.dumps(experiment.as_dict()))
    assert Experiment(**data) == experiment
    assert experiment.with_values({"spin_us": 3, "capacity": 0x20000}) == Experiment(
        client=Client(spin_us=3), workload=experiment.workload, capacity=0x20000
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"host": "laptop"}, "there is no host 'laptop'"),
        ({"driver": "0.7"}, "the driver of the experiment is '0.7': choose one of 0.8, "),
        ({"capacity": 1000}, "the capacity of the experiment is 1000: give a power of two from 131072 to 67108864"),
        ({"capacity": 0x20004}, "the capacity of the experiment is 131076: give a power of two"),
        ({"duration": "0s"}, "the duration of the experiment is 0"),
        ({"duration": "long"}, "'long' is not a duration"),
        ({"seed": -1}, "the seed of the experiment is -1"),
        ({"engine": "quick"}, "the engine of the experiment is 'quick': choose one of direct, fast, step, interpreted"),
        ({"spin_us": -1}, "spin_us of the client is -1: give a number from 0 to "),
        ({"handle_ns": 1.5}, "handle_ns of the client is 1.5: give a whole number"),
        ({"full": "wait"}, "full of the client is 'wait': choose one of drop, spin, yield, sleep"),
        ({"rings": 2}, "an experiment has no 'rings': it has capacity, client, "),
        ({"timer_tick": "20ms"}, "the timer_tick of the experiment is '20ms': give 500us to 15.625ms"),
        ({"timer_tick": "fast"}, "'fast' is not a duration"),
        ({"host": "own.toml"}, "the host 'own.toml' cannot be read"),
        ({"returns": "never"}, "the returns 'never' are of an unknown kind"),
        ({"faults": ("disk:1",)}, "the fault 'disk:1' names nothing that can fail"),
        ({"faults": ("nbl:3", "packet-data:2")}, "the fault packet-data is none for experiments: the driver refuses "),
    ],
)
def test_values_that_make_no_sense(values, message):
    with pytest.raises(UsageError) as caught:
        Experiment().with_values(values)
    assert str(caught.value).startswith(message)
