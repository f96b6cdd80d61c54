"""The report: nearest-rank latencies, the keys that scripts rely on, a text that people like to read."""

import json
from array import array
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintunsim.kernel.monitor import RingCounts
from wintunsim.report import EXIT_STUCK, Report, format_bytes, format_duration, ring_report

COUNTERS = [
    "out_octets",
    "out_unicast_octets",
    "out_unicast_packets",
    "out_errors",
    "out_discards",
    "in_octets",
    "in_unicast_octets",
    "in_unicast_packets",
    "in_errors",
    "in_discards",
]


def ring(packets=0, size_bytes=0, capacity=0x20000, peak=0, latencies=()):
    counts = RingCounts()
    counts.packets, counts.size_bytes = packets, size_bytes
    counts.capacity_bytes, counts.peak_content_bytes = capacity, peak
    counts.latencies_ns = array("q", latencies)
    return ring_report(counts)


def adapter(name="Wintun", send=None, receive=None, refused=None, aborts=(), **counters):
    values = dict.fromkeys(COUNTERS, 0) | counters
    rings = {"send": send or ring(capacity=0), "receive": receive or ring(capacity=0)}
    return {"name": name, **values, "refused": refused or {}, "aborts": list(aborts), "rings": rings}


def client(name="client.py", exit_code=0):
    return {"name": name, "process_id": 1004, "exit_code": exit_code}


def report(**changes):
    values = {
        "digest": "ab" * 32,
        "seed": 7,
        "driver": "0.8.1",
        "virtual_ns": 1_234_567_890,
        "clients": [client()],
        "adapters": [adapter()],
        "traffic": [],
    }
    return Report(**(values | changes))


# -- latency ------------------------------------------------------------------------------------------------------


def test_latencies_are_times_that_were_measured():
    assert ring(latencies=[5])["latency_ns"] == {"min": 5, "p50": 5, "p99": 5, "max": 5}
    assert ring(latencies=[9, 1])["latency_ns"] == {"min": 1, "p50": 1, "p99": 9, "max": 9}
    assert ring(latencies=range(1, 101))["latency_ns"] == {"min": 1, "p50": 50, "p99": 99, "max": 100}
    assert ring(latencies=range(1, 102))["latency_ns"] == {"min": 1, "p50": 51, "p99": 100, "max": 101}
    assert ring(latencies=[2**62, 0])["latency_ns"]["max"] == 2**62
    assert ring()["latency_ns"] is None


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300))
def test_percentiles_are_the_nearest_rank(latencies):
    found = ring(latencies=latencies)["latency_ns"]
    ordered = sorted(latencies)
    for name, percent in (("p50", 50), ("p99", 99)):
        value = found[name]
        at_most = sum(each <= value for each in ordered)
        below = sum(each < value for each in ordered)
        # The least measured time that so many per cent do not exceed.
        assert Fraction(at_most, len(ordered)) >= Fraction(percent, 100) > Fraction(below, len(ordered))
        assert value in latencies
    assert (found["min"], found["max"]) == (ordered[0], ordered[-1])
    assert all(type(value) is int for value in found.values())


# -- data ---------------------------------------------------------------------------------------------------------


def test_the_data_has_what_scripts_rely_on():
    data = report(adapters=[adapter(send=ring(3, 300, latencies=[1, 2, 3]))]).as_dict()
    assert {"digest", "seed", "driver", "virtual_ns", "client", "adapter", "rings"} <= set(data)
    assert (data["digest"], data["seed"], data["driver"], data["virtual_ns"]) == ("ab" * 32, 7, "0.8.1", 1_234_567_890)
    assert data["client"]["exit_code"] == 0
    assert set(COUNTERS) <= set(data["adapter"])
    assert "rings" not in data["adapter"]
    assert data["rings"]["send"] == {
        "packets": 3,
        "bytes": 300,
        "capacity_bytes": 0x20000,
        "peak_content_bytes": 0,
        "latency_ns": {"min": 1, "p50": 2, "p99": 3, "max": 3},
    }


def test_the_first_adapter_that_was_used_is_the_adapter():
    used = adapter("second", send=ring(1, 20), receive=ring())
    data = report(adapters=[adapter("first"), used, adapter("third", send=ring(9))]).as_dict()
    assert data["adapter"]["name"] == "second"
    assert data["rings"] == used["rings"]
    assert [each["name"] for each in data["adapters"]] == ["first", "second", "third"]
    assert report(adapters=[adapter("first"), adapter("second")]).as_dict()["adapter"]["name"] == "first"


