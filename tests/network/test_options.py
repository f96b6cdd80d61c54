"""Traffic options and durations: exact values, or one sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.network.options import parse_duration, parse_traffic
from wintunsim.network.traffic import CaptureTraffic, PingTraffic, UdpTraffic

MIXED = Path(__file__).parents[1] / "data" / "tunnel-mixed.pcapng"


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0s", 0),
        ("1ns", 1),
        ("250us", 250_000),
        ("2.5\N{MICRO SIGN}s", 2500),
        ("2.5\N{GREEK SMALL LETTER MU}s", 2500),
        ("0.000001ms", 1),
        ("1.5s", 1_500_000_000),
        ("10 s", 10**10),
        ("1.5m", 90 * 10**9),
        ("2h", 7200 * 10**9),
        ("1.000000001s", 1_000_000_001),
        ("0.1000000000000000000s", 10**8),
        ("9223372036.854775807s", 2**63 - 1),
    ],
)
def test_durations(text, ns):
    assert parse_duration(text) == ns


@given(st.integers(0, 2**63 - 1))
def test_any_number_of_nanoseconds_can_be_written_in_seconds(ns):
    assert parse_duration(f"{ns // 10**9}.{ns % 10**9:09}s") == ns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a duration: write a number and a unit"),
        ("soon", "is not a duration"),
        ("-1s", "is not a duration"),
        ("1e3s", "is not a duration"),
        (".5s", "is not a duration"),
        ("1s500ms", "is not a duration"),
        ("\N{ARABIC-INDIC DIGIT ONE}s", "is not a duration"),
        ("5", "has no unit: use one of ns, us, ms, s, m, h"),
        ("5 days", "unknown unit 'days'"),
        ("0.5ns", "not a whole number of nanoseconds"),
        ("9223372036854775808ns", "too long"),
    ],
)
def test_impossible_durations(text, message):
    with pytest.raises(UsageError) as caught:
        parse_duration(text)
    assert message in str(caught.value)


def test_none_is_no_traffic():
    assert parse_traffic("none") is None


def test_capture():
    source = parse_traffic(f"capture:{MIXED},local=10.6.7.8,loop=2,speed=0.1,local=fd06:7::8")
    assert isinstance(source, CaptureTraffic)
    assert [str(address) for address in source.local] == ["10.6.7.8", "fd06:7::8"]
    assert (source.loop, source.speed) == (2, Fraction(1, 10))
    plain = parse_traffic(f"capture:{MIXED}")
    assert list(plain) == list(CaptureTraffic(MIXED))


def test_file_names_with_commas_and_equals_signs(tmp_path):
    names = ["a,b.pcapng", "c=d.pcapng", "x.pcapng,loop=2"]
    for name in names:
        shutil.copy(MIXED, tmp_path / name)
        source = parse_traffic(f"capture:{tmp_path / name},local=10.6.7.8")
        assert isinstance(source, CaptureTraffic)
        assert source.loop == 1
        assert [str(address) for address in source.local] == ["10.6.7.8"]
    shutil.copy(MIXED, tmp_path / "y.pcapng")
    assert parse_traffic(f"capture:{tmp_path / 'y.pcapng'},loop=2").loop == 2


def test_udp():
    source = parse_traffic("udp:rate=10,size=100,count=3", 2)
    assert isinstance(source, UdpTraffic)
    assert (source.rate_pps, source.size_bytes, source.count, source.source_port) == (10, 100, 3, 40002)
    assert (str(source.source), str(source.destination)) == ("10.6.7.7", "10.6.7.8")
    assert parse_traffic("udp:rate=10,size=100").count is None
    source = parse_traffic("udp:rate=10,size=100,to=2001:db8::1")
    assert (str(source.source), str(source.destination)) == ("fd06:7::7", "2001:db8::1")


def test_ping():
    source = parse_traffic("ping:count=3")
    assert isinstance(source, PingTraffic)
    assert (source.count, source.interval_ns, source.size_bytes, source.identifier) == (3, 10**9, 56, 1)
    source = parse_traffic("ping:count=3,interval=2.5ms,size=0,from=fd06:7::9,to=fd06:7::a", 1)
    assert (source.interval_ns, source.size_bytes, source.identifier) == (2_500_000, 0, 2)
    assert (str(source.source), str(source.destination)) == ("fd06:7::9", "fd06:7::a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the traffic '' is of an unknown kind: write one of capture:FILE"),
        ("flood:rate=1", "unknown kind"),
        ("none:", "unknown kind"),
        ("capture", "names no file"),
        ("capture:", "names no file"),
        ("capture:no-such.pcap", "no-such.pcap cannot be read: No such file"),
        ("capture:no-such.pcap\0", "cannot be read"),
        (f"capture:{MIXED},lop=2", "there is no option 'lop' of capture traffic: it is one of local, loop, speed"),
        (f"capture:{MIXED},loop=0", "loop of capture traffic is 0: give a number from 1"),
        (f"capture:{MIXED},loop", "'loop' of capture traffic has no value: write loop=VALUE"),
        (f"capture:{MIXED},loop=2,loop=3", "'loop' of capture traffic is given twice"),
        (f"capture:{MIXED},speed=fast", "speed of capture traffic is 'fast': give a decimal number"),
        (f"capture:{MIXED},speed=0", "speed of capture traffic is 0: give a number from 0.000001 to 1000000"),
        (f"capture:{MIXED},local=me", "'me' is not an IP address"),
        (f"capture:{MIXED},", "no option ''"),
        ("udp", "udp traffic needs the option 'rate': write rate=NUMBER"),
        ("udp:rate=10", "udp traffic needs the option 'size'"),
        ("udp:rate=1.5,size=100", "rate of udp traffic is '1.5': give a whole number"),
        ("udp:rate=-1,size=100", "rate of udp traffic is -1: give a number from 1 to 1000000000"),
        ("udp:rate=10,size=5", "the udp size is 5: give a number from 28 to 65535"),
        ("udp:rate=10,size=40,from=::1", "the udp size is 40: give a number from 48 to 65535"),
        ("udp:rate=10,size=100,count=0", "count of udp traffic is 0"),
        ("udp:rate=10,size=100,count=" + "9" * 5000, "give a whole number"),
        ("udp:rate=10,size=100,from=10.0.0.1,to=::1", "mixes IPv4 and IPv6"),
        ("ping", "ping traffic needs the option 'count'"),
        ("ping:count=4,interval=5", "the duration '5' has no unit"),
        ("ping:count=4,interval=0s", "interval in ns is 0"),
        ("ping:count=4,size=65508", "the ping size is 65508: give a number from 0 to 65507"),
        ("ping:count=", "'count' of ping traffic has no value"),
    ],
)
def test_mistakes_are_told_in_one_sentence(text, message):
    with pytest.raises(UsageError) as caught:
        parse_traffic(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.sampled_from(["", "udp:", "ping:", "capture:", "none"]), st.text(max_size=40))
def test_any_text_is_a_source_or_a_sentence(kind, text):
    with suppress(UsageError):
        parse_traffic(kind + text)


def test_the_options_are_understood_without_importing_a_capture_library():
    """`--help` must be quick: dpkt loads every protocol it knows."""
    code = "import sys, wintunsim.network.options; print([m for m in ('dpkt', 'simpy', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
