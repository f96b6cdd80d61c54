"""The trace for ui.perfetto.dev, read back with Perfetto's own messages: tracks, waits, requests, counters, flows."""

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wintun_model.adapter import Packet
from wintunsim import Simulation, UsageError
from wintunsim.kernel.faults import FaultPlan
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.kernel.system import System
from wintunsim.trace.perfetto import SYSTEM_PROCESS_ID, PerfettoTrace

messages = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")

ROOT = Path(__file__).parent.parent.parent
RING_CLIENT = ROOT / "examples" / "ring_client.py"
SATURATED = ROOT / "benchmarks" / "clients" / "saturated_client.py"
SHELL = os.environ.get("TRACE_PROCESSOR_SHELL", "")


# -- reading a file as Perfetto does ------------------------------------------------------------------------------


@dataclass
class Track:
    name: str = ""
    parent: int = 0
    pid: int = 0
    tid: int = 0
    is_counter: bool = False


@dataclass
class Slice:
    track: Track
    time_ns: int
    category: str
    name: str
    depth: int
    told: dict
    flows: list
    end_ns: int | None = None
    is_instant: bool = False


@dataclass
class Read:
    """What a file holds: tracks by their numbers, processes, slices (also instants) by time, counters, flows."""

    tracks: dict = field(default_factory=dict)
    processes: dict = field(default_factory=dict)
    slices: list = field(default_factory=list)
    counters: dict = field(default_factory=dict)
    flows: dict = field(default_factory=dict)

    def named(self, name):
        return [item for item in self.slices if item.name == name]

    def of(self, category):
        return [item for item in self.slices if item.category == category]

    def thread(self, name):
        (track,) = [track for track in self.tracks.values() if track.tid and track.name == name]
        return track

    def counter(self, name):
        (track,) = [number for number, track in self.tracks.items() if track.is_counter and track.name == name]
        return self.counters.get(track, [])

    def ways(self):
        """Each flow as the names of its stations."""
        return [tuple(station.name for station in way) for way in self.flows.values()]


def read(path):
    """Read a file: in the order of the file what is interned, then by time what happened, as the trace processor."""
    result, texts, events = Read(), ({}, {}, {}), []
    trace = messages.Trace.FromString(Path(path).read_bytes())
    assert trace.packet[0].sequence_flags == messages.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
    for packet in trace.packet:
        assert packet.trusted_packet_sequence_id == 1
        told = packet.interned_data
        for known, entries in zip(
            texts, (told.event_names, told.event_categories, told.debug_annotation_names), strict=True
        ):
            for entry in entries:
                assert entry.iid and entry.iid not in known
                known[entry.iid] = entry.name
        if packet.HasField("track_descriptor"):
            add_track(result, packet.track_descriptor)
        elif packet.HasField("track_event"):
            assert packet.HasField("timestamp")
            assert packet.sequence_flags == messages.TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
            assert packet.track_event.track_uuid in result.tracks, "a track is told before its first event"
            events.append((packet.timestamp, packet.track_event))
    open_slices = {number: [] for number in result.tracks}
    for time_ns, event in sorted(events, key=lambda item: item[0]):
        add_event(result, open_slices[event.track_uuid], time_ns, event, texts)
    return result


def add_track(result, told):
    assert told.uuid and told.uuid not in result.tracks
    track = Track(told.name, told.parent_uuid, is_counter=told.HasField("counter"))
    assert not track.parent or track.parent in result.tracks
    if told.HasField("process"):
        track.name, track.pid = told.process.process_name, told.process.pid
        assert track.pid not in result.processes
        result.processes[track.pid] = track.name
    if told.HasField("thread"):
        track.name, track.pid, track.tid = told.thread.thread_name, told.thread.pid, told.thread.tid
        assert track.pid in result.processes
        assert track.tid not in [other.tid for other in result.tracks.values()]
    result.tracks[told.uuid] = track