def test_nothing_at_all_is_a_report_too():
    data = report(clients=[], adapters=[]).as_dict()
    assert (data["client"], data["adapter"], data["rings"]) == (None, None, None)
    assert report(clients=[], adapters=[]).exit_code == 0
    assert report(clients=[], adapters=[]).to_text().endswith("  digest   " + "ab" * 32 + "\n")


def test_json_holds_the_same_data():
    full = report(
        adapters=[adapter("Töne", send=ring(1, 20, latencies=[4]), refused={"NDIS_STATUS_PAUSED": 2})],
        stuck=["client/main waits"],
        traffic=[{"source": "ping", "description": "ping", "sent": 1, "answered": 0, "rtt_min_ns": None}],
        commands=[{"process": "client.py", "command": "netsh", "exit_code": 0}],
    )
    text = full.to_json()
    assert json.loads(text) == full.as_dict()
    assert text.endswith("}\n")
    assert "Töne" in text


@pytest.mark.parametrize(
    ("codes", "stuck", "expected"),
    [
        ([0], [], 0),
        ([5, 0], [], 5),
        ([None], [], 1),
        ([0], ["x"], EXIT_STUCK),
        ([0, 9], [], 0),
        ([0xC0000005], [], 0xC0000005),
    ],
)
def test_the_exit_code_is_the_first_clients_or_3(codes, stuck, expected):
    assert report(clients=[client(exit_code=code) for code in codes], stuck=stuck).exit_code == expected
    assert EXIT_STUCK == 3


# -- text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1 µs"),
        (8234, "8.234 µs"),
        (1_500_000, "1.5 ms"),
        (12_345_678, "12.35 ms"),
        (10**9, "1 s"),
        (3_600 * 10**9, "3600 s"),
    ],
)
def test_durations(time_ns, text):
    assert format_duration(time_ns) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1 KiB"),
        (0x20000, "128 KiB"),
        (0x4000000, "64 MiB"),
        (131076, "131,076 B"),
    ],
)
def test_bytes(count, text):
    assert format_bytes(count) == text


def test_the_text_of_a_full_report():
    text = report(
        adapters=[
            adapter(
                send=ring(12_345, 17_529_900, peak=98_256, latencies=[40, 8200, 9100, 1_500_000]),
                receive=ring(20, 1200, capacity=0x4000000, peak=64),
                refused={"NDIS_STATUS_BUFFER_OVERFLOW": 1234, "NDIS_STATUS_PAUSED": 1},
                in_discards=3,
                in_errors=1,
            ),
            adapter("idle"),
        ],
        clients=[client(), client("other 2", None)],
        traffic=[
            {"source": "udp", "description": "udp 100/s"},
            {
                "source": "ping",
                "description": "ping 10.6.7.8",
                "sent": 4,
                "answered": 3,
                "rtt_min_ns": 20_000,
                "rtt_avg_ns": 30_000,
                "rtt_max_ns": 40_000,
            },
            {"source": "ping", "description": "ping 10.6.7.9", "sent": 4, "answered": 0, "rtt_min_ns": None},
        ],
    ).to_text()
    assert text == (
        "wintunsim: Wintun 0.8.1, seed 7, 1.235 s of virtual time\n"
        "  client   client.py: exit code 0\n"
        "  client   other 2: did not end\n"
        "  adapter  Wintun                 packets        bytes          peak in ring   latency min      p50      p99"
        "      max\n"
        "           send (to the client)    12,345   17,529,900   98,256 B of 128 KiB         40 ns   8.2 µs   1.5 ms"
        "   1.5 ms\n"
        "           receive                     20        1,200        64 B of 64 MiB             -        -        -"
        "        -\n"
        "           not sent: 1,234 NDIS_STATUS_BUFFER_OVERFLOW, 1 NDIS_STATUS_PAUSED\n"
        "           not received: 3 discarded, 1 with errors\n"
        "  traffic  udp 100/s\n"
        "  traffic  ping 10.6.7.8\n"
        "           4 sent, 3 answered; round trip min / mean / max 20 µs / 30 µs / 40 µs\n"
        "  traffic  ping 10.6.7.9\n"
        "           4 sent, 0 answered\n"
        f"  digest   {'ab' * 32}\n"
    )


def test_exit_codes_that_are_statuses_are_told_in_hexadecimal():
    text = report(clients=[{"name": "client.py", "process_id": 1004, "exit_code": 0xC000013A}]).to_text()
    assert "client.py: exit code 0xC000013A" in text


def test_why_the_driver_stopped_reading_is_told():
    text = report(adapters=[adapter("Wintun", send=ring(0, 0), aborts=["the packet is bad"])]).to_text()
    assert "           the driver stopped reading: the packet is bad\n" in text
