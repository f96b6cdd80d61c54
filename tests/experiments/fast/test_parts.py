"""Parts of the fast engine: what is offered, what it applies to."""

import itertools
from dataclasses import dataclass, replace

import pytest

from wintunsim.experiments import Experiment
from wintunsim.experiments.fast import applies
from wintunsim.experiments.fast.applies import why_not
from wintunsim.experiments.fast.offered import Offered
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.host import Host
from wintunsim.network.options import parse_traffic


@pytest.mark.parametrize(
    "texts",
    [
        ["udp:rate=300000,size=1400"],
        ["udp:rate=1000,size=1400,count=5", "poisson:rate=30000,size=imix"],
        ["trains:burst=700,every=1ms,size=64", "constant:rate=1000000,size=100", "poisson:rate=1,size=99"],
    ],
)
def test_what_is_offered_is_what_the_sources_give_in_their_order(texts):
    sources = [parse_traffic(text, place) for place, text in enumerate(texts)]
    offered = Offered(sources, [11, 12, 13][: len(texts)], 0, 500)
    found = []
    while len(found) < 3000:
        found += zip(*(column.tolist() for column in offered.take(64)), strict=True)
    expected = sorted(
        (time_ns, place, number, len(packet))
        for place, source in enumerate(sources)
        for number, (time_ns, packet) in enumerate(itertools.islice(seeded(source, place), 4000), 1)
    )[:3000]
    assert found[:3000] == [(500 + time_ns, size, 11 + place, number) for time_ns, place, number, size in expected]


def seeded(source, place):
    from wintunsim.kernel.streams import Stream

    if not hasattr(source, "seeded_packets"):
        return iter(source)
    return source.seeded_packets(lambda name: Stream(0, f"traffic.{place + 1}.{name}"), 0)


def test_what_is_not_known_is_refused(monkeypatch):
    @dataclass(frozen=True)
    class Later(Host):
        caches: int = 0

    ideal = Experiment(host="ideal")
    assert why_not(ideal) is None
    for host, reason in (
        (Later(caches=3), "caches of its host"),
        (replace(Host(), costs=Costs(load_ns=0)), "a host where something takes no time"),
        (replace(Host(), processors=2), "a host where threads wait for processors"),
    ):
        monkeypatch.setattr(applies, "find_host", lambda name, host=host: host)
        assert why_not(ideal) == reason


def test_without_a_compiler_there_is_no_fast_engine(monkeypatch):
    monkeypatch.setattr(applies, "has_compiler", lambda: False)
    result = Experiment(host="ideal", duration="1ms", engine="fast").run()
    assert (result.engine_used, result.engine_reason) == (
        "direct", "numba is not installed (pip install 'wintunsim[fast]')",
    )  # fmt: skip
