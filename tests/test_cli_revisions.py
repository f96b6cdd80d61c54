"""`wintunsim revisions`, and the revisions as `--driver` takes them."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wintun_model.revision import REVISIONS
from wintunsim.cli import main
from wintunsim.cli_revisions import table
from wintunsim.kernel.system import SIMULATED
from wintunsim.simulation import Simulation

ROOT = Path(__file__).resolve().parents[1]
RING_CLIENT = ROOT / "examples" / "ring_client.py"


@pytest.fixture
def ask(capsys, monkeypatch):
    """Run the command in a terminal of so many columns: standard output."""

    def run(*words, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main(["revisions", *words]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out

    return run


# -- the table --------------------------------------------------------------------------------------------------------


def cells(text):
    """What the table tells: name, date and changes of each revision."""
    body = text.split("\n\n")[0].splitlines()[2:]
    found = []
    for line in body:
        # The columns are two blanks apart; a line that goes on is set in by two.
        match = re.fullmatch(r"(\S+(?: \*)?) +(\d{4}-\d\d-\d\d)  (.*)", line)
        if match:
            found.append([*match.groups()])
        else:
            found[-1][2] += " " + line.strip()
    return found


@pytest.mark.parametrize("columns", [20, 60, 80, 100, 120, 200])
def test_the_table_tells_every_change_and_keeps_to_its_width(ask, columns):
    text = ask(columns=columns)
    assert max(map(len, text.splitlines())) <= min(max(columns, 60), 120)
    assert cells(text) == [
        [f"{name} *" if name == "0.8.1" else name, revision.date, " ".join(revision.changes)]
        for name, revision in REVISIONS.items()
    ]
    assert text.endswith("\n* the default of --driver\n")


def test_a_wide_table_takes_a_line_for_each_change():
    lines = table(120).split("\n\n")[0].splitlines()[2:]
    assert len(lines) == sum(len(revision.changes) for revision in REVISIONS.values())


def test_lines_have_no_trailing_blanks(ask):
    assert all(line == line.rstrip() for line in ask().splitlines())


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_json_tells_the_switches_too(ask):
    answer = json.loads(ask("--format", "json"))
    assert (answer["format"], answer["default"]) == (1, "0.8.1")
    assert [item["name"] for item in answer["revisions"]] == list(REVISIONS)
    for item in answer["revisions"]:
        revision = REVISIONS[item["name"]]
        assert item["date"] == revision.date
        assert item["changes"] == list(revision.changes)
        assert item["switches"] == revision.switches()
    latest = answer["revisions"][-1]
    assert latest["driver_version"] == "0.14"
    assert latest["switches"]["has_full_barrier"] is True


def test_mistakes(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["revisions", "--format", "yaml"])
    assert caught.value.code == 2
    assert "yaml" in capsys.readouterr().err
    assert main(["revisions", "--nonsense"]) == 2
    assert "there is no option --nonsense" in capsys.readouterr().err


def test_it_needs_no_engine():
    code = (
        "import sys\nfrom wintunsim.cli import main\nassert main(['revisions']) == 0\n"
        "heavy = {'numpy', 'simpy', 'greenlet', 'dpkt'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


# -- the simulator runs each ------------------------------------------------------------------------------------------


def run_client(name, account="system", engine="direct", seed=0):
    """Three pings through the example client: (its report, exit code, what it said)."""
    output = io.StringIO()
    simulation = Simulation(driver=name, seed=seed, engine=engine)
    simulation.add_adapter()
    simulation.network("ping:count=3")
    client = simulation.spawn(RING_CLIENT, "3", account=account, stdout=output, stderr=output)
    report = simulation.run("10s")
    return report, client.exit_code, output.getvalue()


@pytest.mark.parametrize("name", SIMULATED)
def test_the_example_client_runs_with_each(name):
    report, exit_code, said = run_client(name)
    assert (exit_code, said) == (0, "read 3 packets, wrote 3\n")
    assert report.driver == name
    adapter = report.adapters[0]
    assert (adapter["out_unicast_packets"], adapter["in_unicast_packets"], adapter["in_discards"]) == (3, 3, 0)


@pytest.mark.parametrize("name", SIMULATED)
def test_both_engines_agree_on_each(name):
    direct, stepped = (run_client(name, engine=engine)[0].digest for engine in ("direct", "step"))
    assert direct == stepped


@pytest.mark.parametrize("name", SIMULATED)
@pytest.mark.parametrize("account", ["administrator", "user"])
def test_who_may_use_each(name, account):
    _, exit_code, said = run_client(name, account)
    admits = list(REVISIONS).index(name) >= list(REVISIONS).index("0.12") and account == "administrator"
    if admits:
        assert (exit_code, said) == (0, "read 3 packets, wrote 3\n")
    else:
        assert exit_code == 1
        assert "Access is denied" in said


@pytest.mark.parametrize("name", SIMULATED)
def test_a_removal_while_a_client_runs(name):
    """The client learns that its registration ended; from 0.14 on its handle is gone too."""
    simulation = Simulation(driver=name)
    device = simulation.add_adapter()
    output, left = io.StringIO(), []
    client = simulation.spawn(RING_CLIENT, stdout=output, stderr=output)

    def remove():
        simulation.system.remove_adapter(device)
        left.append(len(simulation.system.list_handles(device.adapter)))

    simulation.machine.call_at(1_000_000_000, lambda: simulation.machine.start_thread("removal", remove))
    report = simulation.run("10s")
    assert left == [0 if REVISIONS[name].closes_handles_on_removal else 1]
    assert client.exit_code is not None
    assert report.virtual_ns < 9_000_000_000, output.getvalue()
    assert not device.adapter.is_attached.value
    assert device.adapter.owner.value is None
    assert device.adapter.transition_lock.is_free()
    assert not device.adapter.registration_lock.is_ready


def test_0_8_and_0_8_1_have_the_same_driver():
    assert run_client("0.8")[0].digest == run_client("0.8.1")[0].digest
