"""wintunsim: a deterministic simulator and reference model of the Wintun kernel driver.

`Simulation` is a computer with the driver on it; `Report` is what a run came to. Both are imported when they are first
asked for, so that ``import wintunsim`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wintunsim.errors import UsageError

if TYPE_CHECKING:
    from wintunsim.report import Report
    from wintunsim.simulation import Simulation, simulate

__all__ = ["Report", "Simulation", "UsageError", "simulate"]


def __getattr__(name: str) -> Any:
    if name in ("Simulation", "simulate"):
        from wintunsim import simulation

        return getattr(simulation, name)
    if name == "Report":
        from wintunsim.report import Report

        return Report
    raise AttributeError(f"module 'wintunsim' has no attribute {name!r}")
