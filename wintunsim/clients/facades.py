"""Which module of a simulated process is made by what: the facades, and the patches of fresh copies. Data only."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wintunsim.clients.importer import Facade
from wintunsim.clients.ordering import patch_futures, patch_tasks, patch_threading

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess


def _from(module: str, function: str, *arguments: str) -> Facade:
    """A facade whose maker is imported when it is needed, so that processes start fast."""

    def make(client: ClientProcess) -> ModuleType:
        maker: Any = getattr(importlib.import_module(f"wintunsim.clients.{module}"), function)
        made: ModuleType = maker(client, *arguments)
        return made

    return make


def _host(name: str) -> Facade:
    return lambda _client: importlib.import_module(name)


def _exit_callbacks(client: ClientProcess) -> ModuleType:
    return client.exit_callbacks.make_module()


FACADES: dict[str, Facade] = {
    "_io": _from("small_modules", "make_io_module", "_io"),
    "_random": _from("entropy", "make_random_module"),
    "_socket": _from("sockets", "make_socket_module", "_socket"),
    "_thread": _from("threads", "make_thread_module"),
    "asyncio.unix_events": _from("event_loops", "make_events_module", "asyncio.unix_events"),
    "asyncio.windows_events": _from("event_loops", "make_events_module", "asyncio.windows_events"),
    "atexit": _exit_callbacks,
    "ctypes": _from("ctypes_module", "make_ctypes_module"),
    "_ctypes": _from("ctypes_module", "make_private_module"),
    "ctypes._endian": _from("ctypes_module", "make_endian_module"),
    "ctypes.util": _from("ctypes_module", "make_util_module"),
    "faulthandler": _from("small_modules", "make_faulthandler_module"),
    "gc": _from("small_modules", "make_gc_module"),
    "importlib": _from("small_modules", "make_importlib_module"),
    "importlib._abc": _host("importlib._abc"),
    "importlib._bootstrap": _host("importlib._bootstrap"),
    "importlib._bootstrap_external": _host("importlib._bootstrap_external"),
    "importlib.abc": _host("importlib.abc"),
    "importlib.machinery": _host("importlib.machinery"),
    "importlib.util": _from("small_modules", "make_importlib_util_module"),
    "io": _from("small_modules", "make_io_module", "io"),
    "mmap": _from("small_modules", "make_mmap_module"),
    "msvcrt": _from("small_modules", "make_msvcrt_module"),
    "numpy": _from("numeric", "make_numpy_module"),
    "platform": _from("platform_module", "make_platform_module"),
    "posix": _from("operating_system", "make_posix_module"),
    "select": _from("small_modules", "make_select_module"),
    "signal": _from("small_modules", "make_signal_module"),
    "socket": _from("sockets", "make_socket_module", "socket"),
    "subprocess": _from("commands", "make_subprocess_module"),
    "time": _from("clocks", "make_time_module"),
    "typing": _from("small_modules", "make_typing_module"),
    "winreg": _from("registry_module", "make_winreg_module"),
}
"""Modules that are not loaded but made, by the names under which they are imported."""


def _patch_os(client: ClientProcess, module: Any) -> None:
    from wintunsim.clients.operating_system import patch_os

    patch_os(client, module)


def _patch_posixpath(client: ClientProcess, module: Any) -> None:
    from wintunsim.clients.operating_system import patch_posixpath

    patch_posixpath(client, module)


def _patch_traceback(_client: ClientProcess, module: Any) -> None:
    from wintunsim.clients.tracebacks import hide_frames

    hide_frames(module)


def _patch_uuid(client: ClientProcess, module: Any) -> None:
    """`uuid.getnode`: a locally administered hardware address of the process's own."""
    module._node = client.entropy.bits(48) & ~(3 << 40) | 2 << 40


def _patch_multiprocessing(_client: ClientProcess, module: Any) -> None:
    def start(process: Any) -> None:
        raise NotImplementedError(
            f"wintunsim does not simulate multiprocessing ({process.name}): start another client in the simulation"
        )

    module.BaseProcess.start = start


PATCHES: dict[str, Callable[[ClientProcess, Any], None]] = {
    "asyncio.futures": patch_futures,
    "asyncio.tasks": patch_tasks,
    "concurrent.futures._base": patch_futures,
    "multiprocessing.process": _patch_multiprocessing,
    "os": _patch_os,
    "posixpath": _patch_posixpath,
    "threading": patch_threading,
    "traceback": _patch_traceback,
    "uuid": _patch_uuid,
}
"""What is done to fresh copies of modules of the standard library after their code has run."""
