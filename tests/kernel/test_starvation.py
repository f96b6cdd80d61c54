"""Threads that starve: the balance set manager looks once a second (Windows Internals, chapter 4)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintun_model import operations as op
from wintunsim.experiments import Client, Experiment
from wintunsim.kernel.balance_set import BOOSTED_AT_ONCE, BOOSTED_NS, PERIOD_NS, STARVED_NS, BalanceSetManager
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.host import Host
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.streams import Stream

MS = 1_000_000
SECOND = 1_000_000_000


def machine(processors=1, *, seed=0, **options):
    costs = Costs(wake_ns=0, yield_ns=0, event_ns=0)
    return LimitedMachine(seed, Host(processors=processors, quantum_ns=31_250_000, costs=costs, **options))


def work(machine, name, total_ns, done, *, priority, step_ns=10 * MS, at=0):
    def body():
        for _ in range(total_ns // step_ns):
            machine.spend(step_ns)
        done[name] = machine.now

    return machine.start_thread(name, body, priority=priority, delay_ns=at)


def first_look(seed, ready_ns=0):
    """When the manager finds a thread that is ready from `ready_ns` on."""
    phase = machine(seed=seed)._balance.phase_ns
    starved = ready_ns + STARVED_NS
    return starved + (phase - starved) % PERIOD_NS


@pytest.mark.parametrize("seed", range(3))
def test_a_thread_that_starves_runs_after_four_to_five_seconds(seed):
    simulated, done = machine(seed=seed), {}
    work(simulated, "high", 8 * SECOND, done, priority=8)
    work(simulated, "low", 10 * MS, done, priority=1)
    simulated.run()
    simulated.close()
    assert 4 * SECOND <= done["low"] < 5 * SECOND + 20 * MS
    assert done["low"] == first_look(seed) + 10 * MS
    assert done["high"] == 8 * SECOND + 10 * MS
    assert simulated.report()["starved"] == 1


def test_the_boost_lasts_one_tick_and_ends_at_once():
    simulated, done, seen = machine(), {}, []
    work(simulated, "high", 12 * SECOND, done, priority=8)

    def low():
        for _ in range(30):
            simulated.spend(MS)
            seen.append(simulated.now)

    simulated.start_thread("low", low, priority=1)
    simulated.run()
    simulated.close()
    first = first_look(0)
    second = first_look(0, first + BOOSTED_NS)
    # A step that is under way when the tick ends is finished in the next boost.
    assert seen[:15] == [first + MS * (place + 1) for place in range(15)]
    assert second <= seen[15] < second + MS
    assert seen[29] == seen[15] + 14 * MS
    assert done["high"] == 12 * SECOND + 30 * MS


def test_without_boosts_it_starves_to_the_end():
    simulated, done = machine(boosts=False), {}
    work(simulated, "high", 8 * SECOND, done, priority=8)
    work(simulated, "low", 10 * MS, done, priority=1)
    simulated.run()
    simulated.close()
    assert done == {"high": 8 * SECOND, "low": 8 * SECOND + 10 * MS}


def test_real_time_threads_are_not_preempted_by_it():
    simulated, done = machine(), {}
    work(simulated, "real-time", 8 * SECOND, done, priority=16)
    work(simulated, "low", 10 * MS, done, priority=1)
    simulated.run()
    simulated.close()
    assert done["low"] == 8 * SECOND + 10 * MS


def test_the_boost_ends_when_the_thread_waits():
    simulated, done = machine(), {}
    event = op.Event("e", manual_reset=False)
    work(simulated, "high", 8 * SECOND, done, priority=8)

    def low():
        simulated.spend(MS)
        simulated.wait((event,))
        simulated.spend(MS)
        done["low"] = simulated.now

    simulated.start_thread("low", low, priority=1)
    simulated.call_at(6 * SECOND, lambda: simulated.set_event(event))
    simulated.run()
    simulated.close()
    # Woken at 6 s, it starves anew, until the other one has ended.
    assert done["low"] == done["high"] + MS


def test_a_run_does_not_last_longer_for_it():
    simulated, done = machine(), {}
    work(simulated, "high", 10 * MS, done, priority=8)
    work(simulated, "low", 10 * MS, done, priority=1)
    assert not simulated.run()
    assert simulated.latest == 20 * MS


def test_whoever_waits_longest_comes_first_and_ten_at_most():
    manager = BalanceSetManager(Stream(0, "test"))
    simulated = machine()
    threads = [simulated.start_thread(f"{place}", lambda: None) for place in range(15)]
    ready = [(15 - place, thread) for place, thread in enumerate(threads)]
    now = 5 * SECOND
    found = manager.look(ready, now)
    assert found == threads[: -BOOSTED_AT_ONCE - 1 : -1]
    assert now < manager.due_ns <= now + PERIOD_NS
    assert manager.look([], now) == []
    simulated.run()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 5),
    processors=st.integers(1, 2),
    jobs=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 40), st.integers(1, 18)), min_size=2, max_size=6),
    foreign=st.lists(st.integers(1, 15 * SECOND), max_size=4),
)
def test_all_work_is_done_once_and_time_never_goes_back(seed, processors, jobs, foreign):
    simulated, seen, done = machine(processors, seed=seed), [], {}

    def watch(name, spans, span_ns):
        for _ in range(spans):
            simulated.spend(span_ns)
            seen.append((simulated.now, int(simulated.environment.now)))
        done[name] = simulated.now

    for number, (at, tenths, priority) in enumerate(jobs):
        name = f"{number}"
        simulated.start_thread(
            name,
            lambda name=name, tenths=tenths: watch(name, tenths, SECOND // 10),
            priority=priority,
            delay_ns=at * MS,
        )
    for time_ns in foreign:
        simulated.call_at(time_ns, lambda: seen.append((simulated.time(), int(simulated.environment.now))))
    simulated.run()
    simulated.close()
    assert len(done) == len(jobs)
    assert sum(simulated.report()["processors"]) == sum(tenths for _, tenths, _ in jobs) * (SECOND // 10)
    assert [now for now, _ in seen] == sorted(now for now, _ in seen)
    assert all(now >= outside for now, outside in seen)


@pytest.mark.parametrize("processors", [1, 2])
def test_the_drivers_reader_on_a_saturated_computer(tmp_path, processors):
    """It has priority 1. Others work all the time: its packets wait for four to five seconds, and are not lost."""
    file = tmp_path / "saturated.toml"
    file.write_text(
        f"[host]\nprocessors = {processors}\n[[background]]\nthreads = {processors}\nbusy = 60_000_000_000\nidle = 1\n"
    )
    experiment = Experiment(
        host=str(file), client=Client(echo=True, priority=9), workload="udp:rate=20,size=100", duration="9s"
    )
    first, second = experiment.run(), experiment.with_values({"engine": "interpreted"}).run()
    assert first.digest == second.digest
    assert 3 * SECOND < first.echo_latencies_ns.max() < 5 * SECOND + 100 * MS
    assert first.echo_written - first.echo_received <= 20 * 5
