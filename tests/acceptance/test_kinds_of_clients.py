"""Clients of many kinds, as people write them for Windows: none knows that it is simulated."""

import io

import pytest


def test_asyncio_with_threads(client):
    outcome = client.good("asyncio_client.py", 5, traffic="ping:count=5,interval=300ms")
    assert outcome.lines == ["read 5, wrote 5, ticks 11"]
    assert outcome.report.adapters[0]["in_unicast_packets"] == 5


def test_asyncio_runs_into_its_timeout(client):
    outcome = client("asyncio_client.py", 5, 0.05, traffic="ping:count=2")
    assert outcome.report.exit_code == 1
    assert "TimeoutError" in outcome.errors
    assert not outcome.report.stuck


def test_queues_futures_and_logging(client):
    outcome = client.good("executor_client.py", 20, traffic="ping:count=20,interval=1ms,size=100")
    assert outcome.lines == ["MainThread INFO wrote 2560 bytes, order [0, 1, 2, 3, 4, 5]"]
    assert outcome.report.adapters[0]["rings"]["receive"]["packets"] == 20


def test_threads_and_waits_in_the_style_of_c(client):
    outcome = client.good("thread_client.py", 10, traffic="ping:count=10,interval=20ms")
    assert outcome.lines == ["received 10 sent True"]


@pytest.mark.parametrize("kind", ["numpy", "empty_numpy", "bytearray", "mmap", "ctypes", "structure", "heap", "malloc"])
def test_rings_in_memory_of_any_kind(client, kind):
    outcome = client.good("memory_client.py", kind, 200, traffic="udp:rate=20000,size=1400,count=200")
    assert outcome.lines == [f"{kind} 200"]
    rings = outcome.report.adapters[0]["rings"]
    assert rings["send"]["bytes"] == rings["receive"]["bytes"] == 200 * 1400


def test_two_processes_and_named_events(client):
    output = io.StringIO()
    outcome = client(
        "named_events.py", "tunnel", traffic="ping:count=10",
        setup=lambda simulation: simulation.spawn(client.script("named_events.py"), "control", stdout=output),
    )  # fmt: skip
    assert [process["exit_code"] for process in outcome.report.clients] == [0, 0], outcome.errors
    assert outcome.lines == ["tunnel read 3"]
    assert output.getvalue().splitlines() == ["exists True", "limited 0 5", "second 1247", "took over"]


def test_wintun_dll_by_ctypes(client):
    outcome = client.good("wintun_client.py", 4, adapter=None, traffic="ping:count=4,interval=50ms")
    assert [line for line in outcome.lines if not line.startswith(("info", "warning", "error"))] == [
        "driver 0.8, interface type 53",
        "capacity 1000: 87",
        "second session: 1247",
        "too large: 111",
        "empty: 259",
        "after: 1168",
        "received 4 of 336 bytes",
    ]
    assert all(line.endswith("True") for line in outcome.lines if line.startswith(("info", "warning", "error")))
    adapter = outcome.report.adapters[0]
    assert adapter["name"] == "Demo"
    assert adapter["in_unicast_packets"] == 4
