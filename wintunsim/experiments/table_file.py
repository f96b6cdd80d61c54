"""The table of a sweep as a file: parquet, CSV or JSON by the ending of its name."""

from __future__ import annotations

import io
import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from wintunsim.errors import UsageError
from wintunsim.experiments.extra import library
from wintunsim.experiments.sweep_result import with_all_causes
from wintunsim.trace.whole_file import WholeFile

if TYPE_CHECKING:
    from wintunsim.experiments.sweep_result import SweepResult

ENDINGS = (".parquet", ".csv", ".json")


class TableFile:
    """A file that is to take a table; "-" is standard output, as CSV. It gets its name when it is whole.

    UsageError at once, before hours of running, when it could not be written: another ending, an impossible path, a
    library that is not installed.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = str(path)
        self._ending = ".csv" if self.path == "-" else Path(path).suffix.lower()
        if self._ending not in ENDINGS:
            raise UsageError(f"the table {self.path!r} has none of the endings {', '.join(ENDINGS)}: give it one")
        if self._ending == ".parquet":
            library("pyarrow", "a parquet file")
        self._file = WholeFile(path, "the table", binary=True)

    def write(self, result: SweepResult) -> None:
        """Write the table of a sweep, and finish."""
        self._file.write(table_bytes(result, self._ending))
        self._file.close()

    def discard(self) -> None:
        """Give the file up: what stood under its name before stays. No effect after `write`."""
        self._file.discard()


def table_bytes(result: SweepResult, ending: str) -> bytes:
    """The table of a sweep in the form that an ending stands for. Numbers are exact in all of them."""
    table = result.table
    if ending == ".json":
        # pandas would write 10 digits of a number.
        full = [with_all_causes(row, list(table.columns)) for row in result.rows]
        rows = [{name: row.get(name) for name in table.columns} for row in full]
        return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()
    buffer = io.BytesIO()
    if ending == ".parquet":
        table.to_parquet(buffer, engine="pyarrow", index=False)
    else:
        table.to_csv(buffer, index=False, lineterminator="\n", encoding="utf-8")
    return buffer.getvalue()
