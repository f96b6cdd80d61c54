"""Processes: who may end when, and in which order things go (spec win32 §2, driver §6.3)."""

import pytest

from wintun_model.status import NtStatus
from wintun_model.trace import Kind
from wintunsim.kernel import probe
from wintunsim.kernel.handles import EVENT_ALL_ACCESS, EVENT_MODIFY_STATE, SYNCHRONIZE
from wintunsim.kernel.machine import ThreadKilled
from wintunsim.kernel.objects import KernelObject, Mutex
from wintunsim.kernel.process import Account


class Thing(KernelObject):
    """Notes when its last handle goes, and whether memory is still there."""

    def __init__(self, name, bench, log):
        super().__init__(name)
        self.log = log
        self.memory, self.range = bench.process.memory, (bench.send.address, 1)

    def last_handle_closed(self):
        self.log.append((self.name, self.memory.owns(*self.range)))


def test_ids_are_multiples_of_four_and_all_different(bench):
    other = bench.system.create_process("other")
    ids = [bench.process.process_id, other.process_id]
    for process in (bench.process, other):
        ids += [bench.start(lambda: None, process=process).thread_id for _ in range(3)]
    assert len(set(ids)) == 8
    assert all(each % 4 == 0 and each > 0 for each in ids)
    assert [(process.number, process.name) for process in (bench.process, other)] == [(1, "client"), (2, "other 2")]
    names = [thread.name for thread in bench.process.threads]
    assert names == ["client/main", "client/thread 2", "client/thread 3"]
    assert bench.process.main_thread is bench.process.threads[0]


@pytest.mark.parametrize(("account", "is_system"), [(account, account is Account.SYSTEM) for account in Account])
def test_only_one_account_is_local_system(bench, account, is_system):
    assert bench.system.create_process("other", account).is_local_system is is_system


def test_exit_ends_threads_then_the_driver_then_handles_then_memory(bench):
    log = []
    process, machine = bench.process, bench.machine

    def worker():
        try:
            machine.block()
        finally:
            log.append("thread")

    def main():
        process.handles.insert(Thing("first handle", bench, log), 0)
        bench.register()
        process.handles.insert(Thing("last handle", bench, log), 0)
        process.exit_callbacks.append(lambda _: log.append(("callback", bench.send.tail, process.memory.owns(base, 1))))
        process.ended_callbacks.append(lambda _: log.append(("ended", process.exit_code, process.memory.owns(base, 1))))
        try:
            process.exit(0x1_0000_0007)
        finally:
            log.append("main")

    base = bench.send.address
    bench.start(main, "main")
    bench.start(worker)
    bench.run()
    assert log == [
        "thread",
        ("callback", 0xFFFFFFFF, True),  # the driver's rule came first, and handles are still there
        ("first handle", True),
        ("last handle", True),
        ("ended", 7, False),
        "main",
    ]
    assert process.handles.values() == []
    assert process.ended.signalled
    assert machine.threads == []


def test_the_driver_ends_the_registration_of_a_process_whose_file_others_keep_open(bench):
    """Spec driver §6.3: whoever the owner file object is, and before the process's handles are closed."""
    other = bench.system.create_process("other")

    def main():
        bench.register()
        other.handles.insert(bench.file, 0)
        bench.process.exit(0)

    bench.run(main)
    assert bench.adapter.owner.value is None
    assert bench.file.handle_count == 1
    assert bench.device.files == [bench.file]


def test_other_devices_of_a_process_go_with_their_handles(bench, tools):
    """Spec driver §6.3: only the earliest registered device is found."""
    second = bench.system.create_adapter("second")
    rings = [tools.ClientRing(bench, name, 128 * 1024) for name in ("s", "r")]
    seen = []

    def main():
        bench.register()
        bench.described = {
            name: [ring.size, ring.address, ring.handle] for name, ring in zip(("send", "receive"), rings, strict=True)
        }
        status, file = bench.system.open_path(second.interface_path, bench.process, 0xC0000000, 0)
        bench.process.handles.insert(file, file.access)
        assert (status, bench.control(file=file)) == (0, 0)
        owners = (bench.adapter.owner, second.adapter.owner)
        bench.process.exit_callbacks.append(lambda _: seen.extend(owner.value for owner in owners))
        seen.append(file)
        bench.process.exit(0)

    bench.run(main)
    file = seen[0]
    assert seen[1:] == [None, file]
    assert second.adapter.owner.value is None
    assert second.files == []


