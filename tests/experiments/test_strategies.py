"""What a client's strategy comes to: rates, several readers, batches, queues, packets of its own, lost wake-ups."""

import numpy as np
import pytest

from wintun_model.trace import Kind
from wintunsim import UsageError
from wintunsim.experiments import Client, Experiment


def run(client=None, **options):
    options = {"workload": "constant:rate=100000,size=1400", "duration": "20ms", "host": "ideal", **options}
    flows = options.pop("flows", False)
    return Experiment(client=client or Client(), **options).run(flows=flows)


# -- spinning above a rate ----------------------------------------------------------------------------------------


def test_a_client_spins_only_above_its_rate():
    rate_bps = 100_000 * 1400 * 8
    waits, spins = run(), run(Client(spin_us=12.5))
    below = run(Client(spin_us=12.5, spin_above_bps=rate_bps * 11 // 10, rate_window_us=1000))
    above = run(Client(spin_us=12.5, spin_above_bps=rate_bps * 9 // 10, rate_window_us=1000))
    assert below.wakeups == waits.wakeups == waits.offered
    assert spins.latencies_ns.max() < 1000
    # For the first window it waits; from the second on it spins.
    assert np.count_nonzero(above.latencies_ns > 2000) == pytest.approx(100, abs=3)
    assert (above.latencies_ns[110:] < 1000).all()


def test_a_rate_that_has_fallen_is_not_taken_for_the_last_one():
    """After 10 ms the packets come too seldom: the old rate counts for two windows at most."""
    seldom = run(
        Client(spin_us=12.5, spin_above_bps=500_000_000, rate_window_us=1000),
        workload=("constant:rate=100000,size=1400,count=1000", "constant:rate=300,size=1400"),
        duration="60ms",
    )
    assert (seldom.latencies_ns[-5:] > 2000).all()


def test_a_window_longer_than_the_experiment_is_refused():
    with pytest.raises(UsageError, match=r"over 500 ms, and the experiment is over before: give a longer duration"):
        Experiment(client=Client(spin_us=12.5, spin_above_bps=1))


# -- several readers, batches, a queue ----------------------------------------------------------------------------


def test_several_readers_handle_several_packets_at_a_time():
    one, four = (
        run(Client(handle_ns=20_000, spin_us=1000, readers=readers), workload="constant:rate=150000,size=1400")
        for readers in (1, 4)
    )
    assert one.delivered / 0.02 == pytest.approx(1e9 / 20_000, rel=0.01)
    assert four.delivered == four.offered
    busy = run(Client(handle_ns=20_000, readers=4), workload="constant:rate=150000,size=1400", host="desktop")
    assert busy.client_busy_ns / busy.virtual_ns > 2.9


def test_a_batch_moves_head_once():
    client = {"handle_ns": 8000, "spin_us": 1000}
    experiment = Experiment(duration="2ms", host="ideal", workload="constant:rate=200000,size=1400")
    heads = {}
    for batch in (1, 16):
        result = experiment.with_values({"client": Client(batch=batch, **client)}).run(window_ns=(0, 3_000_000))
        moments = result.moments
        stores = moments.records[moments.records[:, 2] == Kind.STORE]
        heads[batch] = sum(moments.names[subject].endswith("send.Head") for subject in stores[:, 3]) / result.delivered
    assert heads[1] == pytest.approx(1, rel=0.02)
    assert heads[16] < 0.2


def test_a_queue_that_is_full_drops_or_makes_the_ring_wait():
    slow = {"handle_ns": 20_000, "queue_packets": 10}
    drops, waits = (run(Client(queue_full=full, **slow), flows=True, capacity=0x200000) for full in ("drop", "wait"))
    assert drops.dropped == {"queue_full": drops.dropped_packets}
    assert drops.delivered == pytest.approx(1000, rel=0.04)
    assert drops.in_flight <= 11
    assert drops.queue_latencies_ns.max() < 12 * 20_100
    assert not waits.dropped
    assert waits.delivered == pytest.approx(1000, rel=0.04)
    assert waits.peak_content_bytes > 900 * 1404
    assert drops.flows[0].dropped == drops.dropped
    assert run().queue_latencies_ns is None


def test_a_queue_costs_one_more_wake_up():
    plain, queued = run(), run(Client(queue_packets=100))
    assert plain.wakeups == queued.wakeups
    assert queued.queue_latencies_ns.min() > 8000


# -- what the client has of its own -------------------------------------------------------------------------------


def test_packets_of_the_clients_own_arrive():
    result = run(workload="none", inbound="constant:rate=50000,size=1400", client=Client(handle_ns=2000))
    inbound = result.inbound
    assert result.offered == 0
    assert inbound.offered == inbound.delivered == -(-result.virtual_ns // 20_000)
    assert inbound.dropped == {}
    # It wakes up, handles the packet and writes it; the driver's reader spins meanwhile.
    assert 8000 + 2000 < np.median(inbound.latencies_ns) < 8000 + 2000 + 3000
    assert inbound.throughput_bps == pytest.approx(50000 * 1400 * 8, rel=0.01)
    assert result.echo_received == 0
    assert result.row()["inbound_latency_p50_ns"] == int(np.median(inbound.latencies_ns))
    assert "inbound_offered" not in run().row()


def test_the_writer_decides_the_throughput():
    fast = run(workload="none", inbound="constant:rate=400000,size=1400", client=Client(handle_ns=10_000))
    assert fast.inbound.delivered / 0.02 == pytest.approx(1e9 / (10_000 + 150), rel=0.02)
    assert fast.inbound.in_flight == fast.inbound.offered - fast.inbound.delivered


@pytest.mark.parametrize("full", ["drop", "spin", "yield", "sleep"])
def test_a_full_ring_drops_what_the_client_gives_up(full):
    client = Client(handle_ns=0, full=full, full_attempts=2, full_us=1, fine_timer=True)
    result = run(
        client,
        workload="none",
        inbound="constant:rate=1Mpps,size=9000",
        capacity=0x20000,
        flows=True,
        duration="2ms",
        returns="late:delay=200us",
    )
    inbound = result.inbound
    assert inbound.dropped["ring_full"] > 0
    assert inbound.offered == inbound.delivered + inbound.dropped["ring_full"] + inbound.in_flight
    assert result.flows[0].dropped == inbound.dropped
    assert result.flows[0].direction == "receive"


def test_what_the_driver_skips_is_told_from_what_is_lost_before():
    result = run(workload="none", inbound="constant:rate=50000,size=1400", faults="nbl:every=4")
    assert result.inbound.dropped == {"skipped": result.inbound.offered // 4}
    assert result.inbound.in_flight == 0


def test_echoes_and_packets_of_its_own_share_the_ring():
    result = run(Client(echo=True), inbound="poisson:rate=50000,size=1400")
    assert result.echo_received == result.echo_written
    assert result.delivered - result.echo_written <= 1
    assert result.inbound.offered - result.inbound.delivered <= 3


def test_a_closed_loop_is_no_inbound_traffic():
    for inbound in ("tcp:window=4", "nothing"):
        experiment = Experiment(inbound=inbound)
        with pytest.raises(UsageError, match=r"is a closed loop|of an unknown kind"):
            experiment.run()
        with pytest.raises(UsageError, match=r"is a closed loop|of an unknown kind"):
            experiment.sweep()
        with pytest.raises(UsageError, match="the axis inbound has"):
            Experiment().sweep(inbound=[inbound])


# -- flows --------------------------------------------------------------------------------------------------------


def test_flows_are_told_apart_and_tcp_counts_its_payload():
    result = run(
        workload=("constant:rate=10000,size=1400,flows=2,weights=3/1,version=both", "tcp:window=8,rtt=1ms,ack=taken"),
        inbound="ping:count=3,interval=1ms",
        flows=True,
    )
    names = {flow.flow: flow for flow in result.flows}
    assert {name.split()[0] for name in names} == {"udp", "tcp", "icmp"}
    assert "udp [fd06:7::7]:20001 > [fd06:7::8]:5000" in names
    tcp = next(flow for flow in result.flows if flow.flow.startswith("tcp "))
    assert tcp.goodput_bps == pytest.approx(8e9 * tcp.delivered_bytes * 1460 / 1500 / result.virtual_ns, rel=0.06)
    ping = next(flow for flow in result.flows if flow.flow.startswith("icmp "))
    assert (ping.direction, ping.offered, ping.delivered) == ("receive", 3, 3)
    assert run().flows is None


def test_a_sweep_has_a_row_for_each_flow_on_request(tmp_path):
    sweep = Experiment(workload="constant:rate=400000,size=1400,flows=2", duration="2ms").sweep(
        handle_ns=[500, 5000], inbound={"none": "none", "some": "constant:rate=10000,size=100"}
    )
    first = sweep.run(workers=1, flows=True, cache=tmp_path)
    table = first.flow_table
    assert list(table.columns[:5]) == ["handle_ns", "inbound", "seed", "direction", "flow"]
    assert len(table) == 2 * 2 + 2 * 3
    assert table.groupby(["handle_ns", "inbound"])["offered"].sum().loc[(500, "none")] == first.table["offered"][0]
    again = sweep.run(workers=1, flows=True, cache=tmp_path)
    assert again.from_cache == 4
    assert again.flow_table.equals(table)
    plain = sweep.run(workers=1, cache=tmp_path)
    assert plain.from_cache == 4
    assert plain.table.equals(first.table)
    with pytest.raises(UsageError, match="did not count flows: run it with flows=True"):
        plain.flow_table  # noqa: B018


def test_results_without_flows_do_not_serve_a_sweep_that_wants_them(tmp_path):
    sweep = Experiment(duration="1ms").sweep()
    sweep.run(workers=1, cache=tmp_path)
    found = sweep.run(workers=1, flows=True, series=True, cache=tmp_path)
    assert found.from_cache == 0
    kept = sweep.run(workers=1, flows=True, series=True, cache=tmp_path)
    assert kept.from_cache == 1
    assert kept.results[0].flows == found.results[0].flows


# -- lost wake-ups (spec driver §10, B3) --------------------------------------------------------------------------

STALL_NS = 40_000


def stalls(store_buffer_ns=1000, driver="0.14", **client):
    result = run(
        Client(**client),
        workload="none",
        inbound="poisson:rate=4000,size=1400",
        store_buffer_ns=store_buffer_ns,
        driver=driver,
        duration="300ms",
    )
    return int(np.count_nonzero(result.inbound.latencies_ns > STALL_NS))


def test_a_wake_up_is_lost_where_stores_are_seen_late():
    assert stalls(0) == 0 < stalls()


@pytest.mark.parametrize(
    ("client", "driver", "is_cured"),
    [
        ({"barrier": True}, "0.14", False),
        ({}, "2026-02", False),
        ({"barrier": True}, "2026-02", True),
        ({"always_set": True}, "0.14", True),
        ({"recheck_us": 2}, "0.14", True),
    ],
)
def test_what_cures_it(client, driver, is_cured):
    assert (stalls(driver=driver, **client) == 0) is is_cured


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"store_buffer_ns": -1}, "store_buffer_ns of the experiment is -1: give a whole number from 0 to 1000000"),
        ({"store_buffer_ns": 1.5}, "store_buffer_ns of the experiment is 1.5"),
        ({"readers": 0}, "readers of the client is 0: give a number from 1 to 64"),
        ({"batch": 0}, "batch of the client is 0: give a number from 1 to 1024"),
        ({"queue_packets": -1}, "queue_packets of the client is -1: give a number from 0 to 1000000"),
        ({"queue_full": "spin"}, "queue_full of the client is 'spin': choose one of drop, wait"),
        ({"spin_above_bps": 8e8}, "spin_above_bps of the client is 800000000.0: give a whole number"),
        ({"rate_window_us": 0}, "rate_window_us of the client is 0: give a number from 1 to 60000000"),
    ],
)
def test_values_that_make_no_sense(values, message):
    with pytest.raises(UsageError) as caught:
        Experiment().with_values(values)
    assert str(caught.value).startswith(message)
