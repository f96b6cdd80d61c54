"""Tracebacks as a client sees them: without the frames of wintunsim and of the import system."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

from wintunsim.clients import sources


def is_hidden(filename: str) -> bool:
    """Whether frames of that file are not the client's."""
    return sources.is_ours(filename) or filename.startswith("<frozen importlib")


def _strip(exception: traceback.TracebackException, seen: set[int]) -> None:
    if id(exception) in seen:
        return
    seen.add(id(exception))
    stack: Any = exception.stack
    stack[:] = [frame for frame in stack if not is_hidden(frame.filename)]
    for other in (
        exception.__cause__,
        exception.__context__,
        *(exception.exceptions or () if _has_group(exception) else ()),
    ):
        if other is not None:
            _strip(other, seen)


def _has_group(exception: traceback.TracebackException) -> bool:
    return getattr(exception, "exceptions", None) is not None


def format_error(error: BaseException) -> str:
    """The traceback and message of an exception, as Python prints them."""
    formatted = traceback.TracebackException.from_exception(error)
    _strip(formatted, set())
    return "".join(formatted.format())


def hide_frames(module: Any) -> None:
    """Have a fresh ``traceback`` module leave out what is not the client's."""
    walk = module._walk_tb_with_full_positions

    def walk_visible(tb: TracebackType | None) -> Any:
        for frame, positions in walk(tb):
            if not is_hidden(frame.f_code.co_filename):
                yield frame, positions

    module._walk_tb_with_full_positions = walk_visible
    walk_plain = module.walk_tb

    def walk_tb(tb: TracebackType | None) -> Any:
        for frame, line in walk_plain(tb):
            if not is_hidden(frame.f_code.co_filename):
                yield frame, line

    module.walk_tb = walk_tb
