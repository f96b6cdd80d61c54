"""Close while the client waits, aborts of each cause, and the way back: open and register again."""

import io

import pytest


def test_close_wakes_a_client_that_waits(client):
    outcome = client.good(
        """
        import threading
        from tunring import *
        session = Session(MIB)
        seen = []
        def read():
            seen.append(session.send.read())
            seen.append((session.send.tail == STOPPED, session.receive.head == STOPPED))
        threads = [threading.Thread(target=read)]
        threads[0].start()
        kernel32.Sleep(50)
        assert session.send.alertable == 1 and not seen
        session.close()
        threads[0].join()
        print(seen, session.send.head, session.receive.tail)
        with Session(MIB) as again:
            print(again.send.tail, again.receive.head)
        """
    )
    assert outcome.lines == ["[None, (True, True)] 0 0", "0 0"]


def test_the_last_of_several_handles_closes(client):
    outcome = client.good(
        """
        from tunring import *
        session = Session()
        me, copy = kernel32.GetCurrentProcess(), wintypes.HANDLE()
        must(kernel32.DuplicateHandle(me, session.device, me, ctypes.byref(copy), 0, False, 2))
        must(kernel32.CloseHandle(session.device))
        print(session.send.tail != STOPPED, len(session.send.read()))
        must(kernel32.DuplicateHandle(me, copy, me, ctypes.byref(copy), 0, False, 3))  # and closes the source
        print(session.send.tail == STOPPED)
        must(kernel32.CloseHandle(copy))
        print(session.send.tail == STOPPED, kernel32.WaitForSingleObject(session.send.tail_moved, 0))
        """,
        traffic="ping:count=1",
    )
    assert outcome.lines == ["True 84", "False", "True 0"]


IP = "bytes([0x45]) + bytes(19)"
ABORTS = {
    "Tail at the capacity": "ring.tail = ring.capacity",
    "Tail of a stopped ring": "ring.tail = STOPPED",
    "less than a header in the ring": "ring.tail = (ring.tail + 2) & ring.mask",
    "packet larger than any": "put(0x10000, b'E' * 20, 0x20000 - 4 & ring.mask)",
    "size of garbage": "put(0xDEADBEEF, b'E' * 20, 24)",
    "packet larger than what is there": "put(40, b'E' * 20, 24)",
    "no packet at all": "put(0, b'', 4)",
    "neither IPv4 nor IPv6": "put(20, b'\\x55' + bytes(19), 24)",
    "IPv4 that is too short": "put(19, b'\\x45' + bytes(18), 24)",
    "IPv6 that is too short": "put(39, b'\\x60' + bytes(38), 44)",
}


@pytest.mark.parametrize("start", [0, 0x20000 - 24])
@pytest.mark.parametrize("is_asleep", [False, True])
@pytest.mark.parametrize("cause", ABORTS)
def test_an_abort_is_seen_and_registering_again_works(client, cause, is_asleep, start):
    outcome = client.good(
        f"""
        from tunring import *
        device = open_device()
        def rings(start):
            send, ring = Sender(128 * KIB), Receiver(128 * KIB)
            send.head = send.tail = ring.head = ring.tail = start
            return send, ring, register(device, RINGS(send.record(), ring.record()))
        def put(size, data, length):
            tail = ring.tail
            ring.data[tail : tail + 4] = size.to_bytes(4, "little")
            ring.data[tail + 4 : tail + 4 + len(data)] = data
            ring.tail = (tail + length) & ring.mask
        send, ring, error = rings({start})
        assert not error
        assert ring.put({IP})
        if {is_asleep}:
            kernel32.Sleep(20)
            assert ring.alertable == 1
            assert ring.head == ring.tail
        {ABORTS[cause]}
        kernel32.SetEvent(ring.tail_moved)
        kernel32.Sleep(20)
        print(ring.head == STOPPED, send.tail != STOPPED, len(send.read()))
        assert rings(0)[2] == 1247
        kernel32.CloseHandle(device)
        print(send.tail == STOPPED)
        device = open_device()
        send, ring, error = rings(0)
        assert not error
        assert ring.write({IP})
        ring.flush()
        print(ring.head)
        """,
        traffic="ping:count=1",
    )
    assert outcome.lines == ["True True 84", "True", "24"]
    adapter = outcome.report.adapters[0]
    # What was good before the bad Tail is read if the reader was there in time.
    assert adapter["in_unicast_packets"] == 2 or (not is_asleep and adapter["in_unicast_packets"] == 1)
    assert adapter["in_errors"] == adapter["in_discards"] == 0


