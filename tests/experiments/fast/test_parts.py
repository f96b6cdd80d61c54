"""Parts of the fast engine: what is offered, room that comes free, records in order."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from wintun_model.trace import Kind, Trace
from wintunsim.experiments import Experiment
from wintunsim.experiments.fast import applies
from wintunsim.experiments.fast.applies import why_not
from wintunsim.experiments.fast.offered import Offered
from wintunsim.experiments.fast.rows import CLIENT, READER, SENDER, Rows
from wintunsim.experiments.fast.sender import Taken
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


def test_room_that_comes_free():
    taken = Taken()
    assert (taken.by(10), taken.knows(0)) == (0, False)
    taken.add(np.array([10, 20]), np.array([100, 50]))
    kept = taken.copy()
    taken.add(np.array([30]), np.array([7]))
    assert [taken.by(time) for time in (9, 10, 29, 30)] == [0, 100, 150, 157]
    assert taken.at(np.array([9, 10, 29, 30])).tolist() == [0, 100, 150, 157]
    assert (taken.knows(29), taken.knows(30), kept.knows(25)) == (True, False, False)
    taken.forget(30)
    assert [taken.by(time) for time in (20, 30)] == [150, 157]


def test_records_come_in_the_order_of_time_and_thread_and_events_are_named_when_they_are_seen():
    class Event:
        name, number = "moved", 0

    trace, seen = Trace(), []
    trace.add_sink(seen.extend)
    rows = Rows(trace, 100, (5, 6, 7))
    number = rows.object_number(Event)
    assert rows.object_number(Event) == number < 0
    times = np.array([10, 20])
    rows.add(SENDER, times, times + 1, Kind.SET, number, 0, 0)
    rows.add(READER, times, times, Kind.STORE, 3, np.array([8, 9]), 0)
    rows.add_list(CLIENT, [(20, int(Kind.WAKE), number, 0, 0), (200, int(Kind.WAKE), number, 0, 0)])
    rows.flush(20)
    assert Event.number == 1
    rows.flush(1000)
    trace.flush()
    records = [tuple(seen[start : start + 6]) for start in range(0, len(seen), 6)]
    assert records == [
        (10, 6, Kind.STORE, 3, 8, 0),
        (11, 0, Kind.NAME, 1, 5, 0),
        (11, 7, Kind.SET, 1, 0, 0),
        (20, 5, Kind.WAKE, 1, 0, 0),
        (20, 6, Kind.STORE, 3, 9, 0),
        (21, 7, Kind.SET, 1, 0, 0),
    ]


def test_what_is_not_known_is_refused(monkeypatch):
    @dataclass(frozen=True)
    class Later(Host):
        caches: int = 0

    ideal = Experiment(host="ideal")
    assert why_not(ideal) is None
    for host, reason in (
        (Later(caches=3), "caches of its host"),
        (replace(Host(), costs=Costs(load_ns=0)), "a host where something takes no time"),
        (replace(Host(), processors=2), "a host with so many processors"),
    ):
        monkeypatch.setattr(applies, "find_host", lambda name, host=host: host)
        assert why_not(ideal) == reason
