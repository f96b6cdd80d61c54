"""Vectors of the installer (spec installer §1-§5): decisions, the deferred action, and whole scenarios."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wintun_model.installer import run
from wintun_model.installer_evaluate import build_time, evaluate, version_number
from wintun_model.installer_process import process
from wintun_model.installer_scenario import INSTALLER_REVISIONS, SESSION_NAMES, Kind, Position
from wintun_model.installer_state import STEPS, InstallState, RegistryType
from wintunsim.conformance import installer_cases
from wintunsim.conformance.installer_notation import faults_of, machine_fields, machine_of, module_of, scenario_of
from wintunsim.conformance.records import Case, Vector, across
from wintunsim.conformance.schema import Kind as VectorKind
from wintunsim.conformance.schema import either, flag, list_of, maybe, number, one_of, record, text

TITLE = "The installer of 0.8 and 0.8.1: EvaluateWintun, ProcessWintun, and whole sessions of Windows Installer"
REVISIONS = tuple(INSTALLER_REVISIONS)

_MODULE = record(
    {"hash": maybe(text()), "build_time": maybe(text()), "version": maybe(text())},
    about="the properties of a merge module; null: undefined, which reads as empty",
)
_MACHINE = record(
    {
        "driver_store": list_of(record({"inf": text(), "version": text()})),
        "loaded": maybe(text(), "version of the driver that is loaded"),
        "adapters": list_of(
            record(
                {
                    "name": text(),
                    "hardware_id": text(),
                    "is_present": flag("else the system knows it, but it is not there"),
                    "is_disabled": flag("by somebody"),
                    "is_status_readable": flag("its status can be read"),
                    "handles": number("of other processes"),
                    "driver": maybe(text(), "version that it is set up with"),
                }
            )
        ),
        "registry": maybe(
            list_of(
                record(
                    {
                        "name": text("empty: the default value"),
                        "type": one_of(*(kind.name for kind in RegistryType)),
                        "data": either(text(), number(most=(1 << 64) - 1)),
                    }
                )
            ),
            "the values of HKLM\\SOFTWARE\\Wintun; null: no such key",
        ),
        "clients": list_of(text(), "products that hold the anchor component"),
        "unload_ms": number("how long the driver stays loaded after its last device has stopped"),
        "elapsed_ms": number("waited so far"),
    }
)
_FAULTS = list_of(
    record({"step": one_of(*STEPS), "target": text(), "session": text(), "error": number()}),
    "steps that fail: everywhere, or for one target or in one session; error 0: without one",
)
_STATE = one_of(*(state.name.lower() for state in InstallState))

KINDS = {
    "version": VectorKind(
        about="a version's text as the unsigned 64-bit number that is compared",
        input=record({"text": text()}),
        expected=record({"number": number(most=(1 << 64) - 1)}),
    ),
    "build-time": VectorKind(
        about="a build time's text as the signed 64-bit number that is compared",
        input=record({"text": text()}),
        expected=record({"number": number(least=-(1 << 63), most=(1 << 63) - 1)}),
    ),
    "evaluate": VectorKind(
        about="EvaluateWintun: component states, module and registry in; the deferred action's data out",
        input=record(
            {
                "installed": _STATE,
                "action": _STATE,
                "module": _MODULE,
                "registry": _MACHINE["properties"]["registry"],
                "is_component_there": flag("in the package"),
                "is_state_readable": flag("of the component"),
            }
        ),
        expected=record(
            {
                "error": number(),
                "data": text("empty: nothing to do"),
                "disables_rollback": flag("for the rest of the session"),
            }
        ),
    ),
    "process": VectorKind(
        about="ProcessWintun: the data and a machine in; the steps and the machine afterwards out",
        input=record(
            {
                "data": text(),
                "carried_version": text("of the driver in the package"),
                "start": _MACHINE,
                "faults": _FAULTS,
            }
        ),
        expected=record(
            {
                "error": number("Win32 error; 0: success"),
                "steps": list_of(record({"step": text(), "outcome": one_of("ok", "warning", "error")})),
                "end": _MACHINE,
            }
        ),
    ),
    "scenario": VectorKind(
        about="whole sessions: every action in order, and what is left",
        input=record(
            {
                "kind": one_of(*(kind.value for kind in Kind)),
                "new": _MODULE,
                "installed": maybe(_MODULE, "what is recorded as installed"),
                "remove_existing_products_after": one_of(*(position.value for position in Position)),
                "other_products": number("that hold the anchor component"),
                "old_revision": maybe(one_of(*REVISIONS), "of the old product's merge module; null: the same"),
                "faults": _FAULTS,
                "start": _MACHINE,
            }
        ),
        expected=record(
            {
                "sessions": list_of(
                    record(
                        {
                            "name": one_of(*SESSION_NAMES),
                            "product": text(),
                            "parent": maybe(text(), "the session that started it"),
                            "error": number(),
                        }
                    ),
                    "in the order in which they begin",
                ),
                "actions": list_of(
                    text(
                        "`session phase action[:step] outcome`: phase sequence is the action's own place, script its "
                        "deferred run, rollback its undoing",
                        "^[a-z]+ (sequence|script|rollback) [A-Za-z]+(:[a-z-]+)? (ok|warning|error|skipped)$",
                    ),
                    "of all sessions, in the order in which they happen",
                ),
                "decisions": list_of(
                    record({"session": one_of(*SESSION_NAMES), "decision": text("install, uninstall, or nothing")}),
                    "of EvaluateWintun, where it ran",
                ),
                "is_wintun_installed": flag("the driver store holds the driver"),
                "end": _MACHINE,
            }
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class _Installer:
    name: str


_REVISIONS = {name: _Installer(name) for name in REVISIONS}


def vectors() -> Iterator[Vector]:
    """All vectors of the group."""
    evaluations: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
        "version": lambda described, revision: {"number": version_number(described["text"])},
        "build-time": lambda described, revision: {"number": build_time(described["text"])},
        "evaluate": _evaluate,
        "process": _process,
        "scenario": _scenario,
    }
    for case in installer_cases.cases():
        yield from _across(case, evaluations[case.kind])


def _across(case: Case, evaluated: Callable[[Mapping[str, Any], str], dict[str, Any]]) -> Iterator[Vector]:
    return across(case, _REVISIONS, lambda revision: evaluated(case.input, revision.name))


def _evaluate(described: Mapping[str, Any], revision: str) -> dict[str, Any]:
    machine = machine_of({**machine_fields(installer_cases.EMPTY), "registry": described["registry"]})
    found = evaluate(
        InstallState[described["installed"].upper()],
        InstallState[described["action"].upper()],
        module_of(described["module"]),
        machine,
        is_component_there=described["is_component_there"],
        is_state_readable=described["is_state_readable"],
    )
    return {"error": found.error, "data": found.data, "disables_rollback": found.disables_rollback}


def _process(described: Mapping[str, Any], revision: str) -> dict[str, Any]:
    result = process(
        machine_of(described["start"]),
        described["data"],
        carried_version=described["carried_version"],
        faults=faults_of(described["faults"]),
    )
    steps = [{"step": step.name, "outcome": step.outcome} for step in result.steps]
    return {"error": result.error, "steps": steps, "end": machine_fields(result.machine)}


def _scenario(described: Mapping[str, Any], revision: str) -> dict[str, Any]:
    report = run(scenario_of(described, revision))
    actions, decisions = [], []
    for event in report.events:
        step = f":{event.step}" if event.step else ""
        actions.append(f"{event.session} {event.phase} {event.action}{step} {event.outcome}")
        if event.action == "EvaluateWintun" and event.outcome == "ok":
            # The note begins with the decision; the deferred action's data is inside the session.
            decisions.append({"session": event.session, "decision": event.note.split(" (")[0]})
    return {
        "sessions": [
            {"name": one.name, "product": one.product, "parent": one.parent or None, "error": one.error}
            for one in report.sessions
        ],
        "actions": actions,
        "decisions": decisions,
        "is_wintun_installed": report.end.is_wintun_installed,
        "end": machine_fields(report.end),
    }
