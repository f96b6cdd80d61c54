"""`wintunsim revisions`: how the revisions of the driver differ, as a table for a person, as JSON for a program."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from wintun_model.revision import DEFAULT_REVISION, REVISIONS, Revision

FORMAT = 1
"""Of the JSON answer; raised when a field changes its meaning or goes."""

NARROWEST, WIDEST = 60, 120
"""Columns of the table: no fewer and no more, whatever the terminal has."""

_HEADINGS = ("revision", "date", "what changed")
_GAP = "  "


def revisions(format_name: str) -> int:
    """Print the differences as "table" or "json"; answers the exit code."""
    if format_name == "json":
        print(json.dumps(report_fields(), indent=2))
    else:
        print(table(shutil.get_terminal_size().columns))
    return 0


def report_fields() -> dict[str, Any]:
    """The revisions as plain data, oldest first; a switch tells how a revision behaves, whatever those before it do."""
    return {
        "format": FORMAT,
        "default": DEFAULT_REVISION,
        "revisions": [
            {
                "name": revision.name,
                "date": revision.date,
                "driver_version": ".".join(map(str, revision.version)),
                "changes": list(revision.changes),
                "switches": revision.switches(),
            }
            for revision in REVISIONS.values()
        ],
    }


def table(columns: int) -> str:
    """The differences as a table that is at most `columns` wide, as far as the bounds allow."""
    labels = {name: f"{name} *" if name == DEFAULT_REVISION else name for name in REVISIONS}
    widths = (max(map(len, (_HEADINGS[0], *labels.values()))), max(len(each.date) for each in REVISIONS.values()))
    room = min(max(columns, NARROWEST), WIDEST) - sum(widths) - 2 * len(_GAP)
    lines = [_line(widths, *_HEADINGS), _line(widths, *("-" * width for width in (*widths, room)))]
    for revision in REVISIONS.values():
        first = (labels[revision.name], revision.date)
        for text in _wrapped(revision, room):
            lines.append(_line(widths, *first, text))
            first = ("", "")
    return "\n".join([*lines, "", "* the default of --driver"])


def _line(widths: tuple[int, int], name: str, date: str, text: str) -> str:
    return f"{name:<{widths[0]}}{_GAP}{date:<{widths[1]}}{_GAP}{text}".rstrip()


def _wrapped(revision: Revision, room: int) -> Iterator[str]:
    """The changes, a paragraph each; a line that goes on is set in."""
    for change in revision.changes:
        yield from textwrap.wrap(change, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
