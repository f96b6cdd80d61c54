"""Vectors of what begins and ends registrations and adapters (spec driver §6, §7, §9): steps in a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wintun_model import operations as op
from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES, TUN_IOCTL_REGISTER_RINGS
from wintun_model.adapter import Adapter, Packet, SendChain
from wintun_model.dispatch import close, device_control, process_exit, remove
from wintun_model.immediate import SimpleCaller
from wintun_model.miniport import halt, initialize, pause
from wintun_model.receive import return_nbls
from wintun_model.registration import Registration
from wintun_model.revision import REVISIONS as DRIVER_REVISIONS
from wintun_model.revision import Revision
from wintun_model.ring import stored_bytes
from wintun_model.send import send
from wintunsim.conformance import lifecycle_cases
from wintunsim.conformance.bench import Bench, Ndis, Rings
from wintunsim.conformance.notation import bytes_of, packet, ring, words_of
from wintunsim.conformance.records import Case, Vector, across_drivers
from wintunsim.conformance.schema import Kind, either, flag, list_of, maybe, number, one_of, record, ref, text

TITLE = "Life cycle: register, close, process exit, force close, halt, removal, pause and initialize, step by step"
REVISIONS = tuple(DRIVER_REVISIONS)

_ADAPTER, _FILE, _PROCESS = text("name of the adapter"), text("name of a file object"), number("id of a process")
_STEPS = either(
    record({"do": one_of("register"), "adapter": _ADAPTER, "file": _FILE, "process": _PROCESS}),
    record({"do": one_of("close"), "adapter": _ADAPTER, "file": _FILE}, about="the file object's last handle is gone"),
    record({"do": one_of("process-exit"), "process": _PROCESS}, about="the notice that comes before handles go"),
    record({"do": one_of("force-close"), "adapter": _ADAPTER, "process": _PROCESS}, about="the control code, by it"),
    record({"do": one_of("halt", "pause", "restart", "initialize"), "adapter": _ADAPTER}),
    record({"do": one_of("remove"), "adapter": _ADAPTER, "file": maybe(_FILE, "that the request carries")}),
    record({"do": one_of("send", "write"), "adapter": _ADAPTER, "size": number()}, about="NDIS sends; the client does"),
    record({"do": one_of("return"), "adapter": _ADAPTER, "nbl": number("of the adapter, in order of indication")}),
)
_STATE = record(
    {
        "owner": maybe(_FILE, "that has registered"),
        "is_running": flag("between restart and pause"),
        "is_attached": flag("requests find the adapter's context"),
        "is_disconnected": flag("the disconnected event"),
        "send": maybe(ref("words"), "of the ring registered last; null: never"),
        "receive": maybe(ref("words"), "of the ring registered last"),
        "send_moved": flag("the send TailMoved is signalled"),
        "is_locked": flag("the ring's pages are locked down"),
        "statistics": ref("statistics"),
    }
)
KINDS = {
    "steps": Kind(
        about="steps on adapters that NDIS has initialized and not restarted; a registration has rings of zeros of its "
        "own each time, auto-reset events that nobody waits for but the driver, and comes from LocalSystem at system "
        "integrity",
        input=record(
            {
                "adapters": list_of(_ADAPTER, least=1),
                "ndis": one_of("returns", "keeps", about="what it does with indicated NBLs: return at once, or keep"),
                "handles": list_of(
                    record({"process": _PROCESS, "handle": number(), "adapter": _ADAPTER, "file": _FILE}),
                    "that are open to the devices at the start",
                ),
                "steps": list_of(_STEPS, least=1),
            }
        ),
        expected=record(
            {
                "steps": list_of(
                    record(
                        {
                            "is_done": flag("false: it waits for a later step"),
                            "finished": list_of(number(), "earlier steps, from 0, that are done only now"),
                            "statuses": list_of(number(), "of the request, or of the NBLs of a send"),
                            "link": list_of(
                                record({"adapter": _ADAPTER, "connected": flag("")}), "indications to NDIS, in order"
                            ),
                            "handles": list_of(
                                record({"process": _PROCESS, "handle": number()}), "that are still open"
                            ),
                            "devices": list_of(_ADAPTER, "on the driver's list of registered devices, in order"),
                            "adapters": {
                                "type": "object",
                                "description": "the state of each adapter after the step",
                                "additionalProperties": _STATE,
                            },
                        }
                    )
                )
            }
        ),
    ),
    "initialize": Kind(
        about="what a miniport tells NDIS at initialize",
        input=record({"faults": list_of(record({"what": text(), "attempt": number()}))}),
        expected=record(
            {
                "status": number(),
                "link": list_of({"type": "boolean"}),
                "attributes": maybe({"type": "object"}, "the registration attributes; null when it failed"),
            }
        ),
    ),
}


def vectors() -> Iterator[Vector]:
    """All vectors of the group."""
    for case in lifecycle_cases.cases():
        yield from _across(case)


def _across(case: Case) -> Iterator[Vector]:
    if case.kind == "initialize":
        return across_drivers(case, lambda revision: _initialize(revision, case.input))
    return across_drivers(case, lambda revision: _Story(revision, case.input).expected())


def _initialize(revision: Revision, described: Mapping[str, Any]) -> dict[str, Any]:
    bench = Bench(revision, faults=described["faults"])
    adapter = Adapter("tun", bench.driver, is_initialized=False)
    status, attributes = bench.run(initialize(adapter))
    told = None if attributes is None else {name: getattr(attributes, name) for name in attributes.__slots__}
    return {"status": int(status), "link": list(bench.ndis.links), "attributes": told}


class _Watcher(Ndis):
    """NDIS's side of several adapters."""

    def __init__(self, *, keeps_nbls: bool) -> None:
        super().__init__(keeps_nbls=keeps_nbls)
        self.told: list[dict[str, Any]] = []

    def indicate_link(self, adapter: Adapter, connected: bool) -> op.Routine[None] | None:
        """The link goes up or down."""
        self.told.append({"adapter": adapter.name, "connected": connected})
        return None


