"""What a search over executions comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter

from wintunsim.explore.violation import Violation


class Verdict(StrEnum):
    """What a search says."""

    SAFE = "safe"
    """Every execution was looked at, and no property is ever broken."""
    BROKEN = "broken"
    """An execution was found that breaks a property."""
    NOT_FOUND = "not found"
    """The budget was spent, or the strategy takes samples only: nothing was found, and nothing is proved."""


@dataclass(slots=True)
class Budget:
    """How much may be looked at: seconds of the host's time, executions; None for no bound."""

    seconds: float | None = None
    executions: int | None = None
    _began: float = field(default=0.0, repr=False)

    def begin(self) -> None:
        """The search begins now."""
        self._began = perf_counter()

    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return perf_counter() - self._began

    def is_spent(self, executions: int) -> bool:
        """Whether to stop."""
        if self.executions is not None and executions >= self.executions:
            return True
        return self.seconds is not None and self.elapsed_s() >= self.seconds


@dataclass(slots=True)
class Outcome:
    """What came of a search. `schedule` are the transitions of the execution that breaks a property."""

    verdict: Verdict
    executions: int = 0
    """Executions that came to an end, or to a state that another one had come to before."""
    states: int = 0
    """Distinct states at which executions part."""
    operations: int = 0
    """Steps that were taken, in all."""
    longest: int = 0
    """Steps of the longest execution."""
    seconds: float = 0.0
    violation: Violation | None = None
    schedule: list[int] = field(default_factory=list)
    endings: set[object] = field(default_factory=set)
    """Distinct results of executions, where they were asked for."""
