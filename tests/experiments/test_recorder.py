"""Series and windows are the same from batches as from one record after the other."""

import tracemalloc
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.experiments.plain_recorder import PlainRecorder
from wintun_model.trace import RECORD_LENGTH, Kind, Trace
from wintunsim import UsageError
from wintunsim.experiments import Client, Experiment, recorder, runner
from wintunsim.experiments.recorder import Recorder

CAPACITY = 64
HEAD, TAIL, ALERTABLE = 0, 1, 2
SEND, RECEIVE = 10, 20
"""What the numbers of each ring's words begin with."""


def ring(number):
    words = {name: SimpleNamespace(number=number + place) for name, place in (("head", HEAD), ("tail", TAIL))}
    return SimpleNamespace(ring=SimpleNamespace(**words), capacity=CAPACITY)


def same(first, second):
    """All numbers are, and arrays are of the same type."""
    if is_dataclass(first):
        assert type(first) is type(second)
        for field in fields(first):
            same(getattr(first, field.name), getattr(second, field.name))
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second, strict=True)
    else:
        assert first == second


def outcome(found):
    """Series, and the window or why there is none."""
    try:
        return found.series(), found.moments(), None
    except UsageError as error:
        return found.series(), None, str(error)


def agree(found, plain):
    for first, second in zip(outcome(found), outcome(plain), strict=True):
        same(first, second)


stores = st.tuples(
    st.just(int(Kind.STORE)),
    st.sampled_from([begin + word for begin in (SEND, RECEIVE) for word in (HEAD, TAIL, ALERTABLE)]),
    st.one_of(st.integers(0, CAPACITY - 1), st.sampled_from((CAPACITY, 0xFFFFFFFF))),
    st.just(0),
)
others = st.tuples(
    st.sampled_from([int(kind) for kind in (Kind.COMPLETE, Kind.COMPLETE, Kind.SEND, Kind.WAIT, Kind.NAME)]),
    st.sampled_from((SEND, 30)),
    st.integers(0, 3),
    st.sampled_from((0, 0xC0000001, -1)),
)
records = st.tuples(st.sampled_from((0, 0, 1, 1, 2, 7, 1000, 10**6)), st.one_of(stores, stores, others))
batches = st.lists(st.lists(records, min_size=1, max_size=40), max_size=8)
windows = st.one_of(
    st.none(), st.tuples(st.integers(0, 3000), st.integers(1, 3000)).map(lambda two: (two[0], sum(two)))
)


any_batches = given(
    batches=batches,
    window_ns=windows,
    found_at=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    steps_max=st.integers(1, 9),
    moments_max=st.integers(0, 30),
)


@settings(max_examples=80, deadline=None)
@any_batches
def test_batches_come_to_what_their_records_come_to(**values):
    check_batches(**values)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@any_batches
def test_many_batches_come_to_what_their_records_come_to(**values):
    check_batches(**values)


def check_batches(batches, window_ns, found_at, steps_max, moments_max):
    port = SimpleNamespace(
        send_monitor=None, receive_monitor=None, send=SimpleNamespace(capacity_bytes=CAPACITY), receive=None
    )
    system, device = SimpleNamespace(machine=SimpleNamespace(trace=Trace())), SimpleNamespace(port=port)
    time_ns = 0
    with mock.patch.multiple(recorder, STEPS_MAX=steps_max, MOMENTS_MAX=moments_max):
        both = [made(system, device, window_ns) for made in (Recorder, PlainRecorder)]
        for place, batch in enumerate(batches):
            if place == found_at[0]:
                port.send_monitor = ring(SEND)
            if place == found_at[1]:
                port.receive_monitor = ring(RECEIVE)
            rows = np.empty((len(batch), RECORD_LENGTH), dtype=np.int64)
            for row, (later_ns, (kind, *values)) in zip(rows, batch, strict=True):
                time_ns += later_ns
                row[:] = (time_ns, 1, kind, *values)
            for each in both:
                each.take(memoryview(rows).cast("B").cast("q"))
            rows.fill(-1)  # what a sink keeps is its own
        agree(*both)
        agree(*both)  # asking changes nothing


class BothRecorders(Recorder):
    """The recorder of a run that is compared with the plain one at its end."""

    def __init__(self, *args):
        super().__init__(*args)
        self.plain = PlainRecorder(*args)

    def series(self):
        agree(super(), self.plain)
        return super().series()


@settings(max_examples=12, deadline=None)
@given(
    experiment=st.builds(
        Experiment,
        workload=st.sampled_from(
            ("udp:rate=600000,size=1400", "poisson:rate=2000000,size=imix", "tcp:size=1400,window=500", "ping:count=3")
        ),
        client=st.builds(
            Client, echo=st.booleans(), poll_us=st.sampled_from((0, 0, 300)), handle_ns=st.sampled_from((100, 3000))
        ),
        host=st.sampled_from(("ideal", "desktop", "busy")),
        engine=st.sampled_from(("fast", "step", "direct")),
        duration=st.just("1500us"),
        capacity=st.sampled_from((0x20000, 0x100000)),
        store_buffer_ns=st.sampled_from((0, 0, 300)),
        digest=st.booleans(),
        seed=st.integers(0, 100),
    ),
    window_ns=st.sampled_from((None, (1_000_000, 1_050_000), (0, 2_000_000), (1_600_000, 1_700_000))),
    steps_max=st.sampled_from((20, 4096)),
)
def test_a_run_comes_to_what_its_records_come_to(experiment, window_ns, steps_max):
    with (
        mock.patch.object(recorder, "STEPS_MAX", steps_max),
        mock.patch.object(runner, "Recorder", BothRecorders),
    ):
        try:
            result = experiment.run(series=True, window_ns=window_ns)
        except UsageError:
            event("too much in the window")
            return
    event(f"{result.engine_used}, drops: {result.dropped_packets > 0}")
    assert result.series is not None


def test_memory_does_not_grow_with_the_records():
    port = SimpleNamespace(send_monitor=ring(SEND), receive_monitor=ring(RECEIVE), send=None, receive=None)
    found = Recorder(SimpleNamespace(machine=SimpleNamespace(trace=Trace())), SimpleNamespace(port=port), (0, 10**15))
    rows = np.zeros((4096, RECORD_LENGTH), dtype=np.int64)
    rows[:, 2] = Kind.STORE
    rows[:, 3] = [SEND + TAIL, RECEIVE + TAIL] * 2048
    rows[::8, 2], rows[::8, 5] = Kind.COMPLETE, -1

    def take(count):
        for _ in range(count):
            rows[:, 0] = rows[-1, 0] + np.arange(1, 4097)
            found.take(memoryview(rows).cast("B").cast("q"))

    take(50)
    tracemalloc.start()
    try:
        take(400)
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 2**20
    assert most < 2**22
    assert int(found.dropped.steps().last[-1]) == 450 * 512
