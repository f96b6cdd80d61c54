"""Native code over the thunks: callbacks, threads that never look up, and their end."""

from __future__ import annotations

import ctypes
import gc
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from win32_face import INFINITE, Face

SOURCE = """
#include <stdint.h>
typedef uint32_t (*wait_t)(uint64_t, uint32_t);
typedef int32_t (*set_t)(uint64_t);
typedef void (*sleep_t)(uint32_t);
struct work { wait_t wait; set_t set; sleep_t sleep; uint64_t ping, pong; uint32_t rounds; };

uint32_t partner(struct work *work)
{
    while (work->rounds--) {
        work->wait(work->ping, 0xFFFFFFFF);
        work->set(work->pong);
    }
    return 99;
}

uint32_t forever(struct work *work)
{
    for (;;) {
        work->sleep(1);
        work->rounds++;
    }
}
"""

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


class Work(ctypes.Structure):
    _fields_ = [
        ("wait", ctypes.c_void_p),
        ("set", ctypes.c_void_p),
        ("sleep", ctypes.c_void_p),
        ("ping", ctypes.c_uint64),
        ("pong", ctypes.c_uint64),
        ("rounds", ctypes.c_uint32),
    ]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("native")
    (folder / "client.c").write_text(SOURCE)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", "client.so", "client.c"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "client.so"))


def prepare(face: Face, rounds: int) -> Work:
    library = face.loader.load("kernel32")
    assert library is not None
    exports = [library.resolve(name) for name in ("WaitForSingleObject", "SetEvent", "Sleep")]
    events = [face.CreateEventW(0, 0, 0, 0) for _ in range(2)]
    return Work(*[export.address if export else 0 for export in exports], *events, rounds)


def start(face: Face, native: Any, name: str, work: Work) -> int:
    address = ctypes.cast(getattr(native, name), ctypes.c_void_p).value
    return int(face.CreateThread(0, 0, address, ctypes.addressof(work), 0, None))


def test_a_native_thread_plays_ping_pong(native: Any) -> None:
    face = Face()

    def main() -> None:
        work = prepare(face, 100)
        thread = start(face, native, "partner", work)
        for _ in range(100):
            face.SetEvent(work.ping)
            assert face.WaitForSingleObject(work.pong, INFINITE) == 0
        assert face.WaitForSingleObject(thread, INFINITE) == 0
        code = ctypes.c_uint32()
        assert face.GetExitCodeThread(thread, code) and code.value == 99

    face.run(main)


def test_a_native_loop_that_never_ends_is_terminated(native: Any) -> None:
    face = Face()

    def main() -> None:
        work = prepare(face, 0)
        thread = start(face, native, "forever", work)
        face.Sleep(100)
        rounds = work.rounds
        assert rounds > 3
        assert face.TerminateThread(thread, 7)
        assert face.WaitForSingleObject(thread, INFINITE) == 0
        seen = work.rounds
        face.Sleep(100)
        assert work.rounds == seen
        face.keep = work  # its stack still points here

    face.run(main)


def test_a_simulation_with_native_threads_can_be_forgotten(native: Any) -> None:
    works = []

    def simulate() -> None:
        face = Face()

        def main() -> None:
            works.append(prepare(face, 0))
            start(face, native, "forever", works[0])
            face.Sleep(INFINITE)

        face.run(main, until_ns=100_000_000)

    simulate()
    assert works[0].rounds > 3
    gc.collect()
