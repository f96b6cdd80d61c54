"""Plain data as JSON text: one text for one value, made for reading and for small differences."""

from __future__ import annotations

import json
from typing import Any

WIDEST = 120
"""Columns: what fits stands on one line."""


def json_text(value: Any) -> str:
    """The JSON text of plain data, ending with a line feed. Keys stay in their order."""
    return _laid_out(value, 0, 0) + "\n"


def _laid_out(value: Any, depth: int, used: int) -> str:
    """A value that begins after `used` columns of a line which is set in by `depth`."""
    text = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or (depth > 1 and depth + used + len(text) < WIDEST) or not value:
        return text
    inner, end = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, list):
        items = [_laid_out(item, depth + 1, 0) for item in value]
        if all(isinstance(item, int | str) for item in value):
            return "[" + inner + _filled(items, depth + 1) + end + "]"
        return "[" + inner + ("," + inner).join(items) + end + "]"
    items = []
    for key, item in value.items():
        name = json.dumps(key, ensure_ascii=False) + ": "
        items.append(name + _laid_out(item, depth + 1, len(name)))
    return "{" + inner + ("," + inner).join(items) + end + "}"


def _filled(items: list[str], depth: int) -> str:
    """Small items as a paragraph."""
    lines = [""]
    for number, item in enumerate(items, 1):
        word = item + ("," if number < len(items) else "")
        if lines[-1] and depth + len(lines[-1]) + 1 + len(word) > WIDEST:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
    return ("\n" + " " * depth).join(lines)
