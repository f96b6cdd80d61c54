"""How fast the simulator is, as one table: engines, workloads and clients against simpy and against C.

    python benchmarks/bench.py [--quick] [--keep] [--kept FILE]

Each row is measured in rounds that take turns with a bare simpy timeout loop; the median ratio is the result. Packets
are 1400 bytes and go both ways, and those of both directions count. `--keep` keeps the rows for the next time to be
compared with; without it they are compared only. The exit code is 1 when a row has become slower.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import simpy

sys.path.insert(0, str(Path(__file__).parent))
import simpy_ring
from table import Row, read_kept, regressions, table, to_json

from wintunsim import Simulation
from wintunsim.experiments import Client, Experiment

HERE = Path(__file__).parent
KEPT = HERE.parent / "build" / "bench" / "kept.json"
PYTHON_CLIENT = HERE / "clients" / "saturated_client.py"
PACKET_BYTES = 1400
TIMEOUTS = 200_000
OPEN = "constant, 600k packets/s each way"
SATURATED = "constant, 2M packets/s offered"
CLOSED = "TCP, window 64 packets"
WORKLOADS = {
    OPEN: f"udp:rate=600000,size={PACKET_BYTES}",
    SATURATED: f"udp:rate=2000000,size={PACKET_BYTES}",
    CLOSED: f"tcp:window=64,size={PACKET_BYTES}",
}
CLIENT = Client(echo=True, spin_us=12.5, handle_ns=300)
ENGINES = {
    "interpreted": ("interpreted", True, 20),
    "interpreted, no digest": ("interpreted", False, 20),
    "step": ("step", True, 1000),
    "step, no digest": ("step", False, 1000),
    "direct": ("direct", True, 20),
    "direct, no digest": ("direct", False, 20),
    "fast": ("fast", True, 1000),
    "fast, no digest": ("fast", False, 1000),
}
"""By their name in the table: the engine, whether there is a digest, and how many ms of virtual time to run."""

PYTHON_ENGINES = (("step", True, 6000), ("step", False, 6000), ("direct", True, 12_000), ("direct", False, 12_000))
"""The same for the unchanged client, with how many packets it reads. Machine code knows routines only: `step` here is
what experiments call interpreted."""

Measured = tuple[float, float | None, str]
"""Packets a second, virtual over real time, a note."""


def timeouts_per_second() -> float:
    """A bare simpy loop: one process, one timeout after the other."""

    def loop(environment):
        while True:
            yield environment.timeout(1)

    environment = simpy.Environment()
    environment.process(loop(environment))
    start = time.perf_counter()
    environment.run(TIMEOUTS)
    return TIMEOUTS / (time.perf_counter() - start)


def routine_client(workload: str, engine: str, has_digest: bool, duration_ms: int) -> Measured:
    """An experiment on the ideal host, whose client is a routine."""
    experiment = Experiment(
        workload=workload, client=CLIENT, host="ideal", capacity=0x400000, duration=f"{duration_ms}ms", engine=engine,
        digest=has_digest,
    )  # fmt: skip
    start = time.perf_counter()
    result = experiment.run()
    seconds = time.perf_counter() - start
    note = "" if result.engine_used == engine else f"by {result.engine_used}: {result.engine_reason}"
    return (result.delivered + result.echo_received) / seconds, result.virtual_ns / 1e9 / seconds, note


def python_client(workload: str, engine: str, has_digest: bool, count: int) -> Measured:
    """The unchanged client that runs on Windows too, until it has read so many packets."""
    simulation = Simulation(engine=engine, digest=has_digest)
    simulation.add_adapter()
    simulation.network(workload, answer=False)
    simulation.spawn(PYTHON_CLIENT, count, stdout=io.StringIO())
    start = time.perf_counter()
    report = simulation.run()
    seconds = time.perf_counter() - start
    assert report.exit_code == 0, report.to_text()
    rings = report.adapters[0]["rings"]
    packets = rings["send"]["packets"] + rings["receive"]["packets"]
    return packets / seconds, report.virtual_ns / 1e9 / seconds, ""


def simpy_model(duration_ms: int) -> Measured:
    """The same rate in the yardstick."""
    start = time.perf_counter()
    packets = sum(simpy_ring.run(600_000, PACKET_BYTES, duration_ms * 10**6))
    seconds = time.perf_counter() - start
    return packets / seconds, duration_ms / 1e3 / seconds, ""


def compiled_loop(folder: Path) -> Callable[[], Measured] | None:
    """The C loop, compiled; None, and a sentence on standard error, when there is no compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        print("There is no C compiler (cc): the row of the C loop is left out.", file=sys.stderr)
        return None
    program = folder / "ring_loop"
    built = subprocess.run(
        [*compiler.split(), "-O2", "-o", program, HERE / "ring_loop.c"], check=False, capture_output=True, text=True
    )
    if built.returncode:
        print(f"The C compiler {compiler!r} failed: the row of the C loop is left out.", file=sys.stderr)
        return None

    def loop() -> Measured:
        done = subprocess.run([program, "3000000", str(PACKET_BYTES)], capture_output=True, text=True, check=True)
        # A packet that is pushed and popped counts once here, as it does in each direction of the others.
        return float(done.stdout), None, ""

    return loop


