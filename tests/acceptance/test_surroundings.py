"""Debugging, refusals, commands, ends of all kinds; and the Python around the client, which notices nothing."""

import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wintunsim import Simulation


def digest_of(process):
    return re.search(r'"digest": "(\w{64})"', process.stdout)[1]


def test_pdb_by_breakpoint_while_virtual_time_stands_still(client):
    script = """\
        from tunring import *
        import time

        def handle(packet):
            size = len(packet)
            breakpoint()
            return size

        with Session() as session:
            before = time.perf_counter()
            size = handle(session.send.read())
            print("took", time.perf_counter() - before < 0.001, size)
        """
    run = {"options": ["--report", "-", "--quiet", "--traffic", "ping:count=1"]}
    process = client.command(script, stdin="p size\nw\nup\np hex(session.send.head)\nn\nc\n", **run)
    assert process.returncode == 0, process.stderr
    assert "(Pdb) 84\n" in process.stdout
    assert "handle(session.send.read())" in process.stdout
    assert "'0x58'" in process.stdout
    assert "took True 84\n" in process.stdout
    # With and without looking around: the same run.
    again = client.command(script, stdin="c\n", **run)
    assert digest_of(again) == digest_of(process)


def test_pdb_quit_ends_the_client(client):
    process = client.command("import pdb\npdb.set_trace()\nprint('never')\n", stdin="q\n", options=["--quiet"])
    assert process.returncode == 1
    assert not process.stdout.endswith("never\n")
    assert "BdbQuit" in process.stderr


def test_post_mortem(client):
    process = client.command(
        """
        import pdb, sys
        def f(x):
            return 1 / x
        try:
            f(0)
        except ZeroDivisionError:
            pdb.post_mortem(sys.exc_info()[2])
        """,
        stdin="p x\nq\n",
        options=["--quiet"],
    )
    assert "(Pdb) 0\n" in process.stdout


def test_a_client_that_spins_without_a_call(client):
    outcome = client.good(
        """
        from tunring import *
        with Session() as session:
            words = session.send.words
            rounds = 0
            while words[0] == words[1]:
                rounds += 1
            first = len(session.send.pop())
            while words[0] == words[1]:
                pass
            print(rounds < 100, first, len(session.send.pop()))
        """,
        traffic="ping:count=2,interval=1ms",
    )
    assert outcome.lines == ["True 84 84"]


def test_commands_of_windows(client):
    outcome = client.good(
        """
        import subprocess, os
        ok = subprocess.run(["netsh", "interface", "ip", "set", "address", "name=Wintun", "static", "10.6.7.8",
                             "255.255.255.0"], capture_output=True, text=True, check=True)
        print(repr(ok.stdout), ok.returncode)
        subprocess.check_call("route add 10.0.0.0 mask 255.0.0.0 10.6.7.7", shell=True, stdout=subprocess.DEVNULL)
        print(os.system("netsh interface ipv4 show interfaces > NUL"))
        subprocess.Popen(["powershell", "-Command", "Get-NetAdapter"], creationflags=0x08000000).wait()
        try:
            subprocess.run(["notepad.exe"])
        except FileNotFoundError as error:
            print(error)
        """
    )
    assert "Ok." in outcome.lines[0]
    assert "wintunsim does not run other programs than netsh, route and powershell ('notepad')" in outcome.lines[-1]
    assert [command["command"].split()[0] for command in outcome.report.commands] == [
        "netsh", "route", "netsh", "powershell",
    ]  # fmt: skip


REFUSALS = [
    (
        "import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
        "OSError",
        "wintunsim does not simulate sockets",
    ),
    ("import asyncio; asyncio.run(asyncio.open_connection('a', 1))", "OSError", "wintunsim does not simulate sockets"),
    ("import urllib.request as r; r.urlopen('http://example.com')", "URLError", "wintunsim does not simulate sockets"),
    ("import win32event", "ImportError", "wintunsim does not simulate pywin32 (win32event)"),
    ("import win32api, pywintypes", "ImportError", "wintunsim does not simulate pywin32 (win32api)"),
    ("import cffi", "ImportError", "wintunsim does not simulate cffi"),
    ("import multiprocessing as m; m.Process(target=print).start()", "NotImplementedError", "simulate multiprocessing"),
    ("import multiprocessing as m; m.Pool(2)", "", "wintunsim does not simulate"),
    ("import ssl", "ModuleNotFoundError", "wintunsim does not simulate the C module '_ssl'"),
    ("import fcntl", "ModuleNotFoundError", "No module named 'fcntl'"),
    ("import ctypes; ctypes.WinDLL('user32')", "FileNotFoundError", "user32.dll is a DLL of Windows that wintunsim"),
    (
        "import ctypes; ctypes.CDLL('./libc.so.6')",
        "FileNotFoundError",
        "libc.so.6 is not part of the simulated Windows",
    ),
    ("import ctypes; ctypes.cdll.nothere", "AttributeError", "nothere.dll is not part of the simulated Windows"),
    ("import ctypes; ctypes.CDLL(None)", "TypeError", "None"),
    (
        "import ctypes; ctypes.windll.kernel32.CreateFiberEx",
        "AttributeError",
        "kernel32.dll has no function CreateFiberEx",
    ),
    ("import ctypes; ctypes.windll.wintun.WintunFreeAdapter", "AttributeError", "'WintunFreeAdapter' not found"),
    ("import ctypes; ctypes.pythonapi.Py_IncRef", "AttributeError", "wintunsim does not simulate ctypes.pythonapi"),
    ("import subprocess; subprocess.run('ping 10.6.7.7')", "FileNotFoundError", "does not run other programs"),
]


