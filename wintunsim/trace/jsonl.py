"""The trace as JSON lines: one object a record, with names in place of numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike

from wintun_model.trace import FIELDS, RECORD_LENGTH, Kind, Trace
from wintunsim.trace.whole_file import WholeFile

_PLAIN = (Kind.NAME, Kind.PAYLOAD)
_KIND_NAMES = {int(kind): kind.name.lower() for kind in Kind}
_FIELD_NAMES = {int(kind): names for kind, names in FIELDS.items()}


class JsonLines:
    """Writes a trace's records as they come. `NAME` records are left out: every line has its names.

    The file grows as `NAME.part` and appears under its name when it is closed; `-` is standard output.
    """

    def __init__(self, path: str | PathLike[str], trace: Trace) -> None:
        self._trace = trace
        self._names = trace.names
        self._file = WholeFile(path, "the trace")
        trace.add_sink(self.write)

    def write(self, records: Sequence[int]) -> None:
        """Write a batch of whole records, flattened; nothing once the file is closed."""
        if not self._file.is_open:
            return
        names = self._names
        lines = []
        for start in range(0, len(records), RECORD_LENGTH):
            time_ns, thread, kind, *values = records[start : start + RECORD_LENGTH]
            if kind == Kind.NAME:
                continue
            line: dict[str, object] = {"t_ns": time_ns, "thread": names[thread], "kind": _KIND_NAMES[kind]}
            for place, (field, value) in enumerate(zip(_FIELD_NAMES[kind], values, strict=True)):
                if field:
                    line[field] = names[value] if place == 0 and kind not in _PLAIN else value
            lines.append(json.dumps(line, separators=(",", ":")))
        if lines:
            self._file.write("\n".join(lines) + "\n")

    def close(self) -> None:
        """Finish the file, with all that was recorded so far, and give it its name. Again: nothing."""
        if self._file.is_open:
            self._trace.flush()
            self._file.close()

    def discard(self) -> None:
        """Give the file up. No effect after `close`."""
        self._file.discard()