class _Story:
    """Some adapters of one driver, and what happens to them step by step."""

    def __init__(self, revision: Revision, described: Mapping[str, Any]) -> None:
        self.described = described
        self.ndis = _Watcher(keeps_nbls=described["ndis"] == "keeps")
        self.handles = [dict(handle) for handle in described["handles"]]
        self.callers: dict[int, SimpleCaller] = {}
        self.bench = Bench(revision, ndis=self.ndis, handles=self._list_handles, close_handle=self._close_handle)
        self.adapters = {name: Adapter(name, self.bench.driver) for name in described["adapters"]}
        self.rings: dict[str, Rings] = {}
        self.waiting: dict[int, Any] = {}

    def expected(self) -> dict[str, Any]:
        """What comes of all steps."""
        return {"steps": [self._step(number, step) for number, step in enumerate(self.described["steps"])]}

    def _step(self, number: int, step: Mapping[str, Any]) -> dict[str, Any]:
        self.ndis.told.clear()
        thread, statuses_of = self._start(step)
        is_done = thread is None or thread.ended.signalled
        if not is_done:
            self.waiting[number] = thread
        finished = [each for each, waiting in self.waiting.items() if waiting.ended.signalled]
        for each in finished:
            del self.waiting[each]
        return {
            "is_done": is_done,
            "finished": finished,
            "statuses": [int(status) for status in statuses_of(thread)] if is_done else [],
            "link": list(self.ndis.told),
            "handles": [{"process": each["process"], "handle": each["handle"]} for each in self.handles],
            "devices": [adapter.name for adapter in self.bench.driver.registered.value],
            "adapters": {name: self._state(adapter) for name, adapter in self.adapters.items()},
        }

    def _start(self, step: Mapping[str, Any]) -> tuple[Any, Any]:
        """Start what a step does: (its thread, a function that answers the statuses when the thread has ended)."""
        adapter = self.adapters[step["adapter"]] if "adapter" in step else next(iter(self.adapters.values()))
        start = self.bench.start
        nothing: Any = lambda thread: []  # noqa: E731
        of_request: Any = lambda thread: [thread.result[0]]  # noqa: E731
        match step["do"]:
            case "register":
                return start(self._register(adapter, step)), of_request
            case "close":
                return start(close(adapter, step["file"])), nothing
            case "process-exit":
                return start(process_exit(self.bench.driver, step["process"])), nothing
            case "force-close":
                request = Registration(self._caller(step["process"]), "the caller's", b"")
                return start(device_control(adapter, request, TUN_IOCTL_FORCE_CLOSE_HANDLES)), of_request
            case "halt":
                return start(halt(adapter)), nothing
            case "pause":
                return start(pause(adapter)), nothing
            case "restart":
                self.bench.restart(adapter)
                return None, nothing
            case "initialize":
                return start(initialize(adapter)), of_request
            case "remove":
                return start(remove(adapter, step["file"])), nothing
            case "send":
                chain = SendChain.of(Packet(bytes_of(packet(step["size"]))))
                return start(send(adapter, chain)), lambda thread: [nbl.status for nbl in chain.nbls]
            case "write":
                self._write(adapter, step["size"])
                return None, nothing
        nbls = [nbl for nbl in self.ndis.indicated if nbl.ring.name.startswith(f"{adapter.name}.")]
        return start(return_nbls(adapter, (nbls[step["nbl"]],))), nothing

    def _caller(self, process_id: int) -> SimpleCaller:
        return self.callers.setdefault(process_id, SimpleCaller(process_id))

    def _register(self, adapter: Adapter, step: Mapping[str, Any]) -> op.Routine[tuple[int, int]]:
        rings = Rings(ring(0x20000, fill="00"), ring(0x20000, fill="00"))
        caller = rings.process(step["process"])
        status, information = yield from device_control(
            adapter, Registration(caller, step["file"], rings.record()), TUN_IOCTL_REGISTER_RINGS
        )
        if not status:
            self.rings[adapter.name] = rings
        return status, information

    def _write(self, adapter: Adapter, size: int) -> None:
        """The client puts a packet into its receive ring and sets TailMoved when it is asked to."""
        rings = self.rings[adapter.name]
        tail = words_of(rings.receive)["tail"]
        data = size.to_bytes(4, "little") + bytes_of(packet(size))
        rings.receive[12 + tail : 12 + tail + len(data)] = data
        rings.receive[4:8] = (tail + stored_bytes(size)).to_bytes(4, "little")
        if words_of(rings.receive)["alertable"]:
            rings.receive_moved.signalled = True
        self.bench.executor.settle()

    def _list_handles(self, target: Any) -> list[tuple[op.Caller, int, object]]:
        """All handles to a device, or to a file object."""
        name = target.name if isinstance(target, Adapter) else None
        return [
            (self._caller(each["process"]), each["handle"], each["file"])
            for each in self.handles
            if each["adapter"] == name or each["file"] == target
        ]

    def _close_handle(self, caller: op.Caller, handle: int) -> op.Routine[None] | None:
        for each in self.handles:
            if (each["process"], each["handle"]) == (caller.process_id, handle):
                self.handles.remove(each)
                if all(other["file"] != each["file"] for other in self.handles):
                    return close(self.adapters[each["adapter"]], each["file"])
        return None

    def _state(self, adapter: Adapter) -> dict[str, Any]:
        rings = self.rings.get(adapter.name)
        statistics = {name: count for name, count in adapter.statistics.as_dict().items() if count}
        return {
            "owner": adapter.owner.value,
            "is_running": adapter.running.value,
            "is_attached": adapter.is_attached.value,
            "is_disconnected": adapter.disconnected.signalled,
            "send": words_of(rings.send) if rings else None,
            "receive": words_of(rings.receive) if rings else None,
            "send_moved": rings.send_moved.signalled if rings else False,
            "is_locked": rings.is_locked() if rings else False,
            "statistics": statistics,
        }
