"""Perfetto's packets: tracks, slices, instants, counters, flows, in the form of its track events.

The messages are those of the library `perfetto`, which need not be installed for anything else. What was put in is
handed out by `take` as bytes, so that nothing stays here but each text once, under its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from wintunsim.errors import UsageError

SEQUENCE = 1
"""All packets are of one sequence, which they name."""
_STATE_CLEARED, _NEEDS_STATE = 1, 2

Annotations = Mapping[str, int | str]
"""What is told of an event besides its name: values by their names."""


def load_messages() -> ModuleType:
    """The messages of Perfetto's trace format. UsageError when the library is not installed."""
    try:
        return import_module("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    except ImportError as error:
        raise UsageError(
            f"a trace for Perfetto needs the library 'perfetto', which cannot be loaded ({error}): "
            "install it with pip install 'wintunsim[perfetto]'"
        ) from None


class TrackEvents:
    """Makes packets of tracks and of events on them. A track is known by the number that its making answers.

    Events may be put in out of order: who reads the file sorts them by time. Times are in virtual ns.
    """

    def __init__(self) -> None:
        messages = load_messages()
        self._new_trace = messages.Trace
        self._trace: Any = messages.Trace()
        kinds = messages.TrackEvent
        self._begin, self._end = kinds.TYPE_SLICE_BEGIN, kinds.TYPE_SLICE_END
        self._instant, self._counter = kinds.TYPE_INSTANT, kinds.TYPE_COUNTER
        self._bytes_unit = messages.CounterDescriptor.UNIT_SIZE_BYTES
        self._explicit = messages.TrackDescriptor.EXPLICIT
        self._tracks = 0
        self._names: dict[str, int] = {}
        self._categories: dict[str, int] = {}
        self._annotations: dict[str, int] = {}
        first = self._trace.packet.add()
        first.trusted_packet_sequence_id = SEQUENCE
        first.sequence_flags = _STATE_CLEARED

    def take(self) -> bytes:
        """What was put in since the last time: whole packets, which go on those before."""
        data: bytes = self._trace.SerializeToString()
        self._trace = self._new_trace()  # a message that is only cleared keeps its memory
        return data

    # -- tracks -----------------------------------------------------------------------------------------------------

    def _track(self, name: str = "", parent: int = 0) -> tuple[int, Any]:
        self._tracks += 1
        packet = self._trace.packet.add()
        packet.trusted_packet_sequence_id = SEQUENCE
        descriptor = packet.track_descriptor
        descriptor.uuid = self._tracks
        if name:
            descriptor.name = name
        if parent:
            descriptor.parent_uuid = parent
        return self._tracks, descriptor

    def process(self, process_id: int, name: str) -> int:
        """A process, with a track for what concerns all of it."""
        track, descriptor = self._track()
        descriptor.process.pid = process_id
        descriptor.process.process_name = name
        return track

    def thread(self, process_id: int, thread_id: int, name: str) -> int:
        """The track of a thread."""
        track, descriptor = self._track()
        descriptor.thread.pid = process_id
        descriptor.thread.tid = thread_id
        descriptor.thread.thread_name = name
        return track

    def group(self, name: str) -> int:
        """A track that others stand below, in the order of their ranks."""
        track, descriptor = self._track(name)
        descriptor.child_ordering = self._explicit
        return track

    def plain(self, parent: int, rank: int, name: str) -> int:
        """A track for slices and instants, below a group."""
        track, descriptor = self._track(name, parent)
        descriptor.sibling_order_rank = rank
        return track

    def counter(self, parent: int, rank: int, name: str, description: str, *, is_bytes: bool = False) -> int:
        """A track for values over time, below a group."""
        track, descriptor = self._track(name, parent)
        descriptor.sibling_order_rank = rank
        descriptor.description = description
        descriptor.counter.SetInParent()
        if is_bytes:
            descriptor.counter.unit = self._bytes_unit
        return track

    # -- events -----------------------------------------------------------------------------------------------------

    def begin(self, track: int, time_ns: int, category: str, name: str, annotations: Annotations) -> None:
        """A slice begins on a track; slices nest."""
        self._event(track, time_ns, self._begin, category, name, annotations)

    def end(self, track: int, time_ns: int, annotations: Annotations) -> None:
        """The slice that began last on a track ends; what is annotated here is told of the slice."""
        packet = self._packet(track, time_ns, self._end)
        self._annotate(packet, annotations)

    def instant(
        self, track: int, time_ns: int, category: str, name: str, annotations: Annotations, flow: int = 0
    ) -> None:
        """Something happens on a track; instants with the same `flow` are linked by arrows, in the order of time."""
        packet = self._event(track, time_ns, self._instant, category, name, annotations)
        if flow:
            packet.track_event.flow_ids.append(flow)

    def count(self, track: int, time_ns: int, value: int) -> None:
        """A counter's value from now on."""
        self._packet(track, time_ns, self._counter).track_event.counter_value = value

    def _packet(self, track: int, time_ns: int, kind: int) -> Any:
        packet = self._trace.packet.add()
        packet.trusted_packet_sequence_id = SEQUENCE
        packet.sequence_flags = _NEEDS_STATE
        packet.timestamp = time_ns
        event = packet.track_event
        event.type = kind
        event.track_uuid = track
        return packet

    def _event(self, track: int, time_ns: int, kind: int, category: str, name: str, annotations: Annotations) -> Any:
        packet = self._packet(track, time_ns, kind)
        event = packet.track_event
        event.name_iid = self._names.get(name) or _intern(self._names, name, packet.interned_data.event_names)
        event.category_iids.append(
            self._categories.get(category) or _intern(self._categories, category, packet.interned_data.event_categories)
        )
        if annotations:
            self._annotate(packet, annotations)
        return packet

    def _annotate(self, packet: Any, annotations: Annotations) -> None:
        known = self._annotations
        for name, value in annotations.items():
            annotation = packet.track_event.debug_annotations.add()
            annotation.name_iid = known.get(name) or _intern(known, name, packet.interned_data.debug_annotation_names)
            if isinstance(value, str):
                annotation.string_value = value
            else:
                annotation.int_value = value


def _intern(known: dict[str, int], text: str, told: Any) -> int:
    """Give a text its number, and tell it in the packet that uses it first."""
    number = known[text] = len(known) + 1
    entry = told.add()
    entry.iid = number
    entry.name = text
    return number
