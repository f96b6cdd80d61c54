"""What a second worker brings to a sweep: the same runs on one worker and on two, in turns.

python benchmarks/sweep_workers.py [RUNS]

Beside it stands what the computer itself gives: the same runs in two interpreters that know nothing of each other. Two
processors that share a core, or that others use too, do not do twice as much.
"""

import statistics
import subprocess
import sys
import time

from wintunsim.experiments import Client, Experiment

ROUNDS = 3
EXPERIMENT = Experiment(workload="poisson:rate=300000,size=1400", client=Client(echo=True), duration="30ms")
RUN_ALONE = (
    "import sys; from sweep_workers import EXPERIMENT; input(); EXPERIMENT.sweep(seeds=int(sys.argv[1])).run(workers=1)"
)


def seconds_with(workers: int, runs: int) -> float:
    """How long a sweep over so many seeds takes; processes are started and ended in it."""
    start = time.perf_counter()
    table = EXPERIMENT.sweep(seeds=runs).run(workers=workers).table
    assert len(table) == runs
    return time.perf_counter() - start


def seconds_apart(runs: int) -> float:
    """How long two interpreters, which have started already, take for half of the runs each."""
    command = [sys.executable, "-c", RUN_ALONE, str(runs // 2)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, cwd=sys.path[0]) for _ in range(2)]
    time.sleep(3)
    start = time.perf_counter()
    for process in both:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait() for process in both] == [0, 0]
    return time.perf_counter() - start


def main() -> None:
    """Print one line for each round, and the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    gains, ceilings = [], []
    for _ in range(ROUNDS):
        one, two, apart = seconds_with(1, runs), seconds_with(2, runs), seconds_apart(runs)
        gains.append(one / two)
        ceilings.append(one / apart)
        print(
            f"{runs} runs: {one:.1f} s on one worker, {two:.1f} s on two: {gains[-1]:.2f} times as fast; "
            f"in two interpreters {apart:.1f} s: {ceilings[-1]:.2f} times",
            flush=True,
        )
    print(f"median {statistics.median(gains):.2f}, of {statistics.median(ceilings):.2f} that the computer gives")


if __name__ == "__main__":
    main()
