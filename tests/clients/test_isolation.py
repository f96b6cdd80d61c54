"""The surrounding Python and other clients do not notice a client, and no host clock or entropy reaches it."""

import asyncio
import builtins
import gc
import json
import locale
import os
import random
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from pathlib import Path

import pytest

import wintunsim


def snapshot():
    """What a client could change of its surroundings."""
    return {
        "modules": dict(sys.modules),
        "path": list(sys.path),
        "meta_path": list(sys.meta_path),
        "argv": list(sys.argv),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, sys.displayhook, sys.unraisablehook, sys.gettrace(), sys.getprofile()),
        "asyncgen": tuple(sys.get_asyncgen_hooks()),
        "environment": dict(os.environ),
        "directory": str(Path.cwd()),
        "signal": signal.getsignal(signal.SIGINT),
        "locale": locale.setlocale(locale.LC_ALL),
        "filters": list(warnings.filters),
        "threads": threading.enumerate(),
        "builtins": dict(vars(builtins)),
        "recursion": sys.getrecursionlimit(),
        "gc": (gc.isenabled(), gc.get_threshold()),
        "random": random.getstate(),
        "platform": (sys.platform, os.name, time.monotonic, os.urandom),
        "loop": asyncio.get_event_loop_policy().__class__ if sys.version_info < (3, 14) else None,
    }


NOSY = """
    import asyncio, ctypes, datetime, decimal, gc, locale, logging, os, random, signal, sys, threading, time, uuid
    import warnings
    sys.path.append("x"); sys.argv.append("y"); sys.setrecursionlimit(5000)
    sys.excepthook = sys.excepthook
    os.environ["WINTUNSIM_TEST"] = "1"
    os.chdir("/")
    random.seed(1)
    signal.signal(signal.SIGINT, lambda *_: None)
    warnings.simplefilter("error")
    gc.disable()
    locale.setlocale(locale.LC_ALL, "C")
    logging.basicConfig(level=logging.DEBUG)
    import builtins
    builtins.print = print
    builtins.new_name = 1
    async def numbers():
        yield 1
        await asyncio.sleep(0.1)
    async def main():
        print([n async for n in numbers()])
        await asyncio.to_thread(time.sleep, 0.1)
    asyncio.run(main())
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
    new_name
"""


@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "sys.exit(3)",
        "1 / 0",
        "os._exit(1)",
        "time.sleep(1e9)",
        "threading.Event().wait()",
        "sys.settrace(print)",
    ],
)
def test_the_surrounding_python_is_untouched(computer, ending):
    during = []
    computer.output(
        "import ctypes, asyncio, threading, datetime, uuid, decimal, logging, locale, random, gc, signal, warnings"
    )  # shared modules load
    before = snapshot()
    client = computer.start(NOSY + f"    {ending}\n")
    computer.machine.call_at(computer.machine.time() + 150_000_000, lambda: during.append(snapshot()))
    computer.machine.run(until_ns=computer.machine.time() + 10_000_000_000)
    after = snapshot()
    during[0]["asyncgen"] = before["asyncgen"]  # while an event loop runs in a client, its hooks pass on to the host's
    for name, value in before.items():
        assert during[0][name] == value, name
        assert after[name] == value, name
    del client


def test_processes_do_not_see_each_other(computer):
    first = computer.start(
        """
        import os, sys, time, builtins, json
        json_dumps = json.dumps
        sys.modules["shared_secret"] = sys
        os.environ["SECRET"] = "1"
        builtins.secret = 1
        time.sleep(1)
        print(os.getpid(), "other" in sys.modules, hasattr(builtins, "other"))
        """
    )
    second = computer.start(
        """
        import os, sys, time, builtins
        sys.modules["other"] = sys
        builtins.other = 1
        time.sleep(0.5)
        print(os.getpid(), "shared_secret" in sys.modules, "SECRET" in os.environ, hasattr(builtins, "secret"))
        """
    )
    computer.machine.run()
    assert first.stdout.getvalue() == "1004 False False\n"
    assert second.stdout.getvalue() == "1008 False False False\n"


