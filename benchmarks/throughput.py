"""How fast the simulator is: packets a second of real time, against a bare simpy timeout loop in the same run.

    python benchmarks/throughput.py [PACKETS]

The system offers more than the driver can take and the client writes back what it reads, so both rings are full and
nobody waits. The ratio is what counts; machines differ. Rounds of both take turns; the median ratio is the result.
"""

import io
import statistics
import sys
import time
from pathlib import Path

import simpy

from wintunsim import Simulation

CLIENT = Path(__file__).parent / "clients" / "saturated_client.py"
PACKET_BYTES = 1400
RATE_PPS = 2_000_000
ROUNDS = 5
TIMEOUTS = 200_000


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


def packets_per_second(count: int) -> tuple[float, str]:
    """The saturated raw-ring client, packets of both directions counted, digest on: (packets/s, what was counted)."""
    simulation = Simulation()
    simulation.add_adapter()
    simulation.network(f"udp:rate={RATE_PPS},size={PACKET_BYTES}", answer=False)
    simulation.spawn(CLIENT, count, stdout=io.StringIO())
    start = time.perf_counter()
    report = simulation.run()
    seconds = time.perf_counter() - start
    assert report.exit_code == 0, report.to_text()
    rings = report.adapters[0]["rings"]
    sent, received = rings["send"]["packets"], rings["receive"]["packets"]
    return (sent + received) / seconds, f"{sent:,} sent + {received:,} received in {report.virtual_ns / 1e6:.1f} ms"


def main() -> None:
    """Print one line for each round, and the medians."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    packets_per_second(1000)
    ratios = []
    for _ in range(ROUNDS):
        timeouts = timeouts_per_second()
        packets, counted = packets_per_second(count)
        ratios.append(packets / timeouts)
        print(
            f"{packets:10,.0f} packets/s {timeouts:12,.0f} simpy timeouts/s   ratio {ratios[-1]:.4f}"
            f"   ({counted} of virtual time)"
        )
    print(f"median ratio {statistics.median(ratios):.4f}")


if __name__ == "__main__":
    main()
