"""Fault plans: which attempts fail, as data and in the command line's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.kernel.faults import FAULTS, Fault, FaultInjector, FaultPlan
from wintunsim.kernel.machine import Machine


def failing(plan, what="NBL", attempts=20):
    injector = FaultInjector(Machine(), plan)
    return [number for number in range(1, attempts + 1) if injector.fails(what)]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (FaultPlan(), []),
        (FaultPlan({"NBL": 3}), [3]),
        (FaultPlan({"NBL": [3, 5]}), [3, 5]),
        (FaultPlan({"NBL": True}), list(range(1, 21))),
        (FaultPlan({"map": 1}), []),
        (FaultPlan(None, Fault("NBL", 4, None, 7)), [4, 11, 18]),
        (FaultPlan.parse("nbl:3"), [3]),
        (FaultPlan.parse("NBL:3,5-7,19-"), [3, 5, 6, 7, 19, 20]),
        (FaultPlan.parse("nbl:every=8", "nbl:1"), [1, 8, 16]),
        (FaultPlan.parse("nbl:all"), list(range(1, 21))),
    ],
)
def test_which_attempts_fail(plan, expected):
    assert failing(plan) == expected


@pytest.mark.parametrize("name", FAULTS)
def test_every_name_has_its_word(name):
    assert FaultPlan.parse(name.lower().replace(" ", "-") + ":1").faults == [Fault(name, 1, 1)]


def test_kinds_are_counted_by_themselves():
    injector = FaultInjector(Machine(), FaultPlan({"map": 2, "thread": 1}))
    assert [injector.fails(what) for what in ("map", "thread", "NBL", "map", "thread")] == [
        False, True, False, True, False,
    ]  # fmt: skip
    assert [(row["what"], row["attempts"], row["failed"]) for row in injector.report()] == [
        ("map", 2, 1),
        ("thread", 2, 1),
    ]


@given(st.integers(1, 50), st.integers(0, 50), st.integers(1, 10))
def test_a_fault_strikes_every_step_from_first_to_last(first, more, step):
    fault = Fault("NBL", first, first + more, step)
    assert [n for n in range(1, 120) if fault.strikes(n)] == list(range(first, first + more + 1, step))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fault("disk"), "nothing named 'disk' can fail: choose one of NBL, "),
        (lambda: FaultPlan({"NBL": 0}), "the first attempt of the fault 'NBL' is 0: give a number from 1 to "),
        (lambda: FaultPlan({"NBL": ["1"]}), "the first attempt of the fault 'NBL' is '1': give a whole number"),
        (lambda: Fault("NBL", 5, 3), "the fault 'NBL' ends at attempt 3, before its first, 5: swap the two"),
        (lambda: Fault("NBL", 1, None, 0), "the step attempt of the fault 'NBL' is 0"),
        (lambda: FaultPlan.parse("disk:1"), "the fault 'disk:1' names nothing that can fail: write one of nbl, "),
        (lambda: FaultPlan.parse("nbl"), "the fault 'nbl' does not say which attempts fail: write nbl:1 or nbl:all"),
        (lambda: FaultPlan.parse("nbl:"), "does not say which attempts fail"),
        (lambda: FaultPlan.parse("nbl:x"), "the fault 'nbl:x' has 'x' for which attempts fail: write all, "),
        (lambda: FaultPlan.parse("nbl:5-3"), "before its first"),
        (lambda: FaultPlan.parse("nbl:every=0"), "is 0: give a number from 1"),
        (lambda: FaultPlan.parse("nbl:1,,2"), "has '' for which attempts fail"),
    ],
)
def test_what_makes_no_sense(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)
