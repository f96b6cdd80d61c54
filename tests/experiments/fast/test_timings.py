"""What the parts of routines take is measured on the routines; one of another shape is refused."""

from dataclasses import replace

import pytest

from wintun_model import operations as op
from wintun_model.revision import DEFAULT_REVISION, REVISIONS
from wintunsim.experiments import Client, Experiment
from wintunsim.experiments.fast import timings
from wintunsim.experiments.fast.timings import DRAWN, measure
from wintunsim.experiments.fast.walk import UnknownShape
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.distribution import Distribution

COSTS = Costs()


def measured(costs=COSTS, revision=DEFAULT_REVISION, **client):
    return measure(costs, REVISIONS[revision], Client(**{"spin_us": 12.5, **client}))


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("has_barrier", [False, True])
def test_every_revision_has_the_shape_that_is_known(revision, has_barrier):
    times, counts = measured(revision=revision, barrier=has_barrier)
    assert min(times) >= 0
    assert max(map(max, counts)) == 0


def test_every_cost_finds_its_way_in():
    plain, _ = measured()
    for name in ("load_ns", "lock_ns", "event_ns", "system_call_ns", "pass_ns", "ndis_ns", "allocate_ns"):
        assert measured(replace(COSTS, **{name: getattr(COSTS, name) + 7}))[0] != plain, name
    slow, _ = measured(replace(COSTS, fence_ns=COSTS.fence_ns + 7), barrier=True)
    with_barrier, _ = measured(barrier=True)
    # The client has two barriers: when it says that it waits, and when it has written.
    assert sorted(more - time for more, time in zip(slow, with_barrier, strict=True))[-3:] == [0, 7, 7]


@pytest.mark.parametrize("place", range(len(DRAWN)))
def test_what_varies_is_counted_and_not_part_of_what_is_always_the_same(place):
    plain, _ = measured()
    name = DRAWN[place]
    times, counts = measured(replace(COSTS, **{name: Distribution.of([[0, 1], [100, 1000]])}))
    assert [index for index, row in enumerate(counts) if max(row)] == [place]
    assert plain == [time + count * getattr(COSTS, name) for time, count in zip(times, counts[place], strict=True)]


def test_a_routine_of_another_shape_is_not_run_ahead(monkeypatch):
    def send_with_a_fence(adapter, chain):
        yield op.Fence()
        yield from plain(adapter, chain)

    plain = timings.send
    monkeypatch.setattr(timings, "send", send_with_a_fence)
    with pytest.raises(UnknownShape, match=r"expected Load send\.Head, .*: found Fence, Load send\.Head"):
        measured()
    result = Experiment(host="ideal", duration="1ms", engine="fast", client=Client(spin_us=1)).run()
    assert result.engine_used == "direct"
    assert result.engine_reason.startswith("a routine that is not known: expected Load send.Head")
