"""``ctypes.WinError``: OSError with a `winerror`, of the class and with the text that it has on Windows."""

from __future__ import annotations

import errno
from functools import cache
from typing import Any

_ERRNO = {
    2: errno.ENOENT, 3: errno.ENOENT, 4: errno.EMFILE, 5: errno.EACCES, 6: errno.EBADF, 7: errno.ENOMEM,
    8: errno.ENOMEM, 9: errno.ENOMEM, 10: errno.E2BIG, 11: errno.ENOEXEC, 15: errno.ENOENT, 16: errno.EACCES,
    17: errno.EXDEV, 18: errno.ENOENT, 32: errno.EACCES, 33: errno.EACCES, 53: errno.ENOENT, 65: errno.EACCES,
    67: errno.ENOENT, 80: errno.EEXIST, 82: errno.EACCES, 83: errno.EACCES, 87: errno.EINVAL, 89: errno.EAGAIN,
    108: errno.EACCES, 109: errno.EPIPE, 112: errno.ENOSPC, 114: errno.EBADF, 128: errno.ECHILD, 129: errno.ECHILD,
    130: errno.EBADF, 131: errno.EINVAL, 132: errno.EACCES, 145: errno.ENOTEMPTY, 158: errno.EACCES,
    161: errno.ENOENT, 164: errno.EAGAIN, 167: errno.EACCES, 183: errno.EEXIST, 206: errno.ENOENT, 215: errno.EAGAIN,
    232: errno.EPIPE, 267: errno.ENOTDIR, 1816: errno.ENOMEM,
}  # fmt: skip
"""C's error for a Win32 error, as Windows' C library maps it; EINVAL for those that are not here."""


class _WindowsError:
    """What an OSError on Windows has beyond others. Mixed into the class that goes with the error."""

    winerror: int | None = None
    strerror: str | None
    filename: Any

    def __str__(self) -> str:
        text = f"[WinError {self.winerror}] {self.strerror}"
        return text if self.filename is None else f"{text}: {self.filename!r}"


@cache
def _class_for(base: Any) -> Any:
    return type(base.__name__, (_WindowsError, base), {"__module__": "builtins"})


def windows_error(code: int, text: str) -> OSError:
    """The OSError of a Win32 error."""
    number = _ERRNO.get(code, errno.EINVAL)
    kind: Any = type(OSError(number, text))
    error: Any = _class_for(kind)(number, text)
    error.winerror = code
    result: OSError = error
    return result
