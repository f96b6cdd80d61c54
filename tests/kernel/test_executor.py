"""The virtual-time executor: the same operations as at once, each at its time (design §1)."""

import pytest

from wintun_model import operations as op
from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintun_model.adapter import Adapter, Packet, ReceiveNbl, SendChain
from wintun_model.dispatch import close, device_control
from wintun_model.errors import DriverFault, ModelError
from wintun_model.immediate import ImmediateExecutor, RecordingNdis, SimpleCaller
from wintun_model.miniport import restart
from wintun_model.receive import return_nbls
from wintun_model.registration import Registration
from wintun_model.send import send
from wintun_model.trace import Kind

KIB = 1024
WAKE_NS = 8000
SPIN_NS = 100_000
STOPPED = 0xFFFFFFFF


# -- the same operations as the immediate executor's --------------------------------------------------------------


def told(operation):
    """An operation in words: its class, the names of its nouns, and its numbers (no addresses)."""
    words = [type(operation).__name__]
    for kind in type(operation).__mro__:
        for slot in sorted(getattr(kind, "__slots__", ())):
            value = getattr(operation, slot)
            if slot not in ("address", "handle"):
                words.append(f"{slot}={getattr(value, 'name', value)}" if _is_plain(value) else slot)
    return " ".join(words)


def _is_plain(value):
    return isinstance(value, int | str | bytes | None | op.Word | op.Variable | op.Lock | op.Event | op.ActiveList)


def logged(routine, log, reader_log):
    """Run a routine, and note what it yields; what the threads yield that it starts goes to `reader_log`."""
    value = None
    while True:
        try:
            operation = routine.send(value)
        except StopIteration as stop:
            return stop.value
        log.append(told(operation))
        if isinstance(operation, op.StartThread):
            operation = op.StartThread(
                logged(operation.routine, reader_log, reader_log), operation.name, operation.priority
            )
        value = yield operation
        if isinstance(operation, op.CallOut) and value is not None:
            # What the system does inside its call is its own: it may take another way there.
            value = yield from value


class Scenario:
    """The same steps under either executor: register, send, receive, be refused, close."""

    def __init__(self, tools):
        self.tools = tools
        self.log, self.reader_log = [], []

    def steps(self):
        packet = self.tools.packet
        yield "register", None
        yield "send", (packet(1420, 1),)
        yield "send", (packet(0), packet(1), packet(65535, 2), packet(20, 3))
        yield "send", (Packet(None, 100), packet(60, 4))
        yield "send", (packet(65536, 5), packet(28, 6))
        yield "receive", (packet(20, 7), packet(1420, 8, 6))
        yield "receive", (packet(65535, 9),)
        yield "send", tuple(packet(60000, seed) for seed in range(3))  # too much
        yield "pop", None
        yield "send", (packet(60000, 10),)
        yield "spoil", None
        yield "send", (packet(20, 11),)
        yield "close", None

    def logged(self, routine):
        return logged(routine, self.log, self.reader_log)

    @staticmethod
    def chain(packets):
        return SendChain.of(*(each if isinstance(each, Packet) else Packet(each) for each in packets))


def play_in_virtual_time(scenario):
    bench = scenario.tools.Bench()
    # All of it goes through the routines as they are, on the client's thread.
    executor, adapter = bench.system.executor, bench.adapter

    def client():
        bench.open()
        for verb, packets in scenario.steps():
            if verb == "register":
                request = Registration(bench.process, bench.file, bench.record())
                routine = device_control(adapter, request, TUN_IOCTL_REGISTER_RINGS)
                assert executor.request(scenario.logged(routine)) == (0, 0)
            elif verb == "send":
                executor.request(scenario.logged(send(adapter, scenario.chain(packets))))
            elif verb == "close":
                executor.request(scenario.logged(close(adapter, bench.file)))
            else:
                play_client(bench.send, bench.receive, verb, packets, bench.machine.set_event)
            bench.sleep(1_000_000)

    bench.run(client)
    return bench.send.bytes, bench.receive.bytes, bench.adapter.statistics


class PlainRing:
    """A ring in a bytearray, as the immediate executor's caller has it, with the shape of the client's rings."""

    def __init__(self, tools, name, address):
        self.size = 12 + 128 * KIB + 0x10000
        self.address = address
        self.capacity = 128 * KIB
        self.memory = bytearray(self.size)
        self.words = memoryview(self.memory)[:12].cast("I")
        self.data = memoryview(self.memory)[12:]
        self.event = op.Event(f"{name} moved", manual_reset=False)
        self.put = tools.ClientRing.put.__get__(self)
        self.pop = tools.ClientRing.pop.__get__(self)

    head = property(lambda self: self.words[0], lambda self, value: self.words.__setitem__(0, value))
    tail = property(lambda self: self.words[1], lambda self, value: self.words.__setitem__(1, value))


def play_client(send_ring, receive_ring, verb, packets, set_event):
    """What the client does in one step, without time."""
    if verb == "pop":
        while send_ring.pop() is not None:
            pass
    elif verb == "spoil":
        receive_ring.tail = receive_ring.put(b"\x55" + bytes(30))
        set_event(receive_ring.event)
    else:
        for data in packets:
            receive_ring.tail = receive_ring.put(data)
        set_event(receive_ring.event)


