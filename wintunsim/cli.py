"""The command line. Nothing heavy is imported before it is known what to do."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from wintun_model.revision import DEFAULT_REVISION, REVISIONS
from wintunsim.errors import UsageError

EXIT_USAGE = 2

_EPILOG = """\
traffic (SPEC of --traffic, repeatable):
  capture:FILE[,local=ADDR][,loop=N][,speed=X]   packets of a pcap or pcapng file from the local addresses
  udp:rate=PPS,size=BYTES[,count=N][,from=ADDR][,to=ADDR]
  ping:count=N[,interval=DUR][,size=BYTES][,from=ADDR][,to=ADDR]
  constant:rate=RATE,size=SIZE  or  poisson:rate=RATE,size=SIZE   evenly spaced, or by chance
  bursts:rate=RATE,on=DUR,off=DUR,size=SIZE[,times=fixed|exponential][,gaps=even|poisson]   the rate is that while on
  trains:burst=N,every=DUR,size=SIZE[,gap=DUR]   N packets at once, or so far apart, again and again
    these four with [,count=N][,flows=N][,weights=A/B/...][,version=4|6|both][,from=ADDR][,to=ADDR]
  tcp:[window=N|BYTES][,size=BYTES][,rtt=DUR][,ack=returned|taken][,count=N][,initial=N][,rto=DUR][,retries=N]
    [,series=off|on][,from=ADDR][,to=ADDR]   a closed loop: what is lost costs it what it costs TCP
    RATE: 1000 or 1.5Mpps (packets/s), 10Gbit (bits/s)   BYTES of a window: 256KiB; a plain number is packets
    SIZE: 1400, 64-1500, imix, imix-ethernet, imix-ipv6, 40x7/1500x1 (a mix), coalesced, coalesced-1-44, capture:FILE
  none
returns (SPEC of --returns):
  inside (the default), kept, or late:delay=DUR[,jitter=DUR][,processors=N][,batch=N][,order=fifo|lifo|random];
  or late:delays=0:10us/50:1ms/100:20ms[,…], percentiles of the delay, from 0 to 100;
  each with [,header=BYTES] pushed in front of each packet and [,status=NUMBER]
faults (SPEC of --fault, repeatable): WHAT:WHICH
  WHAT: nbl, partial-memory-descriptor, packet-data, memory-descriptor, map, thread, adapter-context, nbl-pool
  WHICH: all, or of the attempts, counted from 1: 3 or 5-9 or 7- or every=100, separated by commas
durations: 250us, 1.5ms, 10s, 2m