def add_event(result, open_slices, time_ns, event, texts):
    names, categories, annotations = texts
    kinds = messages.TrackEvent
    track = result.tracks[event.track_uuid]
    told = {
        annotations[item.name_iid]: item.string_value if item.HasField("string_value") else item.int_value
        for item in event.debug_annotations
    }
    assert track.is_counter == (event.type == kinds.TYPE_COUNTER)
    if event.type == kinds.TYPE_COUNTER:
        result.counters.setdefault(event.track_uuid, []).append((time_ns, event.counter_value))
    elif event.type == kinds.TYPE_SLICE_END:
        ended = open_slices.pop()
        ended.end_ns = time_ns
        ended.told |= told
    else:
        (category,) = event.category_iids
        depth, flows = len(open_slices), list(event.flow_ids)
        item = Slice(track, time_ns, categories[category], names[event.name_iid], depth, told, flows)
        result.slices.append(item)
        if event.type == kinds.TYPE_SLICE_BEGIN:
            open_slices.append(item)
        else:
            assert event.type == kinds.TYPE_INSTANT
            item.is_instant, item.end_ns = True, time_ns
        for flow in flows:
            result.flows.setdefault(flow, []).append(item)


def simulate(path, *traffic, client=RING_CLIENT, arguments=(), until="10s", script=None, trace=None, **options):
    """Run one client with a trace for Perfetto: (what it holds, the report)."""
    simulation = Simulation(**options)
    simulation.add_adapter()
    simulation.network(*traffic)
    simulation.write_perfetto(path)
    if trace is not None:
        simulation.write_trace(trace)
    if script is not None:
        simulation.ndis("Wintun").script(script)
    simulation.spawn(client, *arguments, stdout=io.StringIO())
    report = simulation.run(until)
    return read(path), report


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.pftrace"


@pytest.fixture(scope="module")
def pings(tmp_path_factory):
    """Three echo requests: what the trace holds, the same as JSON lines, the report."""
    folder = tmp_path_factory.mktemp("pings")
    found, report = simulate(folder / "p", "ping:count=3", arguments=("1000",), until="5s", trace=folder / "t")
    return found, [json.loads(line) for line in (folder / "t").read_text().splitlines()], report


# -- tracks -------------------------------------------------------------------------------------------------------


def test_threads_are_tracks_in_their_processes(pings):
    found, lines, _ = pings
    assert found.processes == {SYSTEM_PROCESS_ID: "System", 1004: "ring_client.py"}
    threads = {(found.processes[track.pid], track.name) for track in found.tracks.values() if track.tid}
    assert {
        ("ring_client.py", "main"),
        ("ring_client.py", "thread 2"),
        ("System", "Wintun reader"),
        ("System", "Wintun NDIS send"),
    } <= threads
    assert found.thread("main").tid == 101008
    started = {line["started"] for line in lines if line["kind"] == "thread_start"}
    assert len(found.named("start")) == len(started)
    assert all(item.track.name in " ".join(started) for item in found.named("start"))


def test_processes_of_one_name_are_kept_apart(path):
    simulation = Simulation()
    simulation.add_adapter()
    simulation.write_perfetto(path)

    def client():
        import threading
        import time

        thread = threading.Thread(target=time.sleep, args=(0.01,))
        thread.start()
        thread.join()

    for _ in range(2):
        simulation.spawn(client)
    simulation.run("1s")
    found = read(path)
    pids = [pid for pid in found.processes if pid != SYSTEM_PROCESS_ID]
    assert len(pids) == 2
    for pid in pids:
        names = [track.name for track in found.tracks.values() if track.pid == pid and track.tid]
        assert sorted(names) == ["main", "thread 2"]
    assert [item.track.pid for item in found.named("process start")] == pids
    assert [item.told["exit_code"] for item in found.named("process end")] == [0, 0]


def test_times_are_virtual_nanoseconds(pings):
    found, lines, _ = pings
    begun = {line["t_ns"] for line in lines if line["kind"] not in ("wake", "status")}
    assert begun <= {item.time_ns for item in found.slices} <= {line["t_ns"] for line in lines}
    assert {item.end_ns for item in found.slices if item.end_ns} <= {line["t_ns"] for line in lines}


# -- waits and requests -------------------------------------------------------------------------------------------


