"""Unchanged clients, run as their authors run them: through the command line or through `Simulation`."""

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from wintunsim import Simulation
from wintunsim.report import Report

CLIENTS = Path(__file__).parent / "clients"


@dataclass
class Outcome:
    """What a client in a `Simulation` came to."""

    simulation: Simulation
    report: Report
    output: str
    errors: str

    @property
    def lines(self):
        return self.output.splitlines()


class Runner:
    """Runs clients: a script of `clients/` by its name, or source text, which may import what is in that folder."""

    def __init__(self, directory, wintunsim):
        self.directory = directory
        self.wintunsim = wintunsim

    def script(self, client):
        if isinstance(client, Path) or "\n" not in client:
            return Path(CLIENTS / client)
        path = self.directory / "client.py"
        path.write_text(f"import sys\nsys.path.insert(0, {str(CLIENTS)!r})\n" + textwrap.dedent(client))
        return path

    def __call__(self, client, *arguments, traffic=(), until="60s", adapter="Wintun", answer=False, setup=None, **more):
        simulation = Simulation(seed=more.pop("seed", 0))
        if adapter:
            simulation.add_adapter(adapter)
        simulation.network(*([traffic] if isinstance(traffic, str) else traffic), answer=answer)
        output, errors = io.StringIO(), io.StringIO()
        simulation.spawn(self.script(client), *arguments, stdout=output, stderr=errors, **more)
        if setup:
            setup(simulation)
        report = simulation.run(until)
        return Outcome(simulation, report, output.getvalue(), errors.getvalue())

    def good(self, *arguments, **options):
        """Run a client that must end well."""
        outcome = self(*arguments, **options)
        assert outcome.report.exit_code == 0, (outcome.errors, outcome.output, outcome.report.stuck)
        return outcome

    def command(self, client, *arguments, options=(), stdin="", environment=None, cwd=None, timeout=100):
        """Run a client through the command line, in processes of their own."""
        return self.wintunsim(
            "run", *options, self.script(client), *arguments,
            stdin=stdin, environment=environment, cwd=cwd, timeout=timeout,
        )  # fmt: skip


@pytest.fixture
def client(tmp_path, wintunsim):
    return Runner(tmp_path, wintunsim)
