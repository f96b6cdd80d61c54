"""The end of a registration: close, process exit, force close, pause (spec driver §6, §7)."""

import pytest

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES
from wintun_model.adapter import Adapter, Driver
from wintun_model.dispatch import close, process_exit
from wintun_model.immediate import Blocked, SimpleCaller
from wintun_model.miniport import driver_version, pause, restart
from wintun_model.receive import return_nbls
from wintun_model.registration import unregister
from wintun_model.send import send
from wintun_model.status import NdisStatus

STOPPED = 0xFFFFFFFF


def keeping(tools):
    """A registered bench whose NDIS keeps one NBL."""
    bench = tools.Bench(keeps_nbls=True).register()
    bench.receive_ring.push(tools.packet(20))
    bench.settle()
    return bench, bench.ndis.kept[0]


# -- the steps --------------------------------------------------------------------------------------------------------


def test_the_steps_in_their_order(registered):
    log = []
    registered.close(log=log)
    assert log == [
        "AcquireShared context guard",
        "Get attached",
        "Acquire registration",
        "Get owner",
        "Put owner=None",
        "Acquire device list",
        "Get registered devices",
        "Put registered devices",
        "Release device list",
        "IndicateLink False",
        "Set disconnected",
        "Acquire transition",
        "Release transition",
        "Get reader",
        "Wait tun reader ended",
        "Get send ring",
        f"Store send.Tail={STOPPED}",
        "Set send.TailMoved",
        "Get receive ring",
        "UnlockPages",
        "Free memory descriptor",
        "Dereference receive.TailMoved",
        "UnlockPages",
        "Free memory descriptor",
        "Dereference send.TailMoved",
        "Release registration",
        "ReleaseShared context guard",
    ]


def test_after_a_close(registered):
    registered.close()
    adapter = registered.adapter
    assert adapter.owner.value is None
    assert adapter.driver.registered.value == ()
    assert adapter.disconnected.signalled
    assert registered.ndis.links == [True, False]
    assert registered.send_ring.words == (0, STOPPED, 0)
    assert registered.send_ring.event.signalled
    assert registered.receive_ring.words == (STOPPED, 0, 0)
    assert registered.executor.threads == []
    assert all(lock.is_free() for lock in registered.locks)
    assert registered.send(b"\x45" + bytes(19)) == [NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED]


def test_the_clients_memory_is_its_own_again(registered):
    registered.close()
    # A bytearray that somebody still views cannot be resized.
    for ring in (registered.send_ring, registered.receive_ring):
        ring.memory.append(0)


def test_a_failed_registration_gives_the_memory_back_too(bench):
    bench.failures = {"thread": {1}}
    bench.control()
    for ring in (bench.send_ring, bench.receive_ring):
        ring.memory.append(0)


def test_closing_and_registering_again(registered, tools):
    for round_number in range(3):
        registered.close()
        for ring in (registered.send_ring, registered.receive_ring):
            ring.head = ring.tail = 0
        registered.register()
        assert registered.send(tools.packet(20, round_number)) == [0]
        assert registered.send_ring.pop() == tools.packet(20, round_number)
        registered.receive_ring.push(tools.packet(24, round_number))
        registered.settle()
        assert registered.ndis.received[-1] == tools.packet(24, round_number)


def test_a_close_without_a_registration_does_nothing(bench):
    before = bench.state()
    bench.close()
    assert bench.state() == before


def test_a_close_of_another_file_object_does_nothing(registered):
    before = registered.state()
    registered.close(file="another file object")
    assert registered.state() == before


def test_unregistering_by_force_asks_for_no_owner(registered):
    assert registered.executor.run(unregister(registered.adapter, None)) is True
    assert registered.executor.run(unregister(registered.adapter, None)) is False
    assert registered.send_ring.tail == STOPPED


def test_a_close_of_a_halted_adapter_does_nothing(registered):
    registered.adapter.is_attached.value = False
    before = registered.state()
    registered.close()
    assert registered.state() == before


def test_sends_succeed_until_the_disconnected_event_is_set(registered, tools):
    before, opened = tools.gate("Set disconnected")
    registered.start(unregister(registered.adapter, None), before=before)
    assert registered.ndis.links == [True, False]
    assert registered.send(tools.packet(20)) == [0]
    opened.signalled = True
    registered.settle()
    assert registered.send(tools.packet(20)) == [NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED]