def test_waits_are_slices_that_say_what_is_waited_for(pings):
    found, lines, _ = pings
    waits = [item for item in found.of("wait") if not item.is_instant]
    assert len(waits) == len([line for line in lines if line["kind"] == "wait"])
    reader = [item for item in waits if item.track.name == "Wintun reader"]
    assert {item.name for item in reader} == {"wait for Wintun.disconnected and 1 more"}
    assert [item.told["ended_by"] for item in reader] == ["ring_client.py/event 0xc"] * 2 + ["Wintun.disconnected"]
    assert reader[0].end_ns > reader[0].time_ns
    (join,) = found.named("wait for the end of Wintun reader")
    assert join.track.name == "main"


def test_an_interrupted_wait_ends_with_what_the_thread_does_next(pings):
    found, _, _ = pings
    (interrupted,) = [item for item in found.of("wait") if item.told.get("ended_by") == "an interruption"]
    assert interrupted.track.name == "main"
    assert 5_000_000_000 <= interrupted.end_ns < 5_001_000_000


def test_a_wait_that_times_out_says_so(path):
    def script(ndis):
        assert not ndis.wait_for_link(timeout="1ms")

    def client():
        import time

        time.sleep(0.1)

    found, _ = simulate(path, client=client, script=script)
    (wait,) = found.named("wait for Wintun link up")
    assert wait.told["deadline_ns"] == wait.end_ns == 1_000_000
    assert wait.told["ended_by"] == "the timeout"


def test_a_thread_that_waits_for_ever_has_a_wait_without_an_end(path):
    def client():
        import ctypes

        kernel32 = ctypes.WinDLL("kernel32")
        kernel32.WaitForSingleObject(kernel32.CreateEventW(None, 0, 0, None), 0xFFFFFFFF)

    found, report = simulate(path, client=client, until=None)
    assert report.stuck
    (wait,) = [item for item in found.of("wait") if item.track.name == "main" and not item.is_instant]
    assert wait.end_ns is None


def test_requests_are_slices_with_their_status(pings):
    found, _, _ = pings
    (request,) = [item for item in found.of("request") if not item.is_instant]
    assert request.name == "DeviceIoControl TUN_IOCTL_REGISTER_RINGS"
    assert request.track.name == "main"
    assert request.told == {"device": "Wintun", "input_bytes": 48, "status": "STATUS_SUCCESS", "information": 0}
    assert request.end_ns > request.time_ns
    (start,) = [item for item in found.named("start") if item.track.name == "Wintun reader"]
    assert start.told["by"] == "ring_client.py/main"
    assert [item.name for item in found.of("request") if item.is_instant] == ["open Wintun", "close Wintun"]


# -- rings --------------------------------------------------------------------------------------------------------


def test_ring_content_is_a_counter_in_bytes(pings):
    found, lines, report = pings
    for title in ("send", "receive"):
        values = found.counter(f"{title} ring content")
        ring = report.adapters[0]["rings"][title]
        assert max(value for _, value in values) == ring["peak_content_bytes"] == 88
        assert values[0][1] == values[-1][1] == 0
        stores = {line["t_ns"] for line in lines if line.get("word", "").startswith(f"Wintun.{title}.")}
        assert {time_ns for time_ns, _ in values[1:]} <= stores
    assert {value for _, value in found.counter("receive ring Alertable")} == {0, 1}


def test_stores_are_instants_of_the_thread_that_stored(pings):
    found, lines, _ = pings
    stores = [item for item in found.slices if item.category == "ring"]
    expected = [(line["t_ns"], line["value"], line["old"]) for line in lines if line["kind"] == "store"]
    assert [(item.time_ns, item.told["value"], item.told["old"]) for item in stores] == expected
    assert {item.track.name for item in found.named("store Wintun.send.Tail")} == {"Wintun NDIS send"}
    assert {item.track.name for item in found.named("store Wintun.send.Head")} == {"main"}
    assert [item.track.name for item in found.named("Wintun.receive.Head stopped")] == ["Wintun reader"]


