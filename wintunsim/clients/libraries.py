"""What running clients need from the Windows face: DLLs as tables of C function pointers (spec win32 §1).

The Windows face implements these protocols; clients only use them, so that neither imports the other's classes.
"""

from __future__ import annotations

from typing import Protocol


class Export(Protocol):
    """A function of a DLL: its name and the address of its thunk, a C function of the host's calling convention."""

    @property
    def name(self) -> str:
        """The name under which the DLL exports it."""

    @property
    def address(self) -> int:
        """The thunk's address; it stays good as long as the process lives."""


class Library(Protocol):
    """A DLL that a process has loaded."""

    @property
    def name(self) -> str:
        """The canonical name, e.g. ``kernel32.dll``."""

    @property
    def handle(self) -> int:
        """The simulated HMODULE."""

    def resolve(self, name: str | int) -> Export | None:
        """The export of that name or ordinal; None when the DLL has none."""


class LibraryLoader(Protocol):
    """The DLL loader of one process."""

    def load(self, path: str) -> Library | None:
        """The DLL of that path or name; None when there is none."""

    def by_handle(self, handle: int) -> Library | None:
        """The loaded DLL with that simulated HMODULE; None when there is none."""

    def take_exception(self) -> BaseException | None:
        """The exception that the last thunk raised, once: ctypes swallows exceptions of C callbacks."""

    def describe_missing(self, library: str, function: str | None) -> str:
        """One sentence that names the DLL, or its function, that wintunsim lacks."""

    def format_message(self, code: int) -> str | None:
        """The text of a Win32 error, as FormatMessage has it; None when it has none."""
