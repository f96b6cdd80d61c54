"""The benchmark's table: rows, how they are shown, kept, and compared with those of the last time. Nothing is measured.

Only ratios are compared: packets a second over bare simpy timeouts a second in the same round, which differ little
between machines and hours; packets a second differ a lot.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FORM = 1
SLOWER_BELOW = 0.75
"""A row whose ratio is less than this part of the kept one is a regression; what is above is noise, or no matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement: what was run by what, and what came out."""

    workload: str
    client: str
    engine: str
    packets_per_s: float
    """Packets of both directions a second of real time."""
    ratio: float
    """The same over bare simpy timeouts a second."""
    virtual_over_real: float | None = None
    """Virtual time over real time; None where there is no virtual time."""
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from other rows."""
        return self.workload, self.client, self.engine


def regressions(rows: Sequence[Row], kept: Sequence[Row]) -> dict[tuple[str, str, str], float]:
    """Rows that have become slower, with their ratio over the kept one's. Rows that are new or gone are none."""
    before = {row.key: row.ratio for row in kept}
    changes = {row.key: row.ratio / before[row.key] for row in rows if before.get(row.key)}
    return {key: change for key, change in changes.items() if change < SLOWER_BELOW}


def table(rows: Sequence[Row], kept: Sequence[Row] = ()) -> str:
    """The rows as aligned text, with what has changed since the kept ones."""
    before = {row.key: row.ratio for row in kept}
    lines = [("workload", "client", "engine", "packets/s", "ratio", "virtual/real", "since kept", "")]
    for row in rows:
        pace = "" if row.virtual_over_real is None else f"{row.virtual_over_real:.3g}"
        since = f"{row.ratio / before[row.key] - 1:+.0%}" if before.get(row.key) else ""
        flag = "SLOWER" if before.get(row.key) and row.ratio / before[row.key] < SLOWER_BELOW else row.note
        lines.append(
            (row.workload, row.client, row.engine, f"{row.packets_per_s:,.0f}", f"{row.ratio:.3f}", pace, since, flag)
        )
    widths = [max(len(line[place]) for line in lines) for place in range(8)]
    right = (False, False, False, True, True, True, True, False)
    shown = (
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )
    return "\n".join(shown)


def to_json(rows: Sequence[Row]) -> str:
    """The rows to keep."""
    return json.dumps({"form": FORM, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"


def from_json(text: str) -> list[Row]:
    """Kept rows; none from what is broken or of another form."""
    try:
        data = json.loads(text)
        return [Row(**row) for row in data["rows"]] if data["form"] == FORM else []
    except (ValueError, KeyError, TypeError):
        return []


def read_kept(path: Path) -> list[Row]:
    """The rows that were kept there; none if there is no such file."""
    return from_json(path.read_text(encoding="utf-8")) if path.is_file() else []
