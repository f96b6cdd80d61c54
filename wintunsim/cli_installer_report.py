"""The answer of `wintunsim installer`: as a table for a person, as JSON for a program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wintun_model.installer_evaluate import Module
from wintun_model.installer_scenario import ANCHOR, Event, Kind, Report, Scenario
from wintun_model.installer_state import ERROR_SUCCESS, VALUE_NAMES, Device, Machine, RegistryValue

FORMAT = 1
"""Of the JSON report; raised when a field changes its meaning or goes."""

_HEADINGS = ("#", "session", "action", "what happens", "driver", "adapters", "recorded", "component held by")
_LONGEST_TEXT = 16
_WIDEST = {2: 36, 3: 46, 4: 18, 5: 22, 6: 24, 7: 18}
_NONE = "-"


# -- JSON -------------------------------------------------------------------------------------------------------------


def report_fields(scenario: Scenario, report: Report) -> dict[str, Any]:
    """The report as plain data, in a stable order."""
    return {
        "format": FORMAT,
        "scenario": {
            "upgrade": scenario.kind.value,
            "revision": scenario.revision,
            "old_revision": scenario.old_revision or scenario.revision if scenario.kind is Kind.MAJOR else None,
            "remove_existing_products": scenario.position.value if scenario.kind is Kind.MAJOR else None,
            "other_products": scenario.other_products,
            "installed": _module_fields(scenario.installed),
            "new": None if scenario.kind is Kind.UNINSTALL else _module_fields(scenario.new),
            "faults": [
                {"step": fault.step, "target": fault.target, "session": fault.session, "error": fault.error}
                for fault in scenario.faults.faults
            ],
        },
        "start": machine_fields(report.start),
        "sessions": [
            {
                "name": session.name,
                "product": session.product,
                "parent": session.parent or None,
                "error": session.error,
                "events": [
                    _event_fields(number, event)
                    for number, event in enumerate(report.events, 1)
                    if event.session == session.name
                ],
            }
            for session in report.sessions
        ],
        "end": machine_fields(report.end),
        "error": report.error,
        "is_wintun_installed": report.end.is_wintun_installed,
    }


def _module_fields(module: Module | None) -> dict[str, str | None] | None:
    return None if module is None else {"version": module.version, "hash": module.hash, "time": module.build_time}


def _event_fields(number: int, event: Event) -> dict[str, Any]:
    return {
        "number": number,
        "phase": event.phase,
        "action": event.action,
        "step": event.step or None,
        "outcome": event.outcome,
        "note": event.note,
        "state": machine_fields(event.machine),
    }


def machine_fields(machine: Machine) -> dict[str, Any]:
    """The state of the machine as plain data."""
    return {
        "driver_store": [{"inf": copy.inf, "version": copy.version} for copy in machine.driver_store],
        "loaded": machine.loaded,
        "adapters": [
            {
                "name": device.name,
                "hardware_id": device.hardware_id,
                "present": device.is_present,
                "disabled": device.is_disabled,
                "readable": device.is_status_readable,
                "handles": device.handles,
                "driver": device.driver,
            }
            for device in machine.devices
        ],
        "registry": None
        if machine.key is None
        else {value.name: {"type": value.type.name, "data": value.data} for value in machine.key},
        "clients": list(machine.clients),
        "elapsed_ms": machine.elapsed_ms,
    }


# -- the table --------------------------------------------------------------------------------------------------------


def table(scenario: Scenario, report: Report) -> str:
    """The report as a table: a row for every action, uneventful neighbours in one; an empty cell is as above."""
    rows: list[tuple[str, ...]] = [("", "", "", "before", *_state(report.start))]
    before = rows[0][4:]
    for first, last, events in _grouped(report):
        state = _state(events[-1].machine)
        changed = tuple("" if new == old else new for new, old in zip(state, before, strict=True))
        before = state
        number = str(first) if first == last else f"{first}-{last}"
        rows.append((number, events[0].session, _action(events), _note(events[0]), *changed))
    rows.append(("", "", "", "after", *before))
    lines = [*_laid_out(rows), "", *_summary(scenario, report)]
    return "\n".join(line.rstrip() for line in lines)


def _is_quiet(event: Event) -> bool:
    return event.outcome == "ok" and not event.step and event.note in ("", "written to the script")


def _grouped(report: Report) -> Iterator[tuple[int, int, list[Event]]]:
    """Events with their numbers, neighbours of one session that only pass by together: (first, last, events)."""
    group: list[Event] = []
    start = 1
    machine = report.start
    for number, event in enumerate(report.events, 1):
        joins = (
            group
            and all(_is_quiet(one) for one in (group[-1], event))
            and (group[-1].session, group[-1].phase, group[-1].note) == (event.session, event.phase, event.note)
            and event.machine == machine
        )
        if group and not joins:
            yield start, number - 1, group
            group, start = [], number
        group.append(event)
        machine = event.machine
    yield start, start + len(group) - 1, group


def _action(events: list[Event]) -> str:
    mark = "> " if events[0].phase == "script" else ""
    if events[0].step:
        return f"{mark}{events[0].action}: {events[0].step}"
    return mark + ", ".join(event.action for event in events)


def _note(event: Event) -> str:
    note = event.note
    if event.phase == "rollback":
        note = f"rollback: {note}"
    return note if event.outcome == "ok" else f"{event.outcome.upper()}: {note}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."


def _state(machine: Machine) -> tuple[str, str, str, str]:
    """Driver, adapters, what is recorded, who holds the component."""
    copies = ", ".join(copy.version or "(no version)" for copy in machine.driver_store)
    if machine.loaded is None:
        driver = copies or _NONE
    elif copies == machine.loaded:
        driver = f"{copies}, loaded"
    else:
        driver = f"{copies or _NONE}; loaded {machine.loaded}"
    adapters = ", ".join(_adapter(device) for device in machine.devices) or _NONE
    return driver, adapters, _recorded(machine), ", ".join(machine.clients) or _NONE


def _adapter(device: Device) -> str:
    if not device.is_present:
        return f"{device.name} absent"
    state = "off" if device.is_disabled else "on" if device.driver else "without driver"
    handles = f" ({device.handles} handle{'s' if device.handles > 1 else ''})" if device.handles else ""
    return f"{device.name} {state}{handles}"


def _recorded(machine: Machine) -> str:
    """The three values of the key, newest first to read: version, time, hash; and whether the anchor is there."""
    if machine.key is None:
        return "no key"
    values: list[RegistryValue | None] = [machine.value(name) for name in reversed(VALUE_NAMES)]
    texts = [_cut(str(value.data)) if value else _NONE for value in values]
    anchor = "" if machine.value(ANCHOR.name) else "; no anchor"
    return (" / ".join(texts) if any(values) else "anchor only") + (anchor if any(values) else "")


def _laid_out(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows as lines, long cells on several."""
    wrapped = [[_wrapped(cell, _WIDEST.get(place, 99)) for place, cell in enumerate(row)] for row in (_HEADINGS, *rows)]
    widths = [max(len(line) for row in wrapped for line in row[place]) for place in range(len(_HEADINGS))]
    for number, row in enumerate(wrapped):
        for line in range(max(map(len, row))):
            cells = [cell[line] if line < len(cell) else "" for cell in row]
            yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        if number == 0:
            yield "  ".join("-" * width for width in widths)


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most `width` characters, broken at blanks; a word that is longer stays whole."""
    lines = [""]
    for word in _printable(text).split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _summary(scenario: Scenario, report: Report) -> Iterator[str]:
    yield "an empty cell: as above; >: when the script runs; recorded: version / build time / hash"
    warnings = sum(event.outcome == "warning" and event.phase != "rollback" for event in report.events)
    for session in report.sessions:
        result = "succeeded" if session.error == ERROR_SUCCESS else f"failed with error {session.error}"
        yield f"session {session.name} of {session.product}: {result}"
    copies = _printable(", ".join(copy.version for copy in report.end.driver_store))
    state = f"installed ({copies})" if report.end.is_wintun_installed else "NOT installed"
    ending = f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
    yield f"revision {scenario.revision}: Wintun is {state} after this{ending}"
