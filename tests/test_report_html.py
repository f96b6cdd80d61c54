"""A report in a notebook: everything the text says, well-formed, escaped, without scripts."""

import io
from array import array
from html.parser import HTMLParser
from pathlib import Path

import pytest

from wintunsim import Report, Simulation
from wintunsim.kernel.monitor import RingCounts
from wintunsim.report import ring_report

RING_CLIENT = Path(__file__).parent.parent / "examples" / "ring_client.py"
COUNTERS = ("out_errors", "out_discards", "in_errors", "in_discards")


class Page(HTMLParser):
    """HTML that is read: its elements nest, its texts by row of a table, its tags and attributes."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.rows, self.texts = [], [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open, "every element is closed"

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attributes]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def row(self, first):
        (row,) = [row for row in self.rows if row[0] == first]
        return row

    @property
    def text(self):
        return " ".join(self.texts)


def ring(packets=0, size_bytes=0, capacity=0x20000, peak=0, latencies=()):
    counts = RingCounts()
    counts.packets, counts.size_bytes = packets, size_bytes
    counts.capacity_bytes, counts.peak_content_bytes = capacity, peak
    counts.latencies_ns = array("q", latencies)
    return ring_report(counts)


def adapter(name="Wintun", send=None, receive=None, refused=None, aborts=(), **counters):
    rings = {"send": send or ring(capacity=0), "receive": receive or ring(capacity=0)}
    values = dict.fromkeys(COUNTERS, 0) | counters
    return {"name": name, **values, "refused": refused or {}, "aborts": list(aborts), "rings": rings}


def report(**changes):
    values = {
        "digest": "ab" * 32,
        "seed": 7,
        "driver": "0.8.1",
        "virtual_ns": 1_234_567_890,
        "clients": [{"name": "client.py", "process_id": 1004, "exit_code": 0}],
        "adapters": [adapter()],
        "traffic": [],
    }
    return Report(**(values | changes))


def page(**changes):
    return Page(report(**changes)._repr_html_())


def test_a_run_shows_its_clients_rings_and_traffic():
    simulation = Simulation()
    simulation.add_adapter()
    simulation.network("ping:count=3")
    simulation.spawn(RING_CLIENT, stdout=io.StringIO())
    found = simulation.run("5s")
    shown = Page(found._repr_html_())
    assert shown.row("ring_client.py") == ["ring_client.py", "1004", "exit code 0"]
    assert shown.row("receive")[1:3] == ["3", "252"]
    assert shown.row("receive")[-1] == "88 B of 1 MiB"
    assert "3 sent, 3 answered" in shown.text
    assert found.digest in shown.text
    assert "still wait" not in shown.text


def test_rings_show_what_the_report_has():
    shown = page(adapters=[adapter(send=ring(1234, 56789, 0x20000, 0x10000, [1500, 2_000_000]), receive=ring())])
    assert shown.row("send (to the client)") == [
        "send (to the client)", "1,234", "56,789", "1.5 µs", "1.5 µs", "2 ms", "2 ms", "65,536 B of 128 KiB",
    ]  # fmt: skip
    assert shown.row("receive")[3:7] == ["-"] * 4
    assert ("i", "style", "width:50%") in shown.attributes


@pytest.mark.parametrize(("peak", "width", "is_full"), [(0, "0%", 0), (4, "1%", 0), (0x1FFFC, "99.9%", 1)])
def test_the_peak_is_a_bar_that_is_seen_when_there_was_anything_and_warns_when_it_was_nearly_full(peak, width, is_full):
    shown = page(adapters=[adapter(send=ring(1, 1, peak=peak), receive=ring(1, 1, peak=peak))])
    assert shown.attributes.count(("i", "style", f"width:{width}")) == 2
    assert shown.attributes.count(("i", "class", "wt-full")) == 2 * is_full


def test_losses_are_told_by_cause():
    refused = {"NDIS_STATUS_BUFFER_OVERFLOW": 1200, "NDIS_STATUS_PAUSED": 1}
    lossy = adapter("A", ring(1), ring(1), refused, ["Tail was 7, not below the capacity"], in_discards=5, in_errors=6)
    shown = page(adapters=[lossy])
    assert ["send", "1,200", "NDIS_STATUS_BUFFER_OVERFLOW"] in shown.rows
    assert ["send", "1", "NDIS_STATUS_PAUSED"] in shown.rows
    assert ["receive", "5", "discarded by the driver"] in shown.rows
    assert ["receive", "6", "returned with an error"] in shown.rows
    assert any("the driver stopped reading: Tail was 7" in row[-1] for row in shown.rows)
    two = page(adapters=[lossy, adapter("B", ring(1), ring(1), {"NDIS_STATUS_PAUSED": 3})])
    assert ["send (B)", "3", "NDIS_STATUS_PAUSED"] in two.rows


def test_threads_that_wait_for_ever_stand_out():
    shown = page(stuck=["client.py/main waits for event", "reader waits"], clients=[
        {"name": "client.py", "process_id": 1004, "exit_code": None},
    ])  # fmt: skip
    assert ("div", "class", "wt-stuck") in shown.attributes
    assert shown.tags.count("li") == 2
    assert shown.row("client.py")[-1] == "did not end"
    assert ("td", "class", "wt-bad") in shown.attributes
    assert ("div", "class", "wt-stuck") not in page().attributes


def test_faults_commands_and_a_host_with_processors_are_told():
    shown = page(
        faults=[{"what": "NBL", "attempts": 10, "failed": 2, "first_failed": 3, "first_failed_ns": 4000}],
        commands=[{"process": "client.py", "command": "netsh x", "exit_code": 1}],
        host={"name": "desktop", "processors": [10**9, 0], "preemptions": 0, "threads": []},
        virtual_ns=10**9,
    )
    assert ["NBL: 2 of 10 attempts failed; the first was number 3, at 4 µs"] in shown.rows
    assert shown.row("netsh x") == ["netsh x", "client.py", "1"]
    assert "host desktop: 2 processors, 50 % busy" in shown.text


def test_nothing_at_all_is_a_page_too():
    assert "Wintun 0.8.1, seed 7" in page(clients=[], adapters=[]).text
    assert "Wintun, B: no rings were registered" in page(adapters=[adapter(), adapter("B")]).text


def test_everything_that_has_a_name_is_escaped():
    evil = "<script>alert('1')</script>&\"<"
    shown = page(
        driver=evil,
        digest=evil,
        clients=[{"name": evil, "process_id": 4, "exit_code": 0}],
        adapters=[adapter(evil, ring(1), ring(1), {evil: 1}, [evil])],
        traffic=[{"description": evil}],
        commands=[{"process": evil, "command": evil, "exit_code": 0}],
        stuck=[evil],
        faults=[{"what": evil, "attempts": 1, "failed": 0, "first_failed": None, "first_failed_ns": None}],
        host={"name": evil, "processors": [1], "preemptions": 0, "threads": []},
    )
    assert shown.text.count(evil) >= 10
    assert set(shown.tags) <= {
        "b", "code", "div", "i", "li", "span", "style", "table", "tbody", "td", "th", "thead", "tr", "ul",
    }  # fmt: skip
    assert not [name for _, name, _ in shown.attributes if name.startswith("on")]
