"""``platform`` of a simulated process: Windows 11 on an x86-64 processor. Plain data."""

from __future__ import annotations

import platform as host
import sys
from collections import namedtuple
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wintunsim.clients.operating_system import ENVIRONMENT

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

_VERSION = "10.0.22631"
_Names = namedtuple("uname_result", "system node release version machine processor")  # type: ignore[name-match]
_PROCESSOR = ENVIRONMENT["PROCESSOR_IDENTIFIER"]
_NAMES = _Names("Windows", ENVIRONMENT["COMPUTERNAME"], "11", _VERSION, "AMD64", _PROCESSOR)


def make_platform_module(_client: ClientProcess) -> ModuleType:
    """The ``platform`` module."""
    python = sys.version_info
    functions: dict[str, Any] = {
        "architecture": lambda *_arguments, **_keywords: ("64bit", "WindowsPE"),
        "freedesktop_os_release": _no_release,
        "libc_ver": lambda *_arguments, **_keywords: ("", ""),
        "mac_ver": lambda *_arguments, **_keywords: ("", ("", "", ""), ""),
        "machine": lambda: _NAMES.machine,
        "node": lambda: _NAMES.node,
        "platform": lambda aliased=False, terse=False: "Windows-11" if terse else f"Windows-11-{_VERSION}-SP0",
        "processor": lambda: _NAMES.processor,
        "python_branch": lambda: f"tags/v{python[0]}.{python[1]}.{python[2]}",
        "python_build": lambda: (f"tags/v{python[0]}.{python[1]}.{python[2]}:0000000", "Jan  1 2024 00:00:00"),
        "python_compiler": lambda: "MSC v.1942 64 bit (AMD64)",
        "python_implementation": host.python_implementation,
        "python_revision": lambda: "0000000",
        "python_version": host.python_version,
        "python_version_tuple": host.python_version_tuple,
        "release": lambda: _NAMES.release,
        "system": lambda: _NAMES.system,
        "system_alias": host.system_alias,
        "uname": lambda: _NAMES,
        "uname_result": _Names,
        "version": lambda: _NAMES.version,
        "win32_edition": lambda: "Professional",
        "win32_is_iot": lambda: False,
        "win32_ver": lambda *_arguments, **_keywords: ("11", _VERSION, "SP0", "Multiprocessor Free"),
    }
    module = ModuleType("platform")
    module.__dict__.update(functions)
    return module


def _no_release() -> None:
    raise OSError("Unable to read files /etc/os-release, /usr/lib/os-release")
