"""What the parts of routines take is measured on the routines; one of another shape is refused."""

from dataclasses import replace

import pytest

from wintun_model import operations as op
from wintun_model.revision import DEFAULT_REVISION, REVISIONS
from wintunsim.experiments import Client, Experiment
from wintunsim.experiments.fast import timings
from wintunsim.experiments.fast.timings import measure
from wintunsim.experiments.fast.walk import UnknownShape
from wintunsim.kernel.costs import Costs

COSTS = Costs()


def measured(costs=COSTS, revision=DEFAULT_REVISION, **client):
    return measure(costs, REVISIONS[revision], Client(**{"spin_us": 12.5, **client}))


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("has_barrier", [False, True])
def test_every_revision_has_the_shape_that_is_known(revision, has_barrier):
    assert measured(revision=revision, barrier=has_barrier).read.next > 0


def test_every_cost_finds_its_way_in():
    costs = COSTS
    plain = measured(costs)
    for name in ("load_ns", "lock_ns", "event_ns", "system_call_ns", "pass_ns", "ndis_ns", "allocate_ns", "wake_ns"):
        assert measured(replace(costs, **{name: getattr(costs, name) + 7})) != plain, name
    slow = measured(replace(costs, fence_ns=costs.fence_ns + 7), barrier=True)
    assert slow.client.looks == measured(costs, barrier=True).client.looks + 7


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
