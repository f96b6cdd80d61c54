"""The step engine follows the routines as they are, and leaves to the interpreter what it has no rows for."""

import pytest

from wintun_model import operations as op
from wintun_model import send as sending
from wintun_model.revision import REVISIONS
from wintunsim.experiments import Client, Experiment
from wintunsim.experiments.fast import applies
from wintunsim.experiments.stepped import tracing
from wintunsim.experiments.stepped.program import program
from wintunsim.kernel import ndis
from wintunsim.kernel.costs import Costs

EXPERIMENT = Experiment(
    host="ideal", duration="1ms", client=Client(echo=True, spin_us=1), workload="udp:rate=300000,size=1400",
    capacity=0x20000, engine="step",
)  # fmt: skip
send = sending.send


def fenced(adapter, chain):
    yield op.Fence()
    yield from send(adapter, chain)


def with_clock(adapter, chain):
    yield op.ReadClock()
    yield from send(adapter, chain)


def careless(adapter, chain):
    """Leaves more space behind a packet than there should be."""
    routine, value = send(adapter, chain), None
    while True:
        try:
            operation = routine.send(value)
        except StopIteration:
            return
        if isinstance(operation, op.Store):
            operation = op.Store(operation.word, operation.value + 4)
        value = yield operation


@pytest.fixture
def sends_by(monkeypatch):
    """Has the driver send by another routine."""

    def change(routine):
        program.cache_clear()
        monkeypatch.setattr(sending, "send", routine)
        monkeypatch.setattr(ndis, "send", routine)

    yield change
    program.cache_clear()


def both():
    """The results of the step engine and of the interpreter."""
    return EXPERIMENT.run(), EXPERIMENT.with_values({"engine": "interpreted"}).run()


def test_a_routine_that_has_changed_is_followed(sends_by):
    before = EXPERIMENT.run()
    sends_by(fenced)
    stepped, interpreted = both()
    assert (stepped.engine_used, stepped.engine_reason) == ("step", "")
    assert stepped.digest == interpreted.digest != before.digest


def test_an_operation_without_rows_is_interpreted(sends_by):
    sends_by(with_clock)
    stepped, interpreted = both()
    assert stepped.engine_reason == "an operation that its program does not have"
    assert (stepped.engine_used, stepped.digest) == ("interpreted", interpreted.digest)


def test_a_ring_with_something_else_in_it_is_interpreted(sends_by):
    sends_by(careless)
    stepped, interpreted = both()
    assert stepped.engine_reason == "a ring word that is not what the packets in the ring come to"
    assert (stepped.engine_used, stepped.digest) == ("interpreted", interpreted.digest)


def test_a_routine_with_too_many_ways_is_interpreted(monkeypatch, sends_by):
    sends_by(send)
    monkeypatch.setattr(tracing, "STATES_MOST", 30)
    stepped, interpreted = both()
    assert stepped.engine_reason.startswith("a routine that is not known: the client's routine")
    assert (stepped.engine_used, stepped.digest) == ("interpreted", interpreted.digest)


def test_a_program_is_the_same_every_time_and_not_much_longer_than_its_routines():
    made = []
    for _ in range(2):
        program.cache_clear()
        made.append(program(REVISIONS["0.8.1"], 0x20000, Costs(), EXPERIMENT.client, 1000))
    first, second = made
    assert first.entries == second.entries
    assert first.words.tolist() == second.words.tolist()
    # Chains of 1 to 16 packets are all there.
    assert len(first.words) < 30_000


def test_without_a_compiler_everything_is_interpreted(monkeypatch):
    monkeypatch.setattr(applies, "has_compiler", lambda: False)
    result = EXPERIMENT.run()
    assert (result.engine_used, result.engine_reason) == (
        "interpreted", "numba is not installed (pip install 'wintunsim[fast]')",
    )  # fmt: skip
