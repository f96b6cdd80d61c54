"""Experiments against what queueing theory says, where the model comes down to a single queue.

Packets arrive by chance, one client takes them one by one and is slow enough for all else to be small beside it: that
is M/G/1. It spins, so that nothing is added by waking it; what it does for a packet takes a time that is known exactly.
"""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wintunsim.experiments import Client, Experiment

SEEDS = range(10)
PS_PER_BYTE = 40_000
"""40 ns a byte, so that 1250 bytes take 50 µs."""
STUDENT_T = 3.25
"""Of Student's t with 9 degrees of freedom, for 99 of 100."""


def overhead_ns(size):
    """What taking one packet costs beside handling it: six operations in the cache, and the copy."""
    result = Experiment(
        client=Client(spin_us=10**6, handle_ns=0), host="ideal", workload=f"udp:rate=1000,size={size}", duration="20ms"
    ).run()
    return int(np.median(result.latencies_ns))


def waits(sizes, weights, load, duration="400ms", ps_per_byte=PS_PER_BYTE):
    """Mean wait (ns) for each seed, and the theory's: packets of these sizes, at so much of what the client can do."""
    services = [ps_per_byte * size // 1000 + overhead_ns(size) for size in sizes]
    total = sum(weights)
    mean = sum(weight * service for weight, service in zip(weights, services, strict=True)) / total
    second = sum(weight * service**2 for weight, service in zip(weights, services, strict=True)) / total
    rate = round(load * 1e9 / mean)
    mix = "/".join(f"{size}x{weight}" for size, weight in zip(sizes, weights, strict=True))
    client = Client(spin_us=10**6, handle_ns=0, handle_ps_per_byte=ps_per_byte)
    experiment = Experiment(
        client=client, host="ideal", workload=f"poisson:rate={rate},size={mix}", duration=duration, capacity=1 << 22
    )
    means = []
    for seed in SEEDS:
        result = experiment.with_values({"seed": seed}).run()
        assert not result.dropped
        # A packet's time in the ring is its wait, and the start of its service: the copy out of the ring.
        means.append(result.latencies_ns[200:].mean() - overhead_ns(round(np.average(sizes, weights=weights))))
    pollaczek_khinchine = rate / 1e9 * second / (2 * (1 - rate / 1e9 * mean))
    return np.array(means), pollaczek_khinchine, mean


def agrees(means, theory):
    """Whether the theory's value is inside the confidence interval over the seeds, and that is not a wide one."""
    half = STUDENT_T * means.std(ddof=1) / math.sqrt(len(means))
    assert half < 0.25 * theory
    return abs(means.mean() - theory) < half + 0.03 * theory


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.3, 0.6])
def test_m_d_1(load):
    """All packets take the same time: half of what they would wait if their times were exponential."""
    means, theory, service = waits([1250], [1], load)
    assert theory == pytest.approx(load * service / (2 * (1 - load)), rel=0.01)
    assert agrees(means, theory)


