"""Record the digests that the tests expect: run this when the simulation's outcome was changed on purpose.

python tests/golden/record.py
"""

import io
import json
from pathlib import Path

from wintunsim import Simulation

FOLDER = Path(__file__).parent
EXAMPLES = FOLDER.parent.parent / "examples"


def ring_client_ping():
    simulation = Simulation()
    simulation.add_adapter()
    simulation.network("ping:count=4")
    simulation.spawn(EXAMPLES / "ring_client.py", "4", stdout=io.StringIO())
    return simulation.run("10s").digest


def pytun_echo_ping():
    simulation = Simulation()
    simulation.network("ping:count=3,from=fd06:7::7,to=fd06:7::8")
    simulation.spawn(EXAMPLES / "pytun_echo.py", "3", stdout=io.StringIO())
    return simulation.run("60s").digest


if __name__ == "__main__":
    digests = {run.__name__: run() for run in (ring_client_ping, pytun_echo_ping)}
    (FOLDER / "digests.json").write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
