"""The recursion of a server that spins, against the server itself, one item after the other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wintunsim.experiments.fast.ahead import Looking, seen_times

spans = st.integers(1, 60)


def one_by_one(came, spacing, first, looking):
    """When each item is seen, up to the first that takes more than spinning."""
    seen = []
    look = first
    for time, after in zip(came, spacing, strict=True):
        early = time if looking.sees_ties else time + 1
        if early <= look:
            found = look
        elif not looking.limit:
            break
        elif early <= look + looking.spins:
            found = look + looking.spins + looking.after_spin
        elif early <= look + looking.spins + looking.limit:
            found = time + looking.notices
        else:
            break
        seen.append(found)
        look = found + after
    return seen


@given(
    st.lists(st.tuples(st.integers(0, 200), spans), min_size=1, max_size=60),
    st.integers(0, 500),
    st.builds(
        Looking, spins=spans, limit=st.sampled_from((0, 50, 10_000)), after_spin=st.integers(0, 9),
        notices=spans, sees_ties=st.booleans(),
    ),
)  # fmt: skip
def test_all_at_once_is_one_by_one(items, first, looking):
    came = np.cumsum([gap for gap, _ in items])
    spacing = np.array([after for _, after in items])
    found = seen_times(came, spacing, first, looking).tolist()
    expected = one_by_one(came.tolist(), spacing.tolist(), first, looking)
    assert found == expected[: len(found)]
    # What is not settled after some rounds is left for later, but never all of it.
    assert found or not expected


def test_a_long_queue_settles_at_once():
    came, spacing = np.arange(0, 20_000, 10), np.full(2000, 12)
    looking = Looking(spins=40, limit=10_000, after_spin=4, notices=44, sees_ties=False)
    assert len(seen_times(came, spacing, 100, looking)) == 2000
