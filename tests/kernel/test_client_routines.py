"""The client's routines in virtual time: sleeping, yielding, working, and an echo beside the driver."""

import pytest

from wintun_model import operations as op
from wintun_model.client import ClientRing, Outcome, ReadStrategy, WriteStrategy, read, write
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.host import Host
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.processors import LimitedMachine

TICK = Costs().timer_tick_ns


def doing(*operations):
    results = []
    for operation in operations:
        results.append((yield operation))
    return results


def test_work_takes_its_time(bench):
    def client():
        before = bench.machine.now
        bench.system.executor.run(doing(op.Work(1234)))
        assert bench.machine.now - before == 1234

    bench.run(client)


def test_sleep_ends_on_a_tick_or_when_it_should(bench):
    def client():
        machine = bench.machine
        before = machine.now
        bench.system.executor.run(doing(op.Sleep(100_000, True)))
        assert 100_000 <= machine.now - before < 101_000
        bench.system.executor.run(doing(op.Sleep(1)))
        assert machine.tick_after(machine.now) == machine.now
        assert machine.now - before <= 100_000 + TICK + 1000

    bench.run(client)


@pytest.mark.parametrize("machine", [Machine(), LimitedMachine(0, Host(processors=1))], ids=["ideal", "one processor"])
def test_yield_tells_whether_there_was_another(machine):
    said = []

    def polite():
        machine.spend(10)
        said.append(machine.yield_processor())

    machine.start_thread("polite", polite)
    machine.start_thread("other", lambda: machine.spend(10))
    machine.run()
    machine.close()
    assert said == [isinstance(machine, LimitedMachine)]


@pytest.mark.parametrize(
    "strategy",
    [
        ReadStrategy(),
        ReadStrategy(spin_ticks=125),
        ReadStrategy(sleep_ns=50_000, sleeps_finely=True),
        ReadStrategy(spin_ticks=10_000_000),
    ],
    ids=["wait", "spin, then wait", "poll", "spin"],
)
def test_an_echo_beside_the_driver(strategy, bench, tools):
    packets = [tools.packet(200, seed) for seed in range(30)]

    def client():
        bench.register()
        rings = [
            ClientRing(name, ring.bytes, ring.capacity, ring.event)
            for name, ring in (("client send", bench.send), ("client receive", bench.receive))
        ]
        bench.feed(packets, start_ns=1_000_000, interval_ns=20_000)
        run = bench.system.executor.run
        for data in packets:
            echoed = run(read(rings[0], strategy))
            assert echoed == data
            assert run(write(rings[1], echoed, WriteStrategy(attempts=3, yields=True))) is Outcome.WRITTEN
        bench.sleep(1_000_000)

    bench.run(client)
    assert [entry[1] for entry in bench.network.received] == packets