def test_threads_in_the_kernel_are_waited_for(bench):
    log = []

    def worker():
        bench.open()
        try:
            bench.control()
        except ThreadKilled:
            log.append(("request done", bench.adapter.owner.value is bench.file))
            raise

    def main():
        bench.until(lambda: bench.adapter.owner.value is not None)
        assert bench.adapter.driver.registered.value == ()
        bench.process.exit(3)

    bench.process.exit_callbacks.append(lambda _: log.append("threads gone"))
    bench.start(main, "main")
    bench.start(worker)
    bench.run()
    assert log == [("request done", True), "threads gone"]
    assert bench.process.exit_code == 3
    assert bench.adapter.owner.value is None
    assert bench.device.files == []


def test_exit_from_another_thread_than_the_main_one(bench):
    def leave():
        bench.machine.spend(1000)
        bench.process.exit(5)

    thread = bench.start(bench.machine.block, "main")
    bench.start(leave)
    bench.run()
    assert bench.process.exit_code == 5
    assert thread.ended.signalled
    assert bench.machine.threads == []


def test_a_process_ends_once_with_its_first_exit_code(bench):
    log = []

    def main():
        bench.until(lambda: bench.adapter.owner.value is not None)
        bench.process.exit(3)  # waits for the request

    def kill():
        bench.until(lambda: bench.process.is_exiting)
        bench.process.exit(9)
        log.append(bench.process.exit_code)
        bench.machine.wait((bench.process.ended,))
        log.append(bench.process.exit_code)

    bench.start(main, "main")
    bench.start(bench.control)
    bench.start(kill, process=bench.system.create_process("other"))
    bench.run()
    assert log == [None, 3]


def test_a_process_is_ended_by_a_thread_of_another(bench):
    killer = bench.system.create_process("killer")
    log = []

    def victim():
        bench.register()
        bench.machine.block()

    def kill():
        bench.until(lambda: bench.port.connected)
        bench.process.exit(0xC000013A)
        log.append(bench.process.exit_code)
        bench.process.exit(1)

    bench.start(victim)
    bench.start(kill, process=killer)
    bench.run()
    assert log == [0xC000013A]
    assert bench.adapter.owner.value is None
    assert bench.process.exit_code == 0xC000013A
    assert killer.exit_code is None


def test_the_memory_of_a_process_stays_for_the_driver_until_it_unregisters(bench):
    """A thread of another process registers memory of its own; freed memory is gone for the client at once."""
    memory, address, size = bench.process.memory, bench.send.address, bench.send.size

    def client():
        bench.register()
        assert memory.free(address)
        assert not memory.is_accessible(address, size, write=True)
        # The driver goes on to write it.
        bench.feed([b"\x45" + bytes(99)], start_ns=bench.machine.now)
        bench.sleep(100_000)
        assert bench.send.tail == 104
        others = [memory.allocate(size) for _ in range(4)]
        assert all(other is not None and abs(other - address) >= size for other in others)
        assert probe.is_accessible(address, size, write=True)
        bench.close()
        assert not probe.is_accessible(address, size, write=False)
        assert bench.statistics["out_unicast_packets"] == 1

    bench.run(client)


def test_events_are_referenced_as_the_object_manager_does(bench):
    handles = bench.process.handles
    event = bench.send.event
    weak = handles.insert(event, SYNCHRONIZE)
    mutex = handles.insert(Mutex(bench.machine, "m"), EVENT_ALL_ACCESS)
    ask = bench.process.reference_event
    assert ask(0x7000, EVENT_MODIFY_STATE) == (NtStatus.STATUS_INVALID_HANDLE, None)
    assert ask(mutex, EVENT_MODIFY_STATE) == (NtStatus.STATUS_OBJECT_TYPE_MISMATCH, None)
    assert ask(weak, EVENT_MODIFY_STATE) == (NtStatus.STATUS_ACCESS_DENIED, None)
    assert ask(weak, SYNCHRONIZE | EVENT_MODIFY_STATE) == (NtStatus.STATUS_ACCESS_DENIED, None)
    assert event.pointer_count == 0
    assert ask(weak, SYNCHRONIZE) == (NtStatus.STATUS_SUCCESS, event)
    assert ask(bench.send.handle, SYNCHRONIZE | EVENT_MODIFY_STATE) == (NtStatus.STATUS_SUCCESS, event)
    assert event.pointer_count == 2


def test_start_and_end_are_traced_with_the_exit_code(bench):
    records = []
    bench.machine.trace.add_sink(records.extend)
    bench.run(lambda: bench.process.exit(9))
    rows = [tuple(records[place + 2 : place + 5]) for place in range(0, len(records), 6)]
    assert (Kind.PROCESS_START, bench.process.trace_number, 0) in rows
    assert (Kind.PROCESS_END, bench.process.trace_number, 9) in rows
    assert bench.machine.trace.names[bench.process.trace_number] == "client"
