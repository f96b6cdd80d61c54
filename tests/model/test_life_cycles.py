"""The life cycles' tables: every step that the routines take is in them, and every step in them is taken."""

import pytest

from wintun_model import operations as op
from wintun_model.adapter import Adapter, Packet, SendChain
from wintun_model.dispatch import close, device_control
from wintun_model.errors import ModelError
from wintun_model.life_cycle_watcher import Watcher
from wintun_model.life_cycles import (
    LIFE_CYCLES,
    MINIPORT,
    READER,
    RECEIVE_NBL,
    REGISTRATION,
    SEND_CHAIN,
)
from wintun_model.miniport import halt, initialize, pause, restart
from wintun_model.receive import return_nbls
from wintun_model.revision import REVISIONS
from wintun_model.send import send

REGISTER = 0xCA6CE5C0


@pytest.mark.parametrize("cycle", LIFE_CYCLES, ids=lambda cycle: cycle.name)
def test_every_state_can_be_reached_and_nothing_leads_out_of_the_table(cycle):
    reached, found = set(), {cycle.initial}
    while found:
        reached |= found
        found = {step.target for step in cycle.steps if step.source in reached} - reached
    assert reached == set(cycle.states)
    assert {step.source for step in cycle.steps} <= set(cycle.states)


@pytest.mark.parametrize("cycle", LIFE_CYCLES, ids=lambda cycle: cycle.name)
def test_a_trigger_leads_to_one_state(cycle):
    pairs = [(step.source, step.trigger) for step in cycle.steps]
    assert len(pairs) == len(set(pairs))
    assert all(cycle.after(step.source, step.trigger) == step.target for step in cycle.steps)


def test_a_step_that_is_not_in_the_table_says_what_may_be():
    with pytest.raises(ModelError, match="miniport: 'running := true' in state 'Running', where running := false may"):
        MINIPORT.after("Running", "running := true")


class Life:
    """A bench whose adapter begins at nothing, with all its routines watched."""

    def __init__(self, tools, name="0.8.1", **options):
        self.bench = tools.bench_of(name, running=False, **options)
        self.adapter = self.bench.adapter = Adapter("tun", self.bench.adapter.driver, is_initialized=False)
        self.watcher = Watcher()

    def run(self, routine, *, tools=None, before=None, reader_before=None, **options):
        if tools is not None:
            routine = tools.watched(routine, before=before, reader_before=reader_before)
        return self.bench.executor.start(self.watcher.watch(self.adapter, routine, **options))

    def miniport(self, *steps):
        for step in steps:
            self.run(step(self.adapter), is_miniport=True)

    def register(self, **options):
        return self.run(device_control(self.adapter, self.bench.request(), REGISTER), **options).result[0]

    def send(self, *packets):
        self.run(send(self.adapter, SendChain.of(*packets)))

    def receive(self, packet):
        """The client writes a packet; NDIS keeps its NBL, which is answered."""
        self.bench.receive_ring.push(packet)
        self.bench.settle()
        return self.bench.ndis.kept[-1]

    def give_back(self, nbl):
        self.run(return_nbls(self.adapter, [nbl]))

    def states(self):
        return self.watcher.state(MINIPORT, self.adapter), self.watcher.state(REGISTRATION, self.adapter)


@pytest.mark.parametrize("name", REVISIONS)
def test_a_whole_life_takes_only_steps_of_the_tables(name, tools):
    life = Life(tools, name)
    bench, packet = life.bench, tools.packet(20)
    assert life.states() == ("Halted", "Unregistered")
    life.miniport(initialize, restart)
    assert life.register() == 0
    assert life.states() == ("Running", "Registered")
    life.send(Packet(packet), Packet(packet))
    bench.receive_ring.push(packet)
    bench.settle()
    life.miniport(pause)
    bench.receive_ring.push(packet)
    bench.settle()
    life.send(Packet(packet))
    life.run(close(life.adapter, bench.file))
    assert life.states() == ("Paused", "Unregistered")
    life.miniport(halt)
    assert life.states() == ("Halted", "Unregistered")


