"""`Simulation.ndis`: scripts of the operating system's side, against a client that writes back what it reads."""

from pathlib import Path

import pytest

from wintun_model.adapter import ForeignEntry, Packet
from wintun_model.errors import DriverFault
from wintun_model.oids import Oid, RequestType
from wintun_model.revision import REVISIONS
from wintun_model.status import NdisStatus
from wintunsim import Simulation, UsageError
from wintunsim.kernel.faults import FaultPlan
from wintunsim.kernel.return_policy import ReturnPolicy

RING_CLIENT = Path(__file__).parent.parent / "examples" / "ring_client.py"
FAILURE = int(NdisStatus.NDIS_STATUS_FAILURE)
WITH_HEADROOM = [name for name, revision in REVISIONS.items() if revision.offers_headroom]


def packet(number=0, size=40):
    """An IPv4 packet, as far as the driver looks; its last byte is its number."""
    return bytes([0x45]) + bytes(size - 2) + bytes([number])


def simulate(*scripts, driver="0.8.1", returns=None, until="10s", packets=1000, faults=None, engine="direct", seed=0):
    """Run scripts beside the echoing client: (report, ndis)."""
    simulation = Simulation(driver=driver, faults=faults, engine=engine, seed=seed)
    simulation.add_adapter()
    simulation.network(answer=False)
    ndis = simulation.ndis("Wintun")
    if returns is not None:
        ndis.returns = returns
    for script in scripts:
        ndis.script(script)
    simulation.spawn(RING_CLIENT, packets)
    return simulation.run(until), ndis


# -- sending ------------------------------------------------------------------------------------------------------


def test_a_chain_with_several_nbls_and_nbs_crosses_in_order():
    chains = []

    def script(ndis):
        ndis.wait_for_link()
        chains.append(ndis.send([packet(1), packet(2)], packet(3), (packet(4),)))
        ndis.wait_for_packets(4)

    _, ndis = simulate(script)
    assert chains == ndis.completed
    assert [len(nbl.packets) for nbl in chains[0].nbls] == [2, 1, 1]
    assert chains[0].statuses == [0, 0, 0]
    assert [received.data[-1] for received in ndis.received] == [1, 2, 3, 4]
    assert {received.ip_version for received in ndis.received} == {4}


def test_statuses_of_what_cannot_be_sent():
    def script(ndis):
        assert ndis.send(packet()).statuses == [NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED]
        ndis.wait_for_link()
        chain = ndis.send(packet(), Packet(None, 40), bytes(0x10000), [packet(), Packet(None, 20)])
        assert chain.statuses == [0, FAILURE, NdisStatus.NDIS_STATUS_INVALID_LENGTH, FAILURE]
        assert ndis.send(*[bytes(0xFFFF)] * 20).statuses == [NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW] * 20
        ndis.pause()
        assert ndis.send(packet()).statuses == [NdisStatus.NDIS_STATUS_PAUSED]

    report, _ = simulate(script)
    counted = report.adapters[0]
    assert (counted["out_unicast_packets"], counted["out_errors"], counted["out_discards"]) == (2, 1, 1 + 2 + 20 + 1)
    # An NBL has one status for all its packets, so the good one of the last NBL counts as failed too.
    assert sum(counted["refused"].values()) == 1 + 4 + 20 + 1


def test_several_scripts_are_several_processors():
    def sender(ndis):
        ndis.wait_for_link()
        for _ in range(50):
            assert ndis.send(packet(size=1400)).statuses == [0]

    report, ndis = simulate(sender, sender, sender, returns="late:delay=10us")
    assert report.adapters[0]["out_unicast_packets"] == 150
    assert len(ndis.received) == report.adapters[0]["in_unicast_packets"] == 150


def test_a_stack_may_send_from_inside_an_indication():
    def script(ndis):
        ndis.on_receive = lambda received: len(ndis.received) < 5 and ndis.send(received.data)
        ndis.wait_for_link()
        ndis.send(packet(7))

    _, ndis = simulate(script)
    assert [received.data[-1] for received in ndis.received] == [7] * 5


def test_b12_a_send_from_inside_a_completion_waits_for_its_own_lock():
    def script(ndis):
        ndis.on_complete = lambda chain: len(ndis.completed) < 2 and ndis.send(packet())
        ndis.wait_for_link()
        ndis.send(packet())

    report, _ = simulate(script, until=None)
    assert report.exit_code == 3
    assert [line for line in report.stuck if line.startswith("Wintun script script waits for")]