def play_at_once(scenario):
    adapter, executor = Adapter("tun"), ImmediateExecutor(RecordingNdis())
    rings = [PlainRing(scenario.tools, name, 0x10_0000 * place) for place, name in ((1, "send"), (2, "receive"))]
    caller, file = SimpleCaller(1004), object()
    caller.memory = {ring.address: ring.memory for ring in rings}
    caller.handles = {4: (rings[0].event, 0x1F0003), 8: (rings[1].event, 0x1F0003)}
    descriptions = [RingDescription(ring.size, ring.address, 4 * place) for place, ring in enumerate(rings, 1)]
    executor.run(restart(adapter))
    for verb, packets in scenario.steps():
        if verb == "register":
            request = Registration(caller, file, RegisterRings(*descriptions).to_bytes())
            routine = device_control(adapter, request, TUN_IOCTL_REGISTER_RINGS)
            assert executor.run(scenario.logged(routine)) == (0, 0)
        elif verb == "send":
            executor.run(scenario.logged(send(adapter, scenario.chain(packets))))
        elif verb == "close":
            executor.run(scenario.logged(close(adapter, file)))
        else:
            play_client(*rings, verb, packets, lambda event: setattr(event, "signalled", True))
        executor.settle()
    return rings[0].memory, rings[1].memory, adapter.statistics


def test_routines_do_the_same_at_once_and_in_virtual_time(tools):
    at_once, in_time = Scenario(tools), Scenario(tools)
    outcome, timed = play_at_once(at_once), play_in_virtual_time(in_time)
    assert in_time.log == at_once.log
    assert in_time.reader_log == at_once.reader_log
    assert len(in_time.log) > 150
    assert any("Spin" in line for line in in_time.reader_log)
    # The whole memory of both rings, and every counter.
    assert bytes(timed[0]) == bytes(outcome[0])
    assert bytes(timed[1]) == bytes(outcome[1])
    assert timed[2] == outcome[2]
    assert outcome[2].out_discards == 4
    assert outcome[2].in_unicast_packets == 3


# -- the reader's waiting -----------------------------------------------------------------------------------------


class Story:
    """A bench whose trace is kept, to be asked when a ring word was stored."""

    def __init__(self, bench):
        self.records = []
        self.bench = bench
        bench.machine.trace.add_sink(self.records.extend)

    def stores(self, name):
        """(time, value) of each store to the word of that name."""
        names = self.bench.machine.trace.names
        self.bench.machine.trace.flush()
        rows = [self.records[place : place + 6] for place in range(0, len(self.records), 6)]
        return [(row[0], row[4]) for row in rows if row[2] == Kind.STORE and names[row[3]] == name]


@pytest.fixture
def story(bench):
    return Story(bench)


def test_the_reader_spins_for_a_tenth_of_a_millisecond_then_asks_to_be_woken(bench, story):
    pushed = []

    def client():
        bench.register()
        bench.sleep(50_000)
        for pause_ns in (0, 90_000, 500_000):
            bench.sleep(pause_ns)
            pushed.append(bench.machine.now)
            bench.receive.push(bytes([0x45]) + bytes(39))
            bench.step()
        bench.sleep(1_000_000)

    bench.run(client)
    stores = story.stores("tun.receive.Alertable")
    assert [value for _, value in stores] == [1, 0, 1]
    times = [time_ns for time_ns, _ in bench.network.received]
    first, second, third = (received - at for received, at in zip(times, pushed, strict=True))
    # While it spins it notices within a pass or two, and is not to be woken.
    assert first < 2000
    assert second < 2000
    assert WAKE_NS < third < WAKE_NS + 3000
    # From the end of one packet to Alertable.
    for (alertable_ns, _), received_ns in ((stores[0], times[1]), (stores[2], times[2])):
        assert SPIN_NS <= alertable_ns - received_ns < SPIN_NS + 2500


def test_a_packet_without_a_wake_up_lies_until_the_next(bench):
    def client():
        bench.register()
        bench.sleep(1_000_000)
        ring = bench.receive
        assert ring.alertable == 1
        ring.tail = ring.put(b"\x45" + bytes(99))
        bench.sleep(10_000_000)
        assert bench.received == []
        ring.push(b"\x45" + bytes(49))
        bench.sleep(20_000)
        assert [len(data) for data in bench.received] == [100, 50]

    bench.run(client)


def test_a_signal_without_a_packet_wakes_the_reader_once(bench, story):
    def client():
        bench.register()
        bench.sleep(1_000_000)
        bench.machine.set_event(bench.receive.event)
        bench.sleep(1_000_000)
        assert not bench.receive.event.signalled

    bench.run(client)
    assert [value for _, value in story.stores("tun.receive.Alertable")] == [1, 0, 1]