READS_EVERYTHING = """
import datetime, json, os, platform, random, secrets, socket, sys, tempfile, threading, time, uuid, email.utils, logging
import hashlib, numpy
values = [
    time.time(), time.time_ns(), time.monotonic(), time.perf_counter(), time.process_time(), time.thread_time_ns(),
    time.ctime(), time.strftime("%c %Z"), list(time.localtime()), time.tzname,
    str(datetime.datetime.now()), str(datetime.datetime.utcnow()), str(datetime.date.today()),
    str(datetime.datetime.now().astimezone()), email.utils.formatdate(), email.utils.localtime().isoformat(),
    random.random(), random.Random().random(), random.SystemRandom().random(), random.sample(range(99), 3),
    secrets.token_hex(), secrets.randbelow(10**9), str(uuid.uuid1()), str(uuid.uuid4()), uuid.getnode(),
    os.urandom(8).hex(), os.getpid(), os.getppid(), os.cpu_count(), os.getlogin(), list(os.times()), dict(os.environ),
    os.stat(__file__).st_mtime, next(tempfile._get_candidate_names()), threading.get_ident(), threading.get_native_id(),
    platform.uname(), platform.platform(), socket.gethostname(), sys.executable, sys.argv[1:],
    numpy.random.rand(), numpy.random.default_rng().random(), logging.LogRecord("a", 1, "b", 1, "c", (), None).created,
]
with tempfile.NamedTemporaryFile() as file:
    pass
import asyncio
async def note(n):
    try:
        await asyncio.sleep(0.001 if n < 8 else 100)
    finally:
        values.append(n)
async def main():
    sleepers = [asyncio.create_task(note(n)) for n in range(8, 16)]
    for future in asyncio.as_completed([note(n) for n in range(8)]):
        await future
asyncio.run(main())
values.append(time.monotonic())
print(json.dumps(values))
"""

RUNNER = """
import os, sys, time
sys.path[:0] = {paths!r}
import io
from wintunsim.clients import ClientProcess
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.process import Process
class Loader:
    def take_exception(self): return None
machine = Machine(seed=int(sys.argv[2]))
process = Process(machine, 1, "client")
client = ClientProcess(process, Loader())
process.start_thread(client.main_script(sys.argv[1]), "main")
machine.run()
sys.exit(client.exit_code)
"""


def test_no_host_clock_or_entropy_reaches_a_client(tmp_path):
    script = tmp_path / "reader.py"
    script.write_text(READS_EVERYTHING)
    runner = tmp_path / "runner.py"
    root = Path(wintunsim.__file__).parent.parent
    runner.write_text(RUNNER.format(paths=[str(root), str(root / "model")]))

    def run(seed, **environment):
        command = [sys.executable, str(runner), str(script), str(seed)]
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=60
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    first = run(0, PYTHONHASHSEED="1", TZ="Asia/Tokyo", USER="a")
    second = run(0, PYTHONHASHSEED="2", TZ="America/Lima", USER="b")
    assert first == second
    assert run(1)[16] != first[16]  # the seed does matter


HOST_FUNCTIONS = [
    time.time, time.time_ns, time.monotonic, time.perf_counter, time.sleep, time.localtime,
    os.urandom, os.getpid, os.getppid, os.stat, os.cpu_count, os.times, os.system,
    threading.get_ident, threading.Lock, signal.signal, random.random,
    builtins.__import__, builtins.open, builtins.input, builtins.breakpoint, builtins.print,
]  # fmt: skip
"""Functions of the host that a client must not be able to call."""


def test_no_module_of_a_client_leads_to_the_hosts(computer):
    client = computer.run(
        READS_EVERYTHING + "\nimport asyncio, ctypes.wintypes, subprocess, concurrent.futures, queue, typing\n"
    )
    assert client.exit_code == 0, client.stderr.getvalue()
    forbidden_modules = {
        id(sys.modules[name]): name
        for name in (
            "time",
            "os",
            "posix",
            "posixpath",
            "random",
            "secrets",
            "_random",
            "_thread",
            "threading",
            "sys",
            "signal",
        )
        if name in sys.modules
    }
    forbidden = {id(function): function for function in HOST_FUNCTIONS}
    from wintunsim.clients.catalogue import SHARED_C, SHARED_PACKAGES, SHARED_PYTHON

    shared = SHARED_C | SHARED_PYTHON | SHARED_PACKAGES
    for name, module in list(client.importer.modules.items()):
        if name.partition(".")[0] in shared or name.startswith("importlib.") or name == "__main__":
            continue
        assert id(module) not in forbidden_modules, name
        for attribute, value in list(vars(module).items()):
            assert id(value) not in forbidden, f"{name}.{attribute}"
            if isinstance(value, types.ModuleType):
                assert id(value) not in forbidden_modules, f"{name}.{attribute}"
