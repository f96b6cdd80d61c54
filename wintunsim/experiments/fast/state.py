"""Going back: the state of an object whose arrays are never changed in place."""

from __future__ import annotations

from typing import Any

State = dict[str, Any]


class Restorable:
    """An object that can be put back to where it was. What it holds in lists and dictionaries is copied, not deeper."""

    def state(self) -> State:
        """What it is now."""
        return {
            name: value.copy() if isinstance(value, list | dict | Copied) else value
            for name, value in vars(self).items()
        }

    def restore(self, state: State) -> None:
        """Be what it was."""
        vars(self).update(state)


class Copied:
    """Something that is copied with what holds it."""

    def copy(self) -> Any:
        """The same, to go back to."""
        raise NotImplementedError
