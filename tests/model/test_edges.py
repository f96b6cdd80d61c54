"""Edges of the model that no story of the driver leads to."""

import struct

import pytest

from wintun_model import operations as op
from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, Limits
from wintun_model.adapter import Packet
from wintun_model.client import Outcome, ReadStrategy, push, read
from wintun_model.dispatch import device_control
from wintun_model.errors import ClientFault, ModelError
from wintun_model.immediate import ImmediateExecutor, RecordingNdis
from wintun_model.installer_evaluate import build_time, version_number
from wintun_model.installer_process import process
from wintun_model.installer_state import Device, DriverCopy, Machine
from wintun_model.life_cycle_watcher import Watcher
from wintun_model.life_cycles import LIFE_CYCLES, MINIPORT, READER
from wintun_model.receive import return_nbls
from wintun_model.revision import REVISIONS
from wintun_model.send import send
from wintun_model.session import SessionRing
from wintun_model.status import NtStatus

STOPPED = 0xFFFFFFFF


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


def test_the_parts_of_a_sessions_ring_have_names():
    limits = Limits(min_capacity_bytes=16, max_capacity_bytes=64, max_packet_bytes=40)
    ring = SessionRing("receive", memoryview(bytearray(12 + 64 + 40)), 64, limits)
    assert ring.name == "receive"
    parts = (ring.head, ring.tail, ring.alertable, ring.lock, ring.positions)
    assert [part.name for part in parts] == [
        f"receive.{name}" for name in ("Head", "Tail", "Alertable", "lock", "positions")
    ]


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


# -- send -------------------------------------------------------------------------------------------------------------


def test_a_chain_knows_where_its_first_packet_starts(registered, tools):
    chains = [tools.chain_of(tools.packet(20)), tools.chain_of(tools.packet(40), tools.packet(20))]
    for chain in chains:
        registered.executor.run(send(registered.adapter, chain))
    assert [chain.offset for chain in chains] == [0, 24]
    assert [chain.statuses for chain in chains] == [[0], [0, 0]]


def test_every_failing_packet_of_a_chain_is_counted(registered):
    unmapped, oversize = Packet(None, 20), Packet(bytes(65536))
    registered.send(unmapped, unmapped, oversize, oversize, oversize)
    assert registered.statistics == {"out_discards": 2, "out_errors": 3}


# -- receive ----------------------------------------------------------------------------------------------------------


def test_nbls_are_numbered_from_1(tools):
    bench = tools.Bench(keeps_nbls=True).register()
    for number in range(3):
        bench.receive_ring.push(tools.packet(20, number))
    bench.settle()
    assert [nbl.number for nbl in bench.ndis.kept] == [1, 2, 3]


def test_every_nbl_that_comes_back_with_an_error_is_counted(tools):
    bench = tools.Bench(keeps_nbls=True).register()
    for number in range(3):
        bench.receive_ring.push(tools.packet(20, number))
    bench.settle()
    for nbl in bench.ndis.kept:
        nbl.status = 0xC0000001
    bench.executor.run(return_nbls(bench.adapter, bench.ndis.kept))
    assert bench.statistics == {"in_errors": 3}


def test_a_tail_at_the_capacity_is_no_0(bench, tools):
    """Wrapped it would be one, and leave a ring full of good packets."""
    bench.receive_ring.head = bench.receive_ring.tail = 64
    bench.register()
    bench.receive_ring.put_packet_at(64, tools.packet(20))
    bench.receive_ring.move_tail(bench.receive_ring.capacity)
    bench.settle()
    assert bench.ndis.received == []
    assert bench.receive_ring.head == STOPPED


@pytest.mark.parametrize("name", REVISIONS)
def test_a_content_of_4_bytes_is_a_packet_without_data(tools, name):
    bench = tools.bench_of(name).register()
    bench.receive_ring.push(b"")
    bench.settle()
    skips = name in ("0.14", "2026-02")
    assert bench.receive_ring.head == (4 if skips else STOPPED)
    assert bench.statistics == ({"in_discards": 1} if skips else {})


