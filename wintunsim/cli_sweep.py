"""`wintunsim sweep`: an experiment over many values and seeds, from a TOML file into a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wintunsim.errors import UsageError
from wintunsim.experiments.sweep_file import read_sweep
from wintunsim.experiments.sweep_result import SweepError, SweepResult
from wintunsim.experiments.table_file import TableFile

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

EPILOG = """\
a sweep (FILE.toml; all tables and lines may be left out):
  [experiment]                    # what is the same in all runs: fields of wintunsim.experiments.Experiment
  workload = "constant:rate=5Gbit,size=1400"   # as --traffic of wintunsim run; a list for several
  host = "desktop"
  duration = "100ms"
  [client]                        # fields of wintunsim.experiments.Client
  poll_us = 4000
  [sweep]                         # every combination of these is run, with every seed
  capacity = [0x100000, 0x200000]
  host = { quiet = "desktop", loaded = "busy" }   # labels for the table, and what they stand for
  seeds = 10                      # or a list
docs/experiments.md tells more.

exit code: 0 when all runs have finished; 1 when one failed; 2 for a mistake in what was asked for; 130 after Ctrl+C.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `wintunsim sweep`."""
    parser.description = "Run an experiment over many values and seeds; write a table with one row a run."
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE.toml", help="the sweep; see below")
    parser.add_argument(
        "--out",
        metavar="FILE",
        required=True,
        help="the table: FILE.parquet, FILE.csv or FILE.json ('-': CSV to standard output)",
    )
    parser.add_argument("--workers", metavar="N", type=int, help="processes (default: one for each processor)")
    parser.add_argument("--cache", metavar="DIR", help="keep results in this folder, and use those that are there")
    parser.add_argument("--keep-going", action="store_true", help="do the other runs when one fails")
    parser.add_argument("--quiet", action="store_true", help="no progress line and no summary")


def sweep(options: argparse.Namespace) -> int:
    """Carry out `wintunsim sweep`; answers the exit code. Raises `UsageError` for a mistake."""
    for option in ("out", "cache"):
        if getattr(options, option) == "":
            raise UsageError(f"--{option} names nothing: give it a name")
    asked = read_sweep(options.file)
    if options.out != "-" and Path(options.out).resolve() == Path(options.file).resolve():
        raise UsageError(f"--out {options.out} would overwrite the sweep: name another file")
    file = TableFile(options.out)
    try:
        result = asked.run(
            workers=options.workers,
            cache=options.cache,
            progress=False if options.quiet else None,
            on_failure="continue" if options.keep_going else "stop",
        )
    except SweepError as error:
        print(f"wintunsim: {error}", file=sys.stderr)
        return _write(file, error.result, is_quiet=options.quiet)
    except KeyboardInterrupt:
        file.discard()
        hint = (
            f"what had finished is in {options.cache}, and the same command goes on from there"
            if options.cache
            else "with --cache DIR it could go on from there"
        )
        print(f"\nwintunsim: interrupted; {hint}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BaseException:
        file.discard()
        raise
    for failure in result.failures:
        print(f"wintunsim: {failure}", file=sys.stderr)
    return _write(file, result, is_quiet=options.quiet)


def _write(file: TableFile, result: SweepResult, *, is_quiet: bool) -> int:
    if result.rows:
        file.write(result)
    else:
        file.discard()
    if not is_quiet:
        count = f"{len(result.rows)} run{'s' if len(result.rows) != 1 else ''}"
        kept = f", {result.from_cache} of them from the cache" if result.from_cache else ""
        where = "nothing written" if not result.rows else "" if file.path == "-" else f"written to {file.path}"
        missing = f" of {result.runs}" if len(result.rows) != result.runs else ""
        print(f"wintunsim: {count}{missing}{kept}{', ' if where else ''}{where}", file=sys.stderr)
    return EXIT_FAILED if result.failures else 0