exit code: the client's; 2 for a mistake in what was asked for; 3 when nothing can ever happen again and a client
thread still waits; 4 when --check-determinism finds a difference; 139 when the client crashed.
"""


def _seed(text: str) -> int:
    try:
        seed = int(text, 0)
    except ValueError:
        seed = -1
    if not 0 <= seed < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: give an integer from 0 to 2^64 - 1")
    return seed


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser(command: str = "") -> argparse.ArgumentParser:
    """The parser; the options of all but `run` and `revisions` are in it only when that is the command."""
    parser = _Parser(
        prog="wintunsim",
        allow_abbrev=False,
        description="A deterministic simulator of the Wintun driver: runs unchanged Windows clients in virtual time.",
    )
    parser.add_argument("--version", action="version", version=f"wintunsim {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run",
        help="run a Python client, written for Windows, against a simulated adapter",
        description="Run a Python client, written for Windows, against a simulated Wintun adapter, in virtual time.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        usage="wintunsim run [options] (CLIENT.py | -m MODULE) [arguments of the client ...]",
    )
    run.add_argument("--seed", type=_seed, help="of all randomness (default: $WINTUNSIM_SEED or 0)")
    run.add_argument(
        "--driver",
        metavar="REVISION",
        default=DEFAULT_REVISION,
        help=f"one of {', '.join(REVISIONS)} (default: {DEFAULT_REVISION})",
    )
    run.add_argument("--traffic", metavar="SPEC", action="append", default=[], help="what the system sends; see below")
    run.add_argument(
        "--answer",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether a host answers echo requests and UDP port 7 (default: it does)",
    )
    run.add_argument(
        "--host", metavar="NAME", default="ideal", help="ideal (the default), desktop, busy, server, or your FILE.toml"
    )
    run.add_argument(
        "--returns", metavar="SPEC", default="inside", help="when the system gives received packets back; see below"
    )
    run.add_argument("--fault", metavar="SPEC", action="append", default=[], help="what fails in the kernel; see below")
    run.add_argument("--until", metavar="DURATION", help="virtual time at which the client gets Ctrl+C")
    run.add_argument("--adapter", metavar="NAME", default="Wintun", help="the adapter that is there ('' for none)")
    run.add_argument(
        "--user",
        choices=("system", "administrator", "user"),
        default="system",
        help="who the client runs as (default: system)",
    )
    run.add_argument("--trace", metavar="FILE", help="write the trace as JSON lines")
    run.add_argument("--perfetto", metavar="FILE", help="write the trace for ui.perfetto.dev")
    run.add_argument("--capture", metavar="FILE", help="write what crossed the rings as pcapng")
    run.add_argument("--report", metavar="FILE", help="write the report as JSON ('-': standard output)")
    run.add_argument("--log-calls", metavar="FILE", help="write every DLL call with its result ('-': standard error)")
    run.add_argument("--digest-payload", action="store_true", help="let the digest cover the packets' bytes too")
    run.add_argument("--check-determinism", action="store_true", help="run twice and compare the digests")
    run.add_argument("--quiet", action="store_true", help="no report on standard error")
    run.add_argument("-m", dest="module", action="store_true", help="CLIENT is a module's name")
    run.add_argument("client", metavar="CLIENT", help="the client's script, or module with -m")
    rest = run.add_argument("arguments", nargs=argparse.REMAINDER, help="what the client gets as its arguments")
    rest.required = False  # else Python 3.11 says that it is, when CLIENT is missing
    installer = commands.add_parser("installer", help="answer what Wintun's installer does in a scenario")
    if command == "installer":
        from wintunsim.cli_installer import add_arguments

        add_arguments(installer)
    revisions = commands.add_parser("revisions", help="tell how the revisions of the driver differ", allow_abbrev=False)
    revisions.add_argument("--format", choices=("table", "json"), default="table", help="(default: table)")
    _add_vectors(commands.add_parser("vectors", help="write or check golden vectors", allow_abbrev=False), command)
    _add_sweep(commands.add_parser("sweep", help="run an experiment over many values", allow_abbrev=False), command)
    _add_explore(commands.add_parser("explore", help="search all interleavings", allow_abbrev=False), command)
    return parser


def _add_explore(parser: argparse.ArgumentParser, command: str) -> None:
    if command == "explore":
        from wintunsim.cli_explore import add_arguments

        add_arguments(parser)


def _add_vectors(parser: argparse.ArgumentParser, command: str) -> None:
    if command == "vectors":
        from wintunsim.cli_vectors import add_arguments

        add_arguments(parser)


def _add_sweep(parser: argparse.ArgumentParser, command: str) -> None:
    if command == "sweep":
        from wintunsim.cli_sweep import add_arguments

        add_arguments(parser)


def _version() -> str:
    try:
        return version("wintunsim")
    except PackageNotFoundError:
        return "(not installed)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; answers the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    options, unknown = _parser(next(iter(words), "")).parse_known_args(words)
    try:
        if unknown:
            help_command = f"wintunsim {options.command} --help"
            hint = "; a client's own options follow its name" if options.command == "run" else ""
            raise UsageError(f"there is no option {unknown[0]}: {help_command} lists what there is{hint}")
        if options.command == "installer":
            from wintunsim.cli_installer import installer

            return installer(options)
        if options.command == "revisions":
            from wintunsim.cli_revisions import revisions

            return revisions(options.format)
        if options.command == "vectors":
            from wintunsim.cli_vectors import vectors

            return vectors(options)
        if options.command == "sweep":
            from wintunsim.cli_sweep import sweep

            return sweep(options)
        if options.command == "explore":
            from wintunsim.cli_explore import explore

            return explore(options)
        if options.seed is None:
            text = os.environ.get("WINTUNSIM_SEED", "0")
            try:
                options.seed = _seed(text)
            except argparse.ArgumentTypeError as error:
                raise UsageError(f"WINTUNSIM_SEED: {error}") from None
        from wintunsim.cli_files import check_files
        from wintunsim.cli_run import run

        check_files(options)
        return run(options)
    except UsageError as error:
        print(f"wintunsim: {error}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:
        return 1