def test_it_waits_for_senders_that_are_in_the_ring(registered, tools):
    before, opened = tools.gate("MarkCompleted")
    registered.start(send(registered.adapter, tools.chain_of(tools.packet(20))), before=before)
    closing = registered.start(close(registered.adapter, registered.file))
    assert closing.blocked_on is registered.adapter.transition_lock.acquire
    log = registered.send_ring.words
    assert log == (0, 0, 0)
    opened.signalled = True
    registered.settle()
    assert closing.ended.signalled
    assert len(registered.ndis.completed) == 1
    assert registered.send_ring.tail == STOPPED


def test_a_stack_that_keeps_an_nbl_holds_up_the_close(tools):
    bench, nbl = keeping(tools)
    with pytest.raises(Blocked) as caught:
        bench.close()
    assert caught.value.args[0] == "close"
    # The link is down and the client was not told yet; a new registration is refused meanwhile.
    assert bench.ndis.links == [True, False]
    assert bench.send_ring.tail == 0
    assert bench.receive_ring.head == 0
    assert bench.control() == 0xC0000510
    bench.executor.run(return_nbls(bench.adapter, (nbl,)))
    assert bench.receive_ring.head == STOPPED
    assert bench.send_ring.tail == STOPPED
    assert bench.executor.threads == []
    assert all(lock.is_free() for lock in bench.locks)


def test_two_closes_at_once_end_the_registration_once(tools):
    bench, nbl = keeping(tools)
    first = bench.start(unregister(bench.adapter, bench.file))
    second = bench.start(unregister(bench.adapter, bench.file))
    assert second.blocked_on is bench.adapter.registration_lock.acquire
    bench.executor.run(return_nbls(bench.adapter, (nbl,)))
    assert (first.result, second.result) == (True, False)
    assert bench.ndis.links == [True, False]


def test_a_close_after_an_abort(registered):
    registered.receive_ring.move_tail(STOPPED)
    registered.settle()
    assert registered.receive_ring.head == STOPPED
    registered.close()
    assert registered.send_ring.tail == STOPPED


# -- process exit -----------------------------------------------------------------------------------------------------


def two_adapters(tools, *process_ids):
    driver = Driver()
    benches = [
        tools.Bench(driver=driver, name=f"tun{index}", process_id=process_id)
        for index, process_id in enumerate(process_ids)
    ]
    return driver, benches


def test_the_earliest_registered_device_of_the_process_is_unregistered(tools):
    driver, (first, second, third) = two_adapters(tools, 8, 7, 7)
    for bench in (third, first, second):
        bench.register()
    assert driver.registered.value == (third.adapter, first.adapter, second.adapter)
    third.executor.run(process_exit(driver, 7))
    assert third.send_ring.tail == STOPPED
    assert driver.registered.value == (first.adapter, second.adapter)
    # The others of the process go when their handles are closed, or with the next notice.
    second.executor.run(process_exit(driver, 7))
    assert driver.registered.value == (first.adapter,)
    assert first.send_ring.tail == 0


def test_the_exit_of_a_process_without_a_device_does_nothing(tools):
    driver, (bench,) = two_adapters(tools, 7)
    bench.register()
    before = bench.state()
    bench.executor.run(process_exit(driver, 8))
    assert bench.state() == before


def test_the_exit_comes_whoever_the_owner_file_object_is_and_the_close_after_it_is_harmless(registered):
    registered.executor.run(process_exit(registered.adapter.driver, 100))
    assert registered.adapter.owner.value is None
    before = registered.state()
    registered.close()
    assert registered.state() == before


def test_process_exit_takes_the_list_lock_for_the_look_up_only_and_never_the_guard(registered, tools):
    log = []
    registered.executor.run(tools.watched(process_exit(registered.adapter.driver, 100), log))
    assert log[:6] == [
        "AcquireShared device list",
        "Get registered devices",
        "Get owner process",
        "ReleaseShared device list",
        "Acquire registration",
        "Get owner",
    ]
    assert not any("guard" in text for text in log)


