"""The processes of a sweep: how they start, and how they come to an end."""

import multiprocessing
import os
import subprocess
import sys
import threading

import pytest

from wintunsim.experiments.processes import Processes, ProcessLostError, may_fork

SCRIPT = """
import multiprocessing, os, signal, sys, warnings
from wintunsim.experiments.processes import Processes, ProcessLostError, may_fork

warnings.simplefilter("error")
signal.signal(signal.SIGTERM, lambda *_: print("not for copies"))
assert may_fork() is (sys.platform == "linux")
sys.modules["only here"] = sys
processes = Processes(3)
assert not may_fork()  # there are threads now
here = [processes.submit(eval, "'only here' in __import__('sys').modules").result(30) for _ in range(3)]
"""


def run(script):
    command = [sys.executable, "-c", SCRIPT + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all processes start fresh")
def test_where_there_are_no_threads_a_process_is_a_copy():
    """All of them end when they have nothing to do, though each has the pipes of those before it."""
    assert run("processes.shutdown(); print(here, multiprocessing.active_children())") == "[True, True, True] []\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all processes start fresh")
def test_a_copy_that_dies_is_followed_by_a_fresh_process():
    script = """
first = {processes.submit(os.getpid).result(30) for _ in range(30)}
for _ in range(3):
    lost = processes.submit(os._exit, 1)
    assert isinstance(lost.exception(60), ProcessLostError)
second = {processes.submit(os.getpid).result(30) for _ in range(30)}
processes.shutdown()
print(len(second - first) > 0, multiprocessing.active_children())
"""
    assert run(script) == "True []\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all processes start fresh")
def test_a_copy_ends_at_once_when_it_is_told_to():
    script = "import time; processes.submit(time.sleep, 600); processes.shutdown(cancel_futures=True); print('over')"
    assert run(script) == "over\n"


def test_beside_other_threads_they_start_fresh():
    is_over = threading.Event()
    thread = threading.Thread(target=is_over.wait)
    thread.start()
    try:
        assert not may_fork()
        processes = Processes(1)
        assert not multiprocessing.active_children()  # not before there is something to do
        assert processes.submit(os.getpid).result(60) != os.getpid()
        assert len(multiprocessing.active_children()) == 1
        processes.shutdown()
    finally:
        is_over.set()
        thread.join()
    assert not multiprocessing.active_children()


def test_a_call_whose_process_dies_twice_is_lost():
    processes = Processes(1)
    lost, next_one = processes.submit(os._exit, 3), processes.submit(abs, -3)
    assert isinstance(lost.exception(60), ProcessLostError)
    assert next_one.result(60) == 3
    processes.shutdown()