def test_the_content_is_right_where_the_ring_wraps_and_at_each_registration(path):
    """The content's peak is the report's, for a client whose rings of 128 KiB wrap some times."""
    found, report = simulate(
        path, "udp:rate=400000,size=1400,count=600", client=registering_client, arguments=(3, 0x20000)
    )
    rings = report.adapters[0]["rings"]
    assert rings["send"]["bytes"] > 3 * 0x20000
    for title in ("send", "receive"):
        values = [value for _, value in found.counter(f"{title} ring content")]
        assert max(values) == rings[title]["peak_content_bytes"]
        assert values[-1] == 0
    assert [item.name for item in found.of("link")] == ["link up", "link down"] * 3
    assert {item.track.name for item in found.of("link")} == {"link"}


def registering_client(times, capacity, pause_ms=0):
    """Registers rings of `capacity` some times; each time writes back 200 packets, 10 at once, after a pause."""
    import ctypes
    import struct

    kernel32 = ctypes.WinDLL("kernel32")
    cfgmgr32 = ctypes.WinDLL("cfgmgr32")
    kernel32.CreateFileW.restype = kernel32.CreateEventW.restype = kernel32.VirtualAlloc.restype = ctypes.c_void_p
    kernel32.CreateFileW.argtypes = [ctypes.c_wchar_p] + [ctypes.c_void_p] * 6
    kernel32.DeviceIoControl.argtypes = [ctypes.c_void_p] * 8
    kernel32.VirtualAlloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_ulong, ctypes.c_ulong]
    kernel32.CreateEventW.argtypes = [ctypes.c_void_p] * 4
    kernel32.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
    kernel32.SetEvent.argtypes = kernel32.CloseHandle.argtypes = [ctypes.c_void_p]
    guid = bytes.fromhex("8484c8ca1575034c82e671a87abac361")
    length = ctypes.c_ulong()
    cfgmgr32.CM_Get_Device_Interface_List_SizeW(ctypes.byref(length), guid, None, 0)
    paths = ctypes.create_unicode_buffer(length.value)
    cfgmgr32.CM_Get_Device_Interface_ListW(guid, None, paths, length, 0)
    size, mask = 12 + capacity + 0x10000, capacity - 1
    for _ in range(times):
        device = kernel32.CreateFileW(paths.value, 0xC0000000, 7, None, 3, 0, None)
        addresses = [kernel32.VirtualAlloc(None, size, 0x3000, 4) for _ in range(2)]
        events = [kernel32.CreateEventW(None, 0, 0, None) for _ in range(2)]
        memory = [memoryview((ctypes.c_char * size).from_address(address)).cast("B") for address in addresses]
        send, receive = (each[:12].cast("I") for each in memory)
        record = struct.pack("<I4xQQI4xQQ", size, addresses[0], events[0], size, addresses[1], events[1])
        returned = ctypes.c_ulong()
        assert kernel32.DeviceIoControl(device, 0xCA6CE5C0, record, 48, None, 0, ctypes.byref(returned), None)
        kernel32.Sleep(pause_ms)
        done = 0
        while done < 200:
            head, tail, count = send[0], receive[1], 0
            while head != send[1] and count < 10:
                length = struct.unpack_from("<I", memory[0], 12 + head)[0] + 7 & ~3
                memory[1][12 + tail : 12 + tail + length] = memory[0][12 + head : 12 + head + length]
                head, tail, count = head + length & mask, tail + length & mask, count + 1
            send[0], receive[1] = head, tail
            done += count
            if receive[2]:
                kernel32.SetEvent(events[1])
            kernel32.WaitForSingleObject(events[0], 1) if not count else kernel32.WaitForSingleObject(events[0], 0)
        kernel32.WaitForSingleObject(events[0], 5)
        kernel32.CloseHandle(device)


# -- packets ------------------------------------------------------------------------------------------------------


def test_flows_lead_from_the_system_to_the_client_and_back(pings):
    found, _, _ = pings
    sent, received = ("send", "complete", "taken by the client"), ("written by the client", "receive", "return")
    assert sorted(found.ways()) == [sent] * 3 + [received] * 3
    for way in found.flows.values():
        assert len({(item.told["source"], item.told["packet"]) for item in way}) == 1
        last = "store Wintun.send.Head" if way[0].name == "send" else "store Wintun.receive.Tail"
        client = way[-1] if way[0].name == "send" else way[0]
        assert [(item.time_ns, item.track) for item in found.named(last)].count((client.time_ns, client.track)) == 1
    assert {way[-1].track.name for way in found.flows.values()} == {"main", "Wintun reader"}


