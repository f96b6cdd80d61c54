"""Delays counted in classes: percentiles against sorted lists."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wintunsim.network.delays import Delays

DELAYS = st.lists(st.one_of(st.integers(0, 300), st.integers(0, 2**62)), min_size=1, max_size=60)


def noted(values):
    delays = Delays()
    for value in values:
        delays.note(value)
    return delays


@given(DELAYS, st.integers(1, 100))
def test_percentiles_are_near(values, percent):
    delays = noted(values)
    exact = sorted(values)[-(-len(values) * percent // 100) - 1]
    found = delays.percentile(percent)
    assert exact <= found <= exact + exact // 128
    if exact < 256:
        assert found == exact
    assert (delays.count, delays.sum_ns) == (len(values), sum(values))
    assert (delays.summary()["min"], delays.summary()["max"]) == (min(values), max(values))


@given(st.lists(DELAYS, max_size=4))
def test_together_is_as_if_they_had_been_one(lists):
    whole = Delays.together([*map(noted, lists), Delays()])
    at_once = noted([value for values in lists for value in values])
    assert whole.summary() == at_once.summary()
    assert (whole.count, whole.sum_ns) == (at_once.count, at_once.sum_ns)


def test_no_delays_have_no_percentiles():
    assert Delays().summary() is None
    assert Delays().percentile(50) is None
