"""The files that a command line names: none twice, and none that the run reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from wintunsim.errors import UsageError
from wintunsim.kernel.host import is_host_file

_OUTPUTS = ("trace", "perfetto", "capture", "report", "log_calls")


def check_files(options: argparse.Namespace) -> None:
    """UsageError when a file to be written has no name, is named twice, or is one that the run reads."""
    read = {Path(name).resolve(): text for name, text in _inputs(options)}
    written: dict[Path, str] = {}
    for output in _OUTPUTS:
        name = getattr(options, output)
        option = "--" + output.replace("_", "-")
        if name is None or name == "-":
            continue
        if not name:
            raise UsageError(f"{option} names no file: give it the name of a file")
        path = Path(name).resolve()
        if path in read:
            raise UsageError(f"{option} {name} would overwrite {read[path]}: name another file")
        if path in written and not (path.exists() and not path.is_file()):
            raise UsageError(f"{written[path]} and {option} both name {name!r}: give each a file of its own")
        written[path] = option


def _inputs(options: argparse.Namespace) -> list[tuple[str, str]]:
    found = [] if options.module else [(options.client, "the client")]
    if is_host_file(options.host):
        found.append((options.host, "the host"))
    for text in options.traffic:
        kind, _, rest = text.partition(":")
        if kind == "capture":
            parts = rest.split(",")  # the name of a file may have commas
            found += [(",".join(parts[:count]), "the capture that is read") for count in range(1, len(parts) + 1)]
    return found
