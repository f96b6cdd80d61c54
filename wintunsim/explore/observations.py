"""What the system around the driver looks at: operations beyond the driver's vocabulary, for scenarios only."""

from __future__ import annotations

from wintun_model.operations import Operation, Pages


class AreLocked(Operation):
    """Whether pages are locked still: what the system looks at when a process is gone."""

    __slots__ = ("pages",)

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
