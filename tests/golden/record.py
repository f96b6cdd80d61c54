"""Record the digests that the tests expect, and the output in the README: for when an outcome was changed on purpose.

python tests/golden/record.py
"""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

from wintunsim import Simulation

FOLDER = Path(__file__).parent
CLIENTS = FOLDER.parent / "acceptance" / "clients"
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


def client_runs():
    """The runs of `tests/acceptance/test_digests.py`, by name."""
    sys.path.insert(0, str(FOLDER.parent))
    from acceptance.test_digests import RUNS

    for name, (script, arguments, traffic, adapter) in RUNS.items():
        simulation = Simulation()
        if adapter:
            simulation.add_adapter(adapter)
        simulation.network(*traffic)
        simulation.spawn(CLIENTS / script, *arguments, stdout=io.StringIO())
        yield name, simulation.run("20s").digest


def show_in_readme():
    """Run the README's example and put what it prints below it."""
    readme = FOLDER.parent.parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    (arguments,) = re.findall(r"^\.venv/bin/wintunsim (.*)$", text, re.MULTILINE)
    command = [sys.executable, "-m", "wintunsim", *arguments.split()]
    process = subprocess.run(command, cwd=readme.parent, capture_output=True, text=True, check=True)
    shown = process.stdout + process.stderr
    text = re.sub(r"(?<=```text\n).*?(?=```)", lambda _: shown, text, count=1, flags=re.DOTALL)
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    digests = {run.__name__: run() for run in (ring_client_ping, pytun_echo_ping)}
    digests.update(client_runs())
    (FOLDER / "digests.json").write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
    show_in_readme()