@pytest.mark.parametrize(("statement", "kind", "said"), REFUSALS)
def test_what_is_refused_is_said_in_a_sentence(client, statement, kind, said):
    outcome = client(statement + "\n")
    assert outcome.report.exit_code == 1
    assert kind in outcome.errors
    assert said in outcome.errors
    assert "/wintunsim/" not in outcome.errors


def test_common_modules_can_be_imported(client):
    client.good(
        "import http.client, http.server, urllib.request, smtplib, multiprocessing, logging.handlers, unittest.mock, "
        "concurrent.futures, ctypes.util, getpass, importlib.metadata, ipaddress, pickle, signal, sched, shelve, "
        "shutil, tempfile, zipfile, traceback, dataclasses, enum, argparse, configparser, locale, gettext, xml.dom\n"
    )


def test_what_windows_has_and_linux_has_not(client):
    outcome = client.good(
        """
        import ctypes, os, platform, socket, struct, sys, time
        # The files are the host's: so are the separators.
        print(sys.platform, os.name, platform.system(), platform.machine(), os.sep, os.linesep == "\\r\\n")
        print(ctypes.sizeof(ctypes.c_long), ctypes.sizeof(ctypes.c_wchar), socket.AF_INET6, struct.calcsize("P"))
        print(sys.getwindowsversion().major, hasattr(os, "fork"), ctypes.windll.shell32.IsUserAnAdmin())
        print(time.get_clock_info("monotonic").implementation, os.environ["SYSTEMROOT"], os.path.join("a", "b"))
        import msvcrt, winreg
        """
    )
    assert outcome.lines[0] == "win32 nt Windows AMD64 / True"
    assert outcome.lines[1] == "4 2 23 8"


ENDS = {
    "sys.exit()": 0,
    "sys.exit(0)": 0,
    "sys.exit(300)": 300,
    "sys.exit(-1)": 0xFFFFFFFF,
    "sys.exit('words')": 1,
    "raise SystemExit": 0,
    "os._exit(9)": 9,
    "1 / 0": 1,
    "raise KeyboardInterrupt": 0xC000013A,
    "ctypes.windll.kernel32.ExitProcess(12)": 12,
    "os.abort()": None,
    "raise BaseException('x')": 1,
}


@pytest.mark.parametrize("end", ENDS)
def test_ends(client, end):
    outcome = client(f"import ctypes, os, sys, threading\n{end}\n")
    assert ENDS[end] is None or outcome.report.exit_code == ENDS[end]
    assert outcome.report.exit_code or not ENDS[end]


def state_of_the_surroundings():
    return (
        sys.platform, os.name, time.time, time.sleep, time.monotonic, os.urandom, sys.modules["time"].perf_counter,
        sys.modules["os"], sys.modules["threading"].Thread, threading.enumerate(), threading.get_ident, random.random,
        sys.stdout, sys.stderr, sys.excepthook, Path.cwd(), dict(os.environ), list(sys.path), set(sys.modules),
        sys.gettrace(), sys.getswitchinterval(), subprocess.Popen,
    )  # fmt: skip


def test_the_surroundings_after_clients_of_all_kinds(client):
    client.good("asyncio_client.py", 1, traffic="ping:count=1")
    client.good("import decimal, json, logging, ctypes.wintypes, uuid, random, http.client, numpy, email, zoneinfo\n")
    before, moment = state_of_the_surroundings(), time.time()
    client.good("asyncio_client.py", 3, traffic="ping:count=3,interval=10s")
    client("import random, os, sys, time\nrandom.seed(1)\nos.environ['A'] = 'b'\nos.chdir('/')\n1 / 0\n")
    client("import time\nwhile True:\n    try: time.sleep(1)\n    except KeyboardInterrupt: pass\n", until="20s")
    client("import threading\nthreading.Event().wait()\n", until=None)
    client("import sys\nsys.settrace(lambda *_: None)\nsys.setswitchinterval(1)\nsys.stdout = None\nsys.exit(3)\n")
    assert state_of_the_surroundings() == before
    assert 0 <= time.time() - moment < 60


def test_the_surroundings_while_a_client_runs():
    seen = []

    def client(look):
        import sys
        import time

        time.sleep(1)
        seen.append((sys.platform, time.time()))
        look()

    def look():
        seen.append((sys.platform, time.time()))

    simulation = Simulation()
    simulation.spawn(client, look)
    before = time.time()
    simulation.machine.call_at(500_000_000, lambda: seen.append((sys.platform, time.time())))
    simulation.run()
    assert seen[0][0] == sys.platform
    assert before <= seen[0][1] <= time.time()
    assert seen[1][0] == "win32"
    assert seen[1][1] < before


def test_other_threads_of_the_host_go_on():
    ticks = []
    done = threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(sys.platform)

    thread = threading.Thread(target=tick)
    thread.start()

    def client():
        import time

        end = time.perf_counter() + 0.005
        while time.perf_counter() < end:
            pass

    try:
        simulation = Simulation()
        simulation.spawn(client)
        simulation.run()
    finally:
        done.set()
        thread.join()
    assert set(ticks) <= {sys.platform}