@pytest.mark.parametrize("engine", ["direct", "step"])
def test_every_packet_that_crosses_has_its_whole_way(path, engine):
    found, report = simulate(
        path,
        "udp:rate=400000,size=1400,count=300",
        "udp:rate=100000,size=60,count=100",
        client=registering_client,
        arguments=(1, 0x20000),
        engine=engine,
    )
    ways = found.ways()
    rings = report.adapters[0]["rings"]
    received = [way for way in ways if way[-1] == "return"]
    assert len(received) == rings["receive"]["packets"] >= 200
    assert set(received) == {("written by the client", "receive", "return")}
    taken = [way for way in ways if "taken by the client" in way]
    assert len(taken) == len(received)
    assert {tuple(sorted(way)) for way in taken} == {("complete", "send", "taken by the client")}
    # The latencies in the report are those from the stores of Tail, which come before the completion.
    moments = [{item.name: item.time_ns for item in way} for way in found.flows.values()]
    longest = max(way["taken by the client"] - way["send"] for way in moments if "taken by the client" in way)
    assert longest >= rings["send"]["latency_ns"]["max"]


def test_dropped_packets_are_instants_with_their_status(path):
    traffic = "udp:rate=400000,size=1400,count=1000"
    found, report = simulate(path, traffic, client=registering_client, arguments=(1, 0x20000, 1))
    refused = report.adapters[0]["refused"]
    assert refused["NDIS_STATUS_BUFFER_OVERFLOW"] > 0
    drops = [item.name for item in found.of("drop")]
    # Packets that the system does not hand down, because the link is down, are not the driver's.
    refused.pop("NDIS_STATUS_MEDIA_DISCONNECTED", None)
    assert {name.removeprefix("drop: "): drops.count(name) for name in set(drops)} == refused
    ways = [way for way in found.ways() if way[-1].startswith("drop")]
    assert set(ways) == {("send", "drop: NDIS_STATUS_BUFFER_OVERFLOW")}
    assert len(ways) == len(drops)


def test_chains_of_packets_that_do_not_all_fit_keep_their_ways_apart(path):
    def script(ndis):
        ndis.wait_for_link()
        ndis.send([packet(40), Packet(None, 0x10000), packet(80)], packet(60))
        ndis.send(packet(20))
        ndis.wait_for_packets(4)

    found, _ = simulate(path, arguments=("1000",), until="1s", script=script)
    ways = {way[0].told["packet"]: way for way in found.flows.values() if way[0].name == "send"}
    lengths = {number: way[0].told["length_bytes"] for number, way in ways.items()}
    assert lengths == {1: 40, 2: 0x10000, 3: 80, 4: 60, 5: 20}
    assert [number for number, way in ways.items() if way[-1].name == "taken by the client"] == [1, 3, 4, 5]
    taken = [item.told["length_bytes"] for item in found.named("taken by the client")]
    assert taken == [40, 80, 60, 20]


def packet(size):
    return bytes([0x45]) + bytes(size - 1)


def test_packets_that_are_skipped_shift_no_other_packets_way(path):
    faults = FaultPlan.parse("nbl:3,5-6")
    found, report = simulate(path, "ping:count=8,interval=1ms", arguments=("1000",), until="1s", faults=faults)
    assert report.adapters[0]["in_discards"] == 3
    ways = [way for way in found.flows.values() if way[-1].name == "return"]
    assert len(ways) == 5
    stores = [item.time_ns for item in found.named("store Wintun.receive.Tail")]
    assert [way[0].time_ns for way in ways] == [stores[place] for place in (0, 1, 3, 6, 7)]


def test_late_returns_are_the_end_of_the_way(path):
    found, _ = simulate(
        path,
        "ping:count=5,interval=1ms",
        until="1s",
        arguments=("1000",),
        returns=ReturnPolicy(delay_ns=100_000, status=1),
    )
    ways = [way for way in found.flows.values() if way[0].name == "written by the client"]
    assert len(ways) == 5
    for way in ways:
        assert way[2].time_ns - way[1].time_ns >= 100_000
        assert way[2].name.startswith("return with ")
        assert way[2].track.name == "Wintun NDIS return 1"