@pytest.mark.parametrize("head", [0x20000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_receive_head_that_is_bad_from_the_start_ends_the_reader(client, head):
    outcome = client.good(
        f"""
        from tunring import *
        device = open_device()
        send, receive = Sender(128 * KIB), Receiver(128 * KIB)
        receive.head = {head}
        print(register(device, RINGS(send.record(), receive.record())))
        kernel32.Sleep(20)
        print(receive.head == STOPPED, send.tail)
        must(kernel32.CloseHandle(device))
        """
    )
    assert outcome.lines == ["0", "True 0"]


def test_a_send_head_that_is_bad_refuses_each_send_until_it_is_good(client):
    outcome = client.good(
        """
        from tunring import *
        with Session() as session:
            session.send.head = session.send.capacity
            kernel32.Sleep(1500)
            print(session.send.tail)
            session.send.head = 0
            kernel32.Sleep(1000)
            print(session.send.tail)
        """,
        traffic="ping:count=3",
    )
    assert outcome.lines == ["0", "88"]
    assert outcome.report.adapters[0]["refused"] == {"NDIS_STATUS_ADAPTER_NOT_READY": 2}


def test_a_process_that_ends_gives_the_adapter_back(client):
    """Nobody closes: the system does, before the next process registers."""
    first = "from tunring import *\nsession = Session(MIB)\nkernel32.ExitProcess(7)\n"
    second = client.directory / "second.py"
    second.write_text(
        client.script("from tunring import *\nkernel32.Sleep(100)\nwith Session() as s: print(len(s.send.read()))\n")
        .read_text()
    )  # fmt: skip
    output = io.StringIO()
    outcome = client(first, traffic="ping:count=2", setup=lambda s: s.spawn(second, stdout=output))
    assert [process["exit_code"] for process in outcome.report.clients] == [7, 0]
    assert output.getvalue() == "84\n"


@pytest.mark.parametrize("way", ["os._exit(5)", "sys.exit(5)", "kernel32.ExitProcess(5)",
                                 "kernel32.TerminateProcess(kernel32.GetCurrentProcess(), 5)"])  # fmt: skip
def test_every_way_to_end_while_threads_wait(client, way):
    outcome = client(
        f"""
        import os, threading
        from tunring import *
        session = Session()
        threading.Thread(target=session.send.read, daemon=True).start()
        kernel32.Sleep(10)
        {way}
        """
    )
    assert outcome.report.exit_code == 5
    assert not outcome.report.stuck


def test_force_close_of_another_process(client):
    outputs = [io.StringIO(), io.StringIO()]
    victim = "from tunring import *\nsession = Session()\nprint(session.send.read(), session.send.tail == STOPPED)\n" \
             "print(kernel32.CloseHandle(session.device), last_error())\n"  # fmt: skip
    attacker = client.directory / "attacker.py"
    attacker.write_text(
        client.script(
            """
            from tunring import *
            kernel32.Sleep(50)
            device = open_device()
            print(kernel32.DeviceIoControl(device, FORCE_CLOSE_HANDLES, None, 0, None, 0, wintypes.DWORD(), None))
            with Session() as session: pass
            """
        ).read_text()
    )
    outcome = client(victim, setup=lambda s: s.spawn(attacker, stdout=outputs[0], stderr=outputs[1]))
    assert outcome.lines == ["None True", "0 6"], outcome.errors
    assert outputs[0].getvalue() == "1\n", outputs[1].getvalue()
