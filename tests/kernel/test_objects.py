"""What handles name: who keeps an object alive, and what tells the driver of its end (spec win32 §2, driver §6.2)."""

import pytest

from wintun_model.operations import Event
from wintun_model.trace import Kind
from wintunsim.kernel.objects import EventObject, Mutex, ProcessObject, Section, Semaphore, ThreadObject, Timer


def test_the_names_of_the_types_are_those_of_the_object_manager(bench):
    assert EventObject.type_name == "Event"
    assert Mutex.type_name == "Mutant"
    assert [kind.type_name for kind in (Semaphore, Timer, ThreadObject, ProcessObject, Section)] == [
        "Semaphore",
        "Timer",
        "Thread",
        "Process",
        "Section",
    ]


def test_an_event_of_a_client_is_an_event_of_the_model():
    event = EventObject("a", manual_reset=False, signalled=True, object_name="Global\\a")
    assert isinstance(event, Event)
    assert (event.object_name, event.signalled, event.manual_reset) == ("Global\\a", True, False)


def test_the_last_handle_of_a_file_closes_it(bench):
    def client():
        bench.register()
        bench.close()
        assert bench.adapter.owner.value is None
        assert bench.send.tail == 0xFFFFFFFF
        assert bench.device.files == []

    bench.run(client)
    assert bench.network.links[-1][1] is False


def test_another_handle_keeps_the_file_open(bench):
    def client():
        bench.register()
        handles = bench.process.handles
        second = handles.insert(bench.file, bench.file.access)
        elsewhere = bench.system.create_process("other").handles
        third = elsewhere.insert(bench.file, 0)
        assert handles.close(bench.file_handle)
        assert handles.close(second)
        bench.sleep(1_000_000)
        assert bench.adapter.owner.value is bench.file
        assert elsewhere.close(third)
        assert bench.adapter.owner.value is None

    bench.run(client)
    assert [connected for _, connected in bench.network.links] == [True, False]


def test_a_close_is_traced_once(bench):
    records = []
    bench.machine.trace.add_sink(records.extend)

    def client():
        bench.open()
        bench.close()

    bench.run(client)
    assert list(records[2::6]).count(Kind.CLOSE) == 1


def test_a_file_that_never_registered_closes_without_a_trace_in_the_adapter(bench):
    def client():
        bench.register()
        file = bench.file
        bench.open()
        bench.close()
        assert bench.adapter.owner.value is file
        bench.sleep(1000)
        bench.file = file

    bench.run(client)
    assert [connected for _, connected in bench.network.links] == [True]


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_close_during_a_request_waits_for_its_end(bench, is_killed):
    """The file object is released when no request on it is outstanding, also if its thread ends with the request."""
    results = []

    def client():
        bench.open()
        results.append(bench.control())

    thread = bench.start(client)

    def closer():
        bench.until(lambda: bench.adapter.owner.value is not None)
        assert bench.process.handles.close(bench.file_handle)
        assert bench.adapter.owner.value is bench.file
        if is_killed:
            bench.machine.kill(thread)
        bench.machine.wait((thread.ended,))
        assert bench.adapter.owner.value is None
        assert bench.device.files == []
        assert bench.send.tail == 0xFFFFFFFF

    bench.start(closer)
    bench.run()
    assert results == ([] if is_killed else [0])
    assert [connected for _, connected in bench.network.links] == [True, False]


def test_an_event_lives_for_the_driver_when_its_handle_is_closed(bench):
    def client():
        bench.register()
        bench.process.handles.close(bench.send.handle)
        assert (bench.send.event.handle_count, bench.send.event.pointer_count) == (0, 1)
        bench.feed([bench_packet], start_ns=bench.machine.now)
        bench.sleep(100_000)
        assert bench.send.event.signalled
        bench.close()
        assert (bench.send.event.pointer_count, bench.receive.event.pointer_count) == (0, 0)

    bench_packet = b"\x45" + bytes(19)
    bench.run(client)
