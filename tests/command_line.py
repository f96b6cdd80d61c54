"""The command line in processes of their own that need not begin from nothing.

`python -m wintunsim` takes most of a second to import what it needs and to compile the driver's routines, and the tests
run it some hundred times. Here one process has done so and nothing else, and is copied for each run; all that a run
does happens in the copy. What an interpreter asks its environment before it begins, as for PYTHONHASHSEED, needs a
fresh one.
"""

import contextlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

STREAMS = ("input", "output", "errors")


class CommandLine:
    """Runs ``wintunsim`` with arguments, and answers as `subprocess.run` does."""

    def __init__(self):
        self._server = None
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name) / name for name in STREAMS]

    @staticmethod
    def fresh(*arguments, environment=None, cwd=None, stdin="", timeout=100):
        """Run it as a person does, in an interpreter that begins from nothing."""
        return subprocess.run(
            [sys.executable, "-m", "wintunsim", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(environment or {})},
            cwd=cwd,
            input=stdin,
            check=False,
        )

    def __call__(self, *arguments, environment=None, cwd=None, stdin="", timeout=100):
        if any(name.startswith("PYTHON") for name in environment or ()):
            return self.fresh(*arguments, environment=environment, cwd=cwd, stdin=stdin, timeout=timeout)
        self._files[0].write_text(stdin)
        request = {
            "arguments": [str(argument) for argument in arguments],
            "environment": {**os.environ, **(environment or {})},
            "cwd": str(cwd or Path.cwd()),
            "streams": [str(file) for file in self._files],
        }
        if self._server is None:
            self._begin()
        self._requests.write(json.dumps(request) + "\n")
        if not select.select([self._replies], [], [], timeout)[0]:
            self.close()
            raise subprocess.TimeoutExpired(request["arguments"], timeout)
        status = int(self._replies.readline())
        output, errors = (file.read_text() for file in self._files[1:])
        return subprocess.CompletedProcess(request["arguments"], os.waitstatus_to_exitcode(status), output, errors)

    def _begin(self):
        (requests, ours), (theirs, replies) = os.pipe(), os.pipe()
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(requests), str(replies)],
            stdin=subprocess.DEVNULL,
            pass_fds=(requests, replies),
            start_new_session=True,
        )
        os.close(requests)
        os.close(replies)
        self._requests, self._replies = os.fdopen(ours, "w", buffering=1), os.fdopen(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self._folder.cleanup()

    def close(self):
        """End it, and every run that goes on. It begins anew when it is asked again."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._requests.close()
            self._replies.close()
            self._server = None


def serve(requests, replies):
    """Copy this process for each request, and say how the copy ended."""
    from wintunsim import Simulation, cli_explore, cli_files, cli_run

    assert cli_explore and cli_files and cli_run
    Simulation()
    lines = os.fdopen(requests)
    while line := lines.readline():
        copy = os.fork()
        if not copy:
            lines.close()
            os.close(replies)
            return run(json.loads(line))
        _, status = os.waitpid(copy, 0)
        os.write(replies, f"{status}\n".encode())
    return None


def run(request):
    """Become ``python -m wintunsim`` with what was asked for."""
    for number, (path, mode) in enumerate(zip(request["streams"], ("r", "w", "w"), strict=True)):
        with Path(path).open(mode) as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.argv = ["wintunsim", *request["arguments"]]
    runpy.run_module("wintunsim", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