def test_b10_the_exit_of_one_process_may_tear_down_the_registration_of_another(registered, tools):
    before, opened = tools.gate("Acquire registration")
    registered.start(process_exit(registered.adapter.driver, 100), before=before)
    registered.close()
    other = SimpleCaller(200)
    other.memory, other.handles = registered.caller.memory, registered.caller.handles
    for ring in (registered.send_ring, registered.receive_ring):
        ring.head = ring.tail = 0
    registered.register(request=registered.request(caller=other, file="a file object of the other process"))
    opened.signalled = True
    registered.settle()
    assert registered.adapter.owner.value is None
    assert registered.send_ring.tail == STOPPED


# -- force close ------------------------------------------------------------------------------------------------------


def test_force_close_closes_every_handle_of_other_processes(registered):
    other, third = SimpleCaller(200), SimpleCaller(300)
    registered.open_handles = [
        (registered.caller, 0x10, registered.file),
        (other, 0x20, "not registered"),
        (third, 0x24, "not registered either"),
    ]
    assert registered.control(registered.request(caller=other), TUN_IOCTL_FORCE_CLOSE_HANDLES) == 0
    assert [entry[:2] for entry in registered.open_handles] == [(other, 0x20)]
    # Each close is done when the request returns.
    assert registered.send_ring.tail == STOPPED
    assert registered.adapter.owner.value is None


def test_force_close_spares_the_callers_own_process(registered):
    registered.open_handles = [(registered.caller, 0x10, registered.file)]
    assert registered.control(code=TUN_IOCTL_FORCE_CLOSE_HANDLES) == 0
    assert len(registered.open_handles) == 1
    assert registered.adapter.owner.value is registered.file


def test_force_close_skips_handles_that_are_gone_silently(tools, bench):
    log = []
    gone = (SimpleCaller(200), 0x20, "gone")
    bench.open_handles = [gone]

    def before(text):
        if text == "CloseHandle":
            bench.open_handles.clear()

    assert bench.control(code=TUN_IOCTL_FORCE_CLOSE_HANDLES, log=log, before=before) == 0
    assert log == ["ListHandles", "ReadObject", "CloseHandle"]


def test_force_close_with_nothing_to_close_succeeds(bench):
    assert bench.control(code=TUN_IOCTL_FORCE_CLOSE_HANDLES) == 0


# -- pause and restart ------------------------------------------------------------------------------------------------


def test_a_pause_waits_for_senders_then_for_nbls(tools):
    bench, nbl = keeping(tools)
    before, opened = tools.gate("MarkCompleted")
    bench.start(send(bench.adapter, tools.chain_of(tools.packet(20))), before=before)
    log = []
    pausing = bench.start(pause(bench.adapter), log=log)
    assert log == ["Put running=False", "Acquire transition"]
    opened.signalled = True
    bench.settle()
    assert log[2:] == ["Release transition", "Wait receive list empty"]
    assert bench.send(tools.packet(20)) == [NdisStatus.NDIS_STATUS_PAUSED]
    bench.executor.run(return_nbls(bench.adapter, (nbl,)))
    assert pausing.ended.signalled


def test_a_pause_with_nothing_in_flight_is_done_at_once(registered, tools):
    registered.executor.run(pause(registered.adapter))
    assert registered.send(tools.packet(20)) == [NdisStatus.NDIS_STATUS_PAUSED]
    registered.executor.run(restart(registered.adapter))
    assert registered.send(tools.packet(20)) == [0]


def test_a_registration_may_end_while_paused(registered):
    registered.executor.run(pause(registered.adapter))
    registered.close()
    assert registered.send_ring.tail == STOPPED


# -- the adapter ------------------------------------------------------------------------------------------------------


def test_a_new_adapter():
    adapter = Adapter("tun")
    assert repr(adapter) == "Adapter(tun)"
    assert adapter.owner.value is None
    assert adapter.running.value is False
    assert adapter.disconnected.signalled and adapter.disconnected.manual_reset
    assert adapter.receive_empty.signalled and adapter.receive_empty.manual_reset
    assert set(adapter.statistics.as_dict().values()) == {0}


def test_the_driver_version_is_major_and_minor():
    assert driver_version(Adapter("tun")) == 0x00000008