def test_heads_that_are_stored_in_the_wrong_order_lose_no_packets_way(tmp_path):
    """Two returns may store Head in either order (B2); then there is more in the ring for a moment."""
    returns = ReturnPolicy(delay_ns=200_000, jitter_ns=100_000, processors=2, order="random")
    found, _ = simulate(
        tmp_path / "p",
        "udp:rate=300000,size=1400",
        client=SATURATED,
        arguments=("1200",),
        returns=returns,
        host="desktop",
        trace=tmp_path / "t",
    )
    received = [way for way in found.ways() if way[-1] == "return"]
    assert set(received) == {("written by the client", "receive", "return")}
    assert len(received) == len(found.named("receive")) > 1000
    head = tail = most = went_back = 0
    for line in map(json.loads, (tmp_path / "t").read_text().splitlines()):
        if line.get("word") == "Wintun.receive.Head" and line["value"] != 0xFFFFFFFF:
            head = line["value"]
            went_back += head < line["old"]
        elif line.get("word") == "Wintun.receive.Tail":
            tail = line["value"]
        most = max(most, (tail - head) % 0x400000)
    assert went_back
    assert max(value for _, value in found.counter("receive ring content")) == most


def test_a_client_that_stores_nonsense_is_traced_all_the_same(path):
    def script(ndis):
        ndis.wait_for_link()
        for _ in range(30):
            ndis.send(packet(100))
            ndis.sleep("100us")

    found, report = simulate(path, client=nonsense_client, script=script)
    assert report.exit_code == 0
    assert all(0 <= value < 0x20000 for _, value in found.counter("send ring content"))
    assert len(found.named("send")) == 30


def nonsense_client():
    import ctypes
    import random
    import struct

    kernel32 = ctypes.WinDLL("kernel32")
    cfgmgr32 = ctypes.WinDLL("cfgmgr32")
    kernel32.CreateFileW.restype = kernel32.CreateEventW.restype = kernel32.VirtualAlloc.restype = ctypes.c_void_p
    kernel32.CreateFileW.argtypes = [ctypes.c_wchar_p] + [ctypes.c_void_p] * 6
    kernel32.DeviceIoControl.argtypes = [ctypes.c_void_p] * 8
    kernel32.VirtualAlloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_ulong, ctypes.c_ulong]
    guid = bytes.fromhex("8484c8ca1575034c82e671a87abac361")
    length = ctypes.c_ulong()
    cfgmgr32.CM_Get_Device_Interface_List_SizeW(ctypes.byref(length), guid, None, 0)
    paths = ctypes.create_unicode_buffer(length.value)
    cfgmgr32.CM_Get_Device_Interface_ListW(guid, None, paths, length, 0)
    size = 12 + 0x20000 + 0x10000
    device = kernel32.CreateFileW(paths.value, 0xC0000000, 7, None, 3, 0, None)
    addresses = [kernel32.VirtualAlloc(None, size, 0x3000, 4) for _ in range(2)]
    events = [kernel32.CreateEventW(None, 0, 0, None) for _ in range(2)]
    words = [memoryview((ctypes.c_char * 12).from_address(address)).cast("B").cast("I") for address in addresses]
    record = struct.pack("<I4xQQI4xQQ", size, addresses[0], events[0], size, addresses[1], events[1])
    returned = ctypes.c_ulong()
    assert kernel32.DeviceIoControl(device, 0xCA6CE5C0, record, 48, None, 0, ctypes.byref(returned), None)
    for _ in range(60):
        words[0][random.choice((0, 2))] = random.choice((random.getrandbits(32), random.getrandbits(17), 4, 0))
        words[1][random.choice((1, 2))] = random.choice((random.getrandbits(32), random.getrandbits(17), 4, 0))
        kernel32.Sleep(1)


# -- the file -----------------------------------------------------------------------------------------------------


