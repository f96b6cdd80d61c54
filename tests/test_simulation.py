"""`Simulation`, the same from Python: unchanged clients, real packets, one digest."""

import io
from pathlib import Path

import dpkt
import pytest

from wintunsim import Simulation, UsageError
from wintunsim.network.captures import read_capture
from wintunsim.network.traffic import CaptureTraffic

ROOT = Path(__file__).parent.parent
CAPTURE = ROOT / "tests" / "data" / "tunnel-mixed.pcapng"
RING_CLIENT = ROOT / "examples" / "ring_client.py"
PYTUN_ECHO = ROOT / "examples" / "pytun_echo.py"


def run_ring_client(*traffic, packets, seed=0, capacity=None, capture=None, until="60s"):
    simulation = Simulation(seed=seed)
    simulation.add_adapter()
    simulation.network(*traffic, answer=False)
    output = io.StringIO()
    arguments = [] if capacity is None else ["--capacity", capacity]
    simulation.spawn(RING_CLIENT, *arguments, packets, stdout=output)
    if capture is not None:
        simulation.write_capture(capture)
    return simulation.run(until), output.getvalue()


def test_pings_through_a_raw_ring_client_are_answered():
    report, output = run_ring_client("ping:count=4", packets=4)
    assert output == "read 4 packets, wrote 4\n"
    (ping,) = report.traffic
    assert (ping["sent"], ping["answered"], ping["damaged"]) == (4, 4, 0)


@pytest.mark.parametrize("capacity", [0x20000, 0x4000000])
def test_a_capture_crosses_both_rings_byte_for_byte(tmp_path, capacity):
    sent = [packet for _, packet in CaptureTraffic(CAPTURE)]
    path = tmp_path / "rings.pcapng"
    report, _ = run_ring_client(f"capture:{CAPTURE}", packets=len(sent), capacity=capacity, capture=path)
    assert report.exit_code == 0
    crossed = [packet.data for packet in read_capture(path)]
    came_back = [packet for packet in crossed if packet[12:16] == b"\x0a\x06\x07\x08" or packet[8:10] == b"\xfd\x06"]
    assert len(crossed) == 2 * len(sent)
    with path.open("rb") as file:
        assert sum(1 for _ in dpkt.pcapng.Reader(file)) == 2 * len(sent)
    assert came_back
    rings = report.adapters[0]["rings"]
    assert rings["send"]["packets"] == rings["receive"]["packets"] == len(sent)
    assert rings["send"]["bytes"] == rings["receive"]["bytes"] == sum(map(len, sent))
    outgoing = iter(crossed)
    assert all(packet in outgoing for packet in sent), "the send ring's packets, in order"


def test_pytun_answers_pings_over_ipv6(tmp_path):
    simulation = Simulation()
    simulation.network("ping:count=5,from=fd06:7::7,to=fd06:7::8")
    output = io.StringIO()
    simulation.spawn(PYTUN_ECHO, "5", stdout=output)
    report = simulation.run("60s")
    assert report.exit_code == 0, output.getvalue()
    assert output.getvalue().splitlines()[-1] == "answered 5"
    assert report.traffic[0]["answered"] == 5
    assert report.adapters[0]["name"] == "echo"


def test_twenty_runs_have_one_digest(recorded):
    digests = set()
    for _ in range(20):
        simulation = Simulation()
        simulation.add_adapter()
        simulation.network("ping:count=4")
        simulation.spawn(RING_CLIENT, "4", stdout=io.StringIO())
        digests.add(simulation.run("10s").digest)
    assert digests == {recorded("ring_client_ping")}


def test_pytun_has_its_recorded_digest(recorded):
    simulation = Simulation()
    simulation.network("ping:count=3,from=fd06:7::7,to=fd06:7::8")
    simulation.spawn(PYTUN_ECHO, "3", stdout=io.StringIO())
    assert simulation.run("60s").digest == recorded("pytun_echo_ping")


def test_what_is_random_comes_from_the_seed():
    def client():
        import random
        import time

        time.sleep(random.random())

    def digest(seed):
        simulation = Simulation(seed=seed)
        simulation.spawn(client)
        return simulation.run().digest

    assert digest(1) == digest(1) != digest(2)


@pytest.mark.parametrize("capacity", [0x20000, 0x100000])
def test_both_engines_have_the_same_trace(capacity):
    reports = []
    for engine in ("step", "direct"):
        simulation = Simulation(engine=engine)
        simulation.add_adapter()
        simulation.network("udp:rate=400000,size=1400,count=300", f"capture:{CAPTURE},speed=1000", "ping:count=3")
        simulation.spawn(RING_CLIENT, "--capacity", capacity, stdout=io.StringIO())
        reports.append(simulation.run("3s"))
    assert reports[0].digest == reports[1].digest
    assert reports[0].as_dict() == reports[1].as_dict()


def test_payloads_are_in_the_digest_when_asked_for():
    digests = set()
    for size in ("size=100", "size=100,from=10.6.7.9"):
        simulation = Simulation(digest_payload=True)
        simulation.add_adapter()
        simulation.network(f"ping:count=1,{size}", answer=False)
        simulation.spawn(RING_CLIENT, "1", stdout=io.StringIO())
        digests.add(simulation.run("10s").digest)
    assert len(digests) == 2


def test_a_function_is_a_client_too():
    seen = []

    def client(factor):
        import sys
        import time

        time.sleep(2)
        seen.append((sys.platform, time.monotonic() * factor))

    simulation = Simulation()
    simulation.spawn(client, 10)
    report = simulation.run()
    assert report.exit_code == 0
    ((platform, moment),) = seen
    assert platform == "win32"
    assert moment >= 20


def test_two_simulations_do_not_disturb_each_other():
    first, second = Simulation(seed=1), Simulation(seed=1)
    for simulation in (first, second):
        simulation.add_adapter()
        simulation.network("ping:count=2")
        simulation.spawn(RING_CLIENT, "2", stdout=io.StringIO())
    assert first.run("10s").digest == second.run("10s").digest


def test_two_clients_in_one_simulation():
    simulation = Simulation()
    simulation.add_adapter()
    simulation.network("ping:count=2")
    outputs = [io.StringIO(), io.StringIO()]
    clients = [simulation.spawn(RING_CLIENT, "2", stdout=output, stderr=output) for output in outputs]
    simulation.run("10s")
    assert sorted(client.exit_code for client in clients) == [0, 1]
    assert sum("[WinError 1247]" in output.getvalue() for output in outputs) == 1


def test_an_administrator_may_not_register_with_this_driver():
    simulation = Simulation()
    simulation.add_adapter()
    output = io.StringIO()
    client = simulation.spawn(RING_CLIENT, account="administrator", stderr=output)
    simulation.run("10s")
    assert client.exit_code == 1
    assert "[WinError 5] Access is denied" in output.getvalue()


def test_a_simulation_runs_once():
    simulation = Simulation()
    simulation.run()
    with pytest.raises(UsageError, match="runs once"):
        simulation.run()


@pytest.mark.parametrize(("options", "said"), [({"driver": "1.0"}, "1.0"), ({"driver": "0.15"}, "0.15")])
def test_unknown_revisions_are_refused(options, said):
    with pytest.raises(UsageError, match=said):
        Simulation(**options)


def test_an_unknown_account_is_refused():
    with pytest.raises(UsageError, match="root"):
        Simulation().spawn(RING_CLIENT, account="root")