def test_every_step_of_the_tables_is_taken(tools):
    seen = set()
    for scenario in SCENARIOS:
        life = Life(tools, keeps_nbls=scenario in (kept, odd_receive_head))
        scenario(life, tools)
        seen |= life.watcher.seen
    expected = {(cycle.name, step) for cycle in LIFE_CYCLES for step in cycle.steps}
    assert expected - seen == set()


def whole_life(life, tools):
    life.miniport(initialize, restart)
    life.register()
    life.send(Packet(tools.packet(20)))
    life.bench.receive_ring.push(tools.packet(20))
    life.bench.settle()
    life.miniport(pause, halt)


def paused(life, tools):
    life.miniport(initialize, restart)
    life.register()
    life.miniport(pause)
    life.bench.receive_ring.push(tools.packet(20))
    life.bench.settle()
    life.send(Packet(tools.packet(20)))


def bad_head(life, tools):
    life.miniport(initialize, restart)
    life.bench.receive_ring.head = life.bench.receive_ring.capacity
    life.register()


def no_reader(life, tools):
    life.miniport(initialize, restart)
    life.bench.failures = {"thread": {1}}
    life.register()


def kept(life, tools):
    """NDIS keeps NBLs; they come back outside of the indication."""
    life.miniport(initialize, restart)
    life.register()
    life.give_back(life.receive(tools.packet(20)))


def no_pool(life, tools):
    life.bench.failures = {"NBL pool": {1}}
    life.miniport(initialize)


def odd_send_tail(life, tools):
    """B11: a chain that counts as completed at once is published by another sender before it is copied."""
    life.miniport(initialize, restart)
    life.bench.send_ring.tail = 1
    life.register()
    for marks_first in (True, False):
        copying, copied = tools.gate("MarkCompleted")
        completing, completed = tools.gate("CompleteSend")
        life.run(send(life.adapter, SendChain.of(Packet(tools.packet(20)))), tools=tools, before=copying)
        life.run(send(life.adapter, SendChain.of(Packet(tools.packet(20)))), tools=tools, before=completing)
        for event in (copied, completed) if marks_first else (completed, copied):
            event.signalled = True
            life.bench.settle()


def odd_receive_head(life, tools):
    """B11: NBLs that count as completed at once are taken off the list by the return of another."""
    opened, indicated = op.Event("opened", manual_reset=True), []

    def hold_the_second(text):
        if text == "IndicateReceive":
            indicated.append(text)
        return waiting(opened) if text == "IndicateReceive" and len(indicated) == 2 else None

    life.miniport(initialize, restart)
    life.bench.receive_ring.head = life.bench.receive_ring.tail = 1
    life.register(tools=tools, reader_before=hold_the_second)
    first = life.receive(tools.packet(20))
    assert life.receive(tools.packet(20)) is first
    life.give_back(first)
    opened.signalled = True
    life.bench.settle()
    life.give_back(life.bench.ndis.kept[1])
    life.receive(tools.packet(20))
    life.give_back(life.receive(tools.packet(20)))


def waiting(event):
    yield op.Wait((event,))


SCENARIOS = (whole_life, paused, bad_head, no_reader, kept, no_pool, odd_send_tail, odd_receive_head)


def test_chains_and_nbls_end_where_ndis_has_them(tools):
    life = Life(tools)
    life.miniport(initialize, restart)
    life.register()
    chain = SendChain.of(Packet(tools.packet(20)))
    assert life.watcher.state(SEND_CHAIN, chain) == "With NDIS"
    life.run(send(life.adapter, chain))
    assert life.watcher.state(SEND_CHAIN, chain) == "Completed"
    assert {cycle for cycle, _ in life.watcher.seen} == {MINIPORT.name, REGISTRATION.name, READER.name, SEND_CHAIN.name}
    life.bench.receive_ring.push(tools.packet(20))
    life.bench.settle()
    assert RECEIVE_NBL.name in {cycle for cycle, _ in life.watcher.seen}
