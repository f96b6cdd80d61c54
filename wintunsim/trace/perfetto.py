"""The trace as a file for ui.perfetto.dev: threads, waits, requests, ring content, and the way of each packet.

docs/perfetto.md tells what is seen there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike

from wintun_model.abi import STOPPED, TUN_IOCTL_FORCE_CLOSE_HANDLES, TUN_IOCTL_REGISTER_RINGS
from wintun_model.status import NdisStatus, NtStatus
from wintun_model.trace import RECORD_LENGTH, Kind
from wintunsim.kernel.machine import TIMED_OUT
from wintunsim.kernel.ndis import Port
from wintunsim.kernel.system import System
from wintunsim.kernel.thread import Thread
from wintunsim.trace.perfetto_packets import TrackEvents
from wintunsim.trace.perfetto_rings import Published, ReceiveTracks, RingTracks, SendTracks
from wintunsim.trace.whole_file import WholeFile

SYSTEM_PROCESS_ID = 4
"""The process id of "System", which the kernel's threads are shown in; it is Windows' own."""

_REQUESTS = {
    TUN_IOCTL_REGISTER_RINGS: "TUN_IOCTL_REGISTER_RINGS",
    TUN_IOCTL_FORCE_CLOSE_HANDLES: "TUN_IOCTL_FORCE_CLOSE_HANDLES",
}
_NT_STATUSES = {int(status): status.name for status in NtStatus}
_NDIS_STATUSES = {int(status): status.name for status in NdisStatus}


class _ThreadTrack:
    """A thread's track, and what has begun on it and not ended: "request" or "wait", the last one last."""

    __slots__ = ("open", "track")

    def __init__(self, track: int) -> None:
        self.track = track
        self.open: list[str] = []


class _AdapterTracks:
    """What is shown of one adapter, below a track with its name."""

    def __init__(self, events: TrackEvents, name: str) -> None:
        group = events.group(f"adapter {name}")
        self.link = events.plain(group, 0, "link")
        self.send = SendTracks(events, group, 1, "send ring")
        self.receive = ReceiveTracks(events, group, 3, "receive ring")