@pytest.mark.parametrize("name", REVISIONS)
def test_links_are_cleared_on_both_lists_in_2026_02(tools, name):
    """The reader appends NBLs of the driver's own, whose link is null anyway: the routine says it all the same."""
    operations = []
    bench = tools.bench_of(name)
    bench.receive_ring.push(tools.packet(20))
    bench.executor.run(
        tools.recorded(device_control(bench.adapter, bench.request(), TUN_IOCTL_REGISTER_RINGS), operations)
    )
    bench.executor.run(tools.recorded(send(bench.adapter, tools.chain_of(tools.packet(20))), operations))
    cleared = [operation.clears_link for operation in operations if isinstance(operation, op.Append)]
    assert cleared == [name == "2026-02"] * 2


# -- registration -----------------------------------------------------------------------------------------------------


def test_limits_hold_for_what_is_registered(tools):
    limits = Limits(min_capacity_bytes=64, max_capacity_bytes=128, max_packet_bytes=100)
    for capacity in (64, 128):
        assert tools.Bench(capacity, limits=limits).control() == 0
    for capacity in (32, 256, 0x20000):
        assert tools.Bench(capacity, limits=limits).control() == NtStatus.STATUS_INVALID_PARAMETER


def test_ndis_is_told_whose_link_changes(tools):
    told = []

    class TellingNdis(RecordingNdis):
        def indicate_link(self, adapter, connected):
            told.append((adapter, connected))

    bench = tools.Bench(ndis=TellingNdis()).register()
    bench.close()
    assert told == [(bench.adapter, True), (bench.adapter, False)]


def test_the_pages_that_were_locked_are_mapped(bench, tools):
    operations = []
    bench.executor.run(
        tools.recorded(device_control(bench.adapter, bench.request(), TUN_IOCTL_REGISTER_RINGS), operations)
    )
    mapped = [operation.pages for operation in operations if isinstance(operation, op.MapPages)]
    assert mapped == [bench.adapter.send_ring.value.pages, bench.adapter.receive_ring.value.pages]


# -- the installer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["X5", "x5", "_5", "+X5", "-X5", ".5"])
def test_what_is_no_sign_ends_a_number(text):
    assert build_time(text) == 0
    assert version_number(f"0.0.0.{text}") == 0


def test_an_adapter_that_is_left_alone_does_not_spare_those_after_it():
    devices = [
        Device(name="blind", driver="0.8", is_status_readable=False),
        Device(name="off", driver="0.8", is_disabled=True),
        Device(name="on", driver="0.8"),
    ]
    machine = Machine(driver_store=(DriverCopy("oem1.inf", "0.8"),), loaded="0.8", devices=tuple(devices))
    steps = process(machine, "install-a-1-0.8.1", carried_version="0.8.1").steps
    assert [(step.name, step.note) for step in steps if step.name in ("status", "disable")] == [
        ("status", "blind: not readable, left alone"),
        ("status", "off: disabled already, left alone"),
        ("disable", "on"),
    ]


# -- the published client protocol ------------------------------------------------------------------------------------


def test_a_packet_that_comes_while_the_client_spins_is_read_without_alertable(registered, tools):
    log = []
    client, _ = tools.client_rings(registered)

    def arrive(text):
        if text.startswith("Spin"):
            return send(registered.adapter, tools.chain_of(tools.packet(20)))
        return None

    routine = tools.watched(read(client, ReadStrategy(spin_ticks=125)), log, before=arrive)
    assert registered.executor.run(routine) == tools.packet(20)
    assert not [text for text in log if "Alertable" in text]


def test_a_driver_that_did_not_ask_is_not_told(registered, tools):
    ring = registered.receive_ring
    ring.alertable = 0
    _, client = tools.client_rings(registered)
    assert registered.executor.run(push(client, tools.packet(20))) is Outcome.WRITTEN
    assert not ring.event.signalled
    assert registered.ndis.received == []


def test_work_is_nobody_elses_matter():
    assert op.Work(250).duration_ns == 250
    assert ImmediateExecutor().run(one(op.Work(250))) is None
