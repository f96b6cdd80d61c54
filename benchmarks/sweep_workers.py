"""What a second worker brings to a sweep: the same runs on one worker and on two, in turns.

python benchmarks/sweep_workers.py [RUNS]
"""

import statistics
import sys
import time

from wintunsim.experiments import Client, Experiment

ROUNDS = 3


def seconds_with(workers: int, runs: int) -> float:
    """How long a sweep over so many seeds takes; processes are started and ended in it."""
    experiment = Experiment(workload="poisson:rate=300000,size=1400", client=Client(echo=True), duration="30ms")
    start = time.perf_counter()
    table = experiment.sweep(seeds=runs).run(workers=workers).table
    assert len(table) == runs
    return time.perf_counter() - start


def main() -> None:
    """Print one line for each round, and the median."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    gains = []
    for _ in range(ROUNDS):
        one, two = seconds_with(1, runs), seconds_with(2, runs)
        gains.append(one / two)
        print(f"{runs} runs: {one:.1f} s on one worker, {two:.1f} s on two: {gains[-1]:.2f} times as fast")
    print(f"median {statistics.median(gains):.2f}")


if __name__ == "__main__":
    main()