class PerfettoTrace:
    """Writes a computer's trace as Perfetto's track events, as it grows. `-` is standard output.

    The file grows as `NAME.part` and appears under its name when it is closed. Timestamps are virtual ns. UsageError
    when the file cannot be written, or when the library `perfetto` is not installed.
    """

    def __init__(self, path: str | PathLike[str], system: System) -> None:
        self._events = TrackEvents()
        self._file = WholeFile(path, "the Perfetto trace", binary=True)
        self._system = system
        self._trace = system.machine.trace
        self._names = self._trace.names
        self._processes: dict[int, int] = {}
        self._threads: dict[int, _ThreadTrack] = {}
        self._adapters: dict[int, _AdapterTracks] = {}
        self._words: dict[int, tuple[RingTracks, int]] = {}
        self._sent: dict[tuple[int, int], tuple[int, int]] = {}
        """Packets between SEND and COMPLETE, by source and number: (flow, length in bytes)."""
        self._indicated: dict[tuple[int, int], int] = {}
        """Flows of packets between RECEIVE and RETURN, by adapter and number."""
        self._published: dict[int, Published] = {}
        self._flows = 0
        self._handlers: dict[int, Callable[[int, int, int, int, int], None]] = {
            Kind.STORE: self._store,
            Kind.SET: self._set,
            Kind.CLEAR: self._clear,
            Kind.WAIT: self._wait,
            Kind.WAKE: self._wake,
            Kind.REQUEST: self._request,
            Kind.STATUS: self._status,
            Kind.THREAD_START: self._thread_start,
            Kind.THREAD_END: self._thread_end,
            Kind.SEND: self._send,
            Kind.COMPLETE: self._complete,
            Kind.RECEIVE: self._receive,
            Kind.RETURN: self._return,
            Kind.LINK: self._link,
            Kind.OPEN: self._open,
            Kind.CLOSE: self._close,
            Kind.PROCESS_START: self._process_start,
            Kind.PROCESS_END: self._process_end,
            Kind.COMMAND: self._command,
        }
        self._events_process(SYSTEM_PROCESS_ID, "System")
        self._trace.add_sink(self.write)

    def write(self, records: Sequence[int]) -> None:
        """Write a batch of whole records, flattened; nothing once the file is closed."""
        if not self._file.is_open:
            return
        self._look_for_rings(records[0])
        handlers = self._handlers
        for start in range(0, len(records), RECORD_LENGTH):
            time_ns, thread, kind, subject, value, extra = records[start : start + RECORD_LENGTH]
            handler = handlers.get(kind)
            if handler is not None:
                if kind != Kind.WAKE:
                    self._leave_wait(thread, time_ns)
                handler(time_ns, thread, subject, value, extra)
        self._file.write(self._events.take())

    def close(self) -> None:
        """Finish the file, with all that was recorded so far, and give it its name. Again: nothing."""
        if self._file.is_open:
            self._trace.flush()
            self._file.write(self._events.take())
            self._file.close()

    def discard(self) -> None:
        """Give the file up. No effect after `close`."""
        self._file.discard()

    # -- tracks -----------------------------------------------------------------------------------------------------

    def _events_process(self, process_id: int, name: str) -> int:
        track = self._processes.get(process_id)
        if track is None:
            track = self._processes[process_id] = self._events.process(process_id, name)
        return track

    def _thread(self, number: int) -> _ThreadTrack:
        """A thread's track, by the thread's number; 0 is for what happens outside of threads."""
        known = self._threads.get(number)
        if known is None:
            thread = self._find_thread(number)
            name = self._names[number] if number else "(no thread)"
            if thread is None:
                # No multiple of 4, so no id that a thread or a process of the simulation has.
                track = self._events.thread(SYSTEM_PROCESS_ID, 4 * number + 2, name)
            else:
                process = thread.process
                self._events_process(process.process_id, process.name)
                track = self._events.thread(process.process_id, thread.thread_id, name.removeprefix(f"{process.name}/"))
            known = self._threads[number] = _ThreadTrack(track)
        return known

    def _find_thread(self, number: int) -> Thread | None:
        """A client's thread. A process names its threads after itself; those that are looked for started last."""
        name = self._names[number]
        for process in reversed(self._system.processes):
            if name.startswith(f"{process.name}/"):
                for thread in reversed(process.threads):
                    if thread.number == number:
                        return thread
        return None

    def _adapter(self, number: int) -> _AdapterTracks:
        known = self._adapters.get(number)
        if known is None:
            known = self._adapters[number] = _AdapterTracks(self._events, self._names[number])
        return known

    def _look_for_rings(self, time_ns: int) -> None:
        """Follow registrations that are new. The trace is handed on when a thread starts, as the driver's reader does
        in each registration: so a ring is seen before the first store in it comes here."""
        for device in self._system.all_devices:
            port: Port = device.port
            for monitor, is_send in ((port.send_monitor, True), (port.receive_monitor, False)):
                if monitor is None:
                    continue
                adapter = self._adapter(port.trace_number)
                ring: RingTracks = adapter.send if is_send else adapter.receive
                if ring.monitor is not monitor:
                    self._words = {number: word for number, word in self._words.items() if word[0] is not ring}
                    for place, number in enumerate(ring.follow(monitor, time_ns)):
                        self._words[number] = (ring, place)

    def _instant(
        self, thread: int, time_ns: int, category: str, name: str, annotations: dict[str, int | str], flow: int = 0
    ) -> None:
        self._events.instant(self._thread(thread).track, time_ns, category, name, annotations, flow)

    # -- ring words and events --------------------------------------------------------------------------------------

    def _store(self, time_ns: int, thread: int, word: int, value: int, old: int) -> None:
        track = self._thread(thread).track
        name = self._names[word]
        self._events.instant(
            track,
            time_ns,
            "ring",
            f"{name} stopped" if value == STOPPED else f"store {name}",
            {"value": value, "old": old},
        )
        ring, place = self._words.get(word, (None, 0))
        if ring is None:
            return
        start = ring.entered
        ring.stored(place, value, old, (track, time_ns))
        if isinstance(ring, SendTracks) and place == 1 and ring.entered > start:
            self._published[thread] = Published(ring, start, ring.entered)

    def _set(self, time_ns: int, thread: int, event: int, was_set: int, _extra: int) -> None:
        self._instant(thread, time_ns, "event", f"set {self._names[event]}", {"was_set": was_set})

    def _clear(self, time_ns: int, thread: int, event: int, _value: int, _extra: int) -> None:
        self._instant(thread, time_ns, "event", f"clear {self._names[event]}", {})

    # -- waits and requests -----------------------------------------------------------------------------------------

    def _item(self, number: int) -> str:
        """What is waited for: threads and processes until they end."""
        name = self._names[number]
        return f"the end of {name.removesuffix(' ended')}" if name.endswith(" ended") else name

    def _wait(self, time_ns: int, thread: int, item: int, objects: int, deadline_ns: int) -> None:
        known = self._thread(thread)
        name = f"wait for {self._item(item)}" + (f" and {objects - 1} more" if objects > 1 else "")
        annotations: dict[str, int | str] = {"objects": objects}
        if deadline_ns >= 0:
            annotations["deadline_ns"] = deadline_ns
        known.open.append("wait")
        self._events.begin(known.track, time_ns, "wait", name, annotations)

    def _wake(self, time_ns: int, thread: int, item: int, index: int, _extra: int) -> None:
        known = self._thread(thread)
        if known.open and known.open[-1] == "wait":
            known.open.pop()
            ended_by = "the timeout" if index == TIMED_OUT else self._item(item)
            self._events.end(known.track, time_ns, {"ended_by": ended_by})
        else:
            self._events.instant(known.track, time_ns, "wait", f"no wait for {self._item(item)}", {"index": index})

    def _leave_wait(self, thread: int, time_ns: int) -> None:
        """A thread that does something waits no more, also when nothing has said so: it was interrupted."""
        known = self._threads.get(thread)
        if known is not None and known.open and known.open[-1] == "wait":
            known.open.pop()
            self._events.end(known.track, time_ns, {"ended_by": "an interruption"})

    def _request(self, time_ns: int, thread: int, device: int, code: int, length_bytes: int) -> None:
        known = self._thread(thread)
        known.open.append("request")
        name = _REQUESTS.get(code, f"0x{code:08X}")
        annotations: dict[str, int | str] = {"device": self._names[device], "input_bytes": length_bytes}
        self._events.begin(known.track, time_ns, "request", f"DeviceIoControl {name}", annotations)

    def _status(self, time_ns: int, thread: int, _device: int, status: int, information: int) -> None:
        known = self._thread(thread)
        if known.open:
            known.open.pop()
            text = _NT_STATUSES.get(status, f"0x{status:08X}")
            self._events.end(known.track, time_ns, {"status": text, "information": information})

    def _open(self, time_ns: int, thread: int, device: int, access: int, _extra: int) -> None:
        self._instant(thread, time_ns, "request", f"open {self._names[device]}", {"access": f"0x{access:08X}"})

    def _close(self, time_ns: int, thread: int, device: int, _value: int, _extra: int) -> None:
        self._instant(thread, time_ns, "request", f"close {self._names[device]}", {})

    # -- packets ----------------------------------------------------------------------------------------------------

    def _new_flow(self) -> int:
        self._flows += 1
        return self._flows

    def _send(self, time_ns: int, thread: int, source: int, packet: int, length_bytes: int) -> None:
        flow = self._new_flow()
        self._sent[source, packet] = (flow, length_bytes)
        self._instant(thread, time_ns, "packet", "send", self._packet(source, packet, length_bytes), flow)

    def _packet(self, source: int, packet: int, length_bytes: int) -> dict[str, int | str]:
        return {"source": self._names[source], "packet": packet, "length_bytes": length_bytes}

    def _complete(self, time_ns: int, thread: int, source: int, packet: int, status: int) -> None:
        flow, length_bytes = self._sent.pop((source, packet), (0, 0))
        annotations = self._packet(source, packet, length_bytes)
        if status:
            text = _NDIS_STATUSES.get(status, f"0x{status:08X}")
            self._instant(thread, time_ns, "drop", f"drop: {text}", annotations, flow)
        else:
            self._instant(thread, time_ns, "packet", "complete", annotations, flow)
        published = self._published.get(thread)
        position = published.take(length_bytes) if published is not None and flow else None
        if published is not None and position is not None:
            published.ring.completed(position, flow, annotations)

    def _receive(self, time_ns: int, thread: int, adapter: int, packet: int, length_bytes: int) -> None:
        flow = self._indicated[adapter, packet] = self._new_flow()
        annotations = self._packet(adapter, packet, length_bytes)
        self._adapter(adapter).receive.received(length_bytes, flow, annotations)
        self._instant(thread, time_ns, "packet", "receive", annotations, flow)

    def _return(self, time_ns: int, thread: int, adapter: int, packet: int, status: int) -> None:
        flow = self._indicated.pop((adapter, packet), 0)
        text = f" with {_NDIS_STATUSES.get(status, f'0x{status:08X}')}" if status else ""
        self._instant(
            thread, time_ns, "packet", f"return{text}", {"source": self._names[adapter], "packet": packet}, flow
        )

    def _link(self, time_ns: int, _thread: int, adapter: int, connected: int, _extra: int) -> None:
        name = "link up" if connected else "link down"
        self._events.instant(self._adapter(adapter).link, time_ns, "link", name, {})

    # -- threads and processes --------------------------------------------------------------------------------------

    def _thread_start(self, time_ns: int, thread: int, started: int, priority: int, _extra: int) -> None:
        annotations: dict[str, int | str] = {"priority": priority}
        if thread:
            annotations["by"] = self._names[thread]
        self._instant(started, time_ns, "thread", "start", annotations)

    def _thread_end(self, time_ns: int, _thread: int, ended: int, exit_code: int, _extra: int) -> None:
        known = self._thread(ended)
        for _ in known.open:
            self._events.end(known.track, time_ns, {"ended_by": "the end of the thread"})
        known.open.clear()
        self._published.pop(ended, None)
        self._events.instant(known.track, time_ns, "thread", "end", {"exit_code": exit_code})

    def _process_track(self, number: int) -> int:
        for process in self._system.processes:
            if process.trace_number == number:
                return self._events_process(process.process_id, process.name)
        return self._processes[SYSTEM_PROCESS_ID]

    def _process_start(self, time_ns: int, _thread: int, process: int, _value: int, _extra: int) -> None:
        self._events.instant(self._process_track(process), time_ns, "process", "process start", {})

    def _process_end(self, time_ns: int, _thread: int, process: int, exit_code: int, _extra: int) -> None:
        track = self._process_track(process)
        self._events.instant(track, time_ns, "process", "process end", {"exit_code": exit_code})

    def _command(self, time_ns: int, thread: int, command: int, exit_code: int, _extra: int) -> None:
        annotations: dict[str, int | str] = {"command": self._names[command], "exit_code": exit_code}
        self._instant(thread, time_ns, "process", "command", annotations)