def measure(workload: str, client: str, engine: str, rounds: int, run: Callable[[], Measured]) -> Row:
    """A row: the round with the median ratio."""
    found = []
    for _ in range(rounds):
        timeouts = timeouts_per_second()
        packets_per_s, pace, note = run()
        found.append((packets_per_s / timeouts, packets_per_s, pace, note))
    ratio = statistics.median_low([item[0] for item in found])
    _, packets_per_s, pace, note = next(item for item in found if item[0] == ratio)
    return Row(
        workload=workload, client=client, engine=engine, packets_per_s=packets_per_s, ratio=ratio,
        virtual_over_real=pace, note=note,
    )  # fmt: skip


def rows(rounds: int, share: float) -> list[Row]:
    """All rows, in the order of the table; `share` of the usual work in each."""
    found = []
    for engine, _, _ in PYTHON_ENGINES:
        python_client(WORKLOADS[OPEN], engine, True, 500)
    for title, workload in WORKLOADS.items():
        for name, (engine, has_digest, duration_ms) in ENGINES.items():
            milliseconds = max(2, round(duration_ms * share))
            routine_client(workload, engine, has_digest, 2)
            found.append(
                measure(
                    title, "routine", name, rounds,
                    lambda w=workload, e=engine, d=has_digest, m=milliseconds: routine_client(w, e, d, m),
                )
            )  # fmt: skip
        if title == CLOSED:
            continue
        for engine, has_digest, count in PYTHON_ENGINES:
            name = engine if has_digest else f"{engine}, no digest"
            packets = max(500, round(count * share))
            found.append(
                measure(
                    title, "unchanged Python", name, rounds,
                    lambda w=workload, e=engine, d=has_digest, p=packets: python_client(w, e, d, p),
                )
            )  # fmt: skip
    found.append(measure(OPEN, "simpy model", "", rounds, lambda: simpy_model(max(5, round(60 * share)))))
    with tempfile.TemporaryDirectory() as folder:
        loop = compiled_loop(Path(folder))
        if loop is not None:
            found.append(measure("push and pop", "C loop", "", rounds, loop))
    return found


def main() -> int:
    """Measure, show, compare, keep."""
    parser = argparse.ArgumentParser(description="How fast the simulator is, against simpy and against C.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one round: for a look, not a figure")
    parser.add_argument("--keep", action="store_true", help="keep the rows, for the next time to be compared with")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where they are kept (default: build/bench/kept.json)")
    options = parser.parse_args()
    kept = read_kept(options.kept)
    found = rows(1, 0.1) if options.quick else rows(3, 1)
    print(table(found, kept))
    print("ratio: packets/s over bare simpy timeouts/s of the same round")
    slower = regressions(found, kept)
    for key, change in slower.items():
        print(f"slower: {', '.join(part for part in key if part)}: {change:.2f} times the ratio that was kept")
    if options.keep:
        options.kept.parent.mkdir(parents=True, exist_ok=True)
        options.kept.write_text(to_json([replace(row, note="") for row in found]), encoding="utf-8")
        print(f"kept in {options.kept}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
