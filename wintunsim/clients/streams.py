"""Standard streams of a simulated process: what passes through to the host's, which it can neither close nor
reconfigure.
"""

from __future__ import annotations

from typing import Any


class PassThrough:
    """A text stream of the host, lent to a client."""

    def __init__(self, target: Any, name: str) -> None:
        self._target = target
        self.name = name
        self.encoding = "utf-8"
        self.errors = getattr(target, "errors", "strict")
        self.write = target.write if target is not None else _discard
        self.flush = target.flush if target is not None else _nothing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def __iter__(self) -> Any:
        return iter(self._target)

    def __enter__(self) -> PassThrough:
        return self

    def __exit__(self, *_exception: object) -> None:
        pass

    def close(self) -> None:
        """The surrounding Python goes on using the stream."""

    def reconfigure(self, **_options: object) -> None:
        """The surrounding Python's choice stands."""

    def detach(self) -> Any:
        raise ValueError("wintunsim does not let a client detach its standard streams")


def _discard(text: str) -> int:
    return len(text)


def _nothing() -> None:
    pass
