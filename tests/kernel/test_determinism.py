"""The same seed and the same inputs give the same trace, wherever it runs (design §3)."""

import os
import subprocess
import sys

import pytest

from wintun_model.trace import Kind

SCENARIO = '''
from wintun_model.abi import TUN_IOCTL_REGISTER_RINGS, RegisterRings, RingDescription
from wintun_model.ring import ring_bytes_of
from wintunsim.kernel.memory import view
from wintunsim.kernel.objects import EventObject, Mutex, Semaphore, Timer
from wintunsim.kernel.system import System

CAPACITY = 0x20000
ACCESS = 0xC0000000


def play(seed=0, sink=None, watched=False):
    """A client with three threads that echoes packets, waits for all kinds of objects, closes and exits."""
    system = System(seed=seed)
    machine = system.machine
    if sink is not None:
        machine.trace.add_sink(sink)
    device = system.create_adapter("tun")
    process = system.create_process("client")
    size = ring_bytes_of(CAPACITY)
    addresses = [process.memory.allocate(size) for _ in range(2)]
    views = [view(address, size) for address in addresses]
    words, data = [each[:12].cast("I") for each in views], [each[12:] for each in views]
    events = [EventObject(name, manual_reset=False, signalled=False) for name in ("send", "receive")]
    handles = [process.handles.insert(event, 0x1F0003) for event in events]
    mutex, semaphore = Mutex(machine, "mutex"), Semaphore("semaphore", 0, 1000)
    timer = Timer(machine, "timer", manual_reset=False, high_resolution=False)
    stream = machine.stream("client")

    def step(cost=40):
        system.poll()
        machine.spend(cost)

    def write(packet):
        tail = words[1][1]
        data[1][tail : tail + 4] = len(packet).to_bytes(4, "little")
        data[1][tail + 4 : tail + 4 + len(packet)] = packet
        words[1][1] = (tail + 4 + (len(packet) + 3) // 4 * 4) % CAPACITY
        step()
        if words[1][2]:
            machine.set_event(events[1])

    def worker():
        while True:
            machine.wait((semaphore, mutex), wait_all=True)
            machine.spend(1000)
            mutex.release(machine.current)
            machine.signalled(mutex)

    def main():
        record = RegisterRings(*(RingDescription(size, a, h) for a, h in zip(addresses, handles)))
        _, file = system.open_path(device.interface_path, process, ACCESS, 0)
        handle = process.handles.insert(file, file.access)
        assert file.control(process, TUN_IOCTL_REGISTER_RINGS, record.to_bytes()) == (0, 0)
        device.port.feed((machine.now + n * 30_000, 1, n + 1, bytes([0x45] + [n] * (20 + n * 7))) for n in range(40))
        for _ in range(2):
            process.start_thread(worker)
        timer.set(machine.now + 100_000)
        seen = 0
        while seen < 40:
            if words[0][0] == words[0][1]:
                machine.wait((timer, *events[:1]), deadline_ns=machine.tick_after(machine.now))
                step()
                continue
            head = words[0][0]
            length = int.from_bytes(data[0][head : head + 4], "little")
            packet = bytes(data[0][head + 4 : head + 4 + length])
            words[0][0] = (head + 4 + (length + 3) // 4 * 4) % CAPACITY
            step(100 + stream.below(50))
            write(packet)
            semaphore.count += 1
            machine.signalled(semaphore)
            seen += 1
        machine.wait((timer,), deadline_ns=machine.now + 50_000_000)
        process.handles.close(handle)
        process.exit(0)

    process.start_thread(main)
    if watched:
        for until_ns in range(0, 60_000_000, 7_000_000):
            machine.run(until_ns)
    machine.run()
    assert device.port.receive.packets == 40
    digest = machine.trace.digest()
    for thread in list(machine.threads):
        machine.kill(thread)
    return digest
'''


@pytest.fixture(scope="module")
def play():
    namespace = {}
    exec(SCENARIO, namespace)
    return namespace["play"]


def test_twenty_runs_have_one_digest(play):
    assert len({play(seed=5) for _ in range(20)}) == 1


def test_another_seed_is_another_run(play):
    assert len({play(seed) for seed in range(5)}) == 5


def test_whoever_listens_changes_nothing(play):
    records = []
    assert play(seed=5, sink=records.extend) == play(seed=5)
    assert len(records) > 6 * 500
    assert len(records) % 6 == 0


def test_where_a_run_is_cut_changes_nothing(play):
    assert play(seed=5, watched=True) == play(seed=5)


def test_no_thread_goes_back_in_time(play):
    records = []
    play(seed=5, sink=records.extend)
    latest = {}
    for place in range(0, len(records), 6):
        time_ns, thread = records[place : place + 2]
        if records[place + 2] != Kind.NAME:
            assert time_ns >= latest.get(thread, 0)
            latest[thread] = time_ns


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_hash_seeds_change_nothing(play, hash_seed):
    text = SCENARIO + "\nprint(play(5))\n"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout.strip() == play(5)
