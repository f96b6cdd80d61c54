"""`wintunsim run`: the simulation in a child process, so that a client that crashes takes nothing else with it."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from wintunsim.errors import UsageError

EXIT_USAGE = 2
EXIT_FAULT = 1
EXIT_DIFFERENT = 4
EXIT_CRASHED = 139
_PROGRESS_S = 0.5


def run(options: argparse.Namespace) -> int:
    """Carry out `wintunsim run`; answers the exit code."""
    code, digest = _in_child(options, is_check=False)
    if not options.check_determinism or digest is None:
        return code
    _, second = _in_child(options, is_check=True)
    if second != digest:
        print(f"wintunsim: not deterministic: the second run has the digest {second}", file=sys.stderr)
        return EXIT_DIFFERENT
    if not options.quiet:
        print("wintunsim: deterministic: the second run has the same digest", file=sys.stderr)
    return code


def _in_child(options: argparse.Namespace, *, is_check: bool) -> tuple[int, str | None]:
    """Run the simulation once in a child process: (exit code, digest if it came to a report)."""
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _child(options, writer, is_check=is_check)
    os.close(writer)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with os.fdopen(reader, encoding="utf-8") as pipe:
            text = pipe.read()
        _, status = os.waitpid(child, 0)
    finally:
        signal.signal(signal.SIGINT, before)
    digest = json.loads(text)["digest"] if text else None
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGSEGV, signal.SIGBUS):
            print(
                "wintunsim: the client crashed: it used a pointer to memory that is not there; "
                "the lines above say where (on Windows: access violation 0xC0000005)",
                file=sys.stderr,
            )
            return EXIT_CRASHED, None
        print(f"wintunsim: the simulation was ended by signal {number}", file=sys.stderr)
        return 128 + number, None
    return os.waitstatus_to_exitcode(status), digest


def _child(options: argparse.Namespace, writer: int, *, is_check: bool) -> None:
    """The child process: simulate, report, leave. Never returns."""
    code = EXIT_FAULT
    try:
        if is_check:
            silence = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(silence, number)
        code, digest = _simulate(options, is_check=is_check)
        if digest is not None:
            os.write(writer, json.dumps({"digest": digest}).encode())
    except UsageError as error:
        print(f"wintunsim: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else EXIT_FAULT
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code & 0xFF)


def _simulate(options: argparse.Namespace, *, is_check: bool) -> tuple[int, str | None]:
    from wintun_model.errors import ClientFault, DriverFault
    from wintunsim.kernel.faults import FaultPlan
    from wintunsim.simulation import Simulation
    from wintunsim.trace.whole_file import WholeFile

    faulthandler.enable()
    simulation = Simulation(
        seed=options.seed,
        driver=options.driver,
        digest_payload=options.digest_payload,
        faults=FaultPlan.parse(*options.fault),
        returns=options.returns,
        host=options.host,
    )
    if options.adapter:
        simulation.add_adapter(options.adapter)
    simulation.network(*options.traffic, answer=options.answer)
    with contextlib.ExitStack() as stack:
        stack.callback(simulation.discard_files)
        on_call = None
        if not is_check:
            if options.trace:
                simulation.write_trace(options.trace)
            if options.perfetto:
                simulation.write_perfetto(options.perfetto)
            if options.capture:
                simulation.write_capture(options.capture)
            if options.log_calls:
                on_call = _call_logger(options.log_calls, stack)
        report_file = None
        if options.report and not is_check:
            report_file = WholeFile(options.report, "the report")
            stack.callback(report_file.discard)
        simulation.spawn(
            options.client, *options.arguments, module=options.module, account=options.user, on_call=on_call
        )
        _take_interrupts(simulation)
        try:
            with _progress(simulation, wanted=not options.quiet and not is_check and sys.stderr.isatty()):
                report = simulation.run(options.until)
        except (ClientFault, DriverFault) as error:
            blame = "client" if isinstance(error, ClientFault) else "driver"
            print(f"wintunsim: the {blame} did what would crash Windows: {error}", file=sys.stderr)
            return EXIT_FAULT, None
        if report_file is not None:
            report_file.write(report.to_json())
            report_file.close()
        if report.stuck:
            print("wintunsim: nothing can ever happen again, and these client threads still wait:", file=sys.stderr)
            for line in report.stuck:
                print(f"  {line}", file=sys.stderr)
        if not options.quiet:
            sys.stdout.flush()
            print(report.to_text(), end="", file=sys.stderr)
        return _exit_code(report.exit_code), report.digest


def _exit_code(code: int) -> int:
    """A Windows exit code as one of this system: 8 bits, but never 0 for what was not 0."""
    return code if code < 256 else code & 0xFF or 1


def _call_logger(path: str, stack: contextlib.ExitStack) -> Any:
    """What writes each call as a line to a file, which is kept also when the run fails; `-` is standard error."""
    from wintunsim.trace.whole_file import WholeFile
    from wintunsim.win32.thunks import format_call

    write: Any = sys.stderr.write
    if path != "-":
        file = WholeFile(path, "the log of calls")
        stack.callback(file.close)
        write = file.write

    def log(*call: Any) -> None:
        write(format_call(*call) + "\n")

    return log


def _take_interrupts(simulation: Any) -> None:
    """A person's Ctrl+C is the client's; the second one ends the simulation."""

    def first(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        simulation.interrupt()

    signal.signal(signal.SIGINT, first)


@contextlib.contextmanager
def _progress(simulation: Any, *, wanted: bool) -> Iterator[None]:
    """A line on the terminal, now and then, while the simulation runs. It only looks."""
    if not wanted:
        yield
        return
    done = threading.Event()

    def show() -> None:
        shown = False
        while not done.wait(_PROGRESS_S):
            packets = sum(
                device.port.send.packets + device.port.receive.packets for device in simulation.system.all_devices
            )
            seconds = simulation.machine.now / 1e9
            print(f"\r\x1b[Kwintunsim: {seconds:.3f} s of virtual time, {packets:,} packets", end="", file=sys.stderr)
            shown = True
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
