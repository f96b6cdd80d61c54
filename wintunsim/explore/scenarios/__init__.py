"""The litmus scenarios, by what they are about: one theme a module."""

from __future__ import annotations

from importlib import import_module

THEMES = (
    "sending", "returning", "inside", "careless", "wakeups", "sessions", "closing", "registering", "halting", "ending",
)  # fmt: skip
"""The modules with scenarios, in the order in which they are listed."""


def load() -> None:
    """Import all modules with scenarios; each registers its own."""
    for theme in THEMES:
        import_module(f"wintunsim.explore.scenarios.{theme}")
