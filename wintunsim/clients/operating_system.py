"""``os`` of a simulated process: a fresh copy over a ``posix`` module that has no clock, entropy, or processes of the
host.

Client modules see it as on Windows (`name` is ``nt``); paths are the host's.
"""

# A client's paths are strings, and os is what they are for.

from __future__ import annotations

import os
import posix
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from wintunsim.clients.files import DirectoryEntry
from wintunsim.clients.interrupts import SIGINT
from wintunsim.clients.words import words

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

USER_DIRECTORY = "C:\\Users\\client"
ENVIRONMENT = {
    "ALLUSERSPROFILE": "C:\\ProgramData",
    "APPDATA": USER_DIRECTORY + "\\AppData\\Roaming",
    "COMPUTERNAME": "WINTUNSIM",
    "COMSPEC": "C:\\Windows\\system32\\cmd.exe",
    "LOCALAPPDATA": USER_DIRECTORY + "\\AppData\\Local",
    "NUMBER_OF_PROCESSORS": "4",
    "OS": "Windows_NT",
    "PATH": "C:\\Windows\\system32;C:\\Windows",
    "PATHEXT": ".COM;.EXE;.BAT;.CMD",
    "PROCESSOR_ARCHITECTURE": "AMD64",
    "PROCESSOR_IDENTIFIER": "Intel64 Family 6 Model 158 Stepping 10, GenuineIntel",
    "PROGRAMDATA": "C:\\ProgramData",
    "PROGRAMFILES": "C:\\Program Files",
    "SYSTEMDRIVE": "C:",
    "SYSTEMROOT": "C:\\Windows",
    "TEMP": USER_DIRECTORY + "\\AppData\\Local\\Temp",
    "TMP": USER_DIRECTORY + "\\AppData\\Local\\Temp",
    "USERDOMAIN": "WINTUNSIM",
    "USERNAME": "client",
    "USERPROFILE": USER_DIRECTORY,
    "WINDIR": "C:\\Windows",
}
"""The environment of every simulated process, before what the simulation adds."""

CPU_COUNT = 4

_PATH_FUNCTIONS = {
    "access": 1, "chmod": 1, "mkdir": 1, "open": 1, "readlink": 1, "remove": 1, "rmdir": 1, "truncate": 1, "unlink": 1,
    "utime": 1, "link": 2, "rename": 2, "replace": 2, "symlink": 2,
}  # fmt: skip
_KEPT = words(
    """
    close closerange device_encoding dup error fspath fsync ftruncate get_inheritable get_terminal_size isatty
    lseek pipe pread pwrite read readv set_inheritable stat_result strerror terminal_size times_result write
    writev _path_normpath _path_splitroot_ex _path_splitroot _path_isdir _path_isfile _path_isabs
    """
)


def make_posix_module(client: ClientProcess) -> ModuleType:
    """What the fresh ``os`` of one process stands on."""
    machine, process, files = client.machine, client.process, client.files
    module = ModuleType("posix")
    state = module.__dict__
    for name in dir(posix):
        value = getattr(posix, name)
        if name in _KEPT or (name.isupper() and isinstance(value, int)):
            state[name] = value
    for name, count in _PATH_FUNCTIONS.items():
        state[name] = files.with_path(getattr(posix, name), count)

    def exit_process(status: int) -> NoReturn:
        process.exit(status)
        raise SystemExit(status)

    def kill(process_id: int, signal_number: int) -> None:
        if process_id != process.process_id:
            raise OSError(22, "The parameter is incorrect")
        if signal_number in (0, SIGINT):
            client.interrupts.raise_signal(SIGINT)
        else:
            process.exit(signal_number)

    def times() -> Any:
        seconds = machine.time() / 1e9
        return posix.times_result((seconds, 0.0, 0.0, 0.0, 0.0))

    def urandom(size: int, /) -> bytes:
        if size < 0:
            raise ValueError("negative argument not allowed")
        return client.entropy.take_bytes(size)

    def no_process(_command: object) -> int:
        return client.commands.system(str(_command))

    state.update(
        DirEntry=DirectoryEntry,
        _exit=exit_process,
        _have_functions=[],
        abort=lambda: exit_process(3),
        chdir=files.chdir,
        cpu_count=lambda: CPU_COUNT,
        environ={os.fsencode(name): os.fsencode(value) for name, value in client.environment.items()},
        fstat=files.fstat,
        getcwd=files.getcwd,
        getcwdb=lambda: os.fsencode(files.getcwd()),
        getlogin=lambda: client.environment["USERNAME"],
        getpid=lambda: process.process_id,
        getppid=lambda: 1000,
        kill=kill,
        listdir=files.listdir,
        lstat=files.lstat,
        putenv=_ignore,
        scandir=files.scandir,
        stat=files.stat,
        system=no_process,
        times=times,
        umask=lambda _mask: 0,
        unsetenv=_ignore,
        urandom=urandom,
        waitstatus_to_exitcode=lambda status: status,
    )
    if hasattr(posix, "_path_isdir"):
        state["_path_isdir"] = files.with_path(os.path.isdir)
    return module


def _ignore(*_arguments: object) -> None:
    """The environment is `os.environ` alone."""


class ClientOs(ModuleType):
    """``os`` as client modules see it."""

    def __init__(self, library: ModuleType) -> None:
        super().__init__("os")
        self.__dict__.update(
            _library=library,
            name="nt",
            linesep="\r\n",
            add_dll_directory=_AddedDllDirectory,
            startfile=_startfile,
        )

    def __getattr__(self, name: str) -> Any:
        if name in ("environb", "getenvb", "register_at_fork", "fork"):
            raise AttributeError(f"module 'os' has no attribute {name!r}")
        try:
            return getattr(self.__dict__["_library"], name)
        except AttributeError:
            raise AttributeError(f"module 'os' has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.__dict__["_library"], name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *dir(self.__dict__["_library"])} - {"_library", "environb", "getenvb"})


class _AddedDllDirectory:
    """``os._AddedDllDirectory``. It changes nothing: DLLs are found by name wherever they are."""

    def __init__(self, path: str | None) -> None:
        self.path = path

    def close(self) -> None:
        self.path = None

    def __enter__(self) -> _AddedDllDirectory:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _startfile(path: object, *_arguments: object, **_keywords: object) -> NoReturn:
    raise OSError(f"wintunsim does not start other programs ({path})")


def patch_os(client: ClientProcess, module: Any) -> None:
    """Finish a fresh ``os``: the environment has Windows' names, upper case; the client's view stands in the table."""

    def upper(name: object) -> str:
        if not isinstance(name, str):
            raise TypeError(f"str expected, not {type(name).__name__}")
        return name.upper()

    def text(value: object) -> str:
        if not isinstance(value, str):
            raise TypeError(f"str expected, not {type(value).__name__}")
        return value

    data = {upper(name): value for name, value in client.environment.items()}
    module.environ = module._Environ(data, upper, str, text, str)
    client.importer.stdlib_view["os"] = module
    client.importer.modules["os"] = ClientOs(module)
    client.importer.modules["os.path"] = module.path


def patch_posixpath(client: ClientProcess, module: Any) -> None:
    """The home directory is the simulated user's."""

    def expanduser(path: Any) -> Any:
        text = os.fspath(path)
        if isinstance(text, str) and (text == "~" or text.startswith(("~/", "~\\"))):
            return str(client.environment["USERPROFILE"]) + text[1:]
        return text

    module.expanduser = expanduser
