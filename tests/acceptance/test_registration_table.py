"""Every row of the registration table (spec driver §5), as a ctypes client sees it, and the state afterwards."""

import pytest

PREPARE = """
from tunring import *
device = open_device()
send, receive = Sender(128 * KIB), Receiver(128 * KIB)
record = RINGS(send.record(), receive.record())
size = None
"""

# After the failing call nothing is registered and no event was set; the right record registers on the same handle, and
# packets cross the rings.
AFTERWARDS = """
for ring in (send, receive):
    assert kernel32.WaitForSingleObject(ring.tail_moved, 0) == 258
send, receive = Sender(128 * KIB), Receiver(128 * KIB)
assert register(device, RINGS(send.record(), receive.record())) == 0
packet = send.read()
assert receive.write(packet)
receive.flush()
must(kernel32.CloseHandle(device))
print(error, len(packet))
"""
UNTOUCHED = """
for ring in (send, receive):
    assert (ring.head, ring.alertable) == (0, 0) and ring.tail in (0, 128 * KIB, STOPPED)
"""

LIMITED = "must(kernel32.CreateEventExW(None, None, 0, {}))"
RING = {
    "capacity 64 KiB": ("{}.RingSize = 12 + 0x10000 + 64 * KIB", 87),
    "capacity 128 MiB": ("{}.RingSize = 12 + 0x10000 + 128 * MIB", 87),
    "capacity no power of two": ("{}.RingSize = 12 + 0x10000 + 192 * KIB", 87),
    "size one less": ("{}.RingSize -= 1", 87),
    "size 0": ("{}.RingSize = 0", 87),
    "size 0xFFFFFFFF": ("{}.RingSize = 0xFFFFFFFF", 87),
    "null event": ("{}.TailMoved = None", 87),
    "null pointer": ("{}.Ring = None", 87),
    "unknown handle": ("{}.TailMoved = 0x7FFFC", 6),
    "INVALID_HANDLE_VALUE": ("{}.TailMoved = INVALID", 6),
    "closed event": ("closed = event(); kernel32.CloseHandle(closed); {}.TailMoved = closed", 6),
    "a file, not an event": ("{}.TailMoved = device", 6),
    "a mutex, not an event": ("{}.TailMoved = kernel32.CreateMutexW(None, False, None)", 6),
    "the process, not an event": ("{}.TailMoved = -1 % 2**64", 6),
    "event without modify-state": ("{}.TailMoved = " + LIMITED.format("0x100000"), 5),
    "address 4": ("{}.Ring = 4", 1784),
    "address of the system": ("{}.Ring = 0xFFFFF80012340000", 1784),
    "address beyond 48 bits": ("{}.Ring = 0x123456789ABCDEF0", 1784),
    "end beyond 2^64": ("{}.Ring = 2**64 - 64", 1784),
    "one byte beyond its end": ("{}.Ring += 4096", 1784),
    "freed memory": ("kernel32.VirtualFree({}.Ring, 0, 0x8000)", 1784),
    "read-only memory": ("kernel32.VirtualProtect({0}.Ring, {0}.RingSize, 2, wintypes.DWORD())", 1784),
    "one page read-only": ("kernel32.VirtualProtect({0}.Ring + 0x8000, 1, 2, wintypes.DWORD())", 1784),
    "one page without access": ("kernel32.VirtualProtect({0}.Ring + 0x8000, 1, 1, wintypes.DWORD())", 1784),
    "reserved memory": ("{}.Ring = kernel32.VirtualAlloc(None, 1 << 20, 0x2000, 4)", 1784),
}
ROWS = {}
for name, (change, error) in RING.items():
    ROWS[f"4-8 send: {name}"] = (change.format("record.Send"), error)
    ROWS[f"10-14 receive: {name}"] = (change.format("record.Receive"), error)
