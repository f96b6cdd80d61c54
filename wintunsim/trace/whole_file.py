"""A file that appears under its name only when it is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from wintunsim.errors import UsageError


class WholeFile:
    """Grows beside its name as `NAME.part` and gets its name when it is closed; `discard` gives it up instead.

    `what` says in error messages what the file is ("the trace"). What exists and is no regular file (a pipe, a device)
    is written directly, and so is `-`, standard output. UsageError when the file cannot be written: at once for an
    impossible path, later for a full disk.
    """

    def __init__(self, path: str | PathLike[str], what: str, *, binary: bool = False) -> None:
        self.path = str(path)
        self._what = what
        self._part: Path | None = None
        self._file: Any = None
        options: dict[str, Any] = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8"}
        try:
            if self.path == "-":
                # Not /dev/stdout: opening a file anew would cut off what it holds.
                self._file = os.fdopen(os.dup(1), **options)
                return
            self._target = target = Path(path).resolve()
            if target.is_dir():
                raise IsADirectoryError(0, "it is a directory")
            if target.exists() and not os.access(target, os.W_OK):
                raise PermissionError(0, "it is write-protected")
            if not target.exists() or target.is_file():
                self._part = target.with_name(target.name + ".part")
            self._file = (self._part or target).open(**options)
        except (OSError, ValueError, RuntimeError) as error:
            raise self._failure(error) from None

    @property
    def is_open(self) -> bool:
        """Whether it is neither closed nor given up."""
        return self._file is not None

    def write(self, data: Any) -> None:
        """Append text, or bytes to a binary file. ValueError when it is not open."""
        if self._file is None:
            raise ValueError(f"{self._what} is closed")
        try:
            self._file.write(data)
        except OSError as error:
            self.discard()
            raise self._failure(error) from None

    def close(self) -> None:
        """Finish the file and give it its name. Again: nothing."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
            if self._part is not None:
                self._part.replace(self._target)
        except OSError as error:
            self._remove_part()
            raise self._failure(error) from None

    def discard(self) -> None:
        """Give the file up: what stood under its name before stays as it was. No effect after `close`."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError):  # the bytes that cannot be written are not wanted
            file.close()
        self._remove_part()

    def _remove_part(self) -> None:
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def _failure(self, error: Exception) -> UsageError:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return UsageError(f"{self._what} {self.path!r} cannot be written ({reason}): choose another file")
