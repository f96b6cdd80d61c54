"""When nothing can ever happen again: exit code 3, and each thread with what it waits for, since when and where."""

import io
import re

import pytest

from wintunsim import Simulation

WAITS = """
import asyncio, queue, threading
from tunring import *
session = Session()
lock = threading.Lock()
lock.acquire()
def in_lock(): lock.acquire()
def in_queue(): queue.Queue().get()
def in_loop():
    async def main(): await asyncio.Event().wait()
    asyncio.run(main())
def in_ring(): session.send.read(), session.send.read()
def in_named():
    handles = (wintypes.HANDLE * 2)(event(name="Global\\\\stop"), kernel32.CreateMutexW(None, True, "m"))
    kernel32.WaitForSingleObject(handles[0], INFINITE)
def in_all():
    handles = (wintypes.HANDLE * 2)(event(name="first"), event())
    kernel32.WaitForMultipleObjects(2, handles, True, INFINITE)
def in_any():
    handles = (wintypes.HANDLE * 2)(event(name="first"), kernel32.CreateSemaphoreW(None, 0, 1, "count"))
    kernel32.WaitForMultipleObjects(2, handles, False, INFINITE)
def in_sleep(): kernel32.Sleep(INFINITE)
def in_process(): kernel32.WaitForSingleObject(kernel32.GetCurrentProcess(), INFINITE)
threads = [threading.Thread(target=f, name=n) for n, f in list(globals().items()) if n.startswith("in_")]
for thread in threads: thread.start()
threads[0].join()
"""


def test_every_thread_is_named_with_what_it_waits_for_since_when_and_where(client):
    process = client.command(WAITS, options=["--quiet", "--traffic", "ping:count=1"])
    assert process.returncode == 3
    heading, *lines = process.stderr.splitlines()
    assert heading == "wintunsim: nothing can ever happen again, and these client threads still wait:"
    told = {}
    for line in lines:
        match = re.fullmatch(
            r"  client\.py/[\w ]+ \('(\w+)', thread \d+\) waits for (.*) since [\d.]+ .?s, at (\w+\.py):\d+ in (.+)",
            line,
        )
        assert match, line
        told[match[1]] = match[2], match[3], match[4]
    assert len(told) == 10
    assert told["in_named"] == ('event "stop"', "client.py", "in_named")
    assert told["in_any"] == ('event "first" or semaphore "count"', "client.py", "in_any")
    assert told["in_process"][0] == "the end of client.py"
    assert told["in_sleep"][0] == "Sleep"
    assert told["MainThread"] == ("the end of client.py/thread 2", "client.py", "<module>")
    assert re.fullmatch(r'event "first" and client\.py/event 0x[0-9a-f]+', told["in_all"][0])
    assert re.fullmatch(r"client\.py/event 0x[0-9a-f]+", told["in_ring"][0])
    assert told["in_ring"][1:] == ("tunring.py", "read")
    assert "lock" in told["in_lock"][0]
    assert "event loop" in told["in_loop"][0]


def test_until_ends_who_would_be_stuck(client):
    """A time limit given, Ctrl+C comes: a wait without end in the main thread is interrupted."""
    process = client.command(
        "from tunring import *\ntry:\n    Session().send.read()\nexcept KeyboardInterrupt:\n    print('stopped')\n",
        options=["--quiet", "--until", "3s"],
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "stopped\n", "")


@pytest.mark.slow
def test_a_loop_that_can_never_end_is_named(client):
    simulation = Simulation()
    errors = io.StringIO()
    simulation.spawn(client.script("x = 0\nwhile True:\n    x += 1\n"), stderr=errors)
    simulation.clients[0].loop_limit = 100_000
    report = simulation.run()
    assert report.exit_code == 0xC0000005
    told = errors.getvalue()
    assert re.search(r"the loop at \S*client.py:[45] can never end: 100000 iterations without a call", told)
