"""The host's files as a simulated process sees them: host paths, but no host clock, and a current directory of its
own.
"""

# A client's paths are strings, and os is what they are for.
# ruff: noqa: PTH100, PTH109, PTH116, PTH118, PTH208

from __future__ import annotations

import os
import stat as stat_bits
from collections.abc import Callable, Iterator
from typing import Any

from wintunsim.clients.clocks import EPOCH_NS

_TIMES = ("st_atime", "st_mtime", "st_ctime")


def without_clock(status: os.stat_result) -> os.stat_result:
    """The same status with all times at the start of the simulation."""
    seconds = EPOCH_NS // 1_000_000_000
    named: dict[str, Any] = {name: float(seconds) for name in _TIMES}
    named.update({name + "_ns": EPOCH_NS for name in _TIMES})
    for name in ("st_blksize", "st_blocks", "st_rdev", "st_flags", "st_birthtime"):
        if hasattr(status, name):
            named[name] = float(seconds) if name == "st_birthtime" else getattr(status, name)
    return os.stat_result((*tuple(status)[:7], seconds, seconds, seconds), named)


class DirectoryEntry:
    """An entry of `os.scandir`, without the host's clock."""

    def __init__(self, entry: os.DirEntry[Any]) -> None:
        self._entry = entry
        self.name = entry.name
        self.path = entry.path

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def inode(self) -> int:
        return self._entry.inode()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._entry.is_dir(follow_symlinks=follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self._entry.is_file(follow_symlinks=follow_symlinks)

    def is_symlink(self) -> bool:
        return self._entry.is_symlink()

    def is_junction(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return without_clock(self._entry.stat(follow_symlinks=follow_symlinks))


class _Scan:
    """What `os.scandir` answers: an iterator and context manager over entries, in the order of their names."""

    def __init__(self, path: Any) -> None:
        with os.scandir(path) as entries:
            self._entries: Iterator[DirectoryEntry] = iter(
                sorted((DirectoryEntry(entry) for entry in entries), key=lambda entry: os.fsencode(entry.name))
            )

    def __iter__(self) -> _Scan:
        return self

    def __next__(self) -> DirectoryEntry:
        return next(self._entries)

    def __enter__(self) -> _Scan:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


class Files:
    """Paths of one process. `directory` is its current directory when that is not the host's."""

    def __init__(self) -> None:
        self.directory: str | None = None

    def localize(self, path: Any) -> Any:
        """The host's path for a client's: backslashes of relative paths, and relative to the process's directory."""
        if isinstance(path, int):
            return path
        path = os.fspath(path)
        if isinstance(path, str) and "\\" in path and not path.startswith(("\\", "/")) and path[1:2] != ":":
            path = path.replace("\\", "/")
        if self.directory is not None:
            directory: Any = self.directory if isinstance(path, str) else os.fsencode(self.directory)
            path = os.path.join(directory, path)
        return path

    def getcwd(self) -> str:
        return self.directory or os.getcwd()

    def chdir(self, path: Any) -> None:
        target = os.path.abspath(os.fsdecode(self.localize(path)))
        if not stat_bits.S_ISDIR(os.stat(target).st_mode):
            raise NotADirectoryError(20, os.strerror(20), target)
        self.directory = target

    def stat(self, path: Any, **options: Any) -> os.stat_result:
        return without_clock(os.stat(self.localize(path), **options))

    def lstat(self, path: Any, **options: Any) -> os.stat_result:
        return without_clock(os.lstat(self.localize(path), **options))

    def fstat(self, handle: int) -> os.stat_result:
        return without_clock(os.fstat(handle))

    def scandir(self, path: Any = None) -> _Scan:
        return _Scan(self.localize("." if path is None else path))

    def listdir(self, path: Any = None) -> list[Any]:
        return sorted(os.listdir(self.localize("." if path is None else path)))

    def with_path(self, function: Callable[..., Any], count: int = 1) -> Callable[..., Any]:
        """`function` with its first `count` arguments localized."""

        def call(*arguments: Any, **options: Any) -> Any:
            paths = [self.localize(path) for path in arguments[:count]]
            return function(*paths, *arguments[count:], **options)

        call.__name__ = call.__qualname__ = function.__name__
        return call