@pytest.mark.parametrize("pause_ns", [20_000, 1_000_000], ids=["while it spins", "while it sleeps"])
def test_closing_ends_the_reader_at_once(bench, story, pause_ns):
    taken = []

    def client():
        bench.register()
        bench.sleep(pause_ns)
        start = bench.machine.now
        bench.close()
        taken.append(bench.machine.now - start)

    bench.run(client)
    assert taken[0] < 2 * WAKE_NS + 10_000
    assert [value for _, value in story.stores("tun.receive.Alertable")] == [1, 0]
    assert story.stores("tun.receive.Head")[-1][1] == STOPPED
    assert story.stores("tun.send.Tail")[-1][1] == STOPPED
    assert story.stores("tun.receive.Head")[-1][0] < story.stores("tun.send.Tail")[-1][0]


# -- locks --------------------------------------------------------------------------------------------------------


def holding(machine, lock, log, name, hold_ns, *, shared=False):
    """A routine that takes a lock, keeps it, and releases it."""
    event = op.Event("never", manual_reset=True)
    word = op.Word([0], 0, f"word of {name}")

    def routine():
        yield lock.acquire_shared if shared else lock.acquire
        log.append((machine.now, f"+{name}"))
        yield op.Spin(word, 0, event, hold_ns // 100)
        log.append((machine.now, f"-{name}"))
        yield lock.release_shared if shared else lock.release

    return routine()


def run_holders(bench, plans):
    """Threads that take one lock: (name, start, shared). The order of what they did."""
    lock, log, machine = op.Lock("lock"), [], bench.machine
    for name, start_ns, shared in plans:
        routine = holding(machine, lock, log, name, 10_000, shared=shared)
        machine.start_thread(name, lambda routine=routine: bench.system.executor.run(routine), delay_ns=start_ns)
    machine.run()
    assert lock.is_free()
    return [what for _, what in log]


def test_an_exclusive_lock_goes_to_waiters_in_their_order(bench):
    plans = [("a", 0, False), ("b", 10, False), ("c", 20, False)]
    assert run_holders(bench, plans) == ["+a", "-a", "+b", "-b", "+c", "-c"]


def test_shared_holders_are_in_together_and_wait_behind_a_writer(bench):
    plans = [("a", 0, True), ("b", 100, True), ("W", 200, False), ("c", 300, True), ("d", 400, True)]
    order = run_holders(bench, plans)
    assert order[:6] == ["+a", "+b", "-a", "-b", "+W", "-W"]
    assert sorted(order[6:8]) == ["+c", "+d"]


def test_trying_a_lock_waits_for_nobody(bench):
    lock, results, machine = op.Lock("lock"), [], bench.machine

    def attempt():
        results.append((yield lock.try_acquire))

    machine.start_thread("a", lambda: bench.system.executor.run(holding(machine, lock, [], "a", 10_000)))
    machine.start_thread("b", lambda: bench.system.executor.run(attempt()), delay_ns=5000)
    machine.start_thread("c", lambda: bench.system.executor.run(attempt()), delay_ns=50_000)
    machine.run()
    assert results == [False, True]


def test_a_waiter_that_was_killed_gets_no_lock(bench):
    lock, log, machine = op.Lock("lock"), [], bench.machine
    threads = {
        name: machine.start_thread(
            name,
            lambda name=name: bench.system.executor.run(holding(machine, lock, log, name, 10_000)),
            delay_ns=delay,
        )
        for name, delay in (("a", 0), ("b", 10), ("c", 20))
    }
    machine.call_at(1000, lambda: machine.kill(threads["b"]))
    machine.run()
    assert [what for _, what in log] == ["+a", "-a", "+c", "-c"]
    assert lock.is_free()


# -- mistakes -----------------------------------------------------------------------------------------------------


def run_one(bench, routine):
    bench.run(lambda: bench.system.executor.run(routine))


@pytest.mark.parametrize("release", ["release", "release_shared"])
def test_releasing_a_lock_that_is_not_held_is_the_models_mistake(bench, release):
    def routine():
        yield getattr(op.Lock("thing"), release)

    with pytest.raises(ModelError, match="thing is released but not held"):
        run_one(bench, routine())


def test_the_vocabulary_is_closed(bench):
    class Dance(op.Operation):
        pass

    def routine():
        yield Dance()

    with pytest.raises(ModelError, match="Dance is outside the vocabulary of operations"):
        run_one(bench, routine())


def test_a_return_after_the_end_of_the_registration_is_the_drivers_fault(bench):
    """B2, B8: a late return stores in ring memory that was given back. Here NDIS keeps a ring for that."""

    def client():
        bench.register()
        ring = bench.adapter.receive_ring.value
        bench.close()
        nbl = ReceiveNbl(ring, 4, 20, 4, 1)
        bench.adapter.receive_active.first = bench.adapter.receive_active.last = nbl
        bench.system.executor.run(return_nbls(bench.adapter, (nbl,)))

    with pytest.raises(DriverFault, match="ring memory that it had already given back"):
        bench.run(client)


def test_a_clients_other_mistakes_come_out_as_they_are(bench):
    def routine():
        yield op.Lock("x").acquire
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run_one(bench, routine())
