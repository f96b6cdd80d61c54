"""Routines of one's own: the example's verdicts, what is checked beside the driver, and what a mistake says."""

import re
from pathlib import Path

import pytest

from wintun_model.revision import REVISIONS
from wintunsim.errors import UsageError
from wintunsim.explore.explorer import explore
from wintunsim.explore.own_routines import own_name, own_scenario
from wintunsim.explore.scenario import Setting

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_client.py"


def verdict(name, revision="2026-02", memory="tso"):
    explored = explore(own_scenario(str(name)), Setting(revision=REVISIONS[revision], memory=memory))
    violation = explored.outcome.violation
    return explored.outcome.verdict.value, violation.property.value if violation is not None else ""


LOST = ("broken", "no thread waits for ever while its work is there")
SAFE = ("safe", "")


@pytest.mark.parametrize(
    ("function", "revision", "memory", "expected"),
    [
        ("asks_first", "2026-02", "sc", LOST),
        ("no_barrier", "2026-02", "sc", SAFE),
        ("no_barrier", "2026-02", "tso", LOST),
        ("produce", "2026-02", "tso", SAFE),
        ("produce", "0.8.1", "sc", SAFE),
        # The driver lacks its half of the barrier.
        ("produce", "0.8.1", "tso", LOST),
    ],
)
def test_the_example_has_the_verdicts_that_it_tells(function, revision, memory, expected):
    assert verdict(f"{EXAMPLE}:{function}+receive", revision, memory) == expected


@pytest.fixture
def client(tmp_path):
    """Write a file with these routines; answers its path."""

    def write(text):
        path = tmp_path / "client.py"
        head = (
            "from wintun_model.operations import CopyIn, Fence, LoadSize, Sleep, Store, StoreSize, Wait, Yield\n"
            "from wintun_model.client import pop, push, read\n\n"
        )
        path.write_text(head + text, encoding="utf-8")
        return path

    return write


CONSUMER = """
def consume(client):
    got = ()
    while len(got) < client.expected:
        packet = yield from read(client.send)
        if not isinstance(packet, bytes):
            break
        got += (packet,)
    return got
"""


def test_a_client_that_reads_is_explored_against_a_sender(client):
    """The driver sets the event for every packet, so a client cannot sleep through one, barrier or not."""
    path = client(CONSUMER)
    assert verdict(f"{path}:consume+send", memory="sc") == SAFE
    assert verdict(f"{path}:consume+send", memory="tso") == SAFE
    path = client(CONSUMER.replace("packet = yield", "yield client.send.tail_moved.clear\n        packet = yield"))
    assert verdict(f"{path}:consume+send", memory="sc") == SAFE


def test_a_client_that_drops_a_packet_is_found(client):
    path = client(CONSUMER.replace("got += (packet,)", "got += (packet,) if packet[0] != 0x45 or got else (b'', )"))
    found = verdict(f"{path}:consume+send", memory="sc")
    assert found == ("broken", "packets arrive in order, none lost or doubled")


def test_a_packet_that_is_not_written_is_missed(client):
    path = client("def produce(client):\n    yield from push(client.receive, client.packets[1])\n")
    assert verdict(f"{path}:produce+receive", memory="sc")[1] == "packets arrive in order, none lost or doubled"
    path = client("def produce(client):\n    yield from push(client.receive, client.packets[0])\n    return 1\n")
    assert verdict(f"{path}:produce+receive", memory="sc") == SAFE


def test_bytes_behind_tail_are_guarded(client):
    path = client(
        "def produce(client):\n    ring = client.receive\n    yield Store(ring.tail, 24)\n"
        "    yield StoreSize(ring, 0, 20)\n    yield CopyIn(ring, 4, client.packets[0], 20)\n"
    )
    assert verdict(f"{path}:produce+receive", memory="sc") == ("broken", "no unread packet is overwritten")


def test_closing_ends_a_wait_and_may_lose_packets(client):
    path = client(CONSUMER.replace("client.expected", "1"))
    assert verdict(f"{path}:consume+close", memory="sc") == SAFE


def test_two_functions_are_two_threads(client):
    path = client(
        CONSUMER
        + "\ndef produce(client):\n    for packet in client.packets:\n        yield from push(client.receive, packet)\n"
    )
    scenario = own_scenario(f"{path}:consume,produce+both")
    machine = scenario.build(Setting(memory="sc")).machine
    assert [program.name for program in machine.programs if program.is_started and not program.is_set_up] == [
        "consume", "produce", "sender",
    ]  # fmt: skip


# -- mistakes ---------------------------------------------------------------------------------------------------------


def test_names_are_completed_by_sides():
    assert own_name("a.py:f", ["receive", "close"]) == "a.py:f+receive+close"
    assert own_name("a+b/a.py:f+send", []) == "a+b/a.py:f+send"
    with pytest.raises(UsageError, match="say what runs beside it with --with receive"):
        own_name("a.py:f", [])
    with pytest.raises(UsageError, match="there is no side 'up' of the driver: choose among receive, "):
        own_name("a.py:f", ["up"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def other(client):\n    yield", "there is no function 'produce' in {path}: it has other"),
        ("x = 1", "there is no function 'produce' in {path}: it has no functions"),
        ("def produce(client)\n", "{path} cannot be loaded: SyntaxError: expected ':'"),
        ("import nowhere", "{path} cannot be loaded: line 4: ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_a_file_that_lacks_something_is_named(client, text, told):
    path = client(text)
    with pytest.raises(UsageError, match=re.escape(told.format(path=path))):
        own_scenario(f"{path}:produce+receive")


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"there is no file nowhere\.py: name one"):
        own_scenario("nowhere.py:produce+receive")
