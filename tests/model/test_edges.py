"""Edges of the model that no story of the driver leads to."""

import struct

import pytest

from wintun_model import operations as op
from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, Limits
from wintun_model.dispatch import device_control
from wintun_model.errors import ClientFault, ModelError
from wintun_model.immediate import ImmediateExecutor, RecordingNdis
from wintun_model.life_cycles import LIFE_CYCLES, MINIPORT, READER, Watcher
from wintun_model.send import send
from wintun_model.session import SessionRing


class Memory:
    """A data area of 16 bytes."""

    def __init__(self):
        self.data = memoryview(bytearray(16))


def one(operation):
    return (yield operation)


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (op.LoadSize, 4),
        (lambda memory, offset: op.StoreSize(memory, offset, 1), 4),
        (op.LoadByte, 1),
        (lambda memory, offset: op.CopyIn(memory, offset, b"abc", 3), 3),
        (lambda memory, offset: op.CopyOut(memory, offset, 3), 3),
    ],
    ids=["LoadSize", "StoreSize", "LoadByte", "CopyIn", "CopyOut"],
)
def test_an_access_past_the_ring_is_the_clients_fault_and_does_nothing(make, size):
    memory = Memory()
    ImmediateExecutor().run(one(make(memory, 16 - size)))
    before = bytes(memory.data)
    for excess in (1, size, 1000):
        with pytest.raises(
            ClientFault, match=rf"outside the ring: {size} bytes at offset .* {excess} bytes past the ring"
        ):
            ImmediateExecutor().run(one(make(memory, 16 - size + excess)))
    assert bytes(memory.data) == before


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda memory: op.LoadSize(memory, -17), struct.error),
        (lambda memory: op.StoreSize(memory, -17, 1), struct.error),
        (lambda memory: op.LoadByte(memory, -17), IndexError),
    ],
    ids=["LoadSize", "StoreSize", "LoadByte"],
)
def test_an_access_before_the_ring_is_no_clients_doing(make, error):
    with pytest.raises(error):
        ImmediateExecutor().run(one(make(Memory())))


def test_things_say_their_names():
    assert repr(op.Pool("NBL")) == "Pool(NBL)"
    assert repr(op.Event("tun.disconnected", manual_reset=True)) == "Event(tun.disconnected)"


@pytest.mark.parametrize("excess", [-1, 1])
def test_the_memory_of_a_sessions_ring_has_the_size_of_its_capacity(excess):
    limits = Limits(min_capacity_bytes=16, max_capacity_bytes=64, max_packet_bytes=40)
    size = 12 + 64 + 40
    SessionRing("receive", memoryview(bytearray(size)), 64, limits)
    with pytest.raises(ModelError, match=f"the receive ring's memory has {size + excess} bytes"):
        SessionRing("receive", memoryview(bytearray(size + excess)), 64, limits)


@pytest.mark.parametrize("cycle", LIFE_CYCLES, ids=lambda cycle: cycle.name)
def test_the_triggers_of_a_life_cycle_are_those_of_its_steps(cycle):
    triggers = {trigger for state in cycle.states for trigger in cycle.allowed(state)}
    assert cycle.triggers == triggers


def test_an_adapter_is_met_in_the_state_that_its_variables_tell(tools):
    bench = tools.Bench(running=False)
    assert Watcher().state(MINIPORT, bench.adapter) == "Paused"
    assert Watcher().state(MINIPORT, tools.Bench().adapter) == "Running"
    assert Watcher().state(READER, "a reader") == READER.initial


def test_what_a_reader_does_for_others_is_no_step_of_its_life(tools):
    """A stack that sends from inside an indication does so on the reader thread."""

    class SendingNdis(RecordingNdis):
        def indicate_receive(self, adapter, nbl):
            super().indicate_receive(adapter, nbl)
            return send(adapter, tools.chain_of(tools.packet(24)))

    bench, watcher = tools.Bench(ndis=SendingNdis(keeps_nbls=True)), Watcher()
    bench.receive_ring.push(tools.packet(20))
    request = device_control(bench.adapter, bench.request(), TUN_IOCTL_REGISTER_RINGS)
    assert bench.executor.run(watcher.watch(bench.adapter, request)) == (0, 0)
    assert bench.send_ring.pop_all() == [tools.packet(24)]
    assert all(step in cycle.steps for cycle in LIFE_CYCLES for name, step in watcher.seen if name == cycle.name)