def test_writing_changes_no_digest_and_the_same_run_gives_the_same_file(tmp_path):
    reports = [simulate(tmp_path / name, "ping:count=3", until="5s")[1] for name in ("a", "b")]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    simulation = Simulation()
    simulation.add_adapter()
    simulation.network("ping:count=3")
    simulation.spawn(RING_CLIENT, stdout=io.StringIO())
    assert {report.digest for report in reports} == {simulation.run("5s").digest}


def test_the_file_appears_under_its_name_when_it_is_whole(path):
    path.write_bytes(b"old")
    file = PerfettoTrace(path, System())
    assert path.read_bytes() == b"old"
    file.close()
    file.close()
    assert read(path).processes == {SYSTEM_PROCESS_ID: "System"}
    PerfettoTrace(path, System()).discard()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["missing/trace", ".", "nul\0byte"])
def test_a_file_that_cannot_be_written_is_the_users_mistake(tmp_path, name):
    with pytest.raises(UsageError, match=r"the Perfetto trace .* cannot be written \(.+\): choose another file"):
        Simulation().write_perfetto(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_without_the_library_it_says_how_to_get_it(monkeypatch, path):
    monkeypatch.setitem(sys.modules, "perfetto.protos.perfetto.trace.perfetto_trace_pb2", None)
    with pytest.raises(UsageError, match=r"needs the library 'perfetto'.* pip install 'wintunsim\[perfetto\]'"):
        Simulation().write_perfetto(path)
    assert not list(path.parent.iterdir())


def test_the_command_line_writes_it(tmp_path, wintunsim):
    command = ["run", "--quiet", "--until", "2s"]
    files = ["--perfetto", "out.pftrace", "--traffic", "ping:count=1"]
    wintunsim(*command, *files, RING_CLIENT, cwd=tmp_path).check_returncode()
    assert ("send", "complete", "taken by the client") in read(tmp_path / "out.pftrace").ways()
    twice = wintunsim(*command, "--perfetto", "x", "--trace", "x", RING_CLIENT, cwd=tmp_path)
    assert (twice.returncode, twice.stderr) == (
        2,
        "wintunsim: --trace and --perfetto both name 'x': give each a file of its own\n",
    )


def test_a_run_without_it_does_not_load_the_library():
    code = "import sys, wintunsim.simulation; assert 'perfetto' not in sys.modules and 'google' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


MEMORY = """
import resource, sys
from wintun_model.trace import Kind
from wintunsim.kernel.system import System
from wintunsim.trace.perfetto import PerfettoTrace

def peak_after(count):
    system = System()
    trace = system.machine.trace
    file = PerfettoTrace(sys.argv[1], system)
    thread, source = trace.define("a thread"), trace.define("a source")
    for number in range(count):
        trace.record((number, thread, Kind.SEND, source, number, 100))
        trace.record((number, thread, Kind.COMPLETE, source, number, 0))
        trace.checkpoint()
    file.close()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

print(-peak_after(5000) + peak_after(40000))
"""


def test_memory_does_not_grow_with_the_trace(path):
    """Measured from outside Python, as the messages have memory of their own."""
    process = subprocess.run(
        [sys.executable, "-c", MEMORY, path], check=True, timeout=100, capture_output=True, text=True
    )
    assert path.stat().st_size > 4_000_000
    assert int(process.stdout) < 3_000_000


if SHELL:
    # Perfetto's trace processor is in no registry that tests install from: who has it names its program.
    def test_perfettos_own_trace_processor_agrees(path):
        """The rows that it finds, and the queries of the page."""
        from perfetto.trace_processor import TraceProcessor, TraceProcessorConfig

        found, _ = simulate(path, "ping:count=3", until="5s")
        processor = TraceProcessor(trace=str(path), config=TraceProcessorConfig(bin_path=SHELL))
        try:
            arrows = sum(len(way) - 1 for way in found.flows.values())
            assert next(iter(processor.query("select count(*) as n from flow"))).n == arrows
            assert next(iter(processor.query("select count(*) as n from slice"))).n == len(found.slices)
            for query in (ROOT / "docs" / "perfetto.md").read_text(encoding="utf-8").split("```sql\n")[1:]:
                assert list(processor.query(query.split("```")[0]))
            errors = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
            assert list(processor.query(errors)) == []
        finally:
            processor.close()
