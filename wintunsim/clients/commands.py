"""``subprocess`` of a simulated process: `netsh`, `route` and `powershell` are answered from a table and recorded in
the trace.

Clients configure addresses and routes that way (spec win32 §6). Any other program is refused.
"""

from __future__ import annotations

import io
import ntpath
import os
import subprocess as host
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wintun_model.trace import Kind

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

COMMAND_NS = 20_000_000
"""What starting a program and waiting for its end takes."""

ANSWERS: tuple[tuple[str, str, str], ...] = (
    ("netsh", " show interfaces", "\r\nIdx     Met         MTU          State                Name\r\n"
     "---  ----------  ----------  ------------  ---------------------------\r\n"
     "  1          75  4294967295  connected     Loopback Pseudo-Interface 1\r\n\r\n"),
    ("netsh", " show", "\r\n"),
    ("netsh", "", "Ok.\r\n\r\n"),
    ("route", " print", "IPv4 Route Table\r\n"),
    ("route", "", " OK!\r\n"),
    ("powershell", "", ""),
)  # fmt: skip
"""Program, a part of the command, and what it prints; the first row that fits answers, with exit code 0."""

_CONSTANTS = {
    "PIPE": -1, "STDOUT": -2, "DEVNULL": -3, "STARTF_USESTDHANDLES": 0x100, "STARTF_USESHOWWINDOW": 1, "SW_HIDE": 0,
    "CREATE_NEW_CONSOLE": 0x10, "CREATE_NEW_PROCESS_GROUP": 0x200, "CREATE_NO_WINDOW": 0x08000000,
    "DETACHED_PROCESS": 8, "CREATE_DEFAULT_ERROR_MODE": 0x04000000, "CREATE_BREAKAWAY_FROM_JOB": 0x01000000,
    "ABOVE_NORMAL_PRIORITY_CLASS": 0x8000, "BELOW_NORMAL_PRIORITY_CLASS": 0x4000, "HIGH_PRIORITY_CLASS": 0x80,
    "IDLE_PRIORITY_CLASS": 0x40, "NORMAL_PRIORITY_CLASS": 0x20, "REALTIME_PRIORITY_CLASS": 0x100,
    "STD_INPUT_HANDLE": -10, "STD_OUTPUT_HANDLE": -11, "STD_ERROR_HANDLE": -12,
}  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A program that a client ran: the command line, its exit code and what it printed."""

    line: str
    exit_code: int
    output: str


def _program(line: str) -> str:
    """The name of the program that a command line starts, without path and extension, lower case."""
    line = line.strip()
    first = line[1:].partition('"')[0] if line.startswith('"') else line.partition(" ")[0]
    return ntpath.basename(first).lower().removesuffix(".exe")


def _in_shell(line: str) -> str:
    """The command that a shell is asked to run, or the command itself."""
    if _program(line) == "cmd":
        _, switch, rest = line.lower().partition("/c ")
        return line[len(line) - len(rest) :].strip() if switch else line
    return line


class Commands(list[Command]):
    """The programs that a process ran, in order."""

    def __init__(self, client: ClientProcess) -> None:
        super().__init__()
        self._client = client

    def execute(self, arguments: str | Sequence[Any]) -> Command:
        """Answer a command from the table. Raises FileNotFoundError for programs that are not in it."""
        if isinstance(arguments, str | bytes | os.PathLike):
            line = os.fsdecode(arguments)
        else:
            line = host.list2cmdline([os.fsdecode(part) for part in arguments])
        command = _in_shell(line)
        program = _program(command)
        output = next((text for name, part, text in ANSWERS if program == name and part in command), None)
        if output is None:
            raise FileNotFoundError(
                2, f"wintunsim does not run other programs than netsh, route and powershell ({program or line!r})"
            )
        machine = self._client.machine
        self._client.spend(COMMAND_NS)
        number = machine.trace.define(command, machine.time())
        thread = machine.current.number if machine.current is not None else 0
        machine.trace.record((machine.time(), thread, Kind.COMMAND, number, 0, 0))
        result = Command(command, 0, output)
        self.append(result)
        return result

    def system(self, line: str) -> int:
        """``os.system``."""
        try:
            result = self.execute(line)
        except FileNotFoundError as error:
            self._client.system.stderr.write(f"{error.strerror}\n")
            return 1
        self._client.system.stdout.write(result.output.replace("\r\n", "\n"))
        return result.exit_code


class Popen:
    """A program that has run already. Subclassed for each process, which gives `client`."""

    client: ClientProcess

    def __init__(
        self,
        args: Any,
        bufsize: int = -1,
        executable: object = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        *_more: Any,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        **_options: Any,
    ) -> None:
        self.args = args
        self.pid = 4096
        self.returncode: int | None = None
        self._text = bool(text or encoding or errors or universal_newlines)
        result = self.client.commands.execute(args)
        self._code = result.exit_code
        self.stdin = self._stream("") if stdin == -1 else None
        self.stdout = self._stream(result.output) if stdout == -1 else None
        self.stderr = self._stream("") if stderr == -1 else None
        if stdout is None and result.output:
            self.client.system.stdout.write(result.output.replace("\r\n", "\n"))

    def _stream(self, output: str) -> io.StringIO | io.BytesIO:
        return io.StringIO(output.replace("\r\n", "\n")) if self._text else io.BytesIO(output.encode())

    def poll(self) -> int:
        self.returncode = self._code
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        return self.poll()

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        self.poll()
        output = self.stdout.read() if self.stdout is not None else None
        return output, self.stderr.read() if self.stderr is not None else None

    def kill(self) -> None:
        self.poll()

    terminate = kill

    def send_signal(self, signal: int) -> None:
        self.poll()

    def __enter__(self) -> Popen:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.poll()


class StartupInfo:
    """``subprocess.STARTUPINFO``; nothing of it matters here."""

    def __init__(self, **options: Any) -> None:
        self.dwFlags = self.wShowWindow = 0
        self.hStdInput = self.hStdOutput = self.hStdError = None
        self.lpAttributeList: dict[str, Any] = {}
        self.__dict__.update(options)


def make_subprocess_module(client: ClientProcess) -> ModuleType:
    """``subprocess`` of one process."""
    popen: type[Popen] = type("Popen", (Popen,), {"client": client, "__module__": "subprocess"})

    def run(
        *arguments: Any, input: Any = None, capture_output: bool = False, timeout: float | None = None,
        check: bool = False, **options: Any,
    ) -> host.CompletedProcess[Any]:  # fmt: skip
        if capture_output:
            options["stdout"] = options["stderr"] = -1
        with popen(*arguments, **options) as process:
            stdout, stderr = process.communicate(input)
        result = host.CompletedProcess(process.args, process.poll(), stdout, stderr)
        if check:
            result.check_returncode()
        return result

    def call(*arguments: Any, timeout: float | None = None, **options: Any) -> int:
        return popen(*arguments, **options).wait()

    def check_output(*arguments: Any, timeout: float | None = None, **options: Any) -> Any:
        return run(*arguments, stdout=-1, check=True, **options).stdout

    def getstatusoutput(command: Any, **options: Any) -> tuple[int, str]:
        result = run(command, stdout=-1, text=True, **options)
        return result.returncode, result.stdout.removesuffix("\n")

    module = ModuleType("subprocess")
    module.__dict__.update(
        _CONSTANTS,
        _args_from_interpreter_flags=list,
        _optim_args_from_interpreter_flags=list,
        CalledProcessError=host.CalledProcessError,
        CompletedProcess=host.CompletedProcess,
        Popen=popen,
        STARTUPINFO=StartupInfo,
        SubprocessError=host.SubprocessError,
        TimeoutExpired=host.TimeoutExpired,
        call=call,
        check_call=call,
        check_output=check_output,
        getoutput=lambda command, **options: getstatusoutput(command, **options)[1],
        getstatusoutput=getstatusoutput,
        list2cmdline=host.list2cmdline,
        run=run,
    )
    return module
