"""The fast engine: a run's threads are run ahead, many packets at once, with the results of the step engine."""

from wintunsim.experiments.fast.applies import why_not
from wintunsim.experiments.fast.engine import Ahead
from wintunsim.experiments.fast.taker import Unable

__all__ = ["Ahead", "Unable", "why_not"]
