"""Ways to go through executions. Each is a function of a machine, a state, a budget, a seed and options of its own."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from wintunsim.errors import UsageError
from wintunsim.explore.search import Outcome
from wintunsim.explore.strategies.count import count
from wintunsim.explore.strategies.exhaustive import exhaustive
from wintunsim.explore.strategies.pct import pct
from wintunsim.explore.strategies.preemptions import preemptions
from wintunsim.explore.strategies.replay import replay
from wintunsim.explore.strategies.uniform import uniform

Strategy = Callable[..., Outcome]

STRATEGIES: dict[str, Strategy] = {
    "exhaustive": exhaustive,
    "preemptions": preemptions,
    "pct": pct,
    "random": uniform,
    "replay": replay,
    "count": count,
}
SAMPLING = ("pct", "random")
"""Those whose executions have numbers, and do not depend on each other."""
_GIVEN = {"machine", "start", "budget", "seed", "first", "ending", "watch"}


def strategy_of(name: str, options: dict[str, Any]) -> Strategy:
    """The strategy of a name. UsageError for one that is not known, and for options that it does not have."""
    found = STRATEGIES.get(name)
    if found is None:
        raise UsageError(f"there is no strategy {name!r}: choose among {', '.join(STRATEGIES)}")
    own = [option for option in signature(found).parameters if option not in _GIVEN]
    for option in options:
        if option not in own:
            raise UsageError(
                f"the strategy {name} has no option {option!r}: "
                + (f"it has {', '.join(own)}" if own else "it has no options")
            )
    return found