def test_b12_a_send_from_inside_an_indication_against_pause():
    """The pause waits for the reader to let go of the transition lock, and keeps its send out."""

    def receiver(ndis):
        def send_late(received):
            if not received.data[-1]:
                ndis.sleep("1ms")
                ndis.send(packet(1))

        ndis.on_receive = send_late
        ndis.wait_for_link()
        ndis.send(packet(0))

    def pauser(ndis):
        ndis.wait_for_packets(1)
        ndis.sleep("10us")
        ndis.pause()

    report, _ = simulate(receiver, pauser, until=None)
    assert [line for line in report.stuck if "Wintun reader waits for" in line]
    assert [line for line in report.stuck if "Wintun script pauser waits for" in line]


@pytest.mark.parametrize("name", ["0.8.1", "0.14"])
def test_b7_a_stale_link_word_that_is_followed_ends_in_a_fault(name):
    def script(ndis):
        ndis.wait_for_link()
        ndis.send(packet(), stale_link=ForeignEntry(word=0x41))

    with pytest.raises(DriverFault, match="never handed down"):
        simulate(script, driver=name)


def test_b7_closed():
    def script(ndis):
        ndis.wait_for_link()
        assert ndis.send(packet(), stale_link=ForeignEntry(word=0x41)).statuses == [0]

    simulate(script, driver="2026-02")


# -- returning ----------------------------------------------------------------------------------------------------


def test_kept_nbls_hold_head_and_come_back_in_any_order():
    def script(ndis):
        ndis.wait_for_link()
        ndis.send(*map(packet, range(4)))
        ndis.wait_for_packets(4)
        ring = ndis.port.adapter.receive_ring.value
        head = ring.head.cells[0]
        first, second, *others = ndis.held
        ndis.give_back(*reversed(others), second)
        assert ring.head.cells[0] == head
        ndis.give_back(first)
        assert ring.head.cells[0] == ring.tail.cells[1] != head
        assert ndis.held == ()

    report, _ = simulate(script, returns="kept")
    assert report.adapters[0]["in_unicast_packets"] == 4


@pytest.mark.parametrize("order", ["fifo", "lifo", "random"])
@pytest.mark.parametrize("engine", ["direct", "step"])
def test_late_returns_from_several_processors_bring_every_nbl_back_once(order, engine):
    def script(ndis):
        ndis.wait_for_link()
        for number in range(60):
            ndis.send(packet(number))

    policy = ReturnPolicy(delay_ns=50_000, jitter_ns=200_000, processors=3, batch=4, order=order)
    report, ndis = simulate(script, driver="2026-02", returns=policy, engine=engine)
    assert [received.data[-1] for received in ndis.received] == list(range(60))
    assert report.adapters[0]["in_unicast_packets"] == 60
    pool = ndis.port.adapter.nbl_pool
    assert pool.outstanding == 0
    assert report.adapters[0]["rings"]["receive"]["latency_ns"]["min"] >= 50_000


