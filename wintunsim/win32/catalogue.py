"""All DLL functions: importing this module defines them."""

from __future__ import annotations

from wintunsim.win32 import (
    adapters,
    addresses,
    clocks,
    configuration,
    critical,
    errors,
    events,
    files,
    handles,
    heap,
    interfaces,
    memory,
    modules,
    mutexes,
    processes,
    runtime,
    sections,
    session,
    shell,
    system_info,
    threads,
    timers,
    tls,
    waits,
    wintun,
)

HOST_FUNCTIONS = {"msvcrt": runtime.HOST_FUNCTIONS}
"""Functions that are the host's own: the same in every C library."""

__all__ = [
    "HOST_FUNCTIONS",
    "adapters",
    "addresses",
    "clocks",
    "configuration",
    "critical",
    "errors",
    "events",
    "files",
    "handles",
    "heap",
    "interfaces",
    "memory",
    "modules",
    "mutexes",
    "processes",
    "runtime",
    "sections",
    "session",
    "shell",
    "system_info",
    "threads",
    "timers",
    "tls",
    "waits",
    "wintun",
]
