"""Experiments: a client strategy, a workload, a driver and a computer; what came of it, as numbers."""

from wintunsim.experiments.client import Client
from wintunsim.experiments.experiment import Experiment
from wintunsim.experiments.result import Result
from wintunsim.experiments.sweep import Sweep
from wintunsim.experiments.sweep_result import FailedRun, SweepError, SweepResult

__all__ = ["Client", "Experiment", "FailedRun", "Result", "Sweep", "SweepError", "SweepResult"]