def test_the_same_seed_returns_in_the_same_order():
    def script(ndis):
        ndis.wait_for_link()
        for number in range(30):
            ndis.send(packet(number))

    policy = ReturnPolicy(delay_ns=0, jitter_ns=100_000, processors=2, order="random")
    digests = [simulate(script, returns=policy, seed=seed, driver="2026-02")[0].digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_nbls_that_come_back_with_a_failure_are_errors():
    def script(ndis):
        ndis.wait_for_link()
        ndis.send(packet())

    report, _ = simulate(script, returns=f"inside:status={FAILURE:#x}")
    assert (report.adapters[0]["in_errors"], report.adapters[0]["in_unicast_packets"]) == (1, 0)


@pytest.mark.parametrize("name", REVISIONS)
def test_b5_a_header_pushed_in_front_of_the_first_packet_spoils_the_ring(name):
    def script(ndis):
        ndis.wait_for_link()
        ndis.send(packet(1))
        ndis.wait_for_packets(1)

    report, _ = simulate(script, driver=name, returns="inside:header=14", until="1s")
    assert bool(report.adapters[0]["aborts"]) is (name in WITH_HEADROOM)


def test_an_nbl_is_given_back_once():
    def script(ndis):
        ndis.wait_for_link()
        ndis.send(packet())
        ndis.wait_for_packets(1)
        (nbl,) = ndis.held
        ndis.give_back(nbl)
        ndis.give_back(nbl)

    with pytest.raises(UsageError, match="the NBL number 1 is not held"):
        simulate(script, returns="kept")


def test_a_new_policy_leaves_kept_nbls_kept():
    def script(ndis):
        ndis.wait_for_link()
        ndis.send(packet(1))
        ndis.wait_for_packets(1)
        ndis.returns = "inside"
        ndis.send(packet(2))
        ndis.wait_for_packets(2)
        assert [nbl.number for nbl in ndis.held] == [1]
        ndis.give_back()
        assert ndis.held == ()

    report, _ = simulate(script, returns="kept")
    assert report.adapters[0]["in_unicast_packets"] == 2


def test_a_close_waits_for_kept_nbls():
    times = []

    def script(ndis):
        ndis.wait_for_link()
        ndis.send(packet())
        ndis.wait_for_packets(1)
        assert not ndis.wait_for_link(False, "3s")
        ndis.give_back()
        times.append(ndis.time_ns)

    def closer(ndis):
        ndis.wait_for_link()
        ndis.sleep("1s")
        ndis.pause()
        times.append(ndis.time_ns)

    simulate(script, closer, returns="kept")
    assert min(times) > 3 * 10**9


# -- the miniport -------------------------------------------------------------------------------------------------


def test_pause_and_restart():
    def script(ndis):
        ndis.wait_for_link()
        ndis.pause()
        assert ndis.state == "Paused"
        ndis.restart()
        assert ndis.state == "Running"
        assert ndis.send(packet(9)).statuses == [0]
        assert ndis.wait_for_packets(1, "1s")

    simulate(script)


def test_halt_ends_the_registration_and_initialize_begins_anew():
    def script(ndis):
        ndis.wait_for_link()
        ndis.send(packet())
        before = ndis.port.adapter
        ndis.pause()
        ndis.halt()
        assert ndis.wait_for_link(False, 0)
        assert not before.is_attached.value
        assert ndis.initialize() == 0
        ndis.restart()
        assert ndis.port.adapter is not before
        assert ndis.port.adapter.statistics.out_unicast_packets == 0

    report, ndis = simulate(script)
    # The third is the one that initialize makes, before 0.13.
    assert [connected for _, connected in ndis.links] == [True, False, False]
    assert report.clients[0]["exit_code"] == 0


@pytest.mark.parametrize("name", REVISIONS)
def test_surprise_removal_and_rebalancing_are_not_refused_while_handles_are_open(name):
    def rebalance(ndis):
        ndis.wait_for_link()
        assert ndis.rebalance() == 0
        assert ndis.state == "Running"

    def remove(ndis):
        ndis.wait_for_link()
        ndis.remove_by_surprise()
        assert ndis.state == "Halted"

    for script in (rebalance, remove):
        report, ndis = simulate(script, driver=name)
        assert [connected for _, connected in ndis.links][:2] == [True, False]
        assert report.clients[0]["exit_code"] == 0


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        (("restart",), "restart of 'Wintun' is for a miniport that is Paused, but it is Running: .* is pause$"),
        (("halt",), "halt of 'Wintun' is for a miniport that is Paused"),
        (
            ("pause", "pause"),
            "pause of 'Wintun' is for a miniport that is Running, but it is Paused: .* restart or halt",
        ),
        (("pause", "initialize"), "initialize of 'Wintun' is for a miniport that is Halted"),
        (
            ("pause", "halt", "halt"),
            "halt of 'Wintun' is for a miniport that is Paused, but it is Halted: .* initialize",
        ),
    ],
)
def test_calls_out_of_order_are_the_scripts_mistake(calls, message):
    def script(ndis):
        for call in calls:
            getattr(ndis, call)()

    with pytest.raises(UsageError, match=message):
        simulate(script)


def test_oids():
    def script(ndis):
        ndis.wait_for_link()
        ndis.send(packet(), packet())
        assert ndis.query(Oid.OID_GEN_XMIT_OK, 4).data == (2).to_bytes(4, "little")
        assert ndis.query(Oid.OID_GEN_XMIT_OK, 3).status == NdisStatus.NDIS_STATUS_BUFFER_TOO_SHORT
        assert ndis.set(Oid.OID_GEN_CURRENT_LOOKAHEAD, 4).read_bytes == 4
        assert ndis.request(RequestType.METHOD, 0, 0).status == NdisStatus.NDIS_STATUS_INVALID_OID
        assert ndis.direct_request(RequestType.QUERY_INFORMATION).status == NdisStatus.NDIS_STATUS_NOT_SUPPORTED
        with pytest.raises(UsageError, match="the length of an OID request is -1"):
            ndis.query(Oid.OID_GEN_XMIT_OK, -1)

    simulate(script)


# -- mistakes -----------------------------------------------------------------------------------------------------


def test_an_error_in_a_script_comes_out_of_the_run():
    class Own(Exception):
        pass

    def script(ndis):
        ndis.wait_for_link()
        raise Own("script")

    with pytest.raises(Own, match="script"):
        simulate(script, until=None)


