"""The direct engine: every routine of a packet's way is compiled, and does what the step engine does (design §1)."""

import pytest

from wintun_model import operations as op
from wintun_model.adapter import Packet, SendChain
from wintun_model.send import send
from wintunsim.kernel.direct import ROUTINES, compiled_code
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.system import System


@pytest.mark.parametrize("routine", ROUTINES, ids=lambda routine: routine.__name__)
def test_every_routine_is_compiled(routine):
    assert routine in compiled_code()


def test_tracebacks_name_the_routines_own_lines():
    code = compiled_code()[send]
    inner = next(constant for constant in code.co_consts if hasattr(constant, "co_name"))
    lines = {line for _, _, line in inner.co_lines() if line}
    first = send.__code__.co_firstlineno
    last = max(line for _, _, line in send.__code__.co_lines() if line)
    assert inner.co_filename == send.__code__.co_filename
    assert {line for line in lines if not first <= line <= last} == set()


@pytest.mark.parametrize("engine", ["step", "direct"])
def test_a_refused_send_costs_the_same(engine):
    system = System(engine=engine)
    device = system.create_adapter("tun")
    chain = SendChain.of(Packet(b"x" * 20))
    times = []

    def sender():
        before = system.machine.now
        system.executor.call(send, device.adapter, chain)
        times.append(system.machine.now - before)

    system.machine.start_thread("sender", sender)
    system.machine.run()
    assert times == [828]
    assert device.adapter.statistics.out_discards == 1


def test_a_routine_that_is_not_compiled_is_stepped():
    system = System()
    variable = op.Variable("v", 1)

    def routine():
        value = yield variable.get
        yield op.Put(variable, value + 1)
        return value

    results = []
    system.machine.start_thread("t", lambda: results.append(system.executor.run(routine())))
    system.machine.run()
    assert (results, variable.value) == ([1], 2)


def test_a_machine_runs_without_a_driver():
    machine = Machine()
    machine.start_thread("t", lambda: machine.spend(5))
    machine.run()
    assert machine.latest == 5