@pytest.mark.slow
def test_m_m_1():
    """Sizes whose times are exponential, but for being cut into forty equally likely ones."""
    sizes = [round(-12_500 * math.log(1 - (place + 0.5) / 40)) for place in range(40)]
    means, theory, service = waits(sizes, [1] * 40, 0.5, "600ms", ps_per_byte=PS_PER_BYTE // 10)
    assert agrees(means, theory)
    assert theory == pytest.approx(0.5 * service / 0.5, rel=0.06)


@pytest.mark.parametrize("handle_us", [5, 20, 80])
@pytest.mark.parametrize("duration", ["40ms", pytest.param("100ms", marks=pytest.mark.slow)])
def test_saturated_the_client_is_the_bottleneck(handle_us, duration):
    """Whatever is offered, so many packets a second are taken as it can handle: within one in a hundred."""
    client = Client(spin_us=10**6, handle_ns=handle_us * 1000)
    result = Experiment(client=client, host="ideal", workload="udp:rate=500000,size=1400", duration=duration).run()
    rate = result.delivered / (result.virtual_ns / 1e9)
    assert rate == pytest.approx(1e9 / (handle_us * 1000 + overhead_ns(1400)), rel=0.01)


LENGTHS = pytest.mark.parametrize("examples", [6, pytest.param(40, marks=pytest.mark.slow)])


def searched(check, examples, **values):
    """Try `check` on so many examples, the same every time."""
    named = settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    named(given(**values)(check))()


@LENGTHS
def test_a_stall_is_survived_when_what_comes_in_it_is_not_more_than_the_capacity_less_4(examples):
    searched(
        check_stall,
        examples,
        capacity=st.sampled_from([0x20000, 0x40000, 0x80000]),
        size=st.integers(500, 9000),
        gap_us=st.integers(5, 40),
        extra_us=st.integers(200, 3000),
    )


def check_stall(capacity, size, gap_us, extra_us):
    """The client takes the first packet and is away until after the last; they must fit, with headers and padding."""
    stored = 4 + (size + 3) // 4 * 4
    fitting = (capacity - 4) // stored
    away_us = (fitting + 3) * gap_us + extra_us
    dropped = []
    for packets in (fitting + 1, fitting + 2):
        experiment = Experiment(
            client=Client(spin_us=1000, handle_ns=away_us * 1000),
            host="ideal",
            capacity=capacity,
            duration=f"{away_us}us",
            workload=f"trains:burst={packets},every=10s,size={size},gap={gap_us}us",
        )
        result = experiment.run()
        assert result.offered == packets
        dropped.append(result.dropped_packets)
    assert dropped == [0, 1]


@LENGTHS
def test_the_ring_is_full_exactly_when_rate_times_stall_is_more_than_the_capacity_less_4(examples):
    searched(
        check_full_ring,
        examples,
        capacity=st.sampled_from([0x20000, 0x40000, 0x80000]),
        rate=st.integers(40_000, 900_000),
        size=st.integers(200, 3000),
        share=st.floats(0.3, 3, exclude_min=True),
    )


def check_full_ring(capacity, rate, size, share):
    """At any rate, for a stall of any length: a client that sleeps, and takes all that has come when it looks.

    A packet takes its header and its padding too. At the border one packet decides, so the border is left out by the
    packets that may come before a stall or be late for it.
    """
    stored = 4 + (size + 3) // 4 * 4
    fitting = (capacity - 4) // stored
    # So many packets come in a stall; the client's own work is nothing beside it.
    stall_us = max(20, round(share * fitting * 1e6 / rate))
    coming = stall_us * rate / 1e6
    experiment = Experiment(
        client=Client(poll_us=stall_us, fine_timer=True, handle_ns=0),
        host="ideal",
        capacity=capacity,
        duration=f"{4 * stall_us}us",
        workload=f"udp:rate={rate},size={size}",
    )
    result = experiment.run()
    taking = fitting * overhead_ns(size) / 1e9 * rate
    if coming + taking + 2 < fitting:
        assert not result.dropped
        # What is left when the client looks is what has come since.
        assert abs(result.peak_content_bytes - coming * stored) <= (taking + 2) * stored
    elif coming > fitting + 2:
        assert set(result.dropped) == {"NDIS_STATUS_BUFFER_OVERFLOW"}
        assert capacity - 4 - stored < result.peak_content_bytes <= capacity - 4
    assert result.offered == result.delivered + result.dropped_packets + result.in_flight


@pytest.mark.parametrize("ps_per_byte", [20_000, 60_000])
@pytest.mark.parametrize("duration", ["30ms", pytest.param("60ms", marks=pytest.mark.slow)])
def test_saturated_by_bytes_the_throughput_is_what_the_client_handles(ps_per_byte, duration):
    """A full ring has room for small packets more often than for large ones: the client's work is counted by both."""
    client = Client(spin_us=10**6, handle_ns=0, handle_ps_per_byte=ps_per_byte)
    experiment = Experiment(
        client=client, host="ideal", workload="constant:rate=1Mpps,size=200x1/1400x1", duration=duration
    )
    result = experiment.run()
    assert result.dropped
    large = (result.delivered_bytes - 200 * result.delivered) // 1200
    work_ns = sum(
        count * (ps_per_byte * size // 1000 + overhead_ns(size))
        for size, count in ((200, result.delivered - large), (1400, large))
    )
    assert work_ns == pytest.approx(result.virtual_ns, rel=0.01)
