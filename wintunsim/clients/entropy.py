"""Randomness of a simulated process: all of it comes from one stream of the machine's seed (design §3)."""

from __future__ import annotations

import _random
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess


def make_random_module(client: ClientProcess) -> ModuleType:
    """``_random``: the host's generator, whose own seeding draws from the process's stream."""
    entropy = client.entropy

    class Random(_random.Random):
        def __new__(cls, *_arguments: Any, **_keywords: Any) -> Random:
            made: Random = _random.Random.__new__(cls, 0)  # type: ignore[call-arg]
            return made

        def __init__(self, seed: Any = None) -> None:
            self.seed(seed)

        def seed(self, value: Any = None, /) -> None:
            super().seed(entropy.bits(256) if value is None else value)

    Random.__module__ = "_random"
    Random.__qualname__ = "Random"
    module = ModuleType("_random")
    module.__dict__["Random"] = Random
    return module
