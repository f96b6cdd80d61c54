"""A simulated Windows process that runs unchanged Python client code (design §5).

    client = ClientProcess(process, loader)
    process.start_thread(client.main_script("client.py"), "main")

The client's modules, threads, clocks and randomness are those of the simulated process. The surrounding Python is
untouched
before, during and after, also when the client raises, calls ``sys.exit`` or never ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from wintun_model.errors import ClientFault, ModelError
from wintunsim.clients import sources
from wintunsim.clients.builtin_functions import make_builtins
from wintunsim.clients.catalogue import SHARED_C, SHARED_PACKAGES, SHARED_PYTHON
from wintunsim.clients.commands import Commands
from wintunsim.clients.facades import FACADES, PATCHES
from wintunsim.clients.files import Files
from wintunsim.clients.importer import Importer, View, new_module
from wintunsim.clients.interrupts import SIGINT, Interrupts
from wintunsim.clients.libraries import LibraryLoader
from wintunsim.clients.loops import DEFAULT_LOOP_LIMIT
from wintunsim.clients.operating_system import ENVIRONMENT
from wintunsim.clients.small_modules import ExitCallbacks
from wintunsim.clients.streams import PassThrough
from wintunsim.clients.system import ClientSystem, make_system_module
from wintunsim.clients.tracebacks import format_error
from wintunsim.clients.tracing import Generators, Tracing
from wintunsim.errors import UsageError
from wintunsim.kernel.machine import FOREVER, ThreadKilled
from wintunsim.kernel.process import Process

CONTROL_C_EXIT = 0xC000013A
"""STATUS_CONTROL_C_EXIT: how a process ends that Ctrl+C ended."""

_FAULT_EXIT = 0xC0000005
_SIMULATOR_ERRORS = (ModelError, UsageError)


class ClientProcess:
    """Python in one simulated process.

    `loader` gives its DLLs. `arguments` follow the script's name in ``sys.argv``; `environment` is added to the
    simulated
    environment. `observe` is called at each loop iteration of client code and before each call of a DLL, for those who
    poll
    memory that the client writes; `is_known_memory` answers whether a range is good to read and write without being
    probed.
    The standard streams default to the host's. A loop that can never end is stopped after `loop_limit` iterations.
    """

    def __init__(
        self,
        process: Process,
        loader: LibraryLoader,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        observe: Callable[[], None] | None = None,
        is_known_memory: Callable[[int, int], bool] | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        loop_limit: int = DEFAULT_LOOP_LIMIT,
    ) -> None:
        self.process = process
        self.machine = process.machine
        self.loader = loader
        self.arguments = list(arguments)
        self.environment = {**ENVIRONMENT, **(environment or {})}
        self.observe = observe
        self.is_known_memory = is_known_memory
        self.stdin = stdin if stdin is not None else PassThrough(sys.stdin, "<stdin>")
        self.stdout = stdout if stdout is not None else PassThrough(sys.stdout, "<stdout>")
        self.stderr = stderr if stderr is not None else PassThrough(sys.stderr, "<stderr>")
        self.loop_limit = loop_limit
        self.exception: BaseException | None = None
        """What ended the client, when that was an exception."""
        self.calls = [0]
        """How many calls into the simulation the client has made: one number, in a list so that closures can share it.
        """
        self.outside: dict[Any, Any] = {}
        """Thread-local data of code that runs in no thread, such as finalizers."""
        self._names: dict[str, int] = {}
        self.entropy = self.machine.stream(f"client.{process.number}.entropy")
        self.files = Files()
        self.commands = Commands(self)
        self.interrupts = Interrupts(self)
        self.tracing = Tracing(self)
        self.generators = Generators(self)
        self.exit_callbacks = ExitCallbacks(self)
        self.importer = Importer(self, FACADES, PATCHES)
        sources.refresh()
        self._prepare()

    def _prepare(self) -> None:
        importer = self.importer
        importer.path[:] = sys.path
        library = make_system_module(self)
        importer.stdlib_view["sys"] = library
        importer.modules["sys"] = self.system = ClientSystem(library)
        for view in View:
            importer.builtins[view] = make_builtins(self, view)
        process = self.process
        process.exit_callbacks.insert(0, self._on_exit)

    @property
    def exit_code(self) -> int | None:
        """The process's exit code; None while it runs."""
        return self.process.exit_code

    def _on_exit(self, _process: Process) -> None:
        self.tracing.close()
        self.generators.close()

    # -- what the client's threads run ------------------------------------------------------------------------------

    def main_script(self, path: str | Path) -> Callable[[], None]:
        """The main thread's function that runs a script, as ``python path`` does."""
        filename = str(path)

        def action() -> None:
            self.system.argv[0] = filename
            self.importer.path.insert(0, str(Path(filename).resolve().parent))
            main = self._main_module()
            main.__file__ = filename
            self._run_code(sources.client_code(filename), main)

        return lambda: self._main(action)

    def main_module(self, name: str) -> Callable[[], None]:
        """The main thread's function that runs a module, as ``python -m name`` does."""

        def action() -> None:
            self.importer.path.insert(0, self.files.getcwd())
            spec = self._runnable_spec(name)
            filename = spec.origin
            self.system.argv[0] = filename
            main = self._main_module()
            main.__dict__.update({key: value for key, value in vars(new_module(spec)).items() if key != "__name__"})
            main.__dict__["__builtins__"] = self.importer.builtins[View.CLIENT]
            self._run_code(sources.client_code(filename), main)

        return lambda: self._main(action)

    def main_callable(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Callable[[], None]:
        """The main thread's function that calls `function`, rebound to the modules of the simulated process.

        What it returns is ignored; an exception ends the process as one of a script does.
        """

        def action() -> None:
            from wintunsim.clients.rebinding import Rebinder

            main = self._main_module()
            main.__dict__["__builtins__"] = self.importer.builtins[View.CLIENT]
            Rebinder(self).function(function)(*arguments, **keywords)

        return lambda: self._main(action)

    def _main_module(self) -> Any:
        main = ModuleType("__main__")
        self.importer.modules["__main__"] = main
        return main

    def _run_code(self, code: Any, main: Any) -> None:
        main.__dict__["__builtins__"] = self.importer.builtins[View.CLIENT]
        exec(code, main.__dict__)

    def _runnable_spec(self, name: str) -> Any:
        spec, parent = None, name.rpartition(".")[0]
        try:
            path = getattr(self.importer.import_module(parent), "__path__", []) if parent else None
            spec = self.importer.find_spec(name, path if path is None else list(path))
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # something that the package imports
        if spec is not None and spec.submodule_search_locations is not None:
            return self._runnable_spec(f"{name}.__main__")
        if spec is None or spec.origin is None:
            raise UsageError(f"there is no module named {name!r} to run: give the name of an importable module")
        return spec

    def _main(self, action: Callable[[], object]) -> None:
        """Run the client's main program to the end of its process."""
        exit_code = self._guard(action)
        exit_code = self._finish(exit_code)
        self.process.exit(exit_code)

    def _guard(self, action: Callable[[], object]) -> int:
        """Do one thing of the main program; the exit code that follows from how it ended."""
        try:
            action()
        except (ThreadKilled, *_SIMULATOR_ERRORS):
            raise
        except SystemExit as error:
            return self._exit_code(error)
        except BaseException as error:
            self.exception = error
            self._call_excepthook(error)
            if isinstance(error, KeyboardInterrupt):
                return CONTROL_C_EXIT
            return _FAULT_EXIT if isinstance(error, ClientFault) else 1
        return 0

    def _finish(self, exit_code: int) -> int:
        """What the interpreter does when the main program is over: wait for threads, call what `atexit` has, flush."""
        threading = self.importer.modules.get("threading")
        if threading is not None and not isinstance(self.exception, ClientFault):
            try:
                threading._shutdown()
            except (ThreadKilled, *_SIMULATOR_ERRORS):
                raise
            except BaseException as error:
                self.write_error(error, f"Exception ignored in: {threading!r}\n")
        self.exit_callbacks.run()
        for stream in (self.system.stdout, self.system.stderr):
            flush = getattr(stream, "flush", None)
            if flush is not None:
                flush()
        return exit_code

    def _exit_code(self, error: SystemExit) -> int:
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFFFFFFFF
        self.system.stderr.write(f"{error.code}\n")
        return 1

    # -- errors -----------------------------------------------------------------------------------------------------

    def _call_excepthook(self, error: BaseException) -> None:
        try:
            self.system.excepthook(type(error), error, error.__traceback__)
        except ThreadKilled:
            raise
        except BaseException as second:
            self.write_error(second, "Error in sys.excepthook:\n")

    def write_error(self, error: BaseException, heading: str = "") -> None:
        """Print an exception as Python does, with the client's own frames only."""
        stream = self.system.stderr
        if stream is not None:
            stream.write(heading + format_error(error))

    def thread_excepthook(self, arguments: Any, /) -> None:
        """``_thread._excepthook``: how `threading` reports an exception in a thread."""
        if arguments.exc_type is ThreadKilled:
            # A terminated thread says nothing.
            return
        error = arguments[1]
        if isinstance(error, SystemExit):
            return
        if isinstance(error, (ClientFault, *_SIMULATOR_ERRORS)):
            self.report_thread_error(error, arguments[3])
            return
        name = getattr(arguments[3], "name", None)
        self.write_error(error, f"Exception in thread {name}:\n")

    def report_thread_error(self, error: BaseException, function: object) -> None:
        """An exception that ends a thread; what Windows would crash on ends the process."""
        if isinstance(error, _SIMULATOR_ERRORS):
            raise error
        if isinstance(error, ClientFault):
            self.exception = error
            self.write_error(error)
            self.process.exit(_FAULT_EXIT)
        self.write_error(error, f"Exception ignored in thread started by {function!r}:\n")

    # -- time -------------------------------------------------------------------------------------------------------

    def spend(self, cost_ns: int) -> None:
        """Let time pass for the running thread; nothing outside of threads, as in a finalizer."""
        machine = self.machine
        self.calls[0] += 1
        if machine.current is not None:
            machine.now += cost_ns
            if machine.now > machine.horizon:
                machine.give_way()
                if self.interrupts.pending:
                    self.interrupts.check()

    def spend_call(self) -> None:
        """What a call that stays in user mode costs."""
        self.spend(self.machine.costs.user_call_ns)

    def deadline_ns(self, timeout: float) -> int:
        """When a wait of `timeout` seconds ends: in whole milliseconds, on a timer tick; -1 waits for ever."""
        if timeout < 0:
            return FOREVER
        return self.machine.tick_after(self.machine.now + -int(-timeout * 1000 // 1) * 1_000_000)

    def interrupt(self) -> None:
        """Ctrl+C: the main thread gets KeyboardInterrupt, or its SIGINT handler, as soon as it can."""
        self.interrupts.raise_signal(SIGINT)

    # -- names and questions ----------------------------------------------------------------------------------------

    def new_name(self, kind: str) -> str:
        """A name for a kernel object of this process, numbered by kind."""
        number = self._names[kind] = self._names.get(kind, 0) + 1
        return f"{self.process.name}/{kind} {number}"

    def new_lock_name(self) -> str:
        """A name for a lock that somebody waits for."""
        return self.new_name("lock")

    def is_process_frame(self, frame: FrameType) -> bool:
        """Whether a frame runs code of this process: a client's module or a fresh copy of the library."""
        builtins = frame.f_builtins
        return any(builtins is mine for mine in self.importer.builtins.values())

    def is_client_frame(self, frame: FrameType) -> bool:
        """Whether a frame runs code of a client's module."""
        return frame.f_builtins is self.importer.builtins[View.CLIENT]

    def is_library_module(self, module: Any) -> bool:
        """Whether a module of the process is a fresh copy of one of the standard library."""
        return module.__dict__.get("__builtins__") is self.importer.builtins[View.LIBRARY]

    @staticmethod
    def can_import_without_file(name: str) -> bool:
        """Whether a module is made or shared rather than loaded from a file."""
        top = name.partition(".")[0]
        return name in FACADES or top in SHARED_C or top in SHARED_PYTHON or top in SHARED_PACKAGES