ROWS |= {
    "3 empty record": ("size = 0", 87),
    "3 the 32-bit record": ("size = 24", 87),
    "3 one byte short": ("size = 47", 87),
    "3 one byte long": ("record = (ctypes.c_char * 49).from_buffer_copy(bytes(record) + b'x'); size = 49", 87),
    "9 Tail at the capacity": ("send.tail = 128 * KIB", 87),
    "9 Tail of a stopped ring": ("send.tail = STOPPED", 87),
    "11 event without synchronize": ("record.Receive.TailMoved = " + LIMITED.format("2"), 5),
    "4 before 5": ("record.Send.RingSize = 0; record.Send.TailMoved = device", 87),
    "5 before 7": ("record.Send.Ring = 8; record.Send.TailMoved = device", 6),
    "7 before 9": ("record.Send.Ring = 8; send.tail = STOPPED", 1784),
    "7 before 10": ("record.Send.Ring = 8; record.Receive.RingSize = 0", 1784),
    "9 before 10": ("send.tail = STOPPED; record.Receive.TailMoved = device", 87),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_error_of_a_row_and_a_registration_afterwards(client, row):
    change, error = ROWS[row]
    untouched = "" if "freed" in row or "without access" in row else UNTOUCHED
    source = f"{PREPARE}{change}\nerror = register(device, record, size)\n{untouched}{AFTERWARDS}"
    outcome = client.good(source, traffic="ping:count=1")
    assert outcome.output == f"{error} 84\n"
    adapter = outcome.report.adapters[0]
    assert adapter["out_unicast_packets"] == adapter["in_unicast_packets"] == 1


@pytest.mark.parametrize(
    ("what", "call", "error"),
    [
        ("memory descriptor", 1, 1450),
        ("map", 1, 1450),
        ("memory descriptor", 2, 1450),
        ("map", 2, 1450),
        ("thread", 1, 31),
    ],
)
def test_a_resource_that_runs_out(client, what, call, error):
    """Rows 6, 8, 12, 14 and 15: the n-th allocation of a kind fails."""

    def setup(simulation):
        calls = []
        simulation.system.fails = lambda asked: calls.append(asked) or (asked == what and calls.count(what) == call)

    source = f"{PREPARE}error = register(device, record)\n{UNTOUCHED}{AFTERWARDS}"
    outcome = client.good(source, traffic="ping:count=1", setup=setup)
    assert outcome.output == f"{error} 84\n"


def test_two_registrations_exclude_each_other(client):
    """Rows 1 and 2: a second registration is refused before its record is looked at."""
    outcome = client.good(
        """
        from tunring import *
        with Session() as first:
            second = open_device()
            spare = Sender(128 * KIB), Receiver(128 * KIB)
            good = RINGS(spare[0].record(), spare[1].record())
            for device in (first.device, second):
                print(register(device, good), register(device, RINGS()), register(device, good, 3))
            must(kernel32.CloseHandle(second))
            print(first.send.tail, first.receive.head)
        third = open_device()
        print(register(third, good))
        """
    )
    assert outcome.lines == ["1247 1247 1247", "1247 1247 1247", "0 0", "0"]


def test_registering_while_another_thread_registers(client):
    """Row 1: the registration lock is not waited for."""
    outcome = client.good(
        """
        import threading
        from tunring import *
        results, start = [], threading.Barrier(4)
        def attempt():
            device = open_device()
            send, receive = Sender(MIB), Receiver(MIB)
            start.wait()
            results.append(register(device, RINGS(send.record(), receive.record())))
        threads = [threading.Thread(target=attempt) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(sorted(results))
        """
    )
    assert outcome.lines == ["[0, 1247, 1247, 1247]"]


@pytest.mark.parametrize("account", ["administrator", "user"])
def test_only_local_system_may_register(client, account):
    outcome = client.good(
        f"{PREPARE}print(register(device, record), register(device, RINGS(), 0))\n"
        "print(kernel32.DeviceIoControl(device, FORCE_CLOSE_HANDLES, None, 0, None, 0, wintypes.DWORD(), None), "
        "last_error())\n",
        account=account,
    )
    assert outcome.lines == ["5 5", "0 5"]


@pytest.mark.parametrize("access", [0, 0x80000000, 0x40000000])
def test_the_handle_needs_read_and_write_access(client, access):
    outcome = client.good(f"{PREPARE}device = open_device({access})\nprint(register(device, record))\n")
    assert outcome.lines == ["5"]


def test_bad_handles_and_buffers_of_the_call_itself(client):
    outcome = client.good(
        PREPARE
        + """
n = wintypes.DWORD()
def call(device, code, data, size):
    return kernel32.DeviceIoControl(device, code, data, size, None, 0, n, None), last_error()
good = ctypes.byref(record)
print(call(None, REGISTER_RINGS, good, 48), call(INVALID, REGISTER_RINGS, good, 48))
print(call(send.tail_moved, REGISTER_RINGS, good, 48), call(device + 1024, REGISTER_RINGS, good, 48))
print(call(device, REGISTER_RINGS, 16, 48), call(device, REGISTER_RINGS, good, 0x7FFFFFFF))
print(call(device, 0xCA6CE5C8, good, 48))
must(kernel32.CloseHandle(device))
print(call(device, REGISTER_RINGS, good, 48))
print(kernel32.CloseHandle(device), last_error())
"""
    )
    assert outcome.lines == ["(0, 6) (0, 6)", "(0, 6) (0, 6)", "(0, 998) (0, 998)", "(0, 1)", "(0, 6)", "0 6"]


def test_a_failed_registration_leaves_a_registered_neighbour_alone(client):
    outcome = client.good(
        """
        from tunring import *
        with Session() as session:
            for _ in range(20):
                device = open_device()
                error = register(device, RINGS(RING(1, 2, 3), RING(4, 5, 6)))
                must(kernel32.CloseHandle(device))
            assert error == 1247
            assert session.send.read() and session.receive.write(b"\\x45" + bytes(19))
            session.receive.flush()
            print(session.receive.head)
        """,
        traffic="ping:count=1",
    )
    assert outcome.lines == ["24"]