def test_scripts_without_a_client_run_to_their_end():
    simulation = Simulation()
    simulation.add_adapter("tun")
    ndis, done = simulation.ndis("tun"), []

    @ndis.script
    def script(ndis):
        ndis.sleep("2s")
        done.append(ndis.time_ns)

    report = simulation.run()
    assert done == [2 * 10**9]
    assert (report.stuck, report.exit_code) == ([], 0)


def test_a_script_that_waits_for_ever_is_named():
    simulation = Simulation()
    ndis = simulation.ndis(simulation.add_adapter("tun"))
    ndis.script(lambda ndis: ndis.wait_for_link())
    report = simulation.run()
    assert report.stuck == ["tun script <lambda> waits for tun link up since 0 ns"]
    assert report.exit_code == 3


def test_scripts_stop_with_the_clients():
    def script(ndis):
        ndis.wait_for_link()
        ndis.send(packet())
        while True:
            ndis.sleep("1ms")

    report, _ = simulate(script, packets=1, until=None)
    assert report.exit_code == 0
    assert report.stuck == []


def use(*arguments, call="send", **options):
    return lambda ndis: getattr(ndis, call)(*arguments, **options)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (use(), "send was given no NBL"),
        (use([]), "an NBL of send has no NBs"),
        (use("text"), "an NB of send is 't': give bytes or a Packet"),
        (use(-1, call="sleep"), "sleep is -1: give a whole number of ns from 0 on"),
        (use("soon", call="sleep"), "'soon' is not a duration"),
        (use(True, True, call="wait_for_link"), "the timeout is True"),
    ],
)
def test_what_a_script_may_not_say(script, message):
    with pytest.raises(UsageError, match=message):
        simulate(script)


def test_nothing_is_sent_on_a_halted_miniport():
    def script(ndis):
        ndis.pause()
        ndis.halt()
        ndis.send(packet())

    with pytest.raises(UsageError, match="send needs a miniport that is started, but that of 'Wintun' is Halted"):
        simulate(script)


def test_what_takes_time_is_for_scripts():
    simulation = Simulation()
    ndis = simulation.ndis(simulation.add_adapter())
    for call in (lambda: ndis.send(packet()), lambda: ndis.sleep(1), ndis.pause, ndis.wait_for_link):
        with pytest.raises(UsageError, match="takes virtual time: call it in a script"):
            call()
    with pytest.raises(UsageError, match="cannot be called"):
        ndis.script(3)
    with pytest.raises(UsageError, match="there is no adapter 'tun': the adapters are 'Wintun'"):
        simulation.ndis("tun")


# -- fault plans --------------------------------------------------------------------------------------------------


def test_a_fault_plan_at_work():
    def script(ndis):
        ndis.wait_for_link()
        for number in range(5):
            ndis.send(packet(number))
        ndis.sleep("10ms")

    report, ndis = simulate(script, faults=FaultPlan({"NBL": [2, 4], "map": 9}))
    assert [received.data[-1] for received in ndis.received] == [0, 2, 4]
    assert report.adapters[0]["in_discards"] == 2
    nbl, mapped = report.faults
    assert (nbl["attempts"], nbl["failed"], nbl["first_failed"]) == (5, 2, 2)
    assert (mapped["attempts"], mapped["failed"], mapped["first_failed"]) == (2, 0, None)
    assert "  fault    NBL: 2 of 5 attempts failed; the first was number 2, at" in report.to_text()
    assert "  fault    map: never failed, in 2 attempts" in report.to_text()


def test_data_that_cannot_be_mapped_by_plan():
    simulation = Simulation(faults=FaultPlan({"packet data": 2}))
    simulation.add_adapter()
    simulation.network("ping:count=3")
    simulation.spawn(RING_CLIENT, 2)
    report = simulation.run("5s")
    assert report.adapters[0]["refused"] == {"NDIS_STATUS_FAILURE": 1}
    assert report.adapters[0]["out_discards"] == 1


def test_a_restart_that_fails_after_a_stop_is_followed_by_a_surprise_removal():
    def script(ndis):
        ndis.wait_for_link()
        assert ndis.rebalance() == NdisStatus.NDIS_STATUS_RESOURCES
        assert ndis.state == "Halted"

    report, ndis = simulate(script, faults=FaultPlan({"NBL pool": 2}))
    assert report.clients[0]["exit_code"] == 0
    assert [connected for _, connected in ndis.links] == [True, False]


def test_b13_an_adapter_whose_pool_cannot_be_made():
    simulation = Simulation(faults=FaultPlan({"NBL pool": 1}))
    device = simulation.add_adapter()
    assert simulation.ndis(device).state == "Halted"
    assert device.adapter.is_attached.value
