"""`wintunsim vectors`: write golden vectors, or tell whether a directory of them still is what the model says."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from wintunsim.conformance.catalogue import GROUPS, Group
from wintunsim.conformance.directory import check_foreign, differences
from wintunsim.conformance.readme import README, readme_text
from wintunsim.errors import UsageError
from wintunsim.trace.whole_file import WholeFile

EXIT_DIFFERENT = 1
MOST_DIFFERENCES = 50
"""Lines that --check prints; the rest is counted."""

EPILOG = f"""\
groups:
{"".join(f"  {name:<14}{group.title}{chr(10)}" for name, group in GROUPS.items())}
exit code: 0 when the files were written or match; 1 when --check finds a difference; 2 for a mistake in what was asked
for, or a directory that cannot be compared.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `wintunsim vectors`."""
    parser.description = "Language-neutral test vectors of the driver, computed by the reference model."
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--out", metavar="DIR", help="write the vectors, their schemas and a README to this directory")
    what.add_argument("--check", metavar="DIR", help="compare a directory with what the model says now")
    parser.add_argument(
        "--only", metavar="GROUP", action="append", default=[], help="this group only (repeatable); see below"
    )


def vectors(options: argparse.Namespace) -> int:
    """Carry out `wintunsim vectors`; answers the exit code. Raises `UsageError` for a mistake."""
    for name in options.only:
        if name not in GROUPS:
            raise UsageError(f"--only {name!r} is none of the groups: give one of {', '.join(GROUPS)}")
    groups = [group for group in GROUPS.values() if not options.only or group.name in options.only]
    for option in ("out", "check"):
        if getattr(options, option) == "":
            raise UsageError(f"--{option} names no directory: give it the name of one")
    if options.out is not None:
        return _write(Path(options.out), groups, is_all=not options.only)
    if options.check is not None:
        return _check(Path(options.check), groups, is_all=not options.only)
    raise UsageError("nothing to do: say --out DIR to write vectors, or --check DIR to compare a directory of them")


def texts(groups: list[Group], *, is_all: bool) -> dict[str, str]:
    """The files of some groups by name; with all groups the README too."""
    found: dict[str, str] = {}
    for group in groups:
        found |= group.texts()
    if is_all:
        files = {group.file: json.loads(found[group.file]) for group in groups}
        found[README] = readme_text(files)
    return found


def _write(directory: Path, groups: list[Group], *, is_all: bool) -> int:
    names = [README, *(name for group in GROUPS.values() for name in (group.file, group.schema_file))]
    check_foreign(directory, names)
    files = texts(groups, is_all=is_all)
    for name, text in files.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {directory} cannot be made ({error.strerror}): name another directory") from None
        file = WholeFile(path, "the file of vectors", binary=True)
        file.write(text.encode())
        file.close()
    count = sum(json.loads(files[group.file])["count"] for group in groups)
    print(f"wintunsim: {count} vectors in {len(groups)} file{'s' if len(groups) > 1 else ''} written to {directory}")
    return 0


def _check(directory: Path, groups: list[Group], *, is_all: bool) -> int:
    if not directory.is_dir():
        raise UsageError(f"--check {directory} is no directory: name one that `wintunsim vectors --out` wrote")
    files = texts(groups, is_all=is_all)
    found = list(differences(directory, files, is_all=is_all))
    if not found:
        print(f"wintunsim: {directory} matches")
        return 0
    for line in found[:MOST_DIFFERENCES]:
        print(line)
    if len(found) > MOST_DIFFERENCES:
        print(f"... and {len(found) - MOST_DIFFERENCES} more")
    print(f"wintunsim: {directory} differs in {len(found)} place{'s' if len(found) > 1 else ''}", file=sys.stderr)
    return EXIT_DIFFERENT
