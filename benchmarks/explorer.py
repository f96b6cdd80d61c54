"""How fast the explorer is: operations a second, against a bare simpy timeout loop in the same run.

    python benchmarks/explorer.py [EXECUTIONS]

Random samples and the exhaustive search on one core; then samples, and all scenarios, with one process and with two.
The ratios are what counts; machines differ. Rounds take turns; the medians are the result.
"""

import statistics
import sys
import time

import simpy

from wintun_model.revision import REVISIONS
from wintunsim.explore.explorer import explore, explore_all
from wintunsim.explore.scenario import MEMORIES, Setting, all_scenarios, find
from wintunsim.explore.search import Budget

ROUNDS = 5
TIMEOUTS = 200_000
SAFE = [("senders", "sc"), ("senders", "tso"), ("receive-wakeup-client-barrier", "tso")]
"""Scenarios in which the newest driver is safe: all samples are taken."""


def timeouts_per_second():
    """A bare simpy loop: one process, one timeout after the other."""

    def loop(environment):
        while True:
            yield environment.timeout(1)

    environment = simpy.Environment()
    environment.process(loop(environment))
    start = time.perf_counter()
    environment.run(TIMEOUTS)
    return TIMEOUTS / (time.perf_counter() - start)


def operations_per_second(name, memory, strategy, budget=None):
    """One exploration of the newest driver on one core."""
    setting = Setting(revision=REVISIONS["2026-02"], memory=memory)
    outcome = explore(find([name])[0], setting, budget, strategy=strategy).outcome
    return outcome.operations / outcome.seconds


def seconds_of(function):
    """How long something takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def everything(workers):
    """All scenarios, for all revisions and both memory models."""
    settings = [Setting(revision=revision, memory=memory) for revision in REVISIONS.values() for memory in MEMORIES]
    for _ in explore_all(all_scenarios().values(), settings, workers=workers):
        pass


def samples(workers, executions):
    """Many samples of one scenario that is safe."""
    setting = Setting(revision=REVISIONS["2026-02"], memory="tso")
    explore(find(["senders"])[0], setting, Budget(executions=executions), strategy="random", workers=workers)


def main():
    """Print one line for each measurement."""
    executions = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for strategy, budget in (("random", Budget(executions=3000)), ("exhaustive", None)):
        for name, memory in SAFE:
            ratios, rates = [], []
            for _ in range(ROUNDS):
                timeouts = timeouts_per_second()
                rates.append(operations_per_second(name, memory, strategy, budget))
                ratios.append(rates[-1] / timeouts)
            print(
                f"{strategy:10} {name:30} {memory:3} {statistics.median(rates):10,.0f} operations/s"
                f"   median ratio to simpy timeouts {statistics.median(ratios):.3f}"
            )
    for what, function in (("samples", lambda workers: samples(workers, executions)), ("all scenarios", everything)):
        one, two = (seconds_of(lambda workers=workers, function=function: function(workers)) for workers in (1, 2))
        print(f"{what:14} {one:6.1f} s with one process, {two:6.1f} s with two: {one / two:.2f} times as fast")


if __name__ == "__main__":
    main()
