"""The cost table is plain data, and what it says is what happens (spec win32 §7)."""

import dataclasses

import pytest

from wintun_model import operations as op
from wintunsim.kernel.costs import Costs

RANGES_NS = {
    "system_call_ns": (300, 1_000),
    "wake_ns": (5_000, 20_000),
    "user_call_ns": (20, 30),
    "lock_ns": (20, 20),
    "contended_lock_ns": (100, 300),
    "ndis_ns": (500, 2_000),
    "timer_tick_ns": (15_625_000, 15_625_000),
}


@pytest.mark.parametrize("name", RANGES_NS)
def test_defaults_lie_where_the_specification_has_them(name):
    low, high = RANGES_NS[name]
    assert low <= getattr(Costs(), name) <= high


def test_copying_is_rounded_up_to_whole_ns():
    costs = Costs(copy_ps_per_byte=60)
    assert [costs.copy_ns(size) for size in (0, 1, 16, 17, 1420, 65535)] == [0, 1, 1, 2, 86, 3933]
    assert 30 <= costs.copy_ps_per_byte <= 250
    assert Costs(copy_ps_per_byte=0).copy_ns(65535) == 0


def test_every_figure_is_an_integer_that_can_be_set():
    for field in dataclasses.fields(Costs):
        value = getattr(Costs(), field.name)
        assert isinstance(value, int)
        assert value > 0
        assert getattr(Costs(**{field.name: value + 1}), field.name) == value + 1


def test_a_table_does_not_change_under_a_machine():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Costs().wake_ns = 1


def _time_of_a_wake(tools, costs):
    bench = tools.Bench(costs=costs)
    times = []

    def waiter():
        bench.machine.wait((bench.send.event,))
        times.append(bench.machine.now)

    def setter():
        bench.machine.spend(1000)
        bench.machine.set_event(bench.send.event)

    bench.run(waiter, setter)
    return times[0]


def test_a_wake_up_costs_what_the_table_says(tools):
    assert _time_of_a_wake(tools, Costs()) == 1000 + 8000
    assert _time_of_a_wake(tools, Costs(wake_ns=12_345)) == 1000 + 12_345


def _registration_ns(tools, **costs):
    bench = tools.Bench(costs=Costs(**costs))
    times = []

    def client():
        bench.open()
        start = bench.machine.now
        assert bench.file.control(bench.process, 0xCA6CE5C0, bench.record()) == (0, 0)
        times.append(bench.machine.now - start)
        bench.close()

    bench.run(client)
    return times[0]


def test_registering_costs_its_pages_and_its_thread(tools):
    base = _registration_ns(tools)
    pages = 2 * ((12 + 128 * 1024 + 0x10000) // 4096 + 1)
    assert _registration_ns(tools, page_ps=1_100_000) == base + pages * 1000
    assert _registration_ns(tools, thread_ns=40_000) == base + 10_000
    assert base > 30_000


def test_a_packet_costs_its_copy(tools):
    def sent_ns(size, **costs):
        bench = tools.Bench(costs=Costs(**costs))

        def client():
            bench.register()
            bench.feed([tools.packet(size)], start_ns=1_000_000)
            bench.sleep(2_000_000)
            bench.close()

        bench.run(client)
        return bench.network.sent[0][0]

    assert sent_ns(65535) - sent_ns(0) == Costs().copy_ns(65535)
    assert sent_ns(1000, copy_ps_per_byte=1000) - sent_ns(0) == 1000
    assert sent_ns(20, ndis_ns=5800) - sent_ns(20) == 5000
    assert sent_ns(20, event_ns=400) - sent_ns(20) == 100


def _hand_over_ns(tools, *, is_spin, **costs):
    """From the release of a lock until who waited for it goes on."""
    bench = tools.Bench(costs=Costs(**costs))
    lock, times = op.Lock("l", is_spin=is_spin), []
    executor = bench.system.executor

    def holder():
        yield lock.acquire
        yield op.Work(10_000)
        yield lock.release
        times.append(bench.machine.now)

    def waiter():
        yield op.Work(1000)
        yield lock.acquire
        yield op.Work(0)
        times.append(bench.machine.now)

    bench.run(lambda: executor.run(holder()), lambda: executor.run(waiter()))
    return times[1] - times[0]


def test_a_contended_lock_costs_more_than_a_free_one(tools):
    assert _hand_over_ns(tools, is_spin=True) == Costs().contended_lock_ns
    assert _hand_over_ns(tools, is_spin=True, contended_lock_ns=290) == 290
    assert _hand_over_ns(tools, is_spin=False, contended_lock_ns=290) == Costs().pass_ns
